//! An API server that holds objects of any kind in memory, many more than a real one does on a small machine: lists by
//! pages or as a stream, watches, reads, applies, merges. It checks no schema and no rights. Not for what an API server
//! decides: for what a client of a large one costs.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use futures::stream;
use http::{Method, StatusCode, header};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use self::route::{Question, Route};
use self::store::{Applied, Store};

mod route;
mod store;

/// The kinds that it says it serves.
const KINDS: [(&str, &str); 4] = [
    ("DeviceTwin", "devicetwins"),
    ("TwinQuery", "twinqueries"),
    ("HubConnection", "hubconnections"),
    ("ClusterHubConnection", "clusterhubconnections"),
];
/// The largest request.
const LARGEST: usize = 4 << 20;

/// A running server.
pub struct Replay {
    pub url: String,
    store: Arc<Store>,
    server: JoinHandle<()>,
}

impl Replay {
    /// Starts it on a port of its own.
    pub async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let store = Arc::new(Store::default());
        let router = axum::Router::new().fallback(answer).with_state(store.clone());
        let server = tokio::spawn(async move {
            // It serves until it is dropped.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { url, store, server })
    }

    /// Puts an object in place, as `kubectl apply` does. `collection` is `GROUP/VERSION/PLURAL`, without group for the core.
    pub fn put(&self, collection: &str, object: Value) {
        self.store.put(collection, object);
    }

    /// The object, if it is there.
    pub fn get(&self, collection: &str, namespace: &str, name: &str) -> Option<Value> {
        serde_json::from_slice(&self.store.get(collection, &store::key(namespace, name))?).ok()
    }

    /// Ends all watches with 410 Gone: whoever watches lists anew.
    pub fn cut(&self) {
        self.store.cut();
    }

    /// From now on no call is answered and no watch goes on, or all is well again.
    pub fn set_gone(&self, gone: bool) {
        self.store.set_gone(gone);
    }

    /// Calls so far, by `VERB PLURAL`, or `VERB PLURAL/SUBRESOURCE`. A list counts once a page.
    pub fn calls(&self) -> BTreeMap<String, u64> {
        self.store.calls()
    }

    /// Writes a kubeconfig that leads here.
    pub fn write_kubeconfig(&self, file: &Path) -> std::io::Result<()> {
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "replay", "cluster": {"server": self.url}}],
            "users": [{"name": "replay", "user": {}}],
            "contexts": [{"name": "replay", "context": {"cluster": "replay", "user": "replay"}}],
            "current-context": "replay",
        });
        std::fs::write(file, config.to_string())
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        self.server.abort();
        self.store.cut();
    }
}

async fn answer(State(store): State<Arc<Store>>, request: Request) -> Response {
    if store.is_gone() {
        // The connection breaks off in the middle.
        let broken = stream::once(async { Err::<Bytes, _>(std::io::Error::other("gone")) });
        return Body::from_stream(broken).into_response();
    }
    let method = request.method().clone();
    let is_apply = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| kind.contains("apply-patch"));
    let Some(Route { collection, key, subresource, namespace }) = Route::parse(request.uri().path()) else {
        return discovery(request.uri().path());
    };
    let mut question = Question::parse(request.uri().query().unwrap_or_default());
    question.prefix = namespace.map(|namespace| format!("{namespace}/")).unwrap_or_default();
    let verb = match (&method, &key) {
        (&Method::GET, None) if question.watch => "WATCH",
        (&Method::GET, None) => "LIST",
        (method, _) => method.as_str(),
    };
    store.count(verb, &collection, subresource.as_deref());
    match (verb, key) {
        ("WATCH", _) => watch(store, collection, question),
        ("LIST", _) => json_text(StatusCode::OK, store.list(&collection, &question)),
        ("GET", Some(key)) => match store.get(&collection, &key) {
            Some(object) => json_text(StatusCode::OK, object),
            None => failure(StatusCode::NOT_FOUND, "NotFound"),
        },
        ("DELETE", Some(key)) => {
            store.delete(&collection, &key);
            failure(StatusCode::OK, "Success")
        }
        ("POST" | "PUT" | "PATCH", key) => {
            let Ok(body) = axum::body::to_bytes(request.into_body(), LARGEST).await else {
                return failure(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge");
            };
            let Ok(body) = serde_json::from_slice(&body) else {
                return failure(StatusCode::BAD_REQUEST, "BadRequest");
            };
            write(&store, &method, &collection, key, subresource.as_deref(), is_apply, body)
        }
        _ => failure(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
    }
}

fn write(
    store: &Store,
    method: &Method,
    collection: &str,
    key: Option<String>,
    subresource: Option<&str>,
    is_apply: bool,
    body: Value,
) -> Response {
    let Some(key) = key else {
        return json_text(StatusCode::CREATED, store.put(collection, body));
    };
    let may_create = is_apply && subresource.is_none();
    match store.change(collection, &key, method == Method::PUT, subresource, may_create, body) {
        Applied::Changed(object) => json_text(StatusCode::OK, object),
        Applied::Conflict => failure(StatusCode::CONFLICT, "Conflict"),
        Applied::Missing => failure(StatusCode::NOT_FOUND, "NotFound"),
    }
}

/// Streams what happens, from the version that is named, or from all that there is.
fn watch(store: Arc<Store>, collection: String, question: Question) -> Response {
    let cursor = store.begin(&question);
    let lines = stream::unfold((store, collection, cursor), |(store, collection, mut cursor)| async move {
        let lines = store.follow(&collection, &mut cursor).await?;
        Some((Ok::<Bytes, Infallible>(lines), (store, collection, cursor)))
    });
    let kind = (header::CONTENT_TYPE, "application/json");
    (StatusCode::OK, [kind], Body::from_stream(lines)).into_response()
}

fn discovery(path: &str) -> Response {
    let verbs = ["get", "list", "watch", "create", "patch", "update", "delete"];
    let resource = |(kind, plural): (&str, &str)| json!({"name": plural, "singularName": "", "namespaced": !kind.starts_with("Cluster"), "kind": kind, "verbs": verbs});
    match path {
        "/apis/hubtwin.dev/v1alpha1" => {
            let resources: Vec<Value> = KINDS.into_iter().map(resource).collect();
            let list = json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "hubtwin.dev/v1alpha1", "resources": resources});
            json_text(StatusCode::OK, Bytes::from(list.to_string()))
        }
        "/version" => json_text(StatusCode::OK, Bytes::from(r#"{"major":"1","minor":"34","gitVersion":"v1.34.0"}"#)),
        _ => failure(StatusCode::NOT_FOUND, "NotFound"),
    }
}

fn json_text(status: StatusCode, text: Bytes) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], text).into_response()
}

fn failure(code: StatusCode, reason: &str) -> Response {
    json_text(code, Bytes::from(store::status(code.as_u16(), reason).to_string()))
}
