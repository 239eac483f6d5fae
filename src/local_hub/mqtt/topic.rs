//! Topics: the hub is no broker, it knows a closed list of them.

use super::super::machine::{EntityId, Session};
use super::super::operations;

const DESIRED: &str = "$iothub/twin/PATCH/properties/desired/#";

/// What a client publishes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target<'t> {
    /// A read of its twin.
    Get {
        /// What the answer carries back.
        rid: &'t str,
    },
    /// A patch of its reported properties.
    Report {
        /// What the answer carries back.
        rid: &'t str,
        /// The reported `$version` that must be current; `Err` when it is no number.
        version: Option<Result<u64, ()>>,
    },
    /// Telemetry, or the answer to a method: acknowledged and dropped.
    Dropped,
}

impl Target<'_> {
    /// The operation that a message to it asks for.
    pub(super) fn operation(&self) -> &'static str {
        match self {
            Self::Get { .. } => operations::DEVICE_GET,
            Self::Report { .. } => operations::DEVICE_REPORT,
            Self::Dropped => operations::DEVICE_MESSAGE,
        }
    }
}

/// Whether a topic filter is that of desired changes.
pub(super) fn is_desired(filter: &str) -> bool {
    filter == DESIRED
}

/// Reads a topic that a client publishes to; `None` for one that the hub does not have.
pub(super) fn target<'t>(topic: &'t str, id: &EntityId) -> Option<Target<'t>> {
    if let Some(query) = topic.strip_prefix("$iothub/twin/GET/?") {
        return Some(Target::Get { rid: parameter(query, "$rid").unwrap_or("") });
    }
    if let Some(query) = topic.strip_prefix("$iothub/twin/PATCH/properties/reported/?") {
        let version = parameter(query, "$version").map(|text| text.parse().map_err(|_| ()));
        return Some(Target::Report { rid: parameter(query, "$rid").unwrap_or(""), version });
    }
    let dropped = topic.starts_with("$iothub/methods/res/")
        || topic.strip_prefix(&own_prefix(id)).is_some_and(|rest| rest.starts_with("messages/events"));
    dropped.then_some(Target::Dropped)
}

/// The place in a session that a topic filter stands for; `None` for one that the hub does not have.
pub(super) fn subscription<'s>(filter: &str, id: &EntityId, session: &'s mut Session) -> Option<&'s mut Option<u8>> {
    match filter {
        "$iothub/twin/res/#" => Some(&mut session.responses),
        DESIRED => Some(&mut session.desired),
        "$iothub/methods/POST/#" => Some(&mut session.methods),
        _ => {
            let rest = filter.strip_prefix(&own_prefix(id))?;
            ["messages/devicebound/#", "inputs/#", "#"].contains(&rest).then_some(&mut session.messages)
        }
    }
}

/// Topics that carry the sender's name start with it.
fn own_prefix(id: &EntityId) -> String {
    match &id.module {
        None => format!("devices/{}/", id.device),
        Some(module) => format!("devices/{}/modules/{module}/", id.device),
    }
}

fn parameter<'t>(query: &'t str, name: &str) -> Option<&'t str> {
    query.split('&').find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name).map(|(_, value)| value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_a_closed_list() {
        let device = EntityId::device("d1");
        let module = EntityId::module("d1", "m1");
        let get = Some(Target::Get { rid: "a-1" });
        assert_eq!(target("$iothub/twin/GET/?$rid=a-1", &device), get);
        let report = "$iothub/twin/PATCH/properties/reported/?$rid=7&$version=3";
        assert_eq!(target(report, &device), Some(Target::Report { rid: "7", version: Some(Ok(3)) }));
        assert_eq!(target("devices/d1/messages/events/", &device), Some(Target::Dropped));
        assert_eq!(target("devices/d1/modules/m1/messages/events/x=1", &module), Some(Target::Dropped));
        for topic in ["devices/d2/messages/events/", "anything", "$iothub/twin/GET", "$iothub/twin/res/200/?$rid=1"] {
            assert_eq!(target(topic, &device), None, "{topic}");
        }
    }

    #[test]
    fn filters_are_a_closed_list() {
        let (device, mut session) = (EntityId::device("d1"), Session::default());
        for filter in [
            "$iothub/twin/res/#",
            "$iothub/twin/PATCH/properties/desired/#",
            "$iothub/methods/POST/#",
            "devices/d1/messages/devicebound/#",
        ] {
            assert!(subscription(filter, &device, &mut session).is_some(), "{filter}");
        }
        for filter in ["#", "devices/d2/messages/devicebound/#", "$iothub/#"] {
            assert!(subscription(filter, &device, &mut session).is_none(), "{filter}");
        }
    }
}
