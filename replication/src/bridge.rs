//! The bridge: one deterministic function per peer region.
//!
//! ```text
//!   frames, pipe, what grew here, timers ──▶ step(now, entropy, input, log) ──▶ frames, entries for the shard, timers
//! ```
//! How to drive me: give `Started` once; `Connected` when a connection stands, then `PipeReady` whenever it can take one more frame;
//! every received frame, unless paused; `Advanced` after each durable batch; `Taken` for each delivery. Carry the outputs out in
//! order. An error means that the store cannot be read: stop the region.
//!
//! What must always hold: the same inputs give the same outputs; a connection's state ends with it, so a bridge can be cut anywhere;
//! whatever the peer sends ends in an answer or in [`Output::Close`] with a stable code.

use crate::bases::Bases;
use crate::catch_up::CatchUp;
use crate::compare_clocks::Clocks;
use crate::compare_states::States;
use crate::fetch_missing::Tardiness;
use crate::input::Input;
use crate::limits::{FETCHES_MAX, FRAME_BYTES_MAX, IN_FLIGHT_BYTES_MAX, PENDING_BYTES_MAX};
use crate::log::{LogUnreadable, LogView, PartitionState};
use crate::output::{Alarm, Output};
use crate::partition::Partition;
use crate::placement::Placements;
use crate::reason::{CODE_EPOCH_CHANGED, CODE_STOPPING, Reason, name_of};
use crate::send_frame::Outbox;
use crate::sent::Sent;
use crate::shared::Shared;
use crate::store_start::StoreStart;
use crate::timers::Timer;
use crate::{frame, proto};
use bytes::Bytes;
use crdt::held::Held;
use crdt::{Now, PartitionId, PlacementId, RegionId, ReplicaId};
use rand_core::RngCore;
use std::collections::{BTreeMap, BTreeSet};

/// What a bridge is told about its place in the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The cluster's name.
    pub cluster: String,
    /// This region.
    pub own: RegionId,
    /// The region at the other end. The lower number dials.
    pub peer: RegionId,
    /// All placements under their current epochs, until [`Input::Placements`] tells of later ones.
    pub placements: Placements,
    /// This region's stores. A placement without one is none of this bridge's, whoever is active in it.
    pub stores: BTreeMap<PlacementId, OwnStore>,
    /// The operation kinds that this version knows, by number.
    pub kinds: Vec<u32>,
}

/// One store of this region, as Hello names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnStore {
    /// The replica that the store is bound to.
    pub replica: ReplicaId,
    /// This start of it.
    pub start: StoreStart,
}

/// The region cannot go on.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Fatal {
    /// The store cannot be read.
    #[error(transparent)]
    Log(#[from] LogUnreadable),
}

/// Why a step ends before its end.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The peer is refused.
    Close(Reason),
    /// This region's own store is behind.
    Fence(Reason),
    /// The store cannot be read.
    Fatal(LogUnreadable),
}

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// There is none.
    Down,
    /// It stands; our Hello is to be sent, or the peer's to come.
    Greeting,
    /// The peer was understood, but one of the two has to learn of an epoch first.
    Learning,
    /// The peer was accepted; it has not yet said where it stands.
    Resuming,
    /// Entries flow.
    Open,
}

/// What one step works with.
pub(crate) struct Turn<'a> {
    pub(crate) now: Now,
    pub(crate) log: &'a dyn LogView,
    pub(crate) out: Vec<Output>,
}

/// The bridge of this region to one peer region.
#[derive(Debug)]
pub struct Bridge {
    pub(crate) config: Config,
    pub(crate) shared: Shared,
    pub(crate) phase: Phase,
    /// This region must not serve any more: nothing is dialled.
    pub(crate) fenced: bool,
    /// Connections in a row that did not last.
    pub(crate) failures: u32,
    /// When the connection opened.
    pub(crate) opened_at: Option<Now>,
    /// The version agreed on.
    pub(crate) version: u32,
    /// The version and the peer's operation kinds, until the bridge is open.
    pub(crate) agreed: Option<(u32, Vec<u32>)>,
    /// The connection can take a frame.
    pub(crate) pipe_ready: bool,
    /// What is to be sent beside entries.
    pub(crate) outbox: Outbox,
    /// When the registers timer is set to fire.
    pub(crate) registers_set: Option<Now>,
    /// The references timer is set.
    pub(crate) references_set: bool,
    /// When the patience timer is set to fire.
    pub(crate) patience_set: Option<Now>,
    pub(crate) partitions: BTreeMap<PartitionId, Partition>,
    /// Partitions with something to send.
    pub(crate) ready: BTreeSet<PartitionId>,
    /// Partitions that hold references back, by since when, and such whose registers wait, by when they are due: the flush timers, which on a
    /// busy bridge fire many times a second, look at the first of them.
    pub(crate) holding: BTreeSet<(Now, PartitionId)>,
    pub(crate) feeding: BTreeSet<(Now, PartitionId)>,
    /// Turns given so far.
    pub(crate) turns: u64,
    /// Partitions with something to pass.
    pub(crate) waiting: BTreeSet<PartitionId>,
    /// Partitions of which this connection takes no more, be it operations or registers.
    pub(crate) stopped: BTreeSet<PartitionId>,
    /// What waits to be passed, in bytes.
    pub(crate) pending_bytes: usize,
    /// Delivered and not taken, in bytes; outlives the connection.
    pub(crate) in_flight_bytes: usize,
    /// Reading is paused.
    pub(crate) paused: bool,
    /// How late each origin's own stream is.
    pub(crate) tardiness: BTreeMap<ReplicaId, Tardiness>,
    /// What is not over of what there was when the connection opened.
    pub(crate) catch_up: CatchUp,
    /// Origins that the peer wants inline.
    pub(crate) inline: BTreeSet<ReplicaId>,
    /// Other regions to which this region has an open bridge.
    pub(crate) reachable: BTreeSet<RegionId>,
    pub(crate) clocks: Clocks,
    pub(crate) states: States,
    pub(crate) bases: Bases,
    /// What was put into frames so far.
    pub(crate) sent: Sent,
}

impl Bridge {
    /// A bridge without a connection.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            shared: Shared::new(&config),
            config,
            phase: Phase::Down,
            fenced: false,
            failures: 0,
            opened_at: None,
            version: 0,
            agreed: None,
            pipe_ready: false,
            outbox: Outbox::default(),
            registers_set: None,
            references_set: false,
            patience_set: None,
            partitions: BTreeMap::new(),
            ready: BTreeSet::new(),
            holding: BTreeSet::new(),
            feeding: BTreeSet::new(),
            turns: 0,
            waiting: BTreeSet::new(),
            stopped: BTreeSet::new(),
            pending_bytes: 0,
            in_flight_bytes: 0,
            paused: false,
            tardiness: BTreeMap::new(),
            catch_up: CatchUp::default(),
            inline: BTreeSet::new(),
            reachable: BTreeSet::new(),
            clocks: Clocks::default(),
            states: States::default(),
            bases: Bases::default(),
            sent: Sent::default(),
        }
    }

    /// What this bridge has put into frames since it was made.
    #[must_use]
    pub const fn sent(&self) -> Sent {
        self.sent
    }

    /// What it holds, beside what it may. A frame that is being taken may bring what waits and what was delivered beyond their limits, at which nothing more
    /// is read.
    #[must_use]
    pub fn held(&self) -> [Held; 3] {
        [
            Held::new("bytes that wait", self.pending_bytes, PENDING_BYTES_MAX + FRAME_BYTES_MAX),
            Held::new("bytes delivered", self.in_flight_bytes, IN_FLIGHT_BYTES_MAX + FRAME_BYTES_MAX),
            Held::new("fetches to answer", self.outbox.to_answer.len(), FETCHES_MAX),
        ]
    }

    /// Takes one input.
    ///
    /// # Errors
    /// [`Fatal`] when the region's store cannot be read: the region must stop.
    pub fn step(
        &mut self,
        now: Now,
        entropy: &mut dyn RngCore,
        input: Input,
        log: &dyn LogView,
    ) -> Result<Vec<Output>, Fatal> {
        let mut turn = Turn { now, log, out: Vec::new() };
        let done = self.take(&mut turn, entropy, input).and_then(|()| self.send_if_ready(&mut turn));
        match done {
            Ok(()) => {}
            Err(Stop::Close(reason)) => self.close(&mut turn, entropy, reason),
            Err(Stop::Fence(reason)) => {
                self.fenced = true;
                turn.out.push(Output::Fenced(reason.clone()));
                self.close(&mut turn, entropy, reason);
            }
            Err(Stop::Fatal(unreadable)) => return Err(Fatal::Log(unreadable)),
        }
        Ok(turn.out)
    }

    fn take(&mut self, turn: &mut Turn<'_>, entropy: &mut dyn RngCore, input: Input) -> Result<(), Stop> {
        match input {
            Input::Started => self.dial(turn),
            Input::Connected { certified } => return self.connected(turn, certified),
            Input::Disconnected { code } => return self.disconnected(turn, entropy, code),
            Input::Frame(bytes) => return self.receive_frame(turn, bytes),
            Input::PipeReady => self.pipe_ready = true,
            Input::Advanced { partition, state } => return self.advanced(turn, partition, state),
            Input::Placements(placements) => self.take_placements(turn, entropy, placements),
            Input::PeerBridge { region, up } => return self.peer_bridge(turn, region, up),
            Input::Taken { bytes } => return self.taken(turn, bytes),
            Input::Refused { reason } => return self.refused_by_shard(turn, reason),
            Input::Timer(Timer::Redial) => self.dial(turn),
            Input::Timer(Timer::Registers) => self.flush_registers(turn),
            Input::Timer(Timer::References) => self.flush_references(turn),
            Input::Timer(Timer::Patience) => return self.lose_patience(turn),
            Input::Timer(Timer::Probe) => {
                self.probe(turn);
                self.state_what_changed();
            }
        }
        Ok(())
    }

    fn receive_frame(&mut self, turn: &mut Turn<'_>, bytes: Bytes) -> Result<(), Stop> {
        if self.phase == Phase::Down {
            return Ok(());
        }
        let frame = frame::decode(bytes)?;
        let proto::Frame {
            hello,
            epochs,
            resume,
            sections,
            feeds,
            fetches,
            fetched,
            rewinds,
            inlines,
            caught_up,
            states,
            bases,
            ..
        } = frame;
        if let Some(hello) = hello {
            return self.take_hello(turn, &hello);
        }
        if self.phase == Phase::Greeting {
            return Err(Stop::Close(Reason::OutOfTurn("a frame before Hello")));
        }
        if self.phase == Phase::Learning {
            return self.take_epochs(turn, &epochs);
        }
        if !epochs.is_empty() {
            return Err(Stop::Close(Reason::OutOfTurn("an epoch after both agreed")));
        }
        if let Some(resume) = resume {
            return self.take_resume(turn, &resume);
        }
        if self.phase == Phase::Resuming {
            return Err(Stop::Close(Reason::OutOfTurn("a frame before Resume")));
        }
        rewinds.iter().try_for_each(|rewind| self.take_rewind(rewind))?;
        inlines.iter().try_for_each(|inline| self.take_inline(inline))?;
        fetches.iter().try_for_each(|fetch| self.take_fetch(fetch))?;
        fetched.into_iter().try_for_each(|answer| self.take_fetched(turn, &answer))?;
        bases.iter().try_for_each(|base| self.take_base(turn, base))?;
        sections.iter().try_for_each(|section| self.take_section(turn, section))?;
        feeds.into_iter().try_for_each(|feed| self.take_feed(turn, feed))?;
        caught_up.iter().try_for_each(|said| self.take_caught_up(turn, said))?;
        states.iter().try_for_each(|state| self.take_state(turn, state))?;
        if let Some(probe) = frame.probe {
            self.outbox.probe_answer =
                Some(proto::ProbeAnswer { sent_us: probe.sent_us, clock_us: turn.now.0 });
        }
        if let Some(answer) = frame.probe_answer {
            self.take_probe_answer(turn, &answer)?;
        }
        self.bound_pending(turn)?;
        self.set_patience(turn);
        Ok(())
    }

    fn connected(&mut self, turn: &mut Turn<'_>, certified: RegionId) -> Result<(), Stop> {
        self.forget_connection(turn);
        if self.fenced {
            return Ok(());
        }
        self.phase = Phase::Greeting;
        if certified != self.config.peer {
            return Err(Stop::Close(Reason::WrongCertificate { certified, expected: self.config.peer }));
        }
        self.outbox.hello = Some(self.hello(turn)?);
        // What the last connection delivered still counts: this one is read once the shard has caught up.
        self.sent_to_shard(turn, 0);
        Ok(())
    }

    fn disconnected(
        &mut self,
        turn: &mut Turn<'_>,
        entropy: &mut dyn RngCore,
        code: Option<u32>,
    ) -> Result<(), Stop> {
        let refused = code.filter(|code| ![CODE_STOPPING, CODE_EPOCH_CHANGED].contains(code));
        self.redial_later(turn, entropy, refused.is_some());
        self.forget_connection(turn);
        if let Some(code) = refused {
            crate::sometimes::REFUSED_BY_PEER.reach();
            let peer = self.config.peer;
            turn.out.push(Output::Alarm(Alarm::RefusedByPeer { peer, code, name: name_of(code) }));
            return self.fence_if_found_out(code);
        }
        Ok(())
    }

    fn close(&mut self, turn: &mut Turn<'_>, entropy: &mut dyn RngCore, reason: Reason) {
        crate::sometimes::REFUSED_PEER.reach();
        self.redial_later(turn, entropy, true);
        self.forget_connection(turn);
        let peer = self.config.peer;
        turn.out.push(Output::Alarm(Alarm::RefusedPeer { peer, reason: reason.clone() }));
        turn.out.push(Output::Close(reason));
    }

    /// Ends what belongs to a connection. What the shard has not taken stays counted.
    pub(crate) fn forget_connection(&mut self, turn: &mut Turn<'_>) {
        self.phase = Phase::Down;
        (self.pipe_ready, self.agreed, self.opened_at) = (false, None, None);
        self.outbox = Outbox::default();
        // The next connection may be to a peer that has come to have a store.
        self.shared = Shared::new(&self.config);
        self.partitions.clear();
        self.ready.clear();
        self.holding.clear();
        self.feeding.clear();
        self.waiting.clear();
        self.stopped.clear();
        self.inline.clear();
        (self.version, self.catch_up) = (0, CatchUp::default());
        self.pending_bytes = 0;
        (self.registers_set, self.references_set, self.patience_set) = (None, false, None);
        self.tardiness.values_mut().for_each(Tardiness::forget_connection);
        self.clocks.forget_connection();
        self.states.forget_connection();
        self.bases.forget_connection();
        if self.paused {
            crate::sometimes::RESUMED_FULL.reach();
            self.paused = false;
            turn.out.push(Output::ResumeReading);
        }
    }

    fn advanced(
        &mut self,
        turn: &mut Turn<'_>,
        partition: PartitionId,
        state: PartitionState,
    ) -> Result<(), Stop> {
        if self.phase < Phase::Resuming || self.shared.number_of(partition).is_none() {
            return Ok(());
        }
        let own = self.shared.get(partition.placement).map(|shared| shared.own);
        let known = self.partitions.entry(partition).or_default();
        // One that was under way when the log was read may tell of an earlier state.
        if state.log_end >= known.outgoing.end {
            let has_applied = known.applied != state.applied;
            let is_written_to = own.is_some_and(|own| state.applied.get(own) > known.applied.get(own));
            known.outgoing.is_lively |= is_written_to && known.outgoing.unsent_entries();
            (known.applied, known.digest, known.outgoing.end) = (state.applied, state.digest, state.log_end);
            if has_applied {
                self.note_state(turn, partition);
            }
        } else {
            crate::sometimes::LATE_ADVANCE.reach();
        }
        let known = self.partitions.entry(partition).or_default();
        known.outgoing.feed_end = known.outgoing.feed_end.max(state.feed_end);
        known.outgoing.feed_own = known.outgoing.feed_own.max(state.feed_own);
        self.note_unsent(turn, partition);
        if self.waiting.contains(&partition) {
            self.pass(turn, partition)?;
            self.set_patience(turn);
        }
        Ok(())
    }
}

impl From<Reason> for Stop {
    fn from(reason: Reason) -> Self {
        Self::Close(reason)
    }
}

impl From<LogUnreadable> for Stop {
    fn from(unreadable: LogUnreadable) -> Self {
        Self::Fatal(unreadable)
    }
}
