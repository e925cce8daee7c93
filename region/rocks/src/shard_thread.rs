//! The thread of one shard: drain the mailbox, step, commit with a sync, release the effects, again.
//!
//! What must always hold:
//! - Nothing of a step leaves before its batch is synced; no step starts before the last batch is.
//! - What arrives while a sync runs goes into the next batch, so the more load, the more each sync carries.
//! - A failed commit or a read of damaged state ends the process: nobody knows what is on the disk, and peers and devices must not be told more.

use crate::bridges::BridgeHub;
use crate::clock::RegionClock;
use crate::handle::DeviceSink;
use crate::mailbox::{Inbox, Letter};
use crate::store::RocksStore;
use crdt::{Now, PlacementId};
use rand_chacha::ChaCha20Rng;
use rand_core::RngCore;
use region::command::{Done, Refusal};
use region::shard::{Effect, Input, Outcome, Ticket};
use region::store::{Store as _, StoreError, View};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use tokio::sync::oneshot;

/// The deciding part of a shard, which this thread drives.
pub(crate) trait Steps: Send + 'static {
    fn step(
        &mut self,
        now: Now,
        entropy: &mut dyn RngCore,
        inputs: Vec<Input>,
        view: &dyn View,
    ) -> Result<Outcome, StoreError>;
}

/// What a shard's thread owns.
pub(crate) struct ShardThread<S> {
    pub(crate) placement: PlacementId,
    pub(crate) shard: S,
    pub(crate) store: RocksStore,
    pub(crate) inbox: Inbox,
    pub(crate) clock: Arc<RegionClock>,
    pub(crate) entropy: ChaCha20Rng,
    pub(crate) devices: DeviceSink,
    pub(crate) bridges: BridgeHub,
}

/// Who waits for the outcome of the running step.
#[derive(Default)]
struct Waiting {
    answers: BTreeMap<Ticket, oneshot::Sender<Result<Done, Refusal>>>,
    committed: Vec<oneshot::Sender<()>>,
}

impl<S: Steps> ShardThread<S> {
    /// Starts the thread. It ends when nobody holds its mailbox any more.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub(crate) fn start(self) -> std::io::Result<thread::JoinHandle<()>> {
        thread::Builder::new().name(format!("shard-{}", self.placement)).spawn(move || self.run())
    }

    fn run(mut self) {
        let mut letters = Vec::new();
        while self.inbox.take(&mut letters) {
            let (inputs, waiting) = open(&mut letters);
            let now = self.clock.now();
            let outcome = self.shard.step(now, &mut self.entropy, inputs, &self.store);
            let outcome = outcome.unwrap_or_else(|error| end_process(self.placement, &error));
            let committed = self.store.commit(&outcome.batch);
            committed.unwrap_or_else(|error| end_process(self.placement, &error));
            self.release(outcome.effects, waiting);
        }
    }

    fn release(&self, effects: Vec<Effect>, mut waiting: Waiting) {
        let mut for_devices = Vec::new();
        for effect in effects {
            match effect {
                Effect::Reply { ticket, result } => {
                    if let Some(answer) = waiting.answers.remove(&ticket) {
                        // A device that is gone needs no answer.
                        let _ = answer.send(result);
                    }
                }
                Effect::Advanced { partition, state } => self.bridges.advanced(partition, &state),
                Effect::Refused { peer, reason } => self.bridges.refused(peer, &reason),
                Effect::Changed(_)
                | Effect::Membership { .. }
                | Effect::Receipt { .. }
                | Effect::Stable { .. } => for_devices.push(effect),
            }
        }
        self.devices.release(self.placement, for_devices);
        for committed in waiting.committed {
            // A bridge that has closed meanwhile needs no word.
            let _ = committed.send(());
        }
    }
}

/// Turns letters into a step's inputs. Tickets number the commands of one step.
fn open(letters: &mut Vec<Letter>) -> (Vec<Input>, Waiting) {
    let mut inputs = Vec::with_capacity(letters.len());
    let mut waiting = Waiting::default();
    for (number, letter) in (0..).zip(letters.drain(..)) {
        match letter {
            Letter::Command { user, device, command, answer } => {
                let ticket = Ticket(number);
                waiting.answers.insert(ticket, answer);
                inputs.push(Input::Command { ticket, user, device, command });
            }
            Letter::Replicated { input, committed } => {
                waiting.committed.push(committed);
                inputs.push(input);
            }
            Letter::Tick => inputs.push(Input::Tick),
        }
    }
    (inputs, waiting)
}

/// Ends the process at once, without running anything else: no destructor may write, no thread may go on telling.
fn end_process(placement: PlacementId, error: &StoreError) -> ! {
    tracing::error!(%placement, %error, "the store failed: this region ends here and must be started again");
    eprintln!("archipelago: the store of placement {placement} failed and the region ends: {error}");
    std::process::abort()
}
