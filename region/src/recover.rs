//! Checks, when a shard opens, that what a store holds of each partition fits together.
//!
//! What must always hold: applied and logged are one (history 1), so the log ends where the reach record says, and every origin's
//! chain ends at an entry of the log that ends a commit with that very head. A batch is durable whole or not at all, so a store that
//! says otherwise is damaged, and is refused by name; nothing is recomputed or mended here. [`crate::verify`] reads everything.

use crate::keys::Key;
use crate::partition;
use crate::record::{self, LogRecord, OpaqueRecord, damaged};
use crate::store::{StoreError, View};
use crdt::{Dot, PartitionId, PlacementId};
use replication::log::{ChangeNumber, Position};

/// Checks the ends of every partition.
pub(crate) fn check(view: &dyn View, placement: PlacementId) -> Result<(), StoreError> {
    for bucket in partition::buckets(view)? {
        check_partition(view, PartitionId { placement, bucket })?;
    }
    Ok(())
}

fn check_partition(view: &dyn View, partition: PartitionId) -> Result<(), StoreError> {
    let bucket = partition.bucket;
    let reach = partition::reach(view, bucket)?;
    let beyond = Key::Log(bucket, Position(reach.log_end.0 + 1));
    if record::load::<LogRecord>(view, &beyond)?.is_some() {
        return Err(damaged(&beyond.encode(), "it stands beyond the end of the log"));
    }
    if reach.log_end > Position(0) {
        partition::entry(view, bucket, reach.log_end, "the reach of its partition")?;
    }
    if reach.feed_end > ChangeNumber(0) {
        // The newest change of a feed is always there: its register has not changed since.
        let newest = Key::Feed(bucket, reach.feed_end);
        record::load_named::<OpaqueRecord>(view, &newest, "the reach of its partition")?;
    }
    let mut logged = 0;
    for (origin, chain) in partition::chains(view, bucket)? {
        let dot = Dot { replica: origin, sequence: chain.sequence };
        let position = record::load_named(view, &Key::Dot(bucket, dot), "a chain")?;
        let entry = partition::entry(view, bucket, position, "a dot")?;
        if entry.dot != dot || entry.end != Some(chain.end) {
            let key = Key::Chain(bucket, origin).encode();
            return Err(damaged(
                &key,
                "it does not end where the log says that its origin's last commit ends",
            ));
        }
        logged += chain.sequence.0;
    }
    if logged != reach.log_end.0 {
        let key = Key::Reach(bucket).encode();
        return Err(damaged(&key, "the log holds another number of operations than the chains say"));
    }
    Ok(())
}
