//! Twin documents and every decision about them. Pure: no async, no clock, no randomness, no I/O.

pub mod claims;
pub mod converge;
pub mod document;
pub mod id;
pub mod invariants;
pub mod merge;
pub mod plan;
pub mod pointer;
#[cfg(test)]
pub(crate) mod random;
pub mod rules;
pub mod value;
pub mod view;
