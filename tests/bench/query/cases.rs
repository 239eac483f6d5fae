//! What is asked, and how many rows are right.

use anyhow::Context as _;
use serde_json::Value;

use super::fleet::{registered, reported};

/// How to ask.
#[derive(Clone, Copy, Debug)]
pub enum Call {
    /// One twin by its name.
    Get,
    Query(&'static str),
}

/// What the right answer has.
#[derive(Clone, Copy, Debug)]
enum Right {
    One,
    /// A row for each twin with such tags and reported properties.
    Rows(fn(&Value, &Value) -> bool),
    /// One row whose `n` counts them.
    Count(fn(&Value, &Value) -> bool),
}

#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub name: &'static str,
    pub call: Call,
    right: Right,
}

const fn case(name: &'static str, text: &'static str, right: Right) -> Case {
    Case { name, call: Call::Query(text), right }
}

/// The floors first, which also open the connection.
pub const CASES: [Case; 7] = [
    Case { name: "floor: GET one twin", call: Call::Get, right: Right::One },
    case("floor: TOP 1", "SELECT TOP 1 * FROM devices", Right::One),
    case(
        "whole twins",
        "SELECT * FROM devices WHERE tags.site = 'site-07' AND tags.critical = true AND properties.reported.battery < 20",
        Right::Rows(urgent),
    ),
    case(
        "projection",
        "SELECT deviceId, tags.line AS line, properties.reported.firmware.version AS fw FROM devices \
         WHERE tags.site = 'site-07' AND tags.critical = true AND properties.reported.battery < 20",
        Right::Rows(urgent),
    ),
    case(
        "COUNT; each predicate holds for most twins",
        "SELECT COUNT() AS n FROM devices \
         WHERE properties.reported.firmware.state = 'idle' AND tags.line > 1 AND properties.reported.battery >= 10",
        Right::Count(|tags, reported| {
            reported["firmware"]["state"] == "idle" && tags["line"].as_u64() > Some(1) && battery(reported) >= Some(10)
        }),
    ),
    case(
        "no match; two predicates hold for all twins",
        "SELECT * FROM devices \
         WHERE tags.line > 0 AND properties.reported.battery >= 0 AND properties.desired.firmware.version = 'none'",
        Right::Rows(|_, _| false),
    ),
    case(
        "IS_DEFINED",
        "SELECT * FROM devices \
         WHERE IS_DEFINED(tags.owner) AND NOT IS_DEFINED(properties.reported.firmware.error) AND tags.site = 'site-07'",
        Right::Rows(|tags, reported| {
            tags.get("owner").is_some() && reported["firmware"].get("error").is_none() && tags["site"] == "site-07"
        }),
    ),
];

fn battery(reported: &Value) -> Option<u64> {
    reported["battery"].as_u64()
}

fn urgent(tags: &Value, reported: &Value) -> bool {
    tags["site"] == "site-07" && tags["critical"] == true && battery(reported) < Some(20)
}

impl Case {
    /// What the answer says.
    pub fn found(&self, answer: &Value) -> anyhow::Result<u64> {
        match (self.call, self.right) {
            (Call::Get, _) => Ok(answer.get("deviceId").iter().len() as u64),
            (_, Right::Count(_)) => answer[0]["n"].as_u64().context("no count"),
            _ => Ok(answer.as_array().context("no rows")?.len() as u64),
        }
    }

    /// What it should say, of this many twins.
    pub fn wanted(&self, twins: usize) -> u64 {
        match self.right {
            Right::One => 1,
            Right::Rows(picks) | Right::Count(picks) => {
                let picked = |number: &usize| picks(&registered(*number)["tags"], &reported(*number));
                (0..twins).filter(picked).count() as u64
            }
        }
    }
}
