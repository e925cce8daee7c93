//! What each region has heard of each other: whether it is live, for how long, what it has to do, what it is, and where it is found.
//!
//! What must always hold: a row is one region's opinion, from where it stands, and two may differ; what was never heard of is a dash. A region that is held for dead is a problem unless it has
//! ended everywhere or the bridge to it is down, which is told as such.

use super::said::{BridgeStatus, RegionStatus};
use super::tables::ago;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a region says of another.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct MemberStatus {
    region: String,
    /// None if it was never heard of.
    live: Option<bool>,
    for_ms: Option<u64>,
    started_ms: Option<u64>,
    client: Option<String>,
    bridge: Option<String>,
    sessions: Option<u64>,
    mailbox_percent: Option<u8>,
    placements: Vec<MemberPlacement>,
}

/// What it is in a placement.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct MemberPlacement {
    placement: String,
    state: String,
    /// That it follows, as it says; none if it was never heard of.
    epoch: Option<u64>,
}

/// A row for each region as each other has heard of it.
pub(super) fn table(regions: &BTreeMap<String, Option<RegionStatus>>) -> String {
    let mut text = format!(
        "\n{:<14} {:<14} {:<5} {:>8} {:>9} {:>8}  {:<28} {}\n",
        "seen by", "region", "live", "for", "sessions", "mailbox", "state", "clients"
    );
    for (name, status) in regions.iter().filter_map(|(name, status)| Some((name, status.as_ref()?))) {
        for member in &status.members {
            text += &member.row(name);
        }
    }
    text
}

/// What is not well in what a region has heard.
pub(super) fn problems(region: &str, members: &[MemberStatus], bridges: &[BridgeStatus]) -> Vec<String> {
    let is_told = |member: &MemberStatus| {
        let is_down = |bridge: &BridgeStatus| bridge.peer == member.region && !bridge.open;
        bridges.iter().any(is_down) || member.placements.iter().all(|placement| placement.state == "ended")
    };
    let dead = members.iter().filter(|member| member.live == Some(false) && !is_told(member));
    dead.map(|member| format!("{region} has heard nothing of {} for {}", member.region, ago(member.for_ms)))
        .collect()
}

impl MemberStatus {
    fn row(&self, seen_by: &str) -> String {
        let live = match self.live {
            None => "-",
            Some(true) => "yes",
            Some(false) => "no",
        };
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let state = |placement: &MemberPlacement| format!("{} {}", placement.placement, placement.state);
        format!(
            "{seen_by:<14} {:<14} {live:<5} {:>8} {:>9} {:>8}  {:<28} {}\n",
            self.region,
            ago(self.for_ms),
            or_dash(self.sessions.map(|sessions| sessions.to_string())),
            or_dash(self.mailbox_percent.map(|percent| format!("{percent} %"))),
            self.placements.iter().map(state).collect::<Vec<_>>().join(", "),
            or_dash(self.client.clone()),
        )
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{RegionStatus, problems, table};
    use expect_test::expect;
    use serde_json::{Value, json};
    use std::collections::BTreeMap;

    fn heard(region: &str, live: bool, state: &str) -> Value {
        json!({
            "region": region, "live": live, "for_ms": 125_000, "started_ms": 1_800_000_000_000_u64,
            "client": format!("wss://{region}:7102"), "bridge": "127.0.0.1:7101", "sessions": 120, "mailbox_percent": 10,
            "placements": [{"placement": "global", "state": state, "epoch": 2}],
        })
    }

    fn says(members: &[Value], bridges: &[(&str, bool)]) -> RegionStatus {
        let bridge = |(peer, open): &(&str, bool)| json!({"peer": peer, "open": open, "alarms": 0, "states_compared": 0, "partitions_differing": 0});
        let bridges: Vec<Value> = bridges.iter().map(bridge).collect();
        let said = json!({"version": "1", "wall_clock_ahead_ms": 0, "placements": [], "bridges": bridges, "members": members});
        serde_json::from_value(said).unwrap()
    }

    #[test]
    fn each_region_is_shown_as_each_other_has_heard_of_it() {
        let unheard = json!({"region": "south", "placements": [{"placement": "global", "state": "active"}]});
        let regions = BTreeMap::from([
            ("east".to_owned(), Some(says(&[unheard, heard("west", true, "joining")], &[]))),
            ("south".to_owned(), None),
            ("west".to_owned(), Some(says(&[heard("east", false, "active")], &[]))),
        ]);
        expect![[r#"

            seen by        region         live       for  sessions  mailbox  state                        clients
            east           south          -            -         -        -  global active                -
            east           west           yes      2 min       120     10 %  global joining               wss://west:7102
            west           east           no       2 min       120     10 %  global active                wss://east:7102
        "#]].assert_eq(&table(&regions));
    }

    #[test]
    fn a_region_held_for_dead_is_a_problem_once() {
        let told = |state: &str, bridges: &[(&str, bool)]| {
            let status = says(&[heard("west", false, state), heard("south", true, "active")], bridges);
            problems("east", &status.members, &status.bridges)
        };
        let silent = ["east has heard nothing of west for 2 min"];
        assert_eq!(told("active", &[]), silent);
        assert_eq!(told("suspended", &[("west", true), ("south", false)]), silent);
        assert!(told("active", &[("west", false)]).is_empty(), "the bridge is told of");
        assert!(told("ended", &[]).is_empty(), "and the end is no problem");
    }
}
