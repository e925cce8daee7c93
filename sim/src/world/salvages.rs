//! Disks that were taken for gone and are found: operators give what lies on them to a region that runs, once an epoch has closed their replica (`region/src/salvage.rs`).
//!
//! Only stores that were sound, of a region that was well, are found. Parts of a log are given as they are in production, one act each; where a region falls meanwhile, is not there or says that it is
//! too early, all of it is given again a little later, to whoever runs then. It is over when a region says that it has all of it, and that all of that is stable.
//!
//! What must always hold: when it is over, what the disk held is there, whoever brought it back: each operation's author and id stand in the region's log, but for what `region::salvage` names.
//! What the checkers do not ask is that documents come back.

use crate::checks::world::Checker;
use crate::world::World;
use crate::world::lies::Standing;
use crate::world::queue::{Event, Life};
use crdt::operation::Envelope;
use crdt::{ConversationId, Identity, Kind, PlacementId, RegionId, ReplicaId};
use region::export;
use region::operate::{Act, NotOperated, Operated};
use region::salvage::{self, Salvage, Salvaged, WhyLeft};
use region::store::{MemoryStore, StoreError, View};
use replication::commit::OperationBytes;
use replication::log::Position;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How soon operators try again, in microseconds.
const TRIED_AGAIN_US: u64 = 2_000_000;

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Salvages {
    /// How long after it was lost a disk is found, in microseconds; none is, if that is not said.
    after_us: Option<u64>,
    found: Vec<Found>,
    /// The one that is being given, by its place among them.
    given: Option<Given>,
}

#[derive(Debug)]
struct Found {
    of: ReplicaId,
    placement: PlacementId,
    store: MemoryStore,
    is_over: bool,
}

/// A disk's log on its way into a region.
#[derive(Debug)]
struct Given {
    found: usize,
    into: Life,
    /// Parts that were not answered, the next first.
    parts: VecDeque<Salvage>,
    /// Whether the next was given.
    waits: bool,
    refused: bool,
    outcome: Salvaged,
}

impl World {
    /// From now on a disk that is lost is found so long after that.
    pub const fn salvage_after(&mut self, us: u64) {
        self.salvages.after_us = Some(us);
    }

    /// A region's disks are about to be lost.
    pub(crate) fn may_be_found(&mut self, id: RegionId) {
        let Some(after_us) = self.salvages.after_us else { return };
        let Some(region) = self.regions.get(&id).filter(|region| region.standing == Standing::Honest) else {
            return;
        };
        for (placement, disk) in &region.disks {
            if !disk.is_spoilt() {
                let (of, store) = (self.layout.replica(id, *placement), disk.copied());
                self.salvages.found.push(Found { of, placement: *placement, store, is_over: false });
            }
        }
        self.queue.put(self.now + after_us, Event::OperatorsSalvage);
    }

    /// Why it is not over yet with the disks that may be salvaged; none if it is.
    pub(crate) fn unsalvaged(&self) -> Option<String> {
        let waits = self.salvages.found.iter().find(|found| !found.is_over && self.may_be_salvaged(found));
        waits.map(|found| format!("the disk of {} has not been salvaged", found.of))
    }

    fn may_be_salvaged(&self, found: &Found) -> bool {
        self.operators.closed(found.placement).contains(&found.of)
    }

    /// Operators look after the disks that were found: at how the last one was taken, and give the next.
    pub(crate) fn operators_salvage(&mut self) {
        let is_under_way = |given: &Given| !given.parts.is_empty() && !given.refused;
        match self.salvages.given.take() {
            Some(given) if is_under_way(&given) && self.life_of(given.into.region) == Some(given.into) => {
                let waits = given.waits;
                self.salvages.given = Some(given);
                if !waits {
                    self.give_next();
                }
            }
            given => {
                given.iter().for_each(|given| self.look_at_salvage(given));
                let mut found = self.salvages.found.iter();
                let next = found.position(|found| !found.is_over && self.may_be_salvaged(found));
                if let Some(number) = next {
                    self.give(number);
                }
            }
        }
        if self.salvages.found.iter().any(|found| !found.is_over) {
            self.queue.put(self.now + TRIED_AGAIN_US, Event::OperatorsSalvage);
        }
    }

    /// Gives all of a disk to the first region of its placement that runs.
    fn give(&mut self, number: usize) {
        let Some(found) = self.salvages.found.get(number) else { return };
        let (of, placement) = (found.of, found.placement);
        let active: Vec<RegionId> = self.operators.active(placement).collect();
        let runs = active.into_iter().filter(|id| !self.lies(*id)).find_map(|id| self.life_of(id));
        let Some(into) = runs else { return };
        // It was sound when it was lost.
        let Ok(parts) = parts_of(&found.store, of, placement) else { return };
        self.trace.tell(self.now, || format!("operators give the disk of {of} to {}", into.region));
        let outcome = Salvaged::default();
        self.salvages.given =
            Some(Given { found: number, into, parts, waits: false, refused: false, outcome });
        self.give_next();
    }

    /// Gives the part that is next. If the region has no room for it, a little later.
    fn give_next(&mut self) {
        let Some(given) = &self.salvages.given else { return };
        let Some(mut part) = given.parts.front().cloned() else { return };
        for left in given.outcome.left.iter().filter(|left| left.why != WhyLeft::Deleted) {
            part.left.entry(left.conversation).or_default().raise(left.dot);
        }
        let waits = self.submit_act(given.into, part.partition.placement, Act::Salvage(part));
        if let Some(given) = &mut self.salvages.given {
            given.waits = waits;
        }
    }

    /// A region answers an operator.
    pub(crate) fn salvage_answered(&mut self, life: Life, result: &Result<Operated, NotOperated>) {
        let Some(given) = self.salvages.given.as_mut().filter(|given| given.into == life) else { return };
        match result {
            Ok(Operated::Salvaged(salvaged)) => {
                self.oracle.marks.brought_back += salvaged.brought_back;
                self.oracle.marks.asked_again += salvaged.asked_again;
                given.waits = false;
                given.parts.pop_front();
                given.outcome.add(salvaged.clone());
                self.give_next();
            }
            // It has not heard of the epoch, or not all have, or it lacks itself what others hold.
            Err(
                NotOperated::NotClosed(_) | NotOperated::EpochNotEverywhere(_) | NotOperated::PlacementBehind,
            ) => given.refused = true,
            Ok(Operated::Done | Operated::Unchanged) | Err(_) => {}
        }
    }

    fn look_at_salvage(&mut self, given: &Given) {
        let Salvaged { had, stable, to_come, brought_back, asked_again, ref left, .. } = given.outcome;
        let waits = left.iter().any(|left| left.why.code() == "not_known_everywhere");
        let is_over = given.parts.is_empty() && !given.refused && had == stable && !waits;
        if !is_over || to_come + brought_back + asked_again > 0 {
            return;
        }
        let Some(found) = self.salvages.found.get_mut(given.found) else { return };
        found.is_over = true;
        let region = self.regions.get(&given.into.region);
        let Some(view) = region.and_then(|region| region.disks.get(&found.placement)?.holds()) else {
            return;
        };
        match missing(&found.store, view, found.placement) {
            Ok(missing) => self.oracle.is_salvaged(self.now, given.into.region, found.of, &missing),
            Err(error) => self.oracle.violate(self.now, Checker::Salvaged, error.to_string()),
        }
    }
}

fn parts_of(
    store: &MemoryStore,
    of: ReplicaId,
    placement: PlacementId,
) -> Result<VecDeque<Salvage>, StoreError> {
    let mut parts = VecDeque::new();
    for partition in salvage::partitions(store, placement)? {
        let mut at = Position(0);
        loop {
            let (commits, end) = salvage::part(store, partition, at)?;
            if commits.is_empty() {
                break;
            }
            parts.push_back(Salvage { of, partition, commits, left: BTreeMap::new() });
            at = end;
        }
    }
    Ok(parts)
}

/// The messages, and what was done to them, that lie on a disk and of which no operation is in a log, though their conversation is there.
fn missing(
    disk: &dyn View,
    held: &dyn View,
    placement: PlacementId,
) -> Result<Vec<(ConversationId, Identity)>, StoreError> {
    let there = carried(held, placement, |_| true)?;
    let mut missing = Vec::new();
    for (conversation, identity) in carried(disk, placement, |operation| operation.payload.is_some())? {
        if !there.contains(&(conversation, identity)) && export::members(held, conversation)?.exists() {
            missing.push((conversation, identity));
        }
    }
    Ok(missing)
}

/// The identity of each of those operations of a log that say something.
fn carried(
    view: &dyn View,
    placement: PlacementId,
    counts: impl Fn(&OperationBytes) -> bool,
) -> Result<BTreeSet<(ConversationId, Identity)>, StoreError> {
    let mut carried = BTreeSet::new();
    for partition in salvage::partitions(view, placement)? {
        let mut at = Position(0);
        loop {
            let (commits, end) = salvage::part(view, partition, at)?;
            if commits.is_empty() {
                break;
            }
            at = end;
            let operations = commits.into_iter().flat_map(|chained| chained.commit.operations);
            for operation in operations.filter(&counts) {
                let envelope = Envelope::decode(&operation.envelope).ok();
                let says = |kind: Kind| kind == Kind::Post || kind.amends();
                let envelope = envelope.filter(|envelope| says(envelope.kind));
                carried.extend(envelope.map(|envelope| (envelope.conversation, envelope.identity())));
            }
        }
    }
    Ok(carried)
}
