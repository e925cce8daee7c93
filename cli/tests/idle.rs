//! What regions cost while nothing happens: a bridge between two of them carries less than a kilobyte a second, all that QUIC adds included.
//!
//! What must always hold: it is counted at the regions' own counters of UDP payload, over a stretch in which every timer of a bridge fires.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod two_regions;

use std::time::{Duration, Instant};
use two_regions::TwoRegions;

/// Longer than the longest period of a bridge's timers.
const WATCHED: Duration = Duration::from_secs(21);
const BYTES_A_SECOND_MAX: f64 = 1_024.0;

/// UDP payload of east's bridge, both ways.
fn carried(regions: &TwoRegions) -> u64 {
    regions.metric(0, "archipelago_bridge_datagram_bytes_total{")
}

#[test]
fn an_idle_bridge_carries_less_than_a_kilobyte_a_second() {
    let regions = TwoRegions::start();
    let opened = Instant::now();
    // Until the two have met, and a little longer: what they say to each other then is said once.
    while carried(&regions) < 5_000 || opened.elapsed() < Duration::from_secs(3) {
        assert!(opened.elapsed() < Duration::from_secs(60), "they do not meet");
        std::thread::sleep(Duration::from_millis(100));
    }
    let (before, begun) = (carried(&regions), Instant::now());
    std::thread::sleep(WATCHED);
    let a_second = (carried(&regions) - before) as f64 / begun.elapsed().as_secs_f64();
    println!("an idle bridge carries {a_second:.0} bytes a second, both ways");
    assert!(a_second > 0.0, "probes go, so something is counted");
    assert!(a_second < BYTES_A_SECOND_MAX, "{a_second} bytes a second");
}
