//! `hubtwin hub`.

use std::io::Write as _;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use super::files;
use crate::local_hub::given::Given;
use crate::local_hub::knobs::{self, BadSetting, Fault, Knobs, Setting};
use crate::local_hub::{Config, LocalHub, Running};

/// Arguments of `hubtwin hub`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The address to listen on
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    listen: IpAddr,
    /// The port of the service API; 0 takes any free one
    #[arg(long, default_value_t = 8443, value_name = "PORT")]
    https_port: u16,
    /// The port for devices; 0 takes any free one
    #[arg(long, default_value_t = 8883, value_name = "PORT")]
    mqtt_port: u16,
    /// The port of the admin server, on loopback only; 0 takes any free one
    #[arg(long, default_value_t = 8444, value_name = "PORT")]
    admin_port: u16,
    /// A name of the hub, in its certificate and in tokens; may be given several times
    #[arg(long = "host", default_value = "localhost", value_name = "NAME")]
    hosts: Vec<String>,
    /// Keep keys, certificates and twins in this folder; without it everything ends with the program
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Take the certificate and the key of the policy iothubowner from this folder, in place of made ones: tls.crt,
    /// tls.key, ca.crt and sharedAccessKey, as of a Kubernetes Secret
    #[arg(long, value_name = "DIR")]
    identity: Option<PathBuf>,
    /// Settings of a bad day, as of the admin port's /knobs, for instance '{"limits": {"tier": "S1"}}'
    #[arg(long, value_name = "JSON", default_value = "{}", hide_default_value = true, value_parser = setting::<Knobs>)]
    knobs: Knobs,
    /// A fault that waits for its calls, as of the admin port's /faults; may be given several times
    #[arg(long = "fault", value_name = "JSON", value_parser = setting::<Fault>)]
    faults: Vec<Fault>,
    /// Once the hub serves, write shell lines that say where to this file, and its certificate beside it
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    files::allow_many();
    let Args { listen, https_port, mqtt_port, admin_port, hosts, data, identity, knobs, faults, env_file } = args;
    // Before anything is told to anybody, so that no signal is missed.
    let mut terminated = signal(SignalKind::terminate()).context("watch for SIGTERM")?;
    let mut interrupted = signal(SignalKind::interrupt()).context("watch for SIGINT")?;
    let given = identity.as_deref().map(Given::read).transpose().context("read --identity")?;
    let config = Config { listen, https_port, mqtt_port, admin_port, hosts, data: data.clone(), given, knobs, faults };
    let running = LocalHub::start(config).await?;
    if let Some(file) = &env_file {
        write_env(file, &running)?;
    }
    banner(&running, data.as_deref(), env_file.as_deref())?;
    tokio::select! {
        _ = terminated.recv() => {}
        _ = interrupted.recv() => {}
    }
    running.shutdown().await;
    Ok(())
}

fn setting<T: Setting>(json: &str) -> Result<T, BadSetting> {
    knobs::read(json.as_bytes())
}

fn banner(running: &Running, data: Option<&Path>, env_file: Option<&Path>) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let host = running.host();
    writeln!(out, "local hub: service API  https://{host}:{}", running.https_port())?;
    writeln!(out, "           devices      mqtts://{host}:{}", running.mqtt_port())?;
    writeln!(out, "           admin        {}", running.admin_url())?;
    match data {
        Some(folder) => writeln!(out, "           data         {}", folder.display())?,
        None => writeln!(out, "           data         in memory, gone when this ends")?,
    }
    if let Some(file) = env_file {
        writeln!(out, "           settings     {}", file.display())?;
    }
    out.flush().context("write to standard output")
}

/// The certificate goes first: who sees the settings finds everything that they name.
fn write_env(file: &Path, running: &Running) -> anyhow::Result<()> {
    let file = std::path::absolute(file).with_context(|| format!("resolve {}", file.display()))?;
    let ca_file = file.with_extension("ca.pem");
    replace(&ca_file, running.ca_pem())?;
    let lines = [
        ("HUB_HOST", running.host().to_owned()),
        ("HUB_HTTPS_PORT", running.https_port().to_string()),
        ("HUB_MQTT_PORT", running.mqtt_port().to_string()),
        ("HUB_CA_FILE", ca_file.display().to_string()),
        ("HUB_ADMIN_URL", running.admin_url()),
        ("HUB_SERVICE_CONNECTION_STRING", running.service_connection_string()),
    ];
    let text: String = lines.iter().map(|(name, value)| format!("export {name}={}\n", quoted(value))).collect();
    replace(&file, &text)
}

/// In single quotes, as every shell reads it.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', "'\\''"))
}

/// Puts a file in place at once, readable by its owner only.
fn replace(file: &Path, text: &str) -> anyhow::Result<()> {
    let mut partial = file.as_os_str().to_owned();
    partial.push(format!(".{}.partial", std::process::id()));
    let partial = PathBuf::from(partial);
    let written = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&partial)
        .and_then(|mut open| open.write_all(text.as_bytes()))
        .and_then(|()| std::fs::rename(&partial, file));
    written.with_context(|| format!("write {}", file.display()))
}
