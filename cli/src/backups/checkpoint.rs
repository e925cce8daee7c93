//! A checkpoint of a region's store, whether the region runs or not, for as long as it is needed.
//!
//! What must always hold: one process makes backups of a data folder at a time; a checkpoint is gone when what needed it has ended, and one that a killed process left is gone before the next
//! is made; a store of a region that does not run is open, and its folder locked, only while the checkpoint is made.

use crate::at_rest::not_opened;
use crate::cluster_folder::ClusterFolder;
use crate::failure::Failure;
use crate::operate;
use crate::token;
use backup::manifest::About;
use region::cluster::{ClusterPlacement, ClusterRegion};
use region_rocks::checkpoints::{self, FolderIdentity, Purpose};
use region_rocks::lock::{BackupLock, LockRefused};
use region_rocks::stopped::{Stopped, StoppedRefused};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a region may take to make one: it writes what it has in memory, 64 MiB at most, and links files.
const TIMEOUT: Duration = Duration::from_secs(120);

/// The right to make checkpoints in a data folder.
#[derive(Debug)]
pub(super) struct Checkpoints {
    data: PathBuf,
    /// What the region is asked with, if it runs; without it one is made.
    operator_token: Option<String>,
    _lock: BackupLock,
}

/// One checkpoint, removed when it is dropped.
#[derive(Debug)]
pub(super) struct Made<'a> {
    of: &'a Checkpoints,
    pub(super) folder: PathBuf,
    pub(super) about: About,
    pub(super) took_us: u64,
}

/// What a region answers.
#[derive(Debug, Deserialize)]
struct Answer {
    incarnation: String,
    format: u64,
    took_us: u64,
}

impl Checkpoints {
    /// Takes the right, and removes what a process left that was killed.
    pub(super) fn of(data: &Path, operator_token: Option<&str>) -> Result<Self, Failure> {
        if !data.is_dir() {
            return Err(Failure::NoFile {
                path: data.to_owned(),
                advice: "name the data folder that the region was started with",
            });
        }
        let lock = BackupLock::acquire(data).map_err(|refused| {
            let said = refused.to_string();
            match refused {
                LockRefused::BackedUp { .. } | LockRefused::Held { .. } | LockRefused::Joins { .. } => {
                    Failure::Refused(said)
                }
                LockRefused::Failed { .. } => Failure::Stopped(said),
            }
        })?;
        checkpoints::remove_all(data).map_err(Failure::write(data))?;
        Ok(Self { data: data.to_owned(), operator_token: operator_token.map(str::to_owned), _lock: lock })
    }

    /// Makes one of a placement's store.
    pub(super) fn make(
        &self,
        cluster: &ClusterFolder,
        region: &ClusterRegion,
        placement: &ClusterPlacement,
        taken_at_ms: i64,
    ) -> Result<Made<'_>, Failure> {
        let folder = checkpoints::folder(&self.data, Purpose::Backup, &placement.name);
        let about = About { incarnation: 0, format: 0, taken_at_ms };
        // From here on it is removed, also if making it fails halfway.
        let mut made = Made { of: self, folder, about, took_us: 0 };
        let (incarnation, format, took_us) = match Stopped::open(&self.data, &cluster.cluster, region.id) {
            Ok(stopped) => of_stopped(&self.data, &stopped, placement)?,
            Err(refused) if refused.is_in_use() => self.of_running(cluster, region, placement, &refused)?,
            Err(refused) => return Err(not_opened(refused)),
        };
        (made.about.incarnation, made.about.format, made.took_us) = (incarnation, format, took_us);
        Ok(made)
    }

    /// Asks the region, which has the folder.
    fn of_running(
        &self,
        cluster: &ClusterFolder,
        region: &ClusterRegion,
        placement: &ClusterPlacement,
        in_use: &StoppedRefused,
    ) -> Result<(u64, u64, u64), Failure> {
        let FolderIdentity { device, inode } =
            FolderIdentity::of(&self.data).map_err(Failure::read(&self.data))?;
        let token = match &self.operator_token {
            Some(token) => token.clone(),
            None => token::for_operator(cluster, 1)?,
        };
        let asked = operate::Region::new(cluster.clone(), region.clone(), token, TIMEOUT);
        let path = format!("/v1/checkpoint?placement={}&device={device}&inode={inode}", placement.name);
        let answer = asked.post(&path).map_err(|failure| match failure {
            Failure::Stopped(said) => Failure::Stopped(format!("{in_use}; and {said}")),
            other => other,
        })?;
        let not_understood = |what: &dyn std::fmt::Display| {
            Failure::Stopped(format!("region {}: its answer is not understood: {what}", region.name))
        };
        let answer: Answer = serde_json::from_str(&answer).map_err(|error| not_understood(&error))?;
        let incarnation = u64::from_str_radix(&answer.incarnation, 16);
        let incarnation = incarnation.map_err(|error| not_understood(&error))?;
        Ok((incarnation, answer.format, answer.took_us))
    }
}

fn of_stopped(
    data: &Path,
    stopped: &Stopped,
    placement: &ClusterPlacement,
) -> Result<(u64, u64, u64), Failure> {
    let store = stopped.stores.iter().find(|store| store.placement == placement.id);
    // The caller asks for the placements of the region alone.
    let store = store.ok_or_else(|| Failure::Stopped(format!("there is no store of {}", placement.name)))?;
    let made = checkpoints::make(data, Purpose::Backup, &placement.name, &store.store.reader());
    let made = made.map_err(crate::at_rest::unreadable)?;
    Ok((made.incarnation, made.format, u64::try_from(made.took.as_micros()).unwrap_or(u64::MAX)))
}

impl Drop for Made<'_> {
    fn drop(&mut self) {
        if let Err(error) = checkpoints::remove_all(&self.of.data) {
            let folder = self.folder.display();
            eprintln!(
                "archipelago: the checkpoint {folder} could not be removed ({error}): the next backup removes it, or the region's next start"
            );
        }
    }
}
