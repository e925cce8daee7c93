//! Regions with their bridges over links that delay, cut and heal, in one thread under one seed.
//!
//! The world knows, for every operation, what its region had applied when it issued it, and checks each application against that: the
//! oracle is independent of logs, cursors and references.

use crate::store::{Store, replica};
use bytes::Bytes;
use crdt::{Bucket, ChainHead, Dot, Now, PartitionId, PlacementId, RegionId, ReplicaId, VersionVector};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};
use replication::commit::{Commit, OperationBytes};
use replication::epoch::EpochStatement;
use replication::log::{ChangeNumber, LogView as _, Position};
use replication::placement::{Epoch, Placements};
use replication::register::Register;
use replication::stability::{Acknowledgements, Pair, register_key, replica_of_key};
use replication::{Bridge, Config, Delivery, Input, Output, OwnStore, StoreId, StoreStart, Timer};
use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;

/// What waits for a region's shard.
#[derive(Debug, Clone)]
enum Mail {
    Issue(PartitionId, Vec<OperationBytes>),
    Acknowledge(PartitionId),
    Entries(RegionId, ReplicaId, PartitionId, Vec<Commit>, Option<Position>, usize),
    Registers(RegionId, ReplicaId, PartitionId, Vec<Register>, ChangeNumber, usize),
    Started(ReplicaId, StoreStart),
    Epochs(Vec<EpochStatement>),
}

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

/// Between two regions, both ways.
#[derive(Debug, Clone, Default)]
pub(crate) struct Link {
    pub(crate) up: bool,
    pub(crate) delay_ms: u64,
    connection: Option<u64>,
    arrivals: BTreeMap<RegionId, Now>,
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
        stores: store.placements.iter().map(|placement| (placement.id, own)).collect(),
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

    pub(crate) fn set_link(&mut self, one: RegionId, other: RegionId, up: bool) {
        self.links.get_mut(&pair(one, other)).unwrap().up = up;
        if !up {
            self.drop_connection(one, other, None);
            self.drop_connection(other, one, None);
        }
    }

    /// Ends the connection as `by` wants it; the other end hears of it after the link's delay, or after a timeout.
    fn drop_connection(&mut self, by: RegionId, other: RegionId, code: Option<u32>) {
        let link = self.links.get_mut(&pair(by, other)).unwrap();
        let delay = link.delay_ms;
        if link.connection.take().is_some() || code.is_none() {
            link.arrivals.clear();
            self.after(delay, other, by, None, Input::Disconnected { code });
        }
    }

    fn after(&mut self, ms: u64, at: RegionId, peer: RegionId, connection: Option<u64>, input: Input) {
        let life = self.regions[&at].life;
        self.schedule(self.now.plus_ms(ms), Event::Input { at, peer, life, connection, input });
    }

    fn schedule(&mut self, at: Now, event: Event) {
        self.count += 1;
        self.events.insert((at, self.count), event);
    }

    fn mail(&mut self, at: RegionId, mail: Mail) {
        let region = self.regions.get_mut(&at).unwrap();
        region.mailbox.push_back(mail);
        if !region.shard_called && !region.down {
            region.shard_called = true;
            let life = region.life;
            self.schedule(self.now.plus_ms(self.commit_ms), Event::Shard { at, life });
        }
    }

    pub(crate) fn issue(&mut self, at: RegionId, id: PartitionId, operations: Vec<OperationBytes>) {
        if !self.regions[&at].down && !self.regions[&at].fenced {
            self.mail(at, Mail::Issue(id, operations));
        }
    }

    pub(crate) fn acknowledge(&mut self, at: RegionId, id: PartitionId) {
        if !self.regions[&at].down && !self.regions[&at].fenced {
            self.mail(at, Mail::Acknowledge(id));
        }
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

    /// An operator tells a region of an epoch.
    pub(crate) fn tell_epoch(&mut self, at: RegionId, statement: EpochStatement) {
        self.mail(at, Mail::Epochs(vec![statement]));
    }

    /// What a bridge delivers goes into its region's mail.
    fn deliver(&mut self, at: RegionId, peer: RegionId, delivery: Delivery) {
        match delivery {
            Delivery::PeerStarted { peer: replica, start, .. } => {
                self.mail(at, Mail::Started(replica, start));
            }
            Delivery::PeerCaughtUp { placement, .. } => {
                self.note(format!("{at}<{peer} has sent all of {placement} that it held"));
            }
            Delivery::Epochs { statements, .. } => {
                let numbers: Vec<u64> = statements.iter().map(|statement| statement.number.0).collect();
                self.note(format!("{at}<{peer} tells of epochs {numbers:?}"));
                self.mail(at, Mail::Epochs(statements));
            }
            Delivery::Entries { peer: replica, partition, commits, cursor, bytes } => {
                let texts: Vec<String> = commits
                    .iter()
                    .map(|commit| format!("{}:{}-{}", commit.origin.region, commit.first.0, commit.last().0))
                    .collect();
                let cursor_text = cursor.map_or("none".into(), |cursor| cursor.0.to_string());
                self.note(format!(
                    "{at}<{peer} delivers {partition} [{}] cursor {cursor_text}",
                    texts.join(" ")
                ));
                self.mail(at, Mail::Entries(peer, replica, partition, commits, cursor, bytes));
            }
            Delivery::Registers { peer: replica, partition, registers, cursor, bytes, .. } => {
                self.mail(at, Mail::Registers(peer, replica, partition, registers, cursor, bytes));
            }
        }
    }

    fn carry_out(&mut self, at: RegionId, peer: RegionId, output: Output) {
        match output {
            Output::Dial => self.dial(at, peer),
            Output::Send(bytes) => self.send(at, peer, bytes),
            Output::Opened { .. } => self.tell_others(at, peer, true),
            Output::Deliver(delivery) => self.deliver(at, peer, delivery),
            Output::SetTimer { timer, at: when } => {
                let life = self.regions[&at].life;
                let when = Now(when.0 - self.regions[&at].clock_ahead_ms * 1_000);
                let input = Input::Timer(timer);
                self.schedule(when, Event::Input { at, peer, life, connection: None, input });
                if timer == Timer::Patience {
                    self.note(format!("{at}<{peer} waits {} ms", (when.0 - self.now.0) / 1_000));
                }
            }
            Output::Close(reason) => {
                self.note(format!("{at}|{peer} closes {}: {reason}", reason.code()));
                self.drop_connection(at, peer, Some(reason.code()));
                self.tell_others(at, peer, false);
            }
            Output::Alarm(alarm) => self.note(format!("{at} alarm: {alarm}")),
            Output::Fenced(reason) => {
                self.note(format!("{at} FENCED: {reason}"));
                self.regions.get_mut(&at).unwrap().fenced = true;
            }
            Output::PauseReading => {
                self.note(format!("{at}<{peer} pauses"));
                self.regions.get_mut(&at).unwrap().paused.entry(peer).or_default().0 = true;
            }
            Output::ResumeReading => {
                self.note(format!("{at}<{peer} reads on"));
                self.regions.get_mut(&at).unwrap().paused.entry(peer).or_default().0 = false;
                let connection = self.links[&pair(at, peer)].connection;
                self.schedule(self.now, Event::ReadOn { at, peer, connection });
            }
        }
    }

    fn note(&mut self, line: String) {
        self.trace.push(line);
    }

    fn tell_others(&mut self, at: RegionId, region: RegionId, up: bool) {
        let others: Vec<RegionId> = self.regions[&at].bridges.keys().copied().collect();
        for other in others.into_iter().filter(|other| *other != region) {
            self.step(at, other, Input::PeerBridge { region, up });
        }
    }

    fn dial(&mut self, at: RegionId, peer: RegionId) {
        self.count += 1;
        let connection = self.count;
        let there = &self.regions[&peer];
        let link = self.links.get_mut(&pair(at, peer)).unwrap();
        let delay = link.delay_ms;
        if !link.up || there.down || there.fenced {
            self.after(delay, at, peer, None, Input::Disconnected { code: None });
            return;
        }
        link.connection = Some(connection);
        link.arrivals.clear();
        self.after(delay, at, peer, Some(connection), Input::Connected { certified: peer });
        self.after(delay, peer, at, Some(connection), Input::Connected { certified: at });
    }

    fn send(&mut self, at: RegionId, peer: RegionId, bytes: Bytes) {
        let link = self.links.get_mut(&pair(at, peer)).unwrap();
        let Some(connection) = link.connection else { return };
        *self.bytes_sent.entry((at, peer)).or_default() += bytes.len() as u64;
        *self.frames_sent.entry((at, peer)).or_default() += 1;
        if self.frames_traced {
            self.trace.extend(crate::describe::frame(&bytes).map(|text| format!("{at}>{peer} {text}")));
        }
        let link = self.links.get_mut(&pair(at, peer)).unwrap();
        let earliest = link.arrivals.get(&peer).copied().unwrap_or_default();
        let arrival = self.now.plus_ms(link.delay_ms).max(earliest);
        link.arrivals.insert(peer, arrival);
        let life = self.regions[&peer].life;
        let input = Input::Frame(bytes);
        self.schedule(
            arrival,
            Event::Input { at: peer, peer: at, life, connection: Some(connection), input },
        );
        self.after(1, at, peer, Some(connection), Input::PipeReady);
    }

    fn run_shard(&mut self, at: RegionId) {
        let region = self.regions.get_mut(&at).unwrap();
        region.shard_called = false;
        if region.fenced {
            return;
        }
        let mut changed = BTreeMap::new();
        let mut told = Vec::new();
        for mail in std::mem::take(&mut region.mailbox) {
            match mail {
                Mail::Issue(id, operations) => {
                    let before = region.store.log(id).applied;
                    let commit = region.store.issue(id, operations);
                    for dot in commit.dots() {
                        self.causes.insert((id, dot), before.clone());
                    }
                    changed.insert(id, ());
                }
                Mail::Acknowledge(id) => {
                    let epoch = region.epoch(id);
                    let pair = region.pair(id, epoch);
                    let own = region.store.replica;
                    region.join_pair(id, own, &pair, None);
                    changed.insert(id, ());
                }
                Mail::Epochs(statements) => {
                    statements.into_iter().for_each(|statement| region.store.follow(statement));
                    let peers = region.bridges.keys().copied();
                    told.extend(peers.map(|peer| (peer, Input::Placements(region.store.placements.clone()))));
                    region.fenced = !region.store.is_active();
                }
                Mail::Started(replica, start) => {
                    region.store.starts.insert(replica, start);
                }
                Mail::Entries(from, peer, id, commits, cursor, bytes) => {
                    told.push((from, Input::Taken { bytes }));
                    let before = region.store.log(id).applied;
                    match region.store.apply(peer, id, commits, cursor) {
                        Ok(applied) => check_order(&self.causes, id, before, &applied),
                        Err(reason) => told.push((from, Input::Refused { reason })),
                    }
                    changed.insert(id, ());
                }
                Mail::Registers(from, peer, id, registers, cursor, bytes) => {
                    told.push((from, Input::Taken { bytes }));
                    for register in registers {
                        let replica = replica_of_key(&register.key).unwrap();
                        let pair = Pair::decode(&register.value).unwrap();
                        region.join_pair(id, replica, &pair, Some(peer));
                    }
                    region.store.partitions.entry(id).or_default().raise_feed_cursor(peer, cursor);
                    changed.insert(id, ());
                }
            }
        }
        for id in changed.keys() {
            let (epoch, log) = (region.epoch(*id), region.store.log(*id));
            let head_at = |dot: Dot| {
                Ok::<_, Infallible>(log.head(*id, dot.replica, dot.sequence).map(ChainHead::check))
            };
            let Ok(_) = region.acknowledgements.entry(*id).or_default().believe(epoch, &log.applied, head_at);
        }
        self.check_stable(at);
        let region = &self.regions[&at];
        let peers: Vec<RegionId> = region.bridges.keys().copied().collect();
        let states: Vec<_> = changed.keys().map(|id| (*id, region.store.state(*id).unwrap())).collect();
        for (peer, input) in told {
            self.step(at, peer, input);
        }
        for (partition, state) in states {
            for peer in &peers {
                self.step(at, *peer, Input::Advanced { partition, state: state.clone() });
            }
        }
    }

    /// What is stable somewhere: nothing concurrent with it can still arrive there.
    fn check_stable(&self, at: RegionId) {
        let region = &self.regions[&at];
        for (id, known) in &region.acknowledgements {
            let active = region.store.placements.get(id.placement).unwrap().active.keys().copied();
            let stable = known.stable(region.epoch(*id), active);
            let applied = region.store.log(*id).applied;
            for ((_, dot), causes) in self.causes.iter().filter(|((of, _), _)| of == id) {
                assert!(
                    applied.covers(*dot) || causes.covers_all(&stable),
                    "{stable} is stable at {at} in {id}, but {dot} is concurrent with some of it and not here"
                );
            }
        }
    }

    /// Whether all regions hold the same of every partition.
    pub(crate) fn converged(&self) -> bool {
        let mut regions = self.regions.values();
        let first = regions.next().unwrap();
        regions.all(|region| {
            let ids = first.store.partitions.keys().chain(region.store.partitions.keys());
            ids.filter(|id| {
                let placement = first.store.placements.get(id.placement).unwrap();
                [first, region].iter().all(|one| placement.replica_of(one.store.region).is_some())
            })
            .all(|id| {
                let (one, other) = (first.store.log(*id), region.store.log(*id));
                let same_heads = one.applied.iter().all(|dot| {
                    one.head(*id, dot.replica, dot.sequence) == other.head(*id, dot.replica, dot.sequence)
                });
                one.applied == other.applied && one.values() == other.values() && same_heads
            })
        })
    }

    pub(crate) fn chance(&mut self, one_in: u64) -> bool {
        self.random.next_u64().is_multiple_of(one_in)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.random.next_u64() % limit
    }
}

impl Region {
    fn epoch(&self, id: PartitionId) -> Epoch {
        self.store.placements.get(id.placement).unwrap().epoch
    }

    fn pair(&self, id: PartitionId, epoch: Epoch) -> Pair {
        let log = self.store.log(id);
        let head = |dot: Dot| Some((dot.replica, log.head(id, dot.replica, dot.sequence)?.check()));
        Pair { epoch, heads: log.applied.iter().filter_map(head).collect(), applied: log.applied }
    }

    fn join_pair(&mut self, id: PartitionId, replica: ReplicaId, pair: &Pair, from: Option<ReplicaId>) {
        let known = self.acknowledgements.entry(id).or_default();
        known.join(replica, pair);
        if let Some(newest) = known.get(replica).map(|known| known.newest().clone()) {
            let had_by = from.filter(|_| newest == *pair);
            let log = self.store.partitions.entry(id).or_default();
            log.set(register_key(replica), newest.encode(), from, had_by);
        }
    }
}

/// Every cause of what was applied is here.
fn check_order(
    causes: &BTreeMap<(PartitionId, Dot), VersionVector>,
    id: PartitionId,
    mut applied: VersionVector,
    commits: &[Commit],
) {
    for dot in commits.iter().flat_map(Commit::dots) {
        if let Some(needed) = causes.get(&(id, dot)) {
            assert!(applied.covers_all(needed), "{dot} applied on {applied}, its causes are {needed}");
        }
        applied.raise(dot);
    }
}

/// The region of a number, and its replica: they go together in tests.
pub(crate) fn region(number: u16) -> RegionId {
    replica(number).region
}
