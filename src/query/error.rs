//! Why a text is no query, and where.

use super::limits::{MAX_CHARACTERS, MAX_COLUMNS, MAX_GROUP_BYTES, MAX_GROUPS, MAX_NESTING, MAX_PREDICATES};

/// Most characters of the query that a message repeats at once, escapes included.
const MAX_QUOTED: usize = 64;

/// A piece of the query as a message repeats it: on one line, and short.
pub(super) fn short(text: &str) -> String {
    let mut escaped = text.escape_debug();
    let mut short: String = escaped.by_ref().take(MAX_QUOTED).collect();
    if escaped.next().is_some() {
        short.push('…');
    }
    short
}

/// A text that is not a query: where, and what is wrong there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {problem}")]
pub struct ParseError {
    /// The line, from 1.
    pub line: usize,
    /// The character within the line, from 1.
    pub column: usize,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a query text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// More than [`MAX_CHARACTERS`] characters.
    #[error("the query has {0} characters; at most {MAX_CHARACTERS} are allowed")]
    TooLong(usize),
    /// Deeper than [`MAX_NESTING`].
    #[error("nested too deep; at most {MAX_NESTING} levels are allowed")]
    TooDeep,
    /// More than [`MAX_PREDICATES`] comparisons, list tests and calls.
    #[error("too many conditions; at most {MAX_PREDICATES} are allowed")]
    TooManyPredicates,
    /// More than [`MAX_COLUMNS`].
    #[error("too many columns; at most {MAX_COLUMNS} are allowed")]
    TooManyColumns,
    /// Something else than what the language has here.
    #[error("expected {expected}, found {found}")]
    Expected {
        /// What could stand here.
        expected: &'static str,
        /// What stands here.
        found: String,
    },
    /// A reserved word where a key belongs.
    #[error("\"{0}\" is a reserved word; write the key as [[{0}]]")]
    Reserved(String),
    /// A character that starts nothing in the language.
    #[error("{0:?} has no meaning here")]
    Character(char),
    /// A string or a `[[name]]` that is not closed.
    #[error("{0} is not closed")]
    Unclosed(&'static str),
    /// A backslash in front of something that it does not escape.
    #[error("{0}; the escapes are \\', \\\", \\\\ and \\uXXXX")]
    Escape(&'static str),
    /// A number that cannot be read.
    #[error("\"{0}\" is not a number, or is too large")]
    Number(String),
    /// A name in front of a parenthesis that is no function.
    #[error("{0} is not a function")]
    UnknownFunction(String),
    /// A function of other query dialects.
    #[error("{name} is not available in queries of twins; {instead}")]
    RefusedFunction {
        /// The name as written.
        name: String,
        /// What to write instead, if anything.
        instead: &'static str,
    },
    /// The wrong number or kind of arguments.
    #[error("{name} takes {takes}")]
    Arguments {
        /// The function.
        name: &'static str,
        /// Its arguments.
        takes: &'static str,
    },
    /// An aggregate outside the select list.
    #[error("{0} stands only in the select list")]
    AggregateHere(&'static str),
    /// `a = b = c`.
    #[error("comparisons do not chain; join them by AND")]
    Chained,
    /// `TOP 0`.
    #[error("TOP needs a number of at least 1")]
    Top,
    /// A column that is neither aggregated nor grouped by.
    #[error("{0} is neither aggregated nor in GROUP BY")]
    NotGrouped(String),
    /// Two columns of one name.
    #[error("two columns are named \"{0}\"; give one another name by AS")]
    SameName(String),
    /// Something this source does not allow.
    #[error("{0}")]
    NotForSource(&'static str),
    /// `SELECT *` together with `GROUP BY`.
    #[error("SELECT * cannot be grouped; name the columns")]
    StarGrouped,
}

/// A `GROUP BY` that makes more groups, or groups by larger values, than are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "GROUP BY makes more than {MAX_GROUPS} groups, or groups by more than {MAX_GROUP_BYTES} bytes; group by a property with fewer values, or narrow the rows by WHERE"
)]
pub struct TooManyGroups;
