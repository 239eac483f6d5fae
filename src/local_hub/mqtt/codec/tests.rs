//! Bytes in memory: what decodes, what does not and why.

use super::{Decoder, MAX_FIRST_PACKET, MAX_PACKET, Malformed, Packet};
use crate::local_hub::mqtt::bytes::{connect_packet, packet, text};

/// The names of the packets that these bytes hold, and what ended the reading.
fn read(bytes: &[u8]) -> (Vec<&'static str>, Option<&'static str>) {
    let (mut decoder, mut rest, mut names) = (Decoder::new(), bytes, Vec::new());
    loop {
        match decoder.next(&mut rest) {
            Ok(Some(packet)) => names.push(name(&packet)),
            Ok(None) => return (names, None),
            Err(Malformed(why)) => return (names, Some(why)),
        }
    }
}

fn name(packet: &Packet) -> &'static str {
    match packet {
        Packet::Connect(_) => "connect",
        Packet::OtherVersion => "other version",
        Packet::Publish(_) => "publish",
        Packet::Puback => "puback",
        Packet::Subscribe(_) => "subscribe",
        Packet::Unsubscribe(_) => "unsubscribe",
        Packet::Pingreq => "pingreq",
        Packet::Disconnect => "disconnect",
    }
}

/// A CONNECT whose protocol, level and flags are given, with a client id and nothing else.
fn greeting(protocol: &str, level: u8, flags: u8) -> Vec<u8> {
    packet(0x10, &[text(protocol), vec![level, flags, 0, 60], text("d1")].concat())
}

#[test]
fn well_formed_packets_are_read() {
    let stream = [
        connect_packet("d1", "localhost/d1/?api-version=2021-04-12", "token", 0xc2, 60),
        packet(0x82, &[vec![0, 1], text("$iothub/twin/res/#"), vec![1]].concat()),
        packet(0x32, &[text("a"), vec![0, 2], b"{}".to_vec()].concat()),
        packet(0x3b, &[text("a"), vec![0, 2], b"{}".to_vec()].concat()),
        packet(0x40, &[0, 2]),
        packet(0xa2, &[vec![0, 3], text("a")].concat()),
        vec![0xc0, 0, 0xe0, 0],
    ]
    .concat();
    let names = ["connect", "subscribe", "publish", "publish", "puback", "unsubscribe", "pingreq", "disconnect"];
    assert_eq!(read(&stream), (names.to_vec(), None));
    // One byte at a time they are the same packets.
    let (mut decoder, mut seen) = (Decoder::new(), Vec::new());
    for byte in stream.chunks(1) {
        seen.extend(decoder.next(&mut &*byte).unwrap().map(|packet| name(&packet)));
    }
    assert_eq!(seen, names);
}

#[test]
fn other_versions_are_known_for_what_they_are() {
    for level in [0, 3, 5, 0x84] {
        assert_eq!(read(&greeting("MQTT", level, 2)), (vec!["other version"], None), "{level}");
    }
}

#[test]
fn malformed_packets_end_the_reading() {
    let wildcard = |topic: &str| packet(0x30, &text(topic));
    let filter = |options: u8| packet(0x82, &[vec![0, 1], text("a"), vec![options]].concat());
    let cases: Vec<(Vec<u8>, &str)> = vec![
        // Framing.
        (vec![0x30, 0xff, 0xff, 0xff, 0xff, 1], "malformed packet"),
        (vec![0x10, 0xff, 0xff, 0xff, 0x7f], "packet too large"),
        // CONNECT.
        (greeting("MQIsdp", 3, 2), "another protocol than MQTT"),
        (greeting("mqtt", 4, 2), "another protocol than MQTT"),
        (greeting("MQTT", 4, 3), "connect flags"),
        (greeting("MQTT", 4, 0x0a), "connect flags"),
        (greeting("MQTT", 4, 0x22), "connect flags"),
        (greeting("MQTT", 4, 0x1e), "connect flags"),
        (greeting("MQTT", 4, 0x42), "malformed packet"),
        (greeting("MQTT", 4, 0x82), "malformed packet"),
        (packet(0x11, &[]), "reserved flags"),
        (packet(0x10, &[]), "another protocol than MQTT"),
        (packet(0x10, &[text("MQTT"), vec![4]].concat()), "malformed packet"),
        (packet(0x10, &[text("MQTT"), vec![4, 2, 0, 60], vec![0, 1, 0xff]].concat()), "malformed packet"),
        (packet(0x10, &[text("MQTT"), vec![4, 2, 0, 60], text("d1"), vec![0]].concat()), "malformed packet"),
        // PUBLISH.
        (packet(0x36, &[text("a"), vec![0, 1]].concat()), "malformed packet"),
        (packet(0x32, &[text("a"), vec![0, 0]].concat()), "packet id 0"),
        (packet(0x32, &text("a")), "malformed packet"),
        (packet(0x38, &text("a")), "a duplicate at QoS 0"),
        (packet(0x30, &[0, 5, b'a']), "malformed packet"),
        (packet(0x30, &[]), "malformed packet"),
        (wildcard("devices/+/messages/events/"), "a topic with a wildcard, or without a name"),
        (wildcard("devices/d1/messages/events/#"), "a topic with a wildcard, or without a name"),
        (wildcard(""), "a topic with a wildcard, or without a name"),
        // PUBACK.
        (packet(0x40, &[0, 0]), "packet id 0"),
        (packet(0x40, &[0, 1, 0]), "malformed packet"),
        (packet(0x41, &[0, 1]), "reserved flags"),
        // SUBSCRIBE and UNSUBSCRIBE.
        (packet(0x80, &[vec![0, 1], text("a"), vec![0]].concat()), "reserved flags"),
        (packet(0x82, &[vec![0, 0], text("a"), vec![0]].concat()), "packet id 0"),
        (packet(0x82, &[0, 1]), "malformed packet"),
        (packet(0x82, &[vec![0, 1], text("a")].concat()), "malformed packet"),
        (filter(3), "malformed packet"),
        (filter(4), "reserved bits of a subscription"),
        (filter(0x80), "malformed packet"),
        (
            packet(0x82, &[vec![0, 1], [text("a"), vec![0]].concat().repeat(33)].concat()),
            "too many topic filters at once",
        ),
        (packet(0xa2, &[vec![0, 0], text("a")].concat()), "packet id 0"),
        (packet(0xa2, &[0, 1]), "malformed packet"),
        // PINGREQ and DISCONNECT.
        (packet(0xc0, &[0]), "a body where none belongs"),
        (packet(0xe0, &[0]), "a body where none belongs"),
        (packet(0xe1, &[]), "reserved flags"),
        // What only a server sends, QoS 2's own packets, and what is reserved.
        (packet(0x20, &[0, 0]), "a packet that clients do not send here"),
        (packet(0x90, &[0, 1, 0]), "a packet that clients do not send here"),
        (packet(0xd0, &[]), "a packet that clients do not send here"),
        (packet(0x62, &[0, 1]), "a packet that clients do not send here"),
        (packet(0x00, &[]), "a packet that clients do not send here"),
        (packet(0xf0, &[]), "a packet that clients do not send here"),
    ];
    for (bytes, why) in cases {
        assert_eq!(read(&bytes), (vec![], Some(why)), "{bytes:02x?}");
    }
}

#[test]
fn a_packet_is_limited_before_it_is_buffered() {
    // The fixed header and its three bytes of length count.
    let head = |first: u8, total: u32| {
        let mut left = total - 4;
        let mut bytes = vec![first];
        while left >= 128 {
            bytes.push(u8::try_from(left % 128).unwrap() | 0x80);
            left /= 128;
        }
        bytes.push(u8::try_from(left).unwrap());
        bytes
    };
    assert_eq!(read(&head(0x10, MAX_FIRST_PACKET)), (vec![], None));
    assert_eq!(read(&head(0x10, MAX_FIRST_PACKET + 1)), (vec![], Some("packet too large")));
    let known = connect_packet("d1", "u", "p", 0xc2, 60);
    assert_eq!(read(&[known.clone(), head(0x30, MAX_PACKET)].concat()), (vec!["connect"], None));
    assert_eq!(read(&[known, head(0x30, MAX_PACKET + 1)].concat()), (vec!["connect"], Some("packet too large")));
}
