//! A region that the cluster did not know joins two that run, and leaves them again.
//!
//! What must always hold: it holds what was said before it came, and what is said in it is everywhere; nothing of it is missing when its disk goes; with and without it all is well.

use crate::runbook::Runbook;
use crate::stand::{EAST, WEST};
use crate::two_regions::{GLOBAL, ISLE, NAMES, RegionProcess, TwoRegions, wait_for, wait_until};
use crdt::UserId;
use gateway_client_net::{Act, Address, ClientHandle, Event, Settings};
use serde_json::Value;
use std::fs::{self, File};
use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::process::Command;

const RUNBOOK: &str = include_str!("../../../docs/operations/a-region-joins.md");
const AUTHOR: u64 = 0xa11ce;
const READER: u64 = 0xb0b;

fn start_north(folder: &Path) -> RegionProcess {
    let log = File::options().create(true).append(true).open(folder.join("log/north")).unwrap();
    RegionProcess::start(folder, "north", log, |command| _ = command.env("ARCHIPELAGO_LOG", "info"))
}

/// Writes north into the cluster file and gives where clients reach it. Its ports were free a moment ago.
fn name_north(file: &Path) -> String {
    let (bridge, client, admin) = (
        UdpSocket::bind("127.0.0.1:0").unwrap(),
        TcpListener::bind("127.0.0.1:0").unwrap(),
        TcpListener::bind("127.0.0.1:0").unwrap(),
    );
    let url = format!("wss://{}", client.local_addr().unwrap());
    let region = format!(
        "[[region]]\nid = 3\nname = \"north\"\njurisdiction = \"north\"\nbridge = \"{}\"\nclient = \"{url}\"\nadmin = \"{}\"\n\n[[placement]]",
        bridge.local_addr().unwrap(),
        admin.local_addr().unwrap(),
    );
    let text = fs::read_to_string(file).unwrap();
    let text = text.replacen("[[placement]]", &region, 1);
    let both = "regions = [\"east\", \"west\"]";
    assert!(text.contains(both), "{text}");
    fs::write(file, text.replacen(both, "regions = [\"east\", \"west\", \"north\"]", 1)).unwrap();
    url
}

/// What a new device of somebody is shown there, up to that message.
async fn is_shown(settings: Settings, wanted: crdt::MessageId) {
    let (_client, mut events) = ClientHandle::connect(settings);
    wait_for(&mut events, |event| matches!(event, Event::Shown { item, .. } if item.message == wanted)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_joins_two_that_run_holds_what_they_hold_and_leaves_with_nothing_missing() {
    let mut regions = TwoRegions::start();
    let folder = regions.path().to_owned();
    let runbook = Runbook::new(RUNBOOK, &folder);
    let (client, mut events) = ClientHandle::connect(regions.device(EAST, AUTHOR, 1));
    let members = vec![UserId::new(GLOBAL, READER)];
    client
        .act(Act::CreateGroup { conversation: ISLE, command: None, members, name: "isle".into() })
        .await
        .unwrap();
    let before = client.send(ISLE, "before it came".into(), None).await.unwrap();
    let acknowledges =
        |of| move |event: &Event| matches!(event, Event::Acknowledged { command, .. } if *command == of);
    let is_stable =
        |of| move |event: &Event| matches!(event, Event::Stable { command, .. } if *command == of);
    wait_for(&mut events, is_stable(before)).await;

    let url = name_north(&folder.join("demo/cluster.toml"));
    let openssl = runbook.says("openssl genpkey -algorithm ed25519 -out demo/keys/replica-north.pem");
    let mut words = openssl.split_whitespace();
    let mut command = Command::new(words.next().unwrap());
    assert!(command.args(words).current_dir(&folder).output().unwrap().status.success());
    runbook.run("archipelago admin renew-certificates --cluster demo --region north");
    for region in [EAST, WEST] {
        assert_eq!(regions.end(region), Some(0));
        regions.start_again(region);
    }
    let status = "archipelago status --cluster demo";
    wait_until("nobody expects north yet", || runbook.try_run(status).0 == Some(0));
    let admit = "archipelago admin epoch --cluster demo --placement global --admit north";
    assert!(runbook.run(admit).contains("nothing is written yet"));
    runbook.run(&format!("{admit} --apply"));
    assert_eq!(runbook.try_run(status).0, Some(3), "now it is expected");
    // As long as it is not there nothing becomes stable.
    let waits = client.send(ISLE, "while it is expected".into(), None).await.unwrap();
    wait_for(&mut events, |event| {
        assert!(!is_stable(waits)(event), "nothing is stable that north does not have");
        acknowledges(waits)(event)
    })
    .await;

    let begun = runbook.run("archipelago admin join --cluster demo --region north --data data/north");
    assert!(begun.contains("global: begun with a snapshot of"), "{begun}");
    let mut north = start_north(&folder);
    runbook.done("archipelago region north --cluster demo --data data/north");
    wait_until("all are well", || runbook.try_run(status).0 == Some(0));
    let check = "archipelago check --cluster demo";
    wait_until("all hold the same", || runbook.try_run(check).0 == Some(0));
    wait_for(&mut events, is_stable(waits)).await;
    let log = fs::read_to_string(folder.join("log/north")).unwrap();
    assert!(log.contains("devices are answered"), "{log}");
    let at_north = |device| {
        let mut settings = regions.device(EAST, READER, device);
        settings.config.home = vec![Address { region: "north".into(), url: url.clone() }];
        settings
    };
    is_shown(at_north(1), before).await;
    let (of_north, mut told) = ClientHandle::connect(at_north(2));
    let said = of_north.send(ISLE, "said in north".into(), None).await.unwrap();
    wait_for(&mut told, acknowledges(said)).await;

    assert_eq!(north.end(), Some(0));
    runbook.run("archipelago admin epoch --cluster demo --placement global --close north --apply");
    let salvage = "archipelago admin salvage --cluster demo --region north --data data/north --into east";
    let done = runbook.says("all of it is everywhere: the disk may go");
    wait_until("all that north held is everywhere", || {
        let (code, printed, _) = runbook.try_run(salvage);
        code == Some(0) && printed.contains(done)
    });
    wait_until("all are well without it", || runbook.try_run(status).0 == Some(0));
    wait_until("and hold the same", || runbook.try_run(check).0 == Some(0));
    let (_, seen) = regions.status();
    let asked: Vec<&String> = seen["regions"].as_object().unwrap().keys().collect();
    assert_eq!(asked, NAMES, "north is not asked");
    assert_eq!(
        (&seen["closed"][0]["region"], &seen["closed"][0]["missing"]),
        (&Value::from("north"), &Value::from(0))
    );
    is_shown(regions.device(WEST, READER, 3), said).await;
    runbook.was_followed();
}
