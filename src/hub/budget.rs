//! The budget of a hub: which calls may be made, and when.

mod class;

pub use class::Class;
