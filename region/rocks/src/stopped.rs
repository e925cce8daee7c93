//! A region's stores while it does not run: opened for an operator who verifies, repairs, restores or backs them up.
//!
//! What must always hold: the folder is locked as by the region itself, so the two never meet; no store is made or counted as started; a store of another region or
//! placement, or of a format that this version does not read, is refused by name. A placement in which the region never had a store, or has none any more, has none here.

use crate::data_folder::{DataFolder, FolderRefused};
use crate::engine::SharedMemory;
use crate::lock::LockRefused;
use crate::store::RocksStore;
use crdt::{PlacementId, RegionId, ReplicaId};
use region::cluster::{Cluster, ClusterPlacement};
use region::meta::{self, Expected, MetaRefused};
use region::store::StoreError;
use std::path::{Path, PathBuf};

/// The stores, in this process's hands.
#[derive(Debug)]
pub struct Stopped {
    /// One a placement of the region, in the order of the placements.
    pub stores: Vec<StoppedStore>,
    folder: DataFolder,
}

/// One of them.
#[derive(Debug)]
pub struct StoppedStore {
    /// Of which placement.
    pub placement: PlacementId,
    /// Its name.
    pub name: String,
    /// The format of its records.
    pub format: u64,
    /// What it holds.
    pub store: RocksStore,
}

/// Why they cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum StoppedRefused {
    /// There is no store.
    #[error("{} holds no store of placement {placement}: name the data folder that the region was started with", .folder.display())]
    NoStore {
        /// Of which placement.
        placement: String,
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// The folder is in use, or cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderRefused),
    /// A store cannot be opened or read.
    #[error("placement {placement}: {error}")]
    Store {
        /// Whose store.
        placement: String,
        /// Why.
        error: StoreError,
    },
    /// A store is another's, or of another version.
    #[error("placement {placement}: {error}")]
    Meta {
        /// Whose store.
        placement: String,
        /// Why.
        error: MetaRefused,
    },
}

impl StoppedRefused {
    /// Whether another process has the data folder: the region runs.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        matches!(self, Self::Folder(FolderRefused::Lock(LockRefused::Held { .. })))
    }
}

impl Stopped {
    /// Opens the stores that a region has in that folder: those that it has started, and those that have begun.
    ///
    /// # Errors
    /// [`StoppedRefused`] when the region runs, or a store is missing that it has started, or is not its own.
    pub fn open(data: &Path, cluster: &Cluster, region: RegionId) -> Result<Self, StoppedRefused> {
        Self::open_those(data, cluster, region, true)
    }

    /// Opens those of them that are there, at least one.
    ///
    /// # Errors
    /// The same, but that some may be missing.
    pub fn open_found(data: &Path, cluster: &Cluster, region: RegionId) -> Result<Self, StoppedRefused> {
        Self::open_those(data, cluster, region, false)
    }

    fn open_those(
        data: &Path,
        cluster: &Cluster,
        region: RegionId,
        all: bool,
    ) -> Result<Self, StoppedRefused> {
        let is_there = |placement: &ClusterPlacement| data.join(&placement.name).join("CURRENT").exists();
        // Before the folder is locked, which would make one that is not there.
        if let Some(first) = cluster.placements_of(region).next()
            && !cluster.placements_of(region).any(is_there)
        {
            let (placement, folder) = (first.name.clone(), data.to_path_buf());
            return Err(StoppedRefused::NoStore { placement, folder });
        }
        let folder = DataFolder::open(data)?;
        let memory = SharedMemory::new();
        let mut stores = Vec::new();
        for placement in cluster.placements_of(region) {
            if is_there(placement) || all && folder.was_started(&placement.name) {
                let of = (cluster, region, placement);
                stores.push(StoppedStore::open(&folder.store(&placement.name)?, of, &memory)?);
            }
        }
        Ok(Self { stores, folder })
    }

    /// Removes the store of that placement, for good and durably. Of a replica that may still be active nobody may ask for it.
    ///
    /// # Errors
    /// When the disk refuses: what is left of it is removed by the next call.
    pub fn remove(&mut self, placement: &str) -> Result<(), FolderRefused> {
        self.stores.retain(|store| store.name != placement);
        self.folder.remove(placement)
    }
}

/// Opens the store that a snapshot holds, whosever it is: `region::join` judges it.
///
/// # Errors
/// [`StoppedRefused::Store`].
pub fn open_snapshot(folder: &Path, placement: &ClusterPlacement) -> Result<RocksStore, StoppedRefused> {
    let failed = |error| StoppedRefused::Store { placement: placement.name.clone(), error };
    RocksStore::open(folder, &SharedMemory::new()).map_err(failed)
}

impl StoppedStore {
    /// Opens one store alone, in a folder that nobody else knows: one that was fetched from a backup.
    ///
    /// # Errors
    /// [`StoppedRefused`] when it cannot be opened, or is not that region's store of that placement.
    pub fn open_alone(
        folder: &Path,
        cluster: &Cluster,
        region: RegionId,
        placement: &ClusterPlacement,
    ) -> Result<Self, StoppedRefused> {
        Self::open(folder, (cluster, region, placement), &SharedMemory::new())
    }

    fn open(
        folder: &Path,
        (cluster, region, placement): (&Cluster, RegionId, &ClusterPlacement),
        memory: &SharedMemory,
    ) -> Result<Self, StoppedRefused> {
        let name = || placement.name.clone();
        let store = RocksStore::open(folder, memory);
        let store = store.map_err(|error| StoppedRefused::Store { placement: name(), error })?;
        let not_its = |error| StoppedRefused::Meta { placement: name(), error };
        meta::check_format(&store).map_err(not_its)?;
        let found = meta::read(&store).map_err(|error| not_its(error.into()))?;
        let format = found.as_ref().map_or(meta::FORMAT, |found| found.format);
        if let Some(found) = found {
            // Whatever life of the region: an old one may be looked at too.
            let replica = ReplicaId { region, incarnation: found.replica.incarnation };
            let region_name = cluster.name_of(region);
            let expected = Expected { replica, region_name, placement: placement.id, placement_name: name() };
            meta::check(&store, &expected).map_err(not_its)?;
        }
        Ok(Self { placement: placement.id, name: name(), format, store })
    }
}
