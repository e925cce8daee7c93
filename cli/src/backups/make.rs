//! `archipelago admin backup`: a backup of each placement of a region, and the end of those that are too old.
//!
//! What must always hold: a placement that nobody said a bucket or a key for is told before anything is made; one placement whose bucket fails keeps no other one from its backup; what is
//! too old is removed only behind a backup that stands.

use super::checkpoint::Checkpoints;
use super::{Sealed, bar, failure, now_ms, run, size, tell};
use crate::cluster_folder::ClusterFolder;
use crate::failure::Failure;
use backup::{Expired, Uploaded};
use clap::Args;
use region::cluster::{ClusterPlacement, ClusterRegion};
use serde_json::{Value, json};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  archipelago admin backup --cluster demo --region west --data data/west
  archipelago admin backup --cluster demo --region west --data data/west --placement global --keep-days 7 --json

It runs beside the region, on its machine, or without it when the region has ended. The bucket of a placement stands in the cluster file
(`backup`, `backup_endpoint`, `backup_region`), its key in keys/backup-PLACEMENT.hex: a backup without its key is noise.
Credentials come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or the machine's role.
";

/// Makes a backup of a region's placements.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Make {
    /// The cluster's folder or file
    #[arg(long)]
    cluster: PathBuf,
    /// The region, whether it runs or not
    #[arg(long)]
    region: String,
    /// Its data folder
    #[arg(long)]
    data: PathBuf,
    /// A placement, by name; may be repeated. Without it, all of the region's
    #[arg(long)]
    placement: Vec<String>,
    /// Remove the region's backups that are older, but never the newest. A text that is deleted lives in backups for so long
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(0..=3650))]
    keep_days: u32,
    /// An operator's token, for a region that runs; without it one is made with the cluster's token key
    #[arg(long)]
    operator_token: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A placement's backup that was made.
struct Backed {
    uploaded: Uploaded,
    checkpoint_us: u64,
    /// What was removed then, or why nothing was.
    expired: Result<Expired, Failure>,
}

impl Make {
    /// Makes them, one after the other, and prints what was made.
    ///
    /// # Errors
    /// The first placement of which no backup was made, or of which old ones could not be removed; the others were looked after.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let folder = ClusterFolder::open(&self.cluster)?;
        let region = folder.region(&self.region)?.clone();
        let placements = self.placements(&folder, &region)?;
        let checkpoints = Checkpoints::of(&self.data, self.operator_token.as_deref())?;
        let (mut made, mut text, mut first) = (Vec::new(), String::new(), None);
        run(async {
            for (placement, sealed) in &placements {
                let failed = match self.back_up(&checkpoints, (&folder, &region, placement), sealed).await {
                    Ok(backed) => {
                        made.push(backed.json(placement, &region));
                        text += &backed.text(placement);
                        backed.not_removed()
                    }
                    Err(failure) => Some(failure),
                };
                if let Some(failure) = failed {
                    if first.is_some() {
                        eprintln!("archipelago: {failure}");
                    } else {
                        first = Some(failure);
                    }
                }
            }
            Ok(())
        })?;
        if self.json {
            println!("{}", json!({ "backups": made }))
        } else {
            print!("{text}")
        }
        first.map_or(Ok(()), Err)
    }

    /// The placements that are asked for, each with its bucket and key.
    fn placements(
        &self,
        folder: &ClusterFolder,
        region: &ClusterRegion,
    ) -> Result<Vec<(ClusterPlacement, Sealed)>, Failure> {
        let of_region: Vec<&ClusterPlacement> = folder.cluster.placements_of(region.id).collect();
        let mut asked = Vec::new();
        for name in &self.placement {
            let placement = folder.placement(name)?;
            if !of_region.contains(&placement) {
                return Err(Failure::Argument(format!(
                    "region {} has no part in placement {name}: its placements are {}",
                    region.name,
                    of_region.iter().map(|placement| placement.name.as_str()).collect::<Vec<_>>().join(", ")
                )));
            }
            asked.push(placement);
        }
        if asked.is_empty() {
            for placement in &of_region {
                if folder.current_epoch(placement)?.replica_of(region.id).is_some() {
                    asked.push(placement);
                }
            }
        }
        // Active in none, it is a disk that is backed up.
        let asked = if asked.is_empty() { of_region } else { asked };
        asked.into_iter().map(|placement| Ok((placement.clone(), Sealed::of(folder, placement)?))).collect()
    }

    async fn back_up(
        &self,
        checkpoints: &Checkpoints,
        (folder, region, placement): (&ClusterFolder, &ClusterRegion, &ClusterPlacement),
        sealed: &Sealed,
    ) -> Result<Backed, Failure> {
        let backups = sealed.backups(&sealed.bucket().await?, &region.name);
        // A bucket that is not there or refuses is told before the region is troubled.
        backups.list().await.map_err(failure)?;
        let taken_at_ms = now_ms();
        let made = checkpoints.make(folder, region, placement, taken_at_ms)?;
        let bar = bar(&format!("backing up {}", placement.name));
        let uploaded = backups.upload(&made.folder, &made.about, &|progress| tell(&bar, progress)).await;
        bar.finish_and_clear();
        let checkpoint_us = made.took_us;
        drop(made);
        let uploaded = uploaded.map_err(failure)?;
        let expired = backups.expire(self.keep_days, taken_at_ms).await.map_err(failure);
        Ok(Backed { uploaded, checkpoint_us, expired })
    }
}

impl Backed {
    /// What there is to tell of a backup that stands, and of old ones that do too.
    fn not_removed(&self) -> Option<Failure> {
        let failure = self.expired.as_ref().err()?;
        let id = &self.uploaded.id;
        Some(Failure::Degraded(format!(
            "backup {id} was made, but what is too old was not removed: {failure}"
        )))
    }

    fn json(&self, placement: &ClusterPlacement, region: &ClusterRegion) -> Value {
        let Uploaded { id, files, bytes, chunks, chunks_sent, bytes_sent } = &self.uploaded;
        let nothing = Expired::default();
        let Expired { backups, chunks: removed } = self.expired.as_ref().unwrap_or(&nothing);
        json!({
            "placement": placement.name, "region": region.name, "backup": id.to_string(), "time": id.time(),
            "files": files, "bytes": bytes, "chunks": chunks, "chunks_sent": chunks_sent, "bytes_sent": bytes_sent,
            "checkpoint_us": self.checkpoint_us,
            "removed": backups.iter().map(ToString::to_string).collect::<Vec<_>>(), "chunks_removed": removed,
        })
    }

    fn text(&self, placement: &ClusterPlacement) -> String {
        let Uploaded { id, files, bytes, chunks, chunks_sent, bytes_sent } = &self.uploaded;
        let mut text = format!(
            "{}: backup {id} of {files} files, {}; {chunks_sent} of {chunks} chunks were new, {} sent\n",
            placement.name,
            size(*bytes),
            size(*bytes_sent)
        );
        if let Ok(Expired { backups, chunks }) = &self.expired
            && (!backups.is_empty() || *chunks > 0)
        {
            text += &format!("  removed {} backups and {chunks} chunks that no other has\n", backups.len());
        }
        text
    }
}
