//! Where sequences run: a namespace, a hub, and an operator that may die at any moment and is started again.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use hubtwin::controller::hub_connection::AllowedHosts;
use hubtwin::controller::{Clock, Pace, Settings};
use hubtwin::local_hub::{self, LocalHub, Running};
use hubtwin::operator::{self, Config};
use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::super::support::{Cluster, connection, kubeconfig, secret, twin};
use super::api::{ApiServer, Gate};
use super::back_end::BackEnd;
use super::log::Log;
use super::wire::Wire;

/// How long the operator waits for the hub.
const PATIENCE: Duration = Duration::from_millis(1500);
/// How long an end in good order takes at most: calls under way are bounded.
const LONGEST_END: Duration = Duration::from_secs(15);
/// How long nobody is there, at most.
const LONGEST_ABSENCE: Duration = Duration::from_millis(600);

/// What the operators' keeper is told.
#[derive(Debug)]
pub enum Order {
    /// It died: bury it and start another.
    Crash,
    /// End it in good order and start another.
    Restart,
    /// End it in good order.
    Stop(oneshot::Sender<()>),
}

pub struct Ground {
    pub cluster: Cluster,
    pub hub: Running,
    pub wire: Wire,
    pub api: Arc<ApiServer>,
    pub log: Arc<Log>,
    pub back_end: Arc<BackEnd>,
    orders: mpsc::UnboundedSender<Order>,
    /// Whether an operator that ended is followed by another.
    open: watch::Sender<bool>,
}

impl Ground {
    /// A ground whose connection works, with the first operator on it.
    pub async fn new() -> Arc<Self> {
        let cluster = Cluster::new().await;
        let hub = LocalHub::start(local_hub::Config::default()).await.expect("the hub starts");
        let log = Arc::new(Log::default());
        let (orders, received) = mpsc::unbounded_channel();
        let back_end = Arc::new(BackEnd::of(&hub, log.clone()));
        let wire = Wire::to(back_end.clone(), log.clone(), orders.clone(), PATIENCE).await;
        let kind = twin("any").resource();
        let api = ApiServer::new(log.clone(), orders.clone(), cluster.client.clone(), cluster.namespace.clone(), kind);
        let host = format!("localhost:{}", wire.port);
        let string = hub.service_connection_string();
        let (_, rest) = string.split_once(';').expect("the hub's own string");
        cluster.apply(&secret(&format!("HostName={host};{rest}"), &wire.ca_pem)).await;
        let connection = connection(&host).set("spec.sweepInterval", json!("10s")).set("spec.allowArrays", json!(true));
        cluster.apply(&connection).await;
        let open = watch::Sender::new(true);
        let keeper = Keeper { api: api.clone(), host, open: open.subscribe() };
        tokio::spawn(keeper.keep(received));
        Arc::new(Self { cluster, hub, wire, api, log, back_end, orders, open })
    }

    /// The operator dies here and now.
    pub fn crash(&self) {
        self.log.let_live(0);
        // The keeper lives as long as this.
        let _ = self.orders.send(Order::Crash);
    }

    /// Whoever ends now is not followed by another, until this is opened again.
    pub fn close(&self) {
        self.open.send_replace(false);
    }

    pub fn open(&self) {
        self.open.send_replace(true);
    }

    pub fn restart(&self) {
        let _ = self.orders.send(Order::Restart);
    }

    /// Ends the operator.
    pub async fn stop(&self) {
        let (done, ended) = oneshot::channel();
        let _ = self.orders.send(Order::Stop(done));
        ended.await.expect("the keeper answers");
    }
}

/// Keeps one operator running.
struct Keeper {
    api: Arc<ApiServer>,
    host: String,
    open: watch::Receiver<bool>,
}

/// One operator, on a runtime of its own, so that it can die whole.
struct Life {
    runtime: Option<Runtime>,
    running: JoinHandle<Result<(), operator::Error>>,
    shutdown: CancellationToken,
}

impl Drop for Life {
    /// A test that fails ends in the midst of a life.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Keeper {
    async fn keep(mut self, mut orders: mpsc::UnboundedReceiver<Order>) {
        let mut number = 0;
        loop {
            number += 1;
            let mut life = self.start(number);
            let order = tokio::select! {
                order = orders.recv() => order.unwrap_or(Order::Crash),
                ended = &mut life.running => {
                    self.api.log.wrong(format!("operator {number} ended by itself: {ended:?}"));
                    Order::Crash
                }
            };
            if !matches!(order, Order::Crash) {
                life.shutdown.cancel();
                tokio::select! {
                    ended = &mut life.running => {
                        if !matches!(ended, Ok(Ok(()))) {
                            self.api.log.wrong(format!("operator {number} ended badly: {ended:?}"));
                        }
                    }
                    // It died before it had ended.
                    Some(Order::Crash) = orders.recv() => {}
                    () = tokio::time::sleep(LONGEST_END) => {
                        self.api.log.wrong(format!("operator {number} does not end within {LONGEST_END:?}"));
                    }
                }
            }
            self.api.log.let_live(0);
            self.api.log.hit(if matches!(order, Order::Crash) { "operator: crash" } else { "operator: restart" });
            let runtime = life.runtime.take().expect("it lived");
            let buried = tokio::task::spawn_blocking(move || runtime.shutdown_timeout(Duration::from_secs(5)));
            buried.await.expect("it is put down");
            if let Order::Stop(done) = order {
                // Whoever asked may be gone.
                let _ = done.send(());
                return;
            }
            // Who dies twice before it is started dies once.
            while let Ok(order) = orders.try_recv() {
                if let Order::Stop(done) = order {
                    let _ = done.send(());
                    return;
                }
            }
            tokio::time::sleep(LONGEST_ABSENCE.mul_f64(0.2 + 0.8 * fastrand::f64())).await;
            self.api.find_out().await;
            if self.open.wait_for(|open| *open).await.is_err() {
                return;
            }
        }
    }

    fn start(&self, number: u64) -> Life {
        self.api.log.let_live(number);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime can be made");
        let shutdown = CancellationToken::new();
        let gate = Gate { api: self.api.clone(), operator: number };
        let settings = Settings {
            allowed_hosts: AllowedHosts::new(std::slice::from_ref(&self.host)),
            namespace: Some(self.api.namespace.clone()),
            hub_timeout: PATIENCE,
            secret_interval: Duration::from_secs(5),
            clock: Clock::default(),
            pace: Pace {
                broken: Duration::from_secs(1),
                retry_first: Duration::from_millis(200),
                retry_most: Duration::from_secs(3),
                contested_window: Duration::from_secs(4),
                contested_first: Duration::from_millis(500),
                contested_most: Duration::from_secs(2),
                ..Pace::default()
            },
        };
        let ending = shutdown.clone();
        let running = runtime.spawn(async move {
            let read = Kubeconfig::read_from(kubeconfig()).expect("the kubeconfig is one");
            let config = kube::Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await;
            let stack =
                ClientBuilder::try_from(config.expect("the kubeconfig is whole")).expect("a client can be made");
            let client = stack.with_layer(&gate).build();
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
            operator::run(Config { client, settings, listener, listening: Box::new(|_| {}), shutdown: ending }).await
        });
        Life { runtime: Some(runtime), running, shutdown }
    }
}
