//! The two kinds of documents and what each has: parts that are there from the first change on, for ever, and what may change in them.
//!
//! The naive way lets whoever writes first make the parts. Two regions that do so apart make two descriptions, of which one vanishes with all that was
//! typed into it. Here every document begins with the same change, byte for byte, in every region and every device, so parts have one identity.
//! What must always hold: the bytes of a first change never change; a part is neither made nor removed by any other change.
//!
//! | document | part | holds |
//! | --- | --- | --- |
//! | conversation | root | `name`, `icon`: text |
//! | | `description` | a text that is edited by character |
//! | | `pinned` | a message's sender and id → true |
//! | | `settings` | a name → text |
//! | account | `profile` | `display_name`, `status`: text |
//! | | `contacts`, `labels` | a user → nickname; a conversation → label |
//! | | `blocked` | a user → true |
//! | | `settings` | a name → text |
//!
//! Texts in maps are scalars: who writes last of two that are concurrent is shown (Automerge's own order), and nobody sees half of each.

use crate::change::{Actor, ChangeHash, Object};
use crate::write_change::chunk;

/// What kind of document it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Schema {
    /// Of a conversation.
    Conversation,
    /// Of a user.
    Account,
}

/// A part of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// The root of a conversation's document: `name` and `icon`.
    Root,
    /// A conversation's description.
    Description,
    /// Its pinned messages.
    Pinned,
    /// Settings, of a conversation or a user.
    Settings,
    /// A user's display name and status.
    Profile,
    /// A user's names for others.
    Contacts,
    /// A user's labels of conversations.
    Labels,
    /// Whom a user has blocked.
    Blocked,
}

impl Schema {
    /// The parts that its first change makes, in the order in which it makes them.
    const fn parts(self) -> &'static [Part] {
        match self {
            Self::Conversation => &[Part::Description, Part::Pinned, Part::Settings],
            Self::Account => &[Part::Blocked, Part::Contacts, Part::Labels, Part::Profile, Part::Settings],
        }
    }

    /// What may be put at the root.
    const fn root_keys(self) -> &'static [&'static str] {
        match self {
            Self::Conversation => &["name", "icon"],
            Self::Account => &[],
        }
    }

    /// The bytes of the first change: an uncompressed Automerge change by the actor of sixteen zero bytes, at time 0.
    #[must_use]
    pub const fn first_change(self) -> &'static [u8] {
        match self {
            Self::Conversation => FIRST_OF_CONVERSATION,
            Self::Account => FIRST_OF_ACCOUNT,
        }
    }

    /// Its hash.
    #[must_use]
    pub fn first_hash(self) -> ChangeHash {
        chunk(&self.first_change()[HEAD_BYTES..]).1
    }

    /// The counter of its last operation.
    pub(crate) const fn first_end(self) -> u64 {
        self.parts().len() as u64
    }

    pub(crate) fn object(self, part: Part) -> Option<Object> {
        if part == Part::Root {
            return Some(Object::Root);
        }
        let at = self.parts().iter().position(|other| *other == part)?;
        u8::try_from(at + 1).ok().map(Object::Child)
    }

    fn part(self, object: Object) -> Option<Part> {
        match object {
            Object::Root => Some(Part::Root),
            Object::Child(child) => self.parts().get(usize::from(child).checked_sub(1)?).copied(),
        }
    }

    /// Whether a value may stand there.
    pub(crate) fn may_put(self, object: Object, key: &str) -> bool {
        match self.part(object) {
            Some(Part::Root) => self.root_keys().contains(&key),
            Some(Part::Description) | None => false,
            Some(_) => !key.is_empty(),
        }
    }

    pub(crate) fn is_text(self, object: Object) -> bool {
        self.part(object) == Some(Part::Description)
    }
}

/// Whom first changes are by: nobody.
pub(crate) fn first_actor() -> Actor {
    Actor::from_bytes(&[0; 16])
}

#[rustfmt::skip]
const FIRST_OF_CONVERSATION: &[u8] =
    b"\x85oJ\x83\xf9W\x8dM\x01H\x00\x10\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\
    \x00\x00\x00\x00\x01\x01\x00\x00\x00\x05\x15\x1d4\x01B\x04V\x02p\x02}\x0bde\
    scription\x06pinned\x08setting\
    s\x03\x7f\x04\x02\x00\x03\x00\x03\x00";
#[rustfmt::skip]
const FIRST_OF_ACCOUNT: &[u8] =
    b"\x85oJ\x83\xa4\xdb~\xd2\x01S\x00\x10\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\
    \x00\x00\x00\x00\x01\x01\x00\x00\x00\x05\x15*4\x01B\x02V\x02p\x02{\x07bl\
    ocked\x08contacts\x06labels\x07pr\
    ofile\x08settings\x05\x05\x00\x05\x00\x05\x00";

/// Magic, checksum, type, and a length of one byte.
const HEAD_BYTES: usize = 10;
const _: () =
    assert!(FIRST_OF_CONVERSATION.len() < 128 && FIRST_OF_ACCOUNT.len() < 128, "a length of one byte");
