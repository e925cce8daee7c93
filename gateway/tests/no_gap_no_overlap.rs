//! The law of delivery: whatever comes between, a device is shown each entry of a conversation once, in arrival order, without a
//! gap (histories 26 and 29, promises 4 and 6 per device).
//!
//! Reads are run on one state and handed over in another, changes wait in queues and are dropped, the device stops reading,
//! acknowledges when it likes, loses its connection, and moves to a region that has the same entries in another order.

use crate::island::{Device, Island, OTHER, conversation, dot, item};
use crdt::{ConversationId, Dot, Timestamp};
use gateway::{Input, limits};
use proptest::prelude::*;

#[derive(Debug, Clone, Copy)]
enum Event {
    Post(u8),
    BigPost(u8),
    RunQuery,
    HandOverRead,
    HandOverChange,
    Acknowledge,
    SyncAgain,
    Unread(bool),
    DropChanges,
    Reconnect,
    Leave(u8),
    Join(u8),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (0u8..3).prop_map(Event::Post),
        1 => (0u8..3).prop_map(Event::BigPost),
        6 => Just(Event::RunQuery),
        6 => Just(Event::HandOverRead),
        6 => Just(Event::HandOverChange),
        4 => Just(Event::Acknowledge),
        1 => Just(Event::SyncAgain),
        1 => any::<bool>().prop_map(Event::Unread),
        1 => Just(Event::DropChanges),
        1 => Just(Event::Reconnect),
        1 => (0u8..3).prop_map(Event::Leave),
        1 => (0u8..3).prop_map(Event::Join),
    ]
}

fn happen(event: Event, island: &mut Island, device: &mut Device) {
    match event {
        Event::Post(of) | Event::BigPost(of) => {
            let body = if matches!(event, Event::BigPost(_)) { 60_000 } else { 10 };
            let change = island.post(conversation(of.into()), OTHER, body);
            device.release(&change, &island.site);
        }
        Event::RunQuery => {
            device.run_query(island);
        }
        Event::HandOverRead => {
            device.hand_over_read();
        }
        Event::HandOverChange => {
            device.hand_over_change();
        }
        Event::Acknowledge => {
            device.acknowledge();
        }
        Event::SyncAgain => {
            if !device.behind.is_empty() {
                device.sync_behind();
            }
        }
        Event::Unread(much) => {
            device.step(Input::Unsent(if much { limits::UNSENT_BYTES_MAX + 1 } else { 0 }));
        }
        Event::DropChanges => {
            device.changes.clear();
            device.step(Input::Missed);
        }
        Event::Reconnect => reconnect(island, device),
        Event::Leave(of) => {
            if island.members.get_mut(&conversation(of.into())).unwrap().remove(&crate::island::USER) {
                device.step(Input::Membership { conversation: conversation(of.into()), member: false });
            }
        }
        Event::Join(of) => {
            if island.members.get_mut(&conversation(of.into())).unwrap().insert(crate::island::USER) {
                // A device that joins again presents what it has: it syncs by name, as after a fall back.
                device.step(Input::Membership { conversation: conversation(of.into()), member: true });
            }
        }
    }
}

/// What a device keeps over a lost connection is what it was shown and its cursors.
fn reconnect(island: &Island, device: &mut Device) {
    let mut next = Device::welcomed(&island.site);
    next.shown = std::mem::take(&mut device.shown);
    next.cursors = std::mem::take(&mut device.cursors);
    next.sync_all();
    *device = next;
}

/// Entries shown again after leaving and joining are hidden by their dots, as any client must.
fn without_repeats(dots: &[Dot]) -> Vec<Dot> {
    let mut seen = std::collections::BTreeSet::new();
    dots.iter().copied().filter(|dot| seen.insert(*dot)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_entry_is_shown_once_in_order(events in proptest::collection::vec(event(), 0..120)) {
        let mut island = Island::new(1);
        for of in 0..3 {
            island.begin(conversation(of));
            for _ in 0..of * 90 {
                island.post(conversation(of), OTHER, 10);
            }
        }
        let mut device = Device::welcomed(&island.site);
        device.sync_all();
        let rejoins = events.iter().any(|event| matches!(event, Event::Leave(_)));
        for event in events {
            happen(event, &mut island, &mut device);
        }
        device.settle(&island);
        prop_assert!(device.batch_items_max <= limits::BATCH_ITEMS_MAX);
        for (of, entries) in &island.entries {
            let expected: Vec<Dot> = entries.iter().map(|item| item.dot).collect();
            let shown = device.shown.get(of).cloned().unwrap_or_default();
            let shown = if rejoins { without_repeats(&shown) } else { shown };
            if island.members[of].contains(&crate::island::USER) {
                prop_assert_eq!(&shown, &expected, "{}\n{}", of, device.transcript);
            } else {
                prop_assert!(expected.starts_with(&shown), "{}\n{}", of, device.transcript);
            }
        }
    }
}

#[test]
fn a_device_that_moves_gets_what_it_lacks_and_nothing_twice() {
    let talk = conversation(1);
    let (mut here, mut there) = (Island::new(1), Island::new(2));
    here.begin(talk);
    there.begin(talk);
    let early = item(OTHER, dot(1, 1), Timestamp(1), 1);
    let late = item(OTHER, dot(1, 2), Timestamp(9), 1);
    here.apply(talk, early.clone());
    here.apply(talk, late.clone());
    let mut device = Device::welcomed(&here.site);
    device.sync_all();
    device.settle(&here);
    // The other region has an entry of its own, and has not heard of the later one yet.
    there.apply(talk, early);
    there.apply(talk, item(OTHER, dot(2, 1), Timestamp(3), 1));
    reconnect(&there, &mut device);
    device.settle(&there);
    assert_eq!(device.shown[&talk], [dot(1, 1), dot(1, 2), dot(2, 1)]);
    // Its cursor says that it has been given more than this region has: what it sends carries the mark.
    let keys = there.site.placements[&crate::island::PLACEMENT].keys;
    let given = |device: &Device| keys.open(&device.cursors[&talk]).unwrap();
    assert!(given(&device).cut.covers(dot(1, 2)));
    assert_eq!(given(&device).highest, Timestamp(9));
    let change = there.apply(talk, item(OTHER, dot(2, 2), Timestamp(4), 1));
    device.release(&change, &there.site);
    device.settle(&there);
    assert!(given(&device).cut.covers(dot(1, 2)), "a live delivery must not make the device forget");
    // The late one arrives; the device has it, and from here on the cursors are everyone's again.
    let change = there.apply(talk, late);
    device.release(&change, &there.site);
    let shared = device.shared;
    let change = there.apply(talk, item(OTHER, dot(2, 3), Timestamp(10), 1));
    device.release(&change, &there.site);
    device.settle(&there);
    assert_eq!(device.shown[&talk], [dot(1, 1), dot(1, 2), dot(2, 1), dot(2, 2), dot(2, 3)]);
    assert_eq!(device.shared, shared + 1);
}

#[test]
fn no_more_is_read_than_the_device_acknowledges() {
    let talk = conversation(1);
    let mut island = Island::new(1);
    island.begin(talk);
    for _ in 0..1_000 {
        island.post(talk, OTHER, 10);
    }
    let mut device = Device::welcomed(&island.site);
    device.sync_all();
    while device.run_query(&island) || device.hand_over_read() {}
    assert_eq!(device.shown[&talk].len(), limits::BATCH_ITEMS_MAX * limits::UNACKNOWLEDGED_BATCHES_MAX);
    device.acknowledge();
    while device.run_query(&island) || device.hand_over_read() {}
    assert_eq!(device.shown[&talk].len(), limits::BATCH_ITEMS_MAX * (limits::UNACKNOWLEDGED_BATCHES_MAX + 1));
    device.settle(&island);
    assert_eq!(device.shown[&talk].len(), 1_000);
}

#[test]
fn every_delivery_fits_a_frame_in_both_encodings() {
    use gateway_protocol::v1::server_frame::Frame;
    use gateway_protocol::{FRAME_BYTES_MAX, Subprotocol};
    let talk: ConversationId = conversation(1);
    for (count, body) in [(100, 0), (100, 640), (3, 32_000), (2, 65_536)] {
        let mut island = Island::new(1);
        island.begin(talk);
        for _ in 0..count {
            island.post(talk, OTHER, body);
        }
        let mut device = Device::welcomed(&island.site);
        device.sync_all();
        while device.run_query(&island) {
            let (query, answer) = device.reads.pop_front().unwrap();
            let mut entropy = <rand_chacha::ChaCha8Rng as rand_core::SeedableRng>::seed_from_u64(1);
            let result = Ok(answer);
            for output in device.session.step(device.now, &mut entropy, Input::Read { query, result }) {
                if let gateway::Output::Query { id, query } = output {
                    device.queries.push_back((id, query));
                } else if let gateway::Output::Send(frame) = output {
                    for subprotocol in Subprotocol::ALL {
                        let bytes = subprotocol.encode_server(&frame).bytes().len();
                        assert!(bytes <= FRAME_BYTES_MAX, "{count} of {body}: {bytes}");
                    }
                    if let Some(Frame::Deliver(deliver)) = frame.frame {
                        assert!(deliver.items.len() <= limits::BATCH_ITEMS_MAX);
                    }
                }
            }
        }
    }
}
