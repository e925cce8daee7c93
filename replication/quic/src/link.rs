//! One connection to a peer: its single stream cut into frames, read and written by a task each.
//!
//! A frame is four bytes of length, big-endian, and so many bytes. What must always hold:
//! - A frame above the limit is refused by its length alone; its bytes are never held. A stream that ends within a frame is refused too.
//! - One frame waits to be taken and one is being read; when nobody takes them, the stream's window fills and the peer waits.
//! - One frame is being written, and the next is asked for when QUIC has taken all of it. It takes hardly more than it may send, since a live message would wait behind the rest.

use crate::counters::{BridgeCounters, add};
use crate::gossip::SIGN_OF_LIFE;
use crate::limits::UNSENT_BYTES;
use crate::receive_window::ReceiveWindow;
use bytes::{Bytes, BytesMut};
use crdt::RegionId;
use quinn::{
    Connection, ConnectionError, ConnectionStats, ReadError, ReadExactError, RecvStream, SendStream, VarInt,
    WriteError,
};
use replication::limits::FRAME_BYTES_MAX;
use replication::reason::{CODE_STOPPING, Reason};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Bytes of a frame's length.
const PREFIX_BYTES: usize = 4;

/// A connection that stands, with its stream.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) connection: Connection,
    /// Whom the peer's certificate names.
    pub(crate) certified: RegionId,
    frames: mpsc::Receiver<Heard>,
    outgoing: mpsc::Sender<Bytes>,
    written: mpsc::Receiver<()>,
    /// What had been received when the heart last beat.
    heard: u64,
    /// The reading and writing tasks, which end with the link.
    _tasks: JoinSet<()>,
}

/// What is heard on a link.
#[derive(Debug)]
pub(crate) enum Heard {
    /// One frame.
    Frame(Bytes),
    /// What is no frame, by its length or its end. Nothing more is read.
    Refused(Reason),
    /// The connection ended, with the code that the peer gave if it closed it.
    Ended { code: Option<u32> },
}

/// What a link has to tell.
#[derive(Debug)]
pub(crate) enum LinkEvent {
    /// Something was heard.
    Heard(Heard),
    /// The last frame has been taken by QUIC: there is room for one more.
    Written,
}

impl Link {
    /// Starts reading and writing.
    pub(crate) fn start(
        connection: Connection,
        certified: RegionId,
        (send, receive): (SendStream, RecvStream),
        counters: &Arc<BridgeCounters>,
    ) -> Self {
        let (heard, frames) = mpsc::channel(1);
        let (outgoing, to_write) = mpsc::channel(1);
        let (wrote, written) = mpsc::channel(1);
        let mut tasks = JoinSet::new();
        tasks.spawn(read_frames(connection.clone(), receive, heard, Arc::clone(counters)));
        tasks.spawn(write_frames(connection.clone(), send, to_write, wrote, Arc::clone(counters)));
        Self { connection, certified, frames, outgoing, written, heard: 0, _tasks: tasks }
    }

    /// Sends a sign of life if nothing was heard since the last call: see [`HEARTBEAT`](crate::limits::HEARTBEAT).
    pub(crate) fn beat(&mut self) {
        let heard = self.connection.stats().udp_rx.datagrams;
        if heard == self.heard {
            // A connection that has ended tells by itself.
            let _ = self.connection.send_datagram(Bytes::from_static(&[SIGN_OF_LIFE]));
        }
        self.heard = heard;
    }

    /// Waits for the next event; frames only if `reading`. Cancelling loses nothing.
    pub(crate) async fn event(&mut self, reading: bool) -> LinkEvent {
        tokio::select! {
            Some(()) = self.written.recv() => LinkEvent::Written,
            heard = self.frames.recv(), if reading => {
                LinkEvent::Heard(heard.unwrap_or(Heard::Ended { code: None }))
            }
            // Neither reading nor writing: the other arm's pattern fails only when the writer has ended, which ends the reader too.
            else => std::future::pending().await,
        }
    }

    /// Gives the writer one frame. Only called when it asked for one, so there is room.
    pub(crate) fn send(&self, frame: Bytes) {
        // A writer that has ended has closed the connection, and the reader tells.
        let _ = self.outgoing.try_send(frame);
    }

    /// Ends the connection.
    pub(crate) fn close(self, code: u32, text: &str) {
        self.connection.close(VarInt::from_u32(code), text.as_bytes());
    }
}

async fn read_frames(
    connection: Connection,
    mut stream: RecvStream,
    heard: mpsc::Sender<Heard>,
    counters: Arc<BridgeCounters>,
) {
    let mut window = ReceiveWindow::new(Instant::now(), connection.stats().udp_rx.bytes);
    let mut round_trip = connection.rtt();
    loop {
        let next = match read_frame(&mut stream).await {
            Ok(frame) => {
                add(&counters.frames_in, 1);
                if let Heard::Frame(bytes) = &frame {
                    add(&counters.bytes_in, PREFIX_BYTES + bytes.len());
                    let now = Instant::now();
                    if window.is_due(now, round_trip) {
                        let ConnectionStats { udp_rx, path, .. } = connection.stats();
                        round_trip = path.rtt;
                        if let Some(bytes) = window.renew(now, udp_rx.bytes, path.rtt, path.min_rtt) {
                            connection.set_receive_window(VarInt::from_u32(bytes));
                        }
                    }
                }
                frame
            }
            Err(ReadExactError::FinishedEarly(read)) if read > 0 => {
                Heard::Refused(Reason::Malformed("the stream ends within a frame"))
            }
            // What the peer said is asked before anything is closed from here, which would take its place.
            Err(ReadExactError::ReadError(ReadError::ConnectionLost(error))) => {
                Heard::Ended { code: code_of(&error) }
            }
            Err(ReadExactError::FinishedEarly(_) | ReadExactError::ReadError(_)) => {
                // A stream that ends without its connection is of no more use.
                connection.close(VarInt::from_u32(CODE_STOPPING), b"stream ended");
                Heard::Ended { code: None }
            }
        };
        let last = !matches!(next, Heard::Frame(_));
        let begun = Instant::now();
        if heard.send(next).await.is_err() || last {
            return;
        }
        window.note_held_up(begun.elapsed());
    }
}

/// The next frame of a stream.
pub(crate) async fn read_frame(stream: &mut RecvStream) -> Result<Heard, ReadExactError> {
    let mut prefix = [0; PREFIX_BYTES];
    stream.read_exact(&mut prefix).await?;
    let length = u32::from_be_bytes(prefix) as usize;
    if length > FRAME_BYTES_MAX {
        return Ok(Heard::Refused(Reason::Oversized { bytes: length, limit: FRAME_BYTES_MAX }));
    }
    let mut frame = BytesMut::zeroed(length);
    match stream.read_exact(&mut frame).await {
        Ok(()) => Ok(Heard::Frame(frame.freeze())),
        // Its length has come: also one that ends before its first byte is cut short.
        Err(ReadExactError::FinishedEarly(read)) => Err(ReadExactError::FinishedEarly(PREFIX_BYTES + read)),
        Err(error @ ReadExactError::ReadError(_)) => Err(error),
    }
}

async fn write_frames(
    connection: Connection,
    mut stream: SendStream,
    mut to_write: mpsc::Receiver<Bytes>,
    wrote: mpsc::Sender<()>,
    counters: Arc<BridgeCounters>,
) {
    while let Some(frame) = to_write.recv().await {
        debug_assert!(frame.len() <= FRAME_BYTES_MAX, "the core makes no frame above the limit");
        let under_way = connection.stats().path.cwnd;
        connection.set_send_window(under_way.saturating_add(UNSENT_BYTES.max(under_way / 16)));
        let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        let written = frame.len() + PREFIX_BYTES;
        let mut pieces = [Bytes::copy_from_slice(&length.to_be_bytes()), frame];
        match stream.write_all_chunks(&mut pieces).await {
            Ok(()) => {}
            // Why it ended, the reader tells: closing it once more would take the place of what the peer said.
            Err(WriteError::ConnectionLost(_)) => return,
            Err(WriteError::Stopped(_) | WriteError::ClosedStream | WriteError::ZeroRttRejected) => {
                connection.close(VarInt::from_u32(CODE_STOPPING), b"stream ended");
                return;
            }
        }
        add(&counters.frames_out, 1);
        add(&counters.bytes_out, written);
        if wrote.send(()).await.is_err() {
            return;
        }
    }
}

/// The code that a peer gave, if it ended the connection.
pub(crate) fn code_of(error: &ConnectionError) -> Option<u32> {
    match error {
        ConnectionError::ApplicationClosed(close) => u32::try_from(close.error_code.into_inner()).ok(),
        ConnectionError::VersionMismatch
        | ConnectionError::TransportError(_)
        | ConnectionError::ConnectionClosed(_)
        | ConnectionError::Reset
        | ConnectionError::TimedOut
        | ConnectionError::LocallyClosed
        | ConnectionError::CidsExhausted => None,
    }
}
