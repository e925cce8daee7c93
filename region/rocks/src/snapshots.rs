//! Makes the snapshots that other regions take of this one's stores (`replication_quic::GivenSnapshot`).
//!
//! What must always hold: nothing is made before the core has said who may take it (`replication::snapshot::may_take`), under the epochs in which this region's shards stand; of a placement in which
//! this region lacks itself what others hold nothing is given; the links go when nobody reads them any more.

use crate::bridges::BridgeHub;
use crate::checkpoints::{self, Purpose};
use crate::handle::Behind;
use crate::store::Reader;
use crdt::RegionId;
use region::cluster::Cluster;
use region::log_view::StoreLog;
use region::store::View;
use replication::log::LogView as _;
use replication::reason::Reason;
use replication::snapshot::{Asked, File, MayTake, Offered, is_plain, may_take};
use replication_quic::GivenSnapshot;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// What is needed to make them.
#[derive(Debug, Clone)]
pub(crate) struct Snapshots {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) region: RegionId,
    pub(crate) data: PathBuf,
    pub(crate) hub: BridgeHub,
    pub(crate) behind: Behind,
    /// Held while a checkpoint is made, for whomever.
    pub(crate) checkpoint: Arc<Mutex<()>>,
}

/// Removes the links when it is dropped.
struct Links(PathBuf);

impl Snapshots {
    /// Whether that region may take what it asks for, as things stand.
    pub(crate) fn judge(&self, from: RegionId, asked: &Asked) -> Result<MayTake, Reason> {
        let placements = self.hub.placements();
        let own = (self.cluster.name.as_str(), self.region, &*placements.borrow());
        let proof = may_take(asked, from, own)?;
        if self.behind.is_behind(proof.placement()) {
            return Err(Reason::Behind(proof.placement()));
        }
        Ok(proof)
    }

    /// Makes one. It waits for the disk.
    pub(crate) fn make(
        &self,
        proof: MayTake,
        format_max: u64,
        reader: &Reader,
    ) -> Result<GivenSnapshot, Reason> {
        let placement = proof.placement();
        let failed =
            |reason: &dyn std::fmt::Display| Reason::NoSnapshot { placement, reason: reason.to_string() };
        // The snapshot would say so too, once all of it had come.
        let log = StoreLog::new(self.region, [(placement, reader as &dyn View)]);
        if log.seen_start(placement, proof.replica()).map_err(|error| failed(&error))?.is_some() {
            return Err(Reason::OtherStore { placement, replica: proof.replica() });
        }
        let name = &self.cluster.placements.get(&placement).ok_or_else(|| failed(&"it has no name"))?.name;
        // Whoever broke off left nothing that the next one does not remove.
        let one_at_a_time = self.checkpoint.lock().unwrap_or_else(PoisonError::into_inner);
        let links = Links(checkpoints::folder(&self.data, Purpose::Snapshot, name));
        let made = checkpoints::make(&self.data, Purpose::Snapshot, name, reader);
        drop(one_at_a_time);
        let made = made.map_err(|error| failed(&error))?;
        if made.format > format_max {
            return Err(Reason::NewerFormat { found: made.format, known: format_max });
        }
        let files = files(&links.0).map_err(|error| failed(&error))?;
        Ok(GivenSnapshot {
            folder: links.0.clone(),
            offered: Offered { store: made.store, files },
            kept: Box::new(links),
        })
    }
}

/// A folder's files, sorted by name.
fn files(folder: &Path) -> std::io::Result<Vec<File>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().into_string().unwrap_or_default();
        if !is_plain(&name) {
            return Err(std::io::Error::other(format!(
                "the engine has a file {name:?}, which cannot be sent"
            )));
        }
        files.push(File { name, bytes: entry.metadata()?.len() });
    }
    files.sort();
    Ok(files)
}

impl Drop for Links {
    fn drop(&mut self) {
        if let Err(error) = checkpoints::remove_folder(&self.0) {
            tracing::error!(
                folder = %self.0.display(), %error,
                "a snapshot that was taken cannot be removed: the region's next start removes it"
            );
        }
    }
}
