//! What a change of a document costs, and loading it, as its history grows: `cargo bench -p documents --bench cost`.
//!
//! A region reads the record of a document, takes one change, and writes the record again; so its cost grows with the history, up to what an origin may issue. Three regions take turns
//! at renaming a conversation, rewriting some words of its description and setting a setting. Printed are medians, over a hundred changes at each length.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "a stopwatch reads the clock, and nothing of it enters the types"
)]

use crdt::{Incarnation, RegionId, ReplicaId, UserId};
use documents::{Actor, Document, Edit, Part, Schema, Taken};
use std::time::Instant;

const LENGTHS: [usize; 5] = [0, 100, 1_000, 10_000, 40_000];
const MEASURED: usize = 100;
const USER: UserId = UserId(9);

fn replica(number: usize) -> ReplicaId {
    // One, two or three.
    let region = u16::try_from(number % 3 + 1).unwrap();
    ReplicaId { region: RegionId(region), incarnation: Incarnation(u64::from(region)) }
}

/// What the change of that number is to do.
fn edit(number: usize) -> Edit {
    let text = |part, key: &str| Edit::Text { part, key: key.to_owned(), text: format!("{number:09}") };
    match number % 3 {
        0 => text(Part::Root, "name"),
        1 => Edit::Describe(format!("to the islands, {number:09}, all of them")),
        _ => text(Part::Settings, "theme"),
    }
}

fn change(document: &Document, number: usize) -> Vec<u8> {
    // Three regions, each of which does each of the three.
    let actor = Actor::of_region(replica(number / 3));
    // Each edit differs from what stands.
    document.edit(&actor, 1_700_000_000, &[edit(number)]).unwrap().write().0
}

fn median(mut times_ns: Vec<u128>) -> u128 {
    times_ns.sort_unstable();
    times_ns[times_ns.len() / 2]
}

fn main() {
    println!(
        "| changes | record, bytes | a change, µs | of that: reading the record | taking the change | loading, µs |"
    );
    println!("| --- | --- | --- | --- | --- | --- |");
    let (mut document, mut number) = (Document::new(Schema::Conversation), 0);
    for length in LENGTHS {
        while number < length {
            let bytes = change(&document, number);
            assert_eq!(document.take(replica(number / 3), USER, &bytes), Taken::Stands);
            number += 1;
        }
        let (mut all, mut reading, mut taking, mut loading) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut record = document.encode();
        for at in length..length + MEASURED {
            // It was encoded just before.
            let bytes = change(&Document::decode(&record).unwrap(), at);
            let begun = Instant::now();
            // It was encoded just before.
            let mut held = Document::decode(&record).unwrap();
            let read = begun.elapsed().as_nanos();
            assert_eq!(held.take(replica(at / 3), USER, &bytes), Taken::Stands);
            let taken = begun.elapsed().as_nanos();
            record = held.encode();
            all.push(begun.elapsed().as_nanos());
            reading.push(read);
            taking.push(taken - read);
            let begun = Instant::now();
            // It was encoded just before.
            assert!(!Document::decode(&record).unwrap().conversation().settings.is_empty() || at < 3);
            loading.push(begun.elapsed().as_nanos());
        }
        let us = |times: Vec<u128>| median(times) as u64 / 1_000;
        let (all, reading, taking, loading) = (us(all), us(reading), us(taking), us(loading));
        println!("| {length} | {} | {all} | {reading} | {taking} | {loading} |", record.len());
    }
}
