//! A backup is read back: each chunk is opened, compared with its name and its length, and written to its file.
//!
//! What must always hold: nothing is written to a file that was not authenticated; damage is named by its object, and looking goes on, so that one look names all of it up to a limit.

use crate::error::BackupError;
use crate::files::{self, Written};
use crate::manifest::{CHUNK_BYTES, ManifestFile};
use crate::names::{BackupId, ChunkName};
use crate::seal::{SEAL_BYTES, Unopened};
use crate::store::{Backups, Fetched, Progress, Told};
use futures_util::stream::{StreamExt as _, iter};
use std::path::Path;

/// Chunks that are asked for at a time, and so in memory.
const FETCHES_AT_ONCE: usize = 4;
/// Objects that are named as damaged. Beyond it nobody looks further: the backup is of no use.
const DAMAGED_MAX: usize = 100;

/// See [`Backups::fetch`].
pub(crate) async fn fetch(
    of: &Backups,
    id: &BackupId,
    into: &Path,
    told: Told<'_>,
) -> Result<Fetched, BackupError> {
    let manifest = of.manifest(id).await?;
    told(Progress::Begins { bytes: manifest.bytes() });
    let mut damaged = Vec::new();
    for file in &manifest.files {
        let mut written = Written::create(into, &file.name)?;
        let chunks = file.chunks.iter().enumerate().map(|(number, name)| chunk(of, file, number, *name));
        let mut chunks = iter(chunks).buffered(FETCHES_AT_ONCE);
        while let Some(fetched) = chunks.next().await {
            match fetched? {
                Ok(plain) => {
                    written.append(&plain)?;
                    told(Progress::Done { bytes: plain.len() as u64 });
                }
                Err(damage) => damaged.push(damage),
            }
            if damaged.len() >= DAMAGED_MAX {
                drop(chunks);
                return Ok(Fetched { manifest, damaged });
            }
        }
        written.keep()?;
    }
    files::keep_folder(into)?;
    Ok(Fetched { manifest, damaged })
}

/// What a chunk holds, or what is wrong with its object.
async fn chunk(
    of: &Backups,
    file: &ManifestFile,
    number: usize,
    name: ChunkName,
) -> Result<Result<Vec<u8>, String>, BackupError> {
    let within = of.places.chunk(&name);
    let object = of.places.object(&within);
    let damage = |what: &str| Ok(Err(format!("{}: {what}", of.bucket.url(&object))));
    // One byte more than it may have shows that it is too long.
    let Some(sealed) = of.bucket.get(&object, CHUNK_BYTES + SEAL_BYTES + 1).await? else {
        return damage("it is missing");
    };
    match of.key.open(&within, sealed) {
        Err(Unopened::Changed) => damage("it is not what was uploaded"),
        Err(Unopened::OtherKey) => damage("it was sealed with another key"),
        Ok(plain) if plain.len() as u64 != file.chunk_bytes(number) || of.key.name(&plain) != name => {
            damage("it is another chunk than its name says")
        }
        Ok(plain) => Ok(Ok(plain)),
    }
}
