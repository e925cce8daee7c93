//! What a shard tells a bridge: which partitions have grown, which deliveries are durable, that a peer's entries were refused, that an epoch has come.
//!
//! What must always hold:
//! - Telling never waits: a shard is not held up by a bridge, and a bridge that sleeps costs one entry a partition and no more,
//!   since only the latest state of each partition is kept; deliveries are bounded by the bridge core, which counts them.
//! - Nothing told is forgotten: the bridge wakes up and takes all of it.

use crdt::PartitionId;
use replication::commit::CommitRefused;
use replication::log::PartitionState;
use replication::placement::Placements;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// What has been told and not yet taken.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Told {
    /// The placements under their latest epochs, if one has changed.
    pub placements: Option<Placements>,
    /// The latest state of each partition that has grown. At most one entry a partition of the shared placements.
    pub advanced: BTreeMap<PartitionId, PartitionState>,
    /// The weights of deliveries that are durable now, one each.
    pub taken: Vec<usize>,
    /// Of each partition of the shared placements, the first refusal of the peer's entries.
    pub refused: BTreeMap<PartitionId, CommitRefused>,
}

/// The notices of one bridge.
#[derive(Debug, Default)]
pub struct Notices {
    told: Mutex<Told>,
    woken: Notify,
}

impl Notices {
    /// The region's shards stand in these epochs now, durably.
    pub fn placements(&self, placements: &Placements) {
        self.told().placements = Some(placements.clone());
        self.woken.notify_one();
    }

    /// A partition has grown and stands like this now, durably.
    pub fn advanced(&self, partition: PartitionId, state: &PartitionState) {
        self.told().advanced.insert(partition, state.clone());
        self.woken.notify_one();
    }

    /// A delivery of that weight is durable, or was refused.
    pub fn taken(&self, bytes: usize) {
        self.told().taken.push(bytes);
        self.woken.notify_one();
    }

    /// The peer's entries were refused.
    pub fn refused(&self, reason: &CommitRefused) {
        self.told().refused.entry(reason.partition()).or_insert_with(|| reason.clone());
        self.woken.notify_one();
    }

    /// Takes everything told so far without waiting: what a bridge does when it opens, before it reads the log.
    pub fn take(&self) -> Told {
        std::mem::take(&mut *self.told())
    }

    /// Waits until something has been told. Cancelling loses nothing.
    pub async fn wait(&self) {
        loop {
            let woken = self.woken.notified();
            if *self.told() != Told::default() {
                return;
            }
            woken.await;
        }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        // Whoever panicked left whole entries behind: every write above is one insertion.
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use replication::log::Position;

    fn partition(bucket: u16) -> PartitionId {
        PartitionId { placement: crdt::PlacementId(1), bucket: crdt::Bucket::new(bucket).unwrap() }
    }

    #[tokio::test]
    async fn a_sleeping_bridge_keeps_only_the_latest_state_of_each_partition() {
        let notices = Notices::default();
        for end in 1..=1_000 {
            let state = PartitionState { log_end: Position(end), ..PartitionState::default() };
            notices.advanced(partition(1), &state);
            notices.advanced(partition(2), &state);
        }
        notices.wait().await;
        let told = notices.take();
        assert_eq!(told.advanced.len(), 2);
        assert!(told.advanced.values().all(|state| state.log_end == Position(1_000)));
        assert_eq!(notices.take(), Told::default());
    }
}
