//! A device's side of the conversation: which message comes next. No sockets, no clock but the runtime's.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::behaviour::{Ack, Behaviour, acknowledge, says_something};
use super::event::What;
use super::firmware::{self, Step};
use super::state::{Notice, State};
use super::topic::{self, Incoming};
use crate::twin::document::Object;
use crate::twin::merge::merge_patch;

/// A request that has no answer by then is given up, and the twin read again.
const PATIENCE: Duration = Duration::from_secs(30);
/// After a refusal for now (too many calls, a server error) the twin is read again after this.
const PAUSE: Duration = Duration::from_secs(5);

/// A message to the hub.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Message {
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
}

/// What came of an event: what to tell, and the next message.
type Reaction = (Vec<What>, Option<Message>);

/// Requests go one at a time: the hub keeps reports in order only for a device that waits for each answer.
pub(super) struct Talk {
    behaviour: Behaviour,
    /// `None` until the twin was read on this connection.
    state: Option<State>,
    queue: VecDeque<(Object, Purpose)>,
    asked: Option<Asked>,
    requests: u64,
    steps: VecDeque<Step>,
    step_at: Option<Instant>,
    read_at: Option<Instant>,
}

#[derive(Clone, Debug, PartialEq)]
enum Purpose {
    Report,
    Acknowledge(i64),
    Firmware(Step),
}

enum Asked {
    Twin { request: String, until: Instant },
    Patch { request: String, until: Instant, patch: Object, purpose: Purpose },
}

impl Talk {
    pub(super) fn new(behaviour: Behaviour) -> Self {
        Self {
            behaviour,
            state: None,
            queue: VecDeque::new(),
            asked: None,
            requests: 0,
            steps: VecDeque::new(),
            step_at: None,
            read_at: None,
        }
    }

    /// The connection was made: the twin is read, since changes are not kept for a device that is away.
    pub(super) fn connected(&mut self) -> Reaction {
        self.lost();
        (Vec::new(), Some(self.read()))
    }

    /// The connection is gone, and with it every answer still awaited. What there is to do comes from the next read.
    pub(super) fn lost(&mut self) {
        let Self { behaviour: _, state, queue, asked, requests: _, steps, step_at, read_at } = self;
        (*state, *asked, *step_at, *read_at) = (None, None, None, None);
        queue.clear();
        steps.clear();
    }

    /// When [`Talk::tick`] is next due.
    pub(super) fn due(&self) -> Option<Instant> {
        match &self.asked {
            Some(Asked::Twin { until, .. } | Asked::Patch { until, .. }) => Some(*until),
            None => [self.step_at, self.read_at].into_iter().flatten().min(),
        }
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, now: Instant) -> Reaction {
        let passed = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        match &self.asked {
            Some(Asked::Twin { until, .. } | Asked::Patch { until, .. }) if *until <= now => {
                (vec![What::Unanswered], Some(self.read()))
            }
            Some(_) => (Vec::new(), None),
            None if passed(self.read_at) => (Vec::new(), Some(self.read())),
            None => {
                if passed(self.step_at) {
                    self.step_at = None;
                    self.queue.extend(self.steps.pop_front().map(|step| (Object::new(), Purpose::Firmware(step))));
                }
                (Vec::new(), self.next())
            }
        }
    }

    /// A message came.
    pub(super) fn received(&mut self, topic: &str, payload: &[u8]) -> Reaction {
        match topic::parse(topic) {
            Some(Incoming::Answer { status, request }) => self.answered(status, &request, payload),
            Some(Incoming::Change) => self.changed(payload),
            None => (Vec::new(), None),
        }
    }

    fn read(&mut self) -> Message {
        // Whatever was to be said is decided anew by what the twin is then.
        self.lost();
        self.requests += 1;
        let request = self.requests.to_string();
        let message = Message { topic: topic::get(self.requests), payload: Vec::new() };
        self.asked = Some(Asked::Twin { request, until: Instant::now() + PATIENCE });
        message
    }

    fn answered(&mut self, status: u16, answered: &str, payload: &[u8]) -> Reaction {
        // An answer from before the connection was lost, or to a request given up, is nobody's any more.
        let ours = |asked: &mut Asked| matches!(asked, Asked::Twin { request, .. } | Asked::Patch { request, .. } if request == answered);
        let Some(asked) = self.asked.take_if(ours) else { return (Vec::new(), None) };
        if status >= 300 {
            let later = matches!(asked, Asked::Twin { .. }) || status == 429 || status >= 500;
            self.read_at = later.then(|| Instant::now() + PAUSE);
            return (vec![What::Refused(status, message(payload))], self.next());
        }
        match asked {
            Asked::Twin { .. } => self.known(payload),
            Asked::Patch { patch, purpose, .. } => {
                if let Some(state) = &mut self.state {
                    merge_patch(&mut state.reported, &patch);
                }
                let told = match purpose {
                    Purpose::Report => What::Reported,
                    Purpose::Acknowledge(version) => What::Acknowledged(version),
                    Purpose::Firmware(Step { version, status }) => What::Firmware { version, status },
                };
                (vec![told], self.next())
            }
        }
    }

    /// The twin was read.
    fn known(&mut self, payload: &[u8]) -> Reaction {
        let Some(state) = State::from_answer(payload) else {
            self.read_at = Some(Instant::now() + PAUSE);
            return (vec![What::Refused(200, "the twin is malformed".to_owned())], None);
        };
        let report = acknowledge(Ack::Echo, &self.behaviour.report, &Object::new(), 0, &state.reported);
        if says_something(&report) {
            self.queue.push_back((report, Purpose::Report));
        }
        let (desired, version) = (state.desired.clone(), state.version);
        self.state = Some(state);
        self.follow(&desired);
        (vec![What::Desired(version)], self.next())
    }

    /// A notice of changed desired properties came.
    fn changed(&mut self, payload: &[u8]) -> Reaction {
        // A notice that comes before the twin was read is in what is read, or leaves a gap that the next one shows.
        let Some(state) = &mut self.state else { return (Vec::new(), None) };
        match state.notice(payload) {
            Notice::Old => (Vec::new(), None),
            Notice::Gap => (Vec::new(), Some(self.read())),
            Notice::Taken(change) => {
                let told = What::Desired(state.version);
                self.follow(&change);
                (vec![told], self.next())
            }
        }
    }

    /// Plans what a change asks for.
    fn follow(&mut self, change: &Object) {
        let (ack, Some(state)) = (self.behaviour.ack, &self.state) else { return };
        if ack == Ack::Silent {
            return;
        }
        let steps = firmware::steps(&state.desired, &state.reported);
        let under_way = self.steps.back().map(|step| &step.version);
        if under_way != steps.last().map(|step| &step.version) {
            self.step_at = (!steps.is_empty()).then(Instant::now);
            self.steps = steps.into();
        }
        let change = if self.steps.is_empty() { change.clone() } else { firmware::without_firmware(change) };
        let patch = acknowledge(ack, &change, &state.desired, state.version, &state.reported);
        if says_something(&patch) {
            self.queue.push_back((patch, Purpose::Acknowledge(state.version)));
        }
    }

    /// The next report, when none is under way.
    fn next(&mut self) -> Option<Message> {
        if self.asked.is_some() {
            return None;
        }
        let state = self.state.as_ref()?;
        while let Some((mut patch, purpose)) = self.queue.pop_front() {
            if let Purpose::Firmware(step) = &purpose {
                patch = firmware::report(step, self.behaviour.ack, &state.desired, state.version, &state.reported);
                self.step_at = (!self.steps.is_empty()).then(|| Instant::now() + self.behaviour.firmware_step);
            }
            if !says_something(&patch) {
                continue;
            }
            self.requests += 1;
            let payload = Value::Object(patch.clone()).to_string().into_bytes();
            let request = self.requests.to_string();
            self.asked = Some(Asked::Patch { request, until: Instant::now() + PATIENCE, patch, purpose });
            return Some(Message { topic: topic::report(self.requests), payload });
        }
        None
    }
}

/// The text of a refusal, on one line.
fn message(payload: &[u8]) -> String {
    let body: Value = serde_json::from_slice(payload).unwrap_or_default();
    let text = body.get("message").and_then(Value::as_str).unwrap_or("no reason given");
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn talk(ack: Ack, report: Value) -> Talk {
        let report = report.as_object().cloned().unwrap();
        Talk::new(Behaviour { ack, report, firmware_step: Duration::from_secs(2) })
    }

    /// What a message says, and the topic of its answer.
    fn sent(message: Option<Message>, status: u16) -> (Value, String) {
        let Message { topic, payload } = message.expect("a message");
        let (_, request) = topic.split_once("$rid=").unwrap();
        let body = serde_json::from_slice(&payload).unwrap_or(Value::Null);
        (body, format!("$iothub/twin/res/{status}/?$rid={request}"))
    }

    fn twin(desired: Value, reported: Value) -> Vec<u8> {
        json!({"desired": desired, "reported": reported}).to_string().into_bytes()
    }

    /// Connects and has the twin read; what came of it.
    fn start(talk: &mut Talk, desired: Value, reported: Value) -> Reaction {
        let (told, read) = talk.connected();
        assert_eq!(told, []);
        let (body, answer) = sent(read, 200);
        assert_eq!(body, Value::Null);
        talk.received(&answer, &twin(desired, reported))
    }

    #[tokio::test(start_paused = true)]
    async fn reports_then_acknowledges_one_at_a_time() {
        let mut talk = talk(Ack::Echo, json!({"serial": "s"}));
        let (told, report) = start(&mut talk, json!({"a": 1, "$version": 2}), json!({"$version": 1}));
        assert_eq!(told, [What::Desired(2)]);
        let (body, answer) = sent(report, 204);
        assert_eq!(body, json!({"serial": "s"}));
        let (told, ack) = talk.received(&answer, b"");
        assert_eq!(told, [What::Reported]);
        let (body, answer) = sent(ack, 204);
        assert_eq!(body, json!({"a": 1}));
        assert_eq!(talk.received(&answer, b""), (vec![What::Acknowledged(2)], None));
        let change = "$iothub/twin/PATCH/properties/desired/?$version=3";
        let (told, ack) = talk.received(change, br#"{"a": null, "$version": 3}"#);
        assert_eq!((told, sent(ack, 204).0), (vec![What::Desired(3)], json!({"a": null})));
        // Again the same notice, and an answer to nothing.
        assert_eq!(talk.received(change, br#"{"a": null, "$version": 3}"#), (vec![], None));
        assert_eq!(talk.received("$iothub/twin/res/204/?$rid=1", b""), (vec![], None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_gap_and_silence_make_it_read_again() {
        let mut talk = talk(Ack::Echo, json!({}));
        start(&mut talk, json!({"$version": 2}), json!({}));
        let change = "$iothub/twin/PATCH/properties/desired/?$version=4";
        let (told, read) = talk.received(change, br#"{"a": 1, "$version": 4}"#);
        assert_eq!((told, sent(read, 200).0), (vec![], Value::Null));
        let due = talk.due().unwrap();
        let (told, read) = talk.tick(due);
        assert_eq!((told, sent(read, 200).0), (vec![What::Unanswered], Value::Null));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_for_now_is_tried_again_and_one_for_good_is_not() {
        for (status, again) in [(429, true), (500, true), (400, false)] {
            let mut talk = talk(Ack::Echo, json!({"a": 1}));
            let (_, report) = start(&mut talk, json!({"$version": 2}), json!({}));
            let (_, answer) = sent(report, status);
            let (told, next) = talk.received(&answer, br#"{"message": "no\nway"}"#);
            assert_eq!((told, next), (vec![What::Refused(status, "no way".to_owned())], None));
            assert_eq!(talk.due().is_some(), again, "{status}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_firmware_update_goes_step_by_step() {
        let mut talk = talk(Ack::Echo, json!({}));
        let (_, next) = start(&mut talk, json!({"firmware": {"version": "2"}, "$version": 2}), json!({}));
        assert_eq!(next, None);
        let mut seen = Vec::new();
        let begin = Instant::now();
        while let Some(due) = talk.due() {
            tokio::time::sleep_until(due).await;
            let (body, answer) = sent(talk.tick(due).1, 204);
            seen.push((begin.elapsed().as_secs(), body["firmware"]["status"].clone()));
            talk.received(&answer, b"");
        }
        assert_eq!(seen, [(0, json!("downloading")), (2, json!("applying")), (4, json!("done"))]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_newer_version_overtakes_an_update() {
        let mut talk = talk(Ack::Echo, json!({}));
        start(&mut talk, json!({"firmware": {"version": "2"}, "$version": 2}), json!({}));
        let (_, answer) = sent(talk.tick(talk.due().unwrap()).1, 204);
        let change = br#"{"firmware": {"version": "3"}, "$version": 3}"#;
        talk.received("$iothub/twin/PATCH/properties/desired/?$version=3", change);
        let (told, _) = talk.received(&answer, b"");
        assert_eq!(told, [What::Firmware { version: "2".to_owned(), status: "downloading" }]);
        assert_eq!(talk.steps.iter().map(|step| step.version.as_str()).collect::<Vec<_>>(), ["3", "3", "3"]);
    }
}
