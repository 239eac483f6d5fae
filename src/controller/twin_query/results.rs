//! From the rows that were read to the rows in status. Pure.

use super::rows::{Bounds, Row, Rows};
use crate::api::JsonObject;

/// The most JSON that results take in status.
const MAX_BYTES: usize = 256 * 1024;

/// What stands in a status, as much of it as is needed to tell whether other rows differ from it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shown {
    /// The contents, sorted.
    contents: Box<[u64]>,
    /// Whom the rows are about, sorted.
    identities: Box<[u64]>,
}

/// Rows as status shows them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Results {
    pub(super) rows: Vec<JsonObject>,
    pub(super) truncated: bool,
    pub(super) shown: Shown,
}

/// How many rows are read for a status that shows `limit`: one more, and no more than fit.
pub(super) fn bounds(limit: usize) -> Bounds {
    Bounds { rows: limit.saturating_add(1), bytes: MAX_BYTES + 1 }
}

impl Shown {
    /// The rows of a status.
    pub(super) fn of(rows: &[JsonObject]) -> Self {
        Self::of_rows(&rows.iter().map(|row| Row::shown(&row.0)).collect::<Vec<_>>().iter().collect::<Vec<_>>())
    }

    fn of_rows(rows: &[&Row]) -> Self {
        let sorted = |key: fn(&Row) -> u64| {
            let mut keys: Vec<u64> = rows.iter().map(|row| key(row)).collect();
            keys.sort_unstable();
            keys.into_boxed_slice()
        };
        Self { contents: sorted(|row| row.content), identities: sorted(Row::identity) }
    }

    /// Whether both are the same rows, in whatever order: the hub promises none.
    pub(super) fn same(&self, other: &Self) -> bool {
        self.contents == other.contents
    }

    fn has(&self, row: &Row) -> bool {
        self.identities.binary_search(&row.identity()).is_ok()
    }
}

/// At most `limit` rows, at most 256 KiB: those that are shown already go first, then the hub's order counts. Twins are
/// sorted by id; other rows stay in the hub's order.
pub(super) fn choose(found: &Rows, limit: usize, shown: &Shown) -> Results {
    let mut order: Vec<usize> = (0..found.rows.len()).collect();
    order.sort_by_key(|at| !shown.has(&found.rows[*at]));
    let (mut bytes, mut chosen) = (0, Vec::new());
    for at in order {
        let size = found.rows[at].text.len() + 1;
        if chosen.len() < limit && bytes + size <= MAX_BYTES {
            bytes += size;
            chosen.push(at);
        }
    }
    let truncated = !found.complete || chosen.len() < found.rows.len();
    chosen.sort_unstable();
    let mut rows: Vec<&Row> = chosen.into_iter().map(|at| &found.rows[at]).collect();
    if found.are_twins() {
        rows.sort_by(|a, b| a.about.cmp(&b.about));
    }
    let shown = Shown::of_rows(&rows);
    Results { rows: rows.into_iter().map(|row| JsonObject(row.object())).collect(), truncated, shown }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(item_type: &str, rows: Vec<Value>, complete: bool) -> Rows {
        let mut found = Rows { complete, ..Rows::default() };
        found.take(item_type, rows, Bounds { rows: 1000, bytes: 1 << 24 });
        found
    }

    fn numbers(results: &Results) -> Vec<i64> {
        results.rows.iter().map(|row| row.0["n"].as_i64().unwrap()).collect()
    }

    #[test]
    fn twins_are_sorted_and_the_order_is_no_difference() {
        let twin = |id: &str| json!({"deviceId": id});
        let first = choose(&read("Twin", vec![twin("b"), twin("a")], true), 10, &Shown::default());
        let again = choose(&read("Twin", vec![twin("a"), twin("b")], true), 10, &first.shown);
        assert_eq!(first, again);
        assert_eq!(first.rows[0].0["deviceId"], "a");
        let raw =
            |ns: &[i64]| choose(&read("Raw", ns.iter().map(|n| json!({"n": n})).collect(), true), 9, &Shown::default());
        assert_eq!(numbers(&raw(&[2, 1])), [2, 1], "the hub's order");
        assert!(raw(&[1, 2, 2]).shown.same(&raw(&[2, 1, 2]).shown));
        assert!(!raw(&[1, 2, 2]).shown.same(&raw(&[1, 1, 2]).shown));
        assert!(!raw(&[1]).shown.same(&raw(&[1, 1]).shown));
    }

    #[test]
    fn what_a_status_holds_is_what_was_chosen() {
        let chosen = choose(&read("Raw", vec![json!({"n": 1.0}), json!({"n": 2})], true), 10, &Shown::default());
        assert_eq!(Shown::of(&chosen.rows), chosen.shown);
        let stored: Vec<JsonObject> = serde_json::from_str(r#"[{"n": 1}, {"n": 2}]"#).unwrap();
        assert_eq!(Shown::of(&stored), chosen.shown);
    }

    #[test]
    fn rows_that_are_shown_stay() {
        let rows =
            |ns: &[i64]| read("Raw", ns.iter().map(|n| json!({"n": n, "deviceId": n.to_string()})).collect(), true);
        let first = choose(&rows(&[1, 2, 3]), 2, &Shown::default());
        assert_eq!((numbers(&first), first.truncated), (vec![1, 2], true));
        let then = choose(&rows(&[3, 2, 1]), 2, &first.shown);
        assert_eq!(numbers(&then), [2, 1]);
        let gone = choose(&rows(&[3, 4, 1]), 2, &then.shown);
        assert_eq!(numbers(&gone), [3, 1]);
    }

    #[test]
    fn results_are_cut_by_rows_and_by_bytes() {
        let cut =
            choose(&read("Raw", vec![json!({"n": 2}), json!({"n": 1}), json!({"n": 0})], true), 2, &Shown::default());
        assert_eq!((numbers(&cut), cut.truncated), (vec![2, 1], true));
        let more = choose(&read("Raw", vec![json!({"n": 2})], false), 2, &Shown::default());
        assert_eq!((numbers(&more), more.truncated), (vec![2], true));
        let long = |n: i64, size: usize| json!({"n": n, "t": "x".repeat(size)});
        let big = choose(&read("Raw", vec![long(1, 64_000); 5], true), 10, &Shown::default());
        assert_eq!((big.rows.len(), big.truncated), (4, true));
        let mixed = choose(&read("Raw", vec![long(1, 300_000), long(2, 9)], true), 10, &Shown::default());
        assert_eq!((numbers(&mixed), mixed.truncated), (vec![2], true), "what cannot fit hides nothing else");
    }
}
