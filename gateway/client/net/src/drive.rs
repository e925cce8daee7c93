//! The task of one client: feeds the core what happens, obeys what it says.
//!
//! ```text
//!   handle ──acts──▶ ┌───────┐ ──events──▶ application
//!   sockets ◀──────▶ │ drive │ ◀──▶ gateway_client::Client::step
//!                    └───────┘
//! ```
//! What must always hold: the core's time is monotonic; while events wait in numbers, neither sockets nor acts are taken, so a
//! slow application costs no memory; an event is never dropped while somebody listens.

use crate::handle::Told;
use crate::limits;
use crate::socket::{Happening, Sockets};
use crdt::Now;
use gateway_client::{Act, Client, Input, Output};
use rand_chacha::ChaCha12Rng;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

/// Wall time at the start, advanced by the monotonic clock alone.
#[derive(Debug, Clone, Copy)]
struct Clock {
    started: Instant,
    started_at: Now,
}

pub(crate) struct Driver {
    core: Client,
    entropy: ChaCha12Rng,
    clock: Clock,
    sockets: Sockets,
    acts: mpsc::Receiver<Act>,
    events: mpsc::Sender<Told>,
    waiting: VecDeque<Told>,
}

impl Clock {
    fn start() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let started_at = Now(u64::try_from(wall.as_micros()).unwrap_or(u64::MAX));
        Self { started: Instant::now(), started_at }
    }

    fn now(&self) -> Now {
        let passed = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        Now(self.started_at.0.saturating_add(passed))
    }

    fn instant(&self, at: Now) -> Instant {
        self.started + Duration::from_micros(at.0.saturating_sub(self.started_at.0))
    }
}

impl Driver {
    pub(crate) fn new(
        core: Client,
        entropy: ChaCha12Rng,
        sockets: Sockets,
        acts: mpsc::Receiver<Act>,
        events: mpsc::Sender<Told>,
    ) -> Self {
        Self { core, entropy, clock: Clock::start(), sockets, acts, events, waiting: VecDeque::new() }
    }

    /// Runs until every handle is dropped; then writes what is queued, and ends.
    pub(crate) async fn run(mut self) {
        self.step(Input::Start);
        loop {
            let deadline = self.core.deadline().map(|at| self.clock.instant(at));
            let has_room = self.waiting.len() < limits::EVENTS_WAITING_MAX;
            let (sockets, waiting) = (&mut self.sockets, &mut self.waiting);
            let next = tokio::select! {
                permit = self.events.reserve(), if !waiting.is_empty() => {
                    match permit {
                        Ok(permit) => drop(waiting.pop_front().map(|told| permit.send(told))),
                        // Nobody listens any more.
                        Err(_) => waiting.clear(),
                    }
                    continue;
                }
                act = self.acts.recv(), if has_room => act.map(Input::Act),
                (connection, happening) = poll_fn(|cx| sockets.poll(cx, has_room)) => Some(match happening {
                    Happening::Connected => Input::Connected(connection),
                    Happening::Frame(frame) => Input::Frame { connection, frame },
                    Happening::Closed => Input::Disconnected(connection),
                }),
                () = sleep_until(deadline.unwrap_or(self.clock.started)), if deadline.is_some() => Some(Input::Timer),
            };
            match next {
                Some(input) => self.step(input),
                None => break,
            }
        }
        let flush = poll_fn(|cx| self.sockets.poll_flush(cx));
        // What is not written by then is in nobody's hands: the application was told what was acknowledged.
        let _ = timeout(Duration::from_millis(limits::FLUSH_MS), flush).await;
    }

    fn step(&mut self, input: Input) {
        let at = std::time::Instant::now();
        for output in self.core.step(self.clock.now(), &mut self.entropy, input) {
            match output {
                Output::Connect { connection, url } => self.sockets.connect(connection, url),
                Output::Disconnect { connection } => self.sockets.disconnect(connection),
                Output::Send { connection, frame } => self.sockets.send(connection, &frame),
                Output::Show(event) => self.waiting.push_back(Told { at, event }),
            }
        }
    }
}
