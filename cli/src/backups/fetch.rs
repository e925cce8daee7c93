//! `archipelago admin verify-backup` and `archipelago admin fetch-backup`: a backup is read back, and looked at or kept.
//!
//! What must always hold: a folder is there whole or not at all; what a verification fetched is gone afterwards; a backup is called sound only if every chunk of it came back as it was sent and
//! every record of the store is what its log says.

use super::list::{Which, all};
use super::{Sealed, bar, failure, run, size, tell};
use crate::at_rest::{DAMAGED_MAX, named, not_opened, unreadable};
use crate::cluster_folder::ClusterFolder;
use crate::failure::Failure;
use crate::init::refuse_occupied;
use backup::names::BackupId;
use backup::{Backups, Fetched};
use clap::Args;
use region::verify::{Verified, verify};
use region_rocks::stopped::StoppedStore;
use serde_json::json;
use std::path::{Path, PathBuf};

const VERIFY_EXAMPLES: &str = "\
Examples:
  archipelago admin verify-backup --cluster demo --placement global
  archipelago admin verify-backup --cluster demo --placement global --region west --backup 20261130T034359123Z-1a2b3c4d --json

It needs as much room as the store in the folder of temporary files (TMPDIR), until it has ended.
";

const FETCH_EXAMPLES: &str = "\
Examples:
  archipelago admin fetch-backup --cluster demo --placement global --region west --into fetched
  archipelago admin fetch-backup --cluster demo --placement global --region west --backup 20261130T034359123Z-1a2b3c4d --into fetched

The store lies in fetched/global then, as in a data folder. It must never be served as it is: what the region issued since then, it would
issue again as something else. A store that was restored returns as a new incarnation (docs/operations/a-region-is-lost.md).
";

/// Reads a backup back and verifies the store in it.
#[derive(Debug, Args)]
#[command(before_help = VERIFY_EXAMPLES)]
pub(crate) struct Verify {
    #[command(flatten)]
    which: Which,
    /// The region whose backup it is; without it, that of the newest, or of the named backup
    #[arg(long)]
    region: Option<String>,
    /// The backup, as `admin backups` lists it; the newest if none is named
    #[arg(long)]
    backup: Option<BackupId>,
}

/// Fetches the files of a backup into a new folder.
#[derive(Debug, Args)]
#[command(before_help = FETCH_EXAMPLES)]
pub(crate) struct Fetch {
    #[command(flatten)]
    which: Which,
    /// The region whose backup it is
    #[arg(long)]
    region: String,
    /// The backup, as `admin backups` lists it; the newest if none is named
    #[arg(long)]
    backup: Option<BackupId>,
    /// The folder to write; it must not exist, or be empty
    #[arg(long)]
    into: PathBuf,
}

/// A folder that is removed again unless it is kept.
struct Unfinished {
    path: PathBuf,
    kept: bool,
}

impl Verify {
    /// Verifies it, and prints what it found.
    ///
    /// # Errors
    /// [`Failure::Degraded`] when an object or a record is damaged; when there is no such backup, or it cannot be read.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let folder = ClusterFolder::open(&self.which.cluster)?;
        let placement = folder.placement(&self.which.placement)?.clone();
        let sealed = Sealed::of(&folder, &placement)?;
        let name = format!("archipelago-verify-backup-{}", std::process::id());
        let unfinished = Unfinished::create(std::env::temp_dir().join(name))?;
        let store = unfinished.store(&placement.name)?;
        let (id, region, fetched, verified) = run(async {
            let (backups, region, id) =
                choose(&folder, &sealed, self.region.as_deref(), self.backup.as_ref()).await?;
            let fetched = fetch(&backups, &id, &store, "reading back").await?;
            if !fetched.damaged.is_empty() {
                return Ok((id, region, fetched, Verified::default()));
            }
            let (cluster, number) = (folder.cluster.clone(), folder.region(&region)?.id);
            let verifying = tokio::task::spawn_blocking(move || {
                let opened =
                    StoppedStore::open_alone(&store, &cluster, number, &placement).map_err(not_opened)?;
                verify(&opened.store, opened.placement, DAMAGED_MAX).map_err(unreadable)
            });
            let broken = |error| Failure::Stopped(format!("verifying broke off: {error}"));
            Ok((id, region, fetched, verifying.await.map_err(broken)??))
        })?;
        drop(unfinished);
        let Fetched { manifest, damaged } = &fetched;
        let mut all_damaged = damaged.clone();
        all_damaged.extend(verified.damaged.iter().map(named));
        let Verified { records, operations, .. } = verified;
        if self.which.json {
            let found = json!({
                "ok": all_damaged.is_empty(), "placement": self.which.placement, "region": region, "backup": id.to_string(),
                "files": manifest.files.len(), "bytes": manifest.bytes(), "records": records, "operations": operations,
                "damaged": all_damaged,
            });
            println!("{found}");
        } else {
            let how = if all_damaged.is_empty() { "sound" } else { "DAMAGED" };
            println!(
                "{id} of {region}: {} files, {}, {records} records, {operations} operations, {how}",
                manifest.files.len(),
                size(manifest.bytes())
            );
            all_damaged.iter().for_each(|damage| println!("  {damage}"));
        }
        match (damaged.len(), all_damaged.len()) {
            (_, 0) => Ok(()),
            (0, records) => Err(Failure::Degraded(format!(
                "{records} records were damaged when the backup was made: verify the region's own store (docs/operations/a-store-is-damaged.md)"
            ))),
            (objects, _) => Err(damaged_objects(&id, objects)),
        }
    }
}

impl Fetch {
    /// Fetches it, and prints the folder.
    ///
    /// # Errors
    /// [`Failure::Degraded`] when an object is damaged; when there is no such backup, the folder is taken, or something cannot be read or written.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let folder = ClusterFolder::open(&self.which.cluster)?;
        let placement = folder.placement(&self.which.placement)?;
        let sealed = Sealed::of(&folder, placement)?;
        refuse_occupied(&self.into)?;
        let mut beside = self.into.as_os_str().to_owned();
        beside.push(format!(".unfinished-{}", std::process::id()));
        let unfinished = Unfinished::create(PathBuf::from(beside))?;
        let store = unfinished.store(&placement.name)?;
        let (id, fetched) = run(async {
            let (backups, _, id) = choose(&folder, &sealed, Some(&self.region), self.backup.as_ref()).await?;
            let fetched = fetch(&backups, &id, &store, "fetching").await?;
            Ok((id, fetched))
        })?;
        let Fetched { manifest, damaged } = fetched;
        if !damaged.is_empty() {
            damaged.iter().for_each(|damage| eprintln!("  {damage}"));
            return Err(damaged_objects(&id, damaged.len()));
        }
        unfinished.keep(&self.into)?;
        let into = self.into.join(&placement.name);
        if self.which.json {
            let found = json!({
                "placement": placement.name, "region": self.region, "backup": id.to_string(), "time": id.time(),
                "incarnation": manifest.incarnation, "format": manifest.format,
                "files": manifest.files.len(), "bytes": manifest.bytes(), "folder": into,
            });
            println!("{found}");
        } else {
            println!("{}", into.display());
        }
        Ok(())
    }
}

/// The named backup, or the newest of a region, or of all.
async fn choose(
    folder: &ClusterFolder,
    sealed: &Sealed,
    region: Option<&str>,
    id: Option<&BackupId>,
) -> Result<(Backups, String, BackupId), Failure> {
    if let Some(region) = region {
        folder.region(region)?;
    }
    let mut found = all(folder, sealed).await?;
    found
        .retain(|(_, of, found)| region.is_none_or(|region| region == of) && id.is_none_or(|id| id == found));
    found.into_iter().max_by(|(.., one), (.., other)| one.cmp(other)).ok_or_else(|| {
        let what = id.map_or_else(|| "backup".to_owned(), |id| format!("backup {id}"));
        let of = region.map_or_else(String::new, |region| format!(" of region {region}"));
        let placement = &sealed.placement;
        Failure::Absent(format!(
            "there is no {what}{of} in placement {placement}: `archipelago admin backups` lists those there are"
        ))
    })
}

async fn fetch(backups: &Backups, id: &BackupId, into: &Path, what: &str) -> Result<Fetched, Failure> {
    let bar = bar(&format!("{what} {id}"));
    let fetched = backups.fetch(id, into, &|progress| tell(&bar, progress)).await;
    bar.finish_and_clear();
    fetched.map_err(failure)
}

fn damaged_objects(id: &BackupId, objects: usize) -> Failure {
    Failure::Degraded(format!(
        "{objects} objects of backup {id} are damaged: use another one, and take a new one after removing these objects"
    ))
}

impl Unfinished {
    fn create(path: PathBuf) -> Result<Self, Failure> {
        std::fs::create_dir(&path).map_err(Failure::write(&path))?;
        Ok(Self { path, kept: false })
    }

    /// Makes the folder of a placement's store in it.
    fn store(&self, placement: &str) -> Result<PathBuf, Failure> {
        let store = self.path.join(placement);
        std::fs::create_dir(&store).map_err(Failure::write(&store))?;
        Ok(store)
    }

    /// Gives it its name.
    fn keep(mut self, name: &Path) -> Result<(), Failure> {
        std::fs::rename(&self.path, name).map_err(Failure::write(name))?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            eprintln!(
                "archipelago: {} could not be removed ({error}): remove it by hand",
                self.path.display()
            );
        }
    }
}
