//! How a region stands, for operators: `GET /v1/status`.
//!
//! What must always hold: it says numbers, names and states, never a byte of what is carried, so it may be looked at from where residency forbids bodies; what could not be read is an error,
//! never a zero.

use crate::connection::Shared;
use crate::members;
use crate::operate::{ok, refusal, unreadable};
use axum::http::StatusCode;
use axum::response::Response;
use crdt::{PlacementId, RegionId, ReplicaId};
use region::closed::{self, Closed};
use region::lag::{self, Lag, Standing};
use region::machine::Shortage;
use region::store::{StoreError, View};
use region_rocks::handle::RegionHandle;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Of this region: its clock, its placements, its bridges, what it has heard of the others, its certificates, its machine.
pub(crate) async fn show(shared: &Arc<Shared>) -> Response {
    let region = shared.region.clone();
    // It reads every partition of every placement.
    let read = tokio::task::spawn_blocking(move || status(&region)).await;
    match read {
        Ok(Ok(mut status)) => {
            status["region"] = json!(shared.site.region);
            status["version"] = json!(env!("CARGO_PKG_VERSION"));
            ok(&status)
        }
        Ok(Err(error)) => unreadable(&error),
        Err(error) => {
            let why = format!("looking at the stores has failed: {error}");
            refusal(StatusCode::INTERNAL_SERVER_ERROR, "region_unavailable", &why)
        }
    }
}

fn status(region: &RegionHandle) -> Result<Value, StoreError> {
    let epochs = region.epochs();
    let held: Vec<(PlacementId, ReplicaId)> = region.placements().collect();
    let mut placements = Vec::new();
    for (id, own) in held {
        // A region has a reader and counters of each of its placements, and they stand in an epoch.
        let (Some(placement), Some(reader), Some(counters)) =
            (epochs.get(id), region.reader(id), region.counters(id))
        else {
            continue;
        };
        let read =
            |view: &dyn View| Ok((lag::standing(view, placement, own)?, closed::closed(view, placement)?));
        let (standing, closed) = reader.consistent(read)?;
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        placements.push(json!({
            "placement": region.cluster().placements.get(&id).map(|placement| &placement.name),
            "state": if region.behind().contains(&id) { "joining" } else { "active" },
            "epoch": placement.epoch.0, "replica": own.to_string(),
            "operations": standing.operations, "stable": standing.stable,
            "damaged_records": count(&counters.damaged), "other_histories": count(&counters.other_histories),
            "letters_waiting": region.letters_waiting(id), "last_sync_us": count(&counters.last_sync_us),
            "store_holds_up": region.backlog(id).is_some_and(|backlog| backlog.holds_up),
            "peers": peers(region, &standing), "closed": closed_ones(region, &closed),
        }));
    }
    let bridges: Vec<Value> = region.bridge_counters().keys().map(|peer| bridge(region, *peer)).collect();
    Ok(json!({
        "now_ms": region.now().ms(), "wall_clock_ahead_ms": region.wall_offset_us() / 1_000,
        "placements": placements, "bridges": bridges, "members": members::rows(region), "certificates": certificates(region),
        "machine": region.shortages().iter().map(shortage).collect::<Vec<_>>(),
    }))
}

/// What each peer is not known to have of this region's own operations.
fn peers(region: &RegionHandle, standing: &Standing) -> Vec<Value> {
    let now_ms = region.now().ms();
    standing
        .peers
        .iter()
        .map(|(peer, Lag { operations, oldest_ms })| {
            json!({
                "region": region.cluster().name_of(peer.region), "lacks_operations": operations,
                "for_ms": oldest_ms.map(|oldest| now_ms.saturating_sub(oldest)),
            })
        })
        .collect()
}

/// What is known of each replica that an epoch has closed.
fn closed_ones(region: &RegionHandle, closed: &BTreeMap<ReplicaId, Closed>) -> Vec<Value> {
    closed
        .iter()
        .map(|(replica, found)| {
            json!({
                "region": region.cluster().name_of(replica.region), "replica": replica.to_string(),
                "operations": found.operations, "issued": found.issued(), "missing": found.missing,
                "unsettled_partitions": found.unsettled, "last_issued_ms": found.last_issued_ms,
            })
        })
        .collect()
}

fn certificates(region: &RegionHandle) -> Value {
    let standing = region.certificates().standing();
    let refused = standing.refused.map(|refused| json!({"code": refused.code(), "why": refused.to_string()}));
    let (own, authorities) = (standing.region_until_s, standing.authorities_until_s);
    json!({"expires_s": own, "authorities_expire_s": authorities, "refused": refused})
}

fn shortage(shortage: &Shortage) -> Value {
    json!({"code": shortage.code(), "what": shortage.to_string(), "stops": shortage.stops()})
}

fn bridge(region: &RegionHandle, peer: RegionId) -> Value {
    let counters = region.bridge_counters().get(&peer);
    let found = counters.map(|counters| counters.found()).unwrap_or_default();
    let trip = counters.and_then(|counters| counters.round_trip());
    json!({
        "peer": region.cluster().name_of(peer), "open": region.open_bridges().contains(&peer),
        "alarms": counters.map(|counters| counters.alarms.load(Ordering::Relaxed)),
        "states_compared": found.compared.compared, "partitions_differing": found.compared.differing,
        "partitions_stopped": found.stopped, "round_trip_us": trip.map(|trip| trip.as_micros()),
        "clock_ahead_ms": found.clock.map(|clock| clock.ahead_us / 1_000),
        "clock_uncertain_ms": found.clock.map(|clock| clock.uncertain_us / 1_000),
    })
}
