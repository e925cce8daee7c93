//! Joins registers of a peer's feed into this region's: receipts, acknowledgements, directory entries, flags, and what users have hidden from themselves.
//!
//! What must always hold:
//! - A register's value only grows, by its kind's join, so any order and any repetition give the same value.
//! - A register that grew gets the next change number and leaves its old place in the feed: the feed holds each register once,
//!   at its latest change. A register that did not grow is not passed on, so joins come to rest.
//! - A peer whose feed brought the very value that stands here is not sent it back. That holds whatever happens to bridges: it sent it from its own
//!   store, where it is durable, and a store that lost it has another replica id.
//! - The peer's feed cursor moves in the same batch.
//! - What a device confirmed that was taken for dead, here or in another region, before or after, is joined into the receipt of the rest of its user's devices.
//!
//! - Of a peer's feed nothing is joined behind what was refused of it, or the cursor would pass that.
//! - A directory entry or flags that are none, or stand where they do not belong, are kept out by themselves, by their bytes alone: so everywhere alike.
//!
//! Refused, with nothing changed: a register of a kind that this version does not know, at which the feed stops until the upgrade; a register of another kind whose name or value this version cannot read; an acknowledgement of this very replica
//! for more than its store holds, which is how a rolled back store meets its first life.

use crate::acknowledge;
use crate::apply_commit;
use crate::hide_message;
use crate::keys::Key;
use crate::pending::Pending;
use crate::record::{RegisterRecord, damaged};
use crate::register_key::RegisterKey;
use crate::shard::Effect;
use crate::store::StoreError;
use bytes::Bytes;
use crdt::{
    Bucket, ConversationId, DeviceId, DeviceReceipt, DirectoryEntry, Flags, Identity, MalformedState,
    PartitionId, RegionId, ReplicaId, Sequence, UserId, Visibility,
};
use replication::commit::CommitRefused;
use replication::log::{ChangeNumber, PeerCursor};
use replication::register::Register;
use replication::stability::Pair;

/// A register that has been read.
enum Joinable {
    Receipt((ConversationId, UserId, DeviceId), DeviceReceipt),
    Acknowledgement(ReplicaId, Pair),
    Directory(UserId, DirectoryEntry),
    Flags(RegionId, Flags),
    KeptOut,
    Hidden((ConversationId, UserId, Identity), Visibility),
}

/// Joins registers of a peer's feed, or refuses all of them.
pub(crate) fn join(
    pending: &mut Pending<'_>,
    peer: ReplicaId,
    partition: PartitionId,
    registers: &[Register],
    (after, cursor): (ChangeNumber, ChangeNumber),
) -> Result<(), StoreError> {
    if pending.config.placement.closed.contains_key(&peer) {
        // As with entries: it was on its way when the epoch came.
        crate::sometimes::CLOSED_PEER_SPOKE.reach();
        return Ok(());
    }
    let at: Option<PeerCursor> = pending.tables.load(&Key::Cursor(partition.bucket, peer))?;
    if at.unwrap_or_default().feed < after {
        crate::sometimes::FEED_WITH_A_GAP.reach();
        return Ok(());
    }
    let own = pending.config.replica;
    let issued = pending.partition(partition.bucket)?.applied(own);
    let readable = read(pending, peer, partition, registers);
    match readable.and_then(|registers| own_second_life(partition, own, issued, registers)) {
        Err(reason) => {
            crate::sometimes::REGISTERS_REFUSED.reach();
            pending.tables.effects.push(Effect::Refused { peer, reason });
            Ok(())
        }
        Ok(registers) => {
            for register in registers {
                match register {
                    Joinable::Receipt((conversation, user, device), receipt) => {
                        let key = RegisterKey::Receipt(conversation, user, device);
                        let standing = pending.tables.load(&Key::Register(partition.bucket, key))?;
                        let register = (conversation, user, device);
                        join_receipt(pending, register, standing, &receipt, Some(peer))?;
                    }
                    Joinable::Hidden(of, visibility) => {
                        hide_message::join(pending, of, visibility, Some(peer))?;
                    }
                    // Only this region itself says what it has applied.
                    Joinable::Acknowledgement(replica, _) if replica == own => {}
                    Joinable::Acknowledgement(replica, pair) => {
                        acknowledge::learn(pending, partition.bucket, (replica, &pair), Some(peer))?;
                    }
                    Joinable::Directory(user, entry) => join_entry(pending, user, entry, peer)?,
                    Joinable::Flags(region, flags) => join_flags(pending, region, &flags, peer)?,
                    Joinable::KeptOut => {
                        crate::sometimes::REGISTER_KEPT_OUT.reach();
                        pending.tables.effects.push(Effect::RegisterKeptOut { peer, partition });
                    }
                }
            }
            apply_commit::move_cursor(pending, peer, partition, |at| at.feed = at.feed.max(cursor))
        }
    }
}

/// Refuses a feed in which this very replica acknowledges more of its own operations than its store holds: the store was rolled back.
fn own_second_life(
    partition: PartitionId,
    own: ReplicaId,
    issued: Sequence,
    registers: Vec<Joinable>,
) -> Result<Vec<Joinable>, CommitRefused> {
    let beyond = registers.iter().find_map(|register| match register {
        Joinable::Acknowledgement(replica, pair) if *replica == own => {
            Some(pair.applied.get(own)).filter(|acknowledged| *acknowledged > issued)
        }
        Joinable::Acknowledgement(..)
        | Joinable::Receipt(..)
        | Joinable::Directory(..)
        | Joinable::Flags(..)
        | Joinable::Hidden(..)
        | Joinable::KeptOut => None,
    });
    match beyond {
        None => Ok(registers),
        Some(last) => Err(CommitRefused::Fork { partition, origin: own, last: last.0 }),
    }
}

fn read(
    pending: &Pending<'_>,
    peer: ReplicaId,
    partition: PartitionId,
    registers: &[Register],
) -> Result<Vec<Joinable>, CommitRefused> {
    let placement = &pending.config.placement;
    if partition.placement != placement.id || !placement.active.contains_key(&peer) {
        return Err(CommitRefused::UnknownOrigin { partition, origin: peer });
    }
    let mut readable = Vec::with_capacity(registers.len());
    for register in registers {
        if let Some(kind) = RegisterKey::later_kind(&register.key) {
            crate::sometimes::LATER_REGISTER.reach();
            return Err(CommitRefused::LaterRegister { partition, kind });
        }
        let joinable = match RegisterKey::decode(&register.key) {
            Some(RegisterKey::Receipt(conversation, user, device)) => {
                let receipt = DeviceReceipt::decode(&register.value).ok();
                let can_be = |receipt: &DeviceReceipt| receipt.kept().is_some() || device != DeviceId::REST;
                receipt
                    .filter(|receipt| conversation.partition() == partition && can_be(receipt))
                    .map(|receipt| Joinable::Receipt((conversation, user, device), receipt))
            }
            Some(RegisterKey::Acknowledgement(replica)) => {
                let pair = Pair::decode(&register.value).ok();
                pair.map(|pair| Joinable::Acknowledgement(replica, pair))
            }
            Some(RegisterKey::Directory(user)) => {
                let is_here = user.placement() == placement.id && user.partition(placement.id) == partition;
                let entry = DirectoryEntry::decode(&register.value).ok().filter(|_| is_here);
                Some(entry.map_or(Joinable::KeptOut, |entry| Joinable::Directory(user, entry)))
            }
            Some(RegisterKey::Flags(region)) => {
                let is_here = partition.bucket == Bucket::FIRST;
                let flags = Flags::decode(&register.value).ok().filter(|_| is_here);
                Some(flags.map_or(Joinable::KeptOut, |flags| Joinable::Flags(region, flags)))
            }
            Some(RegisterKey::Hidden(conversation, user, message)) => {
                let visibility = Visibility::decode(&register.value).ok();
                visibility
                    .filter(|_| conversation.partition() == partition)
                    .map(|visibility| Joinable::Hidden((conversation, user, message), visibility))
            }
            None => None,
        };
        readable.push(joinable.ok_or_else(|| CommitRefused::Register {
            partition,
            key: register.key.iter().take(40).map(|byte| format!("{byte:02x}")).collect(),
        })?);
    }
    Ok(readable)
}

/// Joins a peer's word on where a user's home is.
fn join_entry(
    pending: &mut Pending<'_>,
    user: UserId,
    entry: DirectoryEntry,
    peer: ReplicaId,
) -> Result<(), StoreError> {
    let (bucket, register) = (user.partition(user.placement()).bucket, RegisterKey::Directory(user));
    let key = Key::Register(bucket, register);
    let standing: Option<RegisterRecord> = pending.tables.load(&key)?;
    let held =
        standing.as_ref().map(|record| read_stored(&key, record, DirectoryEntry::decode)).transpose()?;
    let mut joined = held.unwrap_or_default();
    let grew = joined.join(&entry);
    let had_by = Some(peer).filter(|_| joined == entry);
    let value = grew.then(|| joined.encode());
    grow_or_stand(pending, (bucket, register), standing, value, (peer, had_by))
}

/// Joins a peer's word on what a region says of features.
fn join_flags(
    pending: &mut Pending<'_>,
    region: RegionId,
    flags: &Flags,
    peer: ReplicaId,
) -> Result<(), StoreError> {
    let (bucket, register) = (Bucket::FIRST, RegisterKey::Flags(region));
    let key = Key::Register(bucket, register);
    let standing: Option<RegisterRecord> = pending.tables.load(&key)?;
    let held = standing.as_ref().map(|record| read_stored(&key, record, Flags::decode)).transpose()?;
    let mut joined = held.unwrap_or_default();
    let grew = joined.join(flags);
    let had_by = Some(peer).filter(|_| joined == *flags);
    let value = grew.then(|| joined.encode());
    if grew {
        pending.note_flags(region, joined);
    }
    grow_or_stand(pending, (bucket, register), standing, value, (peer, had_by))
}

/// Writes what a register has grown to, or only that the peer has what stands.
fn grow_or_stand(
    pending: &mut Pending<'_>,
    (bucket, register): (Bucket, RegisterKey),
    standing: Option<RegisterRecord>,
    grown: Option<Vec<u8>>,
    (peer, had_by): (ReplicaId, Option<ReplicaId>),
) -> Result<(), StoreError> {
    match grown {
        Some(value) => {
            let value = (value.into(), Source { from: Some(peer), had_by });
            rewrite(pending, bucket, register, standing.map(|record| record.change), value)
        }
        None => {
            crate::sometimes::REGISTER_STANDS.reach();
            note_had(pending, bucket, register, standing, had_by)
        }
    }
}

/// Where a register's new value comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source {
    /// The peer whose feed made it grow; none if it was made here.
    pub(crate) from: Option<ReplicaId>,
    /// The peer that is known to have this very value.
    pub(crate) had_by: Option<ReplicaId>,
}

/// Joins a receipt into its register as it stands, and tells if it grew; `from` is the peer whose feed brought it.
pub(crate) fn join_receipt(
    pending: &mut Pending<'_>,
    (conversation, user, device): (ConversationId, UserId, DeviceId),
    standing: Option<RegisterRecord>,
    receipt: &DeviceReceipt,
    from: Option<ReplicaId>,
) -> Result<(), StoreError> {
    let register = RegisterKey::Receipt(conversation, user, device);
    let bucket = conversation.partition().bucket;
    let key = Key::Register(bucket, register);
    let mut joined = standing.as_ref().map(|record| held(&key, record)).transpose()?.unwrap_or_default();
    let (grew, rest) = joined.join(receipt);
    let had_by = from.filter(|_| joined == *receipt);
    if grew {
        let value = (joined.encode().into(), Source { from, had_by });
        rewrite(pending, bucket, register, standing.map(|record| record.change), value)?;
        if let Some(kept) = joined.kept() {
            let (delivered, read) = (kept.delivered().clone(), kept.read().clone());
            pending.tables.effects.push(Effect::Receipt { conversation, user, device, delivered, read });
        }
    } else {
        crate::sometimes::REGISTER_STANDS.reach();
        note_had(pending, bucket, register, standing, had_by)?;
    }
    match rest {
        None => Ok(()),
        Some(rest) => {
            crate::sometimes::DEAD_DEVICE_CONFIRMED.reach();
            let register = RegisterKey::Receipt(conversation, user, DeviceId::REST);
            let standing = pending.tables.load(&Key::Register(bucket, register))?;
            // The rest cannot die, so this ends here.
            let register = (conversation, user, DeviceId::REST);
            join_receipt(pending, register, standing, &DeviceReceipt::Kept(rest), None)
        }
    }
}

/// A device's receipt as its register holds it.
pub(crate) fn held(key: &Key, record: &RegisterRecord) -> Result<DeviceReceipt, StoreError> {
    DeviceReceipt::decode(&record.value).map_err(|error| damaged(&key.encode(), &error.to_string()))
}

/// The value of a directory entry or of flags, as its register holds it.
pub(crate) fn read_stored<T>(
    key: &Key,
    record: &RegisterRecord,
    decode: impl FnOnce(&[u8]) -> Result<T, MalformedState>,
) -> Result<T, StoreError> {
    decode(&record.value).map_err(|error| damaged(&key.encode(), &error.to_string()))
}

/// Gives a register its new value under the next change number.
pub(crate) fn rewrite(
    pending: &mut Pending<'_>,
    bucket: Bucket,
    register: RegisterKey,
    standing: Option<ChangeNumber>,
    (value, source): (Bytes, Source),
) -> Result<(), StoreError> {
    if let Some(change) = standing {
        pending.tables.delete(&Key::Feed(bucket, change));
    }
    let change = pending.next_change(bucket, source.from.is_none())?;
    let had_by = source.had_by.into_iter().collect();
    pending.tables.put(
        &Key::Register(bucket, register),
        &RegisterRecord { change, value, had_by, since_ms: pending.now.ms() },
    );
    pending.tables.put_bytes(&Key::Feed(bucket, change), register.encode());
    Ok(())
}

/// A peer has the very value that stands here: it need not be told.
pub(crate) fn note_had(
    pending: &mut Pending<'_>,
    bucket: Bucket,
    register: RegisterKey,
    standing: Option<RegisterRecord>,
    had_by: Option<ReplicaId>,
) -> Result<(), StoreError> {
    if let (Some(mut record), Some(peer)) = (standing, had_by)
        && !record.had_by.contains(&peer)
    {
        record.had_by.push(peer);
        pending.tables.put(&Key::Register(bucket, register), &record);
    }
    Ok(())
}
