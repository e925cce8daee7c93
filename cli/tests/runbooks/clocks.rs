//! West's machine has a wrong clock: at the start of its region, set right under it, and believed again.
//!
//! What must always hold: both regions tell of it in the words of the runbook until it is right, and of nothing afterwards; nobody's message is refused or lost for it.

use crate::runbook::Runbook;
use crate::stand::{EAST, Stand, WEST};
use crate::two_regions::{ISLE, begin_isle, wait_for, wait_until};
use gateway_client_net::{ClientHandle, Event};

const RUNBOOK: &str = include_str!("../../../docs/operations/clocks-are-wrong.md");
const AHEAD_MS: i64 = 30_000;
/// What measuring over a relay on a busy machine is off by, at most.
const ABOUT_MS: i64 = 400;

fn is_about(found: &serde_json::Value, ms: i64) -> bool {
    found.as_i64().is_some_and(|found| (found - ms).abs() < ABOUT_MS)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_ahead_is_told_of_set_right_and_believed_again() {
    let mut stand = Stand::start_on(|machine| machine.set_clock_ahead_ms(AHEAD_MS));
    let folder = stand.regions.path().to_owned();
    let runbook = Runbook::new(RUNBOOK, &folder);
    let status = "archipelago status --cluster demo";
    wait_until("both have measured that west's clock is ahead", || {
        let clocks = &stand.regions.status().1["clocks_ahead_ms"];
        is_about(&clocks["east"]["west"], AHEAD_MS) && is_about(&clocks["west"]["east"], -AHEAD_MS)
    });
    let (code, table, _) = runbook.try_run(status);
    let sentence = runbook.says("the clock of west is");
    assert!(
        code == Some(3) && table.contains(sentence) && table.contains(runbook.says("clock ahead ms")),
        "{table}"
    );
    for region in [EAST, WEST] {
        let log = stand.regions.logged(region);
        assert!(
            log.contains(runbook.says("bridge alarm")) && log.contains(runbook.says("the clocks of")),
            "{log}"
        );
    }
    let metric = format!("{}{{peer=\"west\"}}", runbook.says("archipelago_bridge_clock_ahead_microseconds"));
    let ahead_us = i64::try_from(stand.regions.metric(EAST, &metric)).unwrap();
    assert!(is_about(&(ahead_us / 1_000).into(), AHEAD_MS), "{ahead_us}");

    // People of both are served all the while, and nothing is refused.
    let (client, mut events) = ClientHandle::connect(stand.regions.device(WEST, 0xa11ce, 1));
    begin_isle(&client).await;
    let sent = client.send(ISLE, "by a clock that is ahead".into(), None).await.unwrap();
    let is_stable = |event: &Event| {
        assert!(!matches!(event, Event::Refused { .. }), "{event:?}");
        matches!(event, Event::Stable { command, .. } if *command == sent)
    };
    wait_for(&mut events, is_stable).await;

    // The machine's clock is set right: the region does not jump, and says that it goes by another time.
    stand.machine.set_clock_ahead_ms(0);
    let sentence =
        runbook.says("the machine's clock of west is -30000 ms ahead of the time that the region goes by");
    let sentence = sentence.replace(" is -30000 ms", " is -");
    let sentence = sentence.split(" ahead of").next().unwrap();
    wait_until("west says that its machine's clock was set", || {
        is_about(&stand.said_of(WEST)["wall_clock_ahead_ms"], -AHEAD_MS)
            && stand.problems().contains(sentence)
    });
    let metric = runbook.says("archipelago_clock_wall_offset_microseconds");
    let metrics = stand.regions.metrics(WEST);
    assert!(
        metrics.contains(&format!("{metric} -29")) || metrics.contains(&format!("{metric} -30")),
        "{metrics}"
    );

    // Started again it goes on from what its store remembers, until it is told that the clock is right.
    assert_eq!(stand.regions.end(WEST), Some(0));
    stand.regions.start_again(WEST);
    let log = stand.regions.logged(WEST);
    assert!(log.contains(runbook.says("the wall clock is behind what the stores remember")), "{log}");
    assert_eq!(stand.regions.end(WEST), Some(0));
    stand.regions.start_again_with(WEST, &["--trust-clock"]);
    runbook.done("archipelago region west --cluster demo --data data/west --trust-clock");
    wait_until("nothing is told any more", || {
        let measured = &stand.regions.status().1["clocks_ahead_ms"]["east"]["west"];
        is_about(measured, 0) && runbook.try_run(status).0 == Some(0)
    });
    runbook.was_followed();
    let after = client.send(ISLE, "by one that is right".into(), None).await.unwrap();
    wait_for(&mut events, |event| matches!(event, Event::Stable { command, .. } if *command == after)).await;
}
