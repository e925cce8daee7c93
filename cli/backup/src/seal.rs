//! Names and seals of what lies in a bucket, all under one key of a placement.
//!
//! ```text
//!   name of a chunk   BLAKE3 of its bytes, keyed
//!   sealed object     "ARCHBK01" ‖ id of the key, 8 ‖ nonce, 24 ‖ XChaCha20-Poly1305 of the bytes, its tag of 16 included
//! ```
//! Each use has a key of its own, which BLAKE3 derives from the backup key. An object's name is associated data, so no object passes for another. The nonce is a keyed hash of name and bytes:
//! it comes twice only with the same bytes under the same name, and then the sealed object is the same too. The id tells a wrong key from a changed object.
//!
//! What must always hold: what opens is, bit for bit, what was sealed under that name by this key; a key is in no message, log or object.

use crate::names::ChunkName;
use chacha20poly1305::{AeadInOut as _, KeyInit as _, XChaCha20Poly1305, XNonce};
use std::fmt;

const MAGIC: &[u8; 8] = b"ARCHBK01";
const KEY_ID_BYTES: usize = 8;
const NONCE_BYTES: usize = 24;
const HEAD_BYTES: usize = MAGIC.len() + KEY_ID_BYTES + NONCE_BYTES;
const TAG_BYTES: usize = 16;

/// How much longer a sealed object is than what it holds.
pub(crate) const SEAL_BYTES: usize = HEAD_BYTES + TAG_BYTES;

/// The key of a placement's backups.
#[derive(Clone)]
pub struct BackupKey {
    names: [u8; 32],
    nonces: [u8; 32],
    id: [u8; KEY_ID_BYTES],
    cipher: XChaCha20Poly1305,
}

/// Why a sealed object does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unopened {
    /// Another key sealed it.
    OtherKey,
    /// It is not what was sealed under that name, or was never sealed.
    Changed,
}

impl BackupKey {
    /// The key made of those secret bytes.
    #[must_use]
    pub fn new(secret: &[u8; 32]) -> Self {
        let derived = |purpose: &str| blake3::derive_key(&format!("archipelago backup: {purpose}"), secret);
        let [a, b, c, d, e, f, g, h, ..] = derived("id of the key");
        Self {
            names: derived("names of chunks"),
            nonces: derived("nonces"),
            id: [a, b, c, d, e, f, g, h],
            cipher: XChaCha20Poly1305::new(&derived("sealing").into()),
        }
    }

    /// The name of a chunk.
    pub(crate) fn name(&self, plain: &[u8]) -> ChunkName {
        ChunkName(*blake3::keyed_hash(&self.names, plain).as_bytes())
    }

    /// The bytes of an object of that name that holds these.
    pub(crate) fn seal(&self, object: &str, plain: &[u8]) -> Option<Vec<u8>> {
        let mut hasher = blake3::Hasher::new_keyed(&self.nonces);
        hasher.update(&(object.len() as u64).to_be_bytes()).update(object.as_bytes()).update(plain);
        let mut nonce = [0; NONCE_BYTES];
        hasher.finalize_xof().fill(&mut nonce);
        let mut sealed = Vec::with_capacity(plain.len() + SEAL_BYTES);
        sealed.extend_from_slice(MAGIC);
        sealed.extend_from_slice(&self.id);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plain);
        let (_, text) = sealed.split_at_mut(HEAD_BYTES);
        let nonce = XNonce::from(nonce);
        // It refuses only what is longer than 256 GiB.
        let tag = self.cipher.encrypt_inout_detached(&nonce, object.as_bytes(), text.into()).ok()?;
        sealed.extend_from_slice(&tag);
        Some(sealed)
    }

    /// What an object of that name holds.
    pub(crate) fn open(&self, object: &str, mut sealed: Vec<u8>) -> Result<Vec<u8>, Unopened> {
        let (head, rest) = sealed.split_at_mut_checked(HEAD_BYTES).ok_or(Unopened::Changed)?;
        let (magic, head) = head.split_first_chunk::<8>().ok_or(Unopened::Changed)?;
        let (id, nonce) = head.split_first_chunk::<KEY_ID_BYTES>().ok_or(Unopened::Changed)?;
        let nonce: [u8; NONCE_BYTES] = nonce.try_into().map_err(|_| Unopened::Changed)?;
        if magic != MAGIC {
            return Err(Unopened::Changed);
        }
        if *id != self.id {
            return Err(Unopened::OtherKey);
        }
        let (text, tag) = rest.split_last_chunk_mut::<TAG_BYTES>().ok_or(Unopened::Changed)?;
        let (nonce, tag) = (XNonce::from(nonce), (*tag).into());
        let opened = self.cipher.decrypt_inout_detached(&nonce, object.as_bytes(), text.into(), &tag);
        opened.map_err(|_| Unopened::Changed)?;
        sealed.truncate(sealed.len() - TAG_BYTES);
        sealed.drain(..HEAD_BYTES);
        Ok(sealed)
    }
}

impl fmt::Debug for BackupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackupKey").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn key(number: u8) -> BackupKey {
        BackupKey::new(&[number; 32])
    }

    proptest! {
        #[test]
        fn what_was_sealed_opens_as_it_was_under_its_name_and_key_alone(
            plain in proptest::collection::vec(any::<u8>(), 0..300),
            other in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let sealed = key(1).seal("global/west/chunks/a", &plain).unwrap();
            prop_assert_eq!(sealed.len(), plain.len() + SEAL_BYTES);
            prop_assert_eq!(key(1).open("global/west/chunks/a", sealed.clone()).unwrap(), plain.clone());
            prop_assert_eq!(key(1).open("global/west/chunks/b", sealed.clone()), Err(Unopened::Changed));
            prop_assert_eq!(key(2).open("global/west/chunks/a", sealed.clone()), Err(Unopened::OtherKey));
            prop_assert_eq!(key(1).seal("global/west/chunks/a", &plain).unwrap(), sealed, "the same again");
            prop_assert_eq!(key(1).name(&plain) == key(1).name(&other), plain == other);
            prop_assert_ne!(key(1).name(&plain), key(2).name(&plain));
        }

        #[test]
        fn whatever_bit_changes_or_byte_is_missing_it_does_not_open(
            plain in proptest::collection::vec(any::<u8>(), 0..100), at in any::<prop::sample::Index>(), bit in 0_u8..8,
        ) {
            let sealed = key(1).seal("object", &plain).unwrap();
            let at = at.index(sealed.len());
            let mut flipped = sealed.clone();
            flipped[at] ^= 1 << bit;
            let is_id = (MAGIC.len()..MAGIC.len() + KEY_ID_BYTES).contains(&at);
            let expected = if is_id { Unopened::OtherKey } else { Unopened::Changed };
            prop_assert_eq!(key(1).open("object", flipped), Err(expected));
            prop_assert!(key(1).open("object", sealed[..at].to_vec()).is_err());
            prop_assert!(key(1).open("object", [sealed.as_slice(), &[0]].concat()).is_err());
        }
    }

    #[test]
    fn a_key_does_not_show_itself_nor_what_it_seals() {
        assert_eq!(format!("{:?}", key(7)), "BackupKey { .. }");
        let sealed = key(7).seal("object", b"the canary sings here").unwrap();
        assert!(!sealed.windows(10).any(|window| window == b"the canary"));
        assert!(!sealed.windows(8).any(|window| window == [7; 8]));
    }
}
