//! The hub's topics for twins.

/// Answers to what the device asked.
pub(super) const ANSWERS: &str = "$iothub/twin/res/#";
/// Changes of the desired properties.
pub(super) const CHANGES: &str = "$iothub/twin/PATCH/properties/desired/#";

/// What a message of the hub is, by its topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    /// The answer to a request of the device.
    Answer { status: u16, request: String },
    /// A change of the desired properties.
    Change,
}

/// Where a device asks for its twin.
pub(super) fn get(request: u64) -> String {
    format!("$iothub/twin/GET/?$rid={request}")
}

/// Where a device reports.
pub(super) fn report(request: u64) -> String {
    format!("$iothub/twin/PATCH/properties/reported/?$rid={request}")
}

/// Reads a topic; `None` for one that is not about twins.
pub(super) fn parse(topic: &str) -> Option<Incoming> {
    let rest = topic.strip_prefix("$iothub/twin/")?;
    if rest.starts_with("PATCH/properties/desired/") {
        return Some(Incoming::Change);
    }
    let (status, query) = rest.strip_prefix("res/")?.split_once("/?")?;
    let request = query.split('&').find_map(|pair| pair.strip_prefix("$rid="))?;
    Some(Incoming::Answer { status: status.parse().ok()?, request: request.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_read() {
        let answer = |status, request: &str| Some(Incoming::Answer { status, request: request.to_owned() });
        for (topic, expected) in [
            ("$iothub/twin/res/200/?$rid=7", answer(200, "7")),
            ("$iothub/twin/res/204/?$rid=a-b&$version=4", answer(204, "a-b")),
            ("$iothub/twin/PATCH/properties/desired/?$version=3", Some(Incoming::Change)),
            ("$iothub/twin/res/?$rid=7", None),
            ("$iothub/twin/res/ok/?$rid=7", None),
            ("$iothub/methods/POST/x/?$rid=7", None),
        ] {
            assert_eq!(parse(topic), expected, "{topic}");
        }
    }
}
