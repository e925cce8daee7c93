//! The crash loop: a region is killed 50 times under load on a disk that keeps only what a returned sync covered. Every acknowledged
//! operation is there afterwards, and no dot was given out twice. On a disk that ignores syncs the same loop must fail.
//!
//! The killed process is this very test program, started again under the shim (`shim/lying_disk.c`) with [`CHILD_DATA`] set.
#![allow(clippy::unwrap_used)]

mod world;

use crdt::operation::Envelope;
use crdt::{Dot, MessageId};
use region::log_view::StoreLog;
use region::store::View;
use region_rocks::engine::SharedMemory;
use region_rocks::store::RocksStore;
use replication::log::{LogView as _, Position};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;
use world::{GLOBAL, World, group, user};

/// Set for the process that is to be killed: its data folder.
const CHILD_DATA: &str = "CRASH_LOOP_DATA";
const KILLS: u64 = 50;
const WRITERS: u64 = 8;

/// Not a test by itself: the region under load. It says `ack DOT MESSAGE` for each acknowledged post until it is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_region_under_load() {
    let Some(data) = std::env::var_os(CHILD_DATA) else { return };
    let world = World::new(1);
    let mut config = world.config(crdt::RegionId(1));
    config.data = PathBuf::from(data);
    config.ending = region_rocks::ending::Ending::abort();
    let node = match region_rocks::node::RegionNode::start(config) {
        Ok(node) => node,
        Err(refused) => {
            println!("refused {refused}");
            return;
        }
    };
    let handle = node.handle();
    let create = region::command::Command::CreateGroup {
        conversation: group(7),
        command: world::message(&handle, 7),
        members: Vec::new(),
        name: "crash loop".to_owned(),
    };
    // From the second life on it is there.
    let _ = world::submit(&handle, user(1), create).await;
    let writers: Vec<_> = (0..WRITERS).map(|writer| tokio::spawn(write_on(handle.clone(), writer))).collect();
    for writer in writers {
        writer.await.unwrap();
    }
}

async fn write_on(handle: region_rocks::handle::RegionHandle, writer: u64) {
    for number in 0_u64.. {
        let random = u128::from(handle.now().0) << 40 | u128::from(writer) << 32 | u128::from(number);
        let message = world::message(&handle, random);
        // Now and then a record of several blocks of the log.
        let body_bytes = if number % 16 == 15 { 60_000 } else { 300 };
        let command = region::command::Command::Post {
            conversation: group(7),
            message,
            body: bytes::Bytes::from(vec![number as u8; body_bytes]),
            reply_to: None,
            sent_at_ms: 0,
            seen: None,
        };
        match world::submit(&handle, user(1), command).await {
            Ok(region::command::Done::Operation { dot, .. }) => println!("ack {dot} {message}"),
            other => panic!("{other:?}"),
        }
    }
}

/// What the region has told its clients, and the disk that forgets.
struct Loop {
    folder: tempfile::TempDir,
    shim: PathBuf,
    mode: &'static str,
    acknowledged: BTreeMap<Dot, MessageId>,
    draws: u64,
}

/// A run of the region, and what the disk held when it began.
struct Life {
    child: Child,
    durable: BTreeMap<u64, u64>,
}

impl Loop {
    fn new(mode: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let shim = folder.path().join("lying_disk.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/shim/lying_disk.c");
        let mut compile = Command::new("cc");
        compile.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]).arg(&shim).arg(source);
        assert!(compile.arg("-ldl").status().unwrap().success(), "the shim compiles");
        Self { folder, shim, mode, acknowledged: BTreeMap::new(), draws: 0x2545_f491_4f6c_dd1d }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn journal(&self) -> PathBuf {
        self.folder.path().join("journal")
    }

    /// What the region wrote to standard error in its last life.
    fn last_words(&self) -> PathBuf {
        self.folder.path().join("stderr")
    }

    /// A number below `end`, always the same ones in the same order (xorshift).
    fn draw(&mut self, end: u64) -> u64 {
        self.draws ^= self.draws << 13;
        self.draws ^= self.draws >> 7;
        self.draws ^= self.draws << 17;
        self.draws % end
    }

    fn begin(&self) -> Life {
        let durable = files(&self.data()).into_iter().map(|(_, inode, bytes)| (inode, bytes)).collect();
        File::create(self.journal()).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "child_region_under_load", "--nocapture"]);
        child.env(CHILD_DATA, self.data()).env("LD_PRELOAD", &self.shim);
        child.env("LYING_DISK_JOURNAL", self.journal()).env("LYING_DISK_MODE", self.mode);
        let child =
            child.stdout(Stdio::piped()).stderr(File::create(self.last_words()).unwrap()).spawn().unwrap();
        Life { child, durable }
    }

    /// Lets the region acknowledge so many operations, then kills it. What it said before it died counts, even if it is read after.
    fn kill_under_load(&mut self, mut life: Life, acknowledgements: usize) -> Result<(), String> {
        let mut said = BufReader::new(life.child.stdout.take().unwrap());
        let mut lines = String::new();
        for _ in 0..acknowledgements {
            if said.read_line(&mut lines).unwrap() == 0 {
                break;
            }
        }
        life.child.kill().unwrap();
        life.child.wait().unwrap();
        said.read_to_string(&mut lines).unwrap();
        self.forget_unsynced(&life.durable);
        for line in lines.lines() {
            self.note(line)?;
        }
        Ok(())
    }

    /// Kills the region at some moment of its start.
    fn kill_while_starting(&self, mut life: Life, after: Duration) {
        std::thread::sleep(after);
        life.child.kill().unwrap();
        life.child.wait().unwrap();
        self.forget_unsynced(&life.durable);
    }

    fn note(&mut self, line: &str) -> Result<(), String> {
        if let Some(refusal) = line.strip_prefix("refused ") {
            return Err(format!("the region does not start again: {refusal}"));
        }
        // The test harness prints lines of its own, and the last line may be cut short.
        let Some((dot, message)) = line.strip_prefix("ack ").and_then(|ack| ack.split_once(' ')) else {
            return Ok(());
        };
        let (Ok(dot), Ok(message)) = (dot.parse(), message.parse()) else { return Ok(()) };
        match self.acknowledged.insert(dot, message) {
            Some(before) if before != message => Err(format!("{dot} was given to {before} and to {message}")),
            _ => Ok(()),
        }
    }

    /// What a power cut does: of each file only what a returned sync covered is left.
    fn forget_unsynced(&self, durable_before: &BTreeMap<u64, u64>) {
        let mut durable = durable_before.clone();
        for line in fs::read_to_string(self.journal()).unwrap().lines() {
            let fields: Vec<&str> = line.split(' ').collect();
            let [event, inode, length] = fields[..] else { panic!("a journal line: {line}") };
            let inode = inode.parse().unwrap();
            match event {
                "S" => _ = durable.insert(inode, length.parse().unwrap()),
                _ => _ = durable.remove(&inode),
            }
        }
        for (path, inode, bytes) in files(&self.data()) {
            match durable.get(&inode) {
                None => fs::remove_file(path).unwrap(),
                Some(covered) if *covered < bytes => {
                    OpenOptions::new().write(true).open(path).unwrap().set_len(*covered).unwrap();
                }
                Some(_) => {}
            }
        }
    }

    /// Opens the store and looks for everything that was acknowledged.
    fn check(&self) -> Result<(), String> {
        let store = RocksStore::open(&self.data().join("global"), &SharedMemory::new());
        let store = store.map_err(|error| format!("the store does not open: {error}"))?;
        let reader = store.reader();
        let log = StoreLog::new(crdt::RegionId(1), [(GLOBAL, &reader as &dyn View)]);
        let commits = log.read(group(7).partition(), Position(0), usize::MAX).unwrap();
        let mut held = BTreeMap::new();
        for commit in commits.iter().map(|logged| &logged.commit) {
            for (dot, operation) in commit.dots().zip(&commit.operations) {
                held.insert(dot, Envelope::decode(&operation.envelope).unwrap().message);
            }
        }
        for (dot, message) in &self.acknowledged {
            match held.get(dot) {
                Some(there) if there == message => {}
                Some(there) => return Err(format!("{dot} was acknowledged as {message} and is {there}")),
                None => return Err(format!("{dot}, message {message}, was acknowledged and is lost")),
            }
        }
        let messages: BTreeSet<MessageId> = self.acknowledged.values().copied().collect();
        if messages.len() == self.acknowledged.len() {
            Ok(())
        } else {
            Err("a message has two dots".to_owned())
        }
    }

    fn run(&mut self, kills: u64) -> Result<(), String> {
        for kill in 0..kills {
            let acknowledgements = 1 + self.draw(120) as usize;
            self.kill_under_load(self.begin(), acknowledgements)?;
            if kill % 5 == 4 {
                let after = Duration::from_millis(self.draw(120));
                self.kill_while_starting(self.begin(), after);
            }
            self.check().map_err(|error| format!("after kill {kill}: {error}"))?;
        }
        Ok(())
    }
}

/// Every file below, with its inode and length.
fn files(folder: &Path) -> Vec<(PathBuf, u64, u64)> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut found = Vec::new();
    for path in entries.map(|entry| entry.unwrap().path()) {
        let about = fs::metadata(&path).unwrap();
        if about.is_dir() {
            found.extend(files(&path));
        } else {
            found.push((path, about.ino(), about.len()));
        }
    }
    found
}

#[test]
fn nothing_acknowledged_is_lost_and_no_dot_is_issued_twice_in_fifty_kills() {
    let mut honest = Loop::new("honest");
    honest.run(KILLS).unwrap();
    println!("{} operations acknowledged over {KILLS} kills", honest.acknowledged.len());
    assert!(honest.acknowledged.len() as u64 > KILLS * 20, "the load was real");
}

#[test]
fn the_same_loop_on_a_disk_that_ignores_syncs_loses_what_it_acknowledged() {
    let mut lying = Loop::new("ignore");
    let verdict = lying.run(3);
    assert!(!lying.acknowledged.is_empty(), "the region acknowledged something");
    assert!(verdict.is_err(), "a loop that does not notice a lying disk proves nothing");
}

#[test]
fn a_failed_sync_ends_the_process_and_what_it_acknowledged_before_is_there() {
    let (acknowledged, said) = end_by_itself("fail");
    assert!(acknowledged > 50, "{acknowledged} acknowledged");
    assert!(said.contains("failed in commit"), "{said}");
}

#[test]
fn a_full_disk_ends_the_process_by_name_and_what_it_acknowledged_before_is_there() {
    let (acknowledged, said) = end_by_itself("full");
    assert!(acknowledged > 50, "{acknowledged} acknowledged");
    assert!(said.contains("is full: free some space"), "{said}");
}

/// Lets the region run until its disk makes it end, checks that nothing acknowledged is lost, and gives the number of those and the last words.
fn end_by_itself(mode: &'static str) -> (usize, String) {
    let mut failing = Loop::new(mode);
    let mut life = failing.begin();
    let mut said = BufReader::new(life.child.stdout.take().unwrap());
    let mut lines = String::new();
    said.read_to_string(&mut lines).unwrap();
    assert!(aborted(life.child.wait().unwrap()), "the process ends by itself, by SIGABRT");
    failing.forget_unsynced(&life.durable);
    lines.lines().try_for_each(|line| failing.note(line)).unwrap();
    failing.check().unwrap();
    (failing.acknowledged.len(), fs::read_to_string(failing.last_words()).unwrap())
}

fn aborted(status: ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt as _;
    status.signal() == Some(6)
}
