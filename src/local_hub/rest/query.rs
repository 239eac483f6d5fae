//! Queries over twins, page by page. A continuation token holds all there is to know, so the hub keeps nothing.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::super::code::{self, Failure};
use super::super::machine::{EntityId, Machine, Seen};
use super::answer::Answer;
use super::body::object;
use crate::query::{self, Groups, Query, Source};

/// Most rows of a page, unless the knob says otherwise, and the number where the client names none.
pub(super) const PAGE_SIZE: usize = 100;
const MAX_ITEM_COUNT: HeaderName = HeaderName::from_static("x-ms-max-item-count");
const CONTINUATION: HeaderName = HeaderName::from_static("x-ms-continuation");
const ITEM_TYPE: HeaderName = HeaderName::from_static("x-ms-item-type");

/// Where a page starts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Position {
    /// Which query it belongs to.
    query: String,
    /// Rows that were answered before.
    given: u64,
    /// The last row that was answered; aggregates go by `given` alone.
    device: Option<String>,
    module: Option<String>,
}

impl Position {
    fn token(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).expect("a position has string keys only"))
    }

    fn parse(token: &str) -> Option<Self> {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token).ok()?).ok()
    }

    fn after(&self) -> Option<EntityId> {
        Some(EntityId { device: self.device.clone()?, module: self.module.clone() })
    }
}

/// A query that is about to run.
#[derive(Debug)]
pub(super) struct Ask {
    query: Query,
    page: usize,
    from: Position,
}

/// A page of rows.
#[derive(Debug)]
pub(super) struct Page {
    rows: Vec<Value>,
    next: Option<Position>,
    item_type: &'static str,
}

/// Reads the body and the paging headers. `largest` is the most rows that a page may have.
pub(super) fn ask(headers: &HeaderMap, body: &[u8], largest: usize) -> Result<Ask, Failure> {
    let invalid = |text: String| Failure::new(code::ARGUMENT_INVALID, text);
    let body = object(body)?;
    let text = body.get("query").and_then(Value::as_str).ok_or_else(|| invalid("the body has no query".to_owned()))?;
    let query = query::parse(text).map_err(|error| {
        invalid(format!("The query is invalid. Please check the format of the query and try again. {error}"))
    })?;
    let header = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let asked = header(MAX_ITEM_COUNT).and_then(|count| count.trim().parse::<usize>().ok());
    let page = asked.filter(|count| *count > 0).map_or(largest, |count| count.min(largest));
    let fingerprint = URL_SAFE_NO_PAD.encode(&Sha256::digest(text)[..12]);
    let from = match header(CONTINUATION).filter(|token| !token.is_empty()) {
        None => Position { query: fingerprint, ..Position::default() },
        Some(token) => Position::parse(token)
            .filter(|position| position.query == fingerprint)
            .ok_or_else(|| invalid("the continuation token does not belong to this query".to_owned()))?,
    };
    Ok(Ask { query, page, from })
}

/// Answers one page.
pub(super) fn run(ask: &Ask, machine: &Machine, seen: Seen) -> Page {
    let item_type = ask.query.item_type().as_str();
    let modules = match ask.query.source() {
        Source::Devices => false,
        Source::Modules => true,
        // There are no jobs here.
        Source::Jobs => return Page { rows: Vec::new(), next: None, item_type },
    };
    let (rows, next) = if ask.query.is_aggregate() {
        grouped(ask, machine, modules, seen)
    } else {
        plain(ask, machine, modules, seen)
    };
    Page { rows, next, item_type }
}

/// Rows made of one twin each: goes on behind the last id, so that pages stay cheap and hold while twins come and go.
fn plain(ask: &Ask, machine: &Machine, modules: bool, seen: Seen) -> (Vec<Value>, Option<Position>) {
    let Ask { query, page, from } = ask;
    let left = query.top().map(|top| top.saturating_sub(from.given));
    let wanted = left.map_or(*page, |left| usize::try_from(left).unwrap_or(usize::MAX).min(*page));
    let mut rows = Vec::new();
    let mut last = None;
    let after = from.after();
    for (id, twin) in machine.twins(modules, after.as_ref(), seen).filter(|(_, twin)| query.matches(twin)) {
        if rows.len() == wanted {
            let given = from.given + wanted as u64;
            // There is another row, but perhaps it is not wanted any more.
            let ended = query.top().is_some_and(|top| given >= top);
            let last: Option<&EntityId> = last;
            let next = last.filter(|_| !ended).map(|last| Position {
                query: from.query.clone(),
                given,
                device: Some(last.device.clone()),
                module: last.module.clone(),
            });
            return (rows, next);
        }
        rows.push(query.project(&twin));
        last = Some(id);
    }
    (rows, None)
}

fn grouped(ask: &Ask, machine: &Machine, modules: bool, seen: Seen) -> (Vec<Value>, Option<Position>) {
    let Ask { query, page, from } = ask;
    let mut groups = Groups::new(query);
    machine.twins(modules, None, seen).filter(|(_, twin)| query.matches(twin)).for_each(|(_, twin)| groups.add(&twin));
    let mut rest = groups.finish().into_iter().skip(usize::try_from(from.given).unwrap_or(usize::MAX));
    let rows: Vec<Value> = rest.by_ref().take(*page).collect();
    let next = rest.next().map(|_| Position { given: from.given + rows.len() as u64, ..from.clone() });
    (rows, next)
}

impl From<Page> for Answer {
    fn from(page: Page) -> Self {
        let Page { rows, next, item_type } = page;
        let mut answer = Self::document(Value::Array(rows));
        answer.headers.push((ITEM_TYPE, HeaderValue::from_static(item_type)));
        // Clients go on for as long as the header is there.
        if let Some(token) = next.and_then(|next| HeaderValue::from_str(&next.token()).ok()) {
            answer.headers.push((CONTINUATION, token));
        }
        answer
    }
}
