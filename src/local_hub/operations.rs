//! The names of all that can be asked of the hub, as they stand in counters, in the log, in faults and in `disabled`.

use super::throttle::Class;

/// Every name: first what back ends ask, then what devices do, then what the hub does by itself.
pub const ALL: [&str; 22] = [
    "identity.get",
    "identity.put",
    "identity.delete",
    "identity.list",
    "identity.bulk",
    "twin.get",
    "twin.patch",
    "twin.replace",
    "query",
    "statistics",
    "jobs",
    "unknown",
    DEVICE_WEBSOCKET,
    DEVICE_CONNECT,
    DEVICE_GET,
    DEVICE_REPORT,
    DEVICE_MESSAGE,
    DEVICE_SUBSCRIBE,
    DEVICE_DISCONNECT,
    DEVICE_NOTIFY,
    CONFIGURATION_APPLY,
    FAILOVER,
];

/// A device asks for a WebSocket.
pub const DEVICE_WEBSOCKET: &str = "device.websocket";
/// A device connects.
pub const DEVICE_CONNECT: &str = "device.connect";
/// A device reads its twin.
pub const DEVICE_GET: &str = "device.get";
/// A device reports.
pub const DEVICE_REPORT: &str = "device.report";
/// A device sends telemetry.
pub const DEVICE_MESSAGE: &str = "device.message";
/// A device subscribes.
pub const DEVICE_SUBSCRIBE: &str = "device.subscribe";
/// A device went.
pub const DEVICE_DISCONNECT: &str = "device.disconnect";
/// The hub tells a device of a change.
pub const DEVICE_NOTIFY: &str = "device.notify";

/// An automatic configuration is applied to a twin.
pub const CONFIGURATION_APPLY: &str = "configuration.apply";
/// The hub goes back to an older state.
pub const FAILOVER: &str = "failover";

/// Whether there is an operation of this name.
#[must_use]
pub fn known(name: &str) -> bool {
    ALL.contains(&name)
}

/// Whether there is something to be limited together with others, and with which.
#[must_use]
pub fn class(name: &str) -> Option<Class> {
    match name {
        "identity.get" | "identity.put" | "identity.delete" | "identity.list" | "identity.bulk" | "statistics" => {
            Some(Class::Identity)
        }
        "twin.get" | DEVICE_GET => Some(Class::TwinReads),
        "twin.patch" | "twin.replace" | DEVICE_REPORT => Some(Class::TwinUpdates),
        "query" => Some(Class::Queries),
        DEVICE_CONNECT => Some(Class::Connections),
        _ => None,
    }
}

/// Whether it counts as messages of the day.
#[must_use]
pub fn metered(name: &str) -> bool {
    let reads_or_writes = matches!(class(name), Some(Class::TwinReads | Class::TwinUpdates | Class::Queries));
    reads_or_writes || matches!(name, DEVICE_MESSAGE | DEVICE_NOTIFY | CONFIGURATION_APPLY)
}
