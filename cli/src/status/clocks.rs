//! How far each region's clock is ahead of each other's, as the pairs have measured it over their bridges.
//!
//! What must always hold: a row is the region that measured, a column the peer it measured, in milliseconds; what is not known (no bridge now, no
//! answer, not measured yet, no placement in common) is a dash, never a zero. Whose clock is wrong shows by itself: its row and its column stand out.

use super::said::RegionStatus;
use std::collections::BTreeMap;

/// By the region that measured and its peer: how many milliseconds the peer's clock is ahead.
pub(super) type Offsets = BTreeMap<String, BTreeMap<String, Option<i64>>>;

/// Of all pairs of regions, from what they say.
pub(super) fn offsets(regions: &BTreeMap<String, Option<RegionStatus>>) -> Offsets {
    let measured = |status: &Option<RegionStatus>, peer: &String| {
        let bridge = status.as_ref()?.bridges.iter().find(|bridge| bridge.open && bridge.peer == *peer);
        bridge?.clock_ahead_ms
    };
    let row = |(name, status): (&String, &Option<RegionStatus>)| {
        let peers = regions.keys().filter(|peer| *peer != name);
        (name.clone(), peers.map(|peer| (peer.clone(), measured(status, peer))).collect())
    };
    regions.iter().map(row).collect()
}

/// The same for people. A column is as wide as its name and as `-99999 `.
pub(super) fn matrix(offsets: &Offsets) -> String {
    let width = |name: &str| name.chars().count().max(6) + 1;
    let first = offsets.keys().map(|name| name.chars().count()).max().unwrap_or(0).max(14);
    let mut text = format!("{:<first$}", "clock ahead ms");
    for peer in offsets.keys() {
        text += &format!("{peer:>0$}", width(peer));
    }
    text.push('\n');
    for (region, row) in offsets {
        text += &format!("{region:<first$}");
        for peer in offsets.keys() {
            let told = match row.get(peer) {
                // Its own clock.
                None => String::new(),
                Some(None) => "-".to_owned(),
                Some(Some(0)) => "0".to_owned(),
                Some(Some(ms)) => format!("{ms:+}"),
            };
            text += &format!("{told:>0$}", width(peer));
        }
        text = text.trim_end().to_owned();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{RegionStatus, matrix, offsets};
    use expect_test::expect;
    use serde_json::json;
    use std::collections::BTreeMap;

    /// A region whose bridges are open or not, and have measured.
    fn says(bridges: &[(&str, bool, Option<i64>)]) -> Option<RegionStatus> {
        let bridges: Vec<_> = bridges
            .iter()
            .map(|(peer, open, ahead)| {
                json!({
                    "peer": peer, "open": open, "alarms": 0, "states_compared": 0, "partitions_differing": 0,
                    "clock_ahead_ms": ahead, "clock_uncertain_ms": ahead.map(|_| 1),
                })
            })
            .collect();
        let said = json!({"version": "1", "wall_clock_ahead_ms": 0, "placements": [], "bridges": bridges});
        Some(serde_json::from_value(said).unwrap())
    }

    #[test]
    fn each_pair_has_its_offset_from_both_sides_and_what_is_not_known_is_a_dash() {
        let regions = BTreeMap::from([
            // West's clock is late; south was measured before its bridge went down; far is not a peer.
            ("east".to_owned(), says(&[("west", true, Some(-1_204)), ("south", false, Some(7))])),
            ("far-away-island".to_owned(), says(&[])),
            ("south".to_owned(), None),
            ("west".to_owned(), says(&[("east", true, Some(1_203)), ("south", true, Some(0))])),
        ]);
        let offsets = offsets(&regions);
        expect![[r#"
            clock ahead ms    east far-away-island  south   west
            east                                 -      -  -1204
            far-away-island      -                      -      -
            south                -               -             -
            west             +1203               -      0
        "#]]
        .assert_eq(&matrix(&offsets));
        let json = serde_json::to_string(&offsets["east"]).unwrap();
        assert_eq!(json, r#"{"far-away-island":null,"south":null,"west":-1204}"#);
        assert!(!offsets["east"].contains_key("east"), "nobody is ahead of themselves");
    }
}
