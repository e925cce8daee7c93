//! What a client keeps of one conversation.
//!
//! What must always hold: the cursor stands after exactly what was given; it is replaced only together with the items it
//! stands after.

use crate::amended::Amended;
use crate::hidden::Hidden;
use crate::identities::Identities;
use crate::mark::Given;
use crate::ticks::Ticks;
use bytes::Bytes;
use crdt::Cut;

/// A cursor that a region is to be told, until it has answered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told {
    /// The newest that is to be told.
    pub(crate) cursor: Option<Bytes>,
    /// Whether nobody but the user's own devices is to be told.
    pub(crate) quiet: bool,
    /// The request of the present connection that carries it.
    pub(crate) request: Option<u64>,
    /// A region has answered it.
    pub(crate) confirmed: bool,
}

/// One conversation.
#[derive(Debug, Clone, Default)]
pub(crate) struct Conversation {
    /// After what was given.
    pub(crate) cursor: Option<Bytes>,
    /// Caught up on the present connection.
    pub(crate) live: bool,
    /// Whether the user is a member, as far as was told.
    pub(crate) member: Option<bool>,
    /// Live items given since the last acknowledgement.
    pub(crate) unacknowledged: usize,
    /// What was given and which messages are marked.
    pub(crate) given: Given,
    /// Which messages have been shown, and where.
    pub(crate) identities: Identities,
    /// What became of them.
    pub(crate) amended: Amended,
    /// Which of them the user has deleted for themselves.
    pub(crate) hidden: Hidden,
    /// Own messages and the receipts of others.
    pub(crate) ticks: Ticks,
    /// What the present connection has told to be stable.
    pub(crate) stable: Cut,
    /// The delivered receipt.
    pub(crate) delivered: Told,
    /// The read receipt.
    pub(crate) read: Told,
}

impl Told {
    /// This is the newest cursor. What was told is not taken back, but what was quiet can be told.
    pub(crate) fn raise(&mut self, cursor: Bytes, quiet: bool) {
        if self.cursor.as_ref() != Some(&cursor) || (self.quiet && !quiet) {
            *self = Self { cursor: Some(cursor), quiet, request: None, confirmed: false };
        }
    }

    /// Whether a region is still to be told: not confirmed, and not on its way.
    pub(crate) fn is_due(&self) -> bool {
        self.cursor.is_some() && !self.confirmed && self.request.is_none()
    }
}
