//! How commits are signed and verified: given to a shard from outside, like the time and the entropy.
//!
//! One signature costs about 18 microseconds and one verification 40, which is nothing beside a synced disk, and nearly everything in a
//! simulation, whose regions trust each other's processes because they are one. So whoever builds a region gives it [`Ed25519`], and
//! whoever builds a world may give it a scheme of which only the price differs.
//!
//! What must always hold, of every scheme: a signature verifies for the key and the statement it was made with and for no other, and the
//! same key and statement give the same signature.

use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use std::fmt;

/// A scheme of signatures.
pub trait Signatures: fmt::Debug + Send + Sync {
    /// Signs a statement.
    fn sign(&self, key: &SigningKey, statement: &[u8]) -> [u8; 64];

    /// Whether that is the signature of the statement by the holder of the key.
    fn verify(&self, key: &VerifyingKey, statement: &[u8], signature: &[u8; 64]) -> bool;
}

/// Ed25519, as RFC 8032 has it, verified strictly: no key and no point of small order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ed25519;

impl Signatures for Ed25519 {
    fn sign(&self, key: &SigningKey, statement: &[u8]) -> [u8; 64] {
        key.sign(statement).to_bytes()
    }

    fn verify(&self, key: &VerifyingKey, statement: &[u8], signature: &[u8; 64]) -> bool {
        key.verify_strict(statement, &ed25519_dalek::Signature::from_bytes(signature)).is_ok()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_of_one_key_and_one_statement() {
        let [key, other] = [1, 2].map(|byte| SigningKey::from_bytes(&[byte; 32]));
        let signature = Ed25519.sign(&key, b"so");
        assert!(Ed25519.verify(&key.verifying_key(), b"so", &signature));
        assert!(!Ed25519.verify(&key.verifying_key(), b"not so", &signature));
        assert!(!Ed25519.verify(&other.verifying_key(), b"so", &signature));
        let mut spoiled = signature;
        spoiled[0] ^= 1;
        assert!(!Ed25519.verify(&key.verifying_key(), b"so", &spoiled));
    }

    #[test]
    fn a_signature_that_holds_for_every_statement_is_no_signature() {
        // The identity as key and as point: without strictness anyone could sign anything under it.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let key = VerifyingKey::from_bytes(&neutral).unwrap();
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&neutral);
        assert!(!Ed25519.verify(&key, b"anything", &signature));
    }
}
