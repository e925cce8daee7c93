//! What can go wrong between a folder and a bucket, in words for the person who asked.
//!
//! What must always hold: every error says what was not done, to what, and what to do; none holds a key, a credential or a byte of what was stored.

use crate::manifest::NotAManifest;
use std::path::PathBuf;

/// Why a backup was not made, read or removed.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The environment has no credentials.
    #[error(
        "there are no credentials for bucket {bucket} ({reason}): set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
    )]
    NoCredentials {
        /// For which bucket.
        bucket: String,
        /// Where they were looked for.
        reason: String,
    },
    /// Nobody says in which S3 region the bucket is.
    #[error(
        "nothing says in which S3 region bucket {0} is: add `backup_region` to the placement in the cluster file, or set AWS_REGION"
    )]
    NoRegion(String),
    /// There is no such bucket.
    #[error("there is no bucket {0}: make it, or correct `backup` in the cluster file")]
    NoBucket(String),
    /// The server understood and refused.
    #[error(
        "the S3 server refuses to have {object} {verb} ({code}): check the credentials, and what they may do in that bucket"
    )]
    Refused {
        /// What was asked for.
        object: String,
        /// `read`, `written` …
        verb: &'static str,
        /// What the server says.
        code: String,
    },
    /// It did not answer in time, however often it was asked.
    #[error("{object} could not be {verb}: the S3 server did not answer in time; try again later")]
    TimedOut {
        /// What was asked for.
        object: String,
        /// `read`, `written` …
        verb: &'static str,
    },
    /// It cannot be reached, or answers what nobody understands.
    #[error(
        "{object} could not be {verb}: {reason}; check that the S3 server runs and can be reached from here, then try again"
    )]
    Failed {
        /// What was asked for.
        object: String,
        /// `read`, `written` …
        verb: &'static str,
        /// What the client says.
        reason: String,
    },
    /// A bucket that holds more than can be looked through.
    #[error(
        "there are more than {most} objects below {object}: remove what is of no use there, or give the placement another prefix"
    )]
    TooMany {
        /// What their names begin with.
        object: String,
        /// The limit.
        most: usize,
    },
    /// A store that is too large for one manifest.
    #[error(
        "the store's manifest has {bytes} bytes, of at most {most}: the store is larger than this release can back up"
    )]
    TooLarge {
        /// The manifest's size.
        bytes: usize,
        /// The limit.
        most: usize,
    },
    /// An object that another key sealed.
    #[error(
        "{0} was sealed with another key than the placement's: put the key back that it was made with, without which it is noise"
    )]
    OtherKey(String),
    /// A manifest that is not what was uploaded.
    #[error("{0} is not what was uploaded: that backup is lost; take another one")]
    Changed(String),
    /// A manifest that this release does not read.
    #[error("{object}: {why}")]
    Manifest {
        /// Which.
        object: String,
        /// Why.
        why: NotAManifest,
    },
    /// There is no such backup.
    #[error("there is no {0}: `archipelago admin backups` lists those there are")]
    NoBackup(String),
    /// A file cannot be read or written.
    #[error("{} could not be {verb}: {reason}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// `read`, `written` …
        verb: &'static str,
        /// What the system says.
        reason: std::io::Error,
    },
    /// Something in a checkpoint that no store has.
    #[error("{} is no file of a store: nothing was backed up", .0.display())]
    Strange(PathBuf),
    /// A clock that no backup can be named by.
    #[error("the clock of this machine says what no backup can be named by: set it")]
    NoTime,
    /// The process has no threads any more.
    #[error("the system has no thread left for reading files")]
    NoThread,
}

impl BackupError {
    pub(crate) fn read(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        |reason| Self::File { path, verb: "read", reason }
    }

    pub(crate) fn write(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        |reason| Self::File { path, verb: "written", reason }
    }
}
