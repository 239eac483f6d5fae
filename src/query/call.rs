//! What functions answer. The parser has counted the arguments; any others are undefined.

use std::borrow::Cow;

use serde_json::Value;

use crate::twin::value;

use super::ast::{CompareOp, Expr};
use super::eval::operand;
use super::functions::Function;
use super::operand::{Operand, compare};
use super::row::Row;

pub(super) fn call<'v, R: Row + ?Sized>(function: Function, arguments: &'v [Expr], row: &'v R) -> Operand<'v> {
    if let (Function::IsDefined, [Expr::Path(path)]) = (function, arguments) {
        return Operand::Bool(row.at(path.keys()).is_some());
    }
    if function == Function::Concat {
        return concat(arguments, row);
    }
    let value = |index: usize| arguments.get(index).map_or(Operand::Undefined, |argument| operand(argument, row));
    match function {
        Function::IsNull => Operand::Bool(matches!(value(0), Operand::Null)),
        Function::IsBool => Operand::Bool(matches!(value(0), Operand::Bool(_))),
        Function::IsNumber => Operand::Bool(value(0).as_float().is_some()),
        Function::IsString => Operand::Bool(matches!(value(0), Operand::Text(_))),
        Function::IsObject => Operand::Bool(matches!(value(0), Operand::Compound(found) if found.is_object())),
        Function::IsArray => Operand::Bool(matches!(value(0), Operand::Compound(found) if found.is_array())),
        Function::IsPrimitive => Operand::Bool(!matches!(value(0), Operand::Undefined | Operand::Compound(_))),
        Function::StartsWith | Function::EndsWith | Function::Contains | Function::IndexOf => {
            let (Operand::Text(text), Operand::Text(part)) = (value(0), value(1)) else { return Operand::Undefined };
            match function {
                Function::StartsWith => Operand::Bool(text.starts_with(part.as_ref())),
                Function::EndsWith => Operand::Bool(text.ends_with(part.as_ref())),
                Function::Contains => Operand::Bool(text.contains(part.as_ref())),
                _ => text.find(part.as_ref()).map_or(Operand::Integer(-1), |at| count(&text[..at])),
            }
        }
        Function::ArrayContains => array_contains(&value(0), &value(1)),
        Function::Length | Function::Lower | Function::Upper => match (function, value(0)) {
            (Function::Length, Operand::Text(text)) => count(&text),
            (Function::Lower, Operand::Text(text)) => Operand::Text(Cow::Owned(text.to_lowercase())),
            (_, Operand::Text(text)) => Operand::Text(Cow::Owned(text.to_uppercase())),
            _ => Operand::Undefined,
        },
        Function::Substring => substring(&value(0), &value(1), arguments.get(2).map(|_| value(2))),
        Function::AsNumber => as_number(value(0)),
        Function::Power => power(&value(0), &value(1)),
        _ => arithmetic(function, &value(0)),
    }
}

fn count<'v>(text: &str) -> Operand<'v> {
    Operand::Integer(i64::try_from(text.chars().count()).unwrap_or(i64::MAX))
}

/// As long as its arguments together, which the length of the query and of values bounds.
fn concat<'v, R: Row + ?Sized>(arguments: &'v [Expr], row: &'v R) -> Operand<'v> {
    let mut joined = String::new();
    for argument in arguments {
        let Operand::Text(text) = operand(argument, row) else { return Operand::Undefined };
        joined.push_str(&text);
    }
    Operand::Text(Cow::Owned(joined))
}

fn array_contains<'v>(array: &Operand<'_>, wanted: &Operand<'_>) -> Operand<'v> {
    match (array, wanted) {
        (Operand::Compound(array), wanted) if !matches!(wanted, Operand::Undefined) => match array.as_ref() {
            Value::Array(items) => Operand::Bool(items.iter().any(|item| same(item, wanted))),
            _ => Operand::Undefined,
        },
        _ => Operand::Undefined,
    }
}

fn same(item: &Value, wanted: &Operand<'_>) -> bool {
    match wanted {
        Operand::Compound(wanted) => value::equal(item, wanted),
        wanted => compare(CompareOp::Equal, &Operand::of(Some(Cow::Borrowed(item))), wanted) == Some(true),
    }
}

/// Beyond the end of the text there is nothing; a place or a length below 0 has no meaning.
fn substring<'v>(text: &Operand<'v>, start: &Operand<'_>, length: Option<Operand<'_>>) -> Operand<'v> {
    let whole = |operand: &Operand<'_>| match operand {
        Operand::Integer(number) => usize::try_from(*number).ok(),
        _ => None,
    };
    let length = match length {
        None => Some(usize::MAX),
        Some(length) => whole(&length),
    };
    match (text, whole(start), length) {
        (Operand::Text(text), Some(start), Some(length)) => {
            Operand::Text(Cow::Owned(text.chars().skip(start).take(length).collect()))
        }
        _ => Operand::Undefined,
    }
}

fn as_number(value: Operand<'_>) -> Operand<'_> {
    match value {
        Operand::Integer(_) | Operand::Float(_) => value,
        Operand::Text(text) => match serde_json::from_str(text.trim()) {
            Ok(number @ Value::Number(_)) => match Operand::of(Some(Cow::Owned(number))) {
                Operand::Integer(number) => Operand::Integer(number),
                Operand::Float(number) => Operand::Float(number),
                _ => Operand::Undefined,
            },
            _ => Operand::Undefined,
        },
        _ => Operand::Undefined,
    }
}

fn power<'v>(base: &Operand<'_>, exponent: &Operand<'_>) -> Operand<'v> {
    match (base.as_float(), exponent.as_float()) {
        (Some(base), Some(exponent)) => finite(base.powf(exponent)),
        _ => Operand::Undefined,
    }
}

/// Whole numbers stay whole where the result is.
fn arithmetic<'v>(function: Function, value: &Operand<'_>) -> Operand<'v> {
    if let Operand::Integer(number) = *value {
        let whole = match function {
            Function::Abs => number.checked_abs(),
            Function::Square => number.checked_mul(number),
            Function::Sign => Some(number.signum()),
            Function::Ceiling | Function::Floor => Some(number),
            _ => None,
        };
        if let Some(whole) = whole {
            return Operand::Integer(whole);
        }
    }
    let Some(number) = value.as_float() else { return Operand::Undefined };
    finite(match function {
        Function::Abs => number.abs(),
        Function::Exp => number.exp(),
        Function::Square => number * number,
        Function::Ceiling => number.ceil(),
        Function::Floor => number.floor(),
        Function::Sqrt => number.sqrt(),
        Function::Sign if number == 0.0 => 0.0,
        Function::Sign => number.signum(),
        _ => return Operand::Undefined,
    })
}

fn finite<'v>(number: f64) -> Operand<'v> {
    if number.is_finite() { Operand::Float(number) } else { Operand::Undefined }
}
