//! How the commands that talk to a hub find it: a connection string in the environment, and perhaps a CA file.

use std::path::PathBuf;

use anyhow::Context as _;

use crate::hub::{Client, ConnectionString, Settings};

/// Where the hub is and who we are to it. A key is never an argument: arguments are seen by every user of the machine.
#[derive(Debug, clap::Args)]
pub(super) struct HubArgs {
    /// The environment variable that holds the connection string
    #[arg(long, value_name = "NAME", default_value = "HUB_SERVICE_CONNECTION_STRING")]
    connection_string_env: String,
    /// Trust the root certificates in this PEM file too
    #[arg(long, value_name = "FILE", env = "HUB_CA_FILE")]
    ca_file: Option<PathBuf>,
}

impl HubArgs {
    /// The connection string; errors name the variable and never show its value.
    pub(super) fn connection_string(&self) -> anyhow::Result<ConnectionString> {
        let name = &self.connection_string_env;
        let text = match std::env::var(name) {
            Ok(text) if !text.trim().is_empty() => text,
            Ok(_) => anyhow::bail!("{name} is empty: set it to the hub's connection string"),
            Err(std::env::VarError::NotPresent) => {
                anyhow::bail!("{name} is not set: set it to the hub's connection string, or name another variable")
            }
            Err(std::env::VarError::NotUnicode(_)) => anyhow::bail!("{name} is not Unicode"),
        };
        ConnectionString::parse(&text).with_context(|| format!("read {name}"))
    }

    /// The extra root certificates, in PEM.
    pub(super) fn ca_pem(&self) -> anyhow::Result<Option<Vec<u8>>> {
        // HUB_CA_FILE= in an environment means none.
        let Some(file) = self.ca_file.as_ref().filter(|file| !file.as_os_str().is_empty()) else { return Ok(None) };
        std::fs::read(file).with_context(|| format!("read {}", file.display())).map(Some)
    }

    /// A client of the hub's service API.
    pub(super) fn client(&self) -> anyhow::Result<Client> {
        self.client_for(&self.connection_string()?)
    }

    /// A client of the hub's service API for a connection string that was read before.
    pub(super) fn client_for(&self, string: &ConnectionString) -> anyhow::Result<Client> {
        let credential = string.service_credential().with_context(|| {
            format!("{} speaks for {}: this needs a back end's", self.connection_string_env, string.role())
        })?;
        let mut settings = Settings::new(string.host().clone(), credential);
        settings.extra_root_pem = self.ca_pem()?;
        Ok(Client::new(settings)?)
    }
}
