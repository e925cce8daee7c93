//! Files of a cluster's folder, written once.
//!
//! What must always hold: nothing is ever overwritten, and what is written is on the disk when this returns.

use crate::failure::Failure;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Writes a file that anybody may read.
///
/// # Errors
/// When it is there already, or cannot be written.
pub(crate) fn write_public(path: &Path, text: &str) -> Result<(), Failure> {
    write_with_mode(path, text, 0o644)
}

/// Writes a file that its owner alone may read.
///
/// # Errors
/// When it is there already, or cannot be written.
pub(crate) fn write_secret(path: &Path, text: &str) -> Result<(), Failure> {
    write_with_mode(path, text, 0o600)
}

fn write_with_mode(path: &Path, text: &str, mode: u32) -> Result<(), Failure> {
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .map_err(Failure::write(path))
}
