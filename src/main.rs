//! The `hubtwin` program: parses the command line and runs one command.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let cli = hubtwin::cli::Cli::parse();
    hubtwin::cli::run(cli)
}
