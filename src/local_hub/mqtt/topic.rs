//! Topics: the hub is no broker, it knows a closed list of them.

use percent_encoding::percent_decode_str;

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
    let events = |rest: &str| rest == "messages/events" || rest.starts_with("messages/events/");
    let dropped = topic.starts_with("$iothub/methods/res/") || own(topic, id).is_some_and(events);
    dropped.then_some(Target::Dropped)
}

/// The place in a session that a topic filter stands for; `None` for one that the hub does not have.
pub(super) fn subscription<'s>(filter: &str, id: &EntityId, session: &'s mut Session) -> Option<&'s mut Option<u8>> {
    match filter {
        "$iothub/twin/res/#" => Some(&mut session.responses),
        DESIRED => Some(&mut session.desired),
        "$iothub/methods/POST/#" => Some(&mut session.methods),
        _ => {
            let messages: &[&str] = match id.module {
                None => &["messages/devicebound/#"],
                Some(_) => &["messages/devicebound/#", "inputs/#", "#"],
            };
            messages.contains(&own(filter, id)?).then_some(&mut session.messages)
        }
    }
}

/// What follows the sender's own name in a topic that has to carry it. Some SDKs escape it there, some do not.
fn own<'t>(topic: &'t str, id: &EntityId) -> Option<&'t str> {
    let named = |topic: &'t str, kind: &str, name: &str| {
        let (given, rest) = topic.strip_prefix(kind)?.split_once('/')?;
        let same = given == name || percent_decode_str(given).decode_utf8().is_ok_and(|given| given == name);
        same.then_some(rest)
    };
    let rest = named(topic, "devices/", &id.device)?;
    match &id.module {
        None => Some(rest),
        Some(module) => named(rest, "modules/", module),
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
        let escaped = EntityId::device("a=b");
        assert_eq!(target("devices/a%3Db/messages/events/", &escaped), Some(Target::Dropped));
        assert_eq!(target("devices/a=b/messages/events/x%3D1=2", &escaped), Some(Target::Dropped));
        for topic in [
            "devices/d2/messages/events/",
            "devices/d1/modules/m1/messages/events/",
            "devices/d1/messages/eventsx",
            "devices/d1/messages/devicebound/",
            "devices/d1",
            "anything",
            "$iothub/twin/GET",
            "$iothub/twin/get/?$rid=1",
            "$iothub/twin/res/200/?$rid=1",
            "$iothub/twin/PATCH/properties/desired/?$rid=1",
        ] {
            assert_eq!(target(topic, &device), None, "{topic}");
        }
        assert_eq!(target("devices/d1/messages/events/", &module), None);
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
        for filter in [
            "#",
            "+",
            "$iothub/#",
            "$iothub/twin/#",
            "$iothub/twin/res/200/#",
            "$iothub/twin/PATCH/properties/desired/",
            "devices/d1/#",
            "devices/d1/messages/events/#",
            "devices/d1/modules/m1/#",
            "devices/d2/messages/devicebound/#",
            "devices/+/messages/devicebound/#",
        ] {
            assert!(subscription(filter, &device, &mut session).is_none(), "{filter}");
        }
        let module = EntityId::module("d1", "m 1");
        for filter in ["devices/d1/modules/m%201/#", "devices/d1/modules/m 1/inputs/#"] {
            assert!(subscription(filter, &module, &mut session).is_some(), "{filter}");
        }
        assert!(subscription("devices/d1/messages/devicebound/#", &module, &mut session).is_none());
    }
}
