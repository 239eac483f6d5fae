//! Verifies shared access signatures. Pure: the time is handed in. It shares no code with the side that mints them.
//!
//! Source: the Azure IoT Hub documentation, "Control access to IoT Hub with shared access signatures".

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::certificate::Thumbprints;
use super::machine::{Authentication, EntityId, Identity};

/// What a policy allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Read identities.
    RegistryRead,
    /// Write identities.
    RegistryWrite,
    /// Twins and queries.
    ServiceConnect,
    /// Connect as a device.
    DeviceConnect,
}

/// The policies that every hub is made with.
const POLICIES: [(&str, &[Permission]); 5] = [
    (
        "iothubowner",
        &[Permission::RegistryRead, Permission::RegistryWrite, Permission::ServiceConnect, Permission::DeviceConnect],
    ),
    ("service", &[Permission::ServiceConnect]),
    ("device", &[Permission::DeviceConnect]),
    ("registryRead", &[Permission::RegistryRead]),
    ("registryReadWrite", &[Permission::RegistryRead, Permission::RegistryWrite]),
];

/// A named pair of keys of the hub.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// The name, which tells the permissions.
    pub name: String,
    /// Two keys, base64.
    pub keys: [String; 2],
}

impl std::fmt::Debug for Policy {
    /// Without keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policy").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Policy {
    /// The policies of a new hub, with keys from `key`.
    pub fn all(mut key: impl FnMut() -> String) -> Vec<Self> {
        POLICIES.iter().map(|(name, _)| Self { name: (*name).to_owned(), keys: [key(), key()] }).collect()
    }

    /// Whether it holds the permission.
    #[must_use]
    pub fn allows(&self, permission: Permission) -> bool {
        POLICIES.iter().any(|(name, permissions)| *name == self.name && permissions.contains(&permission))
    }
}

/// Why a token is not accepted. Clients are told no more than that they are not authorized.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// It is not a token.
    #[error("not a shared access signature")]
    Malformed,
    /// Its time is over.
    #[error("expired")]
    Expired,
    /// Its resource is another one.
    #[error("for another resource")]
    Resource,
    /// There is no policy of this name.
    #[error("unknown policy")]
    UnknownPolicy,
    /// The policy does not allow it.
    #[error("policy without the permission")]
    Permission,
    /// No key gives this signature.
    #[error("wrong signature")]
    Signature,
    /// The identity does not use keys.
    #[error("identity without keys")]
    NoKeys,
    /// The identity uses keys, and nothing is signed with them.
    #[error("no token")]
    NoToken,
    /// The identity uses a certificate, and none was shown.
    #[error("no client certificate")]
    NoCertificate,
    /// The certificate is not one of those that are registered.
    #[error("certificate with another thumbprint")]
    Thumbprint,
    /// The identity goes by the certificate of an authority.
    #[error("authentication type certificateAuthority is not supported here; use selfSigned with thumbprints")]
    Authority,
    /// The identity has no way to prove who it is.
    #[error("identity with authentication type none")]
    NoProof,
}

/// What a connection of a device rests on. It ends when its identity no longer goes by it.
#[derive(Clone, PartialEq, Eq)]
pub enum Proof {
    /// A key of the hub.
    Policy,
    /// A key of the identity.
    Key(String),
    /// The registered thumbprint of a certificate.
    Thumbprint(String),
}

impl std::fmt::Debug for Proof {
    /// Without keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Policy => "Policy",
            Self::Key(_) => "Key",
            Self::Thumbprint(_) => "Thumbprint",
        })
    }
}

impl Proof {
    /// Whether an identity may connect by it.
    #[must_use]
    pub fn holds(&self, identity: &Identity) -> bool {
        let Identity { enabled, authentication, keys, thumbprints, .. } = identity;
        *enabled
            && match self {
                Self::Policy => true,
                Self::Key(key) => *authentication == Authentication::Sas && keys.contains(key),
                Self::Thumbprint(thumbprint) => {
                    *authentication == Authentication::SelfSigned
                        && thumbprints.iter().flatten().any(|t| t == thumbprint)
                }
            }
    }
}

/// What a client shows to prove who it is.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// Its password; empty for none.
    pub token: &'a str,
    /// Its certificate, whose key it holds.
    pub certificate: Option<&'a Thumbprints>,
}

/// A token, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token<'a> {
    /// The resource exactly as received: this is what was signed.
    resource: &'a str,
    signature: Vec<u8>,
    expiry: &'a str,
    /// When it ends, in seconds since 1970.
    pub expires: i64,
    policy: Option<String>,
}

/// The names by which a hub may be called in a resource, in lower case and without port.
#[derive(Clone, Debug, Default)]
pub struct Names(HashSet<String>);

impl Names {
    /// These names.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self(names.into_iter().map(|name| name.to_ascii_lowercase()).collect())
    }

    /// Whether a host, with or without a port, is one of them.
    #[must_use]
    pub fn contains(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let name = match host.rsplit_once(':') {
            Some((name, port)) if !name.ends_with(':') && port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => host.as_str(),
        };
        self.0.contains(name.trim_start_matches('[').trim_end_matches(']'))
    }
}

impl<'a> Token<'a> {
    /// Takes a token apart. Fields stand in any order; `%` escapes come in either case.
    ///
    /// # Errors
    /// When it is no token.
    pub fn parse(text: &'a str) -> Result<Self, Denied> {
        let fields = text.strip_prefix("SharedAccessSignature ").ok_or(Denied::Malformed)?;
        let (mut resource, mut signature, mut expiry, mut policy) = (None, None, None, None);
        for field in fields.trim().split('&') {
            let (name, value) = field.split_once('=').ok_or(Denied::Malformed)?;
            let slot = match name {
                "sr" => &mut resource,
                "sig" => &mut signature,
                "se" => &mut expiry,
                "skn" => &mut policy,
                _ => return Err(Denied::Malformed),
            };
            if slot.replace(value).is_some() {
                return Err(Denied::Malformed);
            }
        }
        let (Some(resource), Some(signature), Some(expiry)) = (resource, signature, expiry) else {
            return Err(Denied::Malformed);
        };
        let signature = percent_decode_str(signature).decode_utf8().map_err(|_| Denied::Malformed)?;
        let policy = policy.map(|name| percent_decode_str(name).decode_utf8().map_err(|_| Denied::Malformed));
        Ok(Self {
            resource,
            signature: STANDARD.decode(signature.as_ref()).map_err(|_| Denied::Malformed)?,
            expiry,
            expires: expiry.parse().map_err(|_| Denied::Malformed)?,
            policy: policy.transpose()?.filter(|name| !name.is_empty()).map(|name| name.into_owned()),
        })
    }

    /// The key that signed it.
    fn signed_by<'k>(&self, keys: &'k [String]) -> Option<&'k String> {
        keys.iter().filter(|key| !key.is_empty()).find(|key| {
            let Ok(key) = STANDARD.decode(key) else { return false };
            let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&key) else { return false };
            mac.update(self.resource.as_bytes());
            mac.update(b"\n");
            mac.update(self.expiry.as_bytes());
            mac.verify_slice(&self.signature).is_ok()
        })
    }

    /// Whether the resource is `wanted` or stands above it, by whole segments and without regard to case.
    fn covers(&self, names: &Names, wanted: &[&str]) -> bool {
        let Ok(resource) = percent_decode_str(self.resource).decode_utf8() else { return false };
        let resource = resource.trim_end_matches('/');
        let mut segments = resource.split('/');
        if !segments.next().is_some_and(|host| names.contains(host)) {
            return false;
        }
        let mut wanted = wanted.iter();
        segments.all(|segment| wanted.next().is_some_and(|wanted| wanted.eq_ignore_ascii_case(segment)))
    }

    fn policy<'p>(&self, policies: &'p [Policy], permission: Permission) -> Result<&'p Policy, Denied> {
        let name = self.policy.as_deref().ok_or(Denied::UnknownPolicy)?;
        let policy = policies.iter().find(|policy| policy.name == name).ok_or(Denied::UnknownPolicy)?;
        self.signed_by(&policy.keys).ok_or(Denied::Signature)?;
        if policy.allows(permission) { Ok(policy) } else { Err(Denied::Permission) }
    }

    fn fresh(&self, now: i64) -> Result<(), Denied> {
        if self.expires > now { Ok(()) } else { Err(Denied::Expired) }
    }
}

/// Verifies the token of a back end and answers the name of its policy. `path` is the decoded path of the request.
///
/// # Errors
/// When the token does not allow the call.
pub fn service<'p>(
    text: &str,
    names: &Names,
    policies: &'p [Policy],
    permission: Permission,
    path: &[&str],
    now: i64,
) -> Result<&'p str, Denied> {
    let token = Token::parse(text)?;
    token.fresh(now)?;
    if !token.covers(names, path) {
        return Err(Denied::Resource);
    }
    token.policy(policies, permission).map(|policy| policy.name.as_str())
}

/// Verifies what a device or module shows. Answers what its connection rests on, and when that ends, in seconds since
/// 1970; a certificate has no end here.
///
/// # Errors
/// When it may not connect.
pub fn device(
    shown: Shown<'_>,
    names: &Names,
    policies: &[Policy],
    id: &EntityId,
    identity: &Identity,
    now: i64,
) -> Result<(Proof, Option<i64>), Denied> {
    if shown.token.is_empty() {
        return certificate(shown.certificate, identity).map(|proof| (proof, None));
    }
    let token = Token::parse(shown.token)?;
    token.fresh(now)?;
    let mut wanted = vec!["devices", &id.device];
    if let Some(module) = &id.module {
        wanted.extend(["modules", module]);
    }
    if !token.covers(names, &wanted) {
        return Err(Denied::Resource);
    }
    let proof = if token.policy.is_some() {
        token.policy(policies, Permission::DeviceConnect)?;
        Proof::Policy
    } else if identity.authentication != Authentication::Sas {
        return Err(Denied::NoKeys);
    } else {
        Proof::Key(token.signed_by(&identity.keys).ok_or(Denied::Signature)?.clone())
    };
    Ok((proof, Some(token.expires)))
}

/// Judges a client that shows no token.
fn certificate(shown: Option<&Thumbprints>, identity: &Identity) -> Result<Proof, Denied> {
    match identity.authentication {
        Authentication::Sas => Err(Denied::NoToken),
        Authentication::CertificateAuthority => Err(Denied::Authority),
        Authentication::None => Err(Denied::NoProof),
        Authentication::SelfSigned => {
            let shown = shown.ok_or(Denied::NoCertificate)?;
            let registered = identity.thumbprints.iter().flatten().find(|thumbprint| shown.matches(thumbprint));
            registered.cloned().map(Proof::Thumbprint).ok_or(Denied::Thumbprint)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    fn policies() -> Vec<Policy> {
        Policy::all(|| KEY.to_owned())
    }

    fn names() -> Names {
        Names::new(["contoso-twins.azure-devices.net".to_owned()])
    }

    fn check(token: &str, permission: Permission, now: i64) -> Result<String, Denied> {
        let path = ["twins", "pump-0042"];
        service(token, &names(), &policies(), permission, &path, now).map(str::to_owned)
    }

    const SERVICE: &str = "SharedAccessSignature sr=contoso-twins.azure-devices.net&\
        sig=eySYn3AxPm24MXbGlvpb0NO0Hieu5ZpWeOBPjZ0WFJ0%3D&se=1893456000&skn=service";

    #[test]
    fn known_service_tokens_verify_in_any_order_and_case() {
        assert_eq!(check(SERVICE, Permission::ServiceConnect, 1_893_455_999), Ok("service".to_owned()));
        let other = "SharedAccessSignature sr=contoso-twins.azure-devices.net&skn=service&se=1893456000&\
            sig=eySYn3AxPm24MXbGlvpb0NO0Hieu5ZpWeOBPjZ0WFJ0%3d";
        assert_eq!(check(other, Permission::ServiceConnect, 0), Ok("service".to_owned()));
    }

    #[test]
    fn tokens_are_refused_for_a_reason() {
        let cases = [
            (SERVICE.to_owned(), Permission::ServiceConnect, 1_893_456_000, Denied::Expired),
            (SERVICE.to_owned(), Permission::RegistryRead, 0, Denied::Permission),
            (SERVICE.replace("=service", "=nobody"), Permission::ServiceConnect, 0, Denied::UnknownPolicy),
            (SERVICE.replace("1893456000", "1893456001"), Permission::ServiceConnect, 0, Denied::Signature),
            (SERVICE.replace("contoso", "other"), Permission::ServiceConnect, 0, Denied::Resource),
            (SERVICE.replace(".net&", ".net%2Ftwins%2Fother&"), Permission::ServiceConnect, 0, Denied::Resource),
            (format!("{SERVICE}&se=1"), Permission::ServiceConnect, 0, Denied::Malformed),
            ("Bearer x".to_owned(), Permission::ServiceConnect, 0, Denied::Malformed),
        ];
        for (token, permission, now, expected) in cases {
            assert_eq!(check(&token, permission, now), Err(expected), "{token}");
        }
    }

    #[test]
    fn hosts_match_with_and_without_port() {
        let names = Names::new(["LocalHost".to_owned(), "::1".to_owned()]);
        for host in ["localhost", "LOCALHOST:8443", "[::1]:8443"] {
            assert!(names.contains(host), "{host}");
        }
        assert!(!names.contains("localhost.example"));
    }

    #[test]
    fn resources_match_by_whole_segments() {
        let at = |resource: &str, wanted: &[&str]| {
            let text = format!("SharedAccessSignature sr={resource}&sig=AA%3D%3D&se=1");
            Token::parse(&text).unwrap().covers(&names(), wanted)
        };
        let host = "contoso-twins.azure-devices.net";
        assert!(at(host, &["devices", "pump-0042"]));
        assert!(at(&format!("{host}%2Fdevices%2Fpump-0042"), &["devices", "pump-0042", "modules", "flow"]));
        assert!(at(&format!("{host}/devices/PUMP-0042"), &["devices", "pump-0042"]));
        assert!(!at(&format!("{host}%2fdevices%2fpump-00"), &["devices", "pump-0042"]));
        assert!(!at(&format!("{host}/devices/pump-0042/modules/flow"), &["devices", "pump-0042"]));
    }
}
