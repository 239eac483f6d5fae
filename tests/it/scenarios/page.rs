//! A scenario as a page: text, and fenced blocks of YAML that say what they are after the word `yaml`.

use std::fmt;

use serde_json::Value;

use super::yaml::block;

/// The page, piece by piece.
#[derive(Clone, Debug)]
pub struct Page(pub Vec<Piece>);

#[derive(Clone, Debug)]
pub enum Piece {
    /// Lines for the reader.
    Text(String),
    /// Something that happens, as it is written.
    Step { what: What, text: String, value: Value },
    /// What came of it.
    Result(Value),
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// `device`: `{id, tags, desired}`: a device or module (`DEVICE/MODULE`) is registered, and a back end writes to it.
    Device,
    /// `apply`: a manifest.
    Apply,
    /// `back-end`: `{id, tags, desired}`: another back end sends a merge patch.
    BackEnd,
    /// `configuration`: `{name, id, desired}`: an automatic configuration of the hub sets desired properties.
    Configuration,
    /// `report`: `{id, reported}`: the device connects, reports a merge patch, and leaves again.
    Report,
    /// `delete`: `{name}`: the DeviceTwin is deleted.
    Delete,
    /// `forget`: `{id}`: the hub forgets the device.
    Forget,
    /// `connection`: fields of the HubConnection's spec.
    Connection,
}

impl What {
    const ALL: [(&'static str, Self); 8] = [
        ("device", Self::Device),
        ("apply", Self::Apply),
        ("back-end", Self::BackEnd),
        ("configuration", Self::Configuration),
        ("report", Self::Report),
        ("delete", Self::Delete),
        ("forget", Self::Forget),
        ("connection", Self::Connection),
    ];

    fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, what)| *what == self).expect("all are in the list").0
    }
}

impl Page {
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let Some(word) = line.strip_prefix("```yaml ") else {
                pieces.push(Piece::Text(line.to_owned()));
                continue;
            };
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            let text = block.join("\n");
            let value = if text.trim().is_empty() {
                Value::Null
            } else {
                serde_saphyr::from_str(&text).map_err(|error| format!("{word}: {error}"))?
            };
            if word == "result" {
                pieces.push(Piece::Result(value));
            } else {
                let what = What::ALL.iter().find(|(known, _)| *known == word);
                let (_, what) = what.ok_or_else(|| format!("{word} is no step"))?;
                pieces.push(Piece::Step { what: *what, text, value });
            }
        }
        if !matches!(pieces.last(), Some(Piece::Result(_))) {
            return Err("the last block is a result".to_owned());
        }
        Ok(Self(pieces))
    }
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in &self.0 {
            match piece {
                Piece::Text(line) => writeln!(f, "{line}")?,
                Piece::Step { what, text, .. } => writeln!(f, "```yaml {}\n{text}\n```", what.word())?,
                Piece::Result(value) => writeln!(f, "```yaml result\n{}```", result(value))?,
            }
        }
        Ok(())
    }
}

/// A result as it stands in a page.
pub fn result(value: &Value) -> String {
    block(value, &["sent", "hub", "status", "events"])
}
