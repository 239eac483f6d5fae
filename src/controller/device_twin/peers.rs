//! Which DeviceTwins are about the same twin, and what each of the others claims there.

use kube::ResourceExt as _;

use super::super::Context;
use super::super::hubs::HubKey;
use super::super::namespaces::User;
use super::peer::Peer;
use super::plan::ledger;
use super::validate::validate;
use crate::api::cluster_hub_connection::AccessKind;
use crate::api::device_twin::{Mode, TwinAt};
use crate::api::{DeviceTwin, DeviceTwinStatus};
use crate::hub::Host;
use crate::twin::id::TwinId;
use crate::twin::plan::DriftPolicy;
use crate::twin::rules::Arrays;

/// The ids that an object names; `None` when they are none.
pub(in crate::controller) fn id(twin: &DeviceTwin) -> Option<TwinId> {
    let device = twin.spec.device_id.as_deref().or(twin.metadata.name.as_deref())?;
    TwinId::parse(device, twin.spec.module_id.as_deref()).ok()
}

/// The live objects that take part in deciding whose leaf is whose: valid, allowed, in mode Manage, not being deleted. A
/// suspended one keeps what it holds and asks for no more.
pub(super) fn gather(context: &Context, twin: &DeviceTwin, at: &TwinAt) -> Vec<Peer> {
    let others = context.twins.others(twin);
    others.iter().filter_map(|other| context.twins.get(other)).filter_map(|other| peer(context, &other, at)).collect()
}

fn peer(context: &Context, twin: &DeviceTwin, at: &TwinAt) -> Option<Peer> {
    if twin.spec.mode != Mode::Manage || twin.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let status = known_status(context, twin);
    let holds = ledger(&status, at);
    let wants = match connection(context, twin) {
        Connection::Refused => return None,
        Connection::Gone => holds.clone()?,
        Connection::To { host, .. } if host != at.host => return None,
        Connection::To { .. } if twin.spec.suspend => holds.clone()?,
        Connection::To { arrays, .. } => validate(twin, arrays, DriftPolicy::Correct).ok()?.ours,
    };
    let created = twin.metadata.creation_timestamp.as_ref().map(|time| time.0).unwrap_or_default();
    Some(Peer { namespace: twin.namespace().unwrap_or_default(), name: twin.name_any(), created, wants, holds })
}

/// The newest status that we know of, with a ledger that may not be written yet.
fn known_status(context: &Context, twin: &DeviceTwin) -> DeviceTwinStatus {
    let mut status = context.twins.newest(twin).status.unwrap_or_default();
    if let Some(unsaved) = context.memory.recall(&twin.uid().unwrap_or_default()).unsaved {
        status.hub = unsaved.hub;
        status.applied = unsaved.applied;
    }
    status
}

/// A DeviceTwin as the user of a connection.
pub(super) fn user<'a>(twin: &'a DeviceTwin, namespace: &'a str) -> User<'a> {
    let device = twin.spec.device_id.as_deref().or(twin.metadata.name.as_deref());
    User { kind: AccessKind::DeviceTwin, namespace, device: Some(device.unwrap_or_default()) }
}

/// Where an object's connection leads.
enum Connection {
    /// There is no such connection object: who names it cannot write, and keeps what it holds.
    Gone,
    /// The operator does not allow its host, or it is not open to the object.
    Refused,
    To {
        host: String,
        arrays: Arrays,
    },
}

fn connection(context: &Context, twin: &DeviceTwin) -> Connection {
    let key = HubKey::of_twin(twin);
    let Some(connection) = context.connection(&key) else {
        return Connection::Gone;
    };
    let namespace = twin.namespace().unwrap_or_default();
    if context.rights(&key, None, user(twin, &namespace)).is_err() {
        return Connection::Refused;
    }
    let Ok(host) = connection.host().parse::<Host>() else { return Connection::Refused };
    let arrays = if connection.usage().allow_arrays { Arrays::Allowed } else { Arrays::Refused };
    match context.settings.allowed_hosts.allow(&host) {
        true => Connection::To { host: host.to_string(), arrays },
        false => Connection::Refused,
    }
}
