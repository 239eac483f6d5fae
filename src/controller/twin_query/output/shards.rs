//! All rows of a query as ConfigMaps: which rows stand in which, and which of them are to be written. Pure.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::super::rows::{Bounds, Row, Rows};

/// What is read for an output; a result beyond it is cut there. It bounds what one run takes of memory and of etcd.
pub(in super::super) const BOUNDS: Bounds = Bounds { rows: 100_000, bytes: 64 * 1024 * 1024 };

/// The most data of one ConfigMap. The API server takes 1 MiB.
const SHARD_BYTES: usize = 768 * 1024;

/// The form of the index.
const FORMAT: u32 = 1;

/// A shard as it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shard {
    pub(super) name: String,
    /// Which rows, in the order of [`Content::order`].
    pub(super) rows: Range<usize>,
    pub(super) bytes: usize,
    pub(super) sha256: String,
}

/// All rows in the order in which they are written: twins by id, others by their text, as the hub promises no order.
#[derive(Debug)]
pub(super) struct Content<'a> {
    found: &'a Rows,
    order: Vec<&'a Row>,
    pub(super) shards: Vec<Shard>,
}

/// The index, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Index {
    format: u32,
    item_type: String,
    rows: usize,
    bytes: usize,
    truncated: bool,
    shards: Vec<Entry>,
}

/// A shard in the index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    name: String,
    rows: usize,
    bytes: usize,
    sha256: String,
    /// Tells that nobody else wrote to the shard since.
    resource_version: String,
}

/// What is to be done about a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It stands as it is to be, at this version.
    Keep(String),
    /// It is not there.
    Create,
    /// It is to be written over this version.
    Replace(String),
}

impl<'a> Content<'a> {
    /// Puts the rows in order and cuts them into shards of ConfigMap `name`.
    ///
    /// # Errors
    ///
    /// When a row does not fit into a ConfigMap: its size, and whom it is about.
    pub(super) fn new(name: &str, found: &'a Rows) -> Result<Self, String> {
        let mut order: Vec<&Row> = found.rows.iter().collect();
        if found.are_twins() {
            order.sort_by(|a, b| a.about.cmp(&b.about));
        } else {
            order.sort_by(|a, b| a.text.cmp(&b.text));
        }
        if let Some(row) = order.iter().find(|row| row.text.len() + 1 > SHARD_BYTES) {
            let of = row.about.as_ref().map_or_else(String::new, |(device, _)| format!(" about {device}"));
            let size = row.text.len() + 1;
            return Err(format!("a row{of} takes {size} bytes; at most {SHARD_BYTES} fit into a ConfigMap"));
        }
        let ranges = cut(&order);
        let shard = |(number, rows): (usize, Range<usize>)| {
            let mut digest = Sha256::new();
            let mut bytes = 0;
            for row in &order[rows.clone()] {
                digest.update(row.text.as_bytes());
                digest.update(b"\n");
                bytes += row.text.len() + 1;
            }
            Shard { name: format!("{name}-{number}"), rows, bytes, sha256: hex(&digest.finalize()) }
        };
        let shards = ranges.into_iter().enumerate().map(shard).collect();
        Ok(Self { found, order, shards })
    }

    /// The NDJSON of a shard.
    pub(super) fn text(&self, shard: &Shard) -> String {
        let mut text = String::with_capacity(shard.bytes);
        for row in &self.order[shard.rows.clone()] {
            text.push_str(&row.text);
            text.push('\n');
        }
        text
    }

    /// What is to be done about each shard, given the ConfigMaps of this query, by name, with their versions, and the index.
    pub(super) fn steps(&self, made: &BTreeMap<String, String>, index: Option<&Index>) -> Vec<Step> {
        let step = |shard: &Shard| {
            let Some(version) = made.get(&shard.name) else { return Step::Create };
            let told = index.and_then(|index| index.shards.iter().find(|entry| entry.name == shard.name));
            match told {
                Some(told) if told.sha256 == shard.sha256 && told.resource_version == *version => {
                    Step::Keep(version.clone())
                }
                _ => Step::Replace(version.clone()),
            }
        };
        self.shards.iter().map(step).collect()
    }

    /// The index, given the versions of the shards.
    pub(super) fn index(&self, versions: &[String]) -> Index {
        let entry = |(shard, version): (&Shard, &String)| Entry {
            name: shard.name.clone(),
            rows: shard.rows.len(),
            bytes: shard.bytes,
            sha256: shard.sha256.clone(),
            resource_version: version.clone(),
        };
        Index {
            format: FORMAT,
            item_type: self.found.item_type.clone(),
            rows: self.order.len(),
            bytes: self.found.bytes,
            truncated: !self.found.complete,
            shards: self.shards.iter().zip(versions).map(entry).collect(),
        }
    }

    /// The ConfigMaps of this query that are no longer needed beside index `name`.
    pub(super) fn left_over<'m>(
        &self,
        name: &str,
        made: &'m BTreeMap<String, String>,
    ) -> Vec<(&'m String, &'m String)> {
        let needed = |found: &str| found == name || self.shards.iter().any(|shard| shard.name == found);
        made.iter().filter(|(found, _)| !needed(found)).collect()
    }
}

/// Which rows go into which shard, in order.
fn cut(order: &[&Row]) -> Vec<Range<usize>> {
    let (mut ranges, mut start, mut bytes) = (Vec::new(), 0, 0);
    for (at, row) in order.iter().enumerate() {
        let size = row.text.len() + 1;
        if bytes + size > SHARD_BYTES {
            ranges.push(start..at);
            (start, bytes) = (at, 0);
        }
        bytes += size;
    }
    if start < order.len() {
        ranges.push(start..order.len());
    }
    ranges
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(item_type: &str, rows: Vec<Value>) -> Rows {
        let mut found = Rows { complete: true, ..Rows::default() };
        found.take(item_type, rows, BOUNDS);
        found
    }

    fn long(n: usize) -> Value {
        json!({"n": n, "t": "x".repeat(64 * 1024)})
    }

    #[test]
    fn rows_are_sorted_and_cut_below_the_limit() {
        let forwards = read("Raw", (0..30).map(long).collect());
        let backwards = read("Raw", (0..30).rev().map(long).collect());
        let (one, other) = (Content::new("q", &forwards).unwrap(), Content::new("q", &backwards).unwrap());
        assert_eq!(one.shards, other.shards, "the hub's order is no difference");
        assert_eq!(one.shards.iter().map(|shard| shard.name.as_str()).collect::<Vec<_>>(), ["q-0", "q-1", "q-2"]);
        let lines: usize = one.shards.iter().map(|shard| one.text(shard).lines().count()).sum();
        assert_eq!(lines, 30);
        for shard in &one.shards {
            let text = one.text(shard);
            assert!(text.len() == shard.bytes && text.len() <= SHARD_BYTES && text.ends_with("}\n"));
            assert_eq!(hex(&Sha256::digest(&text)), shard.sha256);
        }
        let twins = read("Twin", vec![json!({"deviceId": "b"}), json!({"deviceId": "a"})]);
        let content = Content::new("q", &twins).unwrap();
        assert_eq!(content.text(&content.shards[0]), "{\"deviceId\":\"a\"}\n{\"deviceId\":\"b\"}\n");
    }

    #[test]
    fn nothing_has_no_shards_and_too_much_is_told() {
        let nothing = read("Twin", Vec::new());
        assert!(Content::new("q", &nothing).unwrap().shards.is_empty());
        let wide = read("Raw", vec![json!({"deviceId": "pump", "t": "x".repeat(800_000)})]);
        let told = Content::new("q", &wide).unwrap_err();
        assert_eq!(told, "a row about pump takes 800027 bytes; at most 786432 fit into a ConfigMap");
    }

    #[test]
    fn only_what_differs_is_written() {
        let found = read("Raw", (0..30).map(long).collect());
        let content = Content::new("q", &found).unwrap();
        let mut made = BTreeMap::new();
        assert_eq!(content.steps(&made, None), [Step::Create, Step::Create, Step::Create]);
        let versions: Vec<String> = ["1", "2", "3"].map(str::to_owned).to_vec();
        for (shard, version) in content.shards.iter().zip(&versions) {
            made.insert(shard.name.clone(), version.clone());
        }
        made.insert("q".to_owned(), "4".to_owned());
        let index = content.index(&versions);
        let kept: Vec<Step> = versions.iter().cloned().map(Step::Keep).collect();
        assert_eq!(content.steps(&made, Some(&index)), kept);
        assert!(content.left_over("q", &made).is_empty());
        // Somebody wrote to the second; the third differs; the operator died before the index was written.
        made.insert("q-1".to_owned(), "9".to_owned());
        let other = read("Raw", (0..29).map(long).collect());
        let content = Content::new("q", &other).unwrap();
        let steps = content.steps(&made, Some(&index));
        assert_eq!(steps[0], Step::Keep("1".to_owned()));
        assert_eq!(steps[1], Step::Replace("9".to_owned()));
        assert_eq!(steps[2], Step::Replace("3".to_owned()));
        assert_eq!(content.steps(&made, None)[0], Step::Replace("1".to_owned()));
        let few = read("Raw", vec![long(1)]);
        let content = Content::new("q", &few).unwrap();
        let left: Vec<&String> = content.left_over("q", &made).into_iter().map(|(name, _)| name).collect();
        assert_eq!(left, ["q-1", "q-2"]);
    }
}
