//! What may be read of a region: conversations, changes since a cursor, pages of history, receipts. Pure functions over a durable view.
//!
//! What must always hold: a user reads only conversations they are a member of, and nothing that their membership hides (what the
//! conversation held where they were added). A read ends at a limit, and says how to go on. Nothing of a deleted message is read but that there was one, and
//! of one that the user has hidden from themselves nothing but which.
//!
//! Cost: a read costs what it shows and what lies between, not what a conversation holds (see `read/origins.rs`).

mod changes;
mod origins;
mod page;
mod summary;

use crate::acknowledge;
use crate::apply_operation;
use crate::document;
use crate::hide_message;
use crate::item::{ArrivalNumber, Content, Item, Reaction};
use crate::join_registers;
use crate::keys::{Key, KeyRange};
use crate::limits::REACTION_USERS_SHOWN_MAX;
use crate::partition;
use crate::record::{self, ConversationRecord, MembershipRecord, RegisterRecord};
use crate::register_key::RegisterKey;
use crate::store::{Direction, StoreError, View};
use bytes::Bytes;
use crdt::amendments::AmendmentContent;
use crdt::emoji::Emoji;
use crdt::operation::Body;
use crdt::{
    Bucket, ConversationId, Cut, DeviceId, DeviceReceipt, Dot, Identity, Kind, PartitionId, PlacementId,
    Timestamp, UserId, VersionVector,
};
use documents::{AccountView, ChangeHash, ConversationView};
use replication::log::Position;
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// A read of changes or of a page ends after the item whose body brings it past this many bytes, whatever its limit of items: a
/// hundred of the largest bodies would be 6.4 MiB for one device. The reader asks again for what follows.
pub const READ_BYTES_MAX: usize = 128 * 1024;

/// A conversation as its list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Which.
    pub conversation: ConversationId,
    /// The name that its document gives it, else that under which it began; empty for a direct conversation that was given none.
    pub name: String,
    /// Whether it is the conversation of two users.
    pub direct: bool,
    /// Its members, sorted.
    pub members: Vec<UserId>,
    /// Those of them who are admins, sorted; none in a direct conversation.
    pub admins: Vec<UserId>,
    /// Its latest message in the display order, if any.
    pub last: Option<Item>,
    /// Messages of others that the user has not read, among the newest [`UNREAD_LOOKED_AT_MAX`](crate::limits::UNREAD_LOOKED_AT_MAX) entries.
    pub unread: u64,
    /// The arrival number of its newest entry here.
    pub arrival: ArrivalNumber,
    /// Its highest timestamp.
    pub highest: Timestamp,
}

/// A conversation's document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentRead {
    /// What it says of a conversation; of an account the settings alone.
    pub view: ConversationView,
    /// What it says of a user, if it is an account's.
    pub account: Option<Box<AccountView>>,
    /// Its heads, as Automerge has them.
    pub heads: BTreeSet<ChangeHash>,
    /// The changes that stand, from the first one on, one behind the other: as any Automerge loads it.
    pub automerge: Vec<u8>,
}

/// A part of a conversation's changes in arrival order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// The entries the user may see.
    pub items: Vec<(ArrivalNumber, Item)>,
    /// The number of the last entry read, shown or not.
    pub through: ArrivalNumber,
    /// What the reader holds of the conversation after these entries.
    pub cut: Cut,
    /// Of that, what was passed over, since it is kept no longer.
    pub expired: Cut,
    /// The highest timestamp among all that.
    pub highest: Timestamp,
    /// The newest entry's number: more is to be read if it is above `through`.
    pub end: ArrivalNumber,
    /// All messages that the reader has hidden from themselves.
    pub hidden: BTreeSet<Identity>,
}

/// Where a device stands in a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// Entries up to here have been given, if the cursor is of this replica; else zero.
    pub after: ArrivalNumber,
    /// What has been given, per origin: entries covered by it are not given again.
    pub cut: Cut,
    /// The highest timestamp given.
    pub highest: Timestamp,
}

/// A receipt as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Whose.
    pub user: UserId,
    /// On which device; [`DeviceId::REST`] for all that have none of their own.
    pub device: DeviceId,
    /// Delivered up to here.
    pub delivered: Cut,
    /// Read up to here, as they tell others.
    pub read: Cut,
}

/// Which way a page goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageFrom {
    /// The newest messages.
    Newest,
    /// Messages before that place, nearest first.
    Before(Timestamp, Dot),
    /// Messages after that place, nearest first.
    After(Timestamp, Dot),
}

/// A conversation that a user is in, with how far it reaches here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Membership {
    /// Which.
    pub conversation: ConversationId,
    /// The arrival number of its newest entry here.
    pub arrival: ArrivalNumber,
    /// Its highest timestamp.
    pub highest: Timestamp,
}

/// The user's conversations in that placement, the most recently active first.
///
/// # Errors
/// [`StoreError`] when the store cannot be read or is damaged. So for every read here.
pub fn conversations(
    view: &dyn View,
    placement: PlacementId,
    user: UserId,
    limit: usize,
) -> Result<Vec<Summary>, StoreError> {
    let memberships = memberships(view, placement, user, limit)?;
    memberships.into_iter().map(|membership| summary::summary(view, user, membership.conversation)).collect()
}

/// The conversation's document; none if the user is not in it. It is the state of a conversation and no history, so nothing of it is hidden from whoever was added later.
pub fn document(
    view: &dyn View,
    conversation: ConversationId,
    user: UserId,
) -> Result<Option<DocumentRead>, StoreError> {
    if membership(view, conversation, user)?.is_none() {
        return Ok(None);
    }
    let document = document::load(view, conversation)?;
    let automerge = document::export(view, conversation, &document)?;
    let account = conversation.account_of().map(|_| Box::new(document.account()));
    let heads = document.heads().clone();
    Ok(Some(DocumentRead { view: document.conversation(), account, heads, automerge }))
}

/// The user's conversations in that placement without their content, the most recently active first: what a sign-in reads.
pub fn memberships(
    view: &dyn View,
    placement: PlacementId,
    user: UserId,
    limit: usize,
) -> Result<Vec<Membership>, StoreError> {
    let mut found = Vec::new();
    record::scan(view, &KeyRange::memberships(user), Direction::Ascending, |key, _: MembershipRecord| {
        if let Key::Membership(_, conversation) = key
            && conversation.placement() == placement
        {
            let held = held(view, conversation)?;
            found.push(Membership { conversation, arrival: held.arrival, highest: held.highest });
        }
        Ok(ControlFlow::Continue(()))
    })?;
    found.sort_by_key(|membership| (Reverse(membership.highest), membership.conversation));
    found.truncate(limit);
    Ok(found)
}

/// What of a partition is stable, as far as this region knows: the cut of the last [`Effect::Stable`](crate::shard::Effect::Stable).
pub fn stable(view: &dyn View, partition: PartitionId) -> Result<VersionVector, StoreError> {
    acknowledge::stable(view, partition.bucket)
}

/// Up to `limit` entries that the standing lacks, in arrival order. None if the user is not a member.
pub fn changes(
    view: &dyn View,
    conversation: ConversationId,
    user: UserId,
    standing: &Standing,
    limit: usize,
) -> Result<Option<Changes>, StoreError> {
    let Some(MembershipRecord { since }) = membership(view, conversation, user)? else { return Ok(None) };
    let hidden = hide_message::hidden_from(view, conversation, user)?;
    changes::changes(view, conversation, (&since, hidden), standing, limit).map(Some)
}

/// Whether this region has everything of a conversation that such a device was given, wherever: then who is no member here is none any more, and not one
/// of whom it has not heard yet. Who was given nothing has no proof to have been a member.
pub fn has_all_given(
    view: &dyn View,
    conversation: ConversationId,
    standing: &Standing,
) -> Result<bool, StoreError> {
    Ok(!standing.cut.is_empty() && held(view, conversation)?.cut.covers_all(&standing.cut))
}

/// Up to `limit` messages, nearest to where the page begins, in the display order. None if the user is not a member.
pub fn page(
    view: &dyn View,
    conversation: ConversationId,
    user: UserId,
    from: PageFrom,
    limit: usize,
) -> Result<Option<Vec<Item>>, StoreError> {
    let Some(MembershipRecord { since }) = membership(view, conversation, user)? else { return Ok(None) };
    let hidden = hide_message::hidden_from(view, conversation, user)?;
    page::page(view, conversation, (&since, &hidden), from, limit).map(Some)
}

/// All receipts of a conversation. None if the user is not a member.
pub fn receipts(
    view: &dyn View,
    conversation: ConversationId,
    user: UserId,
) -> Result<Option<Vec<Receipt>>, StoreError> {
    if membership(view, conversation, user)?.is_none() {
        return Ok(None);
    }
    let receipts = receipts_in(view, &KeyRange::receipts(conversation))?.into_iter();
    // What they noted for themselves alone stays here.
    let told = receipts.map(|((user, device), receipt)| Receipt {
        user,
        device,
        delivered: receipt.delivered().clone(),
        read: receipt.read().clone(),
    });
    Ok(Some(told.collect()))
}

/// Whose a receipt is, on which device, and how it stands.
pub(crate) type Held = ((UserId, DeviceId), crdt::Receipt);

/// The receipts in a range of keys, without devices that were taken for dead.
pub(crate) fn receipts_in(view: &dyn View, range: &KeyRange) -> Result<Vec<Held>, StoreError> {
    let mut receipts = Vec::new();
    record::scan(view, range, Direction::Ascending, |key, register: RegisterRecord| {
        if let Key::Register(_, RegisterKey::Receipt(_, user, device)) = key
            && let DeviceReceipt::Kept(receipt) = join_registers::held(&key, &register)?
        {
            receipts.push(((user, device), receipt));
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(receipts)
}

/// What is hidden from that member; none if they are not one.
fn membership(
    view: &dyn View,
    conversation: ConversationId,
    user: UserId,
) -> Result<Option<MembershipRecord>, StoreError> {
    record::load(view, &Key::Membership(user, conversation))
}

/// A conversation's counters, clock and cut.
pub(crate) fn held(view: &dyn View, conversation: ConversationId) -> Result<ConversationRecord, StoreError> {
    Ok(record::load(view, &Key::Conversation(conversation))?.unwrap_or_default())
}

/// What the operation at that position of the log shows in the order of arrival; none if it carried a text that has gone by its age, or a message whose edit has.
fn item_at(
    view: &dyn View,
    held: &ConversationRecord,
    conversation: ConversationId,
    position: Position,
) -> Result<Option<Item>, StoreError> {
    let bucket = conversation.partition().bucket;
    let entry = partition::entry(view, bucket, position, "its conversation")?;
    let (envelope, body) = partition::decode(bucket, position, &entry)?;
    let carried = if envelope.kind.amends() { envelope.target } else { Some(envelope.identity()) };
    let amended = carried.filter(|_| held.amended > 0 && envelope.kind.may_be_cut());
    let amendments = amended.map(|message| partition::amendments(view, conversation, message)).transpose()?;
    let amendments = amendments.flatten().unwrap_or_default();
    let is_gone = amendments.is_deleted();
    if body.is_none() && !is_gone {
        return Ok(None);
    }
    // Nobody is shown what its author has corrected, because it was sent again and so came later than the correction.
    if envelope.kind == Kind::Post
        && !is_gone
        && let Some(edited) = amendments.edited()
        && edited_body(view, bucket, edited.dot)?.is_none()
    {
        return Ok(None);
    }
    Ok(Some(apply_operation::item(entry.dot, &envelope, body.filter(|_| !is_gone))))
}

/// Whether a message was deleted for everyone.
fn is_deleted(view: &dyn View, conversation: ConversationId, message: Identity) -> Result<bool, StoreError> {
    Ok(partition::amendments(view, conversation, message)?.is_some_and(|amendments| amendments.is_deleted()))
}

/// The message whose canonical operation stands at that position of the log, as it stands now; none if its text has gone by its age.
fn message_at(
    view: &dyn View,
    conversation: ConversationId,
    position: Position,
) -> Result<Option<Item>, StoreError> {
    let bucket = conversation.partition().bucket;
    let entry = partition::entry(view, bucket, position, "the timeline")?;
    let (envelope, body) = partition::decode(bucket, position, &entry)?;
    let amendments = partition::amendments(view, conversation, envelope.identity())?.unwrap_or_default();
    if amendments.is_deleted() {
        return Ok(Some(apply_operation::item(entry.dot, &envelope, None)));
    }
    if body.is_none() {
        return Ok(None);
    }
    let mut item = apply_operation::item(entry.dot, &envelope, body);
    if let Content::Post { body, became, .. } = &mut item.content {
        if let Some(edited) = amendments.edited() {
            match edited_body(view, bucket, edited.dot)? {
                Some(newest) => *body = newest,
                // Older than what carries the message, which was sent again, or cut where this region has it from.
                None => return Ok(None),
            }
            became.edited = Some(edited);
        }
        became.reactions = amendments.reactions().into_iter().map(reaction).collect();
    }
    Ok(Some(item))
}

fn edited_body(view: &dyn View, bucket: Bucket, edit: Dot) -> Result<Option<Bytes>, StoreError> {
    let key = Key::Dot(bucket, edit);
    let position: Position = record::load_named(view, &key, "an edited message")?;
    let entry = partition::entry(view, bucket, position, "a dot")?;
    Ok(match partition::decode(bucket, position, &entry)?.1 {
        Some(Body::Amend { content: AmendmentContent::Edit { body, .. }, .. }) => Some(body),
        _ => None,
    })
}

fn reaction((emoji, mut users): (&Emoji, Vec<UserId>)) -> Reaction {
    let count = users.len();
    users.truncate(REACTION_USERS_SHOWN_MAX);
    Reaction { emoji: emoji.clone(), count, users }
}

/// The bytes of an item that count towards [`READ_BYTES_MAX`].
fn body_bytes(item: &Item) -> usize {
    match &item.content {
        Content::Post { body, became, .. } => {
            let reactions = became.reactions.iter();
            body.len() + reactions.map(|reaction| reaction.users.len() * 8).sum::<usize>()
        }
        Content::Created { members, name, .. } => members.len() * 8 + name.len(),
        Content::Edited { body, .. } => body.len(),
        Content::DocumentChanged { change } => change.len(),
        Content::Withdrawn { seen, .. } => seen.len() * 16,
        Content::Added { .. }
        | Content::Left
        | Content::Removed { .. }
        | Content::Promoted { .. }
        | Content::Demoted { .. }
        | Content::Claimed
        | Content::Rights(_)
        | Content::Deleted { .. }
        | Content::Withheld { .. }
        | Content::Reacted { .. } => 0,
    }
}
