//! `archipelago status`: asks all regions how they stand, and says what is not well.
//!
//! `said.rs` is what regions say, `closed.rs` what they know of closed replicas, `members.rs` what they have heard of each other, `problems.rs` what of it is not well, `tables.rs` and `clocks.rs` how it looks.
//!
//! What must always hold: a region that takes part and does not answer is told as such, and never taken for well; a problem is one sentence that names the region and what to look at; exit code 3 as long
//! as there is one, so that a script can wait for the end of them.

mod clocks;
mod closed;
mod members;
mod problems;
mod said;
mod tables;

use crate::ask_region;
use crate::cluster_folder::ClusterFolder;
use crate::failure::Failure;
use crate::token;
use clap::Args;
use problems::problems_of;
use region::cluster::ClusterRegion;
use said::{Overview, RegionStatus};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};
use tables::table;

const EXAMPLES: &str = "\
Examples:
  archipelago status --cluster demo
  archipelago status --cluster demo --watch 2
  archipelago status --cluster demo --json | jq .problems
";

/// How regions stand: what they hold, what others lack of it, bridges, whom they hold for live, clocks.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Status {
    /// The cluster's folder or file
    #[arg(long)]
    cluster: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Ask again after so many seconds, until interrupted
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    watch: Option<u64>,
    /// How many seconds a region may take to answer
    #[arg(long, default_value_t = 5)]
    timeout: u64,
    /// An operator's token; without it one is made with the cluster's token key
    #[arg(long)]
    operator_token: Option<String>,
}

impl Status {
    /// Asks, and prints, once or until interrupted.
    ///
    /// # Errors
    /// [`Failure::Degraded`] when something is not well; when the cluster cannot be read or no token be made.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let folder = ClusterFolder::open(&self.cluster)?;
        let token = match &self.operator_token {
            Some(token) => token.clone(),
            None => token::for_operator(&folder, 1)?,
        };
        loop {
            let overview = self.ask_all(&folder, &token)?;
            if self.json {
                let text = serde_json::to_string(&overview);
                println!("{}", text.map_err(|error| Failure::Stopped(error.to_string()))?);
            } else {
                print!("{}", table(&overview, now_s()));
            }
            match self.watch {
                Some(seconds) => {
                    std::thread::sleep(Duration::from_secs(seconds));
                    println!();
                }
                None if overview.ok => return Ok(()),
                None => {
                    let count = overview.problems.len();
                    return Err(Failure::Degraded(format!("{count} things are not well, see above")));
                }
            }
        }
    }

    fn ask_all(&self, folder: &ClusterFolder, token: &str) -> Result<Overview, Failure> {
        let agent = ask_region::agent(Duration::from_secs(self.timeout));
        let (mut regions, mut problems) = (BTreeMap::new(), Vec::new());
        let taking_part = taking_part(folder)?;
        for region in folder.cluster.regions.values().filter(|region| taking_part.contains(&region.name)) {
            let status = match ask(&agent, region, token) {
                Ok(mut status) => {
                    status.bridges.retain(|bridge| taking_part.contains(&bridge.peer));
                    Some(status)
                }
                Err(refused @ Failure::Refused(_)) => return Err(refused),
                Err(silent) => {
                    problems.push(format!("{} does not answer: {silent}", region.name));
                    None
                }
            };
            regions.insert(region.name.clone(), status);
        }
        let now_s = now_s();
        for (name, status) in &regions {
            problems.extend(status.iter().flat_map(|status| problems_of(name, status, now_s)));
        }
        let (closed, clocks_ahead_ms) = (closed::of_all(&regions), clocks::offsets(&regions));
        Ok(Overview { ok: problems.is_empty(), problems, regions, closed, clocks_ahead_ms })
    }
}

/// The regions that are active in any placement, by the epochs of the folder. Of one that has left, or has not joined yet, nothing is expected.
fn taking_part(folder: &ClusterFolder) -> Result<BTreeSet<String>, Failure> {
    let mut names = BTreeSet::new();
    for placement in folder.cluster.placements.values() {
        let epoch = folder.current_epoch(placement)?;
        names.extend(epoch.active.keys().map(|replica| folder.cluster.name_of(replica.region)));
    }
    Ok(names)
}

fn ask(agent: &ureq::Agent, region: &ClusterRegion, token: &str) -> Result<RegionStatus, Failure> {
    let answer = ask_region::get(agent, region, "/v1/status", token)?;
    serde_json::from_reader(answer).map_err(|error| {
        Failure::Stopped(format!("{} gives an answer that is not understood: {error}", region.name))
    })
}

fn now_s() -> i64 {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_1970.as_secs()).unwrap_or(i64::MAX)
}
