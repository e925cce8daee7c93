//! What each device was told: what it shows of each conversation in which order, and what it knows of its own commands.
//!
//! What must always hold: a screen only grows, so what an author had seen is a beginning of it; what a receipt was held against once is not looked at
//! again.

use super::amendments::Look;
use super::operations::{Branch, Facts, IdentityNumber, Number, Sent};
use super::sequence::Sequence;
use crdt::{ConversationId, DeviceId, MessageId, UserId};
use gateway_client::Place;
use std::collections::{BTreeMap, BTreeSet};

/// A device.
#[derive(Debug)]
pub(crate) struct DeviceFacts {
    pub(crate) user: UserId,
    pub(crate) conversations: BTreeMap<ConversationId, Box<Screen>>,
    pub(crate) acknowledged: BTreeMap<MessageId, ConversationId>,
    /// Of these, the commands for which nothing had to be done where they were answered: none of its operations need stand, or become stable.
    pub(crate) needless: BTreeSet<MessageId>,
    pub(crate) stable: BTreeSet<MessageId>,
    pub(crate) refused: BTreeSet<MessageId>,
    /// Reads for it that a faulty disk failed and that it was not told of yet.
    pub(crate) unread: u64,
    pub(crate) posts: BTreeMap<ConversationId, u64>,
    /// Own messages with their ticks: whose, on which device, and whether read.
    pub(crate) ticks: BTreeSet<(MessageId, UserId, DeviceId, bool)>,
    /// Whether its user has read receipts off there.
    pub(crate) is_quiet: bool,
}

/// Another order that a screen is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Against {
    /// What a region applied.
    Branch(Branch),
    /// What another device shows.
    Device(DeviceId),
}

/// A conversation, as a device shows it.
#[derive(Debug, Default)]
pub(crate) struct Screen {
    shown: Sequence<Against>,
    pub(crate) places: BTreeMap<IdentityNumber, Place>,
    pub(crate) marked: BTreeSet<IdentityNumber>,
    /// How the device said last that messages look, of those that do not look as they were sent.
    pub(crate) looks: BTreeMap<(UserId, MessageId), Look>,
    /// How much had been shown when its user last marked it as read.
    read: usize,
}

impl DeviceFacts {
    pub(crate) const fn new(user: UserId) -> Self {
        Self {
            user,
            conversations: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            needless: BTreeSet::new(),
            stable: BTreeSet::new(),
            refused: BTreeSet::new(),
            unread: 0,
            posts: BTreeMap::new(),
            ticks: BTreeSet::new(),
            is_quiet: false,
        }
    }

    /// A command was answered; whether for the first time.
    pub(crate) fn is_acknowledged(
        &mut self,
        conversation: ConversationId,
        command: MessageId,
        place: Option<Place>,
    ) -> bool {
        if place.is_none() {
            self.needless.insert(command);
        }
        self.acknowledged.insert(command, conversation).is_none()
    }
}

impl Screen {
    /// An item appears; whether for the first time.
    pub(crate) fn show(&mut self, identity: IdentityNumber, place: Place) -> bool {
        self.places.insert(identity, place);
        self.shown.push(identity)
    }

    pub(crate) fn shows(&self, identity: IdentityNumber) -> bool {
        self.shown.contains(identity)
    }

    /// What is on it, in the order in which it came.
    pub(crate) fn order(&self) -> &[IdentityNumber] {
        self.shown.order()
    }

    /// Its user has read all that is there.
    pub(crate) fn mark_read(&mut self) {
        self.read = self.shown.len();
    }

    /// Whether that was on the screen when its user said that they had read it.
    pub(crate) fn has_read(&self, identity: IdentityNumber) -> bool {
        self.shown.place(identity).is_some_and(|place| place < self.read)
    }

    pub(super) fn lacks_operations(
        &mut self,
        branch: Branch,
        order: &[Number],
        len: usize,
        is_here: impl Fn(&Shown, Number) -> bool,
    ) -> Option<Number> {
        self.shown.gap(Against::Branch(branch), order, len, |shown, number| is_here(&Shown(shown), number))
    }

    /// The first thing that an author's device had been shown when it sent this, and that is neither here nor hidden for good.
    pub(crate) fn unseen(
        &mut self,
        facts: &Facts,
        sent: &Sent,
        author: &[IdentityNumber],
        user: UserId,
    ) -> Option<IdentityNumber> {
        self.shown.gap(Against::Device(sent.device), author, sent.seen, |shown, identity| {
            shown.contains(identity)
                || facts.shows_nothing(identity)
                || facts.is_excused_identity(identity, user)
        })
    }
}

/// What a screen shows, to be asked.
pub(super) struct Shown<'a>(&'a Sequence<Against>);

impl Shown<'_> {
    pub(super) fn contains(&self, identity: IdentityNumber) -> bool {
        self.0.contains(identity)
    }
}
