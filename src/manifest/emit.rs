//! Writes YAML that every reader reads the same: kubectl's, those of YAML 1.2, and JSON's in quoted parts.

use std::fmt::Write as _;

use serde_json::Value;

use super::scalar;
use crate::twin::document::Object;

/// Longest key that is written without `? ` in front; readers end at 1024 characters.
const SHORT_KEY: usize = 1000;

/// The members of a map in block style, each line indented by `indent` spaces.
pub(super) fn members(members: &Object, indent: usize) -> String {
    let mut out = String::new();
    block(&mut out, members, indent);
    out
}

fn block(out: &mut String, members: &Object, indent: usize) {
    for (key, value) in members {
        let margin = " ".repeat(indent);
        let key = text(key);
        let key = if key.len() > SHORT_KEY { format!("{margin}? {key}\n{margin}:") } else { format!("{margin}{key}:") };
        out.push_str(&key);
        match value {
            Value::Object(members) if !members.is_empty() => {
                out.push('\n');
                block(out, members, indent + 2);
            }
            value => {
                out.push(' ');
                flow(out, value);
                out.push('\n');
            }
        }
    }
}

/// A value on one line.
fn flow(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(is) => out.push_str(if *is { "true" } else { "false" }),
        Value::Number(number) => out.push_str(&number.to_string()),
        Value::String(string) => out.push_str(&text(string)),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                flow(out, item);
            }
            out.push(']');
        }
        Value::Object(members) => {
            out.push('{');
            for (index, (key, member)) in members.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                let key = text(key);
                out.push_str(if key.len() > SHORT_KEY { "? " } else { "" });
                let _ = write!(out, "{key} : ");
                flow(out, member);
            }
            out.push('}');
        }
    }
}

/// A text, plain where nobody can take it for anything else.
pub(super) fn text(text: &str) -> String {
    let inner = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.' | '/');
    let plain = text.starts_with(|first: char| first.is_ascii_alphabetic()) && text.chars().all(inner);
    if plain && text.len() <= 200 && scalar::plain(text).is_ok_and(|scalar| scalar.value == text) {
        return text.to_owned();
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            // What readers refuse, or take for the end of a line.
            odd if odd.is_control()
                || matches!(odd, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}') =>
            {
                let _ = write!(quoted, "\\u{:04X}", u32::from(odd));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::read;
    use crate::twin::random::config;
    use crate::twin::value::equal;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn only_safe_texts_are_plain() {
        for plain in ["a", "v3.3.0-rc", "US", "a/b", "x10"] {
            assert_eq!(text(plain), plain);
        }
        for quoted in
            ["on", "No", "y", "null", "True", "3.10", "0x1", "1:30", "", " a", "a ", "a b", "-", "~", "#", "a: b", "é"]
        {
            assert_eq!(text(quoted), format!("\"{quoted}\""));
        }
        assert_eq!(text("a\u{0}\u{85}\u{7f}\"\\\n"), "\"a\\u0000\\u0085\\u007F\\\"\\\\\\n\"");
    }

    #[test]
    fn maps_are_blocks_and_the_rest_is_flow() {
        let value = json!({"a": {"b": {}, "on": [1, {"c": "d"}]}, "e": 1.5});
        let expected = "  a:\n    b: {}\n    \"on\": [1, {c : d}]\n  e: 1.5\n";
        assert_eq!(members(value.as_object().unwrap(), 2), expected);
    }

    fn values() -> impl Strategy<Value = Value> {
        let texts = prop_oneof![
            ".{0,20}",
            any::<String>(),
            proptest::sample::select(vec![
                "on",
                "~",
                "010",
                "1e3",
                "---",
                "- a",
                "<<",
                "a: b",
                "\u{2028}x",
                "!x",
                "&a",
                "*a"
            ])
            .prop_map(ToOwned::to_owned),
        ];
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>()
                .prop_filter("floats beyond it are stored as other integers", |f| f.abs() < 4e15)
                .prop_map(Value::from),
            texts.prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map("(?s).{0,8}", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(config(2000))]

        #[test]
        fn what_is_written_is_read_back(value in values(), key in "(?s).{0,2}|[a-z\u{e9}\"]{990,1024}") {
            let object: Object = [(key, value)].into_iter().collect();
            let written = format!("a:\n{}", if object.is_empty() { String::new() } else { members(&object, 2) });
            let (objects, troubles) = read(&written);
            prop_assert_eq!(&troubles, &[], "{}", &written);
            let read = objects[0].node.get("a").map(crate::manifest::node::Node::value).unwrap_or_default();
            prop_assert!(equal(&read, &Value::Object(object)), "{}\n{}", written, read);
        }
    }
}
