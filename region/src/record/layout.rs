//! What each record holds, and in which order its fields are written.
//!
//! What must always hold: a record has one encoding, and reading is total. A change that an older version would misread raises [`crate::meta::FORMAT`].

use super::Record;
use crate::encoding::{Reader, Writer};
use crate::item::ArrivalNumber;
use bytes::Bytes;
use crdt::timeline::Inserted;
use crdt::{
    Aliases, ChainHead, Cut, Dot, Kind, MessageId, Now, Place, ReplicaId, Sequence, StateDigest, Timestamp,
    UserId, VersionVector,
};
use replication::log::{Base, ChangeNumber, PartitionState, PeerCursor, Position};
use replication::{StoreId, StoreStart};
use std::collections::{BTreeMap, BTreeSet};

/// One operation in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogRecord {
    pub(crate) dot: Dot,
    /// Its place in its commit, from 0: so the commit's first position follows from any of its entries.
    pub(crate) index: u64,
    pub(crate) envelope: Bytes,
    pub(crate) payload: Option<Bytes>,
    /// Present on the last operation of a commit.
    pub(crate) end: Option<CommitEnd>,
}

/// What ends a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CommitEnd {
    pub(crate) head: ChainHead,
    pub(crate) signature: [u8; 64],
}

/// How far an origin's operations have been applied: always the end of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChainRecord {
    pub(crate) sequence: Sequence,
    pub(crate) end: CommitEnd,
}

/// How far a partition's log and feed reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ReachRecord {
    pub(crate) log_end: Position,
    pub(crate) feed_end: ChangeNumber,
    /// The last change of the feed that was made here, not passed on by a peer.
    pub(crate) feed_own: ChangeNumber,
    /// The digest of what is held; none if nothing was applied since a format that did not keep it.
    pub(crate) digest: Option<StateDigest>,
}

impl ReachRecord {
    /// What it says, beside what has been applied.
    pub(crate) fn state(&self, applied: VersionVector) -> PartitionState {
        let Self { log_end, feed_end, feed_own, digest } = *self;
        PartitionState { log_end, feed_end, feed_own, applied, digest }
    }
}

/// A register's value, and under which number it stands in the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RegisterRecord {
    pub(crate) change: ChangeNumber,
    pub(crate) value: Bytes,
    /// Peers whose feeds brought this very value: they need not be told. Forgotten when the value grows; at most one a region.
    pub(crate) had_by: Vec<ReplicaId>,
    /// Since when it has had this value, by this region's clock in milliseconds; zero if it has since a format that did not say.
    pub(crate) since_ms: u64,
}

/// Bytes that mean something to their table: a register's name in the feed, a believed pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OpaqueRecord(pub(crate) Bytes);

/// A conversation's counters, clock and cut: rewritten with every operation, so it is small.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ConversationRecord {
    /// The newest arrival number.
    pub(crate) arrival: ArrivalNumber,
    pub(crate) highest: Timestamp,
    /// Per origin, the last operation of this conversation applied here.
    pub(crate) cut: Cut,
    /// Operations that are not the first of their identity to arrive. Zero spares readers a look-up a message.
    pub(crate) aliases: u64,
    /// Messages that were amended. Zero spares readers another.
    pub(crate) amended: u64,
    /// The digest of what is held of it; none if it has not changed since a format that did not keep it, nor wrote `amended` where that was zero.
    pub(crate) digest: Option<StateDigest>,
}

/// What stands at a place of the display order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimelineRecord {
    pub(crate) kind: Kind,
    pub(crate) position: Position,
}

/// The operations of one identity, lowest place first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct IdentityRecord {
    pub(crate) places: Vec<LoggedPlace>,
}

/// A place in the display order and where its operation stands in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LoggedPlace {
    pub(crate) place: Place,
    pub(crate) position: Position,
}

/// What arrived, as much as a reader needs to decide whether to show and count it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChangeRecord {
    pub(crate) position: Position,
    pub(crate) dot: Dot,
    pub(crate) kind: Kind,
    pub(crate) sender: UserId,
    pub(crate) message: MessageId,
    /// Whether an operation of the same identity had arrived before.
    pub(crate) repeated: bool,
}

/// That a user is a member: what the conversation held and the member is not shown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct MembershipRecord {
    pub(crate) since: Cut,
}

/// What a peer's replica said when it introduced itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PeerRecord {
    /// The latest start seen of its store.
    pub(crate) start: StoreStart,
    /// The operation kinds that it knew last, by number; none before it was asked for them.
    pub(crate) kinds: BTreeSet<u32>,
}

/// Where in a partition's log texts were cut that the engine's older files may still hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LeftoverRecord {
    /// When the first of them was cut, by the region's own clock; zero if that was not noted, as before format 7.
    pub(crate) since: Now,
    pub(crate) first: Position,
    pub(crate) last: Position,
}

/// From whom a message is hidden, sorted: as many as its conversation has members, who hid it one by one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct HiddenFromRecord(pub(crate) BTreeSet<UserId>);

impl Record for LogRecord {
    fn write(&self, out: &mut Writer) {
        out.dot(self.dot);
        out.number(self.index);
        out.bytes(&self.envelope);
        out.optional(self.payload.as_ref(), |out, payload| out.bytes(payload));
        out.optional(self.end, |out, end| end.write(out));
    }

    fn read(fields: &mut Reader) -> Option<Self> {
        Some(Self {
            dot: fields.dot()?,
            index: fields.number()?,
            envelope: fields.bytes()?,
            payload: fields.optional(Reader::bytes)?,
            end: fields.optional(CommitEnd::read)?,
        })
    }
}

impl CommitEnd {
    fn write(&self, out: &mut Writer) {
        out.fixed(&self.head.0);
        out.fixed(&self.signature);
    }

    fn read(fields: &mut Reader) -> Option<Self> {
        Some(Self { head: ChainHead(fields.array()?), signature: fields.array()? })
    }
}

impl Record for ChainRecord {
    fn write(&self, out: &mut Writer) {
        out.number(self.sequence.0);
        self.end.write(out);
    }

    fn read(fields: &mut Reader) -> Option<Self> {
        Some(Self { sequence: Sequence(fields.number()?), end: CommitEnd::read(fields)? })
    }
}

impl Record for ReachRecord {
    fn write(&self, out: &mut Writer) {
        out.number(self.log_end.0);
        out.number(self.feed_end.0);
        out.number(self.feed_own.0);
        if let Some(digest) = self.digest {
            out.fixed(&digest.0.to_be_bytes());
        }
    }

    fn read(fields: &mut Reader) -> Option<Self> {
        Some(Self {
            log_end: Position(fields.number()?),
            feed_end: ChangeNumber(fields.number()?),
            feed_own: ChangeNumber(fields.number()?),
            digest: match fields.end() {
                Some(()) => None,
                None => Some(StateDigest(u128::from_be_bytes(fields.array()?))),
            },
        })
    }
}

impl Record for PeerCursor {
    fn write(&self, out: &mut Writer) {
        out.number(self.log.0);
        out.number(self.feed.0);
    }

    fn read(fields: &mut Reader) -> Option<Self> {
        Some(Self { log: Position(fields.number()?), feed: ChangeNumber(fields.number()?) })
    }
}

impl Record for Base {
    fn write(&self, out: &mut Writer) {
        out.number(self.position.0);
        for (origin, (sequence, head)) in &self.chains {
            out.dot(Dot { replica: *origin, sequence: *sequence });
            out.fixed(&head.0);
        }
    }

    fn read(fields: &mut Reader) -> Option<Self> {
        let position = Position(fields.number()?);
        let (mut chains, mut operations) = (BTreeMap::new(), 0_u64);
        while fields.end().is_none() {
            let Dot { replica, sequence } = fields.dot()?;
            if sequence == Sequence::NONE || chains.last_key_value().is_some_and(|(last, _)| *last >= replica)
            {
                return None;
            }
            operations = operations.checked_add(sequence.0)?;
            chains.insert(replica, (sequence, ChainHead(fields.array()?)));
        }
        (operations == position.0).then_some(Self { position, chains })
    }
}

impl Record for LeftoverRecord {
    fn write(&self, out: &mut Writer) {
        out.number(self.since.0);
        out.number(self.first.0);
        out.number(self.last.0);
    }

    fn read(fields: &mut Reader) -> Option<Self> {
        Some(Self {
            since: Now(fields.number()?),
            first: Position(fields.number()?),
            last: Position(fields.number()?),
        })
    }
}

impl Record for Position {
    fn write(&self, out: &mut Writer) {
        out.number(self.0);
    }

    fn read(fields: &mut Reader) -> Option<Self> {
        fields.number().map(Self)
    }
}

/// A time.
impl Record for u64 {
    fn write(&self, out: &mut Writer) {
        out.number(*self);
    }

    fn read(fields: &mut Reader) -> Option<Self> {
        fields.number()
    }
}

impl Record for Cut {
    fn write(&self, out: &mut Writer) {
        out.cut(self);
    }

    fn read(fields: &mut Reader) -> Option<Self> {
        fields.cut()
    }
}

impl Record for RegisterRecord {
    fn write(&self, out: &mut Writer) {
        out.number(self.change.0);
        out.bytes(&self.value);
        out.number(self.had_by.len() as u64);
        self.had_by.iter().for_each(|replica| out.replica(*replica));
        out.number(self.since_ms);
    }

    fn read(fields: &mut Reader) -> Option<Self> {
        let (change, value) = (ChangeNumber(fields.number()?), fields.bytes()?);
        let had_by = (0..fields.number()?).map(|_| fields.replica()).collect::<Option<_>>()?;
        let since_ms = if fields.end().is_some() { 0 } else { fields.number()? };
        Some(Self { change, value, had_by, since_ms })
    }
}

impl Record for OpaqueRecord {
    fn write(&self, out: &mut Writer) {
        out.bytes(&self.0);
    }

    fn read(fields: &mut Reader) -> Option<Self> {
        fields.bytes().map(Self)
    }
}

impl Record for ConversationRecord {
    fn write(&self, out: &mut Writer) {
        out.number(self.arrival.0);
        out.timestamp(self.highest);
        out.cut(&self.cut);
        out.number(self.aliases);
        if self.amended > 0 || self.digest.is_some() {
            out.number(self.amended);
        }
        if let Some(digest) = self.digest {
            out.fixed(&digest.0.to_be_bytes());
        }
    }

    fn read(fields: &mut Reader) -> Option<Self> {
        let (arrival, highest) = (ArrivalNumber(fields.number()?), fields.timestamp()?);
        let (cut, aliases) = (fields.cut()?, fields.number()?);
        let (mut amended, mut digest) = (0, None);
        if fields.end().is_none() {
            amended = fields.number()?;
            if amended == 0 || fields.end().is_none() {
                digest = Some(StateDigest(u128::from_be_bytes(fields.array()?)));
            }
        }
        Some(Self { arrival, highest, cut, aliases, amended, digest })
    }
}

impl Record for TimelineRecord {
    fn write(&self, out: &mut Writer) {
        out.byte(self.kind.code());
        out.number(self.position.0);
    }

    fn read(fields: &mut Reader) -> Option<Self> {
        Some(Self { kind: Kind::of_code(fields.byte()?)?, position: Position(fields.number()?) })
    }
}

impl IdentityRecord {
    /// Takes one more operation of the identity, as [`Aliases`] does.
    pub(crate) fn insert(&mut self, new: LoggedPlace) -> Inserted {
        let inserted = self.aliases().insert(new.place);
        if inserted != Inserted::AlreadyThere {
            self.places.push(new);
            self.places.sort_unstable_by_key(|logged| logged.place);
        }
        inserted
    }

    /// The operations without where they stand here.
    pub(crate) fn aliases(&self) -> Aliases {
        let mut aliases = Aliases::default();
        for logged in &self.places {
            aliases.insert(logged.place);
        }
        aliases
    }
}

impl Record for IdentityRecord {
    fn write(&self, out: &mut Writer) {
        out.number(self.places.len() as u64);
        for place in &self.places {
            out.timestamp(place.place.hlc);
            out.dot(place.place.dot);
            out.number(place.position.0);
        }
    }

    fn read(fields: &mut Reader) -> Option<Self> {
        let count = fields.number()?;
        let mut places = Vec::new();
        for _ in 0..count {
            let place = Place { hlc: fields.timestamp()?, dot: fields.dot()? };
            places.push(LoggedPlace { place, position: Position(fields.number()?) });
        }
        places.is_sorted_by(|one, next| one.place < next.place).then_some(Self { places })
    }
}

impl Record for ChangeRecord {
    fn write(&self, out: &mut Writer) {
        out.number(self.position.0);
        out.dot(self.dot);
        out.byte(self.kind.code());
        out.user(self.sender);
        out.message(self.message);
        out.flag(self.repeated);
    }

    fn read(fields: &mut Reader) -> Option<Self> {
        Some(Self {
            position: Position(fields.number()?),
            dot: fields.dot()?,
            kind: Kind::of_code(fields.byte()?)?,
            sender: fields.user()?,
            message: fields.message()?,
            repeated: fields.flag()?,
        })
    }
}

/// What says all by standing there.
impl Record for () {
    fn write(&self, _: &mut Writer) {}

    fn read(_: &mut Reader) -> Option<Self> {
        Some(())
    }
}

impl Record for HiddenFromRecord {
    fn write(&self, out: &mut Writer) {
        self.0.iter().for_each(|user| out.user(*user));
    }

    fn read(fields: &mut Reader) -> Option<Self> {
        let mut users = BTreeSet::new();
        while fields.end().is_none() {
            let user = fields.user()?;
            if users.last().is_some_and(|last| *last >= user) {
                return None;
            }
            users.insert(user);
        }
        Some(Self(users))
    }
}

impl Record for PeerRecord {
    fn write(&self, out: &mut Writer) {
        out.fixed(&self.start.id.0.to_be_bytes());
        out.number(self.start.number);
        self.kinds.iter().for_each(|kind| out.number(u64::from(*kind)));
    }

    fn read(fields: &mut Reader) -> Option<Self> {
        let id = StoreId(u128::from_be_bytes(fields.array()?));
        let start = StoreStart { id, number: fields.number()? };
        let mut kinds = BTreeSet::new();
        while fields.end().is_none() {
            let kind = u32::try_from(fields.number()?).ok()?;
            if kinds.last().is_some_and(|before| *before >= kind) {
                return None;
            }
            kinds.insert(kind);
        }
        Some(Self { start, kinds })
    }
}

impl Record for MembershipRecord {
    fn write(&self, out: &mut Writer) {
        out.cut(&self.since);
    }

    fn read(fields: &mut Reader) -> Option<Self> {
        Some(Self { since: fields.cut()? })
    }
}
