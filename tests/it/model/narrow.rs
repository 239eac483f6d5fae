//! One twin and one thing that goes wrong, so that each is seen by itself: what the random sequences meet now and then.

use std::sync::Arc;
use std::time::Duration;

use kube::api::{Api, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};

use super::super::support::{Manifest, connection, eventually, is_true, twin};
use super::api::Fault;
use super::ground::Ground;
use super::log::Who;
use super::wire::{self, Call};

const SYNCED: &str = "Synced";

async fn apply(ground: &Ground, manifest: &Manifest) {
    ground.cluster.apply(manifest).await;
}

fn tags(value: Value) -> Manifest {
    twin("pump").tags(value)
}

/// The tags at the hub.
async fn at_hub(ground: &Ground) -> Value {
    ground.back_end.twin("pump").await.expect("the device is there")["tags"].clone()
}

async fn holds(ground: &Ground, expected: Value) {
    eventually(&format!("the hub holds {expected}"), || async {
        let tags = at_hub(ground).await;
        is_true(tags == expected, tags)
    })
    .await;
}

/// Waits for a reason of Ready at the object's generation, and answers the status.
async fn sees(ground: &Ground, reason: &str) -> Value {
    eventually(&format!("pump is {reason}"), || async {
        let object = ground.cluster.get("DeviceTwin", "pump").await;
        let status = &object["status"];
        let current = status["observedGeneration"] == object["metadata"]["generation"];
        is_true(current && status["conditions"][0]["reason"] == reason, status).map(|()| status.clone())
    })
    .await
}

/// Asks for a look by the annotation and waits for its answer.
async fn look(ground: &Ground) {
    let api: Api<DynamicObject> =
        Api::namespaced_with(ground.cluster.client.clone(), &ground.cluster.namespace, &ground.api.kind);
    let now = format!("tick {}", ground.log.tick());
    let patch = json!({"metadata": {"annotations": {"hubtwin.dev/reconcile-requested-at": now}}});
    api.patch("pump", &PatchParams::default(), &Patch::Merge(patch)).await.expect("the annotation is written");
    eventually("a look", || async {
        let handled = ground.cluster.get("DeviceTwin", "pump").await["status"]["lastHandledReconcileAt"].clone();
        is_true(handled == now, handled)
    })
    .await;
}

/// A synced twin with `{"keep": 1}`.
async fn synced() -> Arc<Ground> {
    let ground = Ground::new().await;
    ground.back_end.make("pump").await;
    apply(&ground, &tags(json!({"keep": 1}))).await;
    sees(&ground, SYNCED).await;
    holds(&ground, json!({"keep": 1})).await;
    ground
}

async fn died(ground: &Ground) {
    eventually("the operator dies", || async { is_true(ground.log.alive() == 0, ground.log.alive()) }).await;
}

async fn end(ground: &Ground) {
    ground.stop().await;
    let wrong = std::mem::take(&mut ground.log.records().wrong);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The operator dies between its write to the hub and that of the ledger, and the leaf leaves the spec before another
/// operator starts: nobody knows any more whose it is, and it stays. It is the one hole, and documented.
#[tokio::test(flavor = "multi_thread")]
async fn the_documented_hole() {
    let ground = synced().await;
    ground.close();
    ground.api.set("pump", Fault::CrashBefore);
    apply(&ground, &tags(json!({"keep": 1, "lost": 2}))).await;
    died(&ground).await;
    holds(&ground, json!({"keep": 1, "lost": 2})).await;
    apply(&ground, &tags(json!({"keep": 1}))).await;
    ground.open();
    let status = sees(&ground, SYNCED).await;
    assert_eq!(status["applied"]["tags"], json!({"keep": 1}));
    look(&ground).await;
    assert_eq!(at_hub(&ground).await, json!({"keep": 1, "lost": 2}), "this is what the hole costs");
    end(&ground).await;
}

/// The same death, but the spec still names the leaf when another operator starts: it knows the leaf again.
#[tokio::test(flavor = "multi_thread")]
async fn a_leaf_that_the_spec_still_names_is_known_again() {
    let ground = synced().await;
    for fault in [Fault::CrashBefore, Fault::CrashAfter] {
        ground.api.set("pump", fault);
        apply(&ground, &tags(json!({"keep": 1, "lost": 2}))).await;
        died(&ground).await;
        sees(&ground, SYNCED).await;
        apply(&ground, &tags(json!({"keep": 1}))).await;
        holds(&ground, json!({"keep": 1})).await;
        sees(&ground, SYNCED).await;
    }
    end(&ground).await;
}

/// The ledger does not reach the API server, and the spec moves on meanwhile: the operator remembers.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_is_remembered_until_the_ledger_is_saved() {
    for fault in [Fault::LostBefore, Fault::Refused, Fault::Conflict] {
        let ground = synced().await;
        (0..500).for_each(|_| ground.api.set("pump", fault));
        apply(&ground, &tags(json!({"keep": 1, "lost": 2}))).await;
        holds(&ground, json!({"keep": 1, "lost": 2})).await;
        apply(&ground, &tags(json!({"keep": 1}))).await;
        holds(&ground, json!({"keep": 1})).await;
        ground.api.clear("pump");
        let status = sees(&ground, SYNCED).await;
        assert_eq!(status["applied"]["tags"], json!({"keep": 1}));
        end(&ground).await;
    }
}

/// The hub carries a write out and its answer is lost; before it is read again, the leaf leaves the spec.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_answer_was_lost_may_have_landed() {
    for fault in [wire::Fault::CutAfter, wire::Fault::Truncated, wire::Fault::Late] {
        let ground = synced().await;
        ground.wire.set("pump", Call::Patch, fault.clone());
        // The read before the write is the last one until the spec has moved on.
        ground.wire.set("pump", Call::Get, wire::Fault::Served);
        (0..200).for_each(|_| ground.wire.set("pump", Call::Get, wire::Fault::Status(503)));
        apply(&ground, &tags(json!({"keep": 1, "lost": 2}))).await;
        holds(&ground, json!({"keep": 1, "lost": 2})).await;
        sees(&ground, "HubUnreachable").await;
        apply(&ground, &tags(json!({"keep": 1}))).await;
        sees(&ground, "HubUnreachable").await;
        ground.wire.clear("pump");
        sees(&ground, SYNCED).await;
        let tags = at_hub(&ground).await;
        assert_eq!(tags, json!({"keep": 1}), "{fault:?}");
        end(&ground).await;
    }
}

/// Two objects about one twin: what one writes, the other shows, also when no claim moves by it.
#[tokio::test(flavor = "multi_thread")]
async fn who_shares_a_twin_shows_the_others_writes() {
    let ground = synced().await;
    let other = twin("other").set("spec.deviceId", json!("pump")).desired(json!({"rate": 1}));
    apply(&ground, &other).await;
    let both_show_it = || async {
        let there = ground.back_end.twin("pump").await.expect("the device is there");
        let mut shown = Vec::new();
        for name in ["pump", "other"] {
            shown.push(ground.cluster.get("DeviceTwin", name).await["status"]["twin"]["version"].clone());
        }
        is_true(shown.iter().all(|version| *version == there["version"]), shown)
    };
    eventually("both show the twin", both_show_it).await;
    ground.back_end.patch("pump", json!({"tags": {"keep": 2}})).await.expect("the hub takes it");
    look(&ground).await;
    holds(&ground, json!({"keep": 1})).await;
    eventually("both show the corrected twin", both_show_it).await;
    end(&ground).await;
}

/// After a start a query shows the twin as it was before our last write: no leaf leaves the ledger on its word.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_row_makes_nobody_forget() {
    let ground = synced().await;
    let old = ground.back_end.twin("pump").await.expect("the device is there");
    apply(&ground, &tags(json!({"keep": 1, "late": 2}))).await;
    sees(&ground, SYNCED).await;
    ground.close();
    ground.restart();
    died(&ground).await;
    apply(&ground, &tags(json!({"keep": 1}))).await;
    ground.wire.set("", Call::Query, wire::Fault::Rows(json!([old])));
    ground.open();
    let status = sees(&ground, SYNCED).await;
    assert_eq!(at_hub(&ground).await, json!({"keep": 1}));
    assert_eq!(status["applied"]["tags"], json!({"keep": 1}));
    end(&ground).await;
}

/// The watch is behind our own writes: what was written counts, not what it shows.
#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_lags_undoes_nothing() {
    let ground = synced().await;
    ground.api.hold("devicetwins");
    for line in 1..=3 {
        ground.back_end.patch("pump", json!({"tags": {"keep": line + 10}})).await.expect("the hub takes it");
        // Tags are found by the sweep.
        holds(&ground, json!({"keep": 1})).await;
    }
    let conflicts = ground.log.records().hits.get("status write 409").copied();
    assert_eq!(conflicts, None, "each status is written on top of the last one");
    apply(&ground, &tags(json!({"keep": 1, "new": 2}))).await;
    ground.api.let_go();
    let status = sees(&ground, SYNCED).await;
    assert_eq!(status["applied"]["tags"], json!({"keep": 1, "new": 2}));
    holds(&ground, json!({"keep": 1, "new": 2})).await;
    end(&ground).await;
}

/// A start during which connections are listed late: nobody is told that there is none.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_tells_of_no_missing_connection() {
    let ground = synced().await;
    // A twin that is not in sync shows what it waits for.
    let blocked = tags(json!({"keep": {"deeper": 1}}));
    ground.back_end.patch("pump", json!({"tags": {"keep": 2}})).await.expect("the hub takes it");
    apply(&ground, &blocked).await;
    sees(&ground, "Conflict").await;
    let since = ground.log.tick();
    ground.api.hold("hubconnections");
    ground.restart();
    eventually("another operator", || async { is_true(ground.log.alive() == 2, ground.log.alive()) }).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    ground.api.let_go();
    look(&ground).await;
    let told: Vec<String> = ground
        .log
        .records()
        .status_writes
        .iter()
        .filter(|write| write.asked > since)
        .map(|write| write.status["conditions"][0]["reason"].to_string())
        .collect();
    assert!(told.iter().all(|reason| reason == "\"Conflict\""), "{told:?}");
    end(&ground).await;
}

/// An object that this version cannot read stops nobody else.
#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_cannot_be_read_stops_nobody() {
    let ground = synced().await;
    apply(&ground, &twin("odd").set("spec.mode", json!("Observe"))).await;
    ground.close();
    ground.restart();
    died(&ground).await;
    ground.api.spoil("\"mode\":\"Observe\"", "\"mode\":\"Bizarre\"");
    apply(&ground, &tags(json!({"keep": 2}))).await;
    ground.open();
    sees(&ground, SYNCED).await;
    holds(&ground, json!({"keep": 2})).await;
    // Also when it comes by the watch.
    apply(&ground, &twin("odd").set("spec.mode", json!("Observe")).tags(json!({"more": 1}))).await;
    apply(&ground, &tags(json!({"keep": 3}))).await;
    holds(&ground, json!({"keep": 3})).await;
    sees(&ground, SYNCED).await;
    end(&ground).await;
}

/// A device that keeps reporting costs a status write an interval, and its last word always gets there.
#[tokio::test(flavor = "multi_thread")]
async fn a_chatty_device_costs_a_write_an_interval() {
    let ground = Ground::new().await;
    let host = format!("localhost:{}", ground.wire.port);
    let slow = connection(&host).set("spec.sweepInterval", json!("10s")).set("spec.allowArrays", json!(true));
    apply(&ground, &slow.set("spec.statusInterval", json!("12s"))).await;
    let key = ground.back_end.make("pump").await;
    apply(&ground, &tags(json!({"keep": 1}))).await;
    sees(&ground, SYNCED).await;
    let written = || ground.log.records().status_writes.iter().filter(|write| write.landed.is_some()).count();
    let (before, began) = (written(), std::time::Instant::now());
    let mut count = 0;
    while began.elapsed() < Duration::from_secs(24) {
        count += 1;
        let taken = super::device::report(&ground.hub, "pump", &key, &json!({"count": count})).await;
        assert!(taken, "the hub takes a report");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    eventually("the last word", || async {
        let shown = ground.cluster.get("DeviceTwin", "pump").await["status"]["properties"]["reported"].clone();
        is_true(shown == json!({"count": count}), shown)
    })
    .await;
    let (cost, most) = (written() - before, began.elapsed().as_secs() / 12 + 1);
    assert!(cost as u64 <= most && cost >= 2, "{cost} writes in {:?} for {count} reports", began.elapsed());
    let patches = ground.log.records().twin_writes.iter().filter(|write| matches!(write.who, Who::Operator(_))).count();
    assert_eq!(patches, 1, "reports cost the hub nothing");
    end(&ground).await;
}
