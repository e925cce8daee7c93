//! A region leaves one of its two placements, goes on in the other, and comes back.
//!
//! What must always hold: nothing that it had acknowledged is lost by it; afterwards no file of it has a byte of what was said in the placement that it has left, also of what is said there later; its bridges carry the other
//! placement throughout, whatever epochs follow.

use crate::runbook::Runbook;
use crate::stand::{EAST, WEST};
use crate::two_regions::{ISLE, TwoRegions, begin_isle, until_acknowledged, until_shown, wait_until};
use crdt::{ConversationId, PlacementId};
use gateway_client_net::{Act, ClientHandle};
use serde_json::Value;
use std::fs;

const RUNBOOK: &str = include_str!("../../../docs/operations/a-region-leaves-a-placement.md");
/// Both are in it, beside `global` and `local`.
const POLES: PlacementId = PlacementId(3);
const ICE: ConversationId = ConversationId::group(POLES, 9);
const AUTHOR: u64 = 0xa11ce;
const CANARY: &str = "zqxjkvbpygfwmucl";

/// What west is in the placement, as east sees it.
fn state_in_poles(regions: &TwoRegions) -> String {
    let named = |all: &Value, key: &str, name: &str| {
        let all = all.as_array().map(Vec::as_slice).unwrap_or_default();
        all.iter().find(|one| one[key] == name).cloned().unwrap_or_default()
    };
    let (_, status) = regions.status();
    let west = named(&status["regions"]["east"]["members"], "region", "west");
    named(&west["placements"], "placement", "poles")["state"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_leaves_a_placement_with_nothing_lost_and_nothing_left_and_comes_back() {
    let mut regions = TwoRegions::start_both_in("poles");
    let folder = regions.path().to_owned();
    let runbook = Runbook::new(RUNBOOK, &folder);
    let (everywhere, mut told) = ClientHandle::connect(regions.device(EAST, AUTHOR, 1));
    begin_isle(&everywhere).await;
    let (at_poles, mut heard) = ClientHandle::connect(regions.device_of(POLES, WEST, AUTHOR, 2));
    let create = Act::CreateGroup { conversation: ICE, command: None, members: vec![], name: "ice".into() };
    at_poles.act(create).await.unwrap();
    let before = at_poles.send(ICE, format!("{CANARY} before").into(), None).await.unwrap();
    until_acknowledged(&mut heard, before).await;
    // What west alone has: east does not hear of it.
    let (check, status) = ("archipelago check --cluster demo", "archipelago status --cluster demo");
    wait_until("both have it", || runbook.try_run(check).0 == Some(0));
    assert_eq!(regions.end(EAST), Some(0));
    let alone = at_poles.send(ICE, format!("{CANARY} in west alone").into(), None).await.unwrap();
    until_acknowledged(&mut heard, alone).await;
    drop((at_poles, heard));
    regions.signal(WEST, "KILL");
    regions.wait(WEST);
    regions.start_again(EAST);

    let remove = "archipelago admin remove-store --cluster demo --region west --data data/west --placement poles --into east --apply";
    let (code, _, why) = runbook.try_run(remove);
    assert!(code == Some(6) && why.contains("is active: close it first"), "{why}");
    let close = "archipelago admin epoch --cluster demo --placement poles --close west";
    assert!(runbook.run(close).contains("nothing is written yet"));
    runbook.run(&format!("{close} --apply"));
    // It serves the other placement at once, and nobody in this one.
    regions.start_again(WEST);
    let (_reader1, mut shown) = ClientHandle::connect(regions.device(WEST, AUTHOR, 3));
    let meanwhile = everywhere.send(ISLE, "meanwhile".into(), None).await.unwrap();
    until_shown(&mut shown, meanwhile).await;
    wait_until("all are well", || runbook.try_run(status).0 == Some(0));
    assert!(
        regions.logged(WEST).contains("an epoch has taken this region out of it"),
        "{}",
        regions.logged(WEST)
    );
    wait_until("everybody sees that it has left", || state_in_poles(&regions) == "ended");
    let (code, _, why) = runbook.try_run(remove);
    assert!(code == Some(2) && why.contains("in use"), "{code:?} {why}");
    assert_eq!(regions.end(WEST), Some(0));

    let residency = "archipelago admin residency --cluster demo --region west --data data/west";
    let (code, found, _) = runbook.try_run(residency);
    assert!(code == Some(3) && found.contains("no epoch has the region in this placement"), "{found}");
    let first: Vec<&str> = remove.split(' ').skip(1).filter(|word| *word != "--apply").collect();
    let first = regions.try_run(&first);
    let why = String::from_utf8(first.stderr).unwrap();
    assert!(
        first.status.code() == Some(3) && why.contains("was not removed"),
        "brought back just now: {why}"
    );
    wait_until("it is removed", || {
        let (code, said, why) = runbook.try_run(remove);
        assert!([Some(0), Some(3)].contains(&code), "{said} {why}");
        code == Some(0)
    });
    assert_eq!(runbook.try_run(remove).0, Some(0), "nothing of it is left");
    let looked: Vec<&str> = remove.split(' ').skip(1).filter(|word| *word != "--apply").collect();
    let looked = regions.try_run(&looked);
    assert_eq!(looked.status.code(), Some(3), "who only looks is not told that anything was removed");
    let noted = fs::read_to_string(folder.join("data/west/repairs.jsonl")).unwrap();
    assert!(noted.contains("\"placement\":\"poles\",\"removed\""), "{noted}");
    let in_poles = fs::read_to_string(folder.join("data/east/poles.audit.jsonl")).unwrap();
    assert!(in_poles.contains("POST /v1/epochs") && in_poles.contains("POST /v1/salvage"), "{in_poles}");
    runbook.run(residency);

    // What is said there from now on does not come here either, though another epoch follows.
    regions.start_again(WEST);
    runbook.done("archipelago region west --cluster demo --data data/west");
    let (at_poles, mut heard) = ClientHandle::connect(regions.device_of(POLES, EAST, AUTHOR, 4));
    until_shown(&mut heard, alone).await;
    let later = at_poles.send(ICE, format!("{CANARY} later").into(), None).await.unwrap();
    until_acknowledged(&mut heard, later).await;
    let (_reader2, mut shown) = ClientHandle::connect(regions.device(WEST, AUTHOR, 5));
    let last = everywhere.send(ISLE, "still here".into(), None).await.unwrap();
    until_acknowledged(&mut told, last).await;
    until_shown(&mut shown, last).await;
    wait_until("all hold the same", || runbook.try_run(check).0 == Some(0));
    wait_until("all are well", || runbook.try_run(status).0 == Some(0));
    runbook.was_followed();

    // It is admitted while it runs: the other placement goes on, and this one comes once it is started again.
    regions.run(&[
        "admin",
        "epoch",
        "--cluster",
        "demo",
        "--placement",
        "poles",
        "--admit",
        "west",
        "--apply",
    ]);
    let admitted = everywhere.send(ISLE, "admitted".into(), None).await.unwrap();
    until_shown(&mut shown, admitted).await;
    wait_until("everybody sees that it is awaited", || state_in_poles(&regions) == "joining");
    assert_eq!(regions.end(WEST), Some(0));
    let found = fs::read_dir(folder.join("data/west")).unwrap().map(|entry| entry.unwrap().file_name());
    let found: Vec<_> =
        found.map(|name| name.into_string().unwrap()).filter(|name| name.contains("poles")).collect();
    assert!(found.is_empty(), "{found:?}");
    let search = format!("{residency} --find {CANARY} --look-in log/west");
    let searched = regions.try_run(&search.split(' ').skip(1).collect::<Vec<_>>());
    assert!(searched.status.success(), "not a byte of it: {}", String::from_utf8_lossy(&searched.stdout));
    regions.run(&["admin", "join", "--cluster", "demo", "--region", "west", "--data", "data/west"]);
    regions.start_again(WEST);
    let (_reader3, mut heard) = ClientHandle::connect(regions.device_of(POLES, WEST, AUTHOR, 6));
    until_shown(&mut heard, later).await;
    regions.wait_until_equal();
    wait_until("it is active", || state_in_poles(&regions) == "active");
}
