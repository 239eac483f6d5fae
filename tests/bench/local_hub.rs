//! What the local hub can bear, measured from outside: `devices` and `query`. The hub is a process of its own.

use std::io::Write as _;
use std::process::ExitCode;

mod back_end;
mod client;
mod devices;
mod figures;
mod hub;
mod query;

fn main() -> ExitCode {
    // Cargo adds options of its own.
    let which = std::env::args().skip(1).find(|word| !word.starts_with('-'));
    let done = match which.as_deref() {
        Some("devices") => devices::main(),
        Some("query") => query::main(),
        _ => Err(anyhow::anyhow!("say what to measure: devices or query")),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error:#}");
            ExitCode::FAILURE
        }
    }
}
