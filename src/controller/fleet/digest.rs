//! A short stand-in for what a device reports: equal objects have equal digests, and others all but never.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde_json::{Map, Value};

/// The digest of an object. Numbers count by value: the API server may keep `1.0` as `1`.
#[must_use]
pub fn digest(object: &Map<String, Value>) -> u64 {
    let mut hasher = DefaultHasher::new();
    take_object(object, &mut hasher);
    hasher.finish()
}

fn take_object(object: &Map<String, Value>, hasher: &mut DefaultHasher) {
    object.len().hash(hasher);
    for (key, value) in object {
        key.hash(hasher);
        take(value, hasher);
    }
}

fn take(value: &Value, hasher: &mut DefaultHasher) {
    match value {
        Value::Null => 0_u8.hash(hasher),
        Value::Bool(value) => (1_u8, value).hash(hasher),
        Value::Number(number) => {
            let exact = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
            let float = number.as_f64().unwrap_or_default();
            let whole = (float.fract() == 0.0 && float.abs() < 9e15).then_some(float as i128);
            match exact.or(whole) {
                Some(whole) => (2_u8, whole).hash(hasher),
                None => (3_u8, float.to_bits()).hash(hasher),
            }
        }
        Value::String(text) => (4_u8, text).hash(hasher),
        Value::Array(items) => {
            (5_u8, items.len()).hash(hasher);
            items.iter().for_each(|item| take(item, hasher));
        }
        Value::Object(object) => {
            6_u8.hash(hasher);
            take_object(object, hasher);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tells_apart_what_differs_and_nothing_else() {
        let of = |value: Value| digest(value.as_object().expect("an object"));
        assert_eq!(of(json!({"a": 1.0, "b": [true]})), of(json!({"b": [true], "a": 1})));
        let all = [
            json!({}),
            json!({"a": 1}),
            json!({"a": "1"}),
            json!({"a": true}),
            json!({"a": 1.5}),
            json!({"a": {}}),
            json!({"a": []}),
            json!({"a": {"b": 1}}),
            json!({"a": {}, "b": 1}),
            json!({"a": 9_007_199_254_740_993_i64}),
            json!({"a": 9_007_199_254_740_992_i64}),
        ];
        let digests: std::collections::HashSet<u64> = all.iter().cloned().map(of).collect();
        assert_eq!(digests.len(), all.len());
    }
}
