//! The store on RocksDB: one database in a folder of its own for each placement.
//!
//! What must always hold:
//! - When [`RocksStore::commit`] returns, the batch is on stable storage whole: one write, synced. Readers see a batch only
//!   after its sync, because the engine publishes a write's sequence number after the write-ahead log is synced and every write is synced.
//! - A torn tail of the write-ahead log is cut at opening; every other damage refuses the store by name of file and place.
//! - An engine folder that has lost its beginning (files, but no `CURRENT`) is refused, never created afresh.
//!
//! It refuses to decide anything: what a failed commit means is the caller's business (it ends the process).

use crate::compact_files::Files;
use crate::engine::{self, Backlog, SharedMemory};
use crate::torn_tail;
use bytes::Bytes;
use region::store::{Batch, Direction, Store, StoreError, View, Visit};
use rocksdb::checkpoint::Checkpoint;
use rocksdb::{DB, ErrorKind, ReadOptions, WriteBatch, WriteOptions};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A placement's database. One writer; any number of [`Reader`]s.
pub struct RocksStore {
    reader: Reader,
    synced: WriteOptions,
}

/// Reads a store while its shard writes it: cheap to clone, safe to share. Each call sees the last durable batch; for several
/// calls that must agree with each other use [`Reader::consistent`].
#[derive(Clone)]
pub struct Reader {
    database: Arc<DB>,
    folder: Arc<PathBuf>,
}

impl RocksStore {
    /// Opens the store in that folder, creating it if the folder is missing or empty.
    ///
    /// # Errors
    /// [`StoreError`] when the folder holds a damaged store (named with file and place) or the engine fails.
    pub fn open(folder: &Path, memory: &SharedMemory) -> Result<Self, StoreError> {
        let failed = |call, reason: String| failure(folder, call, &reason);
        fs::create_dir_all(folder).map_err(|error| failed("create folder", error.to_string()))?;
        let exists = refuse_beheaded(folder)?;
        if exists {
            torn_tail::cut_torn_tails(folder)?;
        }
        let options = engine::options(memory, !exists);
        let database = DB::open(&options, folder).map_err(|error| engine_failure(folder, "open", error))?;
        let mut synced = WriteOptions::default();
        synced.set_sync(true);
        let reader = Reader { database: Arc::new(database), folder: Arc::new(folder.to_path_buf()) };
        Ok(Self { reader, synced })
    }

    /// A handle that reads this store.
    #[must_use]
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// A handle that rewrites this store's files.
    #[must_use]
    pub fn files(&self) -> Files {
        let Reader { database, folder } = self.reader.clone();
        Files::of(database, folder)
    }
}

/// Whether the folder holds a store. Files without the engine's `CURRENT` are a store that lost its beginning.
fn refuse_beheaded(folder: &Path) -> Result<bool, StoreError> {
    let failed = |error: std::io::Error| failure(folder, "list folder", &error.to_string());
    if fs::exists(folder.join("CURRENT")).map_err(failed)? {
        return Ok(true);
    }
    for entry in fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let name = name.to_string_lossy();
        if name.ends_with(".sst") || name.ends_with(".log") {
            return Err(StoreError::Damaged {
                table: "store",
                key: folder.join("CURRENT").display().to_string(),
                what: format!("the file is missing although {name} is there"),
            });
        }
    }
    Ok(false)
}

impl Reader {
    /// Calls `read` with a view in which no later batch shows.
    pub fn consistent<T>(&self, read: impl FnOnce(&dyn View) -> T) -> T {
        let snapshot = self.database.snapshot();
        read(&SnapshotView { snapshot, folder: &self.folder })
    }

    /// The store's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// How far the engine is behind with this store's files.
    pub(crate) fn backlog(&self) -> Backlog {
        Backlog::of(&self.database)
    }

    /// Makes a checkpoint in a folder that does not exist, beside a shard that goes on writing: what is in memory goes to a file first, then files are linked. The caller waits, the shard
    /// only as long as it waits at any other time when a write buffer is full.
    pub(crate) fn checkpoint(&self, folder: &Path) -> Result<(), StoreError> {
        let failed = |error| engine_failure(&self.folder, "checkpoint", error);
        let checkpoint = Checkpoint::new(&*self.database).map_err(failed)?;
        checkpoint.create_checkpoint(folder).map_err(failed)
    }
}

struct SnapshotView<'a> {
    snapshot: rocksdb::Snapshot<'a>,
    folder: &'a Path,
}

impl View for SnapshotView<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let found = self.snapshot.get_pinned(key);
        let found = found.map_err(|error| engine_failure(self.folder, "get", error))?;
        Ok(found.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        direction: Direction,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        if from >= to {
            return Ok(());
        }
        let cursor = self.snapshot.raw_iterator_opt(bounds(from, to));
        walk(cursor, direction, visit).map_err(|error| engine_failure(self.folder, "scan", error))
    }
}

impl View for Reader {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let found = self.database.get_pinned(key);
        let found = found.map_err(|error| engine_failure(&self.folder, "get", error))?;
        Ok(found.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        direction: Direction,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        if from >= to {
            return Ok(());
        }
        let cursor = self.database.raw_iterator_opt(bounds(from, to));
        walk(cursor, direction, visit).map_err(|error| engine_failure(&self.folder, "scan", error))
    }
}

fn bounds(from: &[u8], to: &[u8]) -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_iterate_lower_bound(from);
    options.set_iterate_upper_bound(to);
    // What is walked along is long and read once, a log that a peer lacks above all: kept, it would push out what is asked for by key.
    options.fill_cache(false);
    options
}

fn walk(
    mut cursor: rocksdb::DBRawIterator<'_>,
    direction: Direction,
    visit: &mut Visit<'_>,
) -> Result<(), rocksdb::Error> {
    match direction {
        Direction::Ascending => cursor.seek_to_first(),
        Direction::Descending => cursor.seek_to_last(),
    }
    while let Some((key, value)) = cursor.item() {
        if visit(key, value).is_break() {
            return Ok(());
        }
        match direction {
            Direction::Ascending => cursor.next(),
            Direction::Descending => cursor.prev(),
        }
    }
    // An iterator that met damage looks like one that is through: only its status tells them apart.
    cursor.status()
}

impl View for RocksStore {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.reader.get(key)
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        direction: Direction,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        self.reader.scan(from, to, direction, visit)
    }
}

impl Store for RocksStore {
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        let mut writes = WriteBatch::default();
        for (key, value) in batch.writes() {
            match value {
                Some(value) => writes.put(key, value),
                None => writes.delete(key),
            }
        }
        let written = self.reader.database.write_opt(writes, &self.synced);
        written.map_err(|error| engine_failure(&self.reader.folder, "commit", error))
    }

    fn checkpoint(&self, folder: &Path) -> Result<(), StoreError> {
        self.reader.checkpoint(folder)
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl fmt::Debug for RocksStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RocksStore").field("folder", &self.reader.folder).finish_non_exhaustive()
    }
}

pub(crate) fn engine_failure(folder: &Path, call: &'static str, error: rocksdb::Error) -> StoreError {
    let damaged = error.kind() == ErrorKind::Corruption;
    let reason = error.into_string();
    if damaged {
        return StoreError::Damaged { table: "engine", key: folder.display().to_string(), what: reason };
    }
    failure(folder, call, &reason)
}

pub(crate) fn failure(folder: &Path, call: &'static str, reason: &str) -> StoreError {
    let store = folder.display().to_string();
    // The engine's own words for ENOSPC and EDQUOT; their codes do not reach its C interface.
    if reason.contains("No space left on device") || reason.contains("Disk quota exceeded") {
        return StoreError::Full { store };
    }
    StoreError::Failed { store, call, reason: reason.to_owned() }
}
