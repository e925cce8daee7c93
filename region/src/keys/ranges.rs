//! Stretches of keys: what is scanned as one.
//!
//! What must always hold: a stretch lies within one table of one bucket, but for the whole store's; it begins and ends at key bytes that [`super::Key`] makes, so what belongs to it
//! sorts within it.

use super::{Key, Table, WHOLE_STORE, bucket_of_user, prefix};
use crate::item::ArrivalNumber;
use crate::key_bytes::KeyBytes;
use crate::register_key::RegisterKey;
use crdt::{Bucket, ConversationId, Dot, Identity, Timestamp, UserId};
use replication::log::{ChangeNumber, Position};

/// Keys from one, included, to another, excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyRange {
    pub(crate) from: KeyBytes,
    pub(crate) to: KeyBytes,
}

impl KeyRange {
    /// Every key of the store.
    pub(crate) fn everything() -> Self {
        Self { from: KeyBytes::new(), to: KeyBytes::after_all() }
    }

    /// Every key of a bucket.
    pub(crate) fn bucket(bucket: Bucket) -> Self {
        let mut from = KeyBytes::new();
        from.extend(bucket.number().to_be_bytes());
        Self::of_prefix(from)
    }

    /// What belongs to the whole store.
    pub(crate) fn whole_store() -> Self {
        let mut from = KeyBytes::new();
        from.extend(WHOLE_STORE.to_be_bytes());
        Self { from, to: KeyBytes::after_all() }
    }

    /// A stretch of a partition's log, both ends included.
    pub(crate) fn log_between(bucket: Bucket, first: Position, last: Position) -> Self {
        let mut to = Key::Log(bucket, last).encode();
        to.push(0);
        Self { from: Key::Log(bucket, first).encode(), to }
    }

    /// Where files may hold what was cut.
    pub(crate) fn leftovers() -> Self {
        let mut from = KeyBytes::new();
        prefix(&mut from, WHOLE_STORE, Table::Leftovers);
        Self::of_prefix(from)
    }

    /// What was heard about who has caught up.
    pub(crate) fn caught_up() -> Self {
        let mut from = KeyBytes::new();
        prefix(&mut from, WHOLE_STORE, Table::CaughtUp);
        Self::of_prefix(from)
    }

    /// How far a partition's log reached, by time.
    pub(crate) fn aged(bucket: Bucket) -> Self {
        Self::table(bucket, Table::Ages)
    }

    /// The log after that position.
    pub(crate) fn log_after(bucket: Bucket, after: Position) -> Self {
        Self::from(Key::Log(bucket, Position(after.0.saturating_add(1))), Self::table(bucket, Table::Log))
    }

    /// The tables of a bucket that follow from its log; the rows of members follow too, but stand in their own buckets.
    pub(crate) fn derived(bucket: Bucket) -> [Self; 10] {
        [
            Table::Dots,
            Table::Chains,
            Table::Conversations,
            Table::Members,
            Table::Timeline,
            Table::Identity,
            Table::Changes,
            Table::Amendments,
            Table::Documents,
            Table::DocumentChanges,
        ]
        .map(|table| Self::table(bucket, table))
    }

    /// The members of all conversations.
    pub(crate) fn all_members(bucket: Bucket) -> Self {
        Self::table(bucket, Table::Members)
    }

    /// Where each operation stands in the log.
    pub(crate) fn dots(bucket: Bucket) -> Self {
        Self::table(bucket, Table::Dots)
    }

    /// The chains of all origins.
    pub(crate) fn chains(bucket: Bucket) -> Self {
        Self::table(bucket, Table::Chains)
    }

    /// The receipts of a partition.
    pub(crate) fn all_receipts(bucket: Bucket) -> Self {
        Self::registers_of_kind(bucket, RegisterKey::RECEIPT)
    }

    /// The directory entries of a partition.
    pub(crate) fn directory(bucket: Bucket) -> Self {
        Self::registers_of_kind(bucket, RegisterKey::DIRECTORY)
    }

    /// The flags of all regions.
    pub(crate) fn flags() -> Self {
        Self::registers_of_kind(Bucket::FIRST, RegisterKey::FLAGS)
    }

    fn registers_of_kind(bucket: Bucket, kind: u8) -> Self {
        let mut from = KeyBytes::new();
        prefix(&mut from, bucket.number(), Table::Registers);
        from.push(kind);
        Self::of_prefix(from)
    }

    /// The registers of a partition.
    pub(crate) fn registers(bucket: Bucket) -> Self {
        Self::table(bucket, Table::Registers)
    }

    /// The messages of a partition.
    pub(crate) fn timelines(bucket: Bucket) -> Self {
        Self::table(bucket, Table::Timeline)
    }

    /// The receipts of a conversation.
    pub(crate) fn receipts(conversation: ConversationId) -> Self {
        let mut from = Self::all_receipts(conversation.partition().bucket).from;
        from.extend(conversation.0.to_be_bytes());
        Self::of_prefix(from)
    }

    /// The receipts of one member of a conversation.
    pub(crate) fn receipts_of(conversation: ConversationId, user: UserId) -> Self {
        let mut from = Self::receipts(conversation).from;
        from.extend(user.0.to_be_bytes());
        Self::of_prefix(from)
    }

    /// What users have hidden in a partition.
    pub(crate) fn all_hidden(bucket: Bucket) -> Self {
        let mut from = KeyBytes::new();
        prefix(&mut from, bucket.number(), Table::Registers);
        from.push(RegisterKey::HIDDEN);
        Self::of_prefix(from)
    }

    /// What a user has hidden in a conversation.
    pub(crate) fn hidden_from(conversation: ConversationId, user: UserId) -> Self {
        let mut from = Self::all_hidden(conversation.partition().bucket).from;
        from.extend(conversation.0.to_be_bytes());
        from.extend(user.0.to_be_bytes());
        Self::of_prefix(from)
    }

    /// From whom messages of a partition are hidden.
    pub(crate) fn hidden_by_message(bucket: Bucket) -> Self {
        Self::table(bucket, Table::HiddenFrom)
    }

    /// The feed after that change.
    pub(crate) fn feed_after(bucket: Bucket, after: ChangeNumber) -> Self {
        Self::from(
            Key::Feed(bucket, ChangeNumber(after.0.saturating_add(1))),
            Self::table(bucket, Table::Feed),
        )
    }

    /// The conversations of a partition.
    pub(crate) fn conversations(bucket: Bucket) -> Self {
        Self::table(bucket, Table::Conversations)
    }

    /// The messages of a conversation.
    pub(crate) fn timeline(conversation: ConversationId) -> Self {
        Self::of_conversation(conversation, Table::Timeline)
    }

    /// The messages of a conversation before that place.
    pub(crate) fn timeline_before(conversation: ConversationId, hlc: Timestamp, dot: Dot) -> Self {
        Self { to: Key::Timeline(conversation, hlc, dot).encode(), ..Self::timeline(conversation) }
    }

    /// The messages of a conversation after that place.
    pub(crate) fn timeline_after(conversation: ConversationId, hlc: Timestamp, dot: Dot) -> Self {
        let mut from = Key::Timeline(conversation, hlc, dot).encode();
        from.push(0);
        Self { from, ..Self::timeline(conversation) }
    }

    /// The identities of a conversation.
    pub(crate) fn identities(conversation: ConversationId) -> Self {
        Self::of_conversation(conversation, Table::Identity)
    }

    /// The amended messages of a conversation.
    pub(crate) fn amendments(conversation: ConversationId) -> Self {
        Self::of_conversation(conversation, Table::Amendments)
    }

    /// The deleted messages of a partition of which there are still payloads.
    pub(crate) fn uncut_after(bucket: Bucket, after: Option<(ConversationId, Identity)>) -> Self {
        let key = |(conversation, of): (_, Identity)| Key::Uncut(conversation, of.sender, of.message);
        Self::behind(Self::table(bucket, Table::Uncut), after.map(key))
    }

    /// The edits of a partition whose words are still to be taken back.
    pub(crate) fn made_twice_after(bucket: Bucket, after: Option<(ConversationId, Identity)>) -> Self {
        let key = |(conversation, of): (_, Identity)| Key::MadeTwice(conversation, of.sender, of.message);
        Self::behind(Self::table(bucket, Table::MadeTwice), after.map(key))
    }

    /// The groups of a partition of which rights may come to be due.
    pub(crate) fn unsettled_after(bucket: Bucket, after: Option<ConversationId>) -> Self {
        Self::behind(Self::table(bucket, Table::Unsettled), after.map(Key::Unsettled))
    }

    /// What arrived in a conversation after that number.
    pub(crate) fn changes_after(conversation: ConversationId, after: ArrivalNumber) -> Self {
        let from = Key::Change(conversation, ArrivalNumber(after.0.saturating_add(1)));
        Self::from(from, Self::of_conversation(conversation, Table::Changes))
    }

    /// The memberships of a user.
    pub(crate) fn memberships(user: UserId) -> Self {
        let mut from = KeyBytes::new();
        prefix(&mut from, bucket_of_user(user).number(), Table::Membership);
        from.extend(user.0.to_be_bytes());
        Self::of_prefix(from)
    }

    /// The memberships whose rows stand in a bucket.
    pub(crate) fn memberships_in(bucket: Bucket) -> Self {
        Self::table(bucket, Table::Membership)
    }

    fn table(bucket: Bucket, table: Table) -> Self {
        let mut from = KeyBytes::new();
        prefix(&mut from, bucket.number(), table);
        Self::of_prefix(from)
    }

    fn of_conversation(conversation: ConversationId, table: Table) -> Self {
        let mut from = KeyBytes::new();
        prefix(&mut from, conversation.partition().bucket.number(), table);
        from.extend(conversation.0.to_be_bytes());
        Self::of_prefix(from)
    }

    /// What stands behind that key; all of it if there is none.
    fn behind(whole: Self, after: Option<Key>) -> Self {
        let Some(key) = after else { return whole };
        let mut from = key.encode();
        from.push(0);
        Self { from, ..whole }
    }

    fn from(key: Key, within: Self) -> Self {
        Self { from: key.encode(), to: within.to }
    }

    /// All keys that begin with these bytes.
    fn of_prefix(from: KeyBytes) -> Self {
        Self { from, to: from.after_prefix() }
    }
}
