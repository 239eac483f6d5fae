//! Everything that the decision needs, read here, once.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt as _;

use super::super::access::Rights;
use super::super::fleet::Newest;
use super::super::hubs::{Entry, Health, Hub, HubKey, connection_trouble, told};
use super::super::views::{Origin, View};
use super::super::{Context, Pace};
use super::class::{self, Standing};
use super::identity::Missing;
use super::memory::Remembered;
use super::peer::Peer;
use super::peers;
use super::validate::{Wanted, validate};
use crate::api::conditions::{Reason, Status, Verdict};
use crate::api::device_twin::TwinAt;
use crate::api::{DeviceTwin, DeviceTwinStatus, requested};
use crate::hub::{Caller, Kind};
use crate::twin::plan::DriftPolicy;
use crate::twin::rules::Arrays;
use crate::twin::view::Twin;

/// What the object is to come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    /// The hub holds its leaves.
    Sync,
    /// The hub holds none of them: it is being deleted.
    RemoveKeys,
}

/// Whether what is known will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Freshness {
    /// The twin as last read, by the feed or by a call of ours.
    Known,
    /// Read this twin now.
    Read,
}

/// Everything that the decision needs.
pub(super) struct Inputs {
    pub(super) goal: Goal,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) created: Timestamp,
    pub(super) generation: i64,
    /// The status before, but for the reported properties.
    pub(super) before: DeviceTwinStatus,
    /// The digest of the reported properties that it showed; `None` when it showed none.
    pub(super) reported: Option<u64>,
    pub(super) resource_version: String,
    /// What is remembered of this object.
    pub(super) remembered: Remembered,
    /// The value of the annotation that asks for a reconcile.
    pub(super) requested: Option<String>,
    /// Whether it asks for one that was not made yet.
    pub(super) asked: bool,
    /// `None` when the spec is invalid: then `found` says how.
    pub(super) wanted: Option<Wanted>,
    pub(super) hub: Option<Arc<Hub>>,
    /// What the connection allows beside reading and writing the twin.
    pub(super) rights: Rights,
    pub(super) at: TwinAt,
    /// The other objects that are about the same twin.
    pub(super) peers: Vec<Peer>,
    pub(super) status_interval: Duration,
    pub(super) found: Found,
    pub(super) pace: Pace,
    pub(super) now: Timestamp,
}

/// What was found at the hub, or why nobody looked.
#[derive(Clone, Debug)]
pub(super) enum Found {
    /// `suspend: true`.
    Suspended,
    /// The spec breaks rules: one line each.
    Invalid(Vec<String>),
    /// The connection does not work.
    Unusable(Verdict),
    /// The twin could not be read this time.
    Failed(Verdict),
    /// The hub knows no such device or module.
    Gone(Missing),
    /// The twin, as a query showed it.
    Row(Arc<Twin>),
    /// The twin, as it was read.
    Read(Arc<Twin>),
}

impl Inputs {
    /// What decides the class of a call.
    pub(super) fn standing(&self) -> Standing {
        Standing { goal: self.goal, generation: self.generation, observed: self.before.observed_generation }
    }

    /// `mode: Observe`: nothing is ever written.
    pub(super) fn observes(&self) -> bool {
        self.wanted.as_ref().is_some_and(|wanted| wanted.observe)
    }
}

impl Found {
    pub(super) fn twin(&self) -> Option<&Arc<Twin>> {
        match self {
            Self::Row(twin) | Self::Read(twin) => Some(twin),
            Self::Suspended | Self::Invalid(_) | Self::Unusable(_) | Self::Failed(_) | Self::Gone(_) => None,
        }
    }
}

pub(super) async fn gather(twin: &DeviceTwin, context: &Context, goal: Goal, freshness: Freshness) -> Inputs {
    let now = context.settings.clock.now();
    let Newest { status: before, resource_version, reported } = context.twins.newest(twin);
    let mut before =
        before.unwrap_or_else(|| DeviceTwinStatus { observed_generation: -1, ..DeviceTwinStatus::default() });
    let remembered = context.memory.recall(&twin.uid().unwrap_or_default());
    if let Some(unsaved) = &remembered.unsaved {
        before.hub.clone_from(&unsaved.hub);
        before.applied.clone_from(&unsaved.applied);
    }
    let requested = requested(twin);
    let asked = requested.is_some() && requested != before.last_handled_reconcile_at;
    let freshness = if asked { Freshness::Read } else { freshness };
    let key = HubKey::of_twin(twin);
    let entry = match goal {
        Goal::Sync => context.hubs.get(&key),
        Goal::RemoveKeys => context.hubs.for_deletion(&key, context.settings.pace.credential_kept, now),
    };
    let hub = match &entry {
        Some(Entry::Usable(hub)) => Some(hub.clone()),
        Some(Entry::Broken(_)) | None => None,
    };
    let namespace = twin.namespace().unwrap_or_default();
    let rights = context.rights(&key, hub.as_deref(), peers::user(twin, &namespace));
    // Who may not use a connection is told nothing else of it.
    let entry = entry.map(|entry| rights.as_ref().err().cloned().map_or(entry, Entry::Broken));
    let (arrays, drift) =
        hub.as_ref().map_or((Arrays::Allowed, DriftPolicy::Correct), |hub| (hub.settings.arrays, hub.settings.drift));
    let checked = match (goal, peers::id(twin)) {
        // What is wrong with the rest of the spec is no reason to keep an object that is to go.
        (Goal::RemoveKeys, Some(id)) => Ok(Wanted::nothing(id)),
        (Goal::RemoveKeys, None) | (Goal::Sync, _) => validate(twin, arrays, drift),
    };
    let found = match (&checked, &entry) {
        _ if twin.spec.suspend && goal == Goal::Sync => Found::Suspended,
        (Err(wrong), _) => Found::Invalid(wrong.clone()),
        (Ok(_), None) => Found::Unusable(unresolved(twin, context, &key, now)),
        (Ok(_), Some(Entry::Broken(verdict))) => Found::Unusable(verdict.clone()),
        (Ok(wanted), Some(Entry::Usable(hub))) => {
            let generation = twin.metadata.generation.unwrap_or_default();
            let standing = Standing { goal, generation, observed: before.observed_generation };
            let caller = hub.caller(class::of_read(standing, freshness), &namespace);
            look(context, hub, &caller, wanted, freshness, asked || goal == Goal::RemoveKeys).await
        }
    };
    // Without a hub at hand it is the one that status is about: a ledger does not go out of date by that.
    let host = hub.as_ref().map(|hub| hub.host.clone()).or_else(|| Some(before.hub.as_ref()?.host.clone()));
    let at = TwinAt {
        host: host.unwrap_or_default(),
        device_id: twin.spec.device_id.clone().unwrap_or_else(|| twin.name_any()),
        module_id: twin.spec.module_id.clone(),
    };
    Inputs {
        goal,
        namespace: twin.namespace().unwrap_or_default(),
        name: twin.name_any(),
        created: twin.metadata.creation_timestamp.as_ref().map(|time| time.0).unwrap_or_default(),
        generation: twin.metadata.generation.unwrap_or_default(),
        before,
        reported,
        resource_version,
        remembered,
        requested,
        asked,
        // Last, so that what they hold is known as late as possible.
        peers: peers::gather(context, twin, &at),
        at,
        status_interval: hub.as_ref().map_or(Duration::ZERO, |hub| hub.settings.status_interval),
        wanted: checked.ok(),
        rights: rights.unwrap_or_default(),
        hub,
        found,
        pace: context.settings.pace,
        now,
    }
}

/// A connection that comes in the same breath as its twin is not missed at once.
fn unresolved(twin: &DeviceTwin, context: &Context, key: &HubKey, now: Timestamp) -> Verdict {
    let verdict = context.unresolved(key);
    let created = twin.metadata.creation_timestamp.as_ref().map(|time| time.0).unwrap_or_default();
    let young = created.checked_add(context.settings.pace.grace).is_ok_and(|end| now < end);
    if young { Verdict { reason: Reason::Pending, ..verdict } } else { verdict }
}

/// The twin as the feed or a call shows it; a GET for a twin that is not in hand, or when a fresh read is asked for.
async fn look(
    context: &Context,
    hub: &Arc<Hub>,
    caller: &Caller<'_>,
    wanted: &Wanted,
    freshness: Freshness,
    asked: bool,
) -> Found {
    match hub.health() {
        Health::Unknown => {
            return Found::Unusable(Verdict::new(Status::False, Reason::Pending, "waiting for the hub's first answer"));
        }
        // Who asks for a look now gets one, and may be the first to see that the hub answers again.
        Health::Down(verdict) if !asked => return Found::Unusable(verdict),
        Health::Down(_) | Health::Up => {}
    }
    if freshness == Freshness::Known
        && let Some(View { origin, whole: Some(twin), .. }) = hub.views.look(&wanted.id)
    {
        return match origin {
            Origin::Row | Origin::Status => Found::Row(twin),
            Origin::Read => Found::Read(twin),
        };
    }
    let began = hub.views.begin();
    let answer = caller.get_twin(&wanted.id).await;
    context.note_one(hub, &answer);
    match answer {
        Ok(twin) => Found::Read(hub.views.answer(wanted.id.clone(), twin, began)),
        Err(error) => {
            let missing = match error.kind() {
                Kind::DeviceNotFound => Missing::Device,
                Kind::ModuleNotFound => Missing::Module,
                _ => {
                    let reason = connection_trouble(&error).unwrap_or(Reason::HubUnreachable);
                    return Found::Failed(Verdict::new(Status::False, reason, told(&error)));
                }
            };
            hub.views.forget(&wanted.id);
            Found::Gone(missing)
        }
    }
}
