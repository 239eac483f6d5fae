//! A connection object of either kind, as the controllers need it.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::events::Note;
use super::hub_key::HubKey;
use super::status::Written;
use super::{Context, status};
use crate::api::cluster_hub_connection::{AccessEntry, ClusterKeyRef};
use crate::api::hub_connection::Usage;
use crate::api::{ClusterHubConnection, HubConnection, HubConnectionStatus, KeyRef, requested};

/// A connection object.
#[derive(Clone, Debug)]
pub enum Connection {
    /// A tenant's.
    Namespaced(Arc<HubConnection>),
    /// An administrator's.
    Cluster(Arc<ClusterHubConnection>),
}

/// A key of a Secret or ConfigMap, and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// The namespace.
    pub namespace: &'a str,
    /// The name of the Secret or ConfigMap.
    pub name: &'a str,
    /// The key within it.
    pub key: &'a str,
}

/// What proves to the hub who we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialSource<'a> {
    /// A connection string in a Secret.
    ConnectionString(Place<'a>),
    /// Nothing: the schema would not have let it pass.
    Nothing,
}

/// Where an extra root certificate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BundleSource<'a> {
    /// In a Secret.
    Secret(Place<'a>),
    /// In a ConfigMap.
    ConfigMap(Place<'a>),
}

impl Connection {
    /// Its name.
    #[must_use]
    pub fn key(&self) -> HubKey {
        match self {
            Self::Namespaced(connection) => HubKey::of_connection(connection),
            Self::Cluster(connection) => HubKey::of_cluster(connection),
        }
    }

    /// Its metadata.
    #[must_use]
    pub fn meta(&self) -> &ObjectMeta {
        match self {
            Self::Namespaced(connection) => &connection.metadata,
            Self::Cluster(connection) => &connection.metadata,
        }
    }

    /// The host that it names.
    #[must_use]
    pub fn host(&self) -> &str {
        match self {
            Self::Namespaced(connection) => &connection.spec.host,
            Self::Cluster(connection) => &connection.spec.host,
        }
    }

    /// How the hub is used.
    #[must_use]
    pub fn usage(&self) -> &Usage {
        match self {
            Self::Namespaced(connection) => &connection.spec.usage,
            Self::Cluster(connection) => &connection.spec.usage,
        }
    }

    /// Who may use it; `None`: everybody in its namespace.
    #[must_use]
    pub fn access(&self) -> Option<&[AccessEntry]> {
        match self {
            Self::Namespaced(_) => None,
            Self::Cluster(connection) => Some(&connection.spec.access),
        }
    }

    /// Where its credential comes from.
    #[must_use]
    pub fn credential(&self) -> CredentialSource<'_> {
        match self {
            Self::Namespaced(connection) => match &connection.spec.auth.connection_string {
                Some(source) => CredentialSource::ConnectionString(self.near(&source.secret_key_ref)),
                None => CredentialSource::Nothing,
            },
            Self::Cluster(connection) => match &connection.spec.auth.connection_string {
                Some(source) => CredentialSource::ConnectionString(far(&source.secret_key_ref)),
                None => CredentialSource::Nothing,
            },
        }
    }

    /// Where its extra root certificate comes from.
    #[must_use]
    pub fn bundle(&self) -> Option<BundleSource<'_>> {
        match self {
            Self::Namespaced(connection) => {
                let bundle = connection.spec.ca_bundle.as_ref()?;
                let secret = bundle.secret_key_ref.as_ref().map(|at| BundleSource::Secret(self.near(at)));
                secret.or_else(|| Some(BundleSource::ConfigMap(self.near(bundle.config_map_key_ref.as_ref()?))))
            }
            Self::Cluster(connection) => {
                let bundle = connection.spec.ca_bundle.as_ref()?;
                let secret = bundle.secret_key_ref.as_ref().map(|at| BundleSource::Secret(far(at)));
                secret.or_else(|| Some(BundleSource::ConfigMap(far(bundle.config_map_key_ref.as_ref()?))))
            }
        }
    }

    /// The value of the annotation that asks for a look now.
    #[must_use]
    pub fn requested(&self) -> Option<String> {
        match self {
            Self::Namespaced(connection) => requested(&**connection),
            Self::Cluster(connection) => requested(&**connection),
        }
    }

    /// The status to go on from, with the resourceVersion that a write is to carry.
    pub(super) fn newest(&self, written: &Written<HubConnectionStatus>) -> (HubConnectionStatus, String) {
        let (status, version) = match self {
            Self::Namespaced(connection) => written.newest(&**connection, connection.status.as_ref()),
            Self::Cluster(connection) => written.newest(&**connection, connection.status.as_ref()),
        };
        (status.unwrap_or_default(), version)
    }

    /// Writes its status.
    pub(super) async fn write(
        &self,
        context: &Context,
        resource_version: &str,
        status: &HubConnectionStatus,
    ) -> Result<status::Write, status::WriteError> {
        let written = &context.written_hubs;
        match self {
            Self::Namespaced(connection) => {
                status::write(context, written, &**connection, resource_version, status).await
            }
            Self::Cluster(connection) => {
                status::write_cluster(context, written, &**connection, resource_version, status).await
            }
        }
    }

    /// Publishes an Event about it.
    pub(super) async fn publish(&self, context: &Context, note: &Note) {
        match self {
            Self::Namespaced(connection) => context.events.publish(&**connection, note).await,
            Self::Cluster(connection) => context.events.publish(&**connection, note).await,
        }
    }

    /// A reference within the connection's own namespace.
    fn near<'a>(&'a self, reference: &'a KeyRef) -> Place<'a> {
        let KeyRef { name, key } = reference;
        Place { namespace: self.meta().namespace.as_deref().unwrap_or_default(), name, key }
    }
}

fn far(reference: &ClusterKeyRef) -> Place<'_> {
    let ClusterKeyRef { namespace, name, key } = reference;
    Place { namespace, name, key }
}
