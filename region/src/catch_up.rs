//! When a replica that an epoch has admitted has caught up: before that its region answers no device.
//!
//! An empty store that is given to devices tells them that they are in no conversation, and takes what they send again as if nobody had it. So whoever is admitted after the first epoch
//! waits until each active replica has said that all that it held when their connection opened has been sent, and has it. What came after that is as late here as it always is.
//!
//! The naive way is to wait until this region's vector covers the others', as they acknowledge: but of a partition of which nothing has been heard nobody knows whether there is
//! anything in it.
//!
//! What must always hold:
//! - Caught up once is caught up for good, also when others are admitted later. Whoever was active in the first epoch was never behind.
//! - A peer's word counts only if all that stood before it was taken: of what was refused, or lost with a connection, a later word tells.
//! - It is not waited for a replica that an epoch has closed meanwhile.
//! - What was heard is kept, so that a restart waits for nobody a second time.

use crate::follow_epochs;
use crate::keys::Key;
use crate::pending::Pending;
use crate::record::{self, OpaqueRecord};
use crate::shard::{Effect, ShardConfig};
use crate::store::{StoreError, View};
use bytes::Bytes;
use crdt::{PartitionId, ReplicaId};
use replication::log::PeerCursor;
use replication::placement::Epoch;
use std::collections::BTreeMap;

/// Whether a replica has caught up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It lacks what somebody active held.
    Behind,
    /// It has, or was never behind.
    CaughtUp,
}

impl Standing {
    /// As a store has it.
    pub(crate) fn load(config: &ShardConfig, view: &dyn View) -> Result<Self, StoreError> {
        let known: Option<OpaqueRecord> = record::load(view, &Key::CaughtUp(config.replica))?;
        let is_first = config.placement.epoch <= Epoch(1)
            || follow_epochs::kept(view, Epoch(0), 1)?
                .first()
                .is_some_and(|first| first.active.contains_key(&config.replica));
        Ok(if is_first || known.is_some() { Self::CaughtUp } else { Self::Behind })
    }
}

/// A peer says that all it held when the connection opened stands before this.
pub(crate) fn note(
    pending: &mut Pending<'_>,
    standing: Standing,
    peer: ReplicaId,
    had: &BTreeMap<PartitionId, PeerCursor>,
) -> Result<(), StoreError> {
    if standing == Standing::CaughtUp {
        return Ok(());
    }
    for (partition, told) in had {
        let taken: Option<PeerCursor> = pending.tables.load(&Key::Cursor(partition.bucket, peer))?;
        let taken = taken.unwrap_or_default();
        if taken.log < told.log || taken.feed < told.feed {
            crate::sometimes::CAUGHT_UP_BUT_FOR_A_REFUSAL.reach();
            return Ok(());
        }
    }
    put(pending, peer);
    Ok(())
}

/// Whether everybody active has said so by now.
pub(crate) fn judge(pending: &mut Pending<'_>, standing: &mut Standing) -> Result<(), StoreError> {
    if *standing == Standing::CaughtUp {
        return Ok(());
    }
    let own = pending.config.replica;
    for peer in pending.config.placement.active.keys().copied().filter(|peer| *peer != own) {
        if pending.tables.load::<OpaqueRecord>(&Key::CaughtUp(peer))?.is_none() {
            return Ok(());
        }
    }
    crate::sometimes::CAUGHT_UP.reach();
    put(pending, own);
    pending.tables.effects.push(Effect::CaughtUp);
    *standing = Standing::CaughtUp;
    Ok(())
}

fn put(pending: &mut Pending<'_>, replica: ReplicaId) {
    pending.tables.put(&Key::CaughtUp(replica), &OpaqueRecord(Bytes::new()));
}
