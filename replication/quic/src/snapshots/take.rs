//! Takes a snapshot into a folder: what a program does for a region that was admitted and does not run yet.
//!
//! What must always hold: whatever breaks off, what has come whole stays, and the next call goes on behind it, also to a snapshot that was made later of the same store; of another store nothing
//! is kept. Files have their names only once they are whole and synced. No more is read than the pace allows.

use super::{NoMessage, PIECE_BYTES, message, say};
use crate::certificates::Certificates;
use crate::dial::region_of;
use crate::endpoint::{self, BridgeSettings, EndpointRefused};
use crate::identity::Spoken;
use crate::limits::{DIAL_TIMEOUT, RECEIVE_WINDOW_BYTES, SNAPSHOT_STALLS_AFTER, STOP_TIMEOUT};
use crdt::RegionId;
use quinn::{ClientConfig, Connection, ConnectionError, Endpoint, RecvStream, VarInt};
use replication::StoreId;
use replication::reason::{CODE_STOPPING, Reason};
use replication::snapshot::{Asked, File, Offered, Wanted};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, sleep_until, timeout};

/// Ends the names of files that are not whole: the engine has none that end so.
const PART: &str = ".part";

/// Calls other regions for their snapshots.
#[derive(Debug)]
pub struct SnapshotTaker {
    endpoint: Endpoint,
    dialling_as: ClientConfig,
    names: BTreeMap<RegionId, String>,
    /// Bytes that are read in a second.
    pace: u64,
}

/// How far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// All files have so many bytes, of which so many are there already.
    Begins {
        /// All.
        bytes: u64,
        /// Of an earlier call.
        there: u64,
    },
    /// So many more have come.
    Came {
        /// How many.
        bytes: u64,
    },
}

/// A snapshot that is there, whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Landed {
    /// Of which store.
    pub store: StoreId,
    /// Bytes of all its files.
    pub bytes: u64,
    /// Bytes that came by this call.
    pub came: u64,
}

/// Why none is there.
#[derive(Debug, thiserror::Error)]
pub enum TakeRefused {
    /// The region answers not, or has stopped to: another call goes on where this one ended.
    #[error("it does not answer: {0}")]
    Silent(String),
    /// The region says no.
    #[error("it refuses (code {code}): {text}")]
    Refused {
        /// The code, as in `docs/errors.md`.
        code: u32,
        /// What it says.
        text: String,
    },
    /// What it says is not to be understood, or its certificate is another region's.
    #[error("{0}")]
    Wrong(#[from] Reason),
    /// A file cannot be written.
    #[error("{}: {reason}", .path.display())]
    Disk {
        /// Which.
        path: PathBuf,
        /// What the system said.
        reason: std::io::Error,
    },
}

impl SnapshotTaker {
    /// One that calls as the region of these certificates, from any free port, and reads so many bytes a second at most. Call it within a tokio runtime.
    ///
    /// # Errors
    /// When no socket can be had, or the certificates cannot be used.
    pub fn new(
        certificates: &Certificates,
        names: BTreeMap<RegionId, String>,
        to: SocketAddr,
        pace: u64,
    ) -> Result<Self, EndpointRefused> {
        let settings = BridgeSettings::default();
        let (_, dialling_as) = endpoint::set_up(&certificates.current(), Spoken::Snapshots, settings)?;
        let any: SocketAddr =
            if to.is_ipv6() { (Ipv6Addr::UNSPECIFIED, 0).into() } else { ([0, 0, 0, 0], 0).into() };
        Ok(Self { endpoint: endpoint::open_to_call(any)?, dialling_as, names, pace: pace.max(1) })
    }

    /// Takes what is asked for from that region into a folder, which holds nothing else.
    ///
    /// # Errors
    /// [`TakeRefused`]; what has come stays.
    pub async fn take(
        &self,
        (peer, address): (RegionId, SocketAddr),
        asked: &Asked,
        folder: &Path,
        tell: &(dyn Fn(Progress) + Sync),
    ) -> Result<Landed, TakeRefused> {
        let connection = self.call(peer, address).await?;
        let taken = self.take_over(&connection, asked, folder, tell).await;
        connection.close(VarInt::from_u32(CODE_STOPPING), b"it has come");
        // Whoever does not hear it finds out by itself.
        let _ = timeout(STOP_TIMEOUT, self.endpoint.wait_idle()).await;
        taken
    }

    async fn call(&self, peer: RegionId, address: SocketAddr) -> Result<Connection, TakeRefused> {
        let silent = |why: &dyn std::fmt::Display| TakeRefused::Silent(why.to_string());
        let name = self.names.get(&peer).ok_or(Reason::Malformed("region"))?;
        let connecting = self.endpoint.connect_with(self.dialling_as.clone(), address, name);
        let connecting = connecting.map_err(|error| silent(&error))?;
        let connected = timeout(DIAL_TIMEOUT, connecting).await.map_err(|late| silent(&late))?;
        let connection = connected.map_err(|error| lost(&error))?;
        match region_of(&connection, &self.names) {
            Some(certified) if certified == peer => Ok(connection),
            certified => {
                let certified = certified.unwrap_or(RegionId(0));
                Err(Reason::WrongCertificate { certified, expected: peer }.into())
            }
        }
    }

    async fn take_over(
        &self,
        connection: &Connection,
        asked: &Asked,
        folder: &Path,
        tell: &(dyn Fn(Progress) + Sync),
    ) -> Result<Landed, TakeRefused> {
        // Nothing live waits behind a snapshot, so its window may be as large as any way needs from the beginning.
        connection.set_receive_window(VarInt::from_u32(RECEIVE_WINDOW_BYTES));
        let (mut send, mut receive) = connection.open_bi().await.map_err(|error| lost(&error))?;
        // Why it cannot be written, the answer tells.
        let _ = say(&mut send, asked.encode()).await;
        let offered = Offered::decode(self.heard(connection, &mut receive).await?)?;
        let bytes = offered.files.iter().map(|file| file.bytes).fold(0, u64::saturating_add);
        let there = keep_what_fits(folder, &offered).await?;
        let lacks = |file: &&File| !there.contains(&file.name);
        let wanted = offered.files.iter().enumerate().filter(|(_, file)| !there.contains(&file.name));
        let wanted = Wanted(wanted.filter_map(|(number, _)| u32::try_from(number).ok()).collect());
        let came = offered.files.iter().filter(lacks).map(|file| file.bytes).fold(0, u64::saturating_add);
        tell(Progress::Begins { bytes, there: bytes.saturating_sub(came) });
        // The same, the next byte.
        let _ = say(&mut send, wanted.encode()).await;
        let mut pace = Pace { begun: Instant::now(), came: 0, bytes_a_second: self.pace };
        for file in offered.files.iter().filter(lacks) {
            take_file((connection, &mut receive), folder, file, &mut pace, tell).await?;
        }
        sync_folder(folder).await?;
        Ok(Landed { store: offered.store, bytes, came })
    }

    async fn heard(
        &self,
        connection: &Connection,
        receive: &mut RecvStream,
    ) -> Result<bytes::Bytes, TakeRefused> {
        match timeout(SNAPSHOT_STALLS_AFTER, message(receive)).await {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(NoMessage::Refused(reason))) => Err(reason.into()),
            Ok(Err(NoMessage::Ended)) | Err(_) => Err(why_lost(connection).await),
        }
    }
}

/// How fast is read.
struct Pace {
    begun: Instant,
    came: u64,
    bytes_a_second: u64,
}

impl Pace {
    /// So many bytes have come: waits until they should have.
    async fn keep(&mut self, bytes: u64) {
        self.came = self.came.saturating_add(bytes);
        let due_ms = self.came.saturating_mul(1_000).checked_div(self.bytes_a_second).unwrap_or(0);
        sleep_until(self.begun + Duration::from_millis(due_ms)).await;
    }
}

async fn take_file(
    (connection, receive): (&Connection, &mut RecvStream),
    folder: &Path,
    file: &File,
    pace: &mut Pace,
    tell: &(dyn Fn(Progress) + Sync),
) -> Result<(), TakeRefused> {
    let part = folder.join(format!("{}{PART}", file.name));
    let failed = disk(&part);
    let mut written = tokio::fs::File::create(&part).await.map_err(&failed)?;
    let mut left = file.bytes;
    let mut piece = vec![0; PIECE_BYTES];
    while left > 0 {
        let room = usize::try_from(left).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
        let read = timeout(SNAPSHOT_STALLS_AFTER, receive.read(&mut piece[..room])).await;
        let Ok(Ok(Some(read))) = read else { return Err(why_lost(connection).await) };
        written.write_all(&piece[..read]).await.map_err(&failed)?;
        let read = read as u64;
        left = left.saturating_sub(read);
        tell(Progress::Came { bytes: read });
        pace.keep(read).await;
    }
    written.flush().await.map_err(&failed)?;
    written.sync_all().await.map_err(&failed)?;
    tokio::fs::rename(&part, folder.join(&file.name)).await.map_err(&failed)
}

/// Removes from the folder what is not of this snapshot, and names what is. Only files of tables are kept: the others change under their names.
async fn keep_what_fits(folder: &Path, offered: &Offered) -> Result<BTreeSet<String>, TakeRefused> {
    let failed = disk(folder);
    let marker = folder.with_extension("of");
    let of = format!("{:032x}\n", offered.store.0);
    if tokio::fs::read_to_string(&marker).await.ok().as_deref() != Some(of.as_str()) {
        if tokio::fs::try_exists(folder).await.map_err(&failed)? {
            tokio::fs::remove_dir_all(folder).await.map_err(&failed)?;
        }
        tokio::fs::create_dir_all(folder).await.map_err(&failed)?;
        tokio::fs::write(&marker, of).await.map_err(disk(&marker))?;
    }
    tokio::fs::create_dir_all(folder).await.map_err(&failed)?;
    let sizes: BTreeMap<&str, u64> =
        offered.files.iter().map(|file| (file.name.as_str(), file.bytes)).collect();
    let mut there = BTreeSet::new();
    let mut entries = tokio::fs::read_dir(folder).await.map_err(&failed)?;
    while let Some(entry) = entries.next_entry().await.map_err(&failed)? {
        let length = entry.metadata().await.map_err(&failed)?.len();
        match entry.file_name().into_string() {
            Ok(name) if name.ends_with(".sst") && sizes.get(name.as_str()) == Some(&length) => {
                there.insert(name);
            }
            Ok(_) | Err(_) => tokio::fs::remove_file(entry.path()).await.map_err(&failed)?,
        }
    }
    Ok(there)
}

async fn sync_folder(folder: &Path) -> Result<(), TakeRefused> {
    let opened = tokio::fs::File::open(folder).await.map_err(disk(folder))?;
    opened.sync_all().await.map_err(disk(folder))
}

fn disk(path: &Path) -> impl Fn(std::io::Error) -> TakeRefused + use<> {
    let path = path.to_owned();
    move |reason| TakeRefused::Disk { path: path.clone(), reason }
}

/// Nothing more comes. A stream ends as its connection is closed, and word of that may come first: what the region says comes with the other.
async fn why_lost(connection: &Connection) -> TakeRefused {
    match timeout(STOP_TIMEOUT, connection.closed()).await {
        Ok(error) => lost(&error),
        Err(_) => TakeRefused::Silent("nothing has come for a while".to_owned()),
    }
}

fn lost(error: &ConnectionError) -> TakeRefused {
    if let ConnectionError::ApplicationClosed(close) = error
        && let Ok(code) = u32::try_from(close.error_code.into_inner())
        && code != CODE_STOPPING
    {
        return TakeRefused::Refused { code, text: String::from_utf8_lossy(&close.reason).into_owned() };
    }
    TakeRefused::Silent(error.to_string())
}
