//! One connected device: packets in, bytes out. It asks the hub, and knows no stream.

use std::sync::Arc;

use mqtt_protocol_core::mqtt::packet::Qos;
use mqtt_protocol_core::mqtt::packet::v3_1_1::{Publish, Subscribe, Unsubscribe};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::super::code::{self, Failure};
use super::super::hub::{Charge, Hub};
use super::super::journal::Call;
use super::super::knobs::Effect;
use super::super::live::{Cut, Notice};
use super::super::machine::stamp::wire_time;
use super::super::machine::{Command, EntityId, Refusal, Reply, Session};
use super::super::operations;
use super::super::rest::arrays_of;
use super::codec::{self, Malformed, Packet};
use super::end::End;
use super::topic::{self, Target};

/// A device that is let in.
pub(super) struct Device {
    pub(super) hub: Arc<Hub>,
    pub(super) id: EntityId,
    session: Session,
    api_version: Option<String>,
    cut: oneshot::Receiver<Cut>,
    last_packet_id: u16,
}

/// Whether the connection goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It does.
    Stay,
    /// It ends here, as the client asked.
    Close,
}

/// What a fault leaves of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Struck {
    /// It is carried out.
    Whole,
    /// It is answered with this instead.
    Refused(Failure),
    /// It is carried out, and the connection cut in place of the answer.
    Unanswered,
}

/// Status, `$version` and body of an answer.
type Answer = (u16, Option<u64>, Vec<u8>);

impl Device {
    pub(super) fn new(
        hub: Arc<Hub>,
        id: EntityId,
        session: Session,
        api_version: Option<String>,
        cut: oneshot::Receiver<Cut>,
    ) -> Self {
        Self { hub, id, session, api_version, cut, last_packet_id: 0 }
    }

    /// Returns when the hub ends the connection.
    pub(super) async fn cut(&mut self) -> End {
        (&mut self.cut).await.map_or(End::Stopped, End::Cut)
    }

    /// Carries one packet out and appends the answer to `out`.
    pub(super) async fn packet(&mut self, packet: Packet, out: &mut Vec<u8>) -> Result<Next, End> {
        match packet {
            Packet::Connect(_) | Packet::OtherVersion => return Err(Malformed("a second CONNECT").into()),
            Packet::Publish(publish) => self.publish(&publish, out).await?,
            // Nothing is sent again, so nothing waits for a receipt; late and double ones are fine.
            Packet::Puback => {}
            Packet::Subscribe(subscribe) => self.subscribe(&subscribe, out).await?,
            Packet::Unsubscribe(unsubscribe) => self.unsubscribe(&unsubscribe, out).await?,
            Packet::Pingreq => out.extend(codec::pingresp()),
            Packet::Disconnect => return Ok(Next::Close),
        }
        Ok(Next::Stay)
    }

    /// Appends a change notice.
    pub(super) async fn notice(&mut self, notice: &Notice, out: &mut Vec<u8>) -> Result<(), End> {
        let Some(qos) = self.session.desired else { return Ok(()) };
        let (operation, detail) = (operations::DEVICE_NOTIFY, format!("$version={}", notice.version));
        let struck = self.strike(operation, &detail).await?;
        let outcome = match struck {
            Struck::Whole | Struck::Unanswered => {
                let topic = format!("$iothub/twin/PATCH/properties/desired/?{detail}");
                self.hub.charge(operation, notice.payload.len(), None);
                self.send(&topic, notice.payload.clone(), qos, out)?;
                200
            }
            // It gets lost on its way.
            Struck::Refused(ref failure) => failure.code.status,
        };
        self.record(operation, outcome, &detail);
        if struck == Struck::Unanswered { Err(End::Fault) } else { Ok(()) }
    }

    async fn publish(&mut self, publish: &Publish, out: &mut Vec<u8>) -> Result<(), End> {
        if publish.qos() == Qos::ExactlyOnce {
            return Err(Malformed("QoS 2").into());
        }
        let target = topic::target(publish.topic_name(), &self.id).ok_or(Malformed("an unknown topic"))?;
        let operation = target.operation();
        self.there(operation, "an unknown topic")?;
        let rid = match &target {
            Target::Dropped => "",
            Target::Get { rid } | Target::Report { rid, .. } => *rid,
        };
        let mut struck = self.strike(operation, "").await?;
        if let Some(failure) = self.throttled(&struck, operation).await? {
            struck = Struck::Refused(failure);
        }
        let answer = match struck {
            Struck::Refused(ref failure) => Err(failure.clone()),
            Struck::Whole | Struck::Unanswered => self.carry_out(&target, publish.payload().as_slice()).await,
        };
        let (status, version, body, detail) = match answer {
            Ok((status, version, body)) => (status, version, body, String::new()),
            Err(failure) => {
                (failure.code.status, None, self.failure_body(&failure).to_string().into_bytes(), failure.message)
            }
        };
        self.record(operation, status, &detail);
        if struck == Struck::Unanswered {
            return Err(End::Fault);
        }
        if target == Target::Dropped && status >= 300 {
            // There is no answer that says so.
            return Err(End::Refused(status));
        }
        if let Some(id) = publish.packet_id() {
            out.extend(codec::puback(id));
        }
        let Some(qos) = self.session.responses.filter(|_| target != Target::Dropped) else { return Ok(()) };
        let version = version.map(|version| format!("&$version={version}")).unwrap_or_default();
        self.send(&format!("$iothub/twin/res/{status}/?$rid={rid}{version}"), body, qos, out)?;
        // Who floods the hub is sent away.
        let flood = matches!(struck, Struck::Refused(failure) if failure.code == code::BACKLOG_FULL);
        if flood { Err(End::Refused(status)) } else { Ok(()) }
    }

    /// Waits for the turn that the limits of the tier give to a call that is carried out; the failure when there is none.
    async fn throttled(&mut self, struck: &Struck, operation: &str) -> Result<Option<Failure>, End> {
        if matches!(struck, Struck::Refused(_)) {
            return Ok(None);
        }
        tokio::select! {
            admitted = self.hub.admit(operation, Charge::Once) => Ok(admitted.err()),
            cut = &mut self.cut => Err(cut.map_or(End::Stopped, End::Cut)),
        }
    }

    /// What is switched off is not there.
    fn there(&self, operation: &str, otherwise: &'static str) -> Result<(), Malformed> {
        if self.hub.knobs().lacks(operation) { Err(Malformed(otherwise)) } else { Ok(()) }
    }

    /// What a fault does to a call, after its delay; a connection that is cut before the call ends here.
    async fn strike(&mut self, operation: &str, detail: &str) -> Result<Struck, End> {
        let subject = self.id.to_string();
        let effect = tokio::select! {
            effect = self.hub.strike(operation, &subject) => effect,
            cut = &mut self.cut => return Err(cut.map_or(End::Stopped, End::Cut)),
        };
        match effect.as_ref().and_then(Effect::instead) {
            Some(failure) if effect.as_ref().is_some_and(Effect::cuts) => {
                let detail = if detail.is_empty() { &failure.message } else { detail };
                self.record(operation, failure.code.status, detail);
                Err(End::Fault)
            }
            Some(failure) => Ok(Struck::Refused(failure)),
            None if effect == Some(Effect::CutAfter) => Ok(Struck::Unanswered),
            None => Ok(Struck::Whole),
        }
    }

    async fn carry_out(&self, target: &Target<'_>, payload: &[u8]) -> Result<Answer, Failure> {
        let operation = target.operation();
        let answer = match target {
            Target::Get { .. } => self.get().await?,
            Target::Report { version, .. } => self.report(payload, *version).await?,
            Target::Dropped => (200, None, Vec::new()),
        };
        // What is sent counts, and of a read what is answered.
        self.hub.charge(operation, payload.len().max(answer.2.len()), None);
        Ok(answer)
    }

    async fn get(&self) -> Result<Answer, Failure> {
        self.version()?;
        match self.hub.apply(Command::DeviceGetTwin(self.id.clone())).await? {
            Reply::Document(document) => Ok((200, None, document.to_string().into_bytes())),
            _ => Err(Failure::new(code::SERVER_ERROR, "no document")),
        }
    }

    /// Requests about twins need an api-version in the user name.
    fn version(&self) -> Result<&str, Refusal> {
        self.api_version
            .as_deref()
            .ok_or_else(|| Refusal::Invalid("api-version is missing in the user name".to_owned()))
    }

    async fn report(&self, payload: &[u8], version: Option<Result<u64, ()>>) -> Result<Answer, Failure> {
        let api_version = self.version()?;
        let version = version.transpose().map_err(|()| Refusal::Invalid("$version is not a number".to_owned()))?;
        let body: Value =
            serde_json::from_slice(payload).map_err(|_| Refusal::Malformed("the body is not JSON".to_owned()))?;
        let Value::Object(patch) = body else {
            return Err(Refusal::Malformed("the body is not a JSON object".to_owned()).into());
        };
        let command = Command::Report { id: self.id.clone(), patch, arrays: arrays_of(api_version), version };
        match self.hub.apply(command).await? {
            Reply::Version(version) => Ok((204, Some(version), Vec::new())),
            _ => Err(Failure::new(code::SERVER_ERROR, "no version")),
        }
    }

    async fn subscribe(&mut self, subscribe: &Subscribe, out: &mut Vec<u8>) -> Result<(), End> {
        let unknown = "an unknown topic filter";
        self.there(operations::DEVICE_SUBSCRIBE, unknown)?;
        let mut session = self.session.clone();
        let mut granted = Vec::new();
        for entry in subscribe.entries() {
            // At most QoS 1 is granted.
            let qos = u8::from(entry.sub_opts().qos() != Qos::AtMostOnce);
            let filter = entry.topic_filter();
            if topic::is_desired(filter) {
                self.there(operations::DEVICE_NOTIFY, unknown)?;
            }
            *topic::subscription(filter, &self.id, &mut session).ok_or(Malformed(unknown))? = Some(qos);
            granted.push(qos);
        }
        let struck = self.strike(operations::DEVICE_SUBSCRIBE, "").await?;
        if let Struck::Refused(failure) = struck {
            self.record(operations::DEVICE_SUBSCRIBE, failure.code.status, &failure.message);
            out.extend(codec::suback(subscribe.packet_id(), &vec![codec::FAILED; granted.len()]));
            return Ok(());
        }
        self.keep(session).await?;
        self.record(operations::DEVICE_SUBSCRIBE, 200, "");
        if struck == Struck::Unanswered {
            return Err(End::Fault);
        }
        out.extend(codec::suback(subscribe.packet_id(), &granted));
        Ok(())
    }

    async fn unsubscribe(&mut self, unsubscribe: &Unsubscribe, out: &mut Vec<u8>) -> Result<(), End> {
        let mut session = self.session.clone();
        for entry in unsubscribe.entries() {
            // To end what never was is no mistake.
            if let Some(slot) = topic::subscription(entry.as_str(), &self.id, &mut session) {
                *slot = None;
            }
        }
        self.keep(session).await?;
        out.extend(codec::unsuback(unsubscribe.packet_id()));
        Ok(())
    }

    async fn keep(&mut self, session: Session) -> Result<(), End> {
        let command = Command::Subscribe { id: self.id.clone(), session: session.clone() };
        // Without its identity the connection is about to be cut; without a data folder nothing can be promised.
        self.hub.apply(command).await.map_err(|failure| End::Refused(failure.code.status))?;
        self.session = session;
        Ok(())
    }

    fn send(&mut self, topic: &str, payload: Vec<u8>, qos: u8, out: &mut Vec<u8>) -> Result<(), End> {
        let packet_id = (qos > 0).then(|| {
            // Ids run from 1 to 65535 and then from 1 again.
            self.last_packet_id = self.last_packet_id.checked_add(1).unwrap_or(1);
            self.last_packet_id
        });
        out.extend(codec::publish(topic, payload, packet_id)?);
        Ok(())
    }

    fn failure_body(&self, failure: &Failure) -> Value {
        json!({
            "errorCode": failure.code.number,
            "trackingId": format!("{:032X}", fastrand::u128(..)),
            "message": failure.message,
            "timestampUtc": wire_time(self.hub.now()),
        })
    }

    fn record(&self, operation: &str, outcome: u16, detail: &str) {
        let subject = self.id.to_string();
        self.hub.record(&Call { who: &subject, operation, subject: &subject, outcome, detail });
    }
}
