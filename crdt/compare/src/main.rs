//! The same appends and merges in this crate, Automerge, Loro, Yrs and diamond-types: `cargo run --release` in `crdt/compare`.
//!
//! 16 replicas that do not hear each other append 2,000 messages of 64 bytes each. One more replica takes all of it: message by message, in turn from
//! each, and then anew as one batch from each. What must always hold:
//! - Everybody starts from encoded bytes and ends with a state that can be read; what is timed is decoding and applying.
//! - Every library shows 32,000 messages at the end, or the run fails.
//! - A library that is too slow message by message is stopped after `PATIENCE`, and its rate is that of what it had done, which flatters it: they
//!   slow down as they grow.
//!
//! Time is the thread's own on a processor, not a clock's on the wall, so that what else the machine does counts little.
//!
//! It compares unlike things: the others are lists or texts that can be edited anywhere, and know neither identities nor receipts; ours does nothing
//! but messages, and checks each payload against its digest. diamond-types holds one text, and merges it at the end of each step.

#![allow(clippy::unwrap_used, reason = "a benchmark ends where something does not work")]

mod automerge_list;
mod diamond_text;
mod loro_list;
mod ours;
mod yrs_array;

use cpu_time::ThreadTime;
use peak_alloc::PeakAlloc;
use std::time::Duration;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const REPLICAS: usize = 16;
const APPENDS: usize = 2_000;
const BODY_BYTES: usize = 64;
const PATIENCE: Duration = Duration::from_secs(10);
/// Of so many rounds the fastest counts: what else the machine does only ever adds.
const ROUNDS: usize = 5;

/// What the replicas wrote, encoded.
struct Written {
    /// By replica, an update for each message.
    singles: Vec<Vec<Vec<u8>>>,
    /// By replica, one update for all of them.
    batches: Vec<Vec<u8>>,
    /// How long appending took, encoding included.
    appending: Duration,
}

/// A library.
trait Library {
    const NAME: &str;
    /// A replica that has nothing yet.
    fn empty() -> Self;
    /// Every replica appends its messages.
    fn write() -> Written;
    /// Takes one update, whatever it holds.
    fn take(&mut self, update: &[u8]);
    /// How many messages it shows.
    fn messages(&self) -> usize;
}

/// The body of a message, the same for everybody.
fn body(replica: usize, number: usize) -> String {
    format!("{:0>width$}", format!("{replica}:{number} "), width = BODY_BYTES)
}

struct Result {
    name: &'static str,
    append_ns: f64,
    single_ns: f64,
    stopped: bool,
    batch_ns: f64,
    memory: f64,
}

fn measure<L: Library>() -> Result {
    let total = REPLICAS * APPENDS;
    let written = L::write();
    let per = |time: Duration, count: usize| time.as_nanos() as f64 / count as f64;
    let (mut single_ns, mut batch_ns) = (f64::MAX, f64::MAX);
    let (mut stopped, mut memory) = (false, 0.0);
    for _ in 0..ROUNDS {
        let before = MEMORY.current_usage();
        let mut replica = L::empty();
        let start = ThreadTime::now();
        for batch in &written.batches {
            replica.take(batch);
        }
        batch_ns = per(start.elapsed(), total).min(batch_ns);
        memory = (MEMORY.current_usage() - before) as f64 / total as f64;
        assert_eq!(replica.messages(), total, "{}", L::NAME);
    }
    for round in 0..ROUNDS {
        let mut replica = L::empty();
        let in_turn = (0..APPENDS).flat_map(|number| written.singles.iter().map(move |own| &own[number]));
        let start = ThreadTime::now();
        let mut done = 0;
        for (at, update) in in_turn.enumerate() {
            replica.take(update);
            done = at + 1;
            if at % 16 == 0 && start.elapsed() > PATIENCE {
                break;
            }
        }
        single_ns = per(start.elapsed(), done).min(single_ns);
        assert_eq!(replica.messages(), done, "{}", L::NAME);
        stopped = done < total;
        if stopped || start.elapsed() * (round as u32 + 1) > PATIENCE {
            break;
        }
    }
    let append_ns = per(written.appending, total);
    Result { name: L::NAME, append_ns, single_ns, stopped, batch_ns, memory }
}

fn main() {
    let results = [
        measure::<ours::Ours>(),
        measure::<yrs_array::YrsArray>(),
        measure::<diamond_text::DiamondText>(),
        measure::<automerge_list::AutomergeList>(),
        measure::<loro_list::LoroListOfMessages>(),
    ];
    let ours = &results[0];
    println!(
        "| library | append, ns | one at a time, ns | ours is so many times as fast | in batches, ns | ours is so many times as fast | memory a message beyond its body, bytes |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for result in &results {
        let stopped = if result.stopped { " (stopped)" } else { "" };
        println!(
            "| {} | {:.0} | {:.0}{stopped} | {:.2} | {:.0} | {:.2} | {:.0} |",
            result.name,
            result.append_ns,
            result.single_ns,
            result.single_ns / ours.single_ns,
            result.batch_ns,
            result.batch_ns / ours.batch_ns,
            result.memory - BODY_BYTES as f64,
        );
    }
    ours::growth();
}
