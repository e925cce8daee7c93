//! Applies one operation, own or remote, to the tables of its conversation.
//!
//! What must always hold:
//! - Own and remote operations take this same path, so regions that applied the same operations hold the same state.
//! - It cannot refuse: whatever could be wrong with an operation was checked before, so a commit is applied whole.
//! - Every operation gets the next arrival number and an entry of its own, an alias too, so that cuts cover it.
//! - An identity is shown once, at the lowest place of its aliases.
//! - Of a message that was deleted nothing is shown from here on, whatever arrives, and all that carries it is noted to be cut.
//!
//! Writes per post: dot, identity, timeline and change (about 60, 75, 60 and 70 bytes with their keys); its log record is the commit's.

use crate::acknowledge;
use crate::document;
use crate::item::{Became, Change, Content, Item};
use crate::keys::Key;
use crate::partition;
use crate::record::{
    ChangeRecord, HiddenFromRecord, IdentityRecord, LoggedPlace, MembershipRecord, TimelineRecord,
};
use crate::shard::Effect;
use crate::store::StoreError;
use crate::tables::Tables;
use crdt::amendments::{Amended, Amendment, AmendmentContent, Amendments};
use crdt::group::RightsChange;
use crdt::membership::Outcome;
use crdt::operation::{Body, Envelope};
use crdt::roster::{Action, BehindFold, Change as RosterChange};
use crdt::timeline::{Entry, Inserted};
use crdt::{ConversationId, Cut, Dot, Identity, Kind, StateDigest, UserId};
use replication::log::Position;
use std::collections::BTreeSet;
use std::sync::Arc;

/// An operation that has been checked.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) dot: Dot,
    pub(crate) envelope: Envelope,
    /// None if its payload has been cut.
    pub(crate) body: Option<Body>,
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
    let is_deleted = amend(tables, dot, &envelope, body.as_ref())?;
    if let Some(body) = &body {
        change_members(tables, dot, &envelope, body)?;
    }
    if let Some(Body::Document(bytes)) = &body {
        document::change(tables, position, (dot, &envelope), bytes)?;
        if repeated {
            tables.made_twice.insert((conversation, envelope.identity()));
        }
    }
    let record = tables.change_conversation(conversation)?;
    record.arrival.0 += 1;
    record.cut.raise(dot);
    record.highest = record.highest.max(envelope.hlc);
    record.aliases += u64::from(repeated);
    let (arrival, highest, cut) = (record.arrival, record.highest, Arc::new(record.cut.clone()));
    let (kind, sender, message) = (envelope.kind, envelope.sender, envelope.message);
    let entry = ChangeRecord { position, dot, kind, sender, message, repeated };
    tables.put(&Key::Change(conversation, arrival), &entry);
    let item = Arc::new(item(dot, &envelope, body.filter(|_| !is_deleted)));
    let hidden_from = hidden_from(tables, conversation, item.message_of())?;
    tables.effects.push(Effect::Changed(Change { conversation, arrival, cut, highest, item, hidden_from }));
    Ok(())
}

/// Who has hidden a message from themselves.
fn hidden_from(
    tables: &Tables<'_>,
    conversation: ConversationId,
    message: Option<Identity>,
) -> Result<BTreeSet<UserId>, StoreError> {
    let Some(Identity { sender, message }) = message else { return Ok(BTreeSet::new()) };
    let hidden: Option<HiddenFromRecord> = tables.load(&Key::HiddenFrom(conversation, sender, message))?;
    if hidden.is_some() {
        crate::sometimes::HIDDEN_FROM_A_USER.reach();
    }
    Ok(hidden.unwrap_or_default().0)
}

/// What a device is shown of an operation in the order of arrival. Without a body, or if the message has been deleted since, what is left of it.
pub(crate) fn item(dot: Dot, envelope: &Envelope, body: Option<Body>) -> Item {
    let content = match (body, envelope.target) {
        (Some(body), _) => content(body),
        (None, Some(target)) => Content::Deleted { target },
        (None, None) => Content::Post {
            body: bytes::Bytes::new(),
            sent_at_ms: i64::try_from(envelope.message.created_ms()).unwrap_or(i64::MAX),
            reply_to: None,
            seen: None,
            became: Became { deleted: true, ..Became::default() },
        },
    };
    Item { sender: envelope.sender, message: envelope.message, dot, hlc: envelope.hlc, content }
}

fn content(body: Body) -> Content {
    match body {
        Body::Post(post) => Content::Post {
            body: post.body,
            sent_at_ms: post.sent_at_ms,
            reply_to: post.reply_to,
            seen: post.seen,
            became: Became::default(),
        },
        Body::Create { members, name, direct, shares } => Content::Created { members, name, direct, shares },
        Body::Change(RosterChange { cut, action }) => change(cut, action),
        Body::Rights(RightsChange { act, .. }) => Content::Rights(act),
        Body::Document(change) => Content::DocumentChanged { change },
        Body::Amend { target, content } => match content {
            AmendmentContent::Edit { body, seen } => Content::Edited { target, body, seen },
            AmendmentContent::Delete => Content::Deleted { target },
            AmendmentContent::React(emoji) => Content::Reacted { target, emoji },
            AmendmentContent::Withdraw { emoji, seen } => Content::Withdrawn { target, emoji, seen },
        },
    }
}

fn change(cut: Cut, action: Action) -> Content {
    match action {
        Action::Add { user, .. } => Content::Added { user, since: cut },
        Action::Remove { user, .. } => Content::Removed { user },
        Action::Leave => Content::Left,
        Action::Promote { user, .. } => Content::Promoted { user },
        Action::Demote { user, .. } => Content::Demoted { user },
        Action::Claim => Content::Claimed,
        // No body holds one: a creation has a body of its own, with a name.
        Action::Create { members, shares } => {
            let members = members.into_iter().collect();
            Content::Created { members, name: String::new(), direct: false, shares }
        }
    }
}

/// Takes what an operation does to a message, and says whether it carries one that is deleted: a post or an edit that is not to be shown.
fn amend(
    tables: &mut Tables<'_>,
    dot: Dot,
    envelope: &Envelope,
    body: Option<&Body>,
) -> Result<bool, StoreError> {
    let conversation = envelope.conversation;
    if envelope.kind == Kind::Post {
        let is_deleted = tables.conversation(conversation)?.amended > 0
            && partition::amendments(tables.view(), conversation, envelope.identity())?
                .is_some_and(|amendments| amendments.is_deleted());
        if is_deleted {
            crate::sometimes::DELETED_BEFORE_IT_CAME.reach();
            tables.uncut.insert((conversation, envelope.identity()));
        }
        return Ok(is_deleted);
    }
    let Some(amendment) = Amendment::of(dot, envelope, body) else { return Ok(false) };
    let message = amendment.target;
    let known = partition::amendments(tables.view(), conversation, message)?;
    let is_first = known.is_none();
    let digest = |amendments: &Amendments| StateDigest::of_amendments(conversation, message, amendments);
    let gone = known.as_ref().map(digest).unwrap_or_default();
    let mut amendments = known.unwrap_or_default();
    if amendments.apply(&amendment) == Amended::Void {
        crate::sometimes::AMENDMENT_VOID.reach();
        return Ok(false);
    }
    let key = Key::Amendments(conversation, message.sender, message.message);
    tables.put_bytes(&key, amendments.encode());
    tables.change_digest(conversation, gone, digest(&amendments))?;
    tables.change_conversation(conversation)?.amended += u64::from(is_first);
    let carries = amendments.is_deleted() && matches!(envelope.kind, Kind::Edit | Kind::Delete);
    if carries {
        tables.uncut.insert((conversation, message));
    }
    Ok(carries && envelope.kind == Kind::Edit)
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
    let shown_at = identity.places.first().map(|shown| shown.position);
    let (inserted, repeated) = (identity.insert(LoggedPlace { place, position }), identity.places.len() > 1);
    let mut come = StateDigest::of_alias(conversation, envelope.identity(), place);
    let mut gone = StateDigest::default();
    match inserted {
        Inserted::First => {}
        Inserted::Moved { from } => {
            crate::sometimes::ALIAS_MOVES.reach();
            tables.delete(&Key::Timeline(conversation, from.hlc, from.dot));
            // What was shown is in the log: a step that applies a commit has written it before.
            let (bucket, shown_at) = (conversation.partition().bucket, shown_at.unwrap_or_default());
            let shown = partition::envelope(tables.view(), bucket, shown_at, "an identity")?;
            gone = StateDigest::of_entry(conversation, from, &Entry::of(&shown));
        }
        Inserted::AliasOnly | Inserted::AlreadyThere => {
            crate::sometimes::ALIAS.reach();
            tables.put(&key, &identity);
            tables.change_digest(conversation, gone, come)?;
            return Ok(repeated);
        }
    }
    come += StateDigest::of_entry(conversation, place, &Entry::of(envelope));
    tables.change_digest(conversation, gone, come)?;
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
    if !envelope.kind.changes_members() {
        return Ok(());
    }
    let conversation = envelope.conversation;
    let mut members = partition::members(tables.view(), conversation)?;
    let gone = StateDigest::of_membership(conversation, &members);
    // What is folded is done with, so a change costs what is not, whatever the age of the group.
    members.fold(&acknowledge::stable(tables.view(), conversation.partition().bucket)?);
    let changes = match members.apply(dot, envelope, body) {
        Ok(Outcome { members, covered: true }) => members,
        Ok(Outcome { members, covered: false }) => {
            crate::sometimes::NO_RIGHT.reach();
            tables.effects.push(Effect::NoRight { dot, conversation });
            members
        }
        Err(BehindFold(dot)) => {
            crate::sometimes::BEHIND_FOLD.reach();
            tables.effects.push(Effect::BehindFold { dot, conversation });
            Vec::new()
        }
    };
    tables.put_bytes(&Key::Members(conversation), members.encode());
    tables.change_digest(conversation, gone, StateDigest::of_membership(conversation, &members))?;
    tables.unsettled.insert(conversation);
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
