//! The backups of one region and placement in a bucket: listed, made, fetched, and removed when they are too old.
//!
//! What must always hold: nothing is removed before every manifest that remains was read; what cannot be read is told by name and never taken for absent.

use crate::bucket::Bucket;
use crate::error::BackupError;
use crate::manifest::{About, MANIFEST_BYTES_MAX, Manifest};
use crate::names::{BackupId, ChunkName};
use crate::places::Places;
use crate::seal::{BackupKey, Unopened};
use crate::{expiry, fetch, upload};
use futures_util::stream::{TryStreamExt as _, iter};
use region::backup_place::BackupPlace;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Objects that are removed at a time.
const REMOVALS_AT_ONCE: usize = 8;

/// A region's backups of a placement.
#[derive(Debug, Clone)]
pub struct Backups {
    pub(crate) bucket: Bucket,
    pub(crate) places: Places,
    pub(crate) key: BackupKey,
    pub(crate) placement: String,
    pub(crate) region: String,
}

/// A backup that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uploaded {
    /// Its name.
    pub id: BackupId,
    /// How many files it has.
    pub files: u64,
    /// What they have together.
    pub bytes: u64,
    /// How many chunks these are.
    pub chunks: u64,
    /// How many of them were not in the bucket yet.
    pub chunks_sent: u64,
    /// What these have together, as they lie in the bucket, without the manifest.
    pub bytes_sent: u64,
}

/// How far something is that takes long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It begins: so many bytes are to be read.
    Begins {
        /// All together.
        bytes: u64,
    },
    /// So many bytes more are done.
    Done {
        /// Since the last time.
        bytes: u64,
    },
}

/// Who hears of it.
pub type Told<'a> = &'a (dyn Fn(Progress) + Sync);

/// What was removed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expired {
    /// Backups that were too old.
    pub backups: Vec<BackupId>,
    /// How many chunks none of the others names.
    pub chunks: usize,
}

/// What came of fetching a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// What the backup is of.
    pub manifest: Manifest,
    /// Objects that are missing or hold something else, by name, with what is wrong: at most a hundred. The files are whole only if there is none.
    pub damaged: Vec<String>,
}

impl Backups {
    /// Those of that region and placement, in a bucket that was opened.
    #[must_use]
    pub fn new(bucket: Bucket, place: &BackupPlace, placement: &str, region: &str, key: BackupKey) -> Self {
        Self {
            bucket,
            places: Places::new(&place.prefix, placement, region),
            key,
            placement: placement.to_owned(),
            region: region.to_owned(),
        }
    }

    /// All that there are, the oldest first.
    ///
    /// # Errors
    /// When the bucket cannot be listed.
    pub async fn list(&self) -> Result<BTreeSet<BackupId>, BackupError> {
        let mut found = BTreeSet::new();
        let mut each = |name: &str, _| found.extend(name.parse::<BackupId>());
        self.bucket.list(&self.places.manifests(), &mut each).await?;
        Ok(found)
    }

    /// What a backup is of, and what it has.
    ///
    /// # Errors
    /// When there is none of that name, another key sealed it, it was changed, or a later release wrote it.
    pub async fn manifest(&self, id: &BackupId) -> Result<Manifest, BackupError> {
        let within = self.places.manifest(id);
        let object = self.places.object(&within);
        let sealed = self.bucket.get(&object, MANIFEST_BYTES_MAX).await?;
        let sealed = sealed.ok_or_else(|| {
            BackupError::NoBackup(format!(
                "backup {id} of placement {} in region {}",
                self.placement, self.region
            ))
        })?;
        let url = || self.bucket.url(&object);
        let opened = self.key.open(&within, sealed).map_err(|unopened| match unopened {
            Unopened::OtherKey => BackupError::OtherKey(url()),
            Unopened::Changed => BackupError::Changed(url()),
        })?;
        Manifest::decode(&opened).map_err(|why| BackupError::Manifest { object: url(), why })
    }

    /// Makes a backup of the files of a checkpoint.
    ///
    /// # Errors
    /// When a file cannot be read or an object not written; chunks that were written stay, and the next backup uses or removes them.
    pub async fn upload(
        &self,
        checkpoint: &Path,
        about: &About,
        told: Told<'_>,
    ) -> Result<Uploaded, BackupError> {
        upload::upload(self, checkpoint, about, told).await
    }

    /// Fetches the files of a backup into an empty folder.
    ///
    /// # Errors
    /// When the manifest cannot be read, an object cannot be asked for, or a file not written.
    pub async fn fetch(&self, id: &BackupId, into: &Path, told: Told<'_>) -> Result<Fetched, BackupError> {
        fetch::fetch(self, id, into, told).await
    }

    /// Removes the backups that are more than so many days old, never the newest, and then the chunks that none of the others names.
    ///
    /// # Errors
    /// When one of the others cannot be read: nothing is removed then. When an object cannot be removed: the next time goes on there.
    pub async fn expire(&self, keep_days: u32, now_ms: i64) -> Result<Expired, BackupError> {
        let all = self.list().await?;
        let old = expiry::expired(&all, now_ms, keep_days);
        let mut named = BTreeSet::new();
        for id in all.difference(&old) {
            named.extend(self.manifest(id).await?.chunks().copied());
        }
        // Manifests first: a backup is whole or not there.
        for id in &old {
            self.bucket.remove(&self.places.object(&self.places.manifest(id))).await?;
        }
        let present = self.chunks().await?;
        let unnamed = expiry::unnamed(present.keys(), &named);
        let objects = unnamed.iter().map(|name| self.places.object(&self.places.chunk(name)));
        let removals = iter(objects.map(Ok::<_, BackupError>));
        let remove = |object: String| async move { self.bucket.remove(&object).await };
        removals.try_for_each_concurrent(REMOVALS_AT_ONCE, remove).await?;
        Ok(Expired { backups: old.into_iter().collect(), chunks: unnamed.len() })
    }

    /// The chunks that are in the bucket, with their sizes there.
    pub(crate) async fn chunks(&self) -> Result<BTreeMap<ChunkName, u64>, BackupError> {
        let mut found = BTreeMap::new();
        let mut each =
            |name: &str, bytes| found.extend(name.parse().ok().map(|name: ChunkName| (name, bytes)));
        self.bucket.list(&self.places.chunks(), &mut each).await?;
        Ok(found)
    }
}
