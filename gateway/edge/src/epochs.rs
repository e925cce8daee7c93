//! What operators are told of epochs, and tell: `GET` and `POST /v1/epochs` (decision 0020).
//!
//! What must always hold: an epoch is answered for once it is durable here, and one that does not follow changes nothing.

use crate::connection::Shared;
use crate::operate::{ok, refusal};
use axum::http::StatusCode;
use axum::response::Response;
use crdt::ReplicaId;
use region::epoch;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Of each placement held here the epoch, which replicas are active and closed, and whether this region still lacks what the others held when it was admitted.
pub(crate) fn show(shared: &Shared) -> Response {
    let all = shared.region.epochs();
    let held = all.iter().filter(|placement| shared.site.placements.contains_key(&placement.id));
    let behind = shared.region.behind();
    let shown = held.map(|placement| {
        json!({
            "placement": placement.id.to_string(), "epoch": placement.epoch.0,
            "active": names(&placement.active), "closed": names(&placement.closed),
            "behind": behind.contains(&placement.id),
        })
    });
    ok(&json!({ "placements": shown.collect::<Vec<Value>>() }))
}

fn names<Key>(replicas: &BTreeMap<ReplicaId, Key>) -> Vec<String> {
    replicas.keys().map(ToString::to_string).collect()
}

/// Follows the epoch whose file this is. Does not return if it closes this region's own replica.
pub(crate) async fn follow(shared: &Shared, file: &str) -> Response {
    let statement = match epoch::parse(file) {
        Ok(statement) => statement,
        Err(mistake) => return refusal(StatusCode::BAD_REQUEST, "epoch_refused", &mistake.to_string()),
    };
    let (placement, number) = (statement.placement, statement.number.0);
    match shared.region.follow_epoch(statement).await {
        Ok(()) => ok(&json!({ "placement": placement.to_string(), "epoch": number })),
        Err(why) => refusal(StatusCode::CONFLICT, "epoch_refused", &why.to_string()),
    }
}
