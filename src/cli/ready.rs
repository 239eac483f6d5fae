//! `hubtwin ready`: for images without a shell, where nothing else could ask.

use std::time::Duration;

use anyhow::Context as _;

/// Arguments of `hubtwin ready`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where the operator listens
    #[arg(default_value = "http://127.0.0.1:8080", value_name = "URL")]
    url: String,
    /// How long to wait for an answer
    #[arg(long, default_value_t = 10, value_name = "SECONDS")]
    timeout: u64,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let url = format!("{}/readyz", args.url.trim_end_matches('/'));
    let client = reqwest::Client::builder().timeout(Duration::from_secs(args.timeout)).no_proxy().build()?;
    let answer = client.get(&url).send().await.with_context(|| format!("ask {url}"))?;
    let status = answer.status();
    let text = answer.text().await.with_context(|| format!("read the answer of {url}"))?;
    anyhow::ensure!(status.is_success(), "{url} answers {status}: {}", text.trim_end());
    Ok(())
}
