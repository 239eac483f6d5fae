//! Writes queries so that they parse back to themselves.

use std::fmt::{self, Write};

use super::ast::{ArithmeticOp, Column, ColumnValue, CompareOp, Expr, Literal, Query, Select, Source};
use super::lexer::{is_name_part, is_name_start};
use super::parser::is_reserved;
use super::path::Path;

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SELECT ")?;
        if let Some(rows) = self.top {
            write!(f, "TOP {rows} ")?;
        }
        match &self.select {
            Select::Star => f.write_char('*')?,
            Select::Columns(columns) => joined(f, columns)?,
        }
        write!(f, " FROM {}", self.source)?;
        if let Some(filter) = &self.filter {
            write!(f, " WHERE {filter}")?;
        }
        if !self.group_by.is_empty() {
            f.write_str(" GROUP BY ")?;
            joined(f, &self.group_by)?;
        }
        Ok(())
    }
}

fn joined<T: fmt::Display>(f: &mut fmt::Formatter<'_>, items: &[T]) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        write!(f, "{comma}{item}")?;
    }
    Ok(())
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Devices => "devices",
            Self::Modules => "devices.modules",
            Self::Jobs => "devices.jobs",
        })
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            ColumnValue::Path(path) => write!(f, "{path}")?,
            ColumnValue::Count => f.write_str("COUNT()")?,
            ColumnValue::Aggregate(aggregate, path) => write!(f, "{}({path})", aggregate.name().to_ascii_uppercase())?,
        }
        match &self.alias {
            Some(alias) => write!(f, " AS {alias}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, key) in self.keys().iter().enumerate() {
            let dot = if index == 0 { "" } else { "." };
            if self.reads_back_plain(index) && is_plain(key) {
                write!(f, "{dot}{key}")?;
            } else {
                // A path of which only the raw form is left at its root keeps the name of the source in front.
                let front = if index == 0 { "devices." } else { dot };
                write!(f, "{front}[[{key}]]")?;
            }
        }
        Ok(())
    }
}

fn is_plain(key: &str) -> bool {
    key.starts_with(is_name_start) && key.chars().all(is_name_part) && !is_reserved(key)
}

/// How tightly an expression holds together; what stands within another is written in parentheses unless tighter.
fn tightness(expr: &Expr) -> u8 {
    match expr {
        Expr::Or(_) => 0,
        Expr::And(_) => 1,
        Expr::Not(_) => 2,
        Expr::Compare(..) | Expr::In { .. } => 3,
        Expr::Arithmetic(_, rest) => match rest.first() {
            Some((ArithmeticOp::Add | ArithmeticOp::Subtract, _)) => 4,
            _ => 5,
        },
        Expr::Literal(_) | Expr::Path(_) | Expr::Array(_) | Expr::Call(..) => 6,
    }
}

struct Within<'e>(&'e Expr, u8);

impl fmt::Display for Within<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(expr, outer) = self;
        if tightness(expr) > *outer { write!(f, "{expr}") } else { write!(f, "({expr})") }
    }
}

/// Parts of a list: each is a value, so that a condition stands in parentheses.
fn values(parts: &[Expr]) -> Vec<Within<'_>> {
    parts.iter().map(|part| Within(part, 3)).collect()
}

/// A space keeps an inner list's bracket from reading as `[[`.
fn write_list(f: &mut fmt::Formatter<'_>, items: &[Expr]) -> fmt::Result {
    let first = values(items).first().map(ToString::to_string).unwrap_or_default();
    f.write_str(if first.starts_with('[') { "[ " } else { "[" })?;
    joined(f, &values(items))?;
    f.write_char(']')
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own = tightness(self);
        let chain = |f: &mut fmt::Formatter<'_>, word: &str, parts: &[Self]| {
            for (index, part) in parts.iter().enumerate() {
                let word = if index == 0 { "" } else { word };
                write!(f, "{word}{}", Within(part, own))?;
            }
            Ok(())
        };
        match self {
            Self::Literal(literal) => write!(f, "{literal}"),
            Self::Path(path) => write!(f, "{path}"),
            Self::And(parts) => chain(f, " AND ", parts),
            Self::Or(parts) => chain(f, " OR ", parts),
            // NOT repeats without parentheses, so its operand may be one more NOT.
            Self::Not(inner) => write!(f, "NOT {}", Within(inner, own - 1)),
            Self::Compare(op, left, right) => write!(f, "{} {op} {}", Within(left, own), Within(right, own)),
            Self::In { negated, value, list } => {
                write!(f, "{} {}IN ", Within(value, own), if *negated { "N" } else { "" })?;
                write_list(f, list)
            }
            Self::Array(items) => write_list(f, items),
            Self::Arithmetic(first, rest) => {
                write!(f, "{}", Within(first, own))?;
                rest.iter().try_for_each(|(op, part)| write!(f, " {op} {}", Within(part, own)))
            }
            Self::Call(function, arguments) => {
                write!(f, "{}(", function.name())?;
                joined(f, &values(arguments))?;
                f.write_char(')')
            }
        }
    }
}

impl fmt::Display for CompareOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        })
    }
}

impl fmt::Display for ArithmeticOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
        })
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Undefined => f.write_str("undefined"),
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Integer(number) => write!(f, "{number}"),
            // Debug keeps a point or an exponent, so that a float is read back as one.
            Self::Float(number) => write!(f, "{number:?}"),
            Self::Text(text) => {
                f.write_char('\'')?;
                for c in text.chars() {
                    match c {
                        '\'' | '\\' => write!(f, "\\{c}")?,
                        c if c.is_control() => write!(f, "\\u{:04x}", u32::from(c))?,
                        c => f.write_char(c)?,
                    }
                }
                f.write_char('\'')
            }
        }
    }
}
