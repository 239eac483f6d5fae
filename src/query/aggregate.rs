//! `COUNT`, `AVG`, `SUM`, `MIN`, `MAX` and `GROUP BY`.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::{Number, Value};

use crate::twin::document::Object;

use super::ast::{Aggregate, ColumnValue, Query, Select};
use super::error::TooManyGroups;
use super::limits::{MAX_GROUP_BYTES, MAX_GROUPS};
use super::operand::Operand;
use super::row::Row;

/// Gathers the rows of an aggregating query. The caller adds only rows that match.
#[derive(Debug)]
pub struct Groups<'q> {
    query: &'q Query,
    by_key: HashMap<Vec<Key>, usize>,
    /// In the order in which their first rows came.
    groups: Vec<Group>,
    /// Of the values by which rows are grouped.
    bytes: usize,
}

#[derive(Debug)]
struct Group {
    /// The values of the `GROUP BY` paths in the first row.
    values: Vec<Option<Value>>,
    rows: u64,
    /// One for each column; only those of aggregates are used.
    tallies: Vec<Tally>,
}

/// A value as `GROUP BY` tells values apart: numbers by value, a missing one as a group of its own.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Key {
    Missing,
    Null,
    Bool(bool),
    Integer(i64),
    Float(u64),
    Text(String),
    Compound(String),
}

/// What was seen at the path of an aggregate. Values that are neither numbers nor texts do not count.
#[derive(Debug, Default)]
struct Tally {
    numbers: u64,
    /// The sum as long as all numbers are whole and it fits.
    whole: Option<i64>,
    sum: f64,
    numeric: Option<(f64, Number, f64, Number)>,
    texts: Option<(String, String)>,
}

impl<'q> Groups<'q> {
    /// Starts with no rows. Without `GROUP BY` there is one group from the start, so that a count of nothing is 0.
    #[must_use]
    pub fn new(query: &'q Query) -> Self {
        let mut groups = Self { query, by_key: HashMap::new(), groups: Vec::new(), bytes: 0 };
        if query.group_by.is_empty() {
            groups.groups.push(groups.group(Vec::new()));
            groups.by_key.insert(Vec::new(), 0);
        }
        groups
    }

    /// Adds a row that matches.
    ///
    /// # Errors
    ///
    /// When there are more groups than [`MAX_GROUPS`], or larger ones than [`MAX_GROUP_BYTES`].
    pub fn add<R: Row + ?Sized>(&mut self, row: &R) -> Result<(), TooManyGroups> {
        let found: Vec<Option<Cow<'_, Value>>> = self.query.group_by.iter().map(|path| row.at(path.keys())).collect();
        let key: Vec<Key> = found.iter().map(|value| Key::of(value.as_deref())).collect();
        let index = match self.by_key.get(&key) {
            Some(index) => *index,
            None => {
                self.bytes += key.iter().map(Key::bytes).sum::<usize>();
                if self.groups.len() == MAX_GROUPS || self.bytes > MAX_GROUP_BYTES {
                    return Err(TooManyGroups);
                }
                let group = self.group(found.into_iter().map(|value| value.map(Cow::into_owned)).collect());
                self.groups.push(group);
                self.by_key.insert(key, self.groups.len() - 1);
                self.groups.len() - 1
            }
        };
        let query = self.query;
        let group = &mut self.groups[index];
        group.rows += 1;
        if let Select::Columns(columns) = &query.select {
            for (column, tally) in columns.iter().zip(&mut group.tallies) {
                if let ColumnValue::Aggregate(_, path) = &column.value
                    && let Some(value) = row.at(path.keys())
                {
                    tally.add(&value);
                }
            }
        }
        Ok(())
    }

    /// The rows of the answer: one for each group, in the order of their first rows, at most `TOP`.
    #[must_use]
    pub fn finish(self) -> Vec<Value> {
        let top = self.query.top.map_or(usize::MAX, |top| usize::try_from(top).unwrap_or(usize::MAX));
        self.groups.iter().take(top).map(|group| self.row(group)).collect()
    }

    fn group(&self, values: Vec<Option<Value>>) -> Group {
        let columns = match &self.query.select {
            Select::Star => 0,
            Select::Columns(columns) => columns.len(),
        };
        Group { values, rows: 0, tallies: std::iter::repeat_with(Tally::default).take(columns).collect() }
    }

    fn row(&self, group: &Group) -> Value {
        let mut row = Object::new();
        if let Select::Columns(columns) = &self.query.select {
            for (column, tally) in columns.iter().zip(&group.tallies) {
                let value = match &column.value {
                    ColumnValue::Count => Some(Value::from(group.rows)),
                    ColumnValue::Aggregate(aggregate, _) => tally.result(*aggregate),
                    ColumnValue::Path(path) => {
                        let by = self.query.group_by.iter().position(|by| by == path);
                        by.and_then(|by| group.values.get(by).cloned().flatten())
                    }
                };
                row.extend(value.map(|value| (column.name().to_owned(), value)));
            }
        }
        Value::Object(row)
    }
}

impl Key {
    fn of(value: Option<&Value>) -> Self {
        match Operand::of(value.map(Cow::Borrowed)) {
            Operand::Undefined => Self::Missing,
            Operand::Null => Self::Null,
            Operand::Bool(value) => Self::Bool(value),
            Operand::Integer(number) => Self::Integer(number),
            Operand::Float(number) => whole(number).map_or(Self::Float(number.to_bits()), Self::Integer),
            Operand::Text(text) => Self::Text(text.into_owned()),
            Operand::Compound(compound) => Self::Compound(compound.to_string()),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Text(text) | Self::Compound(text) => text.len(),
            Self::Missing | Self::Null | Self::Bool(_) | Self::Integer(_) | Self::Float(_) => 0,
        }
    }
}

/// The whole number that a float is, within what floats hold exactly.
fn whole(number: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and within range")]
    (number.fract() == 0.0 && number.abs() <= EXACT).then_some(number as i64)
}

impl Tally {
    fn add(&mut self, value: &Value) {
        match value {
            Value::Number(number) => {
                if let Some(float) = number.as_f64() {
                    self.add_number(number, float);
                }
            }
            Value::String(text) => {
                let (least, greatest) = self.texts.get_or_insert_with(|| (text.clone(), text.clone()));
                if text < least {
                    least.clone_from(text);
                }
                if text > greatest {
                    greatest.clone_from(text);
                }
            }
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {}
        }
    }

    fn add_number(&mut self, number: &Number, float: f64) {
        let before = if self.numbers == 0 { Some(0) } else { self.whole };
        self.whole = before.zip(number.as_i64()).and_then(|(sum, number)| i64::checked_add(sum, number));
        self.numbers += 1;
        self.sum += float;
        let (least, least_number, greatest, greatest_number) =
            self.numeric.get_or_insert_with(|| (float, number.clone(), float, number.clone()));
        if float < *least {
            (*least, *least_number) = (float, number.clone());
        }
        if float > *greatest {
            (*greatest, *greatest_number) = (float, number.clone());
        }
    }

    fn result(&self, aggregate: Aggregate) -> Option<Value> {
        match aggregate {
            Aggregate::Sum if self.numbers == 0 => Some(Value::from(0)),
            Aggregate::Sum => Some(self.whole.map_or_else(|| finite(self.sum), Value::from)),
            Aggregate::Avg if self.numbers == 0 => None,
            #[expect(clippy::cast_precision_loss, reason = "no hub has 2^53 twins")]
            Aggregate::Avg => Some(finite(self.sum / self.numbers as f64)),
            Aggregate::Min => match (&self.numeric, &self.texts) {
                (Some((_, least, ..)), _) => Some(Value::Number(least.clone())),
                (None, texts) => texts.as_ref().map(|(least, _)| Value::from(least.as_str())),
            },
            Aggregate::Max => match (&self.numeric, &self.texts) {
                (Some((.., greatest)), _) => Some(Value::Number(greatest.clone())),
                (None, texts) => texts.as_ref().map(|(_, greatest)| Value::from(greatest.as_str())),
            },
        }
    }
}

/// A whole figure is written without a point; one beyond the range of floats is `null`, as in JSON.
fn finite(number: f64) -> Value {
    whole(number).map_or_else(|| Value::from(number), Value::from)
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;
    use serde_json::json;

    #[test]
    fn groups_are_bounded_in_number_and_bytes() {
        let query = parse("SELECT COUNT() FROM devices GROUP BY tags").unwrap();
        let mut groups = Groups::new(&query);
        assert!((0..MAX_GROUPS).all(|tags| groups.add(&json!({"tags": tags})).is_ok()));
        assert_eq!(groups.add(&json!({"tags": 0})), Ok(()), "a group that is there");
        assert_eq!(groups.add(&json!({"tags": -1})), Err(TooManyGroups));

        let mut groups = Groups::new(&query);
        let row = |number: usize| json!({"tags": format!("{number:04}{}", "x".repeat(1024 * 1024 - 4))});
        assert!((0..16).all(|number| groups.add(&row(number)).is_ok()));
        assert_eq!(groups.add(&row(16)), Err(TooManyGroups));
    }

    fn run(query: &str, values: &[Value]) -> Value {
        let rows: Vec<Value> = values.iter().map(|value| json!({"tags": value})).collect();
        Value::from(parse(query).unwrap().run(&rows))
    }

    #[test]
    fn figures_skip_what_is_no_number() {
        let values = [json!({"v": 4}), json!({"v": 1}), json!({"v": "9"}), json!({"v": null}), json!({})];
        let query = "SELECT COUNT() AS n, SUM(tags.v), avg(tags.v), Min(tags.v), MAX(tags.v) FROM devices";
        assert_eq!(run(query, &values), json!([{"n": 5, "sum": 5, "avg": 2.5, "min": 1, "max": 4}]));
        assert_eq!(run(query, &[]), json!([{"n": 0, "sum": 0}]));
        assert_eq!(
            run("SELECT MIN(tags.v), MAX(tags.v) FROM devices", &[json!({"v": "b"}), json!({"v": "a"})]),
            json!([{"min": "a", "max": "b"}])
        );
        assert_eq!(
            run("SELECT SUM(tags.v) FROM devices", &[json!({"v": 0.5}), json!({"v": 2})]),
            json!([{"sum": 2.5}])
        );
    }

    #[test]
    fn groups_are_by_value_in_order_of_appearance() {
        let values = [json!({"v": 1}), json!({}), json!({"v": 1.0}), json!({"v": "1"}), json!({"v": null}), json!({})];
        assert_eq!(
            run("SELECT tags.v AS v, COUNT() AS n FROM devices GROUP BY tags.v", &values),
            json!([{"v": 1, "n": 2}, {"n": 2}, {"v": "1", "n": 1}, {"v": null, "n": 1}])
        );
        assert_eq!(
            run("SELECT TOP 1 COUNT() AS n FROM devices WHERE tags.v = 1 GROUP BY tags.v", &values),
            json!([{"n": 2}])
        );
        assert_eq!(run("SELECT COUNT() FROM devices GROUP BY tags.v", &[]), json!([]));
        assert_eq!(run("SELECT tags.v FROM devices WHERE tags.v = 1 GROUP BY tags.v", &values), json!([{"v": 1}]));
    }
}
