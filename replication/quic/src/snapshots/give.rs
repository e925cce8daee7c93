//! Gives snapshots to regions that join, one after the other.
//!
//! What must always hold: the region decides, before anything is made; a snapshot is held for as long as it is read and no longer, and one that is not read for a while is taken away; a second
//! caller is told to come again at once.
//!
//! Cost: a checkpoint (links to files, and what is in memory is written), and one sequential read of its files at the pace at which they are taken.

use super::{NoMessage, PIECE_BYTES, message, say};
use crate::counters::add;
use crate::limits::{HANDSHAKE_TIMEOUT, SNAPSHOT_STALLS_AFTER};
use crate::region_port::RegionPort;
use bytes::Bytes;
use crdt::RegionId;
use quinn::{Connection, RecvStream, SendStream, VarInt};
use replication::reason::{CODE_STOPPING, Reason};
use replication::snapshot::{Asked, Offered, Wanted};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tokio::io::AsyncReadExt as _;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::timeout;

/// A snapshot that a region has made for somebody.
pub struct GivenSnapshot {
    /// Where its files lie.
    pub folder: PathBuf,
    /// Which they are.
    pub offered: Offered,
    /// Removes them when it is dropped.
    pub kept: Box<dyn Send + Sync>,
}

/// What a region has given, for metrics.
#[derive(Debug, Default)]
pub struct SnapshotCounters {
    /// Snapshots that were taken whole.
    pub given: AtomicU64,
    /// Callers that were refused.
    pub refused: AtomicU64,
    /// Bytes of files that were handed to connections.
    pub bytes: AtomicU64,
}

/// A caller whose certificate names a region.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) connection: Connection,
    pub(crate) certified: RegionId,
    /// Its place among those that are served.
    pub(crate) place: OwnedSemaphorePermit,
}

/// Why giving ended before its end.
enum Broken {
    /// The caller is gone, or takes nothing.
    Gone,
    Refused(Reason),
}

/// Serves callers, until nobody can call any more.
pub(crate) async fn give<R: RegionPort>(
    region: Arc<R>,
    mut callers: mpsc::Receiver<Caller>,
    counters: Arc<SnapshotCounters>,
) {
    while let Some(Caller { connection, certified, place }) = callers.recv().await {
        match give_one(&*region, &connection, certified, &counters).await {
            Ok(()) => add(&counters.given, 1),
            Err(Broken::Gone) => {
                tracing::info!(peer = %certified, "a region broke off while it took a snapshot");
                connection.close(VarInt::from_u32(CODE_STOPPING), b"it is not taken");
            }
            Err(Broken::Refused(reason)) => refuse(&connection, certified, &reason, &counters),
        }
        drop(place);
    }
}

/// Tells a caller why not.
pub(crate) fn refuse(
    connection: &Connection,
    certified: RegionId,
    reason: &Reason,
    counters: &SnapshotCounters,
) {
    add(&counters.refused, 1);
    tracing::warn!(peer = %certified, code = reason.code(), %reason, "a region is given no snapshot");
    connection.close(VarInt::from_u32(reason.code()), reason.to_string().as_bytes());
}

async fn give_one<R: RegionPort>(
    region: &R,
    connection: &Connection,
    certified: RegionId,
    counters: &SnapshotCounters,
) -> Result<(), Broken> {
    let opened = timeout(HANDSHAKE_TIMEOUT, connection.accept_bi()).await;
    let Ok(Ok((mut send, mut receive))) = opened else { return Err(Broken::Gone) };
    let asked = Asked::decode(heard(&mut receive).await?)?;
    let GivenSnapshot { folder, offered, kept } = region.snapshot(certified, asked).await?;
    tracing::info!(peer = %certified, files = offered.files.len(), "a region takes a snapshot");
    taken(say(&mut send, offered.encode())).await?;
    let wanted = Wanted::decode(heard(&mut receive).await?)?;
    for file in offered.chosen(&wanted)? {
        give_file(&mut send, &folder.join(&file.name), file.bytes, counters).await?;
    }
    // What is not finished is never stopped.
    let _ = send.finish();
    // Until the last byte is acknowledged, or nobody is there to do so.
    let _ = timeout(SNAPSHOT_STALLS_AFTER, send.stopped()).await;
    drop(kept);
    Ok(())
}

async fn give_file(
    send: &mut SendStream,
    path: &Path,
    bytes: u64,
    counters: &SnapshotCounters,
) -> Result<(), Broken> {
    let failed = |error: std::io::Error| {
        tracing::error!(file = %path.display(), %error, "a file of a snapshot cannot be read");
        Broken::Gone
    };
    let mut file = tokio::fs::File::open(path).await.map_err(failed)?.take(bytes);
    let mut left = bytes;
    while left > 0 {
        let mut piece = vec![0; PIECE_BYTES];
        let read = file.read(&mut piece).await.map_err(failed)?;
        if read == 0 {
            return Err(failed(std::io::ErrorKind::UnexpectedEof.into()));
        }
        piece.truncate(read);
        left = left.saturating_sub(read as u64);
        taken(send.write_chunk(Bytes::from(piece))).await?;
        add(&counters.bytes, read);
    }
    Ok(())
}

/// The caller's next message, which it has in hand.
async fn heard(receive: &mut RecvStream) -> Result<Bytes, Broken> {
    match timeout(SNAPSHOT_STALLS_AFTER, message(receive)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(NoMessage::Refused(reason))) => Err(Broken::Refused(reason)),
        Ok(Err(NoMessage::Ended)) | Err(_) => Err(Broken::Gone),
    }
}

/// Waits until the connection has taken something, for a while.
async fn taken<E>(writing: impl Future<Output = Result<(), E>>) -> Result<(), Broken> {
    match timeout(SNAPSHOT_STALLS_AFTER, writing).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(Broken::Gone),
    }
}

impl From<Reason> for Broken {
    fn from(reason: Reason) -> Self {
        Self::Refused(reason)
    }
}

impl fmt::Debug for GivenSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GivenSnapshot").field("folder", &self.folder).finish_non_exhaustive()
    }
}
