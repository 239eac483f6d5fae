//! Everything that the decision needs, read here, once.

use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt as _;

use super::super::Context;
use super::super::hubs::{Entry, Health, Hub, HubKey, Origin, connection_trouble, told};
use super::validate::{Wanted, validate};
use crate::api::conditions::{Reason, Status, Verdict};
use crate::api::device_twin::TwinAt;
use crate::api::{DeviceTwin, DeviceTwinStatus, requested};
use crate::hub::Kind;
use crate::twin::plan::DriftPolicy;
use crate::twin::rules::Arrays;
use crate::twin::view::Twin;

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
    pub(super) generation: i64,
    pub(super) before: DeviceTwinStatus,
    pub(super) resource_version: String,
    /// Whether `before` holds a ledger that was not written to the object yet.
    pub(super) unsaved: bool,
    /// The value of the annotation that asks for a reconcile.
    pub(super) requested: Option<String>,
    /// `None` when the spec is invalid: then `found` says how.
    pub(super) wanted: Option<Wanted>,
    pub(super) hub: Option<Arc<Hub>>,
    pub(super) at: TwinAt,
    pub(super) status_interval: Duration,
    pub(super) found: Found,
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
    Gone,
    /// The twin, as a query showed it.
    Row(Arc<Twin>),
    /// The twin, as it was read.
    Read(Arc<Twin>),
}

impl Found {
    pub(super) fn twin(&self) -> Option<&Arc<Twin>> {
        match self {
            Self::Row(twin) | Self::Read(twin) => Some(twin),
            Self::Suspended | Self::Invalid(_) | Self::Unusable(_) | Self::Failed(_) | Self::Gone => None,
        }
    }
}

pub(super) async fn gather(twin: &DeviceTwin, context: &Context, freshness: Freshness) -> Inputs {
    let (before, resource_version) = context.written_twins.newest(twin, twin.status.as_ref());
    let mut before =
        before.unwrap_or_else(|| DeviceTwinStatus { observed_generation: -1, ..DeviceTwinStatus::default() });
    let unsaved = context.unsaved.get(twin);
    if let Some(status) = &unsaved {
        before.hub.clone_from(&status.hub);
        before.applied.clone_from(&status.applied);
    }
    let requested = requested(twin);
    let handled = requested.is_none() || requested == before.last_handled_reconcile_at;
    let freshness = if handled { freshness } else { Freshness::Read };
    let key = HubKey::of_twin(twin);
    let entry = context.hubs.get(&key);
    let hub = match &entry {
        Some(Entry::Usable(hub)) => Some(hub.clone()),
        Some(Entry::Broken(_)) | None => None,
    };
    let (arrays, drift) =
        hub.as_ref().map_or((Arrays::Allowed, DriftPolicy::Correct), |hub| (hub.settings.arrays, hub.settings.drift));
    let checked = validate(twin, arrays, drift);
    let found = match (&checked, &entry) {
        _ if twin.spec.suspend => Found::Suspended,
        (Err(wrong), _) => Found::Invalid(wrong.clone()),
        (Ok(_), None) => Found::Unusable(context.unresolved(&key)),
        (Ok(_), Some(Entry::Broken(verdict))) => Found::Unusable(verdict.clone()),
        (Ok(wanted), Some(Entry::Usable(hub))) => look(context, hub, wanted, freshness).await,
    };
    // Without a hub at hand it is the one that status is about: a ledger does not go out of date by that.
    let host = hub.as_ref().map(|hub| hub.host.clone()).or_else(|| Some(before.hub.as_ref()?.host.clone()));
    Inputs {
        generation: twin.metadata.generation.unwrap_or_default(),
        before,
        resource_version,
        unsaved: unsaved.is_some(),
        requested,
        at: TwinAt {
            host: host.unwrap_or_default(),
            device_id: twin.spec.device_id.clone().unwrap_or_else(|| twin.name_any()),
            module_id: twin.spec.module_id.clone(),
        },
        status_interval: hub.as_ref().map_or(Duration::ZERO, |hub| hub.settings.status_interval),
        wanted: checked.ok(),
        hub,
        found,
    }
}

/// The twin as the feed shows it; a GET for a twin never seen, or when a fresh read is asked for.
async fn look(context: &Context, hub: &Arc<Hub>, wanted: &Wanted, freshness: Freshness) -> Found {
    match hub.health() {
        Health::Unknown => {
            return Found::Unusable(Verdict::new(Status::False, Reason::Pending, "waiting for the hub's first answer"));
        }
        Health::Down(verdict) => return Found::Unusable(verdict),
        Health::Up => {}
    }
    if freshness == Freshness::Known
        && let Some(view) = hub.views.get(&wanted.id)
    {
        return match view.origin {
            Origin::Row => Found::Row(view.twin),
            Origin::Read => Found::Read(view.twin),
        };
    }
    let answer = hub.client.get_twin(&wanted.id).await;
    context.note_one(hub, &answer);
    match answer {
        Ok(twin) => Found::Read(hub.views.put(wanted.id.clone(), twin, Origin::Read)),
        Err(error) if matches!(error.kind(), Kind::DeviceNotFound | Kind::ModuleNotFound) => {
            hub.views.forget(&wanted.id);
            Found::Gone
        }
        Err(error) => {
            let reason = connection_trouble(&error).unwrap_or(Reason::HubUnreachable);
            Found::Failed(Verdict::new(Status::False, reason, told(&error)))
        }
    }
}
