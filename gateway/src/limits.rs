//! The limits of a session: value, unit, why this number, and what happens at it.
//!
//! A session's memory is bounded by these, by the number of conversations its user is in, and by nothing else.

/// Milliseconds until a connection that said no hello is closed (`hello_timeout`). Ten seconds bear a slow mobile link.
pub const HELLO_MS: u64 = 10_000;
/// Milliseconds after which a client sends a ping if it has sent nothing else.
pub const HEARTBEAT_MS: u64 = 30_000;
/// Milliseconds of silence after which the connection is dead and closed (`heartbeat_missed`): three pings may be lost.
pub const SILENCE_MS: u64 = 90_000;
/// Milliseconds over which a draining region sends its devices away, so that they do not all arrive elsewhere at once.
pub const DRAIN_SPREAD_MS: u64 = 2_000;
/// Milliseconds for which ticks are gathered, the latest of each register alone being sent: four a second look immediate.
pub const TICKS_MS: u64 = 250;
/// Milliseconds after which a refused frame may be sent again when nothing better is known.
pub const RETRY_MS: u64 = 1_000;

/// Commands and questions of a session that are unanswered at a time. One more is refused (`too_many_outstanding`).
pub const OUTSTANDING_MAX: usize = 64;
/// Items of one delivery.
pub const BATCH_ITEMS_MAX: usize = 100;
/// Bytes of the items of one delivery or answer, in Protocol Buffers; a single larger item goes alone. In JSON that
/// stays below the limit of a frame, a third more for base64 and 200 bytes of names an item.
pub const BATCH_BYTES_MAX: usize = 64 * 1024;

/// Bytes of a document in one frame of an answer: with all that the first one says besides (at most 40 KB), and in base64, it fits the limit of a frame.
pub const DOCUMENT_PART_BYTES: usize = 48 * 1024;
/// Deliveries to a device that is catching up which it has not acknowledged. At the limit nothing more is read for it until it does.
pub const UNACKNOWLEDGED_BATCHES_MAX: usize = 4;
/// Unsent bytes of a connection above which live conversations fall back to sync and questions are refused.
pub const UNSENT_BYTES_MAX: usize = 1024 * 1024;
/// Unsent bytes below which a catch-up reads on.
pub const UNSENT_BYTES_RESUME: usize = 256 * 1024;
/// Unsent bytes at which the connection is closed (`slow_device`): answers to what was asked before the first limit fit below it.
pub const UNSENT_BYTES_CLOSE: usize = 16 * 1024 * 1024;
/// Conversations that a list holds, at most and by default.
pub const LIST_MAX: usize = 100;
/// Messages that a page holds, at most and by default.
pub const PAGE_MAX: usize = 50;
/// Conversations that a session delivers. The most recently active are delivered, the others can be listed and paged.
pub const CONVERSATIONS_MAX: usize = 10_000;
/// Cursors of one sync: more than fit a frame.
pub const CURSORS_MAX: usize = 4_096;
/// Conversations in which a session posted or was given its user's own posts, whose ticks are forwarded: as many as it delivers, and as a device's outbox can have
/// commands in while nothing becomes stable. Beyond that one is forgotten, first one of which all has been told to be stable: its receipts can be asked for. Of
/// another the stable tick comes with the next sync.
pub const OWN_CONVERSATIONS_MAX: usize = CONVERSATIONS_MAX;
/// Registers whose last forwarded value is remembered, so that a receipt that covers nothing new is not sent. When forgotten, one is
/// sent that need not have been.
pub const RECEIPTS_REMEMBERED_MAX: usize = 1_024;
/// Receipts gathered for one sending; at the limit they are sent at once.
pub const RECEIPTS_GATHERED_MAX: usize = 256;
/// Partitions whose stable cut is remembered. When forgotten, a resent message's stable tick comes with the next growth.
pub const STABLE_REMEMBERED_MAX: usize = 1_024;

/// Bytes of a message's body, as the region refuses more.
pub const BODY_BYTES_MAX: usize = 65_536;
/// Members of a group, as the region refuses more.
pub const MEMBERS_MAX: usize = 1_024;
/// Characters of a group's name, as the region refuses more.
pub const NAME_CHARACTERS_MAX: usize = 256;

/// The protocol versions that this region speaks.
pub const VERSION_MIN: u32 = 1;
/// See [`VERSION_MIN`].
pub const VERSION_MAX: u32 = 1;

const _: () = assert!(SILENCE_MS >= 2 * HEARTBEAT_MS, "a single lost ping must not end a connection");
const _: () =
    assert!(UNSENT_BYTES_RESUME < UNSENT_BYTES_MAX, "a catch-up must not undo its own falling back");
const _: () = assert!(BODY_BYTES_MAX <= BATCH_BYTES_MAX);
const _: () =
    assert!(UNSENT_BYTES_CLOSE > UNSENT_BYTES_MAX + OUTSTANDING_MAX * gateway_protocol::FRAME_BYTES_MAX);
