//! `archipelago admin end-region`: a region that is lost or given up is closed in all its placements at once.
//!
//! What must always hold: either each of its placements can go on without it and all of their epochs are signed, or nothing is written. Run again it tells the regions again, so it may be cut short anywhere.

use super::How;
use super::stage::{Shown, Staged, Wish};
use crate::cluster_folder::ClusterFolder;
use crate::failure::Failure;
use clap::Args;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  archipelago admin end-region ap-south --cluster demo
  archipelago admin end-region ap-south --cluster demo --apply
  archipelago admin end-region ap-south --cluster demo --heir us-east --apply

Keep its disk: what it acknowledged and sent to nobody comes back by `archipelago admin salvage`. `archipelago status` says how much that is, as far
as anybody has heard of it. The region may return with an empty disk, in a new incarnation: `archipelago admin epoch --admit`.";

/// End a region: close it in all its placements, and let another take its rights and its users over.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct EndRegion {
    /// The region to end
    region: String,
    /// The cluster's folder or file
    #[arg(long)]
    cluster: PathBuf,
    /// The region that takes over from it, its rights in groups and its users, in each placement in which that is active; elsewhere, and if none is given, the first that stays active
    #[arg(long, value_name = "REGION")]
    heir: Option<String>,
    #[command(flatten)]
    how: How,
}

impl EndRegion {
    /// Shows what would change, or does it.
    ///
    /// # Errors
    /// When a name is unknown, a placement cannot go on without it, a region refuses the epoch, or nobody in a placement answers.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let folder = ClusterFolder::open(&self.cluster)?;
        let ended = folder.region(&self.region)?;
        let heir = self.heir.as_deref().map(|name| folder.region(name)).transpose()?;
        let mut all = Vec::new();
        for placement in folder.cluster.placements.values().filter(|held| held.regions.contains(&ended.id)) {
            let current = folder.current_epoch(placement)?;
            let is_active = current.replica_of(ended.id).is_some();
            let close = if is_active { std::slice::from_ref(&self.region) } else { &[] };
            let heir = heir.filter(|heir| is_active && current.replica_of(heir.id).is_some());
            let wish = Wish { close, heir: heir.map(|heir| heir.name.as_str()), ..Wish::default() };
            all.push(Staged::of(&folder, placement, wish)?);
        }
        self.how.apply(&mut all)?;
        let shown: Vec<&Shown> = all.iter().map(|staged| &staged.shown).collect();
        self.how.print(&shown, || shown.iter().map(ToString::to_string).collect())?;
        self.how.judge(&all)
    }
}
