//! The kernel ends a region at the limit of its control group, in the middle of writing: nothing that it acknowledged is missing, and devices go on.
//!
//! What must always hold: it is the kernel that ends it, and says so in the group's own count. Where no group can be made (`control_group`) the test says so and does no more: what a
//! SIGKILL costs is seen by `memory.rs` all the same.

use crate::control_group::ControlGroup;
use crate::runbook::Runbook;
use crate::told::listen;
use crate::two_regions::{ISLE, TwoRegions, begin_isle, wait_until};
use bytes::Bytes;
use gateway_client_net::ClientHandle;
use std::os::unix::process::ExitStatusExt as _;

const RUNBOOK: &str = include_str!("../../../docs/operations/out-of-memory.md");
/// What the region may take beside what it took before it was written in: less than its write buffers.
const BYTES_MORE: u64 = 32 << 20;
const BODY_BYTES: usize = 60_000;
/// Of that length more than three times the limit.
const MESSAGES_MAX: usize = 1_700;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_that_the_kernel_ends_at_its_limit_has_lost_nothing_acknowledged() {
    // Goes last, behind the region that is in it.
    let group;
    let mut regions = TwoRegions::start();
    match ControlGroup::around(regions.process(0), BYTES_MORE) {
        Ok(made) => group = made,
        Err(why) => {
            println!("no region is ended by the kernel here, since no control group can be made: {why}");
            return;
        }
    }
    let folder = regions.path().to_owned();
    let runbook = Runbook::new(RUNBOOK, &folder);
    let (client, events) = ClientHandle::connect(regions.device(0, 0xa11ce, 1));
    let told = listen(events);
    begin_isle(&client).await;
    let acknowledged = || told.lock().unwrap().acknowledged.len();
    let body = Bytes::from(vec![b'x'; BODY_BYTES]);
    let mut sent = 0;
    while group.killed() == 0 {
        assert!(sent < MESSAGES_MAX, "it goes beyond the limit");
        client.send(ISLE, body.clone(), None).await.unwrap();
        sent += 1;
        wait_until("what was sent is acknowledged, but for the last", || {
            acknowledged() + 50 > sent || group.killed() > 0
        });
    }
    assert_eq!(regions.wait(0).signal(), Some(9), "it has no last word");
    assert_eq!((group.killed(), runbook.says("`oom_kill`")), (1, "`oom_kill`"));
    let was_acknowledged = told.lock().unwrap().acknowledged.clone();
    println!("ended after {sent} messages, {} of them acknowledged", was_acknowledged.len());
    assert!(was_acknowledged.len() > 1, "it was in the middle of writing");

    // A child of the test, so in the test's own group.
    regions.start_again(0);
    let (_reader, events) = ClientHandle::connect(regions.device(0, 0xa11ce, 2));
    let reads = listen(events);
    wait_until("all that was acknowledged is there", || {
        was_acknowledged.is_subset(&reads.lock().unwrap().shown)
    });
    let after = client.send(ISLE, "after".into(), None).await.unwrap();
    wait_until("devices go on, in both regions", || told.lock().unwrap().stable.contains(&after));
    // The group is a command as well.
    wait_until("what was not is said again", || acknowledged() == sent + 2);
    assert_eq!(told.lock().unwrap().refused, Vec::<String>::new());
    wait_until("all are well", || runbook.try_run("archipelago status --cluster demo").0 == Some(0));
    runbook.was_followed();
}
