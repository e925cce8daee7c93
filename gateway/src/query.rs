//! What a session reads of its region, as values: the driver runs them wherever reading may take time.
//!
//! What must always hold: a query whose output came after a [`Subscribe`](crate::Output::Subscribe) runs on a view that was
//! opened after that subscription took effect; so whatever the view lacks comes as a change.

use crdt::{ConversationId, PartitionId, PlacementId, UserId, VersionVector};
use region::item::Item;
use region::read::{self, Changes, DocumentRead, Membership, PageFrom, Receipt, Standing, Summary};
use region::store::{StoreError, View};

/// Pairs a query with its answer, within one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueryId(pub u64);

/// A question to the durable state of one placement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// The user's conversations, with last message and unread count.
    List {
        /// In which placement.
        placement: PlacementId,
        /// Whose.
        user: UserId,
        /// How many at most.
        limit: usize,
    },
    /// Where the user's conversations stand.
    Memberships {
        /// In which placement.
        placement: PlacementId,
        /// Whose.
        user: UserId,
        /// How many at most.
        limit: usize,
    },
    /// What a device lacks of a conversation.
    Changes {
        /// Which.
        conversation: ConversationId,
        /// For whom.
        user: UserId,
        /// Where the device stands.
        standing: Standing,
        /// How many entries at most.
        limit: usize,
    },
    /// A page of history.
    Page {
        /// Of which conversation.
        conversation: ConversationId,
        /// For whom.
        user: UserId,
        /// From where.
        from: PageFrom,
        /// How many messages at most.
        limit: usize,
    },
    /// What is stable of a conversation's partition.
    Stable {
        /// Of which conversation.
        conversation: ConversationId,
    },
    /// The document of a conversation.
    Document {
        /// Which.
        conversation: ConversationId,
        /// For whom.
        user: UserId,
    },
    /// All receipts of a conversation.
    Receipts {
        /// Which.
        conversation: ConversationId,
        /// For whom.
        user: UserId,
    },
}

/// The answer to the query of the same name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// To [`Query::List`].
    List(Vec<Summary>),
    /// To [`Query::Memberships`].
    Memberships(Vec<Membership>),
    /// To [`Query::Changes`]: none if the user is not a member; and what is stable of the conversation's partition.
    Changes(Option<(Changes, VersionVector)>),
    /// To [`Query::Changes`]: the user is not a member any more, as this region has all that the device was given while they were.
    Ended,
    /// To [`Query::Page`]: none if the user is not a member.
    Page(Option<Vec<Item>>),
    /// To [`Query::Stable`].
    Stable(VersionVector),
    /// To [`Query::Document`]: none if the user is not a member.
    Document(Option<DocumentRead>),
    /// To [`Query::Receipts`]: none if the user is not a member.
    Receipts(Option<Vec<Receipt>>),
}

impl Query {
    /// The placement whose store is asked.
    #[must_use]
    pub const fn placement(&self) -> PlacementId {
        match self {
            Self::List { placement, .. } | Self::Memberships { placement, .. } => *placement,
            Self::Changes { conversation, .. }
            | Self::Page { conversation, .. }
            | Self::Stable { conversation }
            | Self::Document { conversation, .. }
            | Self::Receipts { conversation, .. } => conversation.placement(),
        }
    }

    /// Asks that view.
    ///
    /// # Errors
    /// [`StoreError`] when the disk or the engine fails.
    pub fn run(&self, view: &dyn View) -> Result<Answer, StoreError> {
        Ok(match self {
            Self::List { placement, user, limit } => {
                Answer::List(read::conversations(view, *placement, *user, *limit)?)
            }
            Self::Memberships { placement, user, limit } => {
                Answer::Memberships(read::memberships(view, *placement, *user, *limit)?)
            }
            Self::Changes { conversation, user, standing, limit } => {
                let partition: PartitionId = conversation.partition();
                let changes = read::changes(view, *conversation, *user, standing, *limit)?;
                match changes {
                    Some(changes) => Answer::Changes(Some((changes, read::stable(view, partition)?))),
                    None if read::has_all_given(view, *conversation, standing)? => Answer::Ended,
                    None => Answer::Changes(None),
                }
            }
            Self::Page { conversation, user, from, limit } => {
                Answer::Page(read::page(view, *conversation, *user, *from, *limit)?)
            }
            Self::Stable { conversation } => Answer::Stable(read::stable(view, conversation.partition())?),
            Self::Document { conversation, user } => {
                Answer::Document(read::document(view, *conversation, *user)?)
            }
            Self::Receipts { conversation, user } => {
                Answer::Receipts(read::receipts(view, *conversation, *user)?)
            }
        })
    }
}
