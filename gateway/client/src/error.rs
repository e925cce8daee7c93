//! What the client refuses by itself, before or without asking a region.
//!
//! What must always hold: each has a stable code that no region uses for something else, and says the way out. They reach the
//! application as [`crate::Event::Refused`].

use crdt::{ConversationId, PlacementId};

/// Refused here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocalRefusal {
    /// Too much is not yet stable.
    #[error(
        "{entries} messages of {bytes} bytes wait to be stable in every region, the limit is {entries_max} or {bytes_max} bytes: wait until some are"
    )]
    OutboxFull {
        /// How many wait.
        entries: usize,
        /// Bytes of their bodies.
        bytes: usize,
        /// [`crate::limits::OUTBOX_ENTRIES_MAX`].
        entries_max: usize,
        /// [`crate::limits::OUTBOX_BYTES_MAX`].
        bytes_max: usize,
    },
    /// The body is over the limit of the region.
    #[error("the body has {bytes} bytes, the limit is {limit}: shorten it")]
    BodyTooLarge {
        /// Its length.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// No region of the cluster serves that placement.
    #[error("the cluster has no placement {0}: use one of the placements it lists")]
    UnknownPlacement(PlacementId),
    /// The same id is in the outbox already with something else in it.
    #[error("{conversation} has an unfinished command under that id already: draw a new id")]
    IdInUse {
        /// Where.
        conversation: ConversationId,
    },
    /// Too many unanswered questions.
    #[error("{0} pages and lists are waiting for an answer already: wait for one of them")]
    TooManyQuestions(usize),
    /// More conversations than are kept.
    #[error("{limit} conversations are open already: {conversation} is not shown; leave some")]
    TooManyConversations {
        /// The one that is too many.
        conversation: ConversationId,
        /// The limit.
        limit: usize,
    },
    /// A message was to be forwarded to more chats than may be at once.
    #[error("{chats} chats are more than the {limit} that one message is forwarded to at once: choose fewer")]
    TooManyChats {
        /// How many.
        chats: usize,
        /// [`crate::limits::FORWARD_CHATS_MAX`].
        limit: usize,
    },
    /// The region sent a frame that does not hold what the protocol says.
    #[error("the region sent nonsense ({0}): the connection is opened anew")]
    MalformedServerFrame(#[from] crate::item::MalformedFrame),
}

impl LocalRefusal {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::OutboxFull { .. } => "outbox_full",
            Self::BodyTooLarge { .. } => "body_too_large",
            Self::UnknownPlacement(_) => "no_such_placement",
            Self::IdInUse { .. } => "id_in_use",
            Self::TooManyQuestions(_) => "too_many_questions",
            Self::TooManyConversations { .. } => "too_many_conversations",
            Self::TooManyChats { .. } => "too_many_chats",
            Self::MalformedServerFrame(_) => "malformed_server_frame",
        }
    }
}
