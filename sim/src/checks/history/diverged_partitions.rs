//! Regions that share a placement end with the same of each partition: the same operations applied, the same chain heads, the
//! same digest of each conversation, and the same messages, one by one.
//!
//! What it does not catch: a difference that healed before the exports were taken, and one that all regions share.

use super::{Findings, Violation};
use crate::evidence::{Evidence, Export, RegionNumber};
use crdt::{ConversationId, PartitionId, PlacementId};
use std::collections::BTreeSet;

pub(super) fn check(evidence: &Evidence, findings: &mut Findings) {
    for (region, facts) in evidence.regions.iter().enumerate() {
        for (other, other_facts) in evidence.regions.iter().enumerate().skip(region + 1) {
            let shared: BTreeSet<PlacementId> =
                facts.placements.intersection(&other_facts.placements).copied().collect();
            match (evidence.exports.get(&region), evidence.exports.get(&other)) {
                (Some(one), Some(another)) => {
                    compare(evidence, (region, one), (other, another), &shared, findings);
                }
                (None, _) => missing(evidence, region, findings),
                (_, None) => missing(evidence, other, findings),
            }
        }
    }
}

fn missing(evidence: &Evidence, region: RegionNumber, findings: &mut Findings) {
    findings.breach(|verdict| Violation {
        verdict,
        conversation: None,
        message: None,
        device: None,
        region: Some(region),
        what: format!("{} gave no export: what it holds cannot be compared", evidence.regions[region].name),
    });
}

fn compare(
    evidence: &Evidence,
    one: (RegionNumber, &Export),
    other: (RegionNumber, &Export),
    shared: &BTreeSet<PlacementId>,
    findings: &mut Findings,
) {
    let names = (&evidence.regions[one.0].name, &evidence.regions[other.0].name);
    let partitions = one.1.partitions.keys().chain(other.1.partitions.keys()).copied();
    let partitions: BTreeSet<PartitionId> =
        partitions.filter(|partition| shared.contains(&partition.placement)).collect();
    for partition in partitions {
        findings.looked_at(1);
        let breach =
            |conversation: Option<ConversationId>, message, what: String, findings: &mut Findings| {
                findings.breach(|verdict| Violation {
                    verdict,
                    conversation,
                    message,
                    device: None,
                    region: Some(other.0),
                    what,
                });
            };
        let reach = |export: &Export| {
            export.partitions.get(&partition).map(|held| (held.applied.clone(), held.heads.clone()))
        };
        if reach(one.1) != reach(other.1) {
            let what = format!("{} and {} have not applied the same of {partition}", names.0, names.1);
            breach(None, None, what, findings);
        }
        for id in conversations_of(partition, one.1, other.1) {
            if one.1.conversations.get(&id) != other.1.conversations.get(&id) {
                let what = format!("{} and {} hold different states of it", names.0, names.1);
                breach(Some(id), None, what, findings);
            }
        }
    }
    compare_posts(one, other, names, shared, findings);
}

fn conversations_of(partition: PartitionId, one: &Export, other: &Export) -> BTreeSet<ConversationId> {
    let all = one.conversations.keys().chain(other.conversations.keys()).copied();
    all.filter(|id| id.partition() == partition).collect()
}

fn compare_posts(
    one: (RegionNumber, &Export),
    other: (RegionNumber, &Export),
    names: (&String, &String),
    shared: &BTreeSet<PlacementId>,
    findings: &mut Findings,
) {
    let keys: BTreeSet<_> = one.1.posts.keys().chain(other.1.posts.keys()).copied().collect();
    for key in keys.into_iter().filter(|(conversation, _, _)| shared.contains(&conversation.placement())) {
        findings.looked_at(1);
        if one.1.posts.get(&key) != other.1.posts.get(&key) {
            findings.breach(|verdict| Violation {
                verdict,
                conversation: Some(key.0),
                message: Some(key.2),
                device: None,
                region: Some(other.0),
                what: format!("{} and {} hold this message differently", names.0, names.1),
            });
        }
    }
}
