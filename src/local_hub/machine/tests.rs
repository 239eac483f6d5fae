//! The machine, rule by rule.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::super::doubts::{Counter, Doubts, EmptyWrite, PutNotice, Sections};
use super::*;
use crate::query::Row as _;
use crate::twin::document::Section;
use crate::twin::rules::Arrays;

struct Stand {
    machine: Machine,
    seconds: i64,
    doubts: Doubts,
}

fn object(value: Value) -> Object {
    value.as_object().cloned().unwrap()
}

fn d1() -> EntityId {
    EntityId::device("d1")
}

fn seen() -> Seen {
    Seen { now: Timestamp::UNIX_EPOCH, lag: SignedDuration::ZERO }
}

/// A body as an adapter hands it over.
fn body(value: &Value, arrays: Arrays) -> SectionsBody {
    let desired = value.get("desired").map(|desired| match desired {
        Value::Null => Desired::Clear,
        properties => Desired::Properties(object(properties.clone())),
    });
    let tags = value.get("tags").filter(|tags| !tags.is_null()).cloned().map(object);
    SectionsBody { tags, tags_null: value.get("tags") == Some(&Value::Null), desired, arrays: Some(arrays) }
}

impl Stand {
    /// A hub with one device, made at second 0.
    fn new() -> Self {
        let mut stand = Self { machine: Machine::default(), seconds: 0, doubts: Doubts::default() };
        stand.create(&d1()).unwrap();
        stand
    }

    fn apply(&mut self, command: Command) -> Outcome {
        let fresh = Fresh {
            keys: ["YQ==".to_owned(), "Yg==".to_owned()],
            generation: format!("{:018}", self.seconds),
            etag: 100,
        };
        let now = Timestamp::from_second(self.seconds).unwrap();
        self.seconds += 1;
        let doubts = self.doubts.clone();
        self.machine
            .apply(&Moment { now, fresh: &fresh, doubts: &doubts, connection_lag: SignedDuration::ZERO }, command)
    }

    fn create(&mut self, id: &EntityId) -> Result<Reply, Refusal> {
        let draft = Draft::parse(id, &Object::new())?;
        self.apply(Command::PutIdentity { id: id.clone(), draft, precondition: Precondition::None }).reply
    }

    fn patch_if(&mut self, sent: Value, precondition: Precondition) -> Outcome {
        self.apply(Command::PatchTwin { id: d1(), body: body(&sent, Arrays::Allowed), precondition })
    }

    fn patch(&mut self, sent: Value) -> Outcome {
        self.patch_if(sent, Precondition::None)
    }

    fn replace(&mut self, sent: Value) -> Outcome {
        let body = body(&sent, Arrays::Allowed);
        self.apply(Command::ReplaceTwin { id: d1(), body, precondition: Precondition::None })
    }

    fn report(&mut self, patch: Value, version: Option<u64>) -> Result<Reply, Refusal> {
        self.apply(Command::Report { id: d1(), patch: object(patch), arrays: Arrays::Allowed, version }).reply
    }

    fn twin(&mut self) -> Value {
        match self.apply(Command::GetTwin(d1())).reply.unwrap() {
            Reply::Document(twin) => twin,
            other => panic!("{other:?}"),
        }
    }

    /// etag counter, version, desired and reported `$version`.
    fn counters(&mut self) -> (u64, u64, u64, u64) {
        let twin = self.twin();
        let etag = STANDARD.decode(twin["etag"].as_str().unwrap()).unwrap();
        let version = |section: &str| twin["properties"][section]["$version"].as_u64().unwrap();
        let etag = u64::from_be_bytes(etag.try_into().unwrap());
        (etag, twin["version"].as_u64().unwrap(), version("desired"), version("reported"))
    }

    fn desired(&mut self) -> Value {
        let mut desired = self.twin()["properties"]["desired"].clone();
        desired.as_object_mut().unwrap().retain(|key, _| !key.starts_with('$'));
        desired
    }
}

fn notice(outcome: &Outcome) -> Option<(Value, u64)> {
    outcome.events.iter().find_map(|event| match event {
        Event::DesiredChanged { notice, version, .. } => Some((Value::Object(notice.clone()), *version)),
        Event::Disconnect(_) | Event::IdentityChanged(_) => None,
    })
}

#[test]
fn counters_follow_each_kind_of_write() {
    let mut stand = Stand::new();
    assert_eq!(stand.counters(), (1, 2, 1, 1));
    stand.patch(json!({"tags": {"a": 1}}));
    assert_eq!(stand.counters(), (2, 3, 1, 1));
    stand.patch(json!({"desired": {"a": 1}}));
    assert_eq!(stand.counters(), (3, 4, 2, 1));
    stand.patch(json!({"tags": {"a": 1}, "desired": {"a": 1}}));
    assert_eq!(stand.counters(), (4, 5, 3, 1));
    assert_eq!(stand.report(json!({"x": 1}), None), Ok(Reply::Version(2)));
    assert_eq!(stand.counters(), (4, 6, 3, 2));
    // Empty sections are no write.
    stand.patch(json!({}));
    stand.patch(json!({"tags": {}, "desired": {}}));
    assert_eq!(stand.counters(), (4, 6, 3, 2));
}

#[test]
fn a_new_twin_has_no_tags_and_its_time_of_creation() {
    let mut stand = Stand::new();
    let twin = stand.twin();
    assert_eq!((twin.get("tags"), twin["etag"].as_str()), (None, Some("AAAAAAAAAAE=")));
    let section = json!({"$metadata": {"$lastUpdated": "1970-01-01T00:00:00Z"}, "$version": 1});
    assert_eq!(twin["properties"], json!({"desired": section, "reported": section}));
    assert_eq!(twin["statusUpdateTime"], stamp::NEVER);
}

#[test]
fn patches_merge_and_null_removes() {
    let cases = [
        (json!({"a": 1}), json!({"a": null}), json!({})),
        (json!({}), json!({"a": null}), json!({})),
        (json!({}), json!({"a": {"b": null}}), json!({"a": {}})),
        (json!({"a": {"b": 1}}), json!({"a": {"c": 2}}), json!({"a": {"b": 1, "c": 2}})),
        (json!({"a": {"b": 1}}), json!({"a": 2}), json!({"a": 2})),
        (json!({"a": [1, 2]}), json!({"a": [3]}), json!({"a": [3]})),
        (json!({"a": 1, "b": 2}), Value::Null, json!({})),
    ];
    for (before, patch, after) in cases {
        let mut stand = Stand::new();
        stand.patch(json!({"desired": before}));
        stand.patch(json!({"desired": patch})).reply.unwrap();
        assert_eq!(stand.desired(), after, "{before} patched with {patch}");
    }
}

#[test]
fn metadata_is_refreshed_for_all_that_is_sent() {
    let mut stand = Stand::new();
    stand.patch(json!({"desired": {"a": {"b": 1, "c": 2}, "d": [1], "e": 1}}));
    stand.patch(json!({"desired": {"a": {"b": 1}, "e": null}}));
    let metadata = stand.twin()["properties"]["desired"]["$metadata"].clone();
    let at = |second: u64, version: u64| json!({"$lastUpdated": format!("1970-01-01T00:00:{second:02}Z"), "$lastUpdatedVersion": version});
    let mut expected = at(2, 3);
    expected["a"] = at(2, 3);
    expected["a"]["b"] = at(2, 3);
    expected["a"]["c"] = at(1, 2);
    expected["d"] = at(1, 2);
    assert_eq!(metadata, expected);

    stand.patch(json!({"desired": {"a": 7}}));
    let metadata = stand.twin()["properties"]["desired"]["$metadata"].clone();
    assert_eq!(metadata["a"], at(4, 4));
    // Reported carries times only.
    stand.report(json!({"x": {"y": 1}}), None).unwrap();
    let reported = stand.twin()["properties"]["reported"]["$metadata"]["x"]["y"].clone();
    assert_eq!(reported, json!({"$lastUpdated": "1970-01-01T00:00:06Z"}));
}

#[test]
fn devices_are_told_what_was_sent() {
    let mut stand = Stand::new();
    let told = notice(&stand.patch(json!({"desired": {"a": {"b": null}, "c": 1}})));
    assert_eq!(told, Some((json!({"a": {"b": null}, "c": 1}), 2)));
    // Equal values are told again; tags never are.
    assert_eq!(notice(&stand.patch(json!({"desired": {"c": 1}}))), Some((json!({"c": 1}), 3)));
    assert_eq!(notice(&stand.patch(json!({"tags": {"c": 1}}))), None);
    let told = notice(&stand.replace(json!({"desired": {"c": 100, "n": {"x": 1}}})));
    assert_eq!(told, Some((json!({"a": null, "c": 100, "n": {"x": 1}}), 4)));
    let told = notice(&stand.replace(json!({"desired": {"c": 100, "n": {}}})));
    assert_eq!(told, Some((json!({"c": 100, "n": {"x": null}}), 5)));
}

#[test]
fn replacing_leaves_what_is_not_given() {
    let mut stand = Stand::new();
    stand.patch(json!({"tags": {"t": 1}, "desired": {"d": 1, "e": {"f": 1}}}));
    stand.report(json!({"r": 1}), None).unwrap();
    stand.replace(json!({"desired": {"d": 2}})).reply.unwrap();
    let twin = stand.twin();
    assert_eq!(twin["tags"], json!({"t": 1}));
    assert_eq!(twin["properties"]["reported"]["r"], 1);
    assert_eq!(twin["properties"]["desired"]["$metadata"].get("e"), None);
    assert_eq!(stand.desired(), json!({"d": 2}));
    stand.replace(json!({"tags": {}})).reply.unwrap();
    assert_eq!(stand.twin().get("tags"), None);
}

#[test]
fn etags_guard_back_ends_from_each_other_only() {
    let mut stand = Stand::new();
    let first = || Precondition::Etag("AAAAAAAAAAE=".to_owned());
    stand.report(json!({"r": 1}), None).unwrap();
    stand.patch_if(json!({"tags": {"a": 1}}), first()).reply.unwrap();
    let mismatch = stand.patch_if(json!({"tags": {"a": 2}}), first()).reply.unwrap_err();
    assert_eq!(mismatch.to_string(), "ETag mismatch for device ID 'd1'");
    stand.patch_if(json!({"tags": {"a": 2}}), Precondition::Exists).reply.unwrap();
    // The device has its own counter.
    assert!(stand.report(json!({"r": 1}), Some(2)).is_ok());
    assert_eq!(stand.report(json!({"r": 1}), Some(2)), Err(Refusal::VersionMismatch { current: 3 }));
}

#[test]
fn rules_are_kept_and_a_refusal_changes_nothing() {
    let deep = (0..12).fold(json!(1), |inner, _| json!({"k": inner}));
    let cases = [
        (json!({"a.b": 1}), "Provided json is not a valid 'tags' or 'properties' object"),
        (json!({"$a": 1}), "Provided json is not a valid"),
        (json!({"a": "s".repeat(4097)}), "Property or Tag value should be maximum 4096 bytes. Error in Property/Tag a"),
        (json!({"a": [{"b": null}]}), "Value of Property or Tag cannot be null. Error in Property/Tag b"),
        (json!({"a": 1_i64 << 52}), "Provided json is not a valid"),
        (deep, "Provided json is not a valid"),
    ];
    for (patch, expected) in cases {
        let mut stand = Stand::new();
        let before = stand.twin();
        let refused = stand.patch(json!({"tags": {"ok": 1}, "desired": patch})).reply.unwrap_err();
        assert!(refused.to_string().starts_with(expected), "{refused}");
        assert!(stand.report(patch.clone(), None).is_err(), "{patch}");
        assert_eq!(stand.twin(), before);
    }
    let mut stand = Stand::new();
    let old = body(&json!({"tags": {"a": [1]}}), Arrays::Refused);
    let refused = stand.apply(Command::PatchTwin { id: d1(), body: old, precondition: Precondition::None }).reply;
    assert!(refused.unwrap_err().to_string().ends_with("arrays are not supported."));
}

#[test]
fn sections_have_a_size() {
    let filler = |count: usize| -> Object {
        (0..count).map(|index| (format!("k{index:02}"), json!("s".repeat(4093)))).collect()
    };
    let mut stand = Stand::new();
    let refused = stand.patch(json!({"desired": filler(9)})).reply.unwrap_err();
    assert_eq!(refused.to_string(), "'Properties.Desired' size should be less than 32768 bytes.");
    stand.patch(json!({"desired": filler(8)})).reply.unwrap();
    assert!(stand.patch(json!({"desired": {"more": 1}})).reply.is_err());
    // What does not grow is fine at the limit.
    stand.patch(json!({"desired": {"k00": null}})).reply.unwrap();
    assert!(stand.patch(json!({"tags": filler(3)})).reply.is_err());
    assert!(stand.report(Value::Object(filler(9)), None).is_err());
}

#[test]
fn modules_live_and_die_with_their_device() {
    let mut stand = Stand::new();
    let module = EntityId::module("d1", "m1");
    stand.create(&module).unwrap();
    // A device whose name continues the other's is not among its modules.
    stand.create(&EntityId::device("d1-b")).unwrap();
    assert_eq!(stand.create(&EntityId::module("d2", "m1")), Err(Refusal::DeviceNotFound("d2".to_owned())));
    let ids: Vec<_> = stand.machine.twins(true, None, seen()).map(|(id, _)| id.to_string()).collect();
    assert_eq!(ids, ["d1/m1"]);
    let Reply::Document(twin) = stand.apply(Command::GetTwin(module.clone())).reply.unwrap() else { panic!() };
    assert_eq!(twin["properties"]["desired"]["$metadata"]["$lastUpdated"], stamp::NEVER);
    assert_eq!(twin.get("capabilities"), None);
    let deleted = stand.apply(Command::DeleteIdentity { id: d1(), precondition: Precondition::Exists });
    assert_eq!(deleted.events, [Event::Disconnect(d1()), Event::Disconnect(module.clone())]);
    assert_eq!(stand.machine.twins(false, None, seen()).count(), 1);
    // A new identity has a new twin and another generation.
    stand.create(&d1()).unwrap();
    assert_eq!(stand.counters(), (1, 2, 1, 1));
}

#[test]
fn what_is_in_doubt_can_be_answered_either_way() {
    let with = |change: fn(&mut Doubts)| {
        let mut stand = Stand::new();
        stand.patch(json!({"tags": {"t": 1}, "desired": {"d": 1}}));
        assert_eq!(stand.counters(), (2, 3, 2, 1));
        change(&mut stand.doubts);
        stand
    };
    let mut stand = with(|doubts| doubts.tags_patch = Counter::Rises);
    assert_eq!(notice(&stand.patch(json!({"tags": {"t": 2}}))), None);
    assert_eq!(stand.counters(), (3, 4, 3, 1));

    let mut stand = with(|doubts| doubts.empty_desired = EmptyWrite::Counts);
    assert_eq!(notice(&stand.patch(json!({"desired": {}}))), Some((json!({}), 3)));
    assert_eq!(stand.counters(), (3, 4, 3, 1));

    let mut stand = with(|doubts| doubts.empty_patch = EmptyWrite::Counts);
    stand.patch(json!({}));
    stand.patch(json!({"tags": {}}));
    assert_eq!(stand.counters(), (4, 5, 2, 1));

    let mut stand = with(|_| ());
    stand.patch(json!({"tags": null}));
    assert_eq!((stand.counters(), &stand.twin()["tags"]), ((2, 3, 2, 1), &json!({"t": 1})));
    let mut stand = with(|doubts| doubts.tags_null = Sections::Clears);
    stand.patch(json!({"tags": null}));
    assert_eq!((stand.counters(), stand.twin().get("tags")), ((3, 4, 2, 1), None));

    let mut stand = with(|doubts| doubts.put_omitted = Sections::Clears);
    assert_eq!(notice(&stand.replace(json!({"tags": {"u": 1}}))), Some((json!({"d": null}), 3)));
    assert_eq!((stand.desired(), &stand.twin()["tags"]), (json!({}), &json!({"u": 1})));

    let mut stand = with(|doubts| doubts.put_notice = PutNotice::NewContent);
    assert_eq!(notice(&stand.replace(json!({"desired": {"e": 1}}))), Some((json!({"e": 1}), 3)));

    let mut stand = with(|doubts| doubts.reported_etag = Counter::Rises);
    stand.report(json!({"r": 1}), None).unwrap();
    assert_eq!(stand.counters(), (3, 4, 2, 2));
}

#[test]
fn twins_of_disabled_identities_are_in_doubt() {
    let cases = [
        (DisabledTwin::Served, true, true),
        (DisabledTwin::ReadOnly, true, false),
        (DisabledTwin::NotFound, false, false),
    ];
    for (answer, reads, writes) in cases {
        let mut stand = Stand::new();
        stand.doubts.disabled_twin = answer;
        stand.patch(json!({"tags": {"a": 1}})).reply.unwrap();
        let off = Draft::parse(&d1(), &object(json!({"status": "disabled", "statusReason": "lost"}))).unwrap();
        let put = Command::PutIdentity { id: d1(), draft: off, precondition: Precondition::Exists };
        assert_eq!(stand.apply(put).events, [Event::IdentityChanged(d1())]);
        assert_eq!(stand.apply(Command::GetTwin(d1())).reply.is_ok(), reads, "{answer:?}");
        let patch = stand.patch(json!({"tags": {"a": 2}})).reply;
        assert_eq!(patch.is_ok(), writes, "{answer:?}");
        if !writes {
            assert_eq!(patch, Err(Refusal::DeviceNotFound("d1".to_owned())));
        }
        let connect = Command::Connect { id: d1(), clean: false, model: None };
        assert_eq!(stand.apply(connect).reply, Err(Refusal::DeviceDisabled("d1".to_owned())));
    }
}

#[test]
fn edge_devices_have_the_modules_of_their_runtime_and_scopes() {
    let mut stand = Stand::new();
    let put = |stand: &mut Stand, id: &EntityId, body: Value, precondition| {
        let draft = Draft::parse(id, &object(body)).unwrap();
        stand.apply(Command::PutIdentity { id: id.clone(), draft, precondition })
    };
    let edge = put(&mut stand, &d1(), json!({"capabilities": {"iotEdge": true}}), Precondition::Exists);
    let Reply::Document(edge) = edge.reply.unwrap() else { panic!() };
    let scope = edge["deviceScope"].as_str().unwrap().to_owned();
    assert!(scope.starts_with("ms-azure-iot-edge://d1-"), "{scope}");
    let ids: Vec<_> = stand
        .machine
        .twins(true, None, seen())
        .map(|(id, twin)| (id.to_string(), twin.whole()["authenticationType"].clone()))
        .collect();
    assert_eq!(ids, [("d1/$edgeAgent".to_owned(), json!("none")), ("d1/$edgeHub".to_owned(), json!("none"))]);

    let system = EntityId::module("d1", "$edgeAgent");
    let refused = Err(Refusal::SystemModule("d1/$edgeAgent".to_owned()));
    assert_eq!(put(&mut stand, &system, json!({}), Precondition::Exists).reply, refused);
    assert_eq!(
        stand.apply(Command::DeleteIdentity { id: system.clone(), precondition: Precondition::Exists }).reply,
        refused
    );
    let body = body(&json!({"desired": {"a": 1}}), Arrays::Allowed);
    stand.apply(Command::PatchTwin { id: system, body, precondition: Precondition::None }).reply.unwrap();
    // They do not count as modules of one's own.
    for index in 0..MAX_MODULES {
        stand.create(&EntityId::module("d1", format!("m{index}"))).unwrap();
    }
    let more = stand.create(&EntityId::module("d1", "more"));
    assert_eq!(more, Err(Refusal::TooManyModules("d1".to_owned())));

    let child = EntityId::device("child");
    put(&mut stand, &child, json!({"deviceScope": scope}), Precondition::None).reply.unwrap();
    let Reply::Document(twin) = stand.apply(Command::GetTwin(child)).reply.unwrap() else { panic!() };
    assert_eq!((&twin["deviceScope"], &twin["parentScopes"]), (&json!(scope), &json!([scope])));
}

#[test]
fn a_hub_that_failed_over_goes_back() {
    let mut stand = Stand::new();
    stand.patch(json!({"desired": {"a": 1}}));
    let older = stand.machine.clone();
    let kept = stand.twin();
    stand.patch(json!({"desired": {"a": 2}}));
    stand.create(&EntityId::device("d2")).unwrap();
    stand.apply(Command::Connect { id: d1(), clean: false, model: None }).reply.unwrap();
    let outcome = stand.machine.fail_over(older);
    assert_eq!(outcome.touched, [d1(), EntityId::device("d2")]);
    assert_eq!(outcome.events, [Event::Disconnect(d1()), Event::Disconnect(EntityId::device("d2"))]);
    assert_eq!(stand.twin(), kept);
    assert_eq!(stand.machine.twins(false, None, seen()).count(), 1);
}

fn configure(stand: &mut Stand, id: &str, desired: Value) -> Outcome {
    let configuration = ConfigurationId::parse(id).unwrap();
    stand.apply(Command::Configure { id: d1(), configuration, desired: object(desired) })
}

fn desired_metadata(stand: &mut Stand) -> Value {
    stand.twin()["properties"]["desired"]["$metadata"].clone()
}

#[test]
fn a_configuration_marks_its_leaves_and_shows_in_the_twin() {
    let mut stand = Stand::new();
    stand.patch(json!({"desired": {"a": {"mine": 1}, "gone": 1}}));
    assert_eq!(stand.counters(), (2, 3, 2, 1));
    let told = notice(&configure(&mut stand, "rollout-7", json!({"a": {"b": 1}, "list": [1], "empty": {}})));
    assert_eq!(told, Some((json!({"a": {"b": 1}, "list": [1], "empty": {}}), 3)));
    assert_eq!(stand.counters(), (3, 4, 3, 1), "as a write of a back end");
    assert_eq!(stand.desired(), json!({"a": {"mine": 1, "b": 1}, "gone": 1, "list": [1], "empty": {}}));
    let plain = |second: i64, version: u64| json!({"$lastUpdated": format!("1970-01-01T00:00:{second:02}Z"), "$lastUpdatedVersion": version});
    let with = |mut value: Value, members: Value| {
        value.as_object_mut().unwrap().extend(object(members));
        value
    };
    // 1970 is 621,355,968,000,000,000 ticks after the year 1.
    let marks = json!({"$lastUpdatedBy": "rollout-7", "$lastUpdatedByDigest": "621355968030000000"});
    let marked = with(plain(3, 3), marks);
    let a = with(plain(3, 3), json!({"mine": plain(1, 2), "b": marked}));
    let members = json!({"a": a, "gone": plain(1, 2), "list": marked, "empty": marked});
    assert_eq!(desired_metadata(&mut stand), with(plain(3, 3), members), "objects and other leaves bear no marks");
    assert_eq!(stand.twin()["configurations"], json!({"rollout-7": {"status": "Applied"}}));
    let row = stand.machine.row(&d1(), seen()).map(|row| {
        let keys = ["configurations", "rollout-7", "status"].map(ToOwned::to_owned);
        row.at(&keys).map(std::borrow::Cow::into_owned)
    });
    assert_eq!(row, Some(Some(json!("Applied"))));
}

#[test]
fn a_later_write_of_the_leaf_drops_the_marks() {
    let mut stand = Stand::new();
    let writes: [fn(&mut Stand); 5] = [
        |stand| _ = stand.patch(json!({"desired": {"a": {"b": 1}}})),
        |stand| _ = stand.patch(json!({"desired": {"a": {"b": {"now": "an object"}}}})),
        |stand| _ = stand.patch(json!({"desired": {"a": {"b": null}}})),
        |stand| _ = stand.replace(json!({"desired": {"a": {"b": 1}, "other": 1}})),
        |stand| _ = configure(stand, "another", json!({"a": {"b": 1}})),
    ];
    for (number, write) in writes.into_iter().enumerate() {
        configure(&mut stand, "rollout", json!({"a": {"b": 1}, "other": 1}));
        assert_eq!(desired_metadata(&mut stand)["a"]["b"]["$lastUpdatedBy"], "rollout", "write {number}");
        stand.patch(json!({"desired": {"a": {"beside": 1}}}));
        assert_eq!(desired_metadata(&mut stand)["a"]["b"]["$lastUpdatedBy"], "rollout", "not this leaf, {number}");
        write(&mut stand);
        let entry = desired_metadata(&mut stand)["a"]["b"].clone();
        let by = entry.get("$lastUpdatedBy");
        assert_eq!(by, (number == 4).then(|| json!("another")).as_ref(), "write {number}: {entry}");
        assert_eq!(entry.get("$lastUpdatedByDigest").is_some(), number == 4, "write {number}: {entry}");
    }
}

#[test]
fn what_a_configuration_may_not_do_changes_nothing() {
    let mut stand = Stand::new();
    stand.patch(json!({"desired": {"a": 1}}));
    let before = stand.twin();
    for desired in [json!({"a": null}), json!({"$a": 1}), json!({"a": 1u64 << 53})] {
        let outcome = configure(&mut stand, "rollout", desired.clone());
        assert!(matches!(outcome.reply, Err(Refusal::Invalid(_))), "{desired}: {outcome:?}");
        assert!(outcome.events.is_empty() && outcome.touched.is_empty(), "{desired}: {outcome:?}");
    }
    let long: Object = (0..10).map(|number| (format!("k{number}"), json!("v".repeat(4000)))).collect();
    assert_eq!(configure(&mut stand, "rollout", long.into()).reply, Err(Refusal::TooLarge(Section::Desired)));
    assert_eq!(stand.twin(), before);
    for number in 0..100 {
        assert!(configure(&mut stand, &format!("c{number}"), json!({"a": number})).reply.is_ok(), "{number}");
    }
    assert!(configure(&mut stand, "c5", json!({"a": 1})).reply.is_ok(), "one that is there");
    assert_eq!(configure(&mut stand, "more", json!({"a": 1})).reply, Err(Refusal::TooManyConfigurations(100)));
}
