//! The state of a document as bytes: what a region keeps, and reads before each change, in place of all changes there ever were.
//!
//! What must always hold:
//! - Equal documents have equal bytes, whatever the order in which their changes came: changes stand in the order of their first operations' ids,
//!   which extends the order in which they depend on each other.
//! - Loading costs what is in it, and every count is believed only as far as there are bytes.
//!
//! It is not an Automerge document, which holds every character and value that there ever was: values that were replaced and characters that were erased
//! have left their ids here and nothing else. What an Automerge loads is the first change and those that stand, one behind the other.

use crate::change::{Actor, Change, ChangeHash, Object, OperationId, Value};
use crate::document::{Document, Origin, Slot};
use crate::limits::{
    ACTOR_BYTES_MAX, CHANGE_BYTES_MAX, COUNTER_MAX, INSERTION_BYTES_MAX, KEY_BYTES_MAX,
    OPERATIONS_PER_CHANGE_MAX, VALUE_BYTES_MAX,
};
use crate::numbers::{Reader, put_bytes, put_unsigned};
use crate::past::{Held, Past};
use crate::schema::Schema;
use crate::text::{Element, Text};
use crdt::{Incarnation, RegionId, ReplicaId};
use std::collections::BTreeMap;

/// The format of these bytes.
const VERSION: u8 = 1;

/// Bytes that are no document: a damaged record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the state of a document: {0}")]
pub struct Damaged(crate::change::Malformed);

impl From<crate::change::Malformed> for Damaged {
    fn from(malformed: crate::change::Malformed) -> Self {
        Self(malformed)
    }
}

/// A value is there and has bytes; is gone.
const STANDS: u8 = 1;
const GONE: u8 = 0;

impl Document {
    /// The hashes of all changes that stand, the first one aside, in an order that extends what each was made on, the same everywhere.
    #[must_use]
    pub fn order(&self) -> Vec<ChangeHash> {
        self.ordered().into_iter().skip(1).map(|held| held.hash).collect()
    }

    fn ordered(&self) -> Vec<&Held> {
        let mut ordered: Vec<&Held> = self.standing().iter().collect();
        // A change starts after all that it was made on.
        ordered.sort_unstable_by(|one, other| (one.start, &one.actor).cmp(&(other.start, &other.actor)));
        ordered
    }

    /// Its canonical bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION, self.schema as u8];
        let ordered = self.ordered();
        let mut actors: Vec<&Actor> =
            self.claimed.keys().chain(ordered.iter().map(|held| &held.actor)).collect();
        actors.sort_unstable();
        actors.dedup();
        put_unsigned(actors.len() as u64, &mut out);
        actors.iter().for_each(|actor| put_bytes(actor.as_bytes(), &mut out));
        let put_actor = |actor: &Actor, out: &mut Vec<u8>| {
            put_unsigned(actors.binary_search(&actor).unwrap_or_default() as u64, out);
        };
        let put_id = |id: &OperationId, out: &mut Vec<u8>| {
            put_unsigned(id.counter, out);
            put_actor(&id.actor, out);
        };
        put_unsigned(self.origins.len() as u64, &mut out);
        for (origin, issued) in &self.origins {
            out.extend_from_slice(&origin.region.0.to_be_bytes());
            out.extend_from_slice(&origin.incarnation.0.to_be_bytes());
            put_unsigned(u64::from(issued.changes), &mut out);
            put_unsigned(u64::from(issued.operations), &mut out);
            put_unsigned(issued.refused, &mut out);
        }
        put_unsigned(self.claimed.len() as u64, &mut out);
        for (actor, last) in &self.claimed {
            put_actor(actor, &mut out);
            put_unsigned(*last, &mut out);
        }
        let places: BTreeMap<ChangeHash, usize> =
            ordered.iter().enumerate().map(|(at, held)| (held.hash, at)).collect();
        put_unsigned(ordered.len() as u64 - 1, &mut out);
        for held in ordered.iter().skip(1) {
            out.extend_from_slice(&held.hash.0);
            put_actor(&held.actor, &mut out);
            put_unsigned(held.start, &mut out);
            put_unsigned(held.end - held.start, &mut out);
            put_unsigned(held.dependencies.len() as u64, &mut out);
            for dependency in &held.dependencies {
                let hash = self.standing()[*dependency as usize].hash;
                put_unsigned(places.get(&hash).copied().unwrap_or_default() as u64, &mut out);
            }
        }
        put_unsigned(self.waiting.len() as u64, &mut out);
        self.waiting.values().for_each(|change| put_bytes(&change.write().0, &mut out));
        put_unsigned(self.maps.len() as u64, &mut out);
        for ((object, key), slot) in &self.maps {
            put_object(*object, &mut out);
            put_bytes(key.as_bytes(), &mut out);
            put_unsigned(slot.values.len() as u64, &mut out);
            for (id, value) in &slot.values {
                put_id(id, &mut out);
                match value {
                    Some(value) => {
                        out.extend_from_slice(&[STANDS, value.kind]);
                        put_bytes(&value.bytes, &mut out);
                    }
                    None => out.push(GONE),
                }
            }
        }
        put_unsigned(self.text.elements().len() as u64, &mut out);
        for element in self.text.elements() {
            put_id(&element.id, &mut out);
            put_bytes(element.text.as_deref().unwrap_or_default().as_bytes(), &mut out);
        }
        out
    }

    /// Reads them.
    ///
    /// # Errors
    /// [`Damaged`]: they are none.
    pub fn decode(bytes: &[u8]) -> Result<Self, Damaged> {
        let out_of_range = Damaged(crate::change::Malformed::Number);
        let mut reader = Reader::new(bytes);
        let schema = match reader.array()? {
            [VERSION, 0] => Schema::Conversation,
            [VERSION, 1] => Schema::Account,
            _ => return Err(out_of_range),
        };
        let mut document = Self::new(schema);
        let mut actors = Vec::new();
        for _ in 0..reader.unsigned()? {
            actors.push(Actor::from_bytes(reader.bytes(ACTOR_BYTES_MAX)?));
        }
        for _ in 0..reader.unsigned()? {
            let region = RegionId(u16::from_be_bytes(reader.array()?));
            let incarnation = Incarnation(u64::from_be_bytes(reader.array()?));
            let mut number =
                || -> Result<u32, Damaged> { u32::try_from(reader.unsigned()?).map_err(|_| out_of_range) };
            let (changes, operations) = (number()?, number()?);
            let issued = Origin { changes, operations, refused: reader.unsigned()? };
            document.origins.insert(ReplicaId { region, incarnation }, issued);
        }
        for _ in 0..reader.unsigned()? {
            let actor = actor(&actors, &mut reader)?;
            document.claimed.insert(actor, reader.unsigned()?);
        }
        document.past = read_past(schema, &actors, &mut reader)?;
        for _ in 0..reader.unsigned()? {
            let (change, hash) = Change::read(reader.bytes(CHANGE_BYTES_MAX)?, schema)?;
            let missing = change.dependencies.iter().find(|hash| !document.past.contains(hash));
            document.awaited.entry(*missing.ok_or(out_of_range)?).or_default().insert(hash);
            document.waiting.insert(hash, change);
        }
        for _ in 0..reader.unsigned()? {
            let object = read_object(&mut reader)?;
            let key = reader.text(KEY_BYTES_MAX)?;
            document.maps.insert((object, key), read_slot(&actors, &mut reader)?);
        }
        let mut elements = Vec::new();
        for _ in 0..reader.unsigned()? {
            let id = read_id(&actors, &mut reader)?;
            let text = Some(reader.text(INSERTION_BYTES_MAX)?).filter(|text| !text.is_empty());
            elements.push(Element { id, text });
        }
        document.text = Text::of(elements);
        if reader.is_empty() { Ok(document) } else { Err(out_of_range) }
    }
}

fn read_past(schema: Schema, actors: &[Actor], reader: &mut Reader<'_>) -> Result<Past, Damaged> {
    let out_of_range = Damaged(crate::change::Malformed::Number);
    let mut past = Past::begin(schema);
    for _ in 0..reader.unsigned()? {
        let hash = ChangeHash(reader.array()?);
        let actor = actor(actors, reader)?;
        let (start, further) = (reader.unsigned()?, reader.count(OPERATIONS_PER_CHANGE_MAX)? as u64);
        if start == 0 || start > COUNTER_MAX {
            return Err(out_of_range);
        }
        let end = start + further;
        let mut dependencies = Vec::new();
        for _ in 0..reader.unsigned()? {
            dependencies.push(reader.count(past.changes().len() - 1)? as u32);
        }
        past.hold(Held { hash, actor, start, end, dependencies });
    }
    Ok(past)
}

fn read_slot(actors: &[Actor], reader: &mut Reader<'_>) -> Result<Slot, Damaged> {
    let mut slot = Slot::default();
    for _ in 0..reader.unsigned()? {
        let id = read_id(actors, reader)?;
        let value = match reader.array()? {
            [GONE] => None,
            _ => {
                let [kind] = reader.array()?;
                Some(Value { kind, bytes: reader.bytes(VALUE_BYTES_MAX)?.to_vec() })
            }
        };
        slot.values.insert(id, value);
    }
    Ok(slot)
}

fn actor(actors: &[Actor], reader: &mut Reader<'_>) -> Result<Actor, Damaged> {
    let at = reader.count(actors.len().saturating_sub(1))?;
    actors.get(at).cloned().ok_or(Damaged(crate::change::Malformed::Number))
}

fn read_id(actors: &[Actor], reader: &mut Reader<'_>) -> Result<OperationId, Damaged> {
    Ok(OperationId { counter: reader.unsigned()?, actor: actor(actors, reader)? })
}

fn put_object(object: Object, out: &mut Vec<u8>) {
    match object {
        Object::Root => out.push(0),
        Object::Child(child) => out.push(child),
    }
}

fn read_object(reader: &mut Reader<'_>) -> Result<Object, Damaged> {
    let [child] = reader.array()?;
    Ok(if child == 0 { Object::Root } else { Object::Child(child) })
}

/// A document as any Automerge loads it: its first change and those that stand, in [`Document::order`].
#[must_use]
pub fn for_automerge<'a>(schema: Schema, standing: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut bytes = schema.first_change().to_vec();
    standing.into_iter().for_each(|change| bytes.extend_from_slice(change));
    bytes
}
