//! What Kubernetes asks of names and labels.

use super::super::node::{Content, Node};
use super::super::read::Manifest;
use super::schema::found;
use super::{Faults, pointer};
use crate::twin::pointer::Pointer;

/// The members of an object's metadata.
const KNOWN: [&str; 16] = [
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
    "clusterName",
];

/// Tells what the API server refuses in metadata.
pub(super) fn check(manifest: &Manifest, faults: &mut Faults<'_>) {
    let at = pointer(&["metadata"]);
    let Some(metadata) = manifest.node.get("metadata") else {
        return faults.error(&Pointer::root(), "metadata is missing: give the object a name");
    };
    let Some(map) = metadata.map() else { return faults.error(&at, "a map is expected") };
    for member in map.members.iter().filter(|member| !KNOWN.contains(&member.key.text.as_str())) {
        faults.error(&at.child(&member.key.text), "unknown field");
    }
    match map.get("name") {
        None if map.get("generateName").is_some() => {
            faults.error(&at, "kubectl apply needs a name, not generateName");
        }
        None => faults.error(&at, "name is missing"),
        Some(name) => text(name, &at.child("name"), faults, |text| {
            (!is_subdomain(text)).then(|| {
                "a name has at most 253 lower case letters, digits, \"-\" and \".\", and begins and ends with one of \
                 the former two"
                    .to_owned()
            })
        }),
    }
    if let Some(namespace) = map.get("namespace").filter(|namespace| !namespace.is_null()) {
        text(namespace, &at.child("namespace"), faults, |text| {
            (!is_label(text)).then(|| "a namespace has at most 63 lower case letters, digits and \"-\"".to_owned())
        });
    }
    texts(map.get("labels"), &at.child("labels"), faults, |value| {
        (!is_label_value(value)).then(|| {
            "a label has at most 63 letters, digits, \"-\", \"_\" and \".\", and begins and ends with one of the former \
             two"
                .to_owned()
        })
    });
    texts(map.get("annotations"), &at.child("annotations"), faults, |_| None);
}

fn text(node: &Node, at: &Pointer, faults: &mut Faults<'_>, rule: impl Fn(&str) -> Option<String>) {
    match node.text() {
        Some(text) => {
            if let Some(broken) = rule(text) {
                faults.error(at, broken);
            }
        }
        None => faults.error(at, format!("a text is expected, not {}: quote it", found(&node.content))),
    }
}

fn texts(node: Option<&Node>, at: &Pointer, faults: &mut Faults<'_>, rule: impl Fn(&str) -> Option<String>) {
    match node.map(|node| &node.content) {
        None => {}
        Some(Content::Map(map)) => {
            for member in &map.members {
                text(&member.value, &at.child(&member.key.text), faults, &rule);
            }
        }
        Some(Content::Scalar(scalar)) if scalar.value.is_null() => {}
        Some(_) => faults.error(at, "a map is expected"),
    }
}

/// Whether a text is a DNS subdomain of RFC 1123, as names of objects are.
pub(in crate::manifest) fn is_subdomain(text: &str) -> bool {
    let part = |part: &str| {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !part.is_empty() && !part.starts_with('-') && !part.ends_with('-') && part.bytes().all(inner)
    };
    text.len() <= 253 && text.split('.').all(part)
}

fn is_label(text: &str) -> bool {
    text.len() <= 63 && is_subdomain(text) && !text.contains('.')
}

fn is_label_value(text: &str) -> bool {
    let end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    let inner = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    bytes.is_empty() || bytes.len() <= 63 && end(bytes.first()) && end(bytes.last()) && bytes.iter().all(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_rfc_1123() {
        for good in ["a", "a-1.b", "0", &"x".repeat(253)] {
            assert!(is_subdomain(good), "{good}");
        }
        for bad in ["", "A", "-a", "a-", "a..b", ".a", "a.-b", "a_b", &"x".repeat(254)] {
            assert!(!is_subdomain(bad), "{bad}");
        }
        assert!(is_label_value("") && is_label_value("A_1.b") && !is_label_value("-a") && !is_label_value("a b"));
    }
}
