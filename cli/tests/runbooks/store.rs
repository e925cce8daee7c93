//! A slow store: west's disk takes its time for each sync, is nearly full, is full, and has room again.
//!
//! What must always hold: each is told in the words of the runbook; a region on a full disk ends by name, what it had acknowledged is there when it is back, and what it had not is said again.

use crate::runbook::Runbook;
use crate::stand::{Stand, WEST};
use crate::two_regions::{ISLE, PROGRAM, begin_isle, global_of, wait_for, wait_until};
use gateway_client_net::{ClientHandle, Event};
use std::process::Command;
use std::time::Duration;

const RUNBOOK: &str = include_str!("../../../docs/operations/a-slow-store.md");
const SLOW_SYNC: Duration = Duration::from_millis(300);
const NEARLY_FULL_MIB: i64 = 700;
/// Less than a region begins with.
const FULL_MIB: i64 = 32;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_slow_nearly_full_and_full_is_told_by_name_and_nothing_acknowledged_is_lost() {
    let mut stand = Stand::start();
    let folder = stand.regions.path().to_owned();
    let runbook = Runbook::new(RUNBOOK, &folder);
    let status = "archipelago status --cluster demo";
    let (client, mut events) = ClientHandle::connect(stand.regions.device(WEST, 0xa11ce, 1));
    begin_isle(&client).await;
    let first = client.send(ISLE, "on a good disk".into(), None).await.unwrap();
    let acknowledges =
        |of| move |event: &Event| matches!(event, Event::Acknowledged { command, .. } if *command == of);
    wait_for(&mut events, acknowledges(first)).await;
    for figure in
        ["archipelago_store_holds_up", "archipelago_store_first_files", "archipelago_store_backlog_bytes"]
    {
        let figure = format!("{}{{placement=\"global\"}} 0\n", runbook.says(figure));
        assert!(stand.regions.metrics(WEST).contains(&figure), "a new store has {figure}");
    }

    stand.machine.set_sync(SLOW_SYNC);
    let slow = client.send(ISLE, "on a slow one".into(), None).await.unwrap();
    wait_for(&mut events, acknowledges(slow)).await;
    let sync_us = global_of(&stand.said_of(WEST))["last_sync_us"].as_u64().unwrap();
    assert!(sync_us > 250_000, "{sync_us}");
    assert!(runbook.run(status).contains(runbook.says("sync ms")));
    stand.machine.set_sync(Duration::ZERO);

    stand.machine.set_free_mib(NEARLY_FULL_MIB);
    let table = runbook.run(status);
    let told =
        format!("! west: {NEARLY_FULL_MIB} {}", runbook.says("MiB are free where the data folder lies"));
    assert!(table.contains(&told), "{table}");
    let free = stand.regions.metric(WEST, runbook.says("archipelago_disk_free_bytes"));
    assert_eq!(free >> 20, u64::try_from(NEARLY_FULL_MIB).unwrap());

    stand.machine.set_full(true);
    let lost = client.send(ISLE, "on a full one".into(), None).await.unwrap();
    stand.regions.wait(WEST);
    let log = stand.regions.logged(WEST);
    let words = ["the disk of store", "is full: free some space and start the region again"];
    let told = words.map(|words| runbook.says(words));
    assert!(told.iter().all(|words| log.contains(words)), "{log}");
    assert_eq!(runbook.try_run(status).0, Some(3));
    stand.machine.set_full(false);
    stand.machine.set_free_mib(FULL_MIB);
    let preloaded = |name: &str| folder.join(name);
    let refused = Command::new(PROGRAM)
        .args(["region", "west", "--cluster", "demo", "--data", "data/west"])
        .envs([("LD_PRELOAD", preloaded("bad_machine.so")), ("BAD_MACHINE", preloaded("bad_machine"))])
        .current_dir(&folder)
        .output()
        .unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(refused.status.code() == Some(1) && said.contains(runbook.says("machine_disk")), "{said}");

    stand.machine.set_free_mib(-1);
    stand.regions.start_again(WEST);
    wait_for(&mut events, acknowledges(lost)).await;
    let (_reader, mut told) = ClientHandle::connect(stand.regions.device(WEST, 0xa11ce, 2));
    for wanted in [first, slow, lost] {
        wait_for(&mut told, |event| matches!(event, Event::Shown { item, .. } if item.message == wanted))
            .await;
    }
    let check = "archipelago check --cluster demo";
    wait_until("both hold the same", || runbook.try_run(check).0 == Some(0));
    runbook.was_followed();
}
