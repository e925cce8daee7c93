//! Checkpoints of a region's stores, hard links to their files: `DATA/backup.checkpoints/PLACEMENT` for a backup, `DATA/snapshot.checkpoints/PLACEMENT` for a region that begins with one.
//!
//! No placement is called so, since names have no points. A checkpoint holds on to the room of files that the store has long replaced, and to texts that were deleted meanwhile, so none stays
//! longer than what it is made for: that removes it, or the next one of its kind does, or the region's next start.
//!
//! What must always hold:
//! - A store's own folder is not written to: what is removed here is below those two, and links are not followed.
//! - A start of the region leaves alone the checkpoint of a backup that is under way: it holds `backup.lock`. Snapshots are the region's own, so at its start nobody reads one.

use crate::lock::{BackupLock, LockRefused};
use crate::store::{Reader, failure};
use region::meta;
use region::store::StoreError;
use replication::StoreId;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What a checkpoint is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A backup.
    Backup,
    /// A region that joins.
    Snapshot,
}

impl Purpose {
    const fn folder(self) -> &'static str {
        match self {
            Self::Backup => "backup.checkpoints",
            Self::Snapshot => "snapshot.checkpoints",
        }
    }
}

/// Which folder it is, whatever path it is reached by, from within a container too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FolderIdentity {
    /// The number of the file system.
    pub device: u64,
    /// Its number in there.
    pub inode: u64,
}

impl FolderIdentity {
    /// That of a folder.
    ///
    /// # Errors
    /// When there is none, or it cannot be looked at.
    pub fn of(folder: &Path) -> std::io::Result<Self> {
        let found = std::fs::metadata(folder)?;
        Ok(Self { device: found.dev(), inode: found.ino() })
    }
}

/// Where the checkpoint of a placement lies, when there is one.
#[must_use]
pub fn folder(data: &Path, purpose: Purpose, placement: &str) -> PathBuf {
    data.join(purpose.folder()).join(placement)
}

/// A checkpoint, and what it is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// Of which store.
    pub store: StoreId,
    /// Of which incarnation of the region's replica.
    pub incarnation: u64,
    /// The format of its records.
    pub format: u64,
    /// How long it took to make.
    pub took: Duration,
}

/// Makes a checkpoint of the store that a handle reads, in the data folder that it lies in. An earlier one of the placement goes.
///
/// # Errors
/// [`StoreError`] when the store was never started, or cannot be read, or the disk refuses.
pub fn make(
    data: &Path,
    purpose: Purpose,
    placement: &str,
    reader: &Reader,
) -> Result<Checkpoint, StoreError> {
    let failed = |call, reason: &dyn std::fmt::Display| failure(reader.folder(), call, &reason.to_string());
    let Some(found) = meta::read(reader)? else {
        return Err(failed("checkpoint", &"the store was never started, so there is nothing to keep"));
    };
    let (all, folder) = (data.join(purpose.folder()), folder(data, purpose, placement));
    remove_folder(&folder).map_err(|error| failed("remove an earlier checkpoint", &error))?;
    std::fs::create_dir_all(&all).map_err(|error| failed("create folder", &error))?;
    let begun = Instant::now();
    reader.checkpoint(&folder)?;
    let took = begun.elapsed();
    let (store, incarnation) = (found.store_id, found.replica.incarnation.0);
    Ok(Checkpoint { store, incarnation, format: found.format, took })
}

/// Removes all checkpoints of backups from a data folder, if there are any.
///
/// # Errors
/// When the disk refuses.
pub fn remove_all(data: &Path) -> std::io::Result<()> {
    remove_folder(&data.join(Purpose::Backup.folder()))
}

/// The same at a region's start, unless a backup is under way. One that cannot be removed keeps no region from starting.
pub(crate) fn remove_left_over(data: &Path) {
    let snapshots = data.join(Purpose::Snapshot.folder());
    if let Err(error) = remove_folder(&snapshots) {
        tracing::error!(
            folder = %snapshots.display(), %error,
            "snapshots that were cut short cannot be removed: remove them by hand, they hold on to room and to texts that were deleted"
        );
    }
    let folder = data.join(Purpose::Backup.folder());
    if !folder.exists() {
        return;
    }
    let removed = match BackupLock::acquire(data) {
        Ok(_held) => remove_all(data),
        Err(LockRefused::BackedUp { .. }) => return,
        Err(refused) => Err(std::io::Error::other(refused)),
    };
    match removed {
        Ok(()) => tracing::warn!("a backup was cut short: the checkpoint that it left was removed"),
        Err(error) => tracing::error!(
            folder = %folder.display(), %error,
            "a checkpoint that a backup left cannot be removed: remove it by hand, it holds on to room and to texts that were deleted"
        ),
    }
}

/// Removes a folder, if it is there.
pub(crate) fn remove_folder(folder: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
