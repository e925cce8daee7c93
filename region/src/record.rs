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
use crate::keys::{Key, KeyRange, Table};
use crate::meta::StoreMeta;
use crate::store::{Direction, StoreError, View};
use bytes::Bytes;
use crdt::Cut;
use replication::log::{Base, PeerCursor, Position};
use std::fmt::Write as _;
use std::ops::ControlFlow;

mod layout;

pub(crate) use layout::{
    ChainRecord, ChangeRecord, CommitEnd, ConversationRecord, HiddenFromRecord, IdentityRecord,
    LeftoverRecord, LogRecord, LoggedPlace, MembershipRecord, OpaqueRecord, PeerRecord, ReachRecord,
    RegisterRecord, TimelineRecord,
};

/// Bytes of the checksum at the end of every value.
const CHECKSUM_BYTES: usize = 4;

/// A value that knows its encoding.
pub(crate) trait Record: Sized {
    fn write(&self, out: &mut Writer);
    fn read(fields: &mut Reader) -> Option<Self>;
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
    let table = Table::of(key).map_or("unknown", Table::name);
    StoreError::Damaged { table, key: hexadecimal(key), what: what.to_owned() }
}

/// A key, as errors name it.
pub(crate) fn hexadecimal(key: &[u8]) -> String {
    let mut text = String::with_capacity(key.len() * 2);
    for byte in key {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
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
        Table::Dots | Table::DocumentChanges | Table::Ages | Table::Expired => {
            unseal::<Position>(bytes, value).map(drop)
        }
        Table::Chains => unseal::<ChainRecord>(bytes, value).map(drop),
        Table::Reach => unseal::<ReachRecord>(bytes, value).map(drop),
        Table::Cursors => unseal::<PeerCursor>(bytes, value).map(drop),
        Table::Registers => unseal::<RegisterRecord>(bytes, value).map(drop),
        Table::Feed
        | Table::Acknowledgements
        | Table::Members
        | Table::Amendments
        | Table::Documents
        | Table::Epochs
        | Table::CaughtUp => unseal::<OpaqueRecord>(bytes, value).map(drop),
        Table::Stable => unseal::<Cut>(bytes, value).map(drop),
        Table::Conversations => unseal::<ConversationRecord>(bytes, value).map(drop),
        Table::Timeline => unseal::<TimelineRecord>(bytes, value).map(drop),
        Table::Identity => unseal::<IdentityRecord>(bytes, value).map(drop),
        Table::Changes => unseal::<ChangeRecord>(bytes, value).map(drop),
        Table::Membership => unseal::<MembershipRecord>(bytes, value).map(drop),
        Table::Meta => unseal::<StoreMeta>(bytes, value).map(drop),
        Table::PeerStarts => unseal::<PeerRecord>(bytes, value).map(drop),
        Table::Present | Table::Unsettled | Table::Survey | Table::Heard | Table::Ran => {
            unseal::<u64>(bytes, value).map(drop)
        }
        Table::Uncut | Table::MadeTwice => unseal::<()>(bytes, value).map(drop),
        Table::Leftovers => unseal::<LeftoverRecord>(bytes, value).map(drop),
        Table::HiddenFrom => unseal::<HiddenFromRecord>(bytes, value).map(drop),
        Table::Bases => unseal::<Base>(bytes, value).map(drop),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::ArrivalNumber;
    use crdt::{
        Bucket, ConversationId, Dot, Incarnation, MessageId, Place, RegionId, ReplicaId, Sequence,
        StateDigest, Timestamp, UserId,
    };
    use proptest::prelude::*;
    use replication::log::ChangeNumber;

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
                    Key::Heard(bucket, replica),
                    Key::Feed(bucket, ChangeNumber(1)),
                    Key::Stable(bucket),
                    Key::Base(bucket),
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
                    Key::HiddenFrom(conversation, UserId(1), MessageId(1)),
                    Key::MadeTwice(conversation, UserId(1), MessageId(1)),
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
            arrival: u64, highest: u64, aliases: u64, amended: u64, digest: Option<u128>, at: prop::sample::Index, sequence in 1_u64..
        ) {
            let replica = ReplicaId { region: RegionId(7), incarnation: Incarnation(8) };
            let cut = Cut::from_iter([Dot { replica, sequence: Sequence(sequence) }]);
            let (arrival, highest) = (ArrivalNumber(arrival), Timestamp(highest));
            let record = ConversationRecord { arrival, highest, cut, aliases, amended, digest: digest.map(StateDigest) };
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

    #[test]
    fn places_of_an_identity_ascend_or_the_record_is_damaged() {
        let replica = ReplicaId { region: RegionId(1), incarnation: Incarnation(2) };
        let dot = Dot { replica, sequence: Sequence(4) };
        let logged = |hlc| LoggedPlace { place: Place { hlc: Timestamp(hlc), dot }, position: Position(1) };
        let key = Key::Identity(ConversationId(5), UserId(1), MessageId(1)).encode();
        let reads = |places: Vec<LoggedPlace>| {
            let sealed = seal(&key, &IdentityRecord { places });
            unseal::<IdentityRecord>(&key, sealed).is_ok()
        };
        assert!(reads(vec![logged(1), logged(2)]));
        assert!(!reads(vec![logged(2), logged(1)]), "backwards");
        assert!(!reads(vec![logged(1), logged(1)]), "one twice");
    }
}
