//! What this region has heard of the others, for operators: a part of `GET /v1/status`.
//!
//! What must always hold: every other region of the cluster file has a row; of one that was never heard of nothing is made up; what is said is of regions, never of users or conversations.

use crdt::RegionId;
use region_rocks::handle::RegionHandle;
use serde_json::{Value, json};

/// A row for each other region.
pub(crate) fn rows(region: &RegionHandle) -> Vec<Value> {
    let others = region.cluster().regions.keys().filter(|other| **other != region.region());
    others.map(|other| row(region, *other)).collect()
}

/// Whether it is held for live (null if it was never heard of) and for how long, when it was started, what it says of itself, and what it is in each placement, by the epochs that are followed here.
fn row(region: &RegionHandle, other: RegionId) -> Value {
    let (view, epochs) = (region.view(), region.epochs());
    let member = view.member(other);
    let facts = member.and_then(|member| member.facts.as_ref());
    let placements = epochs.iter().filter_map(|placement| {
        let state = view.state(other, placement)?;
        let name = &region.cluster().placements.get(&placement.id)?.name;
        let epoch = facts.and_then(|facts| facts.placements.get(&placement.id)).map(|stands| stands.epoch.0);
        Some(json!({"placement": name, "state": state.name(), "epoch": epoch}))
    });
    json!({
        "region": region.cluster().name_of(other),
        "live": member.map(|member| member.live),
        "for_ms": member.map(|member| region.now().0.saturating_sub(member.since.0) / 1_000),
        "started_ms": member.map(|member| member.started_ms),
        "client": facts.map(|facts| &facts.client),
        "bridge": facts.map(|facts| facts.bridge.to_string()),
        "sessions": facts.map(|facts| facts.load.sessions),
        "mailbox_percent": facts.map(|facts| facts.load.mailbox_percent),
        "placements": placements.collect::<Vec<_>>(),
    })
}
