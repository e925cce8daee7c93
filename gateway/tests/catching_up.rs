//! How a device comes to have everything, and how it falls behind, as people read it: what went in, and below it what came out.
//!
//! Each test names its claim; the expected text is rewritten with `UPDATE_EXPECT=1`. The other side is `island`, a region of plain
//! lists, so that what is printed is the session's doing alone.

use crate::island::{Device, Island, OTHER, check, conversation, dot, from_here, item};
use crdt::Timestamp;
use expect_test::expect;
use gateway::{Input, limits};
use gateway_protocol::v1::client_frame::Frame as Ask;
use gateway_protocol::v1::server_frame::Frame;
use gateway_protocol::{Subprotocol, v1};

#[test]
fn a_device_is_live_only_when_it_has_been_given_everything() {
    let mut island = Island::begun();
    island.post(conversation(1), OTHER, 1);
    let mut device = Device::welcomed(&island.site);
    from_here(&mut device);
    device.sync_all();
    device.read(&island);
    // The read is run, and only then the next message is posted: the read must not make the conversation live.
    device.run_query(&island);
    let change = island.post(conversation(1), OTHER, 1);
    device.hear_of(&change, &island.site);
    device.hand_over_read();
    device.read(&island);
    let change = island.post(conversation(1), OTHER, 1);
    device.hear_of(&change, &island.site);
    check(
        &device,
        &expect![[r#"
            client Sync
                query 1: memberships in p1
            read 1
                send #7 Done  
                subscribe c00010000000000000000000000000001
                query 2: changes of c00010000000000000000000000000001 after 0, given {}
            changed 2
            read 2
                send Deliver [r1.0000000000000001:1]
                query 3: changes of c00010000000000000000000000000001 after 1, given {r1.0000000000000001:1}
            read 3
                send Deliver [r1.0000000000000001:2]
                send CaughtUp
            changed 3
                send shared Deliver [r1.0000000000000001:3]
        "#]],
    );
}

/// A client waits for the answer to its sync: one that is refused under no number would leave it waiting for ever.
#[test]
fn a_sync_whose_list_cannot_be_read_is_refused_under_its_number_and_tells_who_asked_nothing() {
    let island = Island::begun();
    let mut device = Device::welcomed(&island.site);
    from_here(&mut device);
    device.sync_all();
    device.fail_query();
    device.step(Input::Missed);
    device.fail_query();
    device.sync_all();
    device.settle(&island);
    check(
        &device,
        &expect![[r#"
        client Sync
            query 1: memberships in p1
        read 1
            send #7 Error region_unavailable: the region cannot read its store at the moment: try again, or connect to another region
        missed
            query 2: memberships in p1
        read 2
            send Error region_unavailable: the region cannot read its store at the moment: try again, or connect to another region
        client Sync
            query 3: memberships in p1
        unsent 0
        read 3
            send #7 Done  
            subscribe c00010000000000000000000000000001
            query 4: changes of c00010000000000000000000000000001 after 0, given {}
        read 4
            send CaughtUp
    "#]],
    );
}

#[test]
fn a_read_under_way_when_changes_are_missed_does_not_make_live() {
    let mut island = Island::begun();
    let mut device = Device::welcomed(&island.site);
    device.sync_all();
    device.read(&island);
    device.run_query(&island);
    let change = island.post(conversation(1), OTHER, 1);
    device.release(&change, &island.site);
    device.changes.clear();
    device.step(Input::Missed);
    device.hand_over_read();
    assert!(device.live.is_empty());
    device.settle(&island);
    assert_eq!(device.shown[&conversation(1)], [dot(1, 1)]);
}

#[test]
fn a_change_that_was_read_already_changes_nothing() {
    let mut island = Island::begun();
    let mut device = Device::welcomed(&island.site);
    device.sync_all();
    device.read(&island);
    let change = island.post(conversation(1), OTHER, 1);
    device.release(&change, &island.site);
    device.settle(&island);
    let state = device.session.to_string();
    let delivery = gateway::SharedDelivery::new(change, &island.site.placements[&crate::island::PLACEMENT]);
    let later = island.post(conversation(1), OTHER, 1);
    device.hear_of(&later, &island.site);
    from_here(&mut device);
    device.step(Input::Changed(delivery));
    assert_eq!(device.transcript, "changed 1\n");
    assert_eq!(device.shown[&conversation(1)], [dot(1, 1), dot(1, 2)]);
    assert!(device.session.to_string().contains("live after 2"), "{state}");
}

#[test]
fn a_read_that_missed_a_new_membership_is_repeated() {
    let mut island = Island::begun();
    island.post(conversation(1), OTHER, 1);
    let mut device = Device::welcomed(&island.site);
    device.sync_all();
    device.run_query(&island);
    // Left after the list was read, joined again while the conversation is being read as a stranger.
    island.members.get_mut(&conversation(1)).unwrap().clear();
    device.step(Input::Membership { conversation: conversation(1), member: false });
    device.hand_over_read();
    device.run_query(&island);
    island.begin(conversation(1));
    device.step(Input::Membership { conversation: conversation(1), member: true });
    device.settle(&island);
    assert_eq!(device.shown[&conversation(1)], [dot(1, 1)]);
}

#[test]
fn a_device_that_does_not_read_falls_behind_and_syncs_again() {
    let mut island = Island::begun();
    let mut device = Device::synced(&island);
    from_here(&mut device);
    device.step(Input::Unsent(limits::UNSENT_BYTES_MAX + 1));
    let change = island.post(conversation(1), OTHER, 1);
    device.hear_of(&change, &island.site);
    device.say(Ask::List(v1::List::default()));
    device.sync_behind();
    device.step(Input::Unsent(0));
    device.read(&island);
    device.step(Input::Unsent(limits::UNSENT_BYTES_CLOSE + 1));
    check(
        &device,
        &expect![[r#"
        unsent 1048577
        changed 1
            unsubscribe c00010000000000000000000000000001
            send Behind ["c00010000000000000000000000000001"]
        client List
            send #7 Error too_many_outstanding: 64 commands and questions are unanswered, or their answers unread: wait for some, then send again
        client Sync
            send #7 Done  
        unsent 0
            subscribe c00010000000000000000000000000001
            query 3: changes of c00010000000000000000000000000001 after 0, given {}
        read 3
            send Deliver [r1.0000000000000001:1]
            send CaughtUp
        unsent 16777217
            send Error slow_device: more than 16777216 bytes wait for this device: connect again and sync from the last cursors
            close slow_device
    "#]],
    );
}

#[test]
fn one_delivery_is_encoded_once_for_all_devices() {
    let mut island = Island::begun();
    let change = island.post(conversation(1), OTHER, 1_000);
    let delivery = gateway::SharedDelivery::new(change, &island.site.placements[&crate::island::PLACEMENT]);
    for subprotocol in Subprotocol::ALL {
        let one = delivery.payload(subprotocol);
        let other = delivery.payload(subprotocol);
        assert!(std::ptr::eq(one.bytes().as_ptr(), other.bytes().as_ptr()));
    }
}

/// A cursor of the conversation, given by that region, of who was given everything up to that.
fn token(island: &Island, region: u16, upto: crdt::Dot) -> bytes::Bytes {
    let cursor = gateway::cursor::Cursor {
        conversation: conversation(1),
        replica: crate::island::replica(region),
        arrival: region::item::ArrivalNumber(upto.sequence.0),
        cut: [upto].into_iter().collect(),
        highest: Timestamp(upto.sequence.0),
    };
    island.site.placements[&crate::island::PLACEMENT].keys.seal(&cursor).into()
}

#[test]
fn a_cursor_presented_before_this_region_heard_of_the_conversation_counts_once_it_has() {
    let mut island = Island::new(1);
    let mut device = Device::welcomed(&island.site);
    let token = token(&island, 2, dot(2, 7));
    device.say(Ask::Sync(v1::Sync { cursors: vec![token], ..v1::Sync::default() }));
    device.settle(&island);
    island.begin(conversation(1));
    island.post(conversation(1), OTHER, 1);
    from_here(&mut device);
    device.step(Input::Membership { conversation: conversation(1), member: true });
    device.settle(&island);
    check(
        &device,
        &expect![[r#"
        membership true
            send Membership true
            subscribe c00010000000000000000000000000001
            query 3: changes of c00010000000000000000000000000001 after 0, given {r2.0000000000000001:7}
        unsent 0
        read 3
            send Deliver [r1.0000000000000001:1]
            send CaughtUp
        client Acknowledge
            submit 4 to p1: receipt delivered {r1.0000000000000001:1 r2.0000000000000001:7} read nothing
        answered 4: true
            send #7 Done  
    "#]],
    );
}

#[test]
fn what_is_kept_no_longer_is_passed_over_and_the_device_is_told_up_to_where() {
    let mut island = Island::begun();
    for _ in 0..3 {
        island.post(conversation(1), OTHER, 1);
    }
    island.expired = [dot(1, 1), dot(1, 2)].into();
    let mut device = Device::welcomed(&island.site);
    from_here(&mut device);
    device.sync_all();
    device.settle(&island);
    check(
        &device,
        &expect![[r#"
        client Sync
            query 1: memberships in p1
        unsent 0
        read 1
            send #7 Done  
            subscribe c00010000000000000000000000000001
            query 2: changes of c00010000000000000000000000000001 after 0, given {}
        read 2
            send Deliver [r1.0000000000000001:3]
            send CaughtUp, expired {r1.0000000000000001:2}
        client Acknowledge
            submit 3 to p1: receipt delivered {r1.0000000000000001:3} read nothing
        answered 3: true
            send #7 Done  
    "#]],
    );
}

/// A read looks at so many entries and no more: where all of them have gone it gives nothing, and what is behind them waits for the next.
#[test]
fn a_catch_up_reads_on_behind_a_read_in_which_nothing_was_left() {
    let mut island = Island::begun();
    for _ in 0..5 {
        island.post(conversation(1), OTHER, 1);
    }
    island.looked_at_max = 2;
    island.expired = (1..5).map(|sequence| dot(1, sequence)).collect();
    let mut device = Device::welcomed(&island.site);
    from_here(&mut device);
    device.sync_all();
    assert_eq!(shown_after_reading(&mut device, &island), 1);
    check(
        &device,
        &expect![[r#"
            client Sync
                query 1: memberships in p1
            read 1
                send #7 Done  
                subscribe c00010000000000000000000000000001
                query 2: changes of c00010000000000000000000000000001 after 0, given {}
            read 2
                query 3: changes of c00010000000000000000000000000001 after 2, given {r1.0000000000000001:2}
            read 3
                query 4: changes of c00010000000000000000000000000001 after 4, given {r1.0000000000000001:4}
            read 4
                send Deliver [r1.0000000000000001:5]
                send CaughtUp, expired {r1.0000000000000001:4}
        "#]],
    );
}

/// Whoever left or was removed while they were away is in no list: what they were given proves to the region that they were in.
#[test]
fn who_ceased_to_be_a_member_while_away_is_told_so_by_a_sync_with_their_cursor() {
    let mut island = Island::begun();
    island.post(conversation(1), OTHER, 1);
    let token = token(&island, 1, dot(1, 1));
    island.members.get_mut(&conversation(1)).unwrap().clear();
    let mut device = Device::welcomed(&island.site);
    from_here(&mut device);
    device.say(Ask::Sync(v1::Sync { cursors: vec![token], ..v1::Sync::default() }));
    device.settle(&island);
    check(
        &device,
        &expect![[r#"
        client Sync
            query 1: memberships in p1
        unsent 0
        read 1
            send #7 Done  
            subscribe c00010000000000000000000000000001
            query 2: changes of c00010000000000000000000000000001 after 1, given {r1.0000000000000001:1}
        read 2
            send Membership false
            unsubscribe c00010000000000000000000000000001
    "#]],
    );
}

#[test]
fn a_new_membership_syncs_by_itself_and_a_lost_one_ends_delivery() {
    let mut island = Island::new(1);
    let mut device = Device::synced(&island);
    from_here(&mut device);
    island.begin(conversation(1));
    island.post(conversation(1), OTHER, 1);
    device.step(Input::Membership { conversation: conversation(1), member: true });
    device.settle(&island);
    device.step(Input::Membership { conversation: conversation(1), member: false });
    check(
        &device,
        &expect![[r#"
        membership true
            send Membership true
            subscribe c00010000000000000000000000000001
            query 2: changes of c00010000000000000000000000000001 after 0, given {}
        unsent 0
        read 2
            send Deliver [r1.0000000000000001:1]
            send CaughtUp
        client Acknowledge
            submit 3 to p1: receipt delivered {r1.0000000000000001:1} read nothing
        answered 3: true
            send #7 Done  
        membership false
            send Membership false
            unsubscribe c00010000000000000000000000000001
    "#]],
    );
}

#[test]
fn a_device_that_fell_behind_and_asks_for_everything_is_given_what_it_missed() {
    let mut island = Island::begun();
    let mut device = Device::synced(&island);
    device.step(Input::Unsent(limits::UNSENT_BYTES_MAX + 1));
    let change = island.post(conversation(1), OTHER, 1);
    device.hear_of(&change, &island.site);
    device.step(Input::Unsent(0));
    assert!(!device.shown.contains_key(&conversation(1)), "it does not read, so it is sent nothing");
    // Not by name: it asks for all there is, as after a reconnection.
    device.behind.clear();
    device.sync_all();
    device.settle(&island);
    assert_eq!(device.shown[&conversation(1)], [dot(1, 1)]);
}

#[test]
fn a_catch_up_reads_on_up_to_what_may_be_unsent_and_not_beyond() {
    for (unsent, reads) in [(256 * 1024, true), (256 * 1024 + 1, false)] {
        let island = Island::begun();
        let mut device = Device::welcomed(&island.site);
        device.step(Input::Unsent(unsent));
        device.sync_all();
        device.read(&island);
        assert_eq!(device.run_query(&island), reads, "with {unsent} bytes unsent");
    }
}

/// A device that has been given as many batches as may be unacknowledged, of nine that there are.
fn full() -> (Island, Device) {
    let mut island = Island::begun();
    for _ in 0..8 {
        island.post(conversation(1), OTHER, 40_000);
    }
    let mut device = Device::welcomed(&island.site);
    device.sync_all();
    assert_eq!(shown_after_reading(&mut device, &island), limits::UNACKNOWLEDGED_BATCHES_MAX);
    (island, device)
}

fn shown_after_reading(device: &mut Device, island: &Island) -> usize {
    while device.run_query(island) {
        device.hand_over_read();
    }
    device.shown[&conversation(1)].len()
}

#[test]
fn a_read_gives_no_more_batches_than_there_is_room_for_among_the_unacknowledged() {
    let (island, mut device) = full();
    assert!(device.acknowledge());
    assert_eq!(shown_after_reading(&mut device, &island), limits::UNACKNOWLEDGED_BATCHES_MAX + 1);
}

/// A device that thinks itself live, while its stream is read again because changes were missed, gathers its acknowledgements; what its user reads meanwhile is all that it says.
#[test]
fn what_was_read_makes_room_as_what_was_acknowledged_does() {
    let (island, mut device) = full();
    assert!(device.mark_read());
    let shown = shown_after_reading(&mut device, &island);
    assert_eq!(shown, 2 * limits::UNACKNOWLEDGED_BATCHES_MAX, "all that were given were read");
}

#[test]
fn what_sorts_before_what_was_given_is_shared_with_everybody_all_the_same() {
    let mut island = Island::begun();
    let mut device = Device::synced(&island);
    for (sequence, hlc) in [(1, 9), (2, 3)] {
        let change = island.apply(conversation(1), item(OTHER, dot(2, sequence), Timestamp(hlc), 1));
        device.hear_of(&change, &island.site);
    }
    assert_eq!(device.shared, 2);
}

/// The highest timestamp a device was given may be of an entry that it may not see here: it counts beside the cut.
#[test]
fn a_higher_timestamp_than_this_region_has_stays_in_the_cursor() {
    let mut island = Island::begun();
    let keys = &island.site.placements[&crate::island::PLACEMENT].keys;
    let cursor = gateway::cursor::Cursor {
        conversation: conversation(1),
        replica: crate::island::replica(2),
        arrival: region::item::ArrivalNumber(1),
        cut: crdt::Cut::new(),
        highest: Timestamp(9),
    };
    let mut device = Device::welcomed(&island.site);
    device.cursors.insert(conversation(1), keys.seal(&cursor).into());
    device.sync_all();
    device.settle(&island);
    for (hlc, highest, shared) in [(4, 9, 0), (9, 9, 1), (10, 10, 2)] {
        let change = island.apply(conversation(1), item(OTHER, dot(1, hlc), Timestamp(hlc), 1));
        device.hear_of(&change, &island.site);
        let given =
            island.site.placements[&crate::island::PLACEMENT].keys.open(&device.cursors[&conversation(1)]);
        assert_eq!((given.unwrap().highest, device.shared), (Timestamp(highest), shared));
    }
}

#[test]
fn a_new_membership_is_delivered_to_who_wants_everything_and_told_to_everybody() {
    let mut island = Island::begun();
    let joins = |device: &mut Device, number| {
        from_here(device);
        device.step(Input::Membership { conversation: conversation(number), member: true });
        assert!(device.transcript.contains("send Membership true"), "{}", device.transcript);
        device.subscribed.contains(&conversation(number))
    };
    let mut by_name = Device::welcomed(&island.site);
    by_name
        .say(Ask::Sync(v1::Sync { conversations: vec![conversation(1).to_string()], ..v1::Sync::default() }));
    by_name.settle(&island);
    assert!(!joins(&mut by_name, 2), "it asked for one conversation alone");
    let mut all = Device::synced(&island);
    assert!(joins(&mut all, 2));
    // One that fell behind waits until it is synced.
    all.settle(&island);
    all.step(Input::Unsent(limits::UNSENT_BYTES_MAX + 1));
    let change = island.post(conversation(1), OTHER, 1);
    all.hear_of(&change, &island.site);
    all.step(Input::Unsent(0));
    assert!(!joins(&mut all, 1), "it fell behind");
}

fn from_user(number: u128) -> crdt::Identity {
    crdt::Identity { sender: OTHER, message: crdt::MessageId(number) }
}

/// What the device was told to take out of its view, in order.
fn gone(device: &Device) -> Vec<String> {
    let told = device.answers.iter().filter_map(|frame| match frame {
        Frame::DeletedForMe(deleted) => Some(deleted.messages.iter().map(|of| of.message.clone())),
        _ => None,
    });
    told.flatten().collect()
}

#[test]
fn what_a_user_deleted_for_themselves_is_told_first_and_withheld_behind() {
    let mut island = Island::begun();
    let change = island.post(conversation(1), OTHER, 1);
    let hidden = crdt::Identity { sender: change.item.sender, message: change.item.message };
    island.hidden.insert(hidden);
    let mut device = Device::welcomed(&island.site);
    from_here(&mut device);
    device.sync_all();
    device.settle(&island);
    assert_eq!(gone(&device), [hidden.message.to_string()]);
    let (told, given) = (device.transcript.find("DeletedForMe"), device.transcript.find("Deliver"));
    assert!(told.is_some() && told < given, "before what was missing: {}", device.transcript);
    assert_eq!(device.withheld, [dot(1, 1)]);
    // Live, what is about it goes to this device alone; all else in the encoding that all share.
    let shared = device.shared;
    let again = island.apply(conversation(1), taken_elsewhere(&change));
    device.release(&again, &island.site);
    let other = island.post(conversation(1), OTHER, 1);
    device.release(&other, &island.site);
    device.settle(&island);
    assert_eq!(device.withheld, [dot(1, 1), dot(2, 1)]);
    assert_eq!(device.shown[&conversation(1)], [dot(1, 1), dot(2, 1), dot(1, 2)]);
    assert_eq!(device.shared, shared + 1);
    assert_eq!(gone(&device).len(), 1, "what is live is told once");
}

/// The same message, taken again.
fn taken_elsewhere(change: &region::item::Change) -> region::item::Item {
    region::item::Item { dot: dot(2, 1), ..(*change.item).clone() }
}

#[test]
fn a_message_that_is_hidden_while_it_is_read_is_not_given() {
    let mut island = Island::begun();
    let change = island.post(conversation(1), OTHER, 1);
    let hidden = crdt::Identity { sender: change.item.sender, message: change.item.message };
    let mut device = Device::welcomed(&island.site);
    device.sync_all();
    device.read(&island);
    device.run_query(&island);
    island.hidden.insert(hidden);
    device.step(Input::Hidden { conversation: conversation(1), message: hidden });
    assert!(device.hand_over_read());
    assert_eq!(device.shown.get(&conversation(1)), None, "that answer is from before");
    device.settle(&island);
    assert_eq!(device.withheld, [dot(1, 1)]);
    device.step(Input::Hidden { conversation: conversation(1), message: from_user(9) });
    assert_eq!(
        gone(&device),
        [hidden.message.to_string(), hidden.message.to_string(), from_user(9).message.to_string()]
    );
}
