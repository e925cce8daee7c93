//! Stability: which operations are applied, durably, by every active region, and known to be.
//!
//! An acknowledgement is a register, passed on by everyone: a *pair* (k, V) under an epoch, which says "at my sequence k I had
//! durably applied V" (V holds k). A dot is stable here when for every active replica S we know such a pair of our epoch with the
//! dot in V **and have ourselves applied all of V**: then nothing concurrent with it can still reach us. Believing a pair before
//! having applied all of V is history 2 of the random model: something concurrent arrives after it was held stable.
//!
//! A sequence names an operation only as long as its replica has one history. So a pair carries the first bytes of each chain's head with it, and is
//! believed only where the same chains stand: a region that took a number's second operation, of a store that was put back, must not hold it stable because the others
//! acknowledge the first. A pair of a release that does not say is believed as it is.
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
    /// The check of each chain's head there ([`crdt::ChainHead::check`]); none of a chain of which its teller does not say.
    pub heads: BTreeMap<ReplicaId, u32>,
}

/// What became of the belief in a replica's pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Belief {
    Stands,
    Grew,
    /// The replica applied another operation under that dot, or before it, than this region.
    Differs(Dot),
}

/// What became of the belief in all replicas' pairs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Believed {
    /// The replicas of which more is believed.
    pub grew: Vec<ReplicaId>,
    /// A replica that acknowledges another history than stands here, with the dot by which that shows.
    pub differs: Option<(ReplicaId, Dot)>,
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

    /// The register's join: the later epoch; within one, all that either covers, each chain with its head. Returns whether that changed anything.
    pub fn join(&mut self, other: &Self) -> bool {
        if other.epoch != self.epoch {
            let later = other.epoch > self.epoch;
            if later {
                self.clone_from(other);
            }
            return later;
        }
        let mut grew = false;
        for dot in other.applied.iter() {
            let head = other.heads.get(&dot.replica);
            // Two heads of one sequence are of two histories. Which of them is kept is no matter, if it is the same one everywhere.
            if (dot.sequence, head) > (self.applied.get(dot.replica), self.heads.get(&dot.replica)) {
                self.stand_at(dot, head.copied());
                grew = true;
            }
        }
        grew
    }

    fn stand_at(&mut self, dot: Dot, head: Option<u32>) {
        self.applied.raise(dot);
        match head {
            Some(head) => _ = self.heads.insert(dot.replica, head),
            None => _ = self.heads.remove(&dot.replica),
        }
    }

    /// The dots of this pair whose heads are told, and not as in that one.
    fn heads_beyond<'a>(&'a self, before: Option<&'a Self>) -> impl Iterator<Item = (Dot, u32)> + 'a {
        let told = |of: &Self, replica| of.heads.get(&replica).map(|head| (of.applied.get(replica), *head));
        let dots = self.applied.iter().filter_map(move |dot| Some((dot, told(self, dot.replica)?)));
        dots.filter(move |(dot, here)| before.and_then(|before| told(before, dot.replica)) != Some(*here))
            .map(|(dot, (_, head))| (dot, head))
    }

    fn to_proto(&self) -> proto::Acknowledgement {
        let applied = |dot: Dot| proto::Applied {
            region: u32::from(dot.replica.region.0),
            incarnation: dot.replica.incarnation.0,
            sequence: dot.sequence.0,
            head: self.heads.get(&dot.replica).copied(),
        };
        proto::Acknowledgement { epoch: self.epoch.0, applied: self.applied.iter().map(applied).collect() }
    }

    fn from_proto(decoded: &proto::Acknowledgement) -> Result<Self, MalformedAcknowledgement> {
        let mut pair = Self { epoch: Epoch(decoded.epoch), ..Self::default() };
        let mut previous = None;
        for entry in &decoded.applied {
            let region = u16::try_from(entry.region).map_err(|_| MalformedAcknowledgement)?;
            let replica = ReplicaId { region: RegionId(region), incarnation: Incarnation(entry.incarnation) };
            if entry.sequence == 0 || previous.is_some_and(|before| before >= replica) {
                return Err(MalformedAcknowledgement);
            }
            previous = Some(replica);
            pair.stand_at(Dot { replica, sequence: Sequence(entry.sequence) }, entry.head);
        }
        Ok(pair)
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

    /// Believes what can be, now that this region has applied that much, of which `head_at` finds the heads' checks; none of a dot that is not here any more.
    fn believe<E>(
        &mut self,
        epoch: Epoch,
        applied: &VersionVector,
        head_at: &mut impl FnMut(Dot) -> Result<Option<u32>, E>,
    ) -> Result<Belief, E> {
        let covered = |pair: &&Pair| pair.epoch == epoch && applied.covers_all(&pair.applied);
        let newest = Some(&self.newest).filter(covered);
        let Some(pair) = newest.or_else(|| self.waiting.as_ref().filter(covered)) else {
            return Ok(Belief::Stands);
        };
        for (dot, head) in pair.heads_beyond(self.believed.as_ref()) {
            if head_at(dot)?.is_some_and(|here| here != head) {
                return Ok(Belief::Differs(dot));
            }
        }
        let (believed, waits) = (pair.clone(), newest.is_none());
        self.waiting = waits.then(|| self.newest.clone());
        if self.believed.as_ref() == Some(&believed) {
            return Ok(Belief::Stands);
        }
        self.believed = Some(believed);
        Ok(Belief::Grew)
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

    /// Believes what can be, now that this region has applied that much, of which `head_at` finds the checks of chain heads; none of a dot that is not here any more.
    ///
    /// # Errors
    /// As `head_at` says.
    pub fn believe<E>(
        &mut self,
        epoch: Epoch,
        applied: &VersionVector,
        mut head_at: impl FnMut(Dot) -> Result<Option<u32>, E>,
    ) -> Result<Believed, E> {
        let mut believed = Believed::default();
        for (replica, known) in &mut self.0 {
            match known.believe(epoch, applied, &mut head_at)? {
                Belief::Stands => {}
                Belief::Grew => believed.grew.push(*replica),
                Belief::Differs(dot) => believed.differs = Some((*replica, dot)),
            }
        }
        Ok(believed)
    }

    /// Whether all active replicas are believed to stand in that epoch: whatever one of them has of those that it closed, is here, and nothing more of them can come
    /// (`placement.rs` says who takes over from them then).
    #[must_use]
    pub fn stand_in(&self, epoch: Epoch, mut active: impl Iterator<Item = ReplicaId>) -> bool {
        let believed = |replica| self.get(replica).and_then(Acknowledgement::believed);
        active.all(|replica| believed(replica).is_some_and(|pair| pair.epoch == epoch))
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
    use std::convert::Infallible;

    const EPOCH: Epoch = Epoch(1);

    fn replica(number: u16) -> ReplicaId {
        ReplicaId { region: RegionId(number), incarnation: Incarnation(u64::from(number) * 7) }
    }

    fn vector(entries: &[(u16, u64)]) -> VersionVector {
        entries.iter().map(|(of, n)| Dot { replica: replica(*of), sequence: Sequence(*n) }).collect()
    }

    fn pair(epoch: u64, entries: &[(u16, u64)]) -> Pair {
        Pair { epoch: Epoch(epoch), applied: vector(entries), heads: BTreeMap::new() }
    }

    /// A pair that tells the heads of its chains: the third of each entry.
    fn pair_on(entries: &[(u16, u64, u32)]) -> Pair {
        let applied: Vec<_> = entries.iter().map(|(of, n, _)| (*of, *n)).collect();
        let heads = entries.iter().map(|(of, _, head)| (replica(*of), *head));
        Pair { heads: heads.collect(), ..pair(1, &applied) }
    }

    /// Believes what can be, where every head is the same as here.
    fn believe(known: &mut Acknowledgements, applied: &VersionVector) {
        let Ok(believed) = known.believe(EPOCH, applied, |_| Ok::<_, Infallible>(None));
        assert_eq!(believed.differs, None);
    }

    /// History 2 of the random model.
    #[test]
    fn a_pair_is_believed_only_by_who_has_applied_all_of_it() {
        let mut known = Acknowledgements::default();
        known.join(replica(1), &pair(1, &[(1, 1)]));
        known.join(replica(2), &pair(1, &[(0, 1), (1, 1)]));
        believe(&mut known, &vector(&[(1, 1)]));
        assert!(known.stable(EPOCH, [replica(1), replica(2)]).is_empty(), "(0,1) can still arrive");
        believe(&mut known, &vector(&[(0, 1), (1, 1)]));
        assert_eq!(known.stable(EPOCH, [replica(1), replica(2)]), vector(&[(1, 1)]));
    }

    /// History 3 of the random model, for a fixed set: a pair of another epoch says nothing.
    #[test]
    fn a_pair_of_another_epoch_is_not_believed() {
        let mut known = Acknowledgements::default();
        known.join(replica(1), &pair(1, &[(1, 1)]));
        known.join(replica(2), &pair(2, &[(1, 1)]));
        believe(&mut known, &vector(&[(1, 1)]));
        assert!(known.stable(EPOCH, [replica(1), replica(2)]).is_empty());
    }

    #[test]
    fn a_pair_of_a_later_epoch_does_not_shrink_what_is_stable() {
        let mut known = Acknowledgements::default();
        known.join(replica(1), &pair(1, &[(1, 1)]));
        believe(&mut known, &vector(&[(1, 1)]));
        known.join(replica(1), &pair(2, &[(1, 1)]));
        believe(&mut known, &vector(&[(1, 1)]));
        assert_eq!(known.stable(EPOCH, [replica(1)]), vector(&[(1, 1)]));
    }

    #[test]
    fn belief_catches_up_although_the_newest_pair_is_always_ahead() {
        let mut known = Acknowledgements::default();
        for n in 1..=100 {
            known.join(replica(1), &pair(1, &[(1, n)]));
            believe(&mut known, &vector(&[(1, n - 1)]));
        }
        assert_eq!(known.of(replica(1)).believed(), Some(&pair(1, &[(1, 99)])));
    }

    /// Region 3 was put back, and gave its first number again. Region 1 has the second operation of that number, region 2 the first.
    #[test]
    fn a_pair_is_believed_only_where_the_same_chains_stand() {
        let mut known = Acknowledgements::default();
        known.join(replica(1), &pair_on(&[(3, 1, 77)]));
        known.join(replica(2), &pair_on(&[(3, 1, 55)]));
        let here = vector(&[(3, 1)]);
        let dot = here.iter().next().unwrap();
        let mut at_one = known.clone();
        let head_at = |head: u32| move |_| Ok::<_, Infallible>(Some(head));
        let Ok(believed) = at_one.believe(EPOCH, &here, head_at(77));
        assert_eq!(believed, Believed { grew: vec![replica(1)], differs: Some((replica(2), dot)) });
        assert!(at_one.stable(EPOCH, [replica(1), replica(2)]).is_empty());
        // And with the first operation of that number it is the other one that differs.
        let Ok(believed) = known.believe(EPOCH, &here, head_at(55));
        assert_eq!(believed, Believed { grew: vec![replica(2)], differs: Some((replica(1), dot)) });
    }

    /// What was believed is not looked up again.
    #[test]
    fn a_head_is_looked_up_once() {
        let mut known = Acknowledgement::default();
        let mut asked = Vec::new();
        for n in [1, 2, 2, 3] {
            known.join(&pair_on(&[(1, n, 7), (2, 5, 9)]));
            let head_at = &mut |dot: Dot| {
                asked.push((dot.replica, dot.sequence.0));
                Ok::<_, Infallible>(None)
            };
            let Ok(belief) = known.believe(EPOCH, &vector(&[(1, n), (2, 5)]), head_at);
            assert_ne!(belief, Belief::Differs(Dot { replica: replica(1), sequence: Sequence(n) }));
        }
        let [one, two] = [replica(1), replica(2)];
        assert_eq!(asked, [(one, 1), (two, 5), (one, 2), (one, 3)]);
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
                    let pair = Pair { epoch: EPOCH, applied: region.applied.clone(), ..Pair::default() };
                    region.known.join(active[who], &pair);
                }
                // Reads the feed of `other`.
                _ => {
                    for (replica, acknowledgement) in from.known.iter() {
                        region.known.join(replica, acknowledgement.newest());
                    }
                }
            }
            believe(&mut region.known, &region.applied);
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
            entries in proptest::collection::btree_map(0..5u16, (1..900u64, 0..9u32), 0..6), epoch in 0..9u64,
        ) {
            let mut known = Acknowledgement::default();
            let mut pair = pair_on(&entries.iter().map(|(of, (n, head))| (*of, *n, *head)).collect::<Vec<_>>());
            pair.epoch = Epoch(epoch);
            pair.heads.remove(&replica(0));
            known.join(&pair);
            prop_assert_eq!(&Pair::decode(&pair.encode()).unwrap(), &pair);
            prop_assert_eq!(&Acknowledgement::decode(&known.encode()).unwrap(), &known);
            prop_assert_eq!(&Pair::decode(&known.newest().encode()).unwrap(), known.newest());
        }

        #[test]
        fn pairs_join_commutatively_associatively_and_idempotently(
            parts in proptest::collection::vec(
                (1..3u64, proptest::collection::btree_map(0..4u16, (1..9u64, proptest::option::of(0..3u32)), 0..4)), 3..4),
        ) {
            let [a, b, c] = [0, 1, 2].map(|at: usize| {
                let (epoch, entries) = &parts[at];
                let mut pair = pair(*epoch, &entries.iter().map(|(of, (n, _))| (*of, *n)).collect::<Vec<_>>());
                pair.heads = entries.iter().filter_map(|(of, (_, head))| Some((replica(*of), (*head)?))).collect();
                pair
            });
            let join = |one: &Pair, other: &Pair| { let mut joined = one.clone(); joined.join(other); joined };
            prop_assert_eq!(join(&a, &b), join(&b, &a));
            prop_assert_eq!(join(&join(&a, &b), &c), join(&a, &join(&b, &c)));
            prop_assert_eq!(join(&a, &a), a);
        }
    }
}
