//! The keys of a placement's store: the one place where key bytes are made and read.
//!
//! What must always hold:
//! - Every key begins with the bucket, then the table, so a partition is one stretch of each table and can be moved, audited
//!   or dropped as such. What belongs to the whole store stands under the bucket number 65,535, which no partition has.
//! - Numbers are big-endian, so keys sort by bytes as their fields sort, and a range of fields is a range of keys.
//! - The bucket of a conversation's or a user's key is computed here, so none can stand in a wrong one.
//! - Decoding is total: bytes that are not a key are none, never a panic.

use crate::item::ArrivalNumber;
use crate::key_bytes::KeyBytes;
use crate::register_key::RegisterKey;
use crate::running_time::Ran;
use crdt::{
    Bucket, ConversationId, Dot, Incarnation, MessageId, PlacementId, RegionId, ReplicaId, Sequence,
    Timestamp, UserId,
};
use replication::log::{ChangeNumber, Position};
use replication::placement::Epoch;

mod ranges;

pub(crate) use ranges::KeyRange;

/// The bucket number of what belongs to the whole store.
const WHOLE_STORE: u16 = u16::MAX;

/// The tables of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Table {
    Log = 1,
    Dots = 2,
    Chains = 3,
    Reach = 4,
    Cursors = 5,
    Registers = 6,
    Feed = 7,
    Acknowledgements = 8,
    Stable = 17,
    Conversations = 9,
    Members = 10,
    Timeline = 11,
    Identity = 12,
    Changes = 13,
    Membership = 14,
    Meta = 15,
    PeerStarts = 16,
    Present = 18,
    Amendments = 19,
    Uncut = 20,
    Unsettled = 21,
    Documents = 22,
    DocumentChanges = 23,
    Leftovers = 24,
    Epochs = 25,
    Survey = 26,
    HiddenFrom = 27,
    MadeTwice = 28,
    CaughtUp = 29,
    Heard = 30,
    Ages = 31,
    Expired = 32,
    Ran = 33,
    Bases = 34,
}

/// The key of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    /// What stands at that position of the partition's log.
    Log(Bucket, Position),
    /// Where an operation stands in the partition's log.
    Dot(Bucket, Dot),
    /// How far an origin's operations have been applied, and the chain head there.
    Chain(Bucket, ReplicaId),
    /// How far the partition's log and feed reach.
    Reach(Bucket),
    /// Where this region stands in a peer's log and feed.
    Cursor(Bucket, ReplicaId),
    /// A register's value and the number of its latest change.
    Register(Bucket, RegisterKey),
    /// Which register changed with that number, if it has not changed since.
    Feed(Bucket, ChangeNumber),
    /// What is known of a replica's acknowledgements, and believed.
    Acknowledgement(Bucket, ReplicaId),
    /// What of the partition is stable.
    Stable(Bucket),
    /// A conversation's counters, clock and cut.
    Conversation(ConversationId),
    /// A conversation's name and members.
    Members(ConversationId),
    /// A message at its place in the display order.
    Timeline(ConversationId, Timestamp, Dot),
    /// The operations that carry one identity.
    Identity(ConversationId, UserId, MessageId),
    /// What arrived in a conversation under that number.
    Change(ConversationId, ArrivalNumber),
    /// That a user is a member of a conversation: stands in the user's bucket.
    Membership(UserId, ConversationId),
    /// What this store is.
    Meta,
    /// What a peer's replica said of itself.
    PeerStart(ReplicaId),
    /// That all that a peer's replica held has come; of the own one, that all has come.
    CaughtUp(ReplicaId),
    /// The region's present when the store was last written.
    Present,
    /// What became of a message that was amended.
    Amendments(ConversationId, UserId, MessageId),
    /// That a message is deleted for everyone, and payloads of it are still there.
    Uncut(ConversationId, UserId, MessageId),
    /// That rights of a group may come to be due from here.
    Unsettled(ConversationId),
    /// The document of a conversation that somebody changed.
    Document(ConversationId),
    /// Where in the log a change of a document stands, by the first 192 bits of its hash: nobody makes two that agree in those.
    DocumentChange(ConversationId, [u8; 24]),
    /// Where in a partition's log texts were cut that the engine's older files may still hold. It says something of this store's files, not of the partition, so it stands
    /// under the whole store.
    Leftover(Bucket),
    /// The statement of one of the placement's epochs.
    Epoch(Epoch),
    /// The partition whose groups are to be surveyed next, since an epoch has admitted a replica.
    Survey,
    /// The highest of a replica's operations that a device was shown elsewhere, where that was not here.
    Heard(Bucket, ReplicaId),
    /// How far the partition's log reached when the store had been run for so long.
    Aged(Bucket, Ran),
    /// Up to here in the partition's log texts of messages have gone by their age.
    Expired(Bucket),
    /// For how long the store has been run.
    Ran,
    /// Where the partition's log may be gone on in by who has all that is before.
    Base(Bucket),
    /// From whom a message is hidden, as the registers say.
    HiddenFrom(ConversationId, UserId, MessageId),
    /// That an edit was made by another region too, and this one has still to take its words back.
    MadeTwice(ConversationId, UserId, MessageId),
}

impl Table {
    /// By number, from 1.
    const ALL: [Self; 34] = [
        Self::Log,
        Self::Dots,
        Self::Chains,
        Self::Reach,
        Self::Cursors,
        Self::Registers,
        Self::Feed,
        Self::Acknowledgements,
        Self::Conversations,
        Self::Members,
        Self::Timeline,
        Self::Identity,
        Self::Changes,
        Self::Membership,
        Self::Meta,
        Self::PeerStarts,
        Self::Stable,
        Self::Present,
        Self::Amendments,
        Self::Uncut,
        Self::Unsettled,
        Self::Documents,
        Self::DocumentChanges,
        Self::Leftovers,
        Self::Epochs,
        Self::Survey,
        Self::HiddenFrom,
        Self::MadeTwice,
        Self::CaughtUp,
        Self::Heard,
        Self::Ages,
        Self::Expired,
        Self::Ran,
        Self::Bases,
    ];

    /// As it is named in errors.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Dots => "dots",
            Self::Chains => "chains",
            Self::Reach => "reach",
            Self::Cursors => "cursors",
            Self::Registers => "registers",
            Self::Feed => "feed",
            Self::Acknowledgements => "acknowledgements",
            Self::Stable => "stable",
            Self::Conversations => "conversations",
            Self::Members => "members",
            Self::Timeline => "timeline",
            Self::Identity => "identity",
            Self::Changes => "changes",
            Self::Membership => "membership",
            Self::Meta => "meta",
            Self::PeerStarts => "peer_starts",
            Self::Present => "present",
            Self::Amendments => "amendments",
            Self::Uncut => "uncut",
            Self::Unsettled => "unsettled",
            Self::Documents => "documents",
            Self::DocumentChanges => "document_changes",
            Self::Leftovers => "leftovers",
            Self::Epochs => "epochs",
            Self::Survey => "survey",
            Self::HiddenFrom => "hidden_from",
            Self::MadeTwice => "made_twice",
            Self::CaughtUp => "caught_up",
            Self::Heard => "heard",
            Self::Ages => "ages",
            Self::Expired => "expired",
            Self::Ran => "ran",
            Self::Bases => "bases",
        }
    }

    /// The table a key's bytes belong to, if any.
    pub(crate) fn of(key: &[u8]) -> Option<Self> {
        let number = *key.get(2)?;
        let table = Self::ALL.get(usize::from(number.checked_sub(1)?)).copied()?;
        debug_assert_eq!(table as u8, number, "tables stand in the order of their numbers");
        Some(table)
    }
}

impl Key {
    /// Its table.
    pub(crate) const fn table(&self) -> Table {
        match self {
            Self::Log(..) => Table::Log,
            Self::Dot(..) => Table::Dots,
            Self::Chain(..) => Table::Chains,
            Self::Reach(..) => Table::Reach,
            Self::Cursor(..) => Table::Cursors,
            Self::Register(..) => Table::Registers,
            Self::Feed(..) => Table::Feed,
            Self::Acknowledgement(..) => Table::Acknowledgements,
            Self::Stable(..) => Table::Stable,
            Self::Conversation(..) => Table::Conversations,
            Self::Members(..) => Table::Members,
            Self::Timeline(..) => Table::Timeline,
            Self::Identity(..) => Table::Identity,
            Self::Change(..) => Table::Changes,
            Self::Membership(..) => Table::Membership,
            Self::Meta => Table::Meta,
            Self::PeerStart(..) => Table::PeerStarts,
            Self::Present => Table::Present,
            Self::Amendments(..) => Table::Amendments,
            Self::Uncut(..) => Table::Uncut,
            Self::Unsettled(..) => Table::Unsettled,
            Self::Document(..) => Table::Documents,
            Self::DocumentChange(..) => Table::DocumentChanges,
            Self::Leftover(..) => Table::Leftovers,
            Self::Epoch(_) => Table::Epochs,
            Self::Survey => Table::Survey,
            Self::HiddenFrom(..) => Table::HiddenFrom,
            Self::MadeTwice(..) => Table::MadeTwice,
            Self::CaughtUp(..) => Table::CaughtUp,
            Self::Heard(..) => Table::Heard,
            Self::Aged(..) => Table::Ages,
            Self::Expired(_) => Table::Expired,
            Self::Ran => Table::Ran,
            Self::Base(_) => Table::Bases,
        }
    }

    /// The conversation it is about, if it is about one.
    pub(crate) const fn conversation(&self) -> Option<ConversationId> {
        match self {
            Self::Conversation(conversation)
            | Self::Members(conversation)
            | Self::Timeline(conversation, ..)
            | Self::Identity(conversation, ..)
            | Self::Change(conversation, _)
            | Self::Amendments(conversation, ..)
            | Self::Uncut(conversation, ..)
            | Self::Unsettled(conversation)
            | Self::Document(conversation)
            | Self::DocumentChange(conversation, _)
            | Self::Membership(_, conversation)
            | Self::HiddenFrom(conversation, ..)
            | Self::MadeTwice(conversation, ..)
            | Self::Register(
                _,
                RegisterKey::Receipt(conversation, ..) | RegisterKey::Hidden(conversation, ..),
            ) => Some(*conversation),
            Self::Log(..)
            | Self::Dot(..)
            | Self::Chain(..)
            | Self::Reach(..)
            | Self::Cursor(..)
            | Self::Register(
                _,
                RegisterKey::Acknowledgement(_) | RegisterKey::Directory(_) | RegisterKey::Flags(_),
            )
            | Self::Feed(..)
            | Self::Acknowledgement(..)
            | Self::Stable(..)
            | Self::Meta
            | Self::PeerStart(..)
            | Self::CaughtUp(..)
            | Self::Heard(..)
            | Self::Base(_)
            | Self::Present
            | Self::Leftover(..)
            | Self::Epoch(_)
            | Self::Survey
            | Self::Aged(..)
            | Self::Expired(_)
            | Self::Ran => None,
        }
    }

    /// Its bytes.
    pub(crate) fn encode(&self) -> KeyBytes {
        let mut out = KeyBytes::new();
        match self {
            Self::Log(bucket, position) => start(&mut out, *bucket, self).extend(position.0.to_be_bytes()),
            Self::Dot(bucket, dot) => push_dot(start(&mut out, *bucket, self), *dot),
            Self::Chain(bucket, replica)
            | Self::Cursor(bucket, replica)
            | Self::Acknowledgement(bucket, replica)
            | Self::Heard(bucket, replica) => {
                push_replica(start(&mut out, *bucket, self), *replica);
            }
            Self::Reach(bucket) | Self::Stable(bucket) | Self::Expired(bucket) | Self::Base(bucket) => {
                start(&mut out, *bucket, self);
            }
            Self::Register(bucket, register) => register.write(start(&mut out, *bucket, self)),
            Self::Feed(bucket, change) => start(&mut out, *bucket, self).extend(change.0.to_be_bytes()),
            Self::Aged(bucket, at) => start(&mut out, *bucket, self).extend(at.0.to_be_bytes()),
            Self::Conversation(conversation)
            | Self::Members(conversation)
            | Self::Unsettled(conversation)
            | Self::Document(conversation) => {
                in_conversation(&mut out, *conversation, self);
            }
            Self::DocumentChange(conversation, hash) => {
                in_conversation(&mut out, *conversation, self).extend(*hash);
            }
            Self::Timeline(conversation, hlc, dot) => {
                let out = in_conversation(&mut out, *conversation, self);
                out.extend(hlc.0.to_be_bytes());
                push_dot(out, *dot);
            }
            Self::Identity(conversation, sender, message)
            | Self::Amendments(conversation, sender, message)
            | Self::Uncut(conversation, sender, message)
            | Self::HiddenFrom(conversation, sender, message)
            | Self::MadeTwice(conversation, sender, message) => {
                let out = in_conversation(&mut out, *conversation, self);
                out.extend(sender.0.to_be_bytes());
                out.extend(message.0.to_be_bytes());
            }
            Self::Change(conversation, arrival) => {
                in_conversation(&mut out, *conversation, self).extend(arrival.0.to_be_bytes());
            }
            Self::Membership(user, conversation) => {
                let out = start(&mut out, bucket_of_user(*user), self);
                out.extend(user.0.to_be_bytes());
                out.extend(conversation.0.to_be_bytes());
            }
            Self::Meta | Self::Present | Self::Survey | Self::Ran => {
                prefix(&mut out, WHOLE_STORE, self.table())
            }
            Self::Leftover(bucket) => {
                prefix(&mut out, WHOLE_STORE, self.table());
                out.extend(bucket.number().to_be_bytes());
            }
            Self::Epoch(epoch) => {
                prefix(&mut out, WHOLE_STORE, self.table());
                out.extend(epoch.0.to_be_bytes());
            }
            Self::PeerStart(replica) | Self::CaughtUp(replica) => {
                prefix(&mut out, WHOLE_STORE, self.table());
                push_replica(&mut out, *replica);
            }
        }
        out
    }

    /// Reads a key; none if the bytes are not one.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let table = Table::of(bytes)?;
        let mut fields = Fields(bytes);
        let number = fields.u16()?;
        fields.take(1)?;
        let bucket = Bucket::new(number);
        let key = match table {
            Table::Log => Self::Log(bucket?, Position(fields.u64()?)),
            Table::Dots => Self::Dot(bucket?, fields.dot()?),
            Table::Chains => Self::Chain(bucket?, fields.replica()?),
            Table::Reach => Self::Reach(bucket?),
            Table::Cursors => Self::Cursor(bucket?, fields.replica()?),
            Table::Registers => {
                let register = RegisterKey::decode(fields.0)?;
                Self::Register(bucket?, register)
            }
            Table::Feed => Self::Feed(bucket?, ChangeNumber(fields.u64()?)),
            Table::Acknowledgements => Self::Acknowledgement(bucket?, fields.replica()?),
            Table::Stable => Self::Stable(bucket?),
            Table::Conversations => Self::Conversation(fields.conversation()?),
            Table::Members => Self::Members(fields.conversation()?),
            Table::Unsettled => Self::Unsettled(fields.conversation()?),
            Table::Documents => Self::Document(fields.conversation()?),
            Table::DocumentChanges => {
                Self::DocumentChange(fields.conversation()?, fields.take(24)?.try_into().ok()?)
            }
            Table::Timeline => {
                Self::Timeline(fields.conversation()?, Timestamp(fields.u64()?), fields.dot()?)
            }
            Table::Identity | Table::Amendments | Table::Uncut | Table::HiddenFrom | Table::MadeTwice => {
                let (conversation, sender) = (fields.conversation()?, UserId(fields.u64()?));
                let message = MessageId(fields.u128()?);
                match table {
                    Table::Amendments => Self::Amendments(conversation, sender, message),
                    Table::Uncut => Self::Uncut(conversation, sender, message),
                    Table::HiddenFrom => Self::HiddenFrom(conversation, sender, message),
                    Table::MadeTwice => Self::MadeTwice(conversation, sender, message),
                    _ => Self::Identity(conversation, sender, message),
                }
            }
            Table::Changes => Self::Change(fields.conversation()?, ArrivalNumber(fields.u64()?)),
            Table::Membership => Self::Membership(UserId(fields.u64()?), fields.conversation()?),
            Table::Meta => Self::Meta,
            Table::PeerStarts => Self::PeerStart(fields.replica()?),
            Table::CaughtUp => Self::CaughtUp(fields.replica()?),
            Table::Heard => Self::Heard(bucket?, fields.replica()?),
            Table::Ages => Self::Aged(bucket?, Ran(fields.u64()?)),
            Table::Expired => Self::Expired(bucket?),
            Table::Bases => Self::Base(bucket?),
            Table::Present => Self::Present,
            Table::Leftovers => Self::Leftover(Bucket::new(fields.u16()?)?),
            Table::Epochs => Self::Epoch(Epoch(fields.u64()?)),
            Table::Survey => Self::Survey,
            Table::Ran => Self::Ran,
        };
        // A key has one encoding: this also refuses trailing bytes and a conversation or user in a wrong bucket.
        (*key.encode() == *bytes).then_some(key)
    }
}

fn bucket_of_user(user: UserId) -> Bucket {
    // The bucket of a user is the same in every placement.
    user.partition(PlacementId(0)).bucket
}

fn prefix(out: &mut KeyBytes, bucket: u16, table: Table) {
    out.extend(bucket.to_be_bytes());
    out.push(table as u8);
}

fn start<'a>(out: &'a mut KeyBytes, bucket: Bucket, key: &Key) -> &'a mut KeyBytes {
    prefix(out, bucket.number(), key.table());
    out
}

fn in_conversation<'a>(out: &'a mut KeyBytes, conversation: ConversationId, key: &Key) -> &'a mut KeyBytes {
    start(out, conversation.partition().bucket, key).extend(conversation.0.to_be_bytes());
    out
}

fn push_replica(out: &mut KeyBytes, replica: ReplicaId) {
    out.extend(replica.region.0.to_be_bytes());
    out.extend(replica.incarnation.0.to_be_bytes());
}

fn push_dot(out: &mut KeyBytes, dot: Dot) {
    push_replica(out, dot.replica);
    out.extend(dot.sequence.0.to_be_bytes());
}

/// The rest of a key that is being read.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_be_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_be_bytes)
    }

    fn u128(&mut self) -> Option<u128> {
        self.take(16)?.try_into().ok().map(u128::from_be_bytes)
    }

    fn replica(&mut self) -> Option<ReplicaId> {
        Some(ReplicaId { region: RegionId(self.u16()?), incarnation: Incarnation(self.u64()?) })
    }

    fn dot(&mut self) -> Option<Dot> {
        Some(Dot { replica: self.replica()?, sequence: Sequence(self.u64()?) })
    }

    fn conversation(&mut self) -> Option<ConversationId> {
        self.u128().map(ConversationId)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
