//! The operator beside a comparator that is written the usual way, on a real API server and the local hub, whose counters
//! are the referee. One run measures its own ceilings; times are only worth something beside them.
//!
//! | setting (environment) | default | meaning |
//! | --- | --- | --- |
//! | `W` | all | one workload, with what has to be there before it |
//! | `SCALE` | 1 | times so many twins and seconds: 0.01 is for a look whether all works |
//! | `OPERATOR` | the program built with this | another build of `hubtwin` |

use std::io::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::Instant;

use self::cluster::Cluster;
use self::report::{Figure, Report};
use self::side::Side;
use self::stage::Stage;
use crate::figures::forget;
use crate::{hub, memory};

mod changes;
mod cluster;
mod first;
mod kinds;
mod limits;
mod picture;
mod queries;
mod quiet;
pub mod report;
mod rough;
mod sample;
mod side;
mod stage;
mod watch;

/// Every workload, in the order in which they run, with the minutes that it takes at full scale.
const WORKLOADS: [(&str, f64); 12] = [
    ("first-1000", 3.0),
    ("start", 0.2),
    ("halved", 6.0),
    ("first-10000", 4.0),
    ("restart", 1.5),
    ("idle", 10.0),
    ("spec-edits", 4.5),
    ("reported", 3.5),
    ("chatty", 3.0),
    ("queries", 2.5),
    ("outage", 6.0),
    (MEMORY, 6.0),
];
/// The one that needs neither API server nor comparator.
const MEMORY: &str = "memory";
/// Of those, the ones on the small fleet.
const SMALL: usize = 3;
/// Up to here, the ones on the large fleet.
const LARGE: usize = 11;

/// One run.
struct Run {
    cluster: Cluster,
    report: Report,
    scale: f64,
    wanted: Option<String>,
}

/// Whether every target was met.
pub fn main() -> anyhow::Result<bool> {
    hub::enough_files()?;
    let scale: f64 = std::env::var("SCALE").unwrap_or_else(|_| "1".to_owned()).parse().context("SCALE is a number")?;
    let wanted = std::env::var("W").ok().filter(|name| !name.is_empty() && name != "all");
    let names: Vec<&str> = WORKLOADS.iter().map(|(name, _)| *name).collect();
    anyhow::ensure!(
        wanted.as_deref().is_none_or(|wanted| names.contains(&wanted)),
        "there is no such workload; there are {}",
        names.join(", ")
    );
    let is_memory = wanted.as_deref() == Some(MEMORY);
    let with_memory = is_memory || wanted.is_none();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let holds = is_memory || runtime.block_on(run(scale, wanted))?;
    // It has sizes of its own.
    Ok((!with_memory || memory::main()?) && holds)
}

async fn run(scale: f64, wanted: Option<String>) -> anyhow::Result<bool> {
    let began = Instant::now();
    let expected = expected(wanted.as_deref()) * scale.max(0.1);
    writeln!(std::io::stdout(), "this takes about {:.0} minutes", expected.ceil())?;
    let mut cluster = Cluster::new().await?;
    cluster.measure().await?;
    if wanted.is_none() {
        forget(report::FILE)?;
    }
    Report::head()?;
    let mut run = Run { report: Report::default(), cluster, scale, wanted };
    let ceiling = Figure::new("status writes a second, API server", run.cluster.status_writes, "");
    run.report.add("ceilings", &[ceiling], &[])?;
    if WORKLOADS[..SMALL].iter().any(|(name, _)| run.wants(name)) {
        run.small().await.context("the small fleet")?;
    }
    if WORKLOADS[SMALL..LARGE].iter().any(|(name, _)| run.wants(name)) {
        run.large().await.context("the large fleet")?;
    }
    writeln!(std::io::stdout(), "{:.1} minutes", began.elapsed().as_secs_f64() / 60.0)?;
    run.report.end()
}

/// Minutes, with what has to be there before.
fn expected(wanted: Option<&str>) -> f64 {
    let is_wanted = |name: &str| wanted.is_none_or(|wanted| wanted == name);
    let part = |part: &[(&str, f64)]| {
        let some: f64 = part.iter().filter(|(name, _)| is_wanted(name)).map(|(_, minutes)| minutes).sum();
        let with_first = if is_wanted(part[0].0) { some } else { some + part[0].1 };
        if some > 0.0 { with_first } else { 0.0 }
    };
    part(&WORKLOADS[..SMALL]) + part(&WORKLOADS[SMALL..LARGE]) + part(&WORKLOADS[LARGE..])
}

/// What was measured of both sides, and since when.
struct Pair {
    figures: [Vec<Figure>; 2],
    began: [Instant; 2],
    ended: [Instant; 2],
}

/// Runs a workload on each side in turn, the other side's program stopped.
macro_rules! in_turn {
    ($stages:expr, $stage:ident => $work:expr) => {{
        let [ours, stock] = $stages;
        let (mut figures, mut began, mut ended) = ([Vec::new(), Vec::new()], [Instant::now(); 2], [Instant::now(); 2]);
        for (nth, $stage) in [&mut *ours, &mut *stock].into_iter().enumerate() {
            began[nth] = Instant::now();
            figures[nth] = $work.await?;
            ended[nth] = Instant::now();
            $stage.stop();
        }
        Pair { figures, began, ended }
    }};
}

/// Runs a workload that is mostly waiting on both sides at once.
macro_rules! together {
    ($stages:expr, $stage:ident => $work:expr) => {{
        let [ours, stock] = $stages;
        let began = Instant::now();
        let (first, second) = tokio::try_join!(
            async {
                let $stage = &*ours;
                $work.await
            },
            async {
                let $stage = &*stock;
                $work.await
            }
        )?;
        Pair { figures: [first, second], began: [began; 2], ended: [Instant::now(); 2] }
    }};
}

impl Run {
    fn wants(&self, workload: &str) -> bool {
        self.wanted.as_deref().is_none_or(|wanted| wanted == workload)
    }

    fn twins(&self, twins: u32) -> usize {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and positive")]
        let scaled = (f64::from(twins) * self.scale).ceil() as usize;
        scaled.max(40)
    }

    fn seconds(&self, seconds: u32) -> Duration {
        Duration::from_secs_f64((f64::from(seconds) * self.scale).max(5.0))
    }

    async fn stages(&self, tier: limits::Tier, twins: usize) -> anyhow::Result<[Stage; 2]> {
        let [ours, stock] = Side::BOTH;
        Ok([Stage::new(&self.cluster, ours, tier, twins).await?, Stage::new(&self.cluster, stock, tier, twins).await?])
    }

    fn tell(&mut self, workload: &str, stages: &[Stage; 2], pair: &Pair) -> anyhow::Result<()> {
        let [ours, stock] = &pair.figures;
        self.report.add(workload, ours, stock)?;
        let drawn = |nth: usize| {
            let mut samples = stages[nth].samples.since(pair.began[nth]);
            samples.retain(|sample| sample.at <= pair.ended[nth]);
            samples
        };
        picture::draw(workload, &drawn(0), &drawn(1))
    }

    /// A thousand twins at the smallest hub.
    async fn small(&mut self) -> anyhow::Result<()> {
        let stages = &mut self.stages(limits::S1, self.twins(1000)).await?;
        let pair = in_turn!(&mut *stages, stage => first::first_sync(stage, &self.cluster));
        self.tell("first-1000", stages, &pair)?;
        if self.wants("start") {
            let figures = first::start(&mut stages[0]).await?;
            self.report.add("start", &figures, &[])?;
        }
        if self.wants("halved") {
            let window = self.seconds(60);
            let pair =
                in_turn!(&mut *stages, stage => async { started(stage).await?; rough::halved(stage, window).await });
            self.tell("halved", stages, &pair)?;
        }
        Ok(())
    }

    /// Ten thousand twins at a hub whose limits are near what the API server can bear.
    async fn large(&mut self) -> anyhow::Result<()> {
        let stages = &mut self.stages(limits::S3, self.twins(10_000)).await?;
        let pair = in_turn!(&mut *stages, stage => first::first_sync(stage, &self.cluster));
        self.tell("first-10000", stages, &pair)?;
        let pair = in_turn!(&mut *stages, stage => first::restart(stage, &self.cluster));
        self.tell("restart", stages, &pair)?;
        let minute = self.seconds(60);
        if self.wants("idle") {
            self.both_started(stages).await?;
            let window = self.seconds(600);
            let pair = together!(&mut *stages, stage => quiet::idle(stage, window));
            self.tell("idle", stages, &pair)?;
        }
        self.one_by_one(stages, minute).await?;
        if self.wants("outage") {
            self.both_started(stages).await?;
            let down = self.seconds(300).max(Duration::from_secs(20));
            let pair = together!(&mut *stages, stage => rough::outage(stage, down));
            self.tell("outage", stages, &pair)?;
        }
        Ok(())
    }

    /// Workloads that take the processors, one side after the other.
    async fn one_by_one(&mut self, stages: &mut [Stage; 2], minute: Duration) -> anyhow::Result<()> {
        stages.iter_mut().for_each(Stage::stop);
        if self.wants("spec-edits") {
            let pair =
                in_turn!(&mut *stages, stage => async { started(stage).await?; changes::edits(stage, minute).await });
            self.tell("spec-edits", stages, &pair)?;
        }
        if self.wants("reported") {
            let pair = in_turn!(&mut *stages, stage => async { started(stage).await?; changes::reported(stage, minute).await });
            self.tell("reported", stages, &pair)?;
        }
        if self.wants("chatty") {
            let pair =
                in_turn!(&mut *stages, stage => async { started(stage).await?; quiet::chatty(stage, minute).await });
            self.tell("chatty", stages, &pair)?;
        }
        if self.wants("queries") {
            let pair =
                in_turn!(&mut *stages, stage => async { started(stage).await?; queries::queries(stage, minute).await });
            self.tell("queries", stages, &pair)?;
        }
        Ok(())
    }

    async fn both_started(&self, stages: &mut [Stage; 2]) -> anyhow::Result<()> {
        for stage in stages.iter_mut() {
            started(stage).await?;
        }
        Ok(())
    }
}

/// The program runs, and has come to rest as far as it ever does.
async fn started(stage: &mut Stage) -> anyhow::Result<()> {
    if stage.process.is_none() {
        stage.start().await?;
        stage.in_sync(stage.patience()).await?;
        tokio::time::sleep(Duration::from_secs(20)).await;
    }
    Ok(())
}
