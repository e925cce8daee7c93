//! The report as one self-contained page: the picture people want, and the figures beneath it.
//!
//! Time runs downwards and regions are lanes side by side, so the picture is as wide as a phone and as long as the run. A message is a
//! line from the lane that took it to each lane that showed it: flat when the link is short, steep when it is long, hanging
//! until the end of a cut. Cuts are shaded between their lanes, dead regions on theirs.
//!
//! What must always hold: nothing is fetched; whatever people or regions are called is escaped; coordinates are integers.

use super::{Effect, FaultOutcome, Latency, Report, decimal};
use crate::evidence::RegionNumber;
use std::fmt::Write as _;

/// Width of the picture in its own units; scaled to the window.
const WIDTH: u64 = 360;
/// Room above the lanes for their names.
const TOP: u64 = 30;
/// Room at the sides, for the seconds at the left.
const SIDE: u64 = 46;
/// Lengths of the time axis.
const HEIGHT_MIN: u64 = 500;
const HEIGHT_MAX: u64 = 3_000;
/// Units a second, as long as the height stays between the two.
const UNITS_A_SECOND: u64 = 20;

const COLOURS: [&str; 9] =
    ["#2f6fde", "#d9622b", "#2a9d6a", "#a04fc4", "#c2a21c", "#c43d63", "#3ba7b8", "#7a7f2a", "#7d6b5d"];

const HEAD: &str = "<!DOCTYPE html>
<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">
<title>Archipelago replay</title><style>
:root{color-scheme:light dark;--line:#8884;--shade:#d33a}
body{font:15px/1.5 system-ui,sans-serif;margin:0 auto;padding:12px;max-width:760px}
h1{font-size:1.3em;margin:.2em 0}h2{font-size:1.05em;margin:1.4em 0 .3em}
.ok{color:#2a9d6a}.bad{color:#c43d3d}
table{border-collapse:collapse;width:100%}td,th{padding:3px 6px;text-align:left;border-bottom:1px solid var(--line);vertical-align:top}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
svg{width:100%;height:auto;display:block;touch-action:pan-y}svg text{font:10px system-ui,sans-serif;fill:currentColor}
svg .m{stroke-width:.7;opacity:.55;fill:none}svg .m.on{stroke-width:2.2;opacity:1}
.cut{fill:var(--shade);opacity:.28}.dead{fill:var(--shade);opacity:.6}
#said{position:sticky;bottom:0;background:Canvas;padding:6px 0;min-height:1.5em}
</style></head><body>
";

/// Tells about the line that is touched.
const SCRIPT: &str = "<script>
const said=document.getElementById('said');let last=null;
document.querySelector('svg').addEventListener('pointerdown',e=>{
const g=e.target.closest('.m');if(!g)return;if(last)last.classList.remove('on');last=g;g.classList.add('on');said.textContent=g.dataset.t;});
</script>
";

impl Report {
    /// As an HTML page that needs nothing else.
    #[must_use]
    pub fn page(&self) -> String {
        let mut out = String::from(HEAD);
        // Writing to memory cannot fail.
        let _written = self.write_page(&mut out);
        out
    }

    fn write_page(&self, out: &mut String) -> std::fmt::Result {
        let (class, said) = if self.ok { ("ok", "everything held") } else { ("bad", "not everything held") };
        writeln!(out, "<h1>Archipelago replay: <span class=\"{class}\">{said}</span></h1>")?;
        let (planned, acknowledged) = (self.facts.planned, self.acknowledged);
        writeln!(
            out,
            "<p>{planned} messages planned, {acknowledged} acknowledged; {} showings owed, {} shown; seed {}, {} s.</p>",
            self.shown_expected,
            self.shown,
            self.facts.seed,
            decimal(self.facts.duration_us / 1_000)
        )?;
        for problem in &self.facts.problems {
            writeln!(out, "<p class=\"bad\">{}</p>", escape(problem))?;
        }
        self.write_picture(out)?;
        self.write_findings(out)?;
        self.write_figures(out)?;
        out.push_str(SCRIPT);
        out.push_str("</body></html>\n");
        Ok(())
    }

    fn write_picture(&self, out: &mut String) -> std::fmt::Result {
        let scale = Scale::of(self);
        writeln!(out, "<h2>Messages between the regions</h2>")?;
        if self.picture.every > 1 {
            writeln!(out, "<p>One message in {} is drawn.</p>", self.picture.every)?;
        }
        let height = scale.height + TOP + 10;
        writeln!(
            out,
            "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"messages between regions over time\">"
        )?;
        for fault in &self.facts.faults {
            self.write_fault(out, &scale, fault)?;
        }
        for second in (0..=scale.duration_ms / 1_000).step_by(scale.tick_s as usize) {
            let y = scale.y(second * 1_000);
            writeln!(
                out,
                "<text x=\"2\" y=\"{}\">{second} s</text><path d=\"M{} {y}H{WIDTH}\" stroke=\"#8883\"/>",
                y + 3,
                SIDE - 14
            )?;
        }
        for (number, name) in self.regions.iter().enumerate() {
            let x = scale.x(number);
            let colour = COLOURS[number % COLOURS.len()];
            writeln!(
                out,
                "<text x=\"{x}\" y=\"12\" text-anchor=\"middle\" style=\"fill:{colour}\">{}</text><path d=\"M{x} {}V{}\" stroke=\"{colour}\" stroke-width=\"2\"/>",
                escape(name),
                TOP - 8,
                scale.height + TOP
            )?;
        }
        for message in &self.picture.messages {
            let (x, y) = (scale.x(message.from), scale.y(message.posted_ms));
            let mut path = String::new();
            let mut text = format!(
                "{} in {} at {} s",
                message.author,
                self.region(message.from),
                decimal(message.posted_ms)
            );
            for (region, shown_ms) in &message.shown_ms {
                write!(path, "M{x} {y}L{} {}", scale.x(*region), scale.y(*shown_ms))?;
                let after_ms = shown_ms.saturating_sub(message.posted_ms);
                write!(text, "; shown in {} after {after_ms} ms", self.region(*region))?;
            }
            let colour = COLOURS[message.from % COLOURS.len()];
            writeln!(
                out,
                "<path class=\"m\" d=\"{path}\" stroke=\"{colour}\" data-t=\"{}\"/>",
                escape(&text)
            )?;
        }
        writeln!(out, "</svg><div id=\"said\">Touch a line to see whose message it is.</div>")
    }

    fn write_fault(&self, out: &mut String, scale: &Scale, fault: &FaultOutcome) -> std::fmt::Result {
        let (y, end) = (scale.y(fault.start_ms), scale.y(fault.end_ms));
        let height = end.saturating_sub(y).max(1);
        let (class, x, width, said) = match (fault.effect, fault.to) {
            (Effect::PacketsDropped(packets), Some(to)) => {
                let (one, other) = (scale.x(fault.from), scale.x(to));
                let said = format!(
                    "{} > {} cut, {packets} packets dropped",
                    self.region(fault.from),
                    self.region(to)
                );
                ("cut", one.min(other), one.abs_diff(other), said)
            }
            (Effect::PacketsDropped(_) | Effect::Processes { .. }, _) => (
                "dead",
                scale.x(fault.from).saturating_sub(5),
                10,
                format!("{} killed", self.region(fault.from)),
            ),
        };
        writeln!(
            out,
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"><title>{}</title></rect>",
            escape(&said)
        )
    }

    fn write_findings(&self, out: &mut String) -> std::fmt::Result {
        writeln!(
            out,
            "<h2>What was checked</h2><table><tr><th>property breached<th class=\"n\">times<th class=\"n\">looked at</tr>"
        )?;
        for finding in &self.findings {
            let class = if finding.count == 0 && finding.checked > 0 { "ok" } else { "bad" };
            let (meaning, count, checked) = (finding.verdict.meaning(), finding.count, finding.checked);
            writeln!(out, "<tr><td>{meaning}<td class=\"n {class}\">{count}<td class=\"n\">{checked}</tr>")?;
        }
        writeln!(out, "</table>")?;
        let violations: Vec<_> =
            self.findings.iter().flat_map(|finding| &finding.violations).take(100).collect();
        if violations.is_empty() {
            return Ok(());
        }
        writeln!(out, "<h2>Breaches</h2><table>")?;
        for violation in violations {
            let message = violation.message.map_or_else(String::new, |id| id.to_string());
            let (name, what) = (violation.verdict.name(), escape(&violation.what));
            writeln!(out, "<tr><td>{name}<td>{what}<td>{message}</tr>")?;
        }
        writeln!(out, "</table>")
    }

    fn write_figures(&self, out: &mut String) -> std::fmt::Result {
        writeln!(
            out,
            "<h2>How long things took (ms)</h2><table><tr><th><th class=\"n\">half<th class=\"n\">99 of 100<th class=\"n\">longest</tr>"
        )?;
        let rows = [
            ("until acknowledged", self.latencies.acknowledge),
            ("until shown in the same region", self.latencies.show_same_region),
            ("until shown in another, beyond the distance", self.latencies.show_across_less_link),
        ];
        for (what, latency) in rows {
            let figure =
                |pick: fn(Latency) -> u64| latency.map_or("-".to_owned(), |latency| decimal(pick(latency)));
            let (p50, p99, max) = (figure(|l| l.p50_us), figure(|l| l.p99_us), figure(|l| l.max_us));
            writeln!(
                out,
                "<tr><td>{what}<td class=\"n\">{p50}<td class=\"n\">{p99}<td class=\"n\">{max}</tr>"
            )?;
        }
        writeln!(
            out,
            "</table><h2>Bridges</h2><table><tr><th>from<th>to<th class=\"n\">bytes<th class=\"n\">messages</tr>"
        )?;
        for bridge in &self.bridges {
            let (from, to) = (escape(self.region(bridge.from)), escape(self.region(bridge.to)));
            writeln!(
                out,
                "<tr><td>{from}<td>{to}<td class=\"n\">{}<td class=\"n\">{}</tr>",
                bridge.bytes, bridge.messages
            )?;
        }
        writeln!(out, "</table>")
    }
}

/// From times and lanes to places in the picture.
struct Scale {
    duration_ms: u64,
    height: u64,
    lanes: u64,
    /// Seconds between two marks of the axis.
    tick_s: u64,
}

impl Scale {
    fn of(report: &Report) -> Self {
        let last = report.picture.messages.iter().flat_map(|message| message.shown_ms.values().copied());
        let faults = report.facts.faults.iter().map(|fault| fault.end_ms);
        let duration_ms =
            last.chain(faults).chain([report.facts.duration_us / 1_000]).max().unwrap_or(0).max(1);
        let height = (duration_ms * UNITS_A_SECOND / 1_000).clamp(HEIGHT_MIN, HEIGHT_MAX);
        let tick_s =
            [1, 2, 5, 10, 30, 60].into_iter().find(|step| duration_ms / 1_000 / step <= 40).unwrap_or(300);
        Self { duration_ms, height, lanes: report.regions.len() as u64, tick_s }
    }

    fn x(&self, lane: RegionNumber) -> u64 {
        let between = self.lanes.saturating_sub(1).max(1);
        SIDE + 10 + lane as u64 * (WIDTH - 2 * SIDE - 10) / between
    }

    fn y(&self, at_ms: u64) -> u64 {
        TOP + at_ms.min(self.duration_ms) * self.height / self.duration_ms
    }
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}
