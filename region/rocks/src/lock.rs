//! One process a data folder: `DATA/lock`, held by flock as long as the process lives. One that makes backups of it: `DATA/backup.lock`. And one that begins stores in it: `DATA/join.lock`.
//!
//! What must always hold: a lock dies with its process, however it dies, so there is never a stale lock to delete by hand.
//! The file holds the process id of its holder, for the message alone.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

/// Holds the data folder until it is dropped.
#[derive(Debug)]
pub struct DataLock {
    _held: File,
}

/// Holds the right to make backups of a data folder until it is dropped.
#[derive(Debug)]
pub struct BackupLock {
    _held: File,
}

/// Holds the right to begin stores in a data folder with snapshots until it is dropped.
#[derive(Debug)]
pub struct JoinLock {
    _held: File,
}

/// Why a data folder cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LockRefused {
    /// Another process has it.
    #[error(
        "data folder {} is in use by process {holder}: stop that process, or give this one another folder",
        .folder.display()
    )]
    Held {
        /// The folder.
        folder: PathBuf,
        /// The other's process id, as it wrote it.
        holder: String,
    },
    /// Another process makes a backup of it.
    #[error(
        "process {holder} makes a backup of data folder {}: wait until it has ended",
        .folder.display()
    )]
    BackedUp {
        /// The folder.
        folder: PathBuf,
        /// The other's process id, as it wrote it.
        holder: String,
    },
    /// Another process begins stores in it.
    #[error(
        "process {holder} takes snapshots into data folder {}: wait until it has ended",
        .folder.display()
    )]
    Joins {
        /// The folder.
        folder: PathBuf,
        /// The other's process id, as it wrote it.
        holder: String,
    },
    /// The file cannot be made or locked.
    #[error("data folder {} cannot be locked: {reason}: check that it is a local folder that this user may write", .folder.display())]
    Failed {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        reason: std::io::Error,
    },
}

impl DataLock {
    /// Takes the folder, creating it if it is missing.
    ///
    /// # Errors
    /// [`LockRefused`] when another process holds it or the system refuses.
    pub fn acquire(folder: &Path) -> Result<Self, LockRefused> {
        let failed = |reason| LockRefused::Failed { folder: folder.to_path_buf(), reason };
        std::fs::create_dir_all(folder).map_err(failed)?;
        match take(&folder.join("lock")).map_err(failed)? {
            Taken::Ours(held) => Ok(Self { _held: held }),
            Taken::Others(holder) => Err(LockRefused::Held { folder: folder.to_path_buf(), holder }),
        }
    }
}

impl BackupLock {
    /// Takes the right to make backups of a data folder, which must exist. Whether its region runs makes no difference.
    ///
    /// # Errors
    /// [`LockRefused`] when another process makes one or the system refuses.
    pub fn acquire(folder: &Path) -> Result<Self, LockRefused> {
        let failed = |reason| LockRefused::Failed { folder: folder.to_path_buf(), reason };
        match take(&folder.join("backup.lock")).map_err(failed)? {
            Taken::Ours(held) => Ok(Self { _held: held }),
            Taken::Others(holder) => Err(LockRefused::BackedUp { folder: folder.to_path_buf(), holder }),
        }
    }
}

impl JoinLock {
    /// Takes the right to begin stores in a data folder, which must exist. Its region may run, on other stores.
    ///
    /// # Errors
    /// [`LockRefused`] when another process does so or the system refuses.
    pub fn acquire(folder: &Path) -> Result<Self, LockRefused> {
        let failed = |reason| LockRefused::Failed { folder: folder.to_path_buf(), reason };
        match take(&folder.join("join.lock")).map_err(failed)? {
            Taken::Ours(held) => Ok(Self { _held: held }),
            Taken::Others(holder) => Err(LockRefused::Joins { folder: folder.to_path_buf(), holder }),
        }
    }
}

/// A lock file, in our hands or in those of the process of that id.
enum Taken {
    Ours(File),
    Others(String),
}

fn take(path: &Path) -> std::io::Result<Taken> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let mut file = options.open(path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // A holder that has not written its id yet is still a holder.
            let _ = file.read_to_string(&mut holder);
            let holder = holder.trim();
            return Ok(Taken::Others(if holder.is_empty() { "(unknown)" } else { holder }.to_owned()));
        }
        Err(TryLockError::Error(reason)) => return Err(reason),
    }
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())?;
    Ok(Taken::Ours(file))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_refused_by_the_first_ones_process_id_until_it_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let first = DataLock::acquire(folder.path()).unwrap();
        let refused = DataLock::acquire(folder.path()).unwrap_err().to_string();
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        let backup = BackupLock::acquire(folder.path()).unwrap();
        let refused = BackupLock::acquire(folder.path()).unwrap_err().to_string();
        assert!(refused.contains(&format!("process {} makes a backup", std::process::id())), "{refused}");
        drop((first, backup));
        DataLock::acquire(folder.path()).unwrap();
        BackupLock::acquire(folder.path()).unwrap();
    }
}
