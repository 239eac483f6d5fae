//! What was measured, as a table for people and a line of JSON for programs.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::Plan;
use crate::figures::{at, keep, milliseconds, sorted};
use crate::hub::Memory;

/// Where the lines of JSON go.
const FILE: &str = "devices.jsonl";

/// All figures of one run, by name and with their unit, in the order in which they came.
pub struct Figures {
    rows: Vec<(&'static str, Value, &'static str)>,
    devices: u64,
    reports: Vec<Duration>,
    pings: Vec<Duration>,
}

impl Figures {
    pub fn new(plan: &Plan, connecting: Duration) -> Self {
        let devices = u64::try_from(plan.devices).unwrap_or(u64::MAX);
        let mut figures = Self { rows: Vec::new(), devices, reports: Vec::new(), pings: Vec::new() };
        figures.row("devices", json!(plan.devices), "");
        figures.row("over", json!(if plan.websocket { "WebSocket" } else { "TLS" }), "");
        figures.row("kept in", json!(if plan.data { "a data folder" } else { "memory" }), "");
        figures.row("reports of each", json!(plan.rounds()), "");
        figures.row("one report in", json!(plan.interval.as_secs()), "s");
        figures.row("all connected after", seconds(connecting), "s");
        figures
    }

    fn row(&mut self, name: &'static str, value: Value, unit: &'static str) {
        self.rows.push((name, value, unit));
    }

    pub fn connects(&mut self, times: impl Iterator<Item = Duration>) {
        let times = sorted(times.collect());
        self.row("connect, median", milliseconds(at(&times, 50.0)), "ms");
        self.row("connect, p99", milliseconds(at(&times, 99.0)), "ms");
    }

    /// Memory without and with the connections, both at rest.
    pub fn memory(&mut self, without: &Memory, with: &Memory) {
        let grown = with.resident.saturating_sub(without.resident) * 1024;
        self.row("memory without connections", json!(without.resident / 1024), "MiB");
        self.row("memory with connections", json!(with.resident / 1024), "MiB");
        self.row("memory a connection", json!(grown / self.devices.max(1)), "bytes");
    }

    pub fn peak(&mut self, memory: &Memory) {
        self.row("memory, most", json!(memory.peak / 1024), "MiB");
    }

    pub fn processor(&mut self, used: Duration, plan: &Plan) {
        let calls = self.devices * plan.rounds();
        let each = used.as_micros() / u128::from(calls.max(1));
        self.row("processor time a report and a ping", json!(u64::try_from(each).unwrap_or(u64::MAX)), "us");
    }

    pub fn reports(&mut self, times: impl Iterator<Item = Duration>) {
        self.reports.extend(times);
    }

    pub fn pings(&mut self, times: impl Iterator<Item = Duration>) {
        self.pings.extend(times);
    }

    /// Prints the table and adds the line to the file.
    pub fn write(mut self, losses: &[String]) -> anyhow::Result<()> {
        let (reports, pings) = (sorted(std::mem::take(&mut self.reports)), sorted(std::mem::take(&mut self.pings)));
        self.row("reports answered", json!(reports.len()), "");
        for (name, percent) in
            [("report, median", 50.0), ("report, p99", 99.0), ("report, p99.9", 99.9), ("report, longest", 100.0)]
        {
            self.row(name, milliseconds(at(&reports, percent)), "ms");
        }
        self.row("ping (the floor), median", milliseconds(at(&pings, 50.0)), "ms");
        self.row("ping (the floor), p99", milliseconds(at(&pings, 99.0)), "ms");
        self.row("lost or wrong", json!(losses.len()), "");
        let mut table = String::new();
        for (name, value, unit) in &self.rows {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            writeln!(table, "{name:<36} {value:>12} {unit}")?;
        }
        for loss in losses.iter().take(20) {
            writeln!(table, "LOST: {loss}")?;
        }
        std::io::stdout().write_all(table.as_bytes())?;
        let line: serde_json::Map<String, Value> = self
            .rows
            .into_iter()
            .map(|(name, value, unit)| {
                (if unit.is_empty() { name.to_owned() } else { format!("{name} ({unit})") }, value)
            })
            .collect();
        keep(FILE, &Value::Object(line))
    }
}

fn seconds(time: Duration) -> Value {
    json!((time.as_secs_f64() * 10.0).round() / 10.0)
}
