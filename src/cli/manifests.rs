//! Reads manifests: files, folders, standard input.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::manifest::check::Severity;
use crate::manifest::node::Position;
use crate::manifest::read::MAX_BYTES;
use crate::manifest::{Manifest, Trouble, read as read_text};

/// What was read, file by file.
pub(super) struct Files(pub(super) Vec<File>);

/// One file.
pub(super) struct File {
    /// As it was named, or found below a folder.
    pub(super) name: String,
    pub(super) objects: Vec<Manifest>,
    pub(super) troubles: Vec<(Severity, Trouble)>,
}

impl Files {
    /// How many parts of files could not be read, or are no objects.
    pub(super) fn troubles(&self, severity: Severity) -> usize {
        self.0.iter().flat_map(|file| &file.troubles).filter(|(found, _)| *found == severity).count()
    }
}

/// Reads all; fails when one cannot be read at all.
pub(super) fn read(paths: &[PathBuf]) -> anyhow::Result<Files> {
    let mut files = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            let bytes = bounded(std::io::stdin().lock()).context("read standard input")?;
            files.push(file("standard input".to_owned(), bytes)?);
        } else if path.is_dir() {
            let mut found = Vec::new();
            below(path, &mut found)?;
            anyhow::ensure!(!found.is_empty(), "{}: no *.yaml, *.yml or *.json below this folder", path.display());
            for path in found {
                files.push(open(&path)?);
            }
        } else {
            files.push(open(path)?);
        }
    }
    Ok(Files(files))
}

/// The manifests below a folder, by name. Hidden folders and links to folders are passed over.
fn below(folder: &Path, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))?;
    let mut entries: Vec<_> =
        entries.collect::<Result<_, _>>().with_context(|| format!("read {}", folder.display()))?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let kind = entry.file_type().with_context(|| format!("read {}", path.display()))?;
        let manifest = path.extension().is_some_and(|end| ["yaml", "yml", "json"].iter().any(|ours| end == *ours));
        if kind.is_dir() {
            if !entry.file_name().to_string_lossy().starts_with('.') {
                below(&path, found)?;
            }
        } else if manifest && path.is_file() {
            found.push(path);
        }
    }
    Ok(())
}

fn open(path: &Path) -> anyhow::Result<File> {
    let name = path.display().to_string();
    let opened = std::fs::File::open(path).with_context(|| format!("read {name}"))?;
    let bytes = bounded(opened).with_context(|| format!("read {name}"))?;
    file(name, bytes)
}

fn bounded(source: impl std::io::Read) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    anyhow::ensure!(bytes.len() <= MAX_BYTES, "it has more than {MAX_BYTES} bytes: give it in parts");
    Ok(bytes)
}

fn file(name: String, bytes: Vec<u8>) -> anyhow::Result<File> {
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        anyhow::anyhow!("read {name}: it is no UTF-8 from byte {good} on")
    })?;
    let (mut objects, troubles) = read_text(&text);
    let mut troubles: Vec<_> = troubles.into_iter().map(|trouble| (Severity::Error, trouble)).collect();
    objects.retain(|object| {
        let is_one = !object.kind().is_empty();
        if !is_one {
            let message = "no object of Kubernetes: it has no kind".to_owned();
            troubles.push((Severity::Warning, Trouble { at: Position { ..object.node.at }, message }));
        }
        is_one
    });
    Ok(File { name, objects, troubles })
}
