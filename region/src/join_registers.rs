//! Joins registers of a peer's feed into this region's: receipts and acknowledgements.
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
//! Refused, with nothing changed: a register whose name or value this version cannot read; an acknowledgement of this very replica
//! for more than its store holds, which is how a rolled back store meets its first life.

use crate::acknowledge;
use crate::apply_commit;
use crate::keys::Key;
use crate::pending::Pending;
use crate::record::{RegisterRecord, damaged};
use crate::register_key::RegisterKey;
use crate::shard::Effect;
use crate::store::StoreError;
use bytes::Bytes;
use crdt::{Bucket, ConversationId, DeviceId, DeviceReceipt, PartitionId, ReplicaId, Sequence, UserId};
use replication::commit::CommitRefused;
use replication::log::ChangeNumber;
use replication::register::Register;
use replication::stability::Pair;

/// A register that has been read.
enum Joinable {
    Receipt((ConversationId, UserId, DeviceId), DeviceReceipt),
    Acknowledgement(ReplicaId, Pair),
}

/// Joins registers of a peer's feed, or refuses all of them.
pub(crate) fn join(
    pending: &mut Pending<'_>,
    peer: ReplicaId,
    partition: PartitionId,
    registers: &[Register],
    cursor: ChangeNumber,
) -> Result<(), StoreError> {
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
                    // Only this region itself says what it has applied.
                    Joinable::Acknowledgement(replica, _) if replica == own => {}
                    Joinable::Acknowledgement(replica, pair) => {
                        acknowledge::learn(pending, partition.bucket, (replica, &pair), Some(peer))?;
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
        Joinable::Acknowledgement(..) | Joinable::Receipt(..) => None,
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
            None => None,
        };
        readable.push(joinable.ok_or_else(|| CommitRefused::Register {
            partition,
            key: register.key.iter().take(40).map(|byte| format!("{byte:02x}")).collect(),
        })?);
    }
    Ok(readable)
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
