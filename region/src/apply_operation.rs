//! Applies one operation, own or remote, to the tables of its conversation.
//!
//! What must always hold:
//! - Own and remote operations take this same path, so regions that applied the same operations hold the same state.
//! - It cannot refuse: whatever could be wrong with an operation was checked before, so a commit is applied whole.
//! - Every operation gets the next arrival number and an entry of its own, an alias too, so that cuts cover it.
//! - An identity is shown once, at the lowest place of its aliases.
//!
//! Writes per post: dot, identity, timeline and change (about 60, 75, 60 and 70 bytes with their keys); its log record is the commit's.

use crate::item::{Change, Content, Item};
use crate::keys::Key;
use crate::partition;
use crate::record::{ChangeRecord, IdentityRecord, LoggedPlace, MembershipRecord, TimelineRecord};
use crate::shard::Effect;
use crate::store::StoreError;
use crate::tables::Tables;
use crdt::Dot;
use crdt::operation::{Body, Envelope};
use crdt::timeline::Inserted;
use replication::log::Position;
use std::sync::Arc;

/// An operation that has been checked.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) dot: Dot,
    pub(crate) envelope: Envelope,
    pub(crate) body: Body,
}

/// Applies an operation that stands at that position of its partition's log.
pub(crate) fn apply(
    tables: &mut Tables<'_>,
    position: Position,
    operation: Checked,
) -> Result<(), StoreError> {
    let Checked { dot, envelope, body } = operation;
    let conversation = envelope.conversation;
    tables.put(&Key::Dot(conversation.partition().bucket, dot), &position);
    let repeated = place(tables, position, dot, &envelope)?;
    change_members(tables, dot, &envelope, &body)?;
    let record = tables.change_conversation(conversation)?;
    record.arrival.0 += 1;
    record.cut.raise(dot);
    record.highest = record.highest.max(envelope.hlc);
    record.aliases += u64::from(repeated);
    let (arrival, highest, cut) = (record.arrival, record.highest, Arc::new(record.cut.clone()));
    let (kind, sender, message) = (envelope.kind, envelope.sender, envelope.message);
    let entry = ChangeRecord { position, dot, kind, sender, message, repeated };
    tables.put(&Key::Change(conversation, arrival), &entry);
    let item = Arc::new(item(dot, &envelope, body));
    tables.effects.push(Effect::Changed(Change { conversation, arrival, cut, highest, item }));
    Ok(())
}

/// What a device is shown of an operation.
pub(crate) fn item(dot: Dot, envelope: &Envelope, body: Body) -> Item {
    let content = match body {
        Body::Post(post) => Content::Post {
            body: post.body,
            sent_at_ms: post.sent_at_ms,
            reply_to: post.reply_to,
            seen: post.seen,
        },
        Body::Create { members, name, direct } => Content::Created { members, name, direct },
        Body::Add { user, since } => Content::Added { user, since },
        Body::Leave { seen: _ } => Content::Left,
    };
    Item { sender: envelope.sender, message: envelope.message, dot, hlc: envelope.hlc, content }
}

/// Puts an operation among the aliases of its identity, and moves what is shown if it is the lowest now. Says whether the
/// identity was known.
fn place(
    tables: &mut Tables<'_>,
    position: Position,
    dot: Dot,
    envelope: &Envelope,
) -> Result<bool, StoreError> {
    let conversation = envelope.conversation;
    let key = Key::Identity(conversation, envelope.sender, envelope.message);
    let mut identity: IdentityRecord = tables.load(&key)?.unwrap_or_default();
    let place = envelope.place(dot);
    let (inserted, repeated) = (identity.insert(LoggedPlace { place, position }), identity.places.len() > 1);
    match inserted {
        Inserted::First => {}
        Inserted::Moved { from } => {
            crate::sometimes::ALIAS_MOVES.reach();
            tables.delete(&Key::Timeline(conversation, from.hlc, from.dot));
        }
        Inserted::AliasOnly | Inserted::AlreadyThere => {
            crate::sometimes::ALIAS.reach();
            tables.put(&key, &identity);
            return Ok(repeated);
        }
    }
    tables.put(&key, &identity);
    let shown = TimelineRecord { kind: envelope.kind, position };
    tables.put(&Key::Timeline(conversation, place.hlc, place.dot), &shown);
    Ok(repeated)
}

fn change_members(
    tables: &mut Tables<'_>,
    dot: Dot,
    envelope: &Envelope,
    body: &Body,
) -> Result<(), StoreError> {
    match body {
        Body::Post(_) => return Ok(()),
        Body::Create { .. } | Body::Add { .. } | Body::Leave { .. } => {}
    }
    let conversation = envelope.conversation;
    let mut members = partition::members(tables.view(), conversation)?;
    let changes = members.apply(dot, envelope, body);
    tables.put_bytes(&Key::Members(conversation), members.encode());
    for change in changes {
        let (user, was, is) = (change.user, change.before.is_some(), change.after.is_some());
        let key = Key::Membership(user, conversation);
        match change.after {
            Some(since) => tables.put(&key, &MembershipRecord { since }),
            None => tables.delete(&key),
        }
        if was != is {
            crate::sometimes::MEMBERSHIP_TURNED.reach();
            tables.effects.push(Effect::Membership { conversation, user, member: is });
        }
    }
    Ok(())
}
