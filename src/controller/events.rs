//! Events: what a person wants to know and a condition cannot keep.

use kube::Resource;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};

use crate::api::EventReason;

const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

/// Publishes Events; repeats are aggregated by the recorder.
pub(super) struct Events(Recorder);

/// One Event, before it has an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Why.
    pub reason: EventReason,
    /// For people; at most 1 kB.
    pub text: String,
}

impl Events {
    pub(super) fn new(client: kube::Client) -> Self {
        Self(Recorder::new(client, Reporter { controller: "hubtwin".into(), instance: None }))
    }

    /// Publishes; a reconcile never fails because an Event could not be sent.
    pub(super) async fn publish<K: Resource<DynamicType = ()>>(&self, object: &K, note: &Note) {
        let event = Event {
            type_: if note.reason.is_warning() { EventType::Warning } else { EventType::Normal },
            reason: note.reason.as_str().to_owned(),
            note: Some(note.text.chars().take(900).collect()),
            action: "Reconcile".to_owned(),
            secondary: None,
        };
        let reason = note.reason.as_str();
        match tokio::time::timeout(TIMEOUT, self.0.publish(&event, &object.object_ref(&()))).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(reason, %error, "an Event was not sent"),
            Err(_) => tracing::warn!(reason, "an Event was not sent: no answer from the API server within 10 s"),
        }
    }
}
