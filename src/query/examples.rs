//! Queries as back ends write them, over a small fleet. The numbered ones are those that every change must keep.

use std::panic::catch_unwind;

use serde_json::Value;

use self::Expected::{Rows, Whole};
use super::{ItemType, Source, parse};

mod fleet;

/// What a query answers, in order.
#[derive(Clone, Copy, Debug)]
enum Expected {
    /// Whole rows of the source, by name.
    Whole(&'static [&'static str]),
    /// Rows that the query makes, as JSON.
    Rows(&'static str),
}

/// The rows of number 27: what a twin does not have is left out.
const SECTIONS: &str = r#"[
    {"deviceId": "pump-0001",
        "tags": {"site": "rotterdam-7", "line": 3, "critical": false, "kind": "pump", "owner": "ops",
            "geo": {"lat": 51.2, "lon": 4.4}, "group": {"name": "night-shift"}},
        "desired": {"firmware": {"version": "3.4.1"}, "$metadata": {"$lastUpdated": "2025-01-01T00:00:00Z"}, "$version": 12}},
    {"deviceId": "pump-0042",
        "tags": {"site": "rotterdam-7", "line": 4, "critical": true, "kind": "pump", "geo": {"lat": 51.95, "lon": 4.14}},
        "desired": {"firmware": {"version": "3.4.1"}, "$metadata": {"$lastUpdated": "2025-03-04T09:14:02.5512309Z"},
            "$version": 3}},
    {"deviceId": "gw-9",
        "tags": {"site": "lyon-2", "kind": "gateway"},
        "desired": {"firmware": {"version": "1.0"}, "$metadata": {"$lastUpdated": "2025-03-01T00:00:00Z"}, "$version": 2}},
    {"deviceId": "test-1",
        "desired": {"$metadata": {"$lastUpdated": "2025-03-03T00:00:00Z"}, "$version": 1}}
]"#;

const EXAMPLES: [(usize, &str, Expected); 43] = [
    (1, "SELECT * FROM devices", Whole(&["pump-0001", "pump-0042", "gw-9", "test-1"])),
    (2, "SELECT TOP 5 * FROM devices", Whole(&["pump-0001", "pump-0042", "gw-9", "test-1"])),
    (3, "SELECT * FROM devices WHERE deviceId = 'pump-0042'", Whole(&["pump-0042"])),
    (4, "SELECT * FROM devices WHERE deviceId IN ['pump-0001','pump-0002']", Whole(&["pump-0001"])),
    (5, "SELECT * FROM devices WHERE deviceId NIN ['pump-0001']", Whole(&["pump-0042", "gw-9", "test-1"])),
    (6, "SELECT * FROM devices WHERE STARTSWITH(deviceId, 'pump-')", Whole(&["pump-0001", "pump-0042"])),
    (7, "SELECT * FROM devices WHERE NOT STARTSWITH(deviceId, 'test-')", Whole(&["pump-0001", "pump-0042", "gw-9"])),
    (8, "SELECT * FROM devices WHERE tags.site = 'rotterdam-7'", Whole(&["pump-0001", "pump-0042"])),
    (9, "SELECT * FROM devices WHERE tags.geo.lat > 51.5 AND tags.geo.lat < 52.5", Whole(&["pump-0042"])),
    (10, "SELECT * FROM devices WHERE tags.site = 'rotterdam-7' AND tags.critical = true", Whole(&["pump-0042"])),
    (11, "SELECT * FROM devices WHERE tags.line IN [3, 4, 7]", Whole(&["pump-0001", "pump-0042"])),
    (12, "SELECT * FROM devices WHERE is_defined(tags.owner)", Whole(&["pump-0001"])),
    (13, "SELECT * FROM devices WHERE NOT is_defined(tags.owner)", Whole(&["pump-0042", "gw-9", "test-1"])),
    (
        14,
        "SELECT * FROM devices WHERE NOT is_defined(tags.kind) OR tags.kind != 'gateway'",
        Whole(&["pump-0001", "pump-0042", "test-1"]),
    ),
    (15, "SELECT * FROM devices WHERE tags.[[group]].name = 'night-shift'", Whole(&["pump-0001"])),
    (
        16,
        "SELECT * FROM devices WHERE status = 'enabled' AND connectionState = 'Connected'",
        Whole(&["pump-0001", "pump-0042"]),
    ),
    (17, "SELECT * FROM devices WHERE capabilities.iotEdge = true", Whole(&["gw-9"])),
    (
        18,
        "SELECT * FROM devices WHERE properties.desired.firmware.version = '3.4.1'",
        Whole(&["pump-0001", "pump-0042"]),
    ),
    (
        19,
        "SELECT * FROM devices WHERE properties.desired.firmware.version != \
         properties.reported.firmware.version",
        Whole(&["pump-0042"]),
    ),
    (
        20,
        "SELECT * FROM devices WHERE is_defined(properties.desired.firmware) AND NOT \
         is_defined(properties.reported.firmware)",
        Whole(&["gw-9"]),
    ),
    (
        21,
        "SELECT * FROM devices WHERE properties.reported.firmware.state = 'failed' OR \
         properties.reported.battery < 0x14",
        Whole(&["pump-0001", "pump-0042"]),
    ),
    (22, "SELECT * FROM devices WHERE properties.desired.$version > 10", Whole(&["pump-0001"])),
    (
        23,
        "SELECT * FROM devices WHERE properties.reported.lastDesiredVersion = properties.desired.$version",
        Whole(&["pump-0001"]),
    ),
    (
        24,
        "SELECT deviceId, properties.reported.$metadata.$lastUpdated AS seen FROM devices WHERE \
         properties.reported.$metadata.$lastUpdated < '2025-03-01'",
        Rows(r#"[{"deviceId": "pump-0001", "seen": "2025-02-28T23:59:59.9999999Z"}]"#),
    ),
    (25, "SELECT * FROM devices WHERE lastActivityTime < '2025-01-01T00:00:00Z'", Whole(&["pump-0001", "gw-9"])),
    (
        26,
        "SELECT deviceId, connectionState FROM devices WHERE tags.site = 'lyon-2'",
        Rows(r#"[{"deviceId": "gw-9", "connectionState": "Disconnected"}]"#),
    ),
    (27, "SELECT deviceId, tags, properties.desired FROM devices", Rows(SECTIONS)),
    (
        28,
        "SELECT deviceId AS id, properties.reported.firmware.version AS fw FROM devices",
        Rows(
            r#"[{"id": "pump-0001", "fw": "3.4.1"}, {"id": "pump-0042", "fw": "3.3.0"}, {"id": "gw-9"},
            {"id": "test-1"}]"#,
        ),
    ),
    (29, "SELECT COUNT() AS n FROM devices", Rows(r#"[{"n": 4}]"#)),
    (30, "SELECT COUNT() AS n FROM devices WHERE connectionState = 'Connected'", Rows(r#"[{"n": 2}]"#)),
    (
        31,
        "SELECT tags.site AS site, COUNT() AS n FROM devices GROUP BY tags.site",
        Rows(r#"[{"site": "rotterdam-7", "n": 2}, {"site": "lyon-2", "n": 1}, {"n": 1}]"#),
    ),
    (
        32,
        "SELECT properties.reported.firmware.version AS fw, COUNT() AS n FROM devices WHERE tags.kind \
         = 'pump' GROUP BY properties.reported.firmware.version",
        Rows(r#"[{"fw": "3.4.1", "n": 1}, {"fw": "3.3.0", "n": 1}]"#),
    ),
    (
        33,
        "SELECT AVG(properties.reported.battery) AS avgBatt, MIN(properties.reported.battery) AS \
         minBatt, MAX(properties.reported.battery) AS maxBatt FROM devices WHERE tags.site = 'lyon-2'",
        Rows(r#"[{"avgBatt": 40.5, "minBatt": 40.5, "maxBatt": 40.5}]"#),
    ),
    (34, "SELECT SUM(properties.reported.errors) AS errs FROM devices", Rows(r#"[{"errs": 7}]"#)),
    (35, "SELECT * FROM devices WHERE configurations.[[fw-3-4-1]].status = 'Applied'", Whole(&["pump-0001"])),
    (36, "SELECT * FROM devices.modules", Whole(&["gw-9/$edgeAgent", "gw-9/flow", "gw-8/flow"])),
    (37, "SELECT * FROM devices.modules WHERE devices.deviceId = 'gw-9'", Whole(&["gw-9/$edgeAgent", "gw-9/flow"])),
    (
        38,
        "SELECT deviceId, moduleId FROM devices.modules WHERE moduleId = 'flow' AND \
         properties.reported.state = 'error'",
        Rows(r#"[{"deviceId": "gw-9", "moduleId": "flow"}]"#),
    ),
    (
        39,
        "SELECT deviceId FROM devices WHERE array_contains(parentScopes, \
         'ms-azure-iot-edge://gw-9-638465328000000000')",
        Rows(r#"[{"deviceId": "pump-0001"}]"#),
    ),
    (40, "SELECT * FROM devices WHERE modelId = 'dtmi:acme:pump;2'", Whole(&["pump-0042"])),
    (
        41,
        "SELECT * FROM devices.jobs WHERE devices.jobs.jobId = 'job-77'",
        Whole(&["pump-0042/job-77", "pump-0001/job-77"]),
    ),
    (
        42,
        "SELECT * FROM devices.jobs WHERE devices.jobs.jobId = 'job-77' AND devices.jobs.status = \
         'failed'",
        Whole(&["pump-0042/job-77"]),
    ),
    (
        43,
        "SELECT * FROM devices.jobs WHERE devices.jobs.deviceId = 'pump-0042' AND \
         devices.jobs.createdDateTimeUtc > '2025-03-01'",
        Whole(&["pump-0042/job-77"]),
    ),
];

/// The name of a whole row: `device`, `device/module` or `device/job`.
fn name(row: &Value) -> String {
    let device = row["deviceId"].as_str().unwrap();
    match row.get("moduleId").or(row.get("jobId")) {
        Some(part) => format!("{device}/{}", part.as_str().unwrap()),
        None => device.to_owned(),
    }
}

fn check(text: &str, expected: Expected) {
    let query = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let rows = match query.source() {
        Source::Devices => fleet::devices(),
        Source::Modules => fleet::modules(),
        Source::Jobs => fleet::jobs(),
    };
    let answer = query.run(&rows);
    match expected {
        Whole(names) => {
            assert_eq!(answer.iter().map(name).collect::<Vec<_>>(), names, "{text}");
            assert!(answer.iter().all(|row| rows.contains(row)), "whole rows: {text}");
            assert_ne!(query.item_type(), ItemType::Raw, "{text}");
        }
        Rows(json) => {
            assert_eq!(Value::from(answer), serde_json::from_str::<Value>(json).unwrap(), "{text}");
            assert_eq!(query.item_type(), ItemType::Raw, "{text}");
        }
    }
}

#[test]
fn numbered_examples() {
    let wrong: Vec<usize> = EXAMPLES
        .iter()
        .filter(|(_, text, expected)| catch_unwind(|| check(text, *expected)).is_err())
        .map(|(number, ..)| *number)
        .collect();
    assert!(wrong.is_empty(), "wrong are the numbers {wrong:?}; see above");
}

#[test]
fn every_number_is_there_once() {
    assert!(EXAMPLES.iter().map(|(number, ..)| *number).eq(1..=43));
    let mut texts: Vec<_> = EXAMPLES.iter().map(|(_, text, _)| text).collect();
    texts.sort_unstable();
    texts.dedup();
    assert_eq!(texts.len(), EXAMPLES.len(), "two are the same");
}

/// Ways to write them that the numbered ones do not show.
#[test]
fn more_examples() {
    check("SELECT TOP 2 * FROM devices", Whole(&["pump-0001", "pump-0042"]));
    check("SELECT * FROM devices WHERE devices.tags.site = 'lyon-2'", Whole(&["gw-9"]));
    check("SELECT * FROM devices WHERE tags.site = 'nowhere'", Whole(&[]));
    check(
        "SELECT AVG(properties.reported.battery) AS avgBatt, MIN(properties.reported.battery) AS minBatt, \
         MAX(properties.reported.battery) AS maxBatt FROM devices WHERE tags.site = 'rotterdam-7'",
        Rows(r#"[{"avgBatt": 47.5, "minBatt": 15, "maxBatt": 80}]"#),
    );
}

/// What the delta feed asks: a literal of whole seconds without suffix is at or before every timestamp of that second.
#[test]
fn changes_since_a_moment() {
    let since = |moment, names| {
        check(
            &format!(
                "SELECT * FROM devices WHERE (properties.desired.$metadata.$lastUpdated >= '{moment}' \
                 OR properties.reported.$metadata.$lastUpdated >= '{moment}')"
            ),
            Whole(names),
        );
    };
    since("2025-03-04T09:14:02", &["pump-0042"]);
    since("2025-03-04T09:14:03", &[]);
    since("2025-03-01T00:00:00", &["pump-0042", "gw-9", "test-1"]);
}
