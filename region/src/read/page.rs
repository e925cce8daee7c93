//! A page of a conversation's messages in the display order.
//!
//! What must always hold: a message stands on a page once, at its canonical place, and not at all when everything that ever carried it
//! is hidden from the reader, or when the reader has hidden it from themselves, or when its text has gone by its age (`expire_messages.rs`).

use super::origins::Origins;
use super::{PageFrom, READ_BYTES_MAX, body_bytes, held, message_at};
use crate::expire_messages;
use crate::item::Item;
use crate::keys::{Key, KeyRange};
use crate::record::{self, IdentityRecord, TimelineRecord};
use crate::store::{Direction, StoreError, View};
use crdt::{ConversationId, Cut, Identity, Kind};
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// Up to `limit` messages that `since` does not hide and that are not in `hidden`.
pub(super) fn page(
    view: &dyn View,
    conversation: ConversationId,
    (since, hidden): (&Cut, &BTreeSet<Identity>),
    from: PageFrom,
    limit: usize,
) -> Result<Vec<Item>, StoreError> {
    let (range, direction) = match from {
        PageFrom::Newest => (KeyRange::timeline(conversation), Direction::Descending),
        PageFrom::Before(hlc, dot) => {
            (KeyRange::timeline_before(conversation, hlc, dot), Direction::Descending)
        }
        PageFrom::After(hlc, dot) => (KeyRange::timeline_after(conversation, hlc, dot), Direction::Ascending),
    };
    let held = held(view, conversation)?;
    let expired = expire_messages::expired(view, conversation.partition().bucket)?;
    let mut origins = Origins::of(&held.cut);
    let mut items = Vec::new();
    let mut bytes = 0;
    record::scan(view, &range, direction, |key, entry: TimelineRecord| {
        let Key::Timeline(_, _, dot) = key else { return Ok(ControlFlow::Continue(())) };
        if items.len() >= limit || bytes >= READ_BYTES_MAX {
            return Ok(ControlFlow::Break(()));
        }
        let covered = since.covers(dot);
        // Only a message that was sent twice needs a second look: the other one may be shown.
        if (covered && held.aliases == 0) || entry.position <= expired {
            origins.met_covered(dot);
            let stop = direction == Direction::Descending && origins.is_done();
            return Ok(if stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) });
        }
        if entry.kind != Kind::Post {
            return Ok(ControlFlow::Continue(()));
        }
        let Some(item) = message_at(view, conversation, entry.position)? else {
            return Ok(ControlFlow::Continue(()));
        };
        let is_hidden = hidden.contains(&Identity { sender: item.sender, message: item.message });
        if !is_hidden && (!covered || shown_by_alias(view, conversation, &item, since)?) {
            bytes += body_bytes(&item);
            items.push(item);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    if direction == Direction::Descending {
        items.reverse();
    }
    Ok(items)
}

/// Whether any operation that carries the message is not hidden.
fn shown_by_alias(
    view: &dyn View,
    conversation: ConversationId,
    item: &Item,
    since: &Cut,
) -> Result<bool, StoreError> {
    let key = Key::Identity(conversation, item.sender, item.message);
    let identity: IdentityRecord = record::load_named(view, &key, "the timeline")?;
    Ok(identity.places.iter().any(|logged| !since.covers(logged.place.dot)))
}
