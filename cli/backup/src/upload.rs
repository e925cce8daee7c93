//! A backup is made: the files of a checkpoint are cut into chunks, those that the bucket lacks are sealed and sent, and the manifest last.
//!
//! What must always hold: a manifest is written only when every chunk that it names is in the bucket, at its full length; at most five chunks are in memory, and one of them twice.

use crate::error::BackupError;
use crate::files::{self, Found};
use crate::manifest::{About, CHUNK_BYTES, MANIFEST_BYTES_MAX, Manifest, ManifestFile};
use crate::names::{BackupId, ChunkName};
use crate::seal::SEAL_BYTES;
use crate::store::{Backups, Progress, Told, Uploaded};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use tokio::task::{JoinSet, spawn_blocking};

/// Chunks on their way at a time.
const UPLOADS_AT_ONCE: usize = 4;

/// A backup under way.
struct Upload<'a> {
    of: &'a Backups,
    /// What the bucket has, or is being sent.
    there: BTreeMap<ChunkName, u64>,
    /// What is on its way.
    sending: JoinSet<Result<(), BackupError>>,
    chunks: u64,
    chunks_sent: u64,
    bytes_sent: u64,
}

/// See [`Backups::upload`].
pub(crate) async fn upload(
    of: &Backups,
    checkpoint: &Path,
    about: &About,
    told: Told<'_>,
) -> Result<Uploaded, BackupError> {
    let there = of.chunks().await?;
    let mut upload = Upload { of, there, sending: JoinSet::new(), chunks: 0, chunks_sent: 0, bytes_sent: 0 };
    let mut files = Vec::new();
    let checkpoint = files::found(checkpoint)?;
    told(Progress::Begins { bytes: checkpoint.iter().map(|file| file.bytes).sum() });
    for found in checkpoint {
        files.push(upload.file(found, told).await?);
    }
    while let Some(sent) = upload.sending.join_next().await {
        sent.map_err(|_| BackupError::NoThread)??;
    }
    let manifest = Manifest::new(&of.placement, &of.region, about, files);
    let id = write_manifest(of, &manifest).await?;
    Ok(Uploaded {
        id,
        files: manifest.files.len() as u64,
        bytes: manifest.bytes(),
        chunks: upload.chunks,
        chunks_sent: upload.chunks_sent,
        bytes_sent: upload.bytes_sent,
    })
}

impl Upload<'_> {
    async fn file(&mut self, found: Found, told: Told<'_>) -> Result<ManifestFile, BackupError> {
        let Found { name, path, bytes } = found;
        let mut file = File::open(&path).map_err(BackupError::read(&path))?;
        let mut written = ManifestFile { name, bytes, chunks: Vec::new() };
        let chunks = usize::try_from(bytes.div_ceil(CHUNK_BYTES as u64)).unwrap_or(usize::MAX);
        for number in 0..chunks {
            // At most `CHUNK_BYTES`.
            let take = usize::try_from(written.chunk_bytes(number)).unwrap_or(CHUNK_BYTES);
            let (key, path) = (self.of.key.clone(), path.clone());
            let read = spawn_blocking(move || {
                let plain = files::read(&mut file, &path, take)?;
                let name = key.name(&plain);
                Ok((file, plain, name))
            });
            let (back, plain, name) = read.await.map_err(|_| BackupError::NoThread)??;
            file = back;
            written.chunks.push(name);
            self.chunk(name, plain).await?;
            told(Progress::Done { bytes: take as u64 });
        }
        Ok(written)
    }

    /// Sends a chunk, unless the bucket has it whole.
    async fn chunk(&mut self, name: ChunkName, plain: Vec<u8>) -> Result<(), BackupError> {
        self.chunks += 1;
        let sealed_bytes = (plain.len() + SEAL_BYTES) as u64;
        if self.there.insert(name, sealed_bytes) == Some(sealed_bytes) {
            return Ok(());
        }
        if self.sending.len() >= UPLOADS_AT_ONCE
            && let Some(sent) = self.sending.join_next().await
        {
            sent.map_err(|_| BackupError::NoThread)??;
        }
        let within = self.of.places.chunk(&name);
        let object = self.of.places.object(&within);
        let key = self.of.key.clone();
        let sealed = spawn_blocking(move || key.seal(&within, &plain));
        let sealed = sealed.await.map_err(|_| BackupError::NoThread)?.ok_or_else(too_large)?;
        self.chunks_sent += 1;
        self.bytes_sent += sealed_bytes;
        let bucket = self.of.bucket.clone();
        self.sending.spawn(async move { bucket.put(&object, sealed).await });
        Ok(())
    }
}

async fn write_manifest(of: &Backups, manifest: &Manifest) -> Result<BackupId, BackupError> {
    // Maps with keys that are no text cannot be encoded; a manifest has none.
    let plain = serde_json::to_vec(manifest).map_err(|_| too_large())?;
    let bytes = plain.len() + SEAL_BYTES;
    if bytes > MANIFEST_BYTES_MAX {
        return Err(BackupError::TooLarge { bytes, most: MANIFEST_BYTES_MAX });
    }
    let id = BackupId::new(manifest.taken_at_ms, &of.key.name(&plain)).ok_or(BackupError::NoTime)?;
    let within = of.places.manifest(&id);
    let sealed = of.key.seal(&within, &plain).ok_or_else(too_large)?;
    of.bucket.put(&of.places.object(&within), sealed).await?;
    Ok(id)
}

fn too_large() -> BackupError {
    BackupError::TooLarge { bytes: usize::MAX, most: MANIFEST_BYTES_MAX }
}
