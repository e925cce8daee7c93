//! What came out: a line for each promise that has a number, and each cost, as a table for people and as JSON.
//!
//! Bytes beside a body and of references are promised of a message *under load*: where commits hold several operations, so that one signature and one check
//! serve them all. So they are judged at full load, and shown of the steady one too.
//!
//! What must always hold: a figure that could not be measured is missing and fails its line; it never reads as good. Ratios are of figures of one run.

use super::BenchSettings;
use super::counted::Counts;
use super::line::{self, Line, Percentiles};
use super::load::{BODY_BYTES, Window};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A third region's references may cost so many bytes a message, and a message beside its body so many.
const REFERENCE_BYTES_MAX: f64 = 4.0;
const OVERHEAD_BYTES_MAX: f64 = 112.0;
/// Beyond the link's delay, in milliseconds.
const ACROSS_MS_MAX: f64 = 10.0;
/// Times the probed fdatasync at p99.
const SYNCS_MAX: f64 = 6.0;
/// Times the normal, while cut off.
const CUT_P50_MAX: f64 = 1.10;
const CUT_P99_MAX: f64 = 1.25;

/// All figures of a bench.
#[derive(Debug, Clone)]
pub struct BenchFigures {
    settings: BenchSettings,
    /// In the order in which they were measured.
    pub lines: Vec<Line>,
    /// What else is to be known.
    pub notes: Vec<String>,
    /// What clients were refused, by code.
    pub refused: BTreeMap<String, u64>,
    raw: BTreeMap<&'static str, Value>,
    pairs: Vec<[(Percentiles, Percentiles); 2]>,
}

impl BenchFigures {
    pub(super) fn new(settings: BenchSettings) -> Self {
        Self {
            settings,
            lines: vec![],
            notes: vec![],
            refused: BTreeMap::new(),
            raw: BTreeMap::new(),
            pairs: vec![],
        }
    }

    pub(super) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    fn line(
        &mut self,
        name: &'static str,
        what: &'static str,
        value: Option<f64>,
        unit: &'static str,
        most: Option<f64>,
    ) {
        let line = Line::new(name, what, value, unit);
        self.lines.push(most.map_or(line.clone(), |most| line.at_most(most)));
    }

    /// Latencies of the steady load.
    pub(super) fn steady(&mut self, window: &Window, syncs: &[u64], delay_us: impl Fn(usize, usize) -> u64) {
        let rate = window.posted as f64 * 1e6 / window.took_us.max(1) as f64;
        self.line("rate", "messages a second, in all", Some(rate), "/s", None);
        let unacknowledged = window.posted.saturating_sub(window.acknowledged.len());
        self.line("unacknowledged", "messages not acknowledged", Some(unacknowledged as f64), "", Some(0.0));
        let probed = Percentiles::of(syncs.to_vec());
        let acknowledged =
            Percentiles::of(window.acknowledged.iter().map(|s| u64::from(s.took_us)).collect());
        let here = window.shown.iter().filter(|s| s.from == s.to).map(|s| u64::from(s.took_us));
        let here = Percentiles::of(here.collect());
        let stable = Percentiles::of(window.stable.iter().map(|s| u64::from(s.took_us)).collect());
        let across = window.shown.iter().filter(|s| s.from != s.to);
        let across = across
            .map(|s| u64::from(s.took_us).saturating_sub(delay_us(s.from.into(), s.to.into())))
            .collect::<Vec<_>>();
        let across = Percentiles::of(across);
        let ms = |us: u64, of: Percentiles| of.ms(us);
        self.line(
            "fdatasync_p99",
            "fdatasync of 1-4 KiB, probed meanwhile, p99",
            ms(probed.p99, probed),
            "ms",
            None,
        );
        self.line("acknowledge_p50", "acknowledged, p50", ms(acknowledged.p50, acknowledged), "ms", None);
        self.line("acknowledge_p99", "acknowledged, p99", ms(acknowledged.p99, acknowledged), "ms", None);
        let ratio = acknowledged.p99 as f64 / probed.p99 as f64;
        self.line(
            "acknowledge_syncs",
            "acknowledged at p99, in fdatasyncs at p99",
            Some(ratio),
            "×",
            Some(SYNCS_MAX),
        );
        self.line("show_here_p50", "shown in the same region, p50", ms(here.p50, here), "ms", None);
        self.line("show_here_p99", "shown in the same region, p99", ms(here.p99, here), "ms", None);
        self.line(
            "across_p50",
            "shown across regions less the link's delay, p50",
            ms(across.p50, across),
            "ms",
            None,
        );
        let p99 = ms(across.p99, across);
        self.line(
            "across_p99",
            "shown across regions less the link's delay, p99",
            p99,
            "ms",
            Some(ACROSS_MS_MAX),
        );
        self.line("stable_p50", "known to be stable, p50", ms(stable.p50, stable), "ms", None);
        self.line("stable_p99", "known to be stable, p99", ms(stable.p99, stable), "ms", None);
        let all = [
            ("fdatasync", probed),
            ("acknowledge", acknowledged),
            ("show_same_region", here),
            ("show_across_less_link", across),
            ("stable", stable),
        ];
        self.raw.extend(all.map(|(name, of)| (name, of.json())));
    }

    /// What regions counted during the steady load, for each message.
    pub(super) fn counted(&mut self, counts: &Counts, window: &Window) {
        let messages = window.acknowledged.len() as f64;
        let bridged = counts.get("bridge_sent_items_total operations");
        let each = |name: &str| counts.get(name).map(|value| value as f64 / messages);
        let per_bridged = |value: Option<f64>| Some(value? / bridged.filter(|n| *n > 0)? as f64);
        let bytes = |name: &str| counts.get(name).map(|value| value as f64);
        self.line("syncs", "syncs a message, all regions together", each("shard_syncs_total"), "", None);
        self.line("writes", "keys written a message", each("shard_writes_total"), "", None);
        self.line("store_bytes", "bytes of keys and values a message", each("shard_bytes_total"), "B", None);
        self.line("disk_bytes", "bytes written to disks a message", each("io write_bytes"), "B", None);
        self.line(
            "cpu",
            "processor time of regions, 100,000 messages",
            each("cpu").map(|c| c * 1_000.0),
            "s",
            None,
        );
        let what = "bytes beside the body, a message and bridge";
        self.line("overhead", what, overhead(counts), "B", None);
        // Between two regions pass references to what a third one's people said: as many of those as of one region's own.
        let references = per_bridged(bytes("bridge_sent_bytes_total references"));
        let what = "bytes of references, a third region's message";
        self.line("references", what, references, "B", None);
        let registers = per_bridged(bytes("bridge_sent_bytes_total registers"));
        self.line("register_bytes", "bytes of registers, a message and bridge", registers, "B", None);
        let items = per_bridged(bytes("bridge_sent_items_total registers"));
        self.line("registers", "registers, a message and bridge", items, "", None);
        let other = per_bridged(bytes("bridge_sent_bytes_total other"));
        self.line("other_bytes", "bytes of all else, a message and bridge", other, "B", None);
        let frames = per_bridged(bytes("bridge_frames_total out"));
        self.line("frames", "frames, a message and bridge", frames, "", None);
        let datagrams = per_bridged(bytes("bridge_datagram_bytes_total out"));
        self.line("datagram_bytes", "bytes of UDP in all, a message and bridge", datagrams, "B", None);
    }

    /// What a message costs when the machine has as much to do as it can.
    pub(super) fn full(&mut self, counts: &Counts, window: &Window) {
        let messages = window.acknowledged.len() as f64;
        let rate = messages * 1e6 / window.took_us.max(1) as f64;
        self.line("full_rate", "under full load: messages a second", Some(rate), "/s", None);
        let acknowledged =
            Percentiles::of(window.acknowledged.iter().map(|s| u64::from(s.took_us)).collect());
        let p50 = (acknowledged.count > 0).then_some(acknowledged.p50 as f64 / 1_000.0);
        self.line("full_acknowledge_p50", "under full load: acknowledged, p50", p50, "ms", None);
        let syncs = counts.get("shard_syncs_total").map(|syncs| syncs as f64 / messages);
        self.line("full_syncs", "under full load: syncs a message, all regions", syncs, "", None);
        let cpu = counts.get("cpu").map(|cpu| cpu as f64 * 1_000.0 / messages);
        self.line("full_cpu", "under full load: processor time, 100,000 messages", cpu, "s", None);
        let operations = counts.get("bridge_sent_items_total operations").filter(|number| *number > 0);
        let references = counts.get("bridge_sent_bytes_total references").zip(operations);
        let references = references.map(|(bytes, number)| bytes as f64 / number as f64);
        let what = "under full load: bytes of references";
        self.line("full_references", what, references, "B", Some(REFERENCE_BYTES_MAX));
        let what = "under full load: bytes beside the body";
        self.line("full_overhead", what, overhead(counts), "B", Some(OVERHEAD_BYTES_MAX));
    }

    /// One pair: (acknowledged, shown) normally, and cut off.
    pub(super) fn pair(&mut self, normal: &(Percentiles, Percentiles), cut: &(Percentiles, Percentiles)) {
        self.pairs.push([*normal, *cut]);
        if self.pairs.len() == self.settings.pairs {
            self.judge_pairs();
        }
    }

    fn judge_pairs(&mut self) {
        let pairs = std::mem::take(&mut self.pairs);
        let median = |half: usize, read: &dyn Fn(&(Percentiles, Percentiles)) -> u64| {
            let mut all: Vec<u64> = pairs.iter().map(|pair| read(&pair[half])).collect();
            all.sort_unstable();
            all.get(all.len() / 2).copied().unwrap_or(0) as f64
        };
        let whole = pairs.iter().flatten().all(|(one, other)| one.count > 0 && other.count > 0);
        let ratio = |read: &dyn Fn(&(Percentiles, Percentiles)) -> u64| {
            (whole && !pairs.is_empty()).then(|| median(1, read) / median(0, read))
        };
        let what = "acknowledged while cut off, of normal, p50";
        self.line("cut_acknowledge_p50", what, ratio(&|half| half.0.p50), "×", Some(CUT_P50_MAX));
        let what = "acknowledged while cut off, of normal, p99";
        self.line("cut_acknowledge_p99", what, ratio(&|half| half.0.p99), "×", Some(CUT_P99_MAX));
        let what = "shown at home while cut off, of normal, p50";
        self.line("cut_show_p50", what, ratio(&|half| half.1.p50), "×", Some(CUT_P50_MAX));
        let what = "shown at home while cut off, of normal, p99";
        self.line("cut_show_p99", what, ratio(&|half| half.1.p99), "×", Some(CUT_P99_MAX));
        let told = |(acknowledged, shown): &(Percentiles, Percentiles)| json!({ "acknowledge": acknowledged.json(), "show_same_region": shown.json() });
        let told = pairs.iter().map(|[normal, cut]| json!({ "normal": told(normal), "cut": told(cut) }));
        self.raw.insert("pairs", told.collect());
    }

    /// What the shim counted, for each message.
    pub(super) fn allocated(&mut self, counts: &Counts, messages: usize) {
        // Less than one a message: the shim does not stand before what the regions allocate with, and zero would be a lie.
        let sees = counts.get("allocations").is_some_and(|all| all >= messages as u64);
        let each = |name: &str| counts.get(name).filter(|_| sees).map(|value| value as f64 / messages as f64);
        let what = "allocations a message, all regions together";
        self.line("allocations", what, each("allocations"), "", None);
        self.line("allocated_bytes", "bytes allocated a message", each("allocated bytes"), "B", None);
        let what = "allocations of the storage engine a message";
        self.line("engine_allocations", what, each("engine allocations"), "", None);
        self.line("copies", "copies of 1 KiB or more a message", each("copies"), "", None);
        self.line("copied_bytes", "bytes so copied a message", each("copied bytes"), "B", None);
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
        for note in &self.notes {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{note}");
        }
        text
    }

    /// As JSON: the figures by name, and what they were made of.
    #[must_use]
    pub fn json(&self) -> String {
        let settings = json!({
            "rate": self.settings.rate, "seconds": self.settings.seconds, "groups": self.settings.groups,
            "pairs": self.settings.pairs, "pair_seconds": self.settings.pair_seconds, "body_bytes": BODY_BYTES,
        });
        let all = json!({
            "schema": 1, "ok": self.ok(), "settings": settings, "figures": line::json(&self.lines), "samples": self.raw,
            "refused": self.refused, "notes": self.notes,
        });
        format!("{all:#}\n")
    }
}

/// Bytes that bridges carry for an operation beyond the body of its post, references and registers apart.
fn overhead(counts: &Counts) -> Option<f64> {
    let operations = counts.get("bridge_sent_items_total operations").filter(|number| *number > 0)?;
    let bytes = counts.get("bridge_sent_bytes_total operations")?;
    Some(bytes as f64 / operations as f64 - BODY_BYTES as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: BenchSettings =
        BenchSettings { rate: 500, seconds: 1, groups: 3, pairs: 3, pair_seconds: 1, counted_seconds: 1 };

    #[test]
    fn pairs_are_judged_by_the_medians_of_their_percentiles() {
        let mut figures = BenchFigures::new(SETTINGS);
        let half = |us: u64| (Percentiles::of(vec![us; 10]), Percentiles::of(vec![us * 2; 10]));
        for (normal, cut) in [(100, 105), (100, 900), (100, 109)] {
            figures.pair(&half(normal), &half(cut));
        }
        assert_eq!(figures.lines.len(), 4);
        assert_eq!(figures.lines[0].value, Some(1.09));
        assert!(figures.ok());
    }

    #[test]
    fn what_was_not_measured_is_not_ok() {
        let mut figures = BenchFigures::new(BenchSettings { pairs: 1, ..SETTINGS });
        figures.pair(&Default::default(), &Default::default());
        assert!(figures.lines.iter().all(|line| line.value.is_none()) && !figures.ok());
        figures.steady(&Window::default(), &[], |_, _| 0);
        assert!(figures.lines.iter().any(|line| line.name == "across_p99" && !line.ok()));
    }
}
