//! What operators ask for that changes something, or gives out what people wrote or whom they know, is recorded: who asked for what before it is done, and how it was answered (decision 0043).
//!
//! ```text
//! {"number":1796085600000001,"at_ms":…,"operator":"ann","request":"POST /v1/operate?placement=global","about":{"act":"erase","user":"u…"}}
//! {"number":1796085600000001,"at_ms":…,"status":200}
//! ```
//! What must always hold: what cannot be recorded is not done; who is no operator is refused before anything of the request is read; of a body only what names the act is recorded, never a payload. A request of which no answer
//! is recorded may have been done: the region ended meanwhile, as it does when an epoch closes it.

use crate::admin::authorize;
use crate::connection::Shared;
use crate::limits::SALVAGE_BYTES_MAX;
use crate::operate::refusal;
use crate::tokens::Role;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Query, Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;
use region::epoch;
use serde::Deserialize;
use serde_json::{Value, json};
use std::io;
use std::sync::Arc;

/// The placement that a request names.
#[derive(Debug, Deserialize)]
struct Which {
    #[serde(default)]
    placement: String,
}

/// What names a part of a log that is brought back.
#[derive(Debug, Deserialize)]
struct Part {
    of: String,
    partition: String,
}

/// Records a request and its answer around whoever answers it.
pub(crate) async fn audited(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let operator = match authorize(&shared, request.headers(), Role::Operator) {
        Ok(operator) => operator,
        Err(refused) => return *refused,
    };
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, SALVAGE_BYTES_MAX).await else {
        let why = "the request is larger than any that is answered, or was cut short";
        return refusal(StatusCode::PAYLOAD_TOO_LARGE, "malformed_act", why);
    };
    let recorded = about(&shared, &parts, &body);
    let request = Request::from_parts(parts, Body::from(body));
    // What is about no placement that is held here is refused by whoever answers it.
    let Some((placement, about)) = recorded else { return next.run(request).await };
    let now = shared.region.now();
    let number = shared.region.audit().number(now.0);
    let asked = json!({
        "number": number, "at_ms": now.ms(), "operator": operator,
        "request": format!("{} {}", request.method(), request.uri()), "about": about,
    });
    if let Err(error) = record(&shared, &placement, asked).await {
        let why = format!("what is asked for could not be recorded, so it was not done: {error}");
        return refusal(StatusCode::SERVICE_UNAVAILABLE, "not_recorded", &why);
    }
    let response = next.run(request).await;
    let answered = json!({
        "number": number, "at_ms": shared.region.now().ms(), "status": response.status().as_u16(),
    });
    // It is done: that is told whatever becomes of the record, whose failure was counted and logged.
    let _ = record(&shared, &placement, answered).await;
    response
}

/// The placement that a request is about, if it is held here, and what else names what is asked for.
fn about(shared: &Shared, parts: &Parts, body: &Bytes) -> Option<(String, Value)> {
    let (named, about) = match parts.uri.path() {
        "/v1/epochs" => {
            let statement = epoch::parse(std::str::from_utf8(body).ok()?).ok()?;
            let about = json!({ "epoch": statement.number.0, "statement": statement.hash().to_string() });
            (shared.region.cluster().placements.get(&statement.placement)?.name.clone(), about)
        }
        path => {
            let about = match path {
                "/v1/operate" => serde_json::from_slice(body).unwrap_or(Value::Null),
                "/v1/salvage" => serde_json::from_slice(body).map_or(
                    Value::Null,
                    |Part { of, partition }| json!({ "of": of, "partition": partition }),
                ),
                _ => Value::Null,
            };
            (Query::<Which>::try_from_uri(&parts.uri).ok()?.0.placement, about)
        }
    };
    let id = shared.region.cluster().placement_named(&named)?.id;
    shared.site.placements.contains_key(&id).then_some((named, about))
}

async fn record(shared: &Arc<Shared>, placement: &str, line: Value) -> io::Result<()> {
    let (region, placement) = (shared.region.clone(), placement.to_owned());
    let written = tokio::task::spawn_blocking(move || region.audit().record(&placement, &line.to_string()));
    let written = written.await.unwrap_or_else(|error| Err(io::Error::other(error)));
    match &written {
        Ok(()) => _ = shared.metrics.audited.inc(),
        Err(error) => {
            shared.metrics.audit_failures.inc();
            tracing::error!(%error, "what an operator asked for, or how it was answered, could not be recorded");
        }
    }
    written
}
