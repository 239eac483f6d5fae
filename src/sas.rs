//! Shared access signatures, the tokens by which back ends and devices prove who they are. Pure: the caller brings the time.
//!
//! Source: the Azure IoT Hub documentation, "Control access to IoT Hub by using shared access signatures".

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// A shared access key: of a hub's policy, a device or a module. Never printed by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Vec<u8>);

/// A text that is not a shared access key. It does not hold the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// The text is not base64.
    #[error("the shared access key is not base64")]
    NotBase64,
    /// The key has no bytes.
    #[error("the shared access key is empty")]
    Empty,
}

/// A signed token. Never printed by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Key {
    /// Reads a key as connection strings and identities write it.
    ///
    /// # Errors
    ///
    /// When the text is not base64, or empty.
    pub fn parse(text: &str) -> Result<Self, BadKey> {
        let bytes = STANDARD.decode(text.trim()).map_err(|_| BadKey::NotBase64)?;
        if bytes.is_empty() { Err(BadKey::Empty) } else { Ok(Self(bytes)) }
    }

    /// The key in base64, for a connection string that the user asked to see.
    #[must_use]
    pub fn expose(&self) -> String {
        STANDARD.encode(&self.0)
    }

    /// Signs a token for a resource such as `plant.azure-devices.net` or `plant.azure-devices.net/devices/pump-1`, given
    /// before encoding. `policy` names the hub's policy whose key this is; devices and modules have none. `expiry` is in
    /// seconds since 1970.
    #[must_use]
    pub fn sign(&self, resource: &str, policy: Option<&str>, expiry: u64) -> Token {
        let resource = percent_encode(resource);
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of every length");
        mac.update(format!("{resource}\n{expiry}").as_bytes());
        let signature = percent_encode(&STANDARD.encode(mac.finalize().into_bytes()));
        let policy = policy.map(|name| format!("&skn={}", percent_encode(name))).unwrap_or_default();
        Token(format!("SharedAccessSignature sr={resource}&sig={signature}&se={expiry}{policy}"))
    }
}

impl Token {
    /// Takes a token that somebody else signed.
    #[must_use]
    pub fn from_signed(text: String) -> Self {
        Self(text)
    }

    /// The token, for the `Authorization` header or the password of a connection.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// The resource that a device or module signs for.
#[must_use]
pub fn device_resource(host: &str, device: &str, module: Option<&str>) -> String {
    match module {
        None => format!("{host}/devices/{device}"),
        Some(module) => format!("{host}/devices/{device}/modules/{module}"),
    }
}

/// Percent-encodes everything but RFC 3986's unreserved characters, in upper-case hexadecimal.
#[must_use]
pub fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            for half in [byte >> 4, byte & 15] {
                let digit = char::from_digit(u32::from(half), 16).expect("four bits are one digit");
                encoded.push(digit.to_ascii_uppercase());
            }
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "contoso-twins.azure-devices.net";
    /// The bytes 0 to 31.
    const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const EXPIRY: u64 = 1_893_456_000;

    #[test]
    fn tokens_are_those_of_the_public_sdks() {
        let device = device_resource(HOST, "pump-0042", None);
        let module = device_resource(HOST, "pump-0042", Some("flow"));
        let cases = [
            (HOST, Some("service"), "eySYn3AxPm24MXbGlvpb0NO0Hieu5ZpWeOBPjZ0WFJ0%3D"),
            (&device, None, "N8gp8fcvgoZbwKz7chlU%2FWmuxp6hkaYM0XjYIHlSMco%3D"),
            (&module, None, "mDZ4nTKe%2Bk6INMkOplqWQ%2Bqdfq%2BT7z9j2QcG7%2FeBZ2s%3D"),
        ];
        for (resource, policy, signature) in cases {
            let token = Key::parse(KEY).unwrap().sign(resource, policy, EXPIRY);
            let skn = policy.map(|name| format!("&skn={name}")).unwrap_or_default();
            let resource = resource.replace('/', "%2F");
            let expected = format!("SharedAccessSignature sr={resource}&sig={signature}&se={EXPIRY}{skn}");
            assert_eq!(token.expose(), expected);
        }
    }

    #[test]
    fn nothing_secret_is_printed() {
        let key = Key::parse(KEY).unwrap();
        assert_eq!(key.expose(), KEY);
        assert_eq!(format!("{key:?} {:?}", key.sign(HOST, None, EXPIRY)), "[redacted] [redacted]");
        let bad = "hunter2!";
        assert_eq!(Key::parse(bad), Err(BadKey::NotBase64));
        assert!(!BadKey::NotBase64.to_string().contains(bad));
        assert_eq!(Key::parse(""), Err(BadKey::Empty));
    }

    #[test]
    fn encodes_all_but_unreserved_characters() {
        assert_eq!(percent_encode("a-b_c.d~e/f:g h%ü'!*"), "a-b_c.d~e%2Ff%3Ag%20h%25%C3%BC%27%21%2A");
    }
}
