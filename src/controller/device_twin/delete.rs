//! Deletion: the finalizer, and the removal of the keys that it waits for.

use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

use super::super::events::Note;
use super::super::hubs::{Entry, HubKey};
use super::super::{Context, status};
use super::deletion::{Attempt, End, FINALIZER, Step, end, step};
use super::execute::Outcome;
use super::gather::{Found, Goal};
use super::notes;
use super::peers;
use super::plan::ledger;
use super::ready::failed;
use crate::api::conditions::Reason;
use crate::api::device_twin::Mode;
use crate::api::{DeviceTwin, DeviceTwinStatus, EventReason};
use crate::twin::plan::Ledger;

/// What remains to be done after the finalizer was looked at.
pub(super) enum Next {
    /// The object lives: go on.
    Live,
    /// Nothing more in this reconcile.
    Done(Option<Duration>),
}

/// Looks at the finalizer before anything else, the validity of the spec included.
pub(super) async fn first(twin: &DeviceTwin, context: &Context) -> Result<Next, status::WriteError> {
    let has = twin.finalizers().iter().any(|finalizer| finalizer == FINALIZER);
    let deleting = twin.metadata.deletion_timestamp.is_some();
    let retry = Next::Done(Some(Duration::from_millis(100)));
    match step(has, deleting, twin.spec.deletion_policy) {
        Step::Live => Ok(Next::Live),
        Step::Gone => Ok(Next::Done(None)),
        Step::Add => Ok(if write(twin, context, true).await? { Next::Live } else { retry }),
        Step::Drop => Ok(if write(twin, context, false).await? { Next::Live } else { retry }),
        Step::Release => {
            let released = write(twin, context, false).await?;
            Ok(if released { Next::Done(None) } else { retry })
        }
        Step::Finish => finish(twin, context).await.map(Next::Done),
    }
}

/// Removes the keys, and then the finalizer; or waits; or leaves the keys and says so.
async fn finish(twin: &DeviceTwin, context: &Context) -> Result<Option<Duration>, status::WriteError> {
    // From now on it claims nothing: who waits for its leaves may take them.
    context.trigger_peers(twin);
    let (attempt, told) = attempt(twin, context).await;
    let deleted = twin.metadata.deletion_timestamp.as_ref().map_or(Timestamp::MIN, |time| time.0);
    let since = deleted.max(context.started);
    let uid = twin.uid().unwrap_or_default();
    let left = match end(attempt, since, context.settings.pace.keys_left_after, context.settings.clock.now()) {
        End::Wait(left) => return Ok(Some(context.backoff.next(&uid).min(left))),
        End::Go => None,
        End::LeaveKeys(why) => Some(why),
    };
    for note in &told {
        context.events.publish(twin, note).await;
    }
    if let Some(why) = left {
        let text = format!("the keys that this object owns stay at the hub: {why}");
        context.events.publish(twin, &Note { reason: EventReason::KeysLeft, text }).await;
    }
    if write(twin, context, false).await? {
        context.backoff.forget(&uid);
        return Ok(None);
    }
    Ok(Some(Duration::from_millis(100)))
}

/// One attempt to remove the keys, by the planner that writes them, with a spec that asks for nothing.
async fn attempt(twin: &DeviceTwin, context: &Context) -> (Attempt, Vec<Note>) {
    let held = holds(twin, context);
    if held == Ledger::default() {
        return (Attempt::Done, Vec::new());
    }
    if twin.spec.suspend {
        return (Attempt::NotOurs("spec.suspend is true"), Vec::new());
    }
    if twin.spec.mode == Mode::Observe {
        return (Attempt::NotOurs("spec.mode is Observe"), Vec::new());
    }
    if let Some(why) = not_allowed(twin, context) {
        return (Attempt::NotAllowed(why), Vec::new());
    }
    let settled = super::settle(twin, context, Goal::RemoveKeys).await;
    let super::Settled { inputs, decision, outcome, .. } = settled;
    let attempt = match (&inputs.found, &outcome) {
        (Found::Gone(_), _) => Attempt::Done,
        (Found::Unusable(verdict) | Found::Failed(verdict), _) => Attempt::Failed(verdict.message.clone()),
        (Found::Invalid(wrong), _) => Attempt::Failed(wrong.join("; ")),
        (Found::Suspended, _) => Attempt::NotOurs("spec.suspend is true"),
        _ if inputs.before.hub.as_ref() != Some(&inputs.at) => Attempt::NotOurs("they are at another hub"),
        (Found::Row(_) | Found::Read(_), Outcome::Nothing | Outcome::Written(_)) => Attempt::Done,
        (_, Outcome::Failed(error)) => Attempt::Failed(failed(error).message),
        (_, Outcome::Moved | Outcome::Created | Outcome::Later(_)) => {
            Attempt::Failed("other back ends keep writing to this twin".to_owned())
        }
    };
    let told = notes::of_plan(&decision, &outcome).into_iter().filter(|note| note.reason == EventReason::Released);
    (attempt, told.collect())
}

/// Why the connection does not let this object remove its keys.
fn not_allowed(twin: &DeviceTwin, context: &Context) -> Option<String> {
    let (key, namespace) = (HubKey::of_twin(twin), twin.namespace().unwrap_or_default());
    let (keep, now) = (context.settings.pace.credential_kept, context.settings.clock.now());
    let hub = match context.hubs.for_deletion(&key, keep, now) {
        Some(Entry::Usable(hub)) => Some(hub),
        Some(Entry::Broken(_)) | None => None,
    };
    match context.rights(&key, hub.as_deref(), peers::user(twin, &namespace)) {
        Ok(rights) if rights.remove_keys => None,
        Ok(_) => Some(format!(
            "{key} does not allow RemoveKeys to namespace {namespace}: an administrator adds it to allow in an entry of \
             spec.access"
        )),
        Err(verdict) if verdict.reason == Reason::NotAllowed => Some(verdict.message),
        // Nobody knows yet, or there is no connection: the attempt will tell.
        Err(_) => None,
    }
}

/// What the ledger holds, be it written to the object or not.
fn holds(twin: &DeviceTwin, context: &Context) -> Ledger {
    let status = context.twins.newest(twin).status;
    let remembered = context.memory.recall(&twin.uid().unwrap_or_default());
    let of = |status: DeviceTwinStatus| ledger(&status, status.hub.as_ref()?);
    let mut held = remembered.unsaved.or(status).and_then(of).unwrap_or_default();
    // A write whose answer was lost may have landed.
    if let Some(sent) = remembered.sent {
        held.tags.extend(sent.tags);
        held.desired.extend(sent.desired);
    }
    held
}

/// Adds or removes our own finalizer; `false` when the object changed meanwhile.
async fn write(twin: &DeviceTwin, context: &Context, add: bool) -> Result<bool, status::WriteError> {
    let resource_version = context.twins.newest(twin).resource_version;
    let others = twin.finalizers().iter().filter(|finalizer| *finalizer != FINALIZER);
    let finalizers: Vec<&str> = others.map(String::as_str).chain(add.then_some(FINALIZER)).collect();
    let body = json!({"metadata": {"resourceVersion": resource_version, "finalizers": finalizers}});
    let api: Api<DeviceTwin> = Api::namespaced(context.client.clone(), &twin.namespace().unwrap_or_default());
    let name = twin.name_any();
    let (parameters, patch) = (PatchParams::default(), Patch::Merge(&body));
    let call = api.patch_metadata(&name, &parameters, &patch);
    match status::bounded("the finalizer", &name, call).await? {
        None => Ok(false),
        Some(answer) => {
            context.twins.moved(twin, answer.resource_version().unwrap_or_default());
            Ok(true)
        }
    }
}
