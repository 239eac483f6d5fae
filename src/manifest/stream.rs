//! Documents of a stream, cut as kubectl cuts them: at lines that begin with `---`, or one JSON object after the other.

use std::fmt::Write as _;

use serde::de::IgnoredAny;

use super::node::Position;
use super::read::Trouble;

/// How a document is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Yaml,
    Json,
}

/// One document.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    /// Its text; every line ends with a line feed.
    pub(super) text: String,
    /// The line in the stream on which it begins, from 1.
    pub(super) line: usize,
    /// The template that it came from, as helm says in a comment.
    pub(super) source: Option<String>,
    pub(super) format: Format,
}

/// Cuts a stream. A wrong separator ends it: kubectl reads nothing beyond.
pub(super) fn chunks(text: &str) -> (Vec<Chunk>, Option<Trouble>) {
    if text.trim_start().starts_with('{')
        && let Some(found) = json_chunks(text)
    {
        return (found, None);
    }
    let mut found = Vec::new();
    let mut open = Chunk { text: String::new(), line: 1, source: None, format: Format::Yaml };
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        if let Some(rest) = line.strip_prefix("---") {
            let rest = rest.trim();
            if !rest.is_empty() && !rest.starts_with('#') {
                let at = Position { line: number, column: 4 };
                found.push(open);
                let message = "after \"---\" kubectl takes nothing but a comment: begin the document on the next line";
                return (found, Some(Trouble { at, message: message.to_owned() }));
            }
            let next = Chunk { text: String::new(), line: number + 1, source: None, format: Format::Yaml };
            found.push(std::mem::replace(&mut open, next));
            continue;
        }
        if let Some(source) = line.strip_prefix("# Source: ") {
            open.source = Some(source.trim().chars().take(200).collect());
        }
        open.text.push_str(line);
        open.text.push('\n');
    }
    found.push(open);
    found.retain(|chunk| !chunk.text.trim().is_empty());
    (found, None)
}

/// The objects of a stream that is all JSON; `None` when it is not: then kubectl reads it as YAML.
fn json_chunks(text: &str) -> Option<Vec<Chunk>> {
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
    let mut found = Vec::new();
    let mut begin = 0;
    while let Some(next) = stream.next() {
        next.ok()?;
        let end = stream.byte_offset();
        let line = 1 + text[..begin].matches('\n').count();
        found.push(Chunk { text: printable(&text[begin..end]), line, source: None, format: Format::Json });
        begin = end;
    }
    Some(found)
}

/// JSON takes characters in its strings that YAML's reader refuses, or takes for the end of a line: these are escaped.
fn printable(json: &str) -> String {
    let mut text = String::with_capacity(json.len() + 1);
    for character in json.chars() {
        let space = matches!(character, '\n' | '\r' | '\t');
        let odd = matches!(character, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}');
        if odd || character.is_control() && !space {
            let _ = write!(text, "\\u{:04x}", u32::from(character));
        } else {
            text.push(character);
        }
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<(usize, String)> {
        chunks(text).0.into_iter().map(|chunk| (chunk.line, chunk.text)).collect()
    }

    #[test]
    fn cuts_at_separators() {
        let text = "# c\n---\r\na: 1\r\n---   # next\n\n---\nb: |\n  x";
        assert_eq!(cut(text), [(1, "# c\n".into()), (3, "a: 1\n".into()), (7, "b: |\n  x\n".into())]);
        let helm = chunks("---\n# Source: plant/templates/a.yaml\na: 1\n").0;
        assert_eq!(helm[0].source.as_deref(), Some("plant/templates/a.yaml"));
    }

    #[test]
    fn text_after_a_separator_ends_the_stream() {
        let (found, trouble) = chunks("a: 1\n--- b\nc: 1\n");
        assert_eq!((found.len(), trouble.unwrap().at.line), (1, 2));
    }

    #[test]
    fn json_objects_follow_each_other() {
        assert_eq!(cut("{\"a\": 1}\n{\"b\":\n2} "), [(1, "{\"a\": 1}\n".into()), (1, "\n{\"b\":\n2}\n".into())]);
        assert_eq!(cut("{a: 1}\n---\n{b: 1}"), [(1, "{a: 1}\n".into()), (3, "{b: 1}\n".into())]);
    }
}
