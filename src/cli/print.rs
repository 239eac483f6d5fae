//! Printing that several commands share.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::Value;

/// Prints a JSON document.
pub(super) fn json(value: &Value) -> anyhow::Result<()> {
    lines(&[serde_json::to_string_pretty(value)?])
}

/// Prints lines.
pub(super) fn lines<S: AsRef<str>>(lines: &[S]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for line in lines {
        writeln!(out, "{}", line.as_ref()).context("write to standard output")?;
    }
    Ok(())
}

/// Tells of wrong usage or a file that cannot be read.
#[expect(clippy::print_stderr, reason = "the error is what the user reads")]
pub(super) fn unusable(error: &anyhow::Error) -> ExitCode {
    eprintln!("hubtwin: {error:#}");
    ExitCode::from(2)
}

/// `1 error`, `2 errors`.
pub(super) fn count(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// One line that a terminal shows as it is: what comes from manifests or hubs may hold control characters.
pub(super) fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}
