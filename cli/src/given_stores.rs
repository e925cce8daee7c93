//! Which replicas were given a store that was made from another one, be it a copy (`restore.rs`) or a snapshot (`join/`): a file for each in the cluster's folder.
//!
//! What must always hold: a replica is given one store. A second one would issue again what the first has issued, and where a region is alone nobody could tell. The file names the store, so that a call which
//! was cut short after it can go on with that one, and with no other.

use crate::cluster_folder::ClusterFolder;
use crate::failure::Failure;
use crate::write_file::write_public;
use crdt::ReplicaId;
use region::cluster::ClusterPlacement;
use replication::StoreId;
use serde_json::{Value, json};
use std::io::ErrorKind;
use std::path::PathBuf;

/// What the folder knows of a replica's store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Given {
    /// It was given none.
    Nothing,
    /// It was given this one.
    This,
    /// It was given another one.
    Another,
}

/// Notes that a replica is given that store.
///
/// # Errors
/// When it was given one before; when the note cannot be written.
pub(crate) fn note_given(
    folder: &ClusterFolder,
    placement: &ClusterPlacement,
    replica: ReplicaId,
    (store, what): (StoreId, &Value),
) -> Result<(), Failure> {
    let path = note(folder, placement, replica);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(Failure::write(parent))?;
    }
    write_public(&path, &json!({ "store": in_text(store), "what": what }).to_string())
}

/// Whether a replica was given a store, and whether it is this one.
///
/// # Errors
/// When the note cannot be read.
pub(crate) fn given(
    folder: &ClusterFolder,
    placement: &ClusterPlacement,
    replica: ReplicaId,
    store: Option<StoreId>,
) -> Result<Given, Failure> {
    let path = note(folder, placement, replica);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Given::Nothing),
        Err(error) => return Err(Failure::read(&path)(error)),
    };
    // One that was not written to its end, or by a version that named no store, names none that is here.
    let noted: Value = serde_json::from_str(&text).unwrap_or_default();
    let is_this = store.is_some_and(|store| noted["store"] == in_text(store));
    Ok(if is_this { Given::This } else { Given::Another })
}

fn note(folder: &ClusterFolder, placement: &ClusterPlacement, replica: ReplicaId) -> PathBuf {
    folder.root().join(format!("restored/{}-{replica}.json", placement.name))
}

fn in_text(store: StoreId) -> String {
    format!("{:032x}", store.0)
}
