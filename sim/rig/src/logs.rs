//! Reads logs from disk: `PATH/NAME.raw.txt` and `NAME.annotation.txt` beside it.
//!
//! What must always hold: a file that is missing or malformed is named, with its line, before anything starts.

use crate::limits::LOG_FILE_BYTES_MAX;
use sim::conversation_log::{ConversationLog, LogError};
use std::path::{Path, PathBuf};

const RAW_ENDING: &str = ".raw.txt";

/// Why a log was refused.
#[derive(Debug, thiserror::Error)]
pub enum LogFileError {
    /// Not the name of a log.
    #[error("{}: a log's name ends in {RAW_ENDING}, with NAME.annotation.txt beside it", .0.display())]
    Name(PathBuf),
    /// A file that cannot be read.
    #[error("{}: {reason}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A mistake in a log.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// Reads a log.
///
/// # Errors
/// [`LogFileError`] naming file, and line where there is one.
pub fn read_log(raw: &Path) -> Result<ConversationLog, LogFileError> {
    let name = raw.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(RAW_ENDING));
    let name = name.filter(|name| !name.is_empty()).ok_or_else(|| LogFileError::Name(raw.to_owned()))?;
    let annotation = raw.with_file_name(format!("{name}.annotation.txt"));
    let (raw_text, annotation_text) = (read(raw)?, read(&annotation)?);
    let (raw, annotation) = (raw.display().to_string(), annotation.display().to_string());
    Ok(ConversationLog::parse(name, &raw, &raw_text, &annotation, &annotation_text)?)
}

fn read(path: &Path) -> Result<String, LogFileError> {
    let refuse = |reason: String| LogFileError::File { path: path.to_owned(), reason };
    let length = std::fs::metadata(path).map_err(|error| refuse(error.to_string()))?.len();
    if length > LOG_FILE_BYTES_MAX {
        return Err(refuse(format!(
            "{length} bytes are more than the limit of {LOG_FILE_BYTES_MAX}: cut the log"
        )));
    }
    std::fs::read_to_string(path).map_err(|error| refuse(error.to_string()))
}
