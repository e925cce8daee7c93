//! `archipelago init` and `admin`, as a person or a script meets them: files, modes, words and exit codes.
//!
//! Everything happens in a temporary folder through the program itself, so what is compared is what people read.
#![allow(clippy::unwrap_used)]

use expect_test::expect;
use region::cluster::Cluster;
use region::epoch::{current_placement, parse};
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

fn archipelago(folder: &Path, arguments: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_archipelago"))
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .output()
        .unwrap()
}

fn run(folder: &Path, arguments: &str) -> String {
    let output = archipelago(folder, arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// It ends with that code and prints no data; what it says instead.
fn refuse(folder: &Path, arguments: &str, code: i32) -> String {
    let output = archipelago(folder, arguments);
    assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr).unwrap()
}

fn files(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            found.extend(files(&path).into_iter().map(|inner| format!("{name}/{inner}")));
        } else {
            found.insert(name);
        }
    }
    found
}

#[test]
fn a_whole_cluster_folder_is_written_and_verifies() {
    let temporary = tempfile::tempdir().unwrap();
    let printed = run(
        temporary.path(),
        "init demo --regions eu-central,us-east --placement eu=eu-central --base-port 7100",
    );
    assert_eq!(printed, "demo/cluster.toml\n");
    let folder = temporary.path().join("demo");
    let written: Vec<String> = files(&folder).into_iter().collect();
    expect![[r#"
        certs/ca.pem
        certs/eu-central.key
        certs/eu-central.pem
        certs/us-east.key
        certs/us-east.pem
        cluster.toml
        epochs/eu-1.toml
        epochs/global-1.toml
        keys/authority.pem
        keys/backup-eu.hex
        keys/backup-global.hex
        keys/cursor-eu.hex
        keys/cursor-global.hex
        keys/placement-eu.pem
        keys/placement-global.pem
        keys/replica-eu-central.pem
        keys/replica-us-east.pem
        keys/token.pem"#]]
    .assert_eq(&written.join("\n"));
    let cluster = Cluster::parse(&std::fs::read_to_string(folder.join("cluster.toml")).unwrap()).unwrap();
    assert_eq!(cluster.regions.values().map(|r| r.bridge.port()).collect::<Vec<_>>(), [7100, 7103]);
    for placement in cluster.placements.values() {
        let text = std::fs::read_to_string(folder.join(format!("epochs/{}-1.toml", placement.name))).unwrap();
        let current = current_placement(placement, &[parse(&text).unwrap()]).unwrap();
        let active: BTreeSet<_> = current.active.keys().map(|replica| replica.region).collect();
        assert_eq!(active, placement.regions);
    }
}

#[test]
fn secrets_are_for_their_owner_alone_and_differ_from_each_other() {
    let temporary = tempfile::tempdir().unwrap();
    run(temporary.path(), "init demo");
    let folder = temporary.path().join("demo");
    let mut secrets = BTreeSet::new();
    for file in files(&folder) {
        let path = folder.join(&file);
        let secret = file.starts_with("keys/") || file.ends_with(".key");
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, if secret { 0o600 } else { 0o644 }, "{file}");
        if secret {
            assert!(secrets.insert(std::fs::read(&path).unwrap()), "{file} is the same as another");
        }
    }
    assert_eq!(secrets.len(), 1 + 1 + 1 + 1 + 1 + 3 + 3);
}

#[test]
fn ports_that_are_chosen_are_all_different() {
    let temporary = tempfile::tempdir().unwrap();
    run(temporary.path(), "init demo");
    let text = std::fs::read_to_string(temporary.path().join("demo/cluster.toml")).unwrap();
    let cluster = Cluster::parse(&text).unwrap();
    let tcp: BTreeSet<u16> = cluster.regions.values().flat_map(|r| [r.client.port, r.admin.port()]).collect();
    let udp: BTreeSet<u16> = cluster.regions.values().map(|r| r.bridge.port()).collect();
    assert_eq!((tcp.len(), udp.len()), (6, 3));
}

#[test]
fn nothing_is_overwritten_and_nothing_half_made_is_left() {
    let temporary = tempfile::tempdir().unwrap();
    let here = temporary.path();
    run(here, "init demo");
    std::fs::write(here.join("file"), "").unwrap();
    let before = std::fs::read(here.join("demo/cluster.toml")).unwrap();
    let said = [
        refuse(here, "init demo", 6),
        refuse(here, "init file", 6),
        refuse(here, "init other --regions a,a", 2),
        refuse(here, "init file/below", 6),
    ];
    expect![[r#"
        archipelago: demo is taken: name a folder that is empty or does not exist yet, nothing is ever overwritten
        archipelago: file is taken: name a folder that is empty or does not exist yet, nothing is ever overwritten
        archipelago: with these arguments the cluster file would be wrong: `name` a is already used on line 6; give each [[region]] its own
        archipelago: file/below is taken: name a folder that is empty or does not exist yet, nothing is ever overwritten
    "#]].assert_eq(&said.concat());
    assert_eq!(std::fs::read(here.join("demo/cluster.toml")).unwrap(), before);
    std::fs::create_dir(here.join("empty")).unwrap();
    run(here, "init empty");
    let left: BTreeSet<_> = std::fs::read_dir(here).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "{left:?}");
}

#[test]
fn wrong_arguments_are_refused_with_the_way_out() {
    let temporary = tempfile::tempdir().unwrap();
    let here = temporary.path();
    let said = [
        refuse(here, "init demo --regions EU", 2),
        refuse(here, "init demo --placement eu", 2),
        refuse(here, "init demo --placement eu=eu-north", 4),
        refuse(here, "init demo --placement global=us-east", 2),
        refuse(here, "init demo --base-port 65530", 2),
    ];
    expect![[r#"
        archipelago: with these arguments the cluster file would be wrong: `name` is `EU`; write a name of lower-case letters, digits and hyphens that begins with a letter, 32 at most, such as `name = "eu-central"`
        archipelago: `--placement eu` names no regions: write NAME=REGION,REGION, such as `--placement eu=eu-central`
        archipelago: there is no region `eu-north` in this cluster; there are ap-south, eu-central, us-east
        archipelago: with these arguments the cluster file would be wrong: `name` global is already used on line 30; give each [[placement]] its own
        archipelago: `--base-port 65530` leaves no room for 9 ports: choose one from 1 to 65527
    "#]].assert_eq(&said.concat());
    assert!(!here.join("demo").exists());
}

#[test]
fn a_token_is_signed_with_the_clusters_token_key_and_says_who() {
    let temporary = tempfile::tempdir().unwrap();
    let here = temporary.path();
    run(here, "init demo --name test-cluster");
    let cluster = Cluster::parse(&std::fs::read_to_string(here.join("demo/cluster.toml")).unwrap()).unwrap();
    let claims = |arguments: &str| {
        let token = run(here, arguments);
        let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::EdDSA);
        validation.set_audience(&["test-cluster"]);
        let key = jsonwebtoken::DecodingKey::from_ed_der(cluster.token_key.as_bytes());
        jsonwebtoken::decode::<serde_json::Value>(token.trim(), &key, &validation).unwrap().claims
    };
    let device =
        claims("admin token --cluster demo --user u0001000000000abc --device d0000000000000007 --days 2");
    assert_eq!(
        (&device["sub"], &device["device"]),
        (&"u0001000000000abc".into(), &"d0000000000000007".into())
    );
    assert_eq!(device["exp"].as_u64().unwrap() - device["iat"].as_u64().unwrap(), 2 * 24 * 3600);
    let operator = claims("admin operator-token --cluster demo/cluster.toml");
    assert_eq!((&operator["sub"], operator.get("device")), (&"operator".into(), None));
}

#[test]
fn tokens_are_refused_for_what_does_not_exist() {
    let temporary = tempfile::tempdir().unwrap();
    let here = temporary.path();
    let mut said = refuse(here, "admin operator-token --cluster nowhere", 4);
    run(here, "init demo");
    let device = "--device d0000000000000007";
    said += &refuse(here, &format!("admin token --cluster demo --user u0009000000000abc {device}"), 4);
    said += &refuse(here, &format!("admin token --cluster demo --user someone {device}"), 2);
    let file = here.join("demo/cluster.toml");
    let right = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, right.replace("jurisdiction", "jurisdictoin")).unwrap();
    said += &refuse(here, "admin operator-token --cluster demo", 2);
    std::fs::write(&file, &right).unwrap();
    std::fs::write(here.join("demo/keys/token.pem"), "not a key").unwrap();
    said += &refuse(here, "admin operator-token --cluster demo", 2);
    expect![[r#"
        archipelago: nowhere does not exist: `archipelago init` writes a whole folder
        archipelago: there is no placement `p9` in this cluster; there are p1 (global)
        error: invalid value 'someone' for '--user <USER>': `someone` is not a user id: it has the form `u0001000000000abc`

        For more information, try '--help'.
        archipelago: demo/cluster.toml: line 7: `jurisdictoin` is not a key of [[region]]; did you mean `jurisdiction`?
        archipelago: demo/keys/token.pem: this is not an Ed25519 secret key in PKCS#8 PEM: copy it again from where `init` wrote it
    "#]].assert_eq(&said);
}

/// Nobody runs: what would be told waits in the folder.
#[test]
fn a_region_is_ended_in_all_its_placements_or_in_none() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    run(folder, "init demo --regions north,south,east --placement poles=north,south --placement own=east");
    let json = |arguments: &str| -> Vec<serde_json::Value> {
        let arguments = format!("admin end-region {arguments} --cluster demo --json");
        serde_json::from_slice(&archipelago(folder, &arguments).stdout).unwrap()
    };
    let epochs = || files(&folder.join("demo/epochs"));
    let before = epochs();
    let shown = json("south --heir east");
    let heirs = |of: &serde_json::Value| -> Vec<String> {
        let heir = |heir: &serde_json::Value| heir.as_str().unwrap().split(' ').next().unwrap().to_owned();
        of["heirs"].as_object().unwrap().values().map(heir).collect()
    };
    let of = |name: &str| shown.iter().find(|shown| shown["placement"] == name).unwrap();
    assert_eq!(
        (heirs(of("global")), heirs(of("poles"))),
        (vec!["east".to_owned()], vec!["north".to_owned()])
    );
    assert_eq!(shown.len(), 2, "it has no part in the third");
    let said = refuse(folder, "admin end-region east --cluster demo --apply", 6);
    assert!(said.contains("placement own: nobody else would be active in it"), "{said}");
    assert_eq!(epochs(), before, "not even where the others could go on without it");

    for _ in 0..2 {
        let output = archipelago(folder, "admin end-region south --cluster demo --apply");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(3) && said.contains("no region has answered"), "{said}");
        let written = ["global-2.toml", "poles-2.toml"].map(str::to_owned);
        assert_eq!(epochs(), before.iter().cloned().chain(written).collect(), "once");
    }
    assert!(json("south").iter().all(|shown| shown["closes"].as_array().unwrap().is_empty()));
    refuse(folder, "admin end-region mars --cluster demo", 4);
}
