//! `archipelago admin epoch`: which replicas are active in a placement, and the next epoch that says otherwise. `archipelago admin end-region` (`end_region.rs`) says so in all placements of a
//! region.
//!
//! ```text
//!   show      admin epoch --cluster demo --placement global
//!   compare   admin epoch --cluster demo --placement global --close us-east          (writes nothing)
//!   apply     the same with --apply: signs the statement, keeps its file, tells a region, which tells the others
//! ```
//! What must always hold: an epoch is not taken back: a further one says otherwise, and what was closed returns as a new incarnation.

mod end_region;
mod stage;

pub(crate) use end_region::EndRegion;

use crate::cluster_folder::ClusterFolder;
use crate::failure::Failure;
use clap::Args;
use serde::Serialize;
use stage::{Staged, Wish};
use std::path::PathBuf;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  archipelago admin epoch --cluster demo --placement global
  archipelago admin epoch --cluster demo --placement global --close us-east --apply
  archipelago admin epoch --cluster demo --placement global --close us-east --admit us-east --apply

A region that is closed and admitted at once returns as a new incarnation: start it on an empty data folder. Keep the old one until
all that it acknowledged is known to be elsewhere.";

/// Show which regions are active in a placement, or say which are to be from now on.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Epoch {
    /// The cluster's folder or file
    #[arg(long)]
    cluster: PathBuf,
    /// The placement, by name
    #[arg(long)]
    placement: String,
    /// A region whose replica is active no more: lost, suspended, or to be replaced
    #[arg(long, value_name = "REGION")]
    close: Vec<String>,
    /// A region that is to be active, in a new incarnation
    #[arg(long, value_name = "REGION")]
    admit: Vec<String>,
    /// The region that takes over from those that are closed, their rights in groups and their users; the first that stays active if none is given
    #[arg(long, value_name = "REGION", requires = "close")]
    heir: Option<String>,
    #[command(flatten)]
    how: How,
}

/// How far to go with it, and how to tell.
#[derive(Debug, Args)]
struct How {
    /// Sign it and tell the regions; without it nothing is written. Once nothing is to change it tells them again of what the folder has
    #[arg(long)]
    apply: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// How many seconds a region may take to answer
    #[arg(long, default_value_t = 10)]
    timeout: u64,
}

impl Epoch {
    /// Shows, compares or applies.
    ///
    /// # Errors
    /// When a name is unknown, what is asked for is no epoch, a region refuses it, or none answers.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let folder = ClusterFolder::open(&self.cluster)?;
        let wish = Wish { close: &self.close, admit: &self.admit, heir: self.heir.as_deref() };
        let mut staged = [Staged::of(&folder, folder.placement(&self.placement)?, wish)?];
        self.how.apply(&mut staged)?;
        let [staged] = staged;
        self.how.print(&staged.shown, || staged.shown.to_string())?;
        self.how.judge(&[staged])
    }
}

impl How {
    /// Signs all of them before any is written, and tells the regions, if that is wanted.
    fn apply(&self, all: &mut [Staged<'_>]) -> Result<(), Failure> {
        if !self.apply {
            return Ok(());
        }
        let signed = all.iter().map(Staged::sign).collect::<Result<Vec<_>, _>>()?;
        for (staged, statement) in all.iter_mut().zip(&signed) {
            statement.iter().try_for_each(|statement| staged.keep(statement))?;
        }
        all.iter_mut().try_for_each(|staged| staged.tell(Duration::from_secs(self.timeout)))
    }

    fn print(&self, shown: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), Failure> {
        if self.json {
            let json = serde_json::to_string_pretty(shown);
            println!("{}", json.map_err(|error| Failure::Stopped(error.to_string()))?);
        } else {
            print!("{}", text());
        }
        Ok(())
    }

    /// Whether somebody has heard of each that was to be told.
    fn judge(&self, all: &[Staged<'_>]) -> Result<(), Failure> {
        if self.apply && all.iter().any(|staged| staged.shown.told.is_empty()) {
            return Err(Failure::Degraded(
                "no region has answered: start one with the epoch's file, or run it again with `--apply` later"
                    .to_owned(),
            ));
        }
        Ok(())
    }
}
