use serde_json::json;

use super::*;

fn twin(name: &str, version: &str, generation: i64) -> DeviceTwin {
    serde_json::from_value(json!({
        "apiVersion": "hubtwin.dev/v1alpha1", "kind": "DeviceTwin",
        "metadata": {"name": name, "namespace": "plant", "uid": format!("uid-{name}"), "resourceVersion": version,
            "generation": generation, "labels": {"a": "b"}},
        "spec": {"hubRef": {"name": "hub"}, "tags": {"a": 1}},
        "status": {"observedGeneration": 1, "properties": {"reported": {"firmware": "1"}},
            "conditions": [{"type": "Ready", "status": "True", "reason": "Synced", "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z"}]},
    }))
    .expect("a DeviceTwin")
}

fn name(name: &str) -> TwinName {
    TwinName::new("plant", name)
}

#[test]
fn what_decisions_need_comes_back_and_what_is_reported_does_not() {
    let fleet = Fleet::default();
    let taken = twin("a", "7", 2);
    assert_eq!(fleet.take(taken.clone()), Seen::Changed(name("a")));
    let kept = fleet.get(&name("a")).expect("it is there");
    assert_eq!((kept.spec.clone(), kept.metadata.uid.clone()), (taken.spec.clone(), taken.metadata.uid.clone()));
    assert_eq!(kept.metadata.resource_version.as_deref(), Some("7"));
    let status = kept.status.clone().expect("a status");
    assert_eq!((status.observed_generation, status.properties), (1, None));
    let reported = taken.status.expect("a status").properties.expect("properties").reported;
    assert_eq!(fleet.newest(&kept).reported, Some(digest(&reported.0)));
}

#[test]
fn our_own_write_is_newer_than_what_the_watch_still_shows() {
    let fleet = Fleet::default();
    let before = twin("a", "7", 2);
    fleet.take(before.clone());
    let status = DeviceTwinStatus { observed_generation: 2, ..DeviceTwinStatus::default() };
    fleet.wrote(&before, &status, "9".to_owned());
    assert_eq!(fleet.take(twin("a", "8", 2)), Seen::Same, "older than our write");
    assert_eq!(fleet.take(twin("a", "9", 2)), Seen::Same, "our write");
    let newest = fleet.newest(&before);
    assert_eq!((newest.status, newest.resource_version.as_str()), (Some(status), "9"));
    assert_eq!(fleet.take(twin("a", "8", 3)), Seen::Changed(name("a")), "a spec is news in whatever order");
    assert_eq!(fleet.newest(&before).resource_version, "9");
    assert_eq!(fleet.take(twin("a", "10", 4)), Seen::Changed(name("a")), "a spec");
    assert_eq!(fleet.newest(&before).status.expect("a status").observed_generation, 1);
}

#[test]
fn an_answer_that_comes_after_a_later_change_takes_nothing_back() {
    let fleet = Fleet::default();
    let before = twin("a", "7", 2);
    fleet.take(before.clone());
    fleet.take(twin("a", "9", 3));
    fleet.wrote(&before, &DeviceTwinStatus::default(), "8".to_owned());
    fleet.moved(&before, "8".to_owned());
    let newest = fleet.newest(&before);
    assert_eq!((newest.resource_version.as_str(), newest.status.expect("a status").observed_generation), ("9", 1));
}

#[test]
fn a_write_of_the_finalizer_is_taken_in_when_the_watch_shows_it() {
    let fleet = Fleet::default();
    let mut object = twin("a", "7", 2);
    fleet.take(object.clone());
    fleet.moved(&object, "8".to_owned());
    object.metadata.resource_version = Some("8".to_owned());
    object.metadata.finalizers = Some(vec!["hubtwin.dev/remove-keys".to_owned()]);
    assert_eq!(fleet.take(object), Seen::Same, "no work comes of it");
    assert_eq!(fleet.get(&name("a")).expect("it is there").finalizers().len(), 1);
}

#[test]
fn only_specs_and_requests_start_work() {
    let fleet = Fleet::default();
    fleet.take(twin("a", "7", 2));
    let mut asked = twin("a", "8", 2);
    asked.metadata.annotations = Some([(crate::api::RECONCILE_REQUESTED_AT.to_owned(), "now".to_owned())].into());
    for (object, changed) in
        [(twin("a", "8", 2), false), (asked.clone(), true), (DeviceTwin { status: None, ..asked }, false)]
    {
        let object = DeviceTwin {
            metadata: kube::core::ObjectMeta {
                resource_version: Some((fleet.len() + 100).to_string()),
                ..object.metadata
            },
            ..object
        };
        fleet.take(twin("b", "1", 1));
        assert_eq!(fleet.take(object) != Seen::Same, changed);
    }
}

#[test]
fn a_list_shows_what_is_gone_and_counts_follow() {
    let fleet = Fleet::default();
    let hub = HubKey::of_twin(&twin("a", "1", 1));
    fleet.begin();
    for name in ["a", "b", "c"] {
        fleet.take(twin(name, "1", 1));
    }
    assert_eq!(fleet.end(), []);
    assert_eq!((fleet.counts(&hub).total, fleet.counts(&hub).ready), (3, 3));
    fleet.begin();
    fleet.take(twin("a", "1", 1));
    let mut gone: Vec<TwinName> = fleet.end().into_iter().map(|gone| gone.name).collect();
    gone.sort();
    assert_eq!(gone, [name("b"), name("c")]);
    let unready = DeviceTwinStatus::default();
    fleet.wrote(&twin("a", "1", 1), &unready, "2".to_owned());
    assert_eq!((fleet.counts(&hub).total, fleet.counts(&hub).ready), (1, 0));
    assert!(fleet.remove(&name("a")).is_some() && fleet.is_empty());
    assert_eq!(fleet.counts(&hub), Counts::default());
}

#[test]
fn objects_of_one_twin_find_each_other() {
    let fleet = Fleet::default();
    let mut other = twin("other", "1", 1);
    other.spec.device_id = Some("a".to_owned());
    let mut suspended = twin("paused", "1", 1);
    suspended.spec.device_id = Some("a".to_owned());
    suspended.spec.suspend = true;
    for object in [twin("a", "1", 1), other, suspended, twin("b", "1", 1)] {
        fleet.take(object);
    }
    let (hub, id) = (HubKey::of_twin(&twin("a", "1", 1)), TwinId::parse("a", None).expect("an id"));
    let sorted = |mut names: Vec<TwinName>| {
        names.sort();
        names
    };
    assert_eq!(sorted(fleet.claiming(&hub, &id)), [name("a"), name("other")]);
    assert_eq!(sorted(fleet.others(&twin("a", "1", 1))), [name("other"), name("paused")]);
    assert_eq!(fleet.claimed(&hub).len(), 2);
    let gone = fleet.remove(&name("a")).expect("it was there");
    assert_eq!(sorted(gone.others), [name("other"), name("paused")]);
    assert!(fleet.claims(&hub, &id));
}
