//! What an operator is given who mends the store of another region: the commit that holds an operation, and what a register holds (`region/src/mend_log.rs`, `region/src/mend_registers.rs`).
//!
//! What must always hold: what is of a placement goes to its regions alone (promise 8), so whom it is for is asked, and that it was given is logged; the text in it is not.

use crate::connection::Shared;
use crate::operate::{ok, refusal};
use axum::http::StatusCode;
use axum::response::Response;
use crdt::{Dot, PartitionId, PlacementId};
use region::export;
use region::read_toml::{all_bytes_of_hex, hex};
use region_rocks::store::Reader;
use serde_json::{Value, json};

/// What is asked for, for a region of the placement.
pub(crate) struct Asked<'a> {
    partition: PartitionId,
    region: &'a str,
    dot: &'a str,
    register: &'a str,
}

impl<'a> Asked<'a> {
    /// Checks that it may be given.
    pub(crate) fn check(
        shared: &Shared,
        placement: PlacementId,
        (partition, region): (&str, &'a str),
        (dot, register): (&'a str, &'a str),
    ) -> Result<Self, Box<Response>> {
        let cluster = shared.region.cluster();
        let mut regions = cluster.regions.values().filter(|of| of.name == region);
        if !regions.any(|of| cluster.placements_of(of.id).any(|of| of.id == placement)) {
            let why = format!("`{region}` is no region of that placement, and is given nothing of it");
            return Err(Box::new(refusal(StatusCode::FORBIDDEN, "no_part", &why)));
        }
        match partition.parse::<PartitionId>() {
            Ok(partition) if partition.placement == placement => {
                Ok(Self { partition, region, dot, register })
            }
            Ok(_) => Err(malformed("the partition is of another placement")),
            Err(mistake) => Err(malformed(&mistake.to_string())),
        }
    }
}

fn malformed(why: &str) -> Box<Response> {
    Box::new(refusal(StatusCode::BAD_REQUEST, "malformed_id", why))
}

/// The commit that holds an operation, if it is here.
pub(crate) fn operation(reader: &Reader, asked: &Asked<'_>) -> Response {
    let dot = match asked.dot.parse::<Dot>() {
        Ok(dot) => dot,
        Err(mistake) => return *malformed(&mistake.to_string()),
    };
    let (partition, region) = (asked.partition, asked.region);
    match reader.consistent(|view| export::commit(view, partition, dot)) {
        Err(error) => refusal(StatusCode::INTERNAL_SERVER_ERROR, "region_unavailable", &error.to_string()),
        Ok(found) => {
            tracing::warn!(%partition, %dot, region, "an operator was given an operation");
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

/// What a register holds here.
pub(crate) fn register(reader: &Reader, asked: &Asked<'_>) -> Response {
    let Some(name) = all_bytes_of_hex(asked.register).filter(|name| !name.is_empty()) else {
        return *malformed("a register is named by hexadecimal digits");
    };
    let (partition, region) = (asked.partition, asked.region);
    match reader.consistent(|view| export::register(view, partition.bucket, &name)) {
        Err(error) => refusal(StatusCode::INTERNAL_SERVER_ERROR, "region_unavailable", &error.to_string()),
        Ok(value) => {
            tracing::warn!(%partition, register = asked.register, region, "an operator was given a register");
            ok(&json!({ "value": value.map(|value| hex(&value)) }))
        }
    }
}
