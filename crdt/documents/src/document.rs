//! A document: the changes that stand, and what they make of its maps and its text.
//!
//! | concurrent | outcome |
//! | --- | --- |
//! | two puts of one key | both are kept, the one of the higher operation id is shown |
//! | a put and a removal of one key | the put: a removal takes away what it saw |
//! | two insertions at one place | both, the one of the higher id first |
//! | an insertion beside an erased character | stays where it is |
//! | two erasures of one character | erased |
//! | two changes under one number of an actor | the one that its origin issued first; the other stands nowhere |
//! | a change whose dependencies are missing | waits for them, for ever if they never come |
//! | a change that names what is not in its past | stands nowhere, nor does what is built on it |
//!
//! What must always hold:
//! - The state is a function of the set of operations: whether a change stands is judged by what its origin issued before it (which arrives in
//!   one order everywhere) and by its own past (which is named by hashes), never by what else has arrived.
//! - What stands, any Automerge loads, and holds the same.
//! - Refusing changes nothing but the count of what was refused.
//!
//! Cost: applying an operation of a map is logarithmic; one of the text looks through the text from where the last one was, with all that was erased from it. A change made
//! on anything but the present heads also costs a pass over all changes. Some 60 bytes a change and 20 an operation, for good.
//!
//! Source: Kleppmann and Beresford, "A Conflict-Free Replicated JSON Datatype" (2017); Roh et al., "Replicated abstract data types" (2011).

use crate::change::{Actor, Change, ChangeHash, Malformed, Object, Operation, OperationId, Value};
use crate::limits::{CHANGES_PER_ORIGIN_MAX, OPERATIONS_PER_ORIGIN_MAX};
use crate::past::{Held, Past};
use crate::schema::{Part, Schema};
use crate::text::Text;
use crdt::{ReplicaId, UserId};
use std::collections::{BTreeMap, BTreeSet};

/// A document, under one schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    pub(crate) schema: Schema,
    pub(crate) origins: BTreeMap<ReplicaId, Origin>,
    /// Per actor, the number of its last change that was accepted, standing or not.
    pub(crate) claimed: BTreeMap<Actor, u64>,
    pub(crate) past: Past,
    /// Changes whose dependencies have not all come, by hash, and whom they wait for.
    pub(crate) waiting: BTreeMap<ChangeHash, Change>,
    pub(crate) awaited: BTreeMap<ChangeHash, BTreeSet<ChangeHash>>,
    pub(crate) maps: BTreeMap<(Object, String), Slot>,
    pub(crate) text: Text,
}

/// What one region has issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Origin {
    pub(crate) changes: u32,
    pub(crate) operations: u32,
    pub(crate) refused: u64,
}

/// The values at one key: those not replaced, and the ids of those that were.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Slot {
    pub(crate) values: BTreeMap<OperationId, Option<Value>>,
}

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It stands, and perhaps others that waited for it.
    Stands,
    /// What it was made on is not here.
    Waits,
    /// It stands nowhere.
    Refused(NotTaken),
}

/// Why a change stands nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// It is no change of ours.
    #[error("{0}")]
    Malformed(#[from] Malformed),
    /// Its actor is not one that may come this way.
    #[error(
        "the change names another actor: changes are made under the actor that this region gave to this device"
    )]
    ForeignActor,
    /// There was a change of its actor under the same number: another, or this very one.
    #[error(
        "there is another change of this actor under the same number: load the document again and change it anew"
    )]
    Forks,
    /// Its number is not the next of its actor.
    #[error("the change before this one is missing: send the changes of this actor in order")]
    Gap,
    /// Its operations do not begin where those it was made on end, or name something that is not in its past.
    #[error("the change refers to something that was not there when it was made")]
    Unfounded,
    /// The origin has issued all that this document holds for it.
    #[error("the document can take no more changes through this region")]
    Full,
}

impl Document {
    /// A document that holds its first change alone.
    #[must_use]
    pub fn new(schema: Schema) -> Self {
        Self {
            schema,
            origins: BTreeMap::new(),
            claimed: BTreeMap::new(),
            past: Past::begin(schema),
            waiting: BTreeMap::new(),
            awaited: BTreeMap::new(),
            maps: BTreeMap::new(),
            text: Text::default(),
        }
    }

    /// Takes a change that an operation carries. The changes of an origin come in the order in which it issued them.
    pub fn take(&mut self, origin: ReplicaId, user: UserId, bytes: &[u8]) -> Taken {
        match self.claim(origin, user, bytes) {
            Ok((change, hash)) => self.settle(change, hash),
            Err(why) => {
                let issued = self.origins.entry(origin).or_default();
                issued.refused = issued.refused.saturating_add(1);
                Taken::Refused(why)
            }
        }
    }

    /// Judges a change by what its origin has issued, and counts it among that.
    fn claim(
        &mut self,
        origin: ReplicaId,
        user: UserId,
        bytes: &[u8],
    ) -> Result<(Change, ChangeHash), NotTaken> {
        let (change, hash) = Change::read(bytes, self.schema)?;
        if !change.actor.may_write(origin, user) {
            return Err(NotTaken::ForeignActor);
        }
        let next = self.next_sequence(&change.actor);
        if change.sequence < next {
            return Err(NotTaken::Forks);
        }
        if change.sequence > next {
            return Err(NotTaken::Gap);
        }
        let issued = self.origins.entry(origin).or_default();
        let operations = u32::try_from(change.operations.len()).unwrap_or(u32::MAX);
        let after = Origin {
            changes: issued.changes.saturating_add(1),
            operations: issued.operations.saturating_add(operations),
            refused: issued.refused,
        };
        if after.changes > CHANGES_PER_ORIGIN_MAX || after.operations > OPERATIONS_PER_ORIGIN_MAX {
            return Err(NotTaken::Full);
        }
        *issued = after;
        self.claimed.insert(change.actor.clone(), change.sequence);
        Ok((change, hash))
    }

    /// The number that the next change of an actor must have.
    pub(crate) fn next_sequence(&self, actor: &Actor) -> u64 {
        self.claimed.get(actor).map_or(1, |last| last + 1)
    }

    /// Lets a change stand if it can, and whatever waited for it.
    fn settle(&mut self, change: Change, hash: ChangeHash) -> Taken {
        let taken = self.stand_or_wait(change, hash);
        let mut stood = if taken == Taken::Stands { vec![hash] } else { Vec::new() };
        while let Some(stands) = stood.pop() {
            for waiter in self.awaited.remove(&stands).unwrap_or_default() {
                let Some(change) = self.waiting.remove(&waiter) else { continue };
                if self.stand_or_wait(change, waiter) == Taken::Stands {
                    stood.push(waiter);
                }
            }
        }
        taken
    }

    fn stand_or_wait(&mut self, change: Change, hash: ChangeHash) -> Taken {
        let missing = change.dependencies.iter().find(|dependency| !self.past.contains(dependency));
        if let Some(missing) = missing.copied() {
            self.awaited.entry(missing).or_default().insert(hash);
            self.waiting.insert(hash, change);
            return Taken::Waits;
        }
        if !self.is_founded(&change) {
            return Taken::Refused(NotTaken::Unfounded);
        }
        for (id, operation) in change.operations() {
            self.apply(id, operation);
        }
        self.past.add(&change, hash);
        Taken::Stands
    }

    /// Whether all that a change names is in its own past, all of which is here.
    fn is_founded(&self, change: &Change) -> bool {
        let Some(past) = self.past.of(change) else { return false };
        // What this very change has made so far.
        let mut made: BTreeMap<OperationId, Place<'_>> = BTreeMap::new();
        let mut near = self.text.last();
        for (id, operation) in change.operations() {
            let mut stood = |place: Place<'_>, id: &OperationId| {
                made.get(id) == Some(&place) || (past.covers(id) && self.holds(place, id, &mut near))
            };
            let (place, is_founded) = match operation {
                Operation::Put { object, key, replaces, .. }
                | Operation::Remove { object, key, replaces } => {
                    let place = Place::Key(*object, key);
                    (place, replaces.iter().all(|id| stood(place, id)))
                }
                Operation::Insert { after, .. } => {
                    (Place::Text, after.iter().all(|id| stood(Place::Text, id)))
                }
                Operation::Erase { element, .. } => (Place::Text, stood(Place::Text, element)),
            };
            if !is_founded {
                return false;
            }
            if matches!(operation, Operation::Put { .. } | Operation::Insert { .. }) {
                made.insert(id, place);
            }
        }
        true
    }

    /// Whether an operation stands there; in the text it is looked for near the one before.
    fn holds(&self, place: Place<'_>, id: &OperationId, near: &mut usize) -> bool {
        match place {
            Place::Text => {
                let found = self.text.position(id, *near);
                *near = found.unwrap_or(*near);
                found.is_some()
            }
            Place::Key(object, key) => {
                self.maps.get(&(object, key.to_owned())).is_some_and(|slot| slot.values.contains_key(id))
            }
        }
    }

    fn apply(&mut self, id: OperationId, operation: &Operation) {
        match operation {
            Operation::Put { object, key, value, replaces } => {
                let slot = self.maps.entry((*object, key.clone())).or_default();
                slot.replace(replaces);
                slot.values.insert(id, Some(value.clone()));
            }
            Operation::Remove { object, key, replaces } => {
                self.maps.entry((*object, key.clone())).or_default().replace(replaces);
            }
            Operation::Insert { after, text, .. } => self.text.insert(id, after.as_ref(), text),
            Operation::Erase { element, .. } => self.text.erase(element),
        }
    }

    /// Which document it is.
    #[must_use]
    pub const fn schema(&self) -> Schema {
        self.schema
    }

    /// The changes that no other change was made on: they name the state, and are equal wherever it is.
    #[must_use]
    pub const fn heads(&self) -> &BTreeSet<ChangeHash> {
        self.past.heads()
    }

    /// How many changes stand, beside the first.
    #[must_use]
    pub fn changes(&self) -> usize {
        self.past.changes().len() - 1
    }

    /// How many changes wait for others.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many operations of each origin carried a change that stands nowhere by itself; what was built on such is not among them.
    pub fn refused(&self) -> impl Iterator<Item = (ReplicaId, u64)> + '_ {
        self.origins.iter().map(|(origin, issued)| (*origin, issued.refused))
    }

    /// Whether a change stands here.
    #[must_use]
    pub fn stands(&self, hash: &ChangeHash) -> bool {
        self.past.contains(hash)
    }

    /// The value that is shown at a key, with the ids of all that stand there.
    pub(crate) fn slot(&self, part: Part, key: &str) -> Option<&Slot> {
        self.maps.get(&(self.schema.object(part)?, key.to_owned()))
    }

    /// All keys of a part at which something is shown, with that.
    pub(crate) fn entries(&self, part: Part) -> impl Iterator<Item = (&str, &Value)> {
        let object = self.schema.object(part);
        let from = object.map(|object| (object, String::new()));
        from.into_iter()
            .flat_map(|from| self.maps.range(from..))
            .take_while(move |((other, _), _)| Some(*other) == object)
            .filter_map(|((_, key), slot)| Some((key.as_str(), slot.shown()?)))
    }

    pub(crate) fn standing(&self) -> &[Held] {
        self.past.changes()
    }
}

/// Where an operation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place<'a> {
    Text,
    Key(Object, &'a str),
}

impl Slot {
    fn replace(&mut self, replaced: &[OperationId]) {
        for id in replaced {
            self.values.insert(id.clone(), None);
        }
    }

    /// The value that is shown: of those that stand, the one of the highest id.
    pub(crate) fn shown(&self) -> Option<&Value> {
        self.values.values().rev().find_map(Option::as_ref)
    }

    /// The ids of all values that stand.
    pub(crate) fn standing(&self) -> Vec<OperationId> {
        self.values.iter().filter(|(_, value)| value.is_some()).map(|(id, _)| id.clone()).collect()
    }
}
