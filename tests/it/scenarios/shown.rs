//! What a result shows, and the one place where that which differs from run to run is left out.

use serde_json::{Map, Value, json};

use crate::support::{Stage, TWIN};

/// Members of status that move by themselves, or follow from what is shown.
const LEFT_OUT: [&str; 8] = [
    "observedGeneration",
    "lastHandledReconcileAt",
    "lastWriteTime",
    "reportedTime",
    "connection",
    "hub",
    "conditions",
    "properties",
];

/// The status of an object as a result shows it: conditions a line each, pointers as plain lists, no times, no etags.
pub fn status(object: &Value) -> Value {
    let status = object["status"].as_object().cloned().unwrap_or_default();
    let mut shown = Map::new();
    for condition in status.get("conditions").and_then(Value::as_array).into_iter().flatten() {
        let text = |key: &str| condition[key].as_str().unwrap_or_default();
        let line = format!("{} {}: {}", text("status"), text("reason"), text("message"));
        shown.insert(text("type").to_owned(), json!(line));
    }
    for (key, value) in &status {
        let value = match (key.as_str(), value) {
            (key, _) if LEFT_OUT.contains(&key) => continue,
            ("twin", Value::Object(twin)) => {
                let version = |key: &str| twin.get(key).cloned().unwrap_or_default();
                json!(format!("desired {}, reported {}", version("desiredVersion"), version("reportedVersion")))
            }
            ("plan" | "drift" | "pending", pointers) => pointers["paths"].clone(),
            (_, value) => value.clone(),
        };
        shown.insert(if key == "twin" { "versions".to_owned() } else { key.clone() }, value);
    }
    let reported = status.get("properties").map(|properties| properties["reported"].clone());
    shown.extend(reported.filter(|reported| *reported != json!({})).map(|reported| ("reported".to_owned(), reported)));
    Value::Object(shown)
}

/// Names of this run by names of every run.
pub fn settled(stage: &Stage, value: &Value) -> Value {
    let text = value.to_string().replace(&stage.host(), "HUB").replace(&stage.namespace, "NAMESPACE");
    serde_json::from_str(&text).expect("names hold nothing that JSON escapes")
}

/// The Events about the DeviceTwins of a stage, each once, in the order of their reasons.
pub async fn events(stage: &Stage, names: &[String]) -> Vec<String> {
    let mut lines = Vec::new();
    for name in names {
        let told = stage.events_about(name).await;
        lines.extend(told.into_iter().map(|(reason, text)| format!("{name} {reason}: {text}")));
    }
    lines.sort();
    lines.dedup();
    lines
}

/// All DeviceTwins of the stage, by name.
pub async fn objects(stage: &Stage) -> Vec<Value> {
    stage.list(TWIN).await
}
