//! The files of a region's data folder: that each is one of its stores' or of the region itself; and where a text stands in records and in files.
//!
//! What must always hold: a file of which nobody can say what it is, is named; a text is found wherever it begins, also across the pieces in which a file is read, and what
//! was not looked at is not counted. What the search does not see: a text that was changed on its way to the disk (encrypted, or compressed with others), for which the records are read
//! through the engine as well.

use super::LISTED_MAX;
use crate::at_rest::unreadable;
use crate::failure::Failure;
use memchr::memmem::Finder;
use region::store::{Direction, View};
use region_rocks::audit;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// Bytes of a file read at once.
const PIECE_BYTES: usize = 1 << 20;
/// A text to be found has at least so many bytes: shorter ones are found everywhere.
const TEXT_BYTES_MIN: usize = 8;

/// What a region itself writes beside its stores.
const OF_THE_REGION: [&str; 6] =
    ["lock", "stores", "stores.new", "repairs.jsonl", "backup.lock", "join.lock"];

/// The files of a data folder.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Files {
    pub(super) files: u64,
    pub(super) bytes: u64,
    /// What is neither one of its stores' nor the region's own.
    pub(super) strange: Vec<String>,
}

/// Where a text was looked for, and found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Searched {
    pub(super) text: String,
    pub(super) records: u64,
    pub(super) files: u64,
    pub(super) bytes: u64,
    /// How often it was found, each record and each file counted once.
    pub(super) places: u64,
    /// The first of them.
    pub(super) found: Vec<String>,
}

/// A search under way.
pub(super) struct Search {
    finder: Finder<'static>,
    so_far: Searched,
}

/// Looks at every file of a data folder whose stores are those.
pub(super) fn look(
    data: &Path,
    stores: &BTreeSet<String>,
    mut search: Option<&mut Search>,
) -> Result<Files, Failure> {
    let mut found = Files::default();
    for (path, is_folder) in entries(data)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let before = found.files;
        visit(&path, &mut |file, bytes| {
            found.files += 1;
            found.bytes += bytes;
            let is_ours = if is_folder {
                stores.contains(&name) && file.parent() == Some(&path) && is_of_the_engine(file)
            } else {
                OF_THE_REGION.contains(&name.as_str())
                    || stores.iter().any(|store| audit::names(store).contains(&name))
            };
            if !is_ours {
                found.strange.push(file.strip_prefix(data).unwrap_or(file).display().to_string());
            }
            search.as_deref_mut().map_or(Ok(()), |search| search.file(file))
        })?;
        if is_folder && found.files == before && !stores.contains(&name) {
            found.strange.push(format!("{name}/"));
        }
    }
    Ok(found)
}

/// Whether the engine names its files so.
fn is_of_the_engine(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let numbered = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match name.as_ref() {
        "CURRENT" | "IDENTITY" | "LOCK" | "LOG" => true,
        name => {
            let of = |end: &str| name.strip_suffix(end).is_some_and(numbered);
            let begins = |begin: &str| name.strip_prefix(begin).is_some_and(numbered);
            of(".sst")
                || of(".log")
                || of(".dbtmp")
                || begins("MANIFEST-")
                || begins("OPTIONS-")
                || begins("LOG.old.")
        }
    }
}

impl Search {
    pub(super) fn new(text: &str) -> Result<Self, Failure> {
        if text.len() < TEXT_BYTES_MIN {
            return Err(Failure::Argument(format!(
                "the text to be found has {} bytes and needs at least {TEXT_BYTES_MIN}: shorter ones stand everywhere by chance",
                text.len()
            )));
        }
        let finder = Finder::new(text.as_bytes()).into_owned();
        Ok(Self { finder, so_far: Searched { text: text.to_owned(), ..Searched::default() } })
    }

    fn note(&mut self, place: impl FnOnce() -> String) {
        self.so_far.places += 1;
        if self.so_far.found.len() < LISTED_MAX {
            self.so_far.found.push(place());
        }
    }

    /// Looks in every record of a store, as the engine gives it.
    pub(super) fn records(&mut self, placement: &str, store: &impl View) -> Result<(), Failure> {
        let end = [0xff; 8];
        let read = store.scan(&[], &end, Direction::Ascending, &mut |key, value| {
            self.so_far.records += 1;
            self.so_far.bytes += (key.len() + value.len()) as u64;
            if [key, value].iter().any(|bytes| self.finder.find(bytes).is_some()) {
                let key: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
                self.note(|| format!("record {key} of placement {placement}"));
            }
            ControlFlow::Continue(())
        });
        read.map_err(unreadable)
    }

    /// Looks in a file, or in every file of a folder.
    pub(super) fn path(&mut self, path: &Path) -> Result<(), Failure> {
        visit(path, &mut |file, _| self.file(file))
    }

    fn file(&mut self, path: &Path) -> Result<(), Failure> {
        let mut file = File::open(path).map_err(failed(path))?;
        self.so_far.files += 1;
        let overlap = self.finder.needle().len() - 1;
        let (mut piece, mut kept, mut begins_at) = (vec![0; overlap + PIECE_BYTES], 0, 0_u64);
        loop {
            let read = file.read(&mut piece[kept..]).map_err(failed(path))?;
            if read == 0 {
                return Ok(());
            }
            self.so_far.bytes += read as u64;
            let filled = kept + read;
            if let Some(at) = self.finder.find(&piece[..filled]) {
                self.note(|| format!("{} at byte {}", path.display(), begins_at + at as u64));
                return Ok(());
            }
            kept = overlap.min(filled);
            begins_at += (filled - kept) as u64;
            piece.copy_within(filled - kept..filled, 0);
        }
    }

    pub(super) fn end(self) -> Searched {
        self.so_far
    }
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> Failure + '_ {
    |reason| Failure::Disk { path: path.to_owned(), verb: "read", reason }
}

/// Visits a file, or every file below a folder, by name, with its length. Links are followed: a store may lie on another disk.
fn visit(path: &Path, each: &mut dyn FnMut(&Path, u64) -> Result<(), Failure>) -> Result<(), Failure> {
    let what = std::fs::metadata(path).map_err(failed(path))?;
    if !what.is_dir() {
        return each(path, what.len());
    }
    for (path, _) in entries(path)? {
        visit(&path, each)?;
    }
    Ok(())
}

/// What lies in a folder, by name, and whether it is one itself.
fn entries(folder: &Path) -> Result<Vec<(PathBuf, bool)>, Failure> {
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed(folder))? {
        let entry = entry.map_err(failed(folder))?;
        let path = entry.path();
        let is_folder = std::fs::metadata(&path).map_err(failed(&path))?.is_dir();
        entries.push((path, is_folder));
    }
    entries.sort();
    Ok(entries)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use region::store::{Batch, MemoryStore, Store as _};

    fn stores() -> BTreeSet<String> {
        ["global".to_owned()].into()
    }

    #[test]
    fn what_is_neither_a_stores_file_nor_the_regions_own_is_named() {
        let data = tempfile::tempdir().unwrap();
        let write = |name: &str| {
            let path = data.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, b"four").unwrap();
        };
        let ours = [
            "lock",
            "stores",
            "join.lock",
            "global/000007.sst",
            "global/000009.log",
            "global/MANIFEST-000001",
            "global/CURRENT",
            "global/LOG.old.17",
            "global.audit.jsonl",
            "global.audit.1.jsonl",
        ];
        ours.iter().for_each(|name| write(name));
        let found = look(data.path(), &stores(), None).unwrap();
        assert_eq!(found, Files { files: 10, bytes: 40, strange: vec![] });
        let strange = [
            "core.1234",
            "eu.audit.jsonl",
            "eu/000001.sst",
            "global/dump.txt",
            "global/old/000001.sst",
            "global/x.sst",
        ];
        strange.iter().for_each(|name| write(name));
        std::fs::create_dir(data.path().join("emptied")).unwrap();
        std::fs::rename(data.path().join("global"), data.path().join("elsewhere")).unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        std::fs::rename(data.path().join("elsewhere"), elsewhere.path().join("global")).unwrap();
        std::os::unix::fs::symlink(elsewhere.path().join("global"), data.path().join("global")).unwrap();
        let mut expected: Vec<String> = strange.iter().map(|name| (*name).to_owned()).collect();
        expected.push("emptied/".to_owned());
        expected.sort();
        let mut found = look(data.path(), &stores(), None).unwrap().strange;
        found.sort();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_text_is_found_in_records_and_in_files_wherever_a_piece_ends() {
        let folder = tempfile::tempdir().unwrap();
        for begins in [0, 1, PIECE_BYTES - 20, PIECE_BYTES - 7, PIECE_BYTES, PIECE_BYTES + 3] {
            let mut bytes = vec![b'.'; begins];
            bytes.extend(b"the canary");
            bytes.extend(vec![b'.'; 100]);
            std::fs::write(folder.path().join(format!("{begins:09}")), bytes).unwrap();
        }
        std::fs::write(folder.path().join("without"), vec![b'.'; 3 * PIECE_BYTES]).unwrap();
        let mut store = MemoryStore::new();
        let mut batch = Batch::default();
        batch.put(&[0, 1, 1][..], b"here sings the canary, here".to_vec().into());
        batch.put(&[0, 1, 2][..], b"here not".to_vec().into());
        store.commit(&batch).unwrap();
        let mut search = Search::new("the canary").unwrap();
        search.path(folder.path()).unwrap();
        search.records("global", &store).unwrap();
        let searched = search.end();
        let expected: Vec<String> = [0, 1, PIECE_BYTES - 20, PIECE_BYTES - 7, PIECE_BYTES, PIECE_BYTES + 3]
            .iter()
            .map(|begins| {
                format!("{} at byte {begins}", folder.path().join(format!("{begins:09}")).display())
            })
            .chain(["record 000101 of placement global".to_owned()])
            .collect();
        assert_eq!(searched.found, expected);
        assert_eq!((searched.places, searched.files, searched.records), (7, 7, 2));
        assert!(Search::new("short").is_err());
    }
}
