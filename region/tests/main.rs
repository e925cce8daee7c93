//! All tests of `region` that need no more than what it makes public, in one program: linked once, so that a change is judged in seconds.
//!
//! What must always hold: a file is one subject; `rig` drives a shard over a store in memory, and tests nothing itself.

#![allow(clippy::unwrap_used, clippy::needless_pass_by_value)]

mod accounts;
mod amendments;
mod catching_up;
mod closed;
mod cluster_file;
mod compaction;
mod convergence;
mod damage;
mod digests;
mod documents;
mod epochs;
mod expiry;
mod following_epochs;
mod geo;
mod heirs;
mod hidden;
mod histories;
mod homes;
mod joined;
mod journey;
mod lags;
mod log_reads;
mod mended_logs;
mod operators;
mod pins;
mod reading;
mod refusals;
mod refused_peers;
mod repairs;
mod residency;
mod restored;
mod rig;
mod rights;
mod rosters;
mod salvaged;
mod scrubbing;
mod steps;
