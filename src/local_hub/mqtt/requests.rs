//! One connected device: packets in, bytes out. It asks the hub, and knows no stream.

use std::sync::Arc;

use mqtt_protocol_core::mqtt::packet::Qos;
use mqtt_protocol_core::mqtt::packet::v3_1_1::{Publish, Subscribe, Unsubscribe};
use serde_json::{Value, json};

use super::super::code::{self, Failure};
use super::super::hub::{Hub, Notice};
use super::super::journal::Call;
use super::super::knobs::Effect;
use super::super::machine::stamp::wire_time;
use super::super::machine::{Command, EntityId, Refusal, Reply, Session};
use super::super::operations;
use super::super::rest::arrays_of;
use super::codec::{self, Malformed, Packet};
use super::topic::{self, Target};

/// What the log says of a fault.
const ASKED_FOR: &str = "a fault that was asked for";

/// A device that is let in.
pub(super) struct Device {
    pub(super) hub: Arc<Hub>,
    pub(super) id: EntityId,
    pub(super) session: Session,
    pub(super) api_version: Option<String>,
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

impl Device {
    pub(super) fn new(hub: Arc<Hub>, id: EntityId, session: Session, api_version: Option<String>) -> Self {
        Self { hub, id, session, api_version, last_packet_id: 0 }
    }

    /// Carries one packet out and appends the answer to `out`.
    pub(super) async fn packet(&mut self, packet: Packet, out: &mut Vec<u8>) -> Result<Next, Malformed> {
        match packet {
            // One CONNECT a connection.
            Packet::Connect(_) | Packet::OtherVersion => return Err(Malformed),
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
    pub(super) fn notice(&mut self, notice: &Notice, out: &mut Vec<u8>) -> Result<(), Malformed> {
        let topic = format!("$iothub/twin/PATCH/properties/desired/?$version={}", notice.version);
        let Some(qos) = self.session.desired else { return Ok(()) };
        self.send(&topic, notice.body.to_string().into_bytes(), qos, out)?;
        self.record("device.notify", 200, &format!("$version={}", notice.version));
        Ok(())
    }

    async fn publish(&mut self, publish: &Publish, out: &mut Vec<u8>) -> Result<(), Malformed> {
        match (publish.qos(), publish.packet_id()) {
            (Qos::AtMostOnce, _) => {}
            (Qos::AtLeastOnce, Some(id)) => out.extend(codec::puback(id)),
            // The hub does not speak QoS 2.
            _ => return Err(Malformed),
        }
        let target = topic::target(publish.topic_name(), &self.id).ok_or(Malformed)?;
        // A topic that is switched off is one that the hub does not have.
        if self.hub.knobs().lacks(target.operation()) {
            return Err(Malformed);
        }
        let (operation, rid) = match &target {
            Target::Dropped => {
                self.record("device.message", 200, "");
                return Ok(());
            }
            Target::Get { rid } => ("device.get", *rid),
            Target::Report { rid, .. } => ("device.report", *rid),
        };
        let effect = self.hub.strike(operation, &self.id.to_string()).await;
        let answer = match effect {
            Some(Effect::Status(status)) => Err(Failure::new(code::for_status(status), ASKED_FOR)),
            Some(Effect::CutBefore) => Err(Failure::new(code::CLOSED, ASKED_FOR)),
            Some(Effect::Delay | Effect::CutAfter) | None => {
                self.carry_out(&target, publish.payload().as_slice()).await
            }
        };
        let (status, version, body, detail) = match answer {
            Ok((status, version, body)) => (status, version, body, String::new()),
            Err(failure) => {
                (failure.code.status, None, self.failure_body(&failure).to_string().into_bytes(), failure.message)
            }
        };
        self.record(operation, status, &detail);
        if matches!(effect, Some(Effect::CutBefore | Effect::CutAfter)) {
            // Not even the receipt goes out.
            out.clear();
            return Err(Malformed);
        }
        let Some(qos) = self.session.responses else { return Ok(()) };
        let version = version.map(|version| format!("&$version={version}")).unwrap_or_default();
        self.send(&format!("$iothub/twin/res/{status}/?$rid={rid}{version}"), body, qos, out)
    }

    async fn carry_out(&self, target: &Target<'_>, payload: &[u8]) -> Result<(u16, Option<u64>, Vec<u8>), Failure> {
        match target {
            Target::Get { .. } => self.get().await,
            Target::Report { version, .. } => self.report(payload, *version).await,
            Target::Dropped => Ok((200, None, Vec::new())),
        }
    }

    async fn get(&self) -> Result<(u16, Option<u64>, Vec<u8>), Failure> {
        match self.hub.apply(Command::DeviceGetTwin(self.id.clone())).await? {
            Reply::Document(document) => Ok((200, None, document.to_string().into_bytes())),
            _ => Err(Failure::new(code::SERVER_ERROR, "no document")),
        }
    }

    async fn report(
        &self,
        payload: &[u8],
        version: Option<Result<u64, ()>>,
    ) -> Result<(u16, Option<u64>, Vec<u8>), Failure> {
        let api_version = self.api_version.as_deref();
        let api_version = api_version.ok_or_else(|| Refusal::Invalid("api-version is missing".to_owned()))?;
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

    async fn subscribe(&mut self, subscribe: &Subscribe, out: &mut Vec<u8>) -> Result<(), Malformed> {
        if self.hub.knobs().lacks(operations::DEVICE_SUBSCRIBE) {
            return Err(Malformed);
        }
        let mut session = self.session.clone();
        let mut granted = Vec::new();
        for entry in subscribe.entries() {
            // At most QoS 1 is granted.
            let qos = u8::from(entry.sub_opts().qos() != Qos::AtMostOnce);
            let filter = entry.topic_filter();
            if topic::is_desired(filter) && self.hub.knobs().lacks(operations::DEVICE_NOTIFY) {
                return Err(Malformed);
            }
            *topic::subscription(filter, &self.id, &mut session).ok_or(Malformed)? = Some(qos);
            granted.push(qos);
        }
        self.keep(session).await?;
        self.record(operations::DEVICE_SUBSCRIBE, 200, "");
        out.extend(codec::suback(subscribe.packet_id(), &granted));
        Ok(())
    }

    async fn unsubscribe(&mut self, unsubscribe: &Unsubscribe, out: &mut Vec<u8>) -> Result<(), Malformed> {
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

    async fn keep(&mut self, session: Session) -> Result<(), Malformed> {
        let command = Command::Subscribe { id: self.id.clone(), session: session.clone() };
        self.hub.apply(command).await.map_err(|_| Malformed)?;
        self.session = session;
        Ok(())
    }

    fn send(&mut self, topic: &str, payload: Vec<u8>, qos: u8, out: &mut Vec<u8>) -> Result<(), Malformed> {
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
