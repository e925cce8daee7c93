//! `archipelago admin backups`: which backups there are of a placement, of all its regions.
//!
//! What must always hold: one that cannot be read is listed as such, by name, and the exit code tells.

use super::{Sealed, failure, run, size};
use crate::cluster_folder::ClusterFolder;
use crate::failure::Failure;
use backup::names::BackupId;
use backup::{BackupError, Backups};
use clap::Args;
use serde_json::{Value, json};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  archipelago admin backups --cluster demo --placement global
  archipelago admin backups --cluster demo --placement global --json
";

/// Which backups.
#[derive(Debug, Args)]
pub(super) struct Which {
    /// The cluster's folder or file
    #[arg(long)]
    pub(super) cluster: PathBuf,
    /// The placement, by name
    #[arg(long)]
    pub(super) placement: String,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Lists the backups of a placement.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct List {
    #[command(flatten)]
    which: Which,
}

impl List {
    /// Prints them, the oldest of a region first.
    ///
    /// # Errors
    /// [`Failure::Degraded`] when one cannot be read; when the bucket cannot be.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let folder = ClusterFolder::open(&self.which.cluster)?;
        let sealed = Sealed::of(&folder, folder.placement(&self.which.placement)?)?;
        let (mut rows, mut text, mut unreadable) = (Vec::new(), String::new(), 0);
        run(async {
            for (backups, region, id) in all(&folder, &sealed).await? {
                match backups.manifest(&id).await {
                    Ok(manifest) => {
                        text += &format!(
                            "{id}  {}  {region} {}  {} files, {}\n",
                            id.time(),
                            manifest.incarnation,
                            manifest.files.len(),
                            size(manifest.bytes())
                        );
                        rows.push(json!({
                            "backup": id.to_string(), "time": id.time(), "time_ms": id.taken_at_ms(), "region": region,
                            "incarnation": manifest.incarnation, "format": manifest.format,
                            "files": manifest.files.len(), "bytes": manifest.bytes(),
                        }));
                    }
                    Err(
                        error @ (BackupError::OtherKey(_)
                        | BackupError::Changed(_)
                        | BackupError::Manifest { .. }),
                    ) => {
                        unreadable += 1;
                        text += &format!("{id}  {}  {region} UNREADABLE  {error}\n", id.time());
                        rows.push(json!({
                            "backup": id.to_string(), "time": id.time(), "time_ms": id.taken_at_ms(), "region": region,
                            "unreadable": error.to_string(),
                        }));
                    }
                    Err(error) => return Err(failure(error)),
                }
            }
            Ok(())
        })?;
        if self.which.json {
            let listed: Value = json!({ "placement": self.which.placement, "backups": rows });
            println!("{listed}");
        } else {
            print!("{text}");
        }
        match unreadable {
            0 => Ok(()),
            _ => Err(Failure::Degraded(format!("{unreadable} backups cannot be read"))),
        }
    }
}

/// All backups of a placement, by region and time; also those of a region that has left it.
pub(super) async fn all(
    folder: &ClusterFolder,
    sealed: &Sealed,
) -> Result<Vec<(Backups, String, BackupId)>, Failure> {
    let bucket = sealed.bucket().await?;
    let mut found = Vec::new();
    for region in folder.cluster.regions.values() {
        let backups = sealed.backups(&bucket, &region.name);
        let listed = backups.list().await.map_err(failure)?;
        found.extend(listed.into_iter().map(|id| (backups.clone(), region.name.clone(), id)));
    }
    Ok(found)
}
