//! Tokens: the signed statement that somebody may sign in as a user's device, or as an operator.
//!
//! A JWT (RFC 7519) signed with EdDSA under the cluster's token key: `sub` is the user's id, `device` the device's, `aud`
//! the cluster's name, `exp` the end in seconds since 1970. An operator's token has the subject `operator` and no device.

use crate::cluster_folder::ClusterFolder;
use crate::failure::Failure;
use crdt::{DeviceId, UserId};
use ed25519_dalek::pkcs8::EncodePrivateKey as _;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;
use std::time::{SystemTime, UNIX_EPOCH};

/// What a token says.
#[derive(Debug, Serialize)]
struct Claims<'a> {
    sub: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<String>,
    aud: &'a str,
    iat: u64,
    exp: u64,
}

/// A token for a user's device, good for that many days.
///
/// # Errors
/// When the token key cannot be read.
pub(crate) fn for_device(
    folder: &ClusterFolder,
    user: UserId,
    device: DeviceId,
    days: u32,
) -> Result<String, Failure> {
    sign(folder, user.to_string(), Some(device.to_string()), days)
}

/// A token for an operator, good for that many days.
///
/// # Errors
/// When the token key cannot be read.
pub(crate) fn for_operator(folder: &ClusterFolder, days: u32) -> Result<String, Failure> {
    sign(folder, "operator".to_owned(), None, days)
}

fn sign(folder: &ClusterFolder, sub: String, device: Option<String>, days: u32) -> Result<String, Failure> {
    let iat = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let exp = iat + u64::from(days) * 24 * 3600;
    let claims = Claims { sub, device, aud: &folder.cluster.name, iat, exp };
    let failed = |error: &dyn std::fmt::Display| Failure::Cryptography(format!("the token key: {error}"));
    let key = folder.token_key()?.to_pkcs8_der().map_err(|error| failed(&error))?;
    let key = EncodingKey::from_ed_der(key.as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::EdDSA), &claims, &key).map_err(|error| failed(&error))
}
