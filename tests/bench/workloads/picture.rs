//! Calls at the hub over time, as an SVG: the operator above, the comparator below.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;

use super::report::float;
use super::sample::Sample;

/// What is drawn: how it is named, its colour, the counters that it adds up.
const LINES: [(&str, &str, &[&str]); 4] = [
    ("reads", "#2b6cb0", &["twin.get"]),
    ("writes", "#c05621", &["twin.patch"]),
    ("query pages", "#2f855a", &["query"]),
    ("refused (429)", "#e53e3e", &["twin.get.429", "twin.patch.429", "query.429"]),
];
const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 200.0;
const MARGIN: f64 = 60.0;

/// Writes `target/bench/WORKLOAD.svg`.
pub fn draw(workload: &str, ours: &[Sample], stock: &[Sample]) -> anyhow::Result<()> {
    let (width, height) = (WIDTH + 2.0 * MARGIN, 2.0 * (HEIGHT + 2.0 * MARGIN));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    panel(&mut svg, &format!("{workload}: hubtwin, calls a second at the hub"), ours, MARGIN)?;
    panel(&mut svg, &format!("{workload}: stock"), stock, HEIGHT + 3.0 * MARGIN)?;
    svg.push_str("</svg>\n");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench").join(format!("{workload}.svg"));
    std::fs::create_dir_all(path.parent().context("a folder")?)?;
    std::fs::write(&path, svg).with_context(|| format!("write {}", path.display()))
}

fn panel(svg: &mut String, title: &str, samples: &[Sample], top: f64) -> std::fmt::Result {
    let rates: Vec<Vec<(f64, f64)>> = LINES.iter().map(|(_, _, counters)| rates(samples, counters)).collect();
    let last = rates.iter().flatten().map(|(at, _)| *at).fold(1.0, f64::max);
    let most = rates.iter().flatten().map(|(_, rate)| *rate).fold(1.0, f64::max);
    let bottom = top + HEIGHT;
    writeln!(svg, "<text x=\"{MARGIN}\" y=\"{}\" font-weight=\"bold\">{title}</text>", top - 28.0)?;
    writeln!(
        svg,
        "<path d=\"M{MARGIN} {top}V{bottom}H{}\" fill=\"none\" stroke=\"#444\"/>\
         <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{most:.0}/s</text>\
         <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{last:.0} s</text>",
        MARGIN + WIDTH,
        MARGIN - 6.0,
        top + 10.0,
        MARGIN + WIDTH,
        bottom + 16.0,
    )?;
    for (nth, ((name, colour, _), rates)) in LINES.iter().zip(&rates).enumerate() {
        let mut path = String::new();
        for (at, rate) in rates {
            let step = if path.is_empty() { 'M' } else { 'L' };
            write!(path, "{step}{:.1} {:.1}", MARGIN + at / last * WIDTH, bottom - rate / most * HEIGHT)?;
        }
        writeln!(svg, "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>")?;
        let x = MARGIN + 150.0 * float(u64::try_from(nth).unwrap_or_default());
        writeln!(svg, "<text x=\"{x}\" y=\"{}\" fill=\"{colour}\">{name}</text>", top - 10.0)?;
    }
    Ok(())
}

/// Calls a second between each two samples, at the seconds since the first.
fn rates(samples: &[Sample], counters: &[&str]) -> Vec<(f64, f64)> {
    let Some(first) = samples.first() else { return Vec::new() };
    let rate = |pair: &[Sample]| {
        let count = |sample: &Sample| float(counters.iter().map(|name| sample.count(name)).sum());
        let seconds = (pair[1].at - pair[0].at).as_secs_f64().max(1e-3);
        ((pair[1].at - first.at).as_secs_f64(), (count(&pair[1]) - count(&pair[0])) / seconds)
    };
    samples.windows(2).map(rate).collect()
}
