//! Queries over twins, page by page. A continuation token holds all there is to know, so the hub keeps nothing.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::super::code::{self, Failure};
use super::super::doubts::RootMetadata;
use super::super::knobs::Knobs;
use super::super::machine::{EntityId, Machine, Seen};
use super::answer::Answer;
use super::body::object;
use crate::query::{self, Functions, Groups, Query, Source};

/// Most rows of a page, unless the knob says otherwise, and the number where the client names none.
const PAGE_SIZE: usize = 100;
/// A page ends with the row that takes it beyond this size. It bounds what one answer costs.
const MAX_PAGE_BYTES: usize = 4 * 1024 * 1024;
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

/// What the hub grants to queries.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Grant {
    /// Most rows of a page; `None` for what the service documents.
    pub(in super::super) page: Option<usize>,
    /// Which functions there are.
    pub(in super::super) functions: Functions,
    /// How conditions on the metadata of a whole section are taken.
    pub(in super::super) root_metadata: RootMetadata,
}

impl Grant {
    /// As the knobs stand.
    pub(in super::super) fn of(knobs: &Knobs) -> Self {
        Self {
            page: knobs.page_size,
            functions: knobs.doubts.query_functions,
            root_metadata: knobs.doubts.root_metadata,
        }
    }
}

/// A query that is about to run.
#[derive(Debug)]
pub(in super::super) struct Ask {
    query: Query,
    page: usize,
    from: Position,
    /// Whether it finds nothing, whatever there is.
    nothing: bool,
}

/// A page of rows.
#[derive(Debug)]
pub(in super::super) struct Page {
    pub(in super::super) rows: Vec<Value>,
    pub(in super::super) next: Option<String>,
    pub(in super::super) item_type: &'static str,
}

impl Ask {
    /// Whether it asks for the first page.
    pub(super) fn is_first(&self) -> bool {
        self.from.given == 0
    }

    /// The token that asks for the same page.
    pub(super) fn token(&self) -> String {
        self.from.token()
    }

    /// A token that asks for the same page after so many rows, which makes it another one each time.
    pub(super) fn token_after(&self, rows: usize) -> String {
        Position { given: self.from.given + rows.max(1) as u64, ..self.from.clone() }.token()
    }
}

impl Page {
    /// How many rows it has.
    pub(super) fn count(&self) -> usize {
        self.rows.len()
    }
}

/// Puts another token in place of that of an answer, or adds it.
pub(super) fn continue_with(answer: &mut Answer, token: &str) {
    answer.headers.retain(|(name, _)| *name != CONTINUATION);
    answer.headers.extend(HeaderValue::from_str(token).ok().map(|token| (CONTINUATION, token)));
}

/// Reads the body and the paging headers.
pub(super) fn ask(headers: &HeaderMap, body: &[u8], grant: Grant) -> Result<Ask, Failure> {
    let body = object(body)?;
    let text = body.get("query").and_then(Value::as_str).ok_or_else(|| invalid("the body has no query"))?;
    let query = query::parse_with(text, grant.functions).map_err(|error| {
        invalid(format!("The query is invalid. Please check the format of the query and try again. {error}"))
    })?;
    let header = |name: &HeaderName| match headers.get(name) {
        None => Ok(None),
        Some(value) => value.to_str().map(Some).map_err(|_| invalid(format!("{name} is no plain text"))),
    };
    let rows = header(&MAX_ITEM_COUNT)?.map(str::trim).filter(|count| !count.is_empty());
    let rows = rows.map(|count| {
        let number = count.parse::<usize>().ok().filter(|number| *number > 0 && count.len() < 10);
        number.ok_or_else(|| invalid(format!("{MAX_ITEM_COUNT} is a number from 1 on, not {:?}", short(count))))
    });
    let token = header(&CONTINUATION)?.filter(|token| !token.is_empty());
    Ask::new(text, query, rows.transpose()?, token, grant)
}

/// Whether the condition looks at when desired or reported properties as a whole were last written.
fn asks_root_metadata(query: &Query) -> bool {
    query.filter_paths().iter().any(|path| match path.keys() {
        [.., section, metadata, written] => {
            ["desired", "reported"].contains(&section.as_str()) && metadata == "$metadata" && written == "$lastUpdated"
        }
        _ => false,
    })
}

fn invalid(text: impl Into<String>) -> Failure {
    Failure::new(code::ARGUMENT_INVALID, text)
}

fn short(text: &str) -> String {
    text.chars().take(32).collect()
}

impl Ask {
    /// `query` is what `text` says; `rows` is how many rows of a page the caller asks for.
    pub(in super::super) fn new(
        text: &str,
        query: Query,
        rows: Option<usize>,
        token: Option<&str>,
        grant: Grant,
    ) -> Result<Self, Failure> {
        if query.source() == Source::Jobs {
            return Err(invalid("there are no jobs at this hub, so devices.jobs cannot be queried"));
        }
        let on_root = asks_root_metadata(&query);
        if on_root && grant.root_metadata == RootMetadata::Refused {
            return Err(invalid("$metadata.$lastUpdated of a whole section cannot be queried"));
        }
        let nothing = on_root && grant.root_metadata == RootMetadata::Empty;
        let largest = grant.page.unwrap_or(PAGE_SIZE);
        let page = rows.map_or(largest, |rows| rows.min(largest)).max(1);
        // The page size may differ: Java's SDK goes on with its own default, whatever the first page was asked for with.
        let fingerprint = URL_SAFE_NO_PAD.encode(&Sha256::digest(text)[..12]);
        let from = match token {
            None => Position { query: fingerprint, ..Position::default() },
            Some(token) => {
                let position = Position::parse(token).ok_or_else(|| invalid("the continuation token is damaged"))?;
                if position.query != fingerprint {
                    return Err(invalid(
                        "the continuation token belongs to another query; send the same text with every page",
                    ));
                }
                position
            }
        };
        Ok(Self { query, page, from, nothing })
    }
}

/// Answers one page.
pub(in super::super) fn run(ask: &Ask, machine: &Machine, seen: Seen) -> Result<Page, Failure> {
    let modules = ask.query.source() == Source::Modules;
    let none = Machine::default();
    let machine = if ask.nothing { &none } else { machine };
    let (rows, next) = if ask.query.is_aggregate() {
        grouped(ask, machine, modules, seen)?
    } else {
        plain(ask, machine, modules, seen)
    };
    let next = next.map(|position| position.token());
    Ok(Page { rows, next, item_type: ask.query.item_type().as_str() })
}

/// Rows made of one twin each: goes on behind the last id, so that pages stay cheap and hold while twins come and go.
fn plain(ask: &Ask, machine: &Machine, modules: bool, seen: Seen) -> (Vec<Value>, Option<Position>) {
    let Ask { query, page, from, nothing: _ } = ask;
    let left = query.top().map(|top| top.saturating_sub(from.given));
    let wanted = left.map_or(*page, |left| usize::try_from(left).unwrap_or(usize::MAX).min(*page));
    let mut rows = Vec::new();
    let mut bytes = 0;
    let mut last: Option<&EntityId> = None;
    let after = from.after();
    for (id, twin) in machine.twins(modules, after.as_ref(), seen).filter(|(_, twin)| query.matches(twin)) {
        if rows.len() == wanted || bytes > MAX_PAGE_BYTES {
            let given = from.given + rows.len() as u64;
            // There is another row, but perhaps it is not wanted any more.
            let ended = query.top().is_some_and(|top| given >= top);
            let next = last.filter(|_| !ended).map(|last| Position {
                query: from.query.clone(),
                given,
                device: Some(last.device.clone()),
                module: last.module.clone(),
            });
            return (rows, next);
        }
        let row = query.project(&twin);
        bytes += size(&row);
        rows.push(row);
        last = Some(id);
    }
    (rows, None)
}

fn grouped(ask: &Ask, machine: &Machine, modules: bool, seen: Seen) -> Result<(Vec<Value>, Option<Position>), Failure> {
    let Ask { query, page, from, nothing: _ } = ask;
    let mut groups = Groups::new(query);
    for (_, twin) in machine.twins(modules, None, seen).filter(|(_, twin)| query.matches(twin)) {
        groups.add(&twin).map_err(|error| invalid(error.to_string()))?;
    }
    let mut rest = groups.finish().into_iter().skip(usize::try_from(from.given).unwrap_or(usize::MAX));
    let mut rows = Vec::new();
    let mut bytes = 0;
    while rows.len() < *page && bytes <= MAX_PAGE_BYTES {
        let Some(row) = rest.next() else { return Ok((rows, None)) };
        bytes += size(&row);
        rows.push(row);
    }
    let next = rest.next().map(|_| Position { given: from.given + rows.len() as u64, ..from.clone() });
    Ok((rows, next))
}

/// How many bytes a row has as JSON.
fn size(row: &Value) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    serde_json::to_writer(&mut count, row).expect("a value is JSON, and counting does not fail");
    count.0
}

impl From<Page> for Answer {
    fn from(page: Page) -> Self {
        let Page { rows, next, item_type } = page;
        let mut answer = Self::document(&Value::Array(rows));
        answer.headers.push((ITEM_TYPE, HeaderValue::from_static(item_type)));
        // Clients go on for as long as the header is there.
        if let Some(token) = next.and_then(|next| HeaderValue::from_str(&next).ok()) {
            answer.headers.push((CONTINUATION, token));
        }
        answer
    }
}
