//! The chart, as far as it can be told without helm: the kinds that it brings, and that every value is described.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use super::support::root;

#[test]
fn the_kinds_of_the_chart_are_those_of_the_program() {
    let files = |folder: &str| -> Vec<(String, String)> {
        let entries = fs::read_dir(root().join(folder)).expect("the folder is there");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        let mut files: Vec<_> = paths
            .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
            .map(|path| {
                let name = path.file_name().expect("a file").to_string_lossy().into_owned();
                (name, fs::read_to_string(&path).expect("a manifest is text"))
            })
            .collect();
        files.sort();
        files
    };
    let (ours, charts) = (files("crds"), files("charts/hubtwin/files/crds"));
    let differ = ours != charts;
    assert!(!differ, "they differ: run `cargo run -- crds --out charts/hubtwin/files/crds`");
    for (name, text) in charts {
        assert_eq!(text.matches("\nmetadata:\n").count(), 1, "{name}: the chart puts labels there");
        assert!(!text.contains("{{"), "{name}");
    }
}

#[test]
fn every_value_is_in_the_schema_with_a_description_and_no_other() {
    let folder = root().join("charts/hubtwin");
    let values = fs::read_to_string(folder.join("values.yaml")).expect("values are there");
    let values: Value = serde_saphyr::from_str(&values).expect("values are YAML");
    let schema = fs::read_to_string(folder.join("values.schema.json")).expect("the schema is there");
    let schema: Value = serde_json::from_str(&schema).expect("the schema is JSON");
    let mut wrong = Vec::new();
    compare("", &values, &schema, &mut wrong);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_page_on_gitops_has_the_health_check_of_the_chart() {
    let page = fs::read_to_string(root().join("docs/gitops.md")).expect("the page is there");
    let file = root().join("charts/hubtwin/files/argocd/health.lua");
    let check = fs::read_to_string(file).expect("the health check is there");
    assert!(page.contains(&format!("```lua\n{check}```")), "docs/gitops.md and health.lua differ");
}

/// Compares an object of values with its schema, and what is in it.
fn compare(at: &str, values: &Value, schema: &Value, wrong: &mut Vec<String>) {
    let Some(described) = schema["properties"].as_object() else { return };
    if schema["additionalProperties"] != Value::Bool(false) {
        wrong.push(format!("{at}: values that are not known would pass"));
    }
    let values = values.as_object().expect("described as an object");
    let keys: BTreeSet<&String> = values.keys().chain(described.keys()).collect();
    for key in keys {
        let name = format!("{at}.{key}");
        match (values.get(key), described.get(key)) {
            (Some(value), Some(schema)) => {
                if schema["description"].as_str().is_none_or(str::is_empty) {
                    wrong.push(format!("{name}: no description"));
                }
                compare(&name, value, schema, wrong);
            }
            (Some(_), None) => wrong.push(format!("{name}: not in the schema")),
            (None, _) if key == "global" => {}
            (None, _) => wrong.push(format!("{name}: not in values.yaml")),
        }
    }
}
