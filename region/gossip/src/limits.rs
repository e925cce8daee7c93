//! The limits of gossip: value, unit, why this number, and what happens at it.
//!
//! What must always hold: three regions that have nothing to do exchange less than a kilobyte a second over a bridge, all else included; and whoever lies cannot make this region's memory grow.

use std::time::Duration;

/// A region begins a round with up to three others this often. A round of three regions is some 400 bytes, QUIC included, and a bridge sees two of them in that time.
pub const ROUND_EVERY: Duration = Duration::from_secs(2);

/// What this region says of itself, and what it holds of the others, is looked at this often.
pub const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A region is held for dead once nothing new was heard of it for this many times the mean of the times between what was heard: 4 to 11 seconds, as there are more peers or fewer that pass its word on,
/// and some more soon after it was found live, while those times are uneven.
pub const PHI: f64 = 8.0;

/// So many times between words make the mean, beside five of [`WORD_EVERY`] that stand for the beginning: a burst, as after a process stood still, hardly lowers it.
pub const WORDS: usize = 10;

/// What is expected before anything was heard: of the two rounds of a bridge in [`ROUND_EVERY`] each brings word.
pub const WORD_EVERY: Duration = Duration::from_secs(1);

/// A longer silence is no sample.
pub const SILENCE_MAX: Duration = Duration::from_secs(10);

/// A start of a region that is dead for this long is forgotten; it is passed on for half of it. It must be longer than regions are apart in finding it dead.
pub const FORGET_AFTER: Duration = Duration::from_secs(30);

/// Starts of one region that are held at a time: one that ends and is started again every six seconds. A message that names one more is refused. Twice as many of 64 regions, at 47 bytes
/// each, leave room in a message, without which chitchat ends its process.
pub const STARTS_MAX: usize = 8;

/// Blocks of a message's facts, and bytes of a block once inflated: what chitchat makes at most of 64 KiB. A message with more is refused.
pub const BLOCKS_MAX: usize = 5;
/// See [`BLOCKS_MAX`].
pub const BLOCK_BYTES_MAX: usize = 16_384;

/// Versions and heartbeats above this are refused: a heartbeat a microsecond takes nine years to get there, and chitchat counts on from what it is told.
pub const NUMBER_MAX: u64 = 1 << 48;
