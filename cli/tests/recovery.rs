//! How soon people are served again when a region fails, over real processes, and that nothing they were told is taken back.
//!
//! A device writes every tenth of a second, as long as it takes. From the failure it is counted until something is acknowledged that was written after it.
//!
//! What must always hold: each recovery is within its figure; what was told to be stable is there afterwards, and so is what was acknowledged, once the
//! outboxes have said it again. Damage is named within seconds, and a region on such a store does not start.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod tampered;
mod two_regions;

use crdt::{MessageId, RegionId};
use gateway_client_net::{ClientHandle, Event, Settings};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tampered::{REACH, flip};
use tokio::sync::oneshot;
use two_regions::{ISLE, PROGRAM, TwoRegions, begin_isle, wait_until};

const WRITES_EVERY: Duration = Duration::from_millis(100);
/// A region that is started again at once serves its own people within this.
const BACK_WITHIN: Duration = Duration::from_secs(10);
/// People of a region that does not come back are served by another within this.
const ELSEWHERE_WITHIN: Duration = Duration::from_secs(120);
/// Damage that keeps a region from starting is named within this.
const NAMED_WITHIN: Duration = Duration::from_secs(5);

/// What a device did and was told.
#[derive(Default)]
struct Told {
    sent: BTreeMap<MessageId, Instant>,
    acknowledged: BTreeMap<MessageId, (Instant, RegionId)>,
    stable: BTreeSet<MessageId>,
    /// Who issued what it was shown first.
    shown: BTreeMap<MessageId, RegionId>,
}

/// A device in a task of its own, which writes if it is told how much. It goes when it is dropped.
struct Device {
    told: Arc<Mutex<Told>>,
    _ends: oneshot::Sender<()>,
}

impl Device {
    fn start(settings: Settings, writes_bytes: Option<usize>) -> Self {
        let told = Arc::new(Mutex::new(Told::default()));
        let (ends, ended) = oneshot::channel();
        tokio::spawn(Self::run(settings, writes_bytes, Arc::clone(&told), ended));
        Self { told, _ends: ends }
    }

    async fn run(
        settings: Settings,
        writes_bytes: Option<usize>,
        told: Arc<Mutex<Told>>,
        mut ended: oneshot::Receiver<()>,
    ) {
        let (client, mut events) = ClientHandle::connect(settings);
        if writes_bytes.is_some() {
            begin_isle(&client).await;
        }
        let body = bytes::Bytes::from(vec![b'x'; writes_bytes.unwrap_or_default()]);
        let mut writes = tokio::time::interval(WRITES_EVERY);
        loop {
            tokio::select! {
                _ = &mut ended => break,
                _ = writes.tick(), if writes_bytes.is_some() => {
                    let at = Instant::now();
                    let message = client.send(ISLE, body.clone(), None).await.unwrap();
                    told.lock().unwrap().sent.insert(message, at);
                }
                event = events.next_told() => {
                    let event = event.unwrap();
                    let mut told = told.lock().unwrap();
                    match event.event {
                        Event::Acknowledged { command, place: Some(place), .. } => {
                            told.acknowledged.insert(command, (event.at, place.dot.replica.region));
                        }
                        Event::Stable { command, .. } => {
                            told.stable.insert(command);
                        }
                        Event::Shown { item, .. } => {
                            told.shown.insert(item.message, item.place.dot.replica.region);
                        }
                        Event::Refused { code, message, .. } => panic!("{code}: {message}"),
                        _ => {}
                    }
                }
            }
        }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap()
    }

    /// How long it took from then until something was acknowledged that was written since.
    fn served_again(&self, since: Instant, within: Duration) -> Duration {
        loop {
            let found = {
                let told = self.told();
                let is_later = |message: &MessageId| told.sent.get(message).is_some_and(|sent| *sent > since);
                let later = told.acknowledged.iter().filter(|(message, _)| is_later(message));
                later.map(|(_, (at, _))| *at - since).min()
            };
            if let Some(took) = found {
                assert!(took < within, "served again only after {took:?}");
                return took;
            }
            assert!(since.elapsed() < within, "not served again within {within:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until so many more of its messages are acknowledged than were.
    fn acknowledged_more(&self, count: usize) {
        let before = self.told().acknowledged.len();
        wait_until("messages are acknowledged", || self.told().acknowledged.len() >= before + count);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_that_is_killed_and_started_again_serves_its_own_people_within_ten_seconds() {
    let mut regions = TwoRegions::start();
    let writer = Device::start(regions.device(0, 0xa11ce, 1), Some(100));
    for _ in 0..3 {
        writer.acknowledged_more(20);
        let failed = Instant::now();
        regions.signal(0, "KILL");
        regions.wait(0);
        regions.start_again(0);
        let started = failed.elapsed();
        let took = writer.served_again(failed, BACK_WITHIN);
        println!(
            "killed and started again: ready after {started:.2?}, its people served again after {took:.2?}"
        );
    }
    let acknowledged: BTreeSet<MessageId> = writer.told().acknowledged.keys().copied().collect();
    let reader = Device::start(regions.device(0, 0xa11ce, 2), None);
    wait_until("all that was acknowledged is there", || {
        let told = reader.told();
        acknowledged.iter().all(|message| told.shown.contains_key(message))
    });
    wait_until("and becomes stable", || acknowledged.is_subset(&writer.told().stable));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_of_a_region_that_does_not_come_back_are_served_by_the_other_and_nothing_is_taken_back() {
    let mut regions = TwoRegions::start();
    let (mut at_home, west) = (regions.device(0, 0xa11ce, 1), regions.device(1, 0xa11ce, 2));
    at_home.config.home.extend(west.config.home.clone());
    let writer = Device::start(at_home, Some(32_768));
    wait_until("messages are stable", || writer.told().stable.len() >= 20);

    // West stands still, so what east acknowledges now is on east's disk alone, but for what fits the socket between them.
    regions.signal(1, "STOP");
    writer.acknowledged_more(30);
    let failed = Instant::now();
    regions.signal(0, "KILL");
    regions.wait(0);
    regions.signal(1, "CONT");
    let took = writer.served_again(failed, ELSEWHERE_WITHIN);

    let (acknowledged, stable) = {
        let told = writer.told();
        (told.acknowledged.clone(), told.stable.clone())
    };
    let reader = Device::start(west, None);
    wait_until("all that was stable or acknowledged is in the other region", || {
        let told = reader.told();
        let is_there = |message: &MessageId| told.shown.contains_key(message);
        stable.iter().all(is_there) && acknowledged.keys().all(is_there)
    });
    let told = reader.told();
    let said_again = acknowledged.iter().filter(|(message, (_, by))| told.shown[*message] != *by).count();
    println!(
        "killed for good: its people served by the other region after {took:.2?}; of {} acknowledged and {} stable messages none is missing there, {said_again} were said again by the outbox",
        acknowledged.len(),
        stable.len()
    );
    assert!(said_again > 0, "something was on the lost disk alone");
}

/// Starts a region that is to refuse: how long that took, its exit code, and what it said.
fn refused(regions: &TwoRegions, region: &str) -> (Duration, Option<i32>, String) {
    let begun = Instant::now();
    let mut process = Command::new(PROGRAM)
        .args(["region", region, "--cluster", "demo", "--data", &format!("data/{region}")])
        .current_dir(regions.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while process.try_wait().unwrap().is_none() && begun.elapsed() < NAMED_WITHIN {
        std::thread::sleep(Duration::from_millis(10));
    }
    let took = begun.elapsed();
    // It has ended, unless it serves on what is damaged: then it is ended here, and has no exit code.
    let _ = process.kill();
    let code = process.wait().unwrap().code();
    let mut said = String::new();
    process.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (took, code, said)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_that_a_start_meets_is_named_at_once_and_the_region_does_not_start() {
    let mut regions = TwoRegions::start();
    regions.write().await;
    regions.end(1);
    flip(&regions, 1, REACH);
    let (took, code, said) = refused(&regions, "west");
    println!("a damaged record: named after {took:.2?}, exit code {code:?}: {said}");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("damaged record in table reach at key "), "{said}");
    assert!(said.contains("docs/operations/a-store-is-damaged.md"), "{said}");
    // And the way out that it names is one.
    assert_eq!(regions.at_rest(1, "repair", &["--apply"]).0, Some(0));
    regions.start_again(1);
    regions.wait_until_equal();

    // Killed, so that what it wrote last stands in the log that is written ahead.
    regions.signal(0, "KILL");
    regions.wait(0);
    let logs = std::fs::read_dir(regions.path().join("data/east/global")).unwrap();
    let logs = logs
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "log"));
    let log = logs.max_by_key(|path| path.metadata().unwrap().len()).unwrap();
    let mut bytes = std::fs::read(&log).unwrap();
    let middle = bytes.iter().rposition(|byte| *byte != 0).unwrap() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&log, bytes).unwrap();
    let (took, code, said) = refused(&regions, "east");
    println!("a damaged log: named after {took:.2?}, exit code {code:?}: {said}");
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("damaged record in table write-ahead log at key ") && said.contains(".log byte "),
        "{said}"
    );
    let (code, _, said) = regions.at_rest(0, "verify", &[]);
    assert!(code == Some(3) && said.contains("damaged record in table write-ahead log"), "{code:?} {said}");
}
