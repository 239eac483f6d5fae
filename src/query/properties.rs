//! Laws on random input: nothing panics, and what is written parses back to itself.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::functions::ALL;
use super::{
    ArithmeticOp, Column, ColumnValue, CompareOp, Expr, Function, Functions, Literal, ParseError, Query, Select,
    Source, parse_with,
};
use crate::query::Aggregate;
use crate::query::path::{Path, Segment};

fn row() -> Value {
    json!({
        "deviceId": "d", "version": 3, "parentScopes": ["a", 1],
        "tags": {"a": 1, "b": "x", "c": {"a": true}, "": 2.5},
        "properties": {"desired": {"a": 1, "$version": 2}, "reported": {"a": null}},
    })
}

/// Parses and, where that works, evaluates: none of it panics.
fn exercise(text: &str) -> Option<Query> {
    // What the hub takes by default is read in the same way by both.
    if let Ok(query) = parse_with(text, Functions::Evidence) {
        assert_eq!(parse(text).as_ref(), Ok(&query));
    }
    let query = parse(text).ok()?;
    let _answer = query.run(&[row(), json!({}), json!(null)]);
    Some(query)
}

fn parse(text: &str) -> Result<Query, ParseError> {
    parse_with(text, Functions::Documented)
}

fn path() -> impl Strategy<Value = Path> {
    let root = prop_oneof![
        prop::sample::select(vec![
            "deviceId",
            "TAGS",
            "properties",
            "devices",
            "modules",
            "id",
            "count",
            "x509Thumbprint"
        ])
        .prop_map(|name| Segment::Name(name.to_owned())),
    ];
    let further = prop_oneof![
        "[a-c]{1,2}".prop_map(Segment::Name),
        prop::sample::select(vec![
            "Desired",
            "reported",
            "$metadata",
            "$Version",
            "modules",
            "devices",
            "primarythumbprint"
        ])
        .prop_map(|name| Segment::Name(name.to_owned())),
        "[^\\]]{0,4}".prop_map(Segment::Raw),
        prop::sample::select(vec!["group", "DESIRED", "deviceid", "devices", "a] b"])
            .prop_map(|name| Segment::Raw(name.to_owned())),
    ];
    (root, prop::collection::vec(further, 0..4))
        .prop_map(|(root, further)| Path::resolve(std::iter::once(root).chain(further).collect()))
}

fn literal() -> impl Strategy<Value = Literal> {
    prop_oneof![
        Just(Literal::Undefined),
        Just(Literal::Null),
        any::<bool>().prop_map(Literal::Bool),
        // The smallest integer has no positive counterpart, so it is read as a float.
        (-i64::MAX..=i64::MAX).prop_map(Literal::Integer),
        any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(Literal::Float),
        any::<String>().prop_map(Literal::Text),
    ]
}

fn expr() -> impl Strategy<Value = Expr> {
    let leaf = prop_oneof![
        literal().prop_map(Expr::Literal),
        path().prop_map(Expr::Path),
        path().prop_map(|path| Expr::Call(Function::IsDefined, vec![Expr::Path(path)])),
    ];
    let compare = prop::sample::select(vec![
        CompareOp::Equal,
        CompareOp::NotEqual,
        CompareOp::Less,
        CompareOp::LessOrEqual,
        CompareOp::Greater,
        CompareOp::GreaterOrEqual,
    ]);
    let sums = prop::sample::select(vec![ArithmeticOp::Add, ArithmeticOp::Subtract]);
    let products = prop::sample::select(vec![ArithmeticOp::Multiply, ArithmeticOp::Divide, ArithmeticOp::Remainder]);
    leaf.prop_recursive(5, 32, 3, move |inner| {
        let part = inner.clone().boxed();
        let boxed = inner.clone().prop_map(Box::new);
        let chain = |op: BoxedStrategy<ArithmeticOp>| {
            (part.clone().prop_map(Box::new), prop::collection::vec((op, part.clone()), 1..3))
                .prop_map(|(first, rest)| Expr::Arithmetic(first, rest))
        };
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expr::And),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expr::Or),
            boxed.clone().prop_map(Expr::Not),
            (compare.clone(), boxed.clone(), boxed.clone())
                .prop_map(|(op, left, right)| Expr::Compare(op, left, right)),
            (any::<bool>(), boxed, prop::collection::vec(inner.clone(), 1..3))
                .prop_map(|(negated, value, list)| Expr::In { negated, value, list }),
            chain(sums.clone().boxed()),
            chain(products.clone().boxed()),
            prop::collection::vec(inner.clone(), 1..3).prop_map(Expr::Array),
            (prop::sample::select(ALL), inner.clone(), inner.clone(), inner).prop_filter_map(
                "IS_DEFINED takes a path",
                |(function, first, second, third)| {
                    let arguments = [first, second, third].into_iter().take(*function.arguments().start()).collect();
                    (function != Function::IsDefined).then_some(Expr::Call(function, arguments))
                }
            ),
        ]
    })
}

fn query() -> impl Strategy<Value = Query> {
    let columns = prop_oneof![
        Just((Select::Star, Vec::new())),
        (path(), "[p-s]{1,3}").prop_map(|(path, alias)| {
            let column = Column { value: ColumnValue::Path(path), alias: Some(alias) };
            (Select::Columns(vec![column]), Vec::new())
        }),
        (path(), path()).prop_map(|(by, of)| {
            let columns = vec![
                Column { value: ColumnValue::Path(by.clone()), alias: Some("by".to_owned() + "_") },
                Column { value: ColumnValue::Count, alias: None },
                Column { value: ColumnValue::Aggregate(Aggregate::Avg, of), alias: None },
            ];
            (Select::Columns(columns), vec![by])
        }),
    ];
    (columns, prop::option::of(1_u64..1000), prop::option::of(expr()))
        .prop_map(|((select, group_by), top, filter)| Query { source: Source::Devices, select, top, filter, group_by })
}

/// Pieces of the language, so that random sequences get far into the parser.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "SELECT",
        "*",
        "FROM",
        "devices",
        ".modules",
        ".jobs",
        "WHERE",
        "GROUP",
        "BY",
        "TOP",
        "AS",
        "AND",
        "OR",
        "NOT",
        "IN",
        "NIN",
        "(",
        ")",
        "[",
        "]",
        "[[",
        "]]",
        ",",
        ".",
        "=",
        "!=",
        "<>",
        "<",
        "<=",
        "+",
        "-",
        "/",
        "%",
        "tags",
        "$version",
        "is_defined(",
        "STARTSWITH(",
        "SUBSTRING(",
        "CONCAT(",
        "as_number(",
        "COUNT()",
        "avg(",
        "1",
        "0x1F",
        "1.5e3",
        "'a'",
        "\"b\"",
        "'\\u00",
        "'",
        "\\",
        "true",
        "null",
        "undefined",
        "ü",
        "\n",
        "\u{0}",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.join(" "))
}

proptest! {
    #![proptest_config(crate::twin::random::config(2_000))]

    #[test]
    fn any_text_is_answered(text in any::<String>()) {
        exercise(&text);
    }

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        exercise(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_pieces_are_answered(text in pieces()) {
        exercise(&text);
        exercise(&format!("SELECT * FROM devices WHERE {text}"));
    }

    /// Texts of random queries may be longer than the hub takes; those are refused, and tell so.
    #[test]
    fn what_is_written_parses_back(query in query()) {
        let text = query.to_string();
        if text.chars().count() <= super::MAX_CHARACTERS {
            let read = exercise(&text);
            prop_assert_eq!(read.as_ref(), Some(&query), "{} {:?}", text, parse(&text));
        }
    }
}
