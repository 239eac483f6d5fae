//! Twin patches through the machine, against a naive reference.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::draw::Draw;
use crate::local_hub::doubts::Doubts;
use crate::local_hub::machine::{
    Command, Desired, Draft, EntityId, Fresh, Machine, Moment, Outcome, Precondition, Record, Reply, SectionsBody,
};
use crate::twin::document::{Section, without_system_members};
use crate::twin::rules::{self, Arrays, Rule};

/// Commands that one input may hold: bounds its time.
const MAX_COMMANDS: usize = 32;
/// Where the clock starts.
const START: i64 = 1_790_000_000;

/// Runs the commands that the bytes stand for, and checks the twin after each.
pub fn patch(bytes: &[u8]) {
    let mut draw = Draw::new(bytes);
    let (mut machine, id) = made();
    let mut before = twin(&mut machine, &id);
    for number in 0..MAX_COMMANDS {
        if draw.is_empty() {
            return;
        }
        let now = moment(number);
        let write = Write::draw(&mut draw);
        let outcome = apply(&mut machine, now, write.command(&id));
        let after = twin(&mut machine, &id);
        match outcome.reply {
            Ok(_) => {
                write.check_counters(&before, &after);
                write.check_content(&before, &after);
                check_metadata(&after);
                let record = machine.get(&id).expect("it was made");
                let stored = serde_json::to_string(record).expect("a record is JSON");
                assert_eq!(&serde_json::from_str::<Record>(&stored).expect("it was just written"), record);
            }
            Err(refusal) => {
                assert_eq!(before, after, "{refusal} has changed the twin");
                assert!(outcome.events.is_empty() && outcome.touched.is_empty(), "{refusal} has told somebody");
            }
        }
        before = after;
    }
}

fn moment(number: usize) -> Timestamp {
    let seconds = i64::try_from(number).expect("it is small");
    Timestamp::from_second(START).expect("a valid time") + SignedDuration::from_secs(seconds)
}

fn fresh() -> Fresh {
    Fresh { keys: ["QQ==".to_owned(), "Qg==".to_owned()], generation: "1".repeat(18), etag: 100_000_000 }
}

fn apply(machine: &mut Machine, now: Timestamp, command: Command) -> Outcome {
    let (fresh, doubts) = (fresh(), Doubts::default());
    machine.apply(&Moment { now, fresh: &fresh, doubts: &doubts, connection_lag: SignedDuration::ZERO }, command)
}

fn made() -> (Machine, EntityId) {
    let (mut machine, id) = (Machine::default(), EntityId::device("d"));
    let draft = Draft::parse(&id, &Map::new()).expect("everything has a default");
    let put = Command::PutIdentity { id: id.clone(), draft, precondition: Precondition::None };
    apply(&mut machine, moment(0), put).reply.expect("there is nothing yet");
    (machine, id)
}

fn twin(machine: &mut Machine, id: &EntityId) -> Value {
    match apply(machine, moment(0), Command::GetTwin(id.clone())).reply {
        Ok(Reply::Document(document)) => document,
        other => panic!("{other:?}"),
    }
}

/// What one command writes.
struct Write {
    kind: Kind,
    tags: Option<Map<String, Value>>,
    desired: Option<Option<Map<String, Value>>>,
    version: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Patch,
    Replace,
    Report,
}

impl Write {
    fn draw(draw: &mut Draw<'_>) -> Self {
        let kind = *draw.one_of(&[Kind::Patch, Kind::Patch, Kind::Report, Kind::Replace]);
        let parts = draw.byte();
        let tags = (kind != Kind::Report && parts & 1 != 0).then(|| draw.object());
        let report = kind == Kind::Report;
        let desired = (report || parts & 2 != 0).then(|| (report || parts & 28 != 28).then(|| draw.object()));
        let version = (kind == Kind::Report && parts & 32 != 0).then(|| u64::from(draw.byte()));
        Self { kind, tags, desired, version }
    }

    fn command(&self, id: &EntityId) -> Command {
        let id = id.clone();
        if self.kind == Kind::Report {
            let patch = self.desired.clone().flatten().unwrap_or_default();
            return Command::Report { id, patch, arrays: Arrays::Allowed, version: self.version };
        }
        let desired = self.desired.clone().map(|desired| desired.map_or(Desired::Clear, Desired::Properties));
        let body = SectionsBody { tags: self.tags.clone(), desired, tags_null: false, arrays: Some(Arrays::Allowed) };
        let precondition = Precondition::None;
        if self.kind == Kind::Patch {
            Command::PatchTwin { id, body, precondition }
        } else {
            Command::ReplaceTwin { id, body, precondition }
        }
    }

    /// Versions only rise, by one, and only those of what was written.
    fn check_counters(&self, before: &Value, after: &Value) {
        let steps = |path: &str| {
            let figure = |twin: &Value| twin.pointer(path).and_then(Value::as_u64).expect("twins carry it");
            figure(after).checked_sub(figure(before)).unwrap_or_else(|| panic!("{path} went back"))
        };
        let changed = before["etag"] != after["etag"];
        let (version, desired) = (steps("/version"), steps("/properties/desired/$version"));
        let reported = steps("/properties/reported/$version");
        if self.kind == Kind::Report {
            assert_eq!((version, desired, reported, changed), (1, 0, 1, false));
        } else {
            assert_eq!((version, reported), (u64::from(changed), 0));
            assert!(desired <= version, "desired was written without a version of the twin");
        }
    }

    /// What the sections hold is what a naive merge gives, within the rules; a section over its size did not grow.
    fn check_content(&self, before: &Value, after: &Value) {
        let desired = match &self.desired {
            None => None,
            Some(Some(patch)) => Some(Value::Object(patch.clone())),
            Some(None) => {
                let names = content(before, Section::Desired);
                Some(Value::Object(names.keys().map(|key| (key.clone(), Value::Null)).collect()))
            }
        };
        let tags = self.tags.clone().map(Value::Object);
        let (desired, reported) = if self.kind == Kind::Report { (None, desired) } else { (desired, None) };
        let written = [(Section::Tags, tags), (Section::Desired, desired), (Section::Reported, reported)];
        for (section, patch) in written {
            let (old, new) = (content(before, section), content(after, section));
            let expected = match patch {
                None => Value::Object(old.clone()),
                Some(new) if self.kind == Kind::Replace => match self.desired {
                    // Removing all of desired by `null` is a replacement by nothing.
                    Some(None) if section == Section::Desired => json!({}),
                    _ => new,
                },
                Some(patch) => merged(Value::Object(old.clone()), &patch),
            };
            assert_eq!(Value::Object(new.clone()), expected, "{section}");
            let broken = rules::check(section, &new, Arrays::Allowed);
            let broken: Vec<_> = broken.iter().filter(|violation| violation.rule != Rule::Size).collect();
            assert!(broken.is_empty(), "{broken:?}");
            let size = rules::size(&new);
            assert!(size <= rules::max_bytes(section) || size <= rules::size(&old), "{section} has {size} bytes");
        }
    }
}

fn content(twin: &Value, section: Section) -> Map<String, Value> {
    let held = match section {
        Section::Tags => twin.get("tags"),
        Section::Desired => twin.pointer("/properties/desired"),
        Section::Reported => twin.pointer("/properties/reported"),
    };
    held.and_then(Value::as_object).map(without_system_members).unwrap_or_default()
}

/// RFC 7396 as its text has it.
fn merged(target: Value, patch: &Value) -> Value {
    let Value::Object(patch) = patch else { return patch.clone() };
    let mut target = if let Value::Object(target) = target { target } else { Map::new() };
    for (name, value) in patch {
        if value.is_null() {
            target.remove(name);
        } else {
            let old = target.remove(name).unwrap_or(Value::Null);
            target.insert(name.clone(), merged(old, value));
        }
    }
    Value::Object(target)
}

/// Metadata stands beside everything that is held and beside nothing else, and no version in it is from the future.
fn check_metadata(twin: &Value) {
    for (section, versions) in [(Section::Desired, true), (Section::Reported, false)] {
        let held = twin.pointer(&section.pointer().to_string()).expect("twins have both");
        let version = held["$version"].as_u64().expect("it is counted");
        same_shape(&Value::Object(content(twin, section)), &held["$metadata"], versions.then_some(version));
    }
}

fn same_shape(held: &Value, metadata: &Value, version: Option<u64>) {
    let metadata = metadata.as_object().unwrap_or_else(|| panic!("no metadata beside {held}"));
    assert!(metadata.get("$lastUpdated").is_some_and(Value::is_string), "{metadata:?}");
    let told = metadata.get("$lastUpdatedVersion").map(|told| told.as_u64().expect("a version"));
    assert!(told.is_none_or(|told| version.is_some_and(|version| told <= version)), "{metadata:?}");
    let inner = held.as_object().cloned().unwrap_or_default();
    let beside: Vec<&String> = metadata.keys().filter(|key| !key.starts_with("$lastUpdated")).collect();
    assert_eq!(beside.len(), inner.len(), "{held} and {metadata:?}");
    for (key, value) in &inner {
        same_shape(value, metadata.get(key).unwrap_or_else(|| panic!("no metadata of {key:?}")), version);
    }
}
