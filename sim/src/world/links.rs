//! The network between regions: a way each direction of each pair, with cuts, and connections over pairs of them, as QUIC gives them.
//!
//! What a way does to what is sent over it stands in `wire.rs`. A connection delivers in order and reliably each way: what is sent into a cut waits
//! and comes soon after the cut has healed (the first datagram that comes through sets everything going, and one is tried every half second), unless
//! one end has given the connection up meanwhile, because it heard nothing for as long as it bears. An end hears by the other's way alone, so one-way
//! cuts end a connection at one end first. A frame is taken while what is on its way and not read is below the window.
//!
//! Two regions without a way between them never meet: they hear of each other through others alone.
//!
//! What must always hold: a frame reaches only the life of a region that the connection was made with.

use crate::figures::Bound;
use crate::world::World;
use crate::world::dice::Dice;
use crate::world::queue::{Event, Life, LinkId, Moment};
use crate::world::wire::{Carried, Conditions, Transport, Wire};
use bytes::Bytes;
use crdt::RegionId;
use replication::input::Input;
use replication::reason::CODE_STOPPING;
use std::collections::{BTreeMap, VecDeque};

/// Microseconds for which a connection bears silence: as the driver has it (`replication/quic/src/limits.rs`).
pub(crate) const SILENCE_US: u64 = 3_000_000;
/// Bytes that may be on their way and unread, as the driver has it.
const WINDOW_BYTES: usize = 8 << 20;
/// So often a datagram is tried into the silence: as the driver has it.
const HEARTBEAT_US: u64 = 500_000;

/// So often a handshake that nobody answers is tried anew: as the driver has it.
const ATTEMPT_US: u64 = 500_000;
/// What it takes to hand a frame to the connection, in microseconds.
const WRITE_US: u64 = 20;

/// From one region to another.
#[derive(Debug, Clone)]
pub(crate) struct Way {
    wire: Wire,
    /// As it is without faults.
    usual: Conditions,
    /// What faults add, by their number.
    worse: BTreeMap<usize, Conditions>,
    /// Cuts that lie on it.
    cuts: u32,
    cut_since: Moment,
    /// What waited in a cut that has healed comes no sooner.
    goes_again: Moment,
}

/// One end of a connection, and what is on its way to it.
#[derive(Debug)]
struct End {
    life: Life,
    open: bool,
    incoming: VecDeque<(Moment, Bytes)>,
    last_arrival: Moment,
    unread_bytes: usize,
    sender_waits: bool,
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Link {
    ends: BTreeMap<RegionId, End>,
}

/// All ways and connections.
#[derive(Debug)]
pub(crate) struct Links {
    ways: BTreeMap<(RegionId, RegionId), Way>,
    links: BTreeMap<LinkId, Link>,
    next: u64,
    /// What the streams of ways are derived from.
    seed: u64,
    /// Bytes that may be on their way in one direction of a connection.
    pub(crate) window_bytes: usize,
}

impl Way {
    /// A way that loses nothing.
    pub(crate) fn new(delay_us: u64, jitter_us: u64, kib_us: u64) -> Self {
        Self::with(Conditions { delay_us, jitter_us, kib_us, ..Conditions::default() })
    }

    pub(crate) fn with(usual: Conditions) -> Self {
        let wire = Wire::new(usual, Transport::Quic, Dice::new(0));
        Self { wire, usual, worse: BTreeMap::new(), cuts: 0, cut_since: 0, goes_again: 0 }
    }

    /// Sets how it is without faults.
    pub(crate) fn set_usual(&mut self, usual: Conditions) {
        self.usual = usual;
        self.weigh();
    }

    pub(crate) const fn usual(&self) -> &Conditions {
        &self.usual
    }

    /// A fault of that number makes it worse.
    pub(crate) fn worsen(&mut self, fault: usize, by: Conditions) {
        self.worse.insert(fault, by);
        self.weigh();
    }

    /// That fault is over.
    pub(crate) fn recover(&mut self, fault: usize) {
        self.worse.remove(&fault);
        self.weigh();
    }

    fn weigh(&mut self) {
        self.wire.set(self.worse.values().fold(self.usual, |all, worse| all.and(worse)));
    }

    const fn is_cut(&self) -> bool {
        self.cuts > 0
    }
}

impl Link {
    fn other(&self, than: RegionId) -> Option<RegionId> {
        self.ends.keys().copied().find(|region| *region != than)
    }
}

impl Links {
    pub(crate) const fn new(seed: u64) -> Self {
        Self { ways: BTreeMap::new(), links: BTreeMap::new(), next: 0, seed, window_bytes: WINDOW_BYTES }
    }

    pub(crate) fn lay(&mut self, from: RegionId, to: RegionId, mut way: Way) {
        way.wire.dice = Dice::of(self.seed, "way", &[u64::from(from.0), u64::from(to.0)]);
        self.ways.insert((from, to), way);
    }

    pub(crate) fn way(&self, from: RegionId, to: RegionId) -> Option<&Way> {
        self.ways.get(&(from, to))
    }

    pub(crate) fn way_mut(&mut self, from: RegionId, to: RegionId) -> Option<&mut Way> {
        self.ways.get_mut(&(from, to))
    }

    pub(crate) fn is_cut(&self, from: RegionId, to: RegionId) -> bool {
        self.ways.get(&(from, to)).is_none_or(Way::is_cut)
    }

    fn delay_us(&self, from: RegionId, to: RegionId) -> u64 {
        self.ways.get(&(from, to)).map_or(0, |way| way.wire.conditions().delay_us)
    }

    /// How long there and back takes without waiting.
    fn round_trip_us(&self, from: RegionId, to: RegionId) -> u64 {
        self.delay_us(from, to) + self.delay_us(to, from)
    }

    fn end(&mut self, link: LinkId, at: RegionId) -> Option<&mut End> {
        self.links.get_mut(&link)?.ends.get_mut(&at)
    }

    /// Who holds that end of a connection.
    pub(crate) fn life_at(&self, link: LinkId, at: RegionId) -> Option<Life> {
        Some(self.links.get(&link)?.ends.get(&at)?.life)
    }

    /// The other side of a connection.
    pub(crate) fn peer_of(&self, link: LinkId, at: RegionId) -> Option<RegionId> {
        self.links.get(&link)?.other(at)
    }

    fn forget_if_over(&mut self, link: LinkId) {
        if self.links.get(&link).is_some_and(|link| link.ends.values().all(|end| !end.open)) {
            self.links.remove(&link);
        }
    }

    /// Connections that stand or are believed to.
    pub(crate) fn with(&self, life: Life) -> Vec<LinkId> {
        let with = |link: &&Link| link.ends.values().any(|end| end.open && end.life == life);
        self.links.iter().filter(|(_, link)| with(link)).map(|(id, _)| *id).collect()
    }

    fn between(&self, one: RegionId, other: RegionId) -> Vec<LinkId> {
        let joins = |link: &Link| link.ends.contains_key(&one) && link.ends.contains_key(&other);
        self.links.iter().filter(|(_, link)| joins(link)).map(|(id, _)| *id).collect()
    }
}

impl World {
    /// What went over each way so far: from where, to where, how much.
    pub fn carried(&self) -> impl Iterator<Item = (RegionId, RegionId, Carried)> {
        self.links.ways.iter().map(|((from, to), way)| (*from, *to, way.wire.carried))
    }

    /// How many connections were made between regions so far.
    #[must_use]
    pub const fn links_made(&self) -> u64 {
        self.links.next
    }

    /// There is no way from one region to another, for good: they hear of each other through others alone.
    pub fn remove_way(&mut self, from: RegionId, to: RegionId) {
        self.links.ways.remove(&(from, to));
    }

    /// A bridge dials its peer.
    pub(crate) fn dial(&mut self, life: Life, peer: RegionId) {
        let there = self.links.delay_us(life.region, peer);
        let back = self.links.delay_us(peer, life.region);
        let dice = self.links.ways.get_mut(&(life.region, peer)).map(|way| &mut way.wire.dice);
        let after = there + back + dice.map_or(0, |dice| dice.below(1 + there));
        self.queue.put(self.now + after, Event::Dialled(life, peer));
    }

    /// The attempt is over.
    pub(crate) fn dialled(&mut self, life: Life, peer: RegionId) {
        let (here, there) = (life.region, peer);
        let cut = self.links.is_cut(here, there) || self.links.is_cut(there, here);
        let Some(called) = self.life_of(peer).filter(|_| !cut) else {
            self.bridge_hears(life, peer, Input::Disconnected { code: None });
            return;
        };
        if self.is_paused_now(called) {
            // Nobody answers: a further handshake begins soon.
            self.queue.put(self.now + ATTEMPT_US, Event::Dialled(life, peer));
            return;
        }
        if self.process(life).is_none() {
            return;
        }
        let stands_at = self.now + self.links.delay_us(here, there);
        let end = |life, last_arrival| End {
            life,
            open: true,
            incoming: VecDeque::new(),
            last_arrival,
            unread_bytes: 0,
            sender_waits: false,
        };
        let id = LinkId(self.links.next);
        self.links.next += 1;
        let ends = [(here, end(life, self.now)), (there, end(called, stands_at))];
        self.links.links.insert(id, Link { ends: ends.into() });
        self.queue.put(stands_at, Event::LinkStands(id, there));
        self.attach(life, peer, id);
    }

    /// The called side learns of it.
    pub(crate) fn link_stands(&mut self, link: LinkId, at: RegionId) {
        let Some(peer) = self.links.links.get(&link).and_then(|link| link.other(at)) else { return };
        let Some(life) = self.links.end(link, at).filter(|end| end.open).map(|end| end.life) else { return };
        if self.process(life).is_some() {
            self.attach(life, peer, link);
        }
    }

    fn attach(&mut self, life: Life, peer: RegionId, link: LinkId) {
        self.end_link(life, peer, CODE_STOPPING);
        if let Some(bridge) = self.bridge(life, peer) {
            bridge.link = Some(link);
            self.bridge_hears(life, peer, Input::Connected { certified: peer });
            self.bridge_hears(life, peer, Input::PipeReady);
        }
    }

    /// This side ends the connection, if there is one, with that code.
    pub(crate) fn end_link(&mut self, life: Life, peer: RegionId, code: u32) {
        let Some(link) = self.detach(life, peer) else { return };
        let at = self.now + self.links.delay_us(life.region, peer);
        self.close_end(link, life.region);
        // Into a cut nothing is said: the other side notices the silence.
        let event = if self.links.is_cut(life.region, peer) {
            (self.now + SILENCE_US, Event::LinkClosed(link, peer, None))
        } else {
            (at, Event::LinkClosed(link, peer, Some(code)))
        };
        self.queue.put(event.0, event.1);
    }

    fn close_end(&mut self, link: LinkId, at: RegionId) {
        if let Some(end) = self.links.end(link, at) {
            end.open = false;
            end.incoming.clear();
        }
        self.links.forget_if_over(link);
    }

    /// The other side has closed it, or has gone silent.
    pub(crate) fn link_closed(&mut self, link: LinkId, at: RegionId, code: Option<u32>) {
        let Some(peer) = self.links.links.get(&link).and_then(|link| link.other(at)) else { return };
        let Some(end) = self.links.end(link, at).filter(|end| end.open) else { return };
        let life = end.life;
        self.close_end(link, at);
        if self.bridge(life, peer).is_some_and(|bridge| bridge.link == Some(link)) {
            self.detach(life, peer);
            self.bridge_hears(life, peer, Input::Disconnected { code });
        }
    }

    /// Nothing has been heard for long.
    pub(crate) fn link_silent(&mut self, link: LinkId, at: RegionId, since: Moment) {
        let Some(peer) = self.links.links.get(&link).and_then(|link| link.other(at)) else { return };
        let cut = self.links.way(peer, at).is_some_and(|way| way.is_cut() && way.cut_since == since);
        let stands_still = self.links.life_at(link, peer).is_some_and(|life| self.is_paused(life, since));
        if cut || stands_still {
            self.link_closed(link, at, None);
            self.queue.put(self.now + SILENCE_US, Event::LinkClosed(link, peer, None));
        }
    }

    /// A bridge sends a frame.
    pub(crate) fn send_frame(&mut self, life: Life, peer: RegionId, frame: Bytes) {
        let frame = self.said_by_its_release(life.region, frame);
        self.trace.add(&frame);
        self.oracle.left_region(self.now, life.region, peer, &frame);
        let Some(link) = self.bridge(life, peer).and_then(|bridge| bridge.link) else { return };
        let (bytes, window) = (frame.len(), self.links.window_bytes);
        self.figures.carried(life.region, peer, bytes);
        self.record_frame_sent(life.region, peer, &frame);
        let round_trip_us = self.links.round_trip_us(life.region, peer);
        let Some(way) = self.links.ways.get_mut(&(life.region, peer)) else { return };
        let passage = way.wire.send(self.now + WRITE_US, bytes, round_trip_us);
        let (arrives, goes_again) = (passage.arrives, way.goes_again);
        let Some(end) = self.links.end(link, peer) else { return };
        if !end.open {
            // It goes into the void; the pipe takes it all the same.
            self.queue.put(self.now + WRITE_US, Event::PipeReady(link, life.region));
            return;
        }
        end.last_arrival = end.last_arrival.max(arrives).max(goes_again);
        let at = end.last_arrival;
        end.incoming.push_back((at, frame));
        end.unread_bytes += bytes;
        end.sender_waits = end.unread_bytes > window;
        if end.sender_waits {
            self.figures.reached(Bound::Window);
        } else {
            self.queue.put(self.now + WRITE_US, Event::PipeReady(link, life.region));
        }
        self.queue.put(at, Event::FrameArrives(link, peer));
    }

    /// The next frame arrives, unless it cannot.
    pub(crate) fn frame_arrives(&mut self, link: LinkId, at: RegionId) {
        let (now, window) = (self.now, self.links.window_bytes);
        let Some(peer) = self.links.links.get(&link).and_then(|link| link.other(at)) else { return };
        let (cut, back_us) = (self.links.is_cut(peer, at), self.links.delay_us(at, peer));
        let Some(end) = self.links.end(link, at) else { return };
        let life = end.life;
        let due = end.open && end.incoming.front().is_some_and(|(arrives, _)| *arrives <= now);
        let reads = self.bridge(life, peer).is_some_and(|bridge| bridge.link == Some(link) && !bridge.paused);
        if cut || !due || !reads {
            return;
        }
        let Some(end) = self.links.end(link, at) else { return };
        let Some((_, frame)) = end.incoming.pop_front() else { return };
        end.unread_bytes -= frame.len();
        if end.sender_waits && end.unread_bytes <= window {
            end.sender_waits = false;
            self.queue.put(now + back_us, Event::PipeReady(link, peer));
        }
        self.record_frame_read(peer, at, &frame);
        let frame = self.heard_by_its_release(life.region, frame);
        self.bridge_hears(life, peer, Input::Frame(frame));
    }

    /// The connection can take another frame.
    pub(crate) fn pipe_ready(&mut self, link: LinkId, at: RegionId) {
        let Some(peer) = self.links.links.get(&link).and_then(|link| link.other(at)) else { return };
        let Some(life) = self.links.end(link, at).map(|end| end.life) else { return };
        if self.bridge(life, peer).is_some_and(|bridge| bridge.link == Some(link)) {
            self.bridge_hears(life, peer, Input::PipeReady);
        }
    }

    /// What waited on a connection is tried again.
    pub(crate) fn read_on(&mut self, link: LinkId, at: RegionId) {
        let peer = self.links.links.get(&link).and_then(|link| link.other(at));
        let way = peer.and_then(|peer| self.links.way(peer, at));
        let not_before = way.map_or(0, |way| way.goes_again).max(self.now);
        let Some(end) = self.links.end(link, at) else { return };
        for (arrives, _) in &mut end.incoming {
            *arrives = (*arrives).max(not_before);
        }
        end.last_arrival = end.last_arrival.max(not_before);
        for (time, _) in &end.incoming {
            self.queue.put(*time, Event::FrameArrives(link, at));
        }
    }

    /// Cuts a way.
    pub fn cut(&mut self, from: RegionId, to: RegionId) {
        let now = self.now;
        self.trace.tell(now, || format!("cut {from} > {to}"));
        let Some(way) = self.links.way_mut(from, to) else { return };
        way.cuts += 1;
        if way.cuts > 1 {
            return;
        }
        way.cut_since = now;
        for link in self.links.between(from, to) {
            self.queue.put(now + SILENCE_US, Event::LinkSilent(link, to, now));
        }
    }

    /// Takes one cut off a way.
    pub fn mend(&mut self, from: RegionId, to: RegionId) {
        let now = self.now;
        self.trace.tell(now, || format!("mend {from} > {to}"));
        let round_trip_us = self.links.round_trip_us(from, to);
        let Some(way) = self.links.way_mut(from, to) else { return };
        let after = way.wire.dice.below(HEARTBEAT_US) + round_trip_us;
        way.cuts = way.cuts.saturating_sub(1);
        if way.cuts == 0 {
            way.goes_again = now + after;
            for link in self.links.between(from, to) {
                self.read_on(link, to);
            }
        }
    }

    /// A region's process is gone: its peers notice sooner or later.
    pub(crate) fn links_lost(&mut self, life: Life) {
        for link in self.links.with(life) {
            let other = self.links.links.get(&link).and_then(|link| link.other(life.region));
            self.close_end(link, life.region);
            if let Some(other) = other {
                // A machine that still runs says that nobody listens any more; one that does not is silent.
                let way = self.links.way_mut(life.region, other);
                let soon = way.and_then(|way| {
                    let dice = &mut way.wire.dice;
                    dice.one_in(2).then(|| dice.between(5_000, 300_000))
                });
                let after = soon.unwrap_or(SILENCE_US);
                self.queue.put(self.now + after, Event::LinkClosed(link, other, None));
            }
        }
    }
}
