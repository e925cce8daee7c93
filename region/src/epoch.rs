//! Epochs: the numbered, signed statements of which replicas are active in a placement.
//!
//! Each statement names the hash of the one before it and is signed with the placement's key, which operators hold and no
//! region does. So there is one order of epochs, and a second statement of the same number is a fork.
//!
//! What must always hold: a [`Placement`] comes only out of an unbroken, rightly signed row of statements that begins with
//! number 1. Refused by name: a statement of another placement, a bad signature, a fork, a gap, a region that the cluster
//! file does not put into the placement, two replicas of one region.

use crate::cluster::ClusterPlacement;
use crate::read_toml::{FileMistake, Key, Section, Unique, bytes_of_hex, hex, read_file};
use crdt::{PlacementId, RegionId, ReplicaId};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use replication::placement::{Epoch, Placement};
use std::collections::BTreeMap;
use std::fmt;

/// Bytes of a statement's file: 64 replicas take 9 KiB. A larger file is refused.
pub const EPOCH_FILE_BYTES_MAX: usize = 64 << 10;

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
    /// Ed25519 of the placement's key over all of the above.
    pub signature: [u8; 64],
}

/// Why an epoch, or a row of them, is not followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EpochRefused {
    /// The file cannot be read as a statement.
    #[error("the epoch's file has a mistake: {0}")]
    File(#[from] FileMistake),
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
}

const PLACEMENT: Key = Key { name: "placement", form: "a placement's number", example: "placement = \"p1\"" };
const NUMBER: Key = Key { name: "number", form: "a number from 1", example: "number = 1" };
const PREVIOUS: Key = Key {
    name: "previous",
    form: "the hash of the epoch before as 64 hexadecimal digits, in every epoch but the first",
    example: "previous = \"6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b\"",
};
const SIGNATURE: Key = Key {
    name: "signature",
    form: "an Ed25519 signature as 128 hexadecimal digits",
    example: "signature = \"…\"",
};
const ACTIVE: Key = Key { name: "active", form: "a table for each active replica", example: "[[active]]" };
const REPLICA: Key =
    Key { name: "replica", form: "a replica's id", example: "replica = \"r1.00000000000000ff\"" };
const REPLICA_KEY: Key = Key {
    name: "key",
    form: "an Ed25519 public key as 64 hexadecimal digits",
    example: "key = \"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a\"",
};

impl EpochStatement {
    /// States and signs an epoch that follows `previous`; the first one follows none.
    #[must_use]
    pub fn sign(
        placement: PlacementId,
        previous: Option<&Self>,
        active: BTreeMap<ReplicaId, VerifyingKey>,
        key: &SigningKey,
    ) -> Self {
        let number = Epoch(previous.map_or(1, |previous| previous.number.0 + 1));
        let previous = previous.map(Self::hash);
        let mut statement = Self { placement, number, previous, active, signature: [0; 64] };
        statement.signature = key.sign(&statement.canonical()).to_bytes();
        statement
    }

    /// Reads a statement's file. Nothing is verified yet: see [`current_placement`].
    ///
    /// # Errors
    /// The first mistake, with its line.
    pub fn parse(text: &str) -> Result<Self, FileMistake> {
        read_file(text, EPOCH_FILE_BYTES_MAX, |file| {
            file.only(&["placement", "number", "previous", "signature", "active"])?;
            let placement = parsed(file, PLACEMENT, |text| text.parse().ok())?;
            let number = Epoch(file.number(NUMBER, u64::MAX)?.value);
            let previous = match file.optional_text(PREVIOUS)? {
                None => None,
                Some(hash) => {
                    let parsed = bytes_of_hex(hash.value);
                    let refuse = || FileMistake::form(hash.line, PREVIOUS, hash.value);
                    Some(EpochHash(parsed.ok_or_else(refuse)?))
                }
            };
            let signature = parsed(file, SIGNATURE, bytes_of_hex)?;
            Ok(Self { placement, number, previous, active: active(file)?, signature })
        })
    }

    /// The statement as a file; parsing it gives the same statement.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut text = format!(
            "# Which replicas are active in placement {} from epoch {} on. Signed with the placement's key.\n\
             placement = \"{}\"\nnumber = {}\n",
            self.placement, self.number.0, self.placement, self.number.0
        );
        if let Some(previous) = self.previous {
            text.push_str(&format!("previous = \"{previous}\"\n"));
        }
        text.push_str(&format!("signature = \"{}\"\n", hex(&self.signature)));
        for (replica, key) in &self.active {
            text.push_str(&format!(
                "\n[[active]]\nreplica = \"{replica}\"\nkey = \"{}\"\n",
                hex(key.as_bytes())
            ));
        }
        text
    }

    /// What its successor names: a hash over everything but the signature.
    #[must_use]
    pub fn hash(&self) -> EpochHash {
        EpochHash(*blake3::hash(&self.canonical()).as_bytes())
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
        bytes
    }

    fn verify(&self, placement: &ClusterPlacement) -> Result<(), EpochRefused> {
        let number = self.number;
        if self.placement != placement.id {
            return Err(EpochRefused::Foreign { expected: placement.id, found: self.placement, number });
        }
        let signature = Signature::from_bytes(&self.signature);
        let placement_id = placement.id;
        placement
            .key
            .verify_strict(&self.canonical(), &signature)
            .map_err(|_| EpochRefused::Signature { placement: placement_id, number })?;
        let mut last = None;
        // Replicas are ordered by region first, so two of one region stand side by side.
        for region in self.active.keys().map(|replica| replica.region) {
            if last == Some(region) {
                return Err(EpochRefused::TwoReplicas { placement: placement_id, number, region });
            }
            if !placement.regions.contains(&region) {
                return Err(EpochRefused::Outside { placement: placement_id, number, region });
            }
            last = Some(region);
        }
        Ok(())
    }
}

/// The placement under the last of these statements, which may come in any order.
///
/// # Errors
/// [`EpochRefused`] when they are not the unbroken, rightly signed row of that placement's epochs from number 1 on.
pub fn current_placement(
    placement: &ClusterPlacement,
    statements: &[EpochStatement],
) -> Result<Placement, EpochRefused> {
    let mut ordered: Vec<&EpochStatement> = statements.iter().collect();
    ordered.sort_by_key(|statement| statement.number);
    let mut last: Option<&EpochStatement> = None;
    for statement in ordered {
        statement.verify(placement)?;
        follows(placement.id, last, statement)?;
        last = Some(statement);
    }
    let last = last.ok_or(EpochRefused::Gap { placement: placement.id, number: Epoch(1) })?;
    Ok(Placement { id: placement.id, epoch: last.number, active: last.active.clone() })
}

/// Refuses a statement that is not the one after `last`. The same statement twice is once.
fn follows(
    placement: PlacementId,
    last: Option<&EpochStatement>,
    statement: &EpochStatement,
) -> Result<(), EpochRefused> {
    let number = statement.number;
    let fork = |expected, found| Err(EpochRefused::Fork { placement, number, expected, found });
    let none = EpochHash([0; 32]);
    let expected = last.map_or(1, |last| last.number.0 + 1);
    match last {
        Some(last) if last.number == number && last.hash() == statement.hash() => Ok(()),
        Some(last) if last.number == number => fork(last.hash(), statement.hash()),
        Some(_) | None if number.0 != expected => {
            Err(EpochRefused::Gap { placement, number: Epoch(expected) })
        }
        Some(_) | None if statement.previous != last.map(EpochStatement::hash) => {
            fork(last.map_or(none, EpochStatement::hash), statement.previous.unwrap_or(none))
        }
        Some(_) | None => Ok(()),
    }
}

impl fmt::Display for EpochHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for EpochHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EpochHash({self})")
    }
}

fn active(file: &Section<'_>) -> Result<BTreeMap<ReplicaId, VerifyingKey>, FileMistake> {
    let mut replicas = Unique::new(REPLICA, "[[active]]");
    let mut active = BTreeMap::new();
    for section in file.sections(ACTIVE, "[[active]]", crate::cluster::REGIONS_MAX)? {
        section.only(&["replica", "key"])?;
        let replica: ReplicaId = parsed(&section, REPLICA, |text| text.parse().ok())?;
        replicas.take(section.line(), replica)?;
        let key = parsed(&section, REPLICA_KEY, |text| VerifyingKey::from_bytes(&bytes_of_hex(text)?).ok())?;
        active.insert(replica, key);
    }
    Ok(active)
}

/// A text of some form, parsed.
fn parsed<T>(section: &Section<'_>, key: Key, parse: impl Fn(&str) -> Option<T>) -> Result<T, FileMistake> {
    let text = section.text(key)?;
    parse(text.value).ok_or_else(|| FileMistake::form(text.line, key, text.value))
}
