//! The report for a terminal: what was promised, whether it was kept, and how it felt; every line means something to a newcomer.
//!
//! What must always hold: it says the same as the JSON of the same run, and never that all is well when a verdict is not zero.

use super::{Effect, Latency, Report, decimal};
use std::fmt::Write as _;

impl Report {
    /// As text for people, up to 100 columns wide.
    #[must_use]
    pub fn table(&self) -> String {
        let mut out = String::new();
        // Writing to memory cannot fail.
        let _written = self.write_table(&mut out);
        out
    }

    fn write_table(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "messages   {} planned, {} acknowledged", self.facts.planned, self.acknowledged)?;
        writeln!(out, "screens    {} showings owed, {} shown", self.shown_expected, self.shown)?;
        writeln!(out)?;
        writeln!(out, "{:>9}  {:>12}", "breaches", "looked at")?;
        for finding in &self.findings {
            let mark = if finding.count == 0 && finding.checked > 0 { "✓" } else { "✗" };
            let (count, checked) = (finding.count, finding.checked);
            writeln!(out, "{mark} {count:>7}  {checked:>12}  {}", finding.verdict.meaning())?;
        }
        writeln!(out)?;
        self.write_faults(out)?;
        writeln!(out, "{:>10} {:>10} {:>10}  milliseconds", "half", "99 of 100", "longest")?;
        let latencies = [
            (self.latencies.acknowledge, "until a message was acknowledged"),
            (self.latencies.show_same_region, "until it was shown in the same region"),
            (self.latencies.show_across_less_link, "until it was shown in another, beyond the distance"),
        ];
        for (latency, what) in latencies {
            let [p50, p99, max] = columns(latency);
            writeln!(out, "{p50:>10} {p99:>10} {max:>10}  {what}")?;
        }
        if let Some(tenths) = self.bridge_bytes_per_message_tenths() {
            writeln!(
                out,
                "\nbridges carried {}.{} bytes for each message that crossed one",
                tenths / 10,
                tenths % 10
            )?;
        }
        for problem in &self.facts.problems {
            writeln!(out, "✗ {problem}")?;
        }
        let shown = self.findings.iter().flat_map(|finding| &finding.violations).take(10);
        for violation in shown {
            let of = violation.message.map_or_else(String::new, |message| format!(" (message {message})"));
            writeln!(out, "✗ {}: {}{of}", violation.verdict.name(), violation.what)?;
        }
        let verdict = if self.ok {
            "OK: nothing acknowledged was lost, nothing was shown before its cause, all regions agree"
        } else {
            "NOT OK"
        };
        writeln!(out, "\n{verdict}  (seed {}, {} s)", self.facts.seed, self.facts.duration_us / 1_000_000)
    }

    fn write_faults(&self, out: &mut String) -> std::fmt::Result {
        for fault in &self.facts.faults {
            let mark = if fault.is_effective() { "✓" } else { "✗" };
            let (from, to) = (self.region(fault.from), fault.to.map_or("", |to| self.region(to)));
            let (start, end) = (decimal_seconds(fault.start_ms), decimal_seconds(fault.end_ms));
            match fault.effect {
                Effect::PacketsDropped(packets) => {
                    writeln!(
                        out,
                        "{mark} cut    {from} > {to}, {start} s to {end} s: {packets} packets dropped"
                    )?;
                }
                Effect::Processes { before, after: Some(after) } => writeln!(
                    out,
                    "{mark} kill   {from} at {start} s (process {before}), back at {end} s (process {after})"
                )?,
                Effect::Upgraded { before, after: Some(after) } => writeln!(
                    out,
                    "{mark} upgrade {from} at {start} s (process {before}), back after {} ms (process {after})",
                    fault.end_ms - fault.start_ms
                )?,
                Effect::Processes { before, after: None } | Effect::Upgraded { before, after: None } => {
                    let what =
                        if matches!(fault.effect, Effect::Upgraded { .. }) { "upgrade" } else { "kill  " };
                    writeln!(out, "{mark} {what} {from} at {start} s (process {before}), never came back")?;
                }
            }
        }
        if self.facts.faults.is_empty() { Ok(()) } else { writeln!(out) }
    }
}

fn columns(latency: Option<Latency>) -> [String; 3] {
    latency.map_or_else(
        || ["-"; 3].map(str::to_owned),
        |latency| [latency.p50_us, latency.p99_us, latency.max_us].map(decimal),
    )
}

fn decimal_seconds(ms: u64) -> String {
    format!("{}.{}", ms / 1_000, ms % 1_000 / 100)
}
