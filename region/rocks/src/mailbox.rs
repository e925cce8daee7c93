//! A shard's mailbox: the one way in, bounded.
//!
//! What must always hold: a full mailbox refuses commands at once and makes bridges wait, so that neither a flood of commands nor a
//! fast peer costs more memory than [`LETTERS_MAX`] letters. What waits is served in the order in which it came.

use crdt::{DeviceId, UserId};
use region::command::{Command, Done, Refusal};
use region::operate::{Act, NotOperated, Operated};
use region::shard::Input;
use replication::limits::COMMIT_BYTES_MAX;
use replication_quic::Notices;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

/// Letters in a shard's mailbox. At 64 KiB of body each this is 64 MiB at the very worst; a shard empties it in some ten steps.
/// At the limit commands are refused as busy and bridges wait.
pub const LETTERS_MAX: usize = 1_024;
/// Letters taken into one step: one sync carries them all. Larger batches would only make the first of them wait longer.
pub const LETTERS_A_STEP: usize = 256;
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
    /// Commit what came before, and end.
    Stop,
}

impl Letter {
    /// What it takes of [`COMMAND_BYTES_A_STEP`].
    fn command_bytes(&self) -> usize {
        match self {
            Self::Command { command: Command::Post { body, .. }, .. } => body.len(),
            Self::Command { .. } | Self::Operate { .. } | Self::Replicated { .. } | Self::Stop => 0,
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
pub(crate) struct Mailbox(mpsc::Sender<Letter>);

/// The sending side of who must not keep a shard alive.
#[derive(Debug, Clone)]
pub(crate) struct WeakMailbox(mpsc::WeakSender<Letter>);

/// The shard's side.
#[derive(Debug)]
pub(crate) struct Inbox(mpsc::Receiver<Letter>);

/// A mailbox of [`LETTERS_MAX`] letters.
pub(crate) fn mailbox() -> (Mailbox, Inbox) {
    let (sender, receiver) = mpsc::channel(LETTERS_MAX);
    (Mailbox(sender), Inbox(receiver))
}

impl Mailbox {
    /// Delivers at once or refuses, and says in how many milliseconds to try again.
    pub(crate) fn offer(&self, letter: Letter) -> Result<(), u64> {
        self.0.try_send(letter).map_err(|_| RETRY_AFTER_MS)
    }

    /// The same for who must not keep the shard alive.
    pub(crate) fn downgrade(&self) -> WeakMailbox {
        WeakMailbox(self.0.downgrade())
    }

    /// How many letters wait.
    pub(crate) fn waiting(&self) -> usize {
        self.0.max_capacity() - self.0.capacity()
    }

    /// Delivers when there is room. False when the shard is gone.
    pub(crate) async fn deliver(&self, letter: Letter) -> bool {
        self.0.send(letter).await.is_ok()
    }
}

impl WeakMailbox {
    /// Delivers when there is room, unless the shard is gone. Not for a thread of the runtime, which it would hold up.
    pub(crate) fn deliver_blocking(&self, letter: Letter) {
        if let Some(mailbox) = self.0.upgrade() {
            // It is gone if nobody takes it.
            let _ = mailbox.blocking_send(letter);
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
    /// Waits for a letter, for so long at most, and takes what else is there, up to what a step takes.
    pub(crate) fn take(
        &mut self,
        runtime: &Handle,
        letters: &mut Vec<Letter>,
        wait: Option<Duration>,
    ) -> Woken {
        let first = match wait {
            None => Some(self.0.blocking_recv()),
            Some(wait) => {
                let first = self.0.recv();
                runtime.block_on(async { tokio::time::timeout(wait, first).await.ok() })
            }
        };
        let mut next = match first {
            None => return Woken::Due,
            Some(None) => return Woken::Closed,
            Some(first) => first,
        };
        let mut command_bytes = 0;
        while let Some(letter) = next {
            command_bytes += letter.command_bytes();
            letters.push(letter);
            let full = letters.len() >= LETTERS_A_STEP || command_bytes >= COMMAND_BYTES_A_STEP;
            next = if full { None } else { self.0.try_recv().ok() };
        }
        Woken::Letters
    }
}

const _: () = assert!(COMMAND_BYTES_A_STEP + 64 * 1024 + LETTERS_A_STEP * 512 < COMMIT_BYTES_MAX);
