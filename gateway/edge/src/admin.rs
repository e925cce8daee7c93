//! The operators' HTTP interface, on loopback.
//!
//! | path | who | what |
//! | --- | --- | --- |
//! | `GET /healthz` | anybody | `ok` while the region serves |
//! | `GET /metrics` | anybody | counters in OpenMetrics' text format, which Prometheus reads (`docs/metrics.md`) |
//! | `GET /v1/status` | viewers | how the region stands: placements, what peers lack, bridges, clocks, which regions it holds for live, certificates, the machine: JSON |
//! | `GET /v1/state?placement=NAME` | viewers | vectors, chain heads, digests: JSON lines |
//! | `GET /v1/export?placement=NAME` | operators | the same, and every post, membership and receipt |
//! | `GET /v1/items?placement=NAME&conversation=ID` | operators | what the digest of a conversation is a sum over: JSON lines |
//! | `GET /v1/operations?placement=NAME&partition=ID&dot=ID&region=NAME` | operators | the commit that holds an operation, for a region that has lost it: `lost.rs` |
//! | `GET /v1/register?placement=NAME&partition=ID&register=HEX&region=NAME` | operators | what a register holds, likewise |
//! | `GET /v1/user`, `GET /v1/features` | viewers | what operators set: `operate.rs` |
//! | `POST /v1/operate` | operators | sets it |
//! | `GET /v1/epochs` | viewers | of each placement the epoch, and which replicas are active and closed: JSON |
//! | `POST /v1/epochs` | operators | the file of an epoch, which this region follows and tells its peers of |
//! | `POST /v1/salvage?placement=NAME` | operators | a part of the log of a closed replica, to be brought back: `salvage.rs` |
//! | `POST /v1/checkpoint?placement=NAME` | operators | links to the files of a store, for a backup: `checkpoint.rs` |
//!
//! Viewers and operators show a bearer token whose subject is `viewer` or `operator` (`tokens.rs`); an operator may do what a viewer may, and all that operators alone may is recorded
//! (`audited.rs`). What must always hold: an answer is streamed, so that a large store costs no memory; it is of one moment; one that was cut short lacks its last line.

use crate::audited::audited;
use crate::checkpoint;
use crate::connection::Shared;
use crate::epochs;
use crate::export_lines::{Detail, write_lines};
use crate::limits;
use crate::lost::{self, Asked};
use crate::operate::{self, refusal};
use crate::salvage;
use crate::status;
use crate::tokens::Role;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use crdt::{ConversationId, PlacementId, ReplicaId};
use region::epoch::EPOCH_FILE_BYTES_MAX;
use region_rocks::store::Reader;
use serde::Deserialize;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

#[derive(Debug, Deserialize)]
struct Which {
    #[serde(default)]
    placement: String,
    #[serde(default)]
    user: String,
    #[serde(default)]
    conversation: String,
    #[serde(default)]
    partition: String,
    #[serde(default)]
    dot: String,
    #[serde(default)]
    register: String,
    #[serde(default)]
    region: String,
}

/// Serves operators until the gateway stops.
pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    let recorded = Router::new()
        .route("/v1/export", get(export))
        .route("/v1/items", get(items))
        .route("/v1/operations", get(operation))
        .route("/v1/register", get(register))
        .route("/v1/operate", post(act).layer(DefaultBodyLimit::max(limits::ACT_BYTES_MAX)))
        .route("/v1/salvage", post(bring_back).layer(DefaultBodyLimit::max(limits::SALVAGE_BYTES_MAX)))
        .route("/v1/checkpoint", post(checkpoint))
        .route("/v1/epochs", post(follow_epoch).layer(DefaultBodyLimit::max(EPOCH_FILE_BYTES_MAX)))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&shared), audited));
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/metrics", get(metrics))
        .route("/v1/status", get(status))
        .route("/v1/state", get(state))
        .route("/v1/user", get(user))
        .route("/v1/features", get(features))
        .route("/v1/epochs", get(epochs))
        .merge(recorded)
        .with_state(shared);
    let stopped = async move {
        // A gateway that is gone without a word has stopped too.
        let _ = stop.wait_for(|stop| *stop).await;
    };
    if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stopped).await {
        tracing::error!(%error, "the operators' interface has ended");
    }
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    // The gateway's part comes last: it ends with the format's closing line.
    let text = region_rocks::metrics::text(&shared.region) + &shared.metrics.text();
    ([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response()
}

async fn status(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    match authorize(&shared, &headers, Role::Viewer) {
        Err(refused) => *refused,
        Ok(_) => status::show(&shared).await,
    }
}

async fn state(State(shared): State<Arc<Shared>>, which: Query<Which>, headers: HeaderMap) -> Response {
    lines(&shared, &which.0, &headers, Detail::State)
}

async fn export(State(shared): State<Arc<Shared>>, which: Query<Which>, headers: HeaderMap) -> Response {
    lines(&shared, &which.0, &headers, Detail::Everything)
}

async fn items(State(shared): State<Arc<Shared>>, which: Query<Which>, headers: HeaderMap) -> Response {
    match which.0.conversation.parse::<ConversationId>() {
        Err(mistake) => refusal(StatusCode::BAD_REQUEST, "malformed_id", &mistake.to_string()),
        Ok(conversation) => lines(&shared, &which.0, &headers, Detail::Items(conversation)),
    }
}

async fn operation(State(shared): State<Arc<Shared>>, which: Query<Which>, headers: HeaderMap) -> Response {
    give(&shared, &which.0, &headers, lost::operation)
}

async fn register(State(shared): State<Arc<Shared>>, which: Query<Which>, headers: HeaderMap) -> Response {
    give(&shared, &which.0, &headers, lost::register)
}

fn give(
    shared: &Shared,
    which: &Which,
    headers: &HeaderMap,
    answer: impl FnOnce(&Reader, &Asked<'_>) -> Response,
) -> Response {
    let (placement, _, reader) = match asked_of(shared, which, headers) {
        Ok(held) => held,
        Err(refused) => return *refused,
    };
    let Which { partition, dot, register, region, .. } = which;
    match Asked::check(shared, placement, (partition, region), (dot, register)) {
        Ok(asked) => answer(&reader, &asked),
        Err(refused) => *refused,
    }
}

async fn epochs(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    match authorize(&shared, &headers, Role::Viewer) {
        Err(refused) => *refused,
        Ok(_) => epochs::show(&shared),
    }
}

async fn follow_epoch(State(shared): State<Arc<Shared>>, file: String) -> Response {
    epochs::follow(&shared, &file).await
}

async fn user(State(shared): State<Arc<Shared>>, which: Query<Which>, headers: HeaderMap) -> Response {
    match asked_of(&shared, &which.0, &headers) {
        Err(refused) => *refused,
        Ok((placement, _, reader)) => operate::user(&shared.region, &reader, placement, &which.user),
    }
}

async fn features(State(shared): State<Arc<Shared>>, which: Query<Which>, headers: HeaderMap) -> Response {
    match asked_of(&shared, &which.0, &headers) {
        Err(refused) => *refused,
        Ok((placement, _, reader)) => operate::features(&shared.region, &reader, placement),
    }
}

async fn act(
    State(shared): State<Arc<Shared>>,
    which: Query<Which>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match asked_of(&shared, &which.0, &headers) {
        Err(refused) => *refused,
        Ok((placement, ..)) => operate::act(&shared, placement, &body).await,
    }
}

async fn bring_back(
    State(shared): State<Arc<Shared>>,
    which: Query<Which>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match asked_of(&shared, &which.0, &headers) {
        Err(refused) => *refused,
        Ok((placement, ..)) => salvage::bring_back(&shared, placement, &body).await,
    }
}

async fn checkpoint(
    State(shared): State<Arc<Shared>>,
    which: Query<Which>,
    data: Query<checkpoint::DataFolder>,
    headers: HeaderMap,
) -> Response {
    match asked_of(&shared, &which.0, &headers) {
        Err(refused) => *refused,
        Ok((placement, ..)) => checkpoint::make(&shared, placement, &data.0).await,
    }
}

/// The placement that somebody asks about, if they run the cluster and it is held here. Whoever asks for more than to see has been judged before (`audited.rs`).
fn asked_of(
    shared: &Shared,
    which: &Which,
    headers: &HeaderMap,
) -> Result<(PlacementId, ReplicaId, Reader), Box<Response>> {
    authorize(shared, headers, Role::Viewer)?;
    held(shared, &which.placement).ok_or_else(|| {
        let names: Vec<&str> = names(shared).collect();
        let why =
            format!("`{}` is not among the placements held here: {}", which.placement, names.join(", "));
        Box::new(refusal(StatusCode::NOT_FOUND, "unknown_placement", &why))
    })
}

fn lines(shared: &Shared, which: &Which, headers: &HeaderMap, detail: Detail) -> Response {
    let (placement, replica, reader) = match asked_of(shared, which, headers) {
        Ok(held) => held,
        Err(refused) => return *refused,
    };
    let (sender, receiver) = mpsc::channel::<Result<Bytes, io::Error>>(limits::EXPORT_LINES_WAITING_MAX);
    let region = shared.site.region.clone();
    tokio::task::spawn_blocking(move || {
        let mut send = |line: serde_json::Value| {
            let sent = sender.blocking_send(Ok(Bytes::from(format!("{line}\n"))));
            if sent.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        let written =
            reader.consistent(|view| write_lines(view, (&region, placement, replica), detail, &mut send));
        if let Err(error) = written {
            tracing::error!(%error, "an export was cut short");
            // Who no longer reads the export does not miss its end.
            let _ = sender.blocking_send(Err(io::Error::other(error.to_string())));
        }
    });
    let stream = futures_util::stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|line| (line, receiver))
    });
    ([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(stream)).into_response()
}

/// The name of who asks, if their token gives that role.
pub(crate) fn authorize(shared: &Shared, headers: &HeaderMap, needed: Role) -> Result<String, Box<Response>> {
    let bearer = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = bearer.and_then(|value| value.strip_prefix("Bearer "));
    let token = token.ok_or("the request has no `Authorization: Bearer` header".to_owned());
    let given = token.and_then(|token| {
        shared.tokens.operator(token, shared.region.now()).map_err(|error| error.to_string())
    });
    match given {
        Err(why) => Err(Box::new(refusal(StatusCode::UNAUTHORIZED, "not_operator", &why))),
        Ok((role, name)) if role >= needed => Ok(name),
        Ok(_) => {
            let why = "the token lets its bearer see how the region stands, and no more";
            Err(Box::new(refusal(StatusCode::FORBIDDEN, "not_permitted", why)))
        }
    }
}

fn held(shared: &Shared, name: &str) -> Option<(PlacementId, ReplicaId, Reader)> {
    let placement = shared.region.cluster().placement_named(name)?.id;
    let replica = shared.site.placements.get(&placement)?.replica;
    Some((placement, replica, shared.region.reader(placement)?))
}

fn names(shared: &Shared) -> impl Iterator<Item = &str> {
    let cluster = shared.region.cluster();
    cluster.placements_of(shared.region.region()).map(|placement| placement.name.as_str())
}
