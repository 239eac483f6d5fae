//! The command line: one file a command. Parses, wires, prints; decides nothing.

use std::process::ExitCode;
use std::sync::LazyLock;

use clap::{Parser, Subcommand};

mod check;
mod completion;
mod connect;
mod crds;
#[cfg(feature = "device")]
mod device;
#[cfg(any(feature = "local-hub", feature = "device"))]
mod files;
#[cfg(feature = "local-hub")]
mod hub;
mod import;
mod manifests;
mod operator;
mod patient;
mod plan;
mod print;
mod progress;
mod ready;
mod twin;

/// The version, and the commit where the build was told it: nothing is asked of git, so that a build from an archive is
/// the same as one from a clone.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let commit = option_env!("HUBTWIN_COMMIT").filter(|commit| !commit.is_empty());
    format!("{} (commit {})", env!("CARGO_PKG_VERSION"), commit.unwrap_or("not told to the build"))
});

/// Keeps Azure IoT Hub device twins and Kubernetes in step.
#[derive(Debug, Parser)]
#[command(version = VERSION.as_str(), about, max_term_width = 120)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the controllers
    Operator(operator::Args),
    /// Ask an operator whether it is ready, and fail with what is missing
    Ready(ready::Args),
    /// Run the local hub
    #[cfg(feature = "local-hub")]
    Hub(hub::Args),
    /// Run simulated devices over MQTT
    #[cfg(feature = "device")]
    Device(device::Args),
    /// Print the CustomResourceDefinitions
    Crds(crds::Args),
    /// Check manifests by every rule of the operator and the hub, with no cluster and no hub
    Check(check::Args),
    /// Show what applying manifests would change at a hub, and write nothing
    Plan(plan::Args),
    /// Write manifests for the twins that a hub has
    Import(import::Args),
    /// Talk to a hub as a back end does: create an identity, get a twin, patch a twin
    Twin(twin::Args),
    /// Print completions for a shell
    Completion(completion::Args),
}

/// Runs the command and turns its result into an exit code: 0 done, 1 the work failed. (Wrong usage, 2, is clap's.)
#[must_use]
pub fn run(cli: Cli) -> ExitCode {
    // The one crypto provider of the program; every TLS library here takes what is installed.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        tracing::debug!("a crypto provider was installed before");
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&anyhow::Error::new(error).context("start the runtime")),
    };
    match runtime.block_on(dispatch(cli.command)) {
        Ok(code) => code,
        Err(error) => failed(&error),
    }
}

async fn dispatch(command: Command) -> anyhow::Result<ExitCode> {
    let done = match command {
        Command::Check(args) => return check::run(&args),
        Command::Plan(args) => return plan::run(args).await,
        Command::Import(args) => import::run(args).await,
        Command::Operator(args) => operator::run(args).await,
        Command::Ready(args) => ready::run(args).await,
        #[cfg(feature = "local-hub")]
        Command::Hub(args) => hub::run(args).await,
        #[cfg(feature = "device")]
        Command::Device(args) => device::run(args).await,
        Command::Crds(args) => crds::run(&args),
        Command::Twin(args) => twin::run(args).await,
        Command::Completion(args) => completion::run(&args),
    };
    done.map(|()| ExitCode::SUCCESS)
}

#[expect(clippy::print_stderr, reason = "the error is what the user reads")]
fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("hubtwin: {error:#}");
    ExitCode::FAILURE
}
