//! Get, compare, patch, tell.

use std::sync::Arc;

use hubtwin::api::{DeviceTwin, JsonObject};
use hubtwin::hub::{IfMatch, TwinId, TwinPatch};
use hubtwin::twin::document::Object;
use kube::ResourceExt as _;
use kube::runtime::controller::Action;
use serde_json::{Value, json};

use super::{Context, Error, patch_status};

pub(super) async fn reconcile(object: Arc<DeviceTwin>, context: Arc<Context>) -> Result<Action, Error> {
    let id = TwinId::parse(&object.spec.device_id.clone().unwrap_or_else(|| object.name_any()), None)?;
    context.reads.take().await;
    let mut twin = context.hub.get_twin(&id).await?;
    let wanted = |part: Option<&JsonObject>| part.map(|part| part.0.clone()).unwrap_or_default();
    let (tags, desired) = (
        wanted(object.spec.tags.as_ref()),
        wanted(object.spec.properties.as_ref().and_then(|properties| properties.desired.as_ref())),
    );
    let patch = TwinPatch { tags: difference(&tags, &twin.tags), desired: difference(&desired, &twin.desired) };
    if patch != TwinPatch::default() {
        context.writes.take().await;
        let etag = twin.etag.clone();
        twin = context.hub.patch_twin(&id, &patch, IfMatch::Etag(&etag)).await?;
    }
    let status = json!({
        "hub": {"host": context.hub.host().to_string(), "deviceId": id.device_id.as_str()},
        "twin": {
            "etag": twin.etag.as_str(), "version": twin.version,
            "desiredVersion": twin.desired_version, "reportedVersion": twin.reported_version,
        },
        "properties": {"reported": twin.reported},
    });
    patch_status(&context, &*object, status).await?;
    Ok(Action::requeue(context.interval))
}

/// What of `wanted` is not so in `found`, as a merge patch; nothing when all is.
fn difference(wanted: &Object, found: &Object) -> Option<Object> {
    let mut patch = Object::new();
    for (key, value) in wanted {
        let part = match (value, found.get(key)) {
            (Value::Object(inner), Some(Value::Object(other))) if !inner.is_empty() => {
                difference(inner, other).map(Value::Object)
            }
            (_, other) => (Some(value) != other).then(|| value.clone()),
        };
        if let Some(part) = part {
            patch.insert(key.clone(), part);
        }
    }
    (!patch.is_empty()).then_some(patch)
}
