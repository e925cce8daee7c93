//! Repairs a store: every table that follows from the log, or from the registers, is made again.
//!
//! The log of a partition is what was said; its tables are what came of it. So a record of a table that is damaged, missing or too many can be had again from the
//! log, through the very code that wrote it. The log itself and registers can be had from other regions ([`crate::mend_log`], [`crate::mend_registers`]). What nobody repeats (epochs, what the store is)
//! remains, by name, and such a store returns as a new incarnation.
//!
//! What must always hold:
//! - A sound store is not changed, and a repaired one holds byte for byte what it would hold undamaged, but for how long texts have been there, members that are
//!   folded at another moment, which changes of a feed were made here, once that is lost, and which peers are known to have a register that was.
//! - Of the log and the registers nothing is written that can be read.
//! - What remains is what [`verify`] finds in the store as it would be, so nothing is called repaired that is not.
//!
//! It decides and writes nothing: the batch is for the caller, whose word it needs. Memory: as verification takes, and the batch.

use crate::expire_messages;
use crate::keys::{Key, KeyRange};
use crate::mend_log::{self, Given};
use crate::mend_registers;
use crate::overlay::Overlay;
use crate::partition;
use crate::record::{self, MembershipRecord, ReachRecord, damaged};
use crate::replay::{Replayed, replay, says_the_same};
use crate::store::{Batch, Direction, StoreError, View};
use crate::verify;
use crdt::{Bucket, ConversationId, PartitionId, PlacementId};
use replication::log::{ChangeNumber, Position};
use std::ops::ControlFlow;

/// What is to be written, and what that leaves.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Repair {
    /// To be committed.
    pub batch: Batch,
    /// What it mends, by name: each a [`StoreError::Damaged`].
    pub mended: Vec<StoreError>,
    /// What is damaged and stays so, up to the limit.
    pub remains: Vec<StoreError>,
}

/// Works out how to repair a store of that placement, with what other regions have given for its log; names up to `damaged_max` damages that remain (at least one).
///
/// # Errors
/// [`StoreError`] when the store cannot be read at all.
pub fn repair(
    view: &dyn View,
    placement: PlacementId,
    damaged_max: usize,
    given: Option<&Given<'_>>,
) -> Result<Repair, StoreError> {
    let buckets = partition::buckets(view)?;
    let (mut log, mut named) = (Overlay::new(view), Vec::new());
    skip_damage(mend_registers::mend(&mut log, given, &mut named))?;
    for (bucket, given) in buckets.iter().zip(std::iter::repeat(given)) {
        let Some(given) = given else { break };
        let partition = PartitionId { placement, bucket: *bucket };
        skip_damage(mend_log::mend(&mut log, partition, given, &mut named))?;
    }
    let mut mended = Mended { overlay: Overlay::new(&log), named };
    for bucket in &buckets {
        let partition = PartitionId { placement, bucket: *bucket };
        // What cannot be made again is found by the verification below.
        skip_damage(mended.tables(partition))?;
    }
    for bucket in &buckets {
        skip_damage(mended.memberships(*bucket))?;
        skip_damage(mended.hidden(*bucket))?;
    }
    for (key, _) in log.batch.writes() {
        skip_damage(mended.cut_once_more(key))?;
    }
    let remains = verify::verify(&mended.overlay, placement, damaged_max)?.damaged;
    let Mended { overlay, named: mended } = mended;
    let tables = overlay.batch;
    let mut batch = log.batch;
    batch.append(tables);
    Ok(Repair { batch, mended, remains })
}

fn skip_damage(result: Result<(), StoreError>) -> Result<(), StoreError> {
    match result {
        Err(StoreError::Damaged { .. }) | Ok(()) => Ok(()),
        Err(failure) => Err(failure),
    }
}

/// The store as it would be.
struct Mended<'a> {
    overlay: Overlay<'a>,
    named: Vec<StoreError>,
}

impl Mended<'_> {
    fn put(&mut self, key: &[u8], value: bytes::Bytes, what: &str) {
        self.named.push(damaged(key, what));
        self.overlay.batch.put(key, value);
    }

    /// Deletes the keys of a range that do not belong there.
    fn delete_but(&mut self, range: &KeyRange, belongs: impl Fn(&[u8]) -> bool) -> Result<(), StoreError> {
        let mut gone = Vec::new();
        self.overlay.scan(&range.from, &range.to, Direction::Ascending, &mut |key, _| {
            if !belongs(key) {
                gone.push(key.to_vec());
            }
            ControlFlow::Continue(())
        })?;
        for key in gone {
            self.named.push(damaged(&key, "the log does not say it"));
            self.overlay.batch.delete(&key[..]);
        }
        Ok(())
    }

    /// What follows from a partition's log: its tables, and how far it reaches.
    fn tables(&mut self, partition: PartitionId) -> Result<(), StoreError> {
        let view = self.overlay.before();
        let bucket = partition.bucket;
        // Without a record it reaches nowhere: so do the buckets in which nothing stands but rows of members.
        let known: Option<ReachRecord> = match record::load(view, &Key::Reach(bucket)) {
            Err(StoreError::Damaged { .. }) => None,
            Ok(None) if ends(view, bucket) == Ok(ReachRecord::default()) => Some(ReachRecord::default()),
            known => known?,
        };
        let mut reach = known.map_or_else(|| ends(view, bucket), Ok)?;
        if end_of_log(view, bucket)? > reach.log_end {
            return Err(damaged(&Key::Reach(bucket).encode(), "the log goes on behind where it says"));
        }
        let Replayed { expected, digest, .. } = replay(view, partition, reach.log_end)?;
        if known != Some(reach) || reach.digest.is_some_and(|kept| kept != digest) {
            reach.digest = (reach.log_end > Position(0)).then_some(digest);
            let key = Key::Reach(bucket).encode();
            let value = record::seal(&key, &reach);
            self.put(&key, value, "it is not what the log and the feed come to");
        }
        for (key, value) in expected.writes() {
            let Some(value) = value else { continue };
            let found = view.get(key)?;
            let is_sound =
                found.as_ref() == Some(value) || matches!(says_the_same(key, value, found.clone()), Ok(true));
            if !is_sound {
                let what = if found.is_none() {
                    "it is missing, although the log says it"
                } else {
                    "it is not what the log says"
                };
                self.put(key, value.clone(), what);
            }
        }
        for derived in KeyRange::derived(bucket) {
            self.delete_but(&derived, |key| expected.get(key).flatten().is_some())?;
        }
        Ok(())
    }

    /// The rows of the members of a partition's conversations, and the rows in its bucket.
    fn memberships(&mut self, bucket: Bucket) -> Result<(), StoreError> {
        let mut conversations: Vec<ConversationId> = Vec::new();
        self.keys(&KeyRange::conversations(bucket), |key| {
            if let Key::Conversation(conversation) = key {
                conversations.push(conversation);
            }
        })?;
        for conversation in conversations {
            let members = partition::members(&self.overlay, conversation)?;
            for user in members.members() {
                let Some(since) = members.member(user) else { continue };
                let key = Key::Membership(user, conversation).encode();
                let value = record::seal(&key, &MembershipRecord { since });
                if self.overlay.get(&key)?.as_ref() != Some(&value) {
                    self.put(&key, value, "it is not what its conversation says");
                }
            }
        }
        let mut strangers = Vec::new();
        let mut failure = None;
        let overlay = &self.overlay;
        self.keys(&KeyRange::memberships_in(bucket), |key| {
            if let Key::Membership(user, conversation) = key {
                match partition::members(overlay, conversation) {
                    Ok(members) if members.member(user).is_none() => strangers.push(key.encode()),
                    Ok(_) => {}
                    Err(error) => failure = Some(error),
                }
            }
        })?;
        for key in strangers {
            self.named.push(damaged(&key, "its conversation does not say it"));
            self.overlay.batch.delete(key);
        }
        failure.map_or(Ok(()), Err)
    }

    /// A text that came back with the log, though its message is deleted, is to be cut once more; one that has gone by its age goes again at once.
    fn cut_once_more(&mut self, key: &[u8]) -> Result<(), StoreError> {
        let Some(Key::Log(bucket, position)) = Key::decode(key) else { return Ok(()) };
        let entry = partition::entry(&self.overlay, bucket, position, "the log")?;
        if let Some(without) = expire_messages::without_text(&self.overlay, bucket, position, &entry)? {
            let key = Key::Log(bucket, position).encode();
            self.put(&key, record::seal(&key, &without), "its text has come back with the log");
            return Ok(());
        }
        let (envelope, _) = partition::decode(bucket, position, &entry)?;
        let message = envelope.target.unwrap_or_else(|| envelope.identity());
        let amendments = partition::amendments(&self.overlay, envelope.conversation, message)?;
        let uncut = Key::Uncut(envelope.conversation, message.sender, message.message).encode();
        if entry.payload.is_some()
            && envelope.kind.may_be_cut()
            && amendments.is_some_and(|amendments| amendments.is_deleted())
            && self.overlay.get(&uncut)?.is_none()
        {
            self.put(&uncut, record::seal(&uncut, &()), "its text has come back with the log");
        }
        Ok(())
    }

    /// By message, from whom it is hidden.
    fn hidden(&mut self, bucket: Bucket) -> Result<(), StoreError> {
        let expected = verify::hidden_by_message(&self.overlay, bucket)?;
        for (key, users) in &expected {
            let value = record::seal(key, users);
            if self.overlay.get(key)?.as_ref() != Some(&value) {
                self.put(key, value, "it is not what the registers say");
            }
        }
        self.delete_but(&KeyRange::hidden_by_message(bucket), |key| {
            Key::decode(key).is_some_and(|key| expected.contains_key(&key.encode()))
        })
    }

    /// The keys of a range that are keys.
    fn keys(&self, range: &KeyRange, mut visit: impl FnMut(Key)) -> Result<(), StoreError> {
        self.overlay.scan(&range.from, &range.to, Direction::Ascending, &mut |key, _| {
            if let Some(key) = Key::decode(key) {
                visit(key);
            }
            ControlFlow::Continue(())
        })
    }
}

/// How far a partition reaches, by the last keys of its log and feed, if the chains say that its log ends there: else its last entries are gone too, and what they said would be forgotten.
/// Nobody knows any more which changes of the feed were made here: all go with haste.
fn ends(view: &dyn View, bucket: Bucket) -> Result<ReachRecord, StoreError> {
    let mut ends = ReachRecord { log_end: end_of_log(view, bucket)?, ..ReachRecord::default() };
    if let Some(Key::Feed(_, change)) = last(view, &KeyRange::feed_after(bucket, ChangeNumber(0)))? {
        (ends.feed_end, ends.feed_own) = (change, change);
    }
    let applied: u64 = partition::chains(view, bucket)?.values().map(|chain| chain.sequence.0).sum();
    if applied == ends.log_end.0 {
        return Ok(ends);
    }
    Err(damaged(&Key::Reach(bucket).encode(), "the log does not end where the chains do"))
}

/// The last position of the log that a record stands at.
fn end_of_log(view: &dyn View, bucket: Bucket) -> Result<Position, StoreError> {
    match last(view, &KeyRange::log_after(bucket, Position(0)))? {
        Some(Key::Log(_, position)) => Ok(position),
        _ => Ok(Position(0)),
    }
}

/// The last key of a range.
fn last(view: &dyn View, range: &KeyRange) -> Result<Option<Key>, StoreError> {
    let mut last = None;
    view.scan(&range.from, &range.to, Direction::Descending, &mut |key, _| {
        last = Key::decode(key);
        if last.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok(last)
}
