//! A region's data folder: the lock, a folder for each placement's store, and the list of stores that must be there.
//!
//! ```text
//! DATA/lock         held by the running process
//! DATA/stores       a line for each placement whose store has been started here
//! DATA/PLACEMENT/   that placement's RocksDB
//! ```
//! What must always hold: a store that was started here and is gone is refused by name. Created afresh under the same replica, it
//! would issue again the dots that it has issued (history 9). One that is removed is forgotten first: whoever removes it knows that its replica is closed.

use crate::audit;
use crate::lock::{DataLock, LockRefused};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// A data folder in this process's hands.
#[derive(Debug)]
pub(crate) struct DataFolder {
    root: PathBuf,
    started: BTreeSet<String>,
    _lock: DataLock,
}

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderRefused {
    /// See there.
    #[error(transparent)]
    Lock(#[from] LockRefused),
    /// A store is gone.
    #[error(
        "the store of placement {placement} has been started in {} before and is gone: put it back, or return as a new incarnation",
        .folder.display()
    )]
    StoreGone {
        /// Which placement's.
        placement: String,
        /// Where it should be.
        folder: PathBuf,
    },
    /// The list of stores cannot be read or written.
    #[error("{}: {reason}: check that the data folder is a local folder that this user may write", .file.display())]
    File {
        /// Which file.
        file: PathBuf,
        /// What the system said.
        reason: std::io::Error,
    },
}

impl DataFolder {
    /// Locks the folder and reads its list of stores.
    pub(crate) fn open(root: &Path) -> Result<Self, FolderRefused> {
        let lock = DataLock::acquire(root)?;
        let file = root.join("stores");
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(reason) => return Err(FolderRefused::File { file, reason }),
        };
        let started = text.lines().map(ToOwned::to_owned).collect();
        Ok(Self { root: root.to_path_buf(), started, _lock: lock })
    }

    /// Where the store of that placement is, or is to be.
    pub(crate) fn store(&self, placement: &str) -> Result<PathBuf, FolderRefused> {
        let folder = self.root.join(placement);
        if self.started.contains(placement) && !folder.join("CURRENT").exists() {
            return Err(FolderRefused::StoreGone { placement: placement.to_owned(), folder });
        }
        Ok(folder)
    }

    /// Whether there is a store of that placement.
    pub(crate) fn holds(&self, placement: &str) -> bool {
        self.root.join(placement).join("CURRENT").exists()
    }

    /// Whether a store of that placement has been started, so that it must be there.
    pub(crate) fn was_started(&self, placement: &str) -> bool {
        self.started.contains(placement)
    }

    /// Notes, durably, that the store of that placement has been started.
    pub(crate) fn note_started(&mut self, placement: &str) -> Result<(), FolderRefused> {
        if !self.started.insert(placement.to_owned()) {
            return Ok(());
        }
        self.write_started()
    }

    /// Removes the store of that placement and the record of what operators asked for there, durably. Cut short, it is gone or is removed by the next call.
    pub(crate) fn remove(&mut self, placement: &str) -> Result<(), FolderRefused> {
        // From here on it needs not be there; what is left of it has no name that anybody would open it by.
        if self.started.remove(placement) {
            self.write_started()?;
        }
        let (store, removed) = (self.root.join(placement), self.root.join(format!("{placement}.removed")));
        let failed = |reason| FolderRefused::File { file: store.clone(), reason };
        if store.exists() {
            if removed.exists() {
                fs::remove_dir_all(&removed).map_err(failed)?;
            }
            fs::rename(&store, &removed).map_err(failed)?;
        }
        if removed.exists() {
            fs::remove_dir_all(&removed).map_err(failed)?;
        }
        // What operators asked for there names its users and conversations.
        for file in audit::files(&self.root, placement) {
            match fs::remove_file(&file) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
                Ok(()) | Err(_) => {}
            }
        }
        File::open(&self.root).and_then(|root| root.sync_all()).map_err(failed)
    }

    fn write_started(&self) -> Result<(), FolderRefused> {
        let file = self.root.join("stores");
        self.write(&file).map_err(|reason| FolderRefused::File { file, reason })
    }

    fn write(&self, file: &Path) -> std::io::Result<()> {
        let fresh = self.root.join("stores.new");
        let mut written = File::create(&fresh)?;
        for placement in &self.started {
            writeln!(written, "{placement}")?;
        }
        written.sync_all()?;
        fs::rename(&fresh, file)?;
        File::open(&self.root)?.sync_all()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_was_started_and_is_gone_is_refused_by_name() {
        let root = tempfile::tempdir().unwrap();
        let mut folder = DataFolder::open(root.path()).unwrap();
        let store = folder.store("global").unwrap();
        fs::create_dir(&store).unwrap();
        fs::write(store.join("CURRENT"), "").unwrap();
        folder.note_started("global").unwrap();
        drop(folder);

        let folder = DataFolder::open(root.path()).unwrap();
        folder.store("global").unwrap();
        folder.store("eu").unwrap();
        fs::remove_dir_all(&store).unwrap();
        let refused = folder.store("global").unwrap_err().to_string();
        assert!(refused.contains("placement global"), "{refused}");
    }

    #[test]
    fn a_store_that_is_removed_is_gone_and_missed_by_nobody() {
        let root = tempfile::tempdir().unwrap();
        let mut folder = DataFolder::open(root.path()).unwrap();
        for placement in ["eu", "global"] {
            let store = folder.store(placement).unwrap();
            fs::create_dir(&store).unwrap();
            fs::write(store.join("CURRENT"), "").unwrap();
            folder.note_started(placement).unwrap();
        }
        // An earlier call was cut short before and after it had moved the store out of the way.
        fs::create_dir(root.path().join("eu.removed")).unwrap();
        fs::write(root.path().join("eu.audit.jsonl"), "").unwrap();
        fs::write(root.path().join("eu.removed/CURRENT"), "").unwrap();
        folder.remove("eu").unwrap();
        folder.remove("eu").unwrap();
        drop(folder);

        let folder = DataFolder::open(root.path()).unwrap();
        assert!(!folder.holds("eu") && !folder.was_started("eu"));
        assert!(folder.holds("global") && folder.was_started("global"));
        folder.store("eu").unwrap();
        let left = fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let left: BTreeSet<_> = left.map(|name| name.into_string().unwrap()).collect();
        assert_eq!(left, ["global", "lock", "stores"].map(str::to_owned).into());
    }
}
