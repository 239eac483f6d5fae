//! Random paths, values and sections: few names, so that what different writers do meets.

use serde_json::{Value, json};

use super::tree::{Object, Path, put};

pub struct Chance(fastrand::Rng);

/// Keys that need care: escapes of JSON pointers, more than ASCII.
const FIRST: [&str; 6] = ["a", "b", "k/1", "ü~", "n", "s"];
const BELOW: [&str; 3] = ["x", "y", "z~0"];

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// A number from 0 to below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0.usize(..bound)
    }

    /// Whether something happens that happens `part` times in `whole`.
    pub fn happens(&mut self, part: usize, whole: usize) -> bool {
        self.below(whole) < part
    }

    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// An index by weights.
    pub fn weighted(&mut self, weights: &[usize]) -> usize {
        let mut left = self.below(weights.iter().sum());
        for (index, weight) in weights.iter().enumerate() {
            if left < *weight {
                return index;
            }
            left -= weight;
        }
        unreachable!("less than the sum")
    }

    /// Some first keys mostly have objects below them and some mostly have not, so that shapes meet, and not always.
    pub fn path(&mut self) -> Path {
        let first = self.below(FIRST.len());
        let depth = 1 + if first < 2 { self.weighted(&[1, 8, 3]) } else { self.weighted(&[12, 1, 0]) };
        let mut path = vec![FIRST[first].to_owned()];
        for _ in 1..depth {
            path.push((*self.pick(&BELOW)).to_owned());
        }
        path
    }

    /// Scalars of few values, an array, an empty object.
    pub fn leaf(&mut self) -> Value {
        match self.weighted(&[8, 2, 4, 3, 2, 1]) {
            0 => json!(self.below(4)),
            1 => json!(1.0),
            2 => json!(["on", "off"][self.below(2)]),
            3 => json!(self.happens(1, 2)),
            4 => json!([self.below(2), {"in": "array"}]),
            _ => json!({}),
        }
    }

    pub fn section(&mut self, most: usize) -> Object {
        let mut section = Object::new();
        for _ in 0..self.below(most + 1) {
            let (at, leaf) = (self.path(), self.leaf());
            put(&mut section, &at, leaf);
        }
        section
    }

    /// A merge patch of a back end that cares for nobody: values and nulls.
    pub fn patch(&mut self) -> Object {
        let mut patch = Object::new();
        for _ in 0..=self.below(3) {
            let leaf = if self.happens(1, 4) { Value::Null } else { self.leaf() };
            put(&mut patch, &self.path(), leaf);
        }
        patch
    }
}
