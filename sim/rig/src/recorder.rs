//! Writes one history, in the order in which the application did and was told things, to its file.
//!
//! What must always hold: a line is written for what the client said, as it said it, and with the time when it said it; memory stays at one buffer. A disk that
//! fails under a history makes the run worthless, so the failure is kept and reported.

use crate::limits::HISTORY_BUFFER_BYTES;
use sim::history::{Event, Line};
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// One device's history on its way to disk.
#[derive(Debug)]
pub(crate) struct Recorder {
    file: File,
    path: PathBuf,
    buffer: Vec<u8>,
    failure: Option<String>,
}

impl Recorder {
    /// A new history.
    pub(crate) fn create(path: &Path) -> std::io::Result<Self> {
        let (file, path) = (File::create(path)?, path.to_owned());
        Ok(Self { file, path, buffer: vec![], failure: None })
    }

    /// Something happened.
    pub(crate) fn note(&mut self, at_us: u64, event: Event) {
        Line { at_us, event }.write(&mut self.buffer);
        if self.buffer.len() >= HISTORY_BUFFER_BYTES {
            self.flush();
        }
    }

    /// Writes what is gathered.
    pub(crate) fn flush(&mut self) {
        if let Err(error) = self.file.write_all(&self.buffer) {
            self.failure
                .get_or_insert(format!("the history {} could not be written: {error}", self.path.display()));
        }
        self.buffer.clear();
    }

    /// Why it is not whole, if it is not.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }
}
