//! One connection: the task that drives a session with a socket, an inbox, answers and one timer.
//!
//! What must always hold: it decides nothing and waits for nothing but its next event; whatever the session puts out is carried out in order
//! before the next input. What came while the process stood still goes before the timers that are over by then. When it ends, nothing of it is left
//! in any table.

use crate::fan_out::{Entry, FanOut};
use crate::limits;
use crate::metrics::Metrics;
use crate::outgoing::{Outgoing, level};
use crate::tokens::TokenChecker;
use bytes::Bytes;
use crdt::{DeviceId, UserId};
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, SplitStream};
use futures_util::{FutureExt as _, StreamExt as _};
use gateway::query::{Query, QueryId};
use gateway::site::Progress;
use gateway::{Input, Output, Session, Site};
use gateway_protocol::v1::server_frame::Frame;
use gateway_protocol::{FrameError, Payload, Subprotocol};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng as _;
use region::command::{Command, Refusal};
use region::shard::Ticket;
use region::store::StoreError;
use region_rocks::handle::RegionHandle;
use std::collections::VecDeque;
use std::hash::{BuildHasher as _, RandomState};
use std::ops::ControlFlow::{self, Break, Continue};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

/// What all connections of a gateway share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) region: RegionHandle,
    pub(crate) site: Arc<Site>,
    pub(crate) tokens: TokenChecker,
    pub(crate) fan_out: Arc<FanOut>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) reads: Arc<Semaphore>,
}

/// An answer under way, as the input that it becomes.
type Answer = BoxFuture<'static, Input>;

struct Connection {
    shared: Arc<Shared>,
    subprotocol: Subprotocol,
    session: Session,
    entropy: ChaCha8Rng,
    entry: Entry,
    outgoing: Arc<Outgoing>,
    answers: FuturesUnordered<Answer>,
    deadline: Option<Instant>,
    /// That timer was put off once, since it was late.
    put_off: bool,
    /// The last level of unsent bytes that the session was told.
    told: usize,
    closed: bool,
}

/// Serves one connection to its end.
pub(crate) async fn serve<S>(socket: WebSocketStream<S>, subprotocol: Subprotocol, shared: Arc<Shared>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sink, mut stream) = socket.split();
    let outgoing = Arc::new(Outgoing::default());
    let metrics = Arc::clone(&shared.metrics);
    let mut writer = tokio::spawn(Arc::clone(&outgoing).send_all(sink, metrics));
    let (epochs, behind, view) = (shared.region.epochs(), shared.region.behind(), shared.region.view());
    let progress = Progress { epochs: &epochs, behind: &behind, view: &view };
    let (session, first) = Session::open(Arc::clone(&shared.site), progress, shared.region.now());
    let mut connection = Connection {
        subprotocol,
        session,
        // Spreads retries; it need not be hard to guess.
        entropy: ChaCha8Rng::seed_from_u64(RandomState::new().hash_one(0)),
        entry: shared.fan_out.enter(),
        outgoing,
        answers: FuturesUnordered::new(),
        deadline: None,
        put_off: false,
        told: 0,
        closed: false,
        shared,
    };
    connection.carry_out(first, &mut VecDeque::new());
    while !connection.closed {
        tokio::select! {
            message = stream.next() => match connection.heard(message) {
                Continue(input) => input.into_iter().for_each(|input| connection.drive(input)),
                Break(()) => break,
            },
            () = connection.entry.inbox.filled() => connection.take_inbox(),
            Some(input) = connection.answers.next(), if !connection.answers.is_empty() => connection.drive(input),
            () = sleep_until(connection.deadline) => {
                if connection.stood_still() {
                    continue;
                }
                connection.deadline = None;
                // One message that has come goes first: one, lest a device that never ceases to send had no timers at all.
                match stream.next().now_or_never().map(|message| connection.heard(message)) {
                    Some(Continue(Some(input))) => connection.drive(input),
                    Some(Continue(None)) | None => {}
                    Some(Break(())) => break,
                }
                if !connection.closed {
                    connection.drive(Input::Timer);
                }
            }
            () = connection.outgoing.fallen() => connection.tell_unsent(),
            _ = &mut writer => return,
        }
    }
    let closed = connection.closed;
    drop(connection);
    if closed {
        // The other side may be sending still: closing under its feet would throw away what it was told last.
        let _ = timeout(limits::GOODBYE_MAX, async {
            if let Ok(sink) = writer.await {
                say_goodbye(sink, stream).await;
            }
        })
        .await;
    } else {
        writer.abort();
    }
}

impl Connection {
    /// What a message of the socket means to the session, if anything; or the end.
    fn heard(&self, message: Option<Result<Message, Error>>) -> ControlFlow<(), Option<Input>> {
        let payload = match message {
            Some(Ok(Message::Text(text))) => Payload::Text(Bytes::from(text)),
            Some(Ok(Message::Binary(bytes))) => Payload::Binary(bytes),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_))) => {
                return Continue(None);
            }
            Some(Err(error)) => return self.refused(error),
            None => return Break(()),
        };
        self.shared.metrics.frames_in.inc();
        self.shared.metrics.bytes_in.inc_by(payload.bytes().len() as u64);
        Continue(Some(Input::Frame(self.subprotocol.decode_client(&payload))))
    }

    /// A failing socket is the end; a message that is none is told to the session, which tells the client.
    fn refused(&self, error: Error) -> ControlFlow<(), Option<Input>> {
        let malformed = |reason: String| FrameError::Malformed { subprotocol: self.subprotocol, reason };
        let error = match error {
            Error::Capacity(CapacityError::MessageTooLong { size, max_size }) => {
                FrameError::TooLarge { bytes: size, limit: max_size }
            }
            Error::Utf8(reason) => malformed(reason),
            Error::Protocol(reason) => {
                use tokio_tungstenite::tungstenite::error::ProtocolError;
                if matches!(reason, ProtocolError::ResetWithoutClosingHandshake) {
                    return Break(());
                }
                malformed(reason.to_string())
            }
            _ => return Break(()),
        };
        Continue(Some(Input::Frame(Err(error))))
    }

    fn take_inbox(&mut self) {
        for event in self.entry.inbox.take() {
            if self.closed {
                return;
            }
            self.drive(event.into_input());
        }
    }

    /// A region that stood still finds its timers over and what came meanwhile unread. The runtime hears of the timers first, so the timer is
    /// put off, once, until it has looked at its sockets.
    fn stood_still(&mut self) -> bool {
        let is_late = self.deadline.is_some_and(|deadline| deadline.elapsed() > limits::TIMER_LATE);
        if !is_late || self.put_off {
            return false;
        }
        self.put_off = true;
        self.deadline = Some(Instant::now() + limits::READ_FIRST);
        true
    }

    /// One input, and whatever follows from it at once.
    fn drive(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            if self.closed {
                return;
            }
            let out = self.session.step(self.shared.region.now(), &mut self.entropy, input);
            self.carry_out(out, &mut inputs);
        }
        if level(self.outgoing.bytes()) != self.told {
            self.tell_unsent();
        }
    }

    fn tell_unsent(&mut self) {
        let bytes = self.outgoing.bytes();
        if self.closed || level(bytes) == self.told {
            return;
        }
        self.told = level(bytes);
        self.drive(Input::Unsent(bytes));
    }

    fn carry_out(&mut self, out: Vec<Output>, inputs: &mut VecDeque<Input>) {
        for output in out {
            match output {
                Output::Send(frame) => {
                    if matches!(frame.frame, Some(Frame::Behind(_))) {
                        self.shared.metrics.fell_behind.inc();
                    }
                    self.put(self.subprotocol.encode_server(&frame));
                }
                Output::Deliver(delivery) => self.put(delivery.payload(self.subprotocol)),
                Output::Authenticate(token) => {
                    let checked = self.shared.tokens.device(&token, self.shared.region.now());
                    inputs.push_front(Input::Authenticated(checked));
                }
                Output::Submit { ticket, user, device, command, .. } => {
                    self.submit(ticket, user, device, command);
                }
                Output::Query { id, query } => {
                    let answer = read(id, query, Arc::clone(&self.shared));
                    self.answers.push(answer.boxed());
                }
                Output::Subscribe { conversation, on } => self.entry.subscribe(conversation, on),
                Output::WatchTicks { conversation, on } => self.entry.watch_ticks(conversation, on),
                Output::WatchUser(user) => self.entry.watch_user(user),
                Output::SetTimer(at) => {
                    let wait = at.0.saturating_sub(self.shared.region.now().0);
                    self.deadline = Some(Instant::now() + Duration::from_micros(wait));
                    self.put_off = false;
                }
                Output::Close(code) => {
                    self.shared.metrics.closed(code);
                    let frame = CloseFrame { code: close_code(code), reason: Utf8Bytes::from_static(code) };
                    self.outgoing.put(Message::Close(Some(frame)));
                    self.closed = true;
                }
            }
        }
    }

    fn put(&self, payload: Payload) {
        self.outgoing.put(match payload {
            Payload::Binary(bytes) => Message::Binary(bytes),
            // JSON is UTF-8: what the encoder wrote always passes.
            Payload::Text(bytes) => Message::Text(Utf8Bytes::try_from(bytes).unwrap_or_default()),
        });
    }

    fn submit(&self, ticket: Ticket, user: UserId, device: DeviceId, command: Command) {
        let answer = self.shared.region.submit(user, device, command);
        self.answers.push(
            async move {
                let result = match answer {
                    // The region is stopping: the client finds out elsewhere, or later, whether it was done.
                    Ok(answer) => answer.await.unwrap_or(Err(Refusal::Busy { retry_after_ms: 1_000 })),
                    Err(refusal) => Err(refusal),
                };
                Input::Answered { ticket, result }
            }
            .boxed(),
        );
    }
}

/// Runs a query on a snapshot, on a thread that may block.
async fn read(query: QueryId, asked: Query, shared: Arc<Shared>) -> Input {
    let failed = |reason: &str| StoreError::Failed {
        store: asked.placement().to_string(),
        call: "read",
        reason: reason.to_owned(),
    };
    let Some(reader) = shared.region.reader(asked.placement()) else {
        return Input::Read { query, result: Err(failed("this region has no part in it")) };
    };
    let Ok(_permit) = shared.reads.acquire().await else {
        return Input::Read { query, result: Err(failed("the gateway is stopping")) };
    };
    let stopping = failed("the gateway is stopping");
    let result = tokio::task::spawn_blocking(move || reader.consistent(|view| asked.run(view))).await;
    if let Ok(Err(error)) = &result {
        // The device is told that this cannot be read here; what it is and where, operators are. Others read on.
        shared.metrics.reads_failed.inc();
        tracing::error!(%error, "a read for a device failed");
    }
    Input::Read { query, result: result.unwrap_or(Err(stopping)) }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Closes this direction, then reads and throws away what still comes until the other side has closed too.
async fn say_goodbye<S>(
    sink: futures_util::stream::SplitSink<WebSocketStream<S>, Message>,
    stream: SplitStream<WebSocketStream<S>>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Ok(mut socket) = stream.reunite(sink) else { return };
    // One that is closed already is what was wanted; reading below ends at once then.
    let _ = socket.get_mut().shutdown().await;
    let mut discarded = [0; limits::SOCKET_BUFFER_BYTES];
    while matches!(socket.get_mut().read(&mut discarded).await, Ok(read) if read > 0) {}
}

/// How WebSocket (RFC 6455, section 7.4) says it; the reason holds our own code.
fn close_code(code: &str) -> CloseCode {
    match code {
        "frame_too_large" => CloseCode::Size,
        "malformed_frame" => CloseCode::Invalid,
        "wrong_frame_kind" => CloseCode::Unsupported,
        "region_draining" => CloseCode::Restart,
        _ => CloseCode::Policy,
    }
}
