//! Tokens: the signed statement that somebody may sign in as a user's device, or as an operator.
//!
//! A JWT (RFC 7519) signed with EdDSA under the cluster's token key: `sub` is the user's id, `device` the device's, `aud`
//! the cluster's name, `exp` the end in seconds since 1970. That of who runs the cluster has the role as its subject, `viewer` or `operator`, and as `name` under what the bearer's acts are recorded.

use crate::cluster_folder::ClusterFolder;
use crate::failure::Failure;
use clap::ValueEnum;
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
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
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
    sign(folder, (user.to_string(), Some(device.to_string()), None), days)
}

/// What somebody who runs the cluster may do, each also what the one before may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// See how regions stand
    Viewer,
    /// Change something, and be given what people wrote, in ciphertext: each time a line in the region's record
    Operator,
}

/// A token for that role, under that name, good for that many days.
///
/// # Errors
/// When the token key cannot be read.
pub(crate) fn for_role(
    folder: &ClusterFolder,
    role: Role,
    name: String,
    days: u32,
) -> Result<String, Failure> {
    let sub = match role {
        Role::Viewer => "viewer",
        Role::Operator => "operator",
    };
    sign(folder, (sub.to_owned(), None, Some(name)), days)
}

/// A token for an operator who has the cluster's keys, good for that many days: for what a command asks by itself.
///
/// # Errors
/// When the token key cannot be read.
pub(crate) fn for_operator(folder: &ClusterFolder, days: u32) -> Result<String, Failure> {
    for_role(folder, Role::Operator, name_of_user(), days)
}

/// The name that the system has for who runs this program.
pub(crate) fn name_of_user() -> String {
    let user = nix::unistd::User::from_uid(nix::unistd::getuid());
    user.ok().flatten().map_or_else(|| "unknown".to_owned(), |user| user.name)
}

fn sign(
    folder: &ClusterFolder,
    (sub, device, name): (String, Option<String>, Option<String>),
    days: u32,
) -> Result<String, Failure> {
    let iat = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let exp = iat + u64::from(days) * 24 * 3600;
    let claims = Claims { sub, device, name, aud: &folder.cluster.name, iat, exp };
    let failed = |error: &dyn std::fmt::Display| Failure::Cryptography(format!("the token key: {error}"));
    let key = folder.token_key()?.to_pkcs8_der().map_err(|error| failed(&error))?;
    let key = EncodingKey::from_ed_der(key.as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::EdDSA), &claims, &key).map_err(|error| failed(&error))
}
