//! Bytes to packets and back. Framing is the library's; this names what the hub uses of it.

use mqtt_protocol_core::mqtt::common::Cursor;
use mqtt_protocol_core::mqtt::connection::{PacketBuildResult, PacketBuilder, PacketData, RawPacket};
use mqtt_protocol_core::mqtt::packet::Qos;
use mqtt_protocol_core::mqtt::packet::v3_1_1::{
    Connack, Connect, Pingresp, Puback, Publish, Suback, Subscribe, Unsuback, Unsubscribe,
};
use mqtt_protocol_core::mqtt::result_code::{ConnectReturnCode, MqttError, SubackReturnCode};

/// Largest packet that is read: a message of 256 KB with its topic.
const MAX_PACKET: u32 = 260 * 1024;
/// The flags that subscribe and unsubscribe packets must carry.
const RESERVED_FLAGS: u8 = 2;

/// A packet of a client.
#[derive(Debug)]
pub(super) enum Packet {
    /// First of all.
    Connect(Box<Connect>),
    /// First of all, in a version that is not spoken here.
    OtherVersion,
    /// A message.
    Publish(Box<Publish>),
    /// The receipt of a message.
    Puback,
    /// New subscriptions.
    Subscribe(Subscribe),
    /// Subscriptions end.
    Unsubscribe(Unsubscribe),
    /// Still there.
    Pingreq,
    /// The client goes.
    Disconnect,
}

/// Bytes that are no packet, or a packet that has no place here. The connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a malformed or unexpected packet")]
pub(super) struct Malformed;

impl From<MqttError> for Malformed {
    fn from(_: MqttError) -> Self {
        Self
    }
}

/// Collects bytes into packets.
pub(super) struct Decoder(PacketBuilder);

impl Decoder {
    pub(super) fn new() -> Self {
        Self(PacketBuilder::with_maximum_packet_size(MAX_PACKET))
    }

    /// The packets that end within these bytes.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Packet>, Malformed> {
        let mut cursor = Cursor::new(bytes);
        let mut packets = Vec::new();
        loop {
            match self.0.feed(&mut cursor) {
                PacketBuildResult::Complete(raw) => packets.push(parse(&raw)?),
                PacketBuildResult::Incomplete => return Ok(packets),
                PacketBuildResult::Error(_) => return Err(Malformed),
            }
        }
    }
}

fn parse(raw: &RawPacket) -> Result<Packet, Malformed> {
    let flags = |wanted: u8| if raw.flags() == wanted { Ok(()) } else { Err(Malformed) };
    match raw.packet_type() {
        1 => {
            flags(0)?;
            if other_version(raw.data_as_slice()) {
                return Ok(Packet::OtherVersion);
            }
            Ok(Packet::Connect(Box::new(raw.parse_exact(Connect::parse)?)))
        }
        3 => match &raw.data {
            PacketData::Publish(data) => {
                let (publish, _) = Publish::parse(raw.flags(), data.clone())?;
                Ok(Packet::Publish(Box::new(publish)))
            }
            PacketData::Normal(_) => Err(Malformed),
        },
        4 => {
            flags(0)?;
            raw.parse_exact(Puback::parse)?;
            Ok(Packet::Puback)
        }
        8 => {
            flags(RESERVED_FLAGS)?;
            Ok(Packet::Subscribe(raw.parse_exact(Subscribe::parse)?))
        }
        10 => {
            flags(RESERVED_FLAGS)?;
            Ok(Packet::Unsubscribe(raw.parse_exact(Unsubscribe::parse)?))
        }
        12 => flags(0).map(|()| Packet::Pingreq),
        14 => flags(0).map(|()| Packet::Disconnect),
        _ => Err(Malformed),
    }
}

/// Whether a CONNECT is MQTT in a version other than 3.1.1.
fn other_version(body: &[u8]) -> bool {
    body.strip_prefix(b"\x00\x04MQTT").and_then(|rest| rest.first()).is_some_and(|level| *level != 4)
}

/// Why the hub does not let a client in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It speaks another version.
    Version,
    /// The hub cannot take it now.
    Unavailable,
    /// It is nobody that may connect.
    NotAuthorized,
}

impl Refused {
    fn code(self) -> ConnectReturnCode {
        match self {
            Self::Version => ConnectReturnCode::UnacceptableProtocolVersion,
            Self::Unavailable => ConnectReturnCode::ServerUnavailable,
            Self::NotAuthorized => ConnectReturnCode::NotAuthorized,
        }
    }
}

/// The answer to a CONNECT, and whether its session was there before.
pub(super) fn connack(accepted: Result<bool, Refused>) -> Vec<u8> {
    let (present, code) = match accepted {
        Ok(present) => (present, ConnectReturnCode::Accepted),
        Err(refused) => (false, refused.code()),
    };
    let packet = Connack::builder().session_present(present).return_code(code).build();
    packet.expect("a CONNACK has nothing that could be missing").to_continuous_buffer()
}

pub(super) fn puback(packet_id: u16) -> Vec<u8> {
    let packet = Puback::builder().packet_id(packet_id).build();
    packet.expect("the id of a received packet is not 0").to_continuous_buffer()
}

/// Grants each subscription at this QoS, 0 or 1.
pub(super) fn suback(packet_id: u16, granted: &[u8]) -> Vec<u8> {
    let codes = granted.iter().map(|qos| match qos {
        0 => SubackReturnCode::SuccessMaximumQos0,
        _ => SubackReturnCode::SuccessMaximumQos1,
    });
    let packet = Suback::builder().packet_id(packet_id).return_codes(codes.collect()).build();
    packet.expect("a SUBSCRIBE has an id and an entry, so its answer has").to_continuous_buffer()
}

pub(super) fn unsuback(packet_id: u16) -> Vec<u8> {
    let packet = Unsuback::builder().packet_id(packet_id).build();
    packet.expect("the id of a received packet is not 0").to_continuous_buffer()
}

pub(super) fn pingresp() -> Vec<u8> {
    Pingresp::new().to_continuous_buffer()
}

/// A message to a client, at QoS 1 with a packet id and at QoS 0 without.
pub(super) fn publish(topic: &str, payload: Vec<u8>, packet_id: Option<u16>) -> Result<Vec<u8>, Malformed> {
    let builder = Publish::builder().topic_name(topic)?.payload(payload);
    let builder = match packet_id {
        Some(id) => builder.qos(Qos::AtLeastOnce).packet_id(id),
        None => builder.qos(Qos::AtMostOnce),
    };
    Ok(builder.build()?.to_continuous_buffer())
}
