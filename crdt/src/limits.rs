//! How large what an operation carries may be, in whatever placement and under whatever settings.
//!
//! These are the outer walls: a region's door has lower, settable limits with errors that users see. What is beyond a wall
//! can only come from a broken or hostile region, and is a malformed operation, which changes nothing. They may only ever be
//! raised: an operation within them was acknowledged and is in logs.
//!
//! State derived from operations needs no wall of its own: what it grows with stands at the head of each type, and its
//! decoders believe a count only as far as the bytes reach.

/// Entries of a cut that travels: replica ids that ever issued in one partition. A region adds one each time its store is
/// restored, so this is hundreds of restores in tens of regions. A longer cut is refused.
pub const CUT_ENTRIES_MAX: usize = 1_024;

/// First members of a group: four times the largest default. A creation with more is refused.
pub const MEMBERS_MAX: usize = 4_096;

/// Bytes of a group's name: 256 characters of up to four bytes. A longer one is refused.
pub const NAME_BYTES_MAX: usize = 1_024;

/// Bytes of a message's body: 64 KiB of text are 68 KiB as ciphertext. A longer one is refused.
pub const BODY_BYTES_MAX: usize = 68 * 1_024;

/// Bytes of a change of a document. A longer one is refused.
pub const DOCUMENT_CHANGE_BYTES_MAX: usize = 64 * 1_024;

/// Bytes of a reaction: the longest emoji that Unicode recommends has 35. A longer one is refused.
pub const EMOJI_BYTES_MAX: usize = 64;

/// Different emoji that a message shows; a 21st is refused at the door, and of those that come concurrently the first 20 are shown.
pub const EMOJI_DISTINCT_MAX: usize = 20;

/// Features that a region sets flags of. One more is refused where it is set.
pub const FLAGS_MAX: usize = 256;

/// Bytes of a flag's name. A longer one is none.
pub const FLAG_NAME_BYTES_MAX: usize = 64;

/// Times a message is edited, as the door of one region counts: six a minute through all of the window. One more is refused there, and taken from
/// another region's log.
pub const EDITS_MAX: usize = 90;

/// Times a user gives one reaction to one message, as the door of one region counts: each leaves 16 bytes. One more is refused there, and taken
/// from another region's log.
pub const COMMANDS_A_REACTION_MAX: usize = 32;

/// Commands that one withdrawal names: what the doors of all regions together let in. A longer list is refused.
pub const COMMANDS_WITHDRAWN_MAX: usize = 1_024;

const _: () =
    assert!(COMMANDS_WITHDRAWN_MAX >= COMMANDS_A_REACTION_MAX, "what a door lets in can be withdrawn");

const _: () =
    assert!(8 * MEMBERS_MAX + NAME_BYTES_MAX < BODY_BYTES_MAX, "a creation must fit where a message fits");
