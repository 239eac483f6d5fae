//! `halved` and `outage`: a hub that allows less than it did, and one that is gone for a while.

use std::time::Duration;

use hubtwin::hub::{IfMatch, TwinId, TwinPatch};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::first::refused;
use super::report::{Figure, float};
use super::stage::Stage;
use crate::back_end::name;

/// Between two writes of the rival.
const RIVAL: Duration = Duration::from_millis(200);
/// Specs that are edited while the hub is down.
const EDITS: usize = 100;
/// How long it may take afterwards until all of them are there.
const RECOVERY: f64 = 30.0;

/// Every spec changes twice while the hub has half its limit and another client writes to it.
pub async fn halved(stage: &Stage, window: Duration) -> anyhow::Result<Vec<Figure>> {
    stage.in_sync(stage.patience()).await?;
    let (before, began) = (stage.samples.now().await?, Instant::now());
    let mut rival = Rival::default();
    let work = async {
        for edit in [101, 102] {
            stage.apply_twins(0..stage.twins, edit).await?;
            sleep(Duration::from_secs(1)).await;
            stage.in_sync(4 * stage.patience()).await?;
        }
        anyhow::Ok(())
    };
    let weather = async {
        sleep(window / 6).await;
        stage.limit(50).await?;
        sleep(window).await;
        stage.limit(100).await
    };
    tokio::select! {
        done = async { tokio::try_join!(work, weather) } => { done?; }
        () = rival.write(stage) => {}
    }
    let after = stage.samples.now().await?;
    // What the rival was refused is not the operator's.
    let (calls, throttled) = (after.calls(&before) - rival.calls, after.refused(&before).saturating_sub(rival.refused));
    // Those that changed something: where the rival was faster, a write is refused and made again.
    let patches = after.since(&before, "twin.patch.200") - (rival.calls - rival.refused);
    Ok(vec![
        Figure::count("calls", calls),
        Figure::count("throttled answers", throttled),
        refused(&throttled, calls),
        Figure::new("PATCHes a change", float(patches) / float(2 * stage.twins as u64), "").at_most(1.001),
        Figure::new("rival's writes that were refused", float(rival.refused) / float(rival.calls.max(1)), ""),
        Figure::new("time", began.elapsed().as_secs_f64(), "s"),
    ])
}

/// Another program that writes to the same hub.
#[derive(Default)]
struct Rival {
    calls: u64,
    refused: u64,
}

impl Rival {
    async fn write(&mut self, stage: &Stage) {
        for number in (0..stage.twins).cycle() {
            let Ok(id) = TwinId::parse(&name(number), None) else { return };
            let tags = json!({"rival": self.calls}).as_object().cloned();
            self.calls += 1;
            let done = stage.rival.patch_twin(&id, &TwinPatch { tags, desired: None }, IfMatch::Any).await;
            self.refused += u64::from(done.is_err());
            sleep(RIVAL).await;
        }
    }
}

/// The hub cuts every call for a while; meanwhile specs are edited.
pub async fn outage(stage: &Stage, down: Duration) -> anyhow::Result<Vec<Figure>> {
    let edits = EDITS.min(stage.twins / 2);
    let url = format!("{}/faults", stage.hub.setting("HUB_ADMIN_URL")?);
    let http = &stage.back_end.client;
    for operation in ["twin.get", "twin.patch", "query", "identity.get"] {
        let fault = json!({"operation": operation, "effect": "cutBefore"});
        http.post(&url).json(&fault).send().await?.error_for_status()?;
    }
    let before = stage.samples.now().await?;
    sleep(down / 10).await;
    stage.apply_twins(0..edits, fastrand::u64(1000..1 << 40)).await?;
    sleep(down - down / 10).await;
    let last = stage.samples.now().await?;
    http.delete(&url).send().await?.error_for_status()?;
    let up = Instant::now();
    let done = stage.samples.now().await?.count("twin.patch.200") + edits as u64;
    let deadline = up + 2 * down.max(Duration::from_secs(60));
    while stage.samples.now().await?.count("twin.patch.200") < done && Instant::now() < deadline {
        sleep(Duration::from_millis(200)).await;
    }
    let recovered = up.elapsed().as_secs_f64();
    sleep(Duration::from_secs(5)).await;
    stage.in_sync(stage.patience()).await?;
    let samples = stage.samples.since(up);
    let burst = samples.windows(2).map(|pair| pair[1].calls(&pair[0])).max().unwrap_or_default();
    let after = stage.samples.now().await?;
    Ok(vec![
        Figure::new("calls a second while down", float(last.calls(&before)) / down.as_secs_f64(), ""),
        Figure::new("until all edits are there", recovered, "s").at_most(RECOVERY),
        Figure::count("most calls in a second after it", burst).at_most(stage.tier.reads + stage.tier.writes),
        Figure::count("throttled answers after it", after.refused(&last)).at_most(0.0),
        Figure::count("GETs after it", after.since(&last, "twin.get")),
        Figure::count("PATCHes after it", after.since(&last, "twin.patch")).at_most(float(edits as u64)),
        Figure::count("query pages after it", after.since(&last, "query")),
    ])
}
