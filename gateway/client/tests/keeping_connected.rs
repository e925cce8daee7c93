//! Small stories of connections, told as what goes in (`>`) and what comes out, for the cases that a storm meets too rarely to read.
//!
//! What must always hold: each name is the claim, and the text below it shows that claim and nothing that contradicts it.

use crdt::{MessageId, PlacementId};
use expect_test::expect;
use gateway_client::{Act, ConnectionId, Input, PageFrom, limits};
use gateway_protocol::v1;
use gateway_protocol::v1::server_frame::Frame as Told;

use crate::story::{Story, address, conversation, deliver, post, welcome, welcome_where};

#[test]
fn reconnecting_waits_longer_each_time_and_begins_anew_after_a_welcome() {
    let mut story = Story::new();
    story.step("start", Input::Start);
    for connection in 1..=2 {
        story.step("it fails", Input::Disconnected(ConnectionId(connection)));
        story.wait();
    }
    story.step("it opens", Input::Connected(ConnectionId(3)));
    story.hear(3, 1, welcome("near"));
    story.step("it fails", Input::Disconnected(ConnectionId(3)));
    story.step("an old socket speaks", Input::Connected(ConnectionId(2)));
    story.check(expect![[r#"
        > start
        connect 1 ws://near
        > it fails
        SignedOut { placement: None, retry_in_ms: 1000 }
        > 1000 ms later
        connect 2 ws://near
        > it fails
        SignedOut { placement: None, retry_in_ms: 2000 }
        > 2000 ms later
        connect 3 ws://near
        > it opens
        send 3 {"request":"1","hello":{"token":"t","versionMin":1,"versionMax":1,"client":"story"}}
        SignedIn { placement: None, region: "near" }
        send 3 {"request":"2","sync":{}}
        > it fails
        SignedOut { placement: None, retry_in_ms: 1000 }
        > an old socket speaks
    "#]]);
}

#[test]
fn silence_of_three_heartbeats_is_death_and_a_ping_goes_out_at_each() {
    let mut story = Story::live();
    for _ in 0..4 {
        story.wait();
    }
    story.check(expect![[r#"
        > 30000 ms later
        send 1 {"request":"3","ping":{}}
        > 30000 ms later
        send 1 {"request":"4","ping":{}}
        > 30000 ms later
        send 1 {"request":"5","ping":{}}
        disconnect 1
        SignedOut { placement: None, retry_in_ms: 1000 }
        > 1000 ms later
        connect 2 ws://near
    "#]]);
}

#[test]
fn a_conversation_of_another_placement_opens_a_line_of_its_own_and_what_comes_elsewhere_is_not_taken() {
    let mut story = Story::live();
    story.send(2, 1);
    story.step("it opens", Input::Connected(ConnectionId(2)));
    story.hear(2, 3, welcome("far"));
    story.hear(1, 0, deliver(2, &[("1.0", "r2.0000000000000001:1", post(None))], "a"));
    story.hear(2, 0, deliver(2, &[("1.0", "r2.0000000000000001:1", post(None))], "b"));
    story.act("move home to far, which serves both", Act::Move { region: address("far") });
    story.step("it opens", Input::Connected(ConnectionId(3)));
    story.hear(3, 8, welcome("far"));
    story.check(expect![[r#"
        > send 1 in p2
        connect 2 ws://far
        > it opens
        send 2 {"request":"3","hello":{"token":"t","versionMin":1,"versionMax":1,"client":"story"}}
        SignedIn { placement: Some(PlacementId(2)), region: "far" }
        send 2 {"request":"4","sync":{"placement":"p2"}}
        send 2 {"request":"5","send":{"conversation":"c00020000000000000000000000000007","message":"00000000-0000-0000-0000-000000000001","body":"eA==","sentAtMs":"1000000"}}
        shown 1.0/r2.0000000000000001:1 marked: false
        send 2 {"request":"6","acknowledge":{"cursor":"Yg=="}}
        > move home to far, which serves both
        disconnect 1
        connect 3 ws://far
        > it opens
        send 3 {"request":"7","hello":{"token":"t","versionMin":1,"versionMax":1,"client":"story"}}
        SignedIn { placement: None, region: "far" }
        send 3 {"request":"8","sync":{"cursors":["Yg=="]}}
        disconnect 2
        ServedAtHome { placement: PlacementId(2) }
        send 3 {"request":"9","send":{"conversation":"c00020000000000000000000000000007","message":"00000000-0000-0000-0000-000000000001","body":"eA==","sentAtMs":"1000000"}}
        send 3 {"request":"10","acknowledge":{"cursor":"Yg=="}}
    "#]]);
}

#[test]
fn what_was_to_be_told_of_a_conversation_never_goes_to_a_region_outside_its_placement() {
    let mut story = Story::new();
    story.step("", Input::Start);
    story.step("", Input::Connected(ConnectionId(1)));
    story.hear(1, 1, welcome("far"));
    story.hear(1, 0, deliver(2, &[("1.0", "r2.0000000000000001:1", post(None))], "a"));
    story.send(2, 1);
    story.hear(
        1,
        4,
        Told::Done(v1::Done {
            conversation: conversation(2).to_string(),
            command: MessageId(1).to_string(),
            dot: "r2.0000000000000001:2".into(),
            hlc: "2.0".into(),
            ..v1::Done::default()
        }),
    );
    story.hear(
        1,
        0,
        Told::CaughtUp(v1::CaughtUp { conversation: conversation(2).to_string(), expired: None }),
    );
    story.text.clear();
    story.act("move home to near, which serves only p1", Act::Move { region: address("near") });
    story.act("read in p2", Act::MarkRead { conversation: conversation(2) });
    story.step("it opens", Input::Connected(ConnectionId(2)));
    story.hear(2, 6, welcome("near"));
    story.step("it opens", Input::Connected(ConnectionId(3)));
    story.hear(3, 8, welcome("far"));
    story.check(expect![[r#"
        > move home to near, which serves only p1
        disconnect 1
        connect 2 ws://near
        > read in p2
        > it opens
        send 2 {"request":"6","hello":{"token":"t","versionMin":1,"versionMax":1,"client":"story"}}
        SignedIn { placement: None, region: "near" }
        send 2 {"request":"7","sync":{}}
        connect 3 ws://far
        > it opens
        send 3 {"request":"8","hello":{"token":"t","versionMin":1,"versionMax":1,"client":"story"}}
        SignedIn { placement: Some(PlacementId(2)), region: "far" }
        send 3 {"request":"9","sync":{"cursors":["YQ=="],"placement":"p2"}}
        send 3 {"request":"10","send":{"conversation":"c00020000000000000000000000000007","message":"00000000-0000-0000-0000-000000000001","body":"eA==","sentAtMs":"1000000","seen":"YQ=="}}
        send 3 {"request":"11","read":{"cursor":"YQ=="}}
    "#]]);
}

/// A region that was admitted anew lacks what others hold in one placement and not in the other. It says so; the others do not know.
#[test]
fn whether_the_home_connection_serves_a_placement_is_the_homes_own_word() {
    let mut story = Story::new();
    story.step("", Input::Start);
    story.step("", Input::Connected(ConnectionId(1)));
    story.hear(1, 1, welcome_where("near", &["far"]));
    story.send(2, 1);
    story.step("", Input::Connected(ConnectionId(2)));
    story.text.clear();
    story.hear(2, 3, welcome_where("far", &["far", "near"]));
    story.send(2, 2);
    story.check(expect![[r#"
        SignedIn { placement: Some(PlacementId(2)), region: "far" }
        send 2 {"request":"4","sync":{"placement":"p2"}}
        send 2 {"request":"5","send":{"conversation":"c00020000000000000000000000000007","message":"00000000-0000-0000-0000-000000000001","body":"eA==","sentAtMs":"1000000"}}
        > send 2 in p2
        send 2 {"request":"6","send":{"conversation":"c00020000000000000000000000000007","message":"00000000-0000-0000-0000-000000000002","body":"eA==","sentAtMs":"1000000","after":"00000000-0000-0000-0000-000000000001"}}
    "#]]);
}

#[test]
fn a_region_that_does_not_serve_a_placement_is_left_and_another_one_tried() {
    let mut story = Story::live();
    story.send(2, 1);
    story.step("it opens", Input::Connected(ConnectionId(2)));
    story.hear(2, 3, welcome_where("far", &["near", "third"]));
    story.wait();
    story.step("it opens", Input::Connected(ConnectionId(3)));
    story.hear(3, 4, welcome_where("third", &["near", "third"]));
    story.check(expect![[r#"
        > send 1 in p2
        connect 2 ws://far
        > it opens
        send 2 {"request":"3","hello":{"token":"t","versionMin":1,"versionMax":1,"client":"story"}}
        disconnect 2
        SignedOut { placement: Some(PlacementId(2)), retry_in_ms: 1000 }
        > 1000 ms later
        connect 3 ws://third
        > it opens
        send 3 {"request":"4","hello":{"token":"t","versionMin":1,"versionMax":1,"client":"story"}}
        SignedIn { placement: Some(PlacementId(2)), region: "third" }
        send 3 {"request":"5","sync":{"placement":"p2"}}
        send 3 {"request":"6","send":{"conversation":"c00020000000000000000000000000007","message":"00000000-0000-0000-0000-000000000001","body":"eA==","sentAtMs":"1000000"}}
    "#]]);
}

/// What was asked on a placement's own connection is not lost with it.
#[test]
fn when_home_moves_to_a_region_that_serves_a_placement_its_own_connection_ends_and_questions_go_along() {
    let mut story = Story::live();
    story.act("take part in p2", Act::TakePart { placement: PlacementId(2) });
    story.step("it opens", Input::Connected(ConnectionId(2)));
    story.hear(2, 3, welcome("far"));
    let of_p2 = crdt::ConversationId::group(PlacementId(2), 7);
    story.act("a page of p2", Act::Page { conversation: of_p2, from: PageFrom::Newest, limit: 2 });
    story.act("a list", Act::List);
    let to_far = v1::Redirect { region: "far".into(), url: "ws://far".into(), reason: "drain".into() };
    story.hear(1, 0, Told::Redirect(to_far));
    story.step("it opens", Input::Connected(ConnectionId(3)));
    story.hear(3, 0, welcome("far"));
    story.check(expect![[r#"
        > take part in p2
        connect 2 ws://far
        > it opens
        send 2 {"request":"3","hello":{"token":"t","versionMin":1,"versionMax":1,"client":"story"}}
        SignedIn { placement: Some(PlacementId(2)), region: "far" }
        send 2 {"request":"4","sync":{"placement":"p2"}}
        > a page of p2
        send 2 {"request":"5","page":{"conversation":"c00020000000000000000000000000007","limit":2}}
        > a list
        send 1 {"request":"6","list":{}}
        send 2 {"request":"7","list":{"placement":"p2"}}
        disconnect 1
        Redirected { region: "far", reason: "drain" }
        connect 3 ws://far
        > it opens
        send 3 {"request":"8","hello":{"token":"t","versionMin":1,"versionMax":1,"client":"story"}}
        SignedIn { placement: None, region: "far" }
        send 3 {"request":"9","sync":{}}
        disconnect 2
        ServedAtHome { placement: PlacementId(2) }
        send 3 {"request":"10","list":{}}
        send 3 {"request":"11","page":{"conversation":"c00020000000000000000000000000007","limit":2}}
        send 3 {"request":"12","list":{}}
    "#]]);
}

#[test]
fn a_placement_that_the_cluster_does_not_have_is_refused() {
    let mut story = Story::live();
    story.send(9, 1);
    story.act("take part in p9", Act::TakePart { placement: PlacementId(9) });
    story.check(expect![[r#"
        > send 1 in p9
        Refused { conversation: Some(ConversationId(46730671726813448656774466962980871)), command: Some(MessageId(1)), code: "no_such_placement", message: "the cluster has no placement p9: use one of the placements it lists" }
        > take part in p9
        Refused { conversation: None, command: None, code: "no_such_placement", message: "the cluster has no placement p9: use one of the placements it lists" }
    "#]]);
    assert_eq!(story.client.unstable(), 0);
}

#[test]
fn a_redirect_is_followed_at_once_and_a_second_one_only_after_a_wait() {
    let redirect = |region: &str| {
        Told::Redirect(v1::Redirect {
            region: region.into(),
            url: format!("ws://{region}"),
            reason: "drain".into(),
        })
    };
    let mut story = Story::live();
    story.hear(1, 0, redirect("far"));
    story.step("it opens", Input::Connected(ConnectionId(2)));
    story.hear(2, 0, welcome("far"));
    story.hear(2, 0, redirect("near"));
    story.wait();
    story.check(expect![[r#"
        disconnect 1
        Redirected { region: "far", reason: "drain" }
        connect 2 ws://far
        > it opens
        send 2 {"request":"3","hello":{"token":"t","versionMin":1,"versionMax":1,"client":"story"}}
        SignedIn { placement: None, region: "far" }
        send 2 {"request":"4","sync":{}}
        disconnect 2
        Redirected { region: "near", reason: "drain" }
        SignedOut { placement: None, retry_in_ms: 2000 }
        > 2000 ms later
        connect 3 ws://near
    "#]]);
}

#[test]
fn nonsense_ends_the_connection_and_nothing_of_the_frame_is_taken() {
    let mut story = Story::live();
    let good = ("1.0", "r1.0000000000000001:1", post(None));
    story.hear(1, 0, deliver(1, &[good, ("2.0", "not a dot", post(None))], "a"));
    story.check(expect![[r#"
        Refused { conversation: None, command: None, code: "malformed_server_frame", message: "the region sent nonsense (field `dot` of a server frame is missing or does not parse): the connection is opened anew" }
        disconnect 1
        SignedOut { placement: None, retry_in_ms: 1000 }
    "#]]);
}

#[test]
fn a_newer_token_is_said_at_once_and_its_welcome_starts_nothing_anew() {
    let mut story = Story::live();
    story.act("a newer token", Act::Renew { token: "newer".into() });
    story.hear(1, 3, welcome("near"));
    story.check(expect![[r#"
        > a newer token
        send 1 {"request":"3","hello":{"token":"newer","versionMin":1,"versionMax":1,"client":"story"}}
    "#]]);
}

#[test]
fn a_question_is_asked_when_there_is_a_region_and_again_when_the_answer_was_lost() {
    let mut story = Story::new();
    story.step("start", Input::Start);
    let page = || Act::Page { conversation: conversation(1), from: PageFrom::Newest, limit: 2 };
    story.act("a page before there is a connection", page());
    story.step("it opens", Input::Connected(ConnectionId(1)));
    story.hear(1, 1, welcome("near"));
    story.step("it fails", Input::Disconnected(ConnectionId(1)));
    story.wait();
    story.step("it opens", Input::Connected(ConnectionId(2)));
    story.hear(2, 4, welcome("near"));
    let messages =
        v1::Messages { conversation: conversation(1).to_string(), more: true, ..v1::Messages::default() };
    story.hear(2, 3, Told::Messages(messages.clone()));
    story.hear(2, 6, Told::Messages(messages));
    story.check(expect![[r#"
        > start
        connect 1 ws://near
        > a page before there is a connection
        > it opens
        send 1 {"request":"1","hello":{"token":"t","versionMin":1,"versionMax":1,"client":"story"}}
        SignedIn { placement: None, region: "near" }
        send 1 {"request":"2","sync":{}}
        send 1 {"request":"3","page":{"conversation":"c00010000000000000000000000000007","limit":2}}
        > it fails
        SignedOut { placement: None, retry_in_ms: 1000 }
        > 1000 ms later
        connect 2 ws://near
        > it opens
        send 2 {"request":"4","hello":{"token":"t","versionMin":1,"versionMax":1,"client":"story"}}
        SignedIn { placement: None, region: "near" }
        send 2 {"request":"5","sync":{}}
        send 2 {"request":"6","page":{"conversation":"c00010000000000000000000000000007","limit":2}}
        Paged { conversation: ConversationId(5192296858534827628530496329220103), items: [], more: true }
    "#]]);
}

#[test]
fn more_questions_than_a_connection_takes_are_refused_here() {
    let mut story = Story::live();
    for _ in 0..limits::QUESTIONS_MAX {
        story.act("", Act::List);
    }
    story.text.clear();
    story.act("one more", Act::List);
    story.check(expect![[r#"
        > one more
        Refused { conversation: None, command: None, code: "too_many_questions", message: "16 pages and lists are waiting for an answer already: wait for one of them" }
    "#]]);
}
