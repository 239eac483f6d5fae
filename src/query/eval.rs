//! Decides whether a row is selected, without copying anything.

use serde_json::Value;

use crate::twin::value;

use super::ast::{CompareOp, Expr, Query};
use super::functions::Function;
use super::operand::{Operand, calculate, compare};

impl Query {
    /// Whether the row meets the `WHERE` condition. Without one every row does.
    #[must_use]
    pub fn matches(&self, row: &Value) -> bool {
        self.filter.as_ref().is_none_or(|filter| truth(filter, row) == Some(true))
    }
}

/// `None` is undefined.
fn truth(expr: &Expr, row: &Value) -> Option<bool> {
    match expr {
        Expr::And(parts) => all(parts.iter().map(|part| truth(part, row))),
        Expr::Or(parts) => any(parts.iter().map(|part| truth(part, row))),
        Expr::Not(inner) => truth(inner, row).map(|truth| !truth),
        Expr::Compare(op, left, right) => compare(*op, operand(left, row), operand(right, row)),
        Expr::In { negated, value, list } => {
            let value = operand(value, row);
            let found = any(list.iter().map(|item| compare(CompareOp::Equal, value, operand(item, row))));
            found.map(|found| found != *negated)
        }
        Expr::Call(function, arguments) => call(*function, arguments, row),
        Expr::Literal(_) | Expr::Path(_) | Expr::Arithmetic(..) => operand(expr, row).as_truth(),
    }
}

/// False if one is false, else undefined if one is undefined.
fn all(mut truths: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let all = truths.try_fold(Some(true), |all, truth| match truth {
        Some(false) => Err(()),
        None => Ok(None),
        Some(true) => Ok(all),
    });
    all.unwrap_or(Some(false))
}

/// True if one is true, else undefined if one is undefined.
fn any(truths: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    all(truths.map(|truth| truth.map(|truth| !truth))).map(|none| !none)
}

fn operand<'v>(expr: &'v Expr, row: &'v Value) -> Operand<'v> {
    match expr {
        Expr::Literal(literal) => Operand::literal(literal),
        Expr::Path(path) => Operand::of(path.get(row)),
        Expr::Arithmetic(first, rest) => {
            rest.iter().fold(operand(first, row), |left, (op, right)| calculate(*op, left, operand(right, row)))
        }
        condition => Operand::truth(truth(condition, row)),
    }
}

/// The parser has counted the arguments; any others are undefined.
fn call(function: Function, arguments: &[Expr], row: &Value) -> Option<bool> {
    match (function, arguments) {
        (Function::IsDefined, [Expr::Path(path)]) => Some(path.get(row).is_some()),
        (Function::StartsWith, [text, prefix]) => match (operand(text, row), operand(prefix, row)) {
            (Operand::Text(text), Operand::Text(prefix)) => Some(text.starts_with(prefix)),
            _ => None,
        },
        (Function::ArrayContains, [array, wanted]) => match (operand(array, row), operand(wanted, row)) {
            (_, Operand::Undefined) => None,
            (Operand::Compound(Value::Array(items)), wanted) => Some(items.iter().any(|item| same(item, wanted))),
            _ => None,
        },
        _ => None,
    }
}

fn same(item: &Value, wanted: Operand<'_>) -> bool {
    match wanted {
        Operand::Compound(wanted) => value::equal(item, wanted),
        wanted => compare(CompareOp::Equal, Operand::of(Some(item)), wanted) == Some(true),
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use serde_json::json;

    /// What a condition is for a row: told apart from undefined by negating it.
    fn verdict(condition: &str) -> &'static str {
        let row = json!({
            "deviceId": "pump-1",
            "lastActivityTime": "2026-11-22T09:14:02.1234567Z",
            "parentScopes": ["a", 2, {"k": 1.0}],
            "x509Thumbprint": {"primaryThumbprint": null, "secondaryThumbprint": null},
            "tags": {"n": 4, "f": 4.0, "s": "abc", "t": true, "u": false, "o": {"k": 1}, "z": "Z", "big": 9_007_199_254_740_993_i64},
        });
        let matches = |text: String| parse(&format!("SELECT * FROM devices WHERE {text}")).unwrap().matches(&row);
        match (matches(condition.to_owned()), matches(format!("NOT ({condition})"))) {
            (true, false) => "true",
            (false, true) => "false",
            (false, false) => "undefined",
            (true, true) => "contradiction",
        }
    }

    fn table(cases: &[(&str, &str)]) {
        for (condition, expected) in cases {
            assert_eq!(verdict(condition), *expected, "{condition}");
        }
    }

    #[test]
    fn comparisons_are_within_one_type() {
        table(&[
            ("tags.n = 4.0", "true"),
            ("tags.n = tags.f", "true"),
            ("tags.n < 3.5", "false"),
            ("tags.big = 9007199254740992", "false"),
            ("tags.s = 'abc'", "true"),
            ("tags.s = 'ABC'", "false"),
            ("tags.z < 'a'", "true"),
            ("tags.t > tags.u", "true"),
            ("tags.s != 4", "undefined"),
            ("tags.n = '4'", "undefined"),
            ("tags.o = tags.o", "undefined"),
            ("tags.missing = 4", "undefined"),
            ("tags.missing != 4", "undefined"),
            ("tags.S = 'abc'", "undefined"),
            ("TAGS.s = 'abc'", "true"),
            ("tags.s.deeper = 1", "undefined"),
        ]);
    }

    #[test]
    fn null_is_a_value_and_undefined_is_none() {
        table(&[
            ("x509Thumbprint.primaryThumbprint = null", "true"),
            ("is_defined(x509Thumbprint.primaryThumbprint)", "true"),
            ("is_defined(tags.missing)", "false"),
            ("tags.n = null", "undefined"),
            ("tags.missing = null", "undefined"),
            ("tags.missing = undefined", "undefined"),
            ("undefined = undefined", "undefined"),
            ("null = null", "true"),
        ]);
    }

    #[test]
    fn truth_has_three_values() {
        table(&[
            ("tags.t", "true"),
            ("tags.u", "false"),
            ("tags.s", "undefined"),
            ("tags.missing = 1 AND tags.u", "false"),
            ("tags.missing = 1 AND tags.t", "undefined"),
            ("tags.missing = 1 OR tags.t", "true"),
            ("tags.missing = 1 OR tags.u", "undefined"),
            ("(tags.n = 4) = true", "true"),
            ("NOT tags.t", "false"),
        ]);
    }

    #[test]
    fn lists_are_chains_of_equals() {
        table(&[
            ("tags.n IN [1, 4]", "true"),
            ("tags.n IN [1, tags.f]", "true"),
            ("tags.n NIN [1, 2]", "true"),
            ("tags.n NIN [1, 4]", "false"),
            ("tags.n IN ['4', 4]", "true"),
            ("tags.n IN ['4', 5]", "undefined"),
            ("tags.missing NIN [1]", "undefined"),
        ]);
    }

    #[test]
    fn arithmetic_is_by_value_and_bounded() {
        table(&[
            ("tags.n + 1 = 5", "true"),
            ("tags.n - 1 - 1 = 2", "true"),
            ("2 + tags.n * 3 = 14", "true"),
            ("7 / 2 = 3.5", "true"),
            ("8 / tags.f = 2", "true"),
            ("-7 % 4 = -3", "true"),
            ("1 / 0 = 1", "undefined"),
            ("1 % 0 = 1", "undefined"),
            ("1e308 * 10 > 0", "undefined"),
            ("9223372036854775807 + 1 > 9e18", "true"),
            ("tags.s + 'd' = 'abcd'", "undefined"),
            ("tags.missing + 1 = 1", "undefined"),
        ]);
    }

    #[test]
    fn functions_are_undefined_for_other_types() {
        table(&[
            ("STARTSWITH(deviceId, 'pump-')", "true"),
            ("STARTSWITH(deviceId, 'Pump-')", "false"),
            ("STARTSWITH(tags.n, '4')", "undefined"),
            ("STARTSWITH(tags.missing, 'x')", "undefined"),
            ("ARRAY_CONTAINS(parentScopes, 'a')", "true"),
            ("ARRAY_CONTAINS(parentScopes, 2.0)", "true"),
            ("ARRAY_CONTAINS(parentScopes, tags.o)", "true"),
            ("ARRAY_CONTAINS(parentScopes, 'b')", "false"),
            ("ARRAY_CONTAINS(deviceId, 'p')", "undefined"),
            ("ARRAY_CONTAINS(parentScopes, tags.missing)", "undefined"),
        ]);
    }

    /// A literal without suffix orders rightly against any number of fraction digits.
    #[test]
    fn timestamps_order_as_texts() {
        table(&[
            ("lastActivityTime >= '2026-11-22T09:14:02'", "true"),
            ("lastActivityTime > '2026-11-22T09:14:02'", "true"),
            ("lastActivityTime < '2026-11-22T09:14:03'", "true"),
            ("lastActivityTime >= '2026-11-22T09:14:02.12'", "true"),
            ("lastActivityTime < '2026-11-22'", "false"),
            ("lastActivityTime = '2026-11-22T09:14:02.1234567Z'", "true"),
        ]);
    }
}
