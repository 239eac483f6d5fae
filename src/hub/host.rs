//! Where a hub is.

use std::fmt;
use std::str::FromStr;

/// A hub's host, `NAME` or `NAME:PORT`, the name in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host {
    name: String,
    port: Option<u16>,
}

/// A text that is no host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no host: NAME or NAME:PORT is expected, of letters, digits, \"-\" and \".\"")]
pub struct BadHost(String);

impl Host {
    /// The name without the port.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same with its port, so that the two ways to name one host are equal.
    #[must_use]
    pub fn with_port(&self) -> Self {
        Self { name: self.name.clone(), port: Some(self.port.unwrap_or(443)) }
    }

    /// The port, when one was given; 443 otherwise.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }
}

impl FromStr for Host {
    type Err = BadHost;

    fn from_str(text: &str) -> Result<Self, BadHost> {
        let bad = || BadHost(text.chars().take(256).collect());
        let (name, port) = match text.split_once(':') {
            None => (text, None),
            Some((name, port)) => {
                // Number parsing alone would take "+443".
                let digits = port.bytes().all(|byte| byte.is_ascii_digit());
                let port = port.parse().ok().filter(|port| digits && *port != 0).ok_or_else(bad)?;
                (name, Some(port))
            }
        };
        let label = |label: &str| {
            !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        if name.len() > 253 || !name.split('.').all(label) {
            return Err(bad());
        }
        Ok(Self { name: name.to_ascii_lowercase(), port })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            None => f.write_str(&self.name),
            Some(port) => write!(f, "{}:{port}", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_names_and_ports() {
        for (text, name, port) in [
            ("Plant.azure-devices.net", "plant.azure-devices.net", None),
            ("localhost:8443", "localhost", Some(8443)),
            ("127.0.0.1:443", "127.0.0.1", Some(443)),
        ] {
            let host: Host = text.parse().unwrap();
            assert_eq!((host.name(), host.port()), (name, port));
        }
    }

    #[test]
    fn refuses_what_would_lead_a_url_elsewhere() {
        for text in [
            "",
            "a/b",
            "user@host",
            "a:b",
            "a:0",
            "a:+443",
            "a:70000",
            "a b",
            "a?b",
            "a..b",
            ".a",
            "a:1:2",
            "a#",
            "[::1]",
        ] {
            assert!(text.parse::<Host>().is_err(), "{text:?}");
        }
    }
}
