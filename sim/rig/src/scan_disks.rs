//! Feeds every file of a region's data folder to the scanner.
//!
//! A region that runs moves its files about: one that is gone before it is read is passed over, and the look after the stop finds
//! whatever it became.

use crate::limits::SCAN_PIECE_BYTES;
use sim::scan::Scanner;
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::Path;

/// Feeds all files under `folder`, by name.
///
/// # Errors
/// A sentence, when a file that is there cannot be read.
pub(crate) fn scan_folder(scanner: &mut Scanner, folder: &Path) -> Result<(), String> {
    let said =
        |path: &Path, error: &std::io::Error| format!("{} could not be looked at: {error}", path.display());
    let mut entries = vec![];
    for entry in std::fs::read_dir(folder).map_err(|error| said(folder, &error))? {
        entries.push(entry.map_err(|error| said(folder, &error))?.path());
    }
    entries.sort();
    for path in entries {
        if path.is_dir() {
            scan_folder(scanner, &path)?;
            continue;
        }
        match scan_file(scanner, &path) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(said(&path, &error)),
        }
    }
    Ok(())
}

fn scan_file(scanner: &mut Scanner, path: &Path) -> std::io::Result<()> {
    let mut file = File::open(path)?;
    scanner.begin_file(&path.display().to_string());
    let mut piece = vec![0; SCAN_PIECE_BYTES];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(()),
            length => scanner.feed(&piece[..length]),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crdt::{ConversationId, PlacementId};

    #[test]
    fn every_file_below_is_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("global")).unwrap();
        std::fs::write(folder.path().join("global/000007.sst"), b"...pinned-77...").unwrap();
        std::fs::write(folder.path().join("lock"), b"1234").unwrap();
        let conversation = ConversationId::group(PlacementId(2), 1);
        let mut scanner = Scanner::new(&[(conversation, b"pinned-77".to_vec())]);
        scan_folder(&mut scanner, folder.path()).unwrap();
        let (bytes, found) = scanner.finish();
        assert_eq!((bytes, found.len()), (19, 1));
        assert!(found[0].file.ends_with("global/000007.sst") && found[0].offset == 3);
    }
}
