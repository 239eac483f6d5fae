//! How the API server calls our kinds, and the objects of a stage.

use hubtwin::api::{DeviceTwin, HubConnection, TwinQuery};
use kube::core::ApiResource;
use serde_json::{Value, json};

use crate::back_end::name;

/// The connection, and its Secret.
pub const HUB: &str = "hub";

pub fn device_twin() -> ApiResource {
    ApiResource::erase::<DeviceTwin>(&())
}

pub fn hub_connection() -> ApiResource {
    ApiResource::erase::<HubConnection>(&())
}

pub fn twin_query() -> ApiResource {
    ApiResource::erase::<TwinQuery>(&())
}

/// A DeviceTwin as a plant has them; `edit` is a number in it that can be changed.
pub fn twin(number: usize, edit: u64) -> Value {
    json!({
        "apiVersion": "hubtwin.dev/v1alpha1", "kind": "DeviceTwin", "metadata": {"name": name(number)},
        "spec": {
            "hubRef": {"name": HUB},
            "tags": {"site": format!("site-{:02}", number % 20), "line": number / 20 % 8, "kind": "pump", "critical": false},
            "properties": {"desired": {
                "firmware": {"version": "3.4.1", "source": "https://updates.example/pump/image.bin"},
                "sampling": {"intervalSeconds": 10, "channels": {"pressure": true, "flow": true}},
                "edit": edit,
            }},
        },
    })
}

/// A connection that may take all that the hub has.
pub fn connection(host: &str, tier: &str) -> Value {
    let all = json!({"percent": 100, "burstPercent": 100, "dailyPercent": 100});
    json!({
        "apiVersion": "hubtwin.dev/v1alpha1", "kind": "HubConnection", "metadata": {"name": HUB},
        "spec": {
            "host": host, "tier": tier, "budget": all,
            "auth": {"connectionString": {"secretKeyRef": {"name": HUB, "key": "connectionString"}}},
            "caBundle": {"secretKeyRef": {"name": HUB, "key": "ca.crt"}},
        },
    })
}

pub fn secret(connection_string: &str, ca_pem: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": HUB},
        "stringData": {"connectionString": connection_string, "ca.crt": ca_pem},
    })
}

/// One of `texts` different queries, none of which finds more than a page.
pub fn query(number: usize, texts: usize) -> Value {
    let text = format!("SELECT * FROM devices WHERE tags.site = 'site-{:02}' AND tags.line = 3", number % texts);
    json!({
        "apiVersion": "hubtwin.dev/v1alpha1", "kind": "TwinQuery", "metadata": {"name": format!("query-{number:03}")},
        "spec": {"hubRef": {"name": HUB}, "query": text, "interval": "10s"},
    })
}
