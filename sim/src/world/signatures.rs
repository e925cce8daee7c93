//! Signatures of a world: a hash over key and statement instead of a point on a curve, since Ed25519 would take most of a run's time.
//!
//! Fault model: nobody forges. Anyone who knows a public key could make such a signature; in a world only shards sign, each with its own key.
//! Everything that regions check is checked as ever: a signature is refused that was made with another key, over another chain, another
//! replica, another end, or that was changed on its way. Worlds that sign with Ed25519 give the same runs but for the signatures' bytes, and
//! a test runs some.

use ed25519_dalek::{SigningKey, VerifyingKey};
use replication::signature::Signatures;

/// The scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Seals;

impl Seals {
    fn seal(key: &VerifyingKey, statement: &[u8]) -> [u8; 64] {
        let mut seal = [0; 64];
        blake3::Hasher::new_keyed(key.as_bytes()).update(statement).finalize_xof().fill(&mut seal);
        seal
    }
}

impl Signatures for Seals {
    fn sign(&self, key: &SigningKey, statement: &[u8]) -> [u8; 64] {
        Self::seal(&key.verifying_key(), statement)
    }

    fn verify(&self, key: &VerifyingKey, statement: &[u8], signature: &[u8; 64]) -> bool {
        Self::seal(key, statement) == *signature
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_is_of_one_key_and_one_statement() {
        let [key, other] = [1, 2].map(|byte| SigningKey::from_bytes(&[byte; 32]));
        let seal = Seals.sign(&key, b"so");
        assert!(Seals.verify(&key.verifying_key(), b"so", &seal));
        assert!(!Seals.verify(&key.verifying_key(), b"not so", &seal));
        assert!(!Seals.verify(&other.verifying_key(), b"so", &seal));
    }
}
