//! What a region holds, as it exports it: lines of JSON, read while it runs or after.
//!
//! ```text
//! {"partition":{"partition":"p1/12","applied":["r1.…:40","r2.…:3"],"heads":["…","…"]}}
//! {"conversation":{"conversation":"c…","digest":"…"}}
//! {"post":{"conversation":"c…","sender":"u…","message":"…","hlc":"…","dot":"…","aliases":["…"],"body":"…"}}
//! ```
//! Digests and heads are hexadecimal. They are compared between regions and never believed alone: posts are compared one by one.

use crate::history::{cut, text, texts};
use crdt::{ConversationId, Cut, Dot, MessageId, PartitionId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One line of an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExportLine {
    /// How far a partition reaches.
    Partition(ExportedPartition),
    /// The state of a conversation, in one number.
    Conversation(ExportedConversation),
    /// A message that the region holds.
    Post(ExportedPost),
}

/// How far a partition reaches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedPartition {
    /// Which.
    #[serde(with = "text")]
    pub partition: PartitionId,
    /// Exactly what has been applied.
    #[serde(with = "cut")]
    pub applied: Cut,
    /// The chain head of each origin, in the order of `applied`.
    pub heads: Vec<String>,
}

/// The state of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedConversation {
    /// Which.
    #[serde(with = "text")]
    pub conversation: ConversationId,
    /// A digest of its canonical encoding.
    pub digest: String,
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
    /// A digest of its body.
    pub body: String,
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
#[error("line {line} is not a line of an export: {reason}")]
pub struct ExportError {
    /// From 1.
    pub line: usize,
    /// What is wrong.
    pub reason: serde_json::Error,
}

impl Export {
    /// Reads an export.
    ///
    /// # Errors
    /// [`ExportError`], the first bad line.
    pub fn read(text: &str) -> Result<Self, ExportError> {
        let mut export = Self::default();
        for (index, line) in text.lines().enumerate() {
            let read = serde_json::from_str(line);
            export.take(read.map_err(|reason| ExportError { line: index + 1, reason })?);
        }
        Ok(export)
    }

    /// Takes one line.
    pub fn take(&mut self, line: ExportLine) {
        match line {
            ExportLine::Partition(partition) => {
                self.partitions.insert(partition.partition, partition);
            }
            ExportLine::Conversation(conversation) => {
                self.conversations.insert(conversation.conversation, conversation.digest);
            }
            ExportLine::Post(post) => {
                self.posts.insert((post.conversation, post.sender, post.message), post);
            }
        }
    }
}
