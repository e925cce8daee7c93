//! A region is out of memory: what it has in memory under load stays within the runbook's bounds, and after a SIGKILL in the middle of writing nothing that it acknowledged is missing.
//!
//! What must always hold: memory does not grow with what was written; a kill is without a word, and the region serves again by itself once it is started.

use crate::runbook::Runbook;
use crate::told::listen;
use crate::two_regions::{ISLE, TwoRegions, begin_isle, wait_until};
use bytes::Bytes;
use gateway_client_net::ClientHandle;
use std::time::{Duration, Instant};

const RUNBOOK: &str = include_str!("../../../docs/operations/out-of-memory.md");
const BODY_BYTES: usize = 60_000;
/// Of that length 90 MB: more than the write buffers hold.
const MESSAGES: usize = 1_500;
/// Messages that may be on their way to the other region: 30 MB, of the 64 MiB that an outbox holds before it refuses more.
const UNSTABLE_MAX: usize = 500;
/// By the runbook's table, for two placements, one peer and two devices, and the program itself: 160 + 40 + 128 + 30 + 64 + 2 MiB.
const RESIDENT_MAX: u64 = 424 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_is_bounded_under_load_and_a_kill_loses_nothing_acknowledged() {
    let mut regions = TwoRegions::start();
    let folder = regions.path().to_owned();
    let runbook = Runbook::new(RUNBOOK, &folder);
    let resident = runbook.says("archipelago_memory_resident_bytes");
    let (client, events) = ClientHandle::connect(regions.device(0, 0xa11ce, 1));
    let told = listen(events);
    begin_isle(&client).await;
    let body = Bytes::from(vec![b'x'; BODY_BYTES]);
    let acknowledged = || told.lock().unwrap().acknowledged.len();
    let stable = || told.lock().unwrap().stable.len();
    let mut most = 0;
    for number in 0..MESSAGES {
        client.send(ISLE, body.clone(), None).await.unwrap();
        if number % 50 == 49 {
            wait_until("what was sent is acknowledged, but for the last", || acknowledged() + 50 > number);
            wait_until("the outbox has room for more", || stable() + UNSTABLE_MAX > number);
            most = most.max(regions.metric(0, resident));
        }
    }
    println!("{MESSAGES} messages of {BODY_BYTES} bytes: at most {} MiB of memory", most >> 20);
    assert!(most > 16 << 20, "it is measured: {most}");
    assert!(most < RESIDENT_MAX, "{most} bytes");

    for _ in 0..100 {
        client.send(ISLE, body.clone(), None).await.unwrap();
    }
    regions.signal(0, "KILL");
    let killed = Instant::now();
    regions.wait(0);
    regions.start_again(0);
    let was_acknowledged = told.lock().unwrap().acknowledged.clone();
    let (_reader, events) = ClientHandle::connect(regions.device(0, 0xa11ce, 2));
    let reads = listen(events);
    wait_until("all that was acknowledged is there", || {
        was_acknowledged.is_subset(&reads.lock().unwrap().shown)
    });
    assert_eq!(told.lock().unwrap().refused, Vec::<String>::new(), "all that was sent is in the outbox");
    // The group is a command as well.
    wait_until("what was not is said again", || acknowledged() >= MESSAGES + 100);
    println!("all of it is there {:.2?} after the kill", killed.elapsed());
    assert!(killed.elapsed() < Duration::from_secs(60));
    wait_until("all are well", || runbook.try_run("archipelago status --cluster demo").0 == Some(0));
    runbook.was_followed();
}
