//! Connection strings, as the hub hands them out to back ends and devices.

use std::collections::BTreeMap;
use std::fmt;

use super::auth::Credential;
use super::host::{BadHost, Host};
use crate::sas::{BadKey, Key, Token};
use crate::twin::id::{BadId, TwinId};

/// A parsed connection string. `Debug` shows neither key nor signature.
#[derive(Clone, Debug)]
pub struct ConnectionString {
    host: Host,
    role: Role,
    secret: Secret,
}

/// Whom a connection string speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// A back end, by a policy of the hub.
    Service {
        /// The policy's name; `None` beside a signature that names it itself.
        policy: Option<String>,
    },
    /// A device or module.
    Device(TwinId),
}

#[derive(Clone, Debug)]
enum Secret {
    Key(Key),
    Signature(Token),
}

/// What is wrong with a connection string; never holds a value out of it but the host and ids.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectionStringError {
    /// A part is not `Key=Value`.
    #[error("part {0} of the connection string is not Key=Value")]
    NotAPair(usize),
    /// A line break or another control character, which no value has and no header takes.
    #[error("part {0} of the connection string holds a line break or another control character; write it on one line")]
    Control(usize),
    /// A key that connection strings do not have.
    #[error("part {0} of the connection string has a key that is not known; known are {known}", known = KNOWN.join(", "))]
    UnknownKey(usize),
    /// A key stands there twice.
    #[error("the connection string has {0} twice")]
    Duplicate(&'static str),
    /// A key is missing.
    #[error("the connection string has no {0}")]
    Missing(&'static str),
    /// Keys that do not go together.
    #[error("the connection string has both {0} and {1}")]
    Both(&'static str, &'static str),
    /// A device that proves itself by a certificate.
    #[error("the connection string asks for an X.509 certificate, which is not supported: use a shared access key")]
    Certificate,
    /// The host is none.
    #[error("the connection string's HostName is wrong")]
    Host(#[source] BadHost),
    /// The device's or module's id is none.
    #[error("the connection string's DeviceId or ModuleId is wrong")]
    Id(#[source] BadId),
    /// The key is none.
    #[error("the connection string's SharedAccessKey is wrong")]
    Key(#[source] BadKey),
}

const HOST: &str = "HostName";
const POLICY: &str = "SharedAccessKeyName";
const KEY: &str = "SharedAccessKey";
const SIGNATURE: &str = "SharedAccessSignature";
const DEVICE: &str = "DeviceId";
const MODULE: &str = "ModuleId";
const GATEWAY: &str = "GatewayHostName";
const X509: &str = "x509";
const KNOWN: [&str; 8] = [HOST, POLICY, KEY, SIGNATURE, DEVICE, MODULE, GATEWAY, X509];

impl ConnectionString {
    /// Reads a service, device or module connection string.
    ///
    /// # Errors
    ///
    /// When a part is malformed, unknown, double or missing; the error never shows a key.
    pub fn parse(text: &str) -> Result<Self, ConnectionStringError> {
        let mut found = pairs(text)?;
        let host = found.remove(HOST).ok_or(ConnectionStringError::Missing(HOST))?;
        let host = host.parse().map_err(ConnectionStringError::Host)?;
        if found.contains_key(X509) {
            return Err(ConnectionStringError::Certificate);
        }
        let secret = match (found.remove(KEY), found.remove(SIGNATURE)) {
            (Some(_), Some(_)) => return Err(ConnectionStringError::Both(KEY, SIGNATURE)),
            (Some(key), None) => Secret::Key(Key::parse(key).map_err(ConnectionStringError::Key)?),
            (None, Some(signature)) => Secret::Signature(Token::from_signed(signature.to_owned())),
            (None, None) => return Err(ConnectionStringError::Missing(KEY)),
        };
        let role = match (found.remove(DEVICE), found.remove(POLICY)) {
            (Some(_), Some(_)) => return Err(ConnectionStringError::Both(DEVICE, POLICY)),
            (Some(device), None) => {
                let id = TwinId::parse(device, found.remove(MODULE)).map_err(ConnectionStringError::Id)?;
                Role::Device(id)
            }
            (None, None) if matches!(secret, Secret::Key(_)) => return Err(ConnectionStringError::Missing(POLICY)),
            (None, policy) => Role::Service { policy: policy.map(ToOwned::to_owned) },
        };
        if found.contains_key(MODULE) {
            return Err(ConnectionStringError::Missing(DEVICE));
        }
        Ok(Self { host, role, secret })
    }

    /// The connection string of a device or module.
    #[must_use]
    pub fn of_device(host: Host, id: TwinId, key: Key) -> Self {
        Self { host, role: Role::Device(id), secret: Secret::Key(key) }
    }

    /// The hub's host.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Whom it speaks for.
    #[must_use]
    pub fn role(&self) -> &Role {
        &self.role
    }

    /// The key; `None` when the string brings a signature instead.
    #[must_use]
    pub fn key(&self) -> Option<&Key> {
        match &self.secret {
            Secret::Key(key) => Some(key),
            Secret::Signature(_) => None,
        }
    }

    /// What a back end shows the hub; `None` for a device's string, which is not for the service API.
    #[must_use]
    pub fn service_credential(&self) -> Option<Credential> {
        let Role::Service { policy } = &self.role else { return None };
        match (&self.secret, policy) {
            (Secret::Key(key), Some(policy)) => {
                Some(Credential::SharedAccessKey { policy: policy.clone(), key: key.clone() })
            }
            (Secret::Key(_), None) => None,
            (Secret::Signature(token), _) => Some(Credential::Signature(token.clone())),
        }
    }

    /// The whole string with its secret, for a user who asked to see it.
    #[must_use]
    pub fn expose(&self) -> String {
        let mut text = format!("{HOST}={}", self.host);
        match &self.role {
            Role::Service { policy: None } => {}
            Role::Service { policy: Some(policy) } => text.push_str(&format!(";{POLICY}={policy}")),
            Role::Device(id) => {
                text.push_str(&format!(";{DEVICE}={}", id.device_id));
                if let Some(module) = id.module() {
                    text.push_str(&format!(";{MODULE}={module}"));
                }
            }
        }
        match &self.secret {
            Secret::Key(key) => text.push_str(&format!(";{KEY}={}", key.expose())),
            Secret::Signature(token) => text.push_str(&format!(";{SIGNATURE}={}", token.expose())),
        }
        text
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service { .. } => f.write_str("a back end"),
            Self::Device(id) => write!(f, "the device {id}"),
        }
    }
}

/// Splits each part at its first `=` only: keys end in `=` signs of their own. Errors tell parts by number, because a
/// string cut at the wrong place may show a secret where a key's name is expected.
fn pairs(text: &str) -> Result<BTreeMap<&'static str, &str>, ConnectionStringError> {
    let mut found = BTreeMap::new();
    for (index, part) in text.trim().split(';').enumerate().filter(|(_, part)| !part.trim().is_empty()) {
        let number = index + 1;
        if part.trim().contains(char::is_control) {
            return Err(ConnectionStringError::Control(number));
        }
        let (name, value) = part.split_once('=').ok_or(ConnectionStringError::NotAPair(number))?;
        let name = KNOWN.into_iter().find(|known| known.eq_ignore_ascii_case(name.trim()));
        let name = name.ok_or(ConnectionStringError::UnknownKey(number))?;
        let value = value.trim();
        if value.is_empty() {
            return Err(ConnectionStringError::Missing(name));
        }
        if found.insert(name, value).is_some() {
            return Err(ConnectionStringError::Duplicate(name));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    #[test]
    fn reads_what_the_hub_hands_out() {
        let service = format!("HostName=localhost:8443;SharedAccessKeyName=iothubowner;SharedAccessKey={SECRET}");
        let parsed = ConnectionString::parse(&format!("{service}\n")).unwrap();
        assert_eq!(parsed.host().to_string(), "localhost:8443");
        assert_eq!(parsed.expose(), service);
        assert!(parsed.service_credential().is_some());
        assert!(!format!("{parsed:?}").contains("AAEC"), "{parsed:?}");

        let module = format!("HostName=h.example;DeviceId=pump=1;ModuleId=flow;SharedAccessKey={SECRET}");
        let parsed = ConnectionString::parse(&module).unwrap();
        assert_eq!(parsed.role(), &Role::Device(TwinId::parse("pump=1", Some("flow")).unwrap()));
        assert_eq!(parsed.key().unwrap().expose(), SECRET);
        assert!(parsed.service_credential().is_none());

        let loose = format!(" HostName = h.example ;\n SharedAccessKeyName=p ; SharedAccessKey={SECRET}\n;");
        assert_eq!(
            ConnectionString::parse(&loose).unwrap().expose(),
            format!("HostName=h.example;SharedAccessKeyName=p;SharedAccessKey={SECRET}")
        );

        let signed = "HostName=h.example;SharedAccessSignature=SharedAccessSignature sr=h&sig=s&se=1&skn=p";
        assert!(ConnectionString::parse(signed).unwrap().service_credential().is_some());
    }

    #[test]
    fn errors_say_what_is_wrong_and_show_no_key() {
        let cases = [
            (format!("SharedAccessKeyName=p;SharedAccessKey={SECRET}"), "the connection string has no HostName"),
            ("HostName=h;SharedAccessKeyName=p".to_owned(), "the connection string has no SharedAccessKey"),
            (format!("HostName=h;SharedAccessKey={SECRET}"), "the connection string has no SharedAccessKeyName"),
            (format!("HostName=h;HostName=i;SharedAccessKey={SECRET}"), "the connection string has HostName twice"),
            (format!("HostName=h;SharedAccessKeyName=p;{SECRET}"), "part 3 of the connection string has a key that is"),
            ("HostName=h;SharedAccessKeyName=p;hunter2".to_owned(), "part 3 of the connection string is not Key=Value"),
            (
                "HostName=h;SharedAccessKeyName=p;SharedAccessKey=hunter2".to_owned(),
                "the connection string's SharedAcc",
            ),
            (
                "HostName=h;SharedAccessKeyName=p;SharedAccessKey=".to_owned(),
                "the connection string has no SharedAccessKey",
            ),
            ("HostName=a/b;SharedAccessKeyName=p;SharedAccessKey=QQ==".to_owned(), "the connection string's HostName"),
            (
                format!("HostName=h;ModuleId=m;SharedAccessKeyName=p;SharedAccessKey={SECRET}"),
                "the connection string has no D",
            ),
            (
                "HostName=h;SharedAccessSignature=SharedAccessSignature sr=a\nb".to_owned(),
                "part 2 of the connection string",
            ),
            ("HostName=h;DeviceId=d;x509=true".to_owned(), "the connection string asks for an X.509"),
            (String::new(), "the connection string has no HostName"),
        ];
        for (text, expected) in cases {
            let error = ConnectionString::parse(&text).unwrap_err();
            let told = format!("{error} {error:?}");
            assert!(told.starts_with(expected), "{text}: {told}");
            assert!(!told.contains("AAEC") && !told.contains("hunter2"), "{told}");
        }
    }
}
