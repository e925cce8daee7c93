//! What may be read of a region: conversations, changes since a cursor, pages of history, receipts. Pure functions over a durable view.

use crate::item::{ArrivalNumber, Item};
use crate::store::{StoreError, View};
use crdt::{ConversationId, Cut, DeviceId, Dot, PartitionId, PlacementId, Timestamp, UserId, VersionVector};

/// A read of changes or of a page ends after the item whose body brings it past this many bytes, whatever its limit of items: a
/// hundred of the largest bodies would be 6.4 MiB for one device. The reader asks again for what follows.
pub const READ_BYTES_MAX: usize = 128 * 1024;

/// A conversation as its list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Which.
    pub conversation: ConversationId,
    /// Its name; empty for a direct conversation.
    pub name: String,
    /// Whether it is the conversation of two users.
    pub direct: bool,
    /// Its members, sorted.
    pub members: Vec<UserId>,
    /// Its latest message in the display order, if any.
    pub last: Option<Item>,
    /// Messages of others that the user has not read.
    pub unread: u64,
    /// The arrival number of its newest entry here.
    pub arrival: ArrivalNumber,
    /// Its highest timestamp.
    pub highest: Timestamp,
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
    /// The highest timestamp among all that.
    pub highest: Timestamp,
    /// The newest entry's number: more is to be read if it is above `through`.
    pub end: ArrivalNumber,
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
    /// On which device.
    pub device: DeviceId,
    /// Delivered up to here.
    pub delivered: Cut,
    /// Read up to here.
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

/// The user's conversations in that placement, the most recently active first.
pub fn conversations(
    view: &dyn View,
    placement: PlacementId,
    user: UserId,
    limit: usize,
) -> Result<Vec<Summary>, StoreError> {
    todo!("{:?}", (view.get(&[]), placement, user, limit))
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

/// The user's conversations in that placement without their content, the most recently active first: what a sign-in reads.
pub fn memberships(
    view: &dyn View,
    placement: PlacementId,
    user: UserId,
    limit: usize,
) -> Result<Vec<Membership>, StoreError> {
    todo!("{:?}", (view.get(&[]), placement, user, limit))
}

/// What of a partition is stable, as far as this region knows: the cut of the last [`Effect::Stable`](crate::shard::Effect::Stable).
pub fn stable(view: &dyn View, partition: PartitionId) -> Result<VersionVector, StoreError> {
    todo!("{:?}", (view.get(&[]), partition))
}

/// Up to `limit` entries that the standing lacks, in arrival order. None if the user is not a member.
pub fn changes(
    view: &dyn View,
    conversation: ConversationId,
    user: UserId,
    standing: &Standing,
    limit: usize,
) -> Result<Option<Changes>, StoreError> {
    todo!("{:?}", (view.get(&[]), conversation, user, standing, limit))
}

/// Up to `limit` messages in the display order. None if the user is not a member.
pub fn page(
    view: &dyn View,
    conversation: ConversationId,
    user: UserId,
    from: PageFrom,
    limit: usize,
) -> Result<Option<Vec<Item>>, StoreError> {
    todo!("{:?}", (view.get(&[]), conversation, user, from, limit))
}

/// All receipts of a conversation. None if the user is not a member.
pub fn receipts(
    view: &dyn View,
    conversation: ConversationId,
    user: UserId,
) -> Result<Option<Vec<Receipt>>, StoreError> {
    todo!("{:?}", (view.get(&[]), conversation, user))
}
