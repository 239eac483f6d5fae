//! `queries`: many saved queries, some of which are the same.

use std::time::Duration;

use tokio::time::sleep;

use super::kinds;
use super::report::{Figure, float};
use super::stage::Stage;

const QUERIES: usize = 100;
const TEXTS: usize = 20;
/// Seconds between two runs of each.
const INTERVAL: f64 = 10.0;
/// Seconds between two polls.
const POLL: f64 = 15.0;

pub async fn queries(stage: &Stage, window: Duration) -> anyhow::Result<Vec<Figure>> {
    let kind = kinds::twin_query();
    for number in 0..QUERIES {
        stage.apply(&kind, kinds::query(number, TEXTS)).await?;
    }
    // The first run of all of them is another matter.
    sleep(Duration::from_secs(15)).await;
    let before = stage.samples.now().await?;
    sleep(window).await;
    let after = stage.samples.now().await?;
    let seconds = window.as_secs_f64();
    let polls = seconds / POLL + 2.0;
    let texts = float(TEXTS as u64);
    let asked = texts * seconds / INTERVAL;
    let figures = vec![
        Figure::count("query pages", after.since(&before, "query"))
            .at_most((asked + texts + polls).ceil())
            .beside(asked),
        Figure::count("GETs", after.since(&before, "twin.get")),
        Figure::count("throttled answers", after.refused(&before)).at_most(0.0),
    ];
    stage.delete_all(&kind).await?;
    Ok(figures)
}
