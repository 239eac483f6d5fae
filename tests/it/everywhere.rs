//! An operator that watches every namespace.

use serde_json::{Value, json};

use super::support::{Cluster, Manifest, Stage, TWIN, alone, connection, eventually, is_true, twin};

#[test]
fn names_do_not_leave_their_namespace() {
    alone("everywhere::names_do_not_leave_their_namespace", two_namespaces());
}

/// Two namespaces, each with a connection to the same hub, and an object of each for one twin.
async fn two_namespaces() {
    let stage = Stage::new().await.everywhere().await;
    let neighbour = Cluster::new().await;
    neighbour.apply(&stage.secret()).await;
    neighbour.apply(&connection(&stage.host())).await;
    stage.register("pump").await;
    let pump = |name: &str, tags: Value| twin(name).set("spec.deviceId", json!("pump")).tags(tags);
    stage.apply(&pump("tell-nobody", json!({"a": 1}))).await;
    stage.sees(TWIN, "tell-nobody", "Ready=True Synced").await;

    // Disjoint leaves share the twin, across namespaces too.
    neighbour.apply(&pump("guest", json!({"b": 2}))).await;
    ready(&neighbour, "guest", "True", "Synced").await;
    assert_eq!(stage.content("pump").await["tags"], json!({"a": 1, "b": 2}));

    // The same leaf: the holder wins. Neither status nor Event names the other object or its namespace.
    neighbour.apply(&pump("guest", json!({"a": 3, "b": 2, "c": 4}))).await;
    let guest = ready(&neighbour, "guest", "False", "Conflict").await;
    let message = Stage::message(&guest["status"], "Ready");
    assert_eq!(message, "/tags/a: a DeviceTwin of another namespace has it");
    let told = eventually("an Event tells of the conflict", || async {
        let events = neighbour.events_about("guest").await;
        is_true(events.iter().any(|(reason, _)| reason == "Conflict"), &events).map(|()| events.clone())
    })
    .await;
    let shown = format!("{} {told:?}", guest["status"]);
    assert!(!shown.contains("tell-nobody") && !shown.contains(&stage.namespace), "{shown}");
    assert_eq!(stage.content("pump").await["tags"], json!({"a": 1, "b": 2}), "nothing of the loser is written");

    // The holder goes: the neighbour takes over, and nothing else that it did not ask for.
    stage.delete(TWIN, "tell-nobody").await;
    ready(&neighbour, "guest", "True", "Synced").await;
    assert_eq!(stage.content("pump").await["tags"], json!({"a": 3, "b": 2, "c": 4}));

    // A reference leads to a connection of the object's own namespace only.
    let third = Cluster::new().await;
    third.apply(&Manifest(pump("lost", json!({"d": 5})).0)).await;
    ready(&third, "lost", "False", "HubNotFound").await;
    assert_eq!(stage.content("pump").await["tags"], json!({"a": 3, "b": 2, "c": 4}));
    stage.end().await;
}

/// Waits for a Ready at the object's generation, and answers the object.
async fn ready(cluster: &Cluster, name: &str, status: &str, reason: &str) -> Value {
    eventually(&format!("{name} is Ready={status} {reason}"), || async {
        let object = cluster.get(TWIN, name).await;
        let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let found = conditions.iter().any(|found| {
            found["type"] == "Ready"
                && found["status"] == status
                && found["reason"] == reason
                && found["observedGeneration"] == object["metadata"]["generation"]
        });
        is_true(found, &object["status"]).map(|()| object.clone())
    })
    .await
}
