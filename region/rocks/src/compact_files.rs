//! Rewrites the engine's files over stretches of keys, so that no file and no write-ahead log holds a value there that was overwritten.
//!
//! The engine's own call says nothing of how it went: it returns alike when it is through, when the disk was full, and when a snapshot made it keep what was overwritten. So it is judged
//! by what lies on the disk: every file that lay over a stretch, and every write-ahead log that held anything, must be gone.
//!
//! What must always hold:
//! - Before it begins, no snapshot from before is held; a value that was overwritten earlier is then kept by no rewriting.
//! - Neighbouring stretches that share a file on the last level are compacted as one, so that it is not rewritten for each. The files of one stretch are few: a stop waits for
//!   them and no longer.
//! - A shard never waits for it: it runs on a thread of its own, beside reads, commits and the engine's own compactions.
//!
//! What it does not do: overwrite the blocks of files that are gone. A file system gives them away sooner or later.

use crate::counters::ShardCounters;
use crate::mailbox::WeakMailbox;
use crate::store::{engine_failure, failure};
use crate::torn_tail;
use region::compact_files::KeySpan;
use region::shard::Input;
use region::store::StoreError;
use rocksdb::{BottommostLevelCompaction, CompactOptions, DB, LiveFile};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long a compaction waits for readers: a page or an export takes seconds at most.
const READERS_WAIT: Duration = Duration::from_secs(60);
/// How often it looks whether they are gone: the engine tells nobody.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How a compaction ended that the disk did not stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compacted {
    /// No file of before is left.
    Whole,
    /// A reader held an old snapshot or file for too long, or the engine left a file.
    HeldUp,
    /// It was told to stop.
    Stopped,
}

/// The files of one store. Cheap to clone.
#[derive(Clone)]
pub struct Files {
    database: Arc<DB>,
    folder: Arc<PathBuf>,
    /// How long a compaction waits for readers who hold an old snapshot or an old file. Beyond it, it has come to nothing, and is asked for again.
    readers_wait: Duration,
}

impl Files {
    pub(crate) const fn of(database: Arc<DB>, folder: Arc<PathBuf>) -> Self {
        Self { database, folder, readers_wait: READERS_WAIT }
    }

    /// Rewrites what lies over those stretches of keys, in the order of their keys. Reads and writes all of the files there: a minute a few gigabytes.
    ///
    /// # Errors
    /// [`StoreError`] when the disk fails. What was not rewritten lies as it did.
    pub fn compact(&self, spans: &[KeySpan], stop: &AtomicBool) -> Result<Compacted, StoreError> {
        let now = self.database.latest_sequence_number();
        let logs: Vec<PathBuf> = self.write_ahead_logs()?;
        if !self
            .wait(stop, || self.oldest_snapshot().map(|oldest| oldest.is_none_or(|oldest| oldest >= now)))?
        {
            return Ok(held_up(stop));
        }
        // What is in memory goes to files, and with it the write-ahead log that holds it too.
        self.database.flush().map_err(|error| engine_failure(&self.folder, "flush", error))?;
        let files = self.live_files()?;
        let (mut options, mut before) = (CompactOptions::default(), logs);
        options.set_bottommost_level_compaction(BottommostLevelCompaction::ForceOptimized);
        options.set_exclusive_manual_compaction(false);
        for span in joined(spans, &files) {
            if stop.load(Ordering::Relaxed) {
                return Ok(Compacted::Stopped);
            }
            before.extend(files.iter().filter(|file| lies_over(file, &span)).map(|file| self.path(file)));
            self.database.compact_range_opt(Some(&span.from), Some(&span.to), &options);
        }
        let is_gone = || {
            for file in &before {
                let exists = file.try_exists();
                if exists.map_err(|error| failure(&self.folder, "look for a file", &error.to_string()))? {
                    return Ok(false);
                }
            }
            Ok(true)
        };
        Ok(if self.wait(stop, is_gone)? { Compacted::Whole } else { held_up(stop) })
    }

    /// Waits until it is so, or the stop, or for as long as readers are waited for. Says whether it is so.
    fn wait(
        &self,
        stop: &AtomicBool,
        is_so: impl Fn() -> Result<bool, StoreError>,
    ) -> Result<bool, StoreError> {
        for _ in 0..self.readers_wait.as_millis() / LOOK_EVERY.as_millis() {
            if is_so()? {
                return Ok(true);
            }
            if stop.load(Ordering::Relaxed) {
                return Ok(false);
            }
            thread::sleep(LOOK_EVERY);
        }
        is_so()
    }

    /// The sequence number that the oldest snapshot shows, if one is held.
    fn oldest_snapshot(&self) -> Result<Option<u64>, StoreError> {
        let found = self.database.property_int_value("rocksdb.oldest-snapshot-sequence");
        let found = found.map_err(|error| engine_failure(&self.folder, "read property", error))?;
        Ok(found.filter(|sequence| *sequence > 0))
    }

    fn live_files(&self) -> Result<Vec<LiveFile>, StoreError> {
        self.database.live_files().map_err(|error| engine_failure(&self.folder, "list files", error))
    }

    /// Those that hold anything: the newest may be empty, and stays.
    fn write_ahead_logs(&self) -> Result<Vec<PathBuf>, StoreError> {
        let logs = torn_tail::write_ahead_logs(&self.folder);
        let mut logs = logs.map_err(|error| failure(&self.folder, "list folder", &error.to_string()))?;
        // One that is gone already holds nothing; of any other that cannot be looked at, nobody knows.
        let mut unknown = None;
        logs.retain(|log| match log.metadata() {
            Ok(metadata) => metadata.len() > 0,
            Err(error) if error.kind() == ErrorKind::NotFound => false,
            Err(error) => {
                unknown = Some(error);
                true
            }
        });
        unknown.map_or(Ok(logs), |error| Err(failure(&self.folder, "look at a log", &error.to_string())))
    }

    fn path(&self, file: &LiveFile) -> PathBuf {
        self.folder.join(Path::new(&file.name).file_name().unwrap_or_default())
    }
}

/// The thread that does a shard's compactions. Dropping this stops and ends it.
#[derive(Debug)]
pub(crate) struct Compactor {
    /// None only while it is dropped.
    spans: Option<mpsc::SyncSender<Vec<KeySpan>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Compactor {
    /// Starts it. It answers into that mailbox, which may be gone by then.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub(crate) fn start(
        files: Files,
        counters: Arc<ShardCounters>,
        mailbox: WeakMailbox,
    ) -> std::io::Result<Self> {
        // The core asks for the next one when the last is answered: one fits, and nobody waits for room.
        let (spans, asked) = mpsc::sync_channel::<Vec<KeySpan>>(1);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let compact = move || {
            for spans in asked {
                let is_done = compact(&files, &spans, &stopped);
                if !is_done {
                    counters.compaction_failed();
                }
                let input = Input::Compacted { is_done };
                mailbox.bring_blocking(input);
            }
        };
        let thread = thread::Builder::new().name("compactor".to_owned()).spawn(compact)?;
        Ok(Self { spans: Some(spans), stop, thread: Some(thread) })
    }

    /// Begins to compact, once the compaction before is through.
    pub(crate) fn begin(&self, spans: Vec<KeySpan>) {
        if let Some(compactor) = &self.spans {
            // The thread lives as long as this does.
            let _ = compactor.send(spans);
        }
    }
}

impl Drop for Compactor {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.spans = None;
        // If it panicked it has said so.
        self.thread.take().map(JoinHandle::join);
    }
}

/// Compacts, tells operators how it went, and says whether no file of before is left.
fn compact(files: &Files, spans: &[KeySpan], stop: &AtomicBool) -> bool {
    match files.compact(spans, stop) {
        Ok(Compacted::Whole) => return true,
        Ok(Compacted::Stopped) => {}
        Ok(Compacted::HeldUp) => tracing::warn!("a compaction was held up by a reader: it is tried again"),
        Err(error) => tracing::error!(%error, "a compaction failed: it is tried again"),
    }
    false
}

fn held_up(stop: &AtomicBool) -> Compacted {
    if stop.load(Ordering::Relaxed) { Compacted::Stopped } else { Compacted::HeldUp }
}

/// The stretches, with those as one that a file of the last level lies over.
fn joined(spans: &[KeySpan], files: &[LiveFile]) -> Vec<KeySpan> {
    let last_level = files.iter().map(|file| file.level).max().unwrap_or_default();
    let shared = |one: &KeySpan, next: &KeySpan| {
        files.iter().any(|file| file.level == last_level && lies_over(file, one) && lies_over(file, next))
    };
    let mut joined: Vec<KeySpan> = Vec::new();
    for span in spans {
        match joined.last_mut() {
            Some(before) if shared(before, span) => before.to = span.to.clone(),
            _ => joined.push(span.clone()),
        }
    }
    joined
}

fn lies_over(file: &LiveFile, span: &KeySpan) -> bool {
    let starts_before = file.start_key.as_ref().is_none_or(|start| start[..] < span.to[..]);
    starts_before && file.end_key.as_ref().is_none_or(|end| end[..] >= span.from[..])
}

impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Files").field("folder", &self.folder).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::engine::SharedMemory;
    use crate::store::RocksStore;
    use bytes::Bytes;
    use region::store::{Batch, Store as _, View as _};

    const BEFORE: &str = "zqxjkvbpygfwmucl";

    fn write(store: &mut RocksStore, key: &str, value: &str) {
        let mut batch = Batch::default();
        batch.put(Bytes::copy_from_slice(key.as_bytes()), Bytes::copy_from_slice(value.as_bytes()));
        store.commit(&batch).unwrap();
    }

    fn span(from: &str, to: &str) -> KeySpan {
        KeySpan { from: Bytes::copy_from_slice(from.as_bytes()), to: Bytes::copy_from_slice(to.as_bytes()) }
    }

    /// Whether some file of the store has those bytes.
    fn is_on_disk(files: &Files, text: &str) -> bool {
        std::fs::read_dir(&*files.folder).unwrap().any(|entry| {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            bytes.windows(text.len()).any(|window| window == text.as_bytes())
        })
    }

    fn store() -> (tempfile::TempDir, RocksStore, Files) {
        let folder = tempfile::tempdir().unwrap();
        let store = RocksStore::open(folder.path(), &SharedMemory::new()).unwrap();
        let files = store.files();
        (folder, store, files)
    }

    fn compact(files: &Files, spans: &[KeySpan]) -> Compacted {
        files.compact(spans, &AtomicBool::new(false)).unwrap()
    }

    #[test]
    fn what_was_overwritten_is_in_no_file_wherever_it_lay() {
        let (_folder, mut store, files) = store();
        // In a file of the last level, in one of the first, and in the write-ahead log.
        for number in 0..3 {
            let key = format!("key {number}");
            write(&mut store, &key, BEFORE);
            assert!(is_on_disk(&files, BEFORE));
            match number {
                0 => assert_eq!(compact(&files, &[span("a", "z")]), Compacted::Whole),
                1 => files.database.flush().unwrap(),
                _ => {}
            }
            write(&mut store, &key, "after");
        }
        write(&mut store, "other", "stays");
        assert!(is_on_disk(&files, BEFORE));
        assert_eq!(compact(&files, &[span("key 0", "key 1"), span("key 1", "key 3")]), Compacted::Whole);
        assert!(!is_on_disk(&files, BEFORE));
        for (key, value) in [("key 0", "after"), ("key 2", "after"), ("other", "stays")] {
            assert_eq!(store.get(key.as_bytes()).unwrap().unwrap(), value);
        }
    }

    #[test]
    fn a_snapshot_of_before_holds_it_up_and_one_of_after_does_not() {
        let (_folder, mut store, files) = store();
        write(&mut store, "key", BEFORE);
        let reader = store.reader();
        reader.consistent(|view| {
            write(&mut store, "key", "after");
            let files = Files { readers_wait: Duration::ZERO, ..files.clone() };
            assert_eq!(compact(&files, &[span("a", "z")]), Compacted::HeldUp);
            assert!(is_on_disk(&files, BEFORE));
            assert_eq!(view.get(b"key").unwrap().unwrap(), BEFORE, "a reader sees what it began with");
        });
        reader.consistent(|_| assert_eq!(compact(&files, &[span("a", "z")]), Compacted::Whole));
        assert!(!is_on_disk(&files, BEFORE));
    }

    #[test]
    fn a_stop_ends_it_between_two_stretches() {
        let (_folder, mut store, files) = store();
        write(&mut store, "key", BEFORE);
        write(&mut store, "key", "after");
        let stopped = files.compact(&[span("a", "z")], &AtomicBool::new(true)).unwrap();
        assert_eq!(stopped, Compacted::Stopped);
    }

    #[test]
    fn stretches_that_share_a_file_of_the_last_level_are_one() {
        let file = |level, start: &str, end: &str| LiveFile {
            column_family_name: String::new(),
            name: String::new(),
            size: 0,
            level,
            start_key: Some(start.into()),
            end_key: Some(end.into()),
            num_entries: 0,
            num_deletions: 0,
        };
        let files = [file(0, "a", "z"), file(6, "a", "d"), file(6, "e", "k")];
        let spans = [span("a", "b"), span("c", "d"), span("e", "f"), span("x", "y")];
        assert_eq!(joined(&spans, &files), [span("a", "d"), span("e", "f"), span("x", "y")]);
    }
}
