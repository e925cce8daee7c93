//! One WebSocket of a client, from being opened to its end, polled by the client's own task.
//!
//! What must always hold: writing never waits for reading nor reading for writing, so two sides with full buffers cannot
//! lock each other up; frames go out in the order given; after its end nothing more comes from it.

use crate::connect::{ConnectError, WebSocket, open};
use crate::limits;
use futures_util::{Sink, Stream};
use gateway_client::ConnectionId;
use gateway_protocol::v1::{ClientFrame, ServerFrame};
use gateway_protocol::{FrameError, Payload, Subprotocol};
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio_tungstenite::tungstenite::{Error as WebSocketError, Message, Utf8Bytes};

/// What a socket met.
#[derive(Debug)]
pub(crate) enum Happening {
    /// It is open.
    Connected,
    /// A frame came.
    Frame(ServerFrame),
    /// It ended.
    Closed,
}

type Opening = Pin<Box<dyn Future<Output = Result<WebSocket, ConnectError>> + Send>>;

enum State {
    Opening(Opening),
    Open(Box<WebSocket>),
}

struct Socket {
    state: State,
    waiting: VecDeque<Message>,
    unflushed: bool,
}

/// Why a socket ended, for the log.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("the connection failed: {0}")]
    Failed(#[from] WebSocketError),
    #[error("the region closed the connection")]
    ByPeer,
    #[error("the region sent what is not a frame: {0}")]
    Frame(FrameError),
    #[error("more than {} frames wait to be written", limits::FRAMES_WAITING_MAX)]
    Stuck,
}

/// All sockets of a client.
pub(crate) struct Sockets {
    sockets: BTreeMap<ConnectionId, Socket>,
    subprotocol: Subprotocol,
    tls: Option<Arc<rustls::ClientConfig>>,
}

impl Sockets {
    pub(crate) fn new(subprotocol: Subprotocol, tls: Option<Arc<rustls::ClientConfig>>) -> Self {
        Self { sockets: BTreeMap::new(), subprotocol, tls }
    }

    /// Begins to open a socket.
    pub(crate) fn connect(&mut self, connection: ConnectionId, url: String) {
        let opening = Box::pin(open(url, self.subprotocol, self.tls.clone()));
        let socket = Socket { state: State::Opening(opening), waiting: VecDeque::new(), unflushed: false };
        self.sockets.insert(connection, socket);
    }

    /// Ends a socket.
    pub(crate) fn disconnect(&mut self, connection: ConnectionId) {
        self.sockets.remove(&connection);
    }

    /// Queues a frame.
    pub(crate) fn send(&mut self, connection: ConnectionId, frame: &ClientFrame) {
        if let Some(socket) = self.sockets.get_mut(&connection) {
            match self.subprotocol.encode_client(frame) {
                Payload::Binary(bytes) => socket.waiting.push_back(Message::Binary(bytes)),
                // The encoder writes UTF-8; were it not, the frame would be left out and the region would say what is missing.
                Payload::Text(bytes) => {
                    socket.waiting.extend(Utf8Bytes::try_from(bytes).ok().map(Message::Text));
                }
            }
        }
    }

    /// Writes what waits, and reads if `may_read`. Ready with what happened on one of the sockets.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, may_read: bool) -> Poll<(ConnectionId, Happening)> {
        let subprotocol = self.subprotocol;
        let mut happened = None;
        for (connection, socket) in &mut self.sockets {
            match socket.poll(cx, may_read, subprotocol) {
                Poll::Pending => {}
                Poll::Ready(Ok(happening)) => {
                    happened = Some((*connection, happening));
                    break;
                }
                Poll::Ready(Err(ended)) => {
                    tracing::debug!(connection = connection.0, "{ended}");
                    happened = Some((*connection, Happening::Closed));
                    break;
                }
            }
        }
        let Some((connection, happening)) = happened else { return Poll::Pending };
        if matches!(happening, Happening::Closed) {
            self.sockets.remove(&connection);
        }
        Poll::Ready((connection, happening))
    }

    /// Writes what waits on all open sockets. Ready when nothing waits.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut waits = false;
        for socket in self.sockets.values_mut() {
            if let State::Open(open) = &mut socket.state {
                waits |= write(open, &mut socket.waiting, &mut socket.unflushed, cx).is_ok_and(|all| !all);
            }
        }
        if waits { Poll::Pending } else { Poll::Ready(()) }
    }
}

impl Socket {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        may_read: bool,
        subprotocol: Subprotocol,
    ) -> Poll<Result<Happening, Ended>> {
        let open = match &mut self.state {
            State::Opening(opening) => {
                let Poll::Ready(opened) = opening.as_mut().poll(cx)? else { return Poll::Pending };
                self.state = State::Open(Box::new(opened));
                return Poll::Ready(Ok(Happening::Connected));
            }
            State::Open(open) => open,
        };
        write(open, &mut self.waiting, &mut self.unflushed, cx)?;
        if self.waiting.len() > limits::FRAMES_WAITING_MAX {
            return Poll::Ready(Err(Ended::Stuck));
        }
        if !may_read {
            return Poll::Pending;
        }
        loop {
            let Poll::Ready(message) = Pin::new(&mut *open).poll_next(cx)? else { return Poll::Pending };
            let payload = match message {
                None | Some(Message::Close(_)) => return Poll::Ready(Err(Ended::ByPeer)),
                Some(Message::Binary(bytes)) => Payload::Binary(bytes),
                Some(Message::Text(text)) => Payload::Text(text.into()),
                Some(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {
                    // A pong may have been queued in the WebSocket layer.
                    self.unflushed = true;
                    write(open, &mut self.waiting, &mut self.unflushed, cx)?;
                    continue;
                }
            };
            match subprotocol.decode_server(&payload) {
                Ok(frame) => return Poll::Ready(Ok(Happening::Frame(frame))),
                // A later region may send kinds of frames that this version does not know; they are for later clients.
                Err(FrameError::Unknown { .. }) => {}
                Err(error) => return Poll::Ready(Err(Ended::Frame(error))),
            }
        }
    }
}

/// Writes what waits. Returns whether all of it is written and flushed.
fn write(
    open: &mut WebSocket,
    waiting: &mut VecDeque<Message>,
    unflushed: &mut bool,
    cx: &mut Context<'_>,
) -> Result<bool, WebSocketError> {
    while !waiting.is_empty() {
        let Poll::Ready(()) = Pin::new(&mut *open).poll_ready(cx)? else { return Ok(false) };
        if let Some(message) = waiting.pop_front() {
            Pin::new(&mut *open).start_send(message)?;
            *unflushed = true;
        }
    }
    if *unflushed {
        let Poll::Ready(()) = Pin::new(&mut *open).poll_flush(cx)? else { return Ok(false) };
        *unflushed = false;
    }
    Ok(true)
}
