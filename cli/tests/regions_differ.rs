//! Two regions that have applied the same operations of a partition and say that they hold different states of it: told on their own, found by an operator, repaired.
//!
//! What must always hold: the alarm is raised without anything being written or asked, and falls once the regions agree again.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod tampered;
mod two_regions;

use std::time::{Duration, Instant};
use tampered::{REACH, forge};
use two_regions::{TwoRegions, global_of, wait_until};

/// Regions state what they hold every ten seconds, and when they have met.
const TOLD_WITHIN: Duration = Duration::from_secs(30);
/// What a partition's digest takes at the end of its record.
const DIGEST_BYTES: usize = 16;

/// Of how many partitions the regions say so.
fn differing(regions: &TwoRegions) -> u64 {
    (0..2).map(|number| regions.metric(number, "archipelago_bridge_partitions_differing{")).sum()
}

/// How often a region has compared since it was started.
fn compared(regions: &TwoRegions, number: usize) -> u64 {
    regions.metric(number, "archipelago_bridge_states_compared_total{")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_that_differs_raises_an_alarm_is_found_and_repaired() {
    let mut regions = TwoRegions::start();
    regions.write().await;
    wait_until("all is well", || regions.status().0 == Some(0));
    assert_eq!(differing(&regions), 0);

    regions.end(1);
    forge(&regions, 1, REACH, |content| {
        assert!(content.len() > DIGEST_BYTES, "it ends with a digest");
        *content.last_mut().unwrap() ^= 1;
    });
    let begun = Instant::now();
    regions.start_again(1);
    wait_until("they say that they differ", || differing(&regions) > 0);
    println!("the regions say that they differ {:.1?} after the start", begun.elapsed());
    assert!(begun.elapsed() < TOLD_WITHIN);
    let (code, said) = regions.status();
    assert_eq!(code, Some(3), "{said}");
    assert!(said["problems"].to_string().contains("docs/operations/regions-differ.md"), "{said}");
    // What they hold is the same; it is west's own sum of it that is wrong. So there is nothing for this to name.
    assert_eq!(regions.check(&[]).status.code(), Some(0));

    regions.end(1);
    let (code, found, said) = regions.at_rest(1, "verify", &[]);
    assert_eq!(code, Some(3), "{said}");
    let [damaged] = &global_of(&found)["damaged"].as_array().unwrap()[..] else { panic!("{found}") };
    assert!(damaged.as_str().unwrap().starts_with("reach "), "{damaged}");
    let (code, _, said) = regions.at_rest(1, "repair", &["--apply"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(regions.at_rest(1, "verify", &[]).0, Some(0));

    let by_east = compared(&regions, 0);
    regions.start_again(1);
    wait_until("both have compared again", || compared(&regions, 0) > by_east && compared(&regions, 1) > 0);
    assert_eq!(differing(&regions), 0);
    wait_until("all is well", || regions.status().0 == Some(0));
}
