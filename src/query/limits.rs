//! What a query text may cost.

/// Longest query text in characters; the hub's own limit.
pub const MAX_CHARACTERS: usize = 8192;
/// Deepest nesting of parentheses, `NOT` and function arguments. Far beyond what people write, and far below what a
/// thread's stack holds.
pub const MAX_NESTING: usize = 64;
/// Most comparisons, list tests and function calls in one condition: bounds the work for one row.
pub const MAX_PREDICATES: usize = 512;
