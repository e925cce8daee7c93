//! Small stories of what is sent and refused, told as what goes in (`>`) and what comes out, for the cases that a storm meets too rarely to read.
//!
//! What must always hold: each name is the claim, and the text below it shows that claim and nothing that contradicts it.

use crdt::{ConversationId, MessageId, PlacementId};
use expect_test::expect;
use gateway_client::{Act, ConnectionId, Input, LocalRefusal, MembersWish, limits};
use gateway_protocol::v1;
use gateway_protocol::v1::server_frame::Frame as Told;

use crate::story::{ME, Story, conversation, deliver, done, error, post, welcome};

#[test]
fn a_refusal_for_the_moment_holds_up_the_conversation_and_nothing_overtakes() {
    let mut story = Story::live();
    story.send(1, 1);
    story.send(1, 2);
    story.hear(1, 3, error("busy", true));
    story.hear(1, 4, error("predecessor_missing", false));
    story.wait();
    story.done(5, 1, "r1.0000000000000001:1");
    story.done(6, 2, "r1.0000000000000001:2");
    story.check(expect![[r#"
        > send 1 in p1
        send 1 {"request":"3","send":{"conversation":"c00010000000000000000000000000007","message":"00000000-0000-0000-0000-000000000001","body":"eA==","sentAtMs":"1000000"}}
        > send 2 in p1
        send 1 {"request":"4","send":{"conversation":"c00010000000000000000000000000007","message":"00000000-0000-0000-0000-000000000002","body":"eA==","sentAtMs":"1000000","after":"00000000-0000-0000-0000-000000000001"}}
        > 1000 ms later
        send 1 {"request":"5","send":{"conversation":"c00010000000000000000000000000007","message":"00000000-0000-0000-0000-000000000001","body":"eA==","sentAtMs":"1000000"}}
        send 1 {"request":"6","send":{"conversation":"c00010000000000000000000000000007","message":"00000000-0000-0000-0000-000000000002","body":"eA==","sentAtMs":"1000000","after":"00000000-0000-0000-0000-000000000001"}}
        Acknowledged { conversation: ConversationId(5192296858534827628530496329220103), command: MessageId(1), place: Some(Place { hlc: Timestamp(65536), dot: Dot { replica: ReplicaId { region: RegionId(1), incarnation: Incarnation(1) }, sequence: Sequence(1) } }) }
        Acknowledged { conversation: ConversationId(5192296858534827628530496329220103), command: MessageId(2), place: Some(Place { hlc: Timestamp(65536), dot: Dot { replica: ReplicaId { region: RegionId(1), incarnation: Incarnation(1) }, sequence: Sequence(2) } }) }
    "#]]);
}

#[test]
fn messages_go_ahead_of_answers_and_each_names_the_one_before_it() {
    let mut story = Story::live();
    for message in 1..=3 {
        story.send(1, message);
    }
    story.done(3, 1, "r1.0000000000000001:1");
    story.send(1, 4);
    story.check(expect![[r#"
        > send 1 in p1
        send 1 {"request":"3","send":{"conversation":"c00010000000000000000000000000007","message":"00000000-0000-0000-0000-000000000001","body":"eA==","sentAtMs":"1000000"}}
        > send 2 in p1
        send 1 {"request":"4","send":{"conversation":"c00010000000000000000000000000007","message":"00000000-0000-0000-0000-000000000002","body":"eA==","sentAtMs":"1000000","after":"00000000-0000-0000-0000-000000000001"}}
        > send 3 in p1
        send 1 {"request":"5","send":{"conversation":"c00010000000000000000000000000007","message":"00000000-0000-0000-0000-000000000003","body":"eA==","sentAtMs":"1000000","after":"00000000-0000-0000-0000-000000000002"}}
        Acknowledged { conversation: ConversationId(5192296858534827628530496329220103), command: MessageId(1), place: Some(Place { hlc: Timestamp(65536), dot: Dot { replica: ReplicaId { region: RegionId(1), incarnation: Incarnation(1) }, sequence: Sequence(1) } }) }
        > send 4 in p1
        send 1 {"request":"6","send":{"conversation":"c00010000000000000000000000000007","message":"00000000-0000-0000-0000-000000000004","body":"eA==","sentAtMs":"1000000","after":"00000000-0000-0000-0000-000000000003"}}
    "#]]);
    for message in 5..100 {
        story.text.clear();
        story.send(1, message);
    }
    story.check(expect![[r#"
        > send 99 in p1
    "#]]);
    let sent = story.client.held().into_iter().find(|held| held.what.contains("of one conversation"));
    assert_eq!(sent.map(|held| held.held), Some(limits::IN_FLIGHT_OF_ONE_MAX));
}

#[test]
fn what_is_no_message_is_waited_for_and_waits() {
    let mut story = Story::live();
    story.send(1, 1);
    story.act("leave", Act::ChangeMembers { conversation: conversation(1), wish: MembersWish::Leave });
    story.send(1, 3);
    story.send(1, 4);
    story.done(3, 1, "r1.0000000000000001:1");
    story.hear(1, 4, Told::Done(v1::Done::default()));
    story.check(expect![[r#"
        > send 1 in p1
        send 1 {"request":"3","send":{"conversation":"c00010000000000000000000000000007","message":"00000000-0000-0000-0000-000000000001","body":"eA==","sentAtMs":"1000000"}}
        > leave
        > send 3 in p1
        > send 4 in p1
        Acknowledged { conversation: ConversationId(5192296858534827628530496329220103), command: MessageId(1), place: Some(Place { hlc: Timestamp(65536), dot: Dot { replica: ReplicaId { region: RegionId(1), incarnation: Incarnation(1) }, sequence: Sequence(1) } }) }
        send 1 {"request":"4","leave":{"conversation":"c00010000000000000000000000000007","command":"0000000f-4240-7fff-bfff-ffffffffffff"}}
        Acknowledged { conversation: ConversationId(5192296858534827628530496329220103), command: MessageId(1208926424072927296002335965183), place: None }
        send 1 {"request":"5","send":{"conversation":"c00010000000000000000000000000007","message":"00000000-0000-0000-0000-000000000003","body":"eA==","sentAtMs":"1000000"}}
        send 1 {"request":"6","send":{"conversation":"c00010000000000000000000000000007","message":"00000000-0000-0000-0000-000000000004","body":"eA==","sentAtMs":"1000000","after":"00000000-0000-0000-0000-000000000003"}}
    "#]]);
}

#[test]
fn conversations_take_turns_when_a_connection_is_full() {
    let mut story = Story::live();
    for number in [7, 8, 9] {
        let conversation = ConversationId::group(PlacementId(1), number);
        for message in 1..=20 {
            let (body, message) = ("x".into(), Some(MessageId(number * 100 + message)));
            story.act("", Act::Send { conversation, message, body, reply_to: None });
        }
    }
    assert_eq!(story.text.matches("send 1").count(), limits::IN_FLIGHT_MAX);
    story.text.clear();
    for request in 3..6 {
        story.done(request, 0, "r1.0000000000000001:1");
    }
    let sent: Vec<&str> = story.text.split("\"conversation\":\"").skip(1).map(|rest| &rest[..33]).collect();
    let [seventh, eighth, ninth] =
        [7, 8, 9].map(|number| ConversationId::group(PlacementId(1), number).to_string());
    assert!(!sent.contains(&eighth.as_str()), "none of it was answered: {sent:?}");
    assert_eq!(sent, [ninth.as_str(), &seventh, &ninth]);
}

#[test]
fn what_one_region_acknowledged_and_the_next_refuses_is_tried_again_and_holds_up_nothing() {
    let mut story = Story::live();
    story.send(1, 1);
    story.done(3, 1, "r1.0000000000000001:1");
    story.move_to_far(4);
    story.hear(2, 6, error("not_a_member", false));
    story.send(1, 2);
    story.wait();
    story.wait();
    story.wait();
    story.check(expect![[r#"
        > send 1 in p1
        send 1 {"request":"3","send":{"conversation":"c00010000000000000000000000000007","message":"00000000-0000-0000-0000-000000000001","body":"eA==","sentAtMs":"1000000"}}
        Acknowledged { conversation: ConversationId(5192296858534827628530496329220103), command: MessageId(1), place: Some(Place { hlc: Timestamp(65536), dot: Dot { replica: ReplicaId { region: RegionId(1), incarnation: Incarnation(1) }, sequence: Sequence(1) } }) }
        > move to far
        disconnect 1
        connect 2 ws://far
        > it opens
        send 2 {"request":"4","hello":{"token":"t","versionMin":1,"versionMax":1,"client":"story"}}
        SignedIn { placement: None, region: "far" }
        send 2 {"request":"5","sync":{}}
        send 2 {"request":"6","send":{"conversation":"c00010000000000000000000000000007","message":"00000000-0000-0000-0000-000000000001","body":"eA==","sentAtMs":"1000000"}}
        > send 2 in p1
        send 2 {"request":"7","send":{"conversation":"c00010000000000000000000000000007","message":"00000000-0000-0000-0000-000000000002","body":"eA==","sentAtMs":"1000000","after":"00000000-0000-0000-0000-000000000001"}}
        > 30000 ms later
        send 2 {"request":"8","ping":{}}
        > 30000 ms later
        send 2 {"request":"9","ping":{}}
        send 2 {"request":"10","send":{"conversation":"c00010000000000000000000000000007","message":"00000000-0000-0000-0000-000000000001","body":"eA==","sentAtMs":"1000000"}}
        > 30000 ms later
        send 2 {"request":"11","ping":{}}
        disconnect 2
        SignedOut { placement: None, retry_in_ms: 1000 }
    "#]]);
}

#[test]
fn what_two_regions_took_is_acknowledged_or_shown_once_and_its_second_dot_is_told() {
    let mut story = Story::live();
    story.send(1, 1);
    story.done(3, 1, "r1.0000000000000001:1");
    story.move_to_far(4);
    story.hear(2, 6, done(1, "r2.0000000000000001:1"));
    // Somebody else's message, taken by both as well.
    for dot in ["r1.0000000000000001:2", "r2.0000000000000001:2", "r2.0000000000000001:2"] {
        story.hear(2, 0, deliver(1, &[("2.0", dot, post(None))], dot));
    }
    story.check(expect![[r#"
        > send 1 in p1
        send 1 {"request":"3","send":{"conversation":"c00010000000000000000000000000007","message":"00000000-0000-0000-0000-000000000001","body":"eA==","sentAtMs":"1000000"}}
        Acknowledged { conversation: ConversationId(5192296858534827628530496329220103), command: MessageId(1), place: Some(Place { hlc: Timestamp(65536), dot: Dot { replica: ReplicaId { region: RegionId(1), incarnation: Incarnation(1) }, sequence: Sequence(1) } }) }
        > move to far
        disconnect 1
        connect 2 ws://far
        > it opens
        send 2 {"request":"4","hello":{"token":"t","versionMin":1,"versionMax":1,"client":"story"}}
        SignedIn { placement: None, region: "far" }
        send 2 {"request":"5","sync":{}}
        send 2 {"request":"6","send":{"conversation":"c00010000000000000000000000000007","message":"00000000-0000-0000-0000-000000000001","body":"eA==","sentAtMs":"1000000"}}
        Repeated { conversation: ConversationId(5192296858534827628530496329220103), sender: UserId(281474976710657), message: MessageId(1), place: Place { hlc: Timestamp(65536), dot: Dot { replica: ReplicaId { region: RegionId(2), incarnation: Incarnation(1) }, sequence: Sequence(1) } } }
        shown 2.0/r1.0000000000000001:2 marked: false
        send 2 {"request":"7","acknowledge":{"cursor":"cjEuMDAwMDAwMDAwMDAwMDAwMToy"}}
        Repeated { conversation: ConversationId(5192296858534827628530496329220103), sender: UserId(281474976710658), message: MessageId(49524), place: Place { hlc: Timestamp(131072), dot: Dot { replica: ReplicaId { region: RegionId(2), incarnation: Incarnation(1) }, sequence: Sequence(2) } } }
        send 2 {"request":"8","acknowledge":{"cursor":"cjIuMDAwMDAwMDAwMDAwMDAwMToy"}}
    "#]]);
}

/// Seed 23 of `comings-and-goings`: others were shown the later message first.
#[test]
fn what_was_refused_to_who_had_left_goes_first_when_they_are_a_member_again() {
    let mut story = Story::live();
    story.send(1, 1);
    story.done(3, 1, "r1.0000000000000001:1");
    story.move_to_far(4);
    story.hear(2, 6, error("not_a_member", false));
    story.text.clear();
    let (conversation, user) = (conversation(1).to_string(), ME.to_string());
    story.hear(2, 0, Told::Membership(v1::Membership { conversation, user, member: true }));
    story.send(1, 2);
    story.check(expect![[r#"
        Membership { conversation: ConversationId(5192296858534827628530496329220103), user: UserId(281474976710657), member: true }
        send 2 {"request":"7","send":{"conversation":"c00010000000000000000000000000007","message":"00000000-0000-0000-0000-000000000001","body":"eA==","sentAtMs":"1000000"}}
        > send 2 in p1
        send 2 {"request":"8","send":{"conversation":"c00010000000000000000000000000007","message":"00000000-0000-0000-0000-000000000002","body":"eA==","sentAtMs":"1000000","after":"00000000-0000-0000-0000-000000000001"}}
    "#]]);
}

/// Regions say so at every sync with a cursor of it.
#[test]
fn that_a_user_is_no_member_is_shown_once_and_what_they_write_then_is_refused_for_good() {
    let mut story = Story::live();
    story.text.clear();
    let (conversation, user) = (conversation(1).to_string(), ME.to_string());
    let out = || v1::Membership { conversation: conversation.clone(), user: user.clone(), member: false };
    story.hear(1, 0, Told::Membership(out()));
    story.hear(1, 0, Told::Membership(out()));
    story.send(1, 1);
    story.hear(1, 3, error("unknown_conversation", false));
    story.check(expect![[r#"
        Membership { conversation: ConversationId(5192296858534827628530496329220103), user: UserId(281474976710657), member: false }
        > send 1 in p1
        send 1 {"request":"3","send":{"conversation":"c00010000000000000000000000000007","message":"00000000-0000-0000-0000-000000000001","body":"eA==","sentAtMs":"1000000"}}
        Refused { conversation: Some(ConversationId(5192296858534827628530496329220103)), command: Some(MessageId(1)), code: "unknown_conversation", message: "why" }
    "#]]);
}

/// Seed 9583 of `storm-of-everything`: they were let in between two of their messages, and others were shown the first one last.
#[test]
fn what_was_refused_to_who_was_out_is_not_overtaken_when_they_are_let_in_meanwhile() {
    let mut story = Story::live();
    story.send(1, 1);
    story.done(3, 1, "r1.0000000000000001:1");
    story.send(1, 2);
    story.done(4, 2, "r1.0000000000000001:2");
    story.move_to_far(5);
    story.text.clear();
    story.hear(2, 7, error("not_a_member", false));
    story.hear(2, 8, error("predecessor_missing", false));
    story.hear(2, 9, done(1, "r2.0000000000000001:1"));
    story.hear(2, 10, done(2, "r2.0000000000000001:2"));
    story.check(expect![[r#"
        send 2 {"request":"9","send":{"conversation":"c00010000000000000000000000000007","message":"00000000-0000-0000-0000-000000000001","body":"eA==","sentAtMs":"1000000"}}
        send 2 {"request":"10","send":{"conversation":"c00010000000000000000000000000007","message":"00000000-0000-0000-0000-000000000002","body":"eA==","sentAtMs":"1000000","after":"00000000-0000-0000-0000-000000000001"}}
        Repeated { conversation: ConversationId(5192296858534827628530496329220103), sender: UserId(281474976710657), message: MessageId(1), place: Place { hlc: Timestamp(65536), dot: Dot { replica: ReplicaId { region: RegionId(2), incarnation: Incarnation(1) }, sequence: Sequence(1) } } }
        Repeated { conversation: ConversationId(5192296858534827628530496329220103), sender: UserId(281474976710657), message: MessageId(2), place: Place { hlc: Timestamp(65536), dot: Dot { replica: ReplicaId { region: RegionId(2), incarnation: Incarnation(1) }, sequence: Sequence(2) } } }
    "#]]);
}

/// Seed 5100351 of `storm-of-everything`: operators limited what a message may hold, the second one fitted, and others were shown it first.
#[test]
fn a_message_is_sent_again_with_the_proof_that_a_region_has_taken_it() {
    let mut story = Story::live();
    story.send(1, 1);
    let Told::Done(taken) = done(1, "r1.0000000000000001:1") else { unreachable!("it is done") };
    story.hear(1, 3, Told::Done(v1::Done { acceptance: "proof".into(), ..taken }));
    story.text.clear();
    story.move_to_far(4);
    story.check(expect![[r#"
        > move to far
        disconnect 1
        connect 2 ws://far
        > it opens
        send 2 {"request":"4","hello":{"token":"t","versionMin":1,"versionMax":1,"client":"story"}}
        SignedIn { placement: None, region: "far" }
        send 2 {"request":"5","sync":{}}
        send 2 {"request":"6","send":{"conversation":"c00010000000000000000000000000007","message":"00000000-0000-0000-0000-000000000001","body":"eA==","sentAtMs":"1000000","acceptance":"cHJvb2Y="}}
    "#]]);
}

#[test]
fn a_message_without_a_proof_that_is_more_than_operators_allow_now_holds_up_later_ones() {
    let mut story = Story::live();
    story.send(1, 1);
    story.done(3, 1, "r1.0000000000000001:1");
    story.move_to_far(4);
    story.send(1, 2);
    story.text.clear();
    story.hear(2, 6, error("feature_off", false));
    story.hear(2, 7, error("predecessor_missing", false));
    story.wait();
    story.wait();
    story.hear(2, 10, done(1, "r1.0000000000000001:1"));
    story.check(expect![[r#"
        > 30000 ms later
        send 2 {"request":"8","ping":{}}
        > 30000 ms later
        send 2 {"request":"9","ping":{}}
        send 2 {"request":"10","send":{"conversation":"c00010000000000000000000000000007","message":"00000000-0000-0000-0000-000000000001","body":"eA==","sentAtMs":"1000000"}}
        send 2 {"request":"11","send":{"conversation":"c00010000000000000000000000000007","message":"00000000-0000-0000-0000-000000000002","body":"eA==","sentAtMs":"1000000","after":"00000000-0000-0000-0000-000000000001"}}
        Repeated { conversation: ConversationId(5192296858534827628530496329220103), sender: UserId(281474976710657), message: MessageId(1), place: Place { hlc: Timestamp(65536), dot: Dot { replica: ReplicaId { region: RegionId(1), incarnation: Incarnation(1) }, sequence: Sequence(1) } } }
    "#]]);
}

#[test]
fn a_refusal_for_good_is_told_and_the_next_goes_on() {
    let mut story = Story::live();
    story.send(1, 1);
    story.send(1, 2);
    story.hear(1, 3, error("feature_off", false));
    story.hear(1, 4, error("predecessor_missing", false));
    story.check(expect![[r#"
        > send 1 in p1
        send 1 {"request":"3","send":{"conversation":"c00010000000000000000000000000007","message":"00000000-0000-0000-0000-000000000001","body":"eA==","sentAtMs":"1000000"}}
        > send 2 in p1
        send 1 {"request":"4","send":{"conversation":"c00010000000000000000000000000007","message":"00000000-0000-0000-0000-000000000002","body":"eA==","sentAtMs":"1000000","after":"00000000-0000-0000-0000-000000000001"}}
        Refused { conversation: Some(ConversationId(5192296858534827628530496329220103)), command: Some(MessageId(1)), code: "feature_off", message: "why" }
        send 1 {"request":"5","send":{"conversation":"c00010000000000000000000000000007","message":"00000000-0000-0000-0000-000000000002","body":"eA==","sentAtMs":"1000000"}}
    "#]]);
    assert_eq!(story.client.unstable(), 1);
}

#[test]
fn a_full_outbox_refuses_and_keeps_what_it_has() {
    let mut story = Story::new();
    story.step("", Input::Start);
    for number in 0..limits::OUTBOX_ENTRIES_MAX as u128 {
        story.send(1, number + 1);
    }
    story.text.clear();
    story.send(1, 99_999);
    story.check(expect![[r#"
        > send 99999 in p1
        Refused { conversation: Some(ConversationId(5192296858534827628530496329220103)), command: Some(MessageId(99999)), code: "outbox_full", message: "10000 messages of 10000 bytes wait to be stable in every region, the limit is 10000 or 67108864 bytes: wait until some are" }
    "#]]);
    assert_eq!(story.client.unstable(), limits::OUTBOX_ENTRIES_MAX);
}

#[test]
fn an_id_is_one_message_and_a_body_has_a_limit() {
    let mut story = Story::live();
    story.send(1, 1);
    story.send(1, 1);
    let other = |body: Vec<u8>, number| Act::Send {
        conversation: conversation(1),
        message: Some(MessageId(number)),
        body: body.into(),
        reply_to: None,
    };
    story.act("the same id with another body", other(b"y".to_vec(), 1));
    story.act("a body of 65,537 bytes", other(vec![0; 65_537], 2));
    story.check(expect![[r#"
        > send 1 in p1
        send 1 {"request":"3","send":{"conversation":"c00010000000000000000000000000007","message":"00000000-0000-0000-0000-000000000001","body":"eA==","sentAtMs":"1000000"}}
        > send 1 in p1
        > the same id with another body
        Refused { conversation: Some(ConversationId(5192296858534827628530496329220103)), command: Some(MessageId(1)), code: "id_in_use", message: "c00010000000000000000000000000007 has an unfinished command under that id already: draw a new id" }
        > a body of 65,537 bytes
        Refused { conversation: Some(ConversationId(5192296858534827628530496329220103)), command: Some(MessageId(2)), code: "body_too_large", message: "the body has 65537 bytes, the limit is 65536: shorten it" }
    "#]]);
    assert_eq!(LocalRefusal::IdInUse { conversation: conversation(1) }.code(), "id_in_use");
}

#[test]
fn a_conversation_too_many_is_named_once_and_not_taken() {
    let mut story = Story::live();
    let caught_up = |number: u128| {
        let conversation = ConversationId::group(PlacementId(1), number).to_string();
        Told::CaughtUp(v1::CaughtUp { conversation, expired: None })
    };
    for number in 0..limits::CONVERSATIONS_MAX as u128 {
        story.hear(1, 0, caught_up(number));
    }
    story.text.clear();
    story.hear(1, 0, caught_up(99_999));
    story.hear(1, 0, caught_up(99_998));
    story.check(expect![[r#"
        Refused { conversation: Some(ConversationId(5192296858534827628530496329320095)), command: None, code: "too_many_conversations", message: "10000 conversations are open already: c0001000000000000000000000001869f is not shown; leave some" }
    "#]]);
}

/// History 36: the region was put back to an old copy and gave out a dot a second time before it was found out.
#[test]
fn what_the_next_region_says_of_a_dot_counts_only_if_it_has_the_message_under_it() {
    let stable = |dot: &str| {
        let cut = Some(v1::Cut { dots: vec![dot.into()] });
        Told::Stable(v1::Stable { conversation: conversation(1).to_string(), cut })
    };
    let mut story = Story::live();
    story.send(1, 1);
    story.done(3, 1, "r1.0000000000000001:1");
    story.move_to_far(4);
    story.hear(2, 0, stable("r1.0000000000000001:1"));
    assert_eq!(story.client.unstable(), 1, "nothing has told that the message stands there");
    story.hear(2, 6, done(1, "r2.0000000000000001:1"));
    story.hear(2, 0, stable("r2.0000000000000001:1"));
    story.check(expect![[r#"
        > send 1 in p1
        send 1 {"request":"3","send":{"conversation":"c00010000000000000000000000000007","message":"00000000-0000-0000-0000-000000000001","body":"eA==","sentAtMs":"1000000"}}
        Acknowledged { conversation: ConversationId(5192296858534827628530496329220103), command: MessageId(1), place: Some(Place { hlc: Timestamp(65536), dot: Dot { replica: ReplicaId { region: RegionId(1), incarnation: Incarnation(1) }, sequence: Sequence(1) } }) }
        > move to far
        disconnect 1
        connect 2 ws://far
        > it opens
        send 2 {"request":"4","hello":{"token":"t","versionMin":1,"versionMax":1,"client":"story"}}
        SignedIn { placement: None, region: "far" }
        send 2 {"request":"5","sync":{}}
        send 2 {"request":"6","send":{"conversation":"c00010000000000000000000000000007","message":"00000000-0000-0000-0000-000000000001","body":"eA==","sentAtMs":"1000000"}}
        Repeated { conversation: ConversationId(5192296858534827628530496329220103), sender: UserId(281474976710657), message: MessageId(1), place: Place { hlc: Timestamp(65536), dot: Dot { replica: ReplicaId { region: RegionId(2), incarnation: Incarnation(1) }, sequence: Sequence(1) } } }
        Stable { conversation: ConversationId(5192296858534827628530496329220103), command: MessageId(1) }
    "#]]);
}

/// Seed 3504 of `storm-of-everything`: where the user was a member already there was nothing to do, and the command that the region before had done was never named.
#[test]
fn what_needs_nothing_here_but_was_done_elsewhere_is_asked_again_until_it_is_named() {
    let mut story = Story::live();
    let user = crdt::UserId::new(PlacementId(1), 9);
    story.act(
        "add somebody",
        Act::ChangeMembers { conversation: conversation(1), wish: MembersWish::Add(user) },
    );
    let command = story.text.split("\"command\":\"").nth(1).and_then(|rest| rest.split('"').next());
    let number = command.unwrap().parse::<MessageId>().unwrap().0;
    story.done(3, number, "r1.0000000000000001:1");
    story.move_to_far(4);
    story.hear(2, 6, done(number, ""));
    assert_eq!(story.client.unstable(), 1, "it stands somewhere, and is not known to be everywhere");
    story.text.clear();
    story.wait();
    story.wait();
    story.check(expect![[r#"
        > 30000 ms later
        send 2 {"request":"7","ping":{}}
        > 30000 ms later
        send 2 {"request":"8","ping":{}}
        send 2 {"request":"9","addMember":{"conversation":"c00010000000000000000000000000007","command":"0000000f-4240-7fff-bfff-ffffffffffff","user":"u0001000000000009"}}
    "#]]);
    story.hear(2, 9, done(number, "r1.0000000000000001:1"));
    let cut = Some(v1::Cut { dots: vec!["r1.0000000000000001:1".into()] });
    story.hear(2, 0, Told::Stable(v1::Stable { conversation: conversation(1).to_string(), cut }));
    assert_eq!(story.client.unstable(), 0);
}

#[test]
fn where_a_second_region_must_have_it_what_is_delivered_acknowledges_nothing() {
    let mut story = Story::new();
    story.step("", Input::Start);
    story.step("", Input::Connected(ConnectionId(1)));
    let Told::Welcome(mut told) = welcome("near") else { unreachable!() };
    told.placements.iter_mut().for_each(|placement| placement.geo = true);
    story.hear(1, 1, Told::Welcome(told));
    story.text.clear();
    story.send(1, 1);
    let item = |number: u128, dot: &str| v1::Item {
        sender: ME.to_string(),
        message: MessageId(number).to_string(),
        dot: dot.into(),
        hlc: "1.0".into(),
        content: Some(post(None)),
    };
    let delivered = |dot: &str, cursor: &str| {
        Told::Deliver(v1::Deliver {
            conversation: conversation(1).to_string(),
            items: vec![item(1, dot)],
            cursor: cursor.to_owned().into(),
        })
    };
    story.hear(1, 0, delivered("r1.0000000000000001:1", "one"));
    story.hear(1, 3, error("not_elsewhere", true));
    story.wait();
    story.done(5, 1, "r1.0000000000000001:1");
    // Another copy says nothing of the first, which is acknowledged.
    story.hear(1, 0, delivered("r2.0000000000000001:1", "two"));
    story.check(expect![[r#"
        > send 1 in p1
        send 1 {"request":"3","send":{"conversation":"c00010000000000000000000000000007","message":"00000000-0000-0000-0000-000000000001","body":"eA==","sentAtMs":"1000000"}}
        shown 1.0/r1.0000000000000001:1 marked: false
        send 1 {"request":"4","acknowledge":{"cursor":"b25l"}}
        > 1000 ms later
        send 1 {"request":"5","send":{"conversation":"c00010000000000000000000000000007","message":"00000000-0000-0000-0000-000000000001","body":"eA==","sentAtMs":"1000000"}}
        Acknowledged { conversation: ConversationId(5192296858534827628530496329220103), command: MessageId(1), place: Some(Place { hlc: Timestamp(65536), dot: Dot { replica: ReplicaId { region: RegionId(1), incarnation: Incarnation(1) }, sequence: Sequence(1) } }) }
        Repeated { conversation: ConversationId(5192296858534827628530496329220103), sender: UserId(281474976710657), message: MessageId(1), place: Place { hlc: Timestamp(65536), dot: Dot { replica: ReplicaId { region: RegionId(2), incarnation: Incarnation(1) }, sequence: Sequence(1) } } }
        send 1 {"request":"6","acknowledge":{"cursor":"dHdv"}}
    "#]]);
}
