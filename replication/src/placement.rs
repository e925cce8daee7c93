//! Which regions may hold which partitions, as signed epochs say: the proof that a byte may leave.
//!
//! What must always hold:
//! - The only way to name a peer as the target of a partition's entries is a [`MaySend`], and only [`Placements::may_send`] makes one. The receiver asks the same
//!   question again with [`Placements::may_receive`].
//! - A placement goes from one epoch to the next alone ([`Placement::follow`]), by a statement that is rightly signed and names the one before it.
//! - What an epoch closes stays closed. It is remembered with its key, since what it signed goes on through the logs of those that are active.

use crate::epoch::{EpochHash, EpochRefused, EpochStatement};
use crdt::{PartitionId, PlacementId, RegionId, ReplicaId};
use ed25519_dalek::VerifyingKey;
use std::collections::{BTreeMap, BTreeSet};

/// The number of an epoch: the numbered, signed statement of which replicas are active in a placement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epoch(pub u64);

/// What an acknowledgement of a command means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// It is on stable storage in the region that took it.
    #[default]
    Region,
    /// And in another active one.
    Geo,
}

/// One placement under its current epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// Its number.
    pub id: PlacementId,
    /// The regions that the cluster file lets hold it, active or not.
    pub regions: BTreeSet<RegionId>,
    /// Verifies its epochs.
    pub key: VerifyingKey,
    /// What this region acknowledges there, and how soon it tells others what it has.
    pub durability: Durability,
    /// Which epoch this is; 0 before the first.
    pub epoch: Epoch,
    /// The hash of that epoch's statement; none before the first.
    pub statement: Option<EpochHash>,
    /// The active replicas with the keys that sign their commits. One a region.
    pub active: BTreeMap<ReplicaId, VerifyingKey>,
    /// The replicas that were active once, with the keys that signed their commits.
    pub closed: BTreeMap<ReplicaId, VerifyingKey>,
    /// Who took over the rights of each of those, by the epoch that closed it.
    pub heirs: BTreeMap<ReplicaId, ReplicaId>,
    /// Of each region of which a replica was closed, the region of the last one's heir.
    pub stand_ins: BTreeMap<RegionId, RegionId>,
    /// Whether this epoch's statement names heirs: then it is compared as a whole, since one that names others is another.
    pub names_heirs: bool,
}

/// All placements that a region knows of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Placements(BTreeMap<PlacementId, Placement>);

/// Proof that the peer is in the partition's placement at the current epoch. Cannot be built elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaySend {
    partition: PartitionId,
    peer: RegionId,
}

/// A partition and a region of which the one's placement does not hold the other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{region} has no part in {partition}, whose entries go only to regions of its placement: compare the cluster files"
)]
pub struct NoPart {
    /// The partition.
    pub partition: PartitionId,
    /// The region outside.
    pub region: RegionId,
}

impl Placements {
    /// These placements.
    #[must_use]
    pub fn new(placements: impl IntoIterator<Item = Placement>) -> Self {
        Self(placements.into_iter().map(|placement| (placement.id, placement)).collect())
    }

    /// The placement of that number, if it exists.
    #[must_use]
    pub fn get(&self, id: PlacementId) -> Option<&Placement> {
        self.0.get(&id)
    }

    /// All of them, by number.
    pub fn iter(&self) -> impl Iterator<Item = &Placement> {
        self.0.values()
    }

    /// Whether entries of that partition may go to that peer.
    ///
    /// # Errors
    /// [`NoPart`] when the peer has no active replica in the partition's placement.
    pub fn may_send(&self, partition: PartitionId, peer: RegionId) -> Result<MaySend, NoPart> {
        if self.holds(partition, peer) {
            Ok(MaySend { partition, peer })
        } else {
            Err(NoPart { partition, region: peer })
        }
    }

    /// Whether this region may take entries of that partition from that peer: both must have a part in it.
    ///
    /// # Errors
    /// [`NoPart`] naming the one that has no active replica in the partition's placement.
    pub fn may_receive(&self, partition: PartitionId, peer: RegionId, own: RegionId) -> Result<(), NoPart> {
        for region in [peer, own] {
            if !self.holds(partition, region) {
                return Err(NoPart { partition, region });
            }
        }
        Ok(())
    }

    fn holds(&self, partition: PartitionId, region: RegionId) -> bool {
        self.0.get(&partition.placement).is_some_and(|placement| placement.replica_of(region).is_some())
    }
}

impl Placement {
    /// A placement before its first epoch.
    #[must_use]
    pub fn new(id: PlacementId, regions: BTreeSet<RegionId>, key: VerifyingKey) -> Self {
        let (active, closed) = (BTreeMap::new(), BTreeMap::new());
        let (heirs, stand_ins, names_heirs) = (BTreeMap::new(), BTreeMap::new(), false);
        let (durability, epoch, statement) = (Durability::default(), Epoch(0), None);
        Self { id, regions, key, durability, epoch, statement, active, closed, heirs, stand_ins, names_heirs }
    }

    /// The placement under the epoch of that statement, which must be the next one.
    ///
    /// # Errors
    /// [`EpochRefused`] when it is not, or says what no epoch may.
    pub fn follow(&self, statement: &EpochStatement) -> Result<Self, EpochRefused> {
        let (placement, number) = (self.id, statement.number);
        if statement.placement != placement {
            return Err(EpochRefused::Foreign { expected: placement, found: statement.placement, number });
        }
        if !statement.is_signed_by(&self.key) {
            return Err(EpochRefused::Signature { placement, number });
        }
        if number == self.epoch
            && let Some(expected) = self.statement
        {
            return Err(EpochRefused::Fork { placement, number, expected, found: statement.hash() });
        }
        if number.0 != self.epoch.0 + 1 {
            return Err(EpochRefused::Gap { placement, number: Epoch(self.epoch.0 + 1) });
        }
        if statement.previous != self.statement {
            let none = EpochHash([0; 32]);
            let (expected, found) = (self.statement.unwrap_or(none), statement.previous.unwrap_or(none));
            return Err(EpochRefused::Fork { placement, number, expected, found });
        }
        self.judge(statement)?;
        let (mut closed, mut heirs) = (self.closed.clone(), self.heirs.clone());
        let mut stand_ins = self.stand_ins.clone();
        for (replica, key) in
            self.active.iter().filter(|(replica, _)| !statement.active.contains_key(replica))
        {
            closed.insert(*replica, *key);
            let heir = statement.heirs.get(replica).copied().or_else(|| self.heir_in(&statement.active));
            heirs.extend(heir.map(|heir| (*replica, heir)));
            stand_ins.extend(heir.map(|heir| (replica.region, heir.region)));
        }
        let (active, names_heirs) = (statement.active.clone(), !statement.heirs.is_empty());
        let (statement, regions) = (Some(statement.hash()), self.regions.clone());
        Ok(Self { epoch: number, statement, active, closed, heirs, stand_ins, names_heirs, regions, ..*self })
    }

    /// Whether a statement says what an epoch may.
    fn judge(&self, statement: &EpochStatement) -> Result<(), EpochRefused> {
        let (placement, number) = (self.id, statement.number);
        if statement.active.is_empty() {
            return Err(EpochRefused::Nobody { placement, number });
        }
        let mut last = None;
        // Replicas are ordered by region first, so two of one region stand side by side.
        for (replica, key) in &statement.active {
            let (replica, region) = (*replica, replica.region);
            if last == Some(region) {
                return Err(EpochRefused::TwoReplicas { placement, number, region });
            }
            if !self.regions.contains(&region) {
                return Err(EpochRefused::Outside { placement, number, region });
            }
            if self.closed.contains_key(&replica) {
                return Err(EpochRefused::Reopened { placement, number, replica });
            }
            if self.active.get(&replica).is_some_and(|before| before != key) {
                return Err(EpochRefused::OtherKey { placement, number, replica });
            }
            last = Some(region);
        }
        for (closed, heir) in &statement.heirs {
            let closes = self.active.contains_key(closed) && !statement.active.contains_key(closed);
            if !closes || !statement.active.contains_key(heir) {
                let (closed, heir) = (*closed, *heir);
                return Err(EpochRefused::Heir { placement, number, closed, heir });
            }
        }
        Ok(())
    }

    /// The replicas that are or were active, in order: a replica's index here is its number on a bridge.
    pub fn origins(&self) -> impl Iterator<Item = ReplicaId> + '_ {
        // Sorted as a whole: a region's incarnations are random numbers.
        self.active.keys().chain(self.closed.keys()).copied().collect::<BTreeSet<_>>().into_iter()
    }

    /// The key that signs, or signed, a replica's commits; none if it was never active.
    #[must_use]
    pub fn key_of(&self, origin: ReplicaId) -> Option<&VerifyingKey> {
        self.active.get(&origin).or_else(|| self.closed.get(&origin))
    }

    /// A hash over the epoch's number, its active replicas and their keys: two regions stand in the same epoch if theirs are equal.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key("archipelago epoch fingerprint");
        hasher.update(&self.id.0.to_be_bytes()).update(&self.epoch.0.to_be_bytes());
        for (replica, key) in &self.active {
            hasher.update(&replica.region.0.to_be_bytes()).update(&replica.incarnation.0.to_be_bytes());
            hasher.update(key.as_bytes());
        }
        if let Some(statement) = self.statement.filter(|_| self.names_heirs) {
            hasher.update(&statement.0);
        }
        *hasher.finalize().as_bytes()
    }

    /// Who takes over the rights of those that the next epoch closes, with these active, if it names nobody.
    #[must_use]
    pub fn heir_in(&self, next: &BTreeMap<ReplicaId, VerifyingKey>) -> Option<ReplicaId> {
        // One that is only admitted may be long in coming.
        let stays = next.keys().find(|replica| self.active.contains_key(replica));
        stays.or_else(|| next.keys().next()).copied()
    }

    /// Whoever takes over that replica's rights, one after the other: its heir, that one's if it is closed as well, up to one that is active. Nobody if it is active itself.
    pub fn heirs_of(&self, replica: ReplicaId) -> impl Iterator<Item = ReplicaId> + '_ {
        // An heir was active when whom it follows was closed, so nobody comes twice.
        std::iter::successors(self.heirs.get(&replica), |heir| self.heirs.get(heir)).copied()
    }

    /// The closed replicas whose rights are that one's to take over.
    pub fn followed_by(&self, heir: ReplicaId) -> impl Iterator<Item = ReplicaId> + '_ {
        self.closed.keys().copied().filter(move |closed| self.heirs_of(*closed).last() == Some(heir))
    }

    /// The region that does what was that region's to do: itself while it has an active replica, else that of its last one's heir, or whoever does it for that one.
    #[must_use]
    pub fn stand_in_for(&self, region: RegionId) -> RegionId {
        let mut at = region;
        // Each was active when the one before it was closed for the last time, so nobody comes twice.
        while self.replica_of(at).is_none()
            && let Some(next) = self.stand_ins.get(&at)
        {
            at = *next;
        }
        at
    }

    /// Whether a command is acknowledged once a second region has it.
    #[must_use]
    pub const fn is_geo(&self) -> bool {
        matches!(self.durability, Durability::Geo)
    }

    /// The active replica of that region, if it has one.
    #[must_use]
    pub fn replica_of(&self, region: RegionId) -> Option<ReplicaId> {
        self.active.keys().copied().find(|replica| replica.region == region)
    }
}

impl MaySend {
    /// The partition whose entries may go.
    #[must_use]
    pub fn partition(&self) -> PartitionId {
        self.partition
    }

    /// Where they may go.
    #[must_use]
    pub fn peer(&self) -> RegionId {
        self.peer
    }
}
