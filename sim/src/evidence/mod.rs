//! Everything the checks judge by, gathered from histories, exports and scans, and numbered so that it fits memory.
//!
//! What must always hold:
//! - Nothing in here is a server's opinion: histories are written at the devices, exports are state, scans are bytes on disks.
//! - A device's moments stand in the order of its history; every check argues from that order, not from times.
//!
//! Cost: about 70 bytes for each message shown to a device; the largest replay we play shows 1.7 million.

mod collect;
mod entitled;
mod export;

pub use collect::{EvidenceError, HistoryCollector};
pub use entitled::{Owed, Totals};
pub use export::{Export, ExportError, ExportLine, ExportedPartition, ExportedPost};

use crate::history::Place;
use crdt::{ConversationId, Cut, DeviceId, Dot, MessageId, PlacementId, RegionId, UserId};
use std::collections::{BTreeMap, BTreeSet};

/// A device's number in the evidence.
pub type DeviceNumber = usize;

/// A region's number in the evidence.
pub type RegionNumber = usize;

/// A message's number in its conversation's evidence.
pub type MessageNumber = u32;

/// All of it.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// The regions that took part.
    pub regions: Vec<RegionFacts>,
    /// Every device with a history.
    pub devices: Vec<DeviceFacts>,
    /// Every conversation that a history names.
    pub conversations: BTreeMap<ConversationId, ConversationEvidence>,
    /// What regions hold, by region.
    pub exports: BTreeMap<RegionNumber, Export>,
    /// What was found on disks where it must not be.
    pub scans: Vec<Scan>,
}

/// A region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegionFacts {
    /// Its name.
    pub name: String,
    /// Its number in the cluster file.
    pub id: RegionId,
    /// The placements whose partitions it holds.
    pub placements: BTreeSet<PlacementId>,
}

/// A device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceFacts {
    /// Whose.
    pub user: UserId,
    /// Its id.
    pub device: DeviceId,
    /// The home region.
    pub home: RegionNumber,
    /// What people call the user.
    pub name: String,
}

/// What is known of one conversation.
#[derive(Debug, Clone, Default)]
pub struct ConversationEvidence {
    /// Every message that any history names.
    pub messages: Vec<MessageFacts>,
    /// Their numbers.
    pub numbers: BTreeMap<(UserId, MessageId), MessageNumber>,
    /// The first members.
    pub first_members: BTreeSet<UserId>,
    /// Who was added, and what each add hides.
    pub added: BTreeMap<UserId, Vec<Cut>>,
    /// Who left.
    pub left: BTreeSet<UserId>,
    /// What happened on each device, in order.
    pub tracks: BTreeMap<DeviceNumber, Track>,
    /// Receipts that authors were shown.
    pub ticks: Vec<TickSeen>,
}

/// What is known of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageFacts {
    /// Whose.
    pub sender: UserId,
    /// Its id.
    pub message: MessageId,
    /// Every dot under which a client was told of it: one, or more if it was resent to another region.
    pub dots: BTreeSet<Dot>,
    /// When its author's device posted it, and which device that was.
    pub posted: Option<(DeviceNumber, u64)>,
    /// Its author's device was told that it is refused.
    pub refused: bool,
    /// When it was acknowledged first, and with which place.
    pub acknowledged: Option<(u64, Place)>,
}

/// What happened on one device in one conversation.
#[derive(Debug, Clone, Default)]
pub struct Track {
    /// In order.
    pub moments: Vec<Moment>,
    /// What stands on its screen at the end, from top to bottom.
    pub displayed: Option<Vec<MessageNumber>>,
    /// How each of these looks there, of those that do not look as they were sent.
    pub displayed_looks: BTreeMap<MessageNumber, String>,
    /// How the device last said that messages look; none if as they were sent.
    pub looks: BTreeMap<MessageNumber, Option<String>>,
    /// What its user has taken out of their own view.
    pub hidden: BTreeSet<MessageNumber>,
    /// Who may change the members at the end, as the device was told.
    pub admins: Option<BTreeSet<UserId>>,
}

/// One thing that happened on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Microseconds since the replay began.
    pub at_us: u64,
    /// The region the device was connected to for this conversation; none before the first.
    pub region: Option<RegionNumber>,
    /// The message it is about.
    pub message: MessageNumber,
    /// What happened to it.
    pub what: What,
}

/// What happened to a message on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// The user posted it here.
    Posted,
    /// The user posted it here and was told that it is refused. A region that they had left may have taken it all the same, and where it stands then says nothing.
    Refused,
    /// It was shown, at that place in the display order.
    Shown {
        /// Where.
        place: Place,
        /// With the mark.
        marked: bool,
    },
    /// It moved to that place.
    Moved(Place),
    /// Its mark went.
    MarkCleared,
}

/// A receipt that an author was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TickSeen {
    /// When.
    pub at_us: u64,
    /// On which device it was shown.
    pub seen_by: DeviceNumber,
    /// For which message.
    pub message: MessageNumber,
    /// The device that is said to have it.
    pub device: DeviceId,
    /// Whether it is said to have been read.
    pub read: bool,
}

/// A look at the disk of a region outside a placement, for bytes of that placement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// Whose disk.
    pub region: RegionNumber,
    /// How many bytes were looked at.
    pub bytes: u64,
    /// What was found.
    pub found: Vec<Found>,
}

/// Pinned bytes where they must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// In which file.
    pub file: String,
    /// At which byte.
    pub offset: u64,
    /// What.
    pub what: String,
    /// Of which conversation.
    pub conversation: ConversationId,
}

impl Evidence {
    /// Nothing yet, about these regions.
    #[must_use]
    pub fn new(regions: Vec<RegionFacts>) -> Self {
        Self { regions, ..Self::default() }
    }

    /// The region of that name.
    #[must_use]
    pub fn region_named(&self, name: &str) -> Option<RegionNumber> {
        self.regions.iter().position(|region| region.name == name)
    }

    /// The region that issued that dot, if it takes part.
    #[must_use]
    pub fn region_of(&self, dot: Dot) -> Option<RegionNumber> {
        self.regions.iter().position(|region| region.id == dot.replica.region)
    }
}

impl ConversationEvidence {
    /// The number of that message, which may be new.
    pub fn number(&mut self, sender: UserId, message: MessageId) -> MessageNumber {
        let messages = &mut self.messages;
        *self.numbers.entry((sender, message)).or_insert_with(|| {
            let facts = MessageFacts {
                sender,
                message,
                dots: BTreeSet::new(),
                posted: None,
                refused: false,
                acknowledged: None,
            };
            messages.push(facts);
            // A replay plays far fewer than four thousand million messages: logs are limited to 100,000 lines.
            (messages.len() - 1) as MessageNumber
        })
    }

    /// What is known of that message.
    #[must_use]
    pub fn message(&self, number: MessageNumber) -> &MessageFacts {
        // Numbers come from `number` alone, and messages are never taken out.
        &self.messages[number as usize]
    }
}

impl Track {
    /// For each message of the conversation the index of the moment it was first shown here; none if it was not.
    #[must_use]
    pub fn first_shown(&self, messages: usize) -> Vec<Option<u32>> {
        let mut first = vec![None; messages];
        for (index, moment) in self.moments.iter().enumerate() {
            if let What::Shown { .. } = moment.what {
                // Moments of a track are fewer than four thousand million, as messages are.
                first[moment.message as usize].get_or_insert(index as u32);
            }
        }
        first
    }
}
