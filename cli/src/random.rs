//! Random bytes of the system, by way of the one cryptography provider: keys, secrets, and incarnations.
//!
//! What must always hold: they are the system's own, or there are none.

use crate::failure::Failure;

/// So many random bytes.
///
/// # Errors
/// When the system gives none.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    rustls::crypto::aws_lc_rs::default_provider()
        .secure_random
        .fill(&mut bytes)
        .map_err(|_| Failure::Cryptography("the system gives no random bytes".to_owned()))?;
    Ok(bytes)
}
