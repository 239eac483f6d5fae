//! What can be asked over the service API.

use super::super::auth::Permission;

/// An operation of the service API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Read an identity.
    GetIdentity,
    /// Create or update an identity.
    PutIdentity,
    /// Delete an identity.
    DeleteIdentity,
    /// List device identities.
    ListDevices,
    /// List the modules of a device.
    ListModules,
    /// Write up to 100 identities.
    BulkIdentities,
    /// Read a twin.
    GetTwin,
    /// Merge into a twin.
    PatchTwin,
    /// Replace a twin.
    ReplaceTwin,
    /// Query twins.
    Query,
    /// Count devices.
    Statistics,
    /// Count connections.
    ServiceStatistics,
    /// Anything with jobs.
    Jobs,
    /// Something else that the service has and this hub does not.
    Unsupported,
    /// A path that the hub does not know.
    Unknown,
    /// A method that the path does not take.
    WrongMethod,
}

impl Operation {
    /// The name in counters and in the log.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::GetIdentity => "identity.get",
            Self::PutIdentity => "identity.put",
            Self::DeleteIdentity => "identity.delete",
            Self::ListDevices | Self::ListModules => "identity.list",
            Self::BulkIdentities => "identity.bulk",
            Self::GetTwin => "twin.get",
            Self::PatchTwin => "twin.patch",
            Self::ReplaceTwin => "twin.replace",
            Self::Query => "query",
            Self::Statistics | Self::ServiceStatistics => "statistics",
            Self::Jobs => "jobs",
            Self::Unsupported | Self::Unknown | Self::WrongMethod => "unknown",
        }
    }

    /// What a policy has to allow; `None` for what there is not.
    #[must_use]
    pub fn permission(self) -> Option<Permission> {
        match self {
            Self::GetIdentity | Self::ListDevices | Self::ListModules | Self::Statistics | Self::ServiceStatistics => {
                Some(Permission::RegistryRead)
            }
            Self::PutIdentity | Self::DeleteIdentity | Self::BulkIdentities => Some(Permission::RegistryWrite),
            Self::GetTwin | Self::PatchTwin | Self::ReplaceTwin | Self::Query => Some(Permission::ServiceConnect),
            Self::Jobs | Self::Unsupported | Self::Unknown | Self::WrongMethod => None,
        }
    }
}
