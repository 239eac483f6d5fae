//! Names of connections, of both kinds.

use std::fmt;

use kube::ResourceExt as _;

use crate::api::{ClusterHubConnection, DeviceTwin, HubConnection, HubKind, HubRef, TwinQuery};

/// Names a connection object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HubKey {
    /// A HubConnection, and its namespace.
    Namespaced {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// A ClusterHubConnection, by name.
    Cluster(String),
}

impl HubKey {
    /// The connection that a DeviceTwin names.
    #[must_use]
    pub fn of_twin(twin: &DeviceTwin) -> Self {
        Self::of(twin.namespace(), &twin.spec.hub_ref)
    }

    /// The connection that a TwinQuery names.
    #[must_use]
    pub fn of_query(query: &TwinQuery) -> Self {
        Self::of(query.namespace(), &query.spec.hub_ref)
    }

    /// The name of a HubConnection.
    #[must_use]
    pub fn of_connection(connection: &HubConnection) -> Self {
        Self::Namespaced { namespace: connection.namespace().unwrap_or_default(), name: connection.name_any() }
    }

    /// The name of a ClusterHubConnection.
    #[must_use]
    pub fn of_cluster(connection: &ClusterHubConnection) -> Self {
        Self::Cluster(connection.name_any())
    }

    /// What a reference means in an object of this namespace. A reference never names another namespace.
    #[must_use]
    pub fn of(namespace: Option<String>, reference: &HubRef) -> Self {
        let name = reference.name.clone();
        match reference.kind {
            HubKind::HubConnection => Self::Namespaced { namespace: namespace.unwrap_or_default(), name },
            HubKind::ClusterHubConnection => Self::Cluster(name),
        }
    }

    /// The kind of the object.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Namespaced { .. } => "HubConnection",
            Self::Cluster(_) => "ClusterHubConnection",
        }
    }

    /// Its namespace; a ClusterHubConnection has none.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Self::Namespaced { namespace, .. } => Some(namespace),
            Self::Cluster(_) => None,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Namespaced { name, .. } | Self::Cluster(name) => name,
        }
    }
}

/// The kind and the name, without the namespace, which is the reader's own.
impl fmt::Display for HubKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_stays_in_its_namespace_unless_it_names_the_cluster_kind() {
        let key = |kind| HubKey::of(Some("plant".to_owned()), &HubRef { kind, name: "hub".to_owned() });
        let near = key(HubKind::HubConnection);
        assert_eq!((near.kind(), near.namespace(), near.name()), ("HubConnection", Some("plant"), "hub"));
        let far = key(HubKind::ClusterHubConnection);
        assert_eq!((far.kind(), far.namespace(), far.name()), ("ClusterHubConnection", None, "hub"));
        assert_eq!(far.to_string(), "ClusterHubConnection hub");
    }
}
