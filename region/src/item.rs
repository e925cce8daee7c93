//! What devices are shown of a conversation, in the order in which it arrived here.
//!
//! Every applied operation of a conversation gets the next arrival number and one entry in the conversation's changes, which
//! stays: an entry is read as what its own operation did, so a device that streams entries in arrival order is shown
//! every operation after its causes, whatever happened to the same message later (decision 0004).

use bytes::Bytes;
use crdt::emoji::Emoji;
use crdt::group::RightsAct;
use crdt::{ConversationId, Cut, Dot, Identity, MessageId, Place, ReplicaId, Timestamp, UserId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The number of an operation in the order in which its conversation's operations were applied in this region, from 1.
/// Zero is before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ArrivalNumber(pub u64);

/// One entry of a conversation, as devices are shown it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Who did it; user 0 if a region did so by itself.
    pub sender: UserId,
    /// The command's id; with the sender, a message's identity.
    pub message: MessageId,
    /// The operation.
    pub dot: Dot,
    /// Its place in the display order, together with the dot.
    pub hlc: Timestamp,
    /// What is to be shown.
    pub content: Content,
}

/// What an item shows. Of changes of the members that is what somebody did: whether it stands follows from all that is concurrent with it, and who is in
/// a group is read of the group ([`Summary`](crate::read::Summary)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A message. A device that has it under the same identity already moves it to the earlier of the two places.
    Post {
        /// Text or ciphertext.
        body: Bytes,
        /// The sender's local time.
        sent_at_ms: i64,
        /// What it answers.
        reply_to: Option<(UserId, MessageId)>,
        /// Present if its author's device had seen more than its region had: until the reader has been shown all of
        /// this cut, the message carries the mark of promise 4.
        seen: Option<Cut>,
        /// What became of it.
        became: Became,
    },
    /// The conversation began.
    Created {
        /// With these members.
        members: Vec<UserId>,
        /// Under this name.
        name: String,
        /// Whether it is the conversation of two users.
        direct: bool,
        /// How many members each replica may add to a group before it needs rights of others.
        shares: BTreeMap<ReplicaId, u64>,
    },
    /// A member was added.
    Added {
        /// Who.
        user: UserId,
        /// What they are not shown.
        since: Cut,
    },
    /// The sender left.
    Left,
    /// A member was removed.
    Removed {
        /// Who.
        user: UserId,
    },
    /// A member was made an admin.
    Promoted {
        /// Who.
        user: UserId,
    },
    /// An admin was made a member as the others.
    Demoted {
        /// Who.
        user: UserId,
    },
    /// The sender took the place of admins that were all gone.
    Claimed,
    /// A region did something with the group's rights to members' places. There is nothing to show.
    Rights(RightsAct),
    /// The conversation's document is changed.
    DocumentChanged {
        /// One Automerge change, as it was made; it may be one that does not stand.
        change: Bytes,
    },
    /// A message's body is another.
    Edited {
        /// Which message.
        target: Identity,
        /// As of a post.
        body: Bytes,
        /// As of a post.
        seen: Option<Cut>,
    },
    /// A message is deleted for everyone; also given in place of an edit of it, whose body is nobody's to see any more.
    Deleted {
        /// Which message.
        target: Identity,
    },
    /// The sender reacts to a message.
    Reacted {
        /// Which message.
        target: Identity,
        /// How.
        emoji: Emoji,
    },
    /// Something of a message that the reader has hidden from themselves: the message, or what somebody did to it. There is nothing to show.
    Withheld {
        /// Which message.
        target: Identity,
    },
    /// The sender withdraws a reaction.
    Withdrawn {
        /// Of which message.
        target: Identity,
        /// Which.
        emoji: Emoji,
        /// The commands that gave it, as far as they were known where it was withdrawn.
        seen: BTreeSet<MessageId>,
    },
}

/// What became of a message. In the order of arrival that is told by entries of their own, so there a message is as it was sent, unless it has been
/// deleted since; where messages are read by their place, it is as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Became {
    /// It was deleted for everyone: nothing else of it is shown.
    pub deleted: bool,
    /// The edit whose body it shows.
    pub edited: Option<Place>,
    /// Its reactions, in the order in which they began.
    pub reactions: Vec<Reaction>,
}

/// One emoji under a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reaction {
    /// Which.
    pub emoji: Emoji,
    /// How many users gave it.
    pub count: usize,
    /// The first [`REACTION_USERS_SHOWN_MAX`](crate::limits::REACTION_USERS_SHOWN_MAX) of them by their numbers.
    pub users: Vec<UserId>,
}

/// One change of a conversation, as fanned out to the devices that are live in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Where.
    pub conversation: ConversationId,
    /// Its number here.
    pub arrival: ArrivalNumber,
    /// Everything the conversation holds here after it.
    pub cut: Arc<Cut>,
    /// The highest timestamp of the conversation after it.
    pub highest: Timestamp,
    /// What to show.
    pub item: Arc<Item>,
    /// Users who have hidden the message that it is about: they are shown it withheld.
    pub hidden_from: BTreeSet<UserId>,
}

impl Item {
    /// The message that it carries, or does something to.
    #[must_use]
    pub const fn message_of(&self) -> Option<Identity> {
        match &self.content {
            Content::Post { .. } => Some(Identity { sender: self.sender, message: self.message }),
            Content::Edited { target, .. }
            | Content::Deleted { target }
            | Content::Reacted { target, .. }
            | Content::Withdrawn { target, .. }
            | Content::Withheld { target } => Some(*target),
            Content::Created { .. }
            | Content::Added { .. }
            | Content::Left
            | Content::Removed { .. }
            | Content::Promoted { .. }
            | Content::Demoted { .. }
            | Content::Claimed
            | Content::Rights(_)
            | Content::DocumentChanged { .. } => None,
        }
    }

    /// What is left of it for somebody who has hidden the message that it is about.
    #[must_use]
    pub fn withheld(&self) -> Self {
        let content = match self.message_of() {
            Some(target) => Content::Withheld { target },
            None => self.content.clone(),
        };
        let Self { sender, message, dot, hlc, .. } = *self;
        Self { sender, message, dot, hlc, content }
    }
}
