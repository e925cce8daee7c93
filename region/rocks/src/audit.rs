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
use std::io::{self, Write as _};
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
        let mut file = OpenOptions::new().create(true).append(true).open(&newer)?;
        // One write: a crash leaves a line or a part of the last one.
        file.write_all(format!("{line}\n").as_bytes())?;
        file.sync_data()?;
        if is_new {
            File::open(&self.data)?.sync_all()?;
        }
        Ok(())
    }
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
    fn no_number_is_given_twice_though_the_present_stands_still() {
        let audit = Audit::new(PathBuf::new());
        assert_eq!([7, 7, 3, 20].map(|now| audit.number(now)), [7, 8, 9, 20]);
    }
}
