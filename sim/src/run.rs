//! Plays a script in a world of its own, heals it, and judges.
//!
//! What must always hold: the same script and the same checks give the same outcome, in every build and on every machine; what is told or left
//! out of the text changes nothing.

use crate::outcome::{Outcome, Verdict};
use crate::script::Script;
use crate::world::World;

/// What is wanted of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Whether promises are held against what happens, and the world is healed and judged. Without, the storm alone is played, for its speed.
    pub checks: bool,
    /// Whether the text of what happens is kept.
    pub told: bool,
    /// Whether what happens is recorded for a page.
    pub recorded: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { checks: true, told: false, recorded: false }
    }
}

/// Runs a script.
#[must_use]
pub fn run(script: &Script, options: Options) -> Outcome {
    let mut world = World::new(script, options.told);
    if !options.checks {
        world.switch_checks_off();
    }
    if options.recorded {
        world.record(script);
    }
    world.start_all();
    world.pass(script.length_us);
    if options.checks {
        world.heal();
        world.become_calm(script.healed_within_us);
        world.judge();
    }
    outcome(script, options, &world)
}

fn outcome(script: &Script, options: Options, world: &World) -> Outcome {
    let mut promises = world.promises();
    promises.retain(|promise, _| script.checks.is_empty() || script.checks.contains(promise));
    let violations = world.violations().to_vec();
    let class = if options.checks { Verdict::of(&violations, &promises) } else { Verdict::Kept };
    Outcome {
        scenario: script.scenario.clone(),
        seed: script.seed,
        class,
        promises,
        violations,
        trace_hash: world.trace_hash(),
        checkpoints: world.checkpoints().to_vec(),
        events: world.events(),
        simulated_us: world.now(),
        marks: world.marks(),
        users: world.figures().users(world.now()),
        machines: world.figures().machines().clone(),
        drawn: script.drawn.clone(),
        lines: world.lines().map(str::to_owned).collect(),
        recording: world.recording(),
    }
}
