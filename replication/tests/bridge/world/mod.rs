//! Regions with their bridges over links that delay, cut and heal, in one thread under one seed.
//!
//! Here is what there is and when it happens; what is between regions is in `links`, what bridges want in `outputs`, a region's writer in
//! `shard`. The world knows, for every operation, what its region had applied when it issued it, and checks each application against that
//! (`checks`): the oracle is independent of logs, cursors and references.

mod checks;
mod links;
mod outputs;
mod shard;

use crate::store::{Store, replica};
use bytes::Bytes;
use crdt::{Bucket, Dot, Now, PartitionId, PlacementId, RegionId, VersionVector};
use links::Link;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};
use replication::commit::OperationBytes;
use replication::placement::Placements;
use replication::stability::Acknowledgements;
use replication::{Bridge, Config, Input, OwnStore, StoreId};
use shard::Mail;
use std::collections::{BTreeMap, VecDeque};

#[derive(Debug, Clone)]
enum Event {
    Input {
        at: RegionId,
        peer: RegionId,
        life: u64,
        connection: Option<u64>,
        input: Input,
    },
    Shard {
        at: RegionId,
        life: u64,
    },
    /// Frames that came while reading was paused.
    ReadOn {
        at: RegionId,
        peer: RegionId,
        connection: Option<u64>,
    },
}

#[derive(Debug)]
pub(crate) struct Region {
    pub(crate) store: Store,
    pub(crate) bridges: BTreeMap<RegionId, Bridge>,
    pub(crate) acknowledgements: BTreeMap<PartitionId, Acknowledgements>,
    mailbox: VecDeque<Mail>,
    shard_called: bool,
    /// Per peer whose frames are not given: whether reading is paused still, and what came.
    paused: BTreeMap<RegionId, (bool, VecDeque<Bytes>)>,
    life: u64,
    pub(crate) down: bool,
    pub(crate) clock_ahead_ms: u64,
    pub(crate) fenced: bool,
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) now: Now,
    pub(crate) regions: BTreeMap<RegionId, Region>,
    pub(crate) links: BTreeMap<(RegionId, RegionId), Link>,
    events: BTreeMap<(Now, u64), Event>,
    count: u64,
    pub(crate) random: ChaCha8Rng,
    /// What each operation's region had applied when it issued it.
    pub(crate) causes: BTreeMap<(PartitionId, Dot), VersionVector>,
    /// What happened, for scenarios.
    pub(crate) trace: Vec<String>,
    pub(crate) frames_traced: bool,
    pub(crate) commit_ms: u64,
    pub(crate) bytes_sent: BTreeMap<(RegionId, RegionId), u64>,
    pub(crate) frames_sent: BTreeMap<(RegionId, RegionId), u64>,
}

pub(crate) fn partition(placement: u16, bucket: u16) -> PartitionId {
    PartitionId { placement: PlacementId(placement), bucket: Bucket::new(bucket).unwrap() }
}

pub(crate) fn operation(text: &str) -> OperationBytes {
    OperationBytes {
        envelope: Bytes::copy_from_slice(format!("envelope of {text}").as_bytes()),
        payload: Some(Bytes::copy_from_slice(format!("payload of {text}").as_bytes())),
    }
}

pub(crate) fn pair(one: RegionId, other: RegionId) -> (RegionId, RegionId) {
    (one.min(other), one.max(other))
}

fn config(store: &Store, peer: RegionId) -> Config {
    let own = OwnStore { replica: store.replica, start: store.start };
    Config {
        cluster: "test".into(),
        own: store.region,
        peer,
        placements: store.placements.clone(),
        stores: store
            .placements
            .iter()
            .filter(|placement| !store.not_held.contains(&placement.id))
            .map(|placement| (placement.id, own))
            .collect(),
        kinds: vec![0, 1, 2, 3],
    }
}

impl World {
    /// Regions that share these placements, links up, nothing started.
    pub(crate) fn new(seed: u64, regions: &[u16], placements: &Placements) -> Self {
        let mut world = Self {
            now: Now(1_000_000_000),
            regions: BTreeMap::new(),
            links: BTreeMap::new(),
            events: BTreeMap::new(),
            count: 0,
            random: ChaCha8Rng::seed_from_u64(seed),
            causes: BTreeMap::new(),
            trace: Vec::new(),
            frames_traced: false,
            commit_ms: 1,
            bytes_sent: BTreeMap::new(),
            frames_sent: BTreeMap::new(),
        };
        for one in regions {
            for other in regions.iter().filter(|other| *other > one) {
                let link = Link { up: true, delay_ms: 10, ..Link::default() };
                world.links.insert((RegionId(*one), RegionId(*other)), link);
            }
            let region = Region {
                store: Store::new(*one, placements.clone()),
                bridges: BTreeMap::new(),
                acknowledgements: BTreeMap::new(),
                mailbox: VecDeque::new(),
                shard_called: false,
                paused: BTreeMap::new(),
                life: 0,
                down: true,
                clock_ahead_ms: 0,
                fenced: false,
            };
            world.regions.insert(RegionId(*one), region);
        }
        world
    }

    pub(crate) fn start(&mut self, at: RegionId) {
        let peers: Vec<RegionId> = self.regions.keys().copied().filter(|peer| *peer != at).collect();
        let region = self.regions.get_mut(&at).unwrap();
        region.down = false;
        for peer in &peers {
            region.bridges.insert(*peer, Bridge::new(config(&region.store, *peer)));
        }
        for peer in peers {
            self.step(at, peer, Input::Started);
        }
    }

    pub(crate) fn start_all(&mut self) {
        for region in self.regions.keys().copied().collect::<Vec<_>>() {
            self.start(region);
        }
    }

    /// The process dies: the mailbox is lost, the store is not.
    pub(crate) fn kill(&mut self, at: RegionId) {
        let region = self.regions.get_mut(&at).unwrap();
        region.life += 1;
        region.down = true;
        region.shard_called = false;
        region.mailbox.clear();
        region.paused.clear();
        region.bridges.clear();
        region.store.start.number += 1;
        let peers: Vec<RegionId> = self.regions.keys().copied().filter(|peer| *peer != at).collect();
        for peer in peers {
            self.drop_connection(at, peer, None);
        }
    }

    /// The store is gone, and another one made in its place, at its first start.
    pub(crate) fn make_anew(&mut self, at: RegionId) {
        let region = self.regions.get_mut(&at).unwrap();
        region.store = Store::new(at.0, region.store.placements.clone());
        region.store.start.id = StoreId(0xfeed);
    }

    fn after(&mut self, ms: u64, at: RegionId, peer: RegionId, connection: Option<u64>, input: Input) {
        let life = self.regions[&at].life;
        self.schedule(self.now.plus_ms(ms), Event::Input { at, peer, life, connection, input });
    }

    fn schedule(&mut self, at: Now, event: Event) {
        self.count += 1;
        self.events.insert((at, self.count), event);
    }

    /// Runs for a time.
    pub(crate) fn run_ms(&mut self, ms: u64) {
        let end = self.now.plus_ms(ms);
        while let Some(((at, count), _)) = self.events.first_key_value() {
            if *at > end {
                break;
            }
            let key = (*at, *count);
            self.now = key.0;
            let event = self.events.remove(&key).unwrap();
            self.happen(event);
        }
        self.now = end;
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Shard { at, life } => {
                if self.regions[&at].life == life {
                    self.run_shard(at);
                }
            }
            Event::ReadOn { at, peer, connection } => {
                let current = self.links[&pair(at, peer)].connection == connection;
                while let Some((false, held)) = self.regions.get_mut(&at).unwrap().paused.get_mut(&peer) {
                    match held.pop_front().filter(|_| current) {
                        Some(bytes) => self.step(at, peer, Input::Frame(bytes)),
                        None => {
                            self.regions.get_mut(&at).unwrap().paused.remove(&peer);
                        }
                    }
                }
            }
            Event::Input { at, peer, life, connection, input } => {
                let region = self.regions.get_mut(&at).unwrap();
                let current = self.links[&pair(at, peer)].connection;
                if region.life != life || region.down || (connection.is_some() && connection != current) {
                    return;
                }
                match (&input, region.paused.get_mut(&peer)) {
                    (Input::Frame(bytes), Some((_, held))) => held.push_back(bytes.clone()),
                    (Input::Connected { .. } | Input::Disconnected { .. }, _) => {
                        region.paused.remove(&peer);
                        let connected = matches!(input, Input::Connected { .. });
                        self.step(at, peer, input);
                        if connected {
                            self.after(0, at, peer, connection, Input::PipeReady);
                        } else {
                            self.tell_others(at, peer, false);
                        }
                    }
                    _ => self.step(at, peer, input),
                }
            }
        }
    }

    pub(crate) fn step(&mut self, at: RegionId, peer: RegionId, input: Input) {
        let region = self.regions.get_mut(&at).unwrap();
        let now = self.now.plus_ms(region.clock_ahead_ms);
        let Some(bridge) = region.bridges.get_mut(&peer) else { return };
        let outputs = bridge.step(now, &mut self.random, input, &region.store).unwrap();
        for output in outputs {
            self.carry_out(at, peer, output);
        }
    }

    pub(crate) fn chance(&mut self, one_in: u64) -> bool {
        self.random.next_u64().is_multiple_of(one_in)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.random.next_u64() % limit
    }
}

/// The region of a number, and its replica: they go together in tests.
pub(crate) fn region(number: u16) -> RegionId {
    replica(number).region
}
