//! Whether an object needs nothing: the hub holds what it asks, and nothing moved since its status was written. Pure.

use std::time::Duration;

use jiff::Timestamp;

use super::memory::Remembered;
use crate::api::conditions::{self, Reason};
use crate::api::device_twin::{TwinAt, TwinVersions};
use crate::api::{DeviceTwin, DeviceTwinStatus};

/// What is known of the twin without reading it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<'a> {
    pub(super) etag: &'a str,
    pub(super) version: i64,
    /// As status shows it.
    pub(super) connection: Option<&'static str>,
}

/// How long nothing is to be done: until somebody asks, or for so long. `None` when there may be something to do.
pub(super) fn settled(
    twin: &DeviceTwin,
    at: &TwinAt,
    known: Known<'_>,
    remembered: &Remembered,
    now: Timestamp,
) -> Option<Calm> {
    let status = twin.status.as_ref()?;
    let same = twin.metadata.generation == Some(status.observed_generation)
        && status.hub.as_ref() == Some(at)
        && status.twin.as_ref().is_some_and(|shown| is(shown, known))
        && known.connection.is_none_or(|state| status.connection.as_ref().is_some_and(|shown| shown.state == state));
    let open = twin.spec.suspend
        || twin.metadata.deletion_timestamp.is_some()
        || status.drift.is_some()
        || *remembered != Remembered::default();
    let ready = conditions::find(&status.conditions, "Ready")?;
    let holds =
        ready.status == "True" && [Reason::Synced, Reason::Observing].iter().any(|held| ready.reason == held.as_str());
    if !same || open || !holds {
        return None;
    }
    match waits_until(twin, status)? {
        Wait::Never => Some(Calm(None)),
        Wait::Until(end) if end > now => Some(Calm(Duration::try_from(end.duration_since(now)).ok())),
        Wait::Until(_) => None,
    }
}

/// For how long; `None`: until somebody asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Calm(pub(super) Option<Duration>);

fn is(shown: &TwinVersions, known: Known<'_>) -> bool {
    shown.version == known.version && shown.etag == known.etag
}

enum Wait {
    Never,
    Until(Timestamp),
}

/// When Converged may change with nothing done by anybody: a device that is waited for may run out of time. The timeout runs
/// from the leaf's own time at the hub, which our last write was not before. `None` when that is not known.
fn waits_until(twin: &DeviceTwin, status: &DeviceTwinStatus) -> Option<Wait> {
    let converged = conditions::find(&status.conditions, "Converged")?;
    if converged.reason != Reason::WaitingForDevice.as_str() {
        return (converged.reason != Reason::NotSynced.as_str()).then_some(Wait::Never);
    }
    let written = status.last_write_time.as_ref()?.0;
    written.checked_add(twin.spec.convergence.timeout.get()).ok().map(Wait::Until)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn object(change: impl FnOnce(&mut Value)) -> DeviceTwin {
        let condition = |type_: &str, status: &str, reason: &str| {
            json!({"type": type_, "status": status, "reason": reason, "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z"})
        };
        let mut object = json!({
            "apiVersion": "hubtwin.dev/v1alpha1", "kind": "DeviceTwin",
            "metadata": {"name": "a", "namespace": "n", "generation": 2},
            "spec": {"hubRef": {"name": "hub"}, "convergence": {"timeout": "60s"}},
            "status": {
                "observedGeneration": 2,
                "conditions": [condition("Ready", "True", "Synced"), condition("Converged", "True", "Confirmed")],
                "hub": {"host": "h", "deviceId": "a"},
                "twin": {"etag": "e", "version": 5, "desiredVersion": 2, "reportedVersion": 2},
                "connection": {"state": "Connected", "observedTime": "2026-01-01T00:00:00Z"},
                "lastWriteTime": "2026-01-01T00:00:00Z",
            },
        });
        change(&mut object);
        serde_json::from_value(object).expect("a DeviceTwin")
    }

    fn of(twin: &DeviceTwin, known: Known<'_>, second: i64) -> Option<Calm> {
        let at = TwinAt { host: "h".to_owned(), device_id: "a".to_owned(), module_id: None };
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
        let now = Timestamp::from_second(start.as_second() + second).expect("a time");
        settled(twin, &at, known, &Remembered::default(), now)
    }

    const KNOWN: Known<'static> = Known { etag: "e", version: 5, connection: Some("Connected") };

    #[test]
    fn what_is_in_sync_and_did_not_move_needs_nothing() {
        assert_eq!(of(&object(|_| ()), KNOWN, 0), Some(Calm(None)));
        assert_eq!(of(&object(|_| ()), Known { connection: None, ..KNOWN }, 0), Some(Calm(None)));
    }

    #[test]
    fn whatever_moved_is_looked_at() {
        let twin = object(|_| ());
        for known in [
            Known { etag: "f", ..KNOWN },
            Known { version: 6, ..KNOWN },
            Known { version: 4, ..KNOWN },
            Known { connection: Some("Disconnected"), ..KNOWN },
        ] {
            assert_eq!(of(&twin, known, 0), None, "{known:?}");
        }
        let changes: [fn(&mut Value); 8] = [
            |object| object["metadata"]["generation"] = json!(3),
            |object| object["status"]["hub"]["host"] = json!("other"),
            |object| object["status"]["drift"] = json!({"count": 1, "paths": ["/tags/a"]}),
            |object| object["status"]["conditions"][0]["status"] = json!("False"),
            |object| object["status"]["conditions"][0]["reason"] = json!("Suspended"),
            |object| object["status"]["conditions"][1]["reason"] = json!("NotSynced"),
            |object| object["spec"]["suspend"] = json!(true),
            |object| object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z"),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            assert_eq!(of(&object(change), KNOWN, 0), None, "change {number}");
        }
    }

    #[test]
    fn a_device_that_is_waited_for_may_run_out_of_time() {
        let waits = object(|object| object["status"]["conditions"][1]["reason"] = json!("WaitingForDevice"));
        assert_eq!(of(&waits, KNOWN, 20), Some(Calm(Some(Duration::from_secs(40)))));
        assert_eq!(of(&waits, KNOWN, 60), None);
    }
}
