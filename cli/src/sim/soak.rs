//! What a soak has found so far: the state that `explore` writes, goes on from, and reports as JSON. One format for all three.
//!
//! Runs are numbered: seed by seed in ascending order, and of each seed every scenario. Threads finish them in any order; they are taken into the state
//! in theirs, so the state says "everything up to here", and a soak that is interrupted and resumed ends with the same state as one that was not.
//!
//! What must always hold: a run is counted exactly once; a state of other scenarios or another first seed is never gone on from.

use super::class::Class;
use super::failing_seed::quoted;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const SCHEMA: &str = "archipelago.sim.explore.v1";

/// Failures that are kept with what happened; further ones are counted alone.
pub(crate) const FAILURES_MAX: usize = 1_000;

/// The state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Soak {
    schema: String,
    /// The builds that ran it.
    pub(crate) commits: Vec<String>,
    pub(crate) scenarios: Vec<String>,
    pub(crate) first_seed: u64,
    /// Runs: seeds times scenarios, as far as it came.
    pub(crate) seeds_run: u64,
    /// Of these, per scenario.
    pub(crate) seeds_run_by_scenario: BTreeMap<String, u64>,
    pub(crate) failures_count: u64,
    pub(crate) failures: Vec<FailedSeed>,
    /// How often each rare branch was taken.
    pub(crate) marks: BTreeMap<String, u64>,
    pub(crate) marks_never_reached: Vec<String>,
    pub(crate) events: u64,
    pub(crate) simulated_s: u64,
    /// Of all cores together.
    pub(crate) wall_s: u64,
    /// What is not in whole seconds yet.
    simulated_us: u64,
    wall_ms: u64,
}

/// A seed that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FailedSeed {
    pub(crate) seed: u64,
    pub(crate) scenario: String,
    pub(crate) class: Class,
    /// The first thing that was wrong.
    pub(crate) what: String,
    /// The command that runs it again and tells everything.
    pub(crate) replay: String,
    /// The command that makes it small.
    pub(crate) shrink: String,
}

/// How one run went, as far as a soak remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ran {
    pub(crate) failed: Option<(Class, String)>,
    pub(crate) marks: BTreeMap<String, u64>,
    pub(crate) events: u64,
    pub(crate) simulated_us: u64,
    pub(crate) wall_ms: u64,
}

impl Soak {
    /// Nothing run so far.
    pub(crate) fn new(scenarios: Vec<String>, first_seed: u64, commit: &str) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            commits: vec![commit.to_owned()],
            scenarios,
            first_seed,
            seeds_run: 0,
            seeds_run_by_scenario: BTreeMap::new(),
            failures_count: 0,
            failures: Vec::new(),
            marks: BTreeMap::new(),
            marks_never_reached: Vec::new(),
            events: 0,
            simulated_s: 0,
            wall_s: 0,
            simulated_us: 0,
            wall_ms: 0,
        }
    }

    /// Reads a state to go on from, in that build.
    ///
    /// # Errors
    /// A sentence, if it is none, or one of something else.
    pub(crate) fn read(
        text: &str,
        scenarios: &[String],
        first_seed: Option<u64>,
        commit: &str,
    ) -> Result<Self, String> {
        let mut soak: Self =
            serde_json::from_str(text).map_err(|error| format!("it is no state of a soak: {error}"))?;
        if soak.schema != SCHEMA {
            return Err(format!("it is `{}` and not `{SCHEMA}`: name a new file", soak.schema));
        }
        if soak.scenarios != scenarios || first_seed.is_some_and(|first| first != soak.first_seed) {
            return Err(format!(
                "it is of {} from seed {} on: ask for the same, or name a new file",
                soak.scenarios.join(", "),
                soak.first_seed
            ));
        }
        if !soak.commits.iter().any(|known| known == commit) {
            soak.commits.push(commit.to_owned());
        }
        Ok(soak)
    }

    /// The seed and the scenario of the run of that number; none beyond the last seed that there is.
    pub(crate) fn run_of(&self, number: u64) -> Option<(u64, &String)> {
        let count = self.scenarios.len() as u64;
        let seed = self.first_seed.checked_add(number.checked_div(count)?)?;
        let index = usize::try_from(number % count).ok()?;
        Some((seed, self.scenarios.get(index)?))
    }

    /// Takes the next run in. Returns what failed in it.
    pub(crate) fn take(&mut self, ran: Ran) -> Option<FailedSeed> {
        let (seed, scenario) =
            self.run_of(self.seeds_run).map(|(seed, scenario)| (seed, scenario.clone()))?;
        self.seeds_run += 1;
        *self.seeds_run_by_scenario.entry(scenario.clone()).or_default() += 1;
        self.events += ran.events;
        self.simulated_us += ran.simulated_us;
        self.wall_ms += ran.wall_ms;
        self.simulated_s = self.simulated_us / 1_000_000;
        self.wall_s = self.wall_ms / 1_000;
        for (mark, times) in ran.marks {
            *self.marks.entry(mark).or_default() += times;
        }
        let (class, what) = ran.failed?;
        self.failures_count += 1;
        let command = |verb: &str| format!("archipelago sim {verb} {} --seed {seed}", quoted(&scenario));
        let (replay, shrink) = (command("replay"), command("shrink"));
        let failed = FailedSeed { seed, scenario, class, what, replay, shrink };
        if self.failures.len() < FAILURES_MAX {
            self.failures.push(failed.clone());
        }
        Some(failed)
    }

    /// The rare branches of the cores, which are counted over the whole process: what an earlier one counted, and what this one has.
    pub(crate) fn count_branches(
        &mut self,
        earlier: &BTreeMap<String, u64>,
        now: BTreeMap<&'static str, u64>,
    ) {
        for (branch, times) in now {
            self.marks.insert(branch.to_owned(), times + earlier.get(branch).copied().unwrap_or(0));
        }
        let never = self.marks.iter().filter(|(_, times)| **times == 0).map(|(mark, _)| mark.clone());
        self.marks_never_reached = never.collect();
    }

    /// As JSON, over several lines.
    pub(crate) fn json(&self) -> String {
        // Maps have texts as keys and numbers are integers, so everything has a JSON form.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use expect_test::expect;

    fn ran(failed: Option<(Class, String)>) -> Ran {
        let marks = [("slow device".to_owned(), 0), ("window full".to_owned(), 2)].into();
        Ran { failed, marks, events: 1_000, simulated_us: 1_500_000, wall_ms: 700 }
    }

    fn soak() -> Soak {
        Soak::new(vec!["calm-day".to_owned(), "./mine.toml".to_owned()], 7, "0123456789ab")
    }

    #[test]
    fn seeds_ascend_and_every_scenario_runs_each_of_them() {
        let soak = soak();
        let runs: Vec<_> = (0..4)
            .filter_map(|number| soak.run_of(number))
            .map(|(seed, name)| (seed, name.as_str()))
            .collect();
        assert_eq!(runs, [(7, "calm-day"), (7, "./mine.toml"), (8, "calm-day"), (8, "./mine.toml")]);
    }

    #[test]
    fn the_report_says_what_failed_and_how_to_see_it_again() {
        let mut soak = soak();
        assert_eq!(soak.take(ran(None)), None);
        let failed =
            soak.take(ran(Some((Class::Liveness, "d12 has 3 commands in its outbox".to_owned())))).unwrap();
        assert_eq!((failed.seed, failed.class), (7, Class::Liveness));
        soak.count_branches(
            &[("region::RARE".to_owned(), 2)].into(),
            [("region::RARE", 1), ("region::RARER", 0)].into(),
        );
        expect![[r#"
            {
              "schema": "archipelago.sim.explore.v1",
              "commits": [
                "0123456789ab"
              ],
              "scenarios": [
                "calm-day",
                "./mine.toml"
              ],
              "first_seed": 7,
              "seeds_run": 2,
              "seeds_run_by_scenario": {
                "./mine.toml": 1,
                "calm-day": 1
              },
              "failures_count": 1,
              "failures": [
                {
                  "seed": 7,
                  "scenario": "./mine.toml",
                  "class": "liveness",
                  "what": "d12 has 3 commands in its outbox",
                  "replay": "archipelago sim replay ./mine.toml --seed 7",
                  "shrink": "archipelago sim shrink ./mine.toml --seed 7"
                }
              ],
              "marks": {
                "region::RARE": 3,
                "region::RARER": 0,
                "slow device": 0,
                "window full": 4
              },
              "marks_never_reached": [
                "region::RARER",
                "slow device"
              ],
              "events": 2000,
              "simulated_s": 3,
              "wall_s": 1,
              "simulated_us": 3000000,
              "wall_ms": 1400
            }
        "#]]
        .assert_eq(&soak.json());
    }

    #[test]
    fn a_soak_that_was_interrupted_ends_like_one_that_was_not() {
        let mut whole = soak();
        let mut halved = soak();
        for number in 0..6 {
            let failed = (number == 3).then(|| (Class::Safety, "it broke".to_owned()));
            whole.take(ran(failed.clone()));
            halved.take(ran(failed));
            let scenarios = halved.scenarios.clone();
            halved = Soak::read(&halved.json(), &scenarios, Some(7), "0123456789ab").unwrap();
        }
        assert_eq!(whole, halved);
        assert_eq!(whole.seeds_run_by_scenario.values().copied().collect::<Vec<_>>(), [3, 3]);
    }

    #[test]
    fn a_state_of_something_else_is_never_gone_on_from() {
        let soak = soak();
        let other = ["calm-day".to_owned()];
        assert!(Soak::read(&soak.json(), &other, Some(7), "x").unwrap_err().contains("from seed 7 on"));
        assert!(Soak::read(&soak.json(), &soak.scenarios, Some(8), "x").is_err());
        assert!(Soak::read("{}", &other, None, "x").unwrap_err().contains("no state of a soak"));
        let later = Soak::read(&soak.json(), &soak.scenarios, None, "another").unwrap();
        assert_eq!(later.commits, ["0123456789ab", "another"], "the report names every build that took part");
    }
}
