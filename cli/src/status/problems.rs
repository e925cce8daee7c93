//! What is not well, in sentences: each names the region and what to look at.
//!
//! What must always hold: it is a function of what the regions said and of the time; whoever is well is told nothing.

use super::members;
use super::said::{CertificatesStatus, RefusedStatus, RegionStatus, ShortageStatus};
use super::tables::ago;

/// What a peer has lacked for longer than this is told as a problem: a minute is more than any way around the world and any restart.
const LAG_MS_MAX: u64 = 60_000;

/// Clocks that differ by more are told as a problem, as the regions' own alarm does.
const CLOCK_MS_MAX: u64 = 500;

/// A certificate that expires within so many days is told as a problem: time for a holiday and a weekend.
const EXPIRES_DAYS: i64 = 14;

/// What is not well of a region, at that time in seconds since 1970.
pub(super) fn problems_of(region: &str, status: &RegionStatus, now_s: i64) -> Vec<String> {
    let mut problems = Vec::new();
    for placement in &status.placements {
        let name = &placement.placement;
        if placement.state != "active" {
            problems
                .push(format!("{region} is {} in {name}: it answers no device there yet", placement.state));
        }
        if placement.damaged_records > 0 {
            let records = placement.damaged_records;
            problems.push(format!(
                "{region} has {records} damaged records in {name}: see docs/operations/a-store-is-damaged.md"
            ));
        }
        if placement.other_histories > 0 {
            problems.push(format!(
                "{region} was told in {name} of what it has, by somebody who has something else in its place: its log names who; close that replica, and keep both disks (docs/operations/a-region-is-lost.md)"
            ));
        }
        if placement.store_holds_up {
            problems.push(format!(
                "{region} is behind with the files of its store of {name} and slows writes down: see docs/operations/a-slow-store.md"
            ));
        }
        for peer in placement.peers.iter().filter(|peer| peer.for_ms.is_some_and(|ms| ms > LAG_MS_MAX)) {
            let (operations, ago) = (peer.lacks_operations, ago(peer.for_ms));
            problems.push(format!(
                "{} lacks {operations} operations of {region} in {name}, the oldest {ago} old: see docs/operations/messages-do-not-arrive.md",
                peer.region
            ));
        }
    }
    let ahead = status.wall_clock_ahead_ms;
    if ahead.unsigned_abs() > CLOCK_MS_MAX {
        problems.push(format!(
            "the machine's clock of {region} is {ahead} ms ahead of the time that the region goes by: it was set, or the machine slept, see docs/operations/clocks-are-wrong.md"
        ));
    }
    for bridge in &status.bridges {
        let peer = &bridge.peer;
        if !bridge.open {
            problems.push(format!(
                "the bridge from {region} to {peer} is down: see docs/operations/a-link-is-cut.md"
            ));
        }
        if bridge.partitions_differing > 0 {
            let partitions = bridge.partitions_differing;
            problems.push(format!(
                "{region} and {peer} hold two states of {partitions} partitions: see docs/operations/regions-differ.md"
            ));
        }
        if bridge.partitions_stopped > 0 {
            let partitions = bridge.partitions_stopped;
            problems.push(format!(
                "{region} takes nothing more from {peer} of {partitions} partitions: its log says why, see docs/operations/messages-do-not-arrive.md"
            ));
        }
        let uncertain = bridge.clock_uncertain_ms.unwrap_or(0);
        if let Some(ahead) = bridge.clock_ahead_ms
            && ahead.unsigned_abs() > CLOCK_MS_MAX + uncertain
        {
            problems.push(format!(
                "the clock of {peer} is {ahead} ms ahead of {region}'s: correct the wrong one, see docs/operations/clocks-are-wrong.md"
            ));
        }
    }
    problems.extend(members::problems(region, &status.members, &status.bridges));
    // What a region can work with is a note below the tables, and no problem: it may be meant so.
    let stops = status.machine.iter().filter(|shortage| shortage.stops);
    problems.extend(stops.map(|ShortageStatus { code, what, .. }| format!("{region}: {what} ({code})")));
    problems.extend(status.certificates.iter().flat_map(|said| of_certificates(region, said, now_s)));
    problems
}

fn of_certificates(region: &str, said: &CertificatesStatus, now_s: i64) -> Vec<String> {
    let mut problems = Vec::new();
    let runbook = "see docs/operations/certificates.md";
    if let Some(RefusedStatus { code, why }) = &said.refused {
        problems
            .push(format!("{region} does not take the certificates in its files: {why} ({code}); {runbook}"));
    }
    let own = (format!("the certificate of {region}"), said.expires_s);
    let authority = said.authorities_expire_s.iter().min();
    let authority = authority.map(|until_s| (format!("an authority that {region} trusts"), *until_s));
    for (what, until_s) in std::iter::once(own).chain(authority) {
        match days(until_s, now_s) {
            days if days < 0 => problems.push(format!("{what} has expired: {runbook}")),
            days if days <= EXPIRES_DAYS => {
                problems.push(format!("{what} expires in {days} days: {runbook}"));
            }
            _ => {}
        }
    }
    problems
}

/// Whole days until then; less than none once it is over.
pub(super) fn days(until_s: i64, now_s: i64) -> i64 {
    until_s.saturating_sub(now_s).div_euclid(86_400)
}

#[cfg(test)]
mod tests {
    use super::{CertificatesStatus, RefusedStatus, RegionStatus, of_certificates, problems_of};
    use serde_json::json;

    const DAY: i64 = 86_400;

    #[test]
    fn a_certificate_is_told_of_two_weeks_before_it_expires() {
        let now = 1_000 * DAY;
        let told = |own: i64, authorities: &[i64]| {
            let said = CertificatesStatus {
                expires_s: now + own,
                authorities_expire_s: authorities.iter().map(|left| now + left).collect(),
                refused: None,
            };
            of_certificates("east", &said, now)
        };
        assert!(told(15 * DAY, &[15 * DAY]).is_empty());
        let [own] = &told(15 * DAY - 1, &[99 * DAY])[..] else { panic!("one is told of") };
        assert!(own.starts_with("the certificate of east expires in 14 days: see docs/operations"), "{own}");
        let [own, authority] = &told(-1, &[99 * DAY, 0])[..] else { panic!("both are told of") };
        assert!(own.starts_with("the certificate of east has expired"), "{own}");
        assert!(authority.starts_with("an authority that east trusts expires in 0 days"), "{authority}");
    }

    /// What is not well of a region of which that is so.
    fn told(store_holds_up: bool, partitions_stopped: u64, wall_clock_ahead_ms: i64) -> Vec<String> {
        let said = json!({
            "version": "1", "wall_clock_ahead_ms": wall_clock_ahead_ms,
            "placements": [{
                "placement": "global", "state": "active", "epoch": 1, "operations": 0, "stable": 0, "damaged_records": 0,
                "store_holds_up": store_holds_up, "peers": [],
            }],
            "bridges": [{
                "peer": "west", "open": true, "alarms": 0, "states_compared": 0, "partitions_differing": 0,
                "partitions_stopped": partitions_stopped, "clock_ahead_ms": null, "clock_uncertain_ms": null,
            }],
        });
        let said: Result<RegionStatus, _> = serde_json::from_value(said);
        said.map_or_else(|error| vec![error.to_string()], |said| problems_of("east", &said, 0))
    }

    #[test]
    fn a_stopped_partition_a_store_that_is_behind_and_a_clock_that_was_set_are_told_of_with_their_runbook() {
        assert!(told(false, 0, 500).is_empty());
        let [stopped] = &told(false, 2, 0)[..] else { panic!("one is told of") };
        assert!(
            stopped.starts_with("east takes nothing more from west of 2 partitions: its log"),
            "{stopped}"
        );
        let [behind] = &told(true, 0, 0)[..] else { panic!("one is told of") };
        assert!(behind.starts_with("east is behind with the files of its store of global"), "{behind}");
        let [clock] = &told(false, 0, -501)[..] else { panic!("one is told of") };
        assert!(clock.starts_with("the machine's clock of east is -501 ms ahead of the time"), "{clock}");
    }

    #[test]
    fn files_that_are_refused_are_told_of_by_code() {
        let refused = RefusedStatus { code: "certificate_untrusted".into(), why: "nobody signed it".into() };
        let said = CertificatesStatus {
            expires_s: 99 * DAY,
            authorities_expire_s: vec![99 * DAY],
            refused: Some(refused),
        };
        let told = of_certificates("east", &said, 0);
        assert!(told.len() == 1 && told[0].contains("nobody signed it (certificate_untrusted)"), "{told:?}");
    }
}
