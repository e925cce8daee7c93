//! What operators set and ask of a placement: users' homes, the mark of an erased user, features turned off or limited (decision 0019).
//!
//! | request | answer |
//! | --- | --- |
//! | `POST /v1/operate?placement=NAME`, `{"act":"set-home","user":"u…","home":"us-east"}` | `{"changed":true}`; false if it was so already |
//! | the same, `{"act":"erase","user":"u…"}` | |
//! | the same, `{"act":"set-flag","feature":"posts","flag":"off"}`; a number is a limit, `null` clears | |
//! | `GET /v1/user?placement=NAME&user=u…` | `{"user":…,"erased":false,"home":"us-east","homes":2,"stands_in_for":null}`; a region's name if an epoch has closed that, and `home` does what it had to (decision 0041) |
//! | `GET /v1/features?placement=NAME` | `{"holds":{"posts":"off"},"said":{"us-east":{"posts":"off"}}}` |
//!
//! What must always hold: only operators are answered; an act is answered once it is durable; whoever asks for what is no act is told so by code, and nothing is done.

use crate::connection::Shared;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use crdt::{DirectoryEntry, Flag, PlacementId, RegionId, UserId};
use gateway_protocol::codes;
use region::cluster::Cluster;
use region::export;
use region::features::Feature;
use region::operate::{Act, NotOperated, Operated};
use region_rocks::handle::RegionHandle;
use region_rocks::store::Reader;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// An act as it is written.
#[derive(Debug, Deserialize)]
#[serde(tag = "act", rename_all = "kebab-case", deny_unknown_fields)]
enum Asked {
    SetHome { user: String, home: String },
    Erase { user: String },
    SetFlag { feature: String, flag: Value },
}

/// Does what is asked for.
pub(crate) async fn act(shared: &Shared, placement: PlacementId, body: &Bytes) -> Response {
    let act = match read_act(shared.region.cluster(), body) {
        Ok(act) => act,
        Err((code, why)) => return refusal(StatusCode::BAD_REQUEST, code, &why),
    };
    let answer = match shared.region.operate(placement, act) {
        Some(Ok(answer)) => answer.await.ok(),
        Some(Err(busy)) => Some(Err(busy)),
        None => None,
    };
    match answer {
        Some(Ok(operated)) => ok(&json!({ "changed": operated == Operated::Done })),
        Some(Err(why)) => refused(&why),
        None => {
            let why = "the region is shutting down";
            refusal(StatusCode::SERVICE_UNAVAILABLE, "region_draining", why)
        }
    }
}

/// Tells where a user's home is.
pub(crate) fn user(region: &RegionHandle, reader: &Reader, placement: PlacementId, named: &str) -> Response {
    let user = match read_user(named) {
        Ok(user) if user.placement() == placement => user,
        Ok(user) => {
            let refused = NotOperated::OtherPlacement(user);
            return refusal(StatusCode::CONFLICT, refused.code(), &format!("{user} is of another placement"));
        }
        Err((code, why)) => return refusal(StatusCode::BAD_REQUEST, code, &why),
    };
    let entry = match export::entry(reader, user) {
        Ok(entry) => entry,
        Err(error) => return unreadable(&error),
    };
    let (given, homes) = match entry {
        DirectoryEntry::Home { epoch, region } => (Some(region), epoch.number()),
        DirectoryEntry::Unknown | DirectoryEntry::Erased => (None, 0),
    };
    let epochs = region.epochs();
    let stands_in = |given| epochs.get(placement).map_or(given, |placement| placement.stand_in_for(given));
    let home = given.map(stands_in);
    let named = |of: Option<RegionId>| of.map(|of| name(region.cluster(), of));
    ok(&json!({
        "user": user.to_string(),
        "erased": entry == DirectoryEntry::Erased,
        "home": named(home),
        "homes": homes,
        "stands_in_for": named(given.filter(|given| home != Some(*given))),
    }))
}

/// Tells what holds of each feature, and what each region says.
pub(crate) fn features(region: &RegionHandle, reader: &Reader, placement: PlacementId) -> Response {
    let cluster = region.cluster();
    let holds = region.features(placement).unwrap_or_else(|| Ok(BTreeMap::new()));
    match holds.and_then(|holds| Ok((holds, export::flags(reader)?))) {
        Ok((holds, said)) => {
            let holds = holds.into_iter().map(|(feature, flag)| (feature.to_string(), value(flag)));
            let said = said.into_iter().map(|(region, flags)| {
                let flags = flags.iter().map(|(name, flag)| (name.to_string(), value(flag)));
                (name(cluster, region), Value::Object(flags.collect()))
            });
            let (holds, said): (Map<_, _>, Map<_, _>) = (holds.collect(), said.collect());
            ok(&json!({ "holds": holds, "said": said }))
        }
        Err(error) => unreadable(&error),
    }
}

fn read_act(cluster: &Cluster, body: &Bytes) -> Result<Act, (&'static str, String)> {
    let malformed = |why: String| ("malformed_act", why);
    let asked: Asked = serde_json::from_slice(body).map_err(|error| malformed(error.to_string()))?;
    Ok(match asked {
        Asked::SetHome { user, home } => {
            let region = cluster.regions.values().find(|region| region.name == home);
            let region = region.ok_or_else(|| ("unknown_region", format!("there is no region `{home}`")))?;
            Act::SetHome { user: read_user(&user)?, home: region.id }
        }
        Asked::Erase { user } => Act::Erase { user: read_user(&user)? },
        Asked::SetFlag { feature, flag } => {
            let feature: Feature =
                feature.parse().map_err(|error| malformed(format!("`{feature}` is none: {error}")))?;
            let flag = match &flag {
                Value::Null => None,
                Value::String(word) if word == "off" => Some(Flag::Off),
                other => {
                    let limit = other.as_u64().ok_or_else(|| {
                        malformed(format!("{other} is no flag: it is `off`, a number, or null"))
                    })?;
                    Some(Flag::AtMost(limit))
                }
            };
            Act::SetFlag { feature, flag }
        }
    })
}

fn read_user(text: &str) -> Result<UserId, (&'static str, String)> {
    text.parse().map_err(|error| ("malformed_act", format!("`{text}`: {error}")))
}

fn name(cluster: &Cluster, region: RegionId) -> String {
    cluster.regions.get(&region).map_or_else(|| region.to_string(), |region| region.name.clone())
}

fn value(flag: Flag) -> Value {
    match flag {
        Flag::Off => json!("off"),
        Flag::AtMost(limit) => json!(limit),
    }
}

pub(crate) fn ok(answer: &Value) -> Response {
    ([(CONTENT_TYPE, "application/json")], format!("{answer}\n")).into_response()
}

pub(crate) fn unreadable(error: &region::store::StoreError) -> Response {
    tracing::error!(%error, "a store could not be read for an operator");
    refusal(StatusCode::INTERNAL_SERVER_ERROR, "region_unavailable", "the store cannot be read")
}

/// An act that the region does not do.
pub(crate) fn refused(why: &NotOperated) -> Response {
    let status = match why {
        NotOperated::Busy { .. } => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::CONFLICT,
    };
    // It says the way out itself, and with whom.
    let body = json!({ "code": why.code(), "message": why.to_string() });
    (status, [(CONTENT_TYPE, "application/json")], format!("{body}\n")).into_response()
}

/// A refusal with its code and way out.
pub(crate) fn refusal(status: StatusCode, code: &'static str, why: &str) -> Response {
    let way_out = codes::entry(code).map_or("", |entry| entry.way_out);
    let body = json!({ "code": code, "message": format!("{why}: {way_out}") });
    (status, [(CONTENT_TYPE, "application/json")], format!("{body}\n")).into_response()
}
