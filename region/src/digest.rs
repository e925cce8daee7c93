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
use std::ops::ControlFlow;

/// Of a conversation, from its tables.
pub(crate) fn of_conversation(
    view: &dyn View,
    conversation: ConversationId,
) -> Result<StateDigest, StoreError> {
    let mut digest = StateDigest::of_membership(conversation, &partition::members(view, conversation)?);
    let timeline = KeyRange::timeline(conversation);
    record::scan(view, &timeline, Direction::Ascending, |key, shown: TimelineRecord| {
        if let Key::Timeline(_, hlc, dot) = key {
            let bucket = conversation.partition().bucket;
            let envelope = partition::envelope(view, bucket, shown.position, "the timeline")?;
            digest += StateDigest::of_entry(conversation, Place { hlc, dot }, &Entry::of(&envelope));
        }
        Ok(ControlFlow::Continue(()))
    })?;
    let identities = KeyRange::identities(conversation);
    record::scan(view, &identities, Direction::Ascending, |key, IdentityRecord { places }| {
        if let Key::Identity(_, sender, message) = key {
            let of = Identity { sender, message };
            digest += places.iter().map(|at| StateDigest::of_alias(conversation, of, at.place)).sum();
        }
        Ok(ControlFlow::Continue(()))
    })?;
    let amended = KeyRange::amendments(conversation);
    record::scan(view, &amended, Direction::Ascending, |key, OpaqueRecord(bytes)| {
        if let Key::Amendments(_, sender, message) = key {
            let damaged = |error: MalformedState| record::damaged(&key.encode(), &error.to_string());
            let amendments = Amendments::decode(&bytes).map_err(damaged)?;
            digest += StateDigest::of_amendments(conversation, Identity { sender, message }, &amendments);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    if let Some(OpaqueRecord(document)) = record::load(view, &Key::Document(conversation))? {
        digest += StateDigest::of_document(conversation, &document);
    }
    Ok(digest)
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
