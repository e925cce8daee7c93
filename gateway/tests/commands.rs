//! How commands are answered, refused and told to be stable, and receipts told, as people read it: what went in, and below it what came out.
//!
//! Each test names its claim; the expected text is rewritten with `UPDATE_EXPECT=1`. The other side is `island`, a region of plain
//! lists, so that what is printed is the session's doing alone.

use crate::island::{Device, Island, OTHER, USER, check, conversation, dot, from_here, send};
use crdt::{DeviceId, MessageId, Timestamp};
use expect_test::expect;
use gateway::{Input, limits};
use gateway_protocol::v1::client_frame::Frame as Ask;
use gateway_protocol::{FrameError, Subprotocol, v1};
use region::command::{Done, Refusal};
use std::sync::Arc;

#[test]
fn a_message_is_answered_and_its_ticks_come_gathered() {
    let mut island = Island::begun();
    let mut device = Device::synced(&island);
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
fn a_message_that_was_done_is_proved_to_another_session_and_another_message_is_not() {
    let island = Island::begun();
    let mut first = Device::welcomed(&island.site);
    first.say(send(&[]));
    let (ticket, dot) = (first.tickets.pop().unwrap(), dot(1, 1));
    let (conversation, command, hlc) = (conversation(1), MessageId::new(1, 1), Timestamp(1));
    let done = Done::Operation { conversation, command, dot, hlc };
    first.step(Input::Answered { ticket, result: Ok(done) });
    let Ask::Send(message) = send(&[]) else { unreachable!("it sends") };
    let again = v1::Send { acceptance: first.acceptance.clone(), ..message };
    let mut second = Device::welcomed(&island.site);
    from_here(&mut second);
    second.say(Ask::Send(again.clone()));
    second.say(Ask::Send(v1::Send { body: "ho".into(), ..again.clone() }));
    second.say(Ask::Send(v1::Send { acceptance: "none".into(), ..again }));
    check(
        &second,
        &expect![[r#"
        client Send
            watch ticks of c00010000000000000000000000000001
            submit 1 to p1: post 2 bytes in c00010000000000000000000000000001, having seen nothing, taken before
        client Send
            submit 2 to p1: post 2 bytes in c00010000000000000000000000000001, having seen nothing
        client Send
            submit 3 to p1: post 2 bytes in c00010000000000000000000000000001, having seen nothing
    "#]],
    );
}

#[test]
fn a_command_of_any_kind_is_told_to_be_stable_also_when_that_is_long_so() {
    let mut island = Island::new(1);
    let mut device = Device::synced(&island);
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
    let mut island = Island::begun();
    island.post(conversation(1), USER, 1);
    let mut device = Device::synced(&island);
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

/// Seed 20301 of `storm-of-everything`: what the device had written there stayed in its outbox.
#[test]
fn who_is_found_to_have_left_by_a_read_hears_all_the_same_of_what_became_stable() {
    let mut island = Island::begun();
    let mut device = Device::synced(&island);
    device.say(send(&[]));
    let ticket = device.tickets.pop().unwrap();
    let (command, hlc) = (MessageId::new(1, 1), Timestamp(1));
    let done = Done::Operation { conversation: conversation(1), command, dot: dot(1, 4), hlc };
    device.step(Input::Answered { ticket, result: Ok(done) });
    island.members.get_mut(&conversation(1)).unwrap().remove(&USER);
    island.stable = [dot(1, 5)].into_iter().collect();
    from_here(&mut device);
    device.step(Input::Missed);
    device.settle(&island);
    device.now = device.now.plus_ms(limits::TICKS_MS);
    device.step(Input::Timer);
    check(
        &device,
        &expect![[r#"
        missed
            query 5: memberships in p1
            query 6: changes of c00010000000000000000000000000001 after 0, given {}
        unsent 0
        read 4
            timer at 1000250 ms
        read 5
        read 6
            send Membership false
            unsubscribe c00010000000000000000000000000001
            query 7: what is stable of c00010000000000000000000000000001
        read 7
        timer at 1000250 ms
            send Stable {r1.0000000000000001:4}
            timer at 1090000 ms
    "#]],
    );
}

#[test]
fn a_device_that_was_away_is_told_of_receipts_of_its_earlier_messages() {
    let mut island = Island::begun();
    island.post(conversation(1), USER, 1);
    let before = Device::synced(&island);
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
fn what_was_read_is_told_to_others_unless_it_is_to_be_quiet() {
    let mut island = Island::begun();
    island.post(conversation(1), OTHER, 1);
    let mut device = Device::synced(&island);
    let cursor = device.cursors[&conversation(1)].clone();
    from_here(&mut device);
    for quiet in [false, true] {
        device.say(Ask::Read(v1::Read { cursor: cursor.clone(), quiet }));
    }
    check(
        &device,
        &expect![[r#"
        client Read
            submit 4 to p1: receipt delivered {r1.0000000000000001:1} read {r1.0000000000000001:1}
        client Read
            submit 5 to p1: receipt, quietly read {r1.0000000000000001:1}
    "#]],
    );
}

#[test]
fn a_message_is_deleted_for_its_user_by_name_or_refused_by_field() {
    let island = Island::begun();
    let mut device = Device::welcomed(&island.site);
    from_here(&mut device);
    let (sender, message) = (OTHER.to_string(), MessageId::new(1, 2).to_string());
    let named = v1::DeleteForMe {
        conversation: conversation(1).to_string(),
        command: MessageId::new(1, 3).to_string(),
        target: Some(v1::MessageRef { sender, message }),
    };
    device.say(Ask::DeleteForMe(named.clone()));
    device.say(Ask::DeleteForMe(v1::DeleteForMe { target: None, ..named.clone() }));
    device.say(Ask::DeleteForMe(v1::DeleteForMe { command: "x".into(), ..named }));
    check(
        &device,
        &expect![[r#"
        client DeleteForMe
            watch ticks of c00010000000000000000000000000001
            submit 1 to p1: hide 00000000-0001-7000-8000-000000000002 of u0001000000000002 in c00010000000000000000000000000001
        client DeleteForMe
            send #7 Error missing_field: field `target` is missing: fill it in
        client DeleteForMe
            send #7 Error malformed_id: field `command`: `x` is not a message id: it has the form `01890a5d-ac96-774b-bcce-b302099a8057`
    "#]],
    );
}

#[test]
fn refusals_name_what_they_are_about() {
    let mut island = Island::begun();
    island.begin(conversation(2));
    island.post(conversation(2), OTHER, 1);
    let mut device = Device::synced(&island);
    let foreign = device.cursors[&conversation(2)].clone();
    let mut forged = foreign.to_vec();
    *forged.last_mut().unwrap() ^= 1;
    from_here(&mut device);
    device.say(send(&foreign));
    device.say(Ask::Acknowledge(v1::Acknowledge { cursor: forged.into() }));
    device.say(Ask::Read(v1::Read { cursor: vec![1, 2, 3].into(), quiet: false }));
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
fn what_is_done_to_a_message_is_read_or_refused_by_name() {
    let mut island = Island::begun();
    island.post(conversation(1), OTHER, 1);
    let mut device = Device::synced(&island);
    let seen = device.cursors[&conversation(1)].clone();
    from_here(&mut device);
    let (conversation, command) = (conversation(1).to_string(), MessageId::new(1, 2).to_string());
    let target =
        Some(v1::MessageRef { sender: OTHER.to_string(), message: MessageId::new(1, 1).to_string() });
    let react = |emoji: &str, withdraw| {
        let (conversation, command, target) = (conversation.clone(), command.clone(), target.clone());
        Ask::React(v1::React { conversation, command, target, emoji: emoji.into(), withdraw })
    };
    let edit = |seen: &[u8]| {
        let (conversation, command, target) = (conversation.clone(), command.clone(), target.clone());
        let (body, seen) = (b"new".to_vec().into(), seen.to_vec().into());
        Ask::Edit(v1::Edit { conversation, command, target, body, seen })
    };
    device.say(edit(&seen));
    device.say(edit(&[1, 2, 3]));
    device.say(Ask::Delete(v1::Delete {
        conversation: conversation.clone(),
        command: command.clone(),
        target: target.clone(),
    }));
    device.say(Ask::Delete(v1::Delete {
        conversation: conversation.clone(),
        command: command.clone(),
        target: None,
    }));
    device.say(react("👍", false));
    device.say(react("👍", true));
    device.say(react("👍👍", false));
    device.say(react(&"👍".repeat(2_500), false));
    check(
        &device,
        &expect![[r#"
        client Edit
            watch ticks of c00010000000000000000000000000001
            submit 4 to p1: edit into 3 bytes: 00000000-0001-7000-8000-000000000001 of u0001000000000002 in c00010000000000000000000000000001
        client Edit
            send #7 Error cursor_malformed: the cursor is malformed: send it exactly as it was received
        client Delete
            submit 5 to p1: delete: 00000000-0001-7000-8000-000000000001 of u0001000000000002 in c00010000000000000000000000000001
        client Delete
            send #7 Error missing_field: field `target` is missing: fill it in
        client React
            submit 6 to p1: react 👍: 00000000-0001-7000-8000-000000000001 of u0001000000000002 in c00010000000000000000000000000001
        client React
            submit 7 to p1: withdraw 👍: 00000000-0001-7000-8000-000000000001 of u0001000000000002 in c00010000000000000000000000000001
        client React
            send #7 Error not_an_emoji: field `emoji`: a reaction is one emoji of at most 64 bytes: send one, as a keyboard gives it
        client React
            send #7 Error not_an_emoji: field `emoji`: a reaction is one emoji of at most 64 bytes: send one, as a keyboard gives it
    "#]],
    );
}

#[test]
fn changes_of_a_group_are_read_or_refused_by_name() {
    let island = Island::new(1);
    let mut device = Device::welcomed(&island.site);
    from_here(&mut device);
    let (conversation, command) = (conversation(1).to_string(), MessageId::new(1, 2).to_string());
    let (named, user) = ((conversation.clone(), command.clone()), OTHER.to_string());
    let remove = |user: &str| {
        let (conversation, command) = named.clone();
        Ask::RemoveMember(v1::RemoveMember { conversation, command, user: user.to_owned() })
    };
    device.say(remove(&user));
    device.say(remove("bob"));
    let (conversation, command) = named.clone();
    device.say(Ask::Promote(v1::Promote { conversation, command, user: user.clone() }));
    let (conversation, command) = named.clone();
    device.say(Ask::Demote(v1::Demote { conversation, command, user }));
    let (conversation, command) = named.clone();
    device.say(Ask::Claim(v1::Claim { conversation, command }));
    let ticket = device.tickets.pop().unwrap();
    let why = crdt::roster::NotAllowed::AdminsRemain;
    let result = Err(Refusal::NotAllowed { conversation: self::conversation(1), why });
    device.step(Input::Answered { ticket, result });
    check(
        &device,
        &expect![[r#"
        client RemoveMember
            watch ticks of c00010000000000000000000000000001
            submit 1 to p1: remove u0001000000000002 from c00010000000000000000000000000001
        client RemoveMember
            send #7 Error malformed_id: field `user`: `bob` is not a user id: it has the form `u0001000000000abc`
        client Promote
            submit 2 to p1: promote u0001000000000002 in c00010000000000000000000000000001
        client Demote
            submit 3 to p1: demote u0001000000000002 in c00010000000000000000000000000001
        client Claim
            submit 4 to p1: claim c00010000000000000000000000000001
        answered 4: false
            send #7 Error admins_remain: the group has admins: ask one of them to promote you
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
