//! From the object's spec to what the plan works with, or everything that is wrong with it.

use crate::api::{DeviceTwin, JsonObject, device_twin as api};
use crate::twin::document::{Object, Section, leaves};
use crate::twin::id::TwinId;
use crate::twin::plan::{Adoption, DriftPolicy, Ledger, Policies, Sections};
use crate::twin::pointer::Pointer;
use crate::twin::rules::{self, Arrays};

/// A valid spec.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) id: TwinId,
    pub(crate) ours: Ledger,
    pub(crate) policies: Policies,
    pub(crate) observe: bool,
    pub(crate) ignore: Vec<Pointer>,
    pub(crate) timeout: std::time::Duration,
    /// What status shows of reported; `None`: all of it.
    pub(crate) mirror: Option<Vec<Pointer>>,
    /// What to do when the hub does not know the device.
    pub(crate) identity: api::IdentityPolicy,
    /// Whether Ready waits for the device.
    pub(crate) gate: api::Gate,
}

impl Wanted {
    /// What an object wants that is being deleted: nothing.
    pub(crate) fn nothing(id: TwinId) -> Self {
        Self {
            id,
            ours: Sections::default(),
            policies: Policies::default(),
            observe: false,
            ignore: Vec::new(),
            timeout: std::time::Duration::ZERO,
            mirror: None,
            identity: api::IdentityPolicy::Require,
            gate: api::Gate::None,
        }
    }
}

/// Checks a spec by the hub's rules. Each error is one line with pointer, rule and figure.
pub(crate) fn validate(twin: &DeviceTwin, arrays: Arrays, drift: DriftPolicy) -> Result<Wanted, Vec<String>> {
    let spec = &twin.spec;
    let mut wrong = Vec::new();
    let device = spec.device_id.as_deref().or(twin.metadata.name.as_deref()).unwrap_or_default();
    let id = TwinId::parse(device, spec.module_id.as_deref());
    let empty = Object::new();
    let content = |object: Option<&JsonObject>| object.map_or_else(|| empty.clone(), |object| object.0.clone());
    let tags = content(spec.tags.as_ref());
    let desired = content(spec.properties.as_ref().and_then(|properties| properties.desired.as_ref()));
    wrong.extend(rules::check(Section::Tags, &tags, arrays).iter().map(ToString::to_string));
    wrong.extend(rules::check(Section::Desired, &desired, arrays).iter().map(ToString::to_string));
    let mut pointers = |texts: &[String], field: &str| {
        let mut parsed = Vec::new();
        for text in texts {
            match text.parse() {
                Ok(pointer) => parsed.push(pointer),
                Err(error) => wrong.push(format!("{field}: {error}")),
            }
        }
        parsed
    };
    let ignore = pointers(&spec.convergence.ignore, "spec.convergence.ignore");
    let mirror = spec.mirror.as_ref().and_then(|mirror| mirror.reported_paths.as_deref());
    let mirror = mirror.map(|paths| pointers(paths, "spec.mirror.reportedPaths"));
    let id = match id {
        Ok(id) if wrong.is_empty() => id,
        Ok(_) => return Err(wrong),
        Err(error) => {
            wrong.push(format!("the device or module id: {error}"));
            return Err(wrong);
        }
    };
    Ok(Wanted {
        id,
        ours: Sections { tags: leaves(&tags), desired: leaves(&desired) },
        policies: Policies {
            adoption: match spec.adoption {
                api::Adoption::Overwrite => Adoption::Overwrite,
                api::Adoption::RequireEqual => Adoption::RequireEqual,
            },
            drift: match spec.drift_policy {
                Some(api::DriftPolicy::Correct) => DriftPolicy::Correct,
                Some(api::DriftPolicy::Report) => DriftPolicy::Report,
                None => drift,
            },
        },
        observe: spec.mode == api::Mode::Observe,
        ignore,
        timeout: spec.convergence.timeout.get(),
        mirror,
        identity: spec.identity.policy,
        gate: spec.convergence.gate,
    })
}
