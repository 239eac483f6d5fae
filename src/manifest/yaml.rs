//! One YAML document into nodes, bounded in depth and in what aliases may expand to.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag, options};
use serde_json::Value;

use super::node::{Content, Key, Map, Member, Node, Position, Scalar};
use super::read::Trouble;
use super::scalar;
use super::stream::Format;

/// Most nodes that aliases of one document may stand for.
const MAX_ALIAS_NODES: usize = 200_000;
/// Deepest nesting; kubectl takes more, the API server's own limits and the hub's are far below.
const MAX_NESTING: usize = 200;
/// Longest key in characters that needs no `? ` in front, as kubectl's library has it.
const YAML_KEY: usize = 1024;
/// JSON has no such limit, and the hub's keys may be longer.
const JSON_KEY: usize = 64 * 1024;

/// Reads the first document of a text; `None` when there is none. What stands behind its end is told as a second trouble:
/// kubectl does not read it.
pub(super) fn document(text: &str, format: Format) -> Result<(Option<Node>, Option<Trouble>), Trouble> {
    let options = options! {
        emit_comments: false,
        simple_key_max_lookahead: if format == Format::Json { JSON_KEY } else { YAML_KEY },
        flow_nesting_limit: MAX_NESTING,
    };
    let mut reader = Reader {
        events: Parser::new_from_str_with_options(text, options),
        anchors: HashMap::new(),
        open: Vec::new(),
        expanded: 0,
    };
    let mut found = None;
    loop {
        let (event, span) = reader.next()?;
        match event {
            Event::DocumentStart(..) if found.is_some() => {
                let message = "kubectl reads nothing after the end of a document; begin the next one with \"---\"";
                return Ok((found, Some(Trouble { at: begin(&span), message: message.to_owned() })));
            }
            Event::StreamEnd => return Ok((found, None)),
            Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
            event => found = Some(reader.node(event, &span, 0)?),
        }
    }
}

struct Reader<'a> {
    events: Parser<'a, StrInput<'a>>,
    /// Finished nodes by anchor.
    anchors: HashMap<usize, Node>,
    /// Anchors of nodes that are not finished.
    open: Vec<usize>,
    expanded: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), Trouble> {
        match self.events.next_event() {
            Some(Ok(found)) => Ok(found),
            Some(Err(error)) => Err(syntax(&error)),
            None => Err(Trouble { at: Position::default(), message: "the document ends early".to_owned() }),
        }
    }

    fn node(&mut self, event: Event<'a>, span: &Span, depth: usize) -> Result<Node, Trouble> {
        let at = begin(span);
        if depth > MAX_NESTING {
            return trouble(at, format!("nested deeper than {MAX_NESTING} levels"));
        }
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let content = Content::Scalar(scalar_of(&text, style, tag.as_deref(), at)?);
                self.anchored(anchor, Node { at, content })
            }
            Event::SequenceStart(_, anchor, _) => {
                self.open.push(anchor);
                let content = Content::List(self.items(depth)?);
                self.open.pop();
                self.anchored(anchor, Node { at, content })
            }
            Event::MappingStart(_, anchor, _) => {
                self.open.push(anchor);
                let content = Content::Map(self.members(depth)?);
                self.open.pop();
                self.anchored(anchor, Node { at, content })
            }
            Event::Alias(anchor) => self.alias(anchor, at),
            _ => trouble(at, "this YAML is not understood".to_owned()),
        }
    }

    fn items(&mut self, depth: usize) -> Result<Vec<Node>, Trouble> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, span) => items.push(self.node(event, &span, depth + 1)?),
            }
        }
    }

    fn members(&mut self, depth: usize) -> Result<Map, Trouble> {
        let mut map = Map::default();
        loop {
            let (event, span) = self.next()?;
            let at = begin(&span);
            let merges = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<");
            let key = match event {
                Event::MappingEnd => return Ok(map),
                _ if merges => None,
                Event::Scalar(text, style, anchor, tag) => {
                    let scalar = scalar_of(&text, style, tag.as_deref(), at)?;
                    self.anchored(anchor, Node { at, content: Content::Scalar(scalar.clone()) })?;
                    Some(key_of(&scalar, &text, at)?)
                }
                Event::Alias(anchor) => match self.alias(anchor, at)?.content {
                    Content::Scalar(scalar) => Some(key_of(&scalar, "", at)?),
                    Content::List(_) | Content::Map(_) => return trouble(at, "a key is a scalar".to_owned()),
                },
                _ => return trouble(at, "a key is a scalar".to_owned()),
            };
            let (event, span) = self.next()?;
            let value = self.node(event, &span, depth + 1)?;
            match key {
                None => merge(&mut map, value)?,
                Some(key) => {
                    let again = key.clone();
                    if map.put(key, value) {
                        map.twice.push(again);
                    }
                }
            }
        }
    }

    fn anchored(&mut self, anchor: usize, node: Node) -> Result<Node, Trouble> {
        if anchor != 0 {
            self.spend(&node)?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn alias(&mut self, anchor: usize, at: Position) -> Result<Node, Trouble> {
        if self.open.contains(&anchor) {
            return trouble(at, "the value of this anchor contains itself".to_owned());
        }
        match self.anchors.get(&anchor).cloned() {
            Some(node) => self.spend(&node).map(|()| node),
            None => trouble(at, "an alias of an unknown anchor".to_owned()),
        }
    }

    fn spend(&mut self, node: &Node) -> Result<(), Trouble> {
        self.expanded += node.count();
        if self.expanded > MAX_ALIAS_NODES {
            return trouble(node.at, format!("aliases stand for more than {MAX_ALIAS_NODES} values"));
        }
        Ok(())
    }
}

/// `<<`: each merged key replaces what stood before it, also a key that was written out; what follows replaces it again. Of
/// several maps the first wins. That is kubectl's reading.
fn merge(map: &mut Map, value: Node) -> Result<(), Trouble> {
    let at = value.at;
    let wrong = || trouble(at, "\"<<\" merges a map, or a list of maps".to_owned());
    let sources = match value.content {
        Content::Map(source) => vec![source],
        Content::List(items) => {
            let mut sources = Vec::new();
            for item in items.into_iter().rev() {
                let Content::Map(source) = item.content else { return wrong() };
                sources.push(source);
            }
            sources
        }
        Content::Scalar(_) => return wrong(),
    };
    for Member { key, value } in sources.into_iter().flat_map(|source| source.members) {
        map.put(key, value);
    }
    Ok(())
}

fn scalar_of(text: &str, style: ScalarStyle, tag: Option<&Tag>, at: Position) -> Result<Scalar, Trouble> {
    let string = || Scalar { value: Value::String(text.to_owned()), surprise: None };
    let plain =
        || scalar::plain(text).or_else(|_| trouble(at, format!("{text} is no number of JSON: kubectl refuses it")));
    let Some(tag) = tag else {
        return if style == ScalarStyle::Plain { plain() } else { Ok(string()) };
    };
    let said = |fits: fn(&Value) -> bool| {
        let scalar = plain()?;
        let wrong = || Trouble { at, message: format!("this is no {}", tag.suffix()) };
        if fits(&scalar.value) { Ok(Scalar { surprise: None, ..scalar }) } else { Err(wrong()) }
    };
    match tag.core_suffix() {
        Some("int") => said(|value| value.is_i64() || value.is_u64()),
        Some("float") => said(Value::is_number),
        Some("bool") => said(Value::is_boolean),
        Some("null") => said(Value::is_null),
        Some("binary") => trouble(at, "!!binary is not for manifests: write the text".to_owned()),
        // Any other tag leaves the text.
        Some(_) | None => Ok(string()),
    }
}

fn key_of(scalar: &Scalar, text: &str, at: Position) -> Result<Key, Trouble> {
    let float = match &scalar.value {
        Value::Number(_) => scalar::float_key(text),
        _ => None,
    };
    match float.or_else(|| scalar::key(&scalar.value)) {
        Some(text) => Ok(Key { at, text, surprise: scalar.surprise.clone() }),
        None => trouble(at, "a key is a text: quote it".to_owned()),
    }
}

fn begin(span: &Span) -> Position {
    Position { line: span.start.line(), column: span.start.col() + 1 }
}

fn syntax(error: &ScanError) -> Trouble {
    let at = Position { line: error.marker().line(), column: error.marker().col() + 1 };
    Trouble { at, message: format!("no YAML: {}", error.info()) }
}

fn trouble<T>(at: Position, message: String) -> Result<T, Trouble> {
    Err(Trouble { at, message })
}
