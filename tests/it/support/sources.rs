//! Reads the program's sources, without comments, texts and tests.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::root;

/// What the paths of a file start with.
#[derive(Debug, Default)]
pub struct Paths {
    /// `b` of `crate::b`, however it is written.
    pub modules: BTreeSet<String>,
    /// `a` of `a::b`.
    pub roots: BTreeSet<String>,
}

/// Every source below `src`, by its path there, without what is built for tests only.
pub fn program() -> Vec<(String, String)> {
    let folder = root().join("src");
    let mut program = Vec::new();
    let mut tests = BTreeSet::new();
    for file in files(&folder) {
        let text = bare(&std::fs::read_to_string(&file).expect("a source is text"));
        let (kept, dropped) = without_tests(&text);
        tests.extend(dropped.into_iter().map(|name| file.with_extension("").join(format!("{name}.rs"))));
        let name = file.strip_prefix(&folder).expect("it lies below").display().to_string();
        program.push((name, kept));
    }
    // A module of tests takes the modules below it along.
    program.retain(|(name, _)| {
        let file = folder.join(name);
        !tests.iter().any(|module: &PathBuf| *module == file || file.starts_with(module.with_extension("")))
    });
    assert!(program.len() > 50, "the sources are elsewhere");
    program
}

/// All Rust files below a folder.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() {
            found.extend(files(&entry));
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            found.push(entry);
        }
    }
    found
}

/// The module that a file belongs to: `twin` of `twin/plan.rs`.
pub fn module(file: &str) -> String {
    let first = file.split('/').next().expect("a path has a first part");
    first.trim_end_matches(".rs").to_owned()
}

/// The words of a source, each with what follows it.
pub fn words(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut rest = text;
    std::iter::from_fn(move || {
        let start = rest.find(is_word)?;
        let tail = &rest[start..];
        let (word, after) = tail.split_at(tail.find(|c| !is_word(c)).unwrap_or(tail.len()));
        rest = after;
        Some((word, after))
    })
}

/// What the paths of a bare source start with.
pub fn paths(file: &str, text: &str) -> Paths {
    let depth = if file == "lib.rs" { 0 } else { file.matches('/').count() + 1 };
    let mut paths = Paths::default();
    let mut before = "";
    let mut supers = 0;
    for (word, after) in words(text) {
        let start = text.len() - after.len() - word.len();
        let follows = text[..start].ends_with("::");
        let at_root = follows && (before == "crate" || before == "super" && supers >= depth);
        supers = match word {
            "super" if follows => supers + 1,
            "super" => 1,
            _ => 0,
        };
        if at_root && word != "super" {
            paths.modules.insert(word.to_owned());
        }
        // crate::{a, b::c}
        if (word == "crate" || word == "super" && supers >= depth)
            && let Some(group) = after.strip_prefix("::{")
        {
            paths.modules.extend(first_words(group));
        }
        if !follows && after.starts_with("::") {
            paths.roots.insert(word.to_owned());
        }
        before = word;
    }
    paths
}

/// The first word of each path in a group, up to its closing brace.
fn first_words(group: &str) -> Vec<String> {
    let mut depth = 1;
    let mut current = String::new();
    let mut parts = Vec::new();
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 || depth == 1 && c == ',' {
            parts.push(std::mem::take(&mut current));
        } else {
            current.push(c);
        }
        if depth == 0 {
            break;
        }
    }
    parts.iter().filter_map(|part| words(part).next()).map(|(word, _)| word.to_owned()).collect()
}

/// The source without what is built for tests only, and the names of test modules that have files of their own.
fn without_tests(text: &str) -> (String, Vec<String>) {
    const MARK: &str = "#[cfg(test)]";
    let mut kept = String::new();
    let mut files = Vec::new();
    let mut rest = text;
    while let Some((start, after)) = rest.split_once(MARK) {
        kept.push_str(start);
        let end = after.find(['{', ';']).expect("an attribute stands before something");
        if after[end..].starts_with(';') {
            if let Some((_, name)) = after[..end].split_once("mod ") {
                files.push(name.trim().to_owned());
            }
            rest = &after[end + 1..];
            continue;
        }
        let mut depth = 0;
        let close = after[end..].find(|c| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            depth == 0
        });
        rest = &after[end + close.expect("braces are closed") + 1..];
    }
    kept.push_str(rest);
    (kept, files)
}

/// The source without comments, and with empty texts.
fn bare(text: &str) -> String {
    let mut bare = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if let Some(hashes) = raw_text(rest) {
            let close = format!("\"{}", "#".repeat(hashes));
            let start = hashes + 2;
            bare.push_str("\"\"");
            rest[start..].find(&close).expect("texts are closed") + start + close.len()
        } else if c == '"' {
            bare.push_str("\"\"");
            quoted(rest, '"')
        } else if c == '\'' && (rest[1..].starts_with('\\') || rest.chars().nth(2) == Some('\'')) {
            bare.push_str("' '");
            quoted(rest, '\'')
        } else {
            bare.push(c);
            c.len_utf8()
        };
        rest = &rest[skipped..];
    }
    bare
}

/// The number of `#` of a raw text that starts here.
fn raw_text(rest: &str) -> Option<usize> {
    let after = rest.strip_prefix('r')?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    after[hashes..].starts_with('"').then_some(hashes)
}

/// The length of a text with escapes that starts here, quotes included.
fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    let end = rest.char_indices().skip(1).find(|(_, c)| {
        let ends = *c == quote && !escaped;
        escaped = *c == '\\' && !escaped;
        ends
    });
    end.expect("texts are closed").0 + 1
}
