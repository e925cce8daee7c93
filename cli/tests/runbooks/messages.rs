//! Messages do not arrive: the link is cut one way, and then the other way; a device is not let in.
//!
//! What must always hold: both regions say that the bridge is down, whichever way is cut, and the log of the one that is called tells which; a device that is refused is counted by its code.

use crate::runbook::Runbook;
use crate::stand::{EAST, Stand, WEST};
use crate::two_regions::wait_until;
use gateway_client_net::ClientHandle;
use std::time::{Duration, Instant};

const RUNBOOK: &str = include_str!("../../../docs/operations/messages-do-not-arrive.md");
/// Longer than a handshake may take.
const HANDSHAKES_OVER: Duration = Duration::from_secs(7);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_is_cut_one_way_is_down_for_both_and_the_called_region_tells_which_way() {
    let stand = Stand::start();
    let runbook = Runbook::new(RUNBOOK, stand.regions.path());
    let status = "archipelago status --cluster demo";
    wait_until("all are well", || stand.regions.status().0 == Some(0));
    runbook.run(status);
    runbook.run("archipelago check --cluster demo");

    // East has the lower number, so it calls.
    let unfinished =
        || stand.regions.logged(WEST).matches(runbook.says("did not finish its handshake in time")).count();
    let unanswered = || stand.regions.logged(EAST).matches(runbook.says("nobody answers")).count();
    let is_down = || !stand.is_open(EAST) && !stand.is_open(WEST);
    let down = [runbook.says("the bridge from"), "east to west", runbook.says("is down")];
    stand.cut(WEST, EAST, true);
    wait_until("both say that the bridge is down", is_down);
    let (code, table, _) = runbook.try_run(status);
    assert!(code == Some(3) && down.iter().all(|words| table.contains(words)), "{table}");
    let before = unfinished();
    wait_until("west is called again and again, and its answers are lost", || unfinished() > before + 3);
    stand.cut(WEST, EAST, false);
    wait_until("the bridge is open again", || stand.is_open(EAST) && stand.is_open(WEST));

    stand.cut(EAST, WEST, true);
    let (cut, silences) = (Instant::now(), unanswered());
    wait_until("both say that the bridge is down", is_down);
    wait_until("handshakes that had begun are over", || cut.elapsed() > HANDSHAKES_OVER);
    let before = unfinished();
    wait_until("east calls, and nobody answers", || unanswered() > silences);
    assert_eq!(unfinished(), before, "no call arrives");
    stand.cut(EAST, WEST, false);
    wait_until("all are well again", || stand.regions.status().0 == Some(0));
    runbook.was_followed();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_are_counted_and_who_is_not_let_in_is_counted_by_code() {
    let stand = Stand::start();
    let runbook = Runbook::new(RUNBOOK, stand.regions.path());
    let connected = || {
        let metrics = stand.regions.metrics(EAST);
        let name = format!("{} ", runbook.says("archipelago_gateway_connections"));
        metrics.lines().find_map(|line| line.strip_prefix(&name)?.parse::<u64>().ok())
    };
    let code = runbook.says("token_invalid");
    let refused = format!("{}{{code=\"{code}\"}}", runbook.says("archipelago_gateway_closed_total"));
    let (client, events) = ClientHandle::connect(stand.regions.device(EAST, 0xa11ce, 1));
    wait_until("a device is connected", || connected() == Some(1));
    let mut settings = stand.regions.device(EAST, 0xb0b, 1);
    settings.config.token = settings.config.token.replace('.', "x.");
    let (_not_let_in, _events) = ClientHandle::connect(settings);
    wait_until("another one is refused, by its code", || stand.regions.metric(EAST, &refused) > 0);
    drop((client, events));
    wait_until("nobody is connected", || connected() == Some(0));
}
