//! What an operator gives of the disk of a closed replica, to be brought back: a part of a log at a time (`region/src/salvage.rs`, decision 0031).
//!
//! `POST /v1/salvage?placement=NAME`, `{"of":"r…","partition":"p…","commits":[{"origin":"r…","first":7,"before":"HEX","signature":"HEX","operations":[{"envelope":"HEX","payload":"HEX"}]}],"left":{"c…":["r…:5"]}}`:
//! `before` is the chain's head before the commit, a payload is null where it was cut, `left` names what was left of earlier parts. The answer counts what became
//! of it: `{"had":…,"stable":…,"to_come":…,"rights":…,"brought_back":…,"asked_again":…,"left":[{"dot":…,"sender":…,"message":…,"code":…,"why":…}]}`.
//!
//! What must always hold: only operators are answered, once all of it is durable; that something was brought back is logged, the text in it is not.

use crate::connection::Shared;
use crate::operate::{ok, refusal, refused};
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::response::Response;
use crdt::{ChainHead, Cut, Dot, PartitionId, PlacementId, Sequence};
use region::operate::{Act, Operated};
use region::read_toml::{all_bytes_of_hex, bytes_of_hex};
use region::salvage::{Chained, Salvage, Salvaged};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    of: String,
    partition: String,
    commits: Vec<GivenCommit>,
    /// By conversation, the dots that were left of earlier parts.
    #[serde(default)]
    left: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenCommit {
    origin: String,
    first: u64,
    before: String,
    signature: String,
    operations: Vec<GivenOperation>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenOperation {
    envelope: String,
    payload: Option<String>,
}

/// Brings back what is missing of a part of a log.
pub(crate) async fn bring_back(shared: &Shared, placement: PlacementId, body: &Bytes) -> Response {
    let salvage = match serde_json::from_slice::<Given>(body).map_err(|error| error.to_string()) {
        Ok(given) => given.read(),
        Err(why) => Err(why),
    };
    let salvage = match salvage {
        Ok(salvage) => salvage,
        Err(why) => return refusal(StatusCode::BAD_REQUEST, "malformed_act", &why),
    };
    let (of, partition) = (salvage.of, salvage.partition);
    let answer = match shared.region.operate(placement, Act::Salvage(salvage)) {
        Some(Ok(answer)) => answer.await.ok(),
        Some(Err(busy)) => Some(Err(busy)),
        None => None,
    };
    match answer {
        Some(Ok(Operated::Salvaged(salvaged))) => {
            let (brought_back, asked_again) = (salvaged.brought_back, salvaged.asked_again);
            let left = salvaged.left.len();
            tracing::warn!(%of, %partition, brought_back, asked_again, left, "an operator brought back what a closed replica held");
            ok(&written(&salvaged))
        }
        Some(Err(why)) => refused(&why),
        // No shard answers a salvage with anything else.
        Some(Ok(Operated::Done | Operated::Unchanged)) | None => {
            refusal(StatusCode::SERVICE_UNAVAILABLE, "region_draining", "the region is shutting down")
        }
    }
}

impl Given {
    fn read(self) -> Result<Salvage, String> {
        let partition = self.partition.parse().map_err(|error| format!("`partition` is none: {error}"))?;
        let commits = self.commits.iter().map(|commit| commit.read(partition));
        let left = self.left.iter().map(|(conversation, dots)| {
            let conversation =
                conversation.parse().map_err(|error| format!("`{conversation}` is none: {error}"))?;
            let dots =
                dots.iter().map(|dot| dot.parse().map_err(|error| format!("`{dot}` is no dot: {error}")));
            Ok((conversation, dots.collect::<Result<Cut, String>>()?))
        });
        Ok(Salvage {
            of: self.of.parse().map_err(|error| format!("`of` is no replica: {error}"))?,
            partition,
            commits: commits.collect::<Result<_, _>>()?,
            left: left.collect::<Result<_, String>>()?,
        })
    }
}

impl GivenCommit {
    fn read(&self, partition: PartitionId) -> Result<Chained, String> {
        let Self { origin, first, before, signature, operations } = self;
        let wrong = |what: &str| format!("a commit of {origin} has no {what} in hexadecimal digits");
        let operations =
            operations.iter().map(|operation| operation.read().ok_or_else(|| wrong("operation")));
        let replica = origin.parse().map_err(|error| format!("`{origin}` is no replica: {error}"))?;
        let first = Dot { replica, sequence: Sequence(*first) };
        let before = ChainHead(bytes_of_hex(before).ok_or_else(|| wrong("head before it"))?);
        let signature = bytes_of_hex(signature).ok_or_else(|| wrong("signature"))?;
        Ok(Chained::new(before, (partition, first), operations.collect::<Result<_, _>>()?, signature))
    }
}

impl GivenOperation {
    /// The envelope and the payload.
    fn read(&self) -> Option<(Bytes, Option<Bytes>)> {
        let payload = match &self.payload {
            Some(payload) => Some(all_bytes_of_hex(payload)?.into()),
            None => None,
        };
        Some((all_bytes_of_hex(&self.envelope)?.into(), payload))
    }
}

fn written(salvaged: &Salvaged) -> Value {
    let left = salvaged.left.iter().map(|left| {
        json!({
            "dot": left.dot.to_string(), "conversation": left.conversation.to_string(),
            "sender": left.identity.sender.to_string(),
            "message": left.identity.message.to_string(), "code": left.why.code(), "why": left.why.to_string(),
        })
    });
    json!({
        "had": salvaged.had, "stable": salvaged.stable, "to_come": salvaged.to_come, "rights": salvaged.rights,
        "brought_back": salvaged.brought_back, "asked_again": salvaged.asked_again,
        "left": left.collect::<Vec<_>>(),
    })
}
