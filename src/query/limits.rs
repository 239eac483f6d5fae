//! What a query text may cost.

/// Longest query text in characters; the hub's own limit.
pub const MAX_CHARACTERS: usize = 8192;
/// Deepest nesting of parentheses, `NOT` and function arguments. Far beyond what people write, and far below what a
/// thread's stack holds.
pub const MAX_NESTING: usize = 64;
/// Most columns: bounds the size of a row.
pub const MAX_COLUMNS: usize = 100;
/// Most groups of a `GROUP BY`.
pub const MAX_GROUPS: usize = 10_000;
/// Most bytes of the values by which rows are grouped, all groups together.
pub const MAX_GROUP_BYTES: usize = 16 * 1024 * 1024;
/// Most comparisons, list tests and function calls in one condition: bounds the work for one row.
pub const MAX_PREDICATES: usize = 512;
