//! Backups of a placement's store in an S3 bucket: files in chunks, each sealed and named by what it holds, and a manifest that makes a backup of them (decision 0028).
//!
//! ```text
//!   checkpoint ─▶ chunks of 8 MiB ─▶ name, seal ─▶ bucket: PREFIX/PLACEMENT/REGION/chunks/NAME       (`upload.rs`)
//!                                                          PREFIX/PLACEMENT/REGION/manifests/BACKUP  (last)
//!   bucket ─▶ manifest ─▶ chunks, opened and compared with their names ─▶ files                      (`fetch.rs`)
//! ```
//! What is pure stands in files of its own: `seal.rs`, `names.rs`, `manifest.rs`, `expiry.rs`. `bucket.rs` is all that knows of S3.
//!
//! What must always hold:
//! - Nothing leaves that is not sealed, and nothing that comes back is used before it was opened and is what its name says.
//! - A backup exists once its manifest does, and a chunk goes only when every manifest that remains was read and none names it.
//! - Memory is bounded by a few chunks, and one manifest or the names of all chunks.

pub mod bucket;
mod error;
mod expiry;
mod fetch;
mod files;
pub mod manifest;
pub mod names;
mod places;
mod seal;
mod store;
mod upload;

pub use error::BackupError;
pub use seal::BackupKey;
pub use store::{Backups, Expired, Fetched, Progress, Told, Uploaded};
