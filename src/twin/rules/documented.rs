//! The rules against public documents. Operator, local hub and `hubtwin check` share one set of rules, so a mistake in it
//! would be seen by none of them: what is expected here was read from the documents that each row names, and counted by
//! hand.

use serde_json::{Value, json};

use super::*;
use Arrays::{Allowed, Refused};

/// "Understand and use device twins in IoT Hub", section "Tags and properties format", item "Keys".
const KEYS: &str = "Understand and use device twins in IoT Hub, Tags and properties format, Keys";
/// The same, item "Values".
const VALUES: &str = "Understand and use device twins in IoT Hub, Tags and properties format, Values";
/// The same, item "Depth".
const DEPTH: &str = "Understand and use device twins in IoT Hub, Tags and properties format, Depth";
/// The same page, section "Device twin size".
const SIZE: &str = "Understand and use device twins in IoT Hub, Device twin size";
/// The same page as it was until 2020: "Arrays are not allowed."
const OLD_VALUES: &str =
    "Understand and use device twins in IoT Hub (February 2020), Tags and properties format, Values";
/// The same page, section "Back-end operations": in a partial update `null` removes a property.
const BACK_END: &str = "Understand and use device twins in IoT Hub, Back-end operations";
/// Azure/iotedge, edge-hub/core/test/.../JsonExTest and TwinManager's validation tests.
const EDGE: &str = "github.com/Azure/iotedge, tests of the edge hub's validation of twins";
/// The error text that users quote.
const QUOTED: &str = "github.com/Azure/iotedge, issue 5921: value should be maximum 4096 bytes";
/// The service's answer to a `null` within an array.
const NULL_IN_ARRAY: &str = "github.com/Azure/azure-iot-sdk-csharp, issue 1741";

struct Row {
    source: &'static str,
    content: Value,
    arrays: Arrays,
    /// Pointer and rule of each violation.
    expected: Vec<(&'static str, Rule)>,
}

fn row(source: &'static str, content: Value, expected: &[(&'static str, Rule)]) -> Row {
    Row { source, content, arrays: Refused, expected: expected.to_vec() }
}

impl Row {
    fn with_arrays(self) -> Self {
        Self { arrays: Allowed, ..self }
    }
}

fn object(value: &Value) -> Object {
    value.as_object().cloned().unwrap()
}

fn hold(rows: Vec<Row>) {
    for Row { source, content, arrays, expected } in rows {
        let found = check(Section::Desired, &object(&content), arrays);
        let found: Vec<(String, Rule)> = found.into_iter().map(|v| (v.pointer.to_string(), v.rule)).collect();
        let expected: Vec<(String, Rule)> = expected.into_iter().map(|(at, rule)| (at.to_owned(), rule)).collect();
        let shown: String = content.to_string().chars().take(200).collect();
        assert_eq!(found, expected, "{source}: {shown}");
    }
}

#[test]
fn keys() {
    let bad = |at| [(at, Rule::KeyCharacters)];
    let (longest, too_long) = ("k".repeat(1024), "k".repeat(1025));
    // 512 letters of two bytes each fill 1 KB.
    let (longest_wide, too_long_wide) = ("ü".repeat(512), "ü".repeat(513));
    hold(vec![
        row(KEYS, json!({"a.b": 1}), &bad("/a.b")),
        row(KEYS, json!({"$a": 1}), &bad("/$a")),
        row(KEYS, json!({"a b": 1}), &bad("/a b")),
        row(KEYS, json!({"outer": {"in.ner": 1}}), &bad("/outer/in.ner")),
        // The first and last of C0 and of C1, and their neighbours.
        row(KEYS, json!({"\u{0}": 1}), &bad("/\u{0}")),
        row(KEYS, json!({"\u{1f}": 1}), &bad("/\u{1f}")),
        row(KEYS, json!({"\u{80}": 1}), &bad("/\u{80}")),
        row(KEYS, json!({"\u{9f}": 1}), &bad("/\u{9f}")),
        row(KEYS, json!({"!": 1, "~": 1, "\u{7f}": 1, "\u{a0}": 1}), &[]),
        row(KEYS, json!({"A": 1, "a": 2}), &[]),
        row(KEYS, json!({"Straße": 1, "温度": 2, "🌡": 3, "a/b": 4, "a\"b": 5, "a\\b": 6, "#": 7}), &[]),
        row(KEYS, json!({longest: 1, longest_wide: 1}), &[]),
        row("github.com/Azure/azure-iot-sdk-java, pull request 1756", json!({"": 1}), &[]),
    ]);
    for key in [too_long, too_long_wide] {
        let found = check(Section::Tags, &object(&json!({key: 1})), Refused);
        assert_eq!(found.len(), 1, "{KEYS}");
        assert_eq!((found[0].rule, found[0].limit()), (Rule::KeyLength, Some("1024".to_owned())), "{KEYS}");
        assert!(found[0].measured == "1025" || found[0].measured == "1026", "{}", found[0]);
    }
}

#[test]
fn values() {
    let range = |at| [(at, Rule::IntegerRange)];
    hold(vec![
        row(VALUES, json!({"a": true, "b": 1, "c": -1.5, "d": "s", "e": {"f": 1}, "g": {}, "h": ""}), &[]),
        row(VALUES, json!({"a": -4_503_599_627_370_496_i64, "b": 4_503_599_627_370_495_i64}), &[]),
        row(VALUES, json!({"a": -4_503_599_627_370_497_i64}), &range("/a")),
        row(VALUES, json!({"a": 4_503_599_627_370_496_i64}), &range("/a")),
        row(VALUES, json!({"a": {"b": i64::MAX}}), &range("/a/b")),
        row(VALUES, json!({"a": u64::MAX}), &range("/a")),
        // The limits are about integers.
        row(VALUES, json!({"a": 1e300, "b": -1e300, "c": 5e-324, "d": 4_503_599_627_370_496.5}), &[]),
        row(QUOTED, json!({"a": "s".repeat(4096)}), &[]),
        row(QUOTED, json!({"a": "s".repeat(4097)}), &[("/a", Rule::StringLength)]),
        row(VALUES, json!({"a": "ü".repeat(2048)}), &[]),
        row(VALUES, json!({"a": "ü".repeat(2049)}), &[("/a", Rule::StringLength)]),
        row(OLD_VALUES, json!({"a": [1]}), &[("/a", Rule::Array)]),
        row(OLD_VALUES, json!({"a": []}), &[("/a", Rule::Array)]),
        row(VALUES, json!({"a": [1, "s", false, {"k": 1}, []]}), &[]).with_arrays(),
        row(
            VALUES,
            json!({"a": [{"k.k": 9_007_199_254_740_993_i64}]}),
            &[("/a/0/k.k", Rule::KeyCharacters), ("/a/0/k.k", Rule::IntegerRange)],
        )
        .with_arrays(),
        row(BACK_END, json!({"a": null, "b": {"c": null}}), &[("/a", Rule::Null), ("/b/c", Rule::Null)]),
        row(NULL_IN_ARRAY, json!({"a": [{"b": null}]}), &[("/a/0/b", Rule::Null)]).with_arrays(),
    ]);
}

#[test]
fn depth() {
    // The page's own example, a level at a time: ten objects under `tags`, and a property in the tenth.
    let names = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];
    let nest = |innermost: Value| names.iter().rev().fold(innermost, |inner, name| json!({*name: inner}));
    let ten = "/one/two/three/four/five/six/seven/eight/nine/ten";
    let eleven = "/one/two/three/four/five/six/seven/eight/nine/ten/eleven";
    hold(vec![
        row(DEPTH, nest(json!({"property": "value"})), &[]),
        row(EDGE, nest(json!({})), &[]),
        row(DEPTH, nest(json!({"eleven": {"property": "value"}})), &[(eleven, Rule::Depth)]),
        row(EDGE, nest(json!({"eleven": {}})), &[(eleven, Rule::Depth)]),
        // An array is a level like an object.
        row(EDGE, nest(json!([1])), &[]).with_arrays(),
        row(EDGE, nest(json!({"eleven": [1]})), &[(eleven, Rule::Depth)]).with_arrays(),
        row(EDGE, nest(json!([[1]])), &[("/one/two/three/four/five/six/seven/eight/nine/ten/0", Rule::Depth)])
            .with_arrays(),
    ]);
    let found = check(Section::Tags, &object(&nest(json!({"eleven": {}}))), Refused);
    assert_eq!((found[0].measured.as_str(), found[0].limit()), ("11", Some("10".to_owned())), "{DEPTH}: {ten}");
}

/// Sizes, each counted by hand by the page's five sentences.
#[test]
fn sizes() {
    for (content, by_hand) in [
        (json!({}), 0),
        // A key and a string by their characters.
        (json!({"site": "rotterdam-7"}), 4 + 11),
        // A number is 8 and a boolean 4, however they are written.
        (json!({"line": 4, "share": 0.123_456_789, "on": true, "off": false}), (4 + 8) + (5 + 8) + (2 + 4) + (3 + 4)),
        // A nested object is what it holds, with its own key.
        (json!({"geo": {"lat": 51.95, "lon": 4.14}}), 3 + (3 + 8) + (3 + 8)),
        (json!({"empty": {}, "none": ""}), 5 + 4),
        // Control characters of C0 and C1 do not count; others do, one by one.
        (json!({"t": "a\tb\nc\u{85}"}), 1 + 3),
        (json!({"größe": "5 µm"}), 5 + 4),
        // What the hub keeps about the twin does not count.
        (json!({"a": 1, "$metadata": {"a": {"$lastUpdated": "2016-03-30T16:24:48.789Z"}}, "$version": 23}), 1 + 8),
        // Arrays came later than the page's sentences: what they hold, as with objects.
        (json!({"list": [1, "two", true, {"k": 3}]}), 4 + 8 + 3 + 4 + (1 + 8)),
        // The page's own example of desired properties.
        (json!({"telemetryConfig": {"sendFrequency": "5m"}}), 15 + (13 + 2)),
    ] {
        assert_eq!(size(&object(&content)), by_hand, "{SIZE}: {content}");
    }
}

#[test]
fn sections_have_their_limits() {
    for (section, limit) in [(Section::Tags, 8192), (Section::Desired, 32_768), (Section::Reported, 32_768)] {
        // Strings of 4,000 characters under keys of one character, and one that fills the rest.
        let fill = |bytes: usize| -> Object {
            let keys = ('a'..='z').map(String::from);
            let mut left = bytes;
            let mut content = Object::new();
            for key in keys {
                let string = left.saturating_sub(1).min(4000);
                if left == 0 {
                    break;
                }
                content.insert(key, json!("s".repeat(string)));
                left -= string + 1;
            }
            content
        };
        assert_eq!(check(section, &fill(limit), Refused), [], "{SIZE}");
        let over = check(section, &fill(limit + 1), Refused);
        assert_eq!(over.len(), 1, "{SIZE}");
        assert_eq!((over[0].rule, &over[0].pointer), (Rule::Size, &Pointer::root()), "{SIZE}");
        assert_eq!(over[0].measured, (limit + 1).to_string(), "{SIZE}");
        assert_eq!(over[0].limit(), Some(limit.to_string()), "{SIZE}");
    }
}

/// A partial update removes by `null`, and not within arrays (the same sources as above).
#[test]
fn patches() {
    let found = |patch: Value| -> Vec<(String, Rule)> {
        let found = check_patch(Section::Tags, &object(&patch), Allowed);
        found.into_iter().map(|v| (v.pointer.to_string(), v.rule)).collect()
    };
    assert_eq!(found(json!({"a": null, "b": {"c": null}})), [], "{BACK_END}");
    assert_eq!(found(json!({"a": [null]})), [("/a/0".to_owned(), Rule::Null)], "{NULL_IN_ARRAY}");
    assert_eq!(found(json!({"a.b": null})), [("/a.b".to_owned(), Rule::KeyCharacters)], "{KEYS}");
}

#[test]
fn what_is_only_warned_of() {
    let content = object(&json!({"a#": 1, "b": {"#": {"c#d": 1}}, "e": "#"}));
    let told: Vec<String> = warnings(Section::Tags, &content).iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 3, "{EDGE}: {told:?}");
    assert!(told[0].starts_with("/tags/a#: the key holds '#'"), "{told:?}");
    assert_eq!(check(Section::Tags, &content, Refused), [], "{KEYS}");
}

/// What the parser of JSON text makes of the rest (RFC 8259, sections 4, 6 and 8.2, leaves it to the parser).
#[test]
fn what_json_text_cannot_hold() {
    let parsed = |text: &str| serde_json::from_str::<Object>(text);
    assert!(parsed(r#"{"a": 1e400}"#).unwrap_err().to_string().contains("number out of range"));
    assert!(parsed(r#"{"a": "\ud800"}"#).is_err() && parsed(r#"{"\udc00": 1}"#).is_err());
    assert_eq!(parsed(r#"{"a": 1, "a": 2}"#).unwrap(), object(&json!({"a": 2})), "the last counts");
    let large = parsed(r#"{"a": 36893488147419103232}"#).unwrap();
    assert_eq!(check(Section::Tags, &large, Refused), [], "it is a float by now");
}
