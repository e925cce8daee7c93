//! One bit of one record changes on the disk of a region: the running region finds and names it, an operator repairs the store from its log, and nobody elsewhere notices.
//!
//! What must always hold: what cannot be made again is named and nothing is written; a region that runs is left alone.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod tampered;
mod two_regions;

use gateway_client_net::{ClientHandle, Event};
use serde_json::Value;
use tampered::{LOG, META, REGISTERS, TIMELINE, change, flip, forge};
use two_regions::{ISLE, TwoRegions, global_of, wait_for, wait_until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_bit_is_found_named_and_repaired_from_the_log() {
    let mut regions = TwoRegions::start();
    regions.write().await;
    let (code, _, said) = regions.at_rest(1, "verify", &[]);
    assert!(
        code == Some(2) && said.contains("in use by process"),
        "a region that runs is left alone: {said}"
    );
    assert_eq!(regions.end(1), Some(0));
    let (code, found, said) = regions.at_rest(1, "verify", &[]);
    assert_eq!((code, &found["ok"]), (Some(0), &Value::Bool(true)), "{said}");

    flip(&regions, 1, TIMELINE);
    // Nobody has looked at it yet, so the region serves; reading again finds it.
    regions.start_again_with(1, &["--scrub-within", "1"]);
    let damaged = "archipelago_shard_damaged_records{placement=\"global\"}";
    wait_until("reading again finds it", || regions.metric(1, damaged) == 1);
    regions.end(1);

    let (code, found, said) = regions.at_rest(1, "verify", &[]);
    assert!(code == Some(3) && said.contains("1 records are damaged"), "{said}");
    let named = global_of(&found)["damaged"][0].as_str().unwrap().to_owned();
    assert!(named.starts_with("timeline "), "{named}");
    let (code, shown, said) = regions.at_rest(1, "repair", &[]);
    assert!(code == Some(3) && said.contains("--apply"), "{said}");
    assert_eq!(
        (&global_of(&shown)["written"], global_of(&shown)["made_again"].as_array().unwrap().len()),
        (&Value::Bool(false), 1)
    );
    assert_eq!(regions.at_rest(1, "verify", &[]).0, Some(3), "showing writes nothing");

    let (code, _, said) = regions.at_rest(1, "repair", &["--apply"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(regions.at_rest(1, "verify", &[]).0, Some(0));
    let noted = std::fs::read_to_string(regions.path().join("data/west/repairs.jsonl")).unwrap();
    assert!(noted.lines().count() == 1 && noted.contains("timeline"), "{noted}");
    regions.start_again(1);
    regions.wait_until_equal();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_is_gone_is_named_down_to_the_item_by_comparing_regions() {
    let mut regions = TwoRegions::start();
    regions.write().await;
    regions.end(1);
    change(&regions, 1, TIMELINE, |batch, key, _| batch.delete(key));
    regions.start_again(1);
    wait_until("they differ", || regions.check(&[]).status.code() == Some(3));
    let found: Value = serde_json::from_slice(&regions.check(&["--json"]).stdout).unwrap();
    let [difference] = &found["differences"].as_array().unwrap()[..] else { panic!("{found}") };
    assert_eq!(difference["what"], ISLE.to_string());
    let [item] = &difference["items"].as_array().unwrap()[..] else { panic!("{found}") };
    assert!(item["item"].as_str().unwrap().starts_with("what stands at "), "{item}");
    assert!(item["regions"]["east"].is_string() && item["regions"]["west"].is_null(), "{item}");
    let table = String::from_utf8(regions.check(&[]).stdout).unwrap();
    assert!(table.contains("west nothing"), "{table}");

    regions.end(1);
    assert_eq!(regions.at_rest(1, "repair", &["--apply"]).0, Some(0));
    regions.start_again(1);
    regions.wait_until_equal();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_log_is_named_and_nothing_is_written() {
    let mut regions = TwoRegions::start();
    regions.write().await;
    regions.end(1);
    flip(&regions, 1, LOG);
    let (code, shown, said) = regions.at_rest(1, "repair", &["--apply"]);
    assert!(code == Some(3) && said.contains("`--from-others` asks"), "{said}");
    assert_eq!(global_of(&shown)["written"], Value::Bool(false));
    assert!(global_of(&shown)["remains"][0].as_str().unwrap().starts_with("log "), "{shown}");
    assert!(!regions.path().join("data/west/repairs.jsonl").exists());
    // East is stopped too: nobody has it.
    regions.end(0);
    let (code, _, said) = regions.at_rest(1, "repair", &["--from-others", "--apply"]);
    assert!(code == Some(3) && said.contains("return as a new incarnation"), "{said}");
    assert!(said.contains("region east at"), "who does not answer is named: {said}");
    let nowhere = ["admin", "verify", "--cluster", "demo", "--region", "west", "--data", "nowhere"];
    assert_eq!(regions.try_run(&nowhere).status.code(), Some(4));
    assert!(!regions.path().join("nowhere").exists(), "nothing is made");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_log_is_mended_from_a_healthy_region_and_its_users_notice_nothing() {
    let mut regions = TwoRegions::start();
    regions.write().await;
    regions.wait_until_equal();
    let (at_east, mut told) = ClientHandle::connect(regions.device(0, 0xa11ce, 2));
    wait_for(&mut told, |event| matches!(event, Event::SignedIn { .. })).await;
    regions.end(1);
    flip(&regions, 1, LOG);
    let (code, shown, _) = regions.at_rest(1, "verify", &[]);
    assert_eq!(code, Some(3));
    let damaged = global_of(&shown)["damaged"][0].as_str().unwrap();
    assert!(damaged.starts_with("log "), "{shown}");
    let (code, shown, said) = regions.at_rest(1, "repair", &["--from-others"]);
    assert!(code == Some(3) && said.contains("nothing was written"), "{said}");
    let made_again = global_of(&shown)["made_again"][0].as_str().unwrap();
    assert!(made_again.contains("another region has it"), "{shown}");
    // Meanwhile people go on where all is well.
    let meanwhile = at_east.send(ISLE, "meanwhile".into(), None).await.unwrap();
    wait_for(
        &mut told,
        |event| matches!(event, Event::Acknowledged { command, .. } if *command == meanwhile),
    )
    .await;
    // Something that follows from no log too.
    flip(&regions, 1, REGISTERS);
    let (code, shown, _) = regions.at_rest(1, "repair", &["--from-others", "--apply"]);
    assert_eq!((code, global_of(&shown)["made_again"].as_array().unwrap().len()), (Some(0), 2), "{shown}");
    let noted = std::fs::read_to_string(regions.path().join("data/west/repairs.jsonl")).unwrap();
    assert!(noted.contains("another region has it"), "{noted}");
    assert_eq!(regions.at_rest(1, "verify", &[]).0, Some(0));
    regions.start_again(1);
    regions.wait_until_equal();
    wait_for(&mut told, |event| matches!(event, Event::Stable { command, .. } if *command == meanwhile))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operations_are_given_to_regions_of_their_placement_alone() {
    let regions = TwoRegions::start();
    regions.write().await;
    let ask_for = |what: &str, region: &str, placement: &str, partition: &str| {
        let token = regions.run(&["admin", "operator-token", "--cluster", "demo"]);
        let url = format!(
            "http://{}/v1/{what}&placement={placement}&partition={partition}&region={region}",
            regions.admins[0]
        );
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let answer = agent.get(&url).header("authorization", format!("Bearer {token}")).call().unwrap();
        answer.status().as_u16()
    };
    let ask = |region: &str, placement: &str, partition: &str| {
        let operation = ask_for("operations?dot=r1.0000000000000001:1", region, placement, partition);
        assert_eq!(ask_for("register?register=0a", region, placement, partition), operation);
        operation
    };
    assert_eq!(ask("west", "global", "p1%2F3"), 200);
    assert_eq!(ask("west", "local", "p2%2F3"), 403);
    assert_eq!(ask("nowhere", "global", "p1%2F3"), 403);
    assert_eq!(ask("west", "global", "p2%2F3"), 400);
    assert_eq!(ask("west", "global", "p1%2F1024"), 400);
    assert_eq!(ask_for("operations?dot=r1", "west", "global", "p1%2F3"), 400);
    assert_eq!(ask_for("register?register=x", "west", "global", "p1%2F3"), 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_of_an_older_version_is_looked_at_and_not_written_to() {
    let mut regions = TwoRegions::start();
    regions.write().await;
    regions.end(1);
    flip(&regions, 1, TIMELINE);
    forge(&regions, 1, META, |content| content[0] -= 1);
    assert_eq!(regions.at_rest(1, "repair", &[]).0, Some(3));
    let (code, _, said) = regions.at_rest(1, "repair", &["--apply"]);
    assert!(code == Some(2) && said.contains("repair it with the version that wrote it"), "{said}");
}
