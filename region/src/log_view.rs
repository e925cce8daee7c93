//! The logs, vectors and feeds of one region's stores, as its bridges read them.
//!
//! What must always hold: only what a view holds is shown, and a view ends where the last synced batch ends; a partition of a
//! placement that this region does not hold reads as empty, so nothing of it can be sent; a failed read is an error that
//! names what and where, never an empty answer.
//!
//! Cost: a run of commits is one walk along the log; a commit that is found by its dot, of n operations, is n reads by key.

use crate::acknowledge;
use crate::follow_epochs;
use crate::keys::{Key, KeyRange};
use crate::partition;
use crate::record::{self, ChainRecord, OpaqueRecord, PeerRecord, RegisterRecord};
use crate::register_key::RegisterKey;
use crate::store::{Direction, StoreError, View};
use bytes::Bytes;
use crdt::{Bucket, ChainHead, Dot, PartitionId, PlacementId, RegionId, ReplicaId, Sequence};
use replication::StoreStart;
use replication::commit::Commit;
use replication::epoch::EpochStatement;
use replication::log::{
    Base, ChangeNumber, LogUnreadable, LogView, LoggedCommit, PartitionState, PeerCursor, Position,
};
use replication::placement::Epoch;
use replication::register::Register;
use std::fmt;
use std::ops::ControlFlow;

/// The stores of one region, one a placement.
#[derive(Clone)]
pub struct StoreLog<'a> {
    region: RegionId,
    /// By placement, ascending; as many as the region is in, so few.
    views: Vec<(PlacementId, &'a dyn View)>,
}

impl<'a> StoreLog<'a> {
    /// The log of that region, over a view of each placement it holds.
    #[must_use]
    pub fn new(region: RegionId, views: impl IntoIterator<Item = (PlacementId, &'a dyn View)>) -> Self {
        let mut views: Vec<_> = views.into_iter().collect();
        views.sort_by_key(|(placement, _)| *placement);
        Self { region, views }
    }

    fn read_in<T: Default>(
        &self,
        partition: PartitionId,
        read: impl FnOnce(&dyn View) -> Result<T, StoreError>,
    ) -> Result<T, LogUnreadable> {
        match self.views.iter().find(|(placement, _)| *placement == partition.placement) {
            None => Ok(T::default()),
            Some((_, view)) => read(*view).map_err(|error| unreadable(partition, &error)),
        }
    }
}

impl fmt::Debug for StoreLog<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let placements: Vec<_> = self.views.iter().map(|(placement, _)| placement).collect();
        f.debug_struct("StoreLog").field("region", &self.region).field("placements", &placements).finish()
    }
}

fn unreadable(partition: PartitionId, error: &StoreError) -> LogUnreadable {
    LogUnreadable { partition, reason: error.to_string() }
}

/// What a commit takes of a reader's allowance.
fn size(commit: &Commit) -> usize {
    let bytes = |payload: &Option<Bytes>| payload.as_ref().map_or(0, Bytes::len);
    commit.operations.iter().map(|operation| operation.envelope.len() + bytes(&operation.payload)).sum()
}

impl LogView for StoreLog<'_> {
    fn partitions(&self) -> Result<Vec<(PartitionId, PartitionState)>, LogUnreadable> {
        let mut partitions = Vec::new();
        for (placement, view) in &self.views {
            let whole = PartitionId { placement: *placement, bucket: Bucket::FIRST };
            for bucket in partition::buckets(*view).map_err(|error| unreadable(whole, &error))? {
                let partition = PartitionId { placement: *placement, bucket };
                let state = self.state(partition)?;
                if state != PartitionState::default() {
                    partitions.push((partition, state));
                }
            }
        }
        Ok(partitions)
    }

    fn state(&self, partition: PartitionId) -> Result<PartitionState, LogUnreadable> {
        self.read_in(partition, |view| partition::state(view, partition.bucket))
    }

    fn read(
        &self,
        partition: PartitionId,
        from: Position,
        bytes_max: usize,
    ) -> Result<Vec<LoggedCommit>, LogUnreadable> {
        self.read_in(partition, |view| partition::commits_after(view, partition, from, bytes_max))
    }

    fn find(
        &self,
        partition: PartitionId,
        origin: ReplicaId,
        from: Sequence,
        to: Sequence,
        bytes_max: usize,
    ) -> Result<Vec<Commit>, LogUnreadable> {
        self.read_in(partition, |view| {
            let mut commits = Vec::new();
            let mut bytes = 0_usize;
            let mut next = Dot { replica: origin, sequence: from.max(Sequence(1)) };
            while next.sequence <= to {
                let Some(position) = partition::position_of(view, partition.bucket, next)? else { break };
                let Some(logged) = partition::commit_at(view, partition, position)? else {
                    let key = Key::Log(partition.bucket, position).encode();
                    return Err(record::damaged(&key, "it is missing, although a dot names it"));
                };
                bytes = bytes.saturating_add(size(&logged.commit));
                if !commits.is_empty() && bytes > bytes_max {
                    break;
                }
                next.sequence = logged.commit.last().next();
                commits.push(logged.commit);
            }
            Ok(commits)
        })
    }

    fn head(
        &self,
        partition: PartitionId,
        origin: ReplicaId,
        sequence: Sequence,
    ) -> Result<Option<ChainHead>, LogUnreadable> {
        if sequence == Sequence::NONE {
            return Ok(Some(ChainHead::genesis(partition, origin)));
        }
        self.read_in(partition, |view| {
            let chain: Option<ChainRecord> = record::load(view, &Key::Chain(partition.bucket, origin))?;
            if let Some(chain) = chain.filter(|chain| chain.sequence == sequence) {
                return Ok(Some(chain.end.head));
            }
            partition::head_at(view, partition, Dot { replica: origin, sequence })
        })
    }

    fn base(&self, partition: PartitionId) -> Result<Option<Base>, LogUnreadable> {
        self.read_in(partition, |view| record::load(view, &Key::Base(partition.bucket)))
    }

    fn registers(
        &self,
        partition: PartitionId,
        from: ChangeNumber,
        peer: ReplicaId,
        bytes_max: usize,
    ) -> Result<(Vec<(ChangeNumber, Register)>, ChangeNumber), LogUnreadable> {
        self.read_in(partition, |view| {
            let mut registers = Vec::new();
            let (mut bytes, mut read) = (0_usize, from);
            let range = KeyRange::feed_after(partition.bucket, from);
            record::scan(view, &range, Direction::Ascending, |key, OpaqueRecord(name)| {
                let Key::Feed(bucket, change) = key else { return Ok(ControlFlow::Continue(())) };
                let wrong = |what| record::damaged(&key.encode(), what);
                let register = RegisterKey::decode(&name).ok_or_else(|| wrong("it names no register"))?;
                let stored: RegisterRecord =
                    record::load_named(view, &Key::Register(bucket, register), "the feed")?;
                if stored.had_by.contains(&peer) {
                    crate::sometimes::REGISTER_NOT_SENT_BACK.reach();
                    read = change;
                    return Ok(ControlFlow::Continue(()));
                }
                bytes = bytes.saturating_add(name.len() + stored.value.len());
                if !registers.is_empty() && bytes > bytes_max {
                    return Ok(ControlFlow::Break(()));
                }
                registers.push((change, Register { key: name, value: stored.value }));
                read = change;
                Ok(ControlFlow::Continue(()))
            })?;
            Ok((registers, read))
        })
    }

    fn cursor(&self, peer: ReplicaId, partition: PartitionId) -> Result<PeerCursor, LogUnreadable> {
        self.read_in(partition, |view| {
            Ok(record::load(view, &Key::Cursor(partition.bucket, peer))?.unwrap_or_default())
        })
    }

    fn acknowledged(&self, partition: PartitionId, replica: ReplicaId) -> Result<Sequence, LogUnreadable> {
        self.read_in(partition, |view| {
            Ok(acknowledge::known(view, partition.bucket, replica)?.newest().applied.get(replica))
        })
    }

    fn seen_start(
        &self,
        placement: PlacementId,
        peer: ReplicaId,
    ) -> Result<Option<StoreStart>, LogUnreadable> {
        // A start belongs to no partition; the placement's first stands for its store.
        let partition = PartitionId { placement, bucket: Bucket::FIRST };
        self.read_in(partition, |view| {
            Ok(record::load::<PeerRecord>(view, &Key::PeerStart(peer))?.map(|record| record.start))
        })
    }

    fn epochs(
        &self,
        placement: PlacementId,
        after: Epoch,
        max: usize,
    ) -> Result<Vec<EpochStatement>, LogUnreadable> {
        let whole = PartitionId { placement, bucket: Bucket::FIRST };
        self.read_in(whole, |view| follow_epochs::kept(view, after, max))
    }

    fn region(&self) -> RegionId {
        self.region
    }
}
