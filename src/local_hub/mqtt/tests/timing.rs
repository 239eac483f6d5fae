//! What happens as time passes, in memory and with the runtime's clock under control.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::io::DuplexStream;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::super::bytes::connect_packet;
use super::super::serve;
use super::raw::{ANSWERS, CLEAN, Raw, user};
use crate::local_hub::auth::{Names, Policy};
use crate::local_hub::hub::{Hub, random_key};
use crate::local_hub::journal::Filter;
use crate::local_hub::knobs::Knobs;
use crate::local_hub::machine::{Command, Draft, EntityId, Machine, Precondition};
use crate::local_hub::testing::sign_for;

/// A hub with the device `d1`, and no socket.
struct Memory {
    hub: Arc<Hub>,
    key: String,
    stop: CancellationToken,
}

impl Memory {
    async fn start() -> Self {
        let policies = Policy::all(|| random_key().unwrap());
        let hub = Hub::new(Machine::default(), policies, Names::new(["localhost".to_owned()]), None);
        let id = EntityId::device("d1");
        let draft = Draft::parse(&id, json!({"deviceId": "d1"}).as_object().unwrap()).unwrap();
        hub.apply(Command::PutIdentity { id: id.clone(), draft, precondition: Precondition::None }).await.unwrap();
        let key = hub.identity(&id).unwrap().keys[0].clone();
        Self { hub, key, stop: CancellationToken::new() }
    }

    /// A client whose stream holds this many bytes that nobody has read.
    fn client(&self, room: usize) -> Raw<DuplexStream> {
        let (ours, theirs) = tokio::io::duplex(room);
        tokio::spawn(serve(Arc::clone(&self.hub), theirs, None, self.stop.clone()));
        Raw { stream: ours, patience: Duration::from_secs(86_400) }
    }

    async fn connected(&self, keep_alive: u16, lifetime: i64) -> Raw<DuplexStream> {
        let mut raw = self.client(1024 * 1024);
        let token = sign_for("localhost/devices/d1", &self.key, lifetime);
        let greeting = connect_packet("d1", &user("d1"), &token, CLEAN, keep_alive);
        assert_eq!(raw.greet(&greeting).await, Some(0));
        raw
    }

    async fn disable(&self) {
        let id = EntityId::device("d1");
        let draft = Draft::parse(&id, json!({"deviceId": "d1", "status": "disabled"}).as_object().unwrap()).unwrap();
        self.hub.apply(Command::PutIdentity { id, draft, precondition: Precondition::Exists }).await.unwrap();
    }

    fn last(&self) -> (String, u16, String) {
        let entry = self.hub.journal().find(&Filter::default()).pop().unwrap();
        (entry.operation, entry.outcome, entry.detail)
    }
}

/// Seconds until the end of the connection.
async fn until_end(raw: &mut Raw<DuplexStream>) -> f64 {
    let start = Instant::now();
    raw.ended().await;
    start.elapsed().as_secs_f64()
}

/// The runtime's timers are good to a millisecond or two.
fn about(is: f64, wanted: f64) {
    assert!((is - wanted).abs() < 0.1, "{is} s in place of {wanted} s");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_says_who_it_is_is_dropped_after_30_seconds() {
    let memory = Memory::start().await;
    let mut silent = memory.client(1024);
    about(until_end(&mut silent).await, 30.0);
    assert_eq!(memory.last(), ("device.connect".to_owned(), 408, "no CONNECT in time".to_owned()));
    // Half a CONNECT is none.
    let mut slow = memory.client(1024);
    slow.write(&[0x10, 60, 0, 4, b'M']).await;
    about(until_end(&mut slow).await, 30.0);
}

#[tokio::test(start_paused = true)]
async fn silence_ends_a_connection_after_one_and_a_half_keep_alives() {
    let memory = Memory::start().await;
    for (keep_alive, seconds) in [(60, 90.0), (1177, 1765.5), (65_535, 1767.0), (0, 1767.0)] {
        let mut raw = memory.connected(keep_alive, 100_000).await;
        about(until_end(&mut raw).await, seconds);
        let (operation, outcome, detail) = memory.last();
        assert_eq!((operation.as_str(), outcome), ("device.disconnect", 404));
        assert!(detail.contains("keep-alive"), "{detail}");
    }
}

#[tokio::test(start_paused = true)]
async fn anything_that_is_sent_keeps_a_connection_alive() {
    let memory = Memory::start().await;
    let mut raw = memory.connected(10, 100_000).await;
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_secs(14)).await;
        raw.write(&[0xc0, 0]).await;
        assert_eq!(raw.read().await, Some((0xd0, vec![])));
    }
    about(until_end(&mut raw).await, 15.0);
}

#[tokio::test(start_paused = true)]
async fn a_connection_ends_when_the_clock_has_passed_its_token() {
    let memory = Memory::start().await;
    let mut raw = memory.connected(0, 3600).await;
    memory.hub.set_knobs(Knobs { clock_offset_ms: 3_500_000, ..Knobs::default() });
    raw.write(&[0xc0, 0]).await;
    assert_eq!(raw.read().await, Some((0xd0, vec![])));
    memory.hub.set_knobs(Knobs { clock_offset_ms: 3_601_000, ..Knobs::default() });
    raw.ended().await;
    let (operation, outcome, detail) = memory.last();
    assert_eq!((operation.as_str(), outcome), ("device.disconnect", 401));
    assert!(detail.contains("401003"), "{detail}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_dropped_after_30_seconds() {
    let memory = Memory::start().await;
    let mut raw = memory.client(64);
    let token = sign_for("localhost/devices/d1", &memory.key, 3600);
    raw.write(&connect_packet("d1", &user("d1"), &token, CLEAN, 0)).await;
    // Answers to these do not fit into what nobody reads, and so they are not all taken.
    let start = Instant::now();
    raw.write(&[0xc0, 0].repeat(1000)).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let (operation, outcome, _) = memory.last();
    assert_eq!((operation.as_str(), outcome), ("device.disconnect", 408));
    assert!(start.elapsed() < Duration::from_secs(100));
}

#[tokio::test(start_paused = true)]
async fn stopping_ends_connections_and_disabling_ends_a_call_that_waits() {
    let memory = Memory::start().await;
    let mut raw = memory.connected(60, 3600).await;
    let fault = json!({"operation": "device.get", "delayMs": 50_000, "effect": "delay"});
    memory.hub.faults().add(serde_json::from_value(fault).unwrap());
    raw.publish("$iothub/twin/GET/?$rid=1", "").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    memory.disable().await;
    about(until_end(&mut raw).await, 0.0);
    let mut waiting = memory.client(1024);
    memory.stop.cancel();
    about(until_end(&mut waiting).await, 0.0);
}

#[tokio::test(start_paused = true)]
async fn a_device_that_finds_no_place_in_the_queue_is_told_and_sent_away() {
    let memory = Memory::start().await;
    let mut raw = memory.connected(60, 3600).await;
    raw.subscribe(ANSWERS, 0).await;
    let limits = json!({"limits": {"tier": "S1", "burstMs": 0, "backlog": 0}});
    memory.hub.set_knobs(serde_json::from_value(limits).unwrap());
    raw.report("$rid=1", "{}").await;
    let answer = raw.message().await;
    assert_eq!(answer.topic, "$iothub/twin/res/429/?$rid=1");
    assert_eq!(answer.json()["errorCode"], 429_002);
    raw.ended().await;
    let (operation, outcome, _) = memory.last();
    assert_eq!((operation.as_str(), outcome), ("device.disconnect", 429));
}

#[tokio::test(start_paused = true)]
async fn a_device_waits_for_its_turn_and_not_when_it_is_disabled() {
    let memory = Memory::start().await;
    let mut raw = memory.connected(60, 3600).await;
    raw.subscribe(ANSWERS, 0).await;
    // Half a report a second.
    let limits = json!({"limits": {"tier": "S1", "percent": 1, "burstMs": 0}});
    memory.hub.set_knobs(serde_json::from_value(limits).unwrap());
    let start = Instant::now();
    raw.report("$rid=1", "{}").await;
    assert_eq!(raw.message().await.topic, "$iothub/twin/res/204/?$rid=1&$version=2");
    about(start.elapsed().as_secs_f64(), 2.0);
    raw.report("$rid=2", "{}").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    memory.disable().await;
    about(until_end(&mut raw).await, 0.0);
}
