//! How RocksDB is set up: what it may cost in memory and descriptors, and which of its habits are switched off.
//!
//! What must always hold:
//! - A write returns after fdatasync of the write-ahead log, never before (`sync` on every write, no manual flush of the log).
//! - Every region's stores share one block cache and one budget of write buffers, so that memory does not grow with placements.
//! - Recovery refuses every damage. Torn tails are cut before the engine sees them, by `torn_tail`, because the
//!   engine's own tolerance also swallows damage in the middle of the last 32 KiB (decision 0010).

use rocksdb::{BlockBasedOptions, Cache, DB, DBCompressionType, DBRecoveryMode, Options, WriteBufferManager};

/// Bytes of uncompressed blocks kept in memory for all stores of a process. At the limit the least used are dropped.
pub const BLOCK_CACHE_BYTES: usize = 64 << 20;
/// Bytes of unflushed writes for all stores of a process. At the limit the largest write buffer is flushed.
pub const WRITE_BUFFERS_BYTES: usize = 96 << 20;
/// Bytes of one write buffer. A smaller one costs more flushes, a larger one a longer recovery: 32 MiB replay in under a second.
pub const WRITE_BUFFER_BYTES: usize = 32 << 20;
/// Flushed buffers after which they are merged into the level below, which holds as many bytes: with the engine's own four, each merge rewrites twice what it adds, and bytes are most of what a
/// merge costs. More would cost every look-up of what is not there a filter each.
pub const FLUSHED_BUFFERS_MAX: i32 = 8;
/// Levels that are not compressed, the first and what it is merged into: what stands there is rewritten soon, and mostly ciphertext.
const PLAIN_LEVELS: usize = 2;
/// The engine's own number.
const LEVELS: usize = 7;
/// Bytes read ahead of each file that is merged: with the engine's own two MiB, merging as many files costs more memory than their buffers.
pub const MERGE_AHEAD_BYTES: usize = 512 << 10;
/// Write-ahead logs of one store together. Above it the oldest buffer is flushed, so that recovery stays short.
pub const WRITE_AHEAD_BYTES: u64 = 128 << 20;
/// Descriptors one store may hold; above it the least used files are closed and opened again when read.
pub const OPEN_FILES: i32 = 512;
/// The engine's own log: two files of 1 MiB, so that it never fills a disk.
const ENGINE_LOG_BYTES: usize = 1 << 20;

/// The memory that all stores of a process share.
#[derive(Clone)]
pub struct SharedMemory {
    blocks: Cache,
    buffers: WriteBufferManager,
}

impl std::fmt::Debug for SharedMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedMemory").field("blocks", &self.blocks.get_usage()).finish_non_exhaustive()
    }
}

impl SharedMemory {
    /// With the limits above.
    #[must_use]
    pub fn new() -> Self {
        Self {
            // Every look-up asks it for a filter a level, from whatever thread: a cache without locks and lists. Its table grows with what it holds.
            blocks: Cache::new_hyper_clock_cache(BLOCK_CACHE_BYTES, 0),
            buffers: WriteBufferManager::new_write_buffer_manager(WRITE_BUFFERS_BYTES, false),
        }
    }
}

impl Default for SharedMemory {
    fn default() -> Self {
        Self::new()
    }
}

/// How far the engine is behind with its files: it writes new ones at once and puts them together later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backlog {
    /// Files of the first level, which every read looks into. From 20 on the engine slows writes down, at 36 it stops them.
    pub first_files: u64,
    /// Bytes that it estimates to rewrite until all levels are in order.
    pub bytes: u64,
    /// Whether it slows writes down or stops them, until it has caught up.
    pub holds_up: bool,
}

impl Backlog {
    /// Of that store, now. What the engine does not tell counts as none: it is for a figure, and nothing is decided by it.
    pub(crate) fn of(database: &DB) -> Self {
        let figure = |name: &str| database.property_int_value(name).ok().flatten().unwrap_or(0);
        Self {
            first_files: figure("rocksdb.num-files-at-level0"),
            bytes: figure("rocksdb.estimate-pending-compaction-bytes"),
            holds_up: figure("rocksdb.actual-delayed-write-rate") > 0
                || figure("rocksdb.is-write-stopped") > 0,
        }
    }
}

/// The engine's options for one store.
pub(crate) fn options(memory: &SharedMemory, create: bool) -> Options {
    let mut options = Options::default();
    options.create_if_missing(create);
    options.set_paranoid_checks(true);
    options.set_wal_recovery_mode(DBRecoveryMode::AbsoluteConsistency);
    options.set_track_and_verify_wals_in_manifest(true);
    options.set_use_fsync(false);
    options.set_manual_wal_flush(false);
    options.set_recycle_log_file_num(0);
    let mut compression = [DBCompressionType::Lz4; LEVELS];
    compression[..PLAIN_LEVELS].fill(DBCompressionType::None);
    options.set_compression_per_level(&compression);
    options.set_write_buffer_size(WRITE_BUFFER_BYTES);
    options.set_max_write_buffer_number(3);
    options.set_level_zero_file_num_compaction_trigger(FLUSHED_BUFFERS_MAX);
    options.set_compaction_readahead_size(MERGE_AHEAD_BYTES);
    options.set_write_buffer_manager(&memory.buffers);
    options.set_max_total_wal_size(WRITE_AHEAD_BYTES);
    options.set_max_open_files(OPEN_FILES);
    options.set_max_background_jobs(2);
    options.set_bytes_per_sync(1 << 20);
    options.set_keep_log_file_num(2);
    options.set_max_log_file_size(ENGINE_LOG_BYTES);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    let mut tables = BlockBasedOptions::default();
    tables.set_block_cache(&memory.blocks);
    tables.set_cache_index_and_filter_blocks(true);
    tables.set_pin_l0_filter_and_index_blocks_in_cache(true);
    tables.set_bloom_filter(10.0, false);
    options.set_block_based_table_factory(&tables);
    options
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{Backlog, DB, SharedMemory, options};

    #[test]
    fn files_that_are_not_put_together_yet_are_counted_and_a_new_store_has_none() {
        let folder = tempfile::tempdir().unwrap();
        let mut options = options(&SharedMemory::new(), true);
        options.set_disable_auto_compactions(true);
        let database = DB::open(&options, folder.path()).unwrap();
        assert_eq!(Backlog::of(&database), Backlog::default());
        for number in 0..3_u8 {
            database.put([number], [number]).unwrap();
            database.flush().unwrap();
        }
        assert_eq!(Backlog::of(&database), Backlog { first_files: 3, ..Backlog::default() });
    }
}
