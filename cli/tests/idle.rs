//! What regions cost while nothing happens: a bridge between two of them carries less than a kilobyte a second, all that QUIC adds included, and
//! conversations in which nothing happens cost neither bytes nor processor time, however many there are.
//!
//! What must always hold: bytes are counted at the regions' own counters of UDP payload, and processor time by the kernel, over a stretch in which every timer of a bridge fires.
//! The same bounds hold for regions with no conversation and with many.
//!
//! `ARCHIPELAGO_CONVERSATIONS=100000 cargo test -p archipelago --test idle -- --nocapture` does it with that many, instead of 20,000.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod two_regions;

use crdt::ConversationId;
use gateway_client_net::{Act, ClientHandle, Event, Settings};
use std::time::{Duration, Instant};
use two_regions::{GLOBAL, SOON, TwoRegions, wait_until};

/// Longer than the longest period of a bridge's timers.
const WATCHED: Duration = Duration::from_secs(21);
/// Longer than a region takes to state that a partition has changed.
const STATED_WITHIN: Duration = Duration::from_secs(11);
const BYTES_A_SECOND_MAX: f64 = 1_024.0;
/// Of one core, both regions together. They were seen to take 0.001 without conversations, and 0.003 with 20,000, in a build without optimisation: this leaves room for a busy machine.
const CORE_MAX: f64 = 0.02;

const CONVERSATIONS: u64 = 20_000;
/// As many as one device begins: five times as many as a region follows at a time for it, and it is told of all that they are stable.
const OF_ONE_DEVICE: u64 = 5_000;

/// UDP payload of east's bridge, both ways.
fn carried(regions: &TwoRegions) -> u64 {
    regions.metric(0, "archipelago_bridge_datagram_bytes_total{")
}

/// Processor time of both regions.
fn worked(regions: &TwoRegions) -> Duration {
    regions.worked(0) + regions.worked(1)
}

/// How often the two have compared what they hold of a partition.
fn compared(regions: &TwoRegions) -> u64 {
    (0..2).map(|number| regions.metric(number, "archipelago_bridge_states_compared_total{")).sum()
}

/// Looks on while nothing happens.
fn watch(regions: &TwoRegions, holding: u64) {
    let (carried_before, worked_before, begun) = (carried(regions), worked(regions), Instant::now());
    std::thread::sleep(WATCHED);
    let seconds = begun.elapsed().as_secs_f64();
    let bytes = (carried(regions) - carried_before) as f64 / seconds;
    let core = (worked(regions) - worked_before).as_secs_f64() / seconds;
    println!(
        "idle with {holding} conversations: the bridge carries {bytes:.0} bytes a second, both ways; both regions take {:.2} % of a core",
        core * 100.0
    );
    assert!(bytes > 0.0, "probes go, so something is counted");
    assert!(bytes < BYTES_A_SECOND_MAX, "{bytes} bytes a second");
    assert!(core > 0.0, "timers fire, so something is counted");
    assert!(core < CORE_MAX, "{core} of a core");
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
    watch(&regions, 0);
}

/// A device begins groups with these numbers, as many at a time as its client has in flight, until all are stable. Then it goes.
async fn begin(device: Settings, numbers: std::ops::Range<u64>) {
    let (client, mut events) = ClientHandle::connect(device);
    let wanted = numbers.clone().count();
    let told = async {
        let mut stable = 0;
        while stable < wanted {
            match tokio::time::timeout(SOON, events.next()).await.unwrap().unwrap() {
                Event::Stable { .. } => stable += 1,
                Event::Refused { code, message, .. } => panic!("{code}: {message}"),
                _ => {}
            }
        }
    };
    let act = async {
        for number in numbers {
            let conversation = ConversationId::group(GLOBAL, number.into());
            let create =
                Act::CreateGroup { conversation, command: None, members: vec![], name: "isle".into() };
            client.act(create).await.unwrap();
        }
    };
    tokio::join!(act, told);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conversations_in_which_nothing_happens_cost_nothing() {
    let wanted =
        std::env::var("ARCHIPELAGO_CONVERSATIONS").map_or(CONVERSATIONS, |text| text.parse().unwrap());
    let regions = TwoRegions::start();
    let begun = Instant::now();
    let mut devices = tokio::task::JoinSet::new();
    for (user, first) in (1..).zip((0..wanted).step_by(OF_ONE_DEVICE as usize)) {
        let region = usize::from(user % 2 == 0);
        devices.spawn(begin(regions.device(region, user, 1), first..wanted.min(first + OF_ONE_DEVICE)));
    }
    while let Some(ended) = devices.join_next().await {
        ended.unwrap();
    }
    println!("{wanted} conversations were begun and stable after {:.0} s", begun.elapsed().as_secs_f64());
    // So many take a region a while to read.
    wait_until("both hold the same", || regions.check(&["--timeout", "300"]).status.success());
    // What follows from so many comes to an end too: the engine's compactions, and each region's statement of what it now holds of each partition.
    wait_until("both regions have come to rest", || {
        let (worked_before, compared_before) = (worked(&regions), compared(&regions));
        std::thread::sleep(STATED_WITHIN);
        let core = (worked(&regions) - worked_before).as_secs_f64() / STATED_WITHIN.as_secs_f64();
        core < CORE_MAX && compared(&regions) == compared_before
    });
    watch(&regions, wanted);
}
