//! Packets written by hand, for tests.

/// A string with its length in front.
pub fn text(value: &str) -> Vec<u8> {
    [&u16::try_from(value.len()).unwrap().to_be_bytes(), value.as_bytes()].concat()
}

/// A packet: its first byte, the length of its body, its body.
pub fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut left = body.len();
    loop {
        let digit = u8::try_from(left % 128).unwrap();
        left /= 128;
        bytes.push(if left > 0 { digit | 0x80 } else { digit });
        if left == 0 {
            break;
        }
    }
    [bytes, body.to_vec()].concat()
}

/// A CONNECT of MQTT 3.1.1 with user name and password.
pub fn connect_packet(client_id: &str, user: &str, password: &str, flags: u8, keep_alive: u16) -> Vec<u8> {
    let head = [text("MQTT"), vec![4, flags], keep_alive.to_be_bytes().to_vec()].concat();
    packet(0x10, &[head, text(client_id), text(user), text(password)].concat())
}
