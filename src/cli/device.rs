//! `hubtwin device`.

/// Arguments of `hubtwin device`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) async fn run(_args: Args) -> anyhow::Result<()> {
    anyhow::bail!("not there yet")
}
