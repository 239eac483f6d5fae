//! From the hub's rows to the rows in status. Pure.

use serde_json::{Map, Value};

use crate::api::JsonObject;
use crate::twin::document::Object;

/// The most JSON that results take in status.
const MAX_BYTES: usize = 256 * 1024;

/// What moves by itself in a twin, and would make equal results differ.
const MOVING: [&str; 5] = ["lastActivityTime", "cloudToDeviceMessageCount", "etag", "deviceEtag", "version"];

/// Rows as the hub sent them.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    pub(super) item_type: String,
    pub(super) rows: Vec<Value>,
}

/// Rows as status shows them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Results {
    pub(super) item_type: String,
    pub(super) rows: Vec<Object>,
    pub(super) truncated: bool,
}

/// Twins without what moves by itself, sorted by id; other rows in the hub's order. At most `limit`, at most 256 KiB.
pub(super) fn shape(found: Rows, limit: usize) -> Results {
    let twins = found.item_type == "Twin";
    let mut truncated = found.rows.len() > limit;
    let mut rows: Vec<Object> = found.rows.into_iter().take(limit).map(object).collect();
    if twins {
        rows.iter_mut().for_each(quieten);
        rows.sort_by_cached_key(|row| {
            let text = |key: &str| row.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            (text("deviceId"), text("moduleId"))
        });
    }
    let mut bytes = 0;
    let fitting = rows.iter().take_while(|row| {
        bytes += serde_json::to_vec(row).map_or(0, |text| text.len() + 1);
        bytes <= MAX_BYTES
    });
    let fitting = fitting.count();
    truncated |= fitting < rows.len();
    rows.truncate(fitting);
    Results { item_type: found.item_type, rows, truncated }
}

/// Whether two results hold the same rows, in whatever order: the hub promises none.
pub(super) fn same(before: &[JsonObject], rows: &[JsonObject]) -> bool {
    let sorted = |rows: &[JsonObject]| {
        let mut texts: Vec<String> = rows.iter().map(|row| Value::Object(row.0.clone()).to_string()).collect();
        texts.sort_unstable();
        texts
    };
    before.len() == rows.len() && (before == rows || sorted(before) == sorted(rows))
}

/// A row is an object; should one not be, it is shown under a key.
fn object(row: Value) -> Object {
    match row {
        Value::Object(members) => members,
        other => Map::from_iter([("value".to_owned(), other)]),
    }
}

fn quieten(row: &mut Object) {
    row.retain(|key, _| !MOVING.contains(&key.as_str()));
    if let Some(Value::Object(properties)) = row.get_mut("properties") {
        for section in properties.values_mut().filter_map(Value::as_object_mut) {
            section.remove("$metadata");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rows(item_type: &str, rows: Vec<Value>) -> Rows {
        Rows { item_type: item_type.to_owned(), rows }
    }

    #[test]
    fn twins_are_sorted_and_lose_what_moves() {
        let twin = |id: &str, version: i64| {
            json!({"deviceId": id, "version": version, "etag": "x", "tags": {"a": 1},
                "properties": {"desired": {"b": 2, "$version": 1, "$metadata": {"$lastUpdated": "now"}}}})
        };
        let first = shape(rows("Twin", vec![twin("b", 1), twin("a", 2)]), 10);
        let again = shape(rows("Twin", vec![twin("a", 8), twin("b", 9)]), 10);
        assert_eq!(first, again);
        let shown = json!({"deviceId": "a", "tags": {"a": 1}, "properties": {"desired": {"b": 2, "$version": 1}}});
        assert_eq!(Value::Object(first.rows[0].clone()), shown);
    }

    #[test]
    fn the_order_of_rows_is_no_difference() {
        let rows = |numbers: &[i64]| -> Vec<JsonObject> {
            numbers.iter().map(|n| JsonObject(object(json!({"n": n, "m": {"x": 1}})))).collect()
        };
        assert!(same(&rows(&[1, 2, 2]), &rows(&[2, 1, 2])));
        assert!(!same(&rows(&[1, 2, 2]), &rows(&[1, 1, 2])));
        assert!(!same(&rows(&[1]), &rows(&[1, 1])));
    }

    #[test]
    fn results_are_cut_by_rows_and_by_bytes() {
        let cut = shape(rows("Raw", vec![json!({"n": 2}), json!({"n": 1}), json!({"n": 0})]), 2);
        assert!(cut.truncated);
        assert_eq!(cut.rows.len(), 2);
        assert_eq!(cut.rows[0]["n"], 2);
        let big = shape(rows("Raw", vec![json!({"t": "x".repeat(100_000)}); 3]), 10);
        assert!(big.truncated && big.rows.len() == 2);
    }
}
