//! The two programs that are compared, as processes of their own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::{Instant, sleep};

use crate::hub::{Memory, memory_of, processor_time_of};
use crate::stock;

const PATIENCE: Duration = Duration::from_secs(30);

/// Which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Ours,
    Stock,
}

/// A running program. It is ended by its own process id when this is dropped.
pub struct Process {
    child: Child,
    env_file: PathBuf,
    /// Where the operator serves metrics.
    url: String,
}

impl Side {
    pub const BOTH: [Self; 2] = [Self::Ours, Self::Stock];

    pub fn name(self) -> &'static str {
        match self {
            Self::Ours => "hubtwin",
            Self::Stock => "stock",
        }
    }
}

/// The operator as it is shipped; `OPERATOR` names another build of it.
pub fn program() -> PathBuf {
    std::env::var_os("OPERATOR").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_hubtwin")), PathBuf::from)
}

impl Process {
    /// The operator for one namespace and one hub. `log` is the file for what it says.
    pub fn operator(namespace: &str, host: &str, log: &Path) -> anyhow::Result<Self> {
        let env_file = log.with_extension("env");
        let _ = std::fs::remove_file(&env_file);
        let mut command = Command::new(program());
        command
            .args(["operator", "--allow-hosts", host, "--listen", "127.0.0.1:0"])
            .arg("--env-file")
            .arg(&env_file)
            .env("HUBTWIN_NAMESPACE", namespace)
            .env("HUBTWIN_WATCH_NAMESPACES", namespace);
        Self::spawn(command, log, env_file)
    }

    pub fn stock(settings: &stock::Settings, log: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("stock").env(stock::SETTINGS, serde_json::to_string(settings)?);
        Self::spawn(command, log, log.with_extension("env"))
    }

    fn spawn(mut command: Command, log: &Path, env_file: PathBuf) -> anyhow::Result<Self> {
        let out = std::fs::OpenOptions::new().create(true).append(true).open(log)?;
        let command = command.env("RUST_LOG", "warn").stdout(Stdio::null()).stderr(out);
        let child = command.spawn().with_context(|| format!("start {command:?}"))?;
        Ok(Self { child, env_file, url: String::new() })
    }

    /// Waits until the operator says that it is ready.
    pub async fn is_ready(&mut self, client: &reqwest::Client) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait()? {
                anyhow::bail!("the operator ended: {status}; see {}", self.env_file.with_extension("log").display());
            }
            anyhow::ensure!(Instant::now() < deadline, "the operator is not ready after {PATIENCE:?}");
            if self.url.is_empty() {
                let text = std::fs::read_to_string(&self.env_file).unwrap_or_default();
                let url = text.lines().find_map(|line| line.strip_prefix("OPERATOR_URL="));
                self.url = url.filter(|_| text.ends_with('\n')).unwrap_or_default().to_owned();
            }
            if !self.url.is_empty() {
                let answer = client.get(format!("{}/readyz", self.url)).send().await;
                if answer.is_ok_and(|answer| answer.status().is_success()) {
                    return Ok(());
                }
            }
            sleep(Duration::from_millis(2)).await;
        }
    }

    pub fn memory(&self) -> anyhow::Result<Memory> {
        memory_of(self.child.id())
    }

    pub fn processor_time(&self) -> anyhow::Result<Duration> {
        processor_time_of(self.child.id())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.env_file);
    }
}
