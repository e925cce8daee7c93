//! What an operator is given who mends the log of another region: the commit that holds an operation, `GET /v1/operations` (`region/src/mend_log.rs`).
//!
//! What must always hold: operations of a placement go to its regions alone (promise 8), so whom it is for is asked, and that it was given is logged; the text in it is not.

use crate::connection::Shared;
use crate::operate::{ok, refusal};
use axum::http::StatusCode;
use axum::response::Response;
use crdt::{Dot, PartitionId, PlacementId};
use region::export;
use region::read_toml::hex;
use region_rocks::store::Reader;
use serde_json::{Value, json};

/// Which operation, and for whom: as in the query.
pub(crate) struct Asked<'a> {
    pub(crate) partition: &'a str,
    pub(crate) dot: &'a str,
    pub(crate) region: &'a str,
}

/// The commit that holds it, if it is here.
pub(crate) fn show(shared: &Shared, reader: &Reader, placement: PlacementId, asked: &Asked<'_>) -> Response {
    let cluster = shared.region.cluster();
    let is_for_one_of_its_regions = cluster.regions.values().any(|region| {
        region.name == asked.region && cluster.placements_of(region.id).any(|of| of.id == placement)
    });
    if !is_for_one_of_its_regions {
        let why = format!("`{}` is no region of that placement, and is given nothing of it", asked.region);
        return refusal(StatusCode::FORBIDDEN, "no_part", &why);
    }
    let parsed = asked.partition.parse::<PartitionId>().and_then(|of| Ok((of, asked.dot.parse::<Dot>()?)));
    let (partition, dot) = match parsed {
        Ok((partition, dot)) if partition.placement == placement => (partition, dot),
        Ok(_) => {
            return refusal(StatusCode::BAD_REQUEST, "malformed_id", "the partition is of another placement");
        }
        Err(mistake) => return refusal(StatusCode::BAD_REQUEST, "malformed_id", &mistake.to_string()),
    };
    match reader.consistent(|view| export::commit(view, partition, dot)) {
        Err(error) => refusal(StatusCode::INTERNAL_SERVER_ERROR, "region_unavailable", &error.to_string()),
        Ok(found) => {
            tracing::warn!(%partition, %dot, region = asked.region, "an operator was given an operation");
            let commit = found.map(|commit| {
                let operations = commit.operations.iter().map(|operation| {
                    let payload = operation.payload.as_ref().map(|payload| hex(payload));
                    json!({ "envelope": hex(&operation.envelope), "payload": payload })
                });
                json!({
                    "origin": commit.origin.to_string(), "first": commit.first.0,
                    "operations": operations.collect::<Vec<Value>>(), "signature": hex(&commit.signature),
                })
            });
            ok(&json!({ "commit": commit }))
        }
    }
}
