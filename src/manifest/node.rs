//! What a manifest says, with the place of every part.

use serde_json::{Map as JsonMap, Value};

use super::scalar::Surprise;
use crate::twin::pointer::Pointer;

/// A place in a text, both from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The character within the line.
    pub column: usize,
}

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it begins; what an alias stands for begins where its anchor is.
    pub at: Position,
    /// What it is.
    pub content: Content,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// A text, number, boolean or null.
    Scalar(Scalar),
    /// A list.
    List(Vec<Node>),
    /// A map.
    Map(Map),
}

/// A scalar as kubectl reads it.
#[derive(Clone, Debug, PartialEq)]
pub struct Scalar {
    /// The value.
    pub value: Value,
    /// What may not be meant.
    pub surprise: Option<Surprise>,
}

/// A map; of keys that stand twice the last counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Map {
    /// The members, each key once.
    pub members: Vec<Member>,
    /// The keys that stand again.
    pub twice: Vec<Key>,
}

/// A key and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// The key.
    pub key: Key,
    /// The value.
    pub value: Node,
}

/// A key as kubectl reads it.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// Where it begins.
    pub at: Position,
    /// The text that it becomes.
    pub text: String,
    /// What may not be meant.
    pub surprise: Option<Surprise>,
}

impl Map {
    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.members.iter().find(|member| member.key.text == key).map(|member| &member.value)
    }

    /// Puts a member; says whether the key was there.
    pub(super) fn put(&mut self, key: Key, value: Node) -> bool {
        match self.members.iter_mut().find(|member| member.key.text == key.text) {
            Some(member) => {
                *member = Member { key, value };
                true
            }
            None => {
                self.members.push(Member { key, value });
                false
            }
        }
    }
}

impl Node {
    /// The map, when it is one.
    #[must_use]
    pub fn map(&self) -> Option<&Map> {
        match &self.content {
            Content::Map(map) => Some(map),
            Content::Scalar(_) | Content::List(_) => None,
        }
    }

    /// The value of a key, when this is a map that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.map()?.get(key)
    }

    /// The value at a path of keys.
    #[must_use]
    pub fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |node, key| node.get(key))
    }

    /// The text, when it is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar(scalar) => scalar.value.as_str(),
            Content::List(_) | Content::Map(_) => None,
        }
    }

    /// Whether it is a null.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(&self.content, Content::Scalar(scalar) if scalar.value.is_null())
    }

    /// The value, as JSON.
    #[must_use]
    pub fn value(&self) -> Value {
        match &self.content {
            Content::Scalar(scalar) => scalar.value.clone(),
            Content::List(items) => Value::Array(items.iter().map(Self::value).collect()),
            Content::Map(map) => {
                let members = map.members.iter().map(|member| (member.key.text.clone(), member.value.value()));
                Value::Object(members.collect::<JsonMap<_, _>>())
            }
        }
    }

    /// Where something stands: the key when the path ends at one, else the nearest that is there above it.
    #[must_use]
    pub fn position(&self, at: &Pointer) -> Position {
        let mut node = self;
        let mut found = self.at;
        for key in at.keys() {
            match &node.content {
                Content::Map(map) => match map.members.iter().find(|member| member.key.text == *key) {
                    Some(member) => {
                        found = member.key.at;
                        node = &member.value;
                    }
                    None => return found,
                },
                Content::List(items) => match key.parse().ok().and_then(|index: usize| items.get(index)) {
                    Some(item) => {
                        found = item.at;
                        node = item;
                    }
                    None => return found,
                },
                Content::Scalar(_) => return found,
            }
        }
        found
    }

    /// How many nodes there are, this one included.
    pub(super) fn count(&self) -> usize {
        match &self.content {
            Content::Scalar(_) => 1,
            Content::List(items) => 1 + items.iter().map(Self::count).sum::<usize>(),
            Content::Map(map) => 1 + map.members.iter().map(|member| 1 + member.value.count()).sum::<usize>(),
        }
    }
}
