//! The data folder: keys and records in an embedded store. One thread writes; calls that come together are committed
//! together, and each is answered after its commit.

use std::fs::TryLockError;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use redb::backends::{FileBackend, InMemoryBackend};
use redb::{Database, ReadableDatabase as _, ReadableTable as _, StorageBackend as _, TableDefinition};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use super::auth::Policy;
use super::machine::{EntityId, Record};
use super::tls::Authority;

/// The file in the data folder.
const FILE: &str = "hub.redb";
/// A file that was being made when the program ended.
const PARTIAL: &str = "hub.redb.partial";
/// What the file says it is, with the version of its format.
const FORMAT: &str = "hubtwin local hub 2";
/// What the file of any version says that it is.
const FORMAT_NAME: &str = "hubtwin local hub ";
/// Bytes that are copied at once.
const COPY_BYTES: usize = 64 * 1024;
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const RECORDS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("records");
/// Most calls that wait for the store.
const MAX_QUEUED: usize = 4096;
/// Most calls in one commit.
const MAX_BATCH: usize = 256;

/// What a hub keeps beside its records.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Keys {
    pub(super) authority: Authority,
    pub(super) policies: Vec<Policy>,
}

/// Why a data folder cannot be used. It is left as it was.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder holds something else.
    #[error("{} holds files but no {FILE}; choose an empty or a new folder for --data", .0.display())]
    Foreign(PathBuf),
    /// The file is not what this program writes.
    #[error("{} is not a store of this program, or it is damaged; it was left untouched: restore it from a copy, or choose another folder for --data", .0.display())]
    Damaged(PathBuf, #[source] Box<dyn std::error::Error + Send + Sync>),
    /// Another version of this program wrote it.
    #[error("{} was written by another version of this program (its format is {found:?}, this one has {FORMAT:?}); it was left untouched: use that version, or choose another folder for --data", .file.display())]
    OtherVersion {
        /// The file.
        file: PathBuf,
        /// What it says it is.
        found: String,
    },
    /// Another hub uses it.
    #[error("{} is in use by another hub; stop that one, or choose another folder for --data", .0.display())]
    InUse(PathBuf),
    /// The folder cannot be read or written.
    #[error("use {} as data folder", .0.display())]
    Folder(PathBuf, #[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The record of one device or module as it is now; `None` when it is gone.
pub(super) type Write = (String, Option<Vec<u8>>);

struct Job {
    writes: Vec<Write>,
    done: oneshot::Sender<()>,
}

/// An open data folder. The thread ends when this is dropped.
#[derive(Debug)]
pub(super) struct Store {
    jobs: mpsc::Sender<Job>,
    thread: JoinHandle<()>,
}

/// What was in the folder.
pub(super) struct Opened {
    pub(super) store: Store,
    pub(super) keys: Keys,
    pub(super) records: Vec<(EntityId, Record)>,
}

/// The store does not write any more; the reason is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the data folder cannot be written")]
pub(super) struct Closed;

impl Store {
    /// Opens a data folder. In a new one, `fresh` makes the keys.
    pub(super) fn open<E: From<StoreError>>(
        folder: &Path,
        fresh: impl FnOnce() -> Result<Keys, E>,
    ) -> Result<Opened, E> {
        let file = folder.join(FILE);
        let io = |error: std::io::Error| StoreError::Folder(folder.to_owned(), error.into());
        std::fs::create_dir_all(folder).map_err(io)?;
        if !file.try_exists().map_err(io)? {
            let mut others = std::fs::read_dir(folder).map_err(io)?;
            if others.any(|entry| entry.is_ok_and(|entry| entry.file_name() != PARTIAL)) {
                return Err(StoreError::Foreign(folder.to_owned()).into());
            }
            let keys = fresh()?;
            create(folder, &keys).map_err(|error| StoreError::Folder(folder.to_owned(), error))?;
        }
        // Held from here on; nothing is written yet.
        let held = hold(folder, &file)?;
        let (keys, records) = check(&held).map_err(|unfit| unfit.at(&file))?;
        let database = redb::Builder::new().create_with_backend(held);
        let database = database.map_err(|error| StoreError::Damaged(file.clone(), error.into()))?;
        let (jobs, queue) = mpsc::channel(MAX_QUEUED);
        let thread =
            std::thread::Builder::new().name("hub store".to_owned()).spawn(move || write_all(&database, queue));
        let thread = thread.map_err(io)?;
        Ok(Opened { store: Self { jobs, thread }, keys, records })
    }

    /// Hands writes over. They are committed in the order of these calls; the receiver is told when they are, and is
    /// dropped when they cannot be.
    pub(super) fn write(&self, writes: Vec<Write>) -> Result<oneshot::Receiver<()>, Closed> {
        let (done, committed) = oneshot::channel();
        self.jobs.try_send(Job { writes, done }).map_err(|_| Closed)?;
        Ok(committed)
    }

    /// Commits what is waiting and closes the file.
    pub(super) fn close(self) {
        let Self { jobs, thread } = self;
        drop(jobs);
        if thread.join().is_err() {
            tracing::error!("the store's thread panicked");
        }
    }
}

/// What stands in the store for a record.
pub(super) fn write_of(id: &EntityId, record: Option<&Record>) -> Write {
    let bytes = record.map(|record| serde_json::to_vec(record).expect("a record has string keys only"));
    (id.to_string(), bytes)
}

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// Makes the file under another name first, so that there is never half a store.
fn create(folder: &Path, keys: &Keys) -> Result<(), AnyError> {
    let partial = folder.join(PARTIAL);
    match std::fs::remove_file(&partial) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let mut options = std::fs::OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::mode(options.read(true).write(true).create_new(true), 0o600);
    let database = redb::Builder::new().create_with_backend(FileBackend::new(options.open(&partial)?)?)?;
    let transaction = database.begin_write()?;
    {
        let mut meta = transaction.open_table(META)?;
        meta.insert("format", FORMAT.as_bytes())?;
        meta.insert("keys", serde_json::to_vec(keys)?.as_slice())?;
        transaction.open_table(RECORDS)?;
    }
    transaction.commit()?;
    drop(database);
    std::fs::rename(&partial, folder.join(FILE))?;
    std::fs::File::open(folder)?.sync_all()?;
    Ok(())
}

/// Why a file cannot be used.
enum Unfit {
    Damaged(AnyError),
    OtherVersion(String),
}

impl<E: Into<AnyError>> From<E> for Unfit {
    fn from(error: E) -> Self {
        Self::Damaged(error.into())
    }
}

impl Unfit {
    fn at(self, file: &Path) -> StoreError {
        match self {
            Self::Damaged(error) => StoreError::Damaged(file.to_owned(), error),
            Self::OtherVersion(found) => StoreError::OtherVersion { file: file.to_owned(), found },
        }
    }
}

/// Opens and locks the file, without a look into it.
fn hold(folder: &Path, file: &Path) -> Result<FileBackend, StoreError> {
    let open = std::fs::OpenOptions::new().read(true).write(true).open(file);
    let open = open.map_err(|error| StoreError::Folder(file.to_owned(), error.into()))?;
    open.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => StoreError::InUse(folder.to_owned()),
        TryLockError::Error(error) => StoreError::Folder(folder.to_owned(), error.into()),
    })?;
    // The lock lives as long as the file is open.
    FileBackend::new(open).map_err(|error| StoreError::Folder(folder.to_owned(), error.into()))
}

/// Reads and verifies everything in a copy in memory: opening the file itself may write to it, and what is refused has to
/// stay as it is.
fn check(held: &FileBackend) -> Result<(Keys, Vec<(EntityId, Record)>), Unfit> {
    let length = held.len()?;
    if length == 0 {
        return Err("it is empty".into());
    }
    let copy = InMemoryBackend::new();
    copy.set_len(length)?;
    let mut chunk = vec![0; COPY_BYTES];
    let mut at = 0;
    while at < length {
        let size = usize::try_from(length - at).unwrap_or(COPY_BYTES).min(COPY_BYTES);
        held.read(at, &mut chunk[..size])?;
        copy.write(at, &chunk[..size])?;
        at += size as u64;
    }
    // The library panics on some damages. Nothing but the copy is touched, so nothing is left in pieces.
    let read = catch_unwind(AssertUnwindSafe(|| {
        let mut database = redb::Builder::new().create_with_backend(copy)?;
        if database.check_integrity()? { load(&database) } else { Err("its checksums do not match".into()) }
    }));
    read.unwrap_or_else(|_| Err("its pages make no sense".into()))
}

fn load(database: &Database) -> Result<(Keys, Vec<(EntityId, Record)>), Unfit> {
    let transaction = database.begin_read()?;
    let meta = transaction.open_table(META)?;
    let format = meta.get("format")?.ok_or("it does not say what it is")?;
    if format.value() != FORMAT.as_bytes() {
        let found = String::from_utf8_lossy(format.value()).into_owned();
        return Err(if found.starts_with(FORMAT_NAME) {
            Unfit::OtherVersion(found)
        } else {
            "its format is unknown".into()
        });
    }
    let keys = serde_json::from_slice(meta.get("keys")?.ok_or("it has no keys")?.value())?;
    let mut records = Vec::new();
    for row in transaction.open_table(RECORDS)?.iter()? {
        let (key, value) = row?;
        let id = match key.value().split_once('/') {
            None => EntityId::device(key.value()),
            Some((device, module)) => EntityId::module(device, module),
        };
        records.push((id, serde_json::from_slice(value.value())?));
    }
    Ok((keys, records))
}

/// The thread: takes what waits, commits it, tells. After a failure nothing is written any more, for the memory is ahead
/// of the file then.
fn write_all(database: &Database, mut queue: mpsc::Receiver<Job>) {
    while let Some(first) = queue.blocking_recv() {
        let mut jobs = vec![first];
        while jobs.len() < MAX_BATCH
            && let Ok(job) = queue.try_recv()
        {
            jobs.push(job);
        }
        if let Err(error) = commit(database, &jobs) {
            tracing::error!(%error, "write to the data folder; restart the hub");
            return;
        }
        for job in jobs {
            // Whoever asked may have gone.
            let _ = job.done.send(());
        }
    }
}

fn commit(database: &Database, jobs: &[Job]) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut records = transaction.open_table(RECORDS)?;
        for (key, value) in jobs.iter().flat_map(|job| &job.writes) {
            match value {
                Some(value) => records.insert(key.as_str(), value.as_slice())?,
                None => records.remove(key.as_str())?,
            };
        }
    }
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests;
