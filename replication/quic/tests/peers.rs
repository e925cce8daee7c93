//! Peers as they come: restarted, strange, hostile, slow. None of them disturbs the others or costs more than its bounds.
//!
//! Each refusal is seen from the caller's side, by its code, and beside it a true peer's bridge must still stand.
#![allow(clippy::unwrap_used)]

mod pair;

use crdt::RegionId;
use pair::{Authority, MadeUpRegion, addresses, framed, hello_of, name, until};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore as _, SeedableRng as _};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bridge_opens_by_itself_whoever_starts_first_and_again_after_a_restart() {
    let (authority, addresses) = (Authority::new(), addresses());
    let (one, two) = (MadeUpRegion::new(1, 0, true), MadeUpRegion::new(2, 0, true));
    let dialler = one.start(authority.certificates(&name(1)), &[2], addresses).unwrap();
    let listener = two.start(authority.certificates(&name(2)), &[1], addresses).unwrap();
    let (open_at_one, open_at_two) = (dialler.open(), listener.open());
    until("both are open", || open_at_one.borrow().len() + open_at_two.borrow().len() == 2).await;

    listener.stop().await;
    until("the end is noticed", || open_at_one.borrow().is_empty()).await;
    let begun = Instant::now();
    let again = loop {
        // The socket is held until closed connections have drained.
        match two.start(authority.certificates(&name(2)), &[1], addresses) {
            Ok(bridges) => break bridges,
            Err(error) => assert!(begun.elapsed() < Duration::from_secs(20), "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    until("it is open again", || open_at_one.borrow().len() == 1).await;
    assert_eq!(dialler.counters()[&RegionId(2)].connections.load(Ordering::Relaxed), 2);
    drop(again);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_without_the_right_certificate_are_refused_and_disturb_nobody() {
    let (authority, addresses) = (Authority::new(), addresses());
    let two = MadeUpRegion::new(2, 0, true);
    let bridges = two.start(authority.certificates(&name(2)), &[1, 3], addresses).unwrap();
    let one = MadeUpRegion::new(1, 0, true);
    let dialler = one.start(authority.certificates(&name(1)), &[2], addresses).unwrap();
    let open = dialler.open();
    until("the true peer is open", || open.borrow().len() == 1).await;

    // The true authority's clients would refuse this server's certificate, so the stranger trusts it and is refused for its own.
    let stranger = Authority::new();
    let failed = stranger.call(&[&name(1)], addresses[1], &name(2)).await.connection.unwrap_err();
    assert!(failed.contains("certificate"), "{failed}");
    for names in [&["region-9"][..], &["region-3"], &["region-1", "region-3"]] {
        let caller = authority.call(names, addresses[1], &name(2)).await;
        // Not in the cluster; of a region that does not dial this one; of two regions.
        assert_eq!(caller.close_code().await, Some(6), "{names:?}");
    }
    assert_eq!(open.borrow().len(), 1, "the true peer's bridge stands");
    assert_eq!(dialler.counters()[&RegionId(2)].connections.load(Ordering::Relaxed), 1);
    drop(bridges);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_is_refused_when_the_authority_is_not_the_clusters() {
    let (authority, other, addresses) = (Authority::new(), Authority::new(), addresses());
    let two = MadeUpRegion::new(2, 0, true);
    let _bridges = two.start(authority.certificates(&name(2)), &[1], addresses).unwrap();
    // It trusts the cluster's authority, but its own certificate is signed by another that it alone trusts.
    let one = MadeUpRegion::new(1, 0, true);
    let dialler = one.start(authority.certificates_signed_by(&other, &name(1)), &[2], addresses).unwrap();
    let counters = std::sync::Arc::clone(&dialler.counters()[&RegionId(2)]);
    until("it was tried", || {
        counters.alarms.load(Ordering::Relaxed) + counters.connections.load(Ordering::Relaxed) > 0
    })
    .await;
    assert!(dialler.open().borrow().is_empty());
    assert_eq!(one.delivered.load(Ordering::Relaxed), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dialled_region_that_shows_another_regions_certificate_is_not_spoken_to() {
    let (authority, addresses) = (Authority::new(), addresses());
    let two = MadeUpRegion::new(2, 0, true);
    let bridges = two.start(authority.certificates(&name(3)), &[1], addresses).unwrap();
    let one = MadeUpRegion::new(1, 1_000, true);
    let dialler = one.start(authority.certificates(&name(1)), &[2], addresses).unwrap();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let counters = &dialler.counters()[&RegionId(2)];
    assert_eq!(counters.connections.load(Ordering::Relaxed), 0);
    assert_eq!(counters.bytes_out.load(Ordering::Relaxed), 0);
    assert_eq!(bridges.counters()[&RegionId(1)].bytes_in.load(Ordering::Relaxed), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_one_region_cannot_speak_as_another() {
    let (authority, addresses) = (Authority::new(), addresses());
    let three = MadeUpRegion::new(3, 0, true);
    let bridges = three.start(authority.certificates(&name(3)), &[1, 2], addresses).unwrap();
    // What region 2 says in truth, said under region 1's certificate.
    let hello = hello_of(2, 3);
    let caller = authority.call(&[&name(1)], addresses[2], &name(3)).await;
    let code = caller.say(&framed(&hello)).await;
    assert!(matches!(code, Some(2 | 6)), "{code:?}");
    assert!(bridges.open().borrow().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_and_oversized_frames_close_that_connection_by_code_and_no_other() {
    let (authority, addresses) = (Authority::new(), addresses());
    let three = MadeUpRegion::new(3, 0, true);
    let _bridges = three.start(authority.certificates(&name(3)), &[1, 2], addresses).unwrap();
    let two = MadeUpRegion::new(2, 0, true);
    let dialler = two.start(authority.certificates(&name(2)), &[3], addresses).unwrap();
    let open = dialler.open();
    until("the true peer is open", || open.borrow().len() == 1).await;

    let call = || authority.call(&["region-1"], addresses[2], "region-3");
    assert_eq!(call().await.say(&u32::MAX.to_be_bytes()).await, Some(21), "oversized");
    let mut entropy = ChaCha20Rng::seed_from_u64(3);
    for bytes in [1, 10, 1_000, 60_000] {
        let mut garbage = vec![0; bytes];
        entropy.fill_bytes(&mut garbage);
        let code = call().await.say(&framed(&garbage)).await;
        assert!(matches!(code, Some(20..=23)), "{bytes} bytes of garbage: {code:?}");
    }
    let cut_short = call().await;
    let mut half = framed(&hello_of(1, 3));
    half.truncate(half.len() - 1);
    let (mut send, _receive) = cut_short.connection.as_ref().unwrap().open_bi().await.unwrap();
    send.write_all(&half).await.unwrap();
    send.finish().unwrap();
    assert_eq!(cut_short.close_code().await, Some(20), "a stream that ends within a frame");
    assert_eq!(open.borrow().len(), 1, "the true peer's bridge stands");
    assert_eq!(dialler.counters()[&RegionId(3)].connections.load(Ordering::Relaxed), 1);
    assert_eq!(*three.stopped.lock().unwrap(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_takes_nothing_holds_no_more_than_its_windows() {
    const LOG_BYTES: u64 = 100 << 20;
    let (authority, addresses) = (Authority::new(), addresses());
    let one = MadeUpRegion::new(1, LOG_BYTES / 1_100, true);
    let two = MadeUpRegion::new(2, 0, false);
    let sender = one.start(authority.certificates(&name(1)), &[2], addresses).unwrap();
    let taker = two.start(authority.certificates(&name(2)), &[1], addresses).unwrap();
    let sent = || sender.counters()[&RegionId(2)].bytes_out.load(Ordering::Relaxed);
    until("bytes flow", || sent() > 128 << 10).await;
    // Full is when nothing has moved for a while.
    let (mut before, mut since) = (sent(), Instant::now());
    until("all windows are full", || {
        if sent() != before {
            (before, since) = (sent(), Instant::now());
        }
        since.elapsed() > Duration::from_secs(1)
    })
    .await;
    // What the taker's core holds and a frame beyond it, the least window, which does not grow where nothing is read, and a frame each way.
    let bound = 1 << 20;
    assert!(sent() < bound, "{} bytes were sent to a peer that took none", sent());
    let read = one.read_bytes.load(Ordering::Relaxed);
    assert!(read < 2 * bound, "{read} bytes were read for a peer that took none");
    assert!(taker.open().borrow().contains(&RegionId(1)), "a slow shard does not end the bridge");
}
