//! Objects as small as they can be, in the words of the manifests.

use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

pub const TWIN: &str = "DeviceTwin";
pub const QUERY: &str = "TwinQuery";
pub const CONNECTION: &str = "HubConnection";
pub const CLUSTER_CONNECTION: &str = "ClusterHubConnection";
pub const SECRET: &str = "Secret";
pub const CONFIG_MAP: &str = "ConfigMap";

/// The connection, and its Secret, that objects use unless a test says otherwise.
const HUB: &str = "plant-hub";

/// A manifest as a user writes it.
#[derive(Clone, Debug)]
pub struct Manifest(pub Value);

/// A DeviceTwin of the device of the same name, with no tags and no properties yet.
pub fn twin(name: &str) -> Manifest {
    hubtwin(TWIN, name).set("spec.hubRef.name", json!(HUB))
}

/// A TwinQuery with the shortest interval.
pub fn query(name: &str, text: &str) -> Manifest {
    let query = hubtwin(QUERY, name).set("spec.hubRef.name", json!(HUB));
    query.set("spec.query", json!(text)).set("spec.interval", json!("10s"))
}

/// A HubConnection with the shortest intervals, but for the sweep: a test that waits for it shortens it. The tier is the
/// largest: the hubs of tests have no limits unless a test sets them.
pub fn connection(host: &str) -> Manifest {
    hubtwin(CONNECTION, HUB)
        .set("spec.host", json!(host))
        .set("spec.tier", json!("S3"))
        .set("spec.units", json!(10))
        .set("spec.auth.connectionString.secretKeyRef", json!({"name": HUB, "key": "connectionString"}))
        .set("spec.caBundle.secretKeyRef", json!({"name": HUB, "key": "ca.crt"}))
        .set("spec.pollInterval", json!("5s"))
        .set("spec.statusInterval", json!("1s"))
}

/// A ClusterHubConnection that is open to nobody, with the Secret of a namespace.
pub fn cluster_connection(name: &str, host: &str, namespace: &str) -> Manifest {
    let place = |key: &str| json!({"namespace": namespace, "name": HUB, "key": key});
    let Manifest(mut object) = connection(host)
        .set("spec.auth.connectionString.secretKeyRef", place("connectionString"))
        .set("spec.caBundle.secretKeyRef", place("ca.crt"));
    object["kind"] = json!(CLUSTER_CONNECTION);
    object["metadata"]["name"] = json!(name);
    Manifest(object)
}

/// The Secret that the connection names.
pub fn secret(connection_string: &str, ca_pem: &str) -> Manifest {
    let data = json!({"connectionString": connection_string, "ca.crt": ca_pem});
    Manifest(json!({"apiVersion": "v1", "kind": SECRET, "metadata": {"name": HUB}, "stringData": data}))
}

fn hubtwin(kind: &str, name: &str) -> Manifest {
    Manifest(json!({"apiVersion": "hubtwin.dev/v1alpha1", "kind": kind, "metadata": {"name": name}}))
}

/// How the API server calls a kind.
pub fn resource(kind: &str) -> ApiResource {
    let (group, version) = if [SECRET, CONFIG_MAP].contains(&kind) { ("", "v1") } else { ("hubtwin.dev", "v1alpha1") };
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
}

impl Manifest {
    /// Sets what lies at a path of keys, separated by dots.
    pub fn set(mut self, path: &str, value: Value) -> Self {
        let mut at = &mut self.0;
        for key in path.split('.') {
            at = &mut at[key];
        }
        *at = value;
        self
    }

    pub fn tags(self, tags: Value) -> Self {
        self.set("spec.tags", tags)
    }

    pub fn desired(self, desired: Value) -> Self {
        self.set("spec.properties.desired", desired)
    }

    pub fn name(&self) -> String {
        self.0["metadata"]["name"].as_str().expect("every manifest has a name").to_owned()
    }

    pub fn resource(&self) -> ApiResource {
        resource(self.0["kind"].as_str().expect("every manifest has a kind"))
    }
}
