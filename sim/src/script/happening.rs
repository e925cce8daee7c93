//! What happens in a script, and when: acts of people, and faults.
//!
//! What must always hold: whatever a table has beyond the fields of its own is what is done, or what goes wrong, and is refused there if nothing has it.

// A table is read in two parts, and what serde makes of that names every type of number there is. No field is a fraction.
#![allow(clippy::disallowed_types)]

use super::spelling;
use crate::world::Fault;
use serde::{Deserialize, Serialize};

/// Something that is done on a device. What it has beyond its own fields is refused by what is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// When.
    pub at_us: u64,
    /// On which device.
    pub device: u64,
    /// What it draws from when it happens, and nothing else draws from.
    pub salt: u32,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case", deny_unknown_fields)]
pub enum What {
    /// A conversation is begun.
    Begin {
        /// Which.
        conversation: u64,
    },
    /// Messages are written, if the device knows the conversation.
    Write {
        /// Where.
        conversation: u64,
        /// How many, one right after the other.
        #[serde(default = "one")]
        count: u64,
        /// Bytes of each.
        #[serde(default)]
        bytes: u64,
        /// Whether they answer something that the device was shown.
        #[serde(default)]
        reply: bool,
        /// The text, if it is not drawn.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
    },
    /// Something is done to a message: to one of the last that the device's user wrote on it, or, if that is a reaction, that it was shown.
    Amend {
        /// Where.
        conversation: u64,
        /// What.
        how: How,
    },
    /// One of the last messages that the device was shown is said again in other conversations.
    Forward {
        /// Where it was shown.
        conversation: u64,
        /// Where it is said again.
        to: Vec<u64>,
    },
    /// The device's user deletes for themselves one of the last messages that the device was shown.
    Hide {
        /// Where.
        conversation: u64,
    },
    /// What a conversation says of itself is changed.
    Describe {
        /// Which.
        conversation: u64,
        /// How.
        how: Describe,
    },
    /// The account of the device's user, in the placement they are pinned to, is changed; opened first if it has not been on the device.
    Account {
        /// How.
        how: Account,
    },
    /// A member is removed, or what somebody may do is changed.
    Govern {
        /// Where.
        conversation: u64,
        /// Whom it is about; a claim is about whoever makes it.
        user: u64,
        /// How.
        how: Govern,
    },
    /// A conversation has been read.
    Read {
        /// Which.
        conversation: u64,
    },
    /// Others are told from now on what is read on the device, or nobody is.
    TellReads {
        /// Whether they are.
        told: bool,
    },
    /// A user is added.
    Add {
        /// Where.
        conversation: u64,
        /// Whom.
        user: u64,
    },
    /// The device's user leaves.
    Leave {
        /// Which.
        conversation: u64,
    },
    /// The device goes to another region.
    Move {
        /// Which.
        #[serde(with = "spelling::region")]
        region: crdt::RegionId,
    },
    /// Another application signs in with the device's account, and sends one of everything that must be refused.
    Misuse,
    /// Operators admit a region that had no part so far to all placements that it may hold, and start it.
    Admit {
        /// Which.
        #[serde(with = "spelling::region")]
        region: crdt::RegionId,
    },
    /// Operators close a region for which they do not wait any longer: it is told once it sees the others again, and is lost then, with disks that are in order.
    Suspend {
        /// Which.
        #[serde(with = "spelling::region")]
        region: crdt::RegionId,
    },
    /// An operator gives a user a home, in a region: as all that operators do, beside the device, not on it.
    SetHome {
        /// In which region.
        #[serde(with = "spelling::region")]
        region: crdt::RegionId,
        /// Whose.
        user: u64,
        /// Which.
        #[serde(with = "spelling::region")]
        home: crdt::RegionId,
    },
    /// An operator marks a user as erased.
    Erase {
        /// In which region.
        #[serde(with = "spelling::region")]
        region: crdt::RegionId,
        /// Whom.
        user: u64,
    },
    /// An operator turns a feature off, limits it, or lets go of that.
    SetFlag {
        /// In which region.
        #[serde(with = "spelling::region")]
        region: crdt::RegionId,
        /// Whether in the placement `eu`.
        #[serde(default)]
        pinned: bool,
        /// Which.
        feature: Feature,
        /// How.
        says: Says,
    },
    /// The device loses its network.
    GoOffline,
    /// It has it again.
    ComeOnline,
}

/// What is done to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// It gets another text.
    Edit,
    /// It is deleted for everyone.
    Delete,
    /// A reaction is given.
    React,
    /// A reaction is withdrawn.
    Withdraw,
}

/// What of a conversation's document is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Describe {
    /// Its name.
    Name,
    /// Its description: some words of a few, so that what several write overlaps.
    Description,
    /// One of the last messages that the device was shown is pinned.
    Pin,
    /// It is not.
    Unpin,
    /// One of a few settings.
    Setting,
}

/// What of an account is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Account {
    /// The name that others are shown.
    DisplayName,
    /// What the user says of themselves.
    Status,
    /// What the user calls somebody; nothing any more, now and then.
    Contact,
    /// How the user labels a conversation.
    Label,
    /// Somebody is blocked.
    Block,
    /// They are not.
    Unblock,
}

/// How a group is governed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Govern {
    /// A member is removed.
    Remove,
    /// A member is made an admin.
    Promote,
    /// An admin is made none.
    Demote,
    /// The place of admins that are all gone is taken.
    Claim,
}

/// A feature that operators turn off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Feature {
    /// Posting.
    Posts,
    /// Beginning groups.
    Groups,
    /// Editing messages.
    Edits,
    /// Reacting.
    Reactions,
    /// Changing documents.
    Documents,
}

/// What an operator says of a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Says {
    /// It is off.
    Off,
    /// It is limited, if it can be.
    Limited,
    /// Nothing any more.
    On,
}

/// A fault and its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedFault {
    /// When it begins, in microseconds since the world began.
    pub begins_us: u64,
    /// When it ends.
    pub ends_us: u64,
    /// What.
    #[serde(flatten)]
    pub fault: Fault,
}

const fn one() -> u64 {
    1
}
