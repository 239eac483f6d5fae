//! YAML as a person would write it: short things on one line, long ones below each other.

use serde_json::Value;

const WIDTH: usize = 110;

/// A value as block YAML, ending with a line break. Members keep the order in which `members` lists them.
pub fn block(value: &Value, members: &[&str]) -> String {
    let mut text = String::new();
    let object = value.as_object().expect("a result is an object");
    for key in members {
        entry(&mut text, &format!("{key}:"), &object[*key], 0);
    }
    text
}

fn entry(text: &mut String, head: &str, value: &Value, indent: usize) {
    let pad = " ".repeat(indent);
    let flow = flow(value);
    let leaf = !matches!(value, Value::Object(members) if !members.is_empty())
        && !matches!(value, Value::Array(items) if !items.is_empty());
    // Two levels of sections are always below each other, so that pages look alike.
    if leaf || (indent >= 4 && indent + head.len() + 1 + flow.len() <= WIDTH) {
        text.push_str(&format!("{pad}{head} {flow}\n"));
        return;
    }
    text.push_str(&format!("{pad}{head}\n"));
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                entry(text, &format!("{}:", plain(key)), member, indent + 2);
            }
        }
        Value::Array(items) => {
            for item in items {
                text.push_str(&format!("{pad}- {}\n", self::flow(item)));
            }
        }
        _ => {}
    }
}

fn flow(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let members: Vec<String> =
                members.iter().map(|(key, value)| format!("{}: {}", plain(key), flow(value))).collect();
            format!("{{{}}}", members.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::String(text) => plain(text),
        other => other.to_string(),
    }
}

/// A text without quotes where it cannot be taken for something else.
fn plain(text: &str) -> String {
    let words = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let safe = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_./- ".contains(c))
        && !text.ends_with(' ')
        && !words.contains(&text.to_ascii_lowercase().as_str());
    if safe { text.to_owned() } else { Value::from(text).to_string() }
}
