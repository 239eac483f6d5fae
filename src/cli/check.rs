//! `hubtwin check`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use serde_json::{Value, json};

use super::manifests::{self, Files};
use super::print;
use crate::manifest::check::{Checked, Finding, Kinds, Severity, as_json, check};
use crate::manifest::node::Position;

/// Arguments of `hubtwin check`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 nothing wrong, 1 errors were found, 2 wrong usage or a file that cannot be read."
)]
pub(super) struct Args {
    /// Manifests: files, folders (all *.yaml, *.yml and *.json below), or - for standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Let warnings count as errors
    #[arg(long)]
    strict: bool,
    /// How to print what is found
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let files = match manifests::read(&args.files) {
        Ok(files) => files,
        Err(error) => return Ok(print::unusable(&error)),
    };
    let kinds = Kinds::new();
    let report = Report::make(&files, &kinds);
    match args.output {
        Output::Text => report.print_text(&files)?,
        Output::Json => print::json(&report.as_json(&files))?,
    }
    let count = |severity| report.count(severity) + files.troubles(severity);
    let wrong = count(Severity::Error) > 0 || args.strict && count(Severity::Warning) > 0;
    Ok(if wrong { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What was found in all files.
pub(super) struct Report<'a> {
    pub(super) checked: Vec<Checked<'a>>,
    /// The file of each object.
    pub(super) places: Vec<usize>,
    passed_over: usize,
}

impl<'a> Report<'a> {
    /// Checks what is of our group; other objects are counted.
    pub(super) fn make(files: &'a Files, kinds: &Kinds) -> Self {
        let all =
            files.0.iter().enumerate().flat_map(|(file, read)| read.objects.iter().map(move |object| (file, object)));
        let (ours, others): (Vec<_>, Vec<_>) = all.partition(|(_, object)| kinds.ours(object));
        let (places, set): (Vec<usize>, Vec<_>) = ours.into_iter().unzip();
        let place = |index: usize, at: Position| {
            let at = if at.line == 0 { set[index].node.at } else { at };
            format!("{}:{}", files.0[places[index]].name, at.line)
        };
        let checked = check(kinds, &set, &place);
        Self { checked, places, passed_over: others.len() }
    }

    fn findings(&self) -> impl Iterator<Item = (usize, &Checked<'a>, &Finding)> {
        let with_places = self.checked.iter().zip(&self.places);
        with_places.flat_map(|(checked, file)| checked.findings.iter().map(move |finding| (*file, checked, finding)))
    }

    fn count(&self, severity: Severity) -> usize {
        self.findings().filter(|(_, _, finding)| finding.severity == severity).count()
    }
}

impl Report<'_> {
    fn print_text(&self, files: &Files) -> anyhow::Result<()> {
        let mut lines = Vec::new();
        for (index, file) in files.0.iter().enumerate() {
            let mut found: Vec<(Position, String)> = file
                .troubles
                .iter()
                .map(|(severity, trouble)| (trouble.at, format!("{severity}: {}", trouble.message)))
                .collect();
            for (_, checked, finding) in self.findings().filter(|(place, ..)| *place == index) {
                found.push((finding.at, line(checked, finding)));
            }
            found.sort();
            lines
                .extend(found.into_iter().map(|(at, text)| format!("{}:{}:{}: {text}", file.name, at.line, at.column)));
        }
        lines.push(self.summary(files));
        print::lines(&lines)
    }

    fn summary(&self, files: &Files) -> String {
        let count = |severity| self.count(severity) + files.troubles(severity);
        let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
        format!(
            "{} checked in {}, {} of other kinds passed over: {}, {}",
            print::count(self.checked.len(), "object"),
            print::count(files.0.len(), "file"),
            self.passed_over,
            print::count(errors, "error"),
            print::count(warnings, "warning")
        )
    }

    fn as_json(&self, files: &Files) -> Value {
        let troubles = files.0.iter().flat_map(|file| {
            file.troubles.iter().map(|(severity, trouble)| {
                json!({
                    "file": file.name, "line": trouble.at.line, "column": trouble.at.column,
                    "severity": severity.to_string(), "message": trouble.message,
                })
            })
        });
        let found =
            self.findings().map(|(file, checked, finding)| as_json(&files.0[file].name, checked.manifest, finding));
        let count = |severity| self.count(severity) + files.troubles(severity);
        json!({
            "files": files.0.len(), "objects": self.checked.len(), "passedOver": self.passed_over,
            "errors": count(Severity::Error), "warnings": count(Severity::Warning),
            "findings": troubles.chain(found).collect::<Vec<_>>(),
        })
    }
}

/// `error: /spec/tags/a.b: the rule (DeviceTwin plant/pump)`
fn line(checked: &Checked<'_>, finding: &Finding) -> String {
    let manifest = checked.manifest;
    let namespace = match manifest.namespace() {
        "" => String::new(),
        namespace => format!("{namespace}/"),
    };
    let source = manifest.source.as_ref().map(|source| format!(", from {source}")).unwrap_or_default();
    let at = if finding.pointer.is_root() { String::new() } else { format!("{}: ", finding.pointer.shortened(256)) };
    let object = print::plain(&format!("{} {namespace}{}{source}", manifest.kind(), manifest.name()));
    format!("{}: {}{} ({object})", finding.severity, print::plain(&at), print::plain(&finding.message))
}
