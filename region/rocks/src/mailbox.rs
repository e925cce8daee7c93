//! A shard's mailbox: two ways in, bounded, one for what people ask and one for what bridges bring.
//!
//! A step takes of both, and so much of each: what a person writes waits for one step at most before its own, however much a peer that was cut off for long has to bring, and no flood of
//! commands keeps out what peers have.
//!
//! What must always hold: a full way refuses commands at once and makes bridges wait, so that neither a flood of commands nor a
//! fast peer costs more memory than [`LETTERS_MAX`] letters. What waits on one way is served in the order in which it came.

use crdt::{DeviceId, UserId};
use region::command::{Command, Done, Refusal};
use region::operate::{Act, NotOperated, Operated};
use region::shard::Input;
use replication::limits::COMMIT_BYTES_MAX;
use replication_quic::Notices;
use std::future;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

/// Letters on each way into a shard. At 64 KiB of body each this is 64 MiB at the very worst; a shard empties it in some ten steps.
/// At the limit commands are refused as busy and bridges wait.
pub const LETTERS_MAX: usize = 1_024;
/// Letters of each way taken into one step: one sync carries them all. Larger batches would only make the first of them wait longer.
pub const LETTERS_A_STEP: usize = 256;
/// Bytes of what bridges bring after which no further delivery is taken into a step: some hundred messages of 1 KiB, which a shard applies in the time that a sync takes, or two. Who asks
/// something meanwhile waits as long.
pub const BROUGHT_BYTES_A_STEP: usize = 128 << 10;
/// Bytes of commands' bodies after which no further letter is taken into a step. With the one that passes it this stays below what
/// one commit may hold ([`replication::limits::COMMIT_BYTES_MAX`]), though all of it be in one partition.
pub const COMMAND_BYTES_A_STEP: usize = 512 << 10;
/// After how long a refused command is to be tried again: a few steps.
const RETRY_AFTER_MS: u64 = 50;

/// What a shard may be sent.
#[derive(Debug)]
pub(crate) enum Letter {
    /// A command, whose answer is awaited.
    Command {
        user: UserId,
        device: DeviceId,
        command: Command,
        answer: oneshot::Sender<Result<Done, Refusal>>,
    },
    /// An operator's act, whose answer is awaited.
    Operate { act: Act, answer: oneshot::Sender<Result<Operated, NotOperated>> },
    /// From a bridge, which is told once it is durable if it asked to be.
    Replicated { input: Input, taken: Option<Taken> },
    /// Commit what is taken with it, all that was asked before among it, and end. What bridges brought and nobody took is brought again.
    Stop,
}

impl Letter {
    /// What it takes of [`COMMAND_BYTES_A_STEP`] or [`BROUGHT_BYTES_A_STEP`].
    fn bytes(&self) -> usize {
        match self {
            Self::Command { command: Command::Post { body, .. }, .. } => body.len(),
            Self::Replicated { taken: Some(taken), .. } => taken.bytes,
            Self::Command { .. }
            | Self::Operate { .. }
            | Self::Replicated { taken: None, .. }
            | Self::Stop => 0,
        }
    }
}

/// Whom to tell that a delivery is durable.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) notices: Arc<Notices>,
    pub(crate) bytes: usize,
}

/// The sending side. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Mailbox {
    asked: mpsc::Sender<Letter>,
    brought: mpsc::Sender<Letter>,
}

/// The sending side of who must not keep a shard alive: it brings, and asks nothing.
#[derive(Debug, Clone)]
pub(crate) struct WeakMailbox(mpsc::WeakSender<Letter>);

/// The shard's side.
#[derive(Debug)]
pub(crate) struct Inbox {
    asked: mpsc::Receiver<Letter>,
    brought: mpsc::Receiver<Letter>,
}

/// A mailbox of [`LETTERS_MAX`] letters each way.
pub(crate) fn mailbox() -> (Mailbox, Inbox) {
    let ((ask, asked), (bring, brought)) = (mpsc::channel(LETTERS_MAX), mpsc::channel(LETTERS_MAX));
    (Mailbox { asked: ask, brought: bring }, Inbox { asked, brought })
}

impl Mailbox {
    /// Delivers at once or refuses, and says in how many milliseconds to try again.
    pub(crate) fn offer(&self, letter: Letter) -> Result<(), u64> {
        self.way_of(&letter).try_send(letter).map_err(|_| RETRY_AFTER_MS)
    }

    /// The same for who must not keep the shard alive.
    pub(crate) fn downgrade(&self) -> WeakMailbox {
        WeakMailbox(self.brought.downgrade())
    }

    /// How many letters wait on the fuller way.
    pub(crate) fn waiting(&self) -> usize {
        let waiting = [&self.asked, &self.brought].map(|way| way.max_capacity() - way.capacity());
        waiting.into_iter().max().unwrap_or(0)
    }

    /// Delivers when there is room. False when the shard is gone.
    pub(crate) async fn deliver(&self, letter: Letter) -> bool {
        self.way_of(&letter).send(letter).await.is_ok()
    }

    const fn way_of(&self, letter: &Letter) -> &mpsc::Sender<Letter> {
        match letter {
            Letter::Command { .. } | Letter::Operate { .. } | Letter::Stop => &self.asked,
            Letter::Replicated { .. } => &self.brought,
        }
    }
}

impl WeakMailbox {
    /// Brings something when there is room, unless the shard is gone. Not for a thread of the runtime, which it would hold up.
    pub(crate) fn bring_blocking(&self, input: Input) {
        if let Some(way) = self.0.upgrade() {
            // It is gone if nobody takes it.
            let _ = way.blocking_send(Letter::Replicated { input, taken: None });
        }
    }
}

/// Why a shard woke up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Woken {
    /// There are letters.
    Letters,
    /// The time was up.
    Due,
    /// Nobody can send any more.
    Closed,
}

impl Inbox {
    /// Waits for a letter, for so long at most, and takes what else is there, up to what a step takes of each way.
    pub(crate) fn take(
        &mut self,
        runtime: &Handle,
        letters: &mut Vec<Letter>,
        wait: Option<Duration>,
    ) -> Woken {
        let due = async {
            match wait {
                Some(wait) => tokio::time::sleep(wait).await,
                None => future::pending().await,
            }
        };
        let (asked, brought) = (&mut self.asked, &mut self.brought);
        // Both ways are closed at once, since whoever holds the one holds the other, or only brings what nobody waits for.
        let first = runtime.block_on(async {
            tokio::select! {
                biased;
                asked = asked.recv() => asked.map(|letter| (Some(letter), None)),
                Some(brought) = brought.recv() => Some((None, Some(brought))),
                () = due => Some((None, None)),
            }
        });
        let Some((first_asked, first_brought)) = first else { return Woken::Closed };
        if first_asked.is_none() && first_brought.is_none() {
            return Woken::Due;
        }
        fill(letters, first_asked, asked, COMMAND_BYTES_A_STEP);
        fill(letters, first_brought, brought, BROUGHT_BYTES_A_STEP);
        Woken::Letters
    }
}

/// Takes that letter and what else waits on its way, up to what a step takes.
fn fill(
    letters: &mut Vec<Letter>,
    first: Option<Letter>,
    way: &mut mpsc::Receiver<Letter>,
    bytes_max: usize,
) {
    let (mut taken, mut bytes) = (0, 0);
    let mut next = first.or_else(|| way.try_recv().ok());
    while let Some(letter) = next {
        taken += 1;
        bytes += letter.bytes();
        letters.push(letter);
        next = if taken < LETTERS_A_STEP && bytes < bytes_max { way.try_recv().ok() } else { None };
    }
}

const _: () = assert!(COMMAND_BYTES_A_STEP + 64 * 1024 + LETTERS_A_STEP * 512 < COMMIT_BYTES_MAX);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tokio::runtime::Runtime;

    fn brought(bytes: usize) -> Letter {
        Letter::Replicated { input: Input::Tick, taken: Some(Taken { notices: Arc::default(), bytes }) }
    }

    /// How many letters a step takes of each way: asked and brought.
    fn taken(inbox: &mut Inbox, runtime: &Runtime) -> (usize, usize) {
        let mut letters = Vec::new();
        assert_eq!(inbox.take(runtime.handle(), &mut letters, None), Woken::Letters);
        let brought = letters.iter().filter(|letter| matches!(letter, Letter::Replicated { .. })).count();
        (letters.len() - brought, brought)
    }

    #[test]
    fn who_asks_waits_for_no_more_than_a_step_of_what_bridges_bring() {
        let runtime = Runtime::new().unwrap();
        let (mailbox, mut inbox) = mailbox();
        for _ in 0..10 {
            mailbox.offer(brought(BROUGHT_BYTES_A_STEP / 2)).unwrap();
        }
        mailbox.offer(Letter::Stop).unwrap();
        assert_eq!(mailbox.waiting(), 10);
        assert_eq!(taken(&mut inbox, &runtime), (1, 2));
        assert_eq!(taken(&mut inbox, &runtime), (0, 2));
        assert_eq!(mailbox.waiting(), 6);
    }

    #[test]
    fn what_bridges_bring_is_taken_however_much_is_asked() {
        let runtime = Runtime::new().unwrap();
        let (mailbox, mut inbox) = mailbox();
        for _ in 0..LETTERS_MAX {
            mailbox.offer(Letter::Stop).unwrap();
        }
        assert_eq!(mailbox.offer(Letter::Stop), Err(RETRY_AFTER_MS));
        mailbox.offer(brought(2 * BROUGHT_BYTES_A_STEP)).unwrap();
        mailbox.offer(brought(1)).unwrap();
        assert_eq!(
            taken(&mut inbox, &runtime),
            (LETTERS_A_STEP, 1),
            "one that is larger than a step goes alone"
        );
        assert_eq!(taken(&mut inbox, &runtime), (LETTERS_A_STEP, 1));
    }

    #[test]
    fn the_time_wakes_it_and_so_does_the_end() {
        let runtime = Runtime::new().unwrap();
        let (mailbox, mut inbox) = mailbox();
        let mut letters = Vec::new();
        assert_eq!(inbox.take(runtime.handle(), &mut letters, Some(Duration::from_millis(1))), Woken::Due);
        drop(mailbox);
        assert_eq!(
            inbox.take(runtime.handle(), &mut letters, Some(Duration::from_secs(3_600))),
            Woken::Closed
        );
        assert!(letters.is_empty());
    }
}
