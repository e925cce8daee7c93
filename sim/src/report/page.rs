//! The report as one self-contained page: the same page as a simulated run's (`page/`), with what a replay knows.
//!
//! What must always hold: it says what the report says; what is not in order stands first.

use super::{Latency, Report, decimal};
use crate::page::{Finding, Judged, Summary, Table, page};

/// Breaches that are listed.
const LISTED_MAX: usize = 100;

impl Report {
    /// As an HTML page that needs nothing else.
    #[must_use]
    pub fn page(&self) -> String {
        page(&self.picture, &self.summary())
    }

    fn summary(&self) -> Summary {
        let (planned, acknowledged) = (self.facts.planned, self.acknowledged);
        let judged = self.findings.iter().map(|finding| Judged {
            what: finding.verdict.meaning().to_owned(),
            broken: finding.count,
            checked: finding.checked,
        });
        let problems = self.facts.problems.iter().map(|problem| Finding {
            at_us: None,
            what: "the replay itself".to_owned(),
            happened: problem.clone(),
        });
        let violations = self.findings.iter().flat_map(|finding| &finding.violations).map(|violation| {
            let message = violation.message.map_or_else(String::new, |id| format!(" ({id})"));
            Finding {
                at_us: None,
                what: violation.verdict.name().to_owned(),
                happened: format!("{}{message}", violation.what),
            }
        });
        Summary {
            kind: "Archipelago demo: real regions, real clients".to_owned(),
            title: "Replay of conversations".to_owned(),
            story: format!(
                "{planned} messages were planned and {acknowledged} acknowledged; {} showings were owed to devices, and {} happened.",
                self.shown_expected, self.shown
            ),
            seed: self.facts.seed,
            good: self.ok,
            verdict: if self.ok { "Everything held" } else { "Not everything held" }.to_owned(),
            judged: judged.collect(),
            findings: problems.chain(violations).take(LISTED_MAX).collect(),
            tables: vec![self.latencies_table(), self.bridges_table()],
            drawn: vec![],
            commands: vec![],
        }
    }

    fn latencies_table(&self) -> Table {
        let row = |what: &str, latency: Option<Latency>| {
            let figure =
                |pick: fn(Latency) -> u64| latency.map_or("–".to_owned(), |latency| decimal(pick(latency)));
            vec![what.to_owned(), figure(|l| l.p50_us), figure(|l| l.p99_us), figure(|l| l.max_us)]
        };
        Table {
            caption: "How long things took, in milliseconds".to_owned(),
            columns: ["until", "half", "99 of 100", "longest"].map(str::to_owned).into(),
            rows: vec![
                row("acknowledged", self.latencies.acknowledge),
                row("shown in the same region", self.latencies.show_same_region),
                row("shown in another, beyond the distance", self.latencies.show_across_less_link),
            ],
        }
    }

    fn bridges_table(&self) -> Table {
        let row = |bridge: &super::BridgeUse| {
            let link = format!("{} → {}", self.region(bridge.from), self.region(bridge.to));
            vec![link, bridge.bytes.to_string(), bridge.messages.to_string()]
        };
        Table {
            caption: "Bridges".to_owned(),
            columns: ["from and to", "bytes", "messages"].map(str::to_owned).into(),
            rows: self.bridges.iter().map(row).collect(),
        }
    }
}
