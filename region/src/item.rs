//! What devices are shown of a conversation, in the order in which it arrived here.
//!
//! Every applied operation of a conversation gets the next arrival number and one entry in the conversation's changes, which
//! stays: an entry is read as what its own operation did, so a device that streams entries in arrival order is shown
//! every operation after its causes, whatever happened to the same message later (decision 0004).

use bytes::Bytes;
use crdt::{ConversationId, Cut, Dot, MessageId, Timestamp, UserId};
use std::sync::Arc;

/// The number of an operation in the order in which its conversation's operations were applied in this region, from 1.
/// Zero is before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ArrivalNumber(pub u64);

/// One entry of a conversation, as devices are shown it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Who did it.
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

/// What an item shows.
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
    },
    /// The conversation began.
    Created {
        /// With these members.
        members: Vec<UserId>,
        /// Under this name.
        name: String,
        /// Whether it is the conversation of two users.
        direct: bool,
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
}
