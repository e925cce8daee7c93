//! The region as its bridges see it: its present, its durable logs, its shards' mailboxes.
//!
//! What must always hold: bridges read through readers, which show durable batches alone (promise 2); a delivery goes to the shard
//! of its placement, in order, and is told taken by that shard once it is durable.

use crate::bridges::BridgeHub;
use crate::clock::RegionClock;
use crate::ending::Ending;
use crate::mailbox::{Letter, Mailbox, Taken};
use crate::snapshots::Snapshots;
use crate::store::Reader;
use crdt::{Now, PlacementId, RegionId};
use region::log_view::StoreLog;
use region::shard::Input;
use region::store::View;
use replication::Delivery;
use replication::log::LogView;
use replication::reason::Reason;
use replication::snapshot::Asked;
use replication_quic::{GivenSnapshot, RegionPort};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the bridges of a region are given of it.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) region: RegionId,
    pub(crate) clock: Arc<RegionClock>,
    pub(crate) placements: BTreeMap<PlacementId, (Reader, Mailbox)>,
    pub(crate) hub: BridgeHub,
    pub(crate) ending: Ending,
    pub(crate) snapshots: Snapshots,
}

impl RegionPort for Port {
    fn now(&self) -> Now {
        self.clock.now()
    }

    fn read_log(&self, read: &mut dyn FnMut(&dyn LogView)) {
        let views = self.placements.iter().map(|(placement, (reader, _))| (*placement, reader as &dyn View));
        read(&StoreLog::new(self.region, views));
    }

    async fn deliver(&self, from: RegionId, delivery: Delivery) {
        // The core delivers only for placements of which both regions have stores.
        let Some((_, mailbox)) = self.placements.get(&delivery.placement()) else { return };
        let (input, bytes) = match delivery {
            Delivery::PeerStarted { peer, start, kinds, .. } => {
                (Input::PeerStarted { peer, start, kinds }, None)
            }
            Delivery::PeerCaughtUp { peer, had, .. } => (Input::PeerCaughtUp { peer, had }, None),
            Delivery::Epochs { statements, .. } => (Input::Epochs(statements), None),
            Delivery::Entries { peer, partition, commits, cursor, bytes } => {
                (Input::Entries { peer, partition, commits, cursor }, Some(bytes))
            }
            Delivery::Registers { peer, partition, registers, after, cursor, bytes } => {
                (Input::Registers { peer, partition, registers, after, cursor }, Some(bytes))
            }
        };
        let taken = bytes.zip(self.hub.notices(from)).map(|(bytes, notices)| Taken { notices, bytes });
        mailbox.deliver(Letter::Replicated { input, taken }).await;
    }

    async fn snapshot(&self, from: RegionId, asked: Asked) -> Result<GivenSnapshot, Reason> {
        let proof = self.snapshots.judge(from, &asked)?;
        let placement = proof.placement();
        let failed = |reason: String| Reason::NoSnapshot { placement, reason };
        let held = self.placements.get(&placement).ok_or_else(|| failed("there is no store".to_owned()))?;
        let (snapshots, reader) = (self.snapshots.clone(), held.0.clone());
        let made = move || snapshots.make(proof, asked.format_max, &reader);
        tokio::task::spawn_blocking(made).await.unwrap_or_else(|error| Err(failed(error.to_string())))
    }

    fn stop(&self, why: &str) {
        self.ending.end(why);
    }
}
