//! Every limit of the client, each with its unit, why this number, and what happens at it.
//!
//! What must always hold: nothing that a region, a user or a network can make grow is without a limit here, and nothing that was
//! acknowledged is dropped at any of them.

/// Commands and messages that are not yet stable, over all conversations. A month of a busy user's messages while every bridge is
/// down. At it, new ones are refused with `outbox_full`; what is in it stays and keeps being sent.
pub const OUTBOX_ENTRIES_MAX: usize = 10_000;

/// Bytes of the bodies in the outbox: 64 MiB, so that a full outbox of long messages does not fill a phone. At it, new ones are
/// refused with `outbox_full`.
pub const OUTBOX_BYTES_MAX: usize = 64 << 20;

/// Bytes of a message's body, until a welcome names another number. Above it, sending is refused with `body_too_large`.
pub const BODY_BYTES_DEFAULT: usize = 65_536;

/// Commands sent on one connection and not yet answered: below what a region takes, so that resending a full outbox never meets
/// that limit. At it, further commands wait in the outbox.
pub const IN_FLIGHT_MAX: usize = 32;

/// Of these, messages of one conversation: at a round trip of a second, half of a slow line's 10 KiB each second in messages of 300 bytes; and another
/// conversation is never kept waiting by one alone. At it, further ones wait in the outbox.
pub const IN_FLIGHT_OF_ONE_MAX: usize = 16;

/// Of those on one connection, commands that are sent again to the replica that has acknowledged them: half of what one conversation may have, so that what the user writes meanwhile goes
/// out at once. At it, further ones wait in the outbox.
pub const REPEATED_IN_FLIGHT_MAX: usize = 8;

/// Bytes of their bodies: about two seconds of a slow line's 10 KiB each second, since what the user writes meanwhile waits behind them on the wire. When so many are under way, further
/// ones wait in the outbox; one may be longer.
pub const REPEATED_BYTES_IN_FLIGHT: usize = 16 << 10;

/// Questions (pages, lists) that wait for an answer on one connection. At it, asking is refused with `too_many_questions`.
pub const QUESTIONS_MAX: usize = 16;

/// Receipts sent on one connection and not yet answered. Together with the two numbers above it stays below the 64 that a region
/// takes. At it, further ones wait, and are told with the newest cursor then.
pub const RECEIPTS_IN_FLIGHT_MAX: usize = 12;

/// Bytes of the cursors in one sync, as JSON: half of what a region takes as a frame. More go into several.
pub const SYNC_BYTES_MAX: usize = 64 * 1024;

/// Milliseconds between two syncs of what fell behind. At most so often a device asks a region that cannot answer.
pub const SYNC_APART_MS: u64 = 1_000;

/// Conversations whose state is kept: as many as a region delivers on one connection. Above it, entries of further ones are not
/// taken and not acknowledged, and `too_many_conversations` says so once per connection.
pub const CONVERSATIONS_MAX: usize = 10_000;

/// Chats that one message is forwarded to at once: what spreads by itself then takes its time. Above it nothing is forwarded, and `too_many_chats` says so.
pub const FORWARD_CHATS_MAX: usize = 5;

/// Identities remembered per conversation, to hide duplicates: about 5 MiB. At it, those whose message ids are oldest are
/// forgotten; what is given again under a forgotten id is hidden as long as its dot tells that it was given before, so only a
/// duplicate that another region took, of a message older than the last 65,536, is shown a second time. An application that
/// keeps more messages than that keeps them under their identity and notices.
pub const IDENTITIES_MAX: usize = 65_536;

/// Messages per conversation of which it is kept what became of them. At it, what was done to the oldest is forgotten, and what is done to them
/// afterwards is told by itself.
pub const AMENDED_MAX: usize = 4_096;

/// Bytes of the bodies of edits kept per conversation, so that a device that holds many conversations stays small: a thousand ordinary texts. At it, the
/// same happens.
pub const AMENDED_BYTES_MAX: usize = 1 << 20;

/// Messages per conversation that the user has deleted for themselves, as this device remembers: what eight regions let in that do not hear of each other. At it the oldest
/// is forgotten here, and what is shown of it is the region's affair.
pub const HIDDEN_MAX: usize = 8_192;

/// Own messages per conversation whose delivered and read ticks are followed: what a screen can show, many times over. At it, the
/// oldest are not followed further.
pub const OWN_MESSAGES_MAX: usize = 1_024;

/// Dots remembered of one own message: its original and duplicates, at most one a region that took it. Further ones are ignored.
pub const DOTS_OF_A_MESSAGE_MAX: usize = 64;

/// Replicas remembered to have acknowledged one command, so that it goes behind what is new to them: as many as dots. At it, it is sent to further ones in its turn.
pub const REPLICAS_OF_A_COMMAND_MAX: usize = 64;

/// Receipts (one per member and device) kept per conversation. Those of further devices are not followed.
pub const RECEIPTS_MAX: usize = 2_048;

/// Ticks remembered per conversation of members who left, so that they are not given again when those are back: about 1 MiB. At it, those of the
/// oldest messages are forgotten, and might be told twice.
pub const TOLD_MAX: usize = 16_384;

/// Marked messages kept per conversation. Above it, the mark of further ones is not followed: it stays on them, which is
/// wrong only on the safe side.
pub const MARKED_MAX: usize = 4_096;

/// Memberships of this user per conversation that are followed for what they hide. Above it nothing
/// counts as hidden, so that marks may stay.
pub const MEMBERSHIPS_MAX: usize = 64;

/// Milliseconds after which what was delivered is acknowledged at the latest.
pub const ACKNOWLEDGE_AFTER_MS: u64 = 1_000;

/// Live items after which what was delivered is acknowledged at once.
pub const ACKNOWLEDGE_AFTER_ITEMS: usize = 100;

/// Milliseconds before the first try to reconnect is over at the latest; doubled with each failure.
pub const RECONNECT_FIRST_MS: u64 = 1_000;

/// Milliseconds between two tries at most. Trying never ends.
pub const RECONNECT_MOST_MS: u64 = 64_000;

/// Milliseconds that connecting and being welcomed may take together. After it the connection counts as failed.
pub const WELCOME_WITHIN_MS: u64 = 20_000;

/// Milliseconds without a byte from the region after which the connection is dead: three heartbeats.
pub const SILENCE_MS: u64 = 90_000;

/// Milliseconds between two heartbeats until a welcome names another number.
pub const HEARTBEAT_MS_DEFAULT: u64 = 30_000;

/// Milliseconds after which a refusal for the moment is tried again when the region names no time.
pub const RETRY_MS_DEFAULT: u64 = 1_000;

/// Milliseconds that a region may ask to wait at most; a longer wait is cut to this.
pub const RETRY_MS_MAX: u64 = 60_000;

const _: () = assert!(RECONNECT_FIRST_MS << 6 == RECONNECT_MOST_MS);
const _: () = assert!(HEARTBEAT_MS_DEFAULT * 3 <= SILENCE_MS);
const _: () = assert!(IN_FLIGHT_MAX + QUESTIONS_MAX + RECEIPTS_IN_FLIGHT_MAX < 64);
const _: () = assert!(IN_FLIGHT_OF_ONE_MAX < IN_FLIGHT_MAX);
const _: () = assert!(REPEATED_IN_FLIGHT_MAX < IN_FLIGHT_OF_ONE_MAX);
const _: () = assert!(OUTBOX_BYTES_MAX / BODY_BYTES_DEFAULT >= IN_FLIGHT_MAX);
