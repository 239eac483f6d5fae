//! Objects as an operator leaves them that brought a fleet in sync.

use serde_json::{Value, json};

use crate::back_end::name;
use crate::query::fleet::reported;

pub const NAMESPACE: &str = "plant";
pub const CONNECTION: &str = "plant-hub";
const TIME: &str = "2026-01-02T03:04:05Z";

/// The connection, at the largest hub that there is, all of which may be taken; and polled up to now.
pub fn connection(host: &str) -> Value {
    json!({
        "apiVersion": "hubtwin.dev/v1alpha1",
        "kind": "HubConnection",
        "metadata": {"name": CONNECTION, "namespace": NAMESPACE},
        "spec": {
            "host": host,
            "auth": {"connectionString": {"secretKeyRef": {"name": CONNECTION, "key": "connectionString"}}},
            "caBundle": {"secretKeyRef": {"name": CONNECTION, "key": "ca.crt"}},
            "tier": "S3",
            "units": 10,
            "budget": {"percent": 100, "burstPercent": 100, "dailyPercent": 100},
            "pollInterval": "15s",
            "sweepInterval": "24h",
        },
        "status": {
            "observedGeneration": -1,
            "feed": {"mode": "Delta", "effectiveInterval": "15s", "watermark": jiff::Timestamp::now().to_string()},
        },
    })
}

pub fn secret(connection_string: &str, ca_pem: &[u8]) -> Value {
    use base64::Engine as _;
    let text = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": CONNECTION, "namespace": NAMESPACE},
        "data": {"connectionString": text(connection_string.as_bytes()), "ca.crt": text(ca_pem)},
    })
}

/// A DeviceTwin in sync with a twin, as a query shows it. What the device reports is in the status, though the hub does not
/// have it: the versions are equal, and nobody looks.
pub fn twin(number: usize, host: &str, row: &Value) -> Value {
    let content = |at: &str| row.pointer(at).cloned().unwrap_or_else(|| json!({}));
    let (tags, mut desired) = (content("/tags"), content("/properties/desired"));
    let version = |at: &str| row.pointer(at).cloned().unwrap_or_else(|| json!(1));
    if let Some(desired) = desired.as_object_mut() {
        desired.retain(|key, _| !key.starts_with('$'));
    }
    let condition = |type_: &str, status: &str, reason: &str, message: &str| json!({"type": type_, "status": status, "reason": reason, "message": message, "observedGeneration": 1, "lastTransitionTime": TIME});
    json!({
        "apiVersion": "hubtwin.dev/v1alpha1",
        "kind": "DeviceTwin",
        "metadata": {
            "name": name(number),
            "namespace": NAMESPACE,
            "labels": {"app.kubernetes.io/managed-by": "argocd", "plant": "north"},
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": json!({"spec": {"tags": tags}}).to_string()},
            "managedFields": managed_fields(),
        },
        "spec": {
            "hubRef": {"kind": "HubConnection", "name": CONNECTION},
            "tags": tags,
            "properties": {"desired": desired},
            "mode": "Manage",
            "adoption": "Overwrite",
            "deletionPolicy": "Retain",
            "identity": {"policy": "Require"},
            "convergence": {"timeout": "24h", "gate": "None"},
            "suspend": false,
        },
        "status": {
            "observedGeneration": 1,
            "conditions": [
                condition("Ready", "True", "Synced", "the hub holds what the spec asks"),
                condition("Converged", "Unknown", "WaitingForDevice", "the device has not confirmed all of our desired properties"),
            ],
            "hub": {"host": host, "deviceId": name(number)},
            "twin": {
                "etag": row["etag"],
                "version": row["version"],
                "desiredVersion": version("/properties/desired/$version"),
                "reportedVersion": version("/properties/reported/$version"),
            },
            "properties": {"reported": reported(number)},
            "connection": {"state": "Disconnected", "observedTime": TIME},
            "applied": {"tags": tags, "desired": desired},
            "pending": {"count": 2, "paths": ["/properties/desired/firmware/version", "/properties/desired/logLevel"]},
            "lastWriteTime": TIME,
        },
    })
}

/// As a real API server shows them, after `kubectl apply --server-side` and one status.
fn managed_fields() -> Value {
    let fields = json!({"f:spec": {"f:hubRef": {}, "f:tags": {}, "f:properties": {"f:desired": {}}}});
    let status = json!({"f:status": {
        "f:applied": {"f:desired": {}, "f:tags": {}}, "f:conditions": {"k:{\"type\":\"Ready\"}": {".": {}, "f:status": {}, "f:type": {}, "f:reason": {}}},
        "f:hub": {"f:deviceId": {}, "f:host": {}}, "f:observedGeneration": {}, "f:properties": {"f:reported": {}}, "f:twin": {"f:etag": {}, "f:version": {}}}});
    json!([
        {"manager": "kubectl", "operation": "Apply", "apiVersion": "hubtwin.dev/v1alpha1", "time": TIME, "fieldsType": "FieldsV1", "fieldsV1": fields},
        {"manager": "hubtwin", "operation": "Apply", "apiVersion": "hubtwin.dev/v1alpha1", "time": TIME, "fieldsType": "FieldsV1", "fieldsV1": status, "subresource": "status"},
    ])
}
