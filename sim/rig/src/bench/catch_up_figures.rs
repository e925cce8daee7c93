//! What came out of healing two regions: a line for each promise that has a number, and what it cost.
//!
//! On a limited link its bandwidth is what counts, without limits the operations of a second: each is judged where it means something. Bytes are those of frames that
//! arrived, so what QUIC adds and what was sent twice is no credit.
//!
//! What must always hold: a figure that could not be measured fails its line; each way is judged for itself, by the slower one.

use super::catch_up::CatchUpSettings;
use super::counted::Counts;
use super::line::{self, Line, Percentiles};
use super::load::{BODY_BYTES, MEMBERS_A_REGION, Window};
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

/// Of the bandwidth, in a hundred.
const SHARE_LEAST: f64 = 80.0;
/// Operations a second each way, both at once, when nothing limits the link.
const RATE_LEAST: f64 = 20_000.0;
/// Beyond the link's delay, in milliseconds.
const LIVE_MS_MAX: f64 = 50.0;
/// What a process may grow by, in MiB.
const GROWTH_MIB_MAX: f64 = 64.0;

/// What came to one region.
#[derive(Debug, Default)]
pub(super) struct Way {
    /// What it lacked.
    pub(super) operations: u64,
    /// How long it took until that was durable.
    pub(super) took: Duration,
    /// What the region counted meanwhile.
    pub(super) counts: Counts,
}

/// All figures of a healing.
#[derive(Debug, Clone)]
pub struct CatchUpFigures {
    settings: CatchUpSettings,
    /// In the order in which they were measured.
    pub lines: Vec<Line>,
    /// What clients were refused, by code.
    pub refused: BTreeMap<String, u64>,
    /// Datagrams that found the link's queue full, both ways.
    pub(super) dropped: u64,
    live: Percentiles,
}

impl CatchUpFigures {
    pub(super) fn new(settings: CatchUpSettings, fill_s: f64) -> Self {
        let rate = 2.0 * settings.operations as f64 / fill_s;
        let what = "messages a second taken while cut, both regions";
        let lines = vec![Line::new("fill_rate", what, Some(rate), "/s")];
        let (refused, live) = (BTreeMap::new(), Percentiles::default());
        Self { settings, lines, refused, dropped: 0, live }
    }

    /// What came to each of the two regions.
    pub(super) fn healed(&mut self, opened_after: Duration, ways: [Way; 2]) {
        let what = "from healing until both bridges are open";
        self.lines.push(Line::new("opened_after", what, Some(opened_after.as_secs_f64()), "s"));
        let slower = |read: &dyn Fn(&Way) -> Option<f64>| {
            let (one, other) = (read(&ways[0]), read(&ways[1]));
            one.zip(other)
        };
        let whole = slower(&|way| Some(way.took.as_secs_f64())).map(|(one, other)| one.max(other));
        self.lines.push(Line::new("whole_after", "from there until both hold all", whole, "s"));
        let rate = |way: &Way| Some(way.operations as f64 / way.took.as_secs_f64());
        let rate = slower(&rate).map(|(one, other)| one.min(other));
        let rate = Line::new("rate", "operations a second, the slower way", rate, "/s");
        let share = |way: &Way| {
            let bits = way.counts.get("bridge_bytes_total in")? as f64 * 8.0;
            Some(100.0 * bits / way.took.as_secs_f64() / (f64::from(self.settings.megabits?) * 1e6))
        };
        let share = slower(&share).map(|(one, other)| one.min(other));
        let share = Line::new("share", "of the bandwidth, the slower way", share, "%");
        if self.settings.megabits.is_some() {
            self.lines.extend([rate, share.at_least(SHARE_LEAST)]);
        } else {
            self.lines.push(rate.at_least(RATE_LEAST));
        }
        let operations = (ways[0].operations + ways[1].operations) as f64;
        let each = |name: &str| {
            let both = slower(&|way| way.counts.get(name).map(|value| value as f64));
            both.map(|(one, other)| (one + other) / operations)
        };
        let bytes = each("bridge_bytes_total in");
        self.lines.push(Line::new("bytes", "bytes of frames an operation", bytes, "B"));
        let datagrams = each("bridge_datagram_bytes_total in");
        self.lines.push(Line::new("datagram_bytes", "bytes of UDP an operation", datagrams, "B"));
        self.lines.push(Line::new("syncs", "syncs an operation", each("shard_syncs_total"), ""));
        self.lines.push(Line::new("writes", "keys written an operation", each("shard_writes_total"), ""));
        let disk = each("io write_bytes");
        self.lines.push(Line::new("disk_bytes", "bytes written to disks an operation", disk, "B"));
        let cpu = each("cpu").map(|hundredths| hundredths * 1e4);
        self.lines.push(Line::new("cpu", "processor time of both regions an operation", cpu, "µs"));
    }

    /// Messages that people posted meanwhile.
    pub(super) fn live(&mut self, window: &Window, delay_us: u64) {
        let across = window.shown.iter().filter(|sample| sample.from != sample.to);
        let across = across.map(|sample| u64::from(sample.took_us).saturating_sub(delay_us)).collect();
        self.live = Percentiles::of(across);
        let (p50, p99) = (self.live.ms(self.live.p50), self.live.ms(self.live.p99));
        let what = "live messages shown across less the link's delay, p50";
        self.lines.push(Line::new("live_p50", what, p50, "ms"));
        let what = "live messages shown across less the link's delay, p99";
        self.lines.push(Line::new("live_p99", what, p99, "ms").at_most(LIVE_MS_MAX));
        let unseen = (window.posted * MEMBERS_A_REGION).saturating_sub(self.live.count);
        let what = "live messages not shown across, of each screen";
        self.lines.push(Line::new("live_unseen", what, Some(unseen as f64), "").at_most(0.0));
    }

    /// What each process had in memory just before, and at most since; KiB.
    pub(super) fn memory(&mut self, before: [Option<u64>; 2], highest: [Option<u64>; 2]) {
        let mib = |kib: u64| kib as f64 / 1_024.0;
        let growth = |number: usize| Some(mib(highest[number]?.saturating_sub(before[number]?)));
        let larger = growth(0).zip(growth(1)).map(|(one, other)| one.max(other));
        let held = before[0].zip(before[1]).map(|(one, other)| mib(one.max(other)));
        self.lines.push(Line::new("resident", "memory of a process before it was healed", held, "MiB"));
        let growth = Line::new("growth", "by which the memory of a process grew", larger, "MiB");
        self.lines.push(growth.at_most(GROWTH_MIB_MAX));
    }

    /// Whether every promised figure is within its bound, and nobody was refused anything.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.refused.is_empty() && self.lines.iter().all(Line::is_kept)
    }

    /// A table for people.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = line::table(&self.lines, &self.refused);
        if self.dropped > 0 {
            // Writing to a string does not fail.
            let _ = writeln!(text, "the link's queue was full for {} datagrams", self.dropped);
        }
        text
    }

    /// As JSON: the figures by name.
    #[must_use]
    pub fn json(&self) -> String {
        let CatchUpSettings { operations, megabits, delay_ms } = self.settings;
        let settings = json!({
            "operations": operations, "megabits": megabits, "delay_ms": delay_ms, "body_bytes": BODY_BYTES,
        });
        let all = json!({
            "schema": 1, "ok": self.ok(), "settings": settings, "figures": line::json(&self.lines),
            "samples": { "live_across_less_link": self.live.json() }, "refused": self.refused,
            "dropped_by_full_queue": self.dropped,
        });
        format!("{all:#}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(megabits: Option<u32>, took: [u64; 2]) -> CatchUpFigures {
        let mut figures =
            CatchUpFigures::new(CatchUpSettings { operations: 100_000, megabits, delay_ms: 80 }, 10.0);
        let way = |took| Way {
            operations: 100_000,
            took: Duration::from_secs(took),
            counts: Counts::from([("bridge_bytes_total in", 100_000_000)]),
        };
        figures.healed(Duration::from_secs(1), took.map(way));
        figures
    }

    fn line<'a>(figures: &'a CatchUpFigures, name: &str) -> Option<&'a Line> {
        figures.lines.iter().find(|line| line.name == name)
    }

    #[test]
    fn the_slower_way_is_judged_by_what_limits_it() {
        let limited = figures(Some(200), [4, 8]);
        assert_eq!(line(&limited, "share").map(|line| line.value), Some(Some(50.0)));
        assert!(!limited.ok() && figures(Some(200), [4, 5]).ok());
        assert!(figures(None, [4, 5]).ok() && !figures(None, [4, 6]).ok());
        assert_eq!(line(&figures(None, [4, 5]), "share"), None);
    }

    #[test]
    fn what_was_not_measured_is_not_ok() {
        let mut figures = figures(Some(200), [4, 4]);
        figures.memory([Some(1_024), Some(2_048)], [Some(1_024 * 60), Some(2_048)]);
        assert!(figures.ok());
        figures.memory([Some(1), None], [Some(2), Some(2)]);
        assert!(!figures.ok());
    }

    #[test]
    fn a_live_message_that_nobody_saw_is_not_ok() {
        let mut figures = figures(Some(200), [4, 4]);
        figures.live(&Window { posted: 1, ..Window::default() }, 0);
        assert!(!figures.ok());
        assert_eq!(line(&figures, "live_unseen").map(|line| line.value), Some(Some(2.0)));
    }
}
