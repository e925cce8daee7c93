//! Epochs: the numbered, signed statements of which replicas are active in a placement.
//!
//! Each statement names the hash of the one before it and is signed with the placement's key, which operators hold and no region does. So there is one order of
//! epochs, and a second statement of the same number is a fork. Statements travel by hand or over bridges, late and in any order; each region follows them one
//! by one ([`Placement::follow`](crate::placement::Placement::follow)), and two regions speak of a placement only once both stand in the same epoch (`learn_epochs.rs`).
//!
//! What must always hold: reading is total, a statement has one canonical form, and its signature covers all of that.

use crate::placement::{Epoch, Placement};
use crate::proto;
use bytes::Bytes;
use crdt::{Incarnation, PlacementId, RegionId, ReplicaId};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use prost::Message as _;
use std::collections::BTreeMap;
use std::fmt;

/// The hash of a statement, which its successor names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct EpochHash(pub [u8; 32]);

/// Which replicas are active in a placement from an epoch on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpochStatement {
    /// Of which placement.
    pub placement: PlacementId,
    /// Its number, from 1.
    pub number: Epoch,
    /// The hash of the statement before it; none for the first.
    pub previous: Option<EpochHash>,
    /// The active replicas, with the keys that sign their commits.
    pub active: BTreeMap<ReplicaId, VerifyingKey>,
    /// Who takes over the rights of a replica that this epoch closes, where it is not the first one that stays active.
    pub heirs: BTreeMap<ReplicaId, ReplicaId>,
    /// Ed25519 of the placement's key over all of the above.
    pub signature: [u8; 64],
}

/// Why an epoch is not followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EpochRefused {
    /// Bytes that are no statement.
    #[error("not the statement of an epoch: get it again from an operator")]
    Malformed,
    /// A statement of another placement.
    #[error("epoch {} of {found} was given for placement {expected}: put it with its own placement", .number.0)]
    Foreign {
        /// Whose epochs were asked for.
        expected: PlacementId,
        /// Whose statement it is.
        found: PlacementId,
        /// Its number.
        number: Epoch,
    },
    /// A statement of a placement that this region does not hold.
    #[error("epoch {} of {placement} concerns a placement that this region does not hold: give it to one that does", .number.0)]
    NotHeld {
        /// Its placement.
        placement: PlacementId,
        /// Its number.
        number: Epoch,
    },
    /// Not signed with the placement's key.
    #[error("epoch {} of {placement} is not signed with the placement's key: get it again from an operator", .number.0)]
    Signature {
        /// Its placement.
        placement: PlacementId,
        /// Its number.
        number: Epoch,
    },
    /// Two statements of one number, or one that follows another statement than the one before it.
    #[error("epoch {} of {placement} is a fork: {found} stands where {expected} was expected; ask the operators which one holds", .number.0)]
    Fork {
        /// Its placement.
        placement: PlacementId,
        /// Where the row splits.
        number: Epoch,
        /// The hash that was expected.
        expected: EpochHash,
        /// The hash that was found.
        found: EpochHash,
    },
    /// A statement is missing.
    #[error("epoch {} of {placement} is missing: get its file from an operator", .number.0)]
    Gap {
        /// Its placement.
        placement: PlacementId,
        /// The number that is missing.
        number: Epoch,
    },
    /// An active replica of a region that the cluster file does not put into the placement.
    #[error("epoch {} of {placement} names {region}, which the cluster file does not put into the placement: correct that file, or get the epoch again from an operator", .number.0)]
    Outside {
        /// Its placement.
        placement: PlacementId,
        /// Its number.
        number: Epoch,
        /// The region.
        region: RegionId,
    },
    /// Two active replicas of one region.
    #[error("epoch {} of {placement} names two replicas of {region}, and a region is one: get it again from an operator", .number.0)]
    TwoReplicas {
        /// Its placement.
        placement: PlacementId,
        /// Its number.
        number: Epoch,
        /// The region.
        region: RegionId,
    },
    /// No active replica at all.
    #[error("epoch {} of {placement} leaves no replica active: get it again from an operator", .number.0)]
    Nobody {
        /// Its placement.
        placement: PlacementId,
        /// Its number.
        number: Epoch,
    },
    /// A replica that an earlier epoch closed.
    #[error("epoch {} of {placement} admits {replica} again, which an earlier one closed: a store returns as a new incarnation", .number.0)]
    Reopened {
        /// Its placement.
        placement: PlacementId,
        /// Its number.
        number: Epoch,
        /// The replica.
        replica: ReplicaId,
    },
    /// An heir who is not active, or of one that this epoch does not close.
    #[error("epoch {} of {placement} names {heir} the heir of {closed}: an heir is active in it, and of one that it closes; state it again", .number.0)]
    Heir {
        /// Its placement.
        placement: PlacementId,
        /// Its number.
        number: Epoch,
        /// Who is to be followed.
        closed: ReplicaId,
        /// By whom.
        heir: ReplicaId,
    },
    /// A replica under another key than before.
    #[error("epoch {} of {placement} gives {replica} another key: what it signed before could not be verified; a new key takes a new incarnation", .number.0)]
    OtherKey {
        /// Its placement.
        placement: PlacementId,
        /// Its number.
        number: Epoch,
        /// The replica.
        replica: ReplicaId,
    },
}

impl EpochStatement {
    /// States and signs the epoch that follows the one in which a placement stands. Whoever it closes is followed by the first replica that stays active.
    #[must_use]
    pub fn sign(after: &Placement, active: BTreeMap<ReplicaId, VerifyingKey>, key: &SigningKey) -> Self {
        Self::sign_with_heirs(after, active, BTreeMap::new(), key)
    }

    /// The same, with other heirs.
    #[must_use]
    pub fn sign_with_heirs(
        after: &Placement,
        active: BTreeMap<ReplicaId, VerifyingKey>,
        heirs: BTreeMap<ReplicaId, ReplicaId>,
        key: &SigningKey,
    ) -> Self {
        let (placement, number, previous) = (after.id, Epoch(after.epoch.0 + 1), after.statement);
        let mut statement = Self { placement, number, previous, active, heirs, signature: [0; 64] };
        statement.signature = key.sign(&statement.canonical()).to_bytes();
        statement
    }

    /// What its successor names: a hash over everything but the signature.
    #[must_use]
    pub fn hash(&self) -> EpochHash {
        EpochHash(*blake3::hash(&self.canonical()).as_bytes())
    }

    /// Whether the placement's key signed it.
    pub(crate) fn is_signed_by(&self, key: &VerifyingKey) -> bool {
        key.verify_strict(&self.canonical(), &Signature::from_bytes(&self.signature)).is_ok()
    }

    /// What the signature covers: every field, each of a fixed length or preceded by its count.
    fn canonical(&self) -> Vec<u8> {
        let mut bytes = b"archipelago epoch\0".to_vec();
        bytes.extend_from_slice(&self.placement.0.to_be_bytes());
        bytes.extend_from_slice(&self.number.0.to_be_bytes());
        match self.previous {
            None => bytes.push(0),
            Some(previous) => {
                bytes.push(1);
                bytes.extend_from_slice(&previous.0);
            }
        }
        bytes.extend_from_slice(&(self.active.len() as u64).to_be_bytes());
        for (replica, key) in &self.active {
            bytes.extend_from_slice(&replica.region.0.to_be_bytes());
            bytes.extend_from_slice(&replica.incarnation.0.to_be_bytes());
            bytes.extend_from_slice(key.as_bytes());
        }
        // Statements of before heirs were named say nothing here, so that what was signed then still is.
        if !self.heirs.is_empty() {
            bytes.extend_from_slice(&(self.heirs.len() as u64).to_be_bytes());
        }
        for replica in self.heirs.iter().flat_map(|(closed, heir)| [closed, heir]) {
            bytes.extend_from_slice(&replica.region.0.to_be_bytes());
            bytes.extend_from_slice(&replica.incarnation.0.to_be_bytes());
        }
        bytes
    }

    /// As bridges carry it and stores keep it.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        self.to_proto().encode_to_vec().into()
    }

    /// Reads that.
    ///
    /// # Errors
    /// [`EpochRefused::Malformed`]: the bytes are not the one encoding of a statement.
    pub fn decode(bytes: &Bytes) -> Result<Self, EpochRefused> {
        let decoded = proto::EpochStatement::decode(bytes.clone()).map_err(|_| EpochRefused::Malformed)?;
        let statement = Self::from_proto(&decoded).ok_or(EpochRefused::Malformed)?;
        if statement.encode() == bytes { Ok(statement) } else { Err(EpochRefused::Malformed) }
    }

    pub(crate) fn to_proto(&self) -> proto::EpochStatement {
        let active = |(replica, key): (&ReplicaId, &VerifyingKey)| proto::ActiveReplica {
            region: replica.region.0.into(),
            incarnation: replica.incarnation.0,
            key: key.as_bytes().to_vec().into(),
        };
        let heir = |(closed, heir): (&ReplicaId, &ReplicaId)| proto::Heir {
            region: closed.region.0.into(),
            incarnation: closed.incarnation.0,
            heir_region: heir.region.0.into(),
            heir_incarnation: heir.incarnation.0,
        };
        proto::EpochStatement {
            heirs: self.heirs.iter().map(heir).collect(),
            placement: self.placement.0.into(),
            number: self.number.0,
            previous: self.previous.map_or_else(Bytes::new, |hash| hash.0.to_vec().into()),
            active: self.active.iter().map(active).collect(),
            signature: self.signature.to_vec().into(),
        }
    }

    pub(crate) fn from_proto(decoded: &proto::EpochStatement) -> Option<Self> {
        let previous = if decoded.previous.is_empty() {
            None
        } else {
            Some(EpochHash(decoded.previous[..].try_into().ok()?))
        };
        let replica = |region: u32, incarnation| {
            let region = RegionId(u16::try_from(region).ok()?);
            Some(ReplicaId { region, incarnation: Incarnation(incarnation) })
        };
        let mut heirs = BTreeMap::new();
        for heir in &decoded.heirs {
            let closed = replica(heir.region, heir.incarnation)?;
            heirs.insert(closed, replica(heir.heir_region, heir.heir_incarnation)?);
        }
        let mut active = BTreeMap::new();
        for one in &decoded.active {
            let id = replica(one.region, one.incarnation)?;
            active.insert(id, VerifyingKey::from_bytes(&one.key[..].try_into().ok()?).ok()?);
        }
        Some(Self {
            placement: PlacementId(u16::try_from(decoded.placement).ok()?),
            number: Epoch(decoded.number),
            previous,
            active,
            heirs,
            signature: decoded.signature[..].try_into().ok()?,
        })
    }
}

impl fmt::Display for EpochHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for EpochHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EpochHash({self})")
    }
}
