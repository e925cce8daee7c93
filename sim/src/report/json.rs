//! The report for machines. The format is documented in `docs/histories.md` and stable: fields are added, never renamed.
//!
//! Times are milliseconds with three decimals, written from integers: no number here was ever a float.

use super::{Effect, Latency, Report, decimal};
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

#[derive(Serialize)]
struct Face<'a> {
    schema: &'static str,
    ok: bool,
    seed: u64,
    planned: u64,
    acknowledged: u64,
    shown_expected: u64,
    shown: u64,
    duration_s: Box<RawValue>,
    verdicts: BTreeMap<&'static str, u64>,
    checked: BTreeMap<&'static str, u64>,
    violations: Vec<ViolationFace<'a>>,
    faults: Vec<FaultFace<'a>>,
    latency_ms: BTreeMap<&'static str, LatencyFace>,
    bridges: Vec<BridgeFace<'a>>,
    bridge_bytes_per_message: Box<RawValue>,
    problems: &'a [String],
}

#[derive(Serialize)]
struct ViolationFace<'a> {
    verdict: &'static str,
    conversation: Option<String>,
    message: Option<String>,
    device: Option<String>,
    region: Option<&'a str>,
    what: &'a str,
}

#[derive(Serialize)]
struct FaultFace<'a> {
    kind: &'static str,
    from: &'a str,
    to: Option<&'a str>,
    start_ms: u64,
    end_ms: u64,
    packets_dropped: Option<u64>,
    pid_before: Option<u32>,
    pid_after: Option<u32>,
}

#[derive(Serialize)]
struct LatencyFace {
    p50: Box<RawValue>,
    p99: Box<RawValue>,
    max: Box<RawValue>,
}

#[derive(Serialize)]
struct BridgeFace<'a> {
    from: &'a str,
    to: &'a str,
    bytes: u64,
    messages: u64,
}

impl Report {
    /// As JSON, over several lines.
    #[must_use]
    pub fn json(&self) -> String {
        let counts = |count: fn(&crate::checks::history::Findings) -> u64| {
            self.findings.iter().map(|finding| (finding.verdict.name(), count(finding))).collect()
        };
        let face = Face {
            schema: "archipelago.report.v1",
            ok: self.ok,
            seed: self.facts.seed,
            planned: self.facts.planned,
            acknowledged: self.acknowledged,
            shown_expected: self.shown_expected,
            shown: self.shown,
            duration_s: number(Some(decimal(self.facts.duration_us / 1_000))),
            verdicts: counts(|finding| finding.count),
            checked: counts(|finding| finding.checked),
            violations: self.violations(),
            faults: self.faults(),
            latency_ms: BTreeMap::from([
                ("acknowledge", latency(self.latencies.acknowledge)),
                ("show_same_region", latency(self.latencies.show_same_region)),
                ("show_across_less_link", latency(self.latencies.show_across_less_link)),
            ]),
            bridges: self.bridges(),
            bridge_bytes_per_message: number(
                self.bridge_bytes_per_message_tenths()
                    .map(|tenths| format!("{}.{}", tenths / 10, tenths % 10)),
            ),
            problems: &self.facts.problems,
        };
        // Everything above has a JSON form: maps have texts as keys, and numbers are integers or decimals.
        serde_json::to_string_pretty(&face).unwrap_or_default() + "\n"
    }

    fn violations(&self) -> Vec<ViolationFace<'_>> {
        let violations = self.findings.iter().flat_map(|finding| &finding.violations);
        let face = |violation: &'_ crate::checks::history::Violation| ViolationFace {
            verdict: violation.verdict.name(),
            conversation: violation.conversation.map(|id| id.to_string()),
            message: violation.message.map(|id| id.to_string()),
            device: violation.device.map(|id| id.to_string()),
            region: violation.region.map(|number| self.region(number)),
            what: "",
        };
        violations.map(|violation| ViolationFace { what: &violation.what, ..face(violation) }).collect()
    }

    fn faults(&self) -> Vec<FaultFace<'_>> {
        let face = |fault: &super::FaultOutcome| {
            let (kind, packets_dropped, pid_before, pid_after) = match fault.effect {
                Effect::PacketsDropped(packets) => ("cut", Some(packets), None, None),
                Effect::Processes { before, after } => ("kill", None, Some(before), after),
                Effect::Upgraded { before, after } => ("upgrade", None, Some(before), after),
            };
            FaultFace {
                kind,
                from: self.region(fault.from),
                to: fault.to.map(|number| self.region(number)),
                start_ms: fault.start_ms,
                end_ms: fault.end_ms,
                packets_dropped,
                pid_before,
                pid_after,
            }
        };
        self.facts.faults.iter().map(face).collect()
    }

    fn bridges(&self) -> Vec<BridgeFace<'_>> {
        let face = |bridge: &super::BridgeUse| BridgeFace {
            from: self.region(bridge.from),
            to: self.region(bridge.to),
            bytes: bridge.bytes,
            messages: bridge.messages,
        };
        self.bridges.iter().map(face).collect()
    }
}

fn latency(latency: Option<Latency>) -> LatencyFace {
    let face = |pick: fn(Latency) -> u64| number(latency.map(|latency| decimal(pick(latency))));
    LatencyFace { p50: face(|l| l.p50_us), p99: face(|l| l.p99_us), max: face(|l| l.max_us) }
}

/// A decimal number as it stands, or null.
fn number(text: Option<String>) -> Box<RawValue> {
    let raw = RawValue::from_string(text.unwrap_or_else(|| "null".to_owned()));
    // Only digits with one point between them are passed, or the word null.
    raw.unwrap_or_else(|_| RawValue::NULL.to_owned())
}
