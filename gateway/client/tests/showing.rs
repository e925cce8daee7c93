//! Small stories of what is shown, acknowledged, marked and synced, told as those of `sending.rs` are.
//!
//! What must always hold: as there, each name is the claim, and the text below it shows that claim; nothing is shown as given that was not.

use expect_test::expect;
use gateway_client::{Act, ConnectionId, Input};
use gateway_protocol::v1;
use gateway_protocol::v1::server_frame::Frame as Told;

use crate::story::{Story, conversation, deliver, error, post, welcome};

#[test]
fn a_mark_goes_when_what_it_waits_for_is_kept_no_longer() {
    let mut story = Story::live();
    story.hear(
        1,
        0,
        deliver(1, &[("5.0", "r2.0000000000000001:1", post(Some("r1.0000000000000001:4")))], "a"),
    );
    let expired = Some(v1::Cut { dots: vec!["r1.0000000000000001:4".into()] });
    let conversation = conversation(1).to_string();
    story.hear(1, 0, Told::CaughtUp(v1::CaughtUp { conversation, expired }));
    story.check(expect![[r#"
        shown 5.0/r2.0000000000000001:1 marked: true
        send 1 {"request":"3","acknowledge":{"cursor":"YQ=="}}
        MarkCleared { conversation: ConversationId(5192296858534827628530496329220103), sender: UserId(281474976710658), message: MessageId(52407) }
        CaughtUp { conversation: ConversationId(5192296858534827628530496329220103) }
    "#]]);
}

#[test]
fn live_items_are_acknowledged_together_and_read_goes_with_the_newest_cursor() {
    let mut story = Story::live();
    story.hear(1, 0, deliver(1, &[("1.0", "r1.0000000000000001:1", post(None))], "a"));
    story.hear(1, 3, Told::Done(v1::Done::default()));
    story.hear(
        1,
        0,
        Told::CaughtUp(v1::CaughtUp { conversation: conversation(1).to_string(), expired: None }),
    );
    story.hear(1, 0, deliver(1, &[("2.0", "r1.0000000000000001:2", post(None))], "b"));
    story.hear(1, 0, deliver(1, &[("3.0", "r1.0000000000000001:3", post(None))], "c"));
    story.wait();
    story.act("read", Act::MarkRead { conversation: conversation(1) });
    story.step("it fails before that is answered", Input::Disconnected(ConnectionId(1)));
    story.wait();
    story.step("it opens", Input::Connected(ConnectionId(2)));
    story.hear(2, 0, welcome("near"));
    story.check(expect![[r#"
        shown 1.0/r1.0000000000000001:1 marked: false
        send 1 {"request":"3","acknowledge":{"cursor":"YQ=="}}
        CaughtUp { conversation: ConversationId(5192296858534827628530496329220103) }
        shown 2.0/r1.0000000000000001:2 marked: false
        shown 3.0/r1.0000000000000001:3 marked: false
        > 1000 ms later
        send 1 {"request":"4","acknowledge":{"cursor":"Yw=="}}
        > read
        send 1 {"request":"5","read":{"cursor":"Yw=="}}
        > it fails before that is answered
        SignedOut { placement: None, retry_in_ms: 1000 }
        > 1000 ms later
        connect 2 ws://near
        > it opens
        send 2 {"request":"6","hello":{"token":"t","versionMin":1,"versionMax":1,"client":"story"}}
        SignedIn { placement: None, region: "near" }
        send 2 {"request":"7","sync":{"cursors":["Yw=="]}}
        send 2 {"request":"8","read":{"cursor":"Yw=="}}
    "#]]);
}

#[test]
fn who_reads_quietly_tells_nobody_however_often_it_is_said_and_is_not_told_who_read() {
    let mut story = Story::live();
    let read = |story: &mut Story| story.act("read", Act::MarkRead { conversation: conversation(1) });
    let others_read = |dot: &str| {
        let cut = || Some(v1::Cut { dots: vec![dot.into()] });
        let user = crdt::UserId::new(crdt::PlacementId(1), 2).to_string();
        let device = crdt::DeviceId(5).to_string();
        let receipts = vec![v1::Receipt { user, device, delivered: cut(), read: cut() }];
        let conversation = conversation(1).to_string();
        Told::Receipts(v1::Receipts { conversation, receipts, more: false })
    };
    story.hear(1, 0, deliver(1, &[("1.0", "r1.0000000000000001:1", post(None))], "a"));
    story.send(1, 1);
    story.done(4, 1, "r1.0000000000000001:2");
    story.hear(1, 0, deliver(1, &[("3.0", "r1.0000000000000001:3", post(None))], "b"));
    story.act("read receipts off", Act::TellReads { told: false });
    read(&mut story);
    story.hear(1, 0, others_read("r1.0000000000000001:3"));
    story.step("it fails before that is answered", Input::Disconnected(ConnectionId(1)));
    story.act("read receipts on", Act::TellReads { told: true });
    story.wait();
    story.step("it opens", Input::Connected(ConnectionId(2)));
    story.hear(2, 0, welcome("near"));
    read(&mut story);
    story.check(expect![[r#"
        shown 1.0/r1.0000000000000001:1 marked: false
        send 1 {"request":"3","acknowledge":{"cursor":"YQ=="}}
        > send 1 in p1
        send 1 {"request":"4","send":{"conversation":"c00010000000000000000000000000007","message":"00000000-0000-0000-0000-000000000001","body":"eA==","sentAtMs":"1000000","seen":"YQ=="}}
        Acknowledged { conversation: ConversationId(5192296858534827628530496329220103), command: MessageId(1), place: Some(Place { hlc: Timestamp(65536), dot: Dot { replica: ReplicaId { region: RegionId(1), incarnation: Incarnation(1) }, sequence: Sequence(2) } }) }
        shown 3.0/r1.0000000000000001:3 marked: false
        send 1 {"request":"5","acknowledge":{"cursor":"Yg=="}}
        > read receipts off
        > read
        send 1 {"request":"6","read":{"cursor":"Yg==","quiet":true}}
        Delivered { conversation: ConversationId(5192296858534827628530496329220103), message: MessageId(1), user: UserId(281474976710658), device: DeviceId(5) }
        > it fails before that is answered
        SignedOut { placement: None, retry_in_ms: 1000 }
        > read receipts on
        > 1000 ms later
        connect 2 ws://near
        > it opens
        send 2 {"request":"7","hello":{"token":"t","versionMin":1,"versionMax":1,"client":"story"}}
        SignedIn { placement: None, region: "near" }
        send 2 {"request":"8","sync":{"cursors":["Yg=="]}}
        send 2 {"request":"9","send":{"conversation":"c00010000000000000000000000000007","message":"00000000-0000-0000-0000-000000000001","body":"eA==","sentAtMs":"1000000","seen":"YQ=="}}
        send 2 {"request":"10","read":{"cursor":"Yg==","quiet":true}}
        > read
        send 2 {"request":"11","read":{"cursor":"Yg=="}}
    "#]]);
}

#[test]
fn a_mark_goes_when_the_cause_comes() {
    let mut story = Story::live();
    story.hear(
        1,
        0,
        deliver(1, &[("5.0", "r2.0000000000000001:1", post(Some("r1.0000000000000001:1")))], "a"),
    );
    story.hear(1, 0, deliver(1, &[("4.0", "r1.0000000000000001:1", post(None))], "b"));
    story.check(expect![[r#"
        shown 5.0/r2.0000000000000001:1 marked: true
        send 1 {"request":"3","acknowledge":{"cursor":"YQ=="}}
        shown 4.0/r1.0000000000000001:1 marked: false
        MarkCleared { conversation: ConversationId(5192296858534827628530496329220103), sender: UserId(281474976710658), message: MessageId(52407) }
        send 1 {"request":"4","acknowledge":{"cursor":"Yg=="}}
    "#]]);
}

#[test]
fn an_add_that_another_region_took_too_is_shown_once_and_tells_once_what_the_other_hides() {
    let mut story = Story::live();
    let added = |since: &[&str]| {
        let since = Some(v1::Cut { dots: since.iter().map(|dot| (*dot).to_owned()).collect() });
        v1::item::Content::Added(v1::Added { user: "u0001000000000003".into(), since })
    };
    let here = ("4.0", "r1.0000000000000001:2", added(&["r1.0000000000000001:1"]));
    let there = ("4.0", "r2.0000000000000001:3", added(&["r1.0000000000000001:1", "r2.0000000000000001:2"]));
    story.hear(1, 0, deliver(1, &[here], "a"));
    story.hear(1, 0, deliver(1, std::slice::from_ref(&there), "b"));
    story.hear(1, 0, deliver(1, &[there], "b"));
    story.check(expect![[r#"
        shown 4.0/r1.0000000000000001:2 marked: false
        send 1 {"request":"3","acknowledge":{"cursor":"YQ=="}}
        AddedAgain { conversation: ConversationId(5192296858534827628530496329220103), user: UserId(281474976710659), since: VersionVector([(ReplicaId { region: RegionId(1), incarnation: Incarnation(1) }, Sequence(1)), (ReplicaId { region: RegionId(2), incarnation: Incarnation(1) }, Sequence(2))]) }
        send 1 {"request":"4","acknowledge":{"cursor":"Yg=="}}
    "#]]);
}

#[test]
fn a_cursor_that_is_not_taken_is_forgotten_and_the_rest_is_synced() {
    let mut story = Story::live();
    story.hear(1, 0, deliver(1, &[("1.0", "r1.0000000000000001:1", post(None))], "bad"));
    story.step("it fails", Input::Disconnected(ConnectionId(1)));
    story.wait();
    story.step("it opens", Input::Connected(ConnectionId(2)));
    story.hear(2, 0, welcome("near"));
    let refused = v1::Error {
        code: "cursor_retired".into(),
        conversation: conversation(1).to_string(),
        ..v1::Error::default()
    };
    story.hear(2, 5, Told::Error(refused));
    story.wait();
    story.hear(2, 0, deliver(1, &[("1.0", "r1.0000000000000001:1", post(None))], "good"));
    story.check(expect![[r#"
        shown 1.0/r1.0000000000000001:1 marked: false
        send 1 {"request":"3","acknowledge":{"cursor":"YmFk"}}
        > it fails
        SignedOut { placement: None, retry_in_ms: 1000 }
        > 1000 ms later
        connect 2 ws://near
        > it opens
        send 2 {"request":"4","hello":{"token":"t","versionMin":1,"versionMax":1,"client":"story"}}
        SignedIn { placement: None, region: "near" }
        send 2 {"request":"5","sync":{"cursors":["YmFk"]}}
        send 2 {"request":"6","acknowledge":{"cursor":"YmFk"}}
        > 1000 ms later
        send 2 {"request":"7","sync":{}}
        send 2 {"request":"8","acknowledge":{"cursor":"Z29vZA=="}}
    "#]]);
}

#[test]
fn what_fell_behind_is_synced_again_but_not_more_often_than_once_a_second() {
    let behind = || Told::Behind(v1::Behind { conversations: vec![conversation(1).to_string()] });
    let mut story = Story::live();
    story.hear(1, 0, behind());
    story.wait();
    story.hear(1, 0, behind());
    story.wait();
    story.check(expect![[r#"
        > 1000 ms later
        send 1 {"request":"3","sync":{"conversations":["c00010000000000000000000000000007"]}}
        > 1000 ms later
        send 1 {"request":"4","sync":{"conversations":["c00010000000000000000000000000007"]}}
    "#]]);
}

/// What the region delivers by itself and could not read was asked for by nobody: only the client can ask again.
#[test]
fn what_a_region_could_not_read_by_itself_is_synced_again() {
    let mut story = Story::live();
    story.hear(1, 0, error("region_unavailable", true));
    story.wait();
    story.check(expect![[r#"
        > 1000 ms later
        send 1 {"request":"3","sync":{}}
    "#]]);
}
