//! The plan as text and as JSON.

use std::io::IsTerminal as _;

use serde_json::{Map, Value, json};

use super::super::print;
use super::ledgers::Ledgers;
use super::subject::{Acts, Subject};
use super::{Outcome, Planned};
use crate::hub::Host;
use crate::manifest::preview::{Change, reason};
use crate::twin::plan::Place;

/// Longest value that is shown whole, in characters.
const VALUE: usize = 120;

/// Colours, on a terminal that has not asked for none.
struct Paint(bool);

impl Paint {
    fn new() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
        Self(wanted && std::io::stdout().is_terminal())
    }

    fn sign(&self, sign: &str) -> String {
        let colour = match sign {
            "+" => "32",
            "-" => "31",
            "~" => "33",
            "!" => "1;31",
            _ => return sign.to_owned(),
        };
        if self.0 { format!("\u{1b}[{colour}m{sign}\u{1b}[0m") } else { sign.to_owned() }
    }
}

/// Prints the plan for people.
pub(super) fn text(planned: &[Planned], unread: &[String], hub: &Host, ledgers: &Ledgers) -> anyhow::Result<()> {
    let paint = Paint::new();
    let mut lines: Vec<String> =
        unread.iter().map(|trouble| format!("{} {}", paint.sign("!"), print::plain(trouble))).collect();
    let mut unchanged = 0;
    for one in planned {
        let details = details(one, &paint);
        if details.is_empty() {
            unchanged += 1;
            continue;
        }
        lines.push(title(one, &paint));
        lines.extend(details.into_iter().map(|line| format!("    {line}")));
        if ledgers.are_known()
            && let Some(told) = one.ledger.told().filter(|_| matches!(one.outcome, Outcome::Plan { .. }))
        {
            lines.push(format!("    ({told})"));
        }
    }
    if !ledgers.are_known() && !planned.is_empty() {
        lines.push(
            "No cluster was asked what was applied before (--kubeconfig): planned as first contacts, without removals."
                .to_owned(),
        );
    }
    let count = |holds: &dyn Fn(&&Planned) -> bool| planned.iter().filter(holds).count();
    lines.push(format!(
        "{} at {hub}: {} to write, {} without change, {} in trouble. Nothing was written.",
        print::count(planned.len(), "twin"),
        count(&|one| one.writes() && !one.is_trouble()),
        unchanged,
        count(&|one| one.is_trouble()) + unread.len(),
    ));
    print::lines(&lines)
}

/// `~ plant/pump: twin pump (twins.yaml:3)`
fn title(one: &Planned, paint: &Paint) -> String {
    let Subject { place, namespace, name, acts, wanted, .. } = &one.subject;
    let namespace = if namespace.is_empty() { String::new() } else { format!("{namespace}/") };
    let twin = wanted.as_ref().map_or(String::new(), |wanted| format!(": twin {}", wanted.id));
    let acts = match acts {
        Acts::Writes => "",
        Acts::Observes => ", mode Observe: nothing would be written",
        Acts::Suspended => ", suspended: nothing would be written",
    };
    let sign = match &one.outcome {
        _ if one.is_trouble() => "!",
        Outcome::Missing { .. } => "+",
        _ => "~",
    };
    let title = print::plain(&format!("{namespace}{name}{twin} ({place}){acts}"));
    format!("{} {title}", paint.sign(sign))
}

fn details(one: &Planned, paint: &Paint) -> Vec<String> {
    let trouble = |text: &str| format!("{} {}", paint.sign("!"), print::plain(text));
    match &one.outcome {
        Outcome::Wrong(wrong) => wrong.iter().map(|line| trouble(line)).collect(),
        Outcome::Failed(error) => vec![trouble(error)],
        Outcome::Missing { created: false, .. } => vec![trouble("the hub knows no such device or module")],
        Outcome::Missing { created: true, changes } => {
            let first = format!("{} the identity would be created: the hub does not know it", paint.sign("+"));
            [first].into_iter().chain(changes.iter().map(|change| line(change, paint))).collect()
        }
        Outcome::Plan { plan, changes } => {
            let mut lines: Vec<String> = changes.iter().map(|change| line(change, paint)).collect();
            lines.extend(plan.blocked.iter().map(|block| trouble(&block.to_string())));
            let listed = |places: &[Place], text: &str| -> Vec<String> {
                places.iter().map(|place| print::plain(&format!("= {place}: {text}"))).collect()
            };
            lines.extend(listed(&plan.drift, "somebody else changed it, and driftPolicy is Report: left"));
            lines.extend(listed(&plan.released, "no longer in the manifest, but somebody else changed it: left"));
            lines
        }
    }
}

/// `~ /tags/location/plant: "Elsewhere" -> "Redmond43" (drift: somebody else changed it)`
fn line(change: &Change, paint: &Paint) -> String {
    let (sign, values) = match (&change.from, &change.to) {
        (None, Some(to)) => ("+", shown(to)),
        (Some(from), Some(to)) => ("~", format!("{} -> {}", shown(from), shown(to))),
        (Some(from), None) => ("-", shown(from)),
        (None, None) => ("=", String::new()),
    };
    let at = print::plain(&change.at.shortened(256));
    format!("{} {at}: {values} ({})", paint.sign(sign), reason(change.why))
}

fn shown(value: &Value) -> String {
    let text = print::plain(&value.to_string());
    if text.chars().count() <= VALUE {
        return text;
    }
    let cut: String = text.chars().take(VALUE).collect();
    format!("{cut}…")
}

/// The plan for programs.
pub(super) fn json(planned: &[Planned], unread: &[String], hub: &Host, ledgers: &Ledgers) -> Value {
    let count = |holds: &dyn Fn(&&Planned) -> bool| planned.iter().filter(holds).count();
    json!({
        "host": hub.to_string(),
        "ledgers": if ledgers.are_known() { "cluster" } else { "none" },
        "unread": unread,
        "twins": planned.iter().map(one_json).collect::<Vec<_>>(),
        "summary": {
            "twins": planned.len(),
            "toWrite": count(&|one| one.writes() && !one.is_trouble()),
            "inTrouble": count(&|one| one.is_trouble()),
        },
    })
}

fn one_json(one: &Planned) -> Value {
    let Subject { place, namespace, name, acts, wanted, .. } = &one.subject;
    let mut shown = json!({
        "name": name, "place": place, "writes": one.writes() && !one.is_trouble(),
        "acts": match acts {
            Acts::Writes => "Manage",
            Acts::Observes => "Observe",
            Acts::Suspended => "Suspended",
        },
    });
    if !namespace.is_empty() {
        shown["namespace"] = json!(namespace);
    }
    if let Ok(wanted) = wanted {
        shown["deviceId"] = json!(wanted.id.device_id.as_str());
        if let Some(module) = wanted.id.module() {
            shown["moduleId"] = json!(module);
        }
        shown["firstContact"] = json!(one.ledger.base().is_none());
    }
    let places = |places: &[Place]| places.iter().map(ToString::to_string).collect::<Vec<_>>();
    match &one.outcome {
        Outcome::Wrong(wrong) => {
            shown["outcome"] = json!("Wrong");
            shown["messages"] = json!(wrong);
        }
        Outcome::Failed(error) => {
            shown["outcome"] = json!("Failed");
            shown["messages"] = json!([error]);
        }
        Outcome::Missing { created, changes } => {
            shown["outcome"] = json!(if *created { "Create" } else { "NotFound" });
            shown["changes"] = changes.iter().map(change_json).collect();
        }
        Outcome::Plan { plan, changes } => {
            let blocked: Vec<String> = plan.blocked.iter().map(ToString::to_string).collect();
            shown["outcome"] = json!(if !blocked.is_empty() {
                "Conflict"
            } else if changes.is_empty() {
                "NoChange"
            } else {
                "Change"
            });
            shown["changes"] = changes.iter().map(change_json).collect();
            shown["messages"] = json!(blocked);
            shown["drift"] = json!(places(&plan.drift));
            shown["released"] = json!(places(&plan.released));
            let mut patch = Map::new();
            if !plan.patch.tags.is_empty() {
                patch.insert("tags".to_owned(), json!(plan.patch.tags));
            }
            if !plan.patch.desired.is_empty() {
                patch.insert("properties".to_owned(), json!({"desired": plan.patch.desired}));
            }
            shown["patch"] = Value::Object(patch);
        }
    }
    shown
}

fn change_json(change: &Change) -> Value {
    let mut shown = json!({"path": change.at.to_string(), "reason": format!("{:?}", change.why)});
    for (key, value) in [("from", &change.from), ("to", &change.to)] {
        if let Some(value) = value {
            shown[key] = value.clone();
        }
    }
    shown
}
