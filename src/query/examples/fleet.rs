//! The rows that the examples run over.

use serde_json::{Value, json};

pub(super) fn devices() -> Vec<Value> {
    vec![
        json!({
            "deviceId": "pump-0001", "status": "enabled", "connectionState": "Connected",
            "lastActivityTime": "2024-12-31T23:59:59.5Z", "version": 4, "capabilities": {"iotEdge": false},
            "parentScopes": ["ms-azure-iot-edge://gw-9-638465328000000000"],
            "tags": {"site": "rotterdam-7", "line": 3, "critical": false, "kind": "pump", "owner": "ops",
                "geo": {"lat": 51.2, "lon": 4.4}, "group": {"name": "night-shift"}},
            "properties": {
                "desired": {"firmware": {"version": "3.4.1"}, "$metadata": {"$lastUpdated": "2025-01-01T00:00:00Z"}, "$version": 12},
                "reported": {"firmware": {"version": "3.4.1", "state": "idle"}, "battery": 15, "errors": 2,
                    "lastDesiredVersion": 12, "$metadata": {"$lastUpdated": "2025-02-28T23:59:59.9999999Z"}, "$version": 8}
            },
            "configurations": {"fw-3-4-1": {"status": "Applied"}},
        }),
        json!({
            "deviceId": "pump-0042", "status": "enabled", "connectionState": "Connected",
            "lastActivityTime": "2025-03-04T09:15:22.1837422Z", "modelId": "dtmi:acme:pump;2", "version": 7,
            "capabilities": {"iotEdge": false},
            "tags": {"site": "rotterdam-7", "line": 4, "critical": true, "kind": "pump", "geo": {"lat": 51.95, "lon": 4.14}},
            "properties": {
                "desired": {"firmware": {"version": "3.4.1"}, "$metadata": {"$lastUpdated": "2025-03-04T09:14:02.5512309Z"}, "$version": 3},
                "reported": {"firmware": {"version": "3.3.0", "state": "failed"}, "battery": 80, "lastDesiredVersion": 2,
                    "$metadata": {"$lastUpdated": "2025-03-02T06:00:00.4411Z"}, "$version": 3}
            },
            "configurations": {"fw-3-4-1": {"status": "Targeted"}},
        }),
        json!({
            "deviceId": "gw-9", "status": "enabled", "connectionState": "Disconnected",
            "lastActivityTime": "0001-01-01T00:00:00Z", "version": 2, "capabilities": {"iotEdge": true},
            "tags": {"site": "lyon-2", "kind": "gateway"},
            "properties": {
                "desired": {"firmware": {"version": "1.0"}, "$metadata": {"$lastUpdated": "2025-03-01T00:00:00Z"}, "$version": 2},
                "reported": {"battery": 40.5, "errors": 5, "$metadata": {"$lastUpdated": "2025-03-01T00:00:00Z"}, "$version": 1}
            },
        }),
        json!({
            "deviceId": "test-1", "status": "disabled", "connectionState": "Disconnected",
            "lastActivityTime": "2025-01-01T00:00:00Z", "version": 2, "capabilities": {"iotEdge": false},
            "properties": {
                "desired": {"$metadata": {"$lastUpdated": "2025-03-03T00:00:00Z"}, "$version": 1},
                "reported": {"$metadata": {"$lastUpdated": "2025-03-03T00:00:00Z"}, "$version": 1}
            },
        }),
    ]
}

pub(super) fn modules() -> Vec<Value> {
    vec![
        json!({"deviceId": "gw-9", "moduleId": "$edgeAgent", "properties": {"desired": {}, "reported": {}}}),
        json!({"deviceId": "gw-9", "moduleId": "flow", "properties": {"desired": {}, "reported": {"state": "error"}}}),
        json!({"deviceId": "gw-8", "moduleId": "flow", "properties": {"desired": {}, "reported": {"state": "ok"}}}),
    ]
}

pub(super) fn jobs() -> Vec<Value> {
    vec![
        json!({"deviceId": "pump-0042", "jobId": "job-77", "status": "failed", "createdDateTimeUtc": "2025-03-02T00:00:00Z"}),
        json!({"deviceId": "pump-0001", "jobId": "job-77", "status": "completed", "createdDateTimeUtc": "2025-03-02T00:00:00Z"}),
        json!({"deviceId": "pump-0042", "jobId": "job-12", "status": "completed", "createdDateTimeUtc": "2025-02-01T00:00:00Z"}),
    ]
}
