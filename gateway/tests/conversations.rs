//! Conversations with a session, as people read them: what went in, and below it what came out.
//!
//! Each test names its claim; the expected text is rewritten with `UPDATE_EXPECT=1`. The other side is `island`, a region of plain
//! lists, so that what is printed is the session's doing alone.

#![allow(clippy::unwrap_used)]

mod island;

use crdt::{DeviceId, MessageId, Timestamp, UserId};
use expect_test::{Expect, expect};
use gateway::error::TokenRefused;
use gateway::input::Redirect;
use gateway::{Input, limits};
use gateway_protocol::v1::client_frame::Frame as Ask;
use gateway_protocol::{FrameError, Subprotocol, v1};
use island::{DEVICE, Device, Island, OTHER, USER, conversation, dot, hello};
use region::command::{Done, Refusal};
use std::sync::Arc;

fn check(device: &Device, expected: &Expect) {
    expected.assert_eq(&device.transcript);
}

/// Forgets what led here, to show what follows alone.
fn from_here(device: &mut Device) {
    device.transcript.clear();
}

fn send(cursor: &[u8]) -> Ask {
    Ask::Send(v1::Send {
        conversation: conversation(1).to_string(),
        message: MessageId::new(1, 1).to_string(),
        body: "hi".into(),
        seen: cursor.to_vec().into(),
        ..v1::Send::default()
    })
}

#[test]
fn hello_is_answered_by_a_welcome() {
    let device = Device::welcomed(&Island::new(1).site);
    check(
        &device,
        &expect![[r#"
            timer at 1010000 ms
        client Hello
            authenticate a token of 1 bytes
        token good
            watch u0001000000000001
            send #7 Welcome u0001000000000001 to region-1
    "#]],
    );
}

#[test]
fn what_comes_before_the_welcome_or_does_not_fit_is_refused_by_name_and_closed() {
    let island = Island::new(1);
    let mut transcripts = String::new();
    let versions = |min, max| {
        Ask::Hello(v1::Hello { token: "t".into(), version_min: min, version_max: max, client: String::new() })
    };
    for frame in [Ask::Ping(v1::Ping {}), versions(0, 0), versions(2, 3)] {
        let mut device = Device::connect(&island.site);
        device.say(frame);
        transcripts.push_str(&device.transcript);
        assert!(device.closed.is_some());
    }
    for refused in [TokenRefused::Expired, TokenRefused::WrongCluster, TokenRefused::Invalid("signature")] {
        let mut device = Device::connect(&island.site);
        device.say(hello());
        device.step(Input::Authenticated(Err(refused)));
        transcripts.push_str(&device.transcript);
        assert!(device.closed.is_some());
    }
    let mut device = Device::connect(&island.site);
    device.say(hello());
    device.authenticate(UserId::new(crdt::PlacementId(9), 1), DEVICE);
    transcripts.push_str(&device.transcript);
    let mut device = Device::connect(&island.site);
    device.now = device.now.plus_ms(limits::HELLO_MS);
    device.step(Input::Timer);
    transcripts.push_str(&device.transcript);
    expect![[r#"
            timer at 1010000 ms
        client Ping
            send #7 Error hello_expected: a hello must be the first frame, and nothing may follow it until the welcome: connect again
            close hello_expected
            timer at 1010000 ms
        client Hello
            send #7 Error version_too_old: version 0 is below the minimum of 1: upgrade the client
            close version_too_old
            timer at 1010000 ms
        client Hello
            send #7 Error version_too_new: version 2 is above 1, the highest that this region speaks: let the client speak that one, or upgrade the region
            close version_too_new
            timer at 1010000 ms
        client Hello
            authenticate a token of 1 bytes
        token bad
            send #7 Error token_expired: the token has expired: get a new one
            close token_expired
            timer at 1010000 ms
        client Hello
            authenticate a token of 1 bytes
        token bad
            send #7 Error token_wrong_cluster: the token is for another cluster: get one for this
            close token_wrong_cluster
            timer at 1010000 ms
        client Hello
            authenticate a token of 1 bytes
        token bad
            send #7 Error token_invalid: the token is not valid (signature): get a new one
            close token_invalid
            timer at 1010000 ms
        client Hello
            authenticate a token of 1 bytes
        token good
            send #7 Error user_not_here: users of placement p9 cannot be served in this region, which has no part in it: connect to a region of that placement
            close user_not_here
            timer at 1010000 ms
        timer at 1010000 ms
            send Error hello_timeout: no hello came within 10 seconds: connect again and say it at once
            close hello_timeout
    "#]].assert_eq(&transcripts);
}

#[test]
fn a_later_hello_renews_the_token_of_the_same_device_alone() {
    let mut device = Device::welcomed(&Island::new(1).site);
    from_here(&mut device);
    device.say(hello());
    device.authenticate(USER, DEVICE);
    device.say(hello());
    device.authenticate(USER, DeviceId(2));
    check(
        &device,
        &expect![[r#"
            client Hello
                authenticate a token of 1 bytes
            token good
                send #7 Welcome u0001000000000001 to region-1
            client Hello
                authenticate a token of 1 bytes
            token good
                send #7 Error token_wrong_user: the new token is of another user or device than this connection's: open another connection for it
                close token_wrong_user
        "#]],
    );
}

#[test]
fn a_device_is_live_only_when_it_has_been_given_everything() {
    let mut island = Island::new(1);
    island.begin(conversation(1));
    island.post(conversation(1), OTHER, 1);
    let mut device = Device::welcomed(&island.site);
    from_here(&mut device);
    device.sync_all();
    device.run_query(&island);
    device.hand_over_read();
    // The read is run, and only then the next message is posted: the read must not make the conversation live.
    device.run_query(&island);
    let change = island.post(conversation(1), OTHER, 1);
    device.release(&change, &island.site);
    device.hand_over_change();
    device.hand_over_read();
    device.run_query(&island);
    device.hand_over_read();
    let change = island.post(conversation(1), OTHER, 1);
    device.release(&change, &island.site);
    device.hand_over_change();
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

#[test]
fn a_read_under_way_when_changes_are_missed_does_not_make_live() {
    let mut island = Island::new(1);
    island.begin(conversation(1));
    let mut device = Device::welcomed(&island.site);
    device.sync_all();
    device.run_query(&island);
    device.hand_over_read();
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
    let mut island = Island::new(1);
    island.begin(conversation(1));
    let mut device = Device::welcomed(&island.site);
    device.sync_all();
    device.run_query(&island);
    device.hand_over_read();
    let change = island.post(conversation(1), OTHER, 1);
    device.release(&change, &island.site);
    device.settle(&island);
    let state = device.session.to_string();
    let delivery = gateway::SharedDelivery::new(change, &island.site.placements[&island::PLACEMENT]);
    let later = island.post(conversation(1), OTHER, 1);
    device.release(&later, &island.site);
    device.hand_over_change();
    from_here(&mut device);
    device.step(Input::Changed(delivery));
    assert_eq!(device.transcript, "changed 1\n");
    assert_eq!(device.shown[&conversation(1)], [dot(1, 1), dot(1, 2)]);
    assert!(device.session.to_string().contains("live after 2"), "{state}");
}

#[test]
fn a_read_that_missed_a_new_membership_is_repeated() {
    let mut island = Island::new(1);
    island.begin(conversation(1));
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
    let mut island = Island::new(1);
    island.begin(conversation(1));
    let mut device = Device::welcomed(&island.site);
    device.sync_all();
    device.settle(&island);
    from_here(&mut device);
    device.step(Input::Unsent(limits::UNSENT_BYTES_MAX + 1));
    let change = island.post(conversation(1), OTHER, 1);
    device.release(&change, &island.site);
    device.hand_over_change();
    device.say(Ask::List(v1::List::default()));
    device.sync_behind();
    device.step(Input::Unsent(0));
    device.run_query(&island);
    device.hand_over_read();
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
    let mut island = Island::new(1);
    island.begin(conversation(1));
    let change = island.post(conversation(1), OTHER, 1_000);
    let delivery = gateway::SharedDelivery::new(change, &island.site.placements[&island::PLACEMENT]);
    for subprotocol in Subprotocol::ALL {
        let one = delivery.payload(subprotocol);
        let other = delivery.payload(subprotocol);
        assert!(std::ptr::eq(one.bytes().as_ptr(), other.bytes().as_ptr()));
    }
}

#[test]
fn a_message_is_answered_and_its_ticks_come_gathered() {
    let mut island = Island::new(1);
    island.begin(conversation(1));
    let mut device = Device::welcomed(&island.site);
    device.sync_all();
    device.settle(&island);
    from_here(&mut device);
    device.say(send(&[]));
    let ticket = device.tickets.pop().unwrap();
    let change = island.post(conversation(1), USER, 1);
    let done = Done::Operation {
        conversation: conversation(1),
        command: MessageId::new(1, 1),
        dot: change.item.dot,
        hlc: Timestamp(1),
    };
    device.step(Input::Answered { ticket, result: Ok(done) });
    let grown = |cut: &[crdt::Dot]| Arc::new(cut.iter().copied().collect::<crdt::Cut>());
    for (device_of, cut) in
        [(5, vec![]), (5, vec![dot(1, 1)]), (5, vec![dot(1, 1), dot(2, 9)]), (6, vec![dot(1, 1)])]
    {
        device.step(Input::Receipt {
            conversation: conversation(1),
            user: OTHER,
            device: DeviceId(device_of),
            delivered: grown(&cut),
            read: grown(&[]),
        });
    }
    device
        .step(Input::Stable { partition: conversation(1).partition(), cut: grown(&[dot(1, 7), dot(2, 2)]) });
    device.now = device.now.plus_ms(limits::TICKS_MS);
    device.step(Input::Timer);
    // What says nothing new about the user's messages is not sent.
    device
        .step(Input::Stable { partition: conversation(1).partition(), cut: grown(&[dot(1, 8), dot(2, 2)]) });
    check(
        &device,
        &expect![[r#"
            client Send
                watch ticks of c00010000000000000000000000000001
                submit 3 to p1: post 2 bytes in c00010000000000000000000000000001, having seen nothing
            answered 3: true
                send #7 Done 00000000-0001-7000-8000-000000000001 r1.0000000000000001:1
                query 4: what is stable of c00010000000000000000000000000001
            receipt of d0000000000000005
            receipt of d0000000000000005
                timer at 1000250 ms
            receipt of d0000000000000005
            receipt of d0000000000000006
            stable
            timer at 1000250 ms
                send Receipts d0000000000000005 delivered {r1.0000000000000001:1} read {}, d0000000000000006 delivered {r1.0000000000000001:1} read {}
                send Stable {r1.0000000000000001:1}
                timer at 1090000 ms
            stable
        "#]],
    );
}

#[test]
fn a_cursor_presented_before_this_region_heard_of_the_conversation_counts_once_it_has() {
    let mut island = Island::new(1);
    let elsewhere = island::replica(2);
    let mut device = Device::welcomed(&island.site);
    let cursor = gateway::cursor::Cursor {
        conversation: conversation(1),
        replica: elsewhere,
        arrival: region::item::ArrivalNumber(2),
        cut: [dot(2, 7)].into_iter().collect(),
        highest: Timestamp(9),
    };
    let token = island.site.placements[&island::PLACEMENT].keys.seal(&cursor);
    device.say(Ask::Sync(v1::Sync { cursors: vec![token.into()], ..v1::Sync::default() }));
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
            query 2: changes of c00010000000000000000000000000001 after 0, given {r2.0000000000000001:7}
        unsent 0
        read 2
            send Deliver [r1.0000000000000001:1]
            send CaughtUp
        client Acknowledge
            submit 3 to p1: receipt delivered {r1.0000000000000001:1 r2.0000000000000001:7} read nothing
        answered 3: true
            send #7 Done  
    "#]],
    );
}

#[test]
fn a_command_of_any_kind_is_told_to_be_stable_also_when_that_is_long_so() {
    let mut island = Island::new(1);
    let mut device = Device::welcomed(&island.site);
    device.sync_all();
    device.settle(&island);
    from_here(&mut device);
    let (id, command) = (conversation(1).to_string(), MessageId::new(1, 1));
    device.say(Ask::Leave(v1::Leave { conversation: id, command: command.to_string() }));
    let ticket = device.tickets.pop().unwrap();
    island.stable = [dot(1, 5)].into_iter().collect();
    let done = Done::Operation { conversation: conversation(1), command, dot: dot(1, 4), hlc: Timestamp(1) };
    device.step(Input::Answered { ticket, result: Ok(done) });
    device.settle(&island);
    device.now = device.now.plus_ms(limits::TICKS_MS);
    device.step(Input::Timer);
    check(
        &device,
        &expect![[r#"
        client Leave
            watch ticks of c00010000000000000000000000000001
            submit 2 to p1: leave c00010000000000000000000000000001
        answered 2: true
            send #7 Done 00000000-0001-7000-8000-000000000001 r1.0000000000000001:4
            query 3: what is stable of c00010000000000000000000000000001
        unsent 0
        read 3
            timer at 1000250 ms
        timer at 1000250 ms
            send Stable {r1.0000000000000001:4}
            timer at 1090000 ms
    "#]],
    );
}

#[test]
fn who_has_left_hears_of_no_receipts_and_of_a_stable_leave_also_when_that_was_missed() {
    let mut island = Island::new(1);
    island.begin(conversation(1));
    island.post(conversation(1), USER, 1);
    let mut device = Device::welcomed(&island.site);
    device.sync_all();
    device.settle(&island);
    let (id, command) = (conversation(1).to_string(), MessageId::new(1, 1));
    device.say(Ask::Leave(v1::Leave { conversation: id, command: command.to_string() }));
    let ticket = device.tickets.pop().unwrap();
    let done = Done::Operation { conversation: conversation(1), command, dot: dot(1, 4), hlc: Timestamp(1) };
    island.members.get_mut(&conversation(1)).unwrap().remove(&USER);
    device.step(Input::Membership { conversation: conversation(1), member: false });
    device.step(Input::Answered { ticket, result: Ok(done) });
    from_here(&mut device);
    let delivered = Arc::new([dot(1, 4)].into_iter().collect::<crdt::Cut>());
    device.step(Input::Receipt {
        conversation: conversation(1),
        user: OTHER,
        device: DeviceId(5),
        delivered,
        read: Arc::default(),
    });
    island.stable = [dot(1, 5)].into_iter().collect();
    device.step(Input::Missed);
    device.settle(&island);
    device.now = device.now.plus_ms(limits::TICKS_MS);
    device.step(Input::Timer);
    check(
        &device,
        &expect![[r#"
            receipt of d0000000000000005
            missed
                query 6: memberships in p1
                query 7: what is stable of c00010000000000000000000000000001
            unsent 0
            read 5
                timer at 1000250 ms
            read 6
            read 7
            timer at 1000250 ms
                send Stable {r1.0000000000000001:4}
                timer at 1090000 ms
        "#]],
    );
}

#[test]
fn a_device_that_was_away_is_told_of_receipts_of_its_earlier_messages() {
    let mut island = Island::new(1);
    island.begin(conversation(1));
    island.post(conversation(1), USER, 1);
    let mut before = Device::welcomed(&island.site);
    before.sync_all();
    before.settle(&island);
    let mut device = Device::welcomed(&island.site);
    device.cursors = before.cursors;
    device.sync_all();
    device.settle(&island);
    from_here(&mut device);
    device.say(Ask::GetReceipts(v1::GetReceipts { conversation: conversation(1).to_string() }));
    device.settle(&island);
    device.step(Input::Receipt {
        conversation: conversation(1),
        user: OTHER,
        device: DeviceId(5),
        delivered: Arc::new([dot(1, 1)].into_iter().collect()),
        read: Arc::default(),
    });
    device.now = device.now.plus_ms(limits::TICKS_MS);
    device.step(Input::Timer);
    check(
        &device,
        &expect![[r#"
        client GetReceipts
            watch ticks of c00010000000000000000000000000001
            query 3: receipts of c00010000000000000000000000000001
        unsent 0
        read 3
            send #7 Receipts 
        receipt of d0000000000000005
            timer at 1000250 ms
        timer at 1000250 ms
            send Receipts d0000000000000005 delivered {r1.0000000000000001:1} read {}
            timer at 1090000 ms
    "#]],
    );
}

#[test]
fn refusals_name_what_they_are_about() {
    let mut island = Island::new(1);
    island.begin(conversation(1));
    island.begin(conversation(2));
    island.post(conversation(2), OTHER, 1);
    let mut device = Device::welcomed(&island.site);
    device.sync_all();
    device.settle(&island);
    let foreign = device.cursors[&conversation(2)].clone();
    let mut forged = foreign.to_vec();
    *forged.last_mut().unwrap() ^= 1;
    from_here(&mut device);
    device.say(send(&foreign));
    device.say(Ask::Acknowledge(v1::Acknowledge { cursor: forged.into() }));
    device.say(Ask::Read(v1::Read { cursor: vec![1, 2, 3].into() }));
    device.say(Ask::AddMember(v1::AddMember {
        conversation: conversation(1).to_string(),
        command: MessageId::new(1, 2).to_string(),
        user: "bob".into(),
    }));
    let elsewhere = crdt::ConversationId::group(crdt::PlacementId(9), 1).to_string();
    device.say(Ask::GetReceipts(v1::GetReceipts { conversation: elsewhere }));
    device.say(send(&[]));
    let ticket = device.tickets.pop().unwrap();
    device.step(Input::Answered { ticket, result: Err(Refusal::UnknownConversation(conversation(1))) });
    device.step(Input::Frame(Err(FrameError::Unknown { request: 3 })));
    device.step(Input::Frame(Err(FrameError::WrongKind(Subprotocol::Json))));
    check(
        &device,
        &expect![[r#"
            client Send
                send #7 Error cursor_wrong_conversation: the cursor belongs to c00010000000000000000000000000002, not to c00010000000000000000000000000001: use that conversation's own
            client Acknowledge
                send #7 Error cursor_forged: the cursor of c00010000000000000000000000000002 was not made by this placement's regions, or was changed: sync it without a cursor
            client Read
                send #7 Error cursor_malformed: the cursor is malformed: send it exactly as it was received
            client AddMember
                send #7 Error malformed_id: field `user`: `bob` is not a user id: it has the form `u0001000000000abc`
            client GetReceipts
                send #7 Error wrong_placement: conversation c00090000000000000000000000000001 lives in a placement that this region has no part in: connect to a region of that placement
            client Send
                watch ticks of c00010000000000000000000000000001
                submit 5 to p1: post 2 bytes in c00010000000000000000000000000001, having seen nothing
            answered 5: false
                send #7 Error unknown_conversation: there is no conversation c00010000000000000000000000000001 for you here: check the id, or wait until this region has heard of it
            client unknown_frame
                send #3 Error unknown_frame: the frame holds nothing that version 1 knows: see `version` in the welcome
            client wrong_frame_kind
                send Error wrong_frame_kind: subprotocol archipelago.v1+json sends text messages and this one was not: connect again with the subprotocol you speak
                close wrong_frame_kind
        "#]],
    );
}

#[test]
fn only_so_much_is_under_way() {
    let island = Island::new(1);
    let mut device = Device::welcomed(&island.site);
    for _ in 0..limits::OUTSTANDING_MAX {
        device.say(send(&[]));
    }
    from_here(&mut device);
    device.say(send(&[]));
    let ticket = device.tickets.pop().unwrap();
    device.step(Input::Answered { ticket, result: Err(Refusal::Busy { retry_after_ms: 40 }) });
    device.say(send(&[]));
    check(
        &device,
        &expect![[r#"
        client Send
            send #7 Error too_many_outstanding: 64 commands and questions are unanswered, or their answers unread: wait for some, then send again
        answered 64: false
            send #7 Error busy: the region is busy: send again in 40 ms
        client Send
            submit 65 to p1: post 2 bytes in c00010000000000000000000000000001, having seen nothing
    "#]],
    );
}

#[test]
fn silence_ends_a_connection_and_a_draining_region_sends_it_away() {
    let island = Island::new(1);
    let mut device = Device::welcomed(&island.site);
    from_here(&mut device);
    device.now = device.now.plus_ms(limits::SILENCE_MS - 1);
    device.step(Input::Timer);
    device.say(Ask::Ping(v1::Ping {}));
    device.now = device.now.plus_ms(limits::SILENCE_MS);
    device.step(Input::Timer);
    check(
        &device,
        &expect![[r#"
        timer at 1089999 ms
            timer at 1090000 ms
        client Ping
            send #7 Pong
        timer at 1179999 ms
            send Error heartbeat_missed: nothing was heard for 90 seconds: connect again, and ping when idle
            close heartbeat_missed
    "#]],
    );
    let mut device = Device::welcomed(&island.site);
    from_here(&mut device);
    device.step(Input::Drain(Some(Redirect { region: "far".into(), url: "wss://far:1".into() })));
    device.now = device.now.plus_ms(limits::DRAIN_SPREAD_MS);
    device.step(Input::Timer);
    check(
        &device,
        &expect![[r#"
        drain
            timer at 1001649 ms
        timer at 1002000 ms
            send Redirect to far
            send Error region_draining: this region is shutting down: connect to another, or here again later
            close region_draining
    "#]],
    );
}

#[test]
fn the_state_printer_says_where_each_conversation_stands() {
    let mut island = Island::new(1);
    island.begin(conversation(1));
    island.begin(conversation(2));
    island.post(conversation(1), OTHER, 1);
    let mut device = Device::welcomed(&island.site);
    device.sync_all();
    device.run_query(&island);
    device.hand_over_read();
    device.run_query(&island);
    device.hand_over_read();
    expect![[r#"
        u0001000000000001 on d0000000000000001
        under way 0 · unsent 0 B · unacknowledged 1 · behind 0 · ticks of 0
        c00010000000000000000000000000001: live after 1, given {r1.0000000000000001:1}
        c00010000000000000000000000000002: catching up after 0, given {}
    "#]]
    .assert_eq(&device.session.to_string());
}

#[test]
fn a_new_membership_syncs_by_itself_and_a_lost_one_ends_delivery() {
    let mut island = Island::new(1);
    let mut device = Device::welcomed(&island.site);
    device.sync_all();
    device.settle(&island);
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
