//! A stage of one's own: a namespace, a local hub, an operator that watches the one and may talk to the other.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use hubtwin::controller::hub_connection::AllowedHosts;
use hubtwin::controller::{Clock, Pace, Settings};
use hubtwin::hub::{self, ConnectionString, IfMatch, TwinId, TwinPatch};
use hubtwin::local_hub::knobs::{Effect, Fault};
use hubtwin::local_hub::{self, LocalHub, Running};
use hubtwin::operator::{self, Config};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{ApiFaults, Cluster, Manifest, connection, eventually, is_true, secret};

/// Everything that a test of the operator needs. It is the [`Cluster`], too.
pub struct Stage {
    cluster: Cluster,
    pub hub: Running,
    /// A back end of one's own at the hub.
    pub back_end: hub::Client,
    operator: Option<JoinHandle<Result<(), operator::Error>>>,
    /// Where the operator tells its metrics.
    admin: Mutex<SocketAddr>,
    shutdown: CancellationToken,
    /// Whether the operator watches all namespaces.
    everywhere: bool,
    /// The clock of the operator.
    pub clock: Clock,
    /// Calls of the operator to the API server that fail.
    pub api: ApiFaults,
}

/// A call that the hub wrote down.
#[derive(Clone, Debug)]
pub struct Call {
    pub number: u64,
    pub operation: String,
    pub subject: String,
    pub outcome: u64,
}

impl Deref for Stage {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        &self.cluster
    }
}

impl Stage {
    /// A stage whose connection works already.
    pub async fn new() -> Self {
        Self::with(|connection| connection).await
    }

    /// A stage whose connection is finished by `finish`.
    pub async fn with(finish: impl FnOnce(Manifest) -> Manifest) -> Self {
        let stage = Self::bare(&[]).await;
        stage.apply(&stage.secret()).await;
        stage.apply(&finish(connection(&stage.host()))).await;
        stage
    }

    /// A stage with neither Secret nor connection; its operator allows further hosts.
    pub async fn bare(further_hosts: &[String]) -> Self {
        let cluster = Cluster::new().await;
        let hub = LocalHub::start(local_hub::Config::default()).await.expect("the hub starts");
        let string = ConnectionString::parse(&hub.service_connection_string()).expect("the hub's own string");
        let credential = string.service_credential().expect("it is a back end's");
        let mut settings = hub::Settings::new(string.host().clone(), credential);
        settings.extra_root_pem = Some(hub.ca_pem().as_bytes().to_vec());
        let back_end = hub::Client::new(settings).expect("a client can be made");
        let hosts: Vec<String> = further_hosts.iter().cloned().chain([string.host().to_string()]).collect();
        let shutdown = CancellationToken::new();
        let (clock, api) = (Clock::default(), ApiFaults::default());
        let admin = Mutex::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let mut stage = Self { cluster, hub, back_end, operator: None, admin, shutdown, everywhere: false, clock, api };
        stage.operator = Some(stage.run(&hosts).await);
        stage
    }

    /// The same stage with another operator, which allows one more host.
    pub async fn allowing(self, further_host: &str) -> Self {
        let stopped = self.stop().await;
        let hosts = [further_host.to_owned(), stopped.host()];
        stopped.start_allowing(&hosts).await
    }

    /// The same stage with another operator, which watches all namespaces: for an API server that no other test uses.
    pub async fn everywhere(self) -> Self {
        let stopped = self.stop().await;
        Self { everywhere: true, ..stopped }.start().await
    }

    /// Ends the operator, and leaves the rest as it is.
    pub async fn stop(mut self) -> Self {
        self.shutdown.cancel();
        if let Some(operator) = self.operator.take() {
            operator.await.expect("the operator does not panic").expect("the operator ends well");
        }
        self
    }

    /// Starts another operator after the one that was stopped.
    pub async fn start(self) -> Self {
        let hosts = [self.host()];
        self.start_allowing(&hosts).await
    }

    async fn start_allowing(mut self, hosts: &[String]) -> Self {
        self.shutdown = CancellationToken::new();
        self.operator = Some(self.run(hosts).await);
        self
    }

    /// Starts an operator for the namespace.
    async fn run(&self, hosts: &[String]) -> JoinHandle<Result<(), operator::Error>> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        *self.admin.lock().expect("nobody panics holding it") = listener.local_addr().expect("it is bound");
        let settings = Settings {
            allowed_hosts: AllowedHosts::new(hosts),
            namespace: (!self.everywhere).then(|| self.cluster.namespace.clone()),
            hub_timeout: Duration::from_secs(5),
            secret_interval: Duration::from_secs(2),
            clock: self.clock.clone(),
            pace: Pace { retry_most: Duration::from_secs(2), waiting: Duration::from_secs(5), ..Pace::default() },
        };
        let (client, shutdown) = (self.cluster.failing_client(&self.api), self.shutdown.clone());
        tokio::spawn(operator::run(Config { client, settings, listener, listening: Box::new(|_| {}), shutdown }))
    }

    /// Ends the operator, which must have run until now.
    pub async fn end(self) {
        self.stop().await.hub.shutdown().await;
    }

    // What stands at the hub.

    /// NAME:PORT of the hub.
    pub fn host(&self) -> String {
        format!("{}:{}", self.hub.host(), self.hub.https_port())
    }

    /// The Secret with which the connection works.
    pub fn secret(&self) -> Manifest {
        secret(&self.hub.service_connection_string(), self.hub.ca_pem())
    }

    pub fn id(text: &str) -> TwinId {
        let (device, module) = text.split_once('/').map_or((text, None), |(device, module)| (device, Some(module)));
        TwinId::parse(device, module).expect("a test's ids are ids")
    }

    /// Registers a device, or a module `DEVICE/MODULE` of a registered device, at the hub.
    pub async fn register(&self, id: &str) {
        self.back_end.create_identity(&Self::id(id)).await.expect("the hub registers it");
    }

    /// The twin as the hub has it.
    pub async fn at_hub(&self, id: &str) -> hub::Twin {
        self.back_end.get_twin(&Self::id(id)).await.expect("the hub has it")
    }

    /// Another back end writes to the twin, whatever its state.
    pub async fn foreign_patch(&self, id: &str, patch: Value) {
        let section = |at: &str| patch.pointer(at).and_then(Value::as_object).cloned();
        let patch = TwinPatch { tags: section("/tags"), desired: section("/properties/desired") };
        self.back_end.patch_twin(&Self::id(id), &patch, IfMatch::Any).await.expect("the hub takes it");
    }

    /// An automatic configuration of the hub sets desired properties of a device.
    pub async fn configure(&self, id: &str, configuration: &str, desired: Value) {
        let path = format!("/configurations/{configuration}/apply");
        self.set(reqwest::Method::POST, &path, &serde_json::json!({"deviceId": id, "desired": desired})).await;
    }

    /// The hub's counters.
    pub async fn counters(&self) -> BTreeMap<String, u64> {
        serde_json::from_value(self.admin("/counters").await).expect("counters are numbers")
    }

    /// A call about this twin fails from now on: `times` times, or until the faults are cleared.
    pub fn fault(&self, operation: &str, subject: Option<&str>, times: Option<u64>, effect: Effect) {
        let subject = subject.map(ToOwned::to_owned);
        self.hub.add_fault(Fault { subject, times, ..Self::fault_of(operation, effect) });
    }

    /// A fault of an operation, for always, to be made more of.
    pub fn fault_of(operation: &str, effect: Effect) -> Fault {
        Fault { operation: Some(operation.to_owned()), subject: None, times: None, after: 0, delay_ms: 0, effect }
    }

    /// Nothing fails any more.
    pub async fn clear_faults(&self) {
        self.set(reqwest::Method::DELETE, "/faults", &Value::Null).await;
    }

    /// Sets something over the hub's admin port.
    pub async fn set(&self, method: reqwest::Method, path: &str, body: &Value) {
        let url = format!("{}{path}", self.hub.admin_url());
        let client = reqwest::Client::builder().no_proxy().build().expect("a client can be made");
        let request = client.request(method, url);
        let request = if body.is_null() { request } else { request.json(body) };
        let answer = request.send().await.expect("the hub answers");
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
    }

    /// How often the hub was patched about a twin, with this outcome or any.
    pub async fn patches(&self, id: &str, outcome: Option<u64>) -> usize {
        let calls = self.calls(0).await;
        let patches = calls.iter().filter(|call| call.operation == "twin.patch" && call.subject == id);
        patches.filter(|call| outcome.is_none_or(|outcome| call.outcome == outcome)).count()
    }

    /// Tags and desired as the hub has them.
    pub async fn content(&self, id: &str) -> Value {
        let twin = self.at_hub(id).await;
        serde_json::json!({"tags": twin.tags, "desired": twin.desired})
    }

    /// Moves the operator's clock forward, and has it look at an object.
    pub async fn later(&self, by: Duration, kind: &str, name: &str) {
        self.clock.advance(by);
        self.nudge(kind, name).await;
    }

    /// The calls of the operator about one twin or, with `""`, of all calls, since the hub's call number `since`. The
    /// test's own calls are among them, as nobody else can tell them apart.
    pub async fn calls(&self, since: u64) -> Vec<Call> {
        let entries = self.admin(&format!("/events?since={since}")).await;
        let text = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
        let call = |entry: &Value| Call {
            number: entry["seq"].as_u64().unwrap_or_default(),
            operation: text(entry, "operation"),
            subject: text(entry, "subject"),
            outcome: entry["outcome"].as_u64().unwrap_or_default(),
        };
        entries.as_array().expect("events are a list").iter().map(call).collect()
    }

    /// What the operator's `/metrics` tells.
    pub async fn metrics(&self) -> String {
        let admin = *self.admin.lock().expect("nobody panics holding it");
        let client = reqwest::Client::builder().no_proxy().build().expect("a client can be made");
        let answer = client.get(format!("http://{admin}/metrics")).send().await.expect("the operator answers");
        answer.text().await.expect("it answers text")
    }

    /// The number of the hub's last call.
    pub async fn last_call(&self) -> u64 {
        self.calls(0).await.last().map_or(0, |call| call.number)
    }

    /// What the hub's admin port answers.
    pub async fn admin(&self, path: &str) -> Value {
        let url = format!("{}{path}", self.hub.admin_url());
        let client = reqwest::Client::builder().no_proxy().build().expect("a client can be made");
        client.get(url).send().await.expect("the hub answers").json().await.expect("it answers JSON")
    }

    // What stands in Kubernetes.

    /// Waits for a condition at the object's generation, written `TYPE=STATUS REASON`, and answers the status.
    pub async fn sees(&self, kind: &str, name: &str, condition: &str) -> Value {
        eventually(&format!("{kind} {name} is {condition}"), || async {
            let object = self.get(kind, name).await;
            let generation = &object["metadata"]["generation"];
            let status = &object["status"];
            let mut conditions = status["conditions"].as_array().into_iter().flatten();
            let text = |condition: &Value, key: &str| condition[key].as_str().unwrap_or_default().to_owned();
            let found = conditions.any(|found| {
                let told = format!("{}={} {}", text(found, "type"), text(found, "status"), text(found, "reason"));
                told == condition && found["observedGeneration"] == *generation
            });
            is_true(found && status["observedGeneration"] == *generation, (generation, status)).map(|()| status.clone())
        })
        .await
    }

    /// Waits until the status of an object is as `holds` wants it, and answers it.
    pub async fn sees_status(&self, kind: &str, name: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        eventually(&format!("{kind} {name}: {what}"), || async {
            let object = self.get(kind, name).await;
            is_true(holds(&object["status"]), &object["status"]).map(|()| object["status"].clone())
        })
        .await
    }

    /// The message of a condition.
    pub fn message(status: &Value, type_: &str) -> String {
        let mut conditions = status["conditions"].as_array().into_iter().flatten();
        let found = conditions.find(|condition| condition["type"] == type_).expect("the condition is there");
        found["message"].as_str().unwrap_or_default().to_owned()
    }
}

/// The settings with which the program finds the hub.
pub fn settings_of(stage: &Stage) -> BTreeMap<String, String> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let file = folder.join(format!("ca-{}.pem", stage.hub.https_port()));
    std::fs::write(&file, stage.hub.ca_pem()).expect("the certificate is written");
    BTreeMap::from([
        ("HUB_SERVICE_CONNECTION_STRING".to_owned(), stage.hub.service_connection_string()),
        ("HUB_CA_FILE".to_owned(), file.display().to_string()),
    ])
}
