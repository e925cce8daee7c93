//! `archipelago admin salvage`: what lies on the disk of a region that is closed for good, and nowhere else, comes back by way of a region that runs.
//!
//! ```text
//!   the old data folder ─▶ is it whole? ─▶ its log, part by part ─▶ the region issues again what nobody has (`region/src/salvage.rs`)
//! ```
//! What must always hold: the disk is only read; a damaged one is mended first, so what is given is what its region acknowledged; what stays behind is named. Done again it changes nothing, and says
//! when all of it is everywhere: until then the disk is kept.

use crate::at_rest::{DAMAGED_MAX, Disk, listed, unreadable};
use crate::failure::Failure;
use crate::operate::Region;
use crate::token;
use clap::Args;
use crdt::{Cut, Dot, PartitionId};
use region::meta;
use region::read_toml::hex;
use region::salvage::{self, Chained};
use region::verify::verify;
use region_rocks::stopped::StoppedStore;
use replication::log::Position;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  archipelago admin epoch --cluster demo --placement global --close ap-south --apply
  archipelago admin salvage --cluster demo --region ap-south --data found/ap-south --into eu-central

Close the region first, and keep its disk until this says that all of it is everywhere. A disk of a region that is to return is not for this: `archipelago admin restore`.";

/// How long the region may take to bring back one part.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);
/// Operations between two words on how far it has come.
const TOLD_EVERY: u64 = 10_000;
/// Operations that are listed of each placement.
const LISTED_MAX: usize = 100;

/// By conversation, what was left of a partition's log, the last of each origin.
type LeftSoFar = BTreeMap<String, Cut>;

/// Bring back what only the disk of a closed region holds, by way of one that runs.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Salvage {
    #[command(flatten)]
    disk: Disk,
    /// The region that brings it back: one that runs, and is active in the same placements
    #[arg(long, value_name = "REGION")]
    into: String,
    /// Only the store of this placement; may be repeated
    #[arg(long, value_name = "PLACEMENT")]
    placement: Vec<String>,
}

/// What became of the operations of one store.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Outcome {
    had: u64,
    stable: u64,
    to_come: u64,
    rights: u64,
    brought_back: u64,
    asked_again: u64,
    left: Vec<Left>,
}

/// One that stays on the disk.
#[derive(Debug, Serialize, Deserialize)]
struct Left {
    dot: String,
    conversation: String,
    sender: String,
    message: String,
    code: String,
    why: String,
}

impl Salvage {
    /// Gives the disk's log to the region, and prints what became of it.
    ///
    /// # Errors
    /// [`Failure::Degraded`] when the region did not do some of it, which may be done later; when a store cannot be read, or is damaged; when the region does not answer, or refuses.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let (folder, _) = self.disk.region()?;
        let into = folder.region(&self.into)?.clone();
        for name in &self.placement {
            folder.placement(name)?;
        }
        let token = token::for_operator(&folder, 1)?;
        let region = Region::new(folder, into, token, TIMEOUT);
        let stopped = self.disk.open_found()?;
        let is_there = |name: &&String| stopped.stores.iter().any(|store| store.name == **name);
        if let Some(name) = self.placement.iter().find(|name| !is_there(name)) {
            return Err(Failure::Refused(format!("placement {name}: that folder holds no store of it")));
        }
        let (mut shown, mut text, mut not_done) = (Vec::new(), String::new(), 0);
        let is_meant = |name: &String| self.placement.is_empty() || self.placement.contains(name);
        for store in stopped.stores.iter().filter(|store| is_meant(&store.name)) {
            let outcome = bring_back(&self.disk, &region, store)?;
            not_done += outcome.left.iter().filter(|left| left.may_be_done_later()).count();
            text += &outcome.told(&store.name);
            shown.push(
                json!({ "placement": store.name, "outcome": outcome, "everywhere": outcome.is_everywhere() }),
            );
        }
        self.disk.print(&json!({ "placements": shown }), &text);
        if not_done == 0 {
            return Ok(());
        }
        Err(Failure::Degraded(format!(
            "{not_done} operations were not done, for the reasons above; what can be helped can be tried again"
        )))
    }
}

/// Gives a store's log to a region that runs, part by part, and says what became of it.
///
/// # Errors
/// When the store is damaged or cannot be read; when the region does not answer, or refuses.
pub(crate) fn bring_back(disk: &Disk, region: &Region, store: &StoppedStore) -> Result<Outcome, Failure> {
    disk.begin("verifying", store);
    let verified = verify(&store.store, store.placement, DAMAGED_MAX).map_err(unreadable)?;
    if !verified.damaged.is_empty() {
        eprint!("{}", listed(&verified.damaged));
        return Err(Failure::Degraded(format!(
            "placement {}: the disk is damaged: mend it first (`archipelago admin repair --from-others`)",
            store.name
        )));
    }
    let found = meta::read(&store.store).map_err(|why| Failure::Refused(why.to_string()))?;
    let found = found.ok_or_else(|| {
        Failure::Refused(format!("placement {}: that folder holds no region's store", store.name))
    })?;
    let (mut outcome, mut given) = (Outcome::default(), 0);
    disk.begin("giving", store);
    for partition in salvage::partitions(&store.store, store.placement).map_err(unreadable)? {
        // By conversation, what was left so far: who wrote behind it had seen it.
        let (mut at, mut left) = (Position(0), LeftSoFar::new());
        loop {
            let (commits, end) = salvage::part(&store.store, partition, at).map_err(unreadable)?;
            if commits.is_empty() {
                break;
            }
            let act = written(&found.replica.to_string(), partition, &commits, &left);
            let path = format!("/v1/salvage?placement={}", store.name);
            let answer = region.post_json(&path, &act)?;
            let answer: Outcome = serde_json::from_str(&answer)
                .map_err(|why| Failure::Stopped(format!("its answer is not understood: {why}")))?;
            for of in answer.left.iter().filter(|left| left.code != "deleted") {
                let dot: Dot = of
                    .dot
                    .parse()
                    .map_err(|why| Failure::Stopped(format!("its answer is not understood: {why}")))?;
                left.entry(of.conversation.clone()).or_default().raise(dot);
            }
            outcome.add(answer);
            let before = given;
            given += commits.iter().map(|chained| chained.commit.operations.len() as u64).sum::<u64>();
            if before / TOLD_EVERY != given / TOLD_EVERY {
                disk.say(&format!("{}: {given} of {} operations", store.name, verified.operations));
            }
            at = end;
        }
    }
    Ok(outcome)
}

fn written(of: &str, partition: PartitionId, commits: &[Chained], left: &LeftSoFar) -> Value {
    let commits = commits.iter().map(|Chained { before, commit }| {
        let operations = commit.operations.iter().map(|operation| {
            let payload = operation.payload.as_ref().map(|payload| hex(payload));
            json!({ "envelope": hex(&operation.envelope), "payload": payload })
        });
        json!({
            "origin": commit.origin.to_string(), "first": commit.first.0, "before": hex(&before.0),
            "signature": hex(&commit.signature), "operations": operations.collect::<Vec<_>>(),
        })
    });
    let dots = |cut: &Cut| cut.iter().map(|dot| dot.to_string()).collect::<Vec<_>>();
    let left: BTreeMap<&String, Vec<String>> = left.iter().map(|(of, cut)| (of, dots(cut))).collect();
    json!({
        "of": of, "partition": partition.to_string(), "commits": commits.collect::<Vec<_>>(), "left": left,
    })
}

impl Left {
    /// Whether it was the region that did not do it, and not that there is nothing to be done.
    fn may_be_done_later(&self) -> bool {
        !matches!(self.code.as_str(), "deleted" | "user_erased" | "document_change")
    }
}

impl Outcome {
    fn add(&mut self, more: Self) {
        let Self { had, stable, to_come, rights, brought_back, asked_again, left } = more;
        self.had += had;
        self.stable += stable;
        self.to_come += to_come;
        self.rights += rights;
        self.brought_back += brought_back;
        self.asked_again += asked_again;
        self.left.extend(left);
    }

    /// Whether every region has all that can be brought back, and nothing is left that may be done later: then nobody needs the disk.
    pub(crate) fn is_everywhere(&self) -> bool {
        let is_had = self.had == self.stable && self.to_come + self.brought_back + self.asked_again == 0;
        is_had && !self.left.iter().any(Left::may_be_done_later)
    }

    /// The same for people.
    pub(crate) fn told(&self, placement: &str) -> String {
        let Self { had, stable, to_come, rights, brought_back, asked_again, left } = self;
        let mut text = format!(
            "{placement}: {brought_back} operations were brought back, {asked_again} changes of members were asked again; {had} were there, {stable} of them everywhere"
        );
        if *to_come > 0 {
            text += &format!("; {to_come} come from regions that are active");
        }
        if *rights > 0 {
            text += &format!("; {rights} were about rights, which the heir has");
        }
        text += "\n";
        for left in left.iter().take(LISTED_MAX) {
            let Left { dot, conversation, sender, message, code, why } = left;
            text += &format!(
                "  not brought back: {dot}, {message} of {sender} in {conversation}: {why} ({code})\n"
            );
        }
        if let Some(more) = left.len().checked_sub(LISTED_MAX).filter(|more| *more > 0) {
            text += &format!("  and {more} more; `--json` has them all\n");
        }
        text += if self.is_everywhere() {
            "  all of it is everywhere: the disk may go\n"
        } else if left.iter().any(Left::may_be_done_later) {
            "  keep the disk: some of it was not done, for the reasons above, and may be done when those are gone\n"
        } else {
            "  keep the disk, and run this again in a minute: it says when all of it is everywhere\n"
        };
        text
    }
}

#[cfg(test)]
mod tests {
    use super::{Left, Outcome};

    fn with(had: u64, stable: u64, codes: &[&str]) -> Outcome {
        let text = || "x".to_owned();
        let left = |code: &&str| Left {
            dot: text(),
            conversation: text(),
            sender: text(),
            message: text(),
            code: (*code).to_owned(),
            why: text(),
        };
        Outcome { had, stable, left: codes.iter().map(left).collect(), ..Outcome::default() }
    }

    /// Whoever reads that throws the disk away.
    #[test]
    fn a_disk_may_go_only_when_nothing_on_it_can_still_be_brought_back() {
        let may_go = |outcome: Outcome| outcome.told("global").contains("the disk may go");
        assert!(may_go(with(7, 7, &[])));
        assert!(may_go(with(7, 7, &["deleted", "user_erased", "document_change"])), "nothing helps these");
        assert!(!may_go(with(7, 6, &[])), "not all of it is stable");
        assert!(!may_go(with(7, 7, &["feature_off"])), "an operator turns it on, and it is done");
        assert!(!may_go(with(7, 7, &["deleted", "not_known_everywhere"])), "an upgrade ends, and it is done");
        assert!(!may_go(Outcome { to_come: 1, ..with(7, 7, &[]) }), "another region has it alone");
        assert!(!may_go(Outcome { brought_back: 1, ..with(7, 7, &[]) }), "it is in one region alone");
    }
}
