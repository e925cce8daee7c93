//! The cluster file: what it gives when it is right, and for each mistake the very words a person reads.
//!
//! Each mistake is made by replacing one line of a right file, so that the line in the message can be checked by eye.
use crdt::{PlacementId, RegionId};
use expect_test::{Expect, expect};
use proptest::prelude::*;
use region::cluster::{CLUSTER_FILE_BYTES_MAX, ClientAddress, Cluster};
use replication::placement::Durability;

const RIGHT: &str = r#"name = "demo"
token_key = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"

[[region]]
id = 1
name = "eu-central"
jurisdiction = "eu"
bridge = "127.0.0.1:7101"
client = "wss://localhost:7102"
admin = "127.0.0.1:7103"

[[region]]
id = 2
name = "us-east"
jurisdiction = "us"
bridge = "127.0.0.1:7111"
client = "wss://localhost:7112"
admin = "127.0.0.1:7113"

[[placement]]
id = 1
name = "global"
regions = ["eu-central", "us-east"]
key = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"

[[placement]]
id = 2
name = "eu"
regions = ["eu-central"]
key = "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025"

[[bridge]]
from = "us-east"
to = "eu-central"
address = "127.0.0.1:7201"
"#;

const REGIONS_OF_EU: &str = "regions = [\"eu-central\"]";

/// The file with the line that reads `line` (its `nth` occurrence, from 0) replaced.
fn with(line: &str, nth: usize, replacement: &str) -> String {
    let mut seen = 0;
    let mut replaced = 0;
    let lines: Vec<&str> = RIGHT
        .lines()
        .map(|existing| {
            if existing != line {
                return existing;
            }
            seen += 1;
            if seen == nth + 1 {
                replaced += 1;
                replacement
            } else {
                existing
            }
        })
        .collect();
    assert_eq!(replaced, 1, "the right file has no such line: {line}");
    lines.join("\n")
}

fn check(text: String, expected: Expect) {
    expected.assert_eq(&Cluster::parse(&text).unwrap_err().to_string());
}

#[test]
fn a_right_file_is_read_whole() {
    let cluster = Cluster::parse(RIGHT).unwrap();
    let eu = &cluster.regions[&RegionId(1)];
    assert_eq!((eu.name.as_str(), eu.jurisdiction.as_str()), ("eu-central", "eu"));
    assert_eq!(eu.client, ClientAddress { secure: true, host: "localhost".to_owned(), port: 7102 });
    assert_eq!(cluster.region_named("us-east").unwrap().id, RegionId(2));
    assert_eq!(cluster.placement_named("eu").unwrap().id, PlacementId(2));
    assert_eq!(cluster.placements_of(RegionId(2)).count(), 1);
    assert_eq!(cluster.peers_of(RegionId(1)).into_iter().collect::<Vec<_>>(), [RegionId(2)]);
}

#[test]
fn writing_and_reading_again_gives_the_same_cluster() {
    let cluster = Cluster::parse(RIGHT).unwrap();
    assert_eq!(cluster.to_toml(), RIGHT);
    assert_eq!(Cluster::parse(&cluster.to_toml()).unwrap(), cluster);
}

#[test]
fn a_user_takes_part_only_where_every_region_is_one_their_pin_allows() {
    let cluster = Cluster::parse(RIGHT).unwrap();
    let (global, eu, unknown) = (PlacementId(1), PlacementId(2), PlacementId(9));
    assert!(cluster.may_take_part(global, global));
    assert!(cluster.may_take_part(global, eu), "a user who may lie anywhere may lie in eu");
    assert!(cluster.may_take_part(eu, eu));
    assert!(!cluster.may_take_part(eu, global), "a pinned user's bytes would enter us-east");
    assert!(!cluster.may_take_part(unknown, eu));
    assert!(!cluster.may_take_part(global, unknown));
}

#[test]
fn a_bridge_address_is_the_pairs_own_where_one_is_given() {
    let cluster = Cluster::parse(RIGHT).unwrap();
    let address = |from, to| cluster.bridge_address(RegionId(from), RegionId(to)).map(|a| a.to_string());
    assert_eq!(address(2, 1).as_deref(), Some("127.0.0.1:7201"));
    assert_eq!(address(1, 2).as_deref(), Some("127.0.0.1:7111"));
    assert_eq!(address(1, 9), None);
}

#[test]
fn the_digest_covers_placements_and_leaves_addresses_out() {
    let digest = |text: String| Cluster::parse(&text).unwrap().digest();
    let right = digest(RIGHT.to_owned());
    let moved = with("bridge = \"127.0.0.1:7101\"", 0, "bridge = \"10.0.0.1:7101\"");
    assert_eq!(digest(moved), right);
    for (line, replacement) in [
        ("name = \"demo\"", "name = \"other\""),
        ("jurisdiction = \"us\"", "jurisdiction = \"ca\""),
        ("regions = [\"eu-central\"]", "regions = [\"eu-central\", \"us-east\"]"),
        ("name = \"eu\"", "name = \"eu-strict\""),
    ] {
        assert_ne!(digest(with(line, 0, replacement)), right, "{replacement}");
    }
}

#[test]
fn a_placement_says_where_its_backups_lie_and_the_digest_leaves_that_out() {
    let with_keys = |keys: &str| with(REGIONS_OF_EU, 0, &format!("{REGIONS_OF_EU}\n{keys}"));
    let without = Cluster::parse(RIGHT).unwrap();
    assert!(without.placements.values().all(|placement| placement.backup.is_none()));
    assert!(!without.to_toml().contains("backup"));
    let text = with_keys(
        "backup = \"s3://eu-only/backups\"\nbackup_endpoint = \"https://s3.example.org\"\nbackup_region = \"eu-1\"",
    );
    let cluster = Cluster::parse(&text).unwrap();
    let place = cluster.placement_named("eu").unwrap().backup.clone().unwrap();
    assert_eq!((place.bucket.as_str(), place.prefix.as_str()), ("eu-only", "backups"));
    assert_eq!(place.endpoint.as_deref(), Some("https://s3.example.org"));
    assert_eq!(place.region.as_deref(), Some("eu-1"));
    assert_eq!(place.to_string(), "s3://eu-only/backups");
    assert_eq!(Cluster::parse(&cluster.to_toml()).unwrap(), cluster);
    assert_eq!(cluster.digest(), without.digest(), "regions talk whatever each says of its backups");
    assert_ne!(cluster, without);

    check(
        with_keys("backup = \"eu-only/backups\""),
        expect![[
            r#"line 30: `backup` is `eu-only/backups`; write an S3 bucket, and a prefix if other things lie in it, such as `backup = "s3://archipelago-eu/backups"`"#
        ]],
    );
    check(
        with_keys("backup = 7"),
        expect![[
            r#"line 30: `backup` is the number 7; write an S3 bucket, and a prefix if other things lie in it, such as `backup = "s3://archipelago-eu/backups"`"#
        ]],
    );
    check(
        with_keys("backup = \"s3://eu-only\"\nbackup_endpoint = \"s3.example.org\""),
        expect![[
            r#"line 31: `backup_endpoint` is `s3.example.org`; write where the S3 server answers, without a path, such as `backup_endpoint = "https://s3.example.org"`"#
        ]],
    );
    check(
        with_keys("backup = \"s3://eu-only\"\nbackup_region = \"EU 1\""),
        expect![[
            r#"line 31: `backup_region` is `EU 1`; write the name of an S3 region, of lower-case letters, digits and hyphens, such as `backup_region = "eu-central-1"`"#
        ]],
    );
    check(
        with_keys("backup_region = \"eu-1\""),
        expect![[
            r#"line 30: [[placement]] has no `backup`; add an S3 bucket, and a prefix if other things lie in it, such as `backup = "s3://archipelago-eu/backups"`"#
        ]],
    );
    check(
        with_keys("backups = \"s3://eu-only\""),
        expect!["line 30: `backups` is not a key of [[placement]]; did you mean `backup`?"],
    );
}

#[test]
fn unknown_keys_are_refused_naming_the_nearest() {
    check(
        with("jurisdiction = \"us\"", 0, "jurisdictoin = \"us\""),
        expect!["line 15: `jurisdictoin` is not a key of [[region]]; did you mean `jurisdiction`?"],
    );
    check(
        with("jurisdiction = \"us\"", 0, "colour = \"blue\""),
        expect![
            "line 15: `colour` is not a key of [[region]]; its keys are id, name, jurisdiction, bridge, client, admin"
        ],
    );
    check(
        format!("nam = \"demo\"\n{RIGHT}"),
        expect!["line 1: `nam` is not a key of the file; did you mean `name`?"],
    );
    check(
        RIGHT.replace("[[placement]]", "[[placements]]"),
        expect!["line 20: `placements` is not a key of the file; did you mean `placement`?"],
    );
}

#[test]
fn missing_keys_are_named_with_an_example() {
    check(
        with("bridge = \"127.0.0.1:7111\"", 0, ""),
        expect![[
            r#"line 12: [[region]] has no `bridge`; add an IP address and a port, such as `bridge = "127.0.0.1:7101"`"#
        ]],
    );
    check(
        with("name = \"demo\"", 0, ""),
        expect![[
            r#"line 1: the file has no `name`; add a name of lower-case letters, digits and hyphens that begins with a letter, 32 at most, such as `name = "eu-central"`"#
        ]],
    );
    let (top, rest) = RIGHT.split_at(RIGHT.find("[[region]]").unwrap());
    check(
        top.to_owned(),
        expect!["line 1: the file has no `region`; add a table for each region, such as `[[region]]`"],
    );
    let regions = &rest[..rest.find("[[placement]]").unwrap()];
    check(
        format!("{top}{regions}"),
        expect![
            "line 1: the file has no `placement`; add a table for each placement, such as `[[placement]]`"
        ],
    );
}

#[test]
fn a_placement_says_how_long_messages_are_kept() {
    let kept = |days: &str| with(REGIONS_OF_EU, 0, &format!("{REGIONS_OF_EU}\nkept_days = {days}"));
    let cluster = Cluster::parse(&kept("90")).unwrap();
    assert_eq!(cluster.placement_named("eu").unwrap().kept_days, Some(90));
    assert_eq!(cluster.placement_named("global").unwrap().kept_days, None);
    assert_eq!(Cluster::parse(&cluster.to_toml()).unwrap(), cluster);
    assert_eq!(cluster.digest(), Cluster::parse(RIGHT).unwrap().digest(), "each region sees to its own disk");
    check(
        kept("29"),
        expect![
            "line 30: `kept_days` is `29`; write a number of days from 30, for which devices send again what they sent, to 90, such as `kept_days = 30`"
        ],
    );
    check(
        kept("91"),
        expect![
            "line 30: `kept_days` is `91`; write a number of days from 30, for which devices send again what they sent, to 90, such as `kept_days = 30`"
        ],
    );
    check(
        kept("\"30\""),
        expect![
            "line 30: `kept_days` is the text `30`; write a number of days from 30, for which devices send again what they sent, to 90, such as `kept_days = 30`"
        ],
    );
}

#[test]
fn what_an_acknowledgement_means_is_read_and_written_again() {
    let meant =
        |durability: &str| with(REGIONS_OF_EU, 0, &format!("{REGIONS_OF_EU}\ndurability = {durability}"));
    let of = |cluster: &Cluster, name: &str| cluster.placement_named(name).unwrap().durability;
    assert_eq!(of(&Cluster::parse(&meant("\"region\"")).unwrap(), "eu"), Durability::Region);
    let geo = "regions = [\"eu-central\", \"us-east\"]";
    let text = with(geo, 0, &format!("{geo}\ndurability = \"geo\""));
    let cluster = Cluster::parse(&text).unwrap();
    assert_eq!((of(&cluster, "global"), of(&cluster, "eu")), (Durability::Geo, Durability::Region));
    assert_eq!(Cluster::parse(&cluster.to_toml()).unwrap(), cluster);
    assert_eq!(
        cluster.digest(),
        Cluster::parse(RIGHT).unwrap().digest(),
        "each region holds to its own file"
    );
    check(
        meant("\"geo\""),
        expect![[
            r#"line 30: `durability` is `geo`; write `region`, or, where the placement has two regions or more, `geo`, such as `durability = "geo"`"#
        ]],
    );
    check(
        meant("\"two\""),
        expect![[
            r#"line 30: `durability` is `two`; write `region`, or, where the placement has two regions or more, `geo`, such as `durability = "geo"`"#
        ]],
    );
    check(
        meant("2"),
        expect![[
            r#"line 30: `durability` is the number 2; write `region`, or, where the placement has two regions or more, `geo`, such as `durability = "geo"`"#
        ]],
    );
}

#[test]
fn values_of_another_form_are_shown_with_the_right_one() {
    check(
        with("id = 2", 0, "id = \"2\""),
        expect!["line 13: `id` is the text `2`; write a number from 1 to 65535, such as `id = 1`"],
    );
    check(
        with("id = 2", 0, "id = 0"),
        expect!["line 13: `id` is `0`; write a number from 1 to 65535, such as `id = 1`"],
    );
    check(
        with("id = 2", 0, "id = 65536"),
        expect!["line 13: `id` is `65536`; write a number from 1 to 65535, such as `id = 1`"],
    );
    check(
        with("name = \"us-east\"", 0, "name = \"US East\""),
        expect![[
            r#"line 14: `name` is `US East`; write a name of lower-case letters, digits and hyphens that begins with a letter, 32 at most, such as `name = "eu-central"`"#
        ]],
    );
    check(
        with("bridge = \"127.0.0.1:7111\"", 0, "bridge = \"localhost:7111\""),
        expect![[
            r#"line 16: `bridge` is `localhost:7111`; write an IP address and a port, such as `bridge = "127.0.0.1:7101"`"#
        ]],
    );
    check(
        with("admin = \"127.0.0.1:7113\"", 0, "admin = \"127.0.0.1:0\""),
        expect![[
            r#"line 18: `admin` is `127.0.0.1:0`; write an IP address and a port, such as `admin = "127.0.0.1:7103"`"#
        ]],
    );
    check(
        with("client = \"wss://localhost:7112\"", 0, "client = \"https://localhost:7112\""),
        expect![[
            r#"line 17: `client` is `https://localhost:7112`; write an address for WebSocket clients, with its port, such as `client = "wss://localhost:7102"`"#
        ]],
    );
    check(
        with("regions = [\"eu-central\"]", 0, "regions = []"),
        expect![[
            r#"line 29: `regions` is `[]`; write a list of at least one region's name, each once, such as `regions = ["eu-central"]`"#
        ]],
    );
    check(
        with("regions = [\"eu-central\"]", 0, "regions = \"eu-central\""),
        expect![[
            r#"line 29: `regions` is the text `eu-central`; write a list of at least one region's name, each once, such as `regions = ["eu-central"]`"#
        ]],
    );
    check(
        with("regions = [\"eu-central\"]", 0, "regions = [\"eu-central\", \"eu-central\"]"),
        expect![[
            r#"line 29: `regions` is `eu-central`; write a list of at least one region's name, each once, such as `regions = ["eu-central"]`"#
        ]],
    );
    let zero_key = format!("token_key = \"{}\"", "0".repeat(64));
    let token_key = RIGHT.lines().nth(1).unwrap();
    check(
        with(token_key, 0, &zero_key),
        expect![[
            r#"line 2: `token_key` is `0000000000000000000000000000000000000000000000000000000000000000`; write an Ed25519 public key as 64 hexadecimal digits, such as `token_key = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"`"#
        ]],
    );
    check(
        with(token_key, 0, "token_key = \"D75A\""),
        expect![[
            r#"line 2: `token_key` is `D75A`; write an Ed25519 public key as 64 hexadecimal digits, such as `token_key = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"`"#
        ]],
    );
    check(
        with("[[bridge]]", 0, "[bridge]"),
        expect!["line 32: `bridge` is a table; write a table for each bridge, such as `[[bridge]]`"],
    );
}

#[test]
fn what_must_be_unique_is() {
    let used_twice = [
        (
            "id = 2",
            "id = 1",
            expect!["line 13: `id` 1 is already used on line 5; give each [[region]] its own"],
        ),
        (
            "name = \"us-east\"",
            "name = \"eu-central\"",
            expect!["line 14: `name` eu-central is already used on line 6; give each [[region]] its own"],
        ),
        (
            "bridge = \"127.0.0.1:7111\"",
            "bridge = \"127.0.0.1:7101\"",
            expect![
                "line 16: `bridge` 127.0.0.1:7101 is already used on line 8; give each [[region]] its own"
            ],
        ),
        (
            "client = \"wss://localhost:7112\"",
            "client = \"wss://localhost:7102\"",
            expect![
                "line 17: `client` wss://localhost:7102 is already used on line 9; give each [[region]] its own"
            ],
        ),
        (
            "admin = \"127.0.0.1:7113\"",
            "admin = \"127.0.0.1:7103\"",
            expect![
                "line 18: `admin` 127.0.0.1:7103 is already used on line 10; give each [[region]] its own"
            ],
        ),
        (
            "name = \"eu\"",
            "name = \"global\"",
            expect!["line 28: `name` global is already used on line 22; give each [[placement]] its own"],
        ),
    ];
    for (line, replacement, expected) in used_twice {
        check(with(line, 0, replacement), expected);
    }
    check(
        with("id = 2", 1, "id = 1"),
        expect!["line 27: `id` 1 is already used on line 21; give each [[placement]] its own"],
    );
    check(
        format!(
            "{RIGHT}\n[[bridge]]\nfrom = \"us-east\"\nto = \"eu-central\"\naddress = \"127.0.0.1:7202\"\n"
        ),
        expect![
            "line 39: `to` eu-central from us-east is already used on line 34; give each pair of [[bridge]] its own"
        ],
    );
}

#[test]
fn regions_that_are_named_must_exist() {
    check(
        with("regions = [\"eu-central\"]", 0, "regions = [\n  \"eu-central\",\n  \"eu-north\",\n]"),
        expect!["line 31: there is no region `eu-north`; the regions are eu-central, us-east"],
    );
    check(
        with("from = \"us-east\"", 0, "from = \"us-west\""),
        expect!["line 33: there is no region `us-west`; the regions are eu-central, us-east"],
    );
    check(
        with("from = \"us-east\"", 0, "from = \"eu-central\""),
        expect!["line 33: a bridge leads from `eu-central` to itself; name two regions"],
    );
}

#[test]
fn a_clients_address_has_a_scheme_a_host_and_a_port_that_can_be_connected_to() {
    for right in ["ws://host:1", "ws://127.0.0.1:1", "wss://[::1]:65535", "wss://eu_1.bücher.example:1"] {
        assert!(ClientAddress::parse(right).is_some(), "{right}");
    }
    for wrong in ["ws://host:0", "ws://host:65536", "ws://host", "ws://:7", "ftp://host:7", "ws://a/b:7"] {
        assert_eq!(ClientAddress::parse(wrong), None, "{wrong}");
    }
    // What would end the quotes that it is written back between is no host.
    for host in ["\\", "\"", "a\\\\b", "a'b", "a b", "a\tb", "a@b", "[", "[]", "[a\\]", "[::1", "::1"] {
        assert_eq!(ClientAddress::parse(&format!("wss://{host}:1")), None, "{host:?}");
    }
}

#[test]
fn what_is_not_toml_or_far_too_much_is_refused() {
    check(
        with("jurisdiction = \"us\"", 0, "jurisdiction = us"),
        expect!["line 15: this is not TOML: string values must be quoted, expected literal string"],
    );
    check(with("id = 1", 0, "id = 1\nid = 3"), expect!["line 6: this is not TOML: duplicate key"]);
    let long = format!("{RIGHT}#{}", "x".repeat(1 << 20));
    check(long, expect!["line 1: the file has 1049304 bytes; at most 1048576 are read"]);
    let longest = format!("{RIGHT}#{}", "x".repeat(CLUSTER_FILE_BYTES_MAX - RIGHT.len() - 1));
    assert!(Cluster::parse(&longest).is_ok(), "a file as long as may be");
    check(format!("{longest}x"), expect!["line 1: the file has 1048577 bytes; at most 1048576 are read"]);
    check(
        format!("{RIGHT}{}", "[[placement]]\n".repeat(63)),
        expect!["line 20: there are 65 [[placement]]; at most 64 are possible"],
    );
}

proptest! {
    #[test]
    fn no_text_makes_reading_panic(at in 0..RIGHT.len(), cut in 0usize..40, inserted in ".{0,12}") {
        let text: String = RIGHT.chars().take(at).chain(inserted.chars()).chain(RIGHT.chars().skip(at + cut)).collect();
        if let Ok(cluster) = Cluster::parse(&text) {
            prop_assert_eq!(Cluster::parse(&cluster.to_toml()).unwrap(), cluster);
        }
    }

    #[test]
    fn client_addresses_print_as_they_parse(text in "(ws|wss|http)://[a-z0-9.:\\[\\]/@-]{0,20}:[0-9]{0,6}") {
        if let Some(address) = ClientAddress::parse(&text) {
            prop_assert_eq!(ClientAddress::parse(&address.to_string()), Some(address));
        }
    }
}
