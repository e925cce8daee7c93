//! A conversation as its list shows it: members, last message, unread count.
//!
//! What must always hold: a message counts as unread once, whatever carried it, unless any of what carried it was read; what is
//! hidden from the member never counts, nor what was deleted, has gone by its age, or what they hid from themselves. The count looks at a bounded number of entries.

use super::origins::Origins;
use super::{PageFrom, Summary, held, is_deleted, membership, page, receipts_in};
use crate::document;
use crate::expire_messages;
use crate::hide_message;
use crate::item::ArrivalNumber;
use crate::keys::{Key, KeyRange};
use crate::limits::UNREAD_LOOKED_AT_MAX;
use crate::partition;
use crate::record::{self, ChangeRecord, ConversationRecord, IdentityRecord};
use crate::store::{Direction, StoreError, View};
use crdt::{ConversationId, Cut, Identity, Kind, UserId};
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// The summary that a member is shown.
pub(super) fn summary(
    view: &dyn View,
    user: UserId,
    conversation: ConversationId,
) -> Result<Summary, StoreError> {
    let held = held(view, conversation)?;
    let since = membership(view, conversation, user)?.unwrap_or_default().since;
    let members = partition::members(view, conversation)?;
    let hidden = hide_message::hidden_from(view, conversation, user)?;
    let last = page::page(view, conversation, (&since, &hidden), PageFrom::Newest, 1)?.pop();
    let unread = unread(view, conversation, user, (&since, &hidden), &held)?;
    let name = document::view(view, conversation)?.and_then(|document| document.name);
    Ok(Summary {
        conversation,
        name: name.unwrap_or_else(|| members.name().to_owned()),
        direct: members.direct(),
        members: members.members().collect(),
        admins: members.admins().collect(),
        last,
        unread,
        arrival: held.arrival,
        highest: held.highest,
    })
}

fn unread(
    view: &dyn View,
    conversation: ConversationId,
    user: UserId,
    (since, hidden): (&Cut, &BTreeSet<Identity>),
    held: &ConversationRecord,
) -> Result<u64, StoreError> {
    let mut read = since.clone();
    for (_, receipt) in receipts_in(view, &KeyRange::receipts_of(conversation, user))? {
        read.join(receipt.noted());
    }
    if read.covers_all(&held.cut) {
        return Ok(0);
    }
    let expired = expire_messages::expired(view, conversation.partition().bucket)?;
    let mut origins = Origins::of(&held.cut);
    let (mut unread, mut looked_at) = (0, 0);
    let range = KeyRange::changes_after(conversation, ArrivalNumber(0));
    record::scan(view, &range, Direction::Descending, |_, entry: ChangeRecord| {
        looked_at += 1;
        if read.covers(entry.dot) || entry.position <= expired {
            origins.met_covered(entry.dot);
        } else if entry.kind == Kind::Post && entry.sender != user && !entry.repeated {
            let read_otherwise = held.aliases > 0 && any_read(view, conversation, &entry, &read)?;
            let message = Identity { sender: entry.sender, message: entry.message };
            let is_gone =
                hidden.contains(&message) || (held.amended > 0 && is_deleted(view, conversation, message)?);
            unread += u64::from(!read_otherwise && !is_gone);
        }
        let stop = origins.is_done() || looked_at == UNREAD_LOOKED_AT_MAX;
        Ok(if stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    Ok(unread)
}

/// Whether any operation that carries the message was read.
fn any_read(
    view: &dyn View,
    conversation: ConversationId,
    entry: &ChangeRecord,
    read: &Cut,
) -> Result<bool, StoreError> {
    let key = Key::Identity(conversation, entry.sender, entry.message);
    let identity: IdentityRecord = record::load_named(view, &key, "the changes")?;
    Ok(identity.places.iter().any(|logged| read.covers(logged.place.dot)))
}
