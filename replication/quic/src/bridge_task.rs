//! The task of one bridge: gives the pure core what happens and carries out what it wants.
//!
//! ```text
//!   link (frames, room), notices (grown, taken, refused), siblings, timers ──▶ Bridge::step ──▶ link, deliveries, timers
//! ```
//! What must always hold: outputs are carried out in order; a link that was replaced or closed is never heard again; while the
//! core has asked for a pause no frame is taken from the link, so that the peer's own window stops it.

use crate::counters::{BridgeCounters, add};
use crate::dial::Dialer;
use crate::gossip::GossipLine;
use crate::limits::HEARTBEAT;
use crate::link::{Heard, Link, LinkEvent};
use crate::notices::Notices;
use crate::region_port::RegionPort;
use crdt::{Now, RegionId};
use rand_core::RngCore;
use replication::Delivery;
use replication::bridge::Bridge;
use replication::input::Input;
use replication::output::{Alarm, Output};
use replication::reason::CODE_STOPPING;
use replication::timers::Timer;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

/// A link, or why there is none, as the dialler or the listener brings it.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// A connection stands.
    Link(Link),
    /// Dialling failed; the code is the peer's if it gave one.
    Failed { code: Option<u32> },
}

/// What one bridge's task owns.
pub(crate) struct BridgeTask<R> {
    pub(crate) peer: RegionId,
    pub(crate) bridge: Bridge,
    pub(crate) region: Arc<R>,
    pub(crate) entropy: Box<dyn RngCore + Send + Sync>,
    pub(crate) notices: Arc<Notices>,
    pub(crate) arrivals: mpsc::Receiver<Arrival>,
    pub(crate) dialer: Dialer,
    /// The regions whose bridges are open, shared by all bridges of this region.
    pub(crate) open: watch::Sender<BTreeSet<RegionId>>,
    pub(crate) deliveries: mpsc::Sender<Delivery>,
    pub(crate) counters: Arc<BridgeCounters>,
    pub(crate) gossip: GossipLine,
    pub(crate) state: TaskState,
}

/// What the task keeps between two events.
#[derive(Default)]
pub(crate) struct TaskState {
    link: Option<Link>,
    paused: bool,
    timers: BTreeMap<Timer, Now>,
    siblings: BTreeSet<RegionId>,
    dialling: JoinSet<()>,
}

impl<R: RegionPort> BridgeTask<R> {
    /// Runs until the task is dropped.
    pub(crate) async fn run(mut self) {
        let mut siblings = self.open.subscribe();
        let mut heart = tokio::time::interval(HEARTBEAT);
        heart.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.give(Input::Started).await;
        loop {
            let wait = self.until_next_timer();
            tokio::select! {
                () = self.notices.wait() => self.told().await,
                Some(arrival) = self.arrivals.recv() => self.arrived(arrival).await,
                event = link_event(&mut self.state.link, !self.state.paused) => self.on_link(event).await,
                Ok(()) = siblings.changed() => {
                    let open = siblings.borrow_and_update().clone();
                    self.siblings(open).await;
                }
                _ = heart.tick() => self.state.link.iter_mut().for_each(Link::beat),
                () = tokio::time::sleep(wait) => self.fire_timers().await,
            }
        }
    }

    async fn told(&mut self) {
        let told = self.notices.take();
        if let Some(placements) = told.placements {
            self.give(Input::Placements(placements)).await;
        }
        for (partition, state) in told.advanced {
            self.give(Input::Advanced { partition, state }).await;
        }
        for bytes in told.taken {
            self.give(Input::Taken { bytes }).await;
        }
        for reason in told.refused.into_values() {
            self.give(Input::Refused { reason }).await;
        }
    }

    async fn arrived(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Link(link) => {
                self.end_link(CODE_STOPPING, "replaced by a newer connection");
                self.counters.connected(link.connection.clone());
                self.gossip.begin(&link.connection, link.certified);
                tracing::info!(peer = %self.peer, address = %link.connection.remote_address(), "bridge connected");
                let certified = link.certified;
                self.state.link = Some(link);
                self.give(Input::Connected { certified }).await;
                self.give(Input::PipeReady).await;
            }
            Arrival::Failed { code } => self.give(Input::Disconnected { code }).await,
        }
    }

    async fn on_link(&mut self, event: LinkEvent) {
        match event {
            LinkEvent::Written => self.give(Input::PipeReady).await,
            LinkEvent::Heard(Heard::Frame(frame)) => self.give(Input::Frame(frame)).await,
            LinkEvent::Heard(Heard::Refused(reason)) => {
                self.raise(&Alarm::RefusedPeer { peer: self.peer, reason: reason.clone() });
                self.end_link(reason.code(), &reason.to_string());
                self.give(Input::Disconnected { code: None }).await;
            }
            LinkEvent::Heard(Heard::Ended { code }) => {
                tracing::info!(peer = %self.peer, ?code, "bridge disconnected");
                self.end_link(CODE_STOPPING, "");
                self.give(Input::Disconnected { code }).await;
            }
        }
    }

    /// Tells the core which of the other bridges have opened or ended.
    async fn siblings(&mut self, open: BTreeSet<RegionId>) {
        let changed: Vec<RegionId> = self.state.siblings.symmetric_difference(&open).copied().collect();
        for region in changed {
            if region == self.peer {
                continue;
            }
            self.give(Input::PeerBridge { region, up: open.contains(&region) }).await;
        }
        self.state.siblings = open;
    }

    fn until_next_timer(&self) -> Duration {
        let now = self.region.now();
        let next = self.state.timers.values().min();
        // Without a timer nothing is waited for; an hour is as good as for ever.
        next.map_or(Duration::from_secs(3_600), |at| Duration::from_micros(at.0.saturating_sub(now.0)))
    }

    async fn fire_timers(&mut self) {
        let now = self.region.now();
        let due = self.state.timers.iter().filter(|(_, at)| **at <= now).map(|(timer, _)| *timer);
        for timer in due.collect::<Vec<_>>() {
            self.state.timers.remove(&timer);
            self.give(Input::Timer(timer)).await;
        }
    }

    /// One step of the core, carried out, with what follows from it at once.
    async fn give(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let now = self.region.now();
            let (bridge, entropy) = (&mut self.bridge, &mut self.entropy);
            let mut input = Some(input);
            let mut outputs = Ok(Vec::new());
            self.region.read_log(&mut |log| {
                if let Some(input) = input.take() {
                    outputs = bridge.step(now, entropy, input, log);
                }
            });
            match outputs {
                Ok(outputs) => {
                    self.counters.note_found(bridge);
                    for output in outputs {
                        self.carry_out(output).await;
                    }
                }
                Err(error) => self.region.stop(&error.to_string()),
            }
        }
    }

    async fn carry_out(&mut self, output: Output) {
        match output {
            Output::Dial => self.dialer.dial(&mut self.state.dialling),
            Output::Send(frame) => {
                self.counters.note_sent(self.bridge.sent());
                if let Some(link) = &self.state.link {
                    link.send(frame);
                }
            }
            Output::Opened { version, kinds } => {
                tracing::info!(peer = %self.peer, version, ?kinds, "bridge open");
                self.open.send_modify(|open| _ = open.insert(self.peer));
            }
            Output::Deliver(delivery) => self.deliver(delivery).await,
            Output::SetTimer { timer, at } => _ = self.state.timers.insert(timer, at),
            Output::Close(reason) => self.end_link(reason.code(), &reason.to_string()),
            Output::Alarm(alarm) => self.raise(&alarm),
            Output::Fenced(reason) => self.region.stop(&reason.to_string()),
            Output::PauseReading => self.state.paused = true,
            Output::ResumeReading => self.state.paused = false,
        }
    }

    async fn deliver(&self, delivery: Delivery) {
        if let Delivery::Entries { commits, .. } = &delivery {
            add(&self.counters.operations_in, commits.iter().map(|commit| commit.operations.len()).sum());
        }
        // The forwarding task ends only with this one.
        let _ = self.deliveries.send(delivery).await;
    }

    fn raise(&self, alarm: &Alarm) {
        add(&self.counters.alarms, 1);
        tracing::warn!(peer = %self.peer, %alarm, "bridge alarm");
    }

    /// Ends the link if there is one, and tells the other bridges.
    fn end_link(&mut self, code: u32, text: &str) {
        let Some(link) = self.state.link.take() else { return };
        link.close(code, text);
        self.state.paused = false;
        self.gossip.end();
        self.counters.disconnected();
        self.open.send_if_modified(|open| open.remove(&self.peer));
    }
}

/// The link's next event; never, without a link.
async fn link_event(link: &mut Option<Link>, reading: bool) -> LinkEvent {
    match link {
        Some(link) => link.event(reading).await,
        None => std::future::pending().await,
    }
}
