//! The CustomResourceDefinitions as they stand in `crds/`.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt as _;
use serde_json::json;

use super::{ClusterHubConnection, DeviceTwin, HubConnection, TwinQuery};

/// All kinds, in the order in which a newcomer meets them.
#[must_use]
pub fn crds() -> Vec<CustomResourceDefinition> {
    [HubConnection::crd(), ClusterHubConnection::crd(), DeviceTwin::crd(), TwinQuery::crd()]
        .into_iter()
        .map(finished)
        .collect()
}

/// What derives cannot say: `status` starts at `observedGeneration: -1`, so that kstatus says InProgress before the first
/// look, and nothing is nullable: a field is there or left out.
fn finished(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut crd.spec.versions {
        let Some(root) = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut()) else {
            continue;
        };
        tidy(root);
        if let Some(status) = root.properties.as_mut().and_then(|properties| properties.get_mut("status")) {
            status.default = Some(JSON(json!({"observedGeneration": -1})));
        }
    }
    crd
}

fn tidy(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    for property in schema.properties.iter_mut().flat_map(|properties| properties.values_mut()) {
        tidy(property);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        tidy(items);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        tidy(values);
    }
}
