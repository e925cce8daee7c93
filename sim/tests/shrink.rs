//! A failing run is made smaller by playing it: here worlds that are given too little time to become whole, which needs no mistake in the product.
//!
//! `ARCHIPELAGO_SEEDS=20 cargo test --release -p sim --test shrink -- --nocapture` does it with more seeds, to the end, and says how small each became.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::disallowed_types)]

use sim::outcome::Verdict;
use sim::run::{Options, Run};
use sim::scenario::{Scenario, embedded};
use sim::script::{Script, What, draw};
use sim::shrink::{Failure, Shrunk, shrink};

/// A device whose connection died tries again within a minute, not within these.
const TOO_SHORT_US: u64 = 6_000_000;

fn how_it_fails(script: &Script) -> Option<Failure> {
    Failure::of(&Run::new(script, Options::default()).play_until_broken())
}

fn messages(script: &Script) -> u64 {
    let count = |what: &What| if let What::Write { count, .. } = what { *count } else { 0 };
    script.acts.iter().map(|act| count(&act.what)).sum()
}

fn impatient(seed: u64) -> Script {
    let storm = embedded("storm-of-everything").unwrap().unwrap();
    Script { healed_within_us: TOO_SHORT_US, ..draw(&storm, seed) }
}

fn make_smaller(seed: u64, tries: u64) -> Option<Shrunk> {
    let shrunk = shrink(&impatient(seed), tries, &mut |script| how_it_fails(script))?;
    assert_eq!(shrunk.failure.class, Verdict::Liveness);
    let text = shrunk.script.print("smaller", "It is not whole in time.").unwrap();
    let read = Scenario::parse("smaller.toml", &text).unwrap();
    assert_eq!(how_it_fails(&draw(&read, seed)), Some(shrunk.failure.clone()), "{text}");
    Some(shrunk)
}

#[test]
fn a_world_that_fails_is_made_smaller_and_what_is_printed_fails_again_in_the_same_way() {
    let seeds = std::env::var("ARCHIPELAGO_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    let mut failed = 0;
    // One seed that is not whole in time is enough here.
    for seed in seeds.map_or(3..=3, |seeds| 1..=seeds) {
        let began = std::time::Instant::now();
        let Some(shrunk) = make_smaller(seed, if seeds.is_some() { 3_000 } else { 16 }) else { continue };
        let (before, after) = (impatient(seed), &shrunk.script);
        let size = |script: &Script| (script.regions.len(), script.devices.len(), messages(script));
        println!(
            "seed {seed}: {:?} to {:?}, {} tries, {:?}",
            size(&before),
            size(after),
            shrunk.tried,
            began.elapsed()
        );
        failed += 1;
        if seeds.is_none() {
            assert!(
                after.acts.len() < before.acts.len() / 2,
                "{} of {}",
                after.acts.len(),
                before.acts.len()
            );
            return;
        }
        let (regions, devices, messages) = size(after);
        assert!(shrunk.finished && regions <= 3 && devices <= 4 && messages <= 10, "{after:#?}");
    }
    assert!(failed > 0, "every seed was whole in time");
}
