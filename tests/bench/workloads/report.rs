//! Figures: the table, and the lines for programs.

use std::io::Write as _;

use serde_json::{Value, json};

use crate::figures::keep;

/// Where the lines of JSON go.
pub const FILE: &str = "results.jsonl";

/// One measured figure.
#[derive(Clone, Debug)]
pub struct Figure {
    pub metric: String,
    pub value: f64,
    pub unit: &'static str,
    /// What it may be at most.
    target: Option<f64>,
    /// What nobody could do better in this run.
    ceiling: Option<f64>,
}

impl Figure {
    pub fn new(metric: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { metric: metric.into(), value, unit, target: None, ceiling: None }
    }

    pub fn count(metric: impl Into<String>, value: u64) -> Self {
        Self::new(metric, float(value), "")
    }

    pub fn at_most(self, target: f64) -> Self {
        Self { target: Some(target), ..self }
    }

    pub fn beside(self, ceiling: f64) -> Self {
        Self { ceiling: Some(ceiling), ..self }
    }

    fn holds(&self) -> Option<bool> {
        self.target.map(|target| self.value <= target)
    }
}

/// All lines so far.
#[derive(Default)]
pub struct Report {
    missed: Vec<String>,
}

impl Report {
    /// Adds what was measured of the operator, with the comparator's figures of the same names beside it.
    pub fn add(&mut self, workload: &str, ours: &[Figure], stock: &[Figure]) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        for figure in ours {
            let theirs = stock.iter().find(|theirs| theirs.metric == figure.metric).map(|theirs| theirs.value);
            let holds = figure.holds();
            writeln!(
                out,
                "{workload:<12} {:<44} {:>10} {:<4} {:>10} {:>10} {:>10} {}",
                figure.metric,
                shown(Some(figure.value)),
                figure.unit,
                shown(figure.target),
                shown(figure.ceiling),
                shown(theirs),
                holds.map_or("", |holds| if holds { "holds" } else { "MISSED" }),
            )?;
            if holds == Some(false) {
                self.missed.push(format!("{workload}: {}", figure.metric));
            }
            let number = |value: Option<f64>| value.map_or(Value::Null, |value| json!(rounded(value)));
            keep(
                FILE,
                &json!({
                    "workload": workload, "metric": figure.metric, "value": rounded(figure.value), "unit": figure.unit,
                    "target": number(figure.target), "ceiling": number(figure.ceiling), "stock": number(theirs),
                    "holds": holds,
                }),
            )?;
        }
        Ok(())
    }

    pub fn head() -> anyhow::Result<()> {
        let heads = ["workload", "figure", "hubtwin", "", "target", "ceiling", "stock"];
        let [workload, figure, value, unit, target, ceiling, stock] = heads;
        writeln!(
            std::io::stdout().lock(),
            "{workload:<12} {figure:<44} {value:>10} {unit:<4} {target:>10} {ceiling:>10} {stock:>10}"
        )?;
        Ok(())
    }

    /// Whether every target was met.
    pub fn end(self) -> anyhow::Result<bool> {
        let mut out = std::io::stdout().lock();
        match self.missed.len() {
            0 => writeln!(out, "every target was met")?,
            count => writeln!(out, "{count} missed: {}", self.missed.join("; "))?,
        }
        Ok(self.missed.is_empty())
    }
}

fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

/// As many digits as say something.
fn shown(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if value.fract() == 0.0 || value.abs() >= 1000.0 => format!("{value:.0}"),
        Some(value) if value.abs() >= 10.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.3}"),
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are small")]
pub fn float(count: u64) -> f64 {
    count as f64
}
