//! What a client keeps of one conversation.
//!
//! What must always hold: the cursor stands after exactly what was given; it is replaced only together with the items it
//! stands after.

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
    /// The request that carried it.
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
    /// Own messages and the receipts of others.
    pub(crate) ticks: Ticks,
    /// Known to be stable.
    pub(crate) stable: Cut,
    /// The delivered receipt.
    pub(crate) delivered: Told,
    /// The read receipt.
    pub(crate) read: Told,
}

impl Told {
    /// A newer cursor is to be told, under that request if it could be sent. Returns the request that it replaces.
    pub(crate) fn tell(&mut self, cursor: Bytes, request: Option<u64>) -> Option<u64> {
        let before = std::mem::replace(self, Self { cursor: Some(cursor), request, confirmed: false });
        before.request
    }

    /// A region has answered that request.
    pub(crate) fn answered(&mut self, request: u64) {
        if self.request == Some(request) {
            self.confirmed = true;
        }
    }

    /// Whether a region has confirmed that cursor.
    pub(crate) fn is_confirmed(&self, cursor: &Bytes) -> bool {
        self.confirmed && self.cursor.as_ref() == Some(cursor)
    }

    /// What a new connection is to be told again.
    pub(crate) fn unconfirmed(&self) -> Option<Bytes> {
        if self.confirmed { None } else { self.cursor.clone() }
    }
}
