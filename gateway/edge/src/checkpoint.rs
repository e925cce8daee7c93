//! A checkpoint of a placement's store, which a backup on the same machine reads: `POST /v1/checkpoint?placement=NAME&device=…&inode=…`, answered by
//! `{"incarnation":"…","format":16,"took_us":…}`. Device and inode are those of the data folder that the asker will look into.
//!
//! What must always hold: only operators are answered, and only if they look where the region writes; the region makes one checkpoint at a time, and whoever asks meanwhile is told to come again;
//! nobody else waits for it.

use crate::connection::Shared;
use crate::operate::{ok, refusal, unreadable};
use axum::http::StatusCode;
use axum::response::Response;
use crdt::PlacementId;
use region_rocks::checkpoints::FolderIdentity;
use serde::Deserialize;
use serde_json::json;

/// Where the asker will look. Absent numbers name no folder.
#[derive(Debug, Deserialize)]
pub(crate) struct DataFolder {
    #[serde(default)]
    device: u64,
    #[serde(default)]
    inode: u64,
}

/// Makes it, in the place of an earlier one.
pub(crate) async fn make(shared: &Shared, placement: PlacementId, asked: &DataFolder) -> Response {
    let asked = FolderIdentity { device: asked.device, inode: asked.inode };
    let data = shared.region.data();
    if FolderIdentity::of(data).ok() != Some(asked) {
        let why = format!("the region's process keeps its data in {}", data.display());
        return refusal(StatusCode::CONFLICT, "other_data_folder", &why);
    }
    let region = shared.region.clone();
    match tokio::task::spawn_blocking(move || region.checkpoint(placement)).await {
        Ok(Some(Ok(made))) => ok(&json!({
            "incarnation": format!("{:016x}", made.incarnation),
            "format": made.format,
            "took_us": u64::try_from(made.took.as_micros()).unwrap_or(u64::MAX),
        })),
        Ok(Some(Err(error))) => unreadable(&error),
        Ok(None) => {
            let why = "another checkpoint is being made";
            refusal(StatusCode::SERVICE_UNAVAILABLE, "region_unavailable", why)
        }
        Err(_) => refusal(StatusCode::SERVICE_UNAVAILABLE, "region_draining", "the region is shutting down"),
    }
}
