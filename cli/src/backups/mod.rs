//! `archipelago admin backup` and what goes with it: backups of a region's placements in S3, listed, verified and fetched (decision 0028).
//!
//! | command | file |
//! | --- | --- |
//! | `admin backup` makes one, and removes those that are too old | `make.rs`, with a checkpoint from `checkpoint.rs` |
//! | `admin backups` lists them | `list.rs` |
//! | `admin verify-backup`, `admin fetch-backup` read one back | `fetch.rs` |
//! | `admin backup-key` makes the key of a placement that has none | `key.rs` |
//!
//! What must always hold: where bytes go is said by the cluster file alone; a command that is told to end, or fails, leaves neither a checkpoint nor a folder behind; no key is printed.

mod checkpoint;
mod fetch;
mod key;
mod list;
mod make;

pub(crate) use fetch::{Fetch, Verify};
pub(crate) use key::Key;
pub(crate) use list::List;
pub(crate) use make::Make;

use crate::cluster_folder::ClusterFolder;
use crate::failure::Failure;
use backup::bucket::Bucket;
use backup::manifest::NotAManifest;
use backup::{BackupError, BackupKey, Backups, Progress};
use indicatif::{ProgressBar, ProgressStyle};
use region::backup_place::BackupPlace;
use region::cluster::ClusterPlacement;
use std::future::Future;
use std::time::Duration;
use time::OffsetDateTime;
use tokio::signal::unix::{SignalKind, signal};

/// A placement's bucket and key, before anything is asked of a server.
#[derive(Debug)]
struct Sealed {
    place: BackupPlace,
    key: BackupKey,
    placement: String,
}

impl Sealed {
    /// Those of a placement.
    ///
    /// # Errors
    /// When the cluster file says no bucket for it, or the folder has no key.
    fn of(folder: &ClusterFolder, placement: &ClusterPlacement) -> Result<Self, Failure> {
        let name = &placement.name;
        let place = placement.backup.clone().ok_or_else(|| {
            Failure::Argument(format!(
                "no backup stands for placement {name} in the cluster file: add `backup = \"s3://BUCKET/PREFIX\"` to its [[placement]], with a bucket that lies where the placement's bytes may lie"
            ))
        })?;
        let key = BackupKey::new(&folder.backup_secret(placement)?);
        Ok(Self { place, key, placement: name.clone() })
    }

    async fn bucket(&self) -> Result<Bucket, Failure> {
        Bucket::open(&self.place).await.map_err(failure)
    }

    /// A region's backups in it.
    fn backups(&self, bucket: &Bucket, region: &str) -> Backups {
        Backups::new(bucket.clone(), &self.place, &self.placement, region, self.key.clone())
    }
}

/// Runs what a command does until it is done, or the command is told to end. What it had made for the while is removed either way.
pub(crate) fn run<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime =
        runtime.map_err(|error| Failure::Stopped(format!("the system gives no threads: {error}")))?;
    let done = runtime.block_on(async {
        let unheard = |error| Failure::Stopped(format!("signals cannot be heard: {error}"));
        let mut terminate = signal(SignalKind::terminate()).map_err(unheard)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(unheard)?;
        let told = || Failure::Stopped("told to end before it was done".to_owned());
        tokio::select! {
            done = work => done,
            _ = terminate.recv() => Err(told()),
            _ = interrupt.recv() => Err(told()),
        }
    });
    // Whatever still reads a file is of no use any more.
    runtime.shutdown_background();
    done
}

/// A bar on a terminal; nothing elsewhere.
pub(crate) fn bar(what: &str) -> ProgressBar {
    let bar = ProgressBar::new(0).with_message(what.to_owned());
    if let Ok(style) = ProgressStyle::with_template("{msg} {bar:30} {bytes} of {total_bytes}, {eta} left") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}

fn tell(bar: &ProgressBar, progress: Progress) {
    match progress {
        Progress::Begins { bytes } => bar.set_length(bytes),
        Progress::Done { bytes } => bar.inc(bytes),
    }
}

fn now_ms() -> i64 {
    // Milliseconds of any time that has a name fit.
    i64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
}

/// Bytes for people.
pub(crate) fn size(bytes: u64) -> String {
    indicatif::HumanBytes(bytes).to_string()
}

fn failure(error: BackupError) -> Failure {
    let said = error.to_string();
    match error {
        BackupError::NoCredentials { .. } | BackupError::NoRegion(_) | BackupError::OtherKey(_) => {
            Failure::Argument(said)
        }
        BackupError::NoBucket(_) | BackupError::NoBackup(_) => Failure::Absent(said),
        BackupError::Refused { .. } | BackupError::Manifest { why: NotAManifest::Later(_), .. } => {
            Failure::Refused(said)
        }
        BackupError::Changed(_) | BackupError::Manifest { why: NotAManifest::Wrong(_), .. } => {
            Failure::Degraded(said)
        }
        BackupError::TimedOut { .. } => Failure::Timeout(said),
        BackupError::File { path, verb, reason } => Failure::Disk { path, verb, reason },
        BackupError::Failed { .. }
        | BackupError::TooMany { .. }
        | BackupError::TooLarge { .. }
        | BackupError::Strange(_)
        | BackupError::NoTime
        | BackupError::NoThread => Failure::Stopped(said),
    }
}
