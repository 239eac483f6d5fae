//! A parsed query.

use super::functions::Function;
use super::path::Path;

/// A query. [`parse`](super::parse) makes it; `Display` writes it so that it parses back to itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    pub(super) source: Source,
    pub(super) select: Select,
    pub(super) top: Option<u64>,
    pub(super) filter: Option<Expr>,
    pub(super) group_by: Vec<Path>,
}

impl Query {
    /// Which rows the query runs over.
    #[must_use]
    pub fn source(&self) -> Source {
        self.source
    }

    /// What is selected.
    #[must_use]
    pub fn select(&self) -> &Select {
        &self.select
    }

    /// The most rows wanted, at least 1; `None` for all.
    #[must_use]
    pub fn top(&self) -> Option<u64> {
        self.top
    }

    /// The `WHERE` condition.
    #[must_use]
    pub fn filter(&self) -> Option<&Expr> {
        self.filter.as_ref()
    }

    /// The paths of `GROUP BY`.
    #[must_use]
    pub fn group_by(&self) -> &[Path] {
        &self.group_by
    }

    /// Every path in the `WHERE` condition.
    #[must_use]
    pub fn filter_paths(&self) -> Vec<&Path> {
        let mut found = Vec::new();
        if let Some(filter) = &self.filter {
            filter.paths(&mut found);
        }
        found
    }

    /// Whether whole rows are selected.
    #[must_use]
    pub fn is_star(&self) -> bool {
        self.select == Select::Star
    }

    /// Whether answer rows are made from many rows: use [`Groups`](super::Groups) then, not [`Query::project`].
    #[must_use]
    pub fn is_aggregate(&self) -> bool {
        !self.group_by.is_empty()
            || matches!(&self.select, Select::Columns(columns)
                if columns.iter().any(|column| !matches!(column.value, ColumnValue::Path(_))))
    }

    /// What the hub calls the rows of the answer in the `x-ms-item-type` header.
    #[must_use]
    pub fn item_type(&self) -> ItemType {
        match (self.source, &self.select) {
            (Source::Jobs, _) => ItemType::DeviceJob,
            (_, Select::Star) => ItemType::Twin,
            (_, Select::Columns(_)) => ItemType::Raw,
        }
    }
}

/// Which rows a query runs over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// `devices`: one row a device twin.
    Devices,
    /// `devices.modules`: one row a module twin.
    Modules,
    /// `devices.jobs`: one row a device of a job. Parsed; who holds no jobs refuses it.
    Jobs,
}

/// What the hub calls the rows of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemType {
    /// Whole twins.
    Twin,
    /// Projections and aggregates.
    Raw,
    /// Rows of jobs.
    DeviceJob,
}

impl ItemType {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Twin => "Twin",
            Self::Raw => "Raw",
            Self::DeviceJob => "DeviceJob",
        }
    }
}

/// What is selected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Select {
    /// `*`: whole rows.
    Star,
    /// Columns, at least one.
    Columns(Vec<Column>),
}

/// One column of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// What it shows.
    pub value: ColumnValue,
    /// The name given by `AS`.
    pub alias: Option<String>,
}

impl Column {
    /// The key of the column: the alias, or the path's last key, or the aggregate's name.
    #[must_use]
    pub fn name(&self) -> &str {
        match (&self.alias, &self.value) {
            (Some(alias), _) => alias,
            (None, ColumnValue::Path(path)) => path.last(),
            (None, ColumnValue::Count) => "count",
            (None, ColumnValue::Aggregate(aggregate, _)) => aggregate.name(),
        }
    }
}

/// What a column shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnValue {
    /// The value at a path.
    Path(Path),
    /// `COUNT()`: how many rows.
    Count,
    /// A figure over the values at a path.
    Aggregate(Aggregate, Path),
}

/// A figure over many values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregate {
    /// `AVG`: of the numbers.
    Avg,
    /// `SUM`: of the numbers.
    Sum,
    /// `MIN`: the smallest number; where there is none, the first text.
    Min,
    /// `MAX`: the largest number; where there is none, the last text.
    Max,
}

impl Aggregate {
    /// The name in lower case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Avg => "avg",
            Self::Sum => "sum",
            Self::Min => "min",
            Self::Max => "max",
        }
    }
}

/// A condition, or a value within one. Chains are flat, so that depth is bounded by what is written in parentheses.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// A constant.
    Literal(Literal),
    /// The value at a path.
    Path(Path),
    /// `a AND b AND …`, at least two.
    And(Vec<Expr>),
    /// `a OR b OR …`, at least two.
    Or(Vec<Expr>),
    /// `NOT a`.
    Not(Box<Expr>),
    /// `a = b` and its like.
    Compare(CompareOp, Box<Expr>, Box<Expr>),
    /// `a IN [b, …]`, or `NIN` when `negated`.
    In {
        /// Whether it is `NIN`.
        negated: bool,
        /// What is looked for.
        value: Box<Expr>,
        /// Where it is looked for, at least one.
        list: Vec<Expr>,
    },
    /// A chain of one precedence, left to right: `a + b - c` or `a * b / c`.
    Arithmetic(Box<Expr>, Vec<(ArithmeticOp, Expr)>),
    /// `[a, b, …]` as a value, at least one.
    Array(Vec<Expr>),
    /// A function and as many arguments as it takes.
    Call(Function, Vec<Expr>),
}

impl Expr {
    fn paths<'e>(&'e self, found: &mut Vec<&'e Path>) {
        match self {
            Self::Literal(_) => {}
            Self::Path(path) => found.push(path),
            Self::And(parts) | Self::Or(parts) | Self::Array(parts) | Self::Call(_, parts) => {
                parts.iter().for_each(|part| part.paths(found));
            }
            Self::Not(inner) => inner.paths(found),
            Self::Compare(_, left, right) => [left, right].into_iter().for_each(|side| side.paths(found)),
            Self::In { value, list, .. } => {
                value.paths(found);
                list.iter().for_each(|item| item.paths(found));
            }
            Self::Arithmetic(first, rest) => {
                first.paths(found);
                rest.iter().for_each(|(_, part)| part.paths(found));
            }
        }
    }
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompareOp {
    /// `=`
    Equal,
    /// `!=` or `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// An arithmetic operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArithmeticOp {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `%`
    Remainder,
}

/// A constant.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// `undefined`
    Undefined,
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A whole number, decimal or hexadecimal.
    Integer(i64),
    /// Any other number; finite.
    Float(f64),
    /// A text in quotes.
    Text(String),
}
