//! Asks other regions for the operations whose records in a region's log are lost, so that `archipelago admin repair --from-others` can mend it.
//!
//! What must always hold: every region of the placement that is active is asked, until one has an operation under a signature of its own; one that does not answer is named and passed
//! over, since another may have it too. What is taken of an answer `region::mend_log` decides.

use crate::ask_region::{agent, ask_operation};
use crate::cluster_folder::ClusterFolder;
use crate::failure::Failure;
use crate::token;
use crdt::{Dot, PartitionId};
use region::cluster::{ClusterPlacement, ClusterRegion};
use replication::commit::Commit;
use replication::placement::Placement;
use std::time::Duration;

/// How long a region may take to answer for one operation.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// The commits that others have of those operations. Tells `say` of regions that do not answer.
///
/// # Errors
/// When no operator's token can be made.
pub(crate) fn ask_for(
    lost: &[(PartitionId, Dot)],
    folder: &ClusterFolder,
    (region, placement): (&ClusterRegion, &ClusterPlacement),
    current: &Placement,
    say: impl Fn(&str),
) -> Result<Vec<Commit>, Failure> {
    let (agent, token) = (agent(ANSWER_WITHIN), token::for_operator(folder, 1)?);
    let others = current.active.keys().filter(|replica| replica.region != region.id);
    // An epoch names no other regions than the cluster file.
    let mut others: Vec<&ClusterRegion> =
        others.filter_map(|replica| folder.cluster.regions.get(&replica.region)).collect();
    let mut commits: Vec<Commit> = Vec::new();
    for (partition, dot) in lost {
        let is_signed = |commit: &Commit| {
            (commit.partition, commit.origin, commit.last()) == (*partition, dot.replica, dot.sequence)
        };
        if commits.iter().any(is_signed) {
            continue;
        }
        let mut silent = Vec::new();
        for other in &others {
            match ask_operation(&agent, (other, region), (placement, *partition, *dot), &token) {
                Ok(Some(commit)) => {
                    let enough = is_signed(&commit);
                    commits.push(commit);
                    if enough {
                        break;
                    }
                }
                Ok(None) => {}
                Err(why) => {
                    say(&why.to_string());
                    silent.push(other.id);
                }
            }
        }
        others.retain(|other| !silent.contains(&other.id));
    }
    Ok(commits)
}
