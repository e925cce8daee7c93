//! The audit record of a placement: what operators asked a region for there, a line each, in a file of its own beside the placement's store.
//!
//! ```text
//! DATA/PLACEMENT.audit.jsonl      the newest lines
//! DATA/PLACEMENT.audit.1.jsonl    those before them
//! ```
//! It names users and conversations of the placement, so it lies where that may lie, and goes with the store when the region leaves the placement.
//!
//! What must always hold: a line is on stable storage when [`Audit::record`] returns; lines are never changed. Bounded: two files of [`AUDIT_BYTES_MAX`]; when the newer one is full the older one goes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Bytes of one file: some ten thousand acts.
pub const AUDIT_BYTES_MAX: u64 = 8 << 20;

/// Writes the audit records of a region.
#[derive(Debug)]
pub struct Audit {
    data: PathBuf,
    bytes_max: u64,
    /// The last number that was given.
    last: AtomicU64,
    /// Held while a line is written.
    alone: Mutex<()>,
}

/// The files of a placement's record, the newer one first.
#[must_use]
pub fn files(data: &Path, placement: &str) -> [PathBuf; 2] {
    names(placement).map(|name| data.join(name))
}

/// What they are called.
#[must_use]
pub fn names(placement: &str) -> [String; 2] {
    [format!("{placement}.audit.jsonl"), format!("{placement}.audit.1.jsonl")]
}

impl Audit {
    pub(crate) const fn new(data: PathBuf) -> Self {
        Self { data, bytes_max: AUDIT_BYTES_MAX, last: AtomicU64::new(0), alone: Mutex::new(()) }
    }

    /// A number that no earlier line of this region has, and which grows with the present.
    #[must_use]
    pub fn number(&self, now_us: u64) -> u64 {
        let next = |last: u64| now_us.max(last.saturating_add(1));
        next(
            self.last
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last)))
                .unwrap_or_else(|last| last),
        )
    }

    /// Writes a line, without its end. Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn record(&self, placement: &str, line: &str) -> io::Result<()> {
        // Whoever held it and panicked has written a line or a part of one.
        let _alone = self.alone.lock().unwrap_or_else(PoisonError::into_inner);
        let [newer, older] = files(&self.data, placement);
        let is_new = match newer.metadata() {
            Ok(found) if found.len() >= self.bytes_max => {
                fs::rename(&newer, &older)?;
                true
            }
            Ok(_) => false,
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Err(error) => return Err(error),
        };
        let mut file = OpenOptions::new().create(true).read(true).append(true).open(&newer)?;
        // A crash, or a disk that was full, may have left a part of the last one.
        let ends_amid = !is_new && !ends_a_line(&mut file)?;
        let begin = if ends_amid { "\n" } else { "" };
        file.write_all(format!("{begin}{line}\n").as_bytes())?;
        file.sync_data()?;
        if is_new {
            File::open(&self.data)?.sync_all()?;
        }
        Ok(())
    }
}

/// Whether a file is empty or ends with the end of a line.
fn ends_a_line(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn lines_follow_each_other_over_two_files_and_the_oldest_go() {
        let data = tempfile::tempdir().unwrap();
        let audit = Audit { bytes_max: 12, ..Audit::new(data.path().to_owned()) };
        let read = || files(data.path(), "eu").map(|file| fs::read_to_string(file).unwrap_or_default());
        for line in ["first", "second"] {
            audit.record("eu", line).unwrap();
        }
        assert_eq!(read(), ["first\nsecond\n", ""]);
        for line in ["third", "fourth!", "fifth"] {
            audit.record("eu", line).unwrap();
        }
        assert_eq!(read(), ["fifth\n", "third\nfourth!\n"]);
        assert!(audit.record("no/such", "line").is_err());
    }

    #[test]
    fn what_a_crash_left_of_a_line_spoils_none_that_follows() {
        let data = tempfile::tempdir().unwrap();
        let [newer, _] = files(data.path(), "eu");
        fs::write(&newer, "first\nsec").unwrap();
        let audit = Audit::new(data.path().to_owned());
        audit.record("eu", "third").unwrap();
        audit.record("eu", "fourth").unwrap();
        assert_eq!(fs::read_to_string(&newer).unwrap(), "first\nsec\nthird\nfourth\n");
        fs::write(&newer, "").unwrap();
        audit.record("eu", "fifth").unwrap();
        assert_eq!(fs::read_to_string(&newer).unwrap(), "fifth\n");
    }

    #[test]
    fn no_number_is_given_twice_though_the_present_stands_still() {
        let audit = Audit::new(PathBuf::new());
        assert_eq!([7, 7, 3, 20].map(|now| audit.number(now)), [7, 8, 9, 20]);
    }
}
