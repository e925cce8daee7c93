//! A region's gossip, running: says what the region is, and makes a view of what is heard.
//!
//! What must always hold: a start is another node than the one before it, since it has a larger number; what this region says of itself is at most a second old;
//! when it is dropped, nothing of it goes on.

use crate::carrier::{Bridges, Carrier};
use crate::counters::GossipCounters;
use crate::gate::{FACTS, Gate, Held};
use crate::limits::{FORGET_AFTER, LOOK_EVERY, PHI, ROUND_EVERY, SILENCE_MAX, WORD_EVERY, WORDS};
use crate::node::{address_of, id, region_of};
use chitchat::{Chitchat, ChitchatConfig, ChitchatHandle, ChitchatId, FailureDetectorConfig, spawn_chitchat};
use crdt::{Now, RegionId};
use region::membership::{Facts, Seen, View};
use replication_quic::GossipPort;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

/// What gossip asks its region.
pub trait GossipingRegion: Send + Sync + 'static {
    /// The present, by the region's disciplined clock.
    fn now(&self) -> Now;

    /// What the region says of itself now.
    fn facts(&self) -> Facts;
}

/// What gossip is started with.
#[derive(Debug, Clone)]
pub struct GossipConfig {
    /// This region.
    pub own: RegionId,
    /// Larger with each start of this region: its present when it started, in milliseconds.
    pub started_ms: u64,
    /// The regions of the cluster file.
    pub regions: BTreeSet<RegionId>,
    /// Those that this one has a bridge to.
    pub peers: BTreeSet<RegionId>,
}

/// Running gossip. Ends when it is dropped.
pub struct Gossip {
    view: watch::Receiver<Arc<View>>,
    counters: Arc<GossipCounters>,
    _task: JoinSet<()>,
}

impl Gossip {
    /// Starts it. Call it within a tokio runtime.
    pub fn start<R: GossipingRegion>(config: GossipConfig, port: GossipPort, region: R) -> Self {
        let counters: Arc<GossipCounters> = Arc::default();
        let (show, view) = watch::channel(Arc::default());
        let mut task = JoinSet::new();
        task.spawn(run(config, port, region, Arc::clone(&counters), show));
        Self { view, counters, _task: task }
    }

    /// What was heard, now and as it changes.
    #[must_use]
    pub fn view(&self) -> watch::Receiver<Arc<View>> {
        self.view.clone()
    }

    /// What was refused, and what is held.
    #[must_use]
    pub fn counters(&self) -> &Arc<GossipCounters> {
        &self.counters
    }
}

async fn run<R: GossipingRegion>(
    config: GossipConfig,
    port: GossipPort,
    region: R,
    counters: Arc<GossipCounters>,
    show: watch::Sender<Arc<View>>,
) {
    let GossipConfig { own, started_ms, regions, peers } = config;
    let own_id = id(own, started_ms);
    let held: Arc<Held> = Arc::default();
    let gate = Gate { own: own_id.clone(), regions: regions.clone(), held: Arc::clone(&held) };
    let carrier = Carrier::over(Bridges { own, port, gate, counters: Arc::clone(&counters) });
    let first = vec![(FACTS.to_owned(), region.facts().to_string())];
    let chitchat = match spawn_chitchat(configured(own_id, &peers), first, &carrier).await {
        Ok(chitchat) => chitchat,
        // The carrier opens once, and this is it.
        Err(error) => return tracing::error!(%error, "gossip does not start"),
    };
    let mut view = View::default();
    let mut draining = false;
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let facts = region.facts();
        let seen = chitchat.with_chitchat(|chitchat| look(chitchat, &facts, &held)).await;
        counters.starts_held.store(seen.len() as u64, Ordering::Relaxed);
        let changed = view.observe(region.now(), &regions, seen);
        for (region, member) in view.members().filter(|(region, _)| changed.contains(region)) {
            tracing::info!(%region, live = member.live, started_ms = member.started_ms, "a region was heard of");
        }
        if **show.borrow() != view {
            show.send_replace(Arc::new(view.clone()));
        }
        if facts.draining && !draining {
            draining = true;
            tell_at_once(&chitchat, &peers);
        }
    }
}

/// Says what this region is, and gives what is held of all.
fn look(chitchat: &mut Chitchat, facts: &Facts, held: &Held) -> Vec<Seen> {
    let own = chitchat.self_node_state();
    own.set(FACTS, facts);
    let own_version = own.max_version();
    let live: BTreeSet<ChitchatId> = chitchat.live_nodes().cloned().collect();
    let seen = |(id, state): (&ChitchatId, &chitchat::NodeState)| {
        // The gate lets nobody else in.
        let region = region_of(id)?;
        let facts = state.get(FACTS).and_then(Facts::parse);
        Some(Seen { region, started_ms: id.generation_id, live: live.contains(id), facts })
    };
    let seen: Vec<Seen> = chitchat.node_states().iter().filter_map(seen).collect();
    held.note(seen.iter().map(|one| (one.region, one.started_ms)).collect(), own_version);
    seen
}

/// Whoever drains may be gone before the next round.
fn tell_at_once(chitchat: &ChitchatHandle, peers: &BTreeSet<RegionId>) {
    for peer in peers {
        // Gossip that has ended has nothing to tell.
        let _ = chitchat.gossip(address_of(*peer));
    }
}

fn configured(own: ChitchatId, peers: &BTreeSet<RegionId>) -> ChitchatConfig {
    ChitchatConfig {
        listen_addr: own.gossip_advertise_addr,
        chitchat_id: own,
        // Which cluster it is the certificates say.
        cluster_id: String::new(),
        gossip_interval: ROUND_EVERY,
        seed_nodes: peers.iter().map(|peer| address_of(*peer).to_string()).collect(),
        failure_detector_config: FailureDetectorConfig {
            phi_threshold: PHI,
            sampling_window_size: WORDS,
            max_interval: SILENCE_MAX,
            initial_interval: WORD_EVERY,
            dead_node_grace_period: FORGET_AFTER,
        },
        // Nothing is ever removed from what a region says.
        marked_for_deletion_grace_period: FORGET_AFTER,
        catchup_callback: None,
        extra_liveness_predicate: None,
    }
}

impl fmt::Debug for Gossip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gossip").field("counters", &self.counters).finish_non_exhaustive()
    }
}
