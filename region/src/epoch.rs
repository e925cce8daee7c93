//! The files of epochs, and the placement that a row of statements amounts to.
//!
//! What must always hold: a [`Placement`] comes only out of an unbroken, rightly signed row of statements that begins with number 1, in whatever order they are read;
//! a file has one form, and the first mistake in one is named with its line. What a statement says, and what is refused of it, is in `replication::epoch`.

use crate::cluster::ClusterPlacement;
use crate::read_toml::{FileMistake, Key, Section, Unique, bytes_of_hex, hex, read_file};
use crdt::ReplicaId;
use ed25519_dalek::VerifyingKey;
use replication::epoch::{EpochHash, EpochRefused, EpochStatement};
use replication::placement::{Epoch, Placement};
use std::collections::BTreeMap;

/// Bytes of a statement's file: 64 replicas take 9 KiB. A larger file is refused.
pub const EPOCH_FILE_BYTES_MAX: usize = 64 << 10;

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
const HEIR: Key = Key { name: "heir", form: "a table for each heir", example: "[[heir]]" };
const CLOSED: Key = Key {
    name: "closed",
    form: "the id of a replica that the epoch closes",
    example: "closed = \"r1.00000000000000ff\"",
};
const TAKES_OVER: Key = Key {
    name: "takes_over",
    form: "the id of the active replica that takes over its rights",
    example: "takes_over = \"r2.00000000000000ff\"",
};
const REPLICA_KEY: Key = Key {
    name: "key",
    form: "an Ed25519 public key as 64 hexadecimal digits",
    example: "key = \"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a\"",
};

/// Reads a statement's file. Nothing is verified yet: see [`current_placement`].
///
/// # Errors
/// The first mistake, with its line.
pub fn parse(text: &str) -> Result<EpochStatement, FileMistake> {
    read_file(text, EPOCH_FILE_BYTES_MAX, |file| {
        file.only(&["placement", "number", "previous", "signature", "active", "heir"])?;
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
        let (active, heirs) = (active(file)?, heirs(file)?);
        Ok(EpochStatement { placement, number, previous, active, heirs, signature })
    })
}

/// A statement as a file; parsing it gives the same statement.
#[must_use]
pub fn to_toml(statement: &EpochStatement) -> String {
    let EpochStatement { placement, number, previous, active, heirs, signature } = statement;
    let mut text = format!(
        "# Which replicas are active in placement {placement} from epoch {} on. Signed with the placement's key.\n\
         placement = \"{placement}\"\nnumber = {}\n",
        number.0, number.0
    );
    if let Some(previous) = previous {
        text.push_str(&format!("previous = \"{previous}\"\n"));
    }
    text.push_str(&format!("signature = \"{}\"\n", hex(signature)));
    for (replica, key) in active {
        text.push_str(&format!("\n[[active]]\nreplica = \"{replica}\"\nkey = \"{}\"\n", hex(key.as_bytes())));
    }
    for (closed, heir) in heirs {
        text.push_str(&format!("\n[[heir]]\nclosed = \"{closed}\"\ntakes_over = \"{heir}\"\n"));
    }
    text
}

/// The placement under the last of these statements, which may come in any order, and the same one more than once.
///
/// # Errors
/// [`EpochRefused`] when they are not the unbroken, rightly signed row of that placement's epochs from number 1 on.
pub fn current_placement(
    placement: &ClusterPlacement,
    statements: &[EpochStatement],
) -> Result<Placement, EpochRefused> {
    let mut current = Placement {
        durability: placement.durability,
        ..Placement::new(placement.id, placement.regions.clone(), placement.key)
    };
    let mut ordered: Vec<&EpochStatement> = statements.iter().collect();
    ordered.sort_by_key(|statement| statement.number);
    for statement in ordered {
        if statement.number == current.epoch && current.statement == Some(statement.hash()) {
            continue;
        }
        current = current.follow(statement)?;
    }
    if current.epoch == Epoch(0) {
        return Err(EpochRefused::Gap { placement: placement.id, number: Epoch(1) });
    }
    Ok(current)
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

fn heirs(file: &Section<'_>) -> Result<BTreeMap<ReplicaId, ReplicaId>, FileMistake> {
    let mut followed = Unique::new(CLOSED, "[[heir]]");
    let mut heirs = BTreeMap::new();
    for section in file.sections(HEIR, "[[heir]]", crate::cluster::REGIONS_MAX)? {
        section.only(&["closed", "takes_over"])?;
        let replica = |text: &str| text.parse().ok();
        let closed: ReplicaId = parsed(&section, CLOSED, replica)?;
        followed.take(section.line(), closed)?;
        heirs.insert(closed, parsed(&section, TAKES_OVER, replica)?);
    }
    Ok(heirs)
}

/// A text of some form, parsed.
fn parsed<T>(section: &Section<'_>, key: Key, parse: impl Fn(&str) -> Option<T>) -> Result<T, FileMistake> {
    let text = section.text(key)?;
    parse(text.value).ok_or_else(|| FileMistake::form(text.line, key, text.value))
}
