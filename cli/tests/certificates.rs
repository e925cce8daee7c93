//! Certificates and their authority are renewed under two regions that run. Every command of `docs/operations/certificates.md` is run here.
//!
//! What must always hold: nobody is restarted and no connection is cut by it; what begins afterwards is proven by the new ones; what is wrong is refused by name and changes nothing.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod runbook;
mod two_regions;

use gateway_client_net::{ClientHandle, Event, Events};
use rcgen::{CertificateParams, Issuer, KeyPair};
use runbook::Runbook;
use serde_json::Value;
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use two_regions::{ISLE, NAMES, PROGRAM, TwoRegions, begin_isle, wait_for, wait_until};

const RUNBOOK: &str = include_str!("../../docs/operations/certificates.md");

fn certificates(regions: &TwoRegions, name: &str) -> Value {
    regions.status().1["regions"][name]["certificates"].clone()
}

/// Who does not want to wait says so.
fn hurry(regions: &TwoRegions) {
    for number in 0..NAMES.len() {
        regions.signal(number, "HUP");
    }
}

/// When each region's certificate expires that is in use: another moment is another certificate.
fn expire(regions: &TwoRegions) -> [Value; 2] {
    NAMES.map(|name| certificates(regions, name)["expires_s"].clone())
}

fn until_renewed(regions: &TwoRegions, before: &[Value; 2]) {
    wait_until("both regions use their new certificates", || {
        let now = expire(regions);
        now[0] != before[0] && now[1] != before[1]
    });
}

fn until_authorities(regions: &TwoRegions, count: usize) {
    wait_until("both regions trust the same authorities", || {
        hurry(regions);
        NAMES.iter().all(|name| {
            certificates(regions, name)["authorities_expire_s"]
                .as_array()
                .is_some_and(|all| all.len() == count)
        })
    });
}

/// West stands still until east has given up their connection; then they make a new one.
fn cut(regions: &TwoRegions) {
    let is_open = || regions.status().1["regions"]["east"]["bridges"][0]["open"] == true;
    let connections = regions.metric(0, "archipelago_bridge_connections_total");
    regions.signal(1, "STOP");
    wait_until("the connection is given up", || !is_open());
    regions.signal(1, "CONT");
    wait_until("there is a new connection", is_open);
    assert!(regions.metric(0, "archipelago_bridge_connections_total") > connections);
}

/// A message is stable once it is durable in both regions.
async fn crosses(client: &ClientHandle, events: &mut Events, text: &str) {
    let sent = client.send(ISLE, text.to_owned().into(), None).await.unwrap();
    wait_for(events, |event| matches!(event, Event::Stable { command, .. } if *command == sent)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_and_their_authority_are_renewed_under_running_regions() {
    let regions = TwoRegions::start();
    let runbook = Runbook::new(RUNBOOK, regions.path());
    wait_until("all are well", || regions.status().0 == Some(0));
    let (client, mut events) = ClientHandle::connect(regions.device(0, 0xa11ce, 1));
    begin_isle(&client).await;
    crosses(&client, &mut events, "before").await;
    let accepted = || regions.metric(0, "archipelago_gateway_connections_accepted_total");
    let bridged = || regions.metric(0, "archipelago_bridge_connections_total");
    assert_eq!((accepted(), bridged()), (1, 1));

    let first = expire(&regions);
    runbook.run("archipelago admin renew-certificates --cluster demo");
    until_renewed(&regions, &first);
    crosses(&client, &mut events, "with certificates that are renewed").await;
    assert_eq!((accepted(), bridged()), (1, 1), "what stands is not disturbed");
    cut(&regions);
    crosses(&client, &mut events, "over a new bridge").await;

    runbook.run("archipelago admin renew-authority --cluster demo");
    until_authorities(&regions, 2);
    let (code, _, said) = runbook.try_run("archipelago admin retire-authority --cluster demo");
    assert!(code == Some(6) && said.contains("first give all regions"), "{said}");
    let second = expire(&regions);
    runbook.run("archipelago admin renew-certificates --cluster demo");
    hurry(&regions);
    until_renewed(&regions, &second);
    cut(&regions);
    crosses(&client, &mut events, "of either authority").await;
    runbook.run("archipelago admin retire-authority --cluster demo");
    until_authorities(&regions, 1);
    cut(&regions);
    crosses(&client, &mut events, "of the new authority alone").await;
    assert_eq!(accepted(), 1, "the device has never lost its connection");
    // Whoever trusts the new authority alone gets on with the region.
    let (another, mut told) = ClientHandle::connect(regions.device(0, 0xa11ce, 2));
    crosses(&another, &mut told, "from a new device").await;

    runbook.run("archipelago admin renew-certificates --cluster demo --region east");
    wait_until("all are well", || regions.status().0 == Some(0));
    runbook.was_followed();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_another_region_are_refused_by_name_and_the_ones_before_stay() {
    let regions = TwoRegions::start();
    wait_until("all are well", || regions.status().0 == Some(0));
    let certs = regions.path().join("demo/certs");
    let read = |name: &str| std::fs::read(certs.join(name)).unwrap();
    let (east, key) = (read("east.pem"), read("east.key"));
    std::fs::write(certs.join("east.pem"), read("west.pem")).unwrap();
    let is_told = |code: &str| {
        regions.signal(0, "HUP");
        let (ended, said) = regions.status();
        let problems = said["problems"].to_string();
        ended == Some(3) && problems.contains("east does not take") && problems.contains(code)
    };
    wait_until("the key of another is told", || is_told("certificate_key_differs"));
    std::fs::write(certs.join("east.key"), read("west.key")).unwrap();
    wait_until("another's certificate is told", || is_told("certificate_of_another"));
    assert_eq!(regions.metric(0, "archipelago_certificate_refused"), 1);
    let log = std::fs::read_to_string(regions.path().join("log/east")).unwrap();
    assert!(
        log.contains("certificate_of_another") && log.contains("is not the certificate of east"),
        "{log}"
    );

    cut(&regions);
    let (client, mut events) = ClientHandle::connect(regions.device(0, 0xa11ce, 1));
    begin_isle(&client).await;
    crosses(&client, &mut events, "under the certificate that stayed").await;

    std::fs::write(certs.join("east.pem"), east).unwrap();
    std::fs::write(certs.join("east.key"), key).unwrap();
    wait_until("nothing is told any more", || regions.status().0 == Some(0));
    assert_eq!(regions.metric(0, "archipelago_certificate_refused"), 0);
}

#[test]
fn a_certificate_that_expires_soon_is_told_by_metric_and_status() {
    let regions = TwoRegions::start();
    let path = |below: &str| regions.path().join("demo").join(below);
    let read = |below: &str| std::fs::read_to_string(path(below)).unwrap();
    let key = KeyPair::from_pem(&read("keys/authority.pem")).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&read("certs/ca.pem"), key).unwrap();
    let mut soon = CertificateParams::new(vec!["east".to_owned()]).unwrap();
    soon.not_after = time::OffsetDateTime::now_utc() + time::Duration::hours(9 * 24 + 12);
    let key = KeyPair::generate().unwrap();
    std::fs::write(path("certs/east.pem"), soon.signed_by(&key, &issuer).unwrap().pem()).unwrap();
    std::fs::write(path("certs/east.key"), key.serialize_pem()).unwrap();
    wait_until("it is in use and told of", || {
        let (code, said) = regions.status();
        let problems = said["problems"].to_string();
        code == Some(3)
            && problems
                .contains("the certificate of east expires in 9 days: see docs/operations/certificates.md")
    });
    let expires = regions.metric(0, "archipelago_certificate_expires_seconds{use=\"region\"}");
    assert_eq!(i64::try_from(expires).unwrap(), soon.not_after.unix_timestamp());
    let authority = regions.metric(0, "archipelago_certificate_expires_seconds{use=\"authority\"}");
    assert!(authority > expires);
    let table = String::from_utf8(regions.try_run(&["status", "--cluster", "demo"]).stdout).unwrap();
    assert!(
        table.lines().any(|line| line.starts_with("east") && line.contains("9 days        3649 days")),
        "{table}"
    );
}

#[test]
fn what_cannot_be_renewed_is_refused_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &str| {
        let mut command = Command::new(PROGRAM);
        let output = command.args(arguments.split_whitespace()).current_dir(folder.path()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(run("init demo --regions east,west").0, Some(0));
    let path = |below: &str| folder.path().join("demo").join(below);
    let files = || {
        let read = |name: &str| std::fs::read(path(name)).unwrap();
        ["certs/ca.pem", "certs/east.pem", "certs/east.key", "keys/authority.pem"].map(read)
    };
    let before = files();
    let renew = "admin renew-certificates --cluster demo";
    let refused = |arguments: &str, code: i32, words: &str| {
        let (ended, said) = run(arguments);
        assert!(ended == Some(code) && said.contains(words), "{arguments}: {ended:?} {said}");
    };
    refused(&format!("{renew} --region north"), 4, "there is no region `north`");
    refused("admin retire-authority --cluster demo", 6, "one authority only");
    std::fs::rename(path("keys/authority.pem"), path("keys/away")).unwrap();
    refused(renew, 4, "put it there for the while");
    std::fs::copy(path("certs/west.key"), path("keys/authority.pem")).unwrap();
    refused(renew, 2, "not the key of the first authority");
    std::fs::rename(path("keys/away"), path("keys/authority.pem")).unwrap();
    assert_eq!(files(), before);

    assert_eq!(run("admin renew-authority --cluster demo").0, Some(0));
    refused("admin renew-authority --cluster demo", 6, "2 authorities already");
    assert_eq!(run(&format!("{renew} --region east")).0, Some(0));
    refused("admin retire-authority --cluster demo", 6, "certs/west.pem");
    assert_eq!(run(renew).0, Some(0));
    assert_eq!(run("admin retire-authority --cluster demo").0, Some(0));
    let after = files();
    assert!(before.iter().zip(&after).all(|(before, after)| before != after));
    let mode = |name: &str| std::fs::metadata(path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (mode("certs/east.key"), mode("keys/authority.pem"), mode("certs/east.pem")),
        (0o600, 0o600, 0o644)
    );
    let left: Vec<_> =
        std::fs::read_dir(path("certs")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 5, "nothing half made is left: {left:?}");
}

#[test]
fn a_new_certificate_keeps_the_names_of_the_former_one() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &str| {
        let mut command = Command::new(PROGRAM);
        let output = command.args(arguments.split_whitespace()).current_dir(folder.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    run("init demo --regions east,west");
    let chain = folder.path().join("demo/certs/east.pem");
    let names = ["east".to_owned(), "chat.example.org".to_owned(), "::1".to_owned()];
    let own = rcgen::generate_simple_self_signed(names).unwrap();
    std::fs::write(&chain, own.cert.pem()).unwrap();
    run("admin renew-certificates --cluster demo");
    let pem = std::fs::read(&chain).unwrap();
    let (_, pem) = x509_parser::pem::parse_x509_pem(&pem).unwrap();
    let read = pem.parse_x509().unwrap();
    let names = read.subject_alternative_name().unwrap().unwrap();
    let names: BTreeSet<String> = names.value.general_names.iter().map(ToString::to_string).collect();
    let wanted = [
        "DNSName(chat.example.org)",
        "DNSName(east)",
        "DNSName(localhost)",
        "IPAddress(00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:01)",
        "IPAddress(7f:00:00:01)",
    ];
    assert_eq!(names, wanted.map(str::to_owned).into());
}
