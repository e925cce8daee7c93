//! A backup's manifest: which files it has, and which chunks they are made of.
//!
//! What must always hold: a manifest of a later version is refused by its version, whatever else is in it; one that names a file outside the folder, a file twice, or chunks that do not make up
//! the file, is none; what was encoded is read as the same.

use crate::names::ChunkName;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Bytes of a file in one chunk; the last one of a file has fewer. Larger ones are changed more often, smaller ones cost more requests.
pub const CHUNK_BYTES: usize = 8 << 20;
/// Bytes of a manifest, sealed: some 900,000 chunks, so 7 TB of full ones. A store of more is refused when its backup is made.
pub(crate) const MANIFEST_BYTES_MAX: usize = 64 << 20;
/// The version that this release writes, and the latest that it reads.
const VERSION: u32 = 1;

/// What a backup is of, and what it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    version: u32,
    /// The placement's name.
    pub placement: String,
    /// The region's name.
    pub region: String,
    /// The incarnation of the region's replica, as 16 hexadecimal digits.
    pub incarnation: String,
    /// The format of the store's records.
    pub format: u64,
    /// When it was begun, in milliseconds since 1970.
    pub taken_at_ms: i64,
    /// Its files, by name.
    pub files: Vec<ManifestFile>,
}

/// One file of a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestFile {
    /// As in the store's folder.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// What it is made of, in order.
    pub chunks: Vec<ChunkName>,
}

/// What a backup is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The incarnation of the region's replica.
    pub incarnation: u64,
    /// The format of the store's records.
    pub format: u64,
    /// When it was begun, in milliseconds since 1970.
    pub taken_at_ms: i64,
}

/// Why a manifest is not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAManifest {
    /// A later release wrote it.
    #[error(
        "it has version {0}, and this release reads up to {VERSION}: use the release that wrote it, or a later one"
    )]
    Later(u32),
    /// It says what no manifest says.
    #[error("it is no manifest: {0}")]
    Wrong(&'static str),
}

impl Manifest {
    /// The manifest of these files.
    pub(crate) fn new(placement: &str, region: &str, about: &About, files: Vec<ManifestFile>) -> Self {
        Self {
            version: VERSION,
            placement: placement.to_owned(),
            region: region.to_owned(),
            incarnation: format!("{:016x}", about.incarnation),
            format: about.format,
            taken_at_ms: about.taken_at_ms,
            files,
        }
    }

    /// Reads a manifest.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, NotAManifest> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let wrong = |_| NotAManifest::Wrong("its fields are others");
        let Versioned { version } = serde_json::from_slice(bytes).map_err(wrong)?;
        if version > VERSION {
            return Err(NotAManifest::Later(version));
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(wrong)?;
        let mut names = BTreeSet::new();
        for file in &manifest.files {
            let is_right = is_file_name(&file.name) && names.insert(&file.name);
            if !is_right {
                return Err(NotAManifest::Wrong("a file's name is none, or is there twice"));
            }
            if file.chunks.len() as u64 != file.bytes.div_ceil(CHUNK_BYTES as u64) {
                return Err(NotAManifest::Wrong("a file has more or fewer chunks than its size"));
            }
        }
        Ok(manifest)
    }

    /// Bytes of all its files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().fold(0, |sum: u64, file| sum.saturating_add(file.bytes))
    }

    /// All chunks that it names.
    pub(crate) fn chunks(&self) -> impl Iterator<Item = &ChunkName> {
        self.files.iter().flat_map(|file| &file.chunks)
    }
}

impl ManifestFile {
    /// How many bytes a chunk of it has, by the chunk's number.
    pub(crate) fn chunk_bytes(&self, number: usize) -> u64 {
        let before = (number as u64).saturating_mul(CHUNK_BYTES as u64);
        self.bytes.saturating_sub(before).min(CHUNK_BYTES as u64)
    }
}

/// Whether a file in a folder can be called so.
pub(crate) fn is_file_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ['-', '_', '.'].contains(&c);
    (1..=255).contains(&name.len()) && name.chars().all(is_plain) && !name.starts_with('.')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn about() -> About {
        About { incarnation: 7, format: 16, taken_at_ms: 1_796_010_239_123 }
    }

    fn file(name: &str, bytes: u64, chunks: usize) -> ManifestFile {
        ManifestFile { name: name.to_owned(), bytes, chunks: vec![ChunkName([1; 32]); chunks] }
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_read_as_the_same(sizes in proptest::collection::vec(0_u64..40_000_000, 0..6)) {
            let files = sizes.iter().enumerate().map(|(number, bytes)| {
                let chunks = usize::try_from(bytes.div_ceil(CHUNK_BYTES as u64)).unwrap();
                file(&format!("{number:06}.sst"), *bytes, chunks)
            });
            let manifest = Manifest::new("global", "west", &about(), files.collect());
            let read = Manifest::decode(&serde_json::to_vec(&manifest).unwrap()).unwrap();
            for file in &read.files {
                let sum: u64 = (0..file.chunks.len()).map(|number| file.chunk_bytes(number)).sum();
                prop_assert_eq!(sum, file.bytes);
            }
            prop_assert_eq!(read.bytes(), sizes.iter().sum::<u64>());
            prop_assert_eq!(read, manifest);
        }
    }

    #[test]
    fn what_is_no_manifest_is_refused_and_a_later_one_by_its_version() {
        let decode = |files: Vec<ManifestFile>| {
            let manifest = Manifest::new("global", "west", &about(), files);
            Manifest::decode(&serde_json::to_vec(&manifest).unwrap())
        };
        assert!(decode(vec![file("CURRENT", 16, 1), file("000007.sst", 0, 0)]).is_ok());
        for wrong in ["../CURRENT", "a/b", "", ".", "..", ".hidden", "a\\b", "a\0b"] {
            assert!(decode(vec![file(wrong, 16, 1)]).is_err(), "{wrong}");
        }
        assert!(decode(vec![file("CURRENT", 16, 1), file("CURRENT", 16, 1)]).is_err());
        assert!(decode(vec![file("CURRENT", 16, 2)]).is_err());
        assert!(decode(vec![file("CURRENT", CHUNK_BYTES as u64 + 1, 1)]).is_err());
        assert_eq!(Manifest::decode(br#"{"version":2,"new":[]}"#), Err(NotAManifest::Later(2)));
        assert!(Manifest::decode(b"{}").is_err());
    }
}
