//! The simulator against the world: the same conversations, in the same regions at the same distances, over real processes behind the demo's relay and
//! in the simulator, and how long people waited until they were shown what others wrote.
//!
//! What the simulator knows of processes is measured, and stated with its source (`sim/src/world/service.rs`: a table from a quiet machine and a release build). It is told
//! besides how this machine differs, and nothing of what is compared: how long its disk takes to sync, probed beside the run, and how long a message takes that never leaves
//! its region. What comes across regions is its prediction. What must always hold: for each direction half of all showings are within 15 per cent of the real ones, and what they
//! take beyond the link's own delay is within twice the real, one way or the other.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod real;
mod simulated;
mod times;

use sim::plan::Plan;
use sim::replay_plan::{ReplaySettings, replay_plan};
use times::{Direction, median};

/// As `init` names them, in the order of their numbers.
pub const REGIONS: [&str; 3] = ["eu-central", "us-east", "ap-south"];
/// How long the conversations last.
pub const DURATION_MS: u64 = 12_000;
const SEED: u64 = 7;
/// The part of the conversations on which the simulated machine is made as slow as the real one.
const CALIBRATED_MS: u64 = 4_000;

fn plan() -> Plan {
    use rand_chacha::ChaCha12Rng;
    use rand_core::SeedableRng as _;
    let settings = ReplaySettings {
        duration_ms: DURATION_MS,
        in_the_eu: REGIONS.iter().map(|name| name.starts_with("eu-")).collect(),
    };
    replay_plan(vec![], &settings, &mut ChaCha12Rng::seed_from_u64(SEED)).unwrap()
}

/// How slow this machine's processes are, in per cent of the table of costs: by what a message takes that stays in its region, less the syncs, here and in a world that
/// is as fast as the table. Twice, since what waits in a queue does not grow evenly.
fn slowness_per_cent(plan: &Plan, really_us: u64, sync_us: u64) -> u64 {
    let mut per_cent = 100;
    for _ in 0..2 {
        let told_us = median(&simulated::play(plan, sync_us, per_cent, CALIBRATED_MS).same_region);
        let processing_us = |us: u64| us.saturating_sub(sync_us).max(100);
        per_cent = per_cent * processing_us(really_us) / processing_us(told_us);
    }
    per_cent
}

#[test]
fn the_simulator_tells_how_long_people_really_wait() {
    let real = real::play(SEED);
    let plan = plan();
    let same_region_us = median(&real.times.same_region);
    let per_cent = slowness_per_cent(&plan, same_region_us, real.sync_us);
    let simulated = simulated::play(&plan, real.sync_us, per_cent, DURATION_MS);
    println!(
        "a sync takes {} us, and processes {per_cent} % of what the table says; in one region a message is shown after {same_region_us} us, simulated {} us",
        real.sync_us,
        median(&simulated.same_region)
    );
    let mut wrong = Vec::new();
    let mut excess = (Vec::new(), Vec::new());
    for (direction, really) in &real.times.across {
        let told = simulated.across.get(direction).expect("the same conversations in the same regions");
        let link_us = direction.delay_us();
        let (really_us, told_us) = (median(really), median(told));
        excess.0.extend(really.iter().map(|us| us.saturating_sub(link_us)));
        excess.1.extend(told.iter().map(|us| us.saturating_sub(link_us)));
        println!(
            "{direction}: link {link_us} us; really {really_us} us ({} showings), simulated {told_us} us ({})",
            really.len(),
            told.len()
        );
        if really_us.abs_diff(told_us) * 100 > really_us * 15 {
            wrong.push(*direction);
        }
    }
    assert_eq!(real.times.across.len(), 6, "every region hears of every other");
    assert!(wrong.is_empty(), "not within 15 %: {wrong:?}");
    let (really_us, told_us) = (median(&excess.0), median(&excess.1));
    println!("beyond the link: really {really_us} us, simulated {told_us} us");
    assert!(really_us <= 2 * told_us && told_us <= 2 * really_us, "{really_us} us and {told_us} us");
}

#[test]
fn a_link_that_is_a_fifth_longer_is_told_from_the_real_one() {
    // The comparison can fail: another distance would be seen.
    let direction = Direction { from: 0, to: 2 };
    let really_us = direction.delay_us() + 2_000;
    let told_us = direction.delay_us() * 12 / 10 + 2_000;
    assert!(really_us.abs_diff(told_us) * 100 > really_us * 15);
}
