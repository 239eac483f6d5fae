//! `hubtwin device`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::ValueEnum;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::connect::HubArgs;
use super::files;
use crate::device::{self, Ack, Behaviour, Certificate, Device, Event, Settings};
use crate::hub::{Client, ConnectionString, DeviceId, Kind, ModuleId, Role, TwinId};
use crate::sas::Key;
use crate::twin::document::Object;

/// Keys looked up at once; the hub's own limit on identity operations is far below this.
const LOOK_UPS: usize = 4;

/// Arguments of `hubtwin device`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The device's id; not needed with --count, nor with a device's own connection string
    #[arg(conflicts_with = "count")]
    device: Option<DeviceId>,
    /// Act as this module of the device
    #[arg(long, value_name = "MODULE")]
    module: Option<ModuleId>,
    /// Run this many devices, named after --id-prefix and numbered from 0
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    count: Option<u32>,
    /// The beginning of the ids of --count devices
    #[arg(long, value_name = "TEXT", default_value = "device-", requires = "count")]
    id_prefix: String,
    #[command(flatten)]
    hub: HubArgs,
    /// The hub's port for MQTT over TLS
    #[arg(long, value_name = "PORT", env = "HUB_MQTT_PORT", default_value_t = 8883)]
    mqtt_port: u16,
    /// Create identities that the hub does not have
    #[arg(long)]
    create: bool,
    /// Log in with the client certificate in this PEM file in place of a key; the hub knows it by its thumbprint
    #[arg(long, value_name = "FILE", requires = "key_file", conflicts_with = "create")]
    cert_file: Option<PathBuf>,
    /// The key of the client certificate, in a PEM file
    #[arg(long, value_name = "FILE", requires = "cert_file")]
    key_file: Option<PathBuf>,
    /// Report these properties after each connect
    #[arg(long, value_name = "JSON", default_value = "{}", value_parser = object)]
    report: Object,
    /// How to acknowledge desired properties
    #[arg(long, value_enum, default_value_t = AckArg::Echo)]
    ack: AckArg,
    /// The pause between two steps of a firmware update, such as 2s or 500ms
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = duration)]
    firmware_step: Duration,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum AckArg {
    /// The same value at the same path
    Echo,
    /// {value, ac, av, ad} for each property, as Plug and Play devices do
    Pnp,
    /// No acknowledgement, and no firmware update
    None,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    files::allow_many();
    let shutdown = shutdown()?;
    let string = args.hub.connection_string()?;
    let devices = tokio::select! {
        () = shutdown.cancelled() => return Ok(()),
        devices = devices(&args, &string) => devices?,
    };
    let settings = Settings {
        host: string.host().name().to_owned(),
        mqtt_port: args.mqtt_port,
        ca_pem: args.hub.ca_pem()?,
        certificate: certificate(&args)?,
        behaviour: Behaviour {
            ack: match args.ack {
                AckArg::Echo => Ack::Echo,
                AckArg::Pnp => Ack::PlugAndPlay,
                AckArg::None => Ack::Silent,
            },
            report: args.report,
            firmware_step: args.firmware_step,
        },
        events: Arc::new(print),
    };
    Ok(device::run(settings, devices, shutdown).await?)
}

/// Cancelled by SIGINT or SIGTERM.
fn shutdown() -> anyhow::Result<CancellationToken> {
    let mut terminated = signal(SignalKind::terminate()).context("watch for SIGTERM")?;
    let mut interrupted = signal(SignalKind::interrupt()).context("watch for SIGINT")?;
    let token = CancellationToken::new();
    let cancel = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
        }
        cancel.cancel();
    });
    Ok(token)
}

/// The client certificate, where one is given.
fn certificate(args: &Args) -> anyhow::Result<Option<Certificate>> {
    let (Some(cert_file), Some(key_file)) = (&args.cert_file, &args.key_file) else { return Ok(None) };
    let read = |file: &Path| std::fs::read(file).with_context(|| format!("read {}", file.display()));
    Ok(Some(Certificate { certificate_pem: read(cert_file)?, key_pem: read(key_file)? }))
}

/// Who runs, with their keys unless they go by a certificate.
async fn devices(args: &Args, string: &ConnectionString) -> anyhow::Result<Vec<Device>> {
    if let Role::Device(id) = string.role() {
        anyhow::ensure!(
            args.count.is_none(),
            "--count needs a back end's connection string, to look up the devices' keys"
        );
        let named = args.device.as_ref().is_none_or(|device| *device == id.device_id);
        let module = args.module.as_ref().is_none_or(|module| Some(module) == id.module_id.as_ref());
        anyhow::ensure!(named && module, "the connection string speaks for {id}");
        if args.cert_file.is_some() {
            return Ok(vec![Device { id: id.clone(), key: None }]);
        }
        let key = string.key().context("the connection string holds a signature; a device needs its key")?;
        return Ok(vec![Device { id: id.clone(), key: Some(key.clone()) }]);
    }
    let ids = ids(args)?;
    if args.cert_file.is_some() {
        return Ok(ids.into_iter().map(|id| Device { id, key: None }).collect());
    }
    let client = args.hub.client_for(string)?;
    let look_ups = ids.into_iter().map(|id| look_up(&client, id, args.create));
    stream::iter(look_ups).buffered(LOOK_UPS).try_collect().await
}

fn ids(args: &Args) -> anyhow::Result<Vec<TwinId>> {
    let module_id = args.module.clone();
    let Some(count) = args.count else {
        let device_id = args.device.clone().context("name a device, or ask for many with --count")?;
        return Ok(vec![TwinId { device_id, module_id }]);
    };
    let named = (0..count).map(|number| {
        let device_id = format!("{}{number}", args.id_prefix).parse().context("read --id-prefix")?;
        Ok(TwinId { device_id, module_id: module_id.clone() })
    });
    named.collect()
}

async fn look_up(client: &Client, id: TwinId, create: bool) -> anyhow::Result<Device> {
    let identity = match client.get_identity(&id).await {
        Err(error) if create && matches!(error.kind(), Kind::DeviceNotFound | Kind::ModuleNotFound) => {
            if error.kind() == Kind::DeviceNotFound && id.module_id.is_some() {
                client.create_device(&id.device_id).await?;
            }
            client.create_identity(&id).await?
        }
        found => found?,
    };
    let key: Key = identity.primary_key.with_context(|| format!("the hub shows no key of {id}"))?;
    Ok(Device { id, key: Some(key) })
}

fn print(event: Event) {
    // Who reads the lines may have gone; the devices go on.
    let _ = writeln!(std::io::stdout(), "{event}");
}

fn object(text: &str) -> Result<Object, String> {
    serde_json::from_str(text).map_err(|error| format!("a JSON object is expected: {error}"))
}

/// Reads a duration and says how one is written.
fn duration(text: &str) -> Result<Duration, String> {
    let parsed: Option<jiff::SignedDuration> = text.parse().ok();
    parsed.and_then(|found| Duration::try_from(found).ok()).ok_or_else(|| "expected such as 2s or 500ms".to_owned())
}
