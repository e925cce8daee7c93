//! One region's driver: RocksDB stores, a thread a shard, the disciplined clock's readings, the bridges' tasks. It decides nothing.
//!
//! What must always hold:
//! - A shard starts no step before its last batch is synced, and effects leave only after that sync (promise 2).
//! - A failed commit ends the process: after a failed sync nobody knows what is on the disk.
//! - Two processes never have one data folder.

pub mod audit;
mod bridges;
pub mod checkpoints;
pub mod clock;
pub mod compact_files;
pub mod counters;
mod data_folder;
pub mod ending;
pub mod engine;
mod entropy;
pub mod handle;
pub mod lock;
mod machine;
pub mod mailbox;
mod membership_metrics;
pub mod metrics;
pub mod node;
mod own_facts;
mod port;
mod scrub_thread;
mod shard_thread;
mod snapshots;
pub mod stopped;
pub mod store;
mod torn_tail;
