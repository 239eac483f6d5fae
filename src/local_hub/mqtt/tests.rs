//! Raw bytes against the device side.
