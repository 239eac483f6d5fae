//! The budget against a hub that has limits: what it shapes and refuses, by the hub's own counters.

use std::sync::Arc;
use std::time::Duration;

use hubtwin::hub::{
    self, Caller, Class, Client, ConnectionString, IfMatch, Pools, Seat, Size, Tier, TwinId, TwinPatch,
};
use hubtwin::local_hub::knobs::{Knobs, Limits};
use hubtwin::local_hub::{self, LocalHub, Running};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::support::{CONNECTION, Stage, TWIN, eventually, is_true, twin};

const SYNCED: &str = "Ready=True Synced";
/// More at once than the budget lets through.
const WORKERS: usize = 64;

fn back_end(hub: &Running) -> Client {
    let string = ConnectionString::parse(&hub.service_connection_string()).expect("the hub's own string");
    let credential = string.service_credential().expect("it is a back end's");
    let mut settings = hub::Settings::new(string.host().clone(), credential);
    settings.extra_root_pem = Some(hub.ca_pem().as_bytes().to_vec());
    Client::new(settings).expect("a client can be made")
}

/// One unit of S1 that shapes at once, and refuses what would wait for more than 10 s.
fn limits(percent: u64) -> Knobs {
    let limits = Limits { percent, burst_ms: 0, queue_ms: 10_000, ..Limits::of(local_hub::throttle::Tier::S1) };
    Knobs { limits: Some(limits), ..Knobs::default() }
}

fn device(number: usize) -> TwinId {
    TwinId::parse(&format!("d{number}"), None).expect("it is an id")
}

/// Writes to one twin again and again, as fast as the budget lets it.
async fn work(client: Arc<Client>, seat: Arc<Seat>, number: usize, end: CancellationToken) {
    let (caller, id) = (Caller::new((*client).clone(), &seat, Class::Drift, "plant"), device(number));
    for round in 0_u64.. {
        let patch = TwinPatch { tags: json!({"round": round}).as_object().cloned(), desired: None };
        tokio::select! {
            () = end.cancelled() => return,
            done = caller.patch_twin(&id, &patch, IfMatch::Any) => drop(done),
        }
    }
}

/// Somebody else's back end, which knows no budget: so many writes a second, whatever the hub says.
async fn rival(client: &Arc<Client>, a_second: u32, during: Duration) {
    let (end, pause) = (Instant::now() + during, Duration::from_secs(1) / a_second);
    let mut calls = JoinSet::new();
    while Instant::now() < end {
        let client = client.clone();
        calls.spawn(async move {
            let patch = TwinPatch { tags: json!({"rival": true}).as_object().cloned(), desired: None };
            drop(client.patch_twin(&device(0), &patch, IfMatch::Any).await);
        });
        tokio::time::sleep(pause).await;
    }
    calls.join_all().await;
}

/// The program is to take all that the hub grants. Then the hub's limit halves, and then somebody else takes half of it.
#[tokio::test]
async fn a_hub_that_is_pressed_refuses_next_to_nothing() {
    let hub = LocalHub::start(local_hub::Config::default()).await.expect("the hub starts");
    let (client, other) = (Arc::new(back_end(&hub)), Arc::new(back_end(&hub)));
    for number in 0..WORKERS {
        client.create_identity(&device(number)).await.expect("the hub registers it");
    }
    let size = Size { tier: Tier::S1, units: 1, percent: 100, burst_percent: 100, daily_percent: 100 };
    let pools = Pools::new(Arc::new(Timestamp::now));
    let seat = Arc::new(pools.seat(client.host(), size));
    let end = CancellationToken::new();
    hub.set_knobs(limits(100));
    let workers = (0..WORKERS).map(|number| work(client.clone(), seat.clone(), number, end.clone()));
    let workers: JoinSet<()> = workers.collect();
    let mut rates = Vec::new();
    for phase in ["whole", "halved", "rival"] {
        hub.set_knobs(limits(if phase == "halved" { 50 } else { 100 }));
        let (before, began) = (hub.count("twin.patch"), Instant::now());
        let during = Duration::from_secs(if phase == "whole" { 20 } else { 15 });
        if phase == "rival" {
            rival(&other, 25, during).await;
        } else {
            tokio::time::sleep(during).await;
        }
        rates.push((hub.count("twin.patch") - before) as f64 / began.elapsed().as_secs_f64());
    }
    end.cancel();
    workers.join_all().await;
    let (all, refused) = (hub.count("twin.patch"), hub.count("twin.patch.429"));
    println!("{refused} of {all} writes refused; writes a second, whole, halved, with a rival: {rates:.1?}");
    assert!(refused * 1000 <= all, "{refused} of {all} writes were refused: {rates:?}");
    // It is not by making few calls: of 50, of 25, and with the rival's 25 of 50.
    assert!(rates[0] >= 26.0 && rates[1] >= 16.0 && rates[2] >= 35.0, "writes a second: {rates:?}");
    assert_eq!(pools.readings().throttled, 0, "our own writes are none of the refused");
    hub.shutdown().await;
}

/// Nothing but one probe an hour reaches a hub whose messages of the day are used up, and its end is noticed.
#[tokio::test]
async fn a_day_whose_messages_are_used_up_is_survived() {
    let until = |status: &Value| status["budget"]["throttledUntil"].as_str().map(str::to_owned);
    let stage = Stage::new().await;
    for name in ["pump", "valve"] {
        stage.register(name).await;
    }
    stage.apply(&twin("pump").tags(json!({"a": 1}))).await;
    stage.sees(TWIN, "pump", SYNCED).await;
    let spent = Limits { daily_messages: Some(0), ..Limits::of(local_hub::throttle::Tier::S3) };
    stage.hub.set_knobs(Knobs { limits: Some(spent), ..Knobs::default() });
    stage.sees(CONNECTION, "plant-hub", "Ready=False QuotaExceeded").await;
    let refused = |stage: &Stage| -> u64 {
        ["query.403", "twin.get.403", "twin.patch.403"].map(|name| stage.hub.count(name)).iter().sum()
    };
    let before = refused(&stage);
    for probe in 1..=3 {
        // Work goes on, and none of it reaches the hub.
        stage.apply(&twin("valve").tags(json!({"a": probe}))).await;
        stage.sees(TWIN, "valve", "Ready=False QuotaExceeded").await;
        assert_eq!(refused(&stage), before + probe - 1);
        stage.clock.advance(Duration::from_secs(3601));
        eventually("one probe reaches the hub", || async {
            is_true(refused(&stage) == before + probe, refused(&stage))
        })
        .await;
    }
    // Another operator keeps to what this one was told.
    stage.sees_status(CONNECTION, "plant-hub", "until when", |status| until(status).is_some()).await;
    let stage = stage.stop().await.start().await;
    stage.apply(&twin("valve").tags(json!({"a": 4}))).await;
    stage.sees(TWIN, "valve", "Ready=False QuotaExceeded").await;
    assert_eq!(refused(&stage), before + 3);
    stage.hub.set_knobs(Knobs::default());
    stage.clock.advance(Duration::from_secs(3601));
    stage.sees(CONNECTION, "plant-hub", "Ready=True Connected").await;
    stage.sees(TWIN, "valve", SYNCED).await;
    assert_eq!(refused(&stage), before + 3);
    stage.sees_status(CONNECTION, "plant-hub", "no longer", |status| until(status).is_none()).await;
    stage.end().await;
}
