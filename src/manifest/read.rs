//! From the text of a file to its objects.

use serde_json::Value;

use super::node::{Content, Key, Map, Node, Position, Scalar};
use super::{stream, yaml};

/// Largest text in bytes.
pub const MAX_BYTES: usize = 32 * 1024 * 1024;

/// One object of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// What it says; a map.
    pub node: Node,
    /// The template that it came from, as helm says.
    pub source: Option<String>,
}

/// A part of a text that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Where.
    pub at: Position,
    /// What is wrong, and what to do.
    pub message: String,
}

impl Manifest {
    /// A text at a path, or `""`.
    #[must_use]
    pub fn text(&self, path: &[&str]) -> &str {
        self.node.at(path).and_then(Node::text).unwrap_or_default()
    }

    /// The kind.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.text(&["kind"])
    }

    /// The group of the apiVersion; `""` for the core group.
    #[must_use]
    pub fn group(&self) -> &str {
        self.text(&["apiVersion"]).split_once('/').map_or("", |(group, _)| group)
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.text(&["metadata", "name"])
    }

    /// The namespace, or `""` where the manifest says none.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.text(&["metadata", "namespace"])
    }
}

/// Reads the objects of a text, YAML or JSON; lists are taken apart as kubectl does. One document that cannot be read does
/// not hide the others.
#[must_use]
pub fn read(text: &str) -> (Vec<Manifest>, Vec<Trouble>) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (chunks, trouble) = stream::chunks(text);
    let mut objects = Vec::new();
    let mut troubles = Vec::new();
    for chunk in chunks {
        match yaml::document(&chunk.text, chunk.format) {
            Err(error) => troubles.push(shifted(error, chunk.line)),
            Ok((node, rest)) => {
                troubles.extend(rest.map(|rest| shifted(rest, chunk.line)));
                if let Some(mut node) = node {
                    shift(&mut node, chunk.line - 1);
                    objects_of(node, chunk.source.as_deref(), &mut objects, &mut troubles);
                }
            }
        }
    }
    troubles.extend(trouble);
    (objects, troubles)
}

fn objects_of(node: Node, source: Option<&str>, objects: &mut Vec<Manifest>, troubles: &mut Vec<Trouble>) {
    if node.is_null() {
        return;
    }
    let at = node.at;
    if node.map().is_none() {
        let message = "an object is expected: a map with apiVersion, kind and metadata".to_owned();
        troubles.push(Trouble { at, message });
        return;
    }
    let Some(Content::List(_)) = node.get("items").map(|items| &items.content) else {
        objects.push(Manifest { node, source: source.map(ToOwned::to_owned) });
        return;
    };
    let said = |key| node.get(key).and_then(Node::text).map(ToOwned::to_owned);
    let (version, kind) = (said("apiVersion"), said("kind"));
    let kind = kind.and_then(|kind| kind.strip_suffix("List").map(ToOwned::to_owned)).filter(|kind| !kind.is_empty());
    let Content::Map(map) = node.content else { return };
    let items = map.members.into_iter().find(|member| member.key.text == "items");
    let Some(Content::List(items)) = items.map(|member| member.value.content) else { return };
    for mut item in items {
        // Items of a DeviceTwinList need not say what they are.
        if let (Content::Map(members), Some(version), Some(kind)) = (&mut item.content, &version, &kind) {
            complete(members, item.at, version, kind);
        }
        objects_of(item, source, objects, troubles);
    }
}

fn complete(members: &mut Map, at: Position, version: &str, kind: &str) {
    if members.get("kind").is_some() && members.get("apiVersion").is_some() {
        return;
    }
    for (key, text) in [("apiVersion", version), ("kind", kind)] {
        let scalar = Scalar { value: Value::String(text.to_owned()), surprise: None };
        members.put(Key { at, text: key.to_owned(), surprise: None }, Node { at, content: Content::Scalar(scalar) });
    }
}

fn shifted(trouble: Trouble, line: usize) -> Trouble {
    let Trouble { at, message } = trouble;
    Trouble { at: Position { line: at.line + line - 1, ..at }, message }
}

/// Moves a node to where its document stands in the file.
fn shift(node: &mut Node, lines: usize) {
    node.at.line += lines;
    match &mut node.content {
        Content::Scalar(_) => {}
        Content::List(items) => items.iter_mut().for_each(|item| shift(item, lines)),
        Content::Map(map) => {
            for key in &mut map.twice {
                key.at.line += lines;
            }
            for member in &mut map.members {
                member.key.at.line += lines;
                shift(&mut member.value, lines);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::twin::random::config;
    use proptest::prelude::*;
    use serde_json::json;

    fn value(text: &str) -> Value {
        let (objects, troubles) = read(text);
        assert_eq!(troubles, [], "{text}");
        objects[0].node.value()
    }

    fn troubles(text: &str) -> Vec<(usize, String)> {
        read(text).1.into_iter().map(|trouble| (trouble.at.line, trouble.message)).collect()
    }

    #[test]
    fn merges_as_kubectl_does() {
        let text = "a: &a {x: 1, z: 1}\nb: {<<: *a, z: 2}\nc: {z: 2, <<: *a}\nd: {<<: [{x: 3}, *a]}\n";
        let expected = json!({
            "a": {"x": 1, "z": 1}, "b": {"x": 1, "z": 2}, "c": {"z": 1, "x": 1}, "d": {"x": 3, "z": 1},
        });
        assert_eq!(value(text), expected);
        assert_eq!(troubles("a: {<<: 1}").len(), 1);
    }

    #[test]
    fn keys_become_texts() {
        assert_eq!(
            value("{on: 1, 010: 2, 3.10: 3, \"on\": 4, 7: 5}"),
            json!({"true": 1, "8": 2, "3.1": 3, "on": 4, "7": 5})
        );
        assert_eq!(troubles("x:\n  null: 1")[0].0, 2);
        assert_eq!(troubles("[a]: 1").len(), 1);
    }

    #[test]
    fn tags_and_styles_decide() {
        let text = "a: !!str 5\nb: \"on\"\nc: !mine 7\nd: |\n  on\ne: !!int \"5\"\nf:\n";
        assert_eq!(value(text), json!({"a": "5", "b": "on", "c": "7", "d": "on\n", "e": 5, "f": null}));
    }

    #[test]
    fn lists_are_taken_apart_and_lines_are_those_of_the_file() {
        let text = "# first\n---\nkind: DeviceTwinList\napiVersion: hubtwin.dev/v1alpha1\nitems:\n- metadata: {name: a}\n\
                    - kind: X\n  apiVersion: v1\n---\n";
        let (objects, troubles) = read(text);
        assert_eq!(troubles, []);
        assert_eq!((objects.len(), objects[0].kind(), objects[0].name()), (2, "DeviceTwin", "a"));
        assert_eq!(objects[1].node.position(&"/kind".parse().unwrap()), Position { line: 7, column: 3 });
    }

    #[test]
    fn one_bad_document_does_not_hide_the_next() {
        let (objects, troubles) = read("a: [\n---\nb: 1\n---\njust text\n");
        assert_eq!((objects.len(), troubles.len()), (1, 2));
        assert_eq!(troubles[1].at.line, 5);
    }

    #[test]
    fn bombs_are_refused() {
        let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for level in 1..9 {
            let before = level - 1;
            bomb.push_str(&format!("a{level}: &a{level} [{}]\n", vec![format!("*a{before}"); 10].join(",")));
        }
        assert!(troubles(&bomb)[0].1.contains("aliases"), "{:?}", troubles(&bomb));
        assert!(troubles("a: &a [*a]")[0].1.contains("itself"));
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(troubles(&deep).len(), 1);
        let deep: String = (0..5000).map(|level| format!("{}a:\n", " ".repeat(level))).collect();
        assert_eq!(troubles(&deep).len(), 1);
    }

    #[test]
    fn what_follows_the_end_of_a_document_is_told() {
        let (objects, troubles) = read("a: 1\n...\nb: 2\n");
        assert_eq!(objects.len(), 1);
        assert_eq!(troubles.len(), 1, "{troubles:?}");
    }

    proptest! {
        #![proptest_config(config(3000))]

        /// Whatever a file holds, reading it ends, and every place that is told lies in the file.
        #[test]
        fn any_text_is_read_or_refused(text in "[-a-z0-9:&*!<>|?{}\\[\\],#'\"%@`~. \t\n]{0,120}|(?s).{0,60}") {
            let (objects, troubles) = read(&text);
            // To YAML a carriage return ends a line, too.
            let lines = text.split(['\n', '\r']).count() + 1;
            for at in objects.iter().map(|object| object.node.at).chain(troubles.iter().map(|trouble| trouble.at)) {
                prop_assert!(at.line <= lines, "{:?} of {} lines: {:?}", at, lines, &text);
            }
        }
    }
}
