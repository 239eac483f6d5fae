//! The rows of a query as they are kept: as short text, without what moves by itself. Pure.

use std::hash::{DefaultHasher, Hash as _, Hasher};

use serde_json::{Map, Value};

use crate::twin::document::Object;
use crate::twin::value::whole;

/// What modules and devices are called in rows that hold whole twins.
const TWIN: &str = "Twin";

/// What moves by itself in a twin, and would make equal results differ.
const MOVING: [&str; 5] = ["lastActivityTime", "cloudToDeviceMessageCount", "etag", "deviceEtag", "version"];

/// The longest name of what rows are, in characters.
const ITEM_TYPE: usize = 64;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// JSON of an object.
    pub(super) text: Box<str>,
    /// Equal for equal content, however numbers are written.
    pub(super) content: u64,
    /// Whom it is about: device and module where it names them.
    pub(super) about: Option<(Box<str>, Box<str>)>,
}

/// How many rows are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) rows: usize,
    /// Reading ends with the row that reaches this.
    pub(super) bytes: usize,
}

/// Rows in the hub's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rows {
    /// What they are, as the hub names it.
    pub(super) item_type: String,
    pub(super) rows: Vec<Row>,
    /// JSON of all of them, with a line end each.
    pub(super) bytes: usize,
    /// Whether the hub has no more.
    pub(super) complete: bool,
}

impl Rows {
    /// Takes a page in; `false` when a bound is reached, and what is beyond it is left out.
    pub(super) fn take(&mut self, item_type: &str, page: Vec<Value>, bounds: Bounds) -> bool {
        if self.item_type.is_empty() {
            self.item_type = item_type.chars().take(ITEM_TYPE).collect();
        }
        for row in page {
            if self.rows.len() >= bounds.rows || self.bytes >= bounds.bytes {
                return false;
            }
            let row = Row::new(row, self.are_twins());
            self.bytes += row.text.len() + 1;
            self.rows.push(row);
        }
        self.rows.len() < bounds.rows && self.bytes < bounds.bytes
    }

    /// Whether each row is a whole twin.
    pub(super) fn are_twins(&self) -> bool {
        self.item_type == TWIN
    }
}

impl Row {
    fn new(row: Value, twin: bool) -> Self {
        let mut row = object(row);
        if twin {
            quieten(&mut row);
        }
        let mut hasher = DefaultHasher::new();
        hash_members(&row, &mut hasher);
        let text = |key: &str| row.get(key).and_then(Value::as_str);
        let about = text("deviceId").map(|device| (device.into(), text("moduleId").unwrap_or_default().into()));
        Self { content: hasher.finish(), about, text: Value::Object(row).to_string().into() }
    }

    /// A row of a status, as it came from the API server.
    pub(super) fn shown(row: &Object) -> Self {
        Self::new(Value::Object(row.clone()), false)
    }

    /// The same for rows that are about the same, whatever else they hold.
    pub(super) fn identity(&self) -> u64 {
        let Some(about) = &self.about else { return self.content };
        let mut hasher = DefaultHasher::new();
        about.hash(&mut hasher);
        hasher.finish()
    }

    /// The row as an object.
    pub(super) fn object(&self) -> Object {
        serde_json::from_str(&self.text).unwrap_or_default()
    }
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

fn hash_members(members: &Object, hasher: &mut DefaultHasher) {
    members.len().hash(hasher);
    for (key, value) in members {
        key.hash(hasher);
        hash_value(value, hasher);
    }
}

/// The API server stores `1.0` as `1`: that is no difference.
fn hash_value(value: &Value, hasher: &mut DefaultHasher) {
    match value {
        Value::Null => hasher.write_u8(0),
        Value::Bool(value) => (1_u8, value).hash(hasher),
        Value::Number(number) => match (whole(number), number.as_f64()) {
            (Some(whole), _) => (2_u8, whole).hash(hasher),
            (None, float) => (3_u8, float.map(f64::to_bits)).hash(hasher),
        },
        Value::String(text) => (4_u8, text).hash(hasher),
        Value::Array(items) => {
            (5_u8, items.len()).hash(hasher);
            items.iter().for_each(|item| hash_value(item, hasher));
        }
        Value::Object(members) => {
            hasher.write_u8(6);
            hash_members(members, hasher);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ALL: Bounds = Bounds { rows: 100, bytes: 1 << 20 };

    fn texts(rows: &Rows) -> Vec<&str> {
        rows.rows.iter().map(|row| &*row.text).collect()
    }

    #[test]
    fn twins_lose_what_moves() {
        let twin = |version: i64| {
            json!({"deviceId": "a", "version": version, "etag": "x", "tags": {"a": 1},
                "properties": {"desired": {"b": 2, "$version": 1, "$metadata": {"$lastUpdated": "now"}}}})
        };
        let mut rows = Rows::default();
        assert!(rows.take("Twin", vec![twin(1), twin(2)], ALL));
        assert_eq!(rows.rows[0], rows.rows[1]);
        let shown = r#"{"deviceId":"a","properties":{"desired":{"$version":1,"b":2}},"tags":{"a":1}}"#;
        assert_eq!(texts(&rows), [shown, shown]);
        let mut raw = Rows::default();
        assert!(raw.take("Raw", vec![json!({"version": 2})], ALL));
        assert_eq!(texts(&raw), [r#"{"version":2}"#]);
    }

    #[test]
    fn rows_that_are_no_objects_are_shown_under_a_key() {
        let mut rows = Rows::default();
        rows.take("Raw", vec![json!(3), json!(null), json!(["a"])], ALL);
        assert_eq!(texts(&rows), [r#"{"value":3}"#, r#"{"value":null}"#, r#"{"value":["a"]}"#]);
    }

    #[test]
    fn reading_ends_at_a_bound() {
        let page = || vec![json!({"n": 1}), json!({"n": 2})];
        let (two, bytes) = (Bounds { rows: 2, bytes: 100 }, Bounds { rows: 100, bytes: 9 });
        let mut rows = Rows::default();
        assert!(!rows.take("Raw", page(), two), "there may be more, but no more are wanted");
        assert_eq!(rows.rows.len(), 2);
        let mut rows = Rows::default();
        assert!(!rows.take("Raw", page(), bytes));
        assert_eq!((rows.rows.len(), rows.bytes), (2, 16));
        assert!(!rows.take("Raw", page(), bytes));
        assert_eq!(rows.rows.len(), 2);
    }

    #[test]
    fn content_goes_by_value_and_identity_by_device() {
        let row = |value: Value| Row::new(value, false);
        assert_eq!(row(json!({"a": 1.0})).content, row(json!({"a": 1})).content);
        assert_eq!(row(json!({"a": -0.0})).content, row(json!({"a": 0})).content);
        for other in [json!({"a": "1"}), json!({"a": [1]}), json!({"a": {"1": 1}}), json!({"b": 1}), json!({"a": 1.5})]
        {
            assert_ne!(row(other.clone()).content, row(json!({"a": 1})).content, "{other}");
        }
        let about = |device: &str, module: &str, n: i64| row(json!({"deviceId": device, "moduleId": module, "n": n}));
        assert_eq!(about("a", "m", 1).identity(), about("a", "m", 2).identity());
        assert_ne!(about("a", "m", 1).identity(), about("a", "o", 1).identity());
        assert_ne!(about("ab", "c", 1).identity(), about("a", "bc", 1).identity());
    }
}
