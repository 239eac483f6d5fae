//! The schema of a kind, as the API server applies it with strict validation.

use std::collections::HashMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use regex::Regex;
use serde_json::Value;

use super::super::node::{Content, Map, Node};
use super::super::read::Manifest;
use super::kinds::{Kind, Kinds};
use super::{Faults, pointer};
use crate::twin::pointer::Pointer;

/// The members that every object has.
const COMMON: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];

/// Tells what the schema refuses. Values are never shown: one in a wrong place may be a secret.
pub(super) fn check(kinds: &Kinds, kind: &Kind, manifest: &Manifest, faults: &mut Faults<'_>) {
    let Some(map) = manifest.node.map() else { return };
    for member in map.members.iter().filter(|member| !COMMON.contains(&member.key.text.as_str())) {
        unknown(&pointer(&[&member.key.text]), COMMON.into_iter(), faults);
    }
    if map.get("status").is_some() {
        faults.warning(&pointer(&["status"]), "kubectl apply passes status over: leave it out");
    }
    let spec = kind.schema.properties.as_ref().and_then(|properties| properties.get("spec"));
    match (spec, map.get("spec")) {
        (Some(schema), Some(node)) if !node.is_null() => {
            Walk { patterns: &kinds.patterns, faults }.value(schema, node, &pointer(&["spec"]));
        }
        (Some(_), _) => faults.error(&Pointer::root(), "spec is missing"),
        (None, _) => {}
    }
}

fn unknown<'a>(at: &Pointer, known: impl Iterator<Item = &'a str>, faults: &mut Faults<'_>) {
    let known: Vec<&str> = known.collect();
    faults.error(at, format!("unknown field; there are {}", known.join(", ")));
}

struct Walk<'f, 'a, 's> {
    patterns: &'s HashMap<String, Regex>,
    faults: &'f mut Faults<'a>,
}

impl Walk<'_, '_, '_> {
    fn value(&mut self, schema: &JSONSchemaProps, node: &Node, at: &Pointer) {
        let wanted = schema.type_.as_deref().unwrap_or_default();
        match &node.content {
            Content::Map(map) if wanted == "object" || wanted.is_empty() => self.object(schema, map, at),
            Content::List(items) if wanted == "array" => self.list(schema, items, at),
            Content::Scalar(scalar) if fits(wanted, &scalar.value) => self.scalar(schema, &scalar.value, at),
            content => {
                let hint = match content {
                    Content::Scalar(scalar) if wanted == "string" && !scalar.value.is_null() => ": quote it",
                    _ => "",
                };
                self.faults.error(at, format!("{} is expected, not {}{hint}", article(wanted), found(content)));
            }
        }
    }

    fn object(&mut self, schema: &JSONSchemaProps, map: &Map, at: &Pointer) {
        let properties = schema.properties.as_ref();
        for member in &map.members {
            let here = at.child(&member.key.text);
            let property = properties.and_then(|properties| properties.get(&member.key.text));
            let others = match &schema.additional_properties {
                Some(JSONSchemaPropsOrBool::Schema(schema)) => Some(&**schema),
                _ => None,
            };
            match property.or(others) {
                // The API server drops a null of a field that has a type.
                Some(_) if member.value.is_null() => {
                    self.faults.warning(&here, "null is as if it were not there: leave the key out");
                }
                Some(schema) => self.value(schema, &member.value, &here),
                None if schema.x_kubernetes_preserve_unknown_fields == Some(true) => {}
                None => {
                    let known = properties.into_iter().flat_map(|properties| properties.keys().map(String::as_str));
                    unknown(&here, known, self.faults);
                }
            }
        }
        for name in schema.required.iter().flatten() {
            if map.get(name).is_none_or(Node::is_null) {
                self.faults.error(at, format!("{name} is missing"));
            }
        }
        self.count(map.members.len(), schema.min_properties, schema.max_properties, "members", at);
    }

    fn list(&mut self, schema: &JSONSchemaProps, items: &[Node], at: &Pointer) {
        self.count(items.len(), schema.min_items, schema.max_items, "items", at);
        let Some(JSONSchemaPropsOrArray::Schema(schema)) = &schema.items else { return };
        for (index, item) in items.iter().enumerate() {
            self.value(schema, item, &at.child(&index.to_string()));
        }
    }

    fn scalar(&mut self, schema: &JSONSchemaProps, value: &Value, at: &Pointer) {
        if let Some(allowed) = &schema.enum_
            && !allowed.iter().any(|allowed| allowed.0 == *value)
        {
            let allowed: Vec<String> =
                allowed.iter().map(|allowed| allowed.0.as_str().map_or(allowed.0.to_string(), Into::into)).collect();
            self.faults.error(at, format!("one of {} is expected", allowed.join(", ")));
        }
        if let Some(text) = value.as_str() {
            self.count(text.chars().count(), schema.min_length, schema.max_length, "characters", at);
            if let Some(pattern) = &schema.pattern
                && self.patterns.get(pattern).is_some_and(|compiled| !compiled.is_match(text))
            {
                self.faults.error(at, format!("it does not match {pattern}"));
            }
        }
        if let Some(number) = value.as_f64() {
            if schema.minimum.is_some_and(|least| number < least) {
                self.faults.error(at, format!("{value}: at least {} is allowed", schema.minimum.unwrap_or_default()));
            }
            if schema.maximum.is_some_and(|most| number > most) {
                self.faults.error(at, format!("{value}: at most {} is allowed", schema.maximum.unwrap_or_default()));
            }
        }
    }

    fn count(&mut self, count: usize, least: Option<i64>, most: Option<i64>, what: &str, at: &Pointer) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        if let Some(least) = least.filter(|least| count < *least) {
            self.faults.error(at, format!("{count} {what}; at least {least} are needed"));
        }
        if let Some(most) = most.filter(|most| count > *most) {
            self.faults.error(at, format!("{count} {what}; at most {most} are allowed"));
        }
    }
}

fn fits(wanted: &str, value: &Value) -> bool {
    match wanted {
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "number" => value.is_number(),
        "" => true,
        _ => false,
    }
}

fn article(wanted: &str) -> &str {
    match wanted {
        "object" => "a map",
        "array" => "a list",
        "string" => "a text",
        "boolean" => "true or false",
        "integer" => "a whole number",
        _ => "a number",
    }
}

pub(super) fn found(content: &Content) -> &'static str {
    match content {
        Content::Map(_) => "a map",
        Content::List(_) => "a list",
        Content::Scalar(scalar) => match scalar.value {
            Value::String(_) => "a text",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            _ => "null",
        },
    }
}
