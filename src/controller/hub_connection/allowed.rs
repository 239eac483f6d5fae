//! Which hosts a connection may name.

use crate::hub::Host;

/// The public suffixes of IoT hubs: global, China, US Government, Germany (Azure IoT Hub documentation, "IoT Hub endpoints").
const PUBLIC: [&str; 4] = [".azure-devices.net", ".azure-devices.cn", ".azure-devices.us", ".azure-devices.de"];

/// The hosts that the operator may talk to: the public suffixes, and what an administrator adds. Without it, whoever may
/// write a HubConnection could make the operator send requests to any address that it can reach.
#[derive(Clone, Debug, Default)]
pub struct AllowedHosts(Vec<String>);

impl AllowedHosts {
    /// The public suffixes and these entries: `NAME`, `NAME:PORT`, or a suffix that starts with a dot.
    #[must_use]
    pub fn new(added: &[String]) -> Self {
        Self(added.iter().map(|entry| entry.trim().to_ascii_lowercase()).filter(|entry| !entry.is_empty()).collect())
    }

    /// Whether a connection may name this host. Suffixes match names on port 443 only.
    #[must_use]
    pub fn allow(&self, host: &Host) -> bool {
        let suffixed = |suffix: &str| {
            let label = host.name().strip_suffix(suffix);
            host.port().is_none_or(|port| port == 443) && label.is_some_and(|label| !label.is_empty())
        };
        let exact = host.to_string();
        PUBLIC.iter().any(|suffix| suffixed(suffix))
            || self.0.iter().any(|entry| if entry.starts_with('.') { suffixed(entry) } else { *entry == exact })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_match_names_on_443_and_entries_match_exactly() {
        let allowed = AllowedHosts::new(&["localhost:8443".into(), ".Example.org".into()]);
        for (host, expected) in [
            ("plant.azure-devices.net", true),
            ("plant.azure-devices.net:443", true),
            ("plant.azure-devices.net:8443", false),
            ("azure-devices.net", false),
            ("plant.azure-devices.net.evil.org", false),
            ("localhost:8443", true),
            ("localhost:8444", false),
            ("localhost", false),
            ("hub.example.org", true),
            ("10.0.0.1", false),
        ] {
            assert_eq!(allowed.allow(&host.parse().unwrap()), expected, "{host}");
        }
    }
}
