//! `hubtwin hub`.

/// Arguments of `hubtwin hub`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) async fn run(_args: Args) -> anyhow::Result<()> {
    anyhow::bail!("not there yet")
}
