//! The digests by which regions compare what they hold: of a conversation and of a partition, the sum of its conversations'.
//!
//! They are kept with the conversation's record and with the reach of the partition, and change with each operation by what it changes
//! (`apply_operation.rs`, `document.rs`), so to state one costs a read. Here they are worked out from the tables anew: to compare with what was kept, and once
//! for what a store of before format 15 holds, when it is first changed.
//!
//! What must always hold: kept and worked out anew are the same, or the store is damaged.

use crate::keys::{Key, KeyRange};
use crate::partition;
use crate::record::{self, ConversationRecord, IdentityRecord, OpaqueRecord, TimelineRecord};
use crate::store::{Direction, StoreError, View};
use crdt::amendments::Amendments;
use crdt::timeline::Entry;
use crdt::{Bucket, ConversationId, Identity, MalformedState, Place, StateDigest};
use std::fmt;
use std::ops::ControlFlow;

/// One item of a conversation: what its digest is a sum over, under a name for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item {
    /// Who is in it.
    Members,
    /// What stands at a place of the display order.
    Entry(Place),
    /// That an operation carries a message, at its place.
    Alias(Identity, Place),
    /// What became of a message that was amended.
    Amendments(Identity),
    /// The document that people edit together.
    Document,
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Members => f.write_str("its members"),
            Self::Entry(Place { hlc, dot }) => write!(f, "what stands at {hlc} {dot}"),
            Self::Alias(Identity { sender, message }, Place { hlc, dot }) => {
                write!(f, "message {message} of {sender} in {dot} at {hlc}")
            }
            Self::Amendments(Identity { sender, message }) => {
                write!(f, "what became of message {message} of {sender}")
            }
            Self::Document => f.write_str("its document"),
        }
    }
}

/// Of a conversation, from its tables.
pub(crate) fn of_conversation(
    view: &dyn View,
    conversation: ConversationId,
) -> Result<StateDigest, StoreError> {
    let mut sum = StateDigest::default();
    items(view, conversation, |_, digest| {
        sum += digest;
        ControlFlow::Continue(())
    })?;
    Ok(sum)
}

/// The items of a conversation with their digests, until `visit` breaks: what regions look for a difference by.
///
/// # Errors
/// [`StoreError`] when the store cannot be read or is damaged.
pub fn items(
    view: &dyn View,
    conversation: ConversationId,
    mut visit: impl FnMut(Item, StateDigest) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    let members = StateDigest::of_membership(conversation, &partition::members(view, conversation)?);
    let mut flow = visit(Item::Members, members);
    if let Some(OpaqueRecord(document)) = record::load(view, &Key::Document(conversation))?
        && flow.is_continue()
    {
        flow = visit(Item::Document, StateDigest::of_document(conversation, &document));
    }
    if flow.is_break() {
        return Ok(());
    }
    let timeline = KeyRange::timeline(conversation);
    record::scan(view, &timeline, Direction::Ascending, |key, shown: TimelineRecord| {
        if let Key::Timeline(_, hlc, dot) = key {
            let (bucket, place) = (conversation.partition().bucket, Place { hlc, dot });
            let envelope = partition::envelope(view, bucket, shown.position, "the timeline")?;
            let digest = StateDigest::of_entry(conversation, place, &Entry::of(&envelope));
            flow = visit(Item::Entry(place), digest);
        }
        Ok(flow)
    })?;
    if flow.is_break() {
        return Ok(());
    }
    let identities = KeyRange::identities(conversation);
    record::scan(view, &identities, Direction::Ascending, |key, IdentityRecord { places }| {
        if let Key::Identity(_, sender, message) = key {
            let of = Identity { sender, message };
            for place in places.into_iter().map(|logged| logged.place) {
                if flow.is_continue() {
                    flow = visit(Item::Alias(of, place), StateDigest::of_alias(conversation, of, place));
                }
            }
        }
        Ok(flow)
    })?;
    if flow.is_break() {
        return Ok(());
    }
    let amended = KeyRange::amendments(conversation);
    record::scan(view, &amended, Direction::Ascending, |key, OpaqueRecord(bytes)| {
        if let Key::Amendments(_, sender, message) = key {
            let damaged = |error: MalformedState| record::damaged(&key.encode(), &error.to_string());
            let amendments = Amendments::decode(&bytes).map_err(damaged)?;
            let of = Identity { sender, message };
            let digest = StateDigest::of_amendments(conversation, of, &amendments);
            flow = visit(Item::Amendments(of), digest);
        }
        Ok(flow)
    })
}

/// Of a partition whose reach does not say it: as its conversations say, or else from their tables.
pub(crate) fn of_partition(view: &dyn View, bucket: Bucket) -> Result<StateDigest, StoreError> {
    let mut digest = StateDigest::default();
    let conversations = KeyRange::conversations(bucket);
    record::scan(view, &conversations, Direction::Ascending, |key, held: ConversationRecord| {
        if let Key::Conversation(conversation) = key {
            digest += held.digest.map_or_else(|| of_conversation(view, conversation), Ok)?;
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(digest)
}
