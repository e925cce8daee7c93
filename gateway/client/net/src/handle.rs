//! What an application holds of its client: a handle to act with, and the events.
//!
//! What must always hold: both ends are bounded. An act waits while the client is busy; events that are not read make the client
//! stop reading its sockets, so read them on a task of their own.

use crate::drive::Driver;
use crate::limits;
use crate::socket::Sockets;
use bytes::Bytes;
use crdt::{ConversationId, MessageId, UserId};
use gateway_client::{Act, Client, Config, Event, LocalRefusal, forward};
use gateway_protocol::Subprotocol;
use rand_chacha::ChaCha12Rng;
use rand_core::SeedableRng;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;

/// How a client connects.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Who it is, and where it begins.
    pub config: Config,
    /// Which encoding it speaks.
    pub subprotocol: Subprotocol,
    /// Whom it trusts for `wss://` addresses: [`crate::trust`].
    pub tls: Option<Arc<rustls::ClientConfig>>,
}

/// Acts on a client. Cheap to clone; the client stops when the last one is dropped.
#[derive(Debug, Clone)]
pub struct ClientHandle {
    acts: mpsc::Sender<Act>,
}

/// What a client is told, in order.
#[derive(Debug)]
pub struct Events {
    events: mpsc::Receiver<Told>,
}

/// An event and when the client said it, before anything that it then told a region: what follows from that comes later on this clock.
#[derive(Debug)]
pub struct Told {
    /// When.
    pub at: Instant,
    /// What.
    pub event: Event,
}

/// The client's task has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the client has stopped: start a new one")]
pub struct Stopped;

/// Why a message was not forwarded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotForwarded {
    /// It may not be.
    #[error(transparent)]
    Refused(#[from] LocalRefusal),
    /// The client's task has ended.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

impl ClientHandle {
    /// Starts a client on the present Tokio runtime. It connects by itself, and again whenever it must.
    #[must_use]
    pub fn connect(settings: Settings) -> (Self, Events) {
        let (acts, acts_taken) = mpsc::channel(limits::ACTS_WAITING_MAX);
        let (events_told, events) = mpsc::channel(limits::EVENTS_WAITING_MAX);
        let sockets = Sockets::new(settings.subprotocol, settings.tls);
        let entropy = ChaCha12Rng::from_seed(random_bytes());
        let driver = Driver::new(Client::new(settings.config), entropy, sockets, acts_taken, events_told);
        tokio::spawn(driver.run());
        (Self { acts }, Events { events })
    }

    /// Acts. Waits while the client is busy.
    ///
    /// # Errors
    /// [`Stopped`] when the client's task has ended.
    pub async fn act(&self, act: Act) -> Result<(), Stopped> {
        self.acts.send(act).await.map_err(|_| Stopped)
    }

    /// Posts a message and returns the id drawn for it.
    ///
    /// # Errors
    /// [`Stopped`] when the client's task has ended.
    pub async fn send(
        &self,
        conversation: ConversationId,
        body: Bytes,
        reply_to: Option<(UserId, MessageId)>,
    ) -> Result<MessageId, Stopped> {
        let message = draw_id();
        self.act(Act::Send { conversation, message: Some(message), body, reply_to }).await?;
        Ok(message)
    }

    /// Says a message of another conversation again in these, with the count of its forwards, and returns the ids drawn for that, one a chat.
    ///
    /// # Errors
    /// [`NotForwarded`] when there are too many of them, or the client's task has ended.
    pub async fn forward(
        &self,
        body: &Bytes,
        chats: &[ConversationId],
    ) -> Result<Vec<MessageId>, NotForwarded> {
        let forwarded = forward::forwarded(body, chats)?;
        let mut messages = Vec::with_capacity(chats.len());
        for chat in chats {
            messages.push(self.send(*chat, forwarded.clone(), None).await?);
        }
        Ok(messages)
    }
}

impl Events {
    /// The next event; none once the client has stopped.
    pub async fn next(&mut self) -> Option<Event> {
        self.next_told().await.map(|told| told.event)
    }

    /// The next event with its time; none once the client has stopped.
    pub async fn next_told(&mut self) -> Option<Told> {
        self.events.recv().await
    }
}

/// A new message id of the present.
fn draw_id() -> MessageId {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    MessageId::new(u64::try_from(wall.as_millis()).unwrap_or(u64::MAX), u128::from_be_bytes(random_bytes()))
}

fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    // The system's randomness does not fail on the platforms that this builds for. Were it to, ids would still differ by their
    // time, and only two messages of one sender in one millisecond would be refused as one id in use.
    let _ = provider.secure_random.fill(&mut bytes);
    bytes
}
