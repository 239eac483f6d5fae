//! The data folder: keys and records in an embedded store. One thread writes; calls that come together are committed
//! together, and each is answered after its commit.

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use redb::backends::FileBackend;
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};
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
const FORMAT: &str = "hubtwin local hub 1";
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
        let database = Database::open(&file).map_err(|error| match error {
            redb::DatabaseError::DatabaseAlreadyOpen => StoreError::InUse(folder.to_owned()),
            other => StoreError::Damaged(file.clone(), other.into()),
        })?;
        let (keys, records) = load(&database).map_err(|error| StoreError::Damaged(file.clone(), error))?;
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

fn load(database: &Database) -> Result<(Keys, Vec<(EntityId, Record)>), AnyError> {
    let transaction = database.begin_read()?;
    let meta = transaction.open_table(META)?;
    let format = meta.get("format")?.ok_or("it does not say what it is")?;
    if format.value() != FORMAT.as_bytes() {
        return Err(format!("its format is not {FORMAT:?}").into());
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
