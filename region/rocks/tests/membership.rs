//! What regions hear of each other: that they are live, where they are found, that one drains, and that it is gone.
//!
//! What must always hold: a region that drains says so before it goes; who has gone is dead to the others, and what it was stays known.
#![allow(clippy::unwrap_used)]

mod world;

use crdt::RegionId;
use region::membership::State;
use region_rocks::handle::RegionHandle;
use std::time::{Duration, Instant};
use world::{GLOBAL, World};

const OTHER: RegionId = RegionId(2);
/// Longer than it takes to find a region dead.
const WITHIN: Duration = Duration::from_secs(40);

fn state(handle: &RegionHandle) -> Option<(bool, State)> {
    let (view, epochs) = (handle.view(), handle.epochs());
    let state = view.state(OTHER, epochs.get(GLOBAL)?)?;
    Some((view.member(OTHER)?.live, state))
}

async fn until(handle: &RegionHandle, wanted: (bool, State)) {
    let begun = Instant::now();
    while state(handle) != Some(wanted) {
        assert!(begun.elapsed() < WITHIN, "{:?} and not {wanted:?}", state(handle));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_is_live_then_drains_then_is_gone_to_the_other() {
    let world = World::new(2);
    let (a, b) = (world.start(1).unwrap(), world.start(2).unwrap());
    let handle = a.handle();
    assert_eq!(handle.view().member(OTHER), None);
    until(&handle, (true, State::Active)).await;
    let facts = handle.view().member(OTHER).unwrap().facts.clone().unwrap();
    assert_eq!(facts.bridge, world.cluster.regions[&OTHER].bridge);
    assert_eq!(facts.client, world.cluster.regions[&OTHER].client.to_string());
    assert!(facts.serves(GLOBAL));
    let itself = handle.view().member(RegionId(1)).cloned().unwrap();
    assert!(itself.live, "a region is live to itself");

    b.handle().drain();
    until(&handle, (true, State::Draining)).await;
    assert!(!handle.view().member(OTHER).unwrap().facts.as_ref().unwrap().serves(GLOBAL));

    b.stop().await;
    until(&handle, (false, State::Draining)).await;
    let b = world.start_again(2).await;
    until(&handle, (true, State::Active)).await;
    b.stop().await;
    a.stop().await;
    assert_eq!(*world.ended.lock().unwrap(), Vec::<String>::new());
}
