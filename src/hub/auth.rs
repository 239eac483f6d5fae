//! Who we are to the hub: tokens minted here, kept for a while, renewed before they end.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::header::HeaderValue;

use crate::sas::{Key, Token};

/// How long a token counts: what the public SDKs use.
const LIFETIME: Duration = Duration::from_secs(3600);
/// A token with less than this left is replaced, so that neither a slow call nor a clock that is off by minutes meets its end.
const RENEW_BEFORE: Duration = Duration::from_secs(15 * 60);

/// What a back end shows the hub. `Debug` shows no secret.
#[derive(Clone, Debug)]
pub enum Credential {
    /// A policy of the hub and its key; tokens are minted locally.
    SharedAccessKey {
        /// The policy's name.
        policy: String,
        /// The policy's key.
        key: Key,
    },
    /// A token that somebody else signed; it is sent as it is until it ends.
    Signature(Token),
}

/// A credential with the token last minted from it.
#[derive(Debug)]
pub(super) struct Auth {
    resource: String,
    credential: Credential,
    cached: Mutex<Option<Cached>>,
}

#[derive(Clone, Debug)]
struct Cached {
    header: HeaderValue,
    expires: SystemTime,
}

impl Auth {
    /// `resource` is the hub's name, without port.
    pub(super) fn new(resource: String, credential: Credential) -> Self {
        Self { resource, credential, cached: Mutex::new(None) }
    }

    /// The `Authorization` header for a request sent now; `None` when a foreign token holds what no header can.
    pub(super) fn header(&self, now: SystemTime) -> Option<HeaderValue> {
        let (policy, key) = match &self.credential {
            Credential::SharedAccessKey { policy, key } => (policy, key),
            Credential::Signature(token) => return sensitive(token),
        };
        // The cached value is whole at every moment, so a panic elsewhere while holding the lock spoils nothing.
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Cached { header, expires }) = &*cached {
            let left = expires.duration_since(now).unwrap_or_default();
            // More than a lifetime left: the clock was set back, and the hub may find the token too far ahead.
            if (RENEW_BEFORE..=LIFETIME).contains(&left) {
                return Some(header.clone());
            }
        }
        let expires = now + LIFETIME;
        let seconds = expires.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let header = sensitive(&key.sign(&self.resource, Some(policy), seconds))?;
        *cached = Some(Cached { header: header.clone(), expires });
        Some(header)
    }
}

fn sensitive(token: &Token) -> Option<HeaderValue> {
    let mut header = HeaderValue::from_str(token.expose()).ok()?;
    header.set_sensitive(true);
    Some(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auth() -> Auth {
        let key = Key::parse("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").unwrap();
        Auth::new("h.example".to_owned(), Credential::SharedAccessKey { policy: "service".to_owned(), key })
    }

    fn expiry(header: &HeaderValue) -> u64 {
        let text = header.to_str().unwrap();
        text.split('&').find_map(|part| part.strip_prefix("se=")).unwrap().parse().unwrap()
    }

    #[test]
    fn tokens_are_kept_and_renewed_in_time() {
        let auth = auth();
        let at = |seconds: u64| UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds);
        let mut expiries = Vec::new();
        for seconds in [0, 2700, 2701, 2702] {
            expiries.push(expiry(&auth.header(at(seconds)).unwrap()) - 1_000_000);
        }
        assert_eq!(expiries, [3600, 3600, 6301, 6301]);
        // A clock set back by an hour.
        assert_eq!(expiry(&auth.header(UNIX_EPOCH + Duration::from_secs(996_400)).unwrap()), 1_000_000);
    }

    #[test]
    fn nothing_secret_is_printed() {
        let auth = auth();
        let header = auth.header(UNIX_EPOCH).unwrap();
        assert!(!format!("{auth:?} {header:?}").contains("sig="));
    }
}
