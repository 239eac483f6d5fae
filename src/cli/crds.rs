//! `hubtwin crds`.

/// Arguments of `hubtwin crds`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_args: &Args) -> anyhow::Result<()> {
    anyhow::bail!("not there yet")
}
