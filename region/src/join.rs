//! Makes a snapshot of another region's store the store of a replica that an epoch has admitted: how a region begins with all that the others hold, instead of taking it operation by operation.
//!
//! The naive way takes the tables and begins an empty log. Whoever reads that log then meets the new replica's first operation without what it was written on (history 5). Here the sender's
//! log comes along and is the head of the new one, so it is a linear extension of happened-before as every log is. The new store stands in the others' logs and feeds where the sender did, and
//! in the sender's at its end. The others stand at the beginning of the new log: so it has a base where the snapshot ends, at which whoever has all of that goes on (decision 0037).
//!
//! What must always hold:
//! - The sender counted the new replica as active when the snapshot was made (history 6): the snapshot itself says so, by the epochs in it.
//! - Nobody has met the new replica before: one that has started, or issued anything, had a store, and would give its numbers twice (history 9).
//! - Nobody is believed who has not signed: the last commit of every origin, and by the chain all before it, bears its signature. That the tables are what the log comes to, `verify.rs` finds,
//!   which is to be asked too.
//! - What is the sender's alone is not taken over: its clock, and what it had heard about who has caught up. Rights are held by replica, so they stay the sender's.
//!
//! Pure: the driver fetches the files, asks these functions, and commits the batch.

use crate::cluster::ClusterPlacement;
use crate::epoch::current_placement;
use crate::follow_epochs;
use crate::keys::{Key, KeyRange};
use crate::meta::{self, Expected, MetaRefused, StoreMeta};
use crate::partition;
use crate::record::{self, OpaqueRecord, PeerRecord, Record};
use crate::store::{Batch, Direction, StoreError, View};
use crdt::{Dot, PartitionId, ReplicaId};
use replication::StoreId;
use replication::commit::is_signed;
use replication::epoch::EpochRefused;
use replication::log::PeerCursor;
use replication::placement::{Epoch, Placement};
use replication::signature::Signatures;
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// A snapshot that can be the store of a new replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joinable {
    /// What the snapshot says of the store that it is of.
    pub sender: StoreMeta,
    /// The epoch in which that stood.
    pub epoch: Epoch,
    own: Expected,
}

/// Why a snapshot does not become the store of a new replica.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JoinRefused {
    /// It is of another placement, or of a version that this one does not read.
    #[error(transparent)]
    Meta(#[from] MetaRefused),
    /// There is none.
    #[error("there is no store in the snapshot: ask another region")]
    NoSnapshot,
    /// It is of the region that is to begin with it.
    #[error(
        "the snapshot is of this very region: a copy of its own store returns by `archipelago admin restore`"
    )]
    OwnStore,
    /// Its epochs are not one signed row.
    #[error(
        "the epochs in the snapshot cannot be followed ({0}): compare the cluster files, or ask another region"
    )]
    Epochs(#[from] EpochRefused),
    /// Whoever made it did not count this replica, or itself, as active.
    #[error(
        "the snapshot was made in epoch {epoch}, which does not count {replica} as active: admit it, and ask once the other region has heard of that"
    )]
    NotActive {
        /// Who is not.
        replica: ReplicaId,
        /// Where the sender stood.
        epoch: u64,
    },
    /// The replica has had a store.
    #[error(
        "others have met {}, so it has a store, or had one: put that back, or close the replica and admit another one with `archipelago admin epoch --close … --admit …`",
        .0
    )]
    HadStore(ReplicaId),
    /// An origin has not signed what the snapshot says it has.
    #[error(
        "the snapshot holds {held} in {partition}, which its origin has not signed: the region that gave it is damaged or lies; keep its disk, and ask another one"
    )]
    NotSigned {
        /// Where.
        partition: PartitionId,
        /// The last operation of that origin in the snapshot.
        held: Dot,
    },
}

impl From<StoreError> for JoinRefused {
    fn from(error: StoreError) -> Self {
        Self::Meta(error.into())
    }
}

/// Looks at a snapshot: whose it is, whether its region counted on the replica that is expected, and whether its origins have signed what it holds.
///
/// # Errors
/// [`JoinRefused`].
pub fn look_at(
    snapshot: &dyn View,
    own: &Expected,
    placement: &ClusterPlacement,
    signatures: &dyn Signatures,
) -> Result<Joinable, JoinRefused> {
    meta::check_format(snapshot)?;
    let sender = meta::read(snapshot)?.ok_or(JoinRefused::NoSnapshot)?;
    if sender.replica.region == own.replica.region {
        return Err(JoinRefused::OwnStore);
    }
    let theirs = Expected { replica: sender.replica, region_name: sender.region_name.clone(), ..own.clone() };
    meta::check(snapshot, &theirs)?;
    let statements = follow_epochs::kept(snapshot, Epoch(0), usize::MAX)?;
    let stands = current_placement(placement, &statements)?;
    for replica in [own.replica, sender.replica] {
        if !stands.active.contains_key(&replica) {
            return Err(JoinRefused::NotActive { replica, epoch: stands.epoch.0 });
        }
    }
    let met: Option<PeerRecord> = record::load(snapshot, &Key::PeerStart(own.replica))?;
    if met.is_some() {
        return Err(JoinRefused::HadStore(own.replica));
    }
    for bucket in partition::buckets(snapshot)? {
        let partition = PartitionId { placement: placement.id, bucket };
        judge_origins(snapshot, partition, (own.replica, &stands), signatures)?;
    }
    Ok(Joinable { sender, epoch: stands.epoch, own: own.clone() })
}

fn judge_origins(
    snapshot: &dyn View,
    partition: PartitionId,
    (own, stands): (ReplicaId, &Placement),
    signatures: &dyn Signatures,
) -> Result<(), JoinRefused> {
    for (origin, chain) in partition::chains(snapshot, partition.bucket)? {
        let held = Dot { replica: origin, sequence: chain.sequence };
        if origin == own {
            return Err(JoinRefused::HadStore(own));
        }
        let key = stands.active.get(&origin).or_else(|| stands.closed.get(&origin));
        let said = (chain.end.head, &chain.end.signature);
        if !key.is_some_and(|key| is_signed(partition, held, said, (signatures, key))) {
            return Err(JoinRefused::NotSigned { partition, held });
        }
    }
    Ok(())
}

impl Joinable {
    /// What is to be written to the snapshot, which is then the store of the new replica, not started yet.
    ///
    /// # Errors
    /// [`StoreError`] when the snapshot cannot be read.
    pub fn begin(self, snapshot: &dyn View, store_id: StoreId) -> Result<(StoreMeta, Batch), StoreError> {
        let Self { sender, own: Expected { replica, region_name, .. }, .. } = self;
        let (from, seen) = (sender.replica, PeerRecord { start: sender.start(), kinds: BTreeSet::new() });
        let meta = StoreMeta { replica, region_name, store_id, start_number: 0, ..sender };
        let (meta, mut batch) = meta::raise(meta);
        record::scan(snapshot, &KeyRange::caught_up(), Direction::Ascending, |key, _: OpaqueRecord| {
            batch.delete(key.encode());
            Ok(ControlFlow::Continue(()))
        })?;
        batch.delete(Key::Present.encode());
        for bucket in partition::buckets(snapshot)? {
            let reach = partition::reach(snapshot, bucket)?;
            let read = PeerCursor { log: reach.log_end, feed: reach.feed_end };
            put(&mut batch, &Key::Cursor(bucket, from), &read);
            partition::lay_base(snapshot, bucket, &mut batch)?;
        }
        // A store of the sender's that comes after this one is noticed here too.
        put(&mut batch, &Key::PeerStart(from), &seen);
        // Epochs have closed and admitted replicas since: all groups are gone through for what is due.
        put(&mut batch, &Key::Survey, &0_u64);
        crate::sometimes::STORE_JOINED.reach();
        Ok((meta, batch))
    }
}

fn put(batch: &mut Batch, key: &Key, record: &impl Record) {
    let key = key.encode();
    let value = record::seal(&key, record);
    batch.put(key, value);
}
