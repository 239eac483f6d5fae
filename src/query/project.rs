//! Makes rows of the answer from rows of the source.

use serde_json::Value;

use crate::twin::document::Object;

use super::ast::{ColumnValue, Query, Select};
use super::row::Row;

impl Query {
    /// The answer's row for one row of the source: the row itself for `*`, otherwise an object of the columns whose paths
    /// are there. Columns that need many rows are left to [`Groups`].
    #[must_use]
    pub fn project<R: Row + ?Sized>(&self, row: &R) -> Value {
        let Select::Columns(columns) = &self.select else { return row.whole() };
        let mut projected = Object::new();
        for column in columns {
            if let ColumnValue::Path(path) = &column.value
                && let Some(value) = row.at(path.keys())
            {
                projected.insert(column.name().to_owned(), value.into_owned());
            }
        }
        Value::Object(projected)
    }

    /// The whole answer over few rows: selected, projected or aggregated, and at most `TOP` of them.
    #[cfg(any(test, fuzzing))]
    #[must_use]
    pub fn run<'r>(&self, rows: impl IntoIterator<Item = &'r Value>) -> Vec<Value> {
        let selected = rows.into_iter().filter(|row| self.matches(*row));
        if self.is_aggregate() {
            let mut groups = super::Groups::new(self);
            selected.for_each(|row| groups.add(row).expect("tests group few rows"));
            return groups.finish();
        }
        let top = self.top.map_or(usize::MAX, |top| usize::try_from(top).unwrap_or(usize::MAX));
        selected.take(top).map(|row| self.project(row)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use serde_json::json;

    #[test]
    fn columns_are_flat_named_after_the_last_key_and_absent_when_missing() {
        let row = json!({
            "deviceId": "d",
            "tags": {"a": {"b": null}},
            "properties": {"desired": {"x": 1, "$version": 3}, "reported": {"$metadata": {"$lastUpdated": "t"}}},
        });
        let cases = [
            ("DEVICEID, tags.a", json!({"deviceId": "d", "a": {"b": null}})),
            ("tags.a.b, tags.a.c, tags.missing AS m", json!({"b": null})),
            ("properties.desired", json!({"desired": {"x": 1, "$version": 3}})),
            ("Properties.Desired.$VERSION AS v", json!({"v": 3})),
            ("properties.reported.$metadata.$lastUpdated", json!({"$lastUpdated": "t"})),
        ];
        for (columns, expected) in cases {
            let query = parse(&format!("SELECT {columns} FROM devices")).unwrap();
            assert_eq!(query.project(&row), expected, "{columns}");
        }
        assert_eq!(parse("SELECT * FROM devices").unwrap().project(&row), row);
    }
}
