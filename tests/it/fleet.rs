//! Many objects at once: what a fleet costs, counted at the hub and at the API server, and who goes first.

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt as _};
use http::Method;
use hubtwin::local_hub::knobs::{Knobs, Limits};
use hubtwin::local_hub::throttle::Tier;
use serde_json::{Value, json};

use super::support::{Manifest, Stage, TWIN, eventually, is_true, twin};

const FLEET: usize = 300;
const SYNCED: &str = "Ready=True Synced";
/// Calls of a test at once.
const AT_ONCE: usize = 16;

fn name(number: usize) -> String {
    format!("d{number:03}")
}

fn good(number: usize) -> Manifest {
    twin(&name(number)).tags(json!({"line": number})).desired(json!({"rate": 1.5}))
}

async fn register(stage: &Stage, numbers: std::ops::Range<usize>) {
    stream::iter(numbers).for_each_concurrent(AT_ONCE, async |number| stage.register(&name(number)).await).await;
}

async fn apply(stage: &Stage, manifests: impl Iterator<Item = Manifest>) {
    stream::iter(manifests).for_each_concurrent(AT_ONCE, async |manifest| stage.apply(&manifest).await).await;
}

/// How many DeviceTwins show each reason of Ready.
async fn reasons(stage: &Stage) -> BTreeMap<String, usize> {
    let mut reasons = BTreeMap::new();
    for object in stage.list(TWIN).await {
        let conditions = object["status"]["conditions"].as_array();
        let ready = conditions.into_iter().flatten().find(|condition| condition["type"] == "Ready");
        let reason = ready.map_or("", |ready| ready["reason"].as_str().unwrap_or_default());
        *reasons.entry(reason.to_owned()).or_default() += 1;
    }
    reasons
}

async fn sees_reasons(stage: &Stage, expected: &[(&str, usize)]) {
    let expected: BTreeMap<String, usize> = expected.iter().map(|(reason, n)| ((*reason).to_owned(), *n)).collect();
    eventually(&format!("{expected:?}"), || async {
        let seen = reasons(stage).await;
        is_true(seen == expected, seen)
    })
    .await;
}

/// Calls of the operator to the API server about DeviceTwins that are no lists and no watches, by object.
fn status_writes(stage: &Stage) -> BTreeMap<String, usize> {
    let mut writes = BTreeMap::new();
    for path in stage.api.called(Method::PATCH) {
        if let Some((_, object)) = path.split_once("/devicetwins/") {
            *writes.entry(object.to_owned()).or_default() += 1;
        }
    }
    writes
}

/// How often the operator called the hub about each twin.
async fn by_twin(stage: &Stage, operation: &str) -> BTreeMap<String, usize> {
    let mut by_twin = BTreeMap::new();
    for call in stage.calls(0).await.into_iter().filter(|call| call.operation == operation) {
        *by_twin.entry(call.subject).or_default() += 1;
    }
    by_twin
}

/// One write at the hub and one status an object, at most one read; and after a restart nothing at all.
#[tokio::test]
async fn a_fleet_costs_one_write_and_one_status_each_and_a_restart_nothing() {
    let stage = Stage::new().await;
    register(&stage, 0..FLEET).await;
    apply(&stage, (0..FLEET).map(good)).await;
    sees_reasons(&stage, &[("Synced", FLEET)]).await;
    let (patches, gets) = (by_twin(&stage, "twin.patch").await, by_twin(&stage, "twin.get").await);
    let writes = status_writes(&stage);
    let expected = |names: BTreeMap<String, usize>| (names.len(), names.into_values().max().unwrap_or(0));
    assert_eq!(expected(patches), (FLEET, 1), "one write a twin");
    assert!(expected(gets.clone()).1 <= 1, "at most one read a twin: {gets:?}");
    assert!(writes.keys().all(|path| path.ends_with("/status")), "{writes:?}");
    assert_eq!(expected(writes), (FLEET, 1), "one status an object");

    let stage = stage.stop().await;
    let (before, since) = (stage.list(TWIN).await, stage.last_call().await);
    let called = |stage: &Stage| {
        let about = |path: &String| path.contains("/devicetwins/");
        [Method::GET, Method::PATCH, Method::PUT]
            .map(|method| stage.api.called(method).iter().filter(|path| about(path)).count())
    };
    let calls_before = called(&stage);
    let stage = stage.start().await;
    let queries = async || stage.calls(since).await.iter().filter(|call| call.operation == "query").count();
    eventually("three polls", || async {
        let seen = queries().await;
        is_true(seen >= 3, seen)
    })
    .await;
    let calls = stage.calls(since).await;
    assert!(calls.iter().all(|call| call.operation == "query"), "no point reads and no writes: {calls:?}");
    assert_eq!(called(&stage), calls_before, "no reads and no writes of single objects at the API server");
    assert_eq!(stage.list(TWIN).await, before);
    stage.end().await;
}

/// A fleet that waits for its first operator: nobody tells it, on the way, that its connection was not looked at yet.
#[tokio::test]
async fn a_fleet_that_was_there_first_costs_one_status_each() {
    let stage = Stage::with(|connection| connection.set("spec.tier", json!("S1"))).await.stop().await;
    register(&stage, 0..FLEET).await;
    apply(&stage, (0..FLEET).map(good)).await;
    let stage = stage.start().await;
    sees_reasons(&stage, &[("Synced", FLEET)]).await;
    let since = stage.last_call().await;
    eventually("two more polls", || async {
        let queries = stage.calls(since).await.iter().filter(|call| call.operation == "query").count();
        is_true(queries >= 2, queries)
    })
    .await;
    let writes: Vec<_> = status_writes(&stage).into_iter().filter(|(_, count)| *count > 1).collect();
    assert!(writes.is_empty(), "{} of {FLEET} were written more than once: {:?}", writes.len(), writes.first());
    assert_eq!(by_twin(&stage, "twin.patch").await.into_values().max(), Some(1));
    stage.end().await;
}

/// The hub takes few writes a second, and a whole fleet waits for its first one. Somebody edits an object meanwhile.
#[tokio::test]
async fn an_edit_does_not_wait_for_the_first_sync_of_a_fleet() {
    let stage = Stage::with(|connection| connection.set("spec.tier", json!("S1")).set("spec.units", json!(1))).await;
    stage.register("pump").await;
    stage.apply(&twin("pump").tags(json!({"a": 1}))).await;
    stage.sees(TWIN, "pump", SYNCED).await;
    register(&stage, 0..FLEET).await;
    let limits = Limits { burst_ms: 0, queue_ms: 10_000, ..Limits::of(Tier::S1) };
    stage.hub.set_knobs(Knobs { limits: Some(limits), ..Knobs::default() });
    apply(&stage, (0..FLEET).map(good)).await;
    eventually("the first sync is under way", || async {
        let done = by_twin(&stage, "twin.patch").await.len();
        is_true(done >= 20, done)
    })
    .await;
    let since = stage.last_call().await;
    stage.apply(&twin("pump").tags(json!({"a": 2}))).await;
    stage.sees(TWIN, "pump", SYNCED).await;
    let calls = stage.calls(since).await;
    let own = calls.iter().position(|call| call.operation == "twin.patch" && call.subject == "pump");
    let own = own.expect("the hub was written to");
    let others = calls[..own].iter().filter(|call| call.operation == "twin.patch").count();
    // Those that were under way, or came in the moment until the watch showed the edit.
    assert!(others <= 48, "{others} first writes went before the edit");
    let left = FLEET - by_twin(&stage, "twin.patch").await.len();
    assert!(left > FLEET / 3, "the fleet still waits: {left}");
    stage.hub.set_knobs(Knobs::default());
    stage.end().await;
}

/// What is wrong costs nobody else anything, and the hub nothing.
#[tokio::test]
async fn invalid_objects_say_why_and_hold_up_nobody() {
    const BAD: usize = 100;
    let stage = Stage::new().await;
    register(&stage, 0..FLEET).await;
    let bad = |number: usize| twin(&format!("bad-{number}")).tags(json!({"list": [number]}));
    let mixed = (0..FLEET).flat_map(|number| [Some(good(number)), (number < BAD).then(|| bad(number))]);
    apply(&stage, mixed.flatten()).await;
    sees_reasons(&stage, &[("InvalidTwin", BAD), ("Synced", FLEET)]).await;
    for object in stage.list(TWIN).await {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        if name.starts_with("bad-") {
            let message = Stage::message(&object["status"], "Ready");
            assert!(message.contains("/list"), "{name}: {message}");
        }
    }
    let calls = stage.calls(0).await;
    let about_bad: Vec<_> = calls.iter().filter(|call| call.subject.starts_with("bad-")).collect();
    assert!(about_bad.is_empty(), "{about_bad:?}");
    assert_eq!(by_twin(&stage, "twin.patch").await.values().sum::<usize>(), FLEET);
    let writes: Vec<Value> =
        status_writes(&stage).into_iter().filter(|(_, n)| *n > 1).map(|(path, n)| json!([path, n])).collect();
    assert!(writes.is_empty(), "one status each: {writes:?}");
    stage.end().await;
}
