//! Which regions hold which for live, over three processes: one that stands still, one that is killed and comes back, two that cannot see each other; and what that costs while nothing happens.
//!
//! What must always hold: a region that says nothing is held for dead within [`DEAD_WITHIN`], and for live again within [`LIVE_WITHIN`] of its coming back; who is heard of through a third
//! region is live; nothing that regions say in any of it is refused.

#![allow(clippy::unwrap_used, unreachable_pub)]

#[path = "../region_process/mod.rs"]
mod region_process;
mod stand;
#[path = "../through_relay/mod.rs"]
mod through_relay;

use serde_json::Value;
use stand::{NAMES, Stand, heard, until};
use std::time::{Duration, Instant};

/// From the last word of a region until the others hold it for dead: some ten seconds for the detector, the rest for rounds, looks and a busy machine.
const DEAD_WITHIN: Duration = Duration::from_secs(25);
/// From its first word until they hold it for live: a bridge, then two rounds.
const LIVE_WITHIN: Duration = Duration::from_secs(20);
/// From its death until a start is forgotten.
const FORGOTTEN_WITHIN: Duration = Duration::from_secs(60);

const EAST: usize = 0;
const NORTH: usize = 1;
const WEST: usize = 2;
const BYTES_A_SECOND_MAX: f64 = 1_024.0;

fn live(said: &Value, by: usize, of: usize) -> Option<bool> {
    heard(said, by, of)["live"].as_bool()
}

fn started(said: &Value, by: usize, of: usize) -> u64 {
    heard(said, by, of)["started_ms"].as_u64().unwrap()
}

/// Until each holds each other for live.
fn all_live(stand: &Stand) -> Value {
    let pairs = [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)];
    let is_so = |said: &Value| pairs.into_iter().all(|(by, of)| live(said, by, of) == Some(true));
    until("all hold all for live", LIVE_WITHIN, stand, is_so).0
}

/// Until both others hold west for that.
fn west_is(stand: &Stand, what: bool, within: Duration) -> (Value, Duration) {
    let is_so = |said: &Value| [EAST, NORTH].into_iter().all(|by| live(said, by, WEST) == Some(what));
    until(if what { "west is live" } else { "west is dead" }, within, stand, is_so)
}

fn nothing_was_refused(stand: &Stand, regions: &[usize]) {
    for region in regions {
        assert_eq!(stand.metric(*region, "archipelago_gossip_refused_total{"), 0, "{}", NAMES[*region]);
        assert_eq!(stand.metric(*region, "archipelago_bridge_datagrams_unknown_total{"), 0);
        assert!(stand.metric(*region, "archipelago_gossip_messages_total{") > 0);
    }
}

#[test]
fn a_region_that_stands_still_or_is_killed_is_dead_and_live_again_when_it_is_back_and_its_old_start_is_forgotten()
 {
    let mut stand = Stand::start();
    let said = all_live(&stand);
    for (by, of) in [(EAST, WEST), (WEST, NORTH), (NORTH, EAST)] {
        let (row, file) = (heard(&said, by, of), stand.cluster.region_named(NAMES[of]).unwrap());
        assert_eq!(row["client"], file.client.to_string());
        assert_eq!(row["bridge"], file.bridge.to_string());
        assert_eq!((&row["sessions"], &row["mailbox_percent"]), (&Value::from(0), &Value::from(0)));
        assert_eq!(row["placements"][0]["placement"], "global");
        assert_eq!(
            (&row["placements"][0]["state"], &row["placements"][0]["epoch"]),
            (&Value::from("active"), &Value::from(1))
        );
    }
    assert_eq!(stand.metric(EAST, "archipelago_member_live{region=\"west\"}"), 1);
    let first = started(&said, EAST, WEST);

    stand.signal(WEST, "STOP");
    let (said, took) = west_is(&stand, false, DEAD_WITHIN);
    println!("west stands still and is dead to the others after {took:.1?}");
    assert_eq!(said["ok"], false);
    assert_eq!(stand.metric(EAST, "archipelago_member_live{region=\"west\"}"), 0);
    stand.signal(WEST, "CONT");
    let (said, took) = west_is(&stand, true, LIVE_WITHIN);
    println!("west goes on and is live to the others after {took:.1?}");
    assert_eq!(started(&said, NORTH, WEST), first, "it is the same start");
    all_live(&stand);

    stand.kill(WEST);
    let (_, took) = west_is(&stand, false, DEAD_WITHIN);
    println!("west is killed and dead to the others after {took:.1?}");
    assert!(stand.table().contains("\neast           west           no "), "{}", stand.table());
    stand.start_again(WEST);
    let (said, took) = west_is(&stand, true, LIVE_WITHIN);
    println!("west is started again and live to the others after {took:.1?}");
    for by in [EAST, NORTH] {
        assert!(started(&said, by, WEST) > first, "it is another start");
    }
    let begun = Instant::now();
    let held =
        || (0..3).map(|region| stand.metric(region, "archipelago_gossip_starts_held")).collect::<Vec<_>>();
    assert!(held().contains(&4), "the old start goes around still");
    while held() != [3; 3] {
        assert!(begun.elapsed() < FORGOTTEN_WITHIN, "the old start is held still: {:?}", held());
        std::thread::sleep(Duration::from_millis(500));
    }
    println!("its old start is forgotten by all {:.1?} later", begun.elapsed());
    all_live(&stand);
    nothing_was_refused(&stand, &[EAST, NORTH, WEST]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_regions_that_cannot_see_each_other_hear_of_each_other_through_a_third() {
    let stand = Stand::start();
    all_live(&stand);
    stand.cut(EAST, WEST, true);
    let no_bridge = |said: &Value| {
        let bridges = said["regions"]["east"]["bridges"].as_array().unwrap();
        bridges.iter().any(|bridge| bridge["peer"] == "west" && bridge["open"] == false)
    };
    until("they have no bridge", DEAD_WITHIN, &stand, no_bridge);
    let _device = stand.device(WEST);
    let heard_of_device = |said: &Value| heard(said, EAST, WEST)["sessions"] == 1;
    until("east hears what west says now", LIVE_WITHIN, &stand, heard_of_device);
    // Longer than silence takes to mean anything.
    let begun = Instant::now();
    while begun.elapsed() < DEAD_WITHIN {
        let (_, said) = stand.status();
        assert_eq!((live(&said, EAST, WEST), live(&said, WEST, EAST)), (Some(true), Some(true)), "{said}");
        assert!(no_bridge(&said), "{said}");
        std::thread::sleep(Duration::from_millis(500));
    }
    nothing_was_refused(&stand, &[EAST, NORTH, WEST]);
}

#[test]
fn three_regions_that_have_nothing_to_do_exchange_less_than_a_kilobyte_a_second_over_each_bridge() {
    let stand = Stand::start();
    all_live(&stand);
    let carried = |of: usize, peer: usize| {
        let begins = format!("archipelago_bridge_datagram_bytes_total{{peer=\"{}\"", NAMES[peer]);
        stand.metric(of, &begins)
    };
    let bridges = [(EAST, NORTH), (EAST, WEST), (NORTH, WEST)];
    let (before, begun) = (bridges.map(|(of, peer)| carried(of, peer)), Instant::now());
    // Longer than the longest period of a bridge's timers.
    std::thread::sleep(Duration::from_secs(21));
    let after = bridges.map(|(of, peer)| carried(of, peer));
    let seconds = begun.elapsed().as_secs_f64();
    for ((of, peer), (before, after)) in bridges.into_iter().zip(before.into_iter().zip(after)) {
        let bytes = (after - before) as f64 / seconds;
        println!("idle: {} and {} exchange {bytes:.0} bytes a second", NAMES[of], NAMES[peer]);
        assert!(bytes > 0.0 && bytes < BYTES_A_SECOND_MAX, "{bytes} bytes a second");
    }
}
