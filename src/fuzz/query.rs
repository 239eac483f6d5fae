//! Query texts: parse, write, parse again, evaluate.

use serde_json::{Value, json};

use crate::query::{self, MAX_CHARACTERS};

fn rows() -> [Value; 3] {
    let twin = json!({
        "deviceId": "d-1", "etag": "AAAAAAAAAAE=", "version": 3, "status": "enabled", "parentScopes": ["a", 1, null],
        "lastActivityTime": "2026-11-22T09:14:02.1234567Z", "capabilities": {"iotEdge": false},
        "x509Thumbprint": {"primaryThumbprint": null, "secondaryThumbprint": null},
        "tags": {"a": 1, "b": "x", "c": {"a": true}, "": 2.5, "group": [1, 2]},
        "properties": {
            "desired": {"a": 1, "$version": 2, "$metadata": {"$lastUpdated": "2026-11-22T09:14:02Z"}},
            "reported": {"a": -0.0, "big": i64::MAX, "$version": 1}
        },
        "configurations": {"c-1": {"status": "Applied"}},
    });
    let module = json!({"deviceId": "d-1", "moduleId": "m", "tags": {"a": "1", "b": null}, "properties": {}});
    [twin, module, json!({"deviceId": "d-2"})]
}

/// No text panics; a query that is written parses back to itself and answers the same; a mistake has its place in the text.
pub fn query(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let rows = rows();
    match query::parse(text) {
        Ok(parsed) => {
            let answer = parsed.run(&rows);
            assert!(answer.len() <= rows.len(), "more rows than there are");
            let written = parsed.to_string();
            if written.chars().count() <= MAX_CHARACTERS {
                let again = query::parse(&written).unwrap_or_else(|error| panic!("{text:?} as {written:?}: {error}"));
                assert_eq!(again, parsed, "{text:?} as {written:?}");
                assert_eq!(again.run(&rows), answer, "{written:?}");
            }
        }
        Err(error) => {
            let lines: Vec<&str> = text.split('\n').collect();
            let line = lines.get(error.line - 1).unwrap_or_else(|| panic!("{text:?}: {error}"));
            assert!(error.column >= 1 && error.column <= line.chars().count() + 1, "{text:?}: {error}");
            assert!(error.to_string().chars().count() <= 400, "{text:?}: a long message: {error}");
        }
    }
}
