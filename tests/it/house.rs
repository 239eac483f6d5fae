//! Who may use whom: reads the sources, and fails when a module uses what the map in `src/lib.rs` does not allow it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use hubtwin::api::EventReason;
use hubtwin::api::conditions::Reason;

use super::support::{root, sources};

/// What a module may use: modules of ours, and crates beside std. What is not named is forbidden.
struct Row {
    module: &'static str,
    modules: &'static str,
    crates: &'static str,
}

const fn row(module: &'static str, modules: &'static str, crates: &'static str) -> Row {
    Row { module, modules, crates }
}

/// `*`: everything.
const TABLE: &[Row] = &[
    row("twin", "", "serde serde_json jiff thiserror"),
    row("query", "twin", "serde serde_json jiff thiserror"),
    row("sas", "", "base64 hmac sha2 thiserror"),
    row("api", "twin", "serde serde_json schemars jiff kube k8s_openapi"),
    row("hub", "twin sas", "serde serde_json jiff thiserror reqwest rustls http tokio"),
    row("manifest", "api twin query hub", "serde serde_json thiserror granit_parser k8s_openapi kube regex sha2"),
    row(
        "controller",
        "api hub twin",
        "kube k8s_openapi serde serde_json jiff thiserror tokio tokio_util futures fastrand lz4_flex prometheus_client sha2 \
         tracing",
    ),
    row("operator", "controller api", "kube axum thiserror tokio tokio_util tracing"),
    row(
        "local_hub",
        "twin query",
        "serde serde_json serde_path_to_error jiff thiserror base64 hmac sha1 sha2 fastrand percent_encoding tokio tokio_util \
         tokio_rustls tokio_tungstenite futures rustls rustls_pki_types rcgen redb axum http hyper hyper_util tower \
         mqtt_protocol_core tracing",
    ),
    row("device", "twin sas", "serde serde_json jiff thiserror fastrand rumqttc rustls tokio tokio_util tracing"),
    row("cli", "*", "*"),
    row("fuzz", "*", "*"),
    row("lib", "", ""),
    row("main", "*", "clap"),
];

/// Files that decide: no waiting, no clock, no chance, no client.
const PURE: &[&str] = &[
    "controller/device_twin/class.rs",
    "controller/device_twin/contest.rs",
    "controller/device_twin/converged.rs",
    "controller/device_twin/deletion.rs",
    "controller/device_twin/identity.rs",
    "controller/device_twin/notes.rs",
    "controller/device_twin/peer.rs",
    "controller/device_twin/plan.rs",
    "controller/device_twin/ready.rs",
    "controller/device_twin/record.rs",
    "controller/device_twin/settled.rs",
    "controller/device_twin/show.rs",
    "controller/device_twin/validate.rs",
    "controller/feed/queries.rs",
    "controller/feed/rows.rs",
    "controller/fleet/digest.rs",
    "controller/fleet/packed.rs",
    "controller/hub_connection/allowed.rs",
    "controller/twin_query/output/shards.rs",
    "controller/twin_query/record.rs",
    "controller/twin_query/results.rs",
    "controller/twin_query/rows.rs",
];

const IMPURE: &[&str] =
    &["async", "await", "tokio", "fastrand", "Client", "Api", "SystemTime", "Instant", "now()", "tracing"];

#[test]
fn modules_use_only_what_the_map_allows() {
    let crates = crates();
    let mut wrong = Vec::new();
    for (file, text) in sources::program() {
        let module = sources::module(&file);
        let row = TABLE.iter().find(|row| row.module == module).unwrap_or_else(|| panic!("{file}: not in the table"));
        let allowed = |list: &str, name: &str| list == "*" || list.split_whitespace().any(|entry| entry == name);
        let paths = sources::paths(&file, &text);
        for used in paths.modules.iter().filter(|used| **used != module && !allowed(row.modules, used)) {
            wrong.push(format!("{file} uses crate::{used}"));
        }
        for used in paths.roots.iter().filter(|used| crates.contains(*used) && !allowed(row.crates, used)) {
            wrong.push(format!("{file} uses {used}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn paths_are_found_however_they_are_written() {
    let text = "use super::super::super::hub::X; use crate::{api, sas::{Key}, query as q}; fn f() { tokio::spawn(g::<http::Uri>()); \
                super::super::view::Y; crate::device::run(); self::local::z(); }";
    let found = sources::paths("twin/plan/shape.rs", text);
    let set = |list: &str| list.split_whitespace().map(ToOwned::to_owned).collect::<BTreeSet<_>>();
    assert_eq!(found.modules, set("hub api sas query device"));
    assert_eq!(found.roots.intersection(&set("tokio http kube")).count(), 2, "{:?}", found.roots);
}

#[test]
fn files_that_decide_are_pure() {
    let program: BTreeMap<String, String> = sources::program().into_iter().collect();
    for file in PURE {
        let text = program.get(*file).unwrap_or_else(|| panic!("{file} is gone: correct the list"));
        for word in IMPURE {
            let found = sources::words(text).any(|(found, after)| match word.strip_suffix("()") {
                Some(called) => found == called && after.starts_with('('),
                None => found == *word,
            });
            assert!(!found, "{file} decides, and must not know {word}");
        }
    }
}

#[test]
fn every_module_is_in_the_map() {
    let map = std::fs::read_to_string(root().join("src/lib.rs")).expect("lib.rs is there");
    let declared = map.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    for module in declared {
        assert!(TABLE.iter().any(|row| row.module == module), "{module} is not in the table");
        let row = map.lines().find(|line| {
            line.starts_with(&format!("//! | [`{module}`]")) || line.starts_with(&format!("//! | `{module}`"))
        });
        let uses = row
            .and_then(|row| row.trim_end_matches('|').rsplit('|').next())
            .unwrap_or_else(|| panic!("{module} is not in the map"));
        let told: BTreeSet<&str> = uses.split('`').skip(1).step_by(2).collect();
        let ours = TABLE.iter().find(|row| row.module == module).expect("found above").modules;
        if ours != "*" {
            assert_eq!(
                told,
                ours.split_whitespace().collect(),
                "the map in src/lib.rs and this table differ on {module}"
            );
        }
    }
}

#[test]
fn every_reason_is_documented_and_no_other() {
    let page = std::fs::read_to_string(root().join("docs/conditions.md")).expect("docs/conditions.md is there");
    let (conditions, events) = page.split_once("\n## Events\n").expect("the page has a part on Events");
    let documented = |part: &str| -> Vec<String> {
        let reason = |line: &str| line.strip_prefix("| `")?.split_once("` |").map(|(reason, _)| reason.to_owned());
        part.lines().filter_map(reason).collect()
    };
    assert_eq!(documented(conditions), Reason::ALL.map(Reason::as_str), "docs/conditions.md, against Reason::ALL");
    assert_eq!(documented(events), EventReason::ALL.map(EventReason::as_str), "docs/conditions.md, Events");
    for reason in EventReason::ALL {
        let type_ = if reason.is_warning() { "Warning" } else { "Normal" };
        let row = format!("| `{}` | {type_} |", reason.as_str());
        assert!(events.contains(&row), "docs/conditions.md: {row}");
    }
}

#[test]
fn every_reason_has_a_test_that_sees_it() {
    let mut tests = String::new();
    for file in sources::files(&root().join("tests/it")) {
        if file.file_name().is_some_and(|name| name != "house.rs") {
            tests.push_str(&std::fs::read_to_string(&file).expect("a source is text"));
        }
    }
    // A condition is written `TYPE=STATUS REASON`; the table of a connection's troubles has the bare word.
    let seen = |reason: &Reason| {
        let reason = reason.as_str();
        ["True", "False", "Unknown"].iter().any(|status| tests.contains(&format!("={status} {reason}\"")))
            || tests.contains(&format!("\", \"{reason}\", \""))
    };
    let missing: Vec<_> = Reason::ALL.iter().filter(|reason| !seen(reason)).collect();
    assert!(missing.is_empty(), "no test in tests/it waits for {missing:?}");
    let told = |reason: &EventReason| tests.contains(&format!(", \"{}\")", reason.as_str()));
    let missing: Vec<_> = EventReason::ALL.iter().filter(|reason| !told(reason)).collect();
    assert!(missing.is_empty(), "no test in tests/it waits for an Event {missing:?}");
}

#[test]
fn the_lists_of_reasons_are_whole() {
    let listed = |file: &str, start: &str| -> Vec<String> {
        let source = std::fs::read_to_string(root().join(file)).expect("the source is there");
        let variants = source.split_once(start).expect("the list of reasons").1.split_once('}').expect("its end").0;
        let variants = variants.lines().map(str::trim).filter(|line| !line.starts_with("///"));
        variants.filter_map(|line| line.strip_suffix(',')).map(ToOwned::to_owned).collect()
    };
    assert_eq!(listed("src/api/conditions.rs", "pub enum Reason {"), Reason::ALL.map(Reason::as_str));
    assert_eq!(listed("src/api/events.rs", "pub enum EventReason {"), EventReason::ALL.map(EventReason::as_str));
}

#[test]
fn no_file_is_too_long() {
    for (folder, most) in [("src", 600), ("tests/it", 900)] {
        for file in sources::files(&root().join(folder)) {
            let lines = std::fs::read_to_string(&file).expect("a source is text").lines().count();
            assert!(lines <= most, "{} has {lines} lines; at most {most}", file.display());
            assert_ne!(file.file_name(), Some(Path::new("mod.rs").as_os_str()), "{}", file.display());
        }
    }
}

/// The crates that Cargo.toml names, as code writes them.
fn crates() -> BTreeSet<String> {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml is there");
    let mut section = "";
    let mut crates = BTreeSet::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line;
        } else if section.contains("dependencies")
            && let Some((name, _)) = line.split_once(" = ")
        {
            crates.insert(name.replace('-', "_"));
        }
    }
    assert!(crates.contains("serde_json"), "{crates:?}");
    crates
}
