//! The operator as a process of its own, and what the system says of it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::Instant;

use crate::hub::{Memory, memory_of, processor_time_of};

/// A running operator. It is ended by its own process id when this is dropped.
pub struct Operator {
    child: Child,
    folder: PathBuf,
    pub url: String,
}

impl Operator {
    /// Starts the program that `OPERATOR` names, else the one that was built with this.
    pub async fn start(kubeconfig: &Path, host: &str, further: &[&str]) -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("hubtwin-bench-{:012x}", fastrand::u64(..1 << 48)));
        std::fs::create_dir(&folder).with_context(|| format!("make {}", folder.display()))?;
        let env_file = folder.join("env");
        let log = std::fs::File::create(folder.join("log"))?;
        let program = std::env::var("OPERATOR").unwrap_or_else(|_| env!("CARGO_BIN_EXE_hubtwin").to_owned());
        let child = Command::new(program)
            .args(["operator", "--listen=127.0.0.1:0", "--kubeconfig"])
            .arg(kubeconfig)
            .arg("--env-file")
            .arg(&env_file)
            .args(["--allow-hosts", host])
            .args(further)
            .env("RUST_LOG", std::env::var("RUST_LOG").unwrap_or_else(|_| "warn".to_owned()))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("start the operator")?;
        let mut operator = Self { child, folder, url: String::new() };
        let deadline = Instant::now() + Duration::from_secs(20);
        while operator.url.is_empty() {
            anyhow::ensure!(Instant::now() < deadline, "the operator does not start: {}", operator.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
            let text = std::fs::read_to_string(&env_file).unwrap_or_default();
            let url = text.lines().find_map(|line| line.split_once("OPERATOR_URL="));
            operator.url = url.map(|(_, url)| url.trim_matches('\'').to_owned()).unwrap_or_default();
        }
        Ok(operator)
    }

    pub fn memory(&self) -> anyhow::Result<Memory> {
        memory_of(self.child.id())
    }

    /// From now on the peak is counted anew.
    pub fn forget_peak(&self) -> anyhow::Result<()> {
        let file = format!("/proc/{}/clear_refs", self.child.id());
        std::fs::write(&file, "5").with_context(|| format!("write {file}"))
    }

    pub fn processor_time(&self) -> anyhow::Result<Duration> {
        processor_time_of(self.child.id())
    }

    /// The end of what it wrote to standard error.
    pub fn log(&self) -> String {
        let text = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(5).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    pub fn alive(&mut self) -> anyhow::Result<()> {
        let ended = self.child.try_wait()?;
        anyhow::ensure!(ended.is_none(), "the operator ended: {ended:?}: {}", self.log());
        Ok(())
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
