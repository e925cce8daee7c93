//! A text of a pinned conversation is found on the disk of the region that may hold it, and by the same search nowhere of the region outside: not in a record, a file, its log or its
//! metrics. The statements of both make one report; what is planted in the region outside is named.
//!
//! What must always hold: a region without a statement is told as not known; statements that do not fit are refused by name.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod two_regions;

use crdt::{ConversationId, PlacementId};
use gateway_client_net::{Act, ClientHandle, Event};
use serde_json::Value;
use std::process::Command;
use two_regions::{PROGRAM, TwoRegions, wait_for, wait_until};

const LOCAL: PlacementId = PlacementId(2);
const CANARY: &str = "canary-5d1c-of-the-pinned-isle";

/// Somebody who is pinned to east alone writes there, until it is stable.
async fn write(regions: &TwoRegions) {
    let (client, mut events) = ClientHandle::connect(regions.device_of(LOCAL, 0, 0xb0b, 7));
    let conversation = ConversationId::group(LOCAL, 7);
    let create = Act::CreateGroup { conversation, command: None, members: vec![], name: "isle".into() };
    client.act(create).await.unwrap();
    let sent = client.send(conversation, CANARY.into(), None).await.unwrap();
    wait_for(&mut events, |event| matches!(event, Event::Stable { command, .. } if *command == sent)).await;
}

/// Runs the program in the folder; its exit code, what it printed, and what it said.
fn ask(regions: &TwoRegions, arguments: &[&str]) -> (Option<i32>, Value, String) {
    let output = Command::new(PROGRAM).args(arguments).current_dir(regions.path()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or(Value::Null), said)
}

fn look(regions: &TwoRegions, region: &str, more: &[&str]) -> (Option<i32>, Value, String) {
    let data = format!("data/{region}");
    let fixed = ["admin", "residency", "--cluster", "demo", "--region", region, "--data", &data, "--json"];
    ask(regions, &[&fixed, more].concat())
}

fn report(regions: &TwoRegions, more: &[&str]) -> (Option<i32>, Value, String) {
    ask(regions, &[&["admin", "residency-report", "--cluster", "demo", "--json"], more].concat())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pinned_text_is_found_where_it_may_lie_and_nowhere_else() {
    let mut regions = TwoRegions::start_talkative();
    write(&regions).await;
    for (number, region) in ["east", "west"].iter().enumerate() {
        let url = format!("http://{}/metrics", regions.admins[number]);
        let text = ureq::get(&url).call().unwrap().body_mut().read_to_string().unwrap();
        assert!(text.contains("archipelago_"));
        // What is written is in one region alone, and may be stable before the bridge has anything to log.
        let logged = || std::fs::metadata(regions.path().join("log").join(region)).unwrap().len();
        wait_until("a region that logs all has logged much", || logged() > 10_000);
        std::fs::write(regions.path().join(format!("log/{region}.metrics")), text).unwrap();
        let (code, _, said) = look(&regions, region, &[]);
        assert_eq!((code, said.contains("in use")), (Some(2), true), "while it runs: {said}");
    }
    regions.end(0);
    regions.end(1);

    let find = |region: &str| {
        let (log, metrics) = (format!("log/{region}"), format!("log/{region}.metrics"));
        look(&regions, region, &["--find", CANARY, "--look-in", &log, "--look-in", &metrics])
    };
    let (code, east, said) = find("east");
    assert_eq!(code, Some(0), "{said}");
    let found = east["searched"]["found"].as_array().unwrap();
    assert!(found.iter().any(|place| place.as_str().unwrap().contains("of placement local")), "{found:?}");
    let (code, west, said) = find("west");
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(west["searched"]["places"], 0, "{west}");
    assert!(
        west["searched"]["records"].as_u64().unwrap() > 0 && west["searched"]["files"].as_u64().unwrap() > 5
    );
    let of = |statement: &Value, placement: &str| {
        let held = statement["placements"].as_array().unwrap();
        held.iter().find(|held| held["placement"] == placement).cloned().unwrap_or(Value::Null)
    };
    assert_eq!((of(&east, "local")["messages"].clone(), of(&west, "local")), (1.into(), Value::Null));
    assert_eq!(of(&east, "local")["users"], serde_json::json!({ "local": 1 }));

    // One report of both; without west's statement it is told as not known.
    for (region, statement) in [("east", &east), ("west", &west)] {
        std::fs::write(regions.path().join(format!("{region}.json")), statement.to_string()).unwrap();
    }
    let (code, both, said) = report(&regions, &["east.json", "west.json", "--html", "report.html"]);
    assert_eq!((code, &both["ok"]), (Some(0), &Value::Bool(true)), "{said}");
    let row = |of: &Value, placement: &str, region: &str| {
        let rows = of["rows"].as_array().unwrap();
        rows.iter().find(|row| row["placement"] == placement && row["region"] == region).unwrap().clone()
    };
    assert_eq!(both["rows"].as_array().unwrap().len(), 4, "two placements, two regions");
    assert_eq!(row(&both, "local", "east")["held"]["messages"], 1);
    let outside = row(&both, "local", "west");
    assert_eq!((&outside["has_part"], &outside["held"]), (&Value::Bool(false), &Value::Null));
    assert!(outside["established"].as_str().unwrap().starts_with("each of its"), "{outside}");
    let page = std::fs::read_to_string(regions.path().join("report.html")).unwrap();
    assert!(page.contains("Every region was looked at, and everything lies where it may."));
    assert_eq!(page.matches("<tr><th scope=\"row\">").count(), 4);
    let (code, one, said) = report(&regions, &["east.json"]);
    assert_eq!((code, &one["ok"]), (Some(3), &Value::Bool(false)));
    assert!(said.contains("west: there is no statement"), "{said}");
    assert!(row(&one, "global", "west")["established"].as_str().unwrap().starts_with("not:"));
    let (code, _, said) = report(&regions, &["east.json", "east.json"]);
    assert_eq!((code, said.contains("second statement of region east")), (Some(2), true), "{said}");

    // A folder of a placement that west has no part in.
    std::fs::create_dir(regions.path().join("data/west/local")).unwrap();
    std::fs::write(regions.path().join("data/west/local/000012.sst"), format!("… {CANARY} …")).unwrap();
    let (code, planted, said) = find("west");
    assert_eq!(code, Some(3), "{said}");
    assert_eq!(planted["files"]["strange"], serde_json::json!(["local/000012.sst"]));
    assert_eq!(planted["searched"]["places"], 1);
    std::fs::write(regions.path().join("west.json"), planted.to_string()).unwrap();
    let (code, _, said) = report(&regions, &["east.json", "west.json"]);
    assert_eq!((code, said.contains("west: 1 files are none of its stores'")), (Some(3), true), "{said}");

    // What is no statement, or not of this cluster as it is.
    let spoilt = |change: &dyn Fn(&mut Value)| {
        let mut statement = east.clone();
        change(&mut statement);
        std::fs::write(regions.path().join("spoilt.json"), statement.to_string()).unwrap();
        let (code, _, said) = report(&regions, &["spoilt.json", "west.json"]);
        assert_eq!(code, Some(2), "{said}");
        said
    };
    assert!(spoilt(&|of| of["configuration"] = "00".into()).contains("another configuration"));
    assert!(spoilt(&|of| of["residency_statement"] = 2.into()).contains("form 2"));
    assert!(spoilt(&|of| *of = Value::Null).contains("it is no statement"));
    assert!(spoilt(&|of| of["placements"] = 7.into()).contains("spoilt.json"));
    let (code, _, said) = look(&regions, "east", &["--find", "short"]);
    assert_eq!((code, said.contains("at least 8")), (Some(2), true), "{said}");
}
