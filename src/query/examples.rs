//! Queries as back ends write them, over a small fleet.

use serde_json::{Value, json};

use super::parse;

fn devices() -> Vec<Value> {
    vec![
        json!({
            "deviceId": "pump-0001", "status": "enabled", "connectionState": "Connected",
            "lastActivityTime": "2024-12-31T23:59:59.5Z", "version": 4, "capabilities": {"iotEdge": false},
            "parentScopes": ["ms-azure-iot-edge://gw-9-638"],
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

fn modules() -> Vec<Value> {
    vec![
        json!({"deviceId": "gw-9", "moduleId": "$edgeAgent", "properties": {"desired": {}, "reported": {}}}),
        json!({"deviceId": "gw-9", "moduleId": "flow", "properties": {"desired": {}, "reported": {"state": "error"}}}),
        json!({"deviceId": "gw-8", "moduleId": "flow", "properties": {"desired": {}, "reported": {"state": "ok"}}}),
    ]
}

fn jobs() -> Vec<Value> {
    vec![
        json!({"deviceId": "pump-0042", "jobId": "job-77", "status": "failed", "createdDateTimeUtc": "2025-03-02T00:00:00Z"}),
        json!({"deviceId": "pump-0001", "jobId": "job-77", "status": "completed", "createdDateTimeUtc": "2025-03-02T00:00:00Z"}),
        json!({"deviceId": "pump-0042", "jobId": "job-12", "status": "completed", "createdDateTimeUtc": "2025-02-01T00:00:00Z"}),
    ]
}

/// The places, in the source, of the rows that a `SELECT *` returns.
fn picked(query: &str, rows: &[Value]) -> Vec<usize> {
    let answer = parse(query).unwrap_or_else(|error| panic!("{query}: {error}")).run(rows);
    answer.iter().map(|row| rows.iter().position(|source| source == row).unwrap()).collect()
}

fn answer(query: &str, rows: &[Value]) -> Value {
    Value::from(parse(query).unwrap_or_else(|error| panic!("{query}: {error}")).run(rows))
}

/// pump-0001 is 0, pump-0042 is 1, gw-9 is 2, test-1 is 3.
#[test]
fn whole_device_twins() {
    let cases: [(&str, &[usize]); 28] = [
        ("", &[0, 1, 2, 3]),
        ("WHERE deviceId = 'pump-0042'", &[1]),
        ("WHERE deviceId IN ['pump-0001','pump-0002']", &[0]),
        ("WHERE deviceId NIN ['pump-0001']", &[1, 2, 3]),
        ("WHERE STARTSWITH(deviceId, 'pump-')", &[0, 1]),
        ("WHERE NOT STARTSWITH(deviceId, 'test-')", &[0, 1, 2]),
        ("WHERE tags.site = 'rotterdam-7'", &[0, 1]),
        ("WHERE tags.geo.lat > 51.5 AND tags.geo.lat < 52.5", &[1]),
        ("WHERE tags.site = 'rotterdam-7' AND tags.critical = true", &[1]),
        ("WHERE tags.line IN [3, 4, 7]", &[0, 1]),
        ("WHERE is_defined(tags.owner)", &[0]),
        ("WHERE NOT is_defined(tags.owner)", &[1, 2, 3]),
        ("WHERE NOT is_defined(tags.kind) OR tags.kind != 'gateway'", &[0, 1, 3]),
        ("WHERE tags.[[group]].name = 'night-shift'", &[0]),
        ("WHERE status = 'enabled' AND connectionState = 'Connected'", &[0, 1]),
        ("WHERE capabilities.iotEdge = true", &[2]),
        ("WHERE properties.desired.firmware.version = '3.4.1'", &[0, 1]),
        ("WHERE properties.desired.firmware.version != properties.reported.firmware.version", &[1]),
        ("WHERE is_defined(properties.desired.firmware) AND NOT is_defined(properties.reported.firmware)", &[2]),
        ("WHERE properties.reported.firmware.state = 'failed' OR properties.reported.battery < 0x14", &[0, 1]),
        ("WHERE properties.desired.$version > 10", &[0]),
        ("WHERE properties.reported.lastDesiredVersion = properties.desired.$version", &[0]),
        ("WHERE lastActivityTime < '2025-01-01T00:00:00Z'", &[0, 2]),
        ("WHERE configurations.[[fw-3-4-1]].status = 'Applied'", &[0]),
        ("WHERE modelId = 'dtmi:acme:pump;2'", &[1]),
        ("WHERE array_contains(parentScopes, 'ms-azure-iot-edge://gw-9-638')", &[0]),
        ("WHERE devices.tags.site = 'lyon-2'", &[2]),
        ("WHERE tags.site = 'nowhere'", &[]),
    ];
    for (condition, expected) in cases {
        assert_eq!(picked(&format!("SELECT * FROM devices {condition}"), &devices()), expected, "{condition}");
    }
    assert_eq!(picked("SELECT TOP 2 * FROM devices", &devices()), [0, 1]);
    assert_eq!(picked("SELECT TOP 5 * FROM devices", &devices()), [0, 1, 2, 3]);
}

/// What the delta feed asks: a literal of whole seconds without suffix is at or before every timestamp of that second.
#[test]
fn changes_since_a_moment() {
    let since = |moment| {
        format!(
            "SELECT * FROM devices WHERE (properties.desired.$metadata.$lastUpdated >= '{moment}' \
             OR properties.reported.$metadata.$lastUpdated >= '{moment}')"
        )
    };
    assert_eq!(picked(&since("2025-03-04T09:14:02"), &devices()), [1]);
    assert_eq!(picked(&since("2025-03-04T09:14:03"), &devices()), [] as [usize; 0]);
    assert_eq!(picked(&since("2025-03-01T00:00:00"), &devices()), [1, 2, 3]);
}

#[test]
fn modules_and_jobs() {
    assert_eq!(picked("SELECT * FROM devices.modules", &modules()), [0, 1, 2]);
    assert_eq!(picked("SELECT * FROM devices.modules WHERE devices.deviceId = 'gw-9'", &modules()), [0, 1]);
    assert_eq!(
        answer(
            "SELECT deviceId, moduleId FROM devices.modules WHERE moduleId = 'flow' AND properties.reported.state = 'error'",
            &modules()
        ),
        json!([{"deviceId": "gw-9", "moduleId": "flow"}])
    );
    let of = |condition| picked(&format!("SELECT * FROM devices.jobs WHERE {condition}"), &jobs());
    assert_eq!(of("devices.jobs.jobId = 'job-77'"), [0, 1]);
    assert_eq!(of("devices.jobs.jobId = 'job-77' AND devices.jobs.status = 'failed'"), [0]);
    assert_eq!(of("devices.jobs.deviceId = 'pump-0042' AND devices.jobs.createdDateTimeUtc > '2025-03-01'"), [0]);
}

#[test]
fn projections() {
    let cases = [
        (
            "SELECT deviceId, properties.reported.$metadata.$lastUpdated AS seen FROM devices \
             WHERE properties.reported.$metadata.$lastUpdated < '2025-03-01'",
            json!([{"deviceId": "pump-0001", "seen": "2025-02-28T23:59:59.9999999Z"}]),
        ),
        (
            "SELECT deviceId, connectionState FROM devices WHERE tags.site = 'lyon-2'",
            json!([{"deviceId": "gw-9", "connectionState": "Disconnected"}]),
        ),
        (
            "SELECT deviceId, tags, properties.desired FROM devices WHERE deviceId = 'gw-9'",
            json!([{"deviceId": "gw-9", "tags": devices()[2]["tags"], "desired": devices()[2]["properties"]["desired"]}]),
        ),
        (
            "SELECT deviceId AS id, properties.reported.firmware.version AS fw FROM devices",
            json!([{"id": "pump-0001", "fw": "3.4.1"}, {"id": "pump-0042", "fw": "3.3.0"}, {"id": "gw-9"}, {"id": "test-1"}]),
        ),
        (
            "SELECT deviceId FROM devices WHERE array_contains(parentScopes, 'ms-azure-iot-edge://gw-9-638')",
            json!([{"deviceId": "pump-0001"}]),
        ),
    ];
    for (query, expected) in cases {
        assert_eq!(answer(query, &devices()), expected, "{query}");
    }
}

#[test]
fn aggregates() {
    let cases = [
        ("SELECT COUNT() AS n FROM devices", json!([{"n": 4}])),
        ("SELECT COUNT() AS n FROM devices WHERE connectionState = 'Connected'", json!([{"n": 2}])),
        (
            "SELECT tags.site AS site, COUNT() AS n FROM devices GROUP BY tags.site",
            json!([{"site": "rotterdam-7", "n": 2}, {"site": "lyon-2", "n": 1}, {"n": 1}]),
        ),
        (
            "SELECT properties.reported.firmware.version AS fw, COUNT() AS n FROM devices WHERE tags.kind = 'pump' \
             GROUP BY properties.reported.firmware.version",
            json!([{"fw": "3.4.1", "n": 1}, {"fw": "3.3.0", "n": 1}]),
        ),
        (
            "SELECT AVG(properties.reported.battery) AS avgBatt, MIN(properties.reported.battery) AS minBatt, \
             MAX(properties.reported.battery) AS maxBatt FROM devices WHERE tags.site = 'rotterdam-7'",
            json!([{"avgBatt": 47.5, "minBatt": 15, "maxBatt": 80}]),
        ),
        ("SELECT SUM(properties.reported.errors) AS errs FROM devices", json!([{"errs": 7}])),
    ];
    for (query, expected) in cases {
        assert_eq!(answer(query, &devices()), expected, "{query}");
    }
}
