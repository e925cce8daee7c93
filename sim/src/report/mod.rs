//! The outcome of a replay: one value, three faces (`json` for machines, `table` for a terminal, `page` for a browser).
//!
//! What must always hold: a report is made for every run that started; `ok` is never true unless every planned message was acknowledged and
//! shown to everybody it was owed, every check looked at something and found nothing, every fault had an effect, and nothing else went wrong.

mod json;
mod latency;
mod page;
mod picture;
mod table;

pub use latency::{Latencies, Latency};

use crate::checks::history::{Findings, judge};
use crate::evidence::{Evidence, RegionNumber};
use crate::page::Recording;
use std::collections::BTreeMap;

/// What the rig knows of a run, besides the evidence.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RunFacts {
    /// What decided all chance.
    pub seed: u64,
    /// How many messages were to be sent.
    pub planned: u64,
    /// From the schedule's begin until calm, in microseconds.
    pub duration_us: u64,
    /// The faults, as they happened.
    pub faults: Vec<FaultOutcome>,
    /// Bytes that each directed link carried (UDP payload).
    pub link_bytes: BTreeMap<(RegionNumber, RegionNumber), u64>,
    /// How long each directed link takes at least, in microseconds.
    pub link_delay_us: BTreeMap<(RegionNumber, RegionNumber), u64>,
    /// What else went wrong, a sentence each.
    pub problems: Vec<String>,
}

/// A fault, as it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultOutcome {
    /// What kind, with what shows that it had an effect.
    pub effect: Effect,
    /// For a cut, where packets came from; for a kill or an upgrade, whose process it was.
    pub from: RegionNumber,
    /// For a cut, where they went.
    pub to: Option<RegionNumber>,
    /// When it began, in milliseconds since the schedule began.
    pub start_ms: u64,
    /// When it ended: the link whole, the process ready again.
    pub end_ms: u64,
}

/// What shows that a fault had an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// A cut dropped so many packets.
    PacketsDropped(u64),
    /// A kill ended one process, and another took its place.
    Processes {
        /// The one killed.
        before: u32,
        /// The one started; none if it did not come up.
        after: Option<u32>,
    },
    /// A process was told to end, and one of another release took its place.
    Upgraded {
        /// The one that ended.
        before: u32,
        /// The one started; none if it did not come up.
        after: Option<u32>,
    },
}

/// How long a region may be away while it is upgraded, in milliseconds.
pub const UPGRADED_WITHIN_MS: u64 = 5_000;

/// How a bridge was used in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BridgeUse {
    /// From there.
    pub from: RegionNumber,
    /// To there.
    pub to: RegionNumber,
    /// Bytes carried (UDP payload).
    pub bytes: u64,
    /// Messages that `from` took and `to` holds too.
    pub messages: u64,
}

/// The outcome of a replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Whether everything was as it must be.
    pub ok: bool,
    /// The regions' names, by number.
    pub regions: Vec<String>,
    /// What the rig knows.
    pub facts: RunFacts,
    /// Messages acknowledged.
    pub acknowledged: u64,
    /// Pairs of message and device owed.
    pub shown_expected: u64,
    /// Those that were shown.
    pub shown: u64,
    /// What each check found.
    pub findings: Vec<Findings>,
    /// How long things took.
    pub latencies: Latencies,
    /// How bridges were used.
    pub bridges: Vec<BridgeUse>,
    /// What is drawn.
    pub picture: Recording,
}

impl FaultOutcome {
    /// Whether it did anything at all; of an upgrade, whether the region was back in time.
    #[must_use]
    pub const fn is_effective(&self) -> bool {
        match self.effect {
            Effect::PacketsDropped(packets) => packets > 0,
            Effect::Processes { before, after: Some(after) } => before != after,
            Effect::Upgraded { before, after: Some(after) } => {
                before != after && self.end_ms - self.start_ms <= UPGRADED_WITHIN_MS
            }
            Effect::Processes { after: None, .. } | Effect::Upgraded { after: None, .. } => false,
        }
    }
}

impl Report {
    /// Judges the evidence and sums up the run.
    #[must_use]
    pub fn of(evidence: &Evidence, facts: RunFacts) -> Self {
        let totals = evidence.totals();
        let findings = judge(evidence);
        let ok = facts.planned > 0
            && totals.acknowledged == facts.planned
            && totals.shown == totals.shown_expected
            && findings.iter().all(|finding| finding.count == 0 && finding.checked > 0)
            && facts.faults.iter().all(FaultOutcome::is_effective)
            && facts.problems.is_empty();
        Self {
            ok,
            regions: evidence.regions.iter().map(|region| region.name.clone()).collect(),
            acknowledged: totals.acknowledged,
            shown_expected: totals.shown_expected,
            shown: totals.shown,
            findings,
            latencies: Latencies::of(evidence, &facts.link_delay_us),
            bridges: bridges(evidence, &facts),
            picture: picture::recording(evidence, &facts),
            facts,
        }
    }

    /// Bridge bytes of all links for each message that crossed one, in tenths of a byte; none if no message did.
    #[must_use]
    pub fn bridge_bytes_per_message_tenths(&self) -> Option<u64> {
        let bytes: u64 = self.bridges.iter().map(|bridge| bridge.bytes).sum();
        let messages: u64 = self.bridges.iter().map(|bridge| bridge.messages).sum();
        (bytes * 10).checked_div(messages)
    }

    fn region(&self, number: RegionNumber) -> &str {
        self.regions.get(number).map_or("?", String::as_str)
    }
}

fn bridges(evidence: &Evidence, facts: &RunFacts) -> Vec<BridgeUse> {
    let mut messages: BTreeMap<(RegionNumber, RegionNumber), u64> = BTreeMap::new();
    for (id, conversation) in &evidence.conversations {
        for message in &conversation.messages {
            let Some((_, place)) = message.acknowledged else { continue };
            let Some(from) = evidence.region_of(place.dot) else { continue };
            for (to, region) in evidence.regions.iter().enumerate() {
                if to != from && region.placements.contains(&id.placement()) {
                    *messages.entry((from, to)).or_default() += 1;
                }
            }
        }
    }
    let of_link = |((from, to), bytes): (&(RegionNumber, RegionNumber), &u64)| BridgeUse {
        from: *from,
        to: *to,
        bytes: *bytes,
        messages: messages.get(&(*from, *to)).copied().unwrap_or(0),
    };
    facts.link_bytes.iter().map(of_link).collect()
}

/// Thousandths as a decimal number.
fn decimal(thousandths: u64) -> String {
    format!("{}.{:03}", thousandths / 1_000, thousandths % 1_000)
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use expect_test::expect;

    pub(crate) fn facts() -> RunFacts {
        let cut = FaultOutcome {
            effect: Effect::PacketsDropped(12),
            from: 0,
            to: Some(1),
            start_ms: 100,
            end_ms: 300,
        };
        let kill = FaultOutcome {
            effect: Effect::Processes { before: 41, after: Some(42) },
            from: 1,
            to: None,
            start_ms: 400,
            end_ms: 700,
        };
        RunFacts {
            seed: 7,
            planned: 4,
            duration_us: 1_234_567,
            faults: vec![cut, kill],
            link_bytes: BTreeMap::from([((0, 1), 5_000), ((1, 0), 3_001)]),
            link_delay_us: BTreeMap::from([((0, 1), 20), ((1, 0), 20)]),
            problems: vec![],
        }
    }

    fn good() -> Report {
        Report::of(&crate::checks::planted::good_evidence(), facts())
    }

    #[test]
    fn a_good_run_is_ok_and_its_faces_are_stable() {
        let report = good();
        assert!(report.ok);
        expect![[r#"
            {
              "schema": "archipelago.report.v1",
              "ok": true,
              "seed": 7,
              "planned": 4,
              "acknowledged": 4,
              "shown_expected": 11,
              "shown": 11,
              "duration_s": 1.234,
              "verdicts": {
                "admins_disagree": 0,
                "before_its_cause": 0,
                "causally_inconsistent": 0,
                "diverged_partitions": 0,
                "look_disagreements": 0,
                "lost": 0,
                "order_disagreements": 0,
                "out_of_order": 0,
                "pinned_bytes_outside": 0,
                "receipt_without_message": 0,
                "session_guarantees": 0,
                "shown_twice": 0
              },
              "checked": {
                "admins_disagree": 3,
                "before_its_cause": 7,
                "causally_inconsistent": 26,
                "diverged_partitions": 5,
                "look_disagreements": 11,
                "lost": 19,
                "order_disagreements": 19,
                "out_of_order": 10,
                "pinned_bytes_outside": 5000,
                "receipt_without_message": 2,
                "session_guarantees": 37,
                "shown_twice": 11
              },
              "violations": [],
              "faults": [
                {
                  "kind": "cut",
                  "from": "eu-central",
                  "to": "us-east",
                  "start_ms": 100,
                  "end_ms": 300,
                  "packets_dropped": 12,
                  "pid_before": null,
                  "pid_after": null
                },
                {
                  "kind": "kill",
                  "from": "us-east",
                  "to": null,
                  "start_ms": 400,
                  "end_ms": 700,
                  "packets_dropped": null,
                  "pid_before": 41,
                  "pid_after": 42
                }
              ],
              "latency_ms": {
                "acknowledge": {
                  "p50": 0.010,
                  "p99": 0.010,
                  "max": 0.010
                },
                "show_across_less_link": {
                  "p50": 0.080,
                  "p99": 0.090,
                  "max": 0.090
                },
                "show_same_region": {
                  "p50": 0.020,
                  "p99": 0.020,
                  "max": 0.020
                }
              },
              "bridges": [
                {
                  "from": "eu-central",
                  "to": "us-east",
                  "bytes": 5000,
                  "messages": 2
                },
                {
                  "from": "us-east",
                  "to": "eu-central",
                  "bytes": 3001,
                  "messages": 2
                }
              ],
              "bridge_bytes_per_message": 2000.2,
              "problems": []
            }
        "#]]
        .assert_eq(&report.json());
        expect![[r#"
            messages   4 planned, 4 acknowledged
            screens    11 showings owed, 11 shown

             breaches     looked at
            ✓       0            19  acknowledged messages that are missing somewhere
            ✓       0            11  messages shown more than once, or never sent
            ✓       0             7  messages shown before something their author had seen
            ✓       0            10  messages of one sender shown out of the order sent
            ✓       0            19  screens that show the same messages in another order
            ✓       0             2  receipts for messages the device did not have
            ✓       0             5  places where two regions hold different states
            ✓       0          5000  bytes of a pinned conversation outside its placement
            ✓       0            37  reads and writes of a device that its next ones contradict
            ✓       0            26  messages seen before what happened before them, through whatever hands
            ✓       0            11  messages that look different on two screens: edited, deleted, reacted to
            ✓       0             3  devices that are told of other admins than the rest

            ✓ cut    eu-central > us-east, 0.1 s to 0.3 s: 12 packets dropped
            ✓ kill   us-east at 0.4 s (process 41), back at 0.7 s (process 42)

                  half  99 of 100    longest  milliseconds
                 0.010      0.010      0.010  until a message was acknowledged
                 0.020      0.020      0.020  until it was shown in the same region
                 0.080      0.090      0.090  until it was shown in another, beyond the distance

            bridges carried 2000.2 bytes for each message that crossed one

            OK: nothing acknowledged was lost, nothing was shown before its cause, all regions agree  (seed 7, 1 s)
        "#]].assert_eq(&report.table());
        let page = report.page();
        assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"));
        assert!(page.contains("Everything held") && page.contains("eu-central → us-east"), "{page}");
    }

    #[test]
    fn whatever_is_missing_is_not_ok() {
        let not_ok = |facts: RunFacts| !Report::of(&crate::checks::planted::good_evidence(), facts).ok;
        assert!(not_ok(RunFacts { planned: 5, ..facts() }), "one was never acknowledged");
        assert!(not_ok(RunFacts { problems: vec!["it rained".to_owned()], ..facts() }));
        let mut idle = facts();
        idle.faults[0].effect = Effect::PacketsDropped(0);
        assert!(not_ok(idle), "a cut that dropped nothing was no cut");
        let mut dead = facts();
        dead.faults[1].effect = Effect::Processes { before: 41, after: None };
        assert!(not_ok(dead), "a region that did not come back");
        let mut unscanned = crate::checks::planted::good_evidence();
        unscanned.scans.clear();
        assert!(!Report::of(&unscanned, facts()).ok, "a check that looked at nothing proves nothing");
    }

    #[test]
    fn what_people_are_called_cannot_break_the_page() {
        let mut evidence = crate::checks::planted::good_evidence();
        evidence.devices[0].name = "<script>alert(1)</script>".to_owned();
        evidence.regions[0].name = "a&b<c>".to_owned();
        let page = Report::of(&evidence, facts()).page();
        assert!(!page.contains("<script>alert") && !page.contains("a&b<c>"));
    }
}
