//! Mints shared access signatures.
