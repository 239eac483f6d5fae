//! JSON values as the hub compares them.

use serde_json::{Number, Value};

/// Whether two values are the same to a twin: numbers by value (`1` equals `1.0`), arrays element by element, objects key
/// by key.
#[must_use]
pub fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(a), Value::Number(b)) => numbers_equal(a, b),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(x, y)| equal(x, y)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, x)| b.get(key).is_some_and(|y| equal(x, y)))
        }
        (a, b) => a == b,
    }
}

/// By value, exactly: neighbours beyond 2^53 stay apart, also from a float that stands between them.
fn numbers_equal(a: &Number, b: &Number) -> bool {
    match (whole(a), whole(b)) {
        (Some(x), Some(y)) => x == y,
        (None, None) => a.as_f64() == b.as_f64(),
        _ => false,
    }
}

/// The value of a number without a fraction, however it is written; `None` for all others and for the very large.
#[must_use]
pub fn whole(number: &Number) -> Option<i128> {
    let float = || number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 1e38);
    #[expect(clippy::cast_possible_truncation, reason = "it has no fraction and is within the range")]
    let from_float = || float().map(|float| float as i128);
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from)).or_else(from_float)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_compare_by_value() {
        assert!(equal(&json!(1), &json!(1.0)));
        assert!(equal(&json!({"a": [1, {"b": 2.0}]}), &json!({"a": [1.0, {"b": 2}]})));
        assert!(!equal(&json!(9_007_199_254_740_993_i64), &json!(9_007_199_254_740_992_i64)));
        assert!(!equal(&json!(9_007_199_254_740_993_i64), &json!(9_007_199_254_740_992.0)));
        assert!(equal(&json!(u64::MAX), &json!(u64::MAX)) && !equal(&json!(u64::MAX), &json!(-1)));
        assert!(equal(&json!(0), &json!(-0.0)) && equal(&json!(1e300), &json!(1e300)));
        assert!(!equal(&json!(0.5), &json!(0)) && !equal(&json!(1e300), &json!(1)));
        assert!(!equal(&json!(1), &json!("1")));
        assert!(!equal(&json!([1]), &json!([1, 2])));
        assert!(!equal(&json!({"a": 1}), &json!({"b": 1})));
    }
}
