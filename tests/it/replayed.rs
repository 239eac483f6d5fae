//! The operator at an API server that does what no real one does on demand: holds objects that no schema lets through, is
//! gone for minutes, forgets what happened, and has many objects.

use std::net::Ipv4Addr;
use std::time::Duration;

use hubtwin::controller::hub_connection::AllowedHosts;
use hubtwin::controller::{Clock, Pace, Settings};
use hubtwin::hub::{self, ConnectionString};
use hubtwin::local_hub::{self, LocalHub, Running};
use hubtwin::operator::{self, Config};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::server::Replay;
use super::support::{Manifest, connection, eventually, is_true, secret, twin};

#[allow(dead_code, reason = "the benchmarks use the rest")]
#[path = "../replay/server.rs"]
mod server;

const TWINS: &str = "hubtwin.dev/v1alpha1/devicetwins";
const PLACE: &str = "plant";

/// A hub, an API server that replays, and an operator between them.
struct Stage {
    hub: Running,
    api: Replay,
    clock: Clock,
    shutdown: CancellationToken,
    operator: JoinHandle<Result<(), operator::Error>>,
    back_end: hub::Client,
}

impl Stage {
    async fn new() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let hub = LocalHub::start(local_hub::Config::default()).await.expect("the hub starts");
        let string = ConnectionString::parse(&hub.service_connection_string()).expect("the hub's own string");
        let credential = string.service_credential().expect("it is a back end's");
        let mut settings = hub::Settings::new(string.host().clone(), credential);
        settings.extra_root_pem = Some(hub.ca_pem().as_bytes().to_vec());
        let back_end = hub::Client::new(settings).expect("a client can be made");
        let api = Replay::start().await.expect("it starts");
        let url = api.url.parse().expect("it is a URL");
        let client = kube::Client::try_from(kube::Config::new(url)).expect("a client can be made");
        let (clock, shutdown) = (Clock::default(), CancellationToken::new());
        let settings = Settings {
            allowed_hosts: AllowedHosts::new(&[string.host().to_string()]),
            namespace: None,
            hub_timeout: Duration::from_secs(5),
            secret_interval: Duration::from_secs(60),
            clock: clock.clone(),
            pace: Pace { retry_most: Duration::from_secs(2), waiting: Duration::from_secs(5), ..Pace::default() },
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let config = Config { client, settings, listener, listening: Box::new(|_| {}), shutdown: shutdown.clone() };
        let host = format!("{}:{}", hub.host(), hub.https_port());
        let mut object = secret(&hub.service_connection_string(), hub.ca_pem());
        let data = object.0["stringData"].take();
        let encoded = data.as_object().into_iter().flatten().map(|(key, text)| {
            use base64::Engine as _;
            (key.clone(), json!(base64::engine::general_purpose::STANDARD.encode(text.as_str().unwrap_or_default())))
        });
        object.0["data"] = encoded.collect();
        let stage = Self { hub, api, clock, shutdown, operator: tokio::spawn(operator::run(config)), back_end };
        stage.put("v1/secrets", object);
        stage.put("hubtwin.dev/v1alpha1/hubconnections", connection(&host));
        stage
    }

    fn put(&self, collection: &str, manifest: Manifest) {
        self.api.put(collection, manifest.set("metadata.namespace", json!(PLACE)).0);
    }

    async fn register(&self, name: &str) {
        let id = hub::TwinId::parse(name, None).expect("it is an id");
        self.back_end.create_identity(&id).await.expect("the hub registers it");
    }

    /// Puts an object of a device of its own in place.
    async fn add(&self, name: &str) {
        self.register(name).await;
        self.put(TWINS, twin(name).tags(json!({"a": 1})));
    }

    async fn sees_synced(&self, name: &str) {
        eventually(&format!("{name} is synced"), || async {
            let status = self.api.get(TWINS, PLACE, name).map(|object| object["status"].clone()).unwrap_or_default();
            is_true(status.pointer("/conditions/0/reason") == Some(&json!("Synced")), status)
        })
        .await;
    }

    async fn end(self) {
        self.shutdown.cancel();
        self.operator.await.expect("it does not panic").expect("it ends well");
        self.hub.shutdown().await;
    }
}

#[tokio::test]
async fn an_object_that_cannot_be_read_holds_up_nobody() {
    let stage = Stage::new().await;
    let broken = |name: &str, spec: Value| {
        Manifest(
            json!({"apiVersion": "hubtwin.dev/v1alpha1", "kind": "DeviceTwin", "metadata": {"name": name}, "spec": spec}),
        )
    };
    stage.put(TWINS, broken("broken-1", json!("text")));
    stage.add("pump").await;
    stage.put(TWINS, broken("broken-2", json!({"hubRef": {"name": 4}})));
    stage.sees_synced("pump").await;
    // So it does when the list is made anew, and when such an object comes by the watch.
    stage.api.cut();
    stage.put(TWINS, broken("broken-3", Value::Null));
    stage.add("valve").await;
    stage.sees_synced("valve").await;
    // What was readable, and is not any more, is not given up either.
    stage.put(TWINS, broken("pump", json!({"hubRef": []})));
    stage.put(TWINS, twin("pump").tags(json!({"a": 2})));
    eventually("the hub has the new value", || async {
        let id = hub::TwinId::parse("pump", None).expect("it is an id");
        let tags = json!(stage.back_end.get_twin(&id).await.expect("it is there").tags);
        is_true(tags == json!({"a": 2}), tags)
    })
    .await;
    stage.end().await;
}

#[tokio::test]
async fn an_api_server_that_was_gone_for_ten_minutes_is_caught_up_with() {
    let stage = Stage::new().await;
    for name in ["pump", "valve", "fan"] {
        stage.add(name).await;
    }
    for name in ["pump", "valve", "fan"] {
        stage.sees_synced(name).await;
    }
    let patches = || stage.hub.count("twin.patch");
    assert_eq!(patches(), 3);
    stage.api.set_gone(true);
    stage.register("late").await;
    stage.put(TWINS, twin("late").tags(json!({"a": 1})));
    stage.put(TWINS, twin("valve").tags(json!({"a": 2})));
    let gone = stage.hub.count("query");
    for _ in 0..10 {
        stage.clock.advance(Duration::from_secs(60));
        tokio::task::yield_now().await;
    }
    eventually("the hub is polled all the same", || async {
        let polls = stage.hub.count("query") - gone;
        is_true(polls >= 2, polls)
    })
    .await;
    assert_eq!(patches(), 3, "nobody told of anything");
    assert!(!stage.operator.is_finished());
    stage.api.set_gone(false);
    stage.sees_synced("late").await;
    eventually("the edit is at the hub", || async { is_true(patches() == 5, patches()) }).await;
    stage.end().await;
}
