use super::*;
use crate::twin::claims::Claims;
use crate::twin::plan::{Inputs, Policies, Sections, plan};
use crate::twin::random::config;
use proptest::prelude::*;
use serde_json::json;

fn id(device: &str, module: Option<&str>) -> TwinId {
    TwinId::parse(device, module).unwrap()
}

fn twin(row: Value) -> Twin {
    let mut whole = json!({"deviceId": "pump", "etag": "e", "version": 1});
    for (key, value) in row.as_object().cloned().unwrap_or_default() {
        whole[key] = value;
    }
    Twin::from_row(whole).unwrap()
}

fn common() -> Common {
    Common { hub_kind: None, hub_name: "plant-hub".to_owned(), namespace: None }
}

#[test]
fn names_are_valid_unique_and_the_same_every_time() {
    let ids = [
        id("pump-1", None),
        id("Pump-1", None),
        id("PUMP-1", None),
        id("pump-1", Some("flow")),
        id("pump", Some("1-flow")),
        id("-.:+%_#*?!(),=@;$'", None),
        id(&"x".repeat(128), Some(&"Y".repeat(128))),
        id("a.-b..c", None),
        id("on", None),
        id("123", None),
    ];
    let give = || {
        let mut names = Names::default();
        ids.iter().map(|id| names.take(id)).collect::<Vec<_>>()
    };
    let names = give();
    assert_eq!((names[0].as_str(), names[8].as_str()), ("pump-1", "on"));
    assert!(names[1].starts_with("pump-1-"), "{names:?}");
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{names:?}");
    assert!(names.iter().all(|name| is_subdomain(name) && name.len() <= 245), "{names:?}");
    assert_eq!(give(), names);
}

#[test]
fn a_manifest_holds_what_people_wrote() {
    let found = twin(json!({
        "deviceId": "Pump 1".replace(' ', "_"), "moduleId": "flow",
        "tags": {"site": "on", "line": 4, "geo": {"lat": 51.950}},
        "properties": {
            "desired": {
                "a": {"b": "3.10", "c": true}, "list": [1, "x"], "none": {}, "$version": 3,
                "$metadata": {"a": {"c": {"$lastUpdated": "2026-01-01T00:00:00Z", "$lastUpdatedBy": "fleet"}}},
            },
            "reported": {"x": 1},
        },
    }));
    let written = export(&found, "pump-1-x", &common());
    let expected = "\
# left out: 1 desired that configurations wrote (fleet)
# 1 of arrays, first /properties/desired/list: the connection needs allowArrays: true
apiVersion: hubtwin.dev/v1alpha1
kind: DeviceTwin
metadata:
  name: pump-1-x
spec:
  hubRef:
    name: plant-hub
  deviceId: Pump_1
  moduleId: flow
  tags:
    geo:
      lat: 51.95
    line: 4
    site: \"on\"
  properties:
    desired:
      a:
        b: \"3.10\"
      list: [1, x]
      none: {}
";
    assert_eq!(written.text, expected);
}

#[test]
fn what_cannot_be_applied_is_left_out_and_told() {
    let found = twin(json!({"tags": {"big": 1e17, "ok": 1, "a.b": {"c": 1, "d": 2}}}));
    let written = export(&found, "pump", &common());
    assert!(written.text.ends_with("  tags:\n    ok: 1\n"), "{}", written.text);
    let told = written.notes.join("\n");
    assert!(told.contains("left out: /tags/big: 100000000000000000 is out of range"), "{told}");
    assert!(told.contains("left out: /tags/a.b: the key holds"), "{told}");
}

fn leaf() -> impl Strategy<Value = Value> {
    let words =
        vec!["on", "3.10", "null", "~", "010", "1e3", "---", "a: b", " ", "\n", "\u{2028}", "# x", "2001-01-01"];
    prop_oneof![
        any::<bool>().prop_map(Value::from),
        (rules::MIN_INTEGER..=rules::MAX_INTEGER).prop_map(Value::from),
        any::<f64>().prop_filter("finite", |float| float.is_finite()).prop_map(Value::from),
        proptest::sample::select(words).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(json!({})),
        Just(json!([1, "on", {"x y": [true]}])),
    ]
}

fn content() -> impl Strategy<Value = Value> {
    let key = "[^\\x00-\\x1f\\x7f-\\x9f. $]{0,6}|on|010|<<|null";
    let value = leaf().prop_recursive(3, 16, 4, move |inner| {
        proptest::collection::btree_map(key, inner, 1..4)
            .prop_map(|members| Value::Object(members.into_iter().collect()))
    });
    proptest::collection::btree_map(key, value, 0..5).prop_map(|members| Value::Object(members.into_iter().collect()))
}

proptest! {
    #![proptest_config(config(1000))]

    #[test]
    fn importing_changes_nothing(tags in content(), desired in content()) {
        let found = twin(json!({"tags": tags, "properties": {"desired": desired}}));
        let written = export(&found, "pump", &common());
        let (objects, troubles) = read(&written.text);
        prop_assert_eq!(&troubles, &[], "{}", &written.text);
        let content = |path: &[&str]| match objects[0].node.at(path).map(Node::value) {
            Some(Value::Object(members)) => members,
            _ => Object::new(),
        };
        let (tags, desired) = (content(&["spec", "tags"]), content(&["spec", "properties", "desired"]));
        let made = plan(&Inputs {
            ours: &Sections { tags: leaves(&tags), desired: leaves(&desired) },
            base: None,
            theirs: Sections { tags: &found.tags, desired: &found.desired },
            claims: &Claims::default(),
            held: &Sections::default(),
            policies: Policies::default(),
        });
        prop_assert!(made.is_empty() && made.blocked.is_empty(), "{:?}\n{}", made, written.text);
        // Nothing is left out without a word.
        let whole = leaves(&found.tags).len() + leaves(&found.desired).len();
        let left_out = whole - leaves(&tags).len() - leaves(&desired).len();
        let told = written.notes.iter().any(|note| note.starts_with("left out"));
        prop_assert_eq!(left_out > 0, told, "{:?}", written.notes);
    }
}
