//! This crate: conversations that apply operations, and keep their payloads beside.
//!
//! An update is a list of operations, each its number, envelope and payload, as a log has them. What is timed is all of a replica's work but the disk:
//! decoding, checking each payload against its digest, applying, and keeping the payload.

#![allow(clippy::unwrap_used, reason = "a benchmark ends where something does not work")]

use crate::{APPENDS, BODY_BYTES, Library, REPLICAS, Written, body};
use bytes::{Buf, BufMut, Bytes};
use cpu_time::ThreadTime;
use crdt::operation::{Body, Draft, Post};
use crdt::*;
use std::hint::black_box;

pub(crate) struct Ours {
    state: Conversation,
    payloads: Payloads,
}

/// Payloads in the order of arrival, in blocks: 4 bytes to find one, instead of 16 for a pointer and a length.
#[derive(Default)]
struct Payloads {
    blocks: Vec<Vec<u8>>,
    /// The number of the block and where in it the payload begins.
    starts: Vec<u32>,
}

/// So that a place within one takes 16 bits. A payload is 88 bytes here.
const BLOCK_BYTES: usize = 1 << 16;

impl Payloads {
    fn push(&mut self, payload: &[u8]) {
        if self.blocks.last().is_none_or(|block| block.len() + payload.len() > BLOCK_BYTES) {
            self.blocks.push(Vec::with_capacity(BLOCK_BYTES));
        }
        let number = self.blocks.len() - 1;
        let block = &mut self.blocks[number];
        self.starts.push((number << 16 | block.len()) as u32);
        block.extend_from_slice(payload);
    }
}

fn id(replica: usize) -> ReplicaId {
    ReplicaId { region: RegionId(replica as u16 + 1), incarnation: Incarnation(replica as u64 + 7) }
}

fn conversation() -> ConversationId {
    ConversationId::group(PlacementId(1), 1)
}

/// The operation that a replica issues on top of what it has.
fn issue(state: &Conversation, replica: usize, number: usize, text: String) -> Operation {
    // Every replica's clock runs on by a second a message, and none is right to the millisecond.
    let now_ms = 1_732_500_000_000 + number as u64 * 1_000 + replica as u64 * 61;
    let hlc = Timestamp::issue(now_ms, state.highest(), Timestamp::ZERO).unwrap();
    let post = Post { body: text.into(), sent_at_ms: now_ms as i64, reply_to: None, seen: None };
    let draft = Draft {
        conversation: state.id(),
        hlc,
        sender: UserId::new(PlacementId(1), replica as u64),
        message: MessageId::new(now_ms, (replica << 32 | number) as u128),
        body: Body::Post(post),
    };
    let (envelope, payload) = draft.seal([replica as u8; 16]);
    let dot = Dot { replica: id(replica), sequence: state.cut().get(id(replica)).next() };
    Operation { dot, envelope, payload: Some(payload) }
}

fn encode(operation: &Operation, update: &mut Vec<u8>) {
    let payload = operation.payload.as_ref().unwrap();
    update.put_u16(operation.dot.replica.region.0);
    update.put_u64(operation.dot.replica.incarnation.0);
    update.put_u64(operation.dot.sequence.0);
    update.put_u16(operation.envelope.len() as u16);
    update.put_u32(payload.len() as u32);
    update.put_slice(&operation.envelope);
    update.put_slice(payload);
}

fn decode(update: &mut Bytes) -> Operation {
    let replica =
        ReplicaId { region: RegionId(update.get_u16()), incarnation: Incarnation(update.get_u64()) };
    let dot = Dot { replica, sequence: Sequence(update.get_u64()) };
    let (envelope, payload) = (usize::from(update.get_u16()), update.get_u32() as usize);
    Operation { dot, envelope: update.split_to(envelope), payload: Some(update.split_to(payload)) }
}

impl Library for Ours {
    const NAME: &str = "crdt";

    fn empty() -> Self {
        Self { state: Conversation::new(conversation()), payloads: Payloads::default() }
    }

    fn write() -> Written {
        let mut written = Written { singles: Vec::new(), batches: Vec::new(), appending: Default::default() };
        for replica in 0..REPLICAS {
            let mut own = Self::empty();
            let mut singles = Vec::with_capacity(APPENDS);
            let start = ThreadTime::now();
            for number in 0..APPENDS {
                let operation = issue(&own.state, replica, number, body(replica, number));
                own.state.apply(&operation).unwrap();
                let mut update = Vec::new();
                encode(&operation, &mut update);
                singles.push(update);
            }
            written.appending += start.elapsed();
            written.batches.push(singles.concat());
            written.singles.push(singles);
        }
        written
    }

    fn take(&mut self, update: &[u8]) {
        let mut update = Bytes::copy_from_slice(update);
        while !update.is_empty() {
            let operation = decode(&mut update);
            self.state.apply(&operation).unwrap();
            self.payloads.push(&operation.payload.unwrap());
        }
    }

    fn messages(&self) -> usize {
        assert_eq!(self.payloads.starts.len(), self.state.timeline().entries().count());
        self.payloads.starts.len()
    }
}

/// What appending and looking up cost as a conversation grows, beside reading as many bare slots, and what one more receipt costs.
pub(crate) fn growth() {
    println!("\n| messages | append, ns | look one up at random, ns | read a bare slot at random, ns |");
    println!("| --- | --- | --- | --- |");
    let mut state = Conversation::new(conversation());
    let mut identities = Vec::new();
    for size in [1_000, 10_000, 100_000, 1_000_000] {
        let mut issued = Vec::new();
        // The fastest of several hundreds: each is too short to be disturbed often, and too long for the clock to matter.
        let mut append = f64::MAX;
        while identities.len() < size {
            for _ in 0..200 {
                let number = identities.len() + issued.len();
                let text = body(number % REPLICAS, number);
                let mut operation = issue(&state, number % REPLICAS, number, text);
                operation.dot.sequence = Sequence(number as u64 / REPLICAS as u64 + 1);
                issued.push(operation);
            }
            let start = ThreadTime::now();
            for operation in &issued {
                state.apply(operation).unwrap();
            }
            if identities.len() + 50 * 200 >= size {
                append = append.min(start.elapsed().as_nanos() as f64 / issued.len() as f64);
            }
            for operation in issued.drain(..) {
                identities.push(crdt::operation::Envelope::decode(&operation.envelope).unwrap().identity());
            }
        }
        let mut at = 1_usize;
        let mut sum = 0;
        // Not zeros, for which the system gives no memory before they are written.
        let slots = vec![[1_u64; 9]; size];
        let (mut access, mut bare) = (f64::MAX, f64::MAX);
        for _ in 0..20 {
            let wanted: Vec<usize> = std::iter::repeat_with(|| {
                at = (at * 48_271 + 11) % size;
                at
            })
            .take(10_000)
            .collect();
            // Side by side, so that what is timed is the conversation's memory and not the benchmark's.
            let wanted_identities: Vec<_> = wanted.iter().map(|at| identities[*at]).collect();
            let start = ThreadTime::now();
            for identity in &wanted_identities {
                sum += state.timeline().find(*identity).unwrap().0.hlc.0 & 1;
            }
            access = access.min(start.elapsed().as_nanos() as f64 / 10_000.0);
            let start = ThreadTime::now();
            // Each waits for the one before, as the steps of a look-up do.
            sum += wanted.iter().fold(1, |last, at| slots[*at + last as usize - 1][0]);
            bare = bare.min(start.elapsed().as_nanos() as f64 / 10_000.0);
        }
        black_box(sum);
        println!("| {size} | {append:.0} | {access:.0} | {bare:.1} |");
    }
    receipts();
}

/// One more receipt of a device, in a placement of 16 replicas.
fn receipts() {
    let cut = |sequence: u64| {
        Cut::from_iter((0..REPLICAS).map(|at| Dot { replica: id(at), sequence: Sequence(sequence) }))
    };
    let updates: Vec<Receipt> = (1..=1_000).map(|at| Receipt::new(cut(at + 1), cut(at))).collect();
    let mut fastest = f64::MAX;
    for _ in 0..100 {
        let mut receipt = Receipt::default();
        let start = ThreadTime::now();
        for update in &updates {
            black_box(receipt.join(update));
        }
        fastest = fastest.min(start.elapsed().as_nanos() as f64 / updates.len() as f64);
    }
    println!(
        "\nA receipt of {REPLICAS} replicas is joined with the next in {fastest:.0} ns. A body is {BODY_BYTES} bytes."
    );
}
