//! One bounded HTTPS exchange.

use std::error::Error as StdError;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Certificate, Method, StatusCode};
use serde_json::Value;

use super::answer::{self, Refusal};
use super::auth::{Auth, Credential};
use super::error::{Error, Failure, Kind};
use super::host::Host;
use super::observe::{Observer, Operation, Outcome, Watch};
use crate::twin::id::TwinId;

/// The service API that this client speaks: the current one of the public SDKs. It allows arrays.
const API_VERSION: &str = "2021-04-12";
/// Connecting takes no longer than this, and never longer than the whole call.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Idle connections are closed before the hub's gateways and the usual firewalls forget them.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// The largest answer that is read. A twin is under 1 MiB with all its metadata; a page of 100 twins rarely nears this.
const LARGEST_ANSWER: usize = 8 * 1024 * 1024;

/// How to reach a hub.
#[derive(Clone)]
pub struct Settings {
    /// The hub.
    pub host: Host,
    /// Who we are to it.
    pub credential: Credential,
    /// Root certificates in PEM, taken beside those of the system.
    pub extra_root_pem: Option<Vec<u8>>,
    /// The longest that one call may take, from connecting to the last byte of the answer.
    pub timeout: Duration,
    /// Told about each call.
    pub observer: Option<Observer>,
}

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The extra root certificates are not PEM, or hold none.
    #[error("the extra root certificates are no certificates in PEM")]
    Roots(#[source] Option<reqwest::Error>),
    /// The TLS library refuses its settings.
    #[error("the HTTPS client cannot be set up")]
    Setup(#[source] reqwest::Error),
}

impl Settings {
    /// Settings with the default time limit of 10 s, no extra roots and no observer.
    #[must_use]
    pub fn new(host: Host, credential: Credential) -> Self {
        Self { host, credential, extra_root_pem: None, timeout: Duration::from_secs(10), observer: None }
    }
}

/// A request, without what all requests have in common.
pub(super) struct Request<'a> {
    pub(super) operation: Operation,
    pub(super) subject: Option<&'a TwinId>,
    pub(super) method: Method,
    /// Starts with `/`; encoded.
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Value>,
}

/// A success: its headers and body.
pub(super) struct Success {
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

pub(super) struct Transport {
    http: reqwest::Client,
    host: Host,
    auth: Auth,
    timeout: Duration,
    observer: Option<Observer>,
}

impl Transport {
    pub(super) fn new(settings: Settings) -> Result<Self, ClientError> {
        let Settings { host, credential, extra_root_pem, timeout, observer } = settings;
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("hubtwin/", env!("CARGO_PKG_VERSION")))
            .https_only(true)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .connect_timeout(CONNECT_TIMEOUT.min(timeout))
            .pool_idle_timeout(IDLE_TIMEOUT)
            .timeout(timeout);
        if let Some(pem) = extra_root_pem {
            let roots = Certificate::from_pem_bundle(&pem).map_err(|error| ClientError::Roots(Some(error)))?;
            if roots.is_empty() {
                return Err(ClientError::Roots(None));
            }
            builder = builder.tls_certs_merge(roots);
        }
        let http = builder.build().map_err(ClientError::Setup)?;
        let auth = Auth::new(host.name().to_owned(), credential);
        Ok(Self { http, host, auth, timeout, observer })
    }

    pub(super) fn host(&self) -> &Host {
        &self.host
    }

    /// Sends a request and hands its answer to `read`. The call's one outcome covers both; a tally gets the answer's bytes.
    pub(super) async fn call<T>(
        &self,
        request: Request<'_>,
        tally: Option<&AtomicUsize>,
        read: impl FnOnce(Success) -> Result<T, Failure>,
    ) -> Result<T, Error> {
        let (operation, subject) = (request.operation, request.subject);
        let mut watch = Watch::start(self.observer.as_ref(), operation);
        let result = self.exchange(request, &mut watch.answer_bytes).await.and_then(read);
        if let Some(tally) = tally {
            tally.fetch_add(watch.answer_bytes, Ordering::Relaxed);
        }
        watch.end(result.as_ref().map_or_else(Failure::outcome, |_| Outcome::Ok));
        result.map_err(|failure| Error::new(operation, subject, failure))
    }

    async fn exchange(&self, request: Request<'_>, read: &mut usize) -> Result<Success, Failure> {
        let url = format!("https://{}{}?api-version={API_VERSION}", self.host, request.path);
        let token = self.auth.header(SystemTime::now());
        let token = token.ok_or_else(|| Failure::new(Kind::Unauthorized, "the signature holds what no header can"))?;
        let mut builder = self.http.request(request.method, url).headers(request.headers).header(AUTHORIZATION, token);
        if let Some(body) = &request.body {
            builder = builder.json(body);
        }
        let mut answer = builder.send().await.map_err(|error| self.broken(error))?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| self.broken(error))? {
            *read += chunk.len();
            if *read > LARGEST_ANSWER {
                return Err(Failure::new(Kind::Unreachable, "an answer that is too large to be the hub's"));
            }
            body.extend_from_slice(&chunk);
        }
        let status = answer.status();
        // A read answered by 204 has nothing to read; it is told by whoever parses the body.
        if matches!(status, StatusCode::OK | StatusCode::CREATED | StatusCode::NO_CONTENT) {
            return Ok(Success { headers: answer.headers().clone(), body });
        }
        let header = |name: HeaderName| answer.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        Err(answer::failure(Refusal {
            status: status.as_u16(),
            code_header: header(HeaderName::from_static("iothub-errorcode")),
            retry_after: header(RETRY_AFTER),
            body: &body,
        }))
    }

    /// The failure of an exchange that had no whole answer. The URL is left out: the operation and its subject say it.
    fn broken(&self, error: reqwest::Error) -> Failure {
        let error = error.without_url();
        let mut failure = if error.is_connect() && is_tls(&error) {
            Failure::new(Kind::Tls, format!("no trusted connection to {}", self.host))
        } else if error.is_timeout() {
            Failure::new(Kind::Unreachable, format!("no answer from {} within {:?}", self.host, self.timeout))
        } else if error.is_connect() {
            Failure::new(Kind::Unreachable, format!("cannot connect to {}", self.host))
        } else {
            Failure::new(Kind::Unreachable, format!("the connection to {} broke", self.host))
        };
        failure.timed_out = error.is_timeout();
        failure.because(error)
    }
}

/// Whether TLS itself failed, at any depth. An [`io::Error`] does not name the error it wraps as its source.
fn is_tls(error: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<rustls::Error>() {
            return true;
        }
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match wrapped {
            Some(inner) => Some(inner as &(dyn StdError + 'static)),
            None => error.source(),
        };
    }
    false
}
