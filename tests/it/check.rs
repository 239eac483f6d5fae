//! `hubtwin check`: what it finds, how it says it, and that the API server would say the same.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::support::{Cluster, Ran, hubtwin, root};

fn check(arguments: &[&str], input: &str) -> Ran {
    let arguments: Vec<&str> = ["check"].iter().chain(arguments).copied().collect();
    hubtwin(&arguments, &BTreeMap::new(), input)
}

/// A folder of one's own with these files.
fn folder(files: &[(&str, &str)]) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("check-{:012x}", fastrand::u64(..1 << 48)));
    for (name, text) in files {
        let file = folder.join(name);
        std::fs::create_dir_all(file.parent().expect("it stands in the folder")).expect("the folder is made");
        std::fs::write(file, text).expect("the file is written");
    }
    folder
}

fn twin(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: hubtwin.dev/v1alpha1\nkind: DeviceTwin\nmetadata: {{name: {name}}}\nspec:\n  hubRef: {{name: plant-hub}}\n{spec}"
    )
}

/// `(line, severity, pointer, message)` of all findings.
fn found(input: &str) -> Vec<(u64, String, String, String)> {
    let ran = check(&["-o", "json", "-"], input);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}"));
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    let findings = report["findings"].as_array().expect("findings are a list").iter();
    findings
        .map(|finding| {
            let line = finding["line"].as_u64().expect("every finding has a line");
            (line, text(finding, "severity"), text(finding, "pointer"), text(finding, "message"))
        })
        .collect()
}

#[test]
fn a_finding_names_place_rule_figure_and_remedy() {
    let long = "x".repeat(4097);
    let text = twin(
        "pump",
        &format!(
            "  tags:\n    a.b: 1\n    long: {long}\n    none:\n  properties: {{desired: {{list: [1, 2], on: off}}}}\n"
        ),
    );
    let expected = [
        (
            7,
            "error",
            "/spec/tags/a.b",
            "the key holds '.'; keys hold no control characters, \".\", \"$\" or space: give it another name",
        ),
        (8, "error", "/spec/tags/long", "the string has 4097 bytes; at most 4096 are allowed: shorten it"),
        (9, "error", "/spec/tags/none", "null is no value; leave the key out to remove it"),
        (
            10,
            "warning",
            "/spec/properties/desired/list",
            "an array of 2; arrays are refused here, use an object, or allow them by allowArrays: true",
        ),
        (
            10,
            "warning",
            "/spec/properties/desired/true",
            "as a key: plain on is the boolean true: quote it to have the text, or write true",
        ),
        (
            10,
            "warning",
            "/spec/properties/desired/true",
            "plain off is the boolean false: quote it to have the text, or write false",
        ),
    ];
    let expected = expected
        .map(|(line, severity, pointer, message)| (line, severity.to_owned(), pointer.to_owned(), message.to_owned()));
    assert_eq!(found(&text), expected);
    let ran = check(&["-"], &text);
    let first = "standard input:7:5: error: /spec/tags/a.b: the key holds '.'; keys hold no control characters, \".\", \"$\" or \
                 space: give it another name (DeviceTwin pump)";
    assert_eq!(ran.printed(1).lines().next(), Some(first));
    assert!(
        ran.stdout.ends_with("1 object checked in 1 file, 0 of other kinds passed over: 3 errors, 3 warnings\n"),
        "{ran:?}"
    );
}

#[test]
fn exit_codes_are_for_pipelines() {
    let good = twin("pump", "  tags: {a: 1}\n");
    let odd = twin("pump", "  tags: {a: on}\n");
    assert_eq!(
        check(&["-"], &good).printed(0),
        "1 object checked in 1 file, 0 of other kinds passed over: 0 errors, 0 warnings\n"
    );
    check(&["--strict", "-"], &good).printed(0);
    check(&["-"], &odd).printed(0);
    check(&["--strict", "-"], &odd).printed(1);
    check(&["-"], "a: [").printed(1);
    for arguments in [&["/nonexistent/file.yaml"][..], &[], &["--no-such-flag"]] {
        let ran = check(arguments, "");
        assert!(ran.code == Some(2) && !ran.stderr.is_empty() && ran.stdout.is_empty(), "{arguments:?}: {ran:?}");
    }
    assert!(check(&["/nonexistent/file.yaml"], "").stderr.starts_with("hubtwin: read /nonexistent/file.yaml: "));
    let binary = folder(&[("empty/x.txt", "")]);
    std::fs::write(binary.join("b.yaml"), b"a: \xff").expect("the file is written");
    let ran = check(&[&binary.join("b.yaml").display().to_string()], "");
    assert!(ran.code == Some(2) && ran.stderr.contains("no UTF-8 from byte 3 on"), "{ran:?}");
    let ran = check(&[&binary.join("empty").display().to_string()], "");
    assert!(ran.code == Some(2) && ran.stderr.contains("no *.yaml"), "{ran:?}");
}

#[test]
fn folders_lists_and_rendered_charts_are_read() {
    let helm = format!(
        "---\n# Source: plant/templates/twin.yaml\n{}\n---\n# Source: plant/templates/none.yaml\n---\napiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\n",
        twin("pump", "  tagz: {}\n")
    );
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "hubtwin.dev/v1alpha1", "kind": "DeviceTwin", "metadata": {"name": "in-list"}, "spec": {}},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "other"}},
    ]});
    let files = folder(&[
        ("a/helm.yaml", helm.as_str()),
        ("b.json", &list.to_string()),
        ("c.yml", &twin("fine", "")),
        ("README.md", "{{ not a manifest }}"),
        (".git/x.yaml", "["),
    ]);
    let ran = check(&[&files.display().to_string()], "");
    let lines: Vec<&str> = ran.printed(1).lines().collect();
    assert_eq!(lines.len(), 3, "{ran:?}");
    assert!(
        lines[0].contains("a/helm.yaml:8:3: error: /spec/tagz: unknown field; there are ")
            && lines[0].ends_with("(DeviceTwin pump, from plant/templates/twin.yaml)"),
        "{ran:?}"
    );
    assert!(
        lines[1].contains("b.json:1:") && lines[1].contains("/spec: hubRef is missing (DeviceTwin in-list)"),
        "{ran:?}"
    );
    assert_eq!(lines[2], "3 objects checked in 3 files, 2 of other kinds passed over: 2 errors, 0 warnings");
}

#[test]
fn objects_are_checked_against_each_other() {
    let connection = |arrays: bool| {
        format!(
            "apiVersion: hubtwin.dev/v1alpha1\nkind: HubConnection\nmetadata: {{name: plant-hub}}\nspec: {{host: plant.azure-devices.net, tier: S1, \
             allowArrays: {arrays}, auth: {{connectionString: {{secretKeyRef: {{name: s, key: k}}}}}}}}\n"
        )
    };
    let array = twin("pump", "  tags: {list: [1]}\n");
    assert_eq!(found(&format!("{}---\n{array}", connection(true))), []);
    assert_eq!(found(&format!("{array}---\n{}", connection(false)))[0].1, "error");
    assert_eq!(found(&array)[0].1, "warning");

    let one = twin("one", "  deviceId: pump\n  tags: {a: {b: 1}, __t: c}\n");
    let other = |spec: &str| format!("{one}---\n{}", twin("two", &format!("  deviceId: pump\n{spec}")));
    assert_eq!(found(&other("  tags: {a: {c: 1}, __t: c}\n")), []);
    assert_eq!(found(&other("  mode: Observe\n  tags: {a: {b: 1}}\n")), []);
    let overlap = found(&other("  tags: {a: 1}\n"));
    assert_eq!((overlap.len(), overlap[0].2.as_str()), (1, "/spec/tags/a"), "{overlap:?}");
    assert!(overlap[0].3.contains("DeviceTwin one sets it too, at standard input:7"), "{overlap:?}");
    let twice = found(&format!("{one}---\n{one}"));
    assert!(twice.len() == 1 && twice[0].3.contains("was there before, at standard input:1"), "{twice:?}");
}

#[test]
fn secrets_are_not_shown() {
    let text = "apiVersion: hubtwin.dev/v1alpha1\nkind: HubConnection\nmetadata: {name: plant-hub}\nspec:\n  host: \
                HostName=x;SharedAccessKey=hunter2\n  tier: hunter2\n  auth: {connectionString: hunter2}\n---\napiVersion: v1\nkind: \
                Secret\nmetadata: {name: s}\nstringData: {connectionString: hunter2, x: [hunter2}\n";
    for output in ["text", "json"] {
        let ran = check(&["-o", output, "-"], text);
        assert_eq!(ran.code, Some(1));
        assert!(!ran.stdout.contains("hunter2") && !ran.stderr.contains("hunter2"), "{ran:?}");
    }
}

#[test]
fn the_examples_have_nothing_wrong() {
    for example in ["connection", "devicetwin", "devicetwin-telemetry", "devicetwin-firmware", "queries", "secret"] {
        let file = root().join(format!("crds/examples/{example}.yaml"));
        check(&["--strict", &file.display().to_string()], "").printed(0);
    }
}

/// Manifests that the API server refuses or takes, for their schema, their CEL rules or their metadata alone.
fn table() -> Vec<(&'static str, String)> {
    let spec = |spec: &str| twin("pump", spec);
    let object = |kind: &str, spec: &str| {
        format!("apiVersion: hubtwin.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: pump}}\nspec:\n{spec}")
    };
    let hub = |spec: &str| {
        object("HubConnection", &format!("  auth: {{connectionString: {{secretKeyRef: {{name: s, key: k}}}}}}\n{spec}"))
    };
    let query =
        |spec: &str| object("TwinQuery", &format!("  hubRef: {{name: h}}\n  query: SELECT * FROM devices\n{spec}"));
    let rows = vec![
        ("no spec fields", spec("")),
        ("unknown field", spec("  tagz: {}\n")),
        ("unknown field below", spec("  convergence: {timeouts: 5s}\n")),
        ("unknown field at the root", format!("{}extra: 1\n", spec(""))),
        ("unknown field of metadata", spec("").replace("{name: pump}", "{name: pump, lables: {}}")),
        ("enum", spec("  mode: manage\n")),
        ("boolean as text", spec("  suspend: \"true\"\n")),
        ("YAML 1.1 boolean", spec("  suspend: on\n")),
        ("number as id", spec("  deviceId: 5\n")),
        ("quoted number as id", spec("  deviceId: \"5\"\n")),
        ("id of dots", spec("  deviceId: \"..\"\n")),
        ("id with a slash", spec("  deviceId: a/b\n")),
        ("id with all that is allowed", spec("  deviceId: \"aZ0-:.+%_#*?!(),=@;$'\"\n")),
        ("long id", spec(&format!("  deviceId: {}\n", "x".repeat(129)))),
        ("longest id", spec(&format!("  deviceId: {}\n", "x".repeat(128)))),
        ("long name for an id", twin(&"x".repeat(129), "")),
        ("longest name", twin(&"x".repeat(128), "")),
        ("name in capitals", twin("Pump", "")),
        ("no name", spec("").replace("{name: pump}", "{}")),
        ("label as number", spec("").replace("{name: pump}", "{name: pump, labels: {v: 3.10}}")),
        ("label", spec("").replace("{name: pump}", "{name: pump, labels: {v: \"3.10\"}}")),
        ("bad label", spec("").replace("{name: pump}", "{name: pump, labels: {v: \"-\"}}")),
        ("annotation as boolean", spec("").replace("{name: pump}", "{name: pump, annotations: {v: on}}")),
        ("no hubRef", object("DeviceTwin", "  tags: {}\n")),
        ("hubRef without name", object("DeviceTwin", "  hubRef: {}\n")),
        ("hubRef null", object("DeviceTwin", "  hubRef: null\n")),
        ("null of a known field", spec("  mode: null\n  deviceId: null\n  tags: null\n  convergence: null\n")),
        ("tags as list", spec("  tags: [a]\n")),
        ("tags as text", spec("  tags: a\n")),
        ("short timeout", spec("  convergence: {timeout: 4s}\n")),
        ("long timeout", spec("  convergence: {timeout: 721h}\n")),
        ("least timeout", spec("  convergence: {timeout: 5s}\n")),
        ("no duration", spec("  convergence: {timeout: soon}\n")),
        ("duration as number", spec("  convergence: {timeout: 5}\n")),
        ("no pointer", spec("  convergence: {ignore: [a]}\n")),
        ("pointer with a wrong escape", spec("  convergence: {ignore: [/a~2]}\n")),
        ("null in a list", spec("  convergence: {ignore: [null]}\n")),
        ("too many pointers", spec(&format!("  mirror: {{reportedPaths: [{}]}}\n", vec!["/a"; 65].join(", ")))),
        ("most pointers", spec(&format!("  mirror: {{reportedPaths: [{}]}}\n", vec!["/a"; 64].join(", ")))),
        ("other version", spec("").replace("v1alpha1", "v1")),
        ("other kind", spec("").replace("DeviceTwin", "DeviceTwins")),
        ("hub", hub("  host: plant.azure-devices.net\n  tier: S1\n")),
        ("hub with port", hub("  host: localhost:8443\n  tier: F1\n")),
        ("hub without tier", hub("  host: a\n")),
        ("hub with a wrong tier", hub("  host: a\n  tier: B1\n")),
        ("no host", hub("  host: https://a\n  tier: S1\n")),
        ("hub without auth", object("HubConnection", "  host: a\n  tier: S1\n")),
        ("hub with empty auth", object("HubConnection", "  host: a\n  tier: S1\n  auth: {}\n")),
        (
            "two bundles",
            hub(
                "  host: a\n  tier: S1\n  caBundle: {secretKeyRef: {name: a, key: b}, configMapKeyRef: {name: a, key: b}}\n",
            ),
        ),
        ("no bundle", hub("  host: a\n  tier: S1\n  caBundle: {}\n")),
        ("quick poll", hub("  host: a\n  tier: S1\n  pollInterval: 1s\n")),
        ("no units", hub("  host: a\n  tier: S1\n  units: 0\n")),
        ("many units", hub("  host: a\n  tier: S3\n  units: 11\n")),
        ("greedy", hub("  host: a\n  tier: S1\n  budget: {percent: 101}\n")),
        ("query", query("")),
        ("no limit", query("  limit: 0\n")),
        ("limit", query("  limit: 1000\n")),
        ("high limit", query("  limit: 1001\n")),
        ("limit with a fraction", query("  limit: 1.5\n")),
        ("limit as a whole float", query("  limit: 10.0\n")),
        ("octal limit", query("  limit: 010\n")),
        ("quick query", query("  interval: 9s\n")),
        ("empty query", object("TwinQuery", "  hubRef: {name: h}\n  query: \"\"\n")),
        (
            "long query",
            object(
                "TwinQuery",
                &format!("  hubRef: {{name: h}}\n  query: SELECT * FROM devices WHERE a = '{}'\n", "x".repeat(8192)),
            ),
        ),
    ];
    rows
}

#[tokio::test]
async fn what_the_server_refuses_is_an_error_and_nothing_else() {
    let cluster = Cluster::new().await;
    let mut differs = Vec::new();
    for (what, text) in table() {
        let server = cluster.kubectl_with(&text, &["apply", "--dry-run=server", "-f", "-"]).await;
        let ours = check(&["-"], &text);
        if server.done != (ours.code == Some(0)) {
            differs.push(format!("{what}: the server says {} and we say {}", server.stderr, ours.stdout));
        }
    }
    assert!(differs.is_empty(), "{differs:#?}");
}
