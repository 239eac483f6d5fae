//! The rules that stand in the schemas as CEL, evaluated as the API server does when an object is made.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{JSONSchemaProps, JSONSchemaPropsOrArray};
use kube::core::cel::ErrorKind;
use serde_json::Value;

use super::super::read::Manifest;
use super::Faults;
use super::kinds::{Kind, Kinds};
use crate::twin::pointer::Pointer;

/// Tells each rule that does not hold.
pub(super) fn check(kinds: &Kinds, kind: &Kind, manifest: &Manifest, faults: &mut Faults<'_>) {
    let mut value = manifest.node.value();
    if let (Some(properties), Value::Object(members)) = (&kind.schema.properties, &mut value) {
        members
            .iter_mut()
            .for_each(|(key, member)| properties.get(key).into_iter().for_each(|schema| prune(schema, member)));
    }
    let Err(errors) = kinds.validator.validate_compiled(&kind.rules, &value, None) else { return };
    for error in errors.into_vec() {
        let at = pointer(&error.field_path);
        match error.kind {
            ErrorKind::ValidationFailure => faults.error(&at, error.message),
            _ => faults.error(&at, format!("the rule {:?} cannot be evaluated: {}", error.rule, error.message)),
        }
    }
}

/// Takes out what the API server drops: the nulls of fields that have a type.
fn prune(schema: &JSONSchemaProps, value: &mut Value) {
    match value {
        Value::Object(members) => {
            let properties = schema.properties.as_ref();
            let of = |key: &String| properties.and_then(|properties| properties.get(key));
            members.retain(|key, member| !(member.is_null() && of(key).is_some()));
            for (key, member) in members.iter_mut() {
                of(key).into_iter().for_each(|schema| prune(schema, member));
            }
        }
        Value::Array(items) => {
            if let Some(JSONSchemaPropsOrArray::Schema(schema)) = &schema.items {
                items.iter_mut().for_each(|item| prune(schema, item));
            }
        }
        _ => {}
    }
}

/// `spec.access[0].kinds` as a pointer; names in our schemas hold no dots.
fn pointer(path: &str) -> Pointer {
    let keys = path.split(['.', '[', ']']).filter(|key| !key.is_empty());
    keys.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_pointers() {
        assert_eq!(pointer("spec.access[0].kinds").to_string(), "/spec/access/0/kinds");
        assert_eq!(pointer(""), Pointer::root());
    }
}
