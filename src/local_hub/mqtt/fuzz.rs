//! MQTT bytes: the fuzz target, which the tests replay.

use super::super::machine::{EntityId, Session};
use super::codec::{Decoder, Malformed, Packet};
use super::login::Login;
use super::topic;

/// No bytes panic; packets are the same however the bytes are cut; what packets carry is read without a panic.
pub fn mqtt(bytes: &[u8]) {
    let Some((step, bytes)) = bytes.split_first() else { return };
    let (whole, verdict) = decoded(bytes.chunks(bytes.len().max(1)));
    let (cut, other) = decoded(bytes.chunks(usize::from(*step).max(1)));
    assert_eq!(verdict, other, "cut every {step} bytes");
    assert_eq!(format!("{whole:?}"), format!("{cut:?}"), "cut every {step} bytes");
    whole.iter().for_each(exercise);
}

/// The packets up to the first that is malformed, and whether there was one.
fn decoded<'b>(pieces: impl Iterator<Item = &'b [u8]>) -> (Vec<Packet>, Result<(), Malformed>) {
    let mut decoder = Decoder::new();
    let mut packets = Vec::new();
    for mut piece in pieces {
        loop {
            match decoder.next(&mut piece) {
                Ok(Some(packet)) => packets.push(packet),
                Ok(None) => break,
                Err(malformed) => return (packets, Err(malformed)),
            }
        }
    }
    (packets, Ok(()))
}

fn exercise(packet: &Packet) {
    let id = EntityId::module("d", "m");
    match packet {
        Packet::Connect(connect) => {
            let _ = Login::parse(connect.client_id(), connect.user_name().unwrap_or(""));
        }
        Packet::Publish(publish) => {
            let _ = topic::target(publish.topic_name(), &id);
        }
        Packet::Subscribe(subscribe) => {
            for entry in subscribe.entries() {
                let _ = topic::subscription(entry.topic_filter(), &id, &mut Session::default());
            }
        }
        Packet::OtherVersion | Packet::Puback | Packet::Unsubscribe(_) | Packet::Pingreq | Packet::Disconnect => {}
    }
}
