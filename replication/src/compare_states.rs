//! Comparing what came of the same operations: two regions that have applied the same of a partition must hold the same state.
//!
//! Each side states, with every probe of the clock and so every ten seconds, the partitions in which it has applied something since it last stated them, and after
//! a connection opened all: a check of its vector, and the digest of its state (28 bytes). Who gets that keeps it, and compares whenever its own vector is
//! the one that was stated: at once, or when it comes to it. So of two that end at the same vector one at least finds a difference, and tells the other by stating
//! its own. In a partition that never rests vectors meet by chance, and chance comes every ten seconds.
//!
//! The naive way is to compare digests of what each holds right now: regions on the way hold different things, and are all well.
//!
//! What must always hold: nothing is said of a state that is not durable; different vectors are never compared; a difference is told once, until both agree
//! again or the connection ends. From version 3 on. A statement costs no look at the store.
//!
//! Bounded: a statement a partition, kept or waiting.

use crate::bridge::{Bridge, Phase, Stop, Turn};
use crate::output::{Alarm, Output};
use crate::partition::Partition;
use crate::proto;
use crate::reason::Reason;
use crate::send_frame::Filling;
use bytes::Bytes;
use crdt::{PartitionId, StateDigest, VersionVector};
use prost::Message as _;
use std::collections::BTreeSet;

/// From which version on there is a word for it.
const VERSION: u32 = 3;

/// How often states were compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Compared {
    /// Comparisons at the same vector.
    pub compared: u64,
    /// Partitions of which the last comparison on this connection found two states.
    pub differing: usize,
}

/// What is to be stated, and what was found.
#[derive(Debug, Default)]
pub(crate) struct States {
    /// Partitions that have changed since they were stated.
    changed: BTreeSet<PartitionId>,
    /// Those of them that are to go now.
    due: BTreeSet<PartitionId>,
    found: Compared,
}

/// What a region says of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stated {
    /// The check of its vector.
    applied: u64,
    digest: StateDigest,
}

impl States {
    pub(crate) fn forget_connection(&mut self) {
        let found = Compared { differing: 0, ..self.found };
        *self = Self { found, ..Self::default() };
    }
}

impl Partition {
    /// What can be said of it; nothing if nothing was applied, or a store does not know its digest.
    fn state(&self) -> Option<Stated> {
        let digest = self.digest.filter(|_| !self.applied.is_empty())?;
        Some(Stated { applied: check(&self.applied), digest })
    }
}

/// The first 64 bits of a hash of a vector, by which two are told apart.
fn check(applied: &VersionVector) -> u64 {
    let hash = blake3::hash(&applied.encode());
    let mut first = [0; 8];
    first.copy_from_slice(&hash.as_bytes()[..8]);
    u64::from_be_bytes(first)
}

impl Bridge {
    /// How often states were compared, and of how many partitions they differ.
    #[must_use]
    pub const fn compared(&self) -> Compared {
        self.states.found
    }

    /// Something was applied to that partition, or the connection opened with it.
    pub(crate) fn note_state(&mut self, turn: &mut Turn<'_>, id: PartitionId) {
        self.states.changed.insert(id);
        self.compare(turn, id);
    }

    /// What has changed is to be stated now.
    pub(crate) fn state_what_changed(&mut self) {
        if self.phase == Phase::Open && self.version >= VERSION {
            self.states.due.append(&mut self.states.changed);
        }
    }

    /// Puts statements into a frame, as many as there is room for.
    pub(crate) fn fill_states(&mut self, filling: &mut Filling) -> Result<(), Stop> {
        while filling.room() > 0
            && let Some(id) = self.states.due.pop_first()
        {
            let may_send = self.may_send(id)?;
            let stated = self.partitions.get(&id).and_then(Partition::state);
            let (Some(Stated { applied, digest }), Some(partition)) =
                (stated, self.shared.number_of(may_send.partition()))
            else {
                continue;
            };
            let digest = Bytes::copy_from_slice(&digest.0.to_be_bytes());
            let state = proto::State { partition, applied, digest };
            filling.bytes += 2 + state.encoded_len();
            filling.frame.states.push(state);
        }
        Ok(())
    }

    /// The peer states how a partition stands with it.
    pub(crate) fn take_state(&mut self, turn: &mut Turn<'_>, state: &proto::State) -> Result<(), Stop> {
        if self.version < VERSION {
            return Err(Reason::OutOfTurn("a word that version 2 does not have").into());
        }
        let (own, peer) = (self.config.own, self.config.peer);
        let (id, _) = self.shared.receive(state.partition, &self.config.placements, peer, own)?;
        let digest: [u8; 16] = state.digest[..].try_into().map_err(|_| Reason::Malformed("digest"))?;
        let digest = StateDigest(u128::from_be_bytes(digest));
        let known = self.partitions.entry(id).or_default();
        known.stated = Some(Stated { applied: state.applied, digest });
        self.compare(turn, id);
        Ok(())
    }

    /// Compares, if both stand at the same vector.
    fn compare(&mut self, turn: &mut Turn<'_>, id: PartitionId) {
        let Some(known) = self.partitions.get_mut(&id) else { return };
        let Some(theirs) = known.stated else { return };
        let Some(ours) = known.state().filter(|ours| ours.applied == theirs.applied) else { return };
        self.states.found.compared += 1;
        let differs = ours.digest != theirs.digest;
        match (std::mem::replace(&mut known.differs, differs), differs) {
            (false, true) => {
                crate::sometimes::STATES_DIFFER.reach();
                self.states.found.differing += 1;
                // So that the peer finds it too, whoever came to that vector last.
                self.states.due.insert(id);
                let (own, peer) = (self.config.own, self.config.peer);
                turn.out.push(Output::Alarm(Alarm::StatesDiffer { own, peer, partition: id }));
            }
            (true, false) => {
                crate::sometimes::STATES_AGREE_AGAIN.reach();
                self.states.found.differing -= 1;
            }
            (true, true) | (false, false) => {}
        }
    }
}
