//! Plays a script in a world of its own, heals it, and judges.
//!
//! What must always hold: the same script and the same checks give the same outcome, in every build and on every machine; what is told or left
//! out of the text changes nothing.

use crate::checks::world::Tally;
use crate::history::Line;
use crate::outcome::{Outcome, Verdict};
use crate::script::Script;
use crate::world::World;
use crdt::{DeviceId, RegionId};
use std::collections::BTreeMap;

/// How often it is looked at whether a promise is broken, by whoever wants to know of the first.
const LOOKED_AT_EVERY_US: u64 = 250_000;

/// Acts times devices up to which devices keep histories, which are judged then as those of real runs are. At a hundred bytes a line that is a hundred megabytes at
/// most, and a hundredth of the run's time; a larger world is judged by everything else.
const HISTORIES_MAX: usize = 1_000_000;

/// What is wanted of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Whether promises are held against what happens, and the world is healed and judged. Without, the storm alone is played, for its speed.
    pub checks: bool,
    /// Whether the text of what happens is kept.
    pub told: bool,
    /// Whether what happens is recorded for a page.
    pub recorded: bool,
    /// Of which events it is, from and until, by their number from 1; of all if that is not said.
    pub told_events: Option<(u64, u64)>,
}

impl Default for Options {
    fn default() -> Self {
        Self { checks: true, told: false, told_events: None, recorded: false }
    }
}

/// Runs a script.
#[must_use]
pub fn run(script: &Script, options: Options) -> Outcome {
    Run::new(script, options).play()
}

/// A run that can still be asked what happened when a panic of the product has ended it.
#[derive(Debug)]
pub struct Run<'a> {
    script: &'a Script,
    options: Options,
    world: World,
}

impl<'a> Run<'a> {
    /// A world in which nothing has happened yet.
    #[must_use]
    pub fn new(script: &'a Script, options: Options) -> Self {
        let mut world = World::new(script, options.told);
        if let Some((from, until)) = options.told_events.filter(|_| options.told) {
            world.tell_only(from..until);
        }
        if !options.checks {
            world.switch_checks_off();
        } else if script.acts.len().saturating_mul(script.devices.len()) <= HISTORIES_MAX {
            world.keep_histories();
        }
        if options.recorded {
            world.record(script);
        }
        Self { script, options, world }
    }

    /// Plays the script to its end.
    pub fn play(&mut self) -> Outcome {
        let (script, world) = (self.script, &mut self.world);
        world.start_all();
        world.pass(script.length_us);
        if self.options.checks {
            end(script, world);
        }
        outcome(script, self.options, world)
    }

    /// Plays the script until a promise is broken, or to its end: what a search for a smaller script needs to know of it.
    pub fn play_until_broken(&mut self) -> Outcome {
        let (script, world) = (self.script, &mut self.world);
        world.start_all();
        while world.now() < script.length_us && world.violations().is_empty() {
            world.pass(LOOKED_AT_EVERY_US.min(script.length_us - world.now()));
        }
        if self.options.checks && world.violations().is_empty() {
            end(script, world);
        }
        outcome(script, self.options, world)
    }

    /// What each device wrote down, in the form of a replay's histories; none if the world is too large, or nothing is judged.
    #[must_use]
    pub fn histories(&self) -> Option<&BTreeMap<DeviceId, Vec<Line>>> {
        self.world.histories()
    }

    /// The newest lines of the text, if it is told.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.world.lines()
    }
}

/// Heals the world, and judges it once it is calm.
fn end(script: &Script, world: &mut World) {
    world.heal();
    let dark: Vec<RegionId> = script.dark.iter().copied().map(RegionId).collect();
    world.become_whole_without(&dark, script.healed_within_us);
    world.become_calm(script.healed_within_us);
    world.judge();
}

/// The promises that were to be looked at, and were not.
fn unseen(script: &Script, promises: &BTreeMap<u8, Tally>) -> Vec<u8> {
    let unseen = promises.iter().filter(|(_, tally)| tally.checked == 0).map(|(promise, _)| *promise);
    let unseen: Vec<u8> = unseen.collect();
    if script.checks.is_empty() && unseen.len() < promises.len() {
        return Vec::new();
    }
    unseen.into_iter().filter(|promise| script.checks.is_empty() || script.checks.contains(promise)).collect()
}

fn outcome(script: &Script, options: Options, world: &World) -> Outcome {
    let mut promises = world.promises();
    for promise in &script.checks {
        // One without a checker was looked at by nobody.
        promises.entry(*promise).or_default();
    }
    let violations = world.violations().to_vec();
    let unseen = if options.checks { unseen(script, &promises) } else { Vec::new() };
    let class = if options.checks { Verdict::of(&violations, &unseen) } else { Verdict::Kept };
    Outcome {
        scenario: script.scenario.clone(),
        seed: script.seed,
        class,
        promises,
        unseen,
        violations,
        trace_hash: world.trace_hash(),
        checkpoints: world.checkpoints().to_vec(),
        events: world.events(),
        idle_events: world.idle_events(),
        happenings: world.happenings(),
        simulated_us: world.now(),
        marks: world.marks(),
        users: world.figures().users(world.now()),
        machines: world.figures().machines().clone(),
        drawn: script.drawn.clone(),
        lines: world.lines().map(str::to_owned).collect(),
        recording: world.recording(),
    }
}
