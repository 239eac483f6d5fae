//! What MQTT 3.1.1 asks of a packet beyond what the library checks.

use mqtt_protocol_core::mqtt::packet::Qos;
use mqtt_protocol_core::mqtt::packet::v3_1_1::{Publish, Subscribe};

use super::codec::Malformed;

/// Most topic filters in one SUBSCRIBE; a device has no use for more than the hub has.
const MAX_FILTERS: usize = 32;

const RESERVED: u8 = 0b0000_0001;
const WILL: u8 = 0b0000_0100;
const WILL_QOS: u8 = 0b0001_1000;
const WILL_RETAIN: u8 = 0b0010_0000;

/// Whether a CONNECT is MQTT in a version other than 3.1.1.
pub(super) fn other_version(body: &[u8]) -> bool {
    body.strip_prefix(b"\x00\x04MQTT").and_then(|rest| rest.first()).is_some_and(|level| *level != 4)
}

/// It is MQTT; the reserved flag is 0, and without a will nothing is said of it.
pub(super) fn connect(body: &[u8]) -> Result<(), Malformed> {
    let rest = body.strip_prefix(b"\x00\x04MQTT").ok_or(Malformed("another protocol than MQTT"))?;
    let Some(flags) = rest.get(1) else { return Err(Malformed("malformed packet")) };
    let no_will = flags & WILL == 0 && flags & (WILL_QOS | WILL_RETAIN) != 0;
    if flags & RESERVED != 0 || no_will || flags & WILL_QOS == WILL_QOS {
        return Err(Malformed("connect flags"));
    }
    Ok(())
}

/// Ids are there where they must be, QoS 0 is never a duplicate, and topics are names without wildcards.
pub(super) fn publish(publish: &Publish) -> Result<(), Malformed> {
    if let Some(id) = publish.packet_id() {
        packet_id(id)?;
    }
    if publish.dup() && publish.qos() == Qos::AtMostOnce {
        return Err(Malformed("a duplicate at QoS 0"));
    }
    let topic = publish.topic_name();
    if topic.is_empty() || topic.contains(['+', '#', '\0']) {
        return Err(Malformed("a topic with a wildcard, or without a name"));
    }
    Ok(())
}

/// A receipt holds an id and nothing else.
pub(super) fn puback(body: &[u8]) -> Result<(), Malformed> {
    let id: [u8; 2] = body.try_into().map_err(|_| Malformed("malformed packet"))?;
    packet_id(u16::from_be_bytes(id))
}

/// The options of a filter are its QoS alone: the other bits came with MQTT 5.
pub(super) fn subscribe(subscribe: &Subscribe) -> Result<(), Malformed> {
    packet_id(subscribe.packet_id())?;
    if subscribe.entries().len() > MAX_FILTERS {
        return Err(Malformed("too many topic filters at once"));
    }
    if subscribe.entries().iter().any(|entry| entry.sub_opts().to_buffer()[0] > 2) {
        return Err(Malformed("reserved bits of a subscription"));
    }
    Ok(())
}

pub(super) fn packet_id(id: u16) -> Result<(), Malformed> {
    if id == 0 { Err(Malformed("packet id 0")) } else { Ok(()) }
}
