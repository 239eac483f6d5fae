//! What is measured from outside, of programs that are processes of their own: of the operator, beside one that is written
//! the usual way, `workloads`, and alone `memory`; of the local hub `devices` and `query`. `stock` is that other operator.

use std::io::Write as _;
use std::process::ExitCode;

mod back_end;
mod client;
mod devices;
mod figures;
mod hub;
mod memory;
mod query;
mod stock;
mod workloads;

fn main() -> ExitCode {
    // Cargo adds options of its own.
    let which = std::env::args().skip(1).find(|word| !word.starts_with('-'));
    let done = match which.as_deref() {
        Some("devices") => devices::main(),
        Some("query") => query::main(),
        Some("workloads") => workloads::main(),
        Some("memory") => memory::main(),
        Some("stock") => stock::main(),
        _ => Err(anyhow::anyhow!("say what to measure: workloads, memory, devices or query")),
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
