//! The steps of a sequence, made from a seed, and how people read them.

use std::fmt;

use serde_json::{Value, json};

use super::api;
use super::chance::Chance;
use super::tree::{Object, Path, show};
use super::wire::{self, Call};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Tags,
    Desired,
}

impl Part {
    /// From the root of the twin.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Tags => "/tags",
            Self::Desired => "/properties/desired",
        }
    }

    /// A body for the hub.
    pub fn body(self, section: Object) -> Value {
        match self {
            Self::Tags => json!({"tags": section}),
            Self::Desired => json!({"properties": {"desired": section}}),
        }
    }
}

/// What may happen. The number says whose: the first object's or the second's, which is about the same twin.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// The spec names a leaf, or gives it another value or shape.
    SpecSet(usize, Part, Path, Value),
    /// The nth leaf of the spec goes.
    SpecDrop(usize, Part, usize),
    /// A whole section of the spec anew.
    SpecReplace(usize, Part, Object),
    /// A spec that breaks a rule of the hub, until the next edit of that section.
    SpecBroken(usize, Part),
    Observe(usize, bool),
    Suspend(usize, bool),
    RequireEqual(usize, bool),
    Report(usize, bool),
    RemoveKeys(usize, bool),
    /// The object is deleted, or made again if it is not there.
    DeleteOrMake(usize),
    /// Another object with the same spec is made, and then this one is deleted, as a GitOps tool renames.
    Rename(usize),
    /// The device is deleted from the hub, or made again.
    DeviceGoesOrComes,
    /// Another back end.
    ForeignPatch(Part, Object),
    /// Another back end touches the nth leaf of our spec: another value, or `null`.
    ForeignOnOurs(Part, usize, Value),
    ForeignReplace(Part, Object),
    /// The device reports.
    DeviceReports(Object),
    /// The device acknowledges the nth leaf of its desired properties: code, and whether at the current version.
    DeviceAcknowledges(usize, u16, bool),
    HubFault(Call, wire::Fault),
    ApiFault(api::Fault),
    /// The annotation that asks for a look.
    Look,
    Crash,
    Restart,
    /// Wait until the twin is as the rules say.
    Rest,
}

/// A step, and the pause after it in milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Timed {
    pub step: Step,
    pub pause: u64,
}

impl Step {
    /// The name under which it is counted.
    pub fn name(&self) -> &'static str {
        match self {
            Self::SpecSet(..) => "step: the spec sets a leaf",
            Self::SpecDrop(..) => "step: the spec drops a leaf",
            Self::SpecReplace(..) => "step: the spec replaces a section",
            Self::SpecBroken(..) => "step: the spec breaks a rule",
            Self::Observe(..) => "step: mode",
            Self::Suspend(..) => "step: suspend",
            Self::RequireEqual(..) => "step: adoption",
            Self::Report(..) => "step: driftPolicy",
            Self::RemoveKeys(..) => "step: deletionPolicy",
            Self::DeleteOrMake(0) => "step: the object is deleted or made",
            Self::DeleteOrMake(_) => "step: the second object is made or deleted",
            Self::Rename(_) => "step: rename",
            Self::DeviceGoesOrComes => "step: the device is deleted or made",
            Self::ForeignPatch(..) => "step: a foreign PATCH",
            Self::ForeignOnOurs(..) => "step: a foreign PATCH of our leaf",
            Self::ForeignReplace(..) => "step: a foreign PUT",
            Self::DeviceReports(_) => "step: the device reports",
            Self::DeviceAcknowledges(..) => "step: the device acknowledges",
            Self::HubFault(..) => "step: a fault of the hub is set",
            Self::ApiFault(_) => "step: a fault of the API server is set",
            Self::Look => "step: the annotation",
            Self::Crash => "step: the operator crashes",
            Self::Restart => "step: the operator restarts",
            Self::Rest => "step: rest",
        }
    }

    /// All names: a run that leaves one out proves less than it says.
    pub const NAMES: [&'static str; 24] = [
        "step: the spec sets a leaf",
        "step: the spec drops a leaf",
        "step: the spec replaces a section",
        "step: the spec breaks a rule",
        "step: mode",
        "step: suspend",
        "step: adoption",
        "step: driftPolicy",
        "step: deletionPolicy",
        "step: the object is deleted or made",
        "step: the second object is made or deleted",
        "step: rename",
        "step: the device is deleted or made",
        "step: a foreign PATCH",
        "step: a foreign PATCH of our leaf",
        "step: a foreign PUT",
        "step: the device reports",
        "step: the device acknowledges",
        "step: a fault of the hub is set",
        "step: a fault of the API server is set",
        "step: the annotation",
        "step: the operator crashes",
        "step: the operator restarts",
        "step: rest",
    ];
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let json = |object: &Object| Value::Object(object.clone());
        let whose = |who: &usize| if *who == 0 { "spec" } else { "the second object's spec" };
        match self {
            Self::SpecSet(who, part, at, value) => {
                write!(f, "{} sets {}{} = {value}", whose(who), part.prefix(), show(at))
            }
            Self::SpecDrop(who, part, nth) => write!(f, "{} drops leaf {nth} of {}", whose(who), part.prefix()),
            Self::SpecReplace(who, part, section) => {
                write!(f, "{} has {} = {}", whose(who), part.prefix(), json(section))
            }
            Self::SpecBroken(who, part) => write!(f, "{} breaks a rule in {}", whose(who), part.prefix()),
            Self::Observe(who, on) => write!(f, "{}.mode {}", whose(who), if *on { "Observe" } else { "Manage" }),
            Self::Suspend(who, on) => write!(f, "{}.suspend {on}", whose(who)),
            Self::RequireEqual(who, on) => {
                write!(f, "{}.adoption {}", whose(who), if *on { "RequireEqual" } else { "Overwrite" })
            }
            Self::Report(who, on) => write!(f, "{}.driftPolicy {}", whose(who), if *on { "Report" } else { "Correct" }),
            Self::RemoveKeys(who, on) => {
                write!(f, "{}.deletionPolicy {}", whose(who), if *on { "RemoveKeys" } else { "Retain" })
            }
            Self::DeleteOrMake(who) => write!(f, "object {who} is deleted, or made if it is not there"),
            Self::Rename(who) => write!(f, "object {who} is renamed"),
            Self::DeviceGoesOrComes => f.write_str("the device is deleted from the hub, or made if it is not there"),
            Self::ForeignPatch(part, patch) => {
                write!(f, "another back end patches {} by {}", part.prefix(), json(patch))
            }
            Self::ForeignOnOurs(part, nth, value) => {
                write!(f, "another back end sets leaf {nth} of our {} to {value}", part.prefix())
            }
            Self::ForeignReplace(part, new) => {
                write!(f, "another back end replaces {} by {}", part.prefix(), json(new))
            }
            Self::DeviceReports(patch) => write!(f, "the device reports {}", json(patch)),
            Self::DeviceAcknowledges(nth, code, current) => {
                write!(
                    f,
                    "the device acknowledges desired leaf {nth} with {code}, {}",
                    if *current { "now" } else { "an older version" }
                )
            }
            Self::HubFault(call, fault) => write!(f, "the operator's next {call:?} meets: {fault:?}"),
            Self::ApiFault(fault) => write!(f, "the next status write meets: {fault:?}"),
            Self::Look => f.write_str("the annotation asks for a look"),
            Self::Crash => f.write_str("the operator crashes"),
            Self::Restart => f.write_str("the operator restarts"),
            Self::Rest => f.write_str("rest"),
        }
    }
}

/// The sequence of a seed. In every second one two objects are about the twin.
pub fn sequence(seed: u64, length: usize) -> Vec<Timed> {
    let mut chance = Chance::new(seed);
    let pair = chance.happens(1, 2);
    (0..length)
        .map(|_| Timed { step: step(&mut chance, pair), pause: [0, 50, 300, 1000][chance.weighted(&[3, 3, 3, 3])] })
        .collect()
}

/// Each step and each fault at least once, whatever the seeds of the others bring.
pub fn everything() -> Vec<Timed> {
    use api::Fault::{Conflict, CrashAfter, CrashBefore, LostAfter, LostBefore, Refused};
    let hub = [
        wire::Fault::CrashBefore,
        wire::Fault::CrashAfter,
        wire::Fault::CutBefore,
        wire::Fault::CutAfter,
        wire::Fault::Truncated,
        wire::Fault::Late,
        wire::Fault::Slow,
        wire::Fault::Status(412),
        wire::Fault::Status(429),
        wire::Fault::Status(500),
        wire::Fault::Status(503),
        wire::Fault::Overtaken(json!({"tags": {"s": "overtaken"}})),
    ];
    let hub = hub.map(|fault| Step::HubFault(Call::Patch, fault));
    let api = [CrashBefore, CrashAfter, LostBefore, LostAfter, Refused, Conflict].map(Step::ApiFault);
    let at = vec!["n".to_owned()];
    let mut steps: Vec<Step> = Vec::new();
    for (number, fault) in hub.into_iter().chain(api).enumerate() {
        steps.extend([fault, Step::SpecSet(0, Part::Tags, at.clone(), json!(number)), Step::Rest]);
    }
    for on in [true, false] {
        let policies = [Step::Observe, Step::Suspend, Step::RequireEqual, Step::Report, Step::RemoveKeys];
        for policy in policies {
            steps.extend([policy(0, on), Step::Look]);
        }
    }
    let mut other = Object::new();
    other.insert("b".to_owned(), json!({"x": 1}));
    steps.extend([
        Step::SpecBroken(0, Part::Desired),
        Step::SpecReplace(0, Part::Desired, other.clone()),
        Step::SpecSet(1, Part::Tags, vec!["a".to_owned()], json!(1)),
        Step::DeleteOrMake(1),
        Step::ForeignPatch(Part::Tags, other.clone()),
        Step::ForeignOnOurs(Part::Tags, 0, json!("foreign")),
        Step::DeviceReports(other.clone()),
        Step::DeviceAcknowledges(0, 200, true),
        Step::Rest,
        Step::Rename(0),
        Step::ForeignReplace(Part::Tags, other),
        Step::Crash,
        Step::SpecDrop(0, Part::Desired, 0),
        Step::DeleteOrMake(1),
        Step::Restart,
        Step::DeviceGoesOrComes,
        Step::Rest,
        Step::DeviceGoesOrComes,
        Step::DeleteOrMake(0),
        Step::DeleteOrMake(0),
    ]);
    steps.into_iter().map(|step| Timed { step, pause: 20 }).collect()
}

fn step(chance: &mut Chance, pair: bool) -> Step {
    match chance.weighted(&[100, 40, 45, 12, 12]) {
        0 => spec_step(chance, pair),
        1 => foreign_step(chance),
        2 => fault_step(chance),
        3 => device_step(chance),
        _ => [Step::Look, Step::Rest][chance.weighted(&[1, 2])].clone(),
    }
}

fn part(chance: &mut Chance) -> Part {
    if chance.happens(1, 2) { Part::Tags } else { Part::Desired }
}

fn spec_step(chance: &mut Chance, pair: bool) -> Step {
    let (part, who) = (part(chance), usize::from(pair && chance.happens(1, 3)));
    match chance.weighted(&[40, 22, 8, 2, 5, 5, 5, 6, 5, if who == 0 { 4 } else { 12 }, 3]) {
        0 => Step::SpecSet(who, part, chance.path(), chance.leaf()),
        1 => Step::SpecDrop(who, part, chance.below(4)),
        2 => Step::SpecReplace(who, part, chance.section(4)),
        3 => Step::SpecBroken(who, part),
        4 => Step::Observe(who, chance.happens(1, 3)),
        5 => Step::Suspend(who, chance.happens(1, 3)),
        6 => Step::RequireEqual(who, chance.happens(1, 4)),
        7 => Step::Report(who, chance.happens(1, 2)),
        8 => Step::RemoveKeys(who, chance.happens(2, 3)),
        9 => Step::DeleteOrMake(who),
        _ => Step::Rename(who),
    }
}

fn foreign_step(chance: &mut Chance) -> Step {
    let part = part(chance);
    match chance.weighted(&[5, 5, 1]) {
        0 => Step::ForeignPatch(part, chance.patch()),
        1 => {
            let value = if chance.happens(1, 3) { Value::Null } else { chance.leaf() };
            Step::ForeignOnOurs(part, chance.below(4), value)
        }
        _ => Step::ForeignReplace(part, chance.section(3)),
    }
}

fn device_step(chance: &mut Chance) -> Step {
    match chance.weighted(&[5, 7, 3]) {
        0 => Step::DeviceReports(chance.patch()),
        1 => {
            let code = *chance.pick(&[200, 200, 202, 400]);
            Step::DeviceAcknowledges(chance.below(4), code, chance.happens(3, 4))
        }
        _ => Step::DeviceGoesOrComes,
    }
}

fn fault_step(chance: &mut Chance) -> Step {
    use api::Fault::{Conflict, CrashAfter, CrashBefore, LostAfter, LostBefore, Refused};
    match chance.weighted(&[24, 14, 1, 1]) {
        0 => hub_fault(chance),
        1 => {
            let all = [CrashBefore, CrashAfter, LostBefore, LostAfter, Refused, Conflict];
            Step::ApiFault(all[chance.weighted(&[2, 1, 5, 4, 4, 4])])
        }
        2 => Step::Crash,
        _ => Step::Restart,
    }
}

fn hub_fault(chance: &mut Chance) -> Step {
    let call = [Call::Patch, Call::Get, Call::Query][chance.weighted(&[48, 10, 1])];
    let fault = match chance.weighted(&[2, 1, 4, 6, 3, 3, 3, 3, 1, 3, 6]) {
        0 => wire::Fault::CrashAfter,
        1 => wire::Fault::CrashBefore,
        2 => wire::Fault::CutBefore,
        3 => wire::Fault::CutAfter,
        4 => wire::Fault::Truncated,
        5 => wire::Fault::Status(429),
        6 => wire::Fault::Status(503),
        7 => wire::Fault::Status(412),
        8 => wire::Fault::Late,
        9 => wire::Fault::Slow,
        _ => wire::Fault::Status(500),
    };
    let fault = match (call, fault) {
        (Call::Patch, wire::Fault::Status(500)) => wire::Fault::Overtaken(part(chance).body(chance.patch())),
        // Only a write has a precondition.
        (Call::Get | Call::Query, wire::Fault::Status(412)) => wire::Fault::Status(500),
        (_, fault) => fault,
    };
    Step::HubFault(call, fault)
}
