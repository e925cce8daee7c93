//! What bridges need of their region's driver: its present, its logs, its shards' mailboxes, and an end.
//!
//! What must always hold: what a bridge delivers reaches the shard of its placement in the order in which it was delivered, and
//! each delivery is told taken through the bridge's [`Notices`](crate::Notices) once it is durable.

use crate::snapshots::GivenSnapshot;
use crdt::{Now, RegionId};
use replication::Delivery;
use replication::log::LogView;
use replication::reason::Reason;
use replication::snapshot::Asked;
use std::future::Future;

/// A region's driver, as its bridges see it.
pub trait RegionPort: Send + Sync + 'static {
    /// The present, by the region's disciplined clock.
    fn now(&self) -> Now;

    /// Calls `read` once with the region's durable logs.
    fn read_log(&self, read: &mut dyn FnMut(&dyn LogView));

    /// Puts a delivery into its shard's mailbox, waiting for room.
    fn deliver(&self, from: RegionId, delivery: Delivery) -> impl Future<Output = ()> + Send;

    /// Makes a snapshot for the region that a caller's certificate names, if that may take what it asks for.
    fn snapshot(
        &self,
        from: RegionId,
        asked: Asked,
    ) -> impl Future<Output = Result<GivenSnapshot, Reason>> + Send;

    /// The region must stop serving: its store is behind what it has issued, or cannot be read. Returns only if the process is about to end.
    fn stop(&self, why: &str);
}
