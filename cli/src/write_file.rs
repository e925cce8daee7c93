//! Files of a cluster's folder: written once, or replaced whole where that is what was asked for.
//!
//! What must always hold: nothing is overwritten unasked, a file that is replaced is never half the new one, and what is written is on the disk when this returns.

use crate::failure::Failure;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

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

/// Puts a file that anybody may read in the place of the one that is there.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn replace_public(path: &Path, text: &str) -> Result<(), Failure> {
    replace_with_mode(path, text, 0o644)
}

/// Puts a file that its owner alone may read in the place of the one that is there.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn replace_secret(path: &Path, text: &str) -> Result<(), Failure> {
    replace_with_mode(path, text, 0o600)
}

fn replace_with_mode(path: &Path, text: &str, mode: u32) -> Result<(), Failure> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".unfinished-{}", std::process::id()));
    let beside = PathBuf::from(beside);
    let replaced = write_with_mode(&beside, text, mode)
        .and_then(|()| std::fs::rename(&beside, path).map_err(Failure::write(path)));
    if replaced.is_err() {
        // The first failure is what matters; a file that cannot be removed says so itself by its name.
        let _ = std::fs::remove_file(&beside);
    }
    replaced
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
