//! The link between two regions is cut both ways while people write on both sides, and is whole again.
//!
//! What must always hold: what is written meanwhile is acknowledged and shown at home, and waits; once the link is back all of it is shown everywhere, without anybody doing anything.

use crate::runbook::Runbook;
use crate::stand::{EAST, Stand, WEST};
use crate::told::listen;
use crate::two_regions::{GLOBAL, ISLE, global_of, wait_until};
use crdt::{MessageId, UserId};
use gateway_client_net::{Act, ClientHandle};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const RUNBOOK: &str = include_str!("../../../docs/operations/a-link-is-cut.md");
const MESSAGES: usize = 100;
/// A cut is told of, and a healed link goes on, within this on a busy machine. Both were seen to take 3 and 2 s.
const NOTICED_WITHIN: Duration = Duration::from_secs(15);
const AUTHOR: [u64; 2] = [0xa, 0xb];

async fn write(client: &ClientHandle, messages: usize) -> BTreeSet<MessageId> {
    let mut sent = BTreeSet::new();
    for number in 0..messages {
        sent.insert(client.send(ISLE, format!("message {number}").into(), None).await.unwrap());
    }
    sent
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_sides_go_on_while_a_link_is_cut_and_are_whole_again_by_themselves() {
    let stand = Stand::start();
    let runbook = Runbook::new(RUNBOOK, stand.regions.path());
    let [(east, at_east), (west, at_west)] =
        [EAST, WEST].map(|region| ClientHandle::connect(stand.regions.device(region, AUTHOR[region], 1)));
    let [at_east, at_west] = [at_east, at_west].map(listen);
    let members = vec![UserId::new(GLOBAL, AUTHOR[WEST])];
    east.act(Act::CreateGroup { conversation: ISLE, command: None, members, name: "isle".into() })
        .await
        .unwrap();
    let before = write(&east, 1).await;
    wait_until("it is shown in west", || before.is_subset(&at_west.lock().unwrap().shown));
    wait_until("all is stable", || before.is_subset(&at_east.lock().unwrap().stable));

    for (from, to) in [(EAST, WEST), (WEST, EAST)] {
        stand.cut(from, to, true);
    }
    let cut = Instant::now();
    wait_until("both say so", || !stand.is_open(EAST) && !stand.is_open(WEST));
    let noticed = cut.elapsed();
    assert!(noticed < NOTICED_WITHIN, "a cut is told of after {noticed:?}");
    let (code, table, _) = runbook.try_run("archipelago status --cluster demo");
    assert!(
        code == Some(3) && table.contains(runbook.says("the bridge from east to west is down")),
        "{table}"
    );
    assert!(table.contains("the bridge from west to east is down"), "{table}");
    assert_eq!(stand.regions.metric(EAST, runbook.says("archipelago_bridge_open")), 0);

    let (of_east, of_west) = (write(&east, MESSAGES).await, write(&west, MESSAGES).await);
    for (told, sent) in [(&at_east, &of_east), (&at_west, &of_west)] {
        wait_until("what is written is acknowledged and shown at home", || {
            let told = told.lock().unwrap();
            sent.is_subset(&told.acknowledged) && sent.is_subset(&told.shown)
        });
    }
    let lacking = |region: usize| {
        let said = stand.said_of(region);
        let peer = &global_of(&said)["peers"][0];
        (peer["lacks_operations"].as_u64().unwrap_or_default(), peer["for_ms"].as_u64().is_some())
    };
    wait_until("each counts what the other lacks, and since when", || {
        lacking(EAST) == (MESSAGES as u64, true) && lacking(WEST) == (MESSAGES as u64, true)
    });
    for column in ["lacks", "oldest"] {
        assert!(table.contains(runbook.says(column)), "{table}");
    }
    let check = "archipelago check --cluster demo";
    assert_eq!(runbook.try_run(check).0, Some(3));
    for (told, own, theirs) in [(&at_east, &of_east, &of_west), (&at_west, &of_west, &of_east)] {
        let told = told.lock().unwrap();
        assert!(told.shown.is_disjoint(theirs), "it does not cross");
        assert!(told.stable.is_disjoint(own), "nothing becomes stable");
    }

    for (from, to) in [(EAST, WEST), (WEST, EAST)] {
        stand.cut(from, to, false);
    }
    let healed = Instant::now();
    wait_until("all is shown on both sides", || {
        of_west.is_subset(&at_east.lock().unwrap().shown) && of_east.is_subset(&at_west.lock().unwrap().shown)
    });
    let whole = healed.elapsed();
    wait_until("both hold the same", || runbook.try_run(check).0 == Some(0));
    wait_until("all is stable", || {
        of_east.is_subset(&at_east.lock().unwrap().stable)
            && of_west.is_subset(&at_west.lock().unwrap().stable)
    });
    wait_until("nobody lacks anything", || lacking(EAST).0 == 0 && lacking(WEST).0 == 0);
    println!(
        "a cut was told of after {noticed:.2?}; {MESSAGES} messages each way were shown {whole:.2?} after it was healed"
    );
    assert!(whole < NOTICED_WITHIN, "shown only {whole:?} after the link was back");
    runbook.was_followed();
}
