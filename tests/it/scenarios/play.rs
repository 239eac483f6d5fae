//! Plays a page: does what it says, step by step, and sees what comes of it.

use std::time::Duration;

use hubtwin::hub::{IfMatch, TwinPatch};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep};

use super::page::{Page, Piece, What, result};
use super::shown;
use crate::support::{Ack, Manifest, SimulatedDevice, Stage, TWIN, connection, eventually, is_true};

/// What a result is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// As it is written in the page.
    Written,
    /// Whatever stays as it is for a while: the page is being written.
    Rest,
}

const DEADLINE: Duration = Duration::from_secs(40);
const INTERVAL: Duration = Duration::from_millis(100);
/// Longer than a poll.
const REST: Duration = Duration::from_secs(7);

/// A page that is being played.
struct Play {
    stage: Stage,
    /// Devices, modules, and names of objects, in the order in which they appear.
    ids: Vec<String>,
    names: Vec<String>,
    /// Writes of the page's own back end, by their number in the hub's log.
    own: Vec<u64>,
    /// The last entry of the log, and the Events, that a result has shown.
    shown_calls: u64,
    shown_events: Vec<String>,
    looks: u32,
}

/// Plays a page and answers it with the results as they are; an error when one is not as it is written.
pub async fn play(page: Page, expect: Expect) -> Result<Page, String> {
    let stage = Stage::new().await;
    let mut play = Play {
        stage,
        ids: Vec::new(),
        names: Vec::new(),
        own: Vec::new(),
        shown_calls: 0,
        shown_events: Vec::new(),
        looks: 0,
    };
    let mut played = Vec::new();
    for piece in page.0 {
        played.push(match piece {
            Piece::Text(line) => Piece::Text(line),
            Piece::Step { what, text, value } => {
                play.step(what, &value).await;
                Piece::Step { what, text, value }
            }
            Piece::Result(written) => {
                let result = match expect {
                    Expect::Written => play.comes_to(&written).await?,
                    Expect::Rest => play.rests().await,
                };
                play.take_note().await;
                Piece::Result(result)
            }
        });
    }
    play.stage.end().await;
    Ok(Page(played))
}

impl Play {
    async fn step(&mut self, what: What, value: &Value) {
        let text = |key: &str| value[key].as_str().unwrap_or_else(|| panic!("{what:?} names {key}")).to_owned();
        match what {
            What::Device => {
                self.stage.register(&text("id")).await;
                self.ids.push(text("id"));
                self.write(&text("id"), value).await;
            }
            What::BackEnd => self.write(&text("id"), value).await,
            What::Apply => {
                let manifest = Manifest(value.clone()).set("apiVersion", json!("hubtwin.dev/v1alpha1"));
                if !self.names.contains(&manifest.name()) {
                    self.names.push(manifest.name());
                }
                self.stage.apply(&manifest).await;
            }
            What::Configuration => {
                self.stage.configure(&text("id"), &text("name"), value["desired"].clone()).await;
            }
            What::Report => self.report(&text("id"), &value["reported"]).await,
            What::Connection => {
                let fields = value.as_object().expect("fields of the spec");
                let plain = connection(&self.stage.host());
                let manifest =
                    fields.iter().fold(plain, |made, (key, value)| made.set(&format!("spec.{key}"), value.clone()));
                self.stage.apply(&manifest).await;
            }
            What::Delete => self.stage.delete(TWIN, &text("name")).await,
            What::Forget => {
                let id = text("id");
                self.stage.back_end.delete_identity(&Stage::id(&id)).await.expect("the hub forgets it");
                self.ids.retain(|known| *known != id);
            }
        }
    }

    /// Another back end writes, if there is something to write.
    async fn write(&mut self, id: &str, value: &Value) {
        let section = |key: &str| value.get(key).and_then(Value::as_object).cloned();
        let patch = TwinPatch { tags: section("tags"), desired: section("desired") };
        if patch.tags.is_none() && patch.desired.is_none() {
            return;
        }
        let before = self.stage.last_call().await;
        self.stage.back_end.patch_twin(&Stage::id(id), &patch, IfMatch::Any).await.expect("the hub takes it");
        let mut body = Map::new();
        body.extend(patch.tags.map(|tags| ("tags".to_owned(), Value::Object(tags))));
        body.extend(patch.desired.map(|desired| ("properties".to_owned(), json!({"desired": desired}))));
        let calls = self.writes(before).await;
        // A long one is not in the log; no page writes another long one at the same time.
        let same = |call: &&Value| {
            call["subject"] == id && (call["body"].is_null() || call["body"] == Value::Object(body.clone()))
        };
        let own = calls.iter().find(same);
        self.own.push(own.expect("the hub wrote it down")["seq"].as_u64().expect("a number"));
    }

    async fn report(&mut self, id: &str, reported: &Value) {
        let before = self.stage.at_hub(id).await.reported_version;
        let _device = SimulatedDevice::connect(&self.stage, id, reported.clone(), Ack::Silent).await;
        eventually("the hub has the report", || async {
            let now = self.stage.at_hub(id).await.reported_version;
            is_true(now > before, now)
        })
        .await;
    }

    /// Writes of twins since an entry of the hub's log.
    async fn writes(&self, since: u64) -> Vec<Value> {
        let calls = self.stage.admin(&format!("/events?since={since}")).await;
        let mut calls = calls.as_array().cloned().expect("events are a list");
        calls.retain(|call| call["operation"] == "twin.patch" && call["outcome"] == 200);
        calls
    }

    /// What a result shows: what the operator sent, what the hub holds, what status says, what Events tell.
    async fn seen(&self) -> Value {
        let calls = self.writes(self.shown_calls).await;
        let sent = calls.iter().filter(|call| !call["seq"].as_u64().is_some_and(|seq| self.own.contains(&seq)));
        let sent: Vec<Value> =
            sent.map(|call| json!({call["subject"].as_str().unwrap_or("?"): call["body"]})).collect();
        let mut hub = Map::new();
        for id in &self.ids {
            let twin = self.stage.at_hub(id).await;
            hub.insert(id.clone(), json!({"tags": twin.tags, "desired": twin.desired}));
        }
        let mut statuses = Map::new();
        for object in shown::objects(&self.stage).await {
            statuses.insert(object["metadata"]["name"].as_str().unwrap_or("?").to_owned(), shown::status(&object));
        }
        let events = shown::events(&self.stage, &self.names).await;
        let events: Vec<&String> = events.iter().filter(|line| !self.shown_events.contains(line)).collect();
        shown::settled(&self.stage, &json!({"sent": sent, "hub": hub, "status": statuses, "events": events}))
    }

    /// Asks every object to look now, and answers whether all have looked at what is there.
    async fn look(&mut self) {
        self.looks += 1;
        for name in &self.names {
            self.stage.ask_to_look(TWIN, name, &self.looks.to_string()).await;
        }
    }

    /// Whether every object was looked at since that was asked for.
    async fn looked(&self) -> bool {
        let looks = self.looks.to_string();
        let fresh = |object: &Value| {
            let status = &object["status"];
            status["lastHandledReconcileAt"] == looks.as_str()
                && status["observedGeneration"] == object["metadata"]["generation"]
        };
        shown::objects(&self.stage).await.iter().all(fresh)
    }

    /// Waits until all is as it is written; and looks once more, for it is to stay so.
    async fn comes_to(&mut self, written: &Value) -> Result<Value, String> {
        for _ in 0..2 {
            self.look().await;
            let deadline = Instant::now() + DEADLINE;
            loop {
                let (looked, seen) = (self.looked().await, self.seen().await);
                if looked && seen == *written {
                    break;
                }
                if Instant::now() > deadline {
                    return Err(different(written, &seen, looked));
                }
                sleep(INTERVAL).await;
            }
        }
        Ok(written.clone())
    }

    /// Waits until nothing has changed for a while.
    async fn rests(&mut self) -> Value {
        self.look().await;
        let (mut seen, mut since) = (self.seen().await, Instant::now());
        while since.elapsed() < REST || !self.looked().await {
            sleep(INTERVAL).await;
            let now = self.seen().await;
            if now != seen {
                (seen, since) = (now, Instant::now());
            }
        }
        seen
    }

    /// What a result has shown is not shown by the next.
    async fn take_note(&mut self) {
        self.shown_calls = self.stage.last_call().await;
        self.shown_events = shown::events(&self.stage, &self.names).await;
    }
}

/// What differs, line by line as it stands in the page.
fn different(written: &Value, seen: &Value, looked: bool) -> String {
    let whole = |value: &Value| ["sent", "hub", "status", "events"].iter().all(|key| value.get(key).is_some());
    let written = if whole(written) { result(written) } else { String::new() };
    let seen = result(seen);
    let missing =
        written.lines().filter(|line| !seen.lines().any(|other| other == *line)).map(|line| format!("- {line}"));
    let further =
        seen.lines().filter(|line| !written.lines().any(|other| other == *line)).map(|line| format!("+ {line}"));
    let lines: Vec<String> = missing.chain(further).collect();
    let hint = if looked { "" } else { " (and not all objects were looked at again)" };
    format!("written (-) and seen (+) differ{hint}:\n{}", lines.join("\n"))
}
