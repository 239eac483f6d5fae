//! The way from the operator to the API server: sees every write, loses some, and is where operators die.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::{Body as Answer, Bytes, to_bytes};
use futures::{FutureExt as _, StreamExt as _};
use http::{Method, Request, Response, StatusCode};
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::client::{Body, DynBody};
use kube::core::ApiResource;
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tower::{BoxError, Layer, Service};

use super::ground::Order;
use super::log::{Log, StatusWrite};
use super::tree::same;

const LARGEST: usize = 4 * 1024 * 1024;

/// What happens to a status write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The operator dies; the write never reaches the API server.
    CrashBefore,
    /// The API server takes it; the operator dies before the answer.
    CrashAfter,
    /// It never arrives.
    LostBefore,
    /// The API server takes it; the answer is lost.
    LostAfter,
    /// The API server has a bad moment.
    Refused,
    /// Somebody else writes the object first.
    Conflict,
}

impl Fault {
    pub fn name(self) -> String {
        format!("API server: {self:?}")
    }
}

/// Shared by all operators of a ground, one after another.
pub struct ApiServer {
    pub log: Arc<Log>,
    pub orders: UnboundedSender<Order>,
    /// Not the operator's.
    pub client: kube::Client,
    pub namespace: String,
    pub kind: ApiResource,
    traps: Mutex<VecDeque<(String, Fault)>>,
    /// The kind of which nothing is told now, in the plural of its path.
    held: watch::Sender<Option<String>>,
    /// A text, and what is read in its place.
    spoilt: Mutex<Option<(String, String)>>,
}

impl ApiServer {
    pub fn new(
        log: Arc<Log>,
        orders: UnboundedSender<Order>,
        client: kube::Client,
        namespace: String,
        kind: ApiResource,
    ) -> Arc<Self> {
        Arc::new(Self {
            log,
            orders,
            client,
            namespace,
            kind,
            traps: Mutex::default(),
            spoilt: Mutex::default(),
            held: watch::Sender::default(),
        })
    }

    /// The next write of this object's status meets the fault.
    pub fn set(&self, object: &str, fault: Fault) {
        self.traps().push_back((object.to_owned(), fault));
    }

    /// Lists of this kind are not answered, and watches of it say nothing, until all is let go.
    pub fn hold(&self, plural: &str) {
        self.held.send_replace(Some(plural.to_owned()));
    }

    /// From now on the operator reads another text in lists and watches, where it is within one piece.
    pub fn spoil(&self, text: &str, other: &str) {
        *self.spoilt.lock().unwrap_or_else(PoisonError::into_inner) = Some((text.to_owned(), other.to_owned()));
    }

    fn spoilt(&self, piece: Bytes) -> Bytes {
        match &*self.spoilt.lock().unwrap_or_else(PoisonError::into_inner) {
            Some((text, other)) => String::from_utf8_lossy(&piece).replace(text, other).into(),
            None => piece,
        }
    }

    pub fn let_go(&self) {
        self.held.send_replace(None);
    }

    /// Takes back what did not happen.
    pub fn clear(&self, object: &str) {
        self.traps().retain(|(name, _)| name != object);
    }

    fn traps(&self) -> MutexGuard<'_, VecDeque<(String, Fault)>> {
        self.traps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn strike(&self, object: &str) -> Option<Fault> {
        let mut traps = self.traps();
        let at = traps.iter().position(|(name, _)| name == object)?;
        let (_, fault) = traps.remove(at)?;
        drop(traps);
        self.log.hit(&fault.name());
        Some(fault)
    }

    fn crash(&self) {
        self.log.let_live(0);
        let _ = self.orders.send(Order::Crash);
    }

    /// Finds out about status writes whose operator died before it heard an answer.
    pub async fn find_out(&self) {
        let open: Vec<StatusWrite> =
            self.log.records().status_writes.iter().filter(|write| write.open).cloned().collect();
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &self.namespace, &self.kind);
        for write in open {
            let object = api.get_opt(&write.object).await.expect("the API server answers").map(|object| json!(object));
            let object = object.unwrap_or(Value::Null);
            let uid = object["metadata"]["uid"].as_str().filter(|_| same(&object["status"], &write.status));
            self.log.answered(write.asked, uid.map(ToOwned::to_owned));
        }
    }

    /// Somebody writes a label, which is nobody's business, and the object's resourceVersion moves.
    async fn touch(&self, object: &str) {
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &self.namespace, &self.kind);
        let patch = json!({"metadata": {"labels": {"touched": self.log.tick().to_string()}}});
        // It may be gone by now.
        let _ = api.patch(object, &PatchParams::default(), &Patch::Merge(patch)).await;
    }
}

/// Puts one operator behind the gate.
#[derive(Clone)]
pub struct Gate {
    pub api: Arc<ApiServer>,
    pub operator: u64,
}

impl<S> Layer<S> for Gate {
    type Service = Gated<S>;

    fn layer(&self, inner: S) -> Gated<S> {
        Gated { gate: self.clone(), inner }
    }
}

pub struct Gated<S> {
    gate: Gate,
    inner: S,
}

impl<S> Service<Request<Body>> for Gated<S>
where
    S: Service<Request<Body>, Response = Response<Box<DynBody>>, Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = Response<Answer>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Answer>, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let gate = self.gate.clone();
        if gate.api.log.alive() != gate.operator {
            return std::future::pending().boxed();
        }
        // A connection's status may still tell what moved before: how far the feed is, which is saved once a minute.
        let late = request.uri().path().contains("/hubconnections/");
        if request.method() != Method::GET && !late {
            gate.api.log.count_write();
        }
        let write = status_of(&request);
        let path = request.uri().path().to_owned();
        let reads_all = request.method() == Method::GET;
        // Nothing is sent before this is polled.
        let sending = self.inner.call(request);
        match write {
            None if reads_all => async move { gate.read(path, sending).await }.boxed(),
            None => sending.map(|answer| answer.map(|answer| answer.map(Answer::new))).boxed(),
            Some((object, status)) => async move { gate.status_write(object, status, sending).await }.boxed(),
        }
    }
}

/// The name and the status, if this writes the status of a DeviceTwin.
fn status_of(request: &Request<Body>) -> Option<(String, Value)> {
    let name = request.uri().path().split_once("/devicetwins/")?.1.strip_suffix("/status")?;
    let body = request.body().try_clone()?.collect_bytes().now_or_never()?.ok()?;
    let sent: Value = serde_json::from_slice(&body).ok()?;
    Some((name.to_owned(), sent["status"].clone()))
}

impl Gate {
    /// Lists and watches, which may be held back.
    async fn read(
        &self,
        path: String,
        sending: impl Future<Output = Result<Response<Box<DynBody>>, BoxError>> + Send,
    ) -> Result<Response<Answer>, BoxError> {
        let mut held = self.api.held.subscribe();
        let free = move |held: &Option<String>| held.as_ref().is_none_or(|plural| !path.ends_with(plural.as_str()));
        // The sender lives as long as this does.
        let _ = held.wait_for(&free).await;
        let answer = sending.await?;
        let (gate, api) = ((held, Arc::new(free)), self.api.clone());
        Ok(answer.map(|body| {
            let told = Answer::new(body).into_data_stream().then(move |piece| {
                let ((mut held, free), api) = (gate.clone(), api.clone());
                async move {
                    let _ = held.wait_for(&*free).await;
                    piece.map(|piece| api.spoilt(piece))
                }
            });
            Answer::from_stream(told)
        }))
    }

    async fn status_write(
        &self,
        object: String,
        status: Value,
        sending: impl Future<Output = Result<Response<Box<DynBody>>, BoxError>> + Send,
    ) -> Result<Response<Answer>, BoxError> {
        self.api.log.touch(self.operator, &object);
        let asked = self.api.log.tick();
        let fault = self.api.strike(&object);
        let told = status["conditions"][0]["reason"].as_str().map(ToOwned::to_owned);
        self.api.log.records().status_writes.push(StatusWrite {
            operator: self.operator,
            object: object.clone(),
            asked,
            answered: asked,
            status,
            landed: None,
            open: !matches!(fault, Some(Fault::CrashBefore | Fault::LostBefore | Fault::Refused)),
        });
        match fault {
            Some(Fault::CrashBefore) => {
                self.api.crash();
                return std::future::pending().await;
            }
            Some(Fault::LostBefore) => return Err(lost()),
            Some(Fault::Refused) => return Ok(refused()),
            Some(Fault::Conflict) => self.api.touch(&object).await,
            Some(Fault::CrashAfter | Fault::LostAfter) | None => {}
        }
        let (head, body) = sending.await?.into_parts();
        let bytes = to_bytes(Answer::new(body), LARGEST).await?;
        let answer: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        let uid = answer["metadata"]["uid"].as_str().filter(|_| head.status.is_success()).map(ToOwned::to_owned);
        self.api.log.answered(asked, uid);
        self.api.log.hit(&format!("status write {}", head.status.as_u16()));
        if let Some(reason) = told {
            self.api.log.hit(&format!("told: {reason}"));
        }
        match fault {
            Some(Fault::CrashAfter) => {
                self.api.crash();
                std::future::pending().await
            }
            Some(Fault::LostAfter) => Err(lost()),
            _ => Ok(Response::from_parts(head, Answer::from(bytes))),
        }
    }
}

fn lost() -> BoxError {
    io::Error::new(io::ErrorKind::ConnectionReset, "asked for by a test").into()
}

fn refused() -> Response<Answer> {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "InternalError",
        "message": "asked for by a test", "code": 500});
    let mut response = Response::new(Answer::from(status.to_string()));
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response
}
