//! Every bound of a bridge: its value and unit, why this number, and what happens at it.
//!
//! What must always hold: whatever a peer sends or fails to take, one bridge holds at most [`PENDING_BYTES_MAX`] of what waits,
//! [`IN_FLIGHT_BYTES_MAX`] of what the shard has not taken and what one commit or frame brings beyond it, and one frame each way. What is not held stays in the sender's log.

/// A frame is filled up to here; a commit that does not fit goes in a frame of its own. Large enough that a frame's own cost vanishes,
/// small enough that a live message waits for at most 5 ms of a 100 Mbit/s link.
pub const FRAME_BYTES_TARGET: usize = 64 * 1024;

/// A frame longer than this is refused with [`Reason::Oversized`](crate::reason::Reason::Oversized) before it is read.
pub const FRAME_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Envelopes and payloads of one commit together: the shard closes a batch before it passes this; a larger one is refused as malformed, since
/// whoever took it could not pass it on, in one frame with other answers.
pub const COMMIT_BYTES_MAX: usize = 1024 * 1024;

/// Operations of one commit: the shard closes a batch before it passes this; a longer one is refused as malformed.
pub const COMMIT_OPERATIONS_MAX: usize = 4_096;

/// One envelope. Ours have about 80 bytes; room for kinds to come. A longer one is refused as malformed.
pub const ENVELOPE_BYTES_MAX: usize = 4 * 1024;

/// What one turn of a partition adds to a frame, so that one large backlog does not fill frames alone. Commits of a turn are joined, so a longer one is also cheaper: a signature
/// costs its verifier as much as 40 messages of hashing.
pub const TURN_BYTES_MAX: usize = 32 * 1024;

/// Delivered to the shard and not yet taken. At the limit reading pauses, and goes on at half of it. A live message waits behind all of it:
/// 12 ms when 20,000 operations of 1 KB come in a second. One commit may be larger and is delivered alone.
pub const IN_FLIGHT_BYTES_MAX: usize = 256 * 1024;

/// Entries that wait for something they depend on, and bodies fetched ahead, of all partitions of a bridge. At the limit the largest
/// blocked partition's are dropped, and the peer is asked for them again once it is unblocked.
pub const PENDING_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Counted for each waiting entry on top of its bytes, so that many tiny entries are bounded too.
pub const PENDING_ENTRY_BYTES: usize = 256;

/// Fetches of a peer that are not answered yet. One more is refused with
/// [`Reason::TooManyFetches`](crate::reason::Reason::TooManyFetches): ours asks once a partition and origin.
pub const FETCHES_MAX: usize = 16 * 1024;

/// Runs of references that a partition holds back; at the limit they are sent without waiting for a commit.
pub const HELD_RUNS_MAX: usize = 64;

/// Partitions named in one Resume frame: about 20 KiB.
pub const RESUME_PARTITIONS_MAX: usize = 1_024;

/// Bases told in one frame: about 20 KiB where three regions share a placement, and no more than the frame has room for.
pub const BASES_MAX: usize = 512;

/// Files of a snapshot: a store's files have 64 MiB each, so these are two terabytes. Of a store with more none is offered.
pub const SNAPSHOT_FILES_MAX: usize = 32_768;

/// Bytes of a file's name in a snapshot; the storage engine's have a dozen. A longer one is refused as malformed.
pub const SNAPSHOT_NAME_BYTES_MAX: usize = 48;

/// Bytes of one register's key.
pub const REGISTER_KEY_BYTES_MAX: usize = 256;

/// Bytes of one register's value; a longer one is refused as malformed.
pub const REGISTER_VALUE_BYTES_MAX: usize = 64 * 1024;

/// Registers that changed here wait this long for company, in milliseconds: receipts and acknowledgements of one conversation come in bursts, and a burst
/// costs each register once. Nobody sees a quarter of a second of a tick.
pub const REGISTERS_FLUSH_MS: u64 = 250;

/// Registers that only passed through here wait so long, in milliseconds, or twice as long if the peer's number is the lower: longer than a way
/// around the world, so that the peer has mostly got them from where they were made, and has said so. With that bridge cut, ticks are so much later.
pub const PASSED_ON_FLUSH_MS: u64 = 500;

/// References wait this long for a commit to go with, in milliseconds. Nobody needs them before that, except a region that hears of their
/// origin in no other way, and such a one has asked for bodies. Alone they cost about 16 bytes, with a commit about 5.
pub const REFERENCES_FLUSH_MS: u64 = 500;

/// The longest wait for a reference's body on its origin's own stream, in milliseconds, before it is fetched.
pub const PATIENCE_MS_MAX: u64 = 200;

/// The shortest such wait while the origin's bridge is up: below it, jitter would be taken for lateness.
pub const PATIENCE_MS_MIN: u64 = 10;

/// An origin whose references had to be fetched so many times in a row while its bridge is up is asked for inline.
pub const LATE_FETCHES_TO_INLINE: u32 = 3;

/// An origin sent inline is switched off once its own stream was first so many times in a row.
pub const OVERTAKES_TO_REFERENCE: u32 = 16;

/// Clocks of two regions that differ by more than this, in milliseconds, raise an alarm that names the pair.
pub const DRIFT_MS_MAX: u64 = 500;

/// The clocks of a pair are compared this often, in milliseconds.
pub const PROBE_MS: u64 = 10_000;

/// Statements of epochs that a region sends at once to one that lacks them, of each placement: what then remains follows on the next connection.
pub const EPOCHS_MAX: usize = 8;

/// The first redial is within this time after a connection ended, in milliseconds; it doubles with each failure.
pub const REDIAL_MS_MIN: u64 = 100;

/// The longest time between two redials, in milliseconds: a healed link is found within it.
pub const REDIAL_MS_MAX: u64 = 2_000;

/// After a refusal the next redial is within this time, in milliseconds, and not before half of it: what was refused needs a person.
pub const REDIAL_REFUSED_MS: u64 = 10_000;

const _: () = assert!(COMMIT_BYTES_MAX + COMMIT_OPERATIONS_MAX * 16 + 1_024 <= FRAME_BYTES_MAX);
const _: () = assert!(TURN_BYTES_MAX < FRAME_BYTES_TARGET && FRAME_BYTES_TARGET < FRAME_BYTES_MAX);
const _: () = assert!(FRAME_BYTES_TARGET * 4 <= IN_FLIGHT_BYTES_MAX && FRAME_BYTES_MAX < PENDING_BYTES_MAX);
const _: () = assert!(REGISTER_KEY_BYTES_MAX + REGISTER_VALUE_BYTES_MAX + 64 < FRAME_BYTES_MAX);
const _: () = assert!(REGISTERS_FLUSH_MS < PASSED_ON_FLUSH_MS);
const _: () = assert!(PATIENCE_MS_MIN < PATIENCE_MS_MAX && REDIAL_MS_MIN < REDIAL_MS_MAX);
