//! The API server that all tests share, and a namespace of one's own in it.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::ApiResource;
use kube::runtime::WatchStreamExt as _;
use serde_json::{Value, json};

use super::objects::{CLUSTER_CONNECTION, resource};
use super::root;
use super::{ApiFaults, Manifest, eventually, is_true};

/// The field manager of the tests.
const MANAGER: &str = "it";

/// A namespace of its own.
pub struct Cluster {
    pub client: kube::Client,
    pub namespace: String,
    config: kube::Config,
}

/// What kubectl answered.
#[derive(Debug)]
pub struct Kubectl {
    pub done: bool,
    pub stdout: String,
    pub stderr: String,
}

impl Cluster {
    /// Makes a namespace with a random name, in a cluster with our kinds.
    pub async fn new() -> Self {
        // The one crypto provider; another test of this process may have been first.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let filter = tracing_subscriber::EnvFilter::new("info,hubtwin=debug");
        let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
        tokio::task::spawn_blocking(crd_warnings).await.expect("the CRDs are installed");
        let read = Kubeconfig::read_from(kubeconfig()).expect("the kubeconfig is one");
        let config = kube::Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await;
        let config = config.expect("the kubeconfig is whole");
        let client = kube::Client::try_from(config.clone()).expect("a client can be made");
        let namespace = format!("it-{:012x}", fastrand::u64(..1 << 48));
        tracing::info!(namespace, "a test begins");
        let object = Namespace {
            metadata: kube::core::ObjectMeta { name: Some(namespace.clone()), ..Default::default() },
            ..Namespace::default()
        };
        let made = Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &object).await;
        made.expect("the namespace is made");
        Self { client, namespace, config }
    }

    fn api(&self, kind: &ApiResource) -> Api<DynamicObject> {
        if kind.kind == CLUSTER_CONNECTION {
            return Api::all_with(self.client.clone(), kind);
        }
        Api::namespaced_with(self.client.clone(), &self.namespace, kind)
    }

    /// Applies by server-side apply, strictly validated.
    pub async fn apply(&self, manifest: &Manifest) {
        let parameters = PatchParams {
            field_validation: Some(kube::api::ValidationDirective::Strict),
            ..PatchParams::apply(MANAGER)
        };
        let api = self.api(&manifest.resource());
        let applied = api.patch(&manifest.name(), &parameters, &Patch::Apply(&manifest.0)).await;
        applied.unwrap_or_else(|error| panic!("apply {}: {error}", manifest.0));
    }

    /// Deletes an object.
    pub async fn delete(&self, kind: &str, name: &str) {
        let deleted = self.api(&resource(kind)).delete(name, &kube::api::DeleteParams::default()).await;
        deleted.unwrap_or_else(|error| panic!("delete {kind} {name}: {error}"));
    }

    /// A client whose calls may fail.
    pub fn failing_client(&self, faults: &ApiFaults) -> kube::Client {
        let builder = kube::client::ClientBuilder::try_from(self.config.clone()).expect("a client can be made");
        builder.with_layer(faults).build()
    }

    /// The object; `None` when it is gone.
    pub async fn find(&self, kind: &str, name: &str) -> Option<Value> {
        let found = self.api(&resource(kind)).get_opt(name).await;
        found.unwrap_or_else(|error| panic!("get {kind} {name}: {error}")).map(|found| json!(found))
    }

    /// Waits until an object is gone.
    pub async fn sees_gone(&self, kind: &str, name: &str) {
        eventually(&format!("{kind} {name} is gone"), || async {
            let found = self.find(kind, name).await;
            is_true(found.is_none(), found)
        })
        .await;
    }

    /// The reasons of Ready that an object shows, one after the other, until it is True.
    pub fn watch_reasons(&self, kind: &str, name: &str) -> tokio::task::JoinHandle<Vec<String>> {
        let config = kube::runtime::watcher::Config::default().fields(&format!("metadata.name={name}"));
        let mut objects = Box::pin(kube::runtime::watcher(self.api(&resource(kind)), config).applied_objects());
        tokio::spawn(async move {
            let mut reasons: Vec<String> = Vec::new();
            while let Some(object) = objects.next().await {
                let object = json!(object.expect("the API server is there"));
                let mut conditions = object["status"]["conditions"].as_array().into_iter().flatten();
                let Some(ready) = conditions.find(|condition| condition["type"] == "Ready") else { continue };
                let reason = ready["reason"].as_str().unwrap_or_default().to_owned();
                if reasons.last() != Some(&reason) {
                    reasons.push(reason);
                }
                if ready["status"] == "True" {
                    break;
                }
            }
            reasons
        })
    }

    /// Waits for an Event about an object, and answers its note.
    pub async fn sees_event(&self, name: &str, reason: &str) -> String {
        eventually(&format!("an Event {reason} about {name}"), || async {
            let events = self.events_about(name).await;
            let found = events.iter().find(|(told, _)| told == reason);
            found.map(|(_, note)| note.clone()).ok_or(format!("{events:?}"))
        })
        .await
    }

    /// Changes an object by a JSON merge patch, as `kubectl patch` does.
    pub async fn patch(&self, kind: &str, name: &str, patch: Value) {
        let patched = self.api(&resource(kind)).patch(name, &PatchParams::default(), &Patch::Merge(patch)).await;
        patched.unwrap_or_else(|error| panic!("patch {kind} {name}: {error}"));
    }

    /// Asks for a look now, by the annotation.
    pub async fn nudge(&self, kind: &str, name: &str) -> String {
        let value = format!("{:012x}", fastrand::u64(..1 << 48));
        let annotations = json!({"hubtwin.dev/reconcile-requested-at": value});
        self.patch(kind, name, json!({"metadata": {"annotations": annotations}})).await;
        value
    }

    /// The whole object.
    pub async fn get(&self, kind: &str, name: &str) -> Value {
        let found = self.api(&resource(kind)).get(name).await;
        json!(found.unwrap_or_else(|error| panic!("get {kind} {name}: {error}")))
    }

    /// All objects of a kind.
    pub async fn list(&self, kind: &str) -> Vec<Value> {
        let found = self.api(&resource(kind)).list(&kube::api::ListParams::default()).await;
        found
            .unwrap_or_else(|error| panic!("list {kind}: {error}"))
            .items
            .into_iter()
            .map(|object| json!(object))
            .collect()
    }

    /// Asks for a look now, with a value of one's own; an object that is gone asks for nothing.
    pub async fn ask_to_look(&self, kind: &str, name: &str, value: &str) {
        let patch = json!({"metadata": {"annotations": {"hubtwin.dev/reconcile-requested-at": value}}});
        let asked = self.api(&resource(kind)).patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await;
        match asked {
            Ok(_) => {}
            Err(kube::Error::Api(answer)) if answer.is_not_found() => {}
            Err(error) => panic!("annotate {kind} {name}: {error}"),
        }
    }

    /// Runs kubectl in the namespace.
    pub async fn kubectl(&self, arguments: &[&str]) -> Kubectl {
        self.kubectl_with("", arguments).await
    }

    /// Runs `kubectl apply -f -` with further arguments.
    pub async fn kubectl_apply(&self, manifest: &Manifest, further: &[&str]) -> Kubectl {
        let arguments: Vec<&str> = ["apply", "-f", "-"].iter().chain(further).copied().collect();
        self.kubectl_with(&manifest.0.to_string(), &arguments).await
    }

    /// Runs kubectl in the namespace with this on standard input.
    pub async fn kubectl_with(&self, input: &str, arguments: &[&str]) -> Kubectl {
        let arguments = ["-n", &self.namespace].iter().chain(arguments).map(|text| (*text).to_owned()).collect();
        let input = input.to_owned();
        tokio::task::spawn_blocking(move || kubectl(input, arguments)).await.expect("kubectl is run")
    }

    /// The Events about an object: reason and note.
    pub async fn events_about(&self, name: &str) -> Vec<(String, String)> {
        let api: Api<k8s_openapi::api::core::v1::Event> = Api::namespaced(self.client.clone(), &self.namespace);
        let listed = api.list(&kube::api::ListParams::default()).await.expect("Events are listed");
        let about = listed.items.into_iter().filter(|event| event.involved_object.name.as_deref() == Some(name));
        about.map(|event| (event.reason.unwrap_or_default(), event.message.unwrap_or_default())).collect()
    }
}

/// Installs the CRDs, once a process, as a user does, and answers what kubectl said on standard error.
pub fn crd_warnings() -> &'static str {
    static INSTALLED: OnceLock<String> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let folder = root().join("crds").display().to_string();
        let run = |arguments: &[&str]| {
            let arguments = arguments.iter().copied().chain(["-f", folder.as_str()]).map(ToOwned::to_owned).collect();
            let ran = kubectl(String::new(), arguments);
            assert!(ran.done, "{}", ran.stderr);
            ran.stderr
        };
        let warnings = run(&["apply"]);
        run(&["wait", "--for=condition=Established", "--timeout=30s", "--recursive=false"]);
        wait_until_published();
        warnings
    })
}

/// The schemas are published a moment after the kinds are established, and kubectl reads them.
fn wait_until_published() {
    let deadline = Instant::now() + Duration::from_secs(30);
    for kind in ["dt", "tq", "hub", "chub"] {
        loop {
            let explained = kubectl(String::new(), vec!["explain".to_owned(), kind.to_owned()]);
            if explained.done {
                break;
            }
            assert!(Instant::now() < deadline, "the schema of {kind} is not published: {}", explained.stderr);
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// The file that says where the API server is.
pub fn kubeconfig() -> String {
    std::env::var("HUBTWIN_TEST_KUBECONFIG").expect(
        "these tests need a control plane: run `make test`, or `tests/control-plane/run -- cargo test --test it`",
    )
}

fn kubectl(input: String, arguments: Vec<String>) -> Kubectl {
    let kubeconfig = kubeconfig();
    // What kubectl remembers of this server goes with it.
    let cache = Path::new(&kubeconfig).with_file_name("kubectl-cache");
    let mut child = Command::new("kubectl")
        .args(arguments)
        .env("KUBECONFIG", &kubeconfig)
        .env("KUBECACHEDIR", cache)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("kubectl is in PATH: run `make test`");
    let mut stdin = child.stdin.take().expect("standard input is a pipe");
    // kubectl may end without reading it.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().expect("kubectl ends");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Kubectl { done: output.status.success(), stdout: text(output.stdout), stderr: text(output.stderr) }
}
