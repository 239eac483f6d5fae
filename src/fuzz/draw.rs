//! Turns random bytes into choices. When the bytes are used up, every choice is the first one.

use serde_json::{Map, Value, json};

/// Keys of random objects: few, so that patches meet; some that rules forbid.
const KEYS: [&str; 12] = ["a", "b", "c", "ab", "", "ü", "$version", "$metadata", "a.b", "a b", "a\u{7}", "#"];
/// Values at the edges of the rules.
const NUMBERS: [&str; 9] = [
    "0",
    "-1",
    "1.5",
    "4503599627370495",
    "4503599627370496",
    "-4503599627370496",
    "-4503599627370497",
    "1e300",
    "18446744073709551615",
];
/// Deepest random value: beyond what the hub takes.
const DEPTH: usize = 14;

pub struct Draw<'b>(&'b [u8]);

impl<'b> Draw<'b> {
    pub fn new(bytes: &'b [u8]) -> Self {
        Self(bytes)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// Below `count`, which is at least 1.
    pub fn below(&mut self, count: usize) -> usize {
        usize::from(self.byte()) % count
    }

    pub fn one_of<'c, T>(&mut self, choices: &'c [T]) -> &'c T {
        &choices[self.below(choices.len())]
    }

    pub fn object(&mut self) -> Map<String, Value> {
        self.members(0)
    }

    fn members(&mut self, depth: usize) -> Map<String, Value> {
        let mut members = Map::new();
        for _ in 0..self.below(5) {
            let key = self.key();
            members.insert(key, self.value(depth + 1));
        }
        members
    }

    fn key(&mut self) -> String {
        match self.byte() {
            255 => "k".repeat(1020 + self.below(8)),
            byte if byte >= 240 => KEYS[usize::from(byte - 240) % KEYS.len()].to_owned(),
            byte => KEYS[usize::from(byte) % 6].to_owned(),
        }
    }

    fn value(&mut self, depth: usize) -> Value {
        match self.byte() % 16 {
            0..=4 if depth < DEPTH => Value::Object(self.members(depth)),
            5 | 6 => Value::Null,
            7 => json!(self.byte().is_multiple_of(2)),
            8 | 9 => serde_json::from_str(self.one_of::<&str>(&NUMBERS)).expect("the list holds numbers"),
            10 => json!("x".repeat(4090 + self.below(10))),
            11 => json!("\u{1}é".repeat(self.below(200))),
            12 if depth < DEPTH => {
                let items = self.below(4);
                Value::Array((0..items).map(|_| self.value(depth + 1)).collect())
            }
            _ => json!(self.byte()),
        }
    }
}
