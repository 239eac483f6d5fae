//! Values inside a condition: borrowed from the row or the query, compared and calculated by the language's rules.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::{Number, Value};

use super::ast::{ArithmeticOp, CompareOp, Literal};

/// A value inside a condition.
#[derive(Clone, Debug)]
pub(super) enum Operand<'v> {
    /// Not there, or without meaning.
    Undefined,
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(Cow<'v, str>),
    /// An array or an object: neither compared nor calculated with.
    Compound(Cow<'v, Value>),
}

impl<'v> Operand<'v> {
    pub fn of(value: Option<Cow<'v, Value>>) -> Self {
        let Some(value) = value else { return Self::Undefined };
        match value.as_ref() {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => Self::number(number),
            Value::String(_) => match value {
                Cow::Borrowed(value) => value.as_str().map_or(Self::Undefined, |text| Self::Text(text.into())),
                Cow::Owned(Value::String(text)) => Self::Text(text.into()),
                Cow::Owned(_) => Self::Undefined,
            },
            Value::Array(_) | Value::Object(_) => Self::Compound(value),
        }
    }

    pub fn literal(literal: &'v Literal) -> Self {
        match literal {
            Literal::Undefined => Self::Undefined,
            Literal::Null => Self::Null,
            Literal::Bool(value) => Self::Bool(*value),
            Literal::Integer(number) => Self::Integer(*number),
            Literal::Float(number) => Self::Float(*number),
            Literal::Text(text) => Self::Text(text.into()),
        }
    }

    pub fn truth(truth: Option<bool>) -> Self {
        truth.map_or(Self::Undefined, Self::Bool)
    }

    pub fn as_truth(&self) -> Option<bool> {
        if let Self::Bool(value) = self { Some(*value) } else { None }
    }

    /// The value as JSON has it; `None` when it is undefined.
    pub fn into_value(self) -> Option<Value> {
        Some(match self {
            Self::Undefined => return None,
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(value),
            Self::Integer(number) => Value::from(number),
            Self::Float(number) => Value::from(number),
            Self::Text(text) => Value::from(text.into_owned()),
            Self::Compound(value) => value.into_owned(),
        })
    }

    fn number(number: &Number) -> Self {
        match number.as_i64() {
            Some(integer) => Self::Integer(integer),
            None => number.as_f64().map_or(Self::Undefined, Self::Float),
        }
    }

    pub fn as_float(&self) -> Option<f64> {
        match self {
            // Beyond 2^53 the nearest float is as near as the hub's own arithmetic gets.
            #[expect(clippy::cast_precision_loss, reason = "the nearest float is wanted")]
            Self::Integer(number) => Some(*number as f64),
            Self::Float(number) => Some(*number),
            _ => None,
        }
    }
}

/// Undefined unless both are primitives of one type. Texts compare by code point, which also orders timestamps.
pub(super) fn compare(op: CompareOp, left: &Operand<'_>, right: &Operand<'_>) -> Option<bool> {
    let order = match (left, right) {
        (Operand::Text(a), Operand::Text(b)) => a.cmp(b),
        (Operand::Integer(a), Operand::Integer(b)) => a.cmp(b),
        (Operand::Bool(a), Operand::Bool(b)) => a.cmp(b),
        (Operand::Null, Operand::Null) => Ordering::Equal,
        (a, b) => a.as_float()?.partial_cmp(&b.as_float()?)?,
    };
    Some(match op {
        CompareOp::Equal => order.is_eq(),
        CompareOp::NotEqual => order.is_ne(),
        CompareOp::Less => order.is_lt(),
        CompareOp::LessOrEqual => order.is_le(),
        CompareOp::Greater => order.is_gt(),
        CompareOp::GreaterOrEqual => order.is_ge(),
    })
}

/// Undefined unless both are numbers and the result is finite. Whole numbers stay whole where the result is.
pub(super) fn calculate<'v>(op: ArithmeticOp, left: &Operand<'_>, right: &Operand<'_>) -> Operand<'v> {
    if let (Operand::Integer(a), Operand::Integer(b)) = (left, right) {
        let exact = match op {
            ArithmeticOp::Add => a.checked_add(*b),
            ArithmeticOp::Subtract => a.checked_sub(*b),
            ArithmeticOp::Multiply => a.checked_mul(*b),
            ArithmeticOp::Divide => a.checked_div(*b).filter(|quotient| quotient.checked_mul(*b) == Some(*a)),
            ArithmeticOp::Remainder => a.checked_rem(*b),
        };
        if let Some(exact) = exact {
            return Operand::Integer(exact);
        }
    }
    let (Some(a), Some(b)) = (left.as_float(), right.as_float()) else { return Operand::Undefined };
    let result = match op {
        ArithmeticOp::Add => a + b,
        ArithmeticOp::Subtract => a - b,
        ArithmeticOp::Multiply => a * b,
        ArithmeticOp::Divide => a / b,
        ArithmeticOp::Remainder => a % b,
    };
    if result.is_finite() { Operand::Float(result) } else { Operand::Undefined }
}
