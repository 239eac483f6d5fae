//! JSON objects as the model sees them: leaves by path, merge patches. Written anew: what the model and the operator
//! shared would be right or wrong in both.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

pub type Object = Map<String, Value>;
/// Keys from the section down.
pub type Path = Vec<String>;
pub type Leaves = BTreeMap<Path, Value>;

/// Scalars, arrays and empty objects.
pub fn is_leaf(value: &Value) -> bool {
    value.as_object().is_none_or(Map::is_empty)
}

pub fn leaves(object: &Object) -> Leaves {
    let mut found = Leaves::new();
    let mut open: Vec<(Path, &Object)> = vec![(Path::new(), object)];
    while let Some((at, object)) = open.pop() {
        for (key, value) in object {
            let here: Path = at.iter().chain([key]).cloned().collect();
            match value {
                Value::Object(inner) if !inner.is_empty() => open.push((here, inner)),
                leaf => {
                    found.insert(here, leaf.clone());
                }
            }
        }
    }
    found
}

pub fn get<'a>(object: &'a Object, at: &[String]) -> Option<&'a Value> {
    let (last, above) = at.split_last()?;
    let mut here = object;
    for key in above {
        here = here.get(key)?.as_object()?;
    }
    here.get(last)
}

/// Puts a value in place; whatever is in its way goes.
pub fn put(object: &mut Object, at: &[String], value: Value) {
    let Some((first, rest)) = at.split_first() else { return };
    if rest.is_empty() {
        object.insert(first.clone(), value);
        return;
    }
    let slot = object.entry(first.clone()).or_insert_with(|| Value::Object(Object::new()));
    if !slot.is_object() {
        *slot = Value::Object(Object::new());
    }
    put(slot.as_object_mut().expect("made one above"), rest, value);
}

/// Takes a leaf out, and the objects above it that are empty then.
pub fn take(object: &mut Object, at: &[String]) {
    let Some((first, rest)) = at.split_first() else { return };
    if rest.is_empty() {
        object.remove(first);
    } else if let Some(Value::Object(inner)) = object.get_mut(first) {
        take(inner, rest);
        if inner.is_empty() {
            object.remove(first);
        }
    }
}

/// RFC 7396.
pub fn merge(target: &mut Object, patch: &Object) {
    for (key, value) in patch {
        match value {
            Value::Null => {
                target.remove(key);
            }
            Value::Object(patch) => {
                let mut inner = match target.remove(key) {
                    Some(Value::Object(inner)) => inner,
                    _ => Object::new(),
                };
                merge(&mut inner, patch);
                target.insert(key.clone(), Value::Object(inner));
            }
            leaf => {
                target.insert(key.clone(), leaf.clone());
            }
        }
    }
}

/// Equal by value: 1 and 1.0 are one number.
pub fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

/// Whether the hub holds what a leaf asks for: an empty object is satisfied by any object.
pub fn satisfied(ours: &Value, theirs: &Value) -> bool {
    same(ours, theirs) || (ours.is_object() && theirs.is_object())
}

pub fn same_leaves(a: &Leaves, b: &Leaves) -> bool {
    a.len() == b.len() && a.iter().all(|(at, a)| b.get(at).is_some_and(|b| same(a, b)))
}

/// A path as people read it.
pub fn show(at: &[String]) -> String {
    at.iter().map(|key| format!("/{}", key.replace('~', "~0").replace('/', "~1"))).collect()
}

pub fn object(value: Option<&Value>) -> Object {
    value.and_then(Value::as_object).cloned().unwrap_or_default()
}
