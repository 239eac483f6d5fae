//! The calls: twins, queries, identities.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, IF_MATCH};
use serde_json::{Value, json};

use super::error::{Error, Failure, Kind};
use super::host::Host;
use super::observe::Operation;
use super::transport::{ClientError, Request, Settings, Success, Transport};
use super::wire::{BadRow, Identity};
use crate::sas::percent_encode;
use crate::twin::document::Object;
use crate::twin::id::{DeviceId, TwinId};
use crate::twin::view::{Etag, Twin};

const ITEM_TYPE: HeaderName = HeaderName::from_static("x-ms-item-type");
const CONTINUATION: HeaderName = HeaderName::from_static("x-ms-continuation");
const PAGE_SIZE: HeaderName = HeaderName::from_static("x-ms-max-item-count");

/// A hub's service API. Clones share connections.
#[derive(Clone)]
pub struct Client {
    transport: Arc<Transport>,
    tally: Option<Tally>,
}

/// The bytes of answers.
pub(super) type Tally = Arc<AtomicUsize>;

/// What a write changes, as merge patches; `null` removes a key. An absent section is left alone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TwinPatch {
    /// The patch of the tags.
    pub tags: Option<Object>,
    /// The patch of the desired properties; the device is notified of it, also when nothing differs.
    pub desired: Option<Object>,
}

/// The state that a twin must be in for a write to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfMatch<'a> {
    /// Just as it was read.
    Etag(&'a Etag),
    /// Any.
    Any,
}

/// Where the next page of a query begins. Goes back with the same query and page size.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Continuation(HeaderValue);

/// One page of a query's rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The rows; there may be none on a page that is not the last.
    pub rows: Vec<Value>,
    /// What the hub calls them: `Twin` for `SELECT *`, `Raw` for projections and aggregates.
    pub item_type: String,
    /// Where the next page begins; `None` after the last.
    pub continuation: Option<Continuation>,
}

impl Client {
    /// A client of the hub; connects with the first call.
    ///
    /// # Errors
    ///
    /// When the extra root certificates are none, or the system has no root certificates at all.
    pub fn new(settings: Settings) -> Result<Self, ClientError> {
        Transport::new(settings).map(|transport| Self { transport: Arc::new(transport), tally: None })
    }

    /// The hub's host.
    #[must_use]
    pub fn host(&self) -> &Host {
        self.transport.host()
    }

    /// The same client, which adds the bytes of its answers to a tally.
    pub(super) fn tallied(&self, tally: &Tally) -> Self {
        Self { transport: self.transport.clone(), tally: Some(tally.clone()) }
    }

    async fn call<T>(
        &self,
        request: Request<'_>,
        read: impl FnOnce(Success) -> Result<T, Failure>,
    ) -> Result<T, Error> {
        self.transport.call(request, self.tally.as_deref(), read).await
    }

    /// Reads a twin.
    ///
    /// # Errors
    ///
    /// See [`Kind`].
    pub async fn get_twin(&self, id: &TwinId) -> Result<Twin, Error> {
        let request = Request {
            operation: Operation::GetTwin,
            subject: Some(id),
            method: Method::GET,
            path: twin_path(id),
            headers: HeaderMap::new(),
            body: None,
        };
        self.call(request, |success| read_twin(success, id)).await
    }

    /// Patches tags and desired properties in one write, and gives the twin after it.
    ///
    /// # Errors
    ///
    /// See [`Kind`]. After [`Kind::Unreachable`] the write may have been carried out.
    pub async fn patch_twin(&self, id: &TwinId, patch: &TwinPatch, if_match: IfMatch<'_>) -> Result<Twin, Error> {
        let TwinPatch { tags, desired } = patch;
        let mut body = Object::new();
        if let Some(tags) = tags {
            body.insert("tags".to_owned(), Value::Object(tags.clone()));
        }
        if let Some(desired) = desired {
            body.insert("properties".to_owned(), json!({"desired": desired}));
        }
        let mut headers = HeaderMap::new();
        let precondition =
            precondition(if_match).map_err(|failure| Error::new(Operation::PatchTwin, Some(id), failure))?;
        headers.insert(IF_MATCH, precondition);
        let request = Request {
            operation: Operation::PatchTwin,
            subject: Some(id),
            method: Method::PATCH,
            path: twin_path(id),
            headers,
            body: Some(Value::Object(body)),
        };
        self.call(request, |success| read_twin(success, id)).await
    }

    /// Reads one page of a query. The hub's index lags behind its twins, by seconds as a rule.
    ///
    /// # Errors
    ///
    /// See [`Kind`]; a query that the hub does not understand is [`Kind::BadRequest`].
    pub async fn query(&self, query: &str, page_size: u32, continuation: Option<&Continuation>) -> Result<Page, Error> {
        let mut headers = HeaderMap::new();
        headers.insert(PAGE_SIZE, HeaderValue::from(page_size));
        if let Some(Continuation(token)) = continuation {
            headers.insert(CONTINUATION, token.clone());
        }
        let request = Request {
            operation: Operation::Query,
            subject: None,
            method: Method::POST,
            path: "/devices/query".to_owned(),
            headers,
            body: Some(json!({"query": query})),
        };
        let read = |success| read_page(success).and_then(|page| leads_on(page, continuation));
        self.call(request, read).await
    }

    /// Reads an identity, its key included.
    ///
    /// # Errors
    ///
    /// See [`Kind`].
    pub async fn get_identity(&self, id: &TwinId) -> Result<Identity, Error> {
        let request = Request {
            operation: Operation::GetIdentity,
            subject: Some(id),
            method: Method::GET,
            path: identity_path(id),
            headers: HeaderMap::new(),
            body: None,
        };
        self.call(request, |success| read_identity(success, id)).await
    }

    /// Creates an identity with keys that the hub makes; its twin comes with it.
    ///
    /// # Errors
    ///
    /// See [`Kind`]; [`Kind::Conflict`] when it exists.
    pub async fn create_identity(&self, id: &TwinId) -> Result<Identity, Error> {
        let request = Request {
            operation: Operation::CreateIdentity,
            subject: Some(id),
            method: Method::PUT,
            path: identity_path(id),
            headers: HeaderMap::new(),
            body: Some(Identity::new_body(id)),
        };
        self.call(request, |success| read_identity(success, id)).await
    }

    /// Deletes an identity in whatever state, with its twin and, for a device, its modules.
    ///
    /// # Errors
    ///
    /// See [`Kind`].
    pub async fn delete_identity(&self, id: &TwinId) -> Result<(), Error> {
        let mut headers = HeaderMap::new();
        headers.insert(IF_MATCH, HeaderValue::from_static("\"*\""));
        let request = Request {
            operation: Operation::DeleteIdentity,
            subject: Some(id),
            method: Method::DELETE,
            path: identity_path(id),
            headers,
            body: None,
        };
        self.call(request, |_| Ok(())).await
    }

    /// [`Client::get_identity`] of a device.
    ///
    /// # Errors
    ///
    /// See [`Kind`].
    pub async fn get_device(&self, id: &DeviceId) -> Result<Identity, Error> {
        self.get_identity(&TwinId::device(id.clone())).await
    }

    /// [`Client::create_identity`] of a device.
    ///
    /// # Errors
    ///
    /// See [`Kind`].
    pub async fn create_device(&self, id: &DeviceId) -> Result<Identity, Error> {
        self.create_identity(&TwinId::device(id.clone())).await
    }

    /// [`Client::delete_identity`] of a device.
    ///
    /// # Errors
    ///
    /// See [`Kind`].
    pub async fn delete_device(&self, id: &DeviceId) -> Result<(), Error> {
        self.delete_identity(&TwinId::device(id.clone())).await
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("host", self.host()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Continuation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Continuation({} bytes)", self.0.len())
    }
}

fn twin_path(id: &TwinId) -> String {
    let device = percent_encode(id.device_id.as_str());
    match id.module() {
        None => format!("/twins/{device}"),
        Some(module) => format!("/twins/{device}/modules/{}", percent_encode(module)),
    }
}

fn identity_path(id: &TwinId) -> String {
    let device = percent_encode(id.device_id.as_str());
    match id.module() {
        None => format!("/devices/{device}"),
        Some(module) => format!("/devices/{device}/modules/{}", percent_encode(module)),
    }
}

/// Always in double quotes: the hub silently ignores a bare etag, and the write would be unconditional.
fn precondition(if_match: IfMatch<'_>) -> Result<HeaderValue, Failure> {
    let text = match if_match {
        IfMatch::Etag(etag) => format!("\"{etag}\""),
        IfMatch::Any => "\"*\"".to_owned(),
    };
    HeaderValue::try_from(text).map_err(|_| Failure::new(Kind::BadRequest, "the etag holds what no header can"))
}

fn not_the_hubs(error: impl std::error::Error + Send + Sync + 'static) -> Failure {
    Failure::new(Kind::Unreachable, "an answer that is not the hub's").because(error)
}

fn read_json(body: &[u8]) -> Result<Value, Failure> {
    serde_json::from_slice(body).map_err(not_the_hubs)
}

/// An answer about another twin than the one asked for is nobody's to act on: a confused cache stands in between.
fn same(found: &TwinId, asked: &TwinId) -> Result<(), Failure> {
    if found == asked {
        return Ok(());
    }
    Err(Failure::new(Kind::Unreachable, format!("an answer about {found}")))
}

fn read_twin(success: Success, id: &TwinId) -> Result<Twin, Failure> {
    let twin = Twin::from_row(read_json(&success.body)?).map_err(not_the_hubs)?;
    same(&twin.id, id).map(|()| twin)
}

fn read_identity(success: Success, id: &TwinId) -> Result<Identity, Failure> {
    let identity = Identity::from_answer(read_json(&success.body)?).map_err(not_the_hubs)?;
    same(&identity.id, id).map(|()| identity)
}

/// A page that leads back to itself would be read for ever.
fn leads_on(page: Page, from: Option<&Continuation>) -> Result<Page, Failure> {
    match (&page.continuation, from) {
        (Some(next), Some(from)) if next == from => {
            Err(Failure::new(Kind::Unreachable, "a page that leads back to itself: reading was given up"))
        }
        _ => Ok(page),
    }
}

fn read_page(success: Success) -> Result<Page, Failure> {
    let Value::Array(rows) = read_json(&success.body)? else { return Err(not_the_hubs(BadRow::NotAnObject)) };
    let item_type = success.headers.get(ITEM_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let continuation = success.headers.get(CONTINUATION).filter(|token| !token.is_empty());
    Ok(Page { rows, item_type: item_type.to_owned(), continuation: continuation.cloned().map(Continuation) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etags_are_quoted() {
        let etag = Etag::new("AAAAAAAAAAQ=");
        assert_eq!(precondition(IfMatch::Etag(&etag)).unwrap(), "\"AAAAAAAAAAQ=\"");
        assert_eq!(precondition(IfMatch::Any).unwrap(), "\"*\"");
        assert!(precondition(IfMatch::Etag(&Etag::new("a\r\nb"))).is_err());
    }

    #[test]
    fn paths_are_encoded() {
        let id = TwinId::parse("a#?%", Some("$edgeHub")).unwrap();
        assert_eq!(twin_path(&id), "/twins/a%23%3F%25/modules/%24edgeHub");
        assert_eq!(identity_path(&id), "/devices/a%23%3F%25/modules/%24edgeHub");
    }

    #[test]
    fn the_last_page_has_no_continuation() {
        let page = |token: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert(ITEM_TYPE, HeaderValue::from_static("Raw"));
            if let Some(token) = token {
                headers.insert(CONTINUATION, HeaderValue::from_static(token));
            }
            read_page(Success { headers, body: br#"[{"n": 2}]"#.to_vec() }).unwrap()
        };
        assert!(page(None).continuation.is_none() && page(Some("")).continuation.is_none());
        let more = page(Some("secret"));
        assert_eq!((more.rows.len(), more.item_type.as_str()), (1, "Raw"));
        assert_eq!(format!("{:?}", more.continuation), "Some(Continuation(6 bytes))");
    }

    #[test]
    fn a_page_that_leads_back_to_itself_is_an_end() {
        let token = |text: &'static str| Continuation(HeaderValue::from_static(text));
        let page = || Page { rows: Vec::new(), item_type: String::new(), continuation: Some(token("a")) };
        assert!(leads_on(page(), None).is_ok() && leads_on(page(), Some(&token("b"))).is_ok());
        assert_eq!(leads_on(page(), Some(&token("a"))).unwrap_err().kind, Kind::Unreachable);
    }

    #[test]
    fn an_answer_about_another_twin_is_not_believed() {
        let body = br#"{"deviceId": "b", "etag": "e", "version": 2}"#.to_vec();
        let failure = read_twin(Success { headers: HeaderMap::new(), body }, &TwinId::parse("a", None).unwrap());
        assert_eq!(failure.unwrap_err().kind, Kind::Unreachable);
    }
}
