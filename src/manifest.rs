//! Manifests as users write them: read as kubectl reads them, checked by every rule of ours, and written. Pure.

pub mod check;
mod emit;
pub mod export;
pub mod node;
pub mod preview;
pub mod read;
mod scalar;
mod stream;
mod yaml;

pub use read::{Manifest, Trouble, read};
