//! Mends what stands beside the log and follows from nothing in it: registers, with what other regions hold of them, and notes that can be written or heard of again.
//!
//! | what is damaged | what is done |
//! | --- | --- |
//! | a register (a receipt, a home, what is hidden, a region's flags) | joined from what all other active regions have of it, once each has answered; what this one alone had been told of it is gone |
//! | what a replica has acknowledged: the register, or what is believed by it | each says what the other said |
//! | what the feed names | the register says so |
//! | how far a peer's log and feed have been taken | gone: both are asked for from the beginning, and what is here is passed over |
//! | how long texts have been here | gone: they stay for longer |
//! | the base of a log | gone: whoever stands before it is sent the log itself |
//! | what is known to be stable; what a peer said of itself | gone: known again with the next acknowledgement, said again at its next Hello |
//! | that a message is to be cut, an edit was made twice, rights may be due, all has come from a peer | the note says nothing but its key: written again |
//!
//! What must always hold: nothing is changed that can be read. A register of which not every other active region has said what it has remains, by name: peers that are known to have had a value from here do not send
//! it back, so what the silent one has might never come again; so do the epochs, and what the store is. The feed keeps its length: to a peer that
//! stands behind its end a shorter one looks like a store that was put back.

use crate::keys::{Key, KeyRange, Table};
use crate::mend_log::Given;
use crate::overlay::Overlay;
use crate::partition;
use crate::record::{self, LeftoverRecord, OpaqueRecord, RegisterRecord, damaged};
use crate::register_key::RegisterKey;
use crate::store::{Direction, StoreError, View};
use bytes::Bytes;
use crdt::{
    Bucket, DeviceReceipt, DirectoryEntry, Flags, Now, PartitionId, PlacementId, ReplicaId, Visibility,
};
use replication::log::{ChangeNumber, Position};
use replication::stability::{Acknowledgement, Pair};
use std::ops::ControlFlow;

/// What another region has of a register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenRegister {
    /// Where.
    pub partition: PartitionId,
    /// Which.
    pub name: Vec<u8>,
    /// None if it has none.
    pub value: Option<Bytes>,
}

/// The names of registers that cannot be read, up to so many, without those that the store says twice.
///
/// # Errors
/// [`StoreError`] when the store cannot be read at all.
pub fn lost(
    view: &dyn View,
    placement: PlacementId,
    max: usize,
) -> Result<Vec<(PartitionId, Vec<u8>)>, StoreError> {
    let unread = unreadable(view, max)?;
    let named = unread.into_iter().filter_map(|key| match key {
        Key::Register(_, RegisterKey::Acknowledgement(_)) => None,
        Key::Register(bucket, register) => Some((PartitionId { placement, bucket }, register.encode())),
        _ => None,
    });
    Ok(named.collect())
}

/// Puts what can be had again over a store; names each record.
pub(crate) fn mend(
    overlay: &mut Overlay<'_>,
    given: Option<&Given<'_>>,
    named: &mut Vec<StoreError>,
) -> Result<(), StoreError> {
    let is_heard_of_again = |table| matches!(table, Table::Cursors | Table::Stable | Table::PeerStarts);
    for key in unreadable(overlay, usize::MAX)? {
        let bytes = key.encode();
        let what = match (key, key.table()) {
            (Key::Register(bucket, RegisterKey::Acknowledgement(replica)), _) => {
                if !mend_acknowledgement(overlay, bucket, replica)? {
                    continue;
                }
                "it is what is believed"
            }
            (Key::Acknowledgement(bucket, replica), _) => {
                if !believe(overlay, bucket, replica)? {
                    continue;
                }
                "it is what its register says"
            }
            (Key::Register(bucket, register), _) => {
                let of_it = |other: &&GivenRegister| {
                    (other.partition.bucket, &other.name) == (bucket, &register.encode())
                };
                let values: Vec<&GivenRegister> =
                    given.into_iter().flat_map(|given| given.registers).filter(of_it).collect();
                let others = given.map_or(0, Given::others);
                let joined = joined(&register, values.iter().filter_map(|given| given.value.as_ref()));
                let Some(value) = joined.filter(|_| others > 0 && values.len() >= others) else { continue };
                put_register(overlay, bucket, register, value)?;
                "it cannot be read, and other regions have it"
            }
            (Key::Feed(bucket, change), _) => {
                let Some(register) = register_of(overlay, bucket, change)? else { continue };
                let name = OpaqueRecord(register.encode().into());
                overlay.batch.put(bytes, record::seal(&bytes, &name));
                "its register says what it named"
            }
            (_, table) if is_heard_of_again(table) && given.is_some() => {
                overlay.batch.delete(bytes);
                "it cannot be read, and is heard of again"
            }
            (_, Table::Uncut | Table::MadeTwice) => {
                overlay.batch.put(bytes, record::seal(&bytes, &()));
                "it says nothing but its key"
            }
            (_, Table::Unsettled | Table::Survey) => {
                overlay.batch.put(bytes, record::seal(&bytes, &0_u64));
                "all is looked at again"
            }
            (_, Table::CaughtUp) => {
                overlay.batch.put(bytes, record::seal(&bytes, &OpaqueRecord(Bytes::new())));
                "it says nothing but its key"
            }
            (_, Table::Heard) => {
                overlay.batch.delete(bytes);
                "devices that were shown it tell of it again"
            }
            (_, Table::Ages | Table::Expired | Table::Ran) => {
                overlay.batch.delete(bytes);
                "texts stay for longer"
            }
            (_, Table::Bases) => {
                overlay.batch.delete(bytes);
                "whoever stands before it is sent the log itself"
            }
            (_, Table::Leftovers) => {
                let anywhere = LeftoverRecord { since: Now(0), first: Position(0), last: Position(u64::MAX) };
                overlay.batch.put(bytes, record::seal(&bytes, &anywhere));
                "files may hold such texts anywhere"
            }
            _ => continue,
        };
        named.push(damaged(&bytes, what));
    }
    Ok(())
}

/// The keys of a store whose records cannot be read, up to so many.
fn unreadable(view: &dyn View, max: usize) -> Result<Vec<Key>, StoreError> {
    let (mut found, everything) = (Vec::new(), KeyRange::everything());
    view.scan(&everything.from, &everything.to, Direction::Ascending, &mut |bytes, value| {
        if let Some(key) = Key::decode(bytes)
            && record::check(&key, bytes, value).is_err()
        {
            found.push(key);
        }
        if found.len() < max { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(found)
}

/// All that is known of a register; none if something of it cannot be read.
fn joined<'v>(register: &RegisterKey, values: impl Iterator<Item = &'v Bytes>) -> Option<Bytes> {
    fn all<'v, T: Default, E>(
        values: impl Iterator<Item = &'v Bytes>,
        decode: impl Fn(&[u8]) -> Result<T, E>,
        join: impl Fn(&mut T, &T),
    ) -> Option<T> {
        values.map(|value| decode(value).ok()).try_fold(T::default(), |mut joined, value| {
            join(&mut joined, &value?);
            Some(joined)
        })
    }
    match register {
        RegisterKey::Receipt(..) => all(values, DeviceReceipt::decode, |one, other| _ = one.join(other))
            .map(|all| all.encode().into()),
        RegisterKey::Hidden(..) => {
            all(values, Visibility::decode, |one, other| _ = one.join(other)).map(|all| all.encode().into())
        }
        RegisterKey::Directory(_) => all(values, DirectoryEntry::decode, |one, other| _ = one.join(other))
            .map(|all| all.encode().into()),
        RegisterKey::Flags(_) => {
            all(values, Flags::decode, |one, other| _ = one.join(other)).map(|all| all.encode().into())
        }
        RegisterKey::Acknowledgement(_) => None,
    }
}

/// The register of an acknowledgement says what is believed by it.
fn mend_acknowledgement(
    overlay: &mut Overlay<'_>,
    bucket: Bucket,
    replica: ReplicaId,
) -> Result<bool, StoreError> {
    let Ok(known) = crate::acknowledge::known(overlay, bucket, replica) else { return Ok(false) };
    put_register(overlay, bucket, RegisterKey::Acknowledgement(replica), known.newest().encode())?;
    Ok(true)
}

/// What is believed of a replica's acknowledgements begins with what its register says.
fn believe(overlay: &mut Overlay<'_>, bucket: Bucket, replica: ReplicaId) -> Result<bool, StoreError> {
    let register = Key::Register(bucket, RegisterKey::Acknowledgement(replica));
    let Ok(Some(register)) = record::load::<RegisterRecord>(overlay, &register) else { return Ok(false) };
    let Ok(pair) = Pair::decode(&register.value) else { return Ok(false) };
    let mut known = Acknowledgement::default();
    known.join(&pair);
    let key = Key::Acknowledgement(bucket, replica).encode();
    overlay.batch.put(key, record::seal(&key, &OpaqueRecord(known.encode())));
    Ok(true)
}

/// Puts a register under the change that the feed names it by; if it names none, under the next one.
fn put_register(
    overlay: &mut Overlay<'_>,
    bucket: Bucket,
    register: RegisterKey,
    value: Bytes,
) -> Result<(), StoreError> {
    let (name, mut change, range) = (register.encode(), None, KeyRange::feed_after(bucket, ChangeNumber(0)));
    overlay.scan(&range.from, &range.to, Direction::Ascending, &mut |key, value| {
        let named = record::unseal::<OpaqueRecord>(key, Bytes::copy_from_slice(value));
        if let Some(Key::Feed(_, number)) = Key::decode(key).filter(|_| named.is_ok_and(|of| of.0 == name)) {
            change = Some(number);
        }
        ControlFlow::Continue(())
    })?;
    let change = match change {
        Some(change) => change,
        None => {
            let mut reach = partition::reach(overlay, bucket)?;
            reach.feed_end = ChangeNumber(reach.feed_end.0 + 1);
            reach.feed_own = reach.feed_end;
            let (at, feed) = (Key::Reach(bucket).encode(), Key::Feed(bucket, reach.feed_end).encode());
            overlay.batch.put(at, record::seal(&at, &reach));
            overlay.batch.put(feed, record::seal(&feed, &OpaqueRecord(name.into())));
            reach.feed_end
        }
    };
    let key = Key::Register(bucket, register).encode();
    let record = RegisterRecord { change, value, had_by: Vec::new(), since_ms: 0 };
    overlay.batch.put(key, record::seal(&key, &record));
    Ok(())
}

/// The register that changed last with that number.
fn register_of(
    view: &dyn View,
    bucket: Bucket,
    change: ChangeNumber,
) -> Result<Option<RegisterKey>, StoreError> {
    let (mut found, range) = (None, KeyRange::registers(bucket));
    view.scan(&range.from, &range.to, Direction::Ascending, &mut |bytes, value| {
        let register = record::unseal::<RegisterRecord>(bytes, Bytes::copy_from_slice(value));
        if let (Some(Key::Register(_, name)), Ok(register)) = (Key::decode(bytes), register)
            && register.change == change
        {
            found = Some(name);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    })?;
    Ok(found)
}
