//! What a query asks of a row.

use std::borrow::Cow;

use serde_json::Value;

/// A row, as conditions and columns see it. It need not be made whole to be looked at.
pub trait Row {
    /// The value at a path of at least one key; `None` when nothing is there.
    fn at(&self, keys: &[String]) -> Option<Cow<'_, Value>>;

    /// The whole row, for `SELECT *`.
    fn whole(&self) -> Value;
}

impl Row for Value {
    fn at(&self, keys: &[String]) -> Option<Cow<'_, Value>> {
        below(self, keys).map(Cow::Borrowed)
    }

    fn whole(&self) -> Value {
        self.clone()
    }
}

/// The value at a path below `value`; `value` itself without a key.
#[must_use]
pub fn below<'v>(value: &'v Value, keys: &[String]) -> Option<&'v Value> {
    keys.iter().try_fold(value, |value, key| value.as_object()?.get(key))
}
