//! A whole timeline in memory beside a sorted list, at sizes at which its slabs fill and its chunks split.
//!
//! The histories of `convergence.rs` are short. Here are thousands of messages, in orders that a conversation meets: as they were sent, region by region
//! after a cut, backwards, shuffled; with resends that move what stood. Ids that are small numbers make fingerprints collide.

use crdt::operation::Envelope;
use crdt::timeline::{Entry, Inserted};
use crdt::*;
use std::collections::BTreeMap;

const MESSAGES: u64 = 3_000;
const REGIONS: u64 = 5;

/// The operation of that number. One in ten is sent to another region too, which stamps it earlier or later.
fn operations(number: u64, id: impl Fn(u64) -> MessageId) -> Vec<(Dot, Envelope)> {
    let of_region = |region: u64, hlc: u64| {
        let replica = ReplicaId { region: RegionId(region as u16), incarnation: Incarnation(region * 7) };
        let envelope = Envelope {
            conversation: ConversationId(1),
            hlc: Timestamp(hlc),
            kind: Kind::Post,
            sender: UserId(number % 11),
            message: id(number),
            payload_digest: [number as u8; 20],
            target: None,
        };
        (Dot { replica, sequence: Sequence(number + 1) }, envelope)
    };
    let region = number % REGIONS;
    let first = of_region(region, 10_000 + number * 3);
    // Two in a hundred of these are stamped alike, and told apart by their dots.
    let again = of_region((region + 1) % REGIONS, 10_000 + number * 3 + number % 50 * 30 - 600);
    if number.is_multiple_of(10) { vec![first, again] } else { vec![first] }
}

/// The rule by a list of everything, every time anew.
fn sorted(all: &[(Dot, Envelope)]) -> (Vec<(Place, Entry)>, BTreeMap<Identity, Aliases>) {
    let mut identities: BTreeMap<Identity, Aliases> = BTreeMap::new();
    for (dot, envelope) in all {
        identities.entry(envelope.identity()).or_default().insert(envelope.place(*dot));
    }
    let shown = |(dot, envelope): &&(Dot, Envelope)| {
        identities[&envelope.identity()].canonical() == Some(envelope.place(*dot))
    };
    let mut entries: Vec<(Place, Entry)> =
        all.iter().filter(shown).map(|(dot, envelope)| (envelope.place(*dot), Entry::of(envelope))).collect();
    entries.sort_by_key(|(place, _)| *place);
    (entries, identities)
}

fn check(all: &[(Dot, Envelope)]) -> Timeline {
    let mut timeline = Timeline::default();
    let mut moved = 0;
    for (dot, envelope) in all {
        let inserted = timeline.apply(*dot, envelope);
        assert_ne!(inserted, Inserted::AlreadyThere);
        moved += u32::from(matches!(inserted, Inserted::Moved { .. }));
        assert_eq!(timeline.apply(*dot, envelope), Inserted::AlreadyThere);
    }
    assert!(moved > 10, "{moved} moves");
    let (entries, identities) = sorted(all);
    assert!(timeline.entries().eq(entries.iter().copied()));
    assert!(timeline.entries().rev().eq(entries.iter().rev().copied()));
    assert!(timeline.identities().eq(identities.clone()));
    for (identity, aliases) in identities {
        assert_eq!(timeline.find(identity).map(|(place, _)| place), aliases.canonical());
        assert_eq!(timeline.aliases(identity), Some(aliases));
    }
    let unknown = Identity { sender: UserId(99), message: MessageId(1) };
    assert_eq!((timeline.find(unknown), timeline.aliases(unknown)), (None, None));
    timeline
}

fn check_orders(id: impl Fn(u64) -> MessageId + Copy) {
    let as_sent: Vec<_> = (0..MESSAGES).flat_map(|number| operations(number, id)).collect();
    let expected = check(&as_sent);
    let mut by_region = as_sent.clone();
    by_region.sort_by_key(|(dot, _)| *dot);
    let mut backwards = as_sent.clone();
    backwards.reverse();
    let mut shuffled = as_sent.clone();
    // Any order that has nothing to do with theirs.
    shuffled.sort_by_key(|(dot, _)| {
        dot.sequence.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(dot.replica.region.0)
    });
    for order in [by_region, backwards, shuffled] {
        assert!(check(&order) == expected, "whatever came when");
    }
}

#[test]
fn ids_that_hold_the_time() {
    check_orders(|number| MessageId::new(1_732_500_000_000 + number * 3, u128::from(number * 77)));
}

#[test]
fn ids_whose_fingerprints_collide() {
    check_orders(|number| MessageId(u128::from(number)));
}
