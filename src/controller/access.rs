//! Who may use a ClusterHubConnection for what. Pure.

use std::collections::BTreeMap;

use kube::core::{Selector, SelectorExt as _};

use crate::api::cluster_hub_connection::{AccessEntry, AccessKind, Right};

/// The labels of a namespace.
pub type Labels = BTreeMap<String, String>;

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Asks<'a> {
    /// The kind of the object.
    pub kind: AccessKind,
    /// Its namespace.
    pub namespace: &'a str,
    /// The labels of its namespace; `None` when they are not known.
    pub labels: Option<&'a Labels>,
    /// The device; `None` for a query.
    pub device: Option<&'a str>,
}

/// What an object may do beside reading and writing its twin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// Create the identity.
    pub create_identity: bool,
    /// Remove its keys when it is deleted.
    pub remove_keys: bool,
}

impl Rights {
    /// What an object may do with a connection of its own namespace.
    pub const ALL: Self = Self { create_identity: true, remove_keys: true };
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// It may use the connection.
    Allowed(Rights),
    /// It may not, and what an administrator would add.
    Refused(String),
    /// No entry that can be judged without the labels of the namespace allows it.
    LabelsNeeded,
}

/// Decides by the entries of the connection `name`.
#[must_use]
pub fn decide(name: &str, entries: &[AccessEntry], asks: Asks<'_>) -> Access {
    let mut rights = None;
    let (mut unknown, mut near) = (false, false);
    for entry in entries {
        match matches_namespace(entry, asks) {
            Some(false) => {}
            None => unknown = true,
            Some(true) if admits(entry, asks) => {
                let found: &mut Rights = rights.get_or_insert_default();
                found.create_identity |= entry.allow.contains(&Right::CreateIdentity);
                found.remove_keys |= entry.allow.contains(&Right::RemoveKeys);
            }
            Some(true) => near |= entry.kinds.contains(&asks.kind),
        }
    }
    match rights {
        Some(rights) => Access::Allowed(rights),
        None if unknown => Access::LabelsNeeded,
        None => Access::Refused(refusal(name, near, asks)),
    }
}

/// Whether an entry speaks of the namespace; `None` when its labels are needed and not known.
fn matches_namespace(entry: &AccessEntry, asks: Asks<'_>) -> Option<bool> {
    if entry.namespaces.iter().flatten().any(|name| name == asks.namespace) {
        return Some(true);
    }
    let Some(selector) = &entry.namespace_selector else { return Some(false) };
    // What the API server cannot have let pass matches nobody.
    let Ok(selector) = Selector::try_from(selector.clone()) else { return Some(false) };
    if selector.selects_all() {
        return Some(true);
    }
    asks.labels.map(|labels| selector.matches(labels))
}

/// Whether an entry that speaks of the namespace admits the object. A query cannot be held to prefixes.
fn admits(entry: &AccessEntry, asks: Asks<'_>) -> bool {
    let device = match (&entry.device_id_prefixes, asks.device) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(prefixes), Some(device)) => prefixes.iter().any(|prefix| device.starts_with(prefix.as_str())),
    };
    entry.kinds.contains(&asks.kind) && device
}

fn refusal(name: &str, near: bool, asks: Asks<'_>) -> String {
    let namespace = asks.namespace;
    let kind = kind(asks.kind);
    match asks.device {
        Some(device) if near => format!(
            "ClusterHubConnection {name} does not allow device {device} to namespace {namespace}: an administrator adds \
             a prefix of it to deviceIdPrefixes in an entry of spec.access"
        ),
        _ => format!(
            "ClusterHubConnection {name} is not open to {kind}s of namespace {namespace}: an administrator adds to \
             spec.access an entry with namespaces: [{namespace}] and kinds: [{kind}]"
        ),
    }
}

fn kind(kind: AccessKind) -> &'static str {
    match kind {
        AccessKind::DeviceTwin => "DeviceTwin",
        AccessKind::TwinQuery => "TwinQuery",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn entries(value: serde_json::Value) -> Vec<AccessEntry> {
        serde_json::from_value(value).unwrap()
    }

    fn asks<'a>(namespace: &'a str, device: Option<&'a str>, labels: Option<&'a Labels>) -> Asks<'a> {
        let kind = if device.is_some() { AccessKind::DeviceTwin } else { AccessKind::TwinQuery };
        Asks { kind, namespace, labels, device }
    }

    #[test]
    fn entries_say_who_may_what() {
        const NONE: Rights = Rights { create_identity: false, remove_keys: false };
        let team = Labels::from([("team".to_owned(), "plant".to_owned())]);
        let other = Labels::new();
        let twin = Some("plant-1");
        for (access, labels, device, expected) in [
            (json!([]), Some(&team), twin, None),
            (json!([{}]), Some(&team), twin, None),
            (json!([{"namespaces": []}]), Some(&team), twin, None),
            (json!([{"namespaces": ["a"]}]), None, twin, Some(NONE)),
            (json!([{"namespaces": ["b"]}]), Some(&team), twin, None),
            (json!([{"namespaceSelector": {}}]), None, twin, Some(NONE)),
            (json!([{"namespaceSelector": {"matchLabels": {"team": "plant"}}}]), Some(&team), twin, Some(NONE)),
            (json!([{"namespaceSelector": {"matchLabels": {"team": "plant"}}}]), Some(&other), twin, None),
            // Either is enough.
            (json!([{"namespaces": ["a"], "namespaceSelector": {"matchLabels": {"x": "y"}}}]), None, twin, Some(NONE)),
            (json!([{"namespaces": ["a"], "deviceIdPrefixes": ["plant-"]}]), None, twin, Some(NONE)),
            (json!([{"namespaces": ["a"], "deviceIdPrefixes": ["Plant-"]}]), None, twin, None),
            (json!([{"namespaces": ["a"]}]), None, None, None),
            (json!([{"namespaces": ["a"], "kinds": ["TwinQuery"]}]), None, None, Some(NONE)),
            (json!([{"namespaces": ["a"], "kinds": ["TwinQuery"]}]), None, twin, None),
            (json!([{"namespaces": ["a"], "kinds": ["TwinQuery"], "deviceIdPrefixes": ["p"]}]), None, None, None),
            (
                json!([{"namespaces": ["a"], "allow": ["RemoveKeys"]}, {"namespaceSelector": {}, "allow": ["CreateIdentity"]}]),
                None,
                twin,
                Some(Rights::ALL),
            ),
            // The right of an entry that does not admit the device counts for nothing.
            (
                json!([{"namespaces": ["a"]}, {"namespaces": ["a"], "deviceIdPrefixes": ["x"], "allow": ["RemoveKeys"]}]),
                None,
                twin,
                Some(NONE),
            ),
        ] {
            let found = match decide("chub", &entries(access.clone()), asks("a", device, labels)) {
                Access::Allowed(rights) => Some(rights),
                Access::Refused(_) => None,
                Access::LabelsNeeded => panic!("{access}: no labels needed"),
            };
            assert_eq!(found, expected, "{access} {device:?}");
        }
    }

    #[test]
    fn nobody_is_refused_before_the_labels_are_known() {
        let access = entries(json!([{"namespaceSelector": {"matchLabels": {"team": "plant"}}}]));
        assert_eq!(decide("chub", &access, asks("a", Some("d"), None)), Access::LabelsNeeded);
    }

    #[test]
    fn a_refusal_names_what_an_administrator_adds() {
        let told = |access, device| match decide("chub", &entries(access), asks("a", device, None)) {
            Access::Refused(text) => text,
            other => panic!("{other:?}"),
        };
        let text = told(json!([]), Some("d"));
        assert!(text.contains("namespaces: [a] and kinds: [DeviceTwin]"), "{text}");
        let text = told(json!([{"namespaces": ["a"], "deviceIdPrefixes": ["x"]}]), Some("d"));
        assert!(text.contains("device d") && text.contains("deviceIdPrefixes"), "{text}");
        let text = told(json!([{"namespaces": ["a"]}]), None);
        assert!(text.contains("kinds: [TwinQuery]"), "{text}");
    }

    fn any_entry() -> impl Strategy<Value = AccessEntry> {
        let names = proptest::option::of(proptest::collection::vec("[ab]", 0..3));
        let selector = proptest::option::of(prop_oneof![
            Just(json!({})),
            Just(json!({"matchLabels": {"t": "1"}})),
            Just(json!({"matchExpressions": [{"key": "t", "operator": "DoesNotExist"}]})),
        ]);
        let prefixes = proptest::option::of(proptest::collection::vec("[xy]", 1..3));
        let kinds = proptest::sample::subsequence(vec![AccessKind::DeviceTwin, AccessKind::TwinQuery], 1..=2);
        let allow = proptest::sample::subsequence(vec![Right::CreateIdentity, Right::RemoveKeys], 0..=2);
        (names, selector, prefixes, kinds, allow).prop_map(
            |(namespaces, selector, device_id_prefixes, kinds, allow)| {
                let namespace_selector = selector.map(|selector| serde_json::from_value(selector).unwrap());
                AccessEntry { namespaces, namespace_selector, device_id_prefixes, kinds, allow }
            },
        )
    }

    proptest! {
        /// Entries only add: with one more nobody may less, and without any nobody may anything.
        #[test]
        fn entries_add_up(
            some in proptest::collection::vec(any_entry(), 0..4),
            more in any_entry(),
            labelled in any::<bool>(),
            device in proptest::option::of("[xyz][0-9]"),
        ) {
            let labels: Labels = labelled.then(|| ("t".to_owned(), "1".to_owned())).into_iter().collect();
            let asks = asks("a", device.as_deref(), Some(&labels));
            let rights = |entries: &[AccessEntry]| match decide("chub", entries, asks) {
                Access::Allowed(rights) => Some(rights),
                _ => None,
            };
            prop_assert_eq!(rights(&[]), None);
            let before = rights(&some);
            let mut all = some;
            all.insert(all.len() / 2, more.clone());
            let after = rights(&all);
            // The whole is what its parts give, in whatever order.
            let alone = rights(std::slice::from_ref(&more));
            let sum = match (before, alone) {
                (None, None) => None,
                (one, other) => {
                    let (one, other) = (one.unwrap_or_default(), other.unwrap_or_default());
                    Some(Rights {
                        create_identity: one.create_identity || other.create_identity,
                        remove_keys: one.remove_keys || other.remove_keys,
                    })
                }
            };
            prop_assert_eq!(after, sum);
        }

        /// What is allowed without knowing the labels is allowed with any.
        #[test]
        fn unknown_labels_never_give_more(some in proptest::collection::vec(any_entry(), 0..4), device in "[xyz]") {
            if let Access::Allowed(known) = decide("chub", &some, asks("a", Some(&device), None)) {
                for labels in [Labels::new(), Labels::from([("t".to_owned(), "1".to_owned())])] {
                    let with = decide("chub", &some, asks("a", Some(&device), Some(&labels)));
                    let Access::Allowed(rights) = with else { panic!("{with:?}") };
                    prop_assert!(rights.create_identity >= known.create_identity && rights.remove_keys >= known.remove_keys);
                }
            }
        }
    }
}
