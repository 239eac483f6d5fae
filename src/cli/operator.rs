//! `hubtwin operator`.

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use kube::config::{KubeConfigOptions, Kubeconfig};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::controller::hub_connection::AllowedHosts;
use crate::controller::{Clock, Pace, Settings};
use crate::operator::{self, Config};

/// Arguments of `hubtwin operator`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Kubeconfig of the cluster. Default: $KUBECONFIG, ~/.kube/config, or the pod's own service account
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Watch one namespace only
    #[arg(long, env = "HUBTWIN_NAMESPACE", value_name = "NAME")]
    namespace: Option<String>,
    /// Hosts that connections may name, beside the public IoT Hub suffixes: NAME[:PORT], or a suffix that starts with a dot
    #[arg(long, alias = "allow-host", env = "HUBTWIN_ALLOW_HOSTS", value_name = "HOST", value_delimiter = ',')]
    allow_hosts: Vec<String>,
    /// Where /healthz, /readyz and /metrics are served; port 0: any free one
    #[arg(long, env = "HUBTWIN_LISTEN", default_value = "0.0.0.0:8080", value_name = "ADDR:PORT")]
    listen: SocketAddr,
    /// Write OPERATOR_URL into this file once it listens
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
    /// How logs are written
    #[arg(long, env = "HUBTWIN_LOG_FORMAT", default_value = "text")]
    log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    log(args.log_format);
    let config = match &args.kubeconfig {
        None => kube::Config::infer().await.context("find the cluster: no kubeconfig, and not in a pod")?,
        Some(file) => {
            let read = Kubeconfig::read_from(file).with_context(|| format!("read {}", file.display()))?;
            kube::Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await?
        }
    };
    let client = kube::Client::try_from(config).context("make the client of the API server")?;
    let listener = TcpListener::bind(args.listen).await.with_context(|| {
        format!(
            "listen on {}: is the port taken? name another by --listen ADDR:PORT (port 0: any free one)",
            args.listen
        )
    })?;
    let shutdown = CancellationToken::new();
    stop_on_signal(shutdown.clone())?;
    let env_file = args.env_file;
    operator::run(Config {
        client,
        settings: Settings {
            allowed_hosts: AllowedHosts::new(&args.allow_hosts),
            namespace: args.namespace,
            hub_timeout: std::time::Duration::from_secs(10),
            secret_interval: std::time::Duration::from_secs(60),
            clock: Clock::default(),
            pace: Pace::default(),
        },
        listener,
        listening: Box::new(move |address| {
            tracing::info!(%address, "listening");
            if let Some(file) = env_file
                && let Err(error) = std::fs::write(&file, format!("OPERATOR_URL=http://{address}\n"))
            {
                tracing::error!(file = %file.display(), %error, "the env file was not written");
            }
        }),
        shutdown,
    })
    .await
    .map_err(Into::into)
}

fn log(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,kube_runtime=warn"));
    let ansi = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(ansi).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().init(),
    }
}

/// The first SIGTERM or Ctrl-C asks for an orderly end.
fn stop_on_signal(shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        tracing::info!("stopping");
        shutdown.cancel();
    });
    Ok(())
}
