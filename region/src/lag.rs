//! How a region stands in a placement, for its operators: what it holds, what of that is stable, and what of its own operations each peer has not acknowledged.
//!
//! What must always hold: it is of one view, and says of a peer what is known here: an acknowledgement takes a second and the way, so a peer that keeps up may be told to lack the last
//! second's operations. A peer of which nothing was ever heard lacks everything.
//!
//! Cost: a few reads for each partition that holds anything, and one more for each that somebody lacks something of. Not for every second.

use crate::acknowledge;
use crate::partition;
use crate::store::{StoreError, View};
use crdt::{Dot, ReplicaId, Sequence};
use replication::placement::Placement;
use std::collections::BTreeMap;

/// How a region stands in a placement.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// Operations held.
    pub operations: u64,
    /// Those of them that are known to be stable.
    pub stable: u64,
    /// The other active replicas.
    pub peers: BTreeMap<ReplicaId, Lag>,
}

/// What a peer is not known to have of this replica's own operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lag {
    /// How many.
    pub operations: u64,
    /// When the oldest of them was issued, in milliseconds since 1970; none if it lacks none.
    pub oldest_ms: Option<u64>,
}

/// How that replica stands.
///
/// # Errors
/// [`StoreError`] when the store cannot be read or is damaged.
pub fn standing(view: &dyn View, placement: &Placement, own: ReplicaId) -> Result<Standing, StoreError> {
    let peers = placement.active.keys().filter(|replica| **replica != own);
    let peers = peers.map(|replica| (*replica, Lag::default())).collect();
    let mut standing = Standing { peers, ..Standing::default() };
    for bucket in partition::buckets(view)? {
        let chains = partition::chains(view, bucket)?;
        standing.operations += chains.values().map(|chain| chain.sequence.0).sum::<u64>();
        standing.stable += acknowledge::stable(view, bucket)?.iter().map(|dot| dot.sequence.0).sum::<u64>();
        let Some(issued) = chains.get(&own).map(|chain| chain.sequence) else { continue };
        for (peer, lag) in &mut standing.peers {
            let had = acknowledge::known(view, bucket, *peer)?.newest().applied.get(own);
            if had >= issued {
                continue;
            }
            lag.operations += issued.0 - had.0;
            let first = Dot { replica: own, sequence: Sequence(had.0 + 1) };
            if let Some(position) = partition::position_of(view, bucket, first)? {
                let since_ms = partition::envelope(view, bucket, position, "a dot")?.hlc.ms();
                lag.oldest_ms = Some(lag.oldest_ms.map_or(since_ms, |oldest| oldest.min(since_ms)));
            }
        }
    }
    Ok(standing)
}
