//! The thread of one shard: drain the mailbox, step, commit with a sync, release the effects, again.
//!
//! What must always hold:
//! - Nothing of a step leaves before its batch is synced; no step starts before the last batch is.
//! - What arrives while a sync runs goes into the next batch, so the more load, the more each sync carries.
//! - A failed commit or a read of damaged state ends the region: nobody knows what is on the disk, and peers and devices must not be told more.

use crate::bridges::BridgeHub;
use crate::clock::RegionClock;
use crate::compact_files::Compactor;
use crate::counters::ShardCounters;
use crate::ending::Ending;
use crate::handle::{Behind, DeviceSink};
use crate::mailbox::{Inbox, Letter, Taken, Woken};
use crate::store::RocksStore;
use crdt::{Now, PlacementId, ReplicaId};
use rand_chacha::ChaCha20Rng;
use region::command::{Done, Refusal};
use region::operate::{NotOperated, Operated};
use region::present::Present;
use region::shard::{Effect, Input, Outcome, Shard, Ticket};
use region::store::{Store as _, StoreError};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// What a shard's thread owns.
pub(crate) struct ShardThread {
    pub(crate) placement: PlacementId,
    /// What this region is in the placement.
    pub(crate) replica: ReplicaId,
    pub(crate) shard: Shard,
    pub(crate) store: RocksStore,
    pub(crate) present: Present,
    pub(crate) inbox: Inbox,
    /// Declared behind the inbox, and so dropped after it: what it still says to the shard then fails at once instead of waiting for room.
    pub(crate) compactor: Compactor,
    pub(crate) clock: Arc<RegionClock>,
    pub(crate) entropy: ChaCha20Rng,
    pub(crate) devices: DeviceSink,
    pub(crate) bridges: BridgeHub,
    pub(crate) behind: Behind,
    pub(crate) ending: Ending,
    pub(crate) counters: Arc<ShardCounters>,
    /// Whose timers wake the thread.
    pub(crate) runtime: Handle,
}

/// Who has asked and was not answered: most wait for the running step, and as many as a shard holds answers for another region.
#[derive(Default)]
struct Asked {
    tickets: u64,
    answers: BTreeMap<Ticket, oneshot::Sender<Result<Done, Refusal>>>,
    operators: BTreeMap<Ticket, oneshot::Sender<Result<Operated, NotOperated>>>,
}

impl Asked {
    fn ticket(&mut self) -> Ticket {
        self.tickets = self.tickets.wrapping_add(1);
        Ticket(self.tickets)
    }
}

/// What else hangs on the running step.
#[derive(Default)]
struct Waiting {
    taken: Vec<Taken>,
    stop: bool,
}

impl ShardThread {
    /// Starts the thread. It ends when it is told to, or nobody holds its mailbox any more.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub(crate) fn start(self) -> std::io::Result<thread::JoinHandle<()>> {
        thread::Builder::new().name(format!("shard-{}", self.placement)).spawn(move || self.run())
    }

    fn run(mut self) {
        let (mut letters, mut asked) = (Vec::new(), Asked::default());
        // The first tick lets a shard take up after a restart what waits for time.
        let mut next_tick = Some(Now(0));
        loop {
            let wait = next_tick.map(|at| until(at, self.clock.now()));
            let woken = self.inbox.take(&self.runtime, &mut letters, wait);
            if woken == Woken::Closed {
                return;
            }
            let (mut inputs, waiting) = open(&mut letters, &mut asked);
            let now = self.clock.now();
            if next_tick.is_some_and(|at| at <= now) {
                inputs.push(Input::Tick);
            }
            match self.step(now, inputs) {
                Ok(outcome) => {
                    next_tick = outcome.next_tick;
                    let stop = waiting.stop;
                    if let Some(epoch) = self.closed_by(&outcome.effects) {
                        self.ending.end(&format!(
                            "epoch {epoch} of placement {} closes this region's replica: keep its data folder, whose last operations the others may lack, and return as a new incarnation; in its other placements it goes on when it is started again",
                            self.placement
                        ));
                        return;
                    }
                    self.release(outcome.effects, &mut asked, waiting);
                    if stop {
                        return;
                    }
                }
                Err(error) => {
                    self.ending.end(&format!("the store of placement {} failed: {error}", self.placement));
                    return;
                }
            }
        }
    }

    /// Steps and makes the outcome durable.
    fn step(&mut self, now: Now, inputs: Vec<Input>) -> Result<Outcome, StoreError> {
        self.counters.stepped(inputs.len());
        let mut outcome = self.shard.step(now, &mut self.entropy, inputs, &self.store)?;
        if !outcome.batch.is_empty() {
            self.present.note(now, &mut outcome.batch);
            let begun = self.clock.now();
            self.store.commit(&outcome.batch)?;
            self.counters.committed(&outcome.batch, self.clock.now().0.saturating_sub(begun.0));
        }
        self.counters.leftovers_since(self.shard.leftovers_since());
        self.counters.texts_age(self.shard.texts_age_us());
        self.counters.holds_answers(self.shard.held_answers());
        Ok(outcome)
    }

    /// The number of the epoch that closes this very replica, if one does.
    fn closed_by(&self, effects: &[Effect]) -> Option<u64> {
        effects.iter().find_map(|effect| match effect {
            Effect::Epoch(placement) if !placement.active.contains_key(&self.replica) => {
                Some(placement.epoch.0)
            }
            _ => None,
        })
    }

    fn release(&self, effects: Vec<Effect>, asked: &mut Asked, waiting: Waiting) {
        let mut for_devices = Vec::new();
        for effect in effects {
            match effect {
                Effect::Reply { ticket, result } => {
                    if let Some(answer) = asked.answers.remove(&ticket) {
                        // A device that is gone needs no answer.
                        let _ = answer.send(result);
                    }
                }
                Effect::Operated { ticket, result } => {
                    if let Some(answer) = asked.operators.remove(&ticket) {
                        // Nor does an operator who is gone.
                        let _ = answer.send(result);
                    }
                }
                Effect::Epoch(placement) => {
                    tracing::info!(placement = %placement.id, epoch = placement.epoch.0, "another epoch");
                    self.bridges.follow(*placement);
                }
                Effect::CaughtUp => {
                    tracing::info!(placement = %self.placement, "this region holds all that the others did when it was admitted: devices are answered");
                    self.behind.caught_up(self.placement);
                }
                Effect::EpochRefused(why) => tracing::error!(%why, "an epoch is not followed"),
                Effect::Advanced { partition, state } => self.bridges.advanced(partition, &state),
                Effect::PinBroken { dot, conversation, user: _ } => {
                    self.counters.pin_broken();
                    let partition = conversation.partition();
                    // Logs leave the region, so neither user nor conversation is named: the dot leads to both.
                    tracing::warn!(%dot, %partition, "a peer let a user into a placement that their pin does not allow");
                }
                Effect::AnotherHistory { partition, by, dot } => {
                    self.counters.another_history();
                    tracing::error!(%partition, %by, %dot, "a region acknowledges another history than stands here, so an operation's number was given twice: nothing more becomes stable there until the replica that did is closed");
                }
                Effect::BehindFold { dot, conversation } => {
                    self.counters.behind_fold();
                    let partition = conversation.partition();
                    tracing::error!(%dot, %partition, "a peer's change of members contradicts what its region had acknowledged: compare digests");
                }
                Effect::DocumentChangeKeptOut { dot, conversation, why } => {
                    self.counters.document_change_kept_out();
                    let partition = conversation.partition();
                    let why = why.map_or_else(|| "it waits for others".to_owned(), |why| why.to_string());
                    tracing::warn!(%dot, %partition, %why, "a peer's change of a document is kept out");
                }
                Effect::RegisterKeptOut { peer, partition } => {
                    self.counters.register_kept_out();
                    tracing::warn!(%peer, %partition, "a peer's feed holds a register whose value is none: it is kept out");
                }
                Effect::NoRight { dot, conversation } => {
                    self.counters.no_right();
                    let partition = conversation.partition();
                    tracing::warn!(%dot, %partition, "a peer spends or gives a right to a place in a group that it does not hold: it does nothing");
                }
                Effect::Expired { dots, .. } => self.counters.expired(dots.len()),
                Effect::Compact(spans) => {
                    self.counters.compacts();
                    self.compactor.begin(spans);
                }
                Effect::Refused { peer, reason } => self.bridges.refused(peer, &reason),
                Effect::Changed(_)
                | Effect::Membership { .. }
                | Effect::Hidden { .. }
                | Effect::Receipt { .. }
                | Effect::Stable { .. } => for_devices.push(effect),
            }
        }
        self.devices.release(self.placement, for_devices);
        for Taken { notices, bytes } in waiting.taken {
            notices.taken(bytes);
        }
    }
}

/// Turns letters into a step's inputs.
fn open(letters: &mut Vec<Letter>, asked: &mut Asked) -> (Vec<Input>, Waiting) {
    let mut inputs = Vec::with_capacity(letters.len());
    let mut waiting = Waiting::default();
    for letter in letters.drain(..) {
        match letter {
            Letter::Command { user, device, command, answer } => {
                let ticket = asked.ticket();
                asked.answers.insert(ticket, answer);
                inputs.push(Input::Command { ticket, user, device, command });
            }
            Letter::Operate { act, answer } => {
                let ticket = asked.ticket();
                asked.operators.insert(ticket, answer);
                inputs.push(Input::Operate { ticket, act });
            }
            Letter::Replicated { input, taken } => {
                waiting.taken.extend(taken);
                inputs.push(input);
            }
            Letter::Stop => waiting.stop = true,
        }
    }
    (inputs, waiting)
}

/// From now until then; nothing if it is past.
fn until(at: Now, now: Now) -> Duration {
    Duration::from_micros(at.0.saturating_sub(now.0))
}
