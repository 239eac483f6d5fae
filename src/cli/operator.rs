//! `hubtwin operator`.

/// Arguments of `hubtwin operator`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) async fn run(_args: Args) -> anyhow::Result<()> {
    anyhow::bail!("not there yet")
}
