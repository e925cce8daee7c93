//! The files of a checkpoint, read chunk by chunk, and those of a fetched store, written so.
//!
//! What must always hold: a file's length is the one that its manifest says, or nothing comes of it; a file is never written over another; what was written is on the disk when it is told so.

use crate::error::BackupError;
use crate::manifest::is_file_name;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

/// A file of a checkpoint.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
}

/// The files of a checkpoint, by name. A folder, a link or a name that no store has is refused.
pub(crate) fn found(folder: &Path) -> Result<Vec<Found>, BackupError> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(BackupError::read(folder))? {
        let entry = entry.map_err(BackupError::read(folder))?;
        let path = entry.path();
        // Of the entry itself: a link is none of a store's files.
        let what = std::fs::symlink_metadata(&path).map_err(BackupError::read(&path))?;
        let name = entry.file_name().into_string().ok().filter(|name| what.is_file() && is_file_name(name));
        let Some(name) = name else { return Err(BackupError::Strange(path)) };
        files.push(Found { name, path, bytes: what.len() });
    }
    files.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(files)
}

/// The next bytes of a file, which has at least so many.
pub(crate) fn read(file: &mut File, path: &Path, bytes: usize) -> Result<Vec<u8>, BackupError> {
    let mut chunk = vec![0; bytes];
    file.read_exact(&mut chunk).map_err(BackupError::read(path))?;
    Ok(chunk)
}

/// A file that is written to its end, and then kept.
#[derive(Debug)]
pub(crate) struct Written {
    file: File,
    path: PathBuf,
}

impl Written {
    /// Makes a file that is not there yet.
    pub(crate) fn create(folder: &Path, name: &str) -> Result<Self, BackupError> {
        let path = folder.join(name);
        let file = OpenOptions::new().write(true).create_new(true).open(&path);
        let file = file.map_err(BackupError::write(&path))?;
        Ok(Self { file, path })
    }

    pub(crate) fn append(&mut self, chunk: &[u8]) -> Result<(), BackupError> {
        self.file.write_all(chunk).map_err(BackupError::write(&self.path))
    }

    pub(crate) fn keep(self) -> Result<(), BackupError> {
        self.file.sync_all().map_err(BackupError::write(&self.path))
    }
}

/// Makes the names in a folder last.
pub(crate) fn keep_folder(folder: &Path) -> Result<(), BackupError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(BackupError::write(folder))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_no_file_of_a_store_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("000009.sst", "nine"), ("CURRENT", "MANIFEST-000005\n")] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let files = found(folder.path()).unwrap();
        let sizes: Vec<_> = files.iter().map(|file| (file.name.as_str(), file.bytes)).collect();
        assert_eq!(sizes, [("000009.sst", 4), ("CURRENT", 16)]);
        let strange = |path: PathBuf| {
            assert!(matches!(found(folder.path()), Err(BackupError::Strange(at)) if at == path));
        };
        let link = folder.path().join("000010.sst");
        std::os::unix::fs::symlink(folder.path().join("000009.sst"), &link).unwrap();
        strange(link.clone());
        std::fs::remove_file(&link).unwrap();
        std::fs::create_dir(&link).unwrap();
        strange(link);
    }

    #[test]
    fn a_file_that_is_shorter_than_it_was_is_told_and_none_is_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("CURRENT");
        std::fs::write(&path, "four").unwrap();
        assert!(read(&mut File::open(&path).unwrap(), &path, 5).is_err());
        assert_eq!(read(&mut File::open(&path).unwrap(), &path, 4).unwrap(), b"four");
        assert!(Written::create(folder.path(), "CURRENT").is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"four");
    }
}
