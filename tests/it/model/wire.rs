//! The way from the operator to the hub: sees every call, and does to it what networks and hubs do on a bad day.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls_pki_types::PrivatePkcs8KeyDer;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::UnboundedSender;
use tokio_rustls::TlsAcceptor;

use super::back_end::BackEnd;
use super::ground::Order;
use super::log::{Log, Tick, TwinWrite, Who};

/// How rounds of the feed are counted, by their query for devices.
pub const SWEEP: &str = "read: sweep";
pub const POLL: &str = "read: poll";
const LARGEST: usize = 8 * 1024 * 1024;

/// A call of the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Get,
    Patch,
    Query,
}

/// What happens to it.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// None: this call is answered as ever.
    Served,
    /// The operator dies; the call never reaches the hub.
    CrashBefore,
    /// The hub carries it out; the operator dies before the answer.
    CrashAfter,
    CutBefore,
    /// The hub carries it out; the answer is lost.
    CutAfter,
    /// Half an answer.
    Truncated,
    Status(u16),
    /// The hub carries it out; the answer takes longer than the operator waits.
    Late,
    /// Takes its time.
    Slow,
    /// Another back end is faster: this patch lands first.
    Overtaken(Value),
    /// A query's answer: these rows, however old.
    Rows(Value),
}

impl Fault {
    pub fn name(&self) -> String {
        match self {
            Self::Status(status) => format!("hub: {status}"),
            Self::Rows(_) => "hub: old rows".to_owned(),
            Self::Overtaken(_) => "hub: another back end writes between read and write (412)".to_owned(),
            other => format!("hub: {other:?}"),
        }
    }
}

struct Trap {
    twin: String,
    call: Call,
    fault: Fault,
}

pub struct Wire {
    pub port: u16,
    pub ca_pem: String,
    shared: Arc<Shared>,
}

struct Shared {
    back_end: Arc<BackEnd>,
    log: Arc<Log>,
    orders: UnboundedSender<Order>,
    traps: Mutex<VecDeque<Trap>>,
    patience: Duration,
}

/// Ends a connection without an answer.
#[derive(Debug, thiserror::Error)]
#[error("cut")]
struct Cut;

/// One call of the operator, whole.
struct Asked {
    operator: u64,
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
    twin: String,
    call: Option<Call>,
    at: Tick,
}

impl Wire {
    /// A way to the hub that `back_end` knows; an operator gives up a call after `patience`.
    pub async fn to(back_end: Arc<BackEnd>, log: Arc<Log>, orders: UnboundedSender<Order>, patience: Duration) -> Self {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate can be made");
        let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key.into())
            .expect("the key is the certificate's");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let shared = Arc::new(Shared { back_end, log, orders, traps: Mutex::default(), patience });
        let accepting = shared.clone();
        tokio::spawn(async move {
            loop {
                if let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(accepting.clone(), acceptor.clone(), stream));
                }
            }
        });
        Self { port, ca_pem: cert.pem(), shared }
    }

    /// The next such call about this twin meets the fault. Of faults of queries, which hit everybody, one waits at a time:
    /// else the hub is down for good.
    pub fn set(&self, twin: &str, call: Call, fault: Fault) {
        if call == Call::Query {
            self.clear(twin);
        }
        self.shared.traps().push_back(Trap { twin: twin.to_owned(), call, fault });
    }

    /// Takes back what did not happen, of one twin or, with `""`, of queries.
    pub fn clear(&self, twin: &str) {
        self.shared.traps().retain(|trap| trap.twin != twin);
    }
}

async fn serve(shared: Arc<Shared>, acceptor: TlsAcceptor, stream: TcpStream) {
    // A client that goes away is none of our trouble.
    let _ = stream.set_nodelay(true);
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let service = service_fn(|request| answer(shared.clone(), request));
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Body>, Cut> {
    let operator = shared.log.alive();
    if operator == 0 {
        return std::future::pending().await;
    }
    let (head, body) = request.into_parts();
    let body = to_bytes(Body::new(body), LARGEST).await.map_err(|_| Cut)?;
    let (twin, call) = about(&head.method, head.uri.path());
    let path = head.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned();
    let asked =
        Asked { operator, method: head.method, path, headers: head.headers, body, twin, call, at: shared.log.tick() };
    // What was sent arrives, whatever becomes of the sender.
    tokio::spawn(async move { shared.carry(asked).await }).await.map_err(|_| Cut)?
}

fn about(method: &Method, path: &str) -> (String, Option<Call>) {
    if path == "/devices/query" {
        return (String::new(), Some(Call::Query));
    }
    let keys: Vec<&str> = path.split('/').skip(1).collect();
    let twin = match keys[..] {
        ["twins", device] => device.to_owned(),
        ["twins", device, "modules", module] => format!("{device}/{module}"),
        _ => return (path.to_owned(), None),
    };
    let call = if method == Method::GET { Call::Get } else { Call::Patch };
    (twin, Some(call))
}

impl Shared {
    fn traps(&self) -> std::sync::MutexGuard<'_, VecDeque<Trap>> {
        self.traps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn strike(&self, asked: &Asked) -> Option<Fault> {
        let mut traps = self.traps();
        let at = traps.iter().position(|trap| Some(trap.call) == asked.call && trap.twin == asked.twin)?;
        let fault = traps.remove(at)?.fault;
        drop(traps);
        self.log.hit(&fault.name());
        Some(fault)
    }

    async fn carry(&self, asked: Asked) -> Result<Response<Body>, Cut> {
        if asked.call != Some(Call::Query) {
            self.log.touch(asked.operator, &asked.twin);
        }
        if asked.method != Method::GET && asked.call != Some(Call::Query) {
            self.log.count_write();
        }
        if asked.call == Some(Call::Query) {
            let text = String::from_utf8_lossy(&asked.body);
            if !text.contains("FROM devices.modules") {
                self.log.hit(if text.contains("SELECT deviceId, moduleId, etag") { SWEEP } else { POLL });
            }
        }
        let fault = self.strike(&asked);
        match &fault {
            Some(Fault::CrashBefore) => {
                self.crash();
                return std::future::pending().await;
            }
            Some(Fault::CutBefore) => return Err(Cut),
            Some(Fault::Status(status)) => return Ok(refusal(*status)),
            Some(Fault::Rows(rows)) => return Ok(page(rows)),
            Some(Fault::Slow) => tokio::time::sleep(self.patience / 4).await,
            Some(Fault::Overtaken(patch)) => {
                // The twin may be gone: then nobody is faster.
                let _ = self.back_end.patch(&asked.twin, patch.clone()).await;
            }
            Some(Fault::Served | Fault::CrashAfter | Fault::CutAfter | Fault::Truncated | Fault::Late) | None => {}
        }
        let lost = matches!(fault, Some(Fault::CrashAfter | Fault::CutAfter | Fault::Truncated | Fault::Late));
        let answer = self.forward(&asked, !lost).await?;
        match fault {
            Some(Fault::CrashAfter) => {
                self.crash();
                std::future::pending().await
            }
            Some(Fault::CutAfter) => Err(Cut),
            Some(Fault::Late) => {
                tokio::time::sleep(self.patience * 2).await;
                Err(Cut)
            }
            Some(Fault::Truncated) => Ok(truncated(answer)),
            _ => Ok(answer.into_response()),
        }
    }

    /// From this moment nothing of the operator gets through.
    fn crash(&self) {
        self.log.let_live(0);
        let _ = self.orders.send(Order::Crash);
    }

    async fn forward(&self, asked: &Asked, delivered: bool) -> Result<Answer, Cut> {
        let Asked { operator, method, path, headers, body, twin, call, at } = asked;
        let writes = !matches!(call, Some(Call::Get | Call::Query));
        let answer = self.back_end.raw(method.clone(), path, headers, body.clone()).await.ok_or(Cut)?;
        if writes {
            let if_match = headers.get(header::IF_MATCH).and_then(|value| value.to_str().ok()).map(ToOwned::to_owned);
            let sent: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
            if *call != Some(Call::Patch) || *method != Method::PATCH {
                self.log.wrong(format!("the operator asks {method} {path}"));
            }
            if !if_match.as_deref().is_some_and(is_quoted_etag) {
                self.log.wrong(format!("a PATCH of {twin} with If-Match {if_match:?}: {sent}"));
            }
            let status = answer.status.as_u16();
            let after = answer.status.is_success().then(|| serde_json::from_slice(&answer.body).unwrap_or(Value::Null));
            self.log.hit(&format!("PATCH {status}"));
            self.log.records().twin_writes.push(TwinWrite {
                who: Who::Operator(*operator),
                twin: twin.clone(),
                asked: *at,
                answered: self.log.tick(),
                replaces: false,
                body: sent,
                status,
                after,
                delivered,
            });
        }
        Ok(answer)
    }
}

/// In double quotes, and a certain one: not `*`.
fn is_quoted_etag(text: &str) -> bool {
    text.len() > 3 && text.starts_with('"') && text.ends_with('"') && text != "\"*\""
}

/// A whole answer of the hub.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

/// The length of the whole, and half of it.
fn truncated(answer: Answer) -> Response<Body> {
    let half = answer.body.slice(..answer.body.len() / 2);
    let length = answer.body.len();
    let parts = futures::stream::iter([Ok(half), Err(std::io::Error::other("cut"))]);
    let mut response = Response::new(Body::from_stream(parts));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    response
}

fn page(rows: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(rows.to_string()));
    response.headers_mut().insert("x-ms-item-type", header::HeaderValue::from_static("Twin"));
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}

fn refusal(status: u16) -> Response<Body> {
    let code = match status {
        412 => "PreconditionFailed",
        429 => "ThrottlingException",
        503 => "ServiceUnavailable",
        _ => "ServerError",
    };
    let body = json!({"Message": format!("ErrorCode:{code};asked for by a test"), "ExceptionMessage": ""});
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}
