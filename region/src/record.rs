//! The records of a placement's store: the one place where values are made and read.
//!
//! What must always hold:
//! - Every value ends in a CRC32C over key and value, so a record that is not what was written, or stands under another key,
//!   is found when it is read: [`StoreError::Damaged`] names the table and the key.
//! - Decoding is total, and a record has one encoding.
//! - A body is stored once, in the log; everything else points to its position there.
//!
//! What checksums cannot find is a record that is missing; [`crate::verify`] looks for those.

use crate::encoding::{Reader, Writer};
use crate::item::ArrivalNumber;
use crate::keys::{Key, KeyRange, Table};
use crate::meta::StoreMeta;
use crate::store::{Direction, StoreError, View};
use bytes::Bytes;
use crdt::timeline::Inserted;
use crdt::{
    Aliases, ChainHead, Cut, Dot, Kind, MessageId, Now, Place, ReplicaId, Sequence, Timestamp, UserId,
};
use replication::log::{ChangeNumber, PeerCursor, Position};
use replication::{StoreId, StoreStart};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::ops::ControlFlow;

/// Bytes of the checksum at the end of every value.
const CHECKSUM_BYTES: usize = 4;

/// A value that knows its encoding.
pub(crate) trait Record: Sized {
    fn write(&self, out: &mut Writer);
    fn read(fields: &mut Reader) -> Option<Self>;
}

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
    /// Messages that were amended. Zero spares readers another; it is not written then, as no store of an earlier version has it.
    pub(crate) amended: u64,
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

/// The value's bytes under that key, checksum at the end.
pub(crate) fn seal(key: &[u8], record: &impl Record) -> Bytes {
    seal_with(&mut Writer::default(), key, record)
}

/// The same, written first where there is room already: so the value is one allocation of exactly its length, as stores in memory keep it.
pub(crate) fn seal_with(out: &mut Writer, key: &[u8], record: &impl Record) -> Bytes {
    out.clear();
    // The key goes first: one sum over both takes less than two.
    out.fixed(key);
    record.write(out);
    let sum = crc32c::crc32c(out.written());
    out.fixed(&sum.to_be_bytes());
    // The key was written above.
    Bytes::copy_from_slice(&out.written()[key.len()..])
}

/// Reads a value that stood under that key.
pub(crate) fn unseal<R: Record>(key: &[u8], value: Bytes) -> Result<R, StoreError> {
    let damaged = |what: &str| damaged(key, what);
    let length =
        value.len().checked_sub(CHECKSUM_BYTES).ok_or_else(|| damaged("it is shorter than a checksum"))?;
    let (content, sum) = value.split_at(length);
    if crc32c::crc32c_append(crc32c::crc32c(key), content).to_be_bytes() != *sum {
        return Err(damaged("its checksum does not match"));
    }
    let mut value = value;
    value.truncate(length);
    let mut fields = Reader::new(value);
    let record = R::read(&mut fields).ok_or_else(|| damaged("it does not decode"))?;
    fields.end().ok_or_else(|| damaged("it has trailing bytes"))?;
    Ok(record)
}

/// The error that names a record.
pub(crate) fn damaged(key: &[u8], what: &str) -> StoreError {
    let mut hexadecimal = String::with_capacity(key.len() * 2);
    for byte in key {
        // Writing to a string cannot fail.
        let _ = write!(hexadecimal, "{byte:02x}");
    }
    let table = Table::of(key).map_or("unknown", Table::name);
    StoreError::Damaged { table, key: hexadecimal, what: what.to_owned() }
}

/// The record under that key, if there is one.
pub(crate) fn load<R: Record>(view: &dyn View, key: &Key) -> Result<Option<R>, StoreError> {
    let key = key.encode();
    view.get(&key)?.map(|value| unseal(&key, value)).transpose()
}

/// The record under that key, which must be there because another record says so.
pub(crate) fn load_named<R: Record>(view: &dyn View, key: &Key, named_by: &str) -> Result<R, StoreError> {
    load(view, key)?
        .ok_or_else(|| damaged(&key.encode(), &format!("it is missing, although {named_by} names it")))
}

/// Checks that a value is a record of its key's table.
pub(crate) fn check(key: &Key, bytes: &[u8], value: &[u8]) -> Result<(), StoreError> {
    let value = Bytes::copy_from_slice(value);
    match key.table() {
        Table::Log => unseal::<LogRecord>(bytes, value).map(drop),
        Table::Dots | Table::DocumentChanges => unseal::<Position>(bytes, value).map(drop),
        Table::Chains => unseal::<ChainRecord>(bytes, value).map(drop),
        Table::Reach => unseal::<ReachRecord>(bytes, value).map(drop),
        Table::Cursors => unseal::<PeerCursor>(bytes, value).map(drop),
        Table::Registers => unseal::<RegisterRecord>(bytes, value).map(drop),
        Table::Feed | Table::Acknowledgements | Table::Members | Table::Amendments | Table::Documents => {
            unseal::<OpaqueRecord>(bytes, value).map(drop)
        }
        Table::Stable => unseal::<Cut>(bytes, value).map(drop),
        Table::Conversations => unseal::<ConversationRecord>(bytes, value).map(drop),
        Table::Timeline => unseal::<TimelineRecord>(bytes, value).map(drop),
        Table::Identity => unseal::<IdentityRecord>(bytes, value).map(drop),
        Table::Changes => unseal::<ChangeRecord>(bytes, value).map(drop),
        Table::Membership => unseal::<MembershipRecord>(bytes, value).map(drop),
        Table::Meta => unseal::<StoreMeta>(bytes, value).map(drop),
        Table::PeerStarts => unseal::<PeerRecord>(bytes, value).map(drop),
        Table::Present | Table::Unsettled => unseal::<u64>(bytes, value).map(drop),
        Table::Uncut => unseal::<()>(bytes, value).map(drop),
        Table::Leftovers => unseal::<LeftoverRecord>(bytes, value).map(drop),
    }
}

/// Calls `visit` for each record of the range, with its decoded key, until it breaks.
pub(crate) fn scan<R: Record>(
    view: &dyn View,
    range: &KeyRange,
    direction: Direction,
    mut visit: impl FnMut(Key, R) -> Result<ControlFlow<()>, StoreError>,
) -> Result<(), StoreError> {
    let mut failure = None;
    view.scan(&range.from, &range.to, direction, &mut |key, value| {
        let record = unseal(key, Bytes::copy_from_slice(value));
        let decoded = Key::decode(key).ok_or_else(|| damaged(key, "the key does not decode"));
        let flow = record.and_then(|record| visit(decoded?, record));
        flow.unwrap_or_else(|error| {
            failure = Some(error);
            ControlFlow::Break(())
        })
    })?;
    failure.map_or(Ok(()), Err)
}

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
    }

    fn read(fields: &mut Reader) -> Option<Self> {
        Some(Self {
            log_end: Position(fields.number()?),
            feed_end: ChangeNumber(fields.number()?),
            feed_own: ChangeNumber(fields.number()?),
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
        if self.amended > 0 {
            out.number(self.amended);
        }
    }

    fn read(fields: &mut Reader) -> Option<Self> {
        Some(Self {
            arrival: ArrivalNumber(fields.number()?),
            highest: fields.timestamp()?,
            cut: fields.cut()?,
            aliases: fields.number()?,
            amended: match fields.end() {
                Some(()) => 0,
                None => fields.number().filter(|amended| *amended > 0)?,
            },
        })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crdt::{Bucket, ConversationId, Incarnation, RegionId, ReplicaId};
    use proptest::prelude::*;

    fn keys() -> Vec<Key> {
        let bucket = Bucket::new(3).into_iter();
        let replica = ReplicaId { region: RegionId(1), incarnation: Incarnation(2) };
        let dot = Dot { replica, sequence: Sequence(4) };
        let conversation = ConversationId(5);
        bucket
            .flat_map(|bucket| {
                [
                    Key::Log(bucket, Position(1)),
                    Key::Dot(bucket, dot),
                    Key::Chain(bucket, replica),
                    Key::Reach(bucket),
                    Key::Cursor(bucket, replica),
                    Key::Feed(bucket, ChangeNumber(1)),
                    Key::Stable(bucket),
                    Key::Conversation(conversation),
                    Key::Timeline(conversation, Timestamp(1), dot),
                    Key::Identity(conversation, UserId(1), MessageId(1)),
                    Key::Change(conversation, ArrivalNumber(1)),
                    Key::Membership(UserId(1), conversation),
                    Key::Meta,
                    Key::PeerStart(replica),
                    Key::Present,
                    Key::Amendments(conversation, UserId(1), MessageId(1)),
                    Key::Uncut(conversation, UserId(1), MessageId(1)),
                    Key::Unsettled(conversation),
                    Key::Document(conversation),
                    Key::DocumentChange(conversation, [7; 24]),
                    Key::Leftover(bucket),
                ]
            })
            .collect()
    }

    proptest! {
        #[test]
        fn any_content_under_a_good_checksum_is_read_or_named_as_damaged(
            content in proptest::collection::vec(any::<u8>(), 0..160)
        ) {
            for key in keys() {
                let bytes = key.encode();
                let mut value = content.clone();
                value.extend(crc32c::crc32c_append(crc32c::crc32c(&bytes), &content).to_be_bytes());
                if let Err(damage) = check(&key, &bytes, &value) {
                    let named = matches!(&damage, StoreError::Damaged { table, .. } if *table == key.table().name());
                    prop_assert!(named, "{damage}");
                }
                prop_assert!(check(&key, &bytes, &content).is_err(), "without a checksum of its own");
            }
        }

        #[test]
        fn a_record_comes_back_and_a_changed_byte_or_key_does_not(
            arrival: u64, highest: u64, aliases: u64, amended: u64, at: prop::sample::Index, sequence in 1_u64..
        ) {
            let replica = ReplicaId { region: RegionId(7), incarnation: Incarnation(8) };
            let cut = Cut::from_iter([Dot { replica, sequence: Sequence(sequence) }]);
            let (arrival, highest) = (ArrivalNumber(arrival), Timestamp(highest));
            let record = ConversationRecord { arrival, highest, cut, aliases, amended };
            let key = Key::Conversation(ConversationId(1)).encode();
            let value = seal(&key, &record);
            prop_assert_eq!(unseal::<ConversationRecord>(&key, value.clone()), Ok(record));
            let other = Key::Conversation(ConversationId(2)).encode();
            prop_assert!(unseal::<ConversationRecord>(&other, value.clone()).is_err());
            // Bytes behind its end, under a checksum that fits.
            let longer = [&value[..value.len() - 4], &[0]].concat();
            let sum = crc32c::crc32c_append(crc32c::crc32c(&key), &longer).to_be_bytes();
            prop_assert!(unseal::<ConversationRecord>(&key, [longer.as_slice(), &sum].concat().into()).is_err());
            let mut harmed = value.to_vec();
            harmed[at.index(value.len())] ^= 4;
            prop_assert!(unseal::<ConversationRecord>(&key, harmed.into()).is_err());
        }
    }
}
