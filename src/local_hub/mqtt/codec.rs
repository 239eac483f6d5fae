//! Bytes to packets and back. Framing is the library's; this names what the hub uses of it.

use mqtt_protocol_core::mqtt::common::Cursor;
use mqtt_protocol_core::mqtt::connection::{PacketBuildResult, PacketBuilder, PacketData, RawPacket};
use mqtt_protocol_core::mqtt::packet::Qos;
use mqtt_protocol_core::mqtt::packet::v3_1_1::{
    Connack, Connect, Pingresp, Puback, Publish, Suback, Subscribe, Unsuback, Unsubscribe,
};
use mqtt_protocol_core::mqtt::result_code::{ConnectReturnCode, MqttError, SubackReturnCode};

use super::strict;

/// Largest packet that is read: a message of 256 KB with its topic.
pub(super) const MAX_PACKET: u32 = 260 * 1024;
/// Largest packet of a client that has not said who it is: a CONNECT with a will of 64 KB.
pub(super) const MAX_FIRST_PACKET: u32 = 72 * 1024;
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

/// Bytes that are no packet, or a packet that has no place here, and what is wrong with it. The connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Malformed(pub(super) &'static str);

impl From<MqttError> for Malformed {
    fn from(error: MqttError) -> Self {
        Self(match error {
            MqttError::PacketTooLarge => "packet too large",
            _ => "malformed packet",
        })
    }
}

/// Collects bytes into packets.
pub(super) struct Decoder(PacketBuilder);

impl Decoder {
    pub(super) fn new() -> Self {
        Self(PacketBuilder::with_maximum_packet_size(MAX_FIRST_PACKET))
    }

    /// The next packet that ends within these bytes, which are shortened by what was read; `None` when all are read.
    pub(super) fn next(&mut self, bytes: &mut &[u8]) -> Result<Option<Packet>, Malformed> {
        let mut cursor = Cursor::new(*bytes);
        let built = self.0.feed(&mut cursor);
        let read = usize::try_from(cursor.position()).unwrap_or(usize::MAX);
        *bytes = bytes.get(read..).unwrap_or_default();
        match built {
            PacketBuildResult::Complete(raw) => {
                self.0.set_maximum_packet_size(MAX_PACKET);
                parse(&raw).map(Some)
            }
            PacketBuildResult::Incomplete => Ok(None),
            PacketBuildResult::Error(error) => Err(error.into()),
        }
    }
}

fn parse(raw: &RawPacket) -> Result<Packet, Malformed> {
    let flags = |wanted: u8| if raw.flags() == wanted { Ok(()) } else { Err(Malformed("reserved flags")) };
    let empty = || if raw.remaining_length() == 0 { Ok(()) } else { Err(Malformed("a body where none belongs")) };
    match raw.packet_type() {
        1 => {
            flags(0)?;
            if strict::other_version(raw.data_as_slice()) {
                return Ok(Packet::OtherVersion);
            }
            strict::connect(raw.data_as_slice())?;
            Ok(Packet::Connect(Box::new(raw.parse_exact(Connect::parse)?)))
        }
        3 => match &raw.data {
            PacketData::Publish(data) => {
                let (publish, _) = Publish::parse(raw.flags(), data.clone())?;
                strict::publish(&publish)?;
                Ok(Packet::Publish(Box::new(publish)))
            }
            PacketData::Normal(_) => Err(Malformed("malformed packet")),
        },
        4 => {
            flags(0)?;
            strict::puback(raw.data_as_slice())?;
            Ok(Packet::Puback)
        }
        8 => {
            flags(RESERVED_FLAGS)?;
            let subscribe = raw.parse_exact(Subscribe::parse)?;
            strict::subscribe(&subscribe)?;
            Ok(Packet::Subscribe(subscribe))
        }
        10 => {
            flags(RESERVED_FLAGS)?;
            let unsubscribe = raw.parse_exact(Unsubscribe::parse)?;
            strict::packet_id(unsubscribe.packet_id())?;
            Ok(Packet::Unsubscribe(unsubscribe))
        }
        12 => flags(0).and_then(|()| empty()).map(|()| Packet::Pingreq),
        14 => flags(0).and_then(|()| empty()).map(|()| Packet::Disconnect),
        _ => Err(Malformed("a packet that clients do not send here")),
    }
}

/// Why the hub does not let a client in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It speaks another version.
    Version,
    /// Its client id is no id of a device or module.
    Identifier,
    /// The hub cannot take it now.
    Unavailable,
    /// Its user name or password is not of the form that it must have.
    Form,
    /// It is nobody that may connect.
    NotAuthorized,
    /// For a reason that it is not told: the connection just ends.
    Silently,
}

impl Refused {
    fn code(self) -> Option<ConnectReturnCode> {
        Some(match self {
            Self::Version => ConnectReturnCode::UnacceptableProtocolVersion,
            Self::Identifier => ConnectReturnCode::IdentifierRejected,
            Self::Unavailable => ConnectReturnCode::ServerUnavailable,
            Self::Form => ConnectReturnCode::BadUserNameOrPassword,
            Self::NotAuthorized => ConnectReturnCode::NotAuthorized,
            Self::Silently => return None,
        })
    }
}

/// The answer to a CONNECT that was accepted, and whether its session was there before.
pub(super) fn accepted(present: bool) -> Vec<u8> {
    connack(present, ConnectReturnCode::Accepted)
}

/// The answer to a CONNECT that was not; empty when there is none.
pub(super) fn refused(refused: Refused) -> Vec<u8> {
    refused.code().map(|code| connack(false, code)).unwrap_or_default()
}

fn connack(present: bool, code: ConnectReturnCode) -> Vec<u8> {
    let packet = Connack::builder().session_present(present).return_code(code).build();
    packet.expect("a CONNACK has nothing that could be missing").to_continuous_buffer()
}

pub(super) fn puback(packet_id: u16) -> Vec<u8> {
    let packet = Puback::builder().packet_id(packet_id).build();
    packet.expect("the id of a received packet is not 0").to_continuous_buffer()
}

/// In a SUBACK: not granted.
pub(super) const FAILED: u8 = 0x80;

/// Grants each subscription at this QoS, 0 or 1, or not at all.
pub(super) fn suback(packet_id: u16, granted: &[u8]) -> Vec<u8> {
    let codes = granted.iter().map(|granted| match *granted {
        0 => SubackReturnCode::SuccessMaximumQos0,
        FAILED => SubackReturnCode::Failure,
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

#[cfg(test)]
mod tests;
