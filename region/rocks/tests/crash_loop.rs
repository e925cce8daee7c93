//! The crash loop: a region is killed 50 times under load on a disk that keeps only what a returned sync covered, while its two peers
//! stay up. Every acknowledged operation is there afterwards, in every region, the chains agree, and no dot was given out twice. On a
//! disk that ignores syncs the same loop must fail, and the peers must fence what comes back.
//!
//! The killed region is this very test program, started again under the shim ([`power_cut`]) with [`CHILD_WORLD`] set; its peers
//! run in the test's own process, on an honest disk.
#![allow(clippy::unwrap_used)]

mod power_cut;
mod world;

use crdt::operation::Envelope;
use crdt::{ChainHead, Dot, MessageId, RegionId, Sequence};
use power_cut::{Disk, Life};
use region::log_view::StoreLog;
use region::store::View;
use region_rocks::engine::SharedMemory;
use region_rocks::node::RegionNode;
use region_rocks::store::RocksStore;
use replication::log::{LogView, Position};
use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead as _;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use world::{GLOBAL, World, group, replica, user};

/// Set for the process that is to be killed: the folder of the world it is region 1 of.
const CHILD_WORLD: &str = "CRASH_LOOP_WORLD";
const KILLED: RegionId = RegionId(1);
const REGIONS: u16 = 3;
const KILLS: u64 = 50;
const WRITERS: u64 = 8;

/// Not a test by itself: the region under load. It says `ack DOT MESSAGE` for each acknowledged post until it is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_region_under_load() {
    let Some(folder) = std::env::var_os(CHILD_WORLD) else { return };
    let world = World::shared(PathBuf::from(folder));
    let mut config = world.config(KILLED);
    config.ending = region_rocks::ending::Ending::abort();
    let node = match RegionNode::start(config) {
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
        begun: None,
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
            after: None,
            taken_before: false,
        };
        match world::submit(&handle, user(1), command).await {
            Ok(region::command::Done::Operation { dot, .. }) => println!("ack {dot} {message}"),
            other => panic!("{other:?}"),
        }
    }
}

/// What the killed region has told its clients, and the peers that see it come and go.
struct Loop {
    disk: Disk,
    acknowledged: BTreeMap<Dot, MessageId>,
    draws: u64,
    peers: Vec<RegionNode>,
    runtime: Runtime,
    world: World,
}

/// The operations of the loop's partition, and where its chain of the killed region ends.
type Held = (BTreeMap<Dot, MessageId>, Sequence, Option<ChainHead>);

impl Loop {
    fn new(mode: &'static str) -> Self {
        let world = World::new(REGIONS);
        let disk = Disk::new(world.data(KILLED), world.folder.clone(), mode);
        let runtime = Runtime::new().unwrap();
        let peers = {
            let _within = runtime.enter();
            (2..=REGIONS).map(|region| world.start(region).unwrap()).collect()
        };
        Self { disk, acknowledged: BTreeMap::new(), draws: 0x2545_f491_4f6c_dd1d, peers, runtime, world }
    }

    /// A number below `end`, always the same ones in the same order (xorshift).
    fn draw(&mut self, end: u64) -> u64 {
        self.draws ^= self.draws << 13;
        self.draws ^= self.draws >> 7;
        self.draws ^= self.draws << 17;
        self.draws % end
    }

    fn begin(&self) -> Life {
        self.disk.begin("child_region_under_load", (CHILD_WORLD, &self.world.folder))
    }

    /// Lets the region acknowledge so many operations.
    fn load(&mut self, life: &mut Life, acknowledgements: usize) -> Result<(), String> {
        let mut line = String::new();
        for _ in 0..acknowledgements {
            line.clear();
            if life.said().read_line(&mut line).unwrap() == 0 {
                return Ok(());
            }
            self.note(line.trim_end())?;
        }
        Ok(())
    }

    /// Kills the region. What it said before it died counts, even if it is read after.
    fn kill(&mut self, life: Life) -> Result<(), String> {
        let said = self.disk.kill(life);
        said.lines().try_for_each(|line| self.note(line))
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

    /// Opens the killed region's store and looks for everything that was acknowledged.
    fn check_disk(&self) -> Result<(), String> {
        let store = RocksStore::open(&self.world.data(KILLED).join("global"), &SharedMemory::new());
        let store = store.map_err(|error| format!("the store does not open: {error}"))?;
        let (held, ..) = held(KILLED, &store.reader());
        self.look_for_acknowledged(KILLED, &held)
    }

    fn look_for_acknowledged(&self, region: RegionId, held: &BTreeMap<Dot, MessageId>) -> Result<(), String> {
        for (dot, message) in &self.acknowledged {
            match held.get(dot) {
                Some(there) if there == message => {}
                Some(there) => {
                    return Err(format!("{dot} was acknowledged as {message} and is {there} in {region}"));
                }
                None => {
                    return Err(format!(
                        "{dot}, message {message}, was acknowledged and is lost in {region}"
                    ));
                }
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
            let mut life = self.begin();
            self.load(&mut life, acknowledgements)?;
            self.kill(life)?;
            if kill % 5 == 4 {
                let life = self.begin();
                std::thread::sleep(Duration::from_millis(self.draw(120)));
                self.kill(life)?;
            }
            self.check_disk().map_err(|error| format!("after kill {kill}: {error}"))?;
        }
        self.check_everywhere()
    }

    /// Starts the region a last time, waits until it and its peers hold the same, and looks for everything in each.
    fn check_everywhere(&mut self) -> Result<(), String> {
        let _within = self.runtime.enter();
        self.peers.push(self.world.start(KILLED.0).map_err(|refused| refused.to_string())?);
        let ends = |node: &RegionNode| {
            let reader = node.handle().reader(GLOBAL).unwrap();
            log(node.handle().region(), &reader).state(group(7).partition()).unwrap().applied
        };
        let begun = Instant::now();
        while self.peers.windows(2).any(|pair| ends(&pair[0]) != ends(&pair[1])) {
            if let [why, ..] = &self.world.ended.lock().unwrap()[..] {
                return Err(format!("a region ended: {why}"));
            }
            if begun.elapsed() > Duration::from_secs(30) {
                return Err("the regions do not become whole".to_owned());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let mut all: Vec<Held> = Vec::new();
        for node in &self.peers {
            let (handle, reader) = (node.handle(), node.handle().reader(GLOBAL).unwrap());
            let held = held(handle.region(), &reader);
            self.look_for_acknowledged(handle.region(), &held.0)?;
            let alarms =
                handle.bridge_counters().values().map(|bridge| bridge.alarms.load(Ordering::Relaxed));
            if alarms.sum::<u64>() > 0 {
                return Err(format!("{} has raised alarms", handle.region()));
            }
            all.push(held);
        }
        if all.iter().all(|held| *held == all[0]) { Ok(()) } else { Err("the chains differ".to_owned()) }
    }

    fn end(mut self) {
        for node in self.peers.drain(..) {
            self.runtime.block_on(node.stop());
        }
    }
}

fn log(region: RegionId, reader: &dyn View) -> StoreLog<'_> {
    StoreLog::new(region, [(GLOBAL, reader)])
}

fn held(region: RegionId, reader: &dyn View) -> Held {
    let (log, partition) = (log(region, reader), group(7).partition());
    let mut held = BTreeMap::new();
    for logged in log.read(partition, Position(0), usize::MAX).unwrap() {
        for (dot, operation) in logged.commit.dots().zip(&logged.commit.operations) {
            let message = Envelope::decode(&operation.envelope).unwrap().message;
            assert_eq!(held.insert(dot, message), None, "{dot} stands twice in the log of {region}");
        }
    }
    let last = log.state(partition).unwrap().applied.get(replica(KILLED));
    (held, last, log.head(partition, replica(KILLED), last).unwrap())
}

#[test]
fn nothing_acknowledged_is_lost_anywhere_and_no_dot_is_issued_twice_in_fifty_kills() {
    let mut honest = Loop::new("honest");
    honest.run(KILLS).unwrap();
    println!("{} operations acknowledged over {KILLS} kills", honest.acknowledged.len());
    assert!(honest.acknowledged.len() as u64 > KILLS * 20, "the load was real");
    let carried = honest.peers[0].handle().bridge_counters()[&KILLED].connections.load(Ordering::Relaxed);
    assert!(carried > KILLS / 2, "the peers met {carried} of its lives");
    honest.end();
}

#[test]
fn the_same_loop_on_a_disk_that_ignores_syncs_loses_what_it_acknowledged() {
    let mut lying = Loop::new("ignore");
    let verdict = lying.run(3).expect_err("a loop that does not notice a lying disk proves nothing");
    assert!(!lying.acknowledged.is_empty(), "the region acknowledged something");
    assert!(verdict.contains("is lost in r1") || verdict.contains("does not"), "{verdict}");
    lying.end();
}

/// What only the peers can see: nobody looks at the disk, and the region comes back as if nothing had been.
#[test]
fn what_a_disk_that_ignores_syncs_has_lost_is_fenced_by_the_peers() {
    let mut lying = Loop::new("ignore");
    let mut life = lying.begin();
    lying.load(&mut life, 50).unwrap();
    let peer = lying.peers[0].handle().reader(GLOBAL).unwrap();
    let applied =
        || log(RegionId(2), &peer).state(group(7).partition()).unwrap().applied.get(replica(KILLED));
    lying.runtime.block_on(world::until("a peer has some of it", || applied() > Sequence(20)));
    lying.kill(life).unwrap();
    let life = lying.begin();
    lying.disk.wait_for_abort(life);
    let why = lying.disk.last_words();
    // Whichever the peers meet first: a life that is still shorter than the last one, or another one of the same length.
    assert!(why.contains("must return as a new incarnation") || why.contains("has another history"), "{why}");
    drop(peer);
    lying.end();
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
    let said = failing.disk.wait_for_abort(failing.begin());
    said.lines().try_for_each(|line| failing.note(line)).unwrap();
    failing.check_disk().unwrap();
    let found = (failing.acknowledged.len(), failing.disk.last_words());
    failing.end();
    found
}
