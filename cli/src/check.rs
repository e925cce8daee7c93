//! `archipelago check`: asks all regions what they hold, and compares.
//!
//! Regions that have applied the same operations must hold the same state: the same chain heads and the same digest of
//! every conversation. A region that has applied fewer is *behind*, which passes; a difference at the same operations is a
//! *divergence*, which does not. Either ends with exit code 3, so that a script can wait for the first.
//!
//! What must always hold: a region is compared only within the placements it has a part in, and one that does not answer is never
//! taken for equal.

use crate::ask_region::{Asked, Held, HeldPartition, ask_all, ask_items};
use crate::cluster_folder::ClusterFolder;
use crate::failure::Failure;
use crate::token;
use clap::Args;
use crdt::{ConversationId, PartitionId, RegionId};
use region::cluster::{Cluster, ClusterPlacement};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  archipelago check --cluster demo
  archipelago check --cluster demo --json | jq .differences
";

/// Differences that are listed by name; the counts are always whole.
const DIFFERENCES_LISTED_MAX: usize = 50;

/// Conversations that are looked into, and items that are named of each.
const CONVERSATIONS_MAX: usize = 10;
const ITEMS_LISTED_MAX: usize = 10;

/// Ask all regions for their vectors, chain heads and state digests, and compare.
#[derive(Debug, Clone, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Check {
    /// The cluster's folder or file
    #[arg(long)]
    cluster: PathBuf,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    /// How many seconds a region may take to answer
    #[arg(long, default_value_t = 30)]
    timeout: u64,
    /// An operator's token; without it one is made with the cluster's token key
    #[arg(long)]
    operator_token: Option<String>,
}

/// What was found, as `--json` prints it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Comparison {
    /// Whether all regions hold the same.
    ok: bool,
    placements: Vec<PlacementComparison>,
    /// The first differences by name.
    differences: Vec<Difference>,
}

/// One placement, compared over its regions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct PlacementComparison {
    placement: String,
    regions: Vec<String>,
    /// Partitions that hold anything in any region.
    partitions: usize,
    /// Operations applied in the region that has applied most, over all partitions.
    operations: u64,
    conversations: usize,
    /// Partitions in which some region has applied less than another.
    behind: usize,
    /// Partitions and conversations that differ at the same operations.
    diverged: usize,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Difference {
    /// `behind` or `diverged`.
    kind: &'static str,
    /// The partition or the conversation.
    what: String,
    /// What each region has.
    regions: BTreeMap<String, String>,
    /// The first items of a conversation that differ; none was looked for elsewhere, or where many conversations differ.
    items: Vec<ItemDifference>,
}

/// One item of a conversation that is not the same everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct ItemDifference {
    item: String,
    /// Its digest in each region; none where it is missing.
    regions: BTreeMap<String, Option<String>>,
}

impl Check {
    /// Asks, compares and prints.
    ///
    /// # Errors
    /// When a region does not answer or refuses, and when regions differ.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let folder = ClusterFolder::open(&self.cluster)?;
        let token = match &self.operator_token {
            Some(token) => token.clone(),
            None => token::for_operator(&folder, 1)?,
        };
        let asked = ask_all(&folder, &token, Duration::from_secs(self.timeout))?;
        let mut comparison = compare(&folder.cluster, &asked);
        self.look_into(&folder, &token, &mut comparison)?;
        if self.json {
            let text = serde_json::to_string_pretty(&comparison);
            println!("{}", text.map_err(|error| Failure::Stopped(error.to_string()))?);
        } else {
            print!("{}", table(&comparison));
        }
        if comparison.ok {
            return Ok(());
        }
        let sum = |of: fn(&PlacementComparison) -> usize| comparison.placements.iter().map(of).sum::<usize>();
        let (behind, diverged) = (sum(|placement| placement.behind), sum(|placement| placement.diverged));
        let advice = if diverged > 0 {
            "a divergence is a bug or a damaged disk: see docs/operations/regions-differ.md"
        } else {
            "this passes when every bridge is up; ask again"
        };
        Err(Failure::Degraded(format!("the regions differ: {behind} behind, {diverged} diverged; {advice}")))
    }
}

impl Check {
    /// Names the items that differ, of the first conversations that do.
    fn look_into(
        &self,
        folder: &ClusterFolder,
        token: &str,
        comparison: &mut Comparison,
    ) -> Result<(), Failure> {
        let conversations = comparison
            .differences
            .iter_mut()
            .filter_map(|difference| Some((difference.what.parse::<ConversationId>().ok()?, difference)));
        for (conversation, difference) in conversations.take(CONVERSATIONS_MAX) {
            let Some(placement) = folder.cluster.placements.get(&conversation.placement()) else { continue };
            let mut held = BTreeMap::new();
            for name in difference.regions.keys() {
                let of = (placement, conversation);
                let timeout = Duration::from_secs(self.timeout);
                held.insert(name.clone(), ask_items(folder.region(name)?, of, token, timeout)?);
            }
            difference.items = differing(&held);
        }
        Ok(())
    }
}

/// The first items that are not the same in all regions.
fn differing(held: &BTreeMap<String, BTreeMap<String, String>>) -> Vec<ItemDifference> {
    let items: BTreeSet<&String> = held.values().flat_map(BTreeMap::keys).collect();
    let of = |item: &String| {
        let regions = held.iter().map(|(region, items)| (region.clone(), items.get(item).cloned()));
        ItemDifference { item: item.clone(), regions: regions.collect() }
    };
    let differ = items.into_iter().map(of).filter(|item| !all_equal(item.regions.values()));
    differ.take(ITEMS_LISTED_MAX).collect()
}

/// Compares what regions hold, placement by placement.
fn compare(cluster: &Cluster, asked: &Asked) -> Comparison {
    let mut differences = Vec::new();
    let compare = |placement: &ClusterPlacement| {
        let of = |region: &RegionId| Some((cluster.name_of(*region), asked.get(&(placement.id, *region))?));
        let held: BTreeMap<String, &Held> = placement.regions.iter().filter_map(of).collect();
        compare_placement(placement, &held, &mut differences)
    };
    let placements: Vec<PlacementComparison> = cluster.placements.values().map(compare).collect();
    let ok = differences.is_empty();
    differences.truncate(DIFFERENCES_LISTED_MAX);
    Comparison { ok, placements, differences }
}

fn compare_placement(
    placement: &ClusterPlacement,
    held: &BTreeMap<String, &Held>,
    differences: &mut Vec<Difference>,
) -> PlacementComparison {
    let mut compared = PlacementComparison {
        placement: placement.name.clone(),
        regions: held.keys().cloned().collect(),
        partitions: 0,
        operations: 0,
        conversations: 0,
        behind: 0,
        diverged: 0,
    };
    let partitions: BTreeSet<PartitionId> = held.values().flat_map(|held| held.keys()).copied().collect();
    compared.partitions = partitions.len();
    for id in partitions {
        let of = |held: &Held| held.get(&id).cloned().unwrap_or_default();
        let states: BTreeMap<&String, HeldPartition> =
            held.iter().map(|(region, held)| (region, of(held))).collect();
        let conversations: BTreeSet<ConversationId> =
            states.values().flat_map(|state| state.conversations.keys()).copied().collect();
        compared.operations += states.values().map(count).max().unwrap_or(0);
        compared.conversations += conversations.len();
        let mut differ = |kind, what: String, said: &dyn Fn(&HeldPartition) -> String| {
            let regions = states.iter().map(|(region, state)| ((*region).clone(), said(state))).collect();
            differences.push(Difference { kind, what, regions, items: Vec::new() });
        };
        if !all_equal(states.values().map(|state| &state.applied)) {
            compared.behind += 1;
            differ("behind", id.to_string(), &|state| format!("{} operations", count(state)));
            continue;
        }
        if !all_equal(states.values().map(|state| &state.heads)) {
            compared.diverged += 1;
            differ("diverged", id.to_string(), &|state| join(state.heads.values()));
        }
        for conversation in conversations {
            let digest = |state: &HeldPartition| state.conversations.get(&conversation).cloned();
            if !all_equal(states.values().map(digest)) {
                compared.diverged += 1;
                let said = |state: &HeldPartition| digest(state).unwrap_or_else(|| "nothing".to_owned());
                differ("diverged", conversation.to_string(), &said);
            }
        }
    }
    compared
}

fn count(state: &HeldPartition) -> u64 {
    state.applied.iter().map(|dot| dot.sequence.0).sum()
}

fn join<'a>(texts: impl Iterator<Item = &'a String>) -> String {
    texts.map(String::as_str).collect::<Vec<_>>().join(" ")
}

fn all_equal<T: PartialEq>(mut values: impl Iterator<Item = T>) -> bool {
    let Some(first) = values.next() else { return true };
    values.all(|value| value == first)
}

/// The comparison for people.
fn table(comparison: &Comparison) -> String {
    let mut lines = vec![format!(
        "{:<16} {:>7} {:>10} {:>10} {:>13} {:>6} {:>8}",
        "placement", "regions", "partitions", "operations", "conversations", "behind", "diverged"
    )];
    lines.extend(comparison.placements.iter().map(|placement| {
        format!(
            "{:<16} {:>7} {:>10} {:>10} {:>13} {:>6} {:>8}",
            placement.placement,
            placement.regions.len(),
            placement.partitions,
            placement.operations,
            placement.conversations,
            placement.behind,
            placement.diverged
        )
    }));
    for difference in &comparison.differences {
        lines.push(format!("{} {}:", difference.kind, difference.what));
        lines.extend(difference.regions.iter().map(|(region, has)| format!("  {region:<14} {has}")));
        for ItemDifference { item, regions } in &difference.items {
            let has = |of: &Option<String>| of.clone().unwrap_or_else(|| "nothing".to_owned());
            let regions = regions.iter().map(|(region, of)| format!("{region} {}", has(of)));
            lines.push(format!("  {item}: {}", regions.collect::<Vec<_>>().join(", ")));
        }
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{compare, table};
    use crate::ask_region::{Asked, Held, HeldPartition};
    use crdt::{ConversationId, PlacementId, RegionId};
    use expect_test::expect;
    use region::cluster::Cluster;

    fn cluster() -> Cluster {
        let key = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        let region = |id: u16, name: &str| {
            format!(
                "[[region]]\nid = {id}\nname = \"{name}\"\njurisdiction = \"x\"\nbridge = \"127.0.0.1:{id}\"\n\
                 client = \"wss://localhost:{id}\"\nadmin = \"127.0.0.1:{id}\"\n"
            )
        };
        let placement = |id: u16, name: &str, regions: &str| {
            format!("[[placement]]\nid = {id}\nname = \"{name}\"\nregions = [{regions}]\nkey = \"{key}\"\n")
        };
        let top = format!("name = \"test\"\ntoken_key = \"{key}\"\n");
        let text = top
            + &region(1, "east")
            + &region(2, "west")
            + &placement(1, "global", "\"east\", \"west\"")
            + &placement(2, "local", "\"east\"");
        Cluster::parse(&text).unwrap()
    }

    /// A region that has applied so many operations in the partition of one conversation.
    fn holding(applied: u64, head: &str, digest: &str) -> Held {
        let conversation = ConversationId::group(PlacementId(1), 7);
        let origin = "r1.0000000000000001";
        let state = HeldPartition {
            applied: vec![format!("{origin}:{applied}").parse().unwrap()],
            heads: [(origin.to_owned(), head.to_owned())].into(),
            conversations: [(conversation, digest.to_owned())].into(),
        };
        [(conversation.partition(), state)].into()
    }

    fn compared(east: Held, west: Held) -> (bool, String) {
        let global = PlacementId(1);
        let asked: Asked = [
            ((global, RegionId(1)), east),
            ((global, RegionId(2)), west),
            ((PlacementId(2), RegionId(1)), Held::new()),
        ]
        .into();
        let comparison = compare(&cluster(), &asked);
        (comparison.ok, table(&comparison))
    }

    #[test]
    fn regions_that_hold_the_same_are_well() {
        let (ok, table) = compared(holding(5, "aa", "dd"), holding(5, "aa", "dd"));
        assert!(ok);
        expect![[r#"
            placement        regions partitions operations conversations behind diverged
            global                 2          1          5             1      0        0
            local                  1          0          0             0      0        0
        "#]]
        .assert_eq(&table);
    }

    #[test]
    fn a_region_that_has_applied_less_is_behind_and_its_digests_are_not_compared() {
        let (ok, table) = compared(holding(5, "aa", "dd"), holding(4, "bb", "ee"));
        assert!(!ok);
        expect![[r#"
            placement        regions partitions operations conversations behind diverged
            global                 2          1          5             1      1        0
            local                  1          0          0             0      0        0
            behind p1/413:
              east           5 operations
              west           4 operations
        "#]]
        .assert_eq(&table);
        let (ok, _) = compared(holding(5, "aa", "dd"), Held::new());
        assert!(!ok, "a region that holds nothing is behind too");
    }

    #[test]
    fn other_heads_or_digests_at_the_same_operations_are_a_divergence() {
        let (ok, table) = compared(holding(5, "aa", "dd"), holding(5, "bb", "ee"));
        assert!(!ok);
        expect![[r#"
            placement        regions partitions operations conversations behind diverged
            global                 2          1          5             1      0        2
            local                  1          0          0             0      0        0
            diverged p1/413:
              east           aa
              west           bb
            diverged c00010000000000000000000000000007:
              east           dd
              west           ee
        "#]]
        .assert_eq(&table);
    }
}
