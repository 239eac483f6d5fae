//! The hub's query language for twins: parse a text, then select, project and aggregate rows. Pure.
//!
//! Rows are twin documents as the service API writes them. Names of system fields, keywords and functions are read
//! without regard to case; keys of tags and properties are not. What is not in a row is *undefined*: comparing it, or
//! comparing values of different types, is undefined again, and only `true` selects a row.
//!
//! Where the documentation is silent: values of different types are neither equal nor unequal; strings compare by code
//! point; a division by zero is undefined; `SUM` of nothing is 0, `AVG`, `MIN` and `MAX` of nothing are left out;
//! an aggregate without alias is named after its function; two columns of one name are refused.
//!
//! Source: the Azure IoT Hub documentation, "IoT Hub query language" and "Queries for IoT Hub device and module twins".

mod aggregate;
mod ast;
mod call;
mod display;
mod error;
mod eval;
mod expression;
mod functions;
mod lexer;
mod limits;
mod operand;
mod parser;
mod path;
mod project;
mod row;

pub use aggregate::Groups;
pub use ast::{
    Aggregate, ArithmeticOp, Column, ColumnValue, CompareOp, Expr, ItemType, Literal, Query, Select, Source,
};
pub use error::{ParseError, Problem, TooManyGroups};
pub use functions::{Function, Functions};
pub use limits::{MAX_CHARACTERS, MAX_COLUMNS, MAX_GROUP_BYTES, MAX_GROUPS, MAX_NESTING, MAX_PREDICATES};
pub use parser::{parse, parse_with};
pub use path::Path;
pub use row::{Row, below};

#[cfg(test)]
mod examples;
#[cfg(test)]
mod properties;
