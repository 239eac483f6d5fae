//! The kinds that there are, with their schemas as the API server has them.

use std::collections::HashMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::core::cel::{CompiledSchema, Validator, compile_schema};
use regex::Regex;
use serde_json::json;

use super::super::read::Manifest;
use super::{Faults, pointer};
use crate::api::crds;

/// The group of our kinds.
const GROUP: &str = "hubtwin.dev";

/// Every kind of ours, and what is needed to judge by its schema; made once, for it costs more than an object.
#[derive(Debug)]
pub struct Kinds {
    kinds: Vec<Kind>,
    /// The patterns of all schemas.
    pub(super) patterns: HashMap<String, Regex>,
    pub(super) validator: Validator,
}

/// One kind in one version.
#[derive(Debug)]
pub(super) struct Kind {
    name: String,
    version: String,
    namespaced: bool,
    pub(super) schema: JSONSchemaProps,
    pub(super) rules: CompiledSchema,
}

impl Kinds {
    /// Reads the schemas.
    #[must_use]
    pub fn new() -> Self {
        let (mut kinds, mut patterns) = (Vec::new(), HashMap::new());
        for crd in crds() {
            for version in crd.spec.versions.into_iter().filter(|version| version.served) {
                let Some(schema) = version.schema.and_then(|schema| schema.open_api_v3_schema) else { continue };
                let rules = compile_schema(&json!(schema));
                collect(&schema, &mut patterns);
                kinds.push(Kind {
                    name: crd.spec.names.kind.clone(),
                    version: format!("{}/{}", crd.spec.group, version.name),
                    namespaced: crd.spec.scope == "Namespaced",
                    schema,
                    rules,
                });
            }
        }
        Self { kinds, patterns, validator: Validator::new() }
    }

    /// Whether an object is of our group, or of one of our kinds and of no group.
    #[must_use]
    pub fn ours(&self, manifest: &Manifest) -> bool {
        let version = manifest.text(&["apiVersion"]);
        manifest.group() == GROUP || version.is_empty() && self.kinds.iter().any(|kind| kind.name == manifest.kind())
    }

    /// The kind of an object; tells when there is none.
    pub(super) fn get(&self, manifest: &Manifest, faults: &mut Faults<'_>) -> Option<&Kind> {
        let version = manifest.text(&["apiVersion"]);
        let found = self.kinds.iter().find(|kind| kind.name == manifest.kind() && kind.version == version);
        match found {
            None if self.kinds.iter().any(|kind| kind.name == manifest.kind()) => {
                let served: Vec<&str> = self.versions(manifest.kind()).collect();
                faults.error(
                    &pointer(&["apiVersion"]),
                    format!("{} is served as {}", manifest.kind(), served.join(", ")),
                );
            }
            None => {
                let known: Vec<&str> = self.kinds.iter().map(|kind| kind.name.as_str()).collect();
                faults.error(&pointer(&["kind"]), format!("no such kind; there are {}", known.join(", ")));
            }
            Some(kind) if !kind.namespaced && !manifest.namespace().is_empty() => {
                faults.error(
                    &pointer(&["metadata", "namespace"]),
                    format!("a {} stands in no namespace: leave it out", kind.name),
                );
            }
            Some(_) => {}
        }
        found
    }

    fn versions<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a str> {
        self.kinds.iter().filter(move |found| found.name == kind).map(|found| found.version.as_str())
    }
}

impl Default for Kinds {
    fn default() -> Self {
        Self::new()
    }
}

fn collect(schema: &JSONSchemaProps, patterns: &mut HashMap<String, Regex>) {
    if let Some(pattern) = &schema.pattern {
        let compiled =
            Regex::new(pattern).expect("every check reads all of our own patterns, so a test would have failed");
        patterns.insert(pattern.clone(), compiled);
    }
    for property in schema.properties.iter().flat_map(|properties| properties.values()) {
        collect(property, patterns);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
        collect(items, patterns);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &schema.additional_properties {
        collect(values, patterns);
    }
}
