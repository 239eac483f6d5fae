//! `hubtwin completion SHELL`.

use std::io::Write as _;

use clap::CommandFactory as _;

/// Arguments of `hubtwin completion`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell to write completions for
    shell: clap_complete::Shell,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::Cli::command(), "hubtwin", &mut script);
    std::io::stdout().write_all(&script)?;
    Ok(())
}
