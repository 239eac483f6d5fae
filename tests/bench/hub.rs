//! The hub as a process of its own, and what the system says of it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::time::Instant;

/// Open files that a run of some thousand devices may need.
const FILES: u64 = 16_384;

/// A running hub. It is ended by its own process id when this is dropped.
pub struct HubProcess {
    child: Child,
    folder: PathBuf,
    /// What it wrote to its env file.
    pub settings: BTreeMap<String, String>,
    /// The certificate to trust, PEM.
    pub ca_pem: Vec<u8>,
}

/// Memory of a process, in KiB.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// What it has now.
    pub resident: u64,
    /// The most that it had.
    pub peak: u64,
}

impl HubProcess {
    pub async fn start(data: bool) -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("hubtwin-bench-{:012x}", fastrand::u64(..1 << 48)));
        std::fs::create_dir(&folder).with_context(|| format!("make {}", folder.display()))?;
        let env_file = folder.join("env");
        let mut command = Command::new(env!("CARGO_BIN_EXE_hubtwin"));
        command.args(["hub", "--https-port=0", "--mqtt-port=0", "--admin-port=0", "--env-file"]).arg(&env_file);
        if data {
            command.arg("--data").arg(folder.join("data"));
        }
        let child = command.stdout(Stdio::null()).spawn().context("start the hub")?;
        let mut hub = Self { child, folder, settings: BTreeMap::new(), ca_pem: Vec::new() };
        let deadline = Instant::now() + Duration::from_secs(20);
        while hub.settings.is_empty() {
            anyhow::ensure!(Instant::now() < deadline, "the hub does not start");
            tokio::time::sleep(Duration::from_millis(20)).await;
            let text = std::fs::read_to_string(&env_file).unwrap_or_default();
            let pair = |line: &str| {
                let (name, value) = line.trim_start_matches("export ").split_once('=')?;
                Some((name.to_owned(), value.trim_matches('\'').to_owned()))
            };
            hub.settings = text.lines().filter_map(pair).collect();
        }
        hub.ca_pem = std::fs::read(hub.setting("HUB_CA_FILE")?).context("read the hub's certificate")?;
        Ok(hub)
    }

    pub fn setting(&self, name: &str) -> anyhow::Result<&str> {
        self.settings.get(name).map(String::as_str).with_context(|| format!("the hub wrote no {name}"))
    }

    pub fn port(&self, name: &str) -> anyhow::Result<u16> {
        Ok(self.setting(name)?.parse()?)
    }

    pub fn memory(&self) -> anyhow::Result<Memory> {
        memory_of(self.child.id())
    }

    /// What the hub has used of the processors so far.
    pub fn processor_time(&self) -> anyhow::Result<Duration> {
        processor_time_of(self.child.id())
    }
}

/// The memory of a process.
pub fn memory_of(process: u32) -> anyhow::Result<Memory> {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).context("read a process's memory")?;
    let kib = |name: &str| -> anyhow::Result<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"))?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    };
    Ok(Memory { resident: kib("VmRSS:")?, peak: kib("VmHWM:")? })
}

/// What a process has used of the processors so far.
pub fn processor_time_of(process: u32) -> anyhow::Result<Duration> {
    // The process's own file tells of its main thread only.
    let mut nanoseconds = 0;
    for task in std::fs::read_dir(format!("/proc/{process}/task"))? {
        let text = std::fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
        nanoseconds += text.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or(0);
    }
    Ok(Duration::from_nanos(nanoseconds))
}

impl Drop for HubProcess {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Raises the limit on open files, which the hub inherits, and fails with what to do when that is not enough.
pub fn enough_files() -> anyhow::Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let current = maximum.unwrap_or(FILES).min(FILES);
    setrlimit(Resource::Nofile, Rlimit { current: Some(current), maximum }).context("raise the limit on open files")?;
    anyhow::ensure!(current == FILES, "{current} open files are too few: `ulimit -Hn` has to be {FILES} at least");
    Ok(())
}
