//! What a replay is given, how it tells of its progress, and why it may not start.
//!
//! What must always hold: whatever is wrong is said before a single process was started.

use crdt::{DeviceId, PlacementId, UserId};
use region::cluster::Cluster;
use sim::conversation_log::ConversationLog;
use sim::faults::{Cut, Kill};
use std::path::PathBuf;
use std::sync::Arc;

/// The placement of all regions, as `init` names it.
pub const WORLD_PLACEMENT: &str = "global";

/// The placement that one conversation is pinned to.
const PINNED_PLACEMENT: &str = "eu";

/// Signs a token for a user's device, or says why it cannot.
pub type Signer = Arc<dyn Fn(UserId, DeviceId) -> Result<String, String> + Send + Sync>;

/// What is to be replayed, where, and what is to go wrong meanwhile.
#[derive(Clone)]
pub struct ReplayOptions {
    /// The `archipelago` program: region processes are started from it.
    pub program: PathBuf,
    /// The program of an earlier release, from which they are started at first, one after the other to be upgraded to that one; none: nothing is upgraded.
    pub earlier: Option<PathBuf>,
    /// The cluster's folder, as `init` wrote it. Its cluster file is rewritten so that bridges go through the relay.
    pub cluster_folder: PathBuf,
    /// The cluster file, read.
    pub cluster: Cluster,
    /// Where regions keep their data, a folder each; histories, exports and the processes' own words go here too.
    pub output: PathBuf,
    /// The logs to play; none: generated conversations.
    pub logs: Vec<ConversationLog>,
    /// How long the schedule lasts, in milliseconds.
    pub duration_ms: u64,
    /// Decides all chance.
    pub seed: u64,
    /// Links to cut.
    pub cuts: Vec<Cut>,
    /// Processes to kill.
    pub kills: Vec<Kill>,
    /// How long a killed region stays down, in milliseconds.
    pub restart_after_ms: u64,
    /// How many people in a hundred move to another region while theirs is cut or down.
    pub roam_percent: u8,
    /// How links behave.
    pub distances: Distances,
    /// Signs clients' tokens.
    pub sign: Signer,
    /// An operator's token, for exports.
    pub operator_token: String,
    /// Leave the regions and the relay running: [`crate::Outcome::running`] holds them.
    pub keep: bool,
}

/// How links behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distances {
    /// Measured distances, with the open internet's jitter, losses, duplicates and reordering.
    WideArea,
    /// Measured distances and nothing else.
    DelayOnly,
    /// All links are alike.
    Alike {
        /// What a packet takes one way, in milliseconds.
        delay_ms: u32,
        /// Megabits that a link carries in a second, each way; none: as many as come.
        megabits: Option<u32>,
    },
}

/// What happens, as it happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The relay stands and the regions are being started.
    Starting {
        /// How many.
        regions: usize,
    },
    /// A region's process is ready.
    RegionReady {
        /// Which.
        region: String,
        /// Its process.
        pid: u32,
    },
    /// People sign in and open their conversations.
    Gathering {
        /// Signed in and told of all their conversations.
        ready: usize,
        /// Of so many.
        people: usize,
    },
    /// The conversations are being played.
    Playing {
        /// Of the schedule, in milliseconds.
        at_ms: u64,
        /// Its length.
        duration_ms: u64,
        /// Messages acknowledged so far.
        acknowledged: u64,
        /// Of so many.
        planned: u64,
        /// Messages shown on screens so far.
        shown: u64,
    },
    /// A fault begins or ends.
    Fault(String),
    /// The schedule is over; waiting until every message is everywhere.
    Calming {
        /// Messages not yet stable.
        unstable: u64,
    },
    /// Histories, exports and disks are being gathered and judged.
    Judging,
}

/// Why a replay could not start, or could not be judged.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The cluster lacks what a replay needs.
    #[error("{0}")]
    Cluster(String),
    /// A fault cannot be played.
    #[error(transparent)]
    Fault(#[from] sim::faults::FaultError),
    /// A log cannot be played, or nothing can be pinned.
    #[error(transparent)]
    Plan(#[from] sim::replay_plan::ReplayPlanError),
    /// The relay did not start.
    #[error(transparent)]
    Relay(#[from] sim_wan::RelayError),
    /// A file could not be written or read.
    #[error("{}: {reason}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A region did not start.
    #[error("region {region} did not start: {reason}")]
    Region {
        /// Which.
        region: String,
        /// Why, with what it said.
        reason: String,
    },
    /// A token could not be signed.
    #[error("a token could not be signed: {0}")]
    Token(String),
}

impl ReplayOptions {
    /// The regions' names, in the order of their numbers.
    #[must_use]
    pub fn region_names(&self) -> Vec<String> {
        self.cluster.regions.values().map(|region| region.name.clone()).collect()
    }

    pub(crate) fn placement(&self, name: &str) -> Result<PlacementId, ReplayError> {
        let found = self.cluster.placements.values().find(|placement| placement.name == name);
        found.map(|placement| placement.id).ok_or_else(|| {
            ReplayError::Cluster(format!(
                "the cluster has no placement `{name}`: a replay needs `{WORLD_PLACEMENT}` and `{PINNED_PLACEMENT}`"
            ))
        })
    }
}

/// The placement that one conversation of every replay is pinned to, for these regions: `eu=` and those whose name says so.
///
/// # Errors
/// A sentence, if none of them is in the EU or all are: pinning would show nothing.
pub fn pinned_placement(regions: &[String]) -> Result<String, String> {
    let inside: Vec<&str> =
        regions.iter().map(String::as_str).filter(|name| *name == "eu" || name.starts_with("eu-")).collect();
    if inside.is_empty() || inside.len() == regions.len() {
        return Err(format!(
            "of the regions {} at least one must be in the EU (its name begins with `eu-`) and one outside: a conversation is pinned to the EU, and somebody from outside takes part",
            regions.join(", ")
        ));
    }
    Ok(format!("{PINNED_PLACEMENT}={}", inside.join(",")))
}

pub(crate) const fn pinned_placement_name() -> &'static str {
    PINNED_PLACEMENT
}

impl std::fmt::Debug for ReplayOptions {
    /// Without the operator's token: it is a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (cuts, kills) = (&self.cuts, &self.kills);
        f.debug_struct("ReplayOptions")
            .field("output", &self.output)
            .field("logs", &self.logs.len())
            .field("duration_ms", &self.duration_ms)
            .field("seed", &self.seed)
            .field("cuts", cuts)
            .field("kills", kills)
            .finish_non_exhaustive()
    }
}
