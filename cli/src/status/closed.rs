//! What the regions know of replicas that epochs have closed, a line for each: how much of it is there, and how much is known to be missing.
//!
//! What must always hold: a line is one region's word, that of the one that knows of most, since what a device has told one of them the others need not know; whatever is missing, what nobody heard of is
//! said to be unknown; none of it is a problem that anybody could end, so it changes no exit code.

use super::said::RegionStatus;
use crate::restore::utc;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// What a region says of one closed replica.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ClosedStatus {
    region: String,
    replica: String,
    operations: u64,
    issued: u64,
    missing: u64,
    unsettled_partitions: u64,
    last_issued_ms: Option<u64>,
}

/// The same, in a placement, as the region knows it that knows of most.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Closed {
    placement: String,
    told_by: String,
    #[serde(flatten)]
    status: ClosedStatus,
}

/// One for each closed replica that a region tells of.
pub(super) fn of_all(regions: &BTreeMap<String, Option<RegionStatus>>) -> Vec<Closed> {
    let mut all: BTreeMap<(String, String), Closed> = BTreeMap::new();
    for (told_by, status) in regions.iter().filter_map(|(name, status)| Some((name, status.as_ref()?))) {
        for placement in &status.placements {
            for status in &placement.closed {
                let (placement, told_by) = (placement.placement.clone(), told_by.clone());
                let key = (placement.clone(), status.replica.clone());
                let told = Closed { placement, told_by, status: status.clone() };
                match all.get(&key) {
                    Some(known) if known.knows() >= told.knows() => {}
                    _ => _ = all.insert(key, told),
                }
            }
        }
    }
    all.into_values().collect()
}

impl Closed {
    /// What is settled counts first: one that still waits for more of it holds for missing what is only late.
    fn knows(&self) -> impl Ord + use<> {
        (Reverse(self.status.unsettled_partitions), self.status.issued, self.status.operations)
    }

    /// One line for people.
    pub(super) fn line(&self) -> String {
        let ClosedStatus {
            region,
            replica,
            operations,
            issued,
            missing,
            unsettled_partitions,
            last_issued_ms,
        } = &self.status;
        let mut line = format!(
            "{region} ({replica}) is closed in {}: {operations} of its operations are here",
            self.placement
        );
        line += &match missing {
            0 => ", and nothing that is known of is missing".to_owned(),
            _ => format!(
                "; it is known to have issued {issued}, so {missing} are missing, but for what was sent again or salvaged"
            ),
        };
        line += &match last_issued_ms {
            None => "; whether it issued more, of which nobody has heard, is not known".to_owned(),
            Some(ms) => format!(
                "; the last one is of {}; whether it issued more, of which nobody has heard, is not known",
                utc(*ms)
            ),
        };
        if *unsettled_partitions > 0 {
            line += &format!("; in {unsettled_partitions} partitions more of it may still come");
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn told(operations: u64, missing: u64, unsettled_partitions: u64) -> ClosedStatus {
        let (region, replica) = ("west".to_owned(), "r2.00000000000000ab".to_owned());
        let (issued, last_issued_ms) =
            (operations + missing, Some(1_800_000_000_000).filter(|_| operations > 0));
        ClosedStatus { region, replica, operations, issued, missing, unsettled_partitions, last_issued_ms }
    }

    /// The lines, as of regions that say so.
    fn lines(told: &[(&str, ClosedStatus)]) -> String {
        let status = |closed: &ClosedStatus| {
            let placement = serde_json::json!({
                "placement": "global", "state": "active", "epoch": 2, "operations": 9, "stable": 9,
                "damaged_records": 0, "peers": [], "closed": [closed],
            });
            let region = serde_json::json!({ "version": "1", "wall_clock_ahead_ms": 0, "placements": [placement], "bridges": [] });
            serde_json::from_value(region).ok()
        };
        let regions = told.iter().map(|(name, closed)| ((*name).to_owned(), status(closed))).collect();
        of_all(&regions)
            .iter()
            .map(|closed| format!("{}: {}", closed.told_by, closed.line()))
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[test]
    fn a_line_says_what_is_known_and_that_the_rest_is_not() {
        expect!["east: west (r2.00000000000000ab) is closed in global: 7 of its operations are here, and nothing that is known of is missing; the last one is of 2027-01-15T08:00:00Z; whether it issued more, of which nobody has heard, is not known"].assert_eq(&lines(&[("east", told(7, 0, 0))]));
        expect!["east: west (r2.00000000000000ab) is closed in global: 7 of its operations are here; it is known to have issued 12, so 5 are missing, but for what was sent again or salvaged; the last one is of 2027-01-15T08:00:00Z; whether it issued more, of which nobody has heard, is not known"].assert_eq(&lines(&[("east", told(7, 5, 0))]));
        expect!["east: west (r2.00000000000000ab) is closed in global: 0 of its operations are here; it is known to have issued 5, so 5 are missing, but for what was sent again or salvaged; whether it issued more, of which nobody has heard, is not known; in 2 partitions more of it may still come"].assert_eq(&lines(&[("east", told(0, 5, 2))]));
    }

    #[test]
    fn the_region_that_knows_of_most_is_believed_once_all_has_come() {
        let both = [("east", told(7, 5, 0)), ("north", told(7, 0, 0))];
        expect!["east: west (r2.00000000000000ab) is closed in global: 7 of its operations are here; it is known to have issued 12, so 5 are missing, but for what was sent again or salvaged; the last one is of 2027-01-15T08:00:00Z; whether it issued more, of which nobody has heard, is not known"].assert_eq(&lines(&both));
        // What is only late at one region is not missing.
        let late = [("east", told(7, 0, 0)), ("north", told(2, 5, 1))];
        expect!["east: west (r2.00000000000000ab) is closed in global: 7 of its operations are here, and nothing that is known of is missing; the last one is of 2027-01-15T08:00:00Z; whether it issued more, of which nobody has heard, is not known"].assert_eq(&lines(&late));
    }
}
