//! A whole conversation's timeline in memory, at about a hundred bytes a message.
//!
//! The naive way, a tree of entries by place and one of aliases by identity, takes 350: a node is half empty where messages come in order, and
//! nearly every message has one operation, for which a list is kept. Here a message is one slot of 72 bytes that stays where it is, and both orders are
//! of the slots' numbers. What must always hold:
//! - A slot holds the canonical operation of an identity; each identity has one.
//! - `order` has every slot's number once, by place; its chunks are never empty.
//! - A slot is found by the fingerprint of its identity, or in `spilled` if another identity had that fingerprint first. So whoever chooses ids to
//!   collide makes nothing slower than a tree.
//!
//! Cost: an operation that comes last `O(log n)`, nearly all of it in the index; one that comes between others moves 2 KiB of numbers at most, and
//! once in 256 times the list of chunks.

use super::gallop::gallop;
use super::identity_index::IdentityIndex;
use super::{Aliases, Entry, Identity, Inserted, Place};
use crate::Timestamp;
use crate::id::{Dot, ReplicaId, Sequence, UserId};
use crate::operation::{DIGEST_BYTES, Envelope, Kind};
use std::collections::BTreeMap;

/// Slots that are allocated at once: no list of all of them is ever copied because it grew.
const SLAB: usize = 512;
/// Numbers in a chunk of the order at most.
const CHUNK: usize = 512;

/// Replicas that are looked through one by one.
const FEW_REPLICAS: usize = 32;

/// A whole conversation's timeline in memory.
#[derive(Debug, Clone, Default)]
pub struct Timeline {
    slabs: Vec<Vec<Slot>>,
    /// Every replica once, by the number that slots name it by.
    replicas: Vec<ReplicaId>,
    replica_numbers: BTreeMap<ReplicaId, u32>,
    order: Vec<Chunk>,
    /// The chunk in which the last one was put, and where in it: what one replica wrote comes in order, so the next belongs a little behind it. A place to
    /// begin to look, and nothing else.
    last_put: (usize, usize),
    index: IdentityIndex,
    spilled: BTreeMap<Identity, u32>,
    /// Of identities that have more than one operation, all of them.
    aliases: BTreeMap<Identity, Aliases>,
}

/// The canonical operation of an identity.
#[derive(Debug, Clone, Copy)]
struct Slot {
    hlc: Timestamp,
    sequence: Sequence,
    sender: UserId,
    /// The message's id, in two halves: as one number it would be aligned to 16 bytes and cost 8.
    message: [u64; 2],
    payload_digest: [u8; DIGEST_BYTES],
    replica: u32,
    kind: Kind,
}

/// A part of the display order.
#[derive(Debug, Clone)]
struct Chunk {
    /// The place of its first slot.
    first: Place,
    numbers: Vec<u32>,
}

impl Slot {
    fn identity(&self) -> Identity {
        let [high, low] = self.message;
        let message = crate::MessageId((u128::from(high) << 64) | u128::from(low));
        Identity { sender: self.sender, message }
    }

    fn entry(&self) -> Entry {
        Entry { identity: self.identity(), kind: self.kind, payload_digest: self.payload_digest }
    }
}

/// What an identity is looked for by: the time in the client's id first, so that what is new is near to what is new, then sixteen mixed bits.
fn fingerprint(identity: Identity) -> u64 {
    let (high, low) = ((identity.message.0 >> 64) as u64, identity.message.0 as u64);
    // Fibonacci hashing: the upper bits of a product with an odd number near 2^64 divided by the golden ratio.
    let mixed =
        (low ^ high.rotate_left(32) ^ identity.sender.0.rotate_left(17)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (high & !0xffff) | (mixed >> 48)
}

impl Timeline {
    /// Takes an operation.
    pub fn apply(&mut self, dot: Dot, envelope: &Envelope) -> Inserted {
        let (place, identity) = (envelope.place(dot), envelope.identity());
        let next = self.next_number();
        let mut number = self.index.get_or_put(fingerprint(identity), next);
        if number != next && self.slot(number).identity() != identity {
            number = *self.spilled.entry(identity).or_insert(next);
        }
        if number == next {
            self.push(place, envelope);
            self.put_in_order(place, number);
            return Inserted::First;
        }
        let from = self.place(number);
        if place == from {
            return Inserted::AlreadyThere;
        }
        let aliases = self.aliases.entry(identity).or_insert_with(|| Aliases::from_iter([from]));
        let inserted = aliases.insert(place);
        if let Inserted::Moved { from } = inserted {
            self.take_out_of_order(from);
            let slot = self.slot_of(place, envelope);
            let (slab, at) = (number as usize / SLAB, number as usize % SLAB);
            self.slabs[slab][at] = slot;
            self.put_in_order(place, number);
        }
        inserted
    }

    /// What is shown, in the display order.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = (Place, Entry)> + '_ {
        let numbers = self.order.iter().flat_map(|chunk| chunk.numbers.iter().copied());
        numbers.map(|number| (self.place(number), self.slot(number).entry()))
    }

    /// All identities with their operations, sorted by identity: `O(n log n)`.
    pub fn identities(&self) -> impl Iterator<Item = (Identity, Aliases)> + '_ {
        let mut sorted: Vec<(Identity, Place)> =
            self.entries().map(|(place, entry)| (entry.identity, place)).collect();
        sorted.sort_unstable();
        sorted.into_iter().map(|(identity, place)| (identity, self.aliases_of(identity, place)))
    }

    /// The operations of one identity, if it is known. A reply's target is where these have their canonical place.
    #[must_use]
    pub fn aliases(&self, identity: Identity) -> Option<Aliases> {
        self.number(identity).map(|number| self.aliases_of(identity, self.place(number)))
    }

    /// What stands for an identity, and where, if it is known.
    #[must_use]
    pub fn find(&self, identity: Identity) -> Option<(Place, Entry)> {
        self.number(identity).map(|number| (self.place(number), self.slot(number).entry()))
    }

    fn aliases_of(&self, identity: Identity, place: Place) -> Aliases {
        self.aliases.get(&identity).cloned().unwrap_or_else(|| Aliases::from_iter([place]))
    }

    fn slot(&self, number: u32) -> &Slot {
        &self.slabs[number as usize / SLAB][number as usize % SLAB]
    }

    fn place(&self, number: u32) -> Place {
        let slot = self.slot(number);
        let replica = self.replicas[slot.replica as usize];
        Place { hlc: slot.hlc, dot: Dot { replica, sequence: slot.sequence } }
    }

    fn number(&self, identity: Identity) -> Option<u32> {
        let number = self.index.get(fingerprint(identity))?;
        if self.slot(number).identity() == identity {
            Some(number)
        } else {
            self.spilled.get(&identity).copied()
        }
    }

    fn slot_of(&mut self, place: Place, envelope: &Envelope) -> Slot {
        let Place { hlc, dot: Dot { replica, sequence } } = place;
        let number = self.replica_number(replica);
        Slot {
            hlc,
            sequence,
            sender: envelope.sender,
            message: [(envelope.message.0 >> 64) as u64, envelope.message.0 as u64],
            payload_digest: envelope.payload_digest,
            replica: number,
            kind: envelope.kind,
        }
    }

    /// A few are looked through; a placement where stores were restored hundreds of times has a tree for the rest.
    fn replica_number(&mut self, replica: ReplicaId) -> u32 {
        let few = self.replicas.iter().take(FEW_REPLICAS).position(|known| *known == replica);
        if let Some(number) = few {
            return number as u32;
        }
        let next = self.replicas.len() as u32;
        let number = *self.replica_numbers.entry(replica).or_insert(next);
        if number == next {
            self.replicas.push(replica);
        }
        number
    }

    /// That of the slot that is pushed next. It fits: 2^32 of them would take 300 GB.
    fn next_number(&self) -> u32 {
        let full = self.slabs.len().saturating_sub(1) * SLAB;
        (full + self.slabs.last().map_or(0, Vec::len)) as u32
    }

    fn push(&mut self, place: Place, envelope: &Envelope) {
        let slot = self.slot_of(place, envelope);
        match self.slabs.last_mut() {
            Some(slab) if slab.len() < SLAB => slab.push(slot),
            Some(_) | None => {
                // A short conversation grows its first slab as it needs it.
                let mut slab = Vec::with_capacity(if self.slabs.is_empty() { 4 } else { SLAB });
                slab.push(slot);
                self.slabs.push(slab);
            }
        }
    }

    /// Whether it stands before that place. Few are stamped alike, so few are asked for their dot.
    fn precedes(&self, number: u32, place: Place) -> bool {
        let hlc = self.slot(number).hlc;
        if hlc == place.hlc { self.place(number) < place } else { hlc < place.hlc }
    }

    /// The chunk in which a place stands or would stand, and where in it.
    fn position(&self, place: Place) -> (usize, usize) {
        if let Some(last) = self.order.last()
            && last.numbers.last().is_some_and(|number| self.precedes(*number, place))
        {
            // Most come last.
            return (self.order.len() - 1, last.numbers.len());
        }
        if let Some(near) = self.position_near(place) {
            return near;
        }
        let chunk = self.order.partition_point(|chunk| chunk.first <= place).saturating_sub(1);
        let numbers = self.order.get(chunk).map_or(&[][..], |chunk| &chunk.numbers);
        (chunk, numbers.partition_point(|number| self.precedes(*number, place)))
    }

    /// The same, if it is in the chunk of the last one put and behind that one.
    fn position_near(&self, place: Place) -> Option<(usize, usize)> {
        let (chunk, last) = self.last_put;
        let numbers = &self.order.get(chunk)?.numbers;
        if !self.precedes(*numbers.get(last)?, place)
            || self.order.get(chunk + 1).is_some_and(|next| next.first <= place)
        {
            return None;
        }
        Some((chunk, gallop(numbers, last + 1, |number| self.precedes(*number, place))))
    }

    fn put_in_order(&mut self, place: Place, number: u32) {
        let (at, within) = self.position(place);
        let is_last = at + 1 == self.order.len();
        match self.order.get_mut(at) {
            Some(chunk) if chunk.numbers.len() < CHUNK => {
                chunk.numbers.insert(within, number);
                chunk.first = chunk.first.min(place);
                self.last_put = (at, within);
            }
            // What comes in order leaves full chunks behind.
            Some(_) if is_last && within == CHUNK => {
                self.order.push(Chunk { first: place, numbers: vec![number] });
            }
            Some(chunk) => {
                let numbers = chunk.numbers.split_off(CHUNK / 2);
                let first = self.place(numbers[0]);
                self.order.insert(at + 1, Chunk { first, numbers });
                // Both halves have room.
                self.put_in_order(place, number);
            }
            None => self.order.push(Chunk { first: place, numbers: vec![number] }),
        }
    }

    fn take_out_of_order(&mut self, place: Place) {
        let (at, within) = self.position(place);
        self.order[at].numbers.remove(within);
        match self.order[at].numbers.first().copied() {
            Some(first) => self.order[at].first = self.place(first),
            None => drop(self.order.remove(at)),
        }
    }
}

/// Equal when they say the same, whatever came when.
impl PartialEq for Timeline {
    fn eq(&self, other: &Self) -> bool {
        self.entries().eq(other.entries()) && self.identities().eq(other.identities())
    }
}

impl Eq for Timeline {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{ConversationId, Incarnation, MessageId, PlacementId, RegionId};

    #[test]
    fn what_comes_in_order_leaves_full_chunks_behind() {
        let conversation = ConversationId::group(PlacementId(1), 1);
        let replica = ReplicaId { region: RegionId(1), incarnation: Incarnation(1) };
        let mut timeline = Timeline::default();
        for number in 1..=4 * CHUNK as u64 + 1 {
            let envelope = Envelope {
                conversation,
                hlc: Timestamp::from_ms(number),
                kind: Kind::Post,
                sender: UserId(1),
                message: MessageId::new(number, 0),
                payload_digest: [0; DIGEST_BYTES],
                target: None,
            };
            timeline.apply(Dot { replica, sequence: Sequence(number) }, &envelope);
        }
        let lengths: Vec<usize> = timeline.order.iter().map(|chunk| chunk.numbers.len()).collect();
        assert_eq!(lengths, [CHUNK, CHUNK, CHUNK, CHUNK, 1]);
    }
}
