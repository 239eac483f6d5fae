//! Decides whether a row is selected, without copying anything that the row holds.

use std::borrow::Cow;

use serde_json::Value;

use super::ast::{CompareOp, Expr, Query};
use super::call::call;
use super::operand::{Operand, calculate, compare};
use super::row::Row;

impl Query {
    /// Whether the row meets the `WHERE` condition. Without one every row does.
    #[must_use]
    pub fn matches<R: Row + ?Sized>(&self, row: &R) -> bool {
        self.filter.as_ref().is_none_or(|filter| truth(filter, row) == Some(true))
    }
}

/// `None` is undefined.
fn truth<R: Row + ?Sized>(expr: &Expr, row: &R) -> Option<bool> {
    match expr {
        Expr::And(parts) => all(parts.iter().map(|part| truth(part, row))),
        Expr::Or(parts) => any(parts.iter().map(|part| truth(part, row))),
        Expr::Not(inner) => truth(inner, row).map(|truth| !truth),
        Expr::Compare(op, left, right) => compare(*op, &operand(left, row), &operand(right, row)),
        Expr::In { negated, value, list } => {
            let value = operand(value, row);
            let found = any(list.iter().map(|item| compare(CompareOp::Equal, &value, &operand(item, row))));
            found.map(|found| found != *negated)
        }
        Expr::Literal(_) | Expr::Path(_) | Expr::Array(_) | Expr::Arithmetic(..) | Expr::Call(..) => {
            operand(expr, row).as_truth()
        }
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

pub(super) fn operand<'v, R: Row + ?Sized>(expr: &'v Expr, row: &'v R) -> Operand<'v> {
    match expr {
        Expr::Literal(literal) => Operand::literal(literal),
        Expr::Path(path) => Operand::of(row.at(path.keys())),
        // What is undefined is no item.
        Expr::Array(items) => Operand::Compound(Cow::Owned(Value::Array(
            items.iter().filter_map(|item| operand(item, row).into_value()).collect(),
        ))),
        Expr::Arithmetic(first, rest) => {
            rest.iter().fold(operand(first, row), |left, (op, right)| calculate(*op, &left, &operand(right, row)))
        }
        Expr::Call(function, arguments) => call(*function, arguments, row),
        condition => Operand::truth(truth(condition, row)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Functions, parse, parse_with};
    use serde_json::json;

    /// What a condition is for a row: told apart from undefined by negating it.
    fn verdict(condition: &str, functions: Functions) -> &'static str {
        let row = json!({
            "deviceId": "pump-1",
            "lastActivityTime": "2026-11-22T09:14:02.1234567Z",
            "parentScopes": ["a", 2, {"k": 1.0}],
            "x509Thumbprint": {"primaryThumbprint": null, "secondaryThumbprint": null},
            "tags": {"n": 4, "f": 4.0, "s": "abc", "t": true, "u": false, "o": {"k": 1}, "z": "Z", "big": 9_007_199_254_740_993_i64,
                "neg": -2.5, "word": "Grüße", "digits": " 12.5 "},
        });
        let matches = |text: String| {
            let text = format!("SELECT * FROM devices WHERE {text}");
            parse_with(&text, functions).unwrap_or_else(|error| panic!("{text}: {error}")).matches(&row)
        };
        match (matches(condition.to_owned()), matches(format!("NOT ({condition})"))) {
            (true, false) => "true",
            (false, true) => "false",
            (false, false) => "undefined",
            (true, true) => "contradiction",
        }
    }

    fn table(cases: &[(&str, &str)]) {
        for (condition, expected) in cases {
            assert_eq!(verdict(condition, Functions::Evidence), *expected, "{condition}");
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
            ("ARRAY_CONTAINS(['a', 'pump-1'], deviceId)", "true"),
            ("ARRAY_CONTAINS([tags.missing, 'a'], deviceId)", "false"),
            ("['a'] = ['a']", "undefined"),
        ]);
        assert!(parse("SELECT * FROM devices WHERE IS_NUMBER(tags.n)").is_err());
    }

    #[test]
    fn documented_functions_follow_the_documentation_of_routes() {
        let cases = [
            ("IS_NULL(x509Thumbprint.primaryThumbprint)", "true"),
            ("IS_NULL(tags.n)", "false"),
            ("IS_NULL(tags.missing)", "false"),
            ("IS_BOOL(tags.u) AND IS_NUMBER(tags.f) AND IS_STRING(tags.s)", "true"),
            ("IS_OBJECT(tags.o) AND IS_ARRAY(parentScopes) AND IS_PRIMITIVE(x509Thumbprint.primaryThumbprint)", "true"),
            ("IS_OBJECT(parentScopes)", "false"),
            ("IS_PRIMITIVE(tags.o)", "false"),
            ("IS_PRIMITIVE(tags.missing)", "false"),
            ("IS_STRING(tags.missing)", "false"),
            ("AS_NUMBER(tags.digits) = 12.5", "true"),
            ("AS_NUMBER(tags.n) = 4", "true"),
            ("AS_NUMBER(tags.s) = 4", "undefined"),
            ("ABS(tags.neg) = 2.5", "true"),
            ("ABS(-9223372036854775807 - 1) > 9e18", "true"),
            ("CEILING(tags.neg) = -2 AND FLOOR(tags.neg) = -3", "true"),
            ("SIGN(tags.neg) = -1 AND SIGN(0) = 0 AND SIGN(0.0) = 0 AND SIGN(7) = 1", "true"),
            ("SQUARE(tags.n) = 16 AND SQRT(tags.n) = 2 AND POWER(2, 10) = 1024 AND EXP(0) = 1", "true"),
            ("SQRT(tags.neg) = 1", "undefined"),
            ("POWER(10, 400) > 1", "undefined"),
            ("ABS(tags.s) = 1", "undefined"),
            ("CONCAT(tags.s, '-', tags.z) = 'abc-Z'", "true"),
            ("CONCAT(tags.s, tags.n) = 'abc4'", "undefined"),
            ("LENGTH(tags.word) = 5", "true"),
            ("LENGTH(parentScopes) = 3", "undefined"),
            ("LOWER(tags.z) = 'z' AND UPPER(tags.word) = 'GRÜSSE'", "true"),
            ("SUBSTRING(tags.word, 2, 2) = 'üß'", "true"),
            ("SUBSTRING(tags.word, 4) = 'e' AND SUBSTRING(tags.word, 9) = ''", "true"),
            ("SUBSTRING(tags.word, -1) = 'e'", "undefined"),
            ("INDEX_OF(tags.word, 'ße') = 3 AND INDEX_OF(tags.word, 'x') = -1", "true"),
            ("STARTS_WITH(tags.s, 'ab') AND ENDS_WITH(tags.s, 'bc') AND CONTAINS(tags.s, 'b')", "true"),
            ("ENDSWITH(tags.n, '4')", "undefined"),
        ];
        for (condition, expected) in cases {
            assert_eq!(verdict(condition, Functions::Documented), expected, "{condition}");
        }
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
