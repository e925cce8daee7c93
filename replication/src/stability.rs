//! Stability: which operations are applied, durably, by every active region, and known to be.
//!
//! An acknowledgement is a register, passed on by everyone: a *pair* (k, V) under an epoch, which says "at my sequence k I had
//! durably applied V" (V holds k). A dot is stable here when for every active replica S we know such a pair of our epoch with the
//! dot in V **and have ourselves applied all of V**: then nothing concurrent with it can still reach us. Believing a pair before
//! having applied all of V is history 2 of the random model: something concurrent arrives after it was held stable.
//!
//! The newest pair of a busy replica nearly always covers something that is still on its way here. So per replica three are kept: the last one *believed*,
//! one that *waits* to be, and the newest. The waiting one is not replaced by a newer one, or belief would never catch up;
//! the believed one stays until the waiting one is, or stability would fall back to nothing.
//!
//! What must always hold: what is stable never shrinks under one epoch, and never covers what some active replica has not applied.

use crate::placement::Epoch;
use crate::proto;
use bytes::Bytes;
use crdt::{Dot, Incarnation, RegionId, ReplicaId, Sequence, VersionVector};
use prost::Message as _;
use std::collections::BTreeMap;

/// The first byte of an acknowledgement register's key. Other kinds of registers take other bytes.
pub const ACKNOWLEDGEMENT_KIND: u8 = 1;

/// One acknowledgement of one replica: what its register holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pair {
    /// The epoch under which it was given.
    pub epoch: Epoch,
    /// Everything the replica had durably applied, its own operations up to k included.
    pub applied: VersionVector,
}

/// What is known of one replica's acknowledgements.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Acknowledgement {
    newest: Pair,
    waiting: Option<Pair>,
    believed: Option<Pair>,
}

/// What is known of all replicas' acknowledgements in one partition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Acknowledgements(BTreeMap<ReplicaId, Acknowledgement>);

/// Bytes that are not an acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an acknowledgement: cut short, out of range or unsorted")]
pub struct MalformedAcknowledgement;

/// The key of a replica's acknowledgement register, 11 bytes.
#[must_use]
pub fn register_key(replica: ReplicaId) -> Bytes {
    let mut key = vec![ACKNOWLEDGEMENT_KIND];
    key.extend_from_slice(&replica.region.0.to_be_bytes());
    key.extend_from_slice(&replica.incarnation.0.to_be_bytes());
    key.into()
}

/// Whose acknowledgement register that key names; none if it is another kind's or malformed.
#[must_use]
pub fn replica_of_key(key: &[u8]) -> Option<ReplicaId> {
    let (kind, rest) = key.split_first()?;
    let (region, incarnation) = rest.split_first_chunk::<2>()?;
    if *kind != ACKNOWLEDGEMENT_KIND {
        return None;
    }
    let incarnation = <[u8; 8]>::try_from(incarnation).ok()?;
    Some(ReplicaId {
        region: RegionId(u16::from_be_bytes(*region)),
        incarnation: Incarnation(u64::from_be_bytes(incarnation)),
    })
}

impl Pair {
    /// The register's value.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        self.to_proto().encode_to_vec().into()
    }

    /// Reads a register's value.
    ///
    /// # Errors
    /// [`MalformedAcknowledgement`] when the bytes are not the one encoding of a pair.
    pub fn decode(value: &Bytes) -> Result<Self, MalformedAcknowledgement> {
        let decoded = proto::Acknowledgement::decode(value.clone()).map_err(|_| MalformedAcknowledgement)?;
        Self::from_proto(&decoded)
    }

    /// The register's join: the later epoch; within one, all that either covers. Returns whether that changed anything.
    pub fn join(&mut self, other: &Self) -> bool {
        if other.epoch > self.epoch {
            self.clone_from(other);
            return true;
        }
        other.epoch == self.epoch && self.applied.join(&other.applied)
    }

    fn to_proto(&self) -> proto::Acknowledgement {
        let applied = |dot: Dot| proto::Applied {
            region: u32::from(dot.replica.region.0),
            incarnation: dot.replica.incarnation.0,
            sequence: dot.sequence.0,
        };
        proto::Acknowledgement { epoch: self.epoch.0, applied: self.applied.iter().map(applied).collect() }
    }

    fn from_proto(decoded: &proto::Acknowledgement) -> Result<Self, MalformedAcknowledgement> {
        let mut applied = VersionVector::new();
        let mut previous = None;
        for entry in &decoded.applied {
            let region = u16::try_from(entry.region).map_err(|_| MalformedAcknowledgement)?;
            let replica = ReplicaId { region: RegionId(region), incarnation: Incarnation(entry.incarnation) };
            if entry.sequence == 0 || previous.is_some_and(|before| before >= replica) {
                return Err(MalformedAcknowledgement);
            }
            previous = Some(replica);
            applied.raise(Dot { replica, sequence: Sequence(entry.sequence) });
        }
        Ok(Self { epoch: Epoch(decoded.epoch), applied })
    }
}

impl Acknowledgement {
    /// The newest pair: what the register holds and feeds pass on.
    #[must_use]
    pub fn newest(&self) -> &Pair {
        &self.newest
    }

    /// The last pair all of which this region had applied.
    #[must_use]
    pub fn believed(&self) -> Option<&Pair> {
        self.believed.as_ref()
    }

    /// Joins a pair of the same replica. Returns whether the register changed, which is when it belongs in the feed.
    pub fn join(&mut self, pair: &Pair) -> bool {
        let changed = self.newest.join(pair);
        if changed && self.waiting.as_ref().is_none_or(|waiting| waiting.epoch < self.newest.epoch) {
            self.waiting = Some(self.newest.clone());
        }
        changed
    }

    /// Believes what can be, now that this region has applied that much. Returns whether the believed pair changed.
    pub fn believe(&mut self, epoch: Epoch, applied: &VersionVector) -> bool {
        let covered = |pair: &Pair| pair.epoch == epoch && applied.covers_all(&pair.applied);
        let mut changed = false;
        if covered(&self.newest) {
            changed = self.believed.as_ref() != Some(&self.newest);
            if changed {
                self.believed = Some(self.newest.clone());
            }
            self.waiting = None;
        } else if self.waiting.as_ref().is_some_and(covered) {
            changed = true;
            self.believed = self.waiting.take();
            self.waiting = Some(self.newest.clone());
        }
        changed
    }

    /// What the store keeps of it.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let state = proto::AcknowledgementState {
            newest: Some(self.newest.to_proto()),
            waiting: self.waiting.as_ref().map(Pair::to_proto),
            believed: self.believed.as_ref().map(Pair::to_proto),
        };
        state.encode_to_vec().into()
    }

    /// Reads what the store kept.
    ///
    /// # Errors
    /// [`MalformedAcknowledgement`] when the bytes are not what [`Acknowledgement::encode`] wrote.
    pub fn decode(bytes: &Bytes) -> Result<Self, MalformedAcknowledgement> {
        let state =
            proto::AcknowledgementState::decode(bytes.clone()).map_err(|_| MalformedAcknowledgement)?;
        Ok(Self {
            newest: Pair::from_proto(&state.newest.ok_or(MalformedAcknowledgement)?)?,
            waiting: state.waiting.as_ref().map(Pair::from_proto).transpose()?,
            believed: state.believed.as_ref().map(Pair::from_proto).transpose()?,
        })
    }
}

impl Acknowledgements {
    /// What is known of one replica.
    #[must_use]
    pub fn get(&self, replica: ReplicaId) -> Option<&Acknowledgement> {
        self.0.get(&replica)
    }

    /// What is known of one replica, to be changed; nothing if it was never heard of.
    pub fn of(&mut self, replica: ReplicaId) -> &mut Acknowledgement {
        self.0.entry(replica).or_default()
    }

    /// Sets what the store kept of one replica.
    pub fn insert(&mut self, replica: ReplicaId, acknowledgement: Acknowledgement) {
        self.0.insert(replica, acknowledgement);
    }

    /// All replicas that have acknowledged, sorted.
    pub fn iter(&self) -> impl Iterator<Item = (ReplicaId, &Acknowledgement)> {
        self.0.iter().map(|(replica, acknowledgement)| (*replica, acknowledgement))
    }

    /// Joins a pair of that replica. Returns whether its register changed.
    pub fn join(&mut self, replica: ReplicaId, pair: &Pair) -> bool {
        self.of(replica).join(pair)
    }

    /// Believes what can be, now that this region has applied that much. Returns the replicas whose state changed.
    pub fn believe(&mut self, epoch: Epoch, applied: &VersionVector) -> Vec<ReplicaId> {
        self.0
            .iter_mut()
            .filter_map(|(replica, known)| known.believe(epoch, applied).then_some(*replica))
            .collect()
    }

    /// The cut that is stable here: what the believed pairs of all active replicas of this region's epoch cover.
    #[must_use]
    pub fn stable(&self, epoch: Epoch, active: impl IntoIterator<Item = ReplicaId>) -> VersionVector {
        let mut stable: Option<VersionVector> = None;
        for replica in active {
            let believed = self.get(replica).and_then(Acknowledgement::believed);
            let Some(pair) = believed.filter(|pair| pair.epoch == epoch) else {
                return VersionVector::new();
            };
            stable = Some(stable.map_or_else(|| pair.applied.clone(), |cut| cut.meet(&pair.applied)));
        }
        stable.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    const EPOCH: Epoch = Epoch(1);

    fn replica(number: u16) -> ReplicaId {
        ReplicaId { region: RegionId(number), incarnation: Incarnation(u64::from(number) * 7) }
    }

    fn vector(entries: &[(u16, u64)]) -> VersionVector {
        entries.iter().map(|(of, n)| Dot { replica: replica(*of), sequence: Sequence(*n) }).collect()
    }

    fn pair(epoch: u64, entries: &[(u16, u64)]) -> Pair {
        Pair { epoch: Epoch(epoch), applied: vector(entries) }
    }

    /// History 2 of the random model.
    #[test]
    fn a_pair_is_believed_only_by_who_has_applied_all_of_it() {
        let mut known = Acknowledgements::default();
        known.join(replica(1), &pair(1, &[(1, 1)]));
        known.join(replica(2), &pair(1, &[(0, 1), (1, 1)]));
        known.believe(EPOCH, &vector(&[(1, 1)]));
        assert!(known.stable(EPOCH, [replica(1), replica(2)]).is_empty(), "(0,1) can still arrive");
        known.believe(EPOCH, &vector(&[(0, 1), (1, 1)]));
        assert_eq!(known.stable(EPOCH, [replica(1), replica(2)]), vector(&[(1, 1)]));
    }

    /// History 3 of the random model, for a fixed set: a pair of another epoch says nothing.
    #[test]
    fn a_pair_of_another_epoch_is_not_believed() {
        let mut known = Acknowledgements::default();
        known.join(replica(1), &pair(1, &[(1, 1)]));
        known.join(replica(2), &pair(2, &[(1, 1)]));
        known.believe(EPOCH, &vector(&[(1, 1)]));
        assert!(known.stable(EPOCH, [replica(1), replica(2)]).is_empty());
    }

    #[test]
    fn a_pair_of_a_later_epoch_does_not_shrink_what_is_stable() {
        let mut known = Acknowledgements::default();
        known.join(replica(1), &pair(1, &[(1, 1)]));
        known.believe(EPOCH, &vector(&[(1, 1)]));
        known.join(replica(1), &pair(2, &[(1, 1)]));
        known.believe(EPOCH, &vector(&[(1, 1)]));
        assert_eq!(known.stable(EPOCH, [replica(1)]), vector(&[(1, 1)]));
    }

    #[test]
    fn belief_catches_up_although_the_newest_pair_is_always_ahead() {
        let mut known = Acknowledgement::default();
        for n in 1..=100 {
            known.join(&pair(1, &[(1, n)]));
            known.believe(EPOCH, &vector(&[(1, n - 1)]));
        }
        assert_eq!(known.believed(), Some(&pair(1, &[(1, 99)])));
    }

    #[test]
    fn register_keys_name_their_replica() {
        assert_eq!(replica_of_key(&register_key(replica(3))), Some(replica(3)));
        for bad in [&[][..], &[1], &[2, 0, 3, 0, 0, 0, 0, 0, 0, 0, 21], &[1, 0, 3, 0, 0, 0, 0, 0, 0, 0]] {
            assert_eq!(replica_of_key(bad), None);
        }
    }

    #[test]
    fn malformed_values_are_refused() {
        for bad in [&[0xff][..], b"\x12\x04\x08\x01\x18\x00", b"\x12\x02\x18\x01\x12\x02\x18\x01"] {
            assert_eq!(Pair::decode(&Bytes::copy_from_slice(bad)), Err(MalformedAcknowledgement));
        }
        assert_eq!(Acknowledgement::decode(&Bytes::new()), Err(MalformedAcknowledgement));
    }

    /// One region of the random model: what it has applied, in order, and what it knows.
    #[derive(Debug, Clone, Default)]
    struct Model {
        applied: VersionVector,
        known: Acknowledgements,
    }

    const REGIONS: u16 = 3;

    /// Actions: (kind, who, from whom).
    fn run(actions: &[(u8, u16, u16)]) -> Result<(), TestCaseError> {
        let active: Vec<ReplicaId> = (0..REGIONS).map(replica).collect();
        let mut regions = vec![Model::default(); usize::from(REGIONS)];
        let mut stable_before = vec![VersionVector::new(); usize::from(REGIONS)];
        for (kind, who, other) in actions {
            let (who, other) = (usize::from(*who), usize::from(*other));
            let from = regions[other].clone();
            let region = &mut regions[who];
            match kind {
                // Issues an operation of its own.
                0 => {
                    let own = active[who];
                    let sequence = region.applied.get(own).next();
                    region.applied.raise(Dot { replica: own, sequence });
                }
                // Applies one more operation of `other`, if there is one.
                1 => {
                    let sequence = region.applied.get(active[other]).next();
                    if sequence <= from.applied.get(active[other]) {
                        region.applied.raise(Dot { replica: active[other], sequence });
                    }
                }
                // Gives its pair.
                2 => {
                    let pair = Pair { epoch: EPOCH, applied: region.applied.clone() };
                    region.known.join(active[who], &pair);
                }
                // Reads the feed of `other`.
                _ => {
                    for (replica, acknowledgement) in from.known.iter() {
                        region.known.join(replica, acknowledgement.newest());
                    }
                }
            }
            region.known.believe(EPOCH, &region.applied);
            let stable = region.known.stable(EPOCH, active.iter().copied());
            prop_assert!(stable.covers_all(&stable_before[who]), "stable shrank");
            for each in &regions {
                prop_assert!(each.applied.covers_all(&stable), "stable covers what a replica lacks");
            }
            stable_before[who] = stable;
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn stable_never_shrinks_and_never_covers_what_an_active_replica_lacks(
            actions in proptest::collection::vec((0..4u8, 0..REGIONS, 0..REGIONS), 1..200),
        ) {
            run(&actions)?;
        }

        #[test]
        fn a_kept_acknowledgement_reads_back(
            entries in proptest::collection::vec((0..5u16, 1..900u64), 0..6), epoch in 0..9u64,
        ) {
            let mut known = Acknowledgement::default();
            known.join(&pair(epoch, &entries));
            prop_assert_eq!(&Acknowledgement::decode(&known.encode()).unwrap(), &known);
            prop_assert_eq!(&Pair::decode(&known.newest().encode()).unwrap(), known.newest());
        }

        #[test]
        fn pairs_join_commutatively_associatively_and_idempotently(
            parts in proptest::collection::vec(
                (1..3u64, proptest::collection::vec((0..4u16, 1..9u64), 0..4)), 3..4),
        ) {
            let [a, b, c] = [0, 1, 2].map(|at: usize| pair(parts[at].0, &parts[at].1));
            let join = |one: &Pair, other: &Pair| { let mut joined = one.clone(); joined.join(other); joined };
            prop_assert_eq!(join(&a, &b), join(&b, &a));
            prop_assert_eq!(join(&join(&a, &b), &c), join(&a, &join(&b, &c)));
            prop_assert_eq!(join(&a, &a), a);
        }
    }
}
