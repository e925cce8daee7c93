//! `archipelago admin residency`: what lies on a region's disk and whom it is about; `archipelago admin residency-report`: all regions' statements as one
//! page for an auditor.
//!
//! ```text
//!   each region's disk ──▶ scan: records (region::residency), files, a text ──▶ Statement (JSON) ──┐
//!                                                                         ⋮                       ├──▶ report: one table, JSON or HTML
//!   another region's   ──▶ …                                                 ──▶ Statement (JSON) ──┘
//! ```
//! What must always hold: what was not looked at is said not to be known; a statement of another cluster, or of another state of its placements, is refused by name;
//! exit code 3 as long as anything lies where it must not, or a region's statement is missing.

mod files;
mod report;
mod statement;

pub(crate) use report::Report;

use crate::at_rest::{Disk, unreadable};
use crate::failure::Failure;
use clap::Args;
use files::Search;
use region::cluster::ClusterPlacement;
use region::residency::survey;
use statement::{Held, Statement};
use std::collections::BTreeSet;
use std::path::PathBuf;
use time::OffsetDateTime;

/// What must not lie there is listed up to this many records of each store.
const LISTED_MAX: usize = 100;

const EXAMPLES: &str = "\
Examples:
  archipelago admin residency --cluster demo --region ap-south --data data/ap-south
  archipelago admin residency --cluster demo --region ap-south --data data/ap-south --json > ap-south.json
  archipelago admin residency --cluster demo --region us-east --data data/us-east --find 'a text of an EU conversation' --look-in /var/log/archipelago
";

/// Counts what lies on a stopped region's disk and whom it is about, and names what must not lie there.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Residency {
    #[command(flatten)]
    disk: Disk,
    /// Look for this text too: in every record, and in every file as it lies on the disk
    #[arg(long, value_name = "TEXT")]
    find: Option<String>,
    /// Files and folders in which that text is looked for as well: logs, backups, dumps
    #[arg(long, value_name = "PATH", requires = "find")]
    look_in: Vec<PathBuf>,
}

impl Residency {
    /// Looks at everything, and prints what it found.
    ///
    /// # Errors
    /// [`Failure::Degraded`] when something lies there that must not; when the disk cannot be opened or read.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let (folder, region) = self.disk.region()?;
        let (cluster, mut stopped) = (&folder.cluster, self.disk.open()?);
        let mut search = self.find.as_deref().map(Search::new).transpose()?;
        let mut held = Vec::new();
        for store in &stopped.stores {
            self.disk.begin("reading", store);
            let allows = |pin: &ClusterPlacement| cluster.may_take_part(pin.id, store.placement);
            let pins: BTreeSet<_> =
                cluster.placements.values().filter(|pin| allows(pin)).map(|pin| pin.id).collect();
            let found = survey(&store.store, store.placement, &pins, LISTED_MAX).map_err(unreadable)?;
            let current = folder.current_epoch(folder.placement(&store.name)?)?;
            held.push(Held::new(cluster, &store.name, &found, current.replica_of(region.id).is_some()));
            if let Some(search) = &mut search {
                search.records(&store.name, &store.store)?;
            }
        }
        let names = stopped.stores.iter().map(|store| store.name.clone()).collect();
        // The engine's files are looked at as they lie there, not while it has them; the folder stays locked.
        stopped.stores.clear();
        let files = files::look(self.disk.data(), &names, search.as_mut())?;
        for path in &self.look_in {
            if let Some(search) = &mut search {
                search.path(path)?;
            }
        }
        let searched = search.map(Search::end);
        let statement = Statement::new(cluster, &region, OffsetDateTime::now_utc(), (held, files, searched));
        self.disk.print(&statement.to_json(), &statement.to_string());
        match statement.problems() {
            0 => Ok(()),
            problems => Err(Failure::Degraded(format!(
                "{problems} things lie on the disk of {} that must not lie there, or of which nobody can say what they are",
                region.name
            ))),
        }
    }
}
