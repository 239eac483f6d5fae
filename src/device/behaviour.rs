//! How a device answers to its desired properties. Pure.

use std::time::Duration;

use serde_json::{Value, json};

use crate::twin::document::{Object, get, is_leaf, leaves, set};
use crate::twin::value::equal;

/// The way to acknowledge desired properties.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ack {
    /// Report the same value at the same path.
    Echo,
    /// Report `{value, ac, av, ad}` for each property, as Plug and Play devices do.
    PlugAndPlay,
    /// Stay silent.
    Silent,
}

/// What a device does.
#[derive(Clone, Debug, PartialEq)]
pub struct Behaviour {
    /// How it acknowledges.
    pub ack: Ack,
    /// What it reports once after each connect, as a merge patch.
    pub report: Object,
    /// The pause between two steps of a firmware update.
    pub firmware_step: Duration,
}

/// The merge patch of reported that acknowledges a change of desired; empty when nothing is to be said. `change` is the
/// patch that came, nulls included, or all of desired after a read; `desired` is what holds now.
pub(super) fn acknowledge(ack: Ack, change: &Object, desired: &Object, version: i64, reported: &Object) -> Object {
    match ack {
        Ack::Echo => echo(change, reported),
        Ack::PlugAndPlay => plug_and_play(change, desired, version, reported),
        Ack::Silent => Object::new(),
    }
}

fn echo(change: &Object, reported: &Object) -> Object {
    let mut patch = Object::new();
    for (at, value) in leaves(change) {
        let found = get(reported, &at);
        let satisfied = match (&value, found) {
            (Value::Null, found) => found.is_none(),
            // An empty object says that an object is there; whatever it holds is not the back end's.
            (Value::Object(_), Some(found)) => found.is_object(),
            (value, Some(found)) => equal(value, found),
            (_, None) => false,
        };
        if !satisfied {
            set(&mut patch, &at, value);
        }
    }
    patch
}

fn plug_and_play(change: &Object, desired: &Object, version: i64, reported: &Object) -> Object {
    let mut patch = Object::new();
    for name in change.keys().filter(|name| *name != "__t") {
        let (now, told) = (desired.get(name), reported.get(name));
        let component = now.and_then(Value::as_object).filter(|members| members.contains_key("__t"));
        let piece = match (now, component) {
            // Removed: what was reported of it goes too.
            (None, _) => told.map(|_| Value::Null),
            (Some(_), Some(members)) => {
                // A component acknowledges each of its properties by itself, and says what it is.
                let told = told.and_then(Value::as_object).cloned().unwrap_or_default();
                let touched = change.get(name).and_then(Value::as_object).unwrap_or(members);
                let mut inner = plug_and_play(touched, members, version, &told);
                (!inner.is_empty()).then(|| {
                    inner.insert("__t".to_owned(), json!("c"));
                    Value::Object(inner)
                })
            }
            (Some(now), None) => becoming(told, &acknowledgement(now, 200, version, "done")),
        };
        if let Some(piece) = piece {
            patch.insert(name.clone(), piece);
        }
    }
    patch
}

/// A Plug and Play acknowledgement.
pub(super) fn acknowledgement(value: &Value, code: u16, version: i64, description: &str) -> Value {
    json!({"value": value, "ac": code, "av": version, "ad": description})
}

/// The merge patch that turns one value into another, whole; `None` when they are equal.
pub(super) fn becoming(from: Option<&Value>, to: &Value) -> Option<Value> {
    if from.is_some_and(|from| equal(from, to)) {
        return None;
    }
    let (Some(Value::Object(from)), Value::Object(to)) = (from, to) else { return Some(to.clone()) };
    let gone = from.keys().filter(|key| !to.contains_key(*key)).map(|key| (key.clone(), Value::Null));
    let changed = to.iter().filter_map(|(key, to)| Some((key.clone(), becoming(from.get(key), to)?)));
    Some(Value::Object(gone.chain(changed).collect()))
}

/// Whether a patch says anything.
pub(super) fn says_something(patch: &Object) -> bool {
    patch.values().any(|value| is_leaf(value) || value.as_object().is_some_and(says_something))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Object {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn an_echo_says_what_differs() {
        let cases = [
            (json!({"a": 1, "b": {"c": 2}}), json!({}), json!({"a": 1, "b": {"c": 2}})),
            (json!({"a": 1, "b": {"c": 2}}), json!({"a": 1.0, "b": {"c": 3, "d": 4}}), json!({"b": {"c": 2}})),
            (json!({"a": null, "b": null}), json!({"a": 1}), json!({"a": null})),
            (json!({"a": {}}), json!({"a": {"x": 1}}), json!({})),
            (json!({"a": {}}), json!({}), json!({"a": {}})),
            (json!({"a": [1]}), json!({"a": [2]}), json!({"a": [1]})),
        ];
        for (change, reported, expected) in cases {
            let patch = acknowledge(Ack::Echo, &object(change.clone()), &Object::new(), 2, &object(reported));
            assert_eq!(Value::Object(patch), expected, "{change}");
        }
    }

    #[test]
    fn plug_and_play_acknowledges_properties_and_components() {
        let done = |value: Value| json!({"value": value, "ac": 200, "av": 4, "ad": "done"});
        let told = json!({"value": {"x": 1}, "ac": 200, "av": 2, "ad": "done"});
        let cases = [
            (json!({"a": 1}), json!({"a": 1, "b": 2}), json!({}), json!({"a": done(json!(1))})),
            (
                json!({"a": {"x": null, "y": 2}}),
                json!({"a": {"y": 2}}),
                json!({"a": told}),
                json!({"a": {"value": {"x": null, "y": 2}, "av": 4}}),
            ),
            (json!({"a": null}), json!({}), json!({"a": told}), json!({"a": null})),
            (json!({"a": null}), json!({}), json!({}), json!({})),
            (
                json!({"c": {"t": 5}}),
                json!({"c": {"__t": "c", "t": 5, "u": 6}}),
                json!({}),
                json!({"c": {"__t": "c", "t": done(json!(5))}}),
            ),
            (json!({"a": 1}), json!({"a": 1}), json!({"a": done(json!(1))}), json!({})),
        ];
        for (change, desired, reported, expected) in cases {
            let (change, desired, reported) = (object(change), object(desired), object(reported));
            let patch = acknowledge(Ack::PlugAndPlay, &change, &desired, 4, &reported);
            assert_eq!(Value::Object(patch), expected, "{change:?}");
        }
    }

    #[test]
    fn silence_is_silent() {
        let change = object(json!({"a": 1}));
        assert!(!says_something(&acknowledge(Ack::Silent, &change, &change, 2, &Object::new())));
    }
}
