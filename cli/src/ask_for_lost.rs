//! Asks other regions for what a region's store has lost: operations of its log, and registers, so that `archipelago admin repair --from-others` can mend it.
//!
//! What must always hold: for an operation every region of the placement that is active is asked, until one has it under a signature of its own; for a register all are. One that does not answer
//! is named and passed over: of an operation another may have it too. What is taken of an answer `region::mend_log` and `region::mend_registers` decide.

use crate::ask_region::{For, agent, ask_operation, ask_register};
use crate::cluster_folder::ClusterFolder;
use crate::failure::Failure;
use crate::token;
use crdt::{Dot, PartitionId};
use region::cluster::{ClusterPlacement, ClusterRegion};
use region::mend_registers::GivenRegister;
use replication::commit::Commit;
use replication::placement::Placement;
use std::time::Duration;

/// How long a region may take to answer for one record.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// The regions that may have it.
pub(crate) struct Others<'a> {
    agent: ureq::Agent,
    token: String,
    of: For<'a>,
    regions: Vec<&'a ClusterRegion>,
}

impl<'a> Others<'a> {
    /// Those that are active in a placement, beside the region that asks.
    ///
    /// # Errors
    /// When no operator's token can be made.
    pub(crate) fn new(
        folder: &'a ClusterFolder,
        (region, placement): (&'a ClusterRegion, &'a ClusterPlacement),
        current: &Placement,
    ) -> Result<Self, Failure> {
        let others = current.active.keys().filter(|replica| replica.region != region.id);
        // An epoch names no other regions than the cluster file.
        let regions = others.filter_map(|replica| folder.cluster.regions.get(&replica.region)).collect();
        let (agent, token) = (agent(ANSWER_WITHIN), token::for_operator(folder, 1)?);
        Ok(Self { agent, token, of: For { region, placement }, regions })
    }

    /// The commits that hold those operations.
    pub(crate) fn operations(&mut self, lost: &[(PartitionId, Dot)]) -> Vec<Commit> {
        let mut commits: Vec<Commit> = Vec::new();
        for (partition, dot) in lost {
            let is_signed = |commit: &Commit| {
                (commit.partition, commit.origin, commit.last()) == (*partition, dot.replica, dot.sequence)
            };
            if !commits.iter().any(is_signed) {
                self.ask(
                    |this, other| {
                        ask_operation(&this.agent, other, &this.of, (*partition, *dot), &this.token)
                    },
                    |commit| {
                        let is_enough = commit.as_ref().is_some_and(is_signed);
                        commits.extend(commit);
                        is_enough
                    },
                );
            }
        }
        commits
    }

    /// What each has of those registers.
    pub(crate) fn registers(&mut self, lost: &[(PartitionId, Vec<u8>)]) -> Vec<GivenRegister> {
        let mut registers = Vec::new();
        for (partition, name) in lost {
            self.ask(
                |this, other| ask_register(&this.agent, other, &this.of, (*partition, name), &this.token),
                |value| {
                    registers.push(GivenRegister { partition: *partition, name: name.clone(), value });
                    false
                },
            );
        }
        registers
    }

    /// Asks one after the other until it is enough. Who does not answer is not asked again.
    fn ask<T>(
        &mut self,
        ask: impl Fn(&Self, &ClusterRegion) -> Result<T, Failure>,
        mut is_enough: impl FnMut(T) -> bool,
    ) {
        let mut silent = Vec::new();
        for other in &self.regions {
            match ask(self, other) {
                Ok(answer) => {
                    if is_enough(answer) {
                        break;
                    }
                }
                Err(why) => {
                    eprintln!("{why}");
                    silent.push(other.id);
                }
            }
        }
        self.regions.retain(|other| !silent.contains(&other.id));
    }
}
