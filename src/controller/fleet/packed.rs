//! JSON in little room: against a dictionary of what all objects have in common.

use std::sync::LazyLock;

use lz4_flex::block::{compress_prepend_size_with_dict, decompress_size_prepended_with_dict};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::api::DeviceTwin;
use crate::api::conditions::Reason;

/// JSON, packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Packed(Box<[u8]>);

impl Packed {
    /// Packs what can be written as JSON; what cannot, is nothing.
    pub(super) fn new(value: &impl Serialize) -> Self {
        let json = serde_json::to_vec(value).unwrap_or_default();
        Self(compress_prepend_size_with_dict(&json, &DICTIONARY).into_boxed_slice())
    }

    pub(super) fn open<T: DeserializeOwned>(&self) -> Option<T> {
        let json = decompress_size_prepended_with_dict(&self.0, &DICTIONARY).ok()?;
        serde_json::from_slice(&json).ok()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// What most objects look like, in the order in which they are written: packed texts refer to it. It is made anew in each run,
/// and nothing packed outlives the run.
static DICTIONARY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut text = Reason::ALL.map(Reason::as_str).join("\",\"reason\":\"").into_bytes();
    // Through the type, so that the order of its fields is the one of what will be packed.
    if let Ok(twin) = serde_json::from_value::<DeviceTwin>(example()) {
        text.extend(serde_json::to_vec(&twin.status).unwrap_or_default());
        text.extend(serde_json::to_vec(&DeviceTwin { status: None, ..twin }).unwrap_or_default());
    }
    text
});

fn example() -> Value {
    let condition = |type_: &str, status: &str, reason: &str, message: &str| {
        json!({"type": type_, "status": status, "reason": reason, "message": message, "observedGeneration": 1,
            "lastTransitionTime": "2026-01-01T00:00:00Z"})
    };
    let none = json!({"count": 1, "paths": ["/properties/desired/"]});
    json!({
        "apiVersion": "hubtwin.dev/v1alpha1",
        "kind": "DeviceTwin",
        "metadata": {
            "name": "device-000", "namespace": "default", "uid": "00000000-0000-4000-8000-000000000000",
            "resourceVersion": "1000", "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {
            "hubRef": {"kind": "HubConnection", "name": "hub"},
            "deviceId": "device-000",
            "tags": {"location": {"region": "", "plant": "", "site": ""}, "fleet": ""},
            "properties": {"desired": {"telemetry": {"intervalSec": 30}, "firmware": {"version": "1.0.0"}}},
        },
        "status": {
            "observedGeneration": 1,
            "conditions": [
                condition("Reconciling", "True", "Pending", "waiting for the hub's first answer"),
                condition("Converged", "Unknown", "NotSynced", "this generation is not at the hub yet"),
                condition("Converged", "Unknown", "WaitingForDevice", "/properties/desired/"),
                condition("Ready", "True", "Synced", "the hub holds what the spec asks"),
                condition("Converged", "True", "Confirmed", "the device has confirmed all desired properties"),
            ],
            "hub": {"host": ".azure-devices.net", "deviceId": "device-000"},
            "twin": {"etag": "AAAAAAAAAAE=", "version": 3, "desiredVersion": 2, "reportedVersion": 2},
            "reportedTime": "2026-01-01T00:00:00Z",
            "connection": {"state": "Connected", "observedTime": "2026-01-01T00:00:00Z"},
            "applied": {
                "tags": {"location": {"region": "", "plant": ""}},
                "desired": {"telemetry": {"intervalSec": 30}},
            },
            "plan": none, "drift": none, "pending": none,
            "lastWriteTime": "2026-01-01T00:00:00Z",
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_as_it_was_and_small() {
        let twin: DeviceTwin = serde_json::from_value(example()).expect("an example of its type");
        let packed = Packed::new(&twin);
        assert_eq!(packed.open::<DeviceTwin>().as_ref(), Some(&twin));
        let json = serde_json::to_vec(&twin).expect("JSON").len();
        assert!(packed.len() * 10 < json, "{} of {json} bytes", packed.len());
        assert_eq!(Packed::new(&Value::Null).open::<Option<u8>>(), Some(None));
    }
}
