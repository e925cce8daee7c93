//! Verifies a whole store: that every record is what was written, and that none is missing.
//!
//! A checksum finds a record that changed, not one that is gone. So this also replays each partition's log through the very code
//! that applied it, and compares what comes out with the tables, record by record:
//! - every record decodes, bears its checksum, and belongs to this placement;
//! - the log has no gap and nothing beyond its end, commits are whole, and every chain head is the hash of the envelopes before it;
//! - every table that follows from the log holds exactly what the log says, no more and no less, and so do the digests that are kept; of the members of a group, which a store and a replay
//!   fold at different moments, what they are;
//! - a base of the log is what that holds up to there;
//! - the feed names each register once, under its latest change; by message stands from whom it is hidden, as the registers say;
//! - texts have gone where it is written that they have, by their age;
//! - of a deleted message whose payloads are still there, it is written down that they are to be cut; of a group that is not settled, that it is not.
//!
//! It changes nothing and goes on after damage, up to a limit, so an operator sees how far it reaches. Memory: the
//! derived records of one partition at a time, about 350 bytes an operation.

use crate::acknowledge;
use crate::cut_payloads;
use crate::expire_messages;
use crate::export;
use crate::hide_message;
use crate::key_bytes::KeyBytes;
use crate::keys::{Key, KeyRange};
use crate::partition;
use crate::record::{self, HiddenFromRecord, MembershipRecord, OpaqueRecord, RegisterRecord, damaged};
use crate::register_key::RegisterKey;
use crate::replay::{Replayed, replay, says_the_same};
use crate::store::{Batch, Direction, StoreError, View};
use crdt::{Bucket, ConversationId, Dot, PartitionId, PlacementId, Visibility};
use replication::log::Base;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verified {
    /// Records read.
    pub records: u64,
    /// Operations replayed.
    pub operations: u64,
    /// What is damaged, by name: each a [`StoreError::Damaged`].
    pub damaged: Vec<StoreError>,
}

impl Verified {
    /// Names a damage, unless its record is named already.
    fn name(&mut self, damage: StoreError) {
        let of = |damage: &StoreError| match damage {
            StoreError::Damaged { table, key, .. } => Some((*table, key.clone())),
            StoreError::Full { .. } | StoreError::Failed { .. } => None,
        };
        if !self.damaged.iter().any(|named| of(named) == of(&damage)) {
            self.damaged.push(damage);
        }
    }
}

/// Verifies a store of that placement, and stops once it has found `damaged_max` damages (at least one).
///
/// # Errors
/// [`StoreError`] when the store cannot be read at all; damage is not an error but what was asked for.
pub fn verify(view: &dyn View, placement: PlacementId, damaged_max: usize) -> Result<Verified, StoreError> {
    let mut verified = Verified::default();
    verify_records(view, placement, &KeyRange::everything(), damaged_max, &mut verified)?;
    for bucket in partition::buckets(view)? {
        if verified.damaged.len() >= damaged_max {
            break;
        }
        verify_tables(view, PartitionId { placement, bucket }, &mut verified)?;
    }
    Ok(verified)
}

/// Verifies one partition of a store, and with the first what belongs to the whole store.
///
/// # Errors
/// [`StoreError`] when the store cannot be read.
pub fn verify_partition(
    view: &dyn View,
    partition: PartitionId,
    damaged_max: usize,
) -> Result<Verified, StoreError> {
    let mut verified = Verified::default();
    let whole = (partition.bucket == Bucket::FIRST).then(KeyRange::whole_store);
    for range in [KeyRange::bucket(partition.bucket)].into_iter().chain(whole) {
        verify_records(view, partition.placement, &range, damaged_max, &mut verified)?;
    }
    verify_tables(view, partition, &mut verified)?;
    Ok(verified)
}

fn verify_tables(view: &dyn View, partition: PartitionId, verified: &mut Verified) -> Result<(), StoreError> {
    for check in [
        verify_log,
        verify_base,
        verify_feed,
        verify_hidden,
        verify_memberships,
        verify_cuts,
        verify_expired,
        verify_rights,
    ] {
        match check(view, partition, verified) {
            Err(damage @ StoreError::Damaged { .. }) => verified.name(damage),
            Ok(()) => {}
            Err(failure @ (StoreError::Full { .. } | StoreError::Failed { .. })) => return Err(failure),
        }
    }
    Ok(())
}

/// Every record by itself.
fn verify_records(
    view: &dyn View,
    placement: PlacementId,
    range: &KeyRange,
    damaged_max: usize,
    verified: &mut Verified,
) -> Result<(), StoreError> {
    view.scan(&range.from, &range.to, Direction::Ascending, &mut |key, value| {
        verified.records += 1;
        if let Err(damage) = verify_record(placement, key, value) {
            verified.damaged.push(damage);
        }
        if verified.damaged.len() < damaged_max { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })
}

fn verify_record(placement: PlacementId, bytes: &[u8], value: &[u8]) -> Result<(), StoreError> {
    let key = Key::decode(bytes).ok_or_else(|| damaged(bytes, "the key does not decode"))?;
    record::check(&key, bytes, value)?;
    let of = match key {
        Key::Register(_, RegisterKey::Directory(user)) => Some(user.placement()),
        key => key.conversation().map(ConversationId::placement),
    };
    match of.filter(|of| *of != placement) {
        None => Ok(()),
        Some(_) => Err(damaged(bytes, "it belongs to another placement")),
    }
}

/// The log of a partition, and every table that follows from it.
fn verify_log(view: &dyn View, partition: PartitionId, verified: &mut Verified) -> Result<(), StoreError> {
    let bucket = partition.bucket;
    let reach = partition::reach(view, bucket)?;
    let Replayed { expected, digest, applied, operations } = replay(view, partition, reach.log_end)?;
    verified.operations += operations;
    let beyond = KeyRange::log_after(bucket, reach.log_end);
    absent(view, &beyond, &Batch::default(), "it stands beyond the end of the log")?;
    if reach.digest.is_some_and(|kept| kept != digest) {
        return Err(damaged(&Key::Reach(bucket).encode(), "its digest is not that of what the log says"));
    }
    for (key, value) in expected.writes() {
        let found = view.get(key)?;
        match value {
            None => {}
            Some(_) if found.is_none() => {
                return Err(damaged(key, "it is missing, although the log says it"));
            }
            Some(value) if found.as_ref() != Some(value) && !says_the_same(key, value, found)? => {
                return Err(damaged(key, "it is not what the log says"));
            }
            Some(_) => {}
        }
    }
    for derived in KeyRange::derived(bucket) {
        absent(view, &derived, &expected, "the log does not say it")?;
    }
    if !applied.covers_all(&acknowledge::stable(view, bucket)?) {
        return Err(damaged(&Key::Stable(bucket).encode(), "it is more than was applied"));
    }
    Ok(())
}

/// The base of a partition's log: that this holds exactly so much up to there. Each chain stands in the log in its order, so if the last operation that the base names of each stands before its end,
/// all do, and there is room for no other (a base has as many operations as its position says).
fn verify_base(view: &dyn View, partition: PartitionId, _: &mut Verified) -> Result<(), StoreError> {
    let key = Key::Base(partition.bucket);
    let Some(base) = record::load::<Base>(view, &key)? else { return Ok(()) };
    let wrong = || Err(damaged(&key.encode(), "it is not what the log holds up to there"));
    for (replica, (sequence, head)) in &base.chains {
        let dot = Dot { replica: *replica, sequence: *sequence };
        let position = partition::position_of(view, partition.bucket, dot)?;
        if position.is_none_or(|position| position > base.position)
            || partition::head_at(view, partition, dot)? != Some(*head)
        {
            return wrong();
        }
    }
    let last = partition::entry(view, partition.bucket, base.position, "the base of its log")?;
    if last.end.is_some() { Ok(()) } else { wrong() }
}

/// Checks that a range holds no key that `expected` does not write.
fn absent(view: &dyn View, range: &KeyRange, expected: &Batch, what: &str) -> Result<(), StoreError> {
    let mut unexpected = None;
    view.scan(&range.from, &range.to, Direction::Ascending, &mut |key, _| {
        if expected.get(key).flatten().is_some() {
            return ControlFlow::Continue(());
        }
        unexpected = Some(damaged(key, what));
        ControlFlow::Break(())
    })?;
    unexpected.map_or(Ok(()), Err)
}

/// The feed of a partition and its registers.
fn verify_feed(view: &dyn View, partition: PartitionId, _: &mut Verified) -> Result<(), StoreError> {
    let bucket = partition.bucket;
    let end = partition::reach(view, bucket)?.feed_end;
    let range = KeyRange::registers(bucket);
    record::scan(view, &range, Direction::Ascending, |key, register: RegisterRecord| {
        let Key::Register(_, name) = key else { return Ok(ControlFlow::Continue(())) };
        let OpaqueRecord(named) =
            record::load_named(view, &Key::Feed(bucket, register.change), "its register")?;
        if RegisterKey::decode(&named) != Some(name) || register.change > end {
            return Err(damaged(&key.encode(), "the feed names another register under its change"));
        }
        if let RegisterKey::Acknowledgement(replica) = name
            && acknowledge::known(view, bucket, replica)?.newest().encode() != register.value
        {
            let key = Key::Acknowledgement(bucket, replica).encode();
            return Err(damaged(&key, "it is missing, or not what its register says"));
        }
        Ok(ControlFlow::Continue(()))
    })?;
    let range = KeyRange::feed_after(bucket, replication::log::ChangeNumber(0));
    record::scan(view, &range, Direction::Ascending, |key, OpaqueRecord(named)| {
        let Key::Feed(_, change) = key else { return Ok(ControlFlow::Continue(())) };
        let wrong = || damaged(&key.encode(), "its register has changed since");
        let name = RegisterKey::decode(&named).ok_or_else(wrong)?;
        let register: RegisterRecord = record::load_named(view, &Key::Register(bucket, name), "the feed")?;
        if register.change == change { Ok(ControlFlow::Continue(())) } else { Err(wrong()) }
    })
}

/// By message, from whom it is hidden, as the registers say.
pub(crate) fn hidden_by_message(
    view: &dyn View,
    bucket: Bucket,
) -> Result<BTreeMap<KeyBytes, HiddenFromRecord>, StoreError> {
    let mut hidden: BTreeMap<KeyBytes, HiddenFromRecord> = BTreeMap::new();
    let registers = KeyRange::all_hidden(bucket);
    record::scan(view, &registers, Direction::Ascending, |key, register: RegisterRecord| {
        if let Key::Register(_, RegisterKey::Hidden(conversation, user, of)) = key
            && hide_message::held(&key, &register)? == Visibility::Hidden
        {
            let key = Key::HiddenFrom(conversation, of.sender, of.message).encode();
            hidden.entry(key).or_default().0.insert(user);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(hidden)
}

/// By message, from whom it is hidden: what the registers say.
fn verify_hidden(view: &dyn View, partition: PartitionId, _: &mut Verified) -> Result<(), StoreError> {
    let mut hidden = hidden_by_message(view, partition.bucket)?;
    let by_message = KeyRange::hidden_by_message(partition.bucket);
    record::scan(view, &by_message, Direction::Ascending, |key, users: HiddenFromRecord| {
        let key = key.encode();
        if hidden.remove(&key) == Some(users) {
            return Ok(ControlFlow::Continue(()));
        }
        Err(damaged(&key, "it is not what the registers say"))
    })?;
    match hidden.into_keys().next() {
        None => Ok(()),
        Some(key) => Err(damaged(&key, "it is missing, although a register says it")),
    }
}

/// What is written down of payloads that are still to be cut.
fn verify_cuts(view: &dyn View, partition: PartitionId, _: &mut Verified) -> Result<(), StoreError> {
    let conversations = export::conversations_of(view, partition.bucket)?;
    conversations.into_keys().try_for_each(|conversation| cut_payloads::verify(view, conversation))
}

/// What is written down of how long messages have been here.
fn verify_expired(view: &dyn View, partition: PartitionId, _: &mut Verified) -> Result<(), StoreError> {
    expire_messages::verify(view, partition.bucket)
}

/// What is written down of groups of which rights may come to be due.
fn verify_rights(view: &dyn View, partition: PartitionId, _: &mut Verified) -> Result<(), StoreError> {
    for conversation in export::conversations_of(view, partition.bucket)?.into_keys() {
        if !partition::members(view, conversation)?.is_settled() {
            record::load_named::<u64>(view, &Key::Unsettled(conversation), "an unsettled group")?;
        }
    }
    Ok(())
}

/// The rows of the members of a partition's conversations, and the rows that stand in its bucket.
fn verify_memberships(view: &dyn View, partition: PartitionId, _: &mut Verified) -> Result<(), StoreError> {
    for conversation in export::conversations_of(view, partition.bucket)?.into_keys() {
        let members = partition::members(view, conversation)?;
        for user in members.members() {
            let key = Key::Membership(user, conversation);
            let row: MembershipRecord = record::load_named(view, &key, "its conversation")?;
            if members.member(user) != Some(row.since) {
                return Err(damaged(&key.encode(), "it is not what its conversation says"));
            }
        }
    }
    let rows = KeyRange::memberships_in(partition.bucket);
    record::scan(view, &rows, Direction::Ascending, |key, _: MembershipRecord| {
        let Key::Membership(user, conversation) = key else { return Ok(ControlFlow::Continue(())) };
        if partition::members(view, conversation)?.member(user).is_none() {
            return Err(damaged(&key.encode(), "its conversation does not say it"));
        }
        Ok(ControlFlow::Continue(()))
    })
}
