//! A region's store in memory, as plain as can be: what is in it is durable, what is not does not exist.
//!
//! It applies as a shard does: skips what it has, cuts off the part of a commit that it has, verifies the rest against its own heads, and never
//! lowers a cursor. A commit that does not verify changes nothing.

use bytes::Bytes;
use crdt::{
    ChainHead, Dot, Incarnation, PartitionId, PlacementId, RegionId, ReplicaId, Sequence, StateDigest,
    VersionVector,
};
use ed25519_dalek::SigningKey;
use replication::commit::{Commit, CommitRefused, OperationBytes};
use replication::epoch::EpochStatement;
use replication::log::{
    Base, ChangeNumber, LogUnreadable, LogView, LoggedCommit, PartitionState, PeerCursor, Position,
};
use replication::placement::{Epoch, Placement, Placements};
use replication::register::Register;
use replication::signature::Ed25519;
use replication::stability::{Pair, register_key};
use replication::{StoreId, StoreStart};
use std::collections::{BTreeMap, BTreeSet};

/// One partition.
#[derive(Debug, Clone, Default)]
pub(crate) struct PartitionLog {
    pub(crate) entries: Vec<LoggedCommit>,
    pub(crate) applied: VersionVector,
    heads: BTreeMap<(ReplicaId, Sequence), ChainHead>,
    registers: BTreeMap<Bytes, (ChangeNumber, Bytes)>,
    /// Per register, who is known to have its very value.
    had_by: BTreeMap<Bytes, BTreeSet<ReplicaId>>,
    feed_end: ChangeNumber,
    feed_own: ChangeNumber,
    /// Where it may be gone on in by who has all that is before.
    base: Option<Base>,
    /// By how much its digest is not that of what was applied.
    pub(crate) harm: u128,
    cursors: BTreeMap<ReplicaId, PeerCursor>,
}

/// One region's store.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    pub(crate) region: RegionId,
    pub(crate) replica: ReplicaId,
    pub(crate) placements: Placements,
    pub(crate) partitions: BTreeMap<PartitionId, PartitionLog>,
    pub(crate) starts: BTreeMap<ReplicaId, StoreStart>,
    pub(crate) start: StoreStart,
    pub(crate) epochs: Vec<EpochStatement>,
    /// Placements that both may hold and this region has no store of.
    pub(crate) not_held: BTreeSet<PlacementId>,
}

pub(crate) fn key(replica: ReplicaId) -> SigningKey {
    let mut seed = [7; 32];
    seed[..8].copy_from_slice(&replica.incarnation.0.to_be_bytes());
    SigningKey::from_bytes(&seed)
}

pub(crate) fn replica(region: u16) -> ReplicaId {
    ReplicaId { region: RegionId(region), incarnation: Incarnation(u64::from(region) * 17) }
}

/// A start of the store that a region had first.
pub(crate) fn start(region: u16, number: u64) -> StoreStart {
    StoreStart { id: StoreId(u128::from(region)), number }
}

/// Signs the epochs of all placements.
pub(crate) fn operators() -> SigningKey {
    SigningKey::from_bytes(&[99; 32])
}

/// A placement of these regions in its first epoch, in which all are active.
pub(crate) fn placement(id: u16, regions: &[u16]) -> Placement {
    let replicas: Vec<ReplicaId> = regions.iter().map(|region| replica(*region)).collect();
    let before = Placement::new(
        PlacementId(id),
        replicas.iter().map(|replica| replica.region).collect(),
        operators().verifying_key(),
    );
    before.follow(&epoch_after(&before, &replicas)).unwrap()
}

/// The statement that these replicas are active in the next epoch.
pub(crate) fn epoch_after(placement: &Placement, active: &[ReplicaId]) -> EpochStatement {
    let active = active.iter().map(|replica| (*replica, key(*replica).verifying_key()));
    EpochStatement::sign(placement, active.collect(), &operators())
}

impl PartitionLog {
    pub(crate) fn end(&self) -> Position {
        self.entries.last().map_or(Position(0), |entry| entry.last)
    }

    pub(crate) fn head(&self, id: PartitionId, origin: ReplicaId, sequence: Sequence) -> Option<ChainHead> {
        if sequence == Sequence::NONE {
            return Some(ChainHead::genesis(id, origin));
        }
        self.heads.get(&(origin, sequence)).copied()
    }

    fn append(&mut self, commit: Commit, head: ChainHead) {
        let first = Position(self.end().0 + 1);
        let last = Position(self.end().0 + commit.operations.len() as u64);
        self.applied.raise(Dot { replica: commit.origin, sequence: commit.last() });
        self.heads.insert((commit.origin, commit.last()), head);
        self.entries.push(LoggedCommit { first, last, commit });
    }

    fn state(&self) -> PartitionState {
        PartitionState {
            log_end: self.end(),
            feed_end: self.feed_end,
            feed_own: self.feed_own,
            applied: self.applied.clone(),
            digest: Some(StateDigest(
                self.applied.iter().map(|dot| u128::from(dot.sequence.0)).sum::<u128>() + self.harm,
            )),
        }
    }

    pub(crate) fn register(&self, key: &Bytes) -> Option<&Bytes> {
        self.registers.get(key).map(|(_, value)| value)
    }

    pub(crate) fn values(&self) -> BTreeMap<Bytes, Bytes> {
        self.registers.iter().map(|(key, (_, value))| (key.clone(), value.clone())).collect()
    }

    /// Sets a register; the caller joined. `had_by` is who sent this very value, if anybody did.
    pub(crate) fn set(
        &mut self,
        key: Bytes,
        value: Bytes,
        from: Option<ReplicaId>,
        had_by: Option<ReplicaId>,
    ) {
        let grew = self.register(&key) != Some(&value);
        let had = self.had_by.entry(key.clone()).or_default();
        if grew {
            had.clear();
        }
        had.extend(had_by);
        if grew {
            self.feed_end.0 += 1;
            if from.is_none() {
                self.feed_own = self.feed_end;
            }
            self.registers.insert(key, (self.feed_end, value));
        }
    }

    pub(crate) fn raise_feed_cursor(&mut self, peer: ReplicaId, feed: ChangeNumber) {
        let cursor = self.cursors.entry(peer).or_default();
        cursor.feed = cursor.feed.max(feed);
    }
}

impl Store {
    pub(crate) fn new(region: u16, placements: Placements) -> Self {
        Self {
            region: RegionId(region),
            replica: replica(region),
            placements,
            partitions: BTreeMap::new(),
            starts: BTreeMap::new(),
            start: start(region, 1),
            epochs: Vec::new(),
            not_held: BTreeSet::new(),
        }
    }

    /// Issues operations of its own, as one commit.
    pub(crate) fn issue(&mut self, id: PartitionId, operations: Vec<OperationBytes>) -> Commit {
        let origin = self.replica;
        let log = self.partitions.entry(id).or_default();
        let last = log.applied.get(origin);
        // The store keeps the head of every commit's end.
        let before = log.head(id, origin, last).unwrap();
        let commit = Commit::sign(id, origin, last.next(), operations, before, (&Ed25519, &key(origin)));
        let head = commit.head_after(before);
        log.append(commit.clone(), head);
        commit
    }

    /// Applies a peer's entries as a shard does: skips what it has, verifies what it has not, never lowers a cursor.
    pub(crate) fn apply(
        &mut self,
        peer: ReplicaId,
        id: PartitionId,
        commits: Vec<Commit>,
        cursor: Option<Position>,
    ) -> Result<Vec<Commit>, CommitRefused> {
        let mut applied = Vec::new();
        if self.placements.get(id.placement).unwrap().closed.contains_key(&peer) {
            return Ok(applied);
        }
        let log = self.partitions.entry(id).or_default();
        for mut commit in commits {
            let had = log.applied.get(commit.origin);
            if commit.last() <= had {
                continue;
            }
            if commit.first <= had {
                commit.operations.drain(..(had.0 + 1 - commit.first.0) as usize);
                commit.first = had.next();
            }
            let before = log.head(id, commit.origin, had).unwrap();
            let verifying = *self.placements.get(id.placement).unwrap().key_of(commit.origin).unwrap();
            let head = commit.verify(had, before, (&Ed25519, &verifying))?;
            log.append(commit.clone(), head);
            applied.push(commit);
        }
        let known = log.cursors.entry(peer).or_default();
        known.log = known.log.max(cursor.unwrap_or_default());
        Ok(applied)
    }

    /// Notes what a log holds now as its base.
    pub(crate) fn lay_base(&mut self, id: PartitionId) {
        let log = self.partitions.entry(id).or_default();
        // The store keeps the head of every commit's end.
        let chain = |dot: Dot| (dot.replica, (dot.sequence, log.heads[&(dot.replica, dot.sequence)]));
        let chains = log.applied.iter().map(chain).collect();
        log.base = Some(Base { position: log.end(), chains });
    }

    /// Goes on under that epoch, if it is the next one.
    pub(crate) fn follow(&mut self, statement: EpochStatement) {
        let placement = self.placements.get(statement.placement).unwrap();
        if let Ok(next) = placement.follow(&statement) {
            let others = self.placements.iter().filter(|placement| placement.id != next.id).cloned();
            self.placements = Placements::new(others.collect::<Vec<_>>().into_iter().chain([next]));
            self.epochs.push(statement);
        }
    }

    /// Whether this very replica is active.
    pub(crate) fn is_active(&self) -> bool {
        self.placements.iter().any(|placement| placement.active.contains_key(&self.replica))
    }

    pub(crate) fn log(&self, id: PartitionId) -> PartitionLog {
        self.partitions.get(&id).cloned().unwrap_or_default()
    }
}

impl LogView for Store {
    fn partitions(&self) -> Result<Vec<(PartitionId, PartitionState)>, LogUnreadable> {
        Ok(self.partitions.iter().map(|(id, log)| (*id, log.state())).collect())
    }

    fn state(&self, partition: PartitionId) -> Result<PartitionState, LogUnreadable> {
        Ok(self.partitions.get(&partition).map(PartitionLog::state).unwrap_or_default())
    }

    fn read(
        &self,
        partition: PartitionId,
        from: Position,
        bytes_max: usize,
    ) -> Result<Vec<LoggedCommit>, LogUnreadable> {
        let log = self.partitions.get(&partition);
        let entries = log.map(|log| &log.entries[log.entries.partition_point(|entry| entry.first <= from)..]);
        let commits = entries.unwrap_or_default().iter().cloned();
        Ok(up_to(commits, bytes_max, |entry| size(&entry.commit)))
    }

    fn find(
        &self,
        partition: PartitionId,
        origin: ReplicaId,
        from: Sequence,
        to: Sequence,
        bytes_max: usize,
    ) -> Result<Vec<Commit>, LogUnreadable> {
        let entries = self.partitions.get(&partition).map(|log| log.entries.iter());
        let commits = entries.into_iter().flatten().map(|entry| &entry.commit);
        let wanted =
            commits.filter(|commit| commit.origin == origin && commit.last() >= from && commit.first <= to);
        Ok(up_to(wanted.cloned(), bytes_max, size))
    }

    fn head(
        &self,
        partition: PartitionId,
        origin: ReplicaId,
        sequence: Sequence,
    ) -> Result<Option<ChainHead>, LogUnreadable> {
        Ok(self.partitions.get(&partition).and_then(|log| log.head(partition, origin, sequence)))
    }

    fn base(&self, partition: PartitionId) -> Result<Option<Base>, LogUnreadable> {
        Ok(self.partitions.get(&partition).and_then(|log| log.base.clone()))
    }

    fn registers(
        &self,
        partition: PartitionId,
        from: ChangeNumber,
        peer: ReplicaId,
        bytes_max: usize,
    ) -> Result<(Vec<(ChangeNumber, Register)>, ChangeNumber), LogUnreadable> {
        let Some(log) = self.partitions.get(&partition) else { return Ok((vec![], from)) };
        let lacks = |key: &Bytes| log.had_by.get(key).is_none_or(|had| !had.contains(&peer));
        let mut changed: Vec<_> = log
            .registers
            .iter()
            .filter(|(key, (number, _))| *number > from && lacks(key))
            .map(|(key, (number, value))| (*number, Register { key: key.clone(), value: value.clone() }))
            .collect();
        changed.sort_by_key(|(number, _)| *number);
        let all = changed.len();
        let changed = up_to(changed, bytes_max, |(_, register)| register.key.len() + register.value.len());
        let last = changed.last().map_or(from, |(number, _)| *number);
        let newest = log.registers.values().map(|(number, _)| *number).max().unwrap_or(from);
        let read = if changed.len() == all { newest.max(from) } else { last };
        Ok((changed, read))
    }

    fn cursor(&self, peer: ReplicaId, partition: PartitionId) -> Result<PeerCursor, LogUnreadable> {
        let log = self.partitions.get(&partition);
        Ok(log.and_then(|log| log.cursors.get(&peer).copied()).unwrap_or_default())
    }

    fn acknowledged(&self, partition: PartitionId, replica: ReplicaId) -> Result<Sequence, LogUnreadable> {
        let value = self.partitions.get(&partition).and_then(|log| log.register(&register_key(replica)));
        Ok(value.map_or(Sequence::NONE, |value| Pair::decode(value).unwrap().applied.get(replica)))
    }

    fn epochs(
        &self,
        placement: PlacementId,
        after: Epoch,
        max: usize,
    ) -> Result<Vec<EpochStatement>, LogUnreadable> {
        let later = |known: &&EpochStatement| known.placement == placement && known.number > after;
        Ok(self.epochs.iter().filter(later).take(max).cloned().collect())
    }

    fn seen_start(&self, _: PlacementId, peer: ReplicaId) -> Result<Option<StoreStart>, LogUnreadable> {
        Ok(self.starts.get(&peer).copied())
    }

    fn region(&self) -> RegionId {
        self.region
    }
}

fn size(commit: &Commit) -> usize {
    commit
        .operations
        .iter()
        .map(|operation| operation.envelope.len() + operation.payload.as_ref().map_or(0, Bytes::len))
        .sum()
}

fn up_to<T>(items: impl IntoIterator<Item = T>, bytes_max: usize, size: impl Fn(&T) -> usize) -> Vec<T> {
    let mut bytes = 0;
    let mut taken = Vec::new();
    for item in items {
        bytes += size(&item);
        if bytes > bytes_max && !taken.is_empty() {
            break;
        }
        taken.push(item);
    }
    taken
}
