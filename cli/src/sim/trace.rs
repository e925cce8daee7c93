//! `archipelago sim trace`: the checkpoints of a run's trace as JSON, and the lines of a few of its events: what `check-determinism` asks of another
//! process or another build.
//!
//! A checkpoint is the hash over everything that had happened after so many events. Two runs that are equal at one are equal up to there, so the first
//! one at which they differ says where to look.
//!
//! What must always hold: the format is stable, as two builds that are far apart speak it to each other.

use super::chosen::Chosen;
use super::panics::caught;
use super::verdicts::hex;
use crate::failure::Failure;
use clap::Args;
use serde::{Deserialize, Serialize};
use sim::run::{Options, Run};
use sim::script::Script;
use std::ops::Range;

const SCHEMA: &str = "archipelago.sim.trace.v1";

/// Print the checkpoints of a run's trace as JSON.
#[derive(Debug, Args)]
pub(crate) struct PrintTrace {
    /// Its name (`archipelago sim list`), or a file: with a `/` in it, or ending in .toml
    scenario: String,
    /// The seed; 1 if not said, or the one that the file states
    #[arg(long)]
    seed: Option<u64>,
    /// Tell what happened from this event on
    #[arg(long, requires = "until_event", value_name = "NUMBER")]
    from_event: Option<u64>,
    /// Tell what happened before this event
    #[arg(long, requires = "from_event", value_name = "NUMBER")]
    until_event: Option<u64>,
}

/// The trace of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Trace {
    schema: String,
    pub(crate) commit: String,
    /// None if the run met a panic.
    pub(crate) trace_hash: Option<String>,
    pub(crate) events: u64,
    /// After so many events, the hash so far.
    pub(crate) checkpoints: Vec<(u64, String)>,
    /// What its panic said.
    pub(crate) panic: Option<String>,
    /// The lines of the events that were asked for.
    pub(crate) lines: Vec<String>,
}

impl PrintTrace {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let script = Chosen::read(&self.scenario)?.script(self.seed);
        let trace =
            Trace::of(&script, self.from_event.zip(self.until_event).map(|(from, until)| from..until));
        println!("{}", trace.json());
        Ok(())
    }
}

impl Trace {
    /// Of a run in this process.
    pub(crate) fn of(script: &Script, told: Option<Range<u64>>) -> Self {
        let told_events = told.as_ref().map(|told| (told.start, told.end));
        let mut run =
            Run::new(script, Options { checks: true, told: told.is_some(), told_events, recorded: false });
        let ended = caught(|| run.play());
        let panic = ended.as_ref().err().cloned();
        let outcome = ended.ok();
        Self {
            schema: SCHEMA.to_owned(),
            commit: super::COMMIT.to_owned(),
            trace_hash: outcome.as_ref().map(|outcome| hex(&outcome.trace_hash)),
            events: outcome.as_ref().map_or(0, |outcome| outcome.happenings),
            checkpoints: outcome
                .iter()
                .flat_map(|outcome| &outcome.checkpoints)
                .map(|(events, hash)| (*events, hex(hash)))
                .collect(),
            panic,
            lines: run.lines().map(str::to_owned).collect(),
        }
    }

    /// Reads what another process printed.
    ///
    /// # Errors
    /// A sentence, if it is no trace.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let trace: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if trace.schema == SCHEMA {
            Ok(trace)
        } else {
            Err(format!("it speaks `{}` and not `{SCHEMA}`", trace.schema))
        }
    }

    fn json(&self) -> String {
        // Texts, numbers and lists of them have a JSON form.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The events among which the first one that differs is; none if the two are the same.
    pub(crate) fn differs_within(&self, other: &Self) -> Option<Range<u64>> {
        if self.trace_hash == other.trace_hash
            && self.checkpoints == other.checkpoints
            && self.panic == other.panic
        {
            return None;
        }
        let same =
            self.checkpoints.iter().zip(&other.checkpoints).take_while(|(one, other)| one == other).count();
        let from =
            same.checked_sub(1).and_then(|last| self.checkpoints.get(last)).map_or(0, |(events, _)| *events);
        let end = |trace: &Self| trace.checkpoints.get(same).map_or(u64::MAX, |(events, _)| *events);
        Some(from..end(self).max(end(other)).saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(hashes: &[&str]) -> Trace {
        let checkpoints =
            (1..).map(|number: u64| number * 100).zip(hashes.iter().map(|hash| (*hash).to_owned()));
        Trace {
            schema: SCHEMA.to_owned(),
            commit: "0123".to_owned(),
            trace_hash: hashes.last().map(|hash| (*hash).to_owned()),
            events: 100 * hashes.len() as u64,
            checkpoints: checkpoints.collect(),
            panic: None,
            lines: vec![],
        }
    }

    #[test]
    fn the_first_difference_is_looked_for_after_the_last_checkpoint_that_is_the_same() {
        let one = trace(&["aa", "bb", "cc"]);
        assert_eq!(one.differs_within(&trace(&["aa", "bb", "cc"])), None);
        assert_eq!(one.differs_within(&trace(&["aa", "xx", "yy"])), Some(100..201));
        assert_eq!(one.differs_within(&trace(&["xx", "yy", "zz"])), Some(0..101));
        assert_eq!(one.differs_within(&trace(&["aa", "bb"])), Some(200..u64::MAX));
        assert_eq!(Trace::read(&one.json()).as_ref(), Ok(&one));
    }
}
