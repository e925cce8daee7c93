//! Small stories, told as what goes in (`>`) and what comes out, for the cases that a storm meets too rarely to read.
//!
//! What must always hold: each name is the claim, and the text below it shows that claim and nothing that contradicts it. Frames are
//! printed as the JSON that goes over the wire.

#![allow(clippy::unwrap_used)]

use crdt::{ConversationId, DeviceId, MessageId, Now, PlacementId, UserId};
use expect_test::{Expect, expect};
use gateway_client::{
    Act, Address, Client, Config, ConnectionId, Event, Input, LocalRefusal, Output, PageFrom, limits,
};
use gateway_protocol::v1;
use gateway_protocol::v1::server_frame::Frame as Told;
use gateway_protocol::{Payload, Subprotocol};
use rand_core::RngCore;
use std::fmt::Write as _;

/// Draws the largest numbers, so that jitter is its bound.
struct Largest;

impl RngCore for Largest {
    fn next_u32(&mut self) -> u32 {
        u32::MAX
    }
    fn next_u64(&mut self) -> u64 {
        u64::MAX
    }
    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

struct Story {
    client: Client,
    now: Now,
    text: String,
}

const ME: UserId = UserId::new(PlacementId(1), 1);

fn conversation(placement: u16) -> ConversationId {
    ConversationId::group(PlacementId(placement), 7)
}

fn address(region: &str) -> Address {
    Address { region: region.into(), url: format!("ws://{region}") }
}

/// A home region that serves p1 alone; `far` serves p1 and p2.
fn welcome(region: &str) -> Told {
    let region_of = |name: &str| v1::Region { name: name.into(), url: format!("ws://{name}") };
    let placement = |id: &str, regions: &[&str]| v1::Placement {
        id: id.into(),
        name: id.into(),
        regions: regions.iter().map(|name| region_of(name)).collect(),
    };
    Told::Welcome(v1::Welcome {
        version: 1,
        region: region.into(),
        placements: vec![placement("p1", &["near", "far"]), placement("p2", &["far"])],
        ..v1::Welcome::default()
    })
}

impl Story {
    fn new() -> Self {
        let config = Config {
            user: ME,
            device: DeviceId(1),
            token: "t".into(),
            client: "story".into(),
            home: vec![address("near")],
            placements: Vec::new(),
        };
        Self { client: Client::new(config), now: Now(1_000_000_000), text: String::new() }
    }

    /// Started and welcomed at the home region.
    fn live() -> Self {
        let mut story = Self::new();
        story.step("", Input::Start);
        story.step("", Input::Connected(ConnectionId(1)));
        story.hear(1, 1, welcome("near"));
        story.text.clear();
        story
    }

    fn step(&mut self, what: &str, input: Input) {
        let outputs = self.client.step(self.now, &mut Largest, input);
        if !what.is_empty() {
            writeln!(self.text, "> {what}").unwrap();
        }
        for output in outputs {
            match output {
                Output::Connect { connection, url } => writeln!(self.text, "connect {} {url}", connection.0),
                Output::Disconnect { connection } => writeln!(self.text, "disconnect {}", connection.0),
                Output::Send { connection, frame } => {
                    let Payload::Text(json) = Subprotocol::Json.encode_client(&frame) else { unreachable!() };
                    let json = std::str::from_utf8(&json).unwrap().to_owned();
                    writeln!(self.text, "send {} {json}", connection.0)
                }
                Output::Show(Event::Shown { item, marked, .. }) => {
                    writeln!(self.text, "shown {} marked: {marked}", item.place)
                }
                Output::Show(event) => writeln!(self.text, "{event:?}"),
            }
            .unwrap();
        }
    }

    fn hear(&mut self, connection: u64, request: u64, frame: Told) {
        let frame = v1::ServerFrame { request, frame: Some(frame) };
        self.step("", Input::Frame { connection: ConnectionId(connection), frame });
    }

    fn act(&mut self, what: &str, act: Act) {
        self.step(what, Input::Act(act));
    }

    fn send(&mut self, placement: u16, number: u128) {
        let message = Some(MessageId(number));
        let act =
            Act::Send { conversation: conversation(placement), message, body: "x".into(), reply_to: None };
        self.act(&format!("send {number} in p{placement}"), act);
    }

    fn wait(&mut self) {
        let deadline = self.client.deadline().unwrap();
        let waited = (deadline.0 - self.now.0) / 1_000;
        self.now = deadline;
        self.step(&format!("{waited} ms later"), Input::Timer);
    }

    fn done(&mut self, request: u64, number: u128, dot: &str) {
        let done = v1::Done {
            conversation: conversation(1).to_string(),
            command: MessageId(number).to_string(),
            dot: dot.into(),
            hlc: if dot.is_empty() { String::new() } else { "1.0".into() },
        };
        self.hear(1, request, Told::Done(done));
    }

    fn check(&self, expected: Expect) {
        expected.assert_eq(&self.text);
    }
}

fn error(code: &str, temporary: bool) -> Told {
    Told::Error(v1::Error { code: code.into(), temporary, message: "why".into(), ..v1::Error::default() })
}

fn deliver(placement: u16, items: &[(&str, &str, v1::item::Content)], cursor: &str) -> Told {
    let item = |(hlc, dot, content): &(&str, &str, v1::item::Content)| v1::Item {
        sender: UserId::new(PlacementId(1), 2).to_string(),
        message: MessageId(u128::from(hlc.bytes().fold(0_u64, |sum, b| sum * 31 + u64::from(b)))).to_string(),
        dot: (*dot).into(),
        hlc: (*hlc).into(),
        content: Some(content.clone()),
    };
    Told::Deliver(v1::Deliver {
        conversation: conversation(placement).to_string(),
        items: items.iter().map(item).collect(),
        cursor: cursor.to_owned().into(),
    })
}

fn post(seen: Option<&str>) -> v1::item::Content {
    let seen = seen.map(|dot| v1::Cut { dots: vec![dot.into()] });
    v1::item::Content::Post(v1::Post { body: "x".into(), seen, ..v1::Post::default() })
}

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
fn a_refusal_for_the_moment_holds_up_the_conversation_and_nothing_overtakes() {
    let mut story = Story::live();
    story.send(1, 1);
    story.send(1, 2);
    story.hear(1, 3, error("busy", true));
    story.wait();
    story.done(4, 1, "r1.0000000000000001:1");
    story.done(5, 2, "r1.0000000000000001:2");
    story.check(expect![[r#"
        > send 1 in p1
        send 1 {"request":"3","send":{"conversation":"c00010000000000000000000000000007","message":"00000000-0000-0000-0000-000000000001","body":"eA==","sentAtMs":"1000000"}}
        > send 2 in p1
        > 1000 ms later
        send 1 {"request":"4","send":{"conversation":"c00010000000000000000000000000007","message":"00000000-0000-0000-0000-000000000001","body":"eA==","sentAtMs":"1000000"}}
        Acknowledged { conversation: ConversationId(5192296858534827628530496329220103), command: MessageId(1), place: Some(Place { hlc: Timestamp(65536), dot: Dot { replica: ReplicaId { region: RegionId(1), incarnation: Incarnation(1) }, sequence: Sequence(1) } }) }
        send 1 {"request":"5","send":{"conversation":"c00010000000000000000000000000007","message":"00000000-0000-0000-0000-000000000002","body":"eA==","sentAtMs":"1000000"}}
        Acknowledged { conversation: ConversationId(5192296858534827628530496329220103), command: MessageId(2), place: Some(Place { hlc: Timestamp(65536), dot: Dot { replica: ReplicaId { region: RegionId(1), incarnation: Incarnation(1) }, sequence: Sequence(2) } }) }
    "#]]);
}

#[test]
fn what_one_region_acknowledged_and_the_next_refuses_is_tried_again_and_holds_up_nothing() {
    let mut story = Story::live();
    story.send(1, 1);
    story.done(3, 1, "r1.0000000000000001:1");
    story.act("move to far", Act::Move { region: address("far") });
    story.step("it opens", Input::Connected(ConnectionId(2)));
    story.hear(2, 4, welcome("far"));
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
        send 2 {"request":"7","send":{"conversation":"c00010000000000000000000000000007","message":"00000000-0000-0000-0000-000000000002","body":"eA==","sentAtMs":"1000000"}}
        > 30000 ms later
        send 2 {"request":"8","ping":{}}
        > 30000 ms later
        send 2 {"request":"9","ping":{}}
        > 30000 ms later
        send 2 {"request":"10","ping":{}}
        disconnect 2
        SignedOut { placement: None, retry_in_ms: 1000 }
    "#]]);
}

#[test]
fn a_refusal_for_good_is_told_and_the_next_goes_on() {
    let mut story = Story::live();
    story.send(1, 1);
    story.send(1, 2);
    story.hear(1, 3, error("unknown_conversation", false));
    story.check(expect![[r#"
        > send 1 in p1
        send 1 {"request":"3","send":{"conversation":"c00010000000000000000000000000007","message":"00000000-0000-0000-0000-000000000001","body":"eA==","sentAtMs":"1000000"}}
        > send 2 in p1
        Refused { conversation: Some(ConversationId(5192296858534827628530496329220103)), command: Some(MessageId(1)), code: "unknown_conversation", message: "why" }
        send 1 {"request":"4","send":{"conversation":"c00010000000000000000000000000007","message":"00000000-0000-0000-0000-000000000002","body":"eA==","sentAtMs":"1000000"}}
    "#]]);
    assert_eq!(story.client.unstable(), 1);
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
        }),
    );
    story.hear(1, 0, Told::CaughtUp(v1::CaughtUp { conversation: conversation(2).to_string() }));
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
        send 3 {"request":"11","acknowledge":{"cursor":"YQ=="}}
        send 3 {"request":"12","read":{"cursor":"YQ=="}}
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
fn live_items_are_acknowledged_together_and_read_goes_with_the_newest_cursor() {
    let mut story = Story::live();
    story.hear(1, 0, deliver(1, &[("1.0", "r1.0000000000000001:1", post(None))], "a"));
    story.hear(1, 3, Told::Done(v1::Done::default()));
    story.hear(1, 0, Told::CaughtUp(v1::CaughtUp { conversation: conversation(1).to_string() }));
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
        send 2 {"request":"8","acknowledge":{"cursor":"Yw=="}}
        send 2 {"request":"9","read":{"cursor":"Yw=="}}
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

#[test]
fn a_conversation_too_many_is_named_once_and_not_taken() {
    let mut story = Story::live();
    let caught_up = |number: u128| {
        let conversation = ConversationId::group(PlacementId(1), number).to_string();
        Told::CaughtUp(v1::CaughtUp { conversation })
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
