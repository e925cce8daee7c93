//! Randomness for a shard: ChaCha20 seeded from the kernel.
//!
//! What must always hold: salts and draws cannot be guessed, no two shards share a seed, and none of them costs a system call.

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use std::fs::File;
use std::io::{self, Read as _};

/// A generator with a fresh seed.
///
/// # Errors
/// When the kernel gives no randomness; a region does not start without.
pub(crate) fn fresh() -> io::Result<ChaCha20Rng> {
    let mut seed = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut seed)?;
    Ok(ChaCha20Rng::from_seed(seed))
}
