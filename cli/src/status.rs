//! `archipelago status`: asks all regions how they stand, and says what is not well.
//!
//! What must always hold: a region that does not answer is told as such, and never taken for well; a problem is one sentence that names the region and what to look at; exit code 3 as long
//! as there is one, so that a script can wait for the end of them.

mod closed;

use crate::ask_region;
use crate::cluster_folder::ClusterFolder;
use crate::failure::Failure;
use crate::token;
use clap::Args;
use closed::{Closed, ClosedStatus};
use region::cluster::ClusterRegion;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  archipelago status --cluster demo
  archipelago status --cluster demo --watch 2
  archipelago status --cluster demo --json | jq .problems
";

/// What a peer has lacked for longer than this is told as a problem: a minute is more than any way around the world and any restart.
const LAG_MS_MAX: u64 = 60_000;

/// Clocks that differ by more are told as a problem, as the regions' own alarm does.
const CLOCK_MS_MAX: u64 = 500;

/// How regions stand: what they hold, what others lack of it, bridges, clocks.
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

/// What is printed.
#[derive(Debug, Serialize)]
struct Overview {
    ok: bool,
    problems: Vec<String>,
    /// By name; nothing of one that does not answer.
    regions: BTreeMap<String, Option<RegionStatus>>,
    /// What is known of the replicas that epochs have closed.
    closed: Vec<Closed>,
}

/// What a region says; what a later version adds is passed over.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct RegionStatus {
    version: String,
    wall_clock_ahead_ms: i64,
    placements: Vec<PlacementStatus>,
    bridges: Vec<BridgeStatus>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct PlacementStatus {
    placement: String,
    state: String,
    epoch: u64,
    operations: u64,
    stable: u64,
    damaged_records: u64,
    /// Regions of a release that does not say so are asked too.
    #[serde(default)]
    other_histories: u64,
    peers: Vec<PeerStatus>,
    /// The same.
    #[serde(default)]
    closed: Vec<ClosedStatus>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct PeerStatus {
    region: String,
    lacks_operations: u64,
    for_ms: Option<u64>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct BridgeStatus {
    peer: String,
    open: bool,
    alarms: u64,
    states_compared: u64,
    partitions_differing: u64,
    clock_ahead_ms: Option<i64>,
    clock_uncertain_ms: Option<u64>,
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
                print!("{}", table(&overview));
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
        for region in folder.cluster.regions.values() {
            let status = match ask(&agent, region, token) {
                Ok(status) => Some(status),
                Err(refused @ Failure::Refused(_)) => return Err(refused),
                Err(silent) => {
                    problems.push(format!("{} does not answer: {silent}", region.name));
                    None
                }
            };
            regions.insert(region.name.clone(), status);
        }
        for (name, status) in &regions {
            problems.extend(status.iter().flat_map(|status| problems_of(name, status)));
        }
        let closed = closed::of_all(&regions);
        Ok(Overview { ok: problems.is_empty(), problems, regions, closed })
    }
}

fn ask(agent: &ureq::Agent, region: &ClusterRegion, token: &str) -> Result<RegionStatus, Failure> {
    let answer = ask_region::get(agent, region, "/v1/status", token)?;
    serde_json::from_reader(answer).map_err(|error| {
        Failure::Stopped(format!("{} gives an answer that is not understood: {error}", region.name))
    })
}

fn problems_of(region: &str, status: &RegionStatus) -> Vec<String> {
    let mut problems = Vec::new();
    for placement in &status.placements {
        let name = &placement.placement;
        if placement.state != "active" {
            problems
                .push(format!("{region} is {} in {name}: it answers no device there yet", placement.state));
        }
        if placement.damaged_records > 0 {
            let records = placement.damaged_records;
            problems.push(format!(
                "{region} has {records} damaged records in {name}: see docs/operations/a-store-is-damaged.md"
            ));
        }
        if placement.other_histories > 0 {
            problems.push(format!(
                "{region} was told in {name} of what it has, by somebody who has something else in its place: its log names who; close that replica, and keep both disks (docs/operations/a-region-is-lost.md)"
            ));
        }
        for peer in placement.peers.iter().filter(|peer| peer.for_ms.is_some_and(|ms| ms > LAG_MS_MAX)) {
            let (operations, ago) = (peer.lacks_operations, ago(peer.for_ms));
            problems.push(format!(
                "{} lacks {operations} operations of {region} in {name}, the oldest {ago} old",
                peer.region
            ));
        }
    }
    for bridge in &status.bridges {
        let peer = &bridge.peer;
        if !bridge.open {
            problems.push(format!("the bridge from {region} to {peer} is down"));
        }
        if bridge.partitions_differing > 0 {
            let partitions = bridge.partitions_differing;
            problems.push(format!(
                "{region} and {peer} hold two states of {partitions} partitions: see docs/operations/regions-differ.md"
            ));
        }
        let uncertain = bridge.clock_uncertain_ms.unwrap_or(0);
        if let Some(ahead) = bridge.clock_ahead_ms
            && ahead.unsigned_abs() > CLOCK_MS_MAX + uncertain
        {
            problems.push(format!(
                "the clock of {peer} is {ahead} ms ahead of {region}'s: correct the wrong one"
            ));
        }
    }
    problems
}

/// A time in words of two digits.
fn ago(ms: Option<u64>) -> String {
    match ms.map(|ms| ms / 1_000) {
        None => "-".to_owned(),
        Some(seconds @ 0..120) => format!("{seconds} s"),
        Some(seconds @ 120..7_200) => format!("{} min", seconds / 60),
        Some(seconds) => format!("{} h", seconds / 3_600),
    }
}

fn table(overview: &Overview) -> String {
    let mut text = format!(
        "{:<14} {:<10} {:<8} {:>5} {:>12} {:>12}\n",
        "region", "placement", "state", "epoch", "operations", "stable"
    );
    for (name, status) in &overview.regions {
        let Some(status) = status else {
            text += &format!("{name:<14} no answer\n");
            continue;
        };
        for PlacementStatus { placement, state, epoch, operations, stable, .. } in &status.placements {
            text +=
                &format!("{name:<14} {placement:<10} {state:<8} {epoch:>5} {operations:>12} {stable:>12}\n");
        }
    }
    text += &format!(
        "\n{:<14} {:<14} {:<6} {:>12} {:>8} {:>12} {:>10}\n",
        "from", "to", "bridge", "lacks", "oldest", "clock", "compared"
    );
    for (name, status) in overview.regions.iter().filter_map(|(name, status)| Some((name, status.as_ref()?)))
    {
        for bridge in &status.bridges {
            let peers = status.placements.iter().flat_map(|placement| &placement.peers);
            let peers: Vec<&PeerStatus> = peers.filter(|peer| peer.region == bridge.peer).collect();
            let lacks: u64 = peers.iter().map(|peer| peer.lacks_operations).sum();
            let oldest = ago(peers.iter().filter_map(|peer| peer.for_ms).max());
            let clock = bridge.clock_ahead_ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:+} ms"));
            let state = if bridge.open { "open" } else { "down" };
            text += &format!(
                "{name:<14} {:<14} {state:<6} {lacks:>12} {oldest:>8} {clock:>12} {:>10}\n",
                bridge.peer, bridge.states_compared
            );
        }
    }
    text.push('\n');
    for closed in &overview.closed {
        text += &format!("· {}\n", closed.line());
    }
    for problem in &overview.problems {
        text += &format!("✗ {problem}\n");
    }
    if overview.ok {
        text += "✓ all regions are well\n";
    }
    text
}
