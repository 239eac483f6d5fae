//! The name of a DeviceTwin.

use std::fmt;
use std::sync::Arc;

use kube::ResourceExt as _;

use crate::api::DeviceTwin;

/// Names a DeviceTwin. Cheap to clone and to keep.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TwinName(Arc<Parts>);

#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Parts {
    namespace: Arc<str>,
    name: Box<str>,
}

impl TwinName {
    /// A name in a namespace.
    pub fn new(namespace: impl Into<Arc<str>>, name: &str) -> Self {
        Self(Arc::new(Parts { namespace: namespace.into(), name: name.into() }))
    }

    /// The name of an object.
    #[must_use]
    pub fn of(twin: &DeviceTwin) -> Self {
        Self::new(twin.namespace().unwrap_or_default(), &twin.name_any())
    }

    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.0.namespace
    }

    /// The name within it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    pub(in crate::controller) fn shared_namespace(&self) -> Arc<str> {
        self.0.namespace.clone()
    }
}

impl fmt::Display for TwinName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace(), self.name())
    }
}

impl fmt::Debug for TwinName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
