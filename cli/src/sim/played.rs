//! One run on this machine: the script is played, a panic is caught, and time and memory are measured around it.
//!
//! What must always hold: what is measured here never reaches the world, so that a run is the same however fast the machine is.

use super::answer::Names;
use super::class::Class;
use super::measured::{Measured, Measuring};
use super::panics::caught;
use sim::outcome::{Outcome, Verdict};
use sim::run::{Options, Run};
use sim::script::Script;
use std::collections::BTreeMap;

/// How closely a run is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Watching {
    /// Nobody judges it: for measuring how fast the product's code runs here.
    Unjudged,
    /// All promises are judged.
    Judged,
    /// They are, and it ends with the first that is broken: for whoever only asks whether it fails.
    UntilBroken,
    /// They are, and what happens is told in lines.
    Told,
    /// They are, and what happens is recorded for a page.
    Recorded,
}

/// A run that is over.
#[derive(Debug)]
pub(crate) struct Played {
    pub(crate) script: Script,
    /// What came of it, or what its panic said.
    pub(crate) ended: Result<Outcome, String>,
    pub(crate) judged: bool,
    /// What happened, if it was told; up to its panic, if it met one.
    pub(crate) lines: Vec<String>,
    pub(crate) measured: Measured,
}

/// Plays a script.
pub(crate) fn play(script: &Script, watching: Watching) -> Played {
    play_and_keep(script, watching).0
}

/// Plays a script, and gives the run too, which can be asked what its devices wrote down.
pub(crate) fn play_and_keep(script: &Script, watching: Watching) -> (Played, Run<'_>) {
    let judged = watching != Watching::Unjudged;
    let options = Options {
        checks: judged,
        told: watching == Watching::Told,
        told_events: None,
        recorded: watching == Watching::Recorded,
    };
    let measuring = Measuring::begin();
    let mut run = Run::new(script, options);
    let ended =
        caught(|| if watching == Watching::UntilBroken { run.play_until_broken() } else { run.play() });
    let measured = measuring.end();
    let lines = run.lines().map(str::to_owned).collect();
    (Played { script: script.clone(), ended, judged, lines, measured }, run)
}

impl Played {
    /// How it failed, if it did.
    pub(crate) fn class(&self) -> Option<Class> {
        match &self.ended {
            Err(_) => Some(Class::Panic),
            Ok(_) if !self.judged => None,
            Ok(outcome) => match outcome.class {
                Verdict::Kept => None,
                Verdict::Safety => Some(Class::Safety),
                Verdict::Liveness => Some(Class::Liveness),
                Verdict::Blind => Some(Class::SawNothing),
            },
        }
    }

    /// The first thing that was wrong, in a sentence; empty if nothing was.
    pub(crate) fn first_fault(&self) -> String {
        match &self.ended {
            Err(panic) => panic.clone(),
            Ok(outcome) => {
                let violation = outcome.violations.first().map(ToString::to_string);
                let unseen =
                    || outcome.unseen.first().map(|promise| format!("promise {promise} was never looked at"));
                violation.or_else(unseen).unwrap_or_default()
            }
        }
    }

    pub(crate) fn events(&self) -> u64 {
        self.ended.as_ref().map_or(0, |outcome| outcome.events)
    }

    pub(crate) fn simulated_us(&self) -> u64 {
        self.ended.as_ref().map_or(0, |outcome| outcome.simulated_us)
    }

    /// How often each rare branch was taken.
    pub(crate) fn marks(&self) -> BTreeMap<String, u64> {
        let marks = self.ended.as_ref().map(|outcome| outcome.marks.named());
        marks.into_iter().flatten().map(|(mark, times)| (mark.to_owned(), times)).collect()
    }

    /// What the regions are called.
    pub(crate) fn names(&self) -> Names {
        self.script
            .regions
            .iter()
            .map(|region| (crdt::RegionId(region.number), region.name.clone()))
            .collect()
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::sim::failing_seed::{self, Above};
    use crate::sim::verdicts;
    use sim::scenario::Scenario;
    use sim::script::draw;

    /// A run of a moment, that ended like this.
    pub(in crate::sim) fn ended(how: impl FnOnce(&mut Result<Outcome, String>)) -> Played {
        let scenario = "name = \"a-moment\"\nstory = \"Nothing much happens.\"\nlength_s = 1\n";
        let mut played = play(&draw(&Scenario::parse("a-moment", scenario).unwrap(), 7), Watching::Unjudged);
        played.judged = true;
        how(&mut played.ended);
        played
    }

    #[test]
    fn every_way_to_end_has_its_exit_code_and_its_sentence() {
        let class =
            |class: Verdict| move |ended: &mut Result<Outcome, String>| ended.as_mut().unwrap().class = class;
        let panics =
            |ended: &mut Result<Outcome, String>| *ended = Err("at shard.rs:7: a broken rule".to_owned());
        let code = |played: &Played| verdicts::to_exit(played).map_err(|failure| failure.code() as u8);
        assert_eq!(code(&ended(class(Verdict::Kept))), Ok(()));
        assert_eq!(code(&ended(class(Verdict::Safety))), Err(10));
        assert_eq!(code(&ended(class(Verdict::Liveness))), Err(11));
        assert_eq!(code(&ended(panics)), Err(12));
        assert_eq!(code(&ended(class(Verdict::Blind))), Err(14));
        let ending = verdicts::ending(&ended(class(Verdict::Safety)));
        assert!(ending.contains("NOT OK (safety): a promise was broken"), "{ending}");
    }

    #[test]
    fn a_panic_of_the_product_is_a_report_like_any_other() {
        let played = ended(|ended| *ended = Err("at shard.rs:7: a broken rule".to_owned()));
        let report = failing_seed::report("a-moment.toml", &played, Class::Panic, Above::Nothing);
        for part in [
            "FAILED  a-moment.toml, seed 7: panic (the product panicked)",
            "verdict  at shard.rs:7: a broken rule",
            "archipelago sim replay a-moment.toml --seed 7",
            "archipelago sim shrink a-moment.toml --seed 7",
        ] {
            assert!(report.contains(part), "the report has `{part}`: {report}");
        }
        assert!(verdicts::ending(&played).contains("NOT OK (panic)"));
    }
}
