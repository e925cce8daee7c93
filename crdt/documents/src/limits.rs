//! The limits of documents: value, unit, why this number, what happens at it.
//!
//! What must always hold:
//! - What decides whether a change stands depends on the change, on what its origin issued before it, and on its own past: never on what else
//!   has arrived. So every region decides alike, in whatever order changes come.
//! - Limits of what is *shown* are no part of that: two changes that are each within them may not be together. They bind where a change is
//!   issued, and reading cuts what is over them by one rule.

/// Bytes of one change, compressed or not: it travels in an operation, as a post of 64 KiB does.
pub const CHANGE_BYTES_MAX: usize = crdt::limits::DOCUMENT_CHANGE_BYTES_MAX;

/// Operations in one change: a description of 512 characters is replaced with 1,024. Beyond it the change is no change of ours.
pub const OPERATIONS_PER_CHANGE_MAX: usize = 2_048;

/// The highest counter that a change may begin at: operations of a document are counted on from change to change. More are never made; what says so is no change.
pub(crate) const COUNTER_MAX: u64 = u32::MAX as u64;

/// Changes that a change may name as those it was made on: one a concurrent writer, and the writer's own last.
pub const DEPENDENCIES_MAX: usize = 1_024;

/// Actors whose operations a change may name: each character of a description may be another's.
pub const ACTORS_PER_CHANGE_MAX: usize = 1_024;

/// Bytes of an actor.
pub const ACTOR_BYTES_MAX: usize = 64;

/// Bytes of a key in a map.
pub const KEY_BYTES_MAX: usize = 256;

/// Bytes of a value in a map.
pub const VALUE_BYTES_MAX: usize = 4 * 1024;

/// Bytes of what one insertion into a text holds: a character with its modifiers.
pub const INSERTION_BYTES_MAX: usize = 64;

/// Bytes of a change's message and of what follows its operations, neither of which is shown.
pub const REMARK_BYTES_MAX: usize = 256;

/// Changes of one document by one origin, for good: they are never forgotten, because a device may build on any of them. Some 60 bytes each in
/// the record of the document, which is read for every change. What an origin issues beyond is kept out everywhere.
pub const CHANGES_PER_ORIGIN_MAX: u32 = 16_384;

/// Operations in them: some 20 bytes each in the same record.
pub const OPERATIONS_PER_ORIGIN_MAX: u32 = 131_072;

/// Characters (Unicode scalar values, as everywhere) of a conversation's name, its description, a profile's display name and status, and
/// what a user calls a contact or a label.
pub const NAME_CHARACTERS_MAX: usize = 256;
/// Of a description.
pub const DESCRIPTION_CHARACTERS_MAX: usize = 512;
/// Of a display name.
pub const DISPLAY_NAME_CHARACTERS_MAX: usize = 100;
/// Of a status.
pub const STATUS_CHARACTERS_MAX: usize = 500;
/// Of a nickname, and of a label.
pub const NICKNAME_CHARACTERS_MAX: usize = 100;
/// Of an icon: the name of a medium.
pub const ICON_CHARACTERS_MAX: usize = 512;
/// Of one setting.
pub const SETTING_CHARACTERS_MAX: usize = 256;

/// Messages that are pinned in one conversation.
pub const PINNED_MAX: usize = 32;
/// Settings in one document.
pub const SETTINGS_MAX: usize = 32;
/// Contacts, labels and blocked users of one account, each.
pub const CONTACTS_MAX: usize = 4_096;

const _: () = assert!(
    2 * DESCRIPTION_CHARACTERS_MAX <= OPERATIONS_PER_CHANGE_MAX,
    "a whole description is replaced by one change"
);
const _: () =
    assert!(32 * DEPENDENCIES_MAX <= CHANGE_BYTES_MAX / 2, "a change has room beside what it was made on");
const _: () = assert!(VALUE_BYTES_MAX >= 4 * ICON_CHARACTERS_MAX, "whatever may be shown may be stored");
const _: () = assert!(
    (OPERATIONS_PER_ORIGIN_MAX as u64) * 4_096 < u32::MAX as u64,
    "counters of operations stay within Automerge's 32 bits with 4,096 origins"
);
