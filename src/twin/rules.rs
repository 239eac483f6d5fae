//! The hub's rules for what tags, desired and reported properties may hold, and how it counts their size.
//!
//! Source: the Azure IoT Hub documentation, "Understand and use device twins in IoT Hub", sections "Tags and properties
//! format" and "Device twin size". Where it leaves something open the lenient reading is taken, and the hub decides.
//!
//! What JSON text cannot hold never gets here: numbers that no 64-bit float holds (`1e400`) and halves of surrogate pairs
//! are errors of its parser; of a key that stands twice in one object the last counts. An integer too large for 64 bits
//! arrives as a float, and the rule on integers is not about floats.

use std::fmt;

use serde_json::{Number, Value};

use super::document::{Object, Section};
use super::pointer::Pointer;

/// Longest key in bytes of UTF-8: 1 KB.
pub const MAX_KEY_BYTES: usize = 1024;
/// Longest string value in bytes of UTF-8: 4 KB.
pub const MAX_STRING_BYTES: usize = 4096;
/// Smallest integer: -2^52.
pub const MIN_INTEGER: i64 = -(1 << 52);
/// Largest integer: 2^52 - 1.
pub const MAX_INTEGER: i64 = (1 << 52) - 1;
/// Deepest nesting of objects and arrays below the section.
pub const MAX_DEPTH: usize = 10;
/// Largest `tags`, by the hub's own counting ([`size`]).
pub const MAX_TAGS_BYTES: usize = 8 * 1024;
/// Largest `desired` or `reported`, by the hub's own counting ([`size`]).
pub const MAX_PROPERTIES_BYTES: usize = 32 * 1024;

/// Whether arrays are allowed. The hub takes them from api-version 2019-10-01 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrays {
    /// An array is a violation.
    Refused,
    /// An array is a value like another.
    Allowed,
}

/// A rule of the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// Keys hold no control characters, `.`, `$` or space.
    KeyCharacters,
    /// Keys are at most [`MAX_KEY_BYTES`] long.
    KeyLength,
    /// Strings are at most [`MAX_STRING_BYTES`] long.
    StringLength,
    /// Integers lie between [`MIN_INTEGER`] and [`MAX_INTEGER`].
    IntegerRange,
    /// Objects and arrays nest at most [`MAX_DEPTH`] deep.
    Depth,
    /// `null` is no value: it removes a key.
    Null,
    /// Arrays are not allowed here.
    Array,
    /// The section is within its size.
    Size,
}

impl Rule {
    /// The rule's name in machine-readable output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::KeyCharacters => "KeyCharacters",
            Self::KeyLength => "KeyLength",
            Self::StringLength => "StringLength",
            Self::IntegerRange => "IntegerRange",
            Self::Depth => "Depth",
            Self::Null => "Null",
            Self::Array => "Array",
            Self::Size => "Size",
        }
    }
}

/// One breach of a rule: where, which rule, and the figure that was measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The section.
    pub section: Section,
    /// The path within the section; the root for the section's size.
    pub pointer: Pointer,
    /// The rule.
    pub rule: Rule,
    /// The offending figure or text, short.
    pub measured: String,
}

impl Violation {
    /// What is allowed, as text; `None` where the rule has no figure.
    #[must_use]
    pub fn limit(&self) -> Option<String> {
        match self.rule {
            Rule::KeyLength => Some(MAX_KEY_BYTES.to_string()),
            Rule::StringLength => Some(MAX_STRING_BYTES.to_string()),
            Rule::IntegerRange => Some(format!("{MIN_INTEGER} to {MAX_INTEGER}")),
            Rule::Depth => Some(MAX_DEPTH.to_string()),
            Rule::Size => Some(max_bytes(self.section).to_string()),
            Rule::KeyCharacters | Rule::Null | Rule::Array => None,
        }
    }
}

impl fmt::Display for Violation {
    /// One line: the JSON pointer from the twin's root, the figure, the rule, and what to do.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.section.absolute(&self.pointer);
        let (at, measured, limit) = (at.shortened(256), &self.measured, self.limit().unwrap_or_default());
        write!(f, "{at}: ")?;
        match self.rule {
            Rule::KeyCharacters => write!(
                f,
                "the key holds {measured}; keys hold no control characters, \".\", \"$\" or space: give it another name"
            ),
            Rule::KeyLength => write!(f, "the key has {measured} bytes; at most {limit} are allowed: shorten it"),
            Rule::StringLength => write!(f, "the string has {measured} bytes; at most {limit} are allowed: shorten it"),
            Rule::IntegerRange => {
                write!(
                    f,
                    "{measured} is out of range; integers lie between {MIN_INTEGER} and {MAX_INTEGER}: write it as a string"
                )
            }
            Rule::Depth => write!(f, "nested {measured} deep; at most {limit} levels are allowed: move it further up"),
            Rule::Null => write!(f, "null is no value; leave the key out to remove it"),
            Rule::Array => write!(
                f,
                "an array of {measured}; arrays are refused here, use an object, or allow them by allowArrays: true"
            ),
            Rule::Size => write!(
                f,
                "{measured} bytes by the hub's counting; at most {limit} are allowed: shorten or drop something"
            ),
        }
    }
}

/// A key that the hub may take and that is not wise all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The section.
    pub section: Section,
    /// The path within the section.
    pub pointer: Pointer,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.section.absolute(&self.pointer).shortened(256);
        write!(f, "{at}: the key holds '#', which IoT Edge refuses: better give it another name")
    }
}

/// Keys with `#`: the documentation allows them, the IoT Edge hub (`JsonEx` and its validation of twins) does not.
#[must_use]
pub fn warnings(section: Section, content: &Object) -> Vec<Warning> {
    let mut found = Vec::new();
    warn(section, &Pointer::root(), content, 1, &mut found);
    found
}

fn warn(section: Section, at: &Pointer, members: &Object, depth: usize, found: &mut Vec<Warning>) {
    for (key, value) in members {
        let pointer = at.child(key);
        if let Value::Object(members) = value
            && depth <= MAX_DEPTH
        {
            warn(section, &pointer, members, depth + 1, found);
        }
        if key.contains('#') {
            found.push(Warning { section, pointer });
        }
    }
}

/// The largest size of a section in bytes, by the hub's counting.
#[must_use]
pub fn max_bytes(section: Section) -> usize {
    match section {
        Section::Tags => MAX_TAGS_BYTES,
        Section::Desired | Section::Reported => MAX_PROPERTIES_BYTES,
    }
}

/// Every breach of a rule in a section that is to be stored, size included. `$` members are the caller's to take out first.
#[must_use]
pub fn check(section: Section, content: &Object, arrays: Arrays) -> Vec<Violation> {
    let mut found = Checker { section, arrays, nulls: Nulls::Refused, found: Vec::new() };
    found.members(&Pointer::root(), content, 1);
    let bytes = size(content);
    if bytes > max_bytes(section) {
        found.report(&Pointer::root(), Rule::Size, bytes);
    }
    found.found
}

/// Every breach of a rule in a merge patch: as [`check`], but `null` removes a key (never inside an array), and the size
/// is that of the result, which the caller checks.
#[must_use]
pub fn check_patch(section: Section, patch: &Object, arrays: Arrays) -> Vec<Violation> {
    let mut found = Checker { section, arrays, nulls: Nulls::Remove, found: Vec::new() };
    found.members(&Pointer::root(), patch, 1);
    found.found
}

/// The size of a section in bytes as the hub counts it: keys and strings by their characters without control characters,
/// numbers 8, booleans 4, objects and arrays the sum of what they hold. Members that start with `$` do not count.
///
/// The documentation counts "all characters" of strings that are "UTF8-encoded". Should the service mean bytes, it refuses
/// what is over.
#[must_use]
pub fn size(content: &Object) -> usize {
    content.iter().filter(|(key, _)| !key.starts_with('$')).map(|(key, value)| text_size(key) + value_size(value)).sum()
}

fn value_size(value: &Value) -> usize {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 4,
        Value::Number(_) => 8,
        Value::String(text) => text_size(text),
        Value::Array(items) => items.iter().map(value_size).sum(),
        Value::Object(members) => size(members),
    }
}

fn text_size(text: &str) -> usize {
    text.chars().filter(|c| !is_c0_or_c1(*c)).count()
}

/// The control characters of Unicode's segments C0 and C1.
fn is_c0_or_c1(c: char) -> bool {
    matches!(c, '\0'..='\x1f' | '\u{80}'..='\u{9f}')
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Nulls {
    Refused,
    Remove,
}

struct Checker {
    section: Section,
    arrays: Arrays,
    nulls: Nulls,
    found: Vec<Violation>,
}

impl Checker {
    fn report(&mut self, at: &Pointer, rule: Rule, measured: impl ToString) {
        self.found.push(Violation { section: self.section, pointer: at.clone(), rule, measured: measured.to_string() });
    }

    /// `depth` is the level of the members' own values, the section's first keys being level 1.
    fn members(&mut self, at: &Pointer, members: &Object, depth: usize) {
        for (key, value) in members {
            let here = at.child(key);
            self.key(&here, key);
            self.value(&here, value, depth);
        }
    }

    fn key(&mut self, at: &Pointer, key: &str) {
        if key.len() > MAX_KEY_BYTES {
            self.report(at, Rule::KeyLength, key.len());
        }
        if let Some(bad) = key.chars().find(|c| is_c0_or_c1(*c) || matches!(c, '.' | '$' | ' ')) {
            self.report(at, Rule::KeyCharacters, format!("{bad:?}"));
        }
    }

    fn value(&mut self, at: &Pointer, value: &Value, depth: usize) {
        match value {
            Value::Null if self.nulls == Nulls::Refused => self.report(at, Rule::Null, "null"),
            Value::Null | Value::Bool(_) => {}
            Value::Number(number) => self.number(at, number),
            Value::String(text) if text.len() > MAX_STRING_BYTES => self.report(at, Rule::StringLength, text.len()),
            Value::String(_) => {}
            Value::Array(items) => {
                if self.arrays == Arrays::Refused {
                    self.report(at, Rule::Array, items.len());
                }
                self.array(at, items, depth);
            }
            // What is too deep is told once, at the first level that is, and bounds the recursion.
            Value::Object(_) if depth > MAX_DEPTH => self.report(at, Rule::Depth, depth),
            Value::Object(members) => self.members(at, members, depth + 1),
        }
    }

    /// A `null` in an array cannot remove anything, so it is refused in patches too.
    fn array(&mut self, at: &Pointer, items: &[Value], depth: usize) {
        if depth > MAX_DEPTH {
            return self.report(at, Rule::Depth, depth);
        }
        let nulls = std::mem::replace(&mut self.nulls, Nulls::Refused);
        for (index, item) in items.iter().enumerate() {
            self.value(&at.child(&index.to_string()), item, depth + 1);
        }
        self.nulls = nulls;
    }

    fn number(&mut self, at: &Pointer, number: &Number) {
        let within = match (number.as_i64(), number.as_u64()) {
            (Some(signed), _) => (MIN_INTEGER..=MAX_INTEGER).contains(&signed),
            (None, Some(_)) => false,
            // A float: the rule is about integers only.
            (None, None) => true,
        };
        if !within {
            self.report(at, Rule::IntegerRange, number);
        }
    }
}

#[cfg(test)]
mod documented;
#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(value: Value) -> Object {
        value.as_object().cloned().unwrap()
    }

    fn nested(levels: usize, innermost: Value) -> Value {
        (0..levels).fold(innermost, |inner, _| json!({"k": inner}))
    }

    fn broken(value: Value, arrays: Arrays) -> Vec<(String, Rule)> {
        let found = check(Section::Tags, &object(value), arrays);
        found.into_iter().map(|v| (v.pointer.to_string(), v.rule)).collect()
    }

    #[test]
    fn sizes_are_the_documented_ones() {
        let section =
            object(json!({"site": "rotterdam-7", "line": 4, "critical": true, "geo": {"lat": 51.95, "lon": 4.14}}));
        assert_eq!(size(&section), 64);
        assert_eq!(size(&object(json!({"a": "ü\u{7}", "$version": 7, "b": [1, "xy"]}))), 1 + 1 + 1 + 8 + 2);
    }

    #[test]
    fn each_rule_is_told_with_its_place() {
        use Arrays::{Allowed, Refused};
        let long_key = "k".repeat(1025);
        let cases = [
            (json!({"a.b": 1}), Refused, vec![("/a.b".to_owned(), Rule::KeyCharacters)]),
            (
                json!({"a": {"$b": 1, "c d": 2}}),
                Refused,
                vec![("/a/$b".to_owned(), Rule::KeyCharacters), ("/a/c d".to_owned(), Rule::KeyCharacters)],
            ),
            (json!({"a\u{9f}": 1}), Refused, vec![("/a\u{9f}".to_owned(), Rule::KeyCharacters)]),
            (json!({long_key.clone(): 1}), Refused, vec![(format!("/{long_key}"), Rule::KeyLength)]),
            (json!({"": 1, "#": 1, "/~": 1}), Refused, vec![]),
            (json!({"a": "s".repeat(4097)}), Refused, vec![("/a".to_owned(), Rule::StringLength)]),
            (json!({"a": "s".repeat(4096)}), Refused, vec![]),
            (
                json!({"a": 4_503_599_627_370_496_i64, "b": -4_503_599_627_370_496_i64}),
                Refused,
                vec![("/a".to_owned(), Rule::IntegerRange)],
            ),
            (json!({"a": u64::MAX, "b": 1e300}), Refused, vec![("/a".to_owned(), Rule::IntegerRange)]),
            (json!({"a": null}), Refused, vec![("/a".to_owned(), Rule::Null)]),
            (json!({"a": [1]}), Refused, vec![("/a".to_owned(), Rule::Array)]),
            (json!({"a": [1, {"b": null}]}), Allowed, vec![("/a/1/b".to_owned(), Rule::Null)]),
        ];
        for (value, arrays, expected) in cases {
            assert_eq!(broken(value.clone(), arrays), expected, "{value}");
        }
    }

    #[test]
    fn ten_levels_and_a_leaf_are_allowed() {
        assert_eq!(broken(nested(10, json!({"leaf": 1})), Arrays::Refused), []);
        assert_eq!(broken(nested(10, json!({})), Arrays::Refused), []);
        let pointer = "/k".repeat(11);
        assert_eq!(broken(nested(11, json!({"leaf": 1})), Arrays::Refused), [(pointer, Rule::Depth)]);
    }

    #[test]
    fn messages_name_place_rule_and_figure() {
        let found = check(Section::Tags, &object(json!({"a": "s".repeat(8200)})), Arrays::Refused);
        let told: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "/tags/a: the string has 8200 bytes; at most 4096 are allowed: shorten it",
                "/tags: 8201 bytes by the hub's counting; at most 8192 are allowed: shorten or drop something",
            ]
        );
        assert_eq!((found[1].rule.name(), found[1].limit()), ("Size", Some("8192".to_owned())));
    }

    #[test]
    fn patches_may_remove_but_not_inside_arrays() {
        let patch = object(json!({"a": null, "b": {"c": null}, "d": [null]}));
        let found = check_patch(Section::Desired, &patch, Arrays::Allowed);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].pointer.to_string(), "/d/0");
    }
}
