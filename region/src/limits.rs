//! The limits of a shard: value, unit, why this number, what happens at it.
//!
//! What must always hold: everything that input can grow is bounded by one of these, or by what an operator provides (disk).

use crdt::amendments::Windows;
use std::ops::RangeInclusive;

/// What a shard accepts. Each is a setting; the defaults are the design's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a post's body: 64 KiB of text. Beyond it the post is refused with `body_too_large`.
    pub body_bytes_max: usize,
    /// Members of a group that begins here: a receipt's fan-out and a membership record stay small. Beyond it `too_many_members`. A group's limit is fixed
    /// when it begins, since that is when its rights are issued.
    pub members_max: usize,
    /// Changes of a group's members that not every region has acknowledged, leaves aside: each is weighed again by every one that is concurrent with it, and stands in the
    /// record that a change rewrites. Beyond it `too_many_changes`; what peers bring is taken.
    pub unfolded_changes_max: usize,
    /// Characters of a group's name. Beyond it `name_too_long`.
    pub name_characters_max: usize,
    /// Days for which a client keeps and resends what it sent, so days for which an id is known. Older ids are `message_too_old`.
    pub outbox_days_max: u64,
    /// Milliseconds that a device's clock may be ahead. Ids from further ahead are `message_from_future`.
    pub ahead_ms_max: u64,
    /// Devices of one member whose receipts are kept apart in one conversation, dead ones included: device ids come from tokens, and a row each would let
    /// one user fill a disk. Receipts of further devices are joined into one for all of them: nothing that was read is lost.
    pub receipt_devices_max: usize,
    /// Messages of one conversation that one user hides from themselves, as this region counts: each is a register for good, and the user's devices are told of all when they
    /// come back. Beyond it `too_many_hidden`; what peers bring is taken.
    pub hidden_max: usize,
    /// Milliseconds for which a device may confirm nothing while another one of its user is given more; then it is taken for dead, and the next time that one confirms
    /// its receipt goes. As long as an outbox is kept: who is away for longer has new devices, or nothing to send.
    pub device_dead_after_ms: u64,
    /// Milliseconds for which a partition's acknowledgement may wait for more to acknowledge: an acknowledgement costs every region a write and every
    /// bridge some 70 bytes, so one a second and busy partition. Stability comes at most that much later: it lets clients forget, and nobody waits for it.
    pub acknowledge_after_ms: u64,
    /// Milliseconds for which a message's text is kept here once it is here. As long as an outbox is kept at least, so that whoever is sent it again is told it is known; a placement
    /// may say up to 90 days.
    pub kept_ms: u64,
    /// Milliseconds after which a text that was cut leaves the engine's older files: then they are rewritten. A day's deletions share one rewriting, which may have to write all that the
    /// placement holds; and a day is short of the 90 by which all of a text is to be gone.
    pub compact_after_ms: u64,
    /// Milliseconds of running within which all that lies on the disk is read again, so that damage is found before somebody needs what it hit.
    pub scrub_within_ms: u64,
    /// How long after it was sent a message may be edited, and deleted for everyone: later it has been read and answered. Beyond them `too_late`.
    pub windows: Windows,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes_max: 65_536,
            members_max: 1_024,
            unfolded_changes_max: 1_024,
            name_characters_max: 256,
            outbox_days_max: 30,
            ahead_ms_max: DAY_MS,
            receipt_devices_max: 32,
            hidden_max: 1_024,
            device_dead_after_ms: 30 * DAY_MS,
            acknowledge_after_ms: 1_000,
            kept_ms: 30 * DAY_MS,
            compact_after_ms: DAY_MS,
            scrub_within_ms: DAY_MS,
            windows: Windows::default(),
        }
    }
}

/// Milliseconds for which an answer waits until another region has what it is about, in a placement that has bought that: so long that what a device writes meanwhile goes ahead of it, and no
/// longer than somebody may be left without a word. Then it is told that nobody else has it.
pub(crate) const HELD_FOR_MS: u64 = 10_000;

/// Answers that wait so, some 200 bytes each. Beyond them a device is told at once that nobody else has it.
pub(crate) const HELD_ANSWERS_MAX: usize = 65_536;

/// Milliseconds of a day.
pub const DAY_MS: u64 = 86_400_000;

/// Milliseconds between two notes of the present in a store that is being written: how far `now` may go back by a crash and a wall clock
/// that is late. Some 20 bytes a second.
pub(crate) const PRESENT_EVERY_MS: u64 = 1_000;

/// Entries that an unread count looks at, newest first: it counts the unread among these, and a list of many conversations stays quick.
pub const UNREAD_LOOKED_AT_MAX: usize = 1_000;

/// Users whom a reaction names where messages are read by their place; of the others it has the number. Twenty emoji of a thousand users each would be
/// 340 KB under one message.
pub const REACTION_USERS_SHOWN_MAX: usize = 16;

/// Deleted messages that are looked at in one step, and cut if they may be; the others follow in the next steps, at once. Each is a log record read and written, of up to 68 KiB.
pub const CUT_A_STEP_MAX: usize = 64;

/// Days for which a placement may keep messages: as long as devices send again what they sent at least, and at most what is promised to be gone in all with its backups.
pub const KEPT_DAYS: RangeInclusive<u64> = 30..=90;

/// Entries of logs that are looked at in one step because they have come of age; the others follow in the next steps, at once. Each is a log record read and written, of up to 68 KiB.
pub const EXPIRED_A_STEP_MAX: usize = 64;

/// Entries that a read of what a device lacks looks at: what has expired gives nothing, however much it is, and the next read goes on behind it.
pub const CHANGES_LOOKED_AT_MAX: usize = 4_096;

/// Milliseconds after which a compaction that came to nothing is tried again: a reader that held it up, or a full disk, has time to go.
pub const COMPACT_AGAIN_AFTER_MS: u64 = 10_000;

/// Groups that are looked at in one step for rights that have come to be due; the others follow in the next steps, at once. Each is a record read, of up to 90 KB.
pub const SETTLED_A_STEP_MAX: usize = 64;

/// Edits that are looked at in one step whose words are still to be taken back; the others follow in the next steps, at once. Each is a document read and written, of up to some MiB.
pub const MENDED_A_STEP_MAX: usize = 4;

/// Operations of an old store's log, which an operator brings back, at which no further commit goes into the same step.
pub const SALVAGED_A_STEP_TARGET: usize = 256;
/// Bytes of these at which no further commit does.
pub const SALVAGED_BYTES_TARGET: usize = 1 << 20;
/// Operations that one step brings back at the most: those, and one commit of the longest.
pub const SALVAGED_A_STEP_MAX: usize = SALVAGED_A_STEP_TARGET + replication::limits::COMMIT_OPERATIONS_MAX;

/// Milliseconds for which a region waits for each that holds more rights of a group to give some to one that has few, before it does so itself:
/// richer ones may be cut off. Long enough that a region which is there has given, and has been heard of.
pub const RIGHTS_PATIENCE_MS: u64 = 5_000;

/// Bytes after which a commit of this region's own ends, though the step has more to issue: a commit is carried and applied whole, so
/// it is kept well below what a peer takes. A step that issues more makes several commits, one behind the other.
pub const COMMIT_BYTES_TARGET: usize = 256 * 1024;

/// Operations after which it ends.
pub const COMMIT_OPERATIONS_TARGET: usize = 1_024;

/// Bytes that a post's envelope and payload take in a frame beyond its body, with a cut of 16 replicas in it: what a reader of
/// commits must have room for.
pub const POST_OVERHEAD_BYTES_MAX: usize = 1_024;

const _: () = assert!(65_536 + POST_OVERHEAD_BYTES_MAX < 128 << 10, "a post fits a frame");
const _: () = assert!(
    COMMIT_BYTES_TARGET + 65_536 + POST_OVERHEAD_BYTES_MAX <= replication::limits::COMMIT_BYTES_MAX,
    "a commit ends with the operation that brings it past its target, and peers still take it"
);
const _: () = assert!(COMMIT_OPERATIONS_TARGET <= replication::limits::COMMIT_OPERATIONS_MAX);
