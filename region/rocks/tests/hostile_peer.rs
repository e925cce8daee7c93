//! A peer with a true certificate and a false key: nothing that it signs is taken, it is told so by code, and the other regions go on. Nor is it believed that it is another region.
//!
//! The peer is a whole shard in memory whose epoch names another key for it than the cluster's, behind bridges that say what is true but for that.
//! What must always hold: its operations are in nobody's log; no region ends; the bridge between two honest regions is the one it was.
#![allow(clippy::unwrap_used)]

mod world;

use crdt::{DeviceId, MessageId, Now, PlacementId, RegionId};
use ed25519_dalek::SigningKey;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use region::command::Command;
use region::limits::Limits;
use region::log_view::StoreLog;
use region::shard::{Input, Shard, ShardConfig, Ticket};
use region::store::{MemoryStore, Store as _, View};
use replication::bridge::{Bridge, Config, OwnStore};
use replication::log::LogView;
use replication::reason::Reason;
use replication::signature::Ed25519;
use replication::snapshot::Asked;
use replication::{Delivery, StoreId, StoreStart};
use replication_quic::{
    BridgeSettings, Bridges, BridgesConfig, GivenSnapshot, GossipPort, Notices, PeerConfig, RegionPort,
};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use world::{GLOBAL, World, create, group, post, replica, texts, until, user};

const LIAR: RegionId = RegionId(2);

/// What its bridges see of the liar.
struct Liar {
    store: Mutex<MemoryStore>,
    notices: BTreeMap<RegionId, Arc<Notices>>,
}

fn wall_clock() -> Now {
    Now(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64)
}

impl Liar {
    /// A store with one group and one message in it, signed with a key of its own.
    fn new(world: &World) -> Arc<Self> {
        let key = SigningKey::from_bytes(&[77; 32]);
        let mut placement = world.placements(&world.epochs).get(GLOBAL).unwrap().clone();
        placement.active.insert(replica(LIAR), key.verifying_key());
        let config = ShardConfig {
            placement,
            allowed_pins: [GLOBAL].into(),
            replica: replica(LIAR),
            signing_key: key,
            signatures: Arc::new(Ed25519),
            limits: Limits::default(),
        };
        let mut store = MemoryStore::new();
        let mut shard = Shard::open(config, &store).unwrap();
        let (conversation, now) = (group(8), wall_clock());
        let message = |random| MessageId::new(now.ms(), random);
        let create = Command::CreateGroup {
            conversation,
            command: message(1),
            members: vec![user(1)],
            name: "lies".to_owned(),
            begun: None,
        };
        let post = Command::Post {
            conversation,
            message: message(2),
            body: "a lie".into(),
            reply_to: None,
            sent_at_ms: 0,
            seen: None,
            after: None,
            taken_before: false,
        };
        for (ticket, command) in (1..).map(Ticket).zip([create, post]) {
            let input = Input::Command { ticket, user: user(2), device: DeviceId(2), command };
            let outcome = shard.step(now, &mut ChaCha20Rng::seed_from_u64(ticket.0), vec![input], &store);
            store.commit(&outcome.unwrap().batch).unwrap();
        }
        Self::with(store)
    }

    fn with(store: MemoryStore) -> Arc<Self> {
        let notices = [1, 3].map(|peer| (RegionId(peer), Arc::default())).into();
        Arc::new(Self { store: Mutex::new(store), notices })
    }

    /// Its bridges to both other regions, with region 2's own certificate, and its gossip over them.
    fn start(self: &Arc<Self>, world: &World) -> (Bridges, GossipPort) {
        let cluster = &world.cluster;
        let own = OwnStore { replica: replica(LIAR), start: StoreStart { id: StoreId(1), number: 1 } };
        let peer = |(id, notices): (&RegionId, &Arc<Notices>)| {
            let bridge = Bridge::new(Config {
                cluster: cluster.name.clone(),
                own: LIAR,
                peer: *id,
                placements: world.placements(&world.epochs),
                stores: [GLOBAL, PlacementId(2)].map(|placement| (placement, own)).into(),
                kinds: vec![0, 1, 2, 3],
            });
            let entropy = Box::new(ChaCha20Rng::seed_from_u64(u64::from(id.0)));
            let address = cluster.regions[id].bridge;
            (*id, PeerConfig { address, bridge, notices: Arc::clone(notices), entropy })
        };
        let config = BridgesConfig {
            own: LIAR,
            listen: cluster.regions[&LIAR].bridge,
            certificates: world.config(LIAR).certificates,
            names: cluster.regions.values().map(|region| (region.id, region.name.clone())).collect(),
            settings: BridgeSettings::default(),
        };
        Bridges::start(config, self.notices.iter().map(peer).collect(), self).unwrap()
    }
}

impl RegionPort for Liar {
    fn now(&self) -> Now {
        wall_clock()
    }

    fn read_log(&self, read: &mut dyn FnMut(&dyn LogView)) {
        let store = self.store.lock().unwrap();
        read(&StoreLog::new(LIAR, [(GLOBAL, &*store as &dyn View)]));
    }

    async fn deliver(&self, from: RegionId, delivery: Delivery) {
        match delivery {
            Delivery::PeerStarted { .. } | Delivery::PeerCaughtUp { .. } | Delivery::Epochs { .. } => {}
            Delivery::Entries { bytes, .. } | Delivery::Registers { bytes, .. } => {
                self.notices[&from].taken(bytes);
            }
        }
    }

    async fn snapshot(&self, _: RegionId, asked: Asked) -> Result<GivenSnapshot, Reason> {
        Err(Reason::Behind(asked.placement))
    }

    fn stop(&self, why: &str) {
        panic!("what it says of itself fits what the others know: {why}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_peer_signs_with_another_key_is_refused_and_disturbs_nobody() {
    let world = World::new(3);
    let (a, c) = (world.start(1).unwrap(), world.start(3).unwrap());
    let honest = a.bridges().open();
    until("the honest regions meet", || honest.borrow().contains(&RegionId(3))).await;
    create(&a.handle(), user(1), &[user(3)], group(7)).await;
    post(&a.handle(), user(1), group(7), "before").await.unwrap();
    until("c has it", || texts(&c.handle(), group(7)).len() == 1).await;

    let (bridges, _gossip) = Liar::new(&world).start(&world);
    let refusals = |peer: u16| bridges.counters()[&RegionId(peer)].alarms.load(Ordering::Relaxed);
    until("both have refused what it signed", || refusals(1) > 0 && refusals(3) > 0).await;
    for node in [&a, &c] {
        assert!(node.bridges().counters()[&LIAR].alarms.load(Ordering::Relaxed) > 0);
        assert_eq!(texts(&node.handle(), group(8)), Vec::<String>::new(), "a lie was taken");
    }

    post(&a.handle(), user(1), group(7), "after").await.unwrap();
    until("c has it", || texts(&c.handle(), group(7)).len() == 2).await;
    assert_eq!(a.bridges().counters()[&RegionId(3)].connections.load(Ordering::Relaxed), 1);
    assert_eq!(*world.ended.lock().unwrap(), Vec::<String>::new());
    // Stopped first, so that it does not hear the others stop and count that.
    tokio::time::timeout(Duration::from_secs(10), bridges.stop()).await.unwrap();
    for node in [a, c] {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_peer_gossips_as_another_region_is_refused_and_counted_and_its_bridge_goes_on() {
    let world = World::new(3);
    let a = world.start(1).unwrap();
    // It has nothing to say but gossip.
    let (bridges, gossip) = Liar::with(MemoryStore::new()).start(&world);
    let handle = a.handle();
    until("the bridge is open", || handle.open_bridges().contains(&LIAR)).await;
    let refused = |code| handle.gossip_counters().refused().find(|(other, _)| *other == code).unwrap().1;
    // It says that it is region 3; what it says then does not matter.
    gossip.send(RegionId(1), &[0, 3, 42]);
    until("it is refused", || refused("gossip_other_sender") == 1).await;
    gossip.send(RegionId(1), &[0, 2, 42]);
    until("as itself it speaks nonsense", || refused("gossip_malformed") == 1).await;
    assert!(handle.open_bridges().contains(&LIAR));
    let heard: Vec<RegionId> = handle.view().members().map(|(region, _)| region).collect();
    assert!(!heard.contains(&RegionId(3)) && !heard.contains(&LIAR), "{heard:?}");
    assert!(bridges.counters()[&RegionId(1)].gossip_out.load(Ordering::Relaxed) >= 2);
    drop(bridges);
    a.stop().await;
    assert_eq!(*world.ended.lock().unwrap(), Vec::<String>::new());
}
