//! Who a device is and how it proves it.

use crate::sas::Key;
use crate::twin::id::TwinId;

/// A device or module.
#[derive(Clone, Debug)]
pub struct Device {
    /// Who it is.
    pub id: TwinId,
    /// The key that signs its tokens; without one it goes by the client certificate of the settings.
    pub key: Option<Key>,
}
