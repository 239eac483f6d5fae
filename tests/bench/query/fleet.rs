//! Twins as a plant has them: the values differ from device to device, and are the same in each run.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde_json::{Value, json};

const KINDS: [&str; 4] = ["pump", "valve", "gateway", "sensor"];
const VERSIONS: [&str; 4] = ["3.3.0", "3.4.0", "3.4.1", "3.5.0"];

/// Picks one of `choices`; another `salt` picks without regard to the first.
fn pick(number: usize, salt: usize, choices: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    (number, salt).hash(&mut hasher);
    usize::try_from(hasher.finish() % choices as u64).unwrap_or_default()
}

fn version(number: usize, salt: usize) -> &'static str {
    VERSIONS[pick(number, salt, VERSIONS.len())]
}

/// Tags and desired properties.
pub fn registered(number: usize) -> Value {
    let degrees = |from: f64, salt| from + f64::from(u8::try_from(pick(number, salt, 100)).unwrap_or(0)) / 100.0;
    let mut tags = json!({
        "site": format!("site-{:02}", pick(number, 1, 20)),
        "line": 1 + pick(number, 2, 8),
        "critical": pick(number, 3, 4) == 0,
        "kind": KINDS[pick(number, 4, KINDS.len())],
        "geo": {"lat": degrees(51.2, 5), "lon": degrees(4.4, 6)},
        "installed": "2024-11-05",
    });
    if pick(number, 7, 10) == 0 {
        tags["owner"] = json!("ops-night");
    }
    let desired = json!({
        "firmware": {"version": version(number, 8), "source": "https://updates.example/pump/image.bin", "window": "02:00/PT2H"},
        "sampling": {"intervalSeconds": 10, "channels": {"pressure": true, "flow": true, "temperature": pick(number, 9, 2) == 0}},
        "limits": {"pressure": {"low": 0.8, "high": 4.5}, "flow": {"low": 2, "high": 60}},
        "logLevel": "warn",
    });
    json!({"tags": tags, "properties": {"desired": desired}})
}

/// Reported properties.
pub fn reported(number: usize) -> Value {
    let failed = pick(number, 10, 8) == 0;
    let mut firmware =
        json!({"version": version(number, 11), "state": if failed { "failed" } else { "idle" }, "slot": "a"});
    if failed {
        firmware["error"] = json!("checksum");
    }
    json!({
        "firmware": firmware,
        "battery": pick(number, 12, 101),
        "network": {"type": "cellular", "rssi": -51, "address": format!("10.0.{}.{}", number / 250, number % 250)},
        "environment": {"temperature": 21.5, "humidity": 40},
        "sampling": {"intervalSeconds": 10},
        "lastDesiredVersion": 1,
        "started": "2025-03-04T09:14:02Z",
    })
}
