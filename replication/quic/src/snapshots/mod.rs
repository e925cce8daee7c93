//! Snapshots over QUIC: on a connection of their own, of a protocol of their own, to the address of the bridges. What is said is in `replication::snapshot`.
//!
//! ```text
//!   take.rs (a program that joins)                               give.rs (a region that runs)
//!   dial ─▶ Asked ───────────────────────────────────────────▶ a checkpoint is made, or it is refused by a code
//!           Wanted ◀─ Offered ◀──────────────────────────────── its files
//!           each file: NAME.part ─▶ sync ─▶ NAME ◀───────────── their bytes, as the receiver's window has room
//! ```
//! What must always hold: a message above a frame's limit is not read; a giver holds no more than one piece of a file and what QUIC's window holds, however slowly it is read, and gives to one at a
//! time; whatever breaks off, a file that has its name is whole, and on the disk.

pub(crate) mod give;
mod take;

pub use give::{GivenSnapshot, SnapshotCounters};
pub use take::{Landed, Progress, SnapshotTaker, TakeRefused};

use crate::link::{Heard, read_frame};
use bytes::Bytes;
use quinn::{RecvStream, SendStream, WriteError};
use replication::reason::Reason;

/// Bytes that are read of a file, or of the stream, at a time.
const PIECE_BYTES: usize = 256 << 10;

/// Why a message did not come.
#[derive(Debug)]
enum NoMessage {
    /// The connection or the stream has ended.
    Ended,
    /// It is none.
    Refused(Reason),
}

async fn message(stream: &mut RecvStream) -> Result<Bytes, NoMessage> {
    match read_frame(stream).await {
        Ok(Heard::Frame(bytes)) => Ok(bytes),
        Ok(Heard::Refused(reason)) => Err(NoMessage::Refused(reason)),
        Ok(Heard::Ended { .. }) | Err(_) => Err(NoMessage::Ended),
    }
}

async fn say(stream: &mut SendStream, message: Bytes) -> Result<(), WriteError> {
    // Messages are made here, and are below the limit of a frame.
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    stream.write_all_chunks(&mut [Bytes::copy_from_slice(&length.to_be_bytes()), message]).await
}
