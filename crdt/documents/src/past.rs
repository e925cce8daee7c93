//! The changes that stand and what each was made on: the graph of a document.
//!
//! What must always hold:
//! - It is closed: whatever a change was made on is in it.
//! - The past of a change is a function of the change, since its dependencies are hashes, and theirs too.

use crate::change::{Actor, Change, ChangeHash, OperationId};
use crate::schema::{self, Schema};
use std::collections::{BTreeMap, BTreeSet};

/// The graph.
#[derive(Debug, Clone)]
pub(crate) struct Past {
    changes: Vec<Held>,
    by_hash: BTreeMap<ChangeHash, u32>,
    /// Per actor, its changes in order.
    by_actor: BTreeMap<Actor, Vec<u32>>,
    heads: BTreeSet<ChangeHash>,
}

/// A change that stands, without what it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) hash: ChangeHash,
    pub(crate) actor: Actor,
    /// The counters of its first and last operation.
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// Numbers of changes before it.
    pub(crate) dependencies: Vec<u32>,
}

/// The past of one change.
pub(crate) struct PastOf<'a> {
    graph: &'a Past,
    /// Which changes are in it; none if all are.
    members: Option<Vec<bool>>,
}

impl Past {
    /// That of a document which holds its first change alone.
    pub(crate) fn begin(schema: Schema) -> Self {
        let (hash, actor) = (schema.first_hash(), schema::first_actor());
        let mut past = Self {
            changes: Vec::new(),
            by_hash: BTreeMap::new(),
            by_actor: BTreeMap::new(),
            heads: BTreeSet::new(),
        };
        past.hold(Held { hash, actor, start: 1, end: schema.first_end(), dependencies: Vec::new() });
        past
    }

    pub(crate) fn changes(&self) -> &[Held] {
        &self.changes
    }

    pub(crate) const fn heads(&self) -> &BTreeSet<ChangeHash> {
        &self.heads
    }

    pub(crate) fn contains(&self, hash: &ChangeHash) -> bool {
        self.by_hash.contains_key(hash)
    }

    /// The number of a change.
    pub(crate) fn number(&self, hash: &ChangeHash) -> Option<u32> {
        self.by_hash.get(hash).copied()
    }

    /// The counter of the last operation of all.
    pub(crate) fn end(&self) -> u64 {
        let held = |hash| self.changes.get(self.number(hash)? as usize);
        self.heads.iter().filter_map(held).map(|held| held.end).max().unwrap_or_default()
    }

    /// An actor's last change.
    pub(crate) fn last_of(&self, actor: &Actor) -> Option<&Held> {
        self.by_actor.get(actor)?.last().and_then(|last| self.changes.get(*last as usize))
    }

    /// How many changes of an actor stand.
    pub(crate) fn count_of(&self, actor: &Actor) -> u64 {
        self.by_actor.get(actor).map_or(0, |changes| changes.len() as u64)
    }

    /// Adds a change, all of whose past is here.
    pub(crate) fn add(&mut self, change: &Change, hash: ChangeHash) {
        let dependencies: Vec<u32> =
            change.dependencies.iter().filter_map(|hash| self.number(hash)).collect();
        let (actor, start, end) = (change.actor.clone(), change.start, change.end());
        self.hold(Held { hash, actor, start, end, dependencies });
    }

    pub(crate) fn hold(&mut self, held: Held) {
        let number = self.changes.len() as u32;
        for dependency in &held.dependencies {
            self.heads.remove(&self.changes[*dependency as usize].hash);
        }
        self.heads.insert(held.hash);
        self.by_hash.insert(held.hash, number);
        self.by_actor.entry(held.actor.clone()).or_default().push(number);
        self.changes.push(held);
    }

    /// The past of a change whose dependencies are all here, if it is sound: the change comes right after the last one of its actor, and its operations
    /// right after those of its past.
    pub(crate) fn of(&self, change: &Change) -> Option<PastOf<'_>> {
        let numbers: Vec<u32> =
            change.dependencies.iter().map(|hash| self.number(hash)).collect::<Option<_>>()?;
        let held = |number: &u32| self.changes.get(*number as usize);
        let end = numbers.iter().filter_map(held).map(|held| held.end).max()?;
        let is_on_top = self.heads.len() <= numbers.len()
            && self.heads.iter().all(|head| change.dependencies.contains(head));
        let members = (!is_on_top).then(|| self.closure(&numbers));
        let past = PastOf { graph: self, members };
        let own = self.by_actor.get(&change.actor).map_or(&[][..], Vec::as_slice);
        let before = own.iter().filter(|number| past.has(**number)).count() as u64;
        (change.start == end + 1 && change.sequence == before + 1).then_some(past)
    }

    /// Dependencies have lower numbers, so one pass from the highest down finds all.
    fn closure(&self, numbers: &[u32]) -> Vec<bool> {
        let mut members = vec![false; self.changes.len()];
        numbers.iter().for_each(|number| members[*number as usize] = true);
        for (number, held) in self.changes.iter().enumerate().rev() {
            if members[number] {
                held.dependencies.iter().for_each(|dependency| members[*dependency as usize] = true);
            }
        }
        members
    }
}

impl PastOf<'_> {
    fn has(&self, number: u32) -> bool {
        self.members.as_ref().is_none_or(|members| members.get(number as usize) == Some(&true))
    }

    /// Whether an operation may be in it: one of that number of a change that is.
    pub(crate) fn covers(&self, id: &OperationId) -> bool {
        let Some(own) = self.graph.by_actor.get(&id.actor) else { return false };
        let held = |number: &u32| self.graph.changes.get(*number as usize);
        let after = own.partition_point(|number| held(number).is_some_and(|held| held.start <= id.counter));
        let change = after.checked_sub(1).and_then(|at| own.get(at));
        change.is_some_and(|number| {
            self.has(*number) && held(number).is_some_and(|held| id.counter <= held.end)
        })
    }
}

/// Equal graphs are equal sets of changes, whatever the order they came in.
impl PartialEq for Past {
    fn eq(&self, other: &Self) -> bool {
        self.by_hash.keys().eq(other.by_hash.keys())
    }
}

impl Eq for Past {}
