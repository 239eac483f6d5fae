//! Plays one sequence: a twin, up to two objects about it, their users, other back ends, the device, and what goes wrong.

use std::sync::Arc;
use std::time::Duration;

use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::claims::Live;
use super::device;
use super::ground::Ground;
use super::history::{Revision, Spec, Subject, section};
use super::judge::{Met, Seen, judge};
use super::log::TwinWrite;
use super::replay::Story;
use super::step::{Part, Step, Timed};
use super::tree::{Object, Path, leaves, put, take};
use super::wire::Call;

/// How long calm may take: a sweep, and a few waits after failures.
const DEADLINE: Duration = Duration::from_secs(45);
const INTERVAL: Duration = Duration::from_millis(100);
const ASKED_AT: &str = "hubtwin.dev/reconcile-requested-at";

pub struct Play {
    pub seed: u64,
    pub ground: Arc<Ground>,
    /// `DEVICE` or `DEVICE/MODULE`.
    pub about: String,
    /// The device's key; `None` while it is not registered.
    key: Option<String>,
    objects: [Slot; 2],
    renames: u32,
    /// The objects that were and those that are.
    subjects: Vec<Subject>,
    /// What was done, as people read it.
    pub told: Vec<String>,
}

/// What one user wants, whether or not there is an object that says so.
struct Slot {
    name: String,
    spec: Spec,
}

impl Play {
    /// A device, or a module of one, and an object that asks for nothing yet.
    pub async fn new(ground: Arc<Ground>, seed: u64, about: &str) -> Self {
        if let Some((device, _)) = about.split_once('/') {
            ground.back_end.make(device).await;
        }
        let key = Some(ground.back_end.make(about).await);
        let slot = |letter: char| Slot { name: format!("{}-{letter}", about.replace('/', "-")), spec: Spec::default() };
        let mut play = Self {
            seed,
            ground,
            about: about.to_owned(),
            key,
            objects: [slot('a'), slot('b')],
            renames: 0,
            subjects: Vec::new(),
            told: Vec::new(),
        };
        play.apply(0).await;
        play
    }

    fn api(&self) -> Api<DynamicObject> {
        let cluster = &self.ground.cluster;
        Api::namespaced_with(cluster.client.clone(), &cluster.namespace, &self.ground.api.kind)
    }

    fn live(&self) -> impl Iterator<Item = &Subject> {
        self.subjects.iter().filter(|subject| subject.deleted.is_none())
    }

    fn is_there(&self, who: usize) -> bool {
        self.live().any(|subject| subject.name == self.objects[who].name)
    }

    /// Plays all steps, then waits for calm.
    pub async fn run(&mut self, steps: &[Timed]) -> Result<(), String> {
        for Timed { step, pause } in steps {
            let tick = self.ground.log.tick();
            self.told.push(format!("{:>3}. (tick {tick}) {step}, then {pause} ms", self.told.len() + 1));
            self.ground.log.hit(step.name());
            self.step(step).await?;
            sleep(Duration::from_millis(*pause)).await;
        }
        self.ground.wire.clear(&self.about);
        self.objects.iter().for_each(|slot| self.ground.api.clear(&slot.name));
        self.rest().await
    }

    async fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::SpecSet(who, part, at, value) => {
                self.edit_part(*who, *part, |section| put(section, at, value.clone())).await;
            }
            Step::SpecDrop(who, part, nth) => {
                if let Some(at) = nth_leaf(self.objects[*who].spec.part(*part), *nth) {
                    self.edit_part(*who, *part, |section| take(section, &at)).await;
                }
            }
            Step::SpecReplace(who, part, new) => self.edit_part(*who, *part, |section| section.clone_from(new)).await,
            Step::SpecBroken(who, part) => self.edit(*who, |spec| spec.broken = Some(*part)).await,
            Step::Observe(who, on) => self.edit(*who, |spec| spec.observe = *on).await,
            Step::Suspend(who, on) => self.edit(*who, |spec| spec.suspend = *on).await,
            Step::RequireEqual(who, on) => self.edit(*who, |spec| spec.require_equal = *on).await,
            Step::Report(who, on) => self.edit(*who, |spec| spec.report = *on).await,
            Step::RemoveKeys(who, on) => self.edit(*who, |spec| spec.remove_keys = *on).await,
            Step::DeleteOrMake(who) if self.is_there(*who) => {
                let name = self.objects[*who].name.clone();
                self.delete(&name).await?;
            }
            Step::DeleteOrMake(who) => self.apply(*who).await,
            Step::Rename(who) => self.rename(*who).await?,
            Step::HubFault(call, fault) => {
                let twin = if *call == Call::Query { "" } else { &self.about };
                self.ground.wire.set(twin, *call, fault.clone());
            }
            Step::ApiFault(fault) => {
                let who = usize::from(self.told.len().is_multiple_of(3) && self.is_there(1));
                self.ground.api.set(&self.objects[who].name, *fault);
            }
            Step::Look => {
                self.look().await;
            }
            Step::Crash => self.ground.crash(),
            Step::Restart => self.ground.restart(),
            Step::Rest => self.rest().await?,
            Step::DeviceGoesOrComes => self.device_goes_or_comes().await,
            Step::ForeignPatch(..) | Step::ForeignOnOurs(..) | Step::ForeignReplace(..) => {
                self.foreign_step(step).await
            }
            Step::DeviceReports(patch) => self.report(&Value::Object(patch.clone())).await,
            Step::DeviceAcknowledges(nth, code, current) => self.acknowledge(*nth, *code, *current).await,
        }
        Ok(())
    }

    async fn edit_part(&mut self, who: usize, part: Part, edit: impl FnOnce(&mut Object)) {
        self.edit(who, |spec| {
            if spec.broken == Some(part) {
                spec.broken = None;
            }
            edit(spec.part_mut(part));
        })
        .await;
    }

    async fn edit(&mut self, who: usize, edit: impl FnOnce(&mut Spec)) {
        edit(&mut self.objects[who].spec);
        if self.is_there(who) {
            self.apply(who).await;
        }
    }

    /// Applies the spec, which may make the object.
    async fn apply(&mut self, who: usize) {
        let from = self.ground.log.tick();
        let Slot { name, spec } = &self.objects[who];
        let (name, spec) = (name.clone(), spec.clone());
        let manifest = spec.manifest(&name, &self.about);
        let applied = self.api().patch(&name, &PatchParams::apply("it").force(), &Patch::Apply(&manifest.0)).await;
        let applied = json!(applied.unwrap_or_else(|error| panic!("apply {}: {error}", manifest.0)));
        let text = |key: &str| applied["metadata"][key].as_str().expect("every object has it").to_owned();
        let (uid, created) = (text("uid"), text("creationTimestamp"));
        let generation = applied["metadata"]["generation"].as_i64().expect("every object has a generation");
        let revision = Revision { from, generation, spec };
        match self.subjects.iter_mut().find(|subject| subject.uid == uid) {
            Some(subject) if subject.revisions.iter().any(|known| known.generation == generation) => {}
            Some(subject) => subject.revisions.push(revision),
            None => {
                let revisions = vec![revision];
                let subject = Subject {
                    name,
                    uid,
                    made: from,
                    created,
                    deleting: None,
                    deleted: None,
                    took_leaves: false,
                    revisions,
                };
                self.subjects.push(subject);
            }
        }
    }

    async fn delete(&mut self, name: &str) -> Result<(), String> {
        let deleting = self.ground.log.tick();
        let deleted = self.api().delete(name, &DeleteParams::default()).await.expect("the object is deleted");
        // With a finalizer it is only marked.
        let waits = deleted.left().is_some();
        let deadline = Instant::now() + DEADLINE;
        while self.object(name).await.is_some() {
            if Instant::now() > deadline {
                return Err(format!("{name} hangs in its deletion"));
            }
            sleep(INTERVAL).await;
        }
        let (deleted, present) = (self.ground.log.tick(), self.key.is_some());
        let subject = self.subjects.iter_mut().rfind(|subject| subject.name == name).expect("it was there");
        let last = &subject.revisions.last().expect("it was made").spec;
        subject.took_leaves = waits && last.remove_keys && !last.suspend && !last.observe && present;
        (subject.deleting, subject.deleted) = (Some(deleting), Some(deleted));
        if waits {
            self.ground.log.hit("deletion: with a finalizer");
        }
        Ok(())
    }

    async fn rename(&mut self, who: usize) -> Result<(), String> {
        if !self.is_there(who) {
            return Ok(());
        }
        self.renames += 1;
        let (stem, _) = self.about.split_once('/').unwrap_or((&self.about, ""));
        let name = format!("{stem}-{}{}", ["a", "b"][who], self.renames);
        let before = std::mem::replace(&mut self.objects[who].name, name);
        self.apply(who).await;
        self.delete(&before).await
    }

    async fn device_goes_or_comes(&mut self) {
        match self.key.take() {
            Some(_) => self.ground.back_end.delete(&self.about).await,
            None => self.key = Some(self.ground.back_end.make(&self.about).await),
        }
    }

    async fn foreign_step(&self, step: &Step) {
        if self.key.is_none() {
            return;
        }
        let back_end = &self.ground.back_end;
        let done = match step {
            Step::ForeignPatch(part, patch) => back_end.patch(&self.about, part.body(patch.clone())).await,
            Step::ForeignReplace(part, new) => back_end.replace(&self.about, part.body(new.clone())).await,
            Step::ForeignOnOurs(part, nth, value) => {
                let Some(at) = nth_leaf(self.objects[0].spec.part(*part), *nth) else { return };
                let mut patch = Object::new();
                put(&mut patch, &at, value.clone());
                back_end.patch(&self.about, part.body(patch)).await
            }
            other => unreachable!("{other} is no step of another back end"),
        };
        done.expect("the hub takes it");
    }

    async fn report(&self, patch: &Value) {
        let Some(key) = &self.key else { return };
        let taken = device::report(&self.ground.hub, &self.about, key, patch).await;
        assert!(taken, "the hub takes {patch} from {}", self.about);
    }

    async fn acknowledge(&self, nth: usize, code: u16, current: bool) {
        let Some(twin) = self.ground.back_end.twin(&self.about).await else { return };
        let desired = section(&twin, Part::Desired);
        let Some(at) = nth_leaf(&desired, nth) else { return };
        let value = leaves(&desired)[&at].clone();
        let version = twin["properties"]["desired"]["$version"].as_i64().expect("a version");
        let version = if current { version } else { version - 1 };
        let mut patch = Object::new();
        put(&mut patch, &at, json!({"value": value, "ac": code, "av": version, "ad": "a test's"}));
        self.report(&Value::Object(patch)).await;
    }

    /// Asks for a look at each object by the annotation, and answers its value.
    async fn look(&self) -> String {
        let now = format!("tick {}", self.ground.log.tick());
        let patch = json!({"metadata": {"annotations": {ASKED_AT: now}}});
        for subject in self.live() {
            let asked = self.api().patch(&subject.name, &PatchParams::default(), &Patch::Merge(&patch)).await;
            asked.expect("the annotation is written");
        }
        now
    }

    async fn object(&self, name: &str) -> Option<Value> {
        self.api().get_opt(name).await.expect("the API server answers").map(|object| json!(object))
    }

    /// Asks for a look, and waits until all is as the rules say.
    async fn rest(&self) -> Result<(), String> {
        let asked = self.look().await;
        let deadline = Instant::now() + DEADLINE;
        loop {
            let (objects, why) = match self.judged(Some(&asked)).await {
                Ok(met) => {
                    met.0.iter().for_each(|what| self.ground.log.hit(what));
                    return Ok(());
                }
                Err(why) => why,
            };
            if Instant::now() > deadline {
                return Err(format!("not calm within {DEADLINE:?}: {why}\nthe objects: {objects}"));
            }
            sleep(INTERVAL).await;
        }
    }

    /// Judges what is there now. The answers to the annotation come first: else old statuses would be judged.
    pub async fn judged(&self, asked: Option<&str>) -> Result<Met, (Value, String)> {
        let mut objects = Vec::new();
        for subject in self.live() {
            objects.push(self.object(&subject.name).await.unwrap_or(Value::Null));
        }
        let twin = self.ground.back_end.twin(&self.about).await;
        let answered = |object: &Value| object["status"]["lastHandledReconcileAt"].as_str() == asked;
        if asked.is_some() && !objects.iter().all(answered) {
            return Err((json!(objects), format!("the annotation {asked:?} is not answered")));
        }
        let records = self.ground.log.records();
        let writes: Vec<&TwinWrite> =
            records.twin_writes.iter().filter(|write| write.twin == self.about && write.after.is_some()).collect();
        let ours = |name: &String| self.subjects.iter().any(|subject| subject.name == *name);
        let unheard = records.twin_writes.iter().filter(|write| write.twin == self.about && !write.delivered);
        let story = Story {
            subjects: &self.subjects,
            writes,
            unheard: unheard.collect(),
            statuses: records.status_writes.iter().filter(|write| ours(&write.object)).collect(),
        };
        let live = self.live().zip(&objects).map(|(subject, object)| Live { subject, object }).collect();
        let judged = judge(&Seen { story: &story, live, twin: twin.as_ref() });
        judged.map_err(|why| (json!(objects), why))
    }

    /// What was written to twin and statuses, as people read it.
    pub fn writes(&self) -> Vec<String> {
        let records = self.ground.log.records();
        let mut lines: Vec<(u64, String)> = Vec::new();
        for write in records.twin_writes.iter().filter(|write| write.twin == self.about) {
            let TwinWrite { who, body, status, delivered, answered, .. } = write;
            let lost = if *delivered { "" } else { ", answer lost" };
            lines.push((write.asked, format!("{who:?} writes {body}: {status}{lost} (until tick {answered})")));
        }
        let ours = |name: &String| self.subjects.iter().any(|subject| subject.name == *name);
        for write in records.status_writes.iter().filter(|write| ours(&write.object)) {
            let landed = if write.landed.is_some() { "landed" } else { "did not land" };
            let ready = &write.status["conditions"][0]["reason"];
            let (generation, applied) = (&write.status["observedGeneration"], &write.status["applied"]);
            let whose = format!("operator {} writes the status of {}", write.operator, write.object);
            lines.push((write.asked, format!("{whose}: {generation}, {ready}, ledger {applied}: {landed}")));
        }
        for subject in &self.subjects {
            let Subject { name, made, deleted, took_leaves, .. } = subject;
            lines.push((*made, format!("{name} is made")));
            if let Some(deleted) = deleted {
                let leaves = if *took_leaves { "with its leaves" } else { "and leaves stay" };
                lines.push((*deleted, format!("{name} is gone, {leaves}")));
            }
        }
        lines.sort();
        lines.into_iter().map(|(tick, line)| format!("tick {tick}: {line}")).collect()
    }
}

fn nth_leaf(section: &Object, nth: usize) -> Option<Path> {
    let all = leaves(section);
    let index = nth.checked_rem(all.len())?;
    all.into_keys().nth(index)
}
