//! The client: one deterministic function from what its sockets met and its user wants to what they are to do and see.
//!
//! ```text
//!   sockets ──Connected, Frame, Disconnected──▶ ┌────────┐ ──Connect, Send, Disconnect──▶ sockets
//!   clock ────────────Timer──────────────────▶  │  step  │
//!   user ─────────────Act────────────────────▶  └────────┘ ──Show(event)────────────────▶ user
//!                                             outbox · cursors · lines
//! ```
//! How to drive me: 1. `step(now, entropy, Input::Start)`. 2. Obey the outputs in order. 3. Feed `Connected`, `Frame` and
//! `Disconnected` as sockets meet them. 4. Feed `Timer` when [`Client::deadline`] has come; ask for it again after each step.
//! 5. Feed acts as the user wants them. 6. Drop me to stop; what is not stable yet is then no longer carried.
//!
//! What must always hold: `now` never goes back; what was acknowledged leaves the outbox only when it is stable; each event says a
//! thing once.

use crate::conversation::Conversation;
use crate::error::LocalRefusal;
use crate::input::{Act, Config, ConnectionId, Input};
use crate::limits;
use crate::line::{Line, LineKey};
use crate::outbox::Outbox;
use crate::output::{Event, Output};
use crate::routes::Routes;
use crate::timers::{Timer, Timers};
use crdt::held::Held;
use crdt::{ConversationId, MessageId, Now, PlacementId};
use gateway_protocol::v1::client_frame;
use gateway_protocol::v1::{ClientFrame, ServerFrame, server_frame};
use rand_core::RngCore;
use std::collections::{BTreeMap, BTreeSet};

/// One user's device.
#[derive(Debug, Clone)]
pub struct Client {
    pub(crate) config: Config,
    /// Boxed, like conversations: a map's node has room for eleven values, and most devices have one line and a few conversations.
    pub(crate) lines: BTreeMap<LineKey, Box<Line>>,
    pub(crate) routes: Routes,
    /// Placements to take part in.
    pub(crate) wanted: BTreeSet<PlacementId>,
    pub(crate) conversations: BTreeMap<ConversationId, Box<Conversation>>,
    pub(crate) outbox: Outbox,
    pub(crate) timers: Timers,
    pub(crate) body_bytes: usize,
    /// Whether others are told what the user reads, and the user what others read.
    pub(crate) tells_reads: bool,
    next_connection: u64,
    next_request: u64,
}

/// What one step works with.
pub(crate) struct Step<'a> {
    pub(crate) now: Now,
    pub(crate) entropy: &'a mut dyn RngCore,
    pub(crate) outputs: Vec<Output>,
}

impl Step<'_> {
    pub(crate) fn show(&mut self, event: Event) {
        self.outputs.push(Output::Show(event));
    }

    pub(crate) fn refuse(
        &mut self,
        conversation: Option<ConversationId>,
        command: Option<MessageId>,
        why: &LocalRefusal,
    ) {
        let (code, message) = (why.code().to_owned(), why.to_string());
        self.show(Event::Refused { conversation, command, code, message });
    }

    pub(crate) fn draw_id(&mut self) -> MessageId {
        let random = (u128::from(self.entropy.next_u64()) << 64) | u128::from(self.entropy.next_u64());
        MessageId::new(self.now.ms(), random)
    }
}

impl Client {
    /// A client that has not started.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            wanted: config.placements.iter().copied().collect(),
            config,
            lines: BTreeMap::new(),
            routes: Routes::default(),
            conversations: BTreeMap::new(),
            outbox: Outbox::default(),
            timers: Timers::default(),
            body_bytes: limits::BODY_BYTES_DEFAULT,
            tells_reads: true,
            next_connection: 1,
            next_request: 1,
        }
    }

    /// Takes one input. `now` is the device's disciplined time, `entropy` draws ids and the reconnection's jitter.
    pub fn step(&mut self, now: Now, entropy: &mut dyn RngCore, input: Input) -> Vec<Output> {
        let mut step = Step { now, entropy, outputs: Vec::new() };
        match input {
            Input::Start => self.open_home(&mut step),
            Input::Connected(connection) => self.greet(&mut step, connection),
            Input::Disconnected(connection) => {
                if let Some(key) = self.key_of(connection) {
                    self.lose(&mut step, key);
                }
            }
            Input::Frame { connection, frame } => {
                if let Some(key) = self.key_of(connection) {
                    self.hear(&mut step, key, frame);
                }
            }
            Input::Timer => {
                while let Some(timer) = self.timers.pop_due(now) {
                    self.fire(&mut step, timer);
                }
            }
            Input::Act(act) => self.act(&mut step, act),
        }
        self.send_ready(&mut step);
        self.tell_ready(&mut step);
        step.outputs
    }

    /// When [`Input::Timer`] is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Now> {
        self.timers.deadline()
    }

    /// Commands and messages that are not yet stable.
    #[must_use]
    pub fn unstable(&self) -> usize {
        self.outbox.size().0
    }

    /// What it holds, beside what it may; of its connections and conversations, what the fullest one holds.
    #[must_use]
    pub fn held(&self) -> [Held; 11] {
        let (entries, bytes) = self.outbox.size();
        let most =
            |count: &dyn Fn(&Line) -> usize| self.lines.values().map(|line| count(line)).max().unwrap_or(0);
        let amended = self.conversations.values().map(|conversation| conversation.amended.size());
        let (messages, bodies) =
            amended.fold((0, 0), |most, size| (usize::max(most.0, size.0), usize::max(most.1, size.1)));
        let hidden =
            self.conversations.values().map(|conversation| conversation.hidden.len()).max().unwrap_or(0);
        [
            Held::new("commands in the outbox", entries, limits::OUTBOX_ENTRIES_MAX),
            Held::new("bytes in the outbox", bytes, limits::OUTBOX_BYTES_MAX),
            Held::new("conversations kept", self.conversations.len(), limits::CONVERSATIONS_MAX),
            Held::new("commands in flight", most(&|line| line.commands.len()), limits::IN_FLIGHT_MAX),
            Held::new(
                "commands of one conversation in flight",
                self.outbox.in_flight(),
                limits::IN_FLIGHT_OF_ONE_MAX,
            ),
            Held::new(
                "commands sent again in flight",
                most(&|line| self.outbox.repeated(line.commands.values()).0),
                limits::REPEATED_IN_FLIGHT_MAX,
            ),
            Held::new("questions", most(&Line::questions), limits::QUESTIONS_MAX),
            Held::new(
                "receipts in flight",
                most(&|line| line.receipts.len()),
                limits::RECEIPTS_IN_FLIGHT_MAX,
            ),
            Held::new("amended messages", messages, limits::AMENDED_MAX),
            Held::new("bytes of edits", bodies, limits::AMENDED_BYTES_MAX),
            Held::new("messages hidden", hidden, limits::HIDDEN_MAX),
        ]
    }

    fn fire(&mut self, step: &mut Step<'_>, timer: Timer) {
        match timer {
            Timer::Reconnect(key) => self.connect(step, key),
            Timer::Welcome(key) | Timer::Silence(key) => self.hang_up(step, key),
            Timer::Heartbeat(key) => self.ping(step, key),
            Timer::Sync(key) => self.sync_due(step, key),
            Timer::Acknowledge(conversation) => self.acknowledge(conversation),
            Timer::Retry(conversation) => self.outbox.release(conversation),
        }
    }

    fn act(&mut self, step: &mut Step<'_>, act: Act) {
        match act {
            Act::Send { .. }
            | Act::Amend { .. }
            | Act::DeleteForMe { .. }
            | Act::EditDocument { .. }
            | Act::CreateGroup { .. }
            | Act::OpenDirect { .. }
            | Act::ChangeMembers { .. } => self.take_command(step, act),
            Act::MarkRead { conversation } => self.mark_read(conversation),
            Act::TellReads { told } => self.tell_reads(told),
            Act::Page { conversation, from, limit } => self.page(step, conversation, from, limit),
            Act::GetDocument { conversation } => self.document(step, conversation),
            Act::List => self.list(step),
            Act::TakePart { placement } => self.take_part(step, placement),
            Act::Move { region } => self.move_home(step, region),
            Act::Renew { token } => self.renew(step, token),
        }
    }

    /// A frame came on a line. Nonsense ends the connection; nothing of that frame is taken.
    fn hear(&mut self, step: &mut Step<'_>, key: LineKey, frame: ServerFrame) {
        self.timers.set(Timer::Silence(key), step.now.plus_ms(limits::SILENCE_MS));
        let ServerFrame { request, frame } = frame;
        let Some(frame) = frame else { return };
        let heard = match frame {
            server_frame::Frame::Welcome(welcome) => self.welcome(step, key, welcome),
            server_frame::Frame::Pong(_) => Ok(()),
            server_frame::Frame::Done(done) => self.done(step, key, request, &done),
            server_frame::Frame::Conversations(list) => self.listed(step, key, request, &list),
            server_frame::Frame::Messages(page) => self.paged(step, key, request, &page),
            server_frame::Frame::Deliver(deliver) => self.deliver(step, key, &deliver),
            server_frame::Frame::CaughtUp(caught_up) => self.caught_up(step, key, &caught_up),
            server_frame::Frame::Document(document) => self.documented(step, key, request, *document),
            server_frame::Frame::Receipts(receipts) => self.receipts(step, key, request, &receipts),
            server_frame::Frame::Stable(stable) => self.stable(step, key, &stable),
            server_frame::Frame::Behind(behind) => self.behind(step, key, &behind),
            server_frame::Frame::Redirect(redirect) => {
                self.redirect(step, key, redirect);
                Ok(())
            }
            server_frame::Frame::Error(error) => self.error(step, key, request, error),
            server_frame::Frame::DeletedForMe(deleted) => self.deleted_for_me(step, key, &deleted),
            server_frame::Frame::Membership(change) => self.membership(step, key, &change),
        };
        if let Err(malformed) = heard {
            step.refuse(None, None, &LocalRefusal::from(malformed));
            self.hang_up(step, key);
        }
    }

    /// Sends a frame on a live line and returns its request number; none if the line is not live.
    pub(crate) fn send(
        &mut self,
        step: &mut Step<'_>,
        key: LineKey,
        frame: client_frame::Frame,
    ) -> Option<u64> {
        let connection = self.lines.get(&key)?.live()?;
        Some(self.send_on(step, key, connection, frame))
    }

    /// Sends a frame on that connection of a line.
    pub(crate) fn send_on(
        &mut self,
        step: &mut Step<'_>,
        key: LineKey,
        connection: ConnectionId,
        frame: client_frame::Frame,
    ) -> u64 {
        let request = self.next_request;
        self.next_request += 1;
        let heartbeat_ms =
            self.lines.get(&key).map_or(limits::HEARTBEAT_MS_DEFAULT, |line| line.heartbeat_ms);
        self.timers.set(Timer::Heartbeat(key), step.now.plus_ms(heartbeat_ms));
        step.outputs.push(Output::Send { connection, frame: ClientFrame { request, frame: Some(frame) } });
        request
    }

    /// The lines that frames can go out on.
    pub(crate) fn live_lines(&self) -> Vec<LineKey> {
        self.lines.iter().filter(|(_, line)| line.live().is_some()).map(|(key, _)| *key).collect()
    }

    /// A name for one more attempt to connect.
    pub(crate) fn draw_connection(&mut self) -> ConnectionId {
        let connection = ConnectionId(self.next_connection);
        self.next_connection += 1;
        connection
    }

    fn key_of(&self, connection: ConnectionId) -> Option<LineKey> {
        self.lines.iter().find(|(_, line)| line.connection == Some(connection)).map(|(key, _)| *key)
    }
}
