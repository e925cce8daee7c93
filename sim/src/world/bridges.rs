//! What drives a bridge here, as its task does in a region: gives the core what happens, and carries out what it wants.
//!
//! What must always hold: outputs are carried out in order; a link that was replaced or closed is never heard again; while the core has
//! asked for a pause no frame is given to it. A bridge between honest regions raises no alarm but that of the clocks.

use crate::checks::world::Checker;
use crate::figures::Bound;
use crate::world::World;
use crate::world::dice::Dice;
use crate::world::queue::{Event, Life, LinkId, Moment};
use crate::world::work::{Taken, bridge_did};
use crdt::held::Held;
use crdt::{Now, PartitionId, PlacementId, RegionId};
use region::log_view::StoreLog;
use region::shard::Input as ShardInput;
use replication::bridge::Bridge;
use replication::commit::CommitRefused;
use replication::input::Input;
use replication::limits::{FRAME_BYTES_MAX, IN_FLIGHT_BYTES_MAX};
use replication::log::PartitionState;
use replication::output::{Alarm, Output};
use replication::placement::Placements;
use replication::timers::Timer;
use replication::{Delivery, Sent};
use std::collections::BTreeMap;

/// A bridge and what it is told.
#[derive(Debug)]
pub(crate) struct BridgeTask {
    core: Bridge,
    pub(crate) link: Option<LinkId>,
    pub(crate) paused: bool,
    /// Its connection has said that it takes one more frame, and was given none since.
    pipe_takes: bool,
    open: bool,
    timers: BTreeMap<Timer, Now>,
    /// When its timers are looked at next, if that is set.
    alarm: Option<Moment>,
    told: Told,
    told_soon: bool,
    in_flight_bytes: usize,
    dice: Dice,
}

/// What a bridge is to hear from the shards.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// The placements under their latest epochs, if one has changed.
    pub(crate) placements: Option<Placements>,
    pub(crate) advanced: BTreeMap<PartitionId, PartitionState>,
    pub(crate) taken: Vec<usize>,
    /// Of each partition the first.
    pub(crate) refused: BTreeMap<PartitionId, CommitRefused>,
}

impl BridgeTask {
    /// Whether both sides have said where they stand.
    pub(crate) const fn is_open(&self) -> bool {
        self.open
    }

    /// What its core prints of itself.
    pub(crate) fn print(&self) -> String {
        self.core.to_string()
    }

    pub(crate) fn new(core: Bridge, dice: Dice) -> Self {
        Self {
            core,
            link: None,
            paused: false,
            pipe_takes: false,
            open: false,
            timers: BTreeMap::new(),
            alarm: None,
            told: Told::default(),
            told_soon: false,
            in_flight_bytes: 0,
            dice,
        }
    }
}

impl World {
    /// What a region's bridge to a peer has put into frames since its process began; nothing if it does not run.
    #[must_use]
    pub fn sent_to(&self, region: RegionId, peer: RegionId) -> Sent {
        let process = self.regions.get(&region).and_then(|region| region.process.as_ref());
        let bridge = process.and_then(|process| process.bridges.get(&peer));
        bridge.map_or_else(Sent::default, |bridge| bridge.core.sent())
    }

    pub(crate) fn bridge(&mut self, life: Life, peer: RegionId) -> Option<&mut BridgeTask> {
        self.process(life)?.bridges.get_mut(&peer)
    }

    /// Leaves word for a bridge, which it takes soon.
    pub(crate) fn bridge_told(&mut self, life: Life, peer: RegionId, tell: impl FnOnce(&mut Told)) {
        let service = self.service;
        let Some(bridge) = self.bridge(life, peer) else { return };
        let after = service.bridge_takes_us(&mut bridge.dice);
        tell(&mut bridge.told);
        if !bridge.told_soon {
            bridge.told_soon = true;
            self.queue.put(self.now + after, Event::BridgeTold(life, peer));
        }
    }

    /// A bridge takes what was left for it.
    pub(crate) fn bridge_takes(&mut self, life: Life, peer: RegionId) {
        let Some(bridge) = self.bridge(life, peer) else { return };
        bridge.told_soon = false;
        let Told { placements, advanced, taken, refused } = std::mem::take(&mut bridge.told);
        for bytes in &taken {
            // Each is one that was delivered by this bridge.
            bridge.in_flight_bytes -= bytes;
        }
        let advanced = advanced.into_iter().map(|(partition, state)| Input::Advanced { partition, state });
        let taken = taken.into_iter().map(|bytes| Input::Taken { bytes });
        let refused = refused.into_values().map(|reason| Input::Refused { reason });
        let placements = placements.into_iter().map(Input::Placements);
        for input in placements.chain(advanced).chain(taken).chain(refused).collect::<Vec<_>>() {
            self.bridge_hears(life, peer, input);
        }
    }

    /// A bridge's timers, those that are due.
    pub(crate) fn bridge_timers(&mut self, life: Life, peer: RegionId) {
        let Some(now) = self.present(life) else { return };
        let at = self.now;
        let Some(bridge) = self.bridge(life, peer) else { return };
        bridge.alarm = bridge.alarm.filter(|alarm| *alarm > at);
        let due: Vec<Timer> =
            bridge.timers.iter().filter(|(_, at)| **at <= now).map(|(timer, _)| *timer).collect();
        for timer in due {
            if let Some(bridge) = self.bridge(life, peer) {
                bridge.timers.remove(&timer);
            }
            self.bridge_hears(life, peer, Input::Timer(timer));
        }
        self.set_bridge_alarm(life, peer);
    }

    fn set_bridge_alarm(&mut self, life: Life, peer: RegionId) {
        let known = self.bridge(life, peer);
        let Some((first, alarm)) =
            known.and_then(|bridge| Some((bridge.timers.values().min().copied()?, bridge.alarm)))
        else {
            return;
        };
        // Never at once: a clock that slews may show a moment later than was hoped.
        let at = self.when(life, first).max(self.now + 1);
        if alarm.is_none_or(|alarm| alarm > at) {
            self.queue.put(at, Event::BridgeTimers(life, peer));
            if let Some(bridge) = self.bridge(life, peer) {
                bridge.alarm = Some(at);
            }
        }
    }

    /// One step of a bridge's core, carried out.
    pub(crate) fn bridge_hears(&mut self, life: Life, peer: RegionId, input: Input) {
        let Some(now) = self.present(life) else { return };
        let Some(region) = self.regions.get_mut(&life.region) else { return };
        let Some(process) = &mut region.process else { return };
        let Some(bridge) = process.bridges.get_mut(&peer) else { return };
        let views = region.disks.iter().map(|(placement, disk)| (*placement, disk.view()));
        let log = StoreLog::new(life.region, views);
        let taken = Taken::by_bridge(&input);
        if matches!(input, Input::Connected { .. } | Input::Disconnected { .. } | Input::PipeReady) {
            bridge.pipe_takes = input == Input::PipeReady;
        }
        let at_base = bridge.core.bases_covered();
        match bridge.core.step(now, bridge.dice.entropy(), input, &log) {
            Ok(outputs) => {
                self.work.step(taken, bridge_did(&outputs));
                self.oracle.hears();
                self.oracle.marks.at_base += bridge.core.bases_covered() - at_base;
                let held = bridge.core.held();
                self.oracle.hold(self.now, format_args!("the bridge of {} to {peer}", life.region), &held);
                for output in outputs {
                    self.carry_out_bridge(life, peer, output);
                }
            }
            Err(error) => self.store_failed(life, &error),
        }
    }

    fn carry_out_bridge(&mut self, life: Life, peer: RegionId, output: Output) {
        match output {
            Output::Dial => self.dial(life, peer),
            Output::Send(frame) => {
                self.pipe_is_given_one(life, peer);
                self.send_frame(life, peer, frame);
            }
            Output::Opened { .. } => {
                if let Some(bridge) = self.bridge(life, peer) {
                    bridge.open = true;
                    self.tell_siblings(life, peer, true);
                }
            }
            Output::Deliver(delivery) => self.deliver_to_shard(life, peer, delivery),
            Output::SetTimer { timer, at } => {
                if let Some(bridge) = self.bridge(life, peer) {
                    bridge.timers.insert(timer, at);
                    self.set_bridge_alarm(life, peer);
                }
            }
            Output::Close(reason) => self.end_link(life, peer, reason.code()),
            Output::Alarm(alarm @ Alarm::ClockDrift { .. }) => {
                self.oracle.marks.clock_alarms += 1;
                self.oracle.says(self.now, life.region, alarm);
            }
            Output::Alarm(alarm) => {
                if self.lies(life.region) || self.lies(peer) {
                    self.oracle.marks.alarms_about_lies += 1;
                } else if self.is_of_another_release(life.region, peer, &alarm) {
                    self.oracle.marks.versions_refused += 1;
                } else {
                    let why = format!("{} about {peer}: {alarm}", life.region);
                    let is_about_states = matches!(alarm, Alarm::StatesDiffer { .. });
                    let checker = if is_about_states { Checker::Equal } else { Checker::Understood };
                    self.oracle.violate(self.now, checker, why);
                }
            }
            Output::Fenced(reason) => {
                if self.lies(life.region) {
                    self.oracle.marks.fenced += 1;
                    self.lose(life.region, &reason.to_string());
                } else {
                    let why = format!("{} is fenced: {reason}", life.region);
                    self.oracle.violate(self.now, Checker::Understood, why);
                }
            }
            Output::PauseReading => {
                self.oracle.marks.pauses += 1;
                self.figures.reached(Bound::BridgeReading);
                if let Some(bridge) = self.bridge(life, peer) {
                    bridge.paused = true;
                }
            }
            Output::ResumeReading => self.resume_reading(life, peer),
        }
    }

    fn deliver_to_shard(&mut self, life: Life, peer: RegionId, delivery: Delivery) {
        match delivery {
            Delivery::PeerStarted { placement, peer, start, kinds } => {
                self.deliver(life, placement, ShardInput::PeerStarted { peer, start, kinds }, None);
            }
            Delivery::PeerCaughtUp { placement, peer, had } => {
                self.deliver(life, placement, ShardInput::PeerCaughtUp { peer, had }, None);
            }
            Delivery::Epochs { placement, statements } => {
                self.deliver(life, placement, ShardInput::Epochs(statements), None);
            }
            Delivery::Entries { peer: replica, partition, commits, cursor, bytes } => {
                if let Some(reason) = self.is_later_to(life.region, partition, &commits) {
                    self.bridge_told(life, peer, |told| {
                        told.refused.entry(partition).or_insert(reason);
                    });
                    self.is_taken_unread(life, peer, bytes);
                    return;
                }
                self.record_commits(peer, life.region, partition, &commits);
                let input = ShardInput::Entries { peer: replica, partition, commits, cursor };
                self.deliver_weighed(life, peer, partition.placement, input, bytes);
            }
            Delivery::Registers { peer: replica, partition, registers, after, cursor, bytes } => {
                if let Some(reason) = self.is_later_register(life.region, partition, &registers) {
                    self.bridge_told(life, peer, |told| {
                        told.refused.entry(partition).or_insert(reason);
                    });
                    self.is_taken_unread(life, peer, bytes);
                    return;
                }
                let input = ShardInput::Registers { peer: replica, partition, registers, after, cursor };
                self.deliver_weighed(life, peer, partition.placement, input, bytes);
            }
        }
    }

    /// A delivery is told taken that never reached its shard.
    fn is_taken_unread(&mut self, life: Life, peer: RegionId, bytes: usize) {
        if let Some(bridge) = self.bridge(life, peer) {
            bridge.in_flight_bytes += bytes;
        }
        self.bridge_told(life, peer, |told| told.taken.push(bytes));
    }

    /// A pipe holds one frame at most that it has not taken.
    fn pipe_is_given_one(&mut self, life: Life, peer: RegionId) {
        let Some(bridge) = self.bridge(life, peer) else { return };
        let held = if std::mem::take(&mut bridge.pipe_takes) { 1 } else { 2 };
        let held = Held::new("frames that the pipe has not taken", held, 1);
        self.oracle.hold(self.now, format_args!("the bridge of {} to {peer}", life.region), &[held]);
    }

    fn deliver_weighed(
        &mut self,
        life: Life,
        peer: RegionId,
        placement: PlacementId,
        input: ShardInput,
        bytes: usize,
    ) {
        let Some(bridge) = self.bridge(life, peer) else { return };
        bridge.in_flight_bytes += bytes;
        let most = IN_FLIGHT_BYTES_MAX + FRAME_BYTES_MAX;
        let held = Held::new("bytes delivered and not taken", bridge.in_flight_bytes, most);
        self.oracle.hold(self.now, format_args!("{} of {peer}", life.region), &[held]);
        self.deliver(life, placement, input, Some((peer, bytes)));
    }

    fn resume_reading(&mut self, life: Life, peer: RegionId) {
        let Some(bridge) = self.bridge(life, peer) else { return };
        bridge.paused = false;
        if let Some(link) = bridge.link {
            self.read_on(link, life.region);
        }
    }

    /// Takes the link off a bridge, and tells the others if it was open.
    pub(crate) fn detach(&mut self, life: Life, peer: RegionId) -> Option<LinkId> {
        let bridge = self.bridge(life, peer)?;
        bridge.paused = false;
        let (link, open) = (bridge.link.take(), std::mem::take(&mut bridge.open));
        if open {
            self.tell_siblings(life, peer, false);
        }
        link
    }

    fn tell_siblings(&mut self, of: Life, about: RegionId, up: bool) {
        let others = self.layout.regions().iter().copied();
        for peer in others.filter(|peer| *peer != of.region && *peer != about).collect::<Vec<_>>() {
            self.queue.put(self.now + 10, Event::Sibling { of, peer, about, up });
        }
    }
}
