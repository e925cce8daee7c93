//! All bridges of a region: one socket, a listener, and a task for each peer.
//!
//! What must always hold: when this is dropped every connection is closed and every task ends.

use crate::bridge_task::{BridgeTask, TaskState};
use crate::certificates::Certificates;
use crate::counters::BridgeCounters;
use crate::dial::{Dialer, Listener};
use crate::endpoint::{self, BridgeSettings, EndpointRefused};
use crate::gossip::{GossipPort, gossip};
use crate::identity::Spoken;
use crate::limits::{DELIVERIES_MAX, HANDSHAKES_MAX, SNAPSHOTS_MAX, STOP_TIMEOUT};
use crate::notices::Notices;
use crate::region_port::RegionPort;
use crate::snapshots::SnapshotCounters;
use crate::snapshots::give;
use arc_swap::ArcSwap;
use crdt::RegionId;
use quinn::{Endpoint, VarInt};
use rand_core::RngCore;
use replication::bridge::Bridge;
use replication::reason::CODE_STOPPING;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

/// What the bridges of a region are set up with.
#[derive(Debug)]
pub struct BridgesConfig {
    /// This region.
    pub own: RegionId,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Who it is, from now on and whenever the files change.
    pub certificates: Arc<Certificates>,
    /// The names of the cluster's regions, as certificates carry them.
    pub names: BTreeMap<RegionId, String>,
    /// What an operator chose.
    pub settings: BridgeSettings,
}

/// One peer.
pub struct PeerConfig {
    /// Where it is dialled, if this side dials.
    pub address: SocketAddr,
    /// The core, which has not been given anything yet.
    pub bridge: Bridge,
    /// What the shards tell this bridge.
    pub notices: Arc<Notices>,
    /// The core's randomness.
    pub entropy: Box<dyn RngCore + Send + Sync>,
}

/// The running bridges of a region.
pub struct Bridges {
    endpoint: Endpoint,
    tasks: JoinSet<()>,
    counters: BTreeMap<RegionId, Arc<BridgeCounters>>,
    snapshots: Arc<SnapshotCounters>,
    open: watch::Receiver<BTreeSet<RegionId>>,
}

impl Bridges {
    /// Opens the socket and starts a bridge to each peer; the port carries gossip over them. Call it within a tokio runtime.
    ///
    /// # Errors
    /// [`EndpointRefused`] when the address or the certificates cannot be used.
    pub fn start<R: RegionPort>(
        config: BridgesConfig,
        peers: BTreeMap<RegionId, PeerConfig>,
        region: &Arc<R>,
    ) -> Result<(Self, GossipPort), EndpointRefused> {
        let settings = config.settings;
        let (accepting_as, dialling_as) =
            endpoint::set_up(&config.certificates.current(), Spoken::Bridge, settings)?;
        let endpoint = endpoint::open(config.listen, accepting_as)?;
        let dialling_as = Arc::new(ArcSwap::from_pointee(dialling_as));
        let names = Arc::new(config.names);
        let (open, open_seen) = watch::channel(BTreeSet::new());
        let mut tasks = JoinSet::new();
        let counters: BTreeMap<RegionId, Arc<BridgeCounters>> =
            peers.keys().map(|peer| (*peer, Arc::default())).collect();
        let (port, mut gossip_lines) = gossip(&counters);
        let mut accepting = BTreeMap::new();
        for (peer, PeerConfig { address, bridge, notices, entropy }) in peers {
            // There are counters and a line of each peer.
            let (Some(counted), Some(gossip)) = (counters.get(&peer).cloned(), gossip_lines.remove(&peer))
            else {
                continue;
            };
            let (arrived, arrivals) = mpsc::channel(1);
            accepting.insert(peer, (arrived.clone(), Arc::clone(&counted)));
            let (deliveries, mut to_deliver) = mpsc::channel(DELIVERIES_MAX);
            let shards = Arc::clone(region);
            tasks.spawn(async move {
                while let Some(delivery) = to_deliver.recv().await {
                    shards.deliver(peer, delivery).await;
                }
            });
            let dialer = Dialer {
                endpoint: endpoint.clone(),
                dialling_as: Arc::clone(&dialling_as),
                address,
                peer,
                names: Arc::clone(&names),
                arrivals: arrived,
                counters: Arc::clone(&counted),
            };
            let task = BridgeTask {
                peer,
                bridge,
                region: Arc::clone(region),
                entropy,
                notices,
                arrivals,
                dialer,
                open: open.clone(),
                deliveries,
                counters: counted,
                gossip,
                state: TaskState::default(),
            };
            tasks.spawn(task.run());
        }
        let handshakes = Arc::new(Semaphore::new(HANDSHAKES_MAX));
        let (snapshots, callers) = mpsc::channel(SNAPSHOTS_MAX);
        let snapshot_counters: Arc<SnapshotCounters> = Arc::default();
        tasks.spawn(give::give(Arc::clone(region), callers, Arc::clone(&snapshot_counters)));
        let listener = Listener {
            own: config.own,
            names,
            bridges: accepting,
            handshakes,
            snapshots: (snapshots, Arc::new(Semaphore::new(SNAPSHOTS_MAX))),
            snapshot_counters: Arc::clone(&snapshot_counters),
        };
        tasks.spawn(listener.run(endpoint.clone()));
        let renewing = endpoint.clone();
        tasks.spawn(config.certificates.watch(move |identity| {
            let (accepting, dialling) = endpoint::set_up(identity, Spoken::Bridge, settings)?;
            renewing.set_server_config(Some(accepting));
            dialling_as.store(Arc::new(dialling));
            Ok(())
        }));
        Ok((Self { endpoint, tasks, counters, snapshots: snapshot_counters, open: open_seen }, port))
    }

    /// What each bridge has carried.
    #[must_use]
    pub fn counters(&self) -> &BTreeMap<RegionId, Arc<BridgeCounters>> {
        &self.counters
    }

    /// What was given to regions that join.
    #[must_use]
    pub fn snapshots(&self) -> &Arc<SnapshotCounters> {
        &self.snapshots
    }

    /// The regions whose bridges are open: both sides have accepted each other. It changes as bridges come and go.
    #[must_use]
    pub fn open(&self) -> watch::Receiver<BTreeSet<RegionId>> {
        self.open.clone()
    }

    /// The address at which this region listens.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn local_address(&self) -> std::io::Result<SocketAddr> {
        self.endpoint.local_addr()
    }

    /// Closes every connection and waits until the peers have been told, or [`STOP_TIMEOUT`] has passed.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
        self.endpoint.close(VarInt::from_u32(CODE_STOPPING), b"stopping");
        // A peer that does not hear it finds out by its idle timeout.
        let _ = tokio::time::timeout(STOP_TIMEOUT, self.endpoint.wait_idle()).await;
    }
}

impl Drop for Bridges {
    fn drop(&mut self) {
        self.endpoint.close(VarInt::from_u32(CODE_STOPPING), b"stopping");
    }
}

impl fmt::Debug for Bridges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bridges").field("peers", &self.counters.keys()).finish_non_exhaustive()
    }
}

impl fmt::Debug for PeerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerConfig").field("address", &self.address).finish_non_exhaustive()
    }
}
