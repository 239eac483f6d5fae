//! The parts of a twin document and its leaves.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

use super::pointer::Pointer;

/// A JSON object.
pub type Object = Map<String, Value>;

/// Leaves by path. A leaf is a scalar, an array or an empty object.
pub type Leaves = BTreeMap<Pointer, Value>;

/// The parts of a twin that hold properties.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    /// `tags`: seen and written by back ends only.
    Tags,
    /// `properties.desired`: written by back ends, followed by the device.
    Desired,
    /// `properties.reported`: written by the device.
    Reported,
}

impl Section {
    /// Where the section stands in the twin, as a path from its root.
    #[must_use]
    pub fn pointer(self) -> Pointer {
        match self {
            Self::Tags => ["tags"].into_iter().collect(),
            Self::Desired => ["properties", "desired"].into_iter().collect(),
            Self::Reported => ["properties", "reported"].into_iter().collect(),
        }
    }

    /// The path of something in this section, from the root of the twin.
    #[must_use]
    pub fn absolute(self, relative: &Pointer) -> Pointer {
        self.pointer().keys().iter().chain(relative.keys()).collect()
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tags => "tags",
            Self::Desired => "desired",
            Self::Reported => "reported",
        })
    }
}

/// Whether a value is a leaf: anything but an object with members.
#[must_use]
pub fn is_leaf(value: &Value) -> bool {
    value.as_object().is_none_or(Map::is_empty)
}

/// Every leaf of a section. The section itself is never a leaf: `{}` has none.
#[must_use]
pub fn leaves(section: &Object) -> Leaves {
    let mut found = Leaves::new();
    for (key, value) in section {
        collect(Pointer::root().child(key), value, &mut found);
    }
    found
}

fn collect(at: Pointer, value: &Value, found: &mut Leaves) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (key, member) in members {
                collect(at.child(key), member, found);
            }
        }
        leaf => {
            found.insert(at, leaf.clone());
        }
    }
}

/// The value at a path; `None` when nothing is there.
#[must_use]
pub fn get<'a>(section: &'a Object, at: &Pointer) -> Option<&'a Value> {
    let (first, rest) = at.keys().split_first()?;
    rest.iter().try_fold(section.get(first)?, |value, key| value.as_object()?.get(key))
}

/// Puts a value at a path, making the objects above it; a scalar or an array in the way gives place to an object.
pub fn set(section: &mut Object, at: &Pointer, value: Value) {
    let Some((last, parents)) = at.keys().split_last() else { return };
    let mut here = section;
    for key in parents {
        let slot = here.entry(key.as_str()).or_insert(Value::Null);
        if !slot.is_object() {
            *slot = Value::Object(Object::new());
        }
        let Value::Object(next) = slot else { return };
        here = next;
    }
    here.insert(last.clone(), value);
}

/// The section that holds just these leaves.
#[must_use]
pub fn from_leaves(leaves: &Leaves) -> Object {
    let mut section = Object::new();
    for (at, value) in leaves {
        set(&mut section, at, value.clone());
    }
    section
}

/// The section without its `$` members (`$metadata`, `$version`), which belong to the hub.
#[must_use]
pub fn without_system_members(section: &Object) -> Object {
    section.iter().filter(|(key, _)| !key.starts_with('$')).map(|(key, value)| (key.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(value: Value) -> Object {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn leaves_are_scalars_arrays_and_empty_objects() {
        let section = object(json!({"a": {"b": 1, "c": {}}, "d": [1, {"e": 2}], "f": null}));
        let found: Vec<String> = leaves(&section).keys().map(ToString::to_string).collect();
        assert_eq!(found, ["/a/b", "/a/c", "/d", "/f"]);
        assert_eq!(from_leaves(&leaves(&section)), section);
        assert!(leaves(&Object::new()).is_empty());
    }

    #[test]
    fn get_stops_at_scalars() {
        let section = object(json!({"a": {"b": 1}}));
        assert_eq!(get(&section, &"/a/b".parse().unwrap()), Some(&json!(1)));
        assert_eq!(get(&section, &"/a/b/c".parse().unwrap()), None);
        assert_eq!(get(&section, &Pointer::root()), None);
    }

    #[test]
    fn absolute_paths_start_at_the_twin() {
        let at = "/location/region".parse().unwrap();
        assert_eq!(Section::Tags.absolute(&at).to_string(), "/tags/location/region");
        assert_eq!(Section::Desired.absolute(&at).to_string(), "/properties/desired/location/region");
    }
}
