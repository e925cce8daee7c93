//! Backups of a region's placement, over real processes and a real S3 server: made while the region runs and while it does not, listed, verified, fetched, and removed when they are too old.
//! Every command of `docs/operations/back-up.md` is run here.
//!
//! What must always hold: nothing that was written can be read in the bucket; whatever goes wrong is told by name, and leaves neither a checkpoint nor half a folder.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod s3;
mod two_regions;

use crdt::UserId;
use gateway_client_net::{ClientHandle, Event};
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};
use region::store::{Batch, Direction, Store as _, View as _};
use region_rocks::engine::SharedMemory;
use region_rocks::store::RocksStore;
use s3::S3;
use serde_json::Value;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use two_regions::{GLOBAL, ISLE, PROGRAM, TwoRegions, wait_for, wait_until};

const CANARY: &str = "canary-77ab-of-the-backup";
const AUTHOR: u64 = 0xa1ce_5eed_cafe;
const WEST: &str = "isles/backups/global/west";

/// Two regions whose placement `global` has a bucket; `local` has none.
struct Backed {
    regions: TwoRegions,
    s3: S3,
}

impl Backed {
    fn start() -> Self {
        let regions = TwoRegions::start();
        let s3 = S3::start(&regions.path().join("s3"), "isles");
        let file = regions.path().join("demo/cluster.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        let lines = format!("backup = \"s3://isles/backups\"\nbackup_endpoint = \"{}\"", s3.endpoint());
        let text = text.replacen("name = \"global\"", &format!("name = \"global\"\n{lines}"), 1);
        std::fs::write(file, text).unwrap();
        std::fs::create_dir(regions.path().join("temporary")).unwrap();
        Self { regions, s3 }
    }

    fn path(&self, below: &str) -> PathBuf {
        self.regions.path().join(below)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        let nowhere = self.path("no-such-file");
        command
            .args(arguments)
            .current_dir(self.regions.path())
            .env("AWS_ACCESS_KEY_ID", s3::ACCESS_KEY)
            .env("AWS_SECRET_ACCESS_KEY", s3::SECRET_KEY)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_CONFIG_FILE", &nowhere)
            .env("AWS_SHARED_CREDENTIALS_FILE", nowhere)
            // It points elsewhere and is passed over: the cluster file says where bytes go.
            .env("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
            .env("TMPDIR", self.path("temporary"));
        for variable in ["AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN"] {
            command.env_remove(variable);
        }
        command
    }

    /// Runs a command: its exit code, its JSON, and what it said.
    fn ask_with(&self, arguments: &[&str], how: impl Fn(&mut Command)) -> (Option<i32>, Value, String) {
        let mut command = self.command(arguments);
        how(&mut command);
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or(Value::Null), said)
    }

    fn ask(&self, arguments: &[&str]) -> (Option<i32>, Value, String) {
        self.ask_with(arguments, |_| {})
    }

    /// A backup of `global` in west that succeeds.
    fn back_up(&self, more: &[&str]) -> Value {
        let (code, made, said) = self.ask(&[&BACK_UP, more].concat());
        assert_eq!(code, Some(0), "{said}");
        self.assert_nothing_left();
        made["backups"][0].clone()
    }

    /// Neither a checkpoint nor anything that was fetched for the while.
    fn assert_nothing_left(&self) {
        for region in two_regions::NAMES {
            assert!(!self.path(&format!("data/{region}/backup.checkpoints")).exists());
        }
        assert_eq!(std::fs::read_dir(self.path("temporary")).unwrap().count(), 0);
        let unfinished = std::fs::read_dir(self.regions.path()).unwrap();
        assert!(unfinished.map(|entry| entry.unwrap().file_name()).all(|name| name.to_str().unwrap()
            != "fetched"
            && !name.to_str().unwrap().contains("unfinished")));
    }

    fn chunks(&self) -> Vec<PathBuf> {
        self.s3.objects(&format!("{WEST}/chunks/"))
    }

    fn manifests(&self) -> Vec<PathBuf> {
        self.s3.objects(&format!("{WEST}/manifests/"))
    }

    /// Somebody writes to a group of `global`, until it is stable and so in west.
    async fn write(&self, text: &str) {
        let (client, mut events) = ClientHandle::connect(self.regions.device(0, AUTHOR, 1));
        if text == CANARY {
            two_regions::begin_isle(&client).await;
        }
        let sent = client.send(ISLE, text.to_owned().into(), None).await.unwrap();
        wait_for(&mut events, |event| matches!(event, Event::Stable { command, .. } if *command == sent))
            .await;
    }
}

const BACK_UP: [&str; 11] = [
    "admin",
    "backup",
    "--cluster",
    "demo",
    "--region",
    "west",
    "--data",
    "data/west",
    "--placement",
    "global",
    "--json",
];
const LIST: [&str; 7] = ["admin", "backups", "--cluster", "demo", "--placement", "global", "--json"];
const VERIFY: [&str; 7] = ["admin", "verify-backup", "--cluster", "demo", "--placement", "global", "--json"];
const FETCH: [&str; 11] = [
    "admin",
    "fetch-backup",
    "--cluster",
    "demo",
    "--placement",
    "global",
    "--region",
    "west",
    "--into",
    "fetched",
    "--json",
];

fn number(of: &Value, field: &str) -> u64 {
    of[field].as_u64().unwrap_or_else(|| panic!("{field} of {of}"))
}

/// Every record of a store.
fn records(folder: &Path) -> Vec<(Vec<u8>, Vec<u8>)> {
    let store = RocksStore::open(folder, &SharedMemory::new()).unwrap();
    let mut records = Vec::new();
    let scanned = store.scan(&[], &[0xff; 8], Direction::Ascending, &mut |key, value| {
        records.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    });
    scanned.unwrap();
    records
}

fn holds(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|window| window == what)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_region_is_backed_up_and_the_second_time_sends_only_what_is_new() {
    let backed = Backed::start();
    backed.write(CANARY).await;
    let first = backed.back_up(&[]);
    assert_eq!(number(&first, "chunks_sent"), number(&first, "chunks"), "{first}");
    assert_eq!(backed.chunks().len() as u64, number(&first, "chunks"), "each chunk is an object");
    assert_eq!(backed.manifests().len(), 1);

    backed.write("something more").await;
    let second = backed.back_up(&[]);
    let (sent, chunks) = (number(&second, "chunks_sent"), number(&second, "chunks"));
    assert!(0 < sent && sent < chunks, "{second}");
    assert_eq!(
        backed.chunks().len() as u64,
        number(&first, "chunks") + sent,
        "what was there is not sent again"
    );
    assert!(number(&second, "bytes_sent") < number(&first, "bytes_sent"), "{first} {second}");
    eprintln!("first {first}\nsecond {second}");

    let (code, listed, said) = backed.ask(&LIST);
    assert_eq!(code, Some(0), "{said}");
    let listed = listed["backups"].as_array().unwrap();
    let ids: Vec<&str> = listed.iter().map(|backup| backup["backup"].as_str().unwrap()).collect();
    assert_eq!(ids, [first["backup"].as_str().unwrap(), second["backup"].as_str().unwrap()]);
    assert!(listed.iter().all(|backup| backup["region"] == "west" && number(backup, "files") > 3));
    assert_eq!(listed[0]["incarnation"].as_str().unwrap().len(), 16);

    for id in ids {
        let (code, found, said) = backed.ask(&[&VERIFY, ["--backup", id].as_slice()].concat());
        assert_eq!((code, &found["ok"]), (Some(0), &Value::Bool(true)), "{said}");
        assert!(number(&found, "operations") >= 2, "{found}");
    }
    backed.assert_nothing_left();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_fetched_is_the_store_as_it_was_and_the_bucket_shows_nothing_of_it() {
    let mut backed = Backed::start();
    backed.write(CANARY).await;
    backed.regions.end(1);
    backed.back_up(&[]);
    let (code, fetched, said) = backed.ask(&FETCH);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(fetched["folder"], "fetched/global");

    let (there, was) = (records(&backed.path("fetched/global")), records(&backed.path("data/west/global")));
    assert!(there.len() > 20 && there == was, "{} and {} records", there.len(), was.len());
    let user = UserId::new(GLOBAL, AUTHOR);
    let planted =
        [CANARY.as_bytes().to_vec(), user.to_string().into_bytes(), AUTHOR.to_be_bytes()[2..].to_vec()];
    let in_records = |what: &[u8]| there.iter().any(|(key, value)| holds(key, what) || holds(value, what));
    assert!(in_records(&planted[0]), "the text is found in the store that was fetched");
    assert!(in_records(&planted[2]), "and the user's number");
    let files = backed.s3.files();
    assert!(files.len() > backed.chunks().len());
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        for what in &planted {
            assert!(!holds(&bytes, what), "{} shows it", file.display());
        }
    }

    // The folder is one that the tools for stopped regions take.
    let verified = backed.ask(&[
        "admin",
        "verify",
        "--cluster",
        "demo",
        "--region",
        "west",
        "--data",
        "fetched",
        "--json",
    ]);
    assert_eq!(verified.0, Some(0), "{}", verified.2);
    let (code, _, said) = backed.ask(&FETCH);
    assert!(code == Some(6) && said.contains("is taken"), "{said}");
    // And the region starts again as if nothing had been.
    backed.regions.start_again(1);
    backed.regions.wait_until_equal();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_whose_disk_is_gone_returns_from_its_backup() {
    let mut of = Backed::start();
    of.write(CANARY).await;
    of.back_up(&[]);
    of.write("after the backup").await;
    of.regions.signal(1, "KILL");
    of.regions.wait(1);
    std::fs::remove_dir_all(of.path("data/west")).unwrap();
    let (code, _, said) = of.ask(&FETCH);
    assert_eq!(code, Some(0), "{said}");
    std::fs::rename(of.path("fetched"), of.path("data/west")).unwrap();
    let epoch = ["admin", "epoch", "--cluster", "demo", "--placement", "global"];
    of.regions.run(&[&epoch[..], &["--close", "west", "--admit", "west", "--apply"]].concat());
    let (code, shown, said) = of.regions.at_rest(1, "restore", &["--apply"]);
    assert_eq!((code, &two_regions::global_of(&shown)["restored"]), (Some(0), &Value::Bool(true)), "{said}");
    of.regions.start_again(1);
    of.regions.wait_until_equal();
    let (_client, mut events) = ClientHandle::connect(of.regions.device(1, AUTHOR, 2));
    for text in [CANARY, "after the backup"] {
        let is_it = |event: &Event| match event {
            Event::Shown { item, .. } => {
                matches!(&item.content, gateway_client_net::Content::Post { body, .. } if body == text.as_bytes())
            }
            _ => false,
        };
        wait_for(&mut events, is_it).await;
    }
    // And is backed up again.
    of.back_up(&[]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_runbook_does_what_it_says() {
    let backed = Backed::start();
    backed.write(CANARY).await;
    // As a folder of before there were backups.
    std::fs::remove_file(backed.path("demo/keys/backup-global.hex")).unwrap();
    let page = include_str!("../../docs/operations/back-up.md");
    let commands: Vec<&str> =
        page.lines().filter_map(|line| line.trim().strip_prefix("archipelago ")).collect();
    assert_eq!(commands.len(), 6, "{commands:?}");
    let mut last = None;
    for command in commands {
        let command = command.split('#').next().unwrap();
        let id = last.as_deref().unwrap_or("BACKUP").to_owned();
        let arguments: Vec<&str> =
            command.split_whitespace().map(|word| if word == "BACKUP" { &id } else { word }).collect();
        let output = backed.command(&arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{command}: {said}");
        if arguments[1] == "backups" {
            let listed = String::from_utf8(output.stdout).unwrap();
            last = Some(listed.split_whitespace().next().unwrap().to_owned());
        }
    }
    assert!(last.is_some());
    let earlier = records(&backed.path("earlier/global"));
    assert!(earlier.len() > 20 && earlier == records(&backed.path("fetched/global")));
}

#[test]
fn files_of_many_chunks_come_back_as_they_were() {
    let mut backed = Backed::start();
    backed.regions.end(1);
    let data = backed.path("data/west/global");
    // Some 20 MiB that no compression makes smaller, in one file of three chunks.
    let mut store = RocksStore::open(&data, &SharedMemory::new()).unwrap();
    let mut random = rand_chacha::ChaCha20Rng::from_seed([7; 32]);
    let mut batch = Batch::default();
    for number in 0..20_u8 {
        let mut value = vec![0; 1 << 20];
        random.fill_bytes(&mut value);
        batch.put(vec![0x7f, number], value.into());
    }
    store.commit(&batch).unwrap();
    drop(store);
    let first = backed.back_up(&[]);
    assert!(
        number(&first, "bytes") > 20 << 20 && number(&first, "chunks") > number(&first, "files"),
        "{first}"
    );
    let sizes = backed.chunks().into_iter().map(|file| std::fs::metadata(file).unwrap().len());
    assert!(sizes.max().unwrap() < (8 << 20) + 100, "no object is larger than a chunk and its seal");
    let second = backed.back_up(&[]);
    assert!(number(&second, "bytes_sent") < 100_000, "the large file is there already: {second}");
    assert_eq!(backed.ask(&FETCH).0, Some(0));
    assert!(records(&backed.path("fetched/global")) == records(&data));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_or_missing_object_is_named_and_another_key_opens_nothing() {
    let backed = Backed::start();
    backed.write(CANARY).await;
    backed.back_up(&[]);
    let is_large = |file: &PathBuf| std::fs::metadata(file).unwrap().len() > 1_000;
    let object = backed.chunks().into_iter().find(is_large).unwrap();
    let name = object.file_name().unwrap().to_str().unwrap().to_owned();
    let whole = std::fs::read(&object).unwrap();

    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    std::fs::write(&object, flipped).unwrap();
    let (code, found, said) = backed.ask(&VERIFY);
    assert_eq!((code, &found["ok"]), (Some(3), &Value::Bool(false)), "{said}");
    let [damaged] = &found["damaged"].as_array().unwrap()[..] else { panic!("{found}") };
    let expected = format!("s3://isles/backups/global/west/chunks/{name}: it is not what was uploaded");
    assert_eq!(damaged.as_str().unwrap(), expected);
    let (code, _, said) = backed.ask(&FETCH);
    assert!(code == Some(3) && said.contains(&name), "{said}");
    backed.assert_nothing_left();

    std::fs::remove_file(&object).unwrap();
    let (code, found, _) = backed.ask(&VERIFY);
    assert_eq!(code, Some(3));
    assert!(found["damaged"][0].as_str().unwrap().ends_with(&format!("{name}: it is missing")), "{found}");
    // Two chunks that were exchanged open under no name but their own.
    let other = backed.chunks().into_iter().find(|file| is_large(file) && *file != object).unwrap();
    std::fs::copy(other, &object).unwrap();
    assert_eq!(backed.ask(&VERIFY).0, Some(3));
    std::fs::write(&object, whole).unwrap();
    assert_eq!(backed.ask(&VERIFY).0, Some(0));

    let key = backed.path("demo/keys/backup-global.hex");
    let right = std::fs::read_to_string(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    let (code, _, said) = backed.ask(&VERIFY);
    assert!(code == Some(4) && said.contains("admin backup-key"), "{said}");
    let make_key = ["admin", "backup-key", "--cluster", "demo", "--placement", "global"];
    assert_eq!(backed.ask(&make_key).0, Some(0));
    let other = std::fs::read_to_string(&key).unwrap();
    assert_ne!(other, right);
    for command in [VERIFY.as_slice(), FETCH.as_slice()] {
        let (code, _, said) = backed.ask(command);
        assert!(code == Some(2) && said.contains("was sealed with another key"), "{said}");
        assert!(!said.contains(other.trim()) && !said.contains(right.trim()));
    }
    let (code, listed, _) = backed.ask(&LIST);
    assert!(code == Some(3) && listed["backups"][0]["unreadable"].is_string(), "{listed}");
    // A backup under the new key stands, and what it cannot read it does not remove.
    let before = backed.chunks();
    let (code, made, said) = backed.ask(&[&BACK_UP, ["--keep-days", "0"].as_slice()].concat());
    assert_eq!((code, number(&made["backups"][0], "chunks_removed") > 0), (Some(0), true), "{said}");
    assert!(
        before.iter().all(|chunk| !chunk.exists()),
        "the old backup was too old, and is not read for that"
    );
    let (code, _, said) = backed.ask(&make_key);
    assert!(code == Some(6) && said.contains("is there already"), "{said}");
    assert_eq!(std::fs::read_to_string(&key).unwrap(), other);
    backed.assert_nothing_left();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_backed_up_is_told_by_name_and_leaves_nothing() {
    let mut backed = Backed::start();
    backed.write(CANARY).await;
    let expect = |backed: &Backed, arguments: &[&str], code: i32, part: &str| {
        let (found, _, said) = backed.ask(arguments);
        assert!(found == Some(code) && said.contains(part), "{found:?} {said}");
        backed.assert_nothing_left();
    };
    let of_east = ["admin", "backup", "--cluster", "demo", "--region", "east", "--data", "data/east"];
    expect(&backed, &of_east, 2, "no backup stands for placement local");
    expect(
        &backed,
        &[&BACK_UP, ["--placement", "local"].as_slice()].concat(),
        2,
        "has no part in placement local",
    );
    let mut elsewhere = BACK_UP;
    elsewhere[7] = "data/east";
    expect(&backed, &elsewhere, 6, "other_data_folder");
    elsewhere[7] = "data/nowhere";
    expect(&backed, &elsewhere, 4, "name the data folder");
    expect(&backed, &VERIFY, 4, "there is no backup in placement global");

    let refused = backed.ask_with(&BACK_UP, |command| _ = command.env("AWS_SECRET_ACCESS_KEY", "wrong"));
    assert!(refused.0 == Some(6) && refused.2.contains("SignatureDoesNotMatch"), "{}", refused.2);
    let without = backed.ask_with(&BACK_UP, |command| _ = command.env_remove("AWS_ACCESS_KEY_ID"));
    assert!(without.0 == Some(2) && without.2.contains("set AWS_ACCESS_KEY_ID"), "{}", without.2);
    let with_token = [&BACK_UP, ["--operator-token", "none"].as_slice()].concat();
    expect(&backed, &with_token, 6, "not_operator");

    let file = backed.path("demo/cluster.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("s3://isles/backups", "s3://no-such-isles/backups")).unwrap();
    expect(&backed, &BACK_UP, 4, "there is no bucket no-such-isles");
    std::fs::write(&file, text).unwrap();
    assert_eq!(backed.s3.writes(), 0, "nothing was sent");

    backed.back_up(&[]);
    backed.s3.stop();
    for command in [BACK_UP.as_slice(), VERIFY.as_slice(), FETCH.as_slice(), LIST.as_slice()] {
        expect(&backed, command, 1, "could not be listed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_that_is_cut_short_leaves_nothing_that_the_next_one_or_a_start_does_not_remove() {
    let mut backed = Backed::start();
    backed.write(CANARY).await;
    let checkpoint = backed.path("data/west/backup.checkpoints/global");
    let begin = |backed: &Backed| -> Child {
        let held = backed.s3.held();
        let child = backed.command(&BACK_UP).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_until("a chunk is on its way", || backed.s3.held() > held);
        assert!(checkpoint.join("CURRENT").exists());
        child
    };
    backed.s3.hold_writes(true);

    // Told to end, it cleans up itself.
    let mut told = begin(&backed);
    assert!(Command::new("kill").args(["-TERM", &told.id().to_string()]).status().unwrap().success());
    assert_eq!(told.wait().unwrap().code(), Some(1));
    backed.assert_nothing_left();

    // One at a time; and a region that starts leaves alone what a backup is reading.
    let mut killed = begin(&backed);
    let (code, _, said) = backed.ask(&BACK_UP);
    assert!(code == Some(6) && said.contains("makes a backup of data folder"), "{said}");
    backed.regions.end(1);
    backed.regions.start_again(1);
    assert!(checkpoint.join("CURRENT").exists(), "it is still being read");
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(checkpoint.join("CURRENT").exists(), "nobody could clean up");
    backed.regions.end(1);
    backed.regions.start_again(1);
    backed.assert_nothing_left();

    let mut killed = begin(&backed);
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(checkpoint.join("CURRENT").exists());
    assert!(backed.manifests().is_empty(), "no backup came of any of them");
    backed.s3.hold_writes(false);
    // Also the next one that itself comes to nothing.
    let refused = backed.ask_with(&BACK_UP, |command| _ = command.env("AWS_SECRET_ACCESS_KEY", "wrong"));
    assert_eq!(refused.0, Some(6), "{}", refused.2);
    backed.assert_nothing_left();
    backed.back_up(&[]);
    assert_eq!(backed.ask(&VERIFY).0, Some(0));
    assert_eq!(backed.manifests().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_old_goes_and_nothing_else() {
    let backed = Backed::start();
    backed.write(CANARY).await;
    backed.back_up(&[]);
    backed.write("something more").await;
    let second = backed.back_up(&[]);
    // Of another region, and of nobody that is known here.
    let foreign = ["isles/backups/global/east/chunks", "isles/backups/global/west/chunks", "isles/elsewhere"];
    let foreign = foreign.map(|folder| backed.path("s3").join(folder).join("foreign"));
    for file in &foreign {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, "foreign").unwrap();
    }
    // A manifest that cannot be read keeps every chunk.
    let [first, _] = &backed.manifests()[..] else { panic!("{:?}", backed.manifests()) };
    let whole = std::fs::read(first).unwrap();
    std::fs::write(first, &whole[..whole.len() - 1]).unwrap();
    std::fs::write(
        backed.path("s3/isles/backups/global/west/chunks").join("ab".repeat(32)),
        "of a backup that was cut short",
    )
    .unwrap();
    let before = backed.chunks();
    backed.write("and again").await;
    let (code, third, said) = backed.ask(&BACK_UP);
    assert!(
        code == Some(3) && said.contains("was made") && said.contains("is not what was uploaded"),
        "{said}"
    );
    assert!(before.iter().all(|chunk| chunk.exists()) && number(&third["backups"][0], "chunks_removed") == 0);
    std::fs::write(first, whole).unwrap();

    backed.write("and more").await;
    let fourth = backed.back_up(&[]);
    assert_eq!(
        (number(&fourth, "chunks_removed"), backed.manifests().len()),
        (1, 4),
        "what was cut short goes"
    );
    assert_eq!(
        backed.ask(&[&VERIFY, ["--backup", second["backup"].as_str().unwrap()].as_slice()].concat()).0,
        Some(0)
    );

    let last = backed.back_up(&["--keep-days", "0"]);
    assert_eq!(last["removed"].as_array().unwrap().len(), 4, "{last}");
    assert_eq!(backed.manifests().len(), 1, "the newest stays, however old");
    assert_eq!(
        backed.chunks().len() as u64,
        number(&last, "chunks") + 1,
        "its chunks, and what is of nobody"
    );
    assert!(foreign.iter().all(|file| file.exists()));
    assert_eq!(backed.ask(&VERIFY).0, Some(0));
}
