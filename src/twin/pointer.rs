//! Paths into twins, written as JSON pointers.

use std::fmt;
use std::str::FromStr;

/// A path of keys, RFC 6901 in writing: `/telemetry/intervalSec`, with `~` as `~0` and `/` as `~1`. The empty path is the
/// section itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pointer(Vec<String>);

/// A text that is not a JSON pointer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a JSON pointer: it starts with \"/\", and \"~\" stands only in \"~0\" and \"~1\" (RFC 6901)")]
pub struct NotAPointer(String);

impl Pointer {
    /// The path of the section itself.
    #[must_use]
    pub fn root() -> Self {
        Self::default()
    }

    /// The path one key further down.
    #[must_use]
    pub fn child(&self, key: &str) -> Self {
        let mut keys = self.0.clone();
        keys.push(key.to_owned());
        Self(keys)
    }

    /// The path one key up; `None` at the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        let (_, keys) = self.0.split_last()?;
        Some(Self(keys.to_vec()))
    }

    /// The keys, outermost first.
    #[must_use]
    pub fn keys(&self) -> &[String] {
        &self.0
    }

    /// Whether this path has no keys.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `self` is `other` or stands above it.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }

    /// Every path strictly between the root and `self`, outermost first.
    pub fn ancestors(&self) -> impl Iterator<Item = Self> + '_ {
        (1..self.0.len()).map(|depth| Self(self.0[..depth].to_vec()))
    }

    /// The written form, cut to at most `bytes` bytes, with `…` where something was left out.
    #[must_use]
    pub fn shortened(&self, bytes: usize) -> String {
        let text = self.to_string();
        if text.len() <= bytes {
            return text;
        }
        let mark = '…';
        let end = (0..=bytes.saturating_sub(mark.len_utf8())).rev().find(|at| text.is_char_boundary(*at));
        format!("{}{mark}", &text[..end.unwrap_or(0)])
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|key| write!(f, "/{}", key.replace('~', "~0").replace('/', "~1")))
    }
}

impl FromStr for Pointer {
    type Err = NotAPointer;

    fn from_str(text: &str) -> Result<Self, NotAPointer> {
        if text.is_empty() {
            return Ok(Self::root());
        }
        let rest = text.strip_prefix('/').ok_or_else(|| NotAPointer(text.to_owned()))?;
        let unescape = |key: &str| {
            let odd = key.replace("~0", "").replace("~1", "").contains('~');
            (!odd).then(|| key.replace("~1", "/").replace("~0", "~"))
        };
        let keys: Option<Vec<String>> = rest.split('/').map(unescape).collect();
        keys.map(Self).ok_or_else(|| NotAPointer(text.to_owned()))
    }
}

impl<S: Into<String>> FromIterator<S> for Pointer {
    fn from_iter<I: IntoIterator<Item = S>>(keys: I) -> Self {
        Self(keys.into_iter().map(Into::into).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_rfc_6901() {
        for text in ["", "/a", "/a/b", "/", "/a~1b/m~0n", "/~01"] {
            assert_eq!(text.parse::<Pointer>().unwrap().to_string(), text);
        }
        assert_eq!("/a~1b/m~0n".parse::<Pointer>().unwrap().keys(), ["a/b", "m~n"]);
        assert_eq!("/~01".parse::<Pointer>().unwrap().keys(), ["~1"]);
        for text in ["a", "/~", "/a~2"] {
            assert!(text.parse::<Pointer>().is_err(), "{text}");
        }
    }

    #[test]
    fn shortens_at_a_character_boundary() {
        let long: Pointer = ["ü".repeat(200)].into_iter().collect();
        let short = long.shortened(256);
        assert!(short.len() <= 256 && short.ends_with('…'), "{short}");
        assert_eq!(Pointer::root().child("a").shortened(256), "/a");
    }
}
