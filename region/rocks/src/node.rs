//! A whole region: its lock, a store and a shard thread for each of its placements, and its bridges.
//!
//! ```text
//!   gateway ──commands──▶ mailbox ──▶ shard thread ──sync──▶ effects ──▶ gateway, bridges ──▶ peers
//!   peers ──▶ bridges ──entries──▶ mailbox
//! ```
//! What must always hold:
//! - Nothing is served, no peer met, before every store was found to be this region's and its new start number is durable.
//! - A refusal to start has changed nothing but start numbers.

use crate::audit::Audit;
use crate::bridges::BridgeHub;
use crate::checkpoints;
use crate::clock::RegionClock;
use crate::compact_files::Compactor;
use crate::counters::ShardCounters;
use crate::data_folder::{DataFolder, FolderRefused};
use crate::ending::Ending;
use crate::engine::SharedMemory;
use crate::entropy;
use crate::handle::{Behind, DeviceSink, PlacementHandle, RegionHandle, Shared};
use crate::machine;
use crate::mailbox::{Inbox, Letter, WeakMailbox, mailbox};
use crate::own_facts::OwnFacts;
use crate::port::Port;
use crate::scrub_thread::Scrubber;
use crate::shard_thread::ShardThread;
use crate::snapshots::Snapshots;
use crate::store::RocksStore;
use crdt::{Now, PlacementId, RegionId, ReplicaId};
use ed25519_dalek::SigningKey;
use rand_core::RngCore as _;
use region::cluster::{Cluster, ClusterPlacement, ClusterRegion};
use region::epoch::current_placement;
use region::follow_epochs;
use region::limits::{DAY_MS, Limits};
use region::machine::{Needs, Shortage, descriptors_wanted, judge};
use region::meta::{self, Expected, MetaRefused};
use region::present::{self, Present};
use region::scrub::Scrub;
use region::shard::{OpenError, Shard, ShardConfig};
use region::store::{Store as _, StoreError};
use region_gossip::{Gossip, GossipConfig};
use replication::bridge::{Bridge, Config, OwnStore};
use replication::epoch::{EpochRefused, EpochStatement};
use replication::placement::{Epoch, Placement, Placements};
use replication::signature::Ed25519;
use replication::{StoreId, StoreStart};
use replication_quic::{
    BridgeSettings, Bridges, BridgesConfig, Certificates, EndpointRefused, GossipPort, PeerConfig,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::thread;
use tokio::runtime::Handle;

/// What a region is started with.
#[derive(Debug)]
pub struct NodeConfig {
    /// Which region of the cluster.
    pub region: RegionId,
    /// The cluster file.
    pub cluster: Arc<Cluster>,
    /// The epochs of the cluster's placements, as an operator has them; a store may have kept later ones.
    pub epochs: Vec<EpochStatement>,
    /// Signs this region's commits.
    pub signing_key: SigningKey,
    /// Who this region is to its peers and devices.
    pub certificates: Arc<Certificates>,
    /// The data folder.
    pub data: PathBuf,
    /// What the shards accept.
    pub limits: Limits,
    /// About the bridges' socket.
    pub bridges: BridgeSettings,
    /// Devices that may be connected at a time: each takes a descriptor of this process.
    pub connections_max: usize,
    /// The present may go back to what the wall clock says, behind what the stores remember: the operator's word that the clock was wrong
    /// when they were last written, and is right now.
    pub trust_wall_clock: bool,
    /// What is done when the region must not go on.
    pub ending: Ending,
}

/// Why a region does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartRefused {
    /// The cluster file has no such region.
    #[error("the cluster file has no region {0}: check its name")]
    UnknownRegion(RegionId),
    /// The epochs of a placement are not one unbroken, rightly signed row.
    #[error("the epochs of placement {placement} cannot be followed: {why}")]
    Epochs {
        /// The placement.
        placement: String,
        /// Why.
        why: EpochRefused,
    },
    /// The region is active in none of its placements.
    #[error(
        "the epoch of placement {placement} names no replica of this region, nor does that of any other: get the newest epochs from an operator; one that was closed returns as a new incarnation"
    )]
    NotInEpoch {
        /// The first of its placements.
        placement: String,
    },
    /// The data folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderRefused),
    /// A store cannot be opened, is damaged, or failed.
    #[error("placement {placement}: {error}")]
    Store {
        /// Whose store.
        placement: String,
        /// Why.
        error: StoreError,
    },
    /// A store is not this region's, or not of this version.
    #[error("placement {placement}: {error}")]
    Meta {
        /// Whose store.
        placement: String,
        /// Why.
        error: MetaRefused,
    },
    /// A shard does not open.
    #[error("placement {placement}: {error}")]
    Shard {
        /// Whose shard.
        placement: String,
        /// Why.
        error: OpenError,
    },
    /// The bridges' socket or certificates.
    #[error(transparent)]
    Bridges(#[from] EndpointRefused),
    /// The machine lacks what no region works without.
    #[error("{} ({})", .0, .0.code())]
    Machine(Shortage),
    /// The system has no more threads or no randomness.
    #[error("the system refused {what}: {reason}")]
    System {
        /// What was asked.
        what: &'static str,
        /// What it said.
        reason: std::io::Error,
    },
}

/// A running region.
#[derive(Debug)]
pub struct RegionNode {
    handle: RegionHandle,
    bridges: Bridges,
    gossip: Gossip,
    shards: Vec<thread::JoinHandle<()>>,
    scrubbers: Vec<Scrubber>,
    /// Held until everything else is gone.
    folder: DataFolder,
}

/// One placement, opened and checked.
struct Opened {
    id: PlacementId,
    replica: ReplicaId,
    start: StoreStart,
    /// The present that the store remembers.
    floor: Now,
    store: RocksStore,
    shard: Shard,
}

impl RegionNode {
    /// Opens the stores, starts the shards and the bridges. Call it within a multi-threaded tokio runtime.
    ///
    /// # Errors
    /// [`StartRefused`] says what to do; nothing is served then.
    pub fn start(config: NodeConfig) -> Result<Self, StartRefused> {
        let Some(own) = config.cluster.regions.get(&config.region).cloned() else {
            return Err(StartRefused::UnknownRegion(config.region));
        };
        let mut folder = DataFolder::open(&config.data)?;
        let stores = config.cluster.placements_of(own.id).count();
        let needs = machine::needs(stores, config.connections_max);
        look_at_machine(&config.data, &needs)?;
        checkpoints::remove_left_over(&config.data);
        let memory = SharedMemory::new();
        let mut opened = Vec::new();
        let mut placements = Vec::new();
        for placement in config.cluster.placements.values() {
            if !placement.regions.contains(&own.id) {
                placements.push(current(placement, &config.epochs)?);
                continue;
            }
            let (under_epoch, held) = begin_placement(&config, &mut folder, &memory, placement, &own.name)?;
            placements.push(under_epoch);
            opened.extend(held);
        }
        if let Some(first) = config.cluster.placements_of(own.id).next()
            && opened.is_empty()
        {
            return Err(StartRefused::NotInEpoch { placement: first.name.clone() });
        }
        Self::run(config, needs, Placements::new(placements), folder, opened, own)
    }

    fn run(
        config: NodeConfig,
        needs: Needs,
        placements: Placements,
        folder: DataFolder,
        opened: Vec<Opened>,
        own: ClusterRegion,
    ) -> Result<Self, StartRefused> {
        let hub = BridgeHub::new(&config.cluster, config.region, placements);
        let remembered = opened.iter().map(|placement| placement.floor).max().unwrap_or_default();
        let clock = start_clock(remembered);
        let devices = DeviceSink::default();
        let behind = Behind::of(opened.iter().filter(|held| held.shard.is_behind()).map(|held| held.id));
        let mut stores = BTreeMap::new();
        let mut for_bridges = BTreeMap::new();
        let mut placements = BTreeMap::new();
        let (mut waiting, mut scrubbers) = (Vec::new(), Vec::new());
        for placement in opened {
            let (mailbox, inbox) = mailbox();
            let to_shard = mailbox.downgrade();
            let reader = placement.store.reader();
            let Opened { id, replica, start, .. } = &placement;
            let (id, replica, start) = (*id, *replica, *start);
            stores.insert(id, OwnStore { replica, start });
            for_bridges.insert(id, (reader.clone(), mailbox.clone()));
            let counters = Arc::new(ShardCounters::default());
            let scrub = Scrub::new(id, start.number, config.limits.scrub_within_ms);
            let scrubber = Scrubber::start(scrub, reader.clone(), Arc::clone(&counters));
            scrubbers.push(scrubber.map_err(no_thread)?);
            let counted = Arc::clone(&counters);
            let handle = PlacementHandle { replica, reader, mailbox, counters: counted };
            placements.insert(id, handle);
            waiting.push((placement, inbox, to_shard, counters));
        }
        let checkpoint: Arc<Mutex<()>> = Arc::default();
        let port = Arc::new(Port {
            region: config.region,
            clock: Arc::clone(&clock),
            placements: for_bridges,
            hub: hub.clone(),
            ending: config.ending.clone(),
            snapshots: Snapshots {
                cluster: Arc::clone(&config.cluster),
                region: config.region,
                data: config.data.clone(),
                hub: hub.clone(),
                behind: behind.clone(),
                checkpoint: Arc::clone(&checkpoint),
            },
        });
        let (ending, runtime) = (config.ending.clone(), Handle::current());
        let (region, cluster) = (config.region, Arc::clone(&config.cluster));
        let data = config.data.clone();
        let certificates = Arc::clone(&config.certificates);
        let (bridges, gossip_port) = start_bridges(config, &hub, stores, &port, own.bridge)?;
        let draining: Arc<AtomicBool> = Arc::default();
        let facts = OwnFacts {
            own,
            port,
            behind: behind.clone(),
            devices: devices.clone(),
            draining: Arc::clone(&draining),
        };
        let gossip = start_gossip(&cluster, facts, gossip_port);
        let shared = Shared {
            region,
            cluster,
            audit: Audit::new(data.clone()),
            data,
            needs,
            checkpoint,
            clock: Arc::clone(&clock),
            placements,
            hub: hub.clone(),
            devices: devices.clone(),
            bridge_counters: bridges.counters().clone(),
            snapshot_counters: Arc::clone(bridges.snapshots()),
            open_bridges: bridges.open(),
            behind: behind.clone(),
            certificates,
            view: gossip.view(),
            gossip_counters: Arc::clone(gossip.counters()),
            draining,
        };
        let start_shard =
            |(opened, inbox, to_shard, counters): (Opened, Inbox, WeakMailbox, Arc<ShardCounters>)| {
                let Opened { id: placement, replica, store, shard, .. } = opened;
                let compactor =
                    Compactor::start(store.files(), Arc::clone(&counters), to_shard).map_err(no_thread)?;
                let thread = ShardThread {
                    placement,
                    replica,
                    shard,
                    store,
                    present: Present::default(),
                    inbox,
                    compactor,
                    clock: Arc::clone(&clock),
                    entropy: fresh_entropy()?,
                    devices: devices.clone(),
                    bridges: hub.clone(),
                    behind: behind.clone(),
                    ending: ending.clone(),
                    counters,
                    runtime: runtime.clone(),
                };
                thread.start().map_err(no_thread)
            };
        let shards = waiting.into_iter().map(start_shard).collect::<Result<_, _>>()?;
        let handle = RegionHandle { shared: Arc::new(shared) };
        Ok(Self { handle, bridges, gossip, shards, scrubbers, folder })
    }

    /// What the gateway holds of this region.
    #[must_use]
    pub fn handle(&self) -> RegionHandle {
        self.handle.clone()
    }

    /// The bridges: their counters, and which are open.
    #[must_use]
    pub fn bridges(&self) -> &Bridges {
        &self.bridges
    }

    /// Stops the bridges and the shards and gives the data folder back. Commands taken before are committed and answered; later ones
    /// are refused as busy. The stores close when the last reader is gone.
    pub async fn stop(self) {
        let Self { handle, bridges, gossip, shards, scrubbers, folder } = self;
        drop(gossip);
        bridges.stop().await;
        for placement in handle.shared.placements.values() {
            placement.mailbox.deliver(Letter::Stop).await;
        }
        let join = move || {
            drop(scrubbers);
            shards.into_iter().for_each(|shard| _ = shard.join());
        };
        // Joining blocks, so it happens off the runtime's threads; a shard that panicked has said so already.
        let _ = tokio::task::spawn_blocking(join).await;
        drop(folder);
    }
}

/// Says what the machine falls short of, a line each. Nothing was opened yet.
fn look_at_machine(data: &Path, needs: &Needs) -> Result<(), StartRefused> {
    machine::raise_descriptors(descriptors_wanted(needs));
    for shortage in judge(&machine::measure(data), needs) {
        if shortage.stops() {
            return Err(StartRefused::Machine(shortage));
        }
        tracing::warn!(code = shortage.code(), "{shortage}");
    }
    Ok(())
}

/// The region's clock, not before that. A wall clock behind it is told of: only its being late can be seen.
fn start_clock(floor: Now) -> Arc<RegionClock> {
    let clock = RegionClock::start(floor);
    let now = clock.now();
    if now == floor {
        let behind_ms = clock.wall_offset_us().unsigned_abs() / 1_000;
        tracing::warn!(
            behind_ms,
            "the wall clock is behind what the stores remember: set it; if it is right, and was wrong before, start once with --trust-clock"
        );
    }
    Arc::new(clock)
}

const fn no_thread(reason: std::io::Error) -> StartRefused {
    StartRefused::System { what: "a thread", reason }
}

fn fresh_entropy() -> Result<rand_chacha::ChaCha20Rng, StartRefused> {
    entropy::fresh().map_err(|reason| StartRefused::System { what: "randomness", reason })
}

/// A placement under the last of its epochs that are among these.
fn current(placement: &ClusterPlacement, epochs: &[EpochStatement]) -> Result<Placement, StartRefused> {
    let of_it = epochs.iter().filter(|statement| statement.placement == placement.id).cloned();
    let followed = current_placement(placement, &of_it.collect::<Vec<_>>());
    followed.map_err(|why| StartRefused::Epochs { placement: placement.name.clone(), why })
}

/// Opens a placement's store, checks whose it is, counts this start durably, and opens its shard. A region that no epoch has brought into it, or one has taken out of it, has none there: it
/// goes on in the others (decision 0042).
fn begin_placement(
    config: &NodeConfig,
    folder: &mut DataFolder,
    memory: &SharedMemory,
    placement: &ClusterPlacement,
    region_name: &str,
) -> Result<(Placement, Option<Opened>), StartRefused> {
    let name = || placement.name.clone();
    if !folder.holds(&placement.name) {
        let under_epoch = current(placement, &config.epochs)?;
        if under_epoch.replica_of(config.region).is_none() {
            tracing::info!(placement = %placement.name, "no epoch has this region in it");
            return Ok((under_epoch, None));
        }
    }
    let failed = |error| StartRefused::Store { placement: name(), error };
    let not_its = |error| StartRefused::Meta { placement: name(), error };
    let mut store = RocksStore::open(&folder.store(&placement.name)?, memory).map_err(failed)?;
    meta::check_format(&store).map_err(not_its)?;
    let kept = follow_epochs::kept(&store, Epoch(0), usize::MAX).map_err(failed)?;
    let epochs: Vec<EpochStatement> = config.epochs.iter().cloned().chain(kept).collect();
    let under_epoch = current(placement, &epochs)?;
    let Some(replica) = under_epoch.replica_of(config.region) else {
        tracing::warn!(placement = %placement.name, "an epoch has taken this region out of it: what its store holds is served no more; once it is everywhere, `archipelago admin remove-store` removes it");
        return Ok((under_epoch, None));
    };
    let expected = Expected {
        replica,
        region_name: region_name.to_owned(),
        placement: placement.id,
        placement_name: name(),
    };
    let found = meta::check(&store, &expected).map_err(not_its)?;
    let found = match found {
        Some(found) => found,
        None => {
            let mut entropy = fresh_entropy()?;
            let store_id = u128::from(entropy.next_u64()) << 64 | u128::from(entropy.next_u64());
            let (created, batch) = meta::create(&expected, StoreId(store_id));
            store.commit(&batch).map_err(failed)?;
            created
        }
    };
    let (started, mut batch) = meta::advance(found);
    if config.trust_wall_clock {
        present::forget(&mut batch);
    }
    store.commit(&batch).map_err(failed)?;
    // What an operator gave is kept, so that it can be told to peers that lack it.
    let of_it: Vec<_> = epochs.into_iter().filter(|statement| statement.placement == placement.id).collect();
    let unkept = follow_epochs::to_keep(&store, &of_it).map_err(failed)?;
    if !unkept.is_empty() {
        store.commit(&unkept).map_err(failed)?;
    }
    folder.note_started(&placement.name)?;
    let allowed_pins = config.cluster.placements.keys().copied();
    let allowed_pins = allowed_pins.filter(|pin| config.cluster.may_take_part(*pin, placement.id)).collect();
    let floor = present::floor(&store).map_err(failed)?;
    let shard = ShardConfig {
        placement: under_epoch.clone(),
        allowed_pins,
        replica,
        signing_key: config.signing_key.clone(),
        signatures: Arc::new(Ed25519),
        limits: Limits {
            kept_ms: placement.kept_days.map_or(config.limits.kept_ms, |days| days.saturating_mul(DAY_MS)),
            ..config.limits.clone()
        },
    };
    let shard = Shard::open(shard, &store);
    let shard = shard.map_err(|error| StartRefused::Shard { placement: name(), error })?;
    let (id, start) = (placement.id, started.start());
    Ok((under_epoch, Some(Opened { id, replica, start, floor, store, shard })))
}

fn start_bridges(
    config: NodeConfig,
    hub: &BridgeHub,
    stores: BTreeMap<PlacementId, OwnStore>,
    port: &Arc<Port>,
    listen: std::net::SocketAddr,
) -> Result<(Bridges, GossipPort), StartRefused> {
    let cluster = &config.cluster;
    let mut peers = BTreeMap::new();
    for peer in cluster.peers_of(config.region) {
        // Every peer of a region is in the cluster file and has a bridge here: both come from it.
        let (Some(address), Some(notices)) = (cluster.bridge_address(config.region, peer), hub.notices(peer))
        else {
            continue;
        };
        let bridge = Bridge::new(Config {
            cluster: cluster.name.clone(),
            own: config.region,
            peer,
            placements: hub.placements().borrow().clone(),
            stores: stores.clone(),
            kinds: region::forms::known(),
        });
        let entropy = Box::new(fresh_entropy()?);
        peers.insert(peer, PeerConfig { address, bridge, notices, entropy });
    }
    let names = cluster.regions.values().map(|region| (region.id, region.name.clone())).collect();
    let bridges = BridgesConfig {
        own: config.region,
        listen,
        certificates: config.certificates,
        names,
        settings: config.bridges,
    };
    Ok(Bridges::start(bridges, peers, port)?)
}

/// A start of a region has the region's present for its number, which only an operator's word sets back.
fn start_gossip(cluster: &Cluster, facts: OwnFacts, port: GossipPort) -> Gossip {
    let own = facts.own.id;
    let config = GossipConfig {
        own,
        started_ms: facts.port.clock.now().ms(),
        regions: cluster.regions.keys().copied().collect(),
        peers: cluster.peers_of(own),
    };
    Gossip::start(config, port, facts)
}
