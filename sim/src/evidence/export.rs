//! What a region holds of its placements, as it exports it: lines of JSON, one object each with a `kind`.
//!
//! ```text
//! {"kind":"region",…}   {"kind":"membership",…}   {"kind":"receipt",…}   for people, not judged by
//! {"kind":"partition","partition":"p1/12","applied":["r1.…:40"],"heads":{"r1.…":"…"},"conversations":{"c…":"…"},…}
//! {"kind":"post","conversation":"c…","sender":"u…","message":"…","hlc":"…","dot":"…","aliases":["…"],"payload":"…"}
//! {"kind":"end"}        the last line of each placement: an export without it was cut short and is refused
//! ```
//! Digests and heads are hexadecimal. They are compared between regions and never believed alone: posts are compared one by one.

use crate::history::{cut, text, texts};
use crdt::{ConversationId, Cut, Dot, MessageId, PartitionId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One line of an export. What a later version adds to a line is passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ExportLine {
    /// Whose export it is.
    Region {},
    /// How far a partition reaches, and the state of its conversations.
    Partition(ExportedPartition),
    /// A message that the region holds.
    Post(ExportedPost),
    /// A member of a conversation.
    Membership {},
    /// A receipt of a device.
    Receipt {},
    /// All of the placement has been told.
    End {},
}

/// How far a partition reaches, and the state of its conversations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedPartition {
    /// Which.
    #[serde(with = "text")]
    pub partition: PartitionId,
    /// Exactly what has been applied.
    #[serde(with = "cut")]
    pub applied: Cut,
    /// The chain head of each origin.
    pub heads: BTreeMap<String, String>,
    /// Of each conversation, a digest of its canonical encoding.
    pub conversations: BTreeMap<String, String>,
}

/// A message that the region holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedPost {
    /// Where.
    #[serde(with = "text")]
    pub conversation: ConversationId,
    /// Whose.
    #[serde(with = "text")]
    pub sender: UserId,
    /// Its id.
    #[serde(with = "text")]
    pub message: MessageId,
    /// Its place: the time.
    #[serde(with = "text")]
    pub hlc: Timestamp,
    /// Its place: the operation.
    #[serde(with = "text")]
    pub dot: Dot,
    /// Its duplicates.
    #[serde(with = "texts")]
    pub aliases: Vec<Dot>,
    /// A digest of its body; none if it was deleted.
    pub payload: Option<String>,
}

/// What one region holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Export {
    /// Its partitions that are not empty.
    pub partitions: BTreeMap<PartitionId, ExportedPartition>,
    /// Its conversations' digests.
    pub conversations: BTreeMap<ConversationId, String>,
    /// Its messages.
    pub posts: BTreeMap<(ConversationId, UserId, MessageId), ExportedPost>,
}

/// An export that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A line that is not one.
    #[error("line {line} is not a line of an export: {reason}")]
    Line {
        /// From 1.
        line: usize,
        /// What is wrong.
        reason: serde_json::Error,
    },
    /// A conversation whose id is none.
    #[error("line {line} names a conversation by what is no id: {reason}")]
    Conversation {
        /// From 1.
        line: usize,
        /// What is wrong.
        reason: crdt::id::ParseIdError,
    },
    /// The last line is missing.
    #[error("the export was cut short: its last line is not `end`")]
    CutShort,
}

impl Export {
    /// Takes the export of one placement.
    ///
    /// # Errors
    /// [`ExportError`], the first bad line, or that it was cut short.
    pub fn take(&mut self, text: &str) -> Result<(), ExportError> {
        let mut ended = false;
        for (index, text) in text.lines().enumerate() {
            let line = index + 1;
            ended = false;
            match serde_json::from_str(text).map_err(|reason| ExportError::Line { line, reason })? {
                ExportLine::Partition(partition) => {
                    for (id, digest) in &partition.conversations {
                        let id = id.parse().map_err(|reason| ExportError::Conversation { line, reason })?;
                        self.conversations.insert(id, digest.clone());
                    }
                    self.partitions.insert(partition.partition, partition);
                }
                ExportLine::Post(post) => {
                    self.posts.insert((post.conversation, post.sender, post.message), post);
                }
                ExportLine::End {} => ended = true,
                ExportLine::Region {} | ExportLine::Membership {} | ExportLine::Receipt {} => {}
            }
        }
        if ended { Ok(()) } else { Err(ExportError::CutShort) }
    }
}
