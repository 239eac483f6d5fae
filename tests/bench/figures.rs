//! What all measures share: settings, ranks, units, and where figures are kept.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};

/// The folder of the files with one line of JSON a run.
const FOLDER: &str = "target/bench";

/// A number from the environment.
pub fn setting(name: &str, default: u64) -> anyhow::Result<u64> {
    match std::env::var(name) {
        Ok(text) => text.parse().with_context(|| format!("{name}={text} is not a number")),
        Err(_) => Ok(default),
    }
}

pub fn sorted(mut times: Vec<Duration>) -> Vec<Duration> {
    times.sort_unstable();
    times
}

/// The time below which this many percent are.
pub fn at(sorted: &[Duration], percent: f64) -> Duration {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a rank")]
    let rank = ((sorted.len() as f64) * percent / 100.0).ceil() as usize;
    sorted.get(rank.saturating_sub(1).min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}

pub fn milliseconds(time: Duration) -> Value {
    json!((time.as_secs_f64() * 1e5).round() / 100.0)
}

/// Adds a line to a file of figures.
pub fn keep(file: &str, line: &Value) -> anyhow::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(FOLDER);
    std::fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    let path = folder.join(file);
    let mut out = std::fs::OpenOptions::new().create(true).append(true).open(&path)?;
    writeln!(out, "{line}").with_context(|| format!("write {}", path.display()))
}

/// Begins a file of figures anew.
pub fn forget(file: &str) -> anyhow::Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FOLDER).join(file);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}
