//! What a client sends to have a message edited, deleted or reacted to, and what it shows of what others have done to messages.
//!
//! What must always hold: whatever the order in which it comes, a message ends by looking the same.

use crate::story::{ME, Story, conversation, error};
use bytes::Bytes;
use crdt::{MessageId, PlacementId, UserId};
use expect_test::{Expect, expect};
use gateway_client::{Act, Amend, Became, DocumentEdit, Event, Input, Output, limits};
use gateway_protocol::v1;
use gateway_protocol::v1::item::Content;
use gateway_protocol::v1::server_frame::Frame as Told;
use proptest::prelude::*;

const OTHER: UserId = UserId::new(PlacementId(1), 2);

fn target() -> Option<v1::MessageRef> {
    Some(v1::MessageRef { sender: OTHER.to_string(), message: MessageId(1).to_string() })
}

fn edited(body: &'static str, seen: Option<&str>) -> Content {
    let seen = seen.map(|dot| v1::Cut { dots: vec![dot.into()] });
    Content::Edited(v1::Edited { target: target(), body: Bytes::from_static(body.as_bytes()), seen })
}

fn deleted() -> Content {
    Content::Deleted(v1::Deleted { target: target() })
}

fn reacted(emoji: &str) -> Content {
    Content::Reacted(v1::Reacted { target: target(), emoji: emoji.into() })
}

fn withdrawn(emoji: &str, seen: &[u128]) -> Content {
    let seen = seen.iter().map(|command| MessageId(*command).to_string()).collect();
    Content::Withdrawn(v1::Withdrawn { target: target(), emoji: emoji.into(), seen })
}

/// An operation of region 1 or 2, as a region tells it: sender, command, place.
fn item(sender: UserId, command: u128, (hlc, region): (u64, u16), content: Content) -> v1::Item {
    v1::Item {
        sender: sender.to_string(),
        message: MessageId(command).to_string(),
        dot: format!("r{region}.0000000000000001:{hlc}"),
        hlc: format!("{hlc}.0"),
        content: Some(content),
    }
}

fn message() -> v1::Item {
    let post = v1::Post { body: "first".into(), ..v1::Post::default() };
    item(OTHER, 1, (1, 1), Content::Post(post))
}

fn deliver(items: Vec<v1::Item>) -> Told {
    Told::Deliver(v1::Deliver { conversation: conversation(1).to_string(), items, cursor: "c".into() })
}

/// What the application is told of these items, one line each.
fn told(items: Vec<v1::Item>) -> Vec<String> {
    let mut story = Story::live();
    let frame = v1::ServerFrame { request: 0, frame: Some(deliver(items)) };
    let input = Input::Frame { connection: gateway_client::ConnectionId(1), frame };
    let outputs = story.client.step(story.now, &mut crate::story::Largest, input);
    let line = |output| match output {
        Output::Show(Event::Shown { item, marked, .. }) => {
            Some(format!("shown {}{}", item.message.0, if marked { " *" } else { "" }))
        }
        Output::Show(Event::Amended { sender, message, body, became, .. }) => {
            assert_eq!((sender, message), (OTHER, MessageId(1)));
            Some(format!("it is {}", look(body, &became)))
        }
        Output::Show(Event::Moved { message, .. }) => Some(format!("moved {}", message.0)),
        Output::Show(Event::MarkCleared { message, .. }) => Some(format!("mark of {} goes", message.0)),
        _ => None,
    };
    outputs.into_iter().filter_map(line).collect()
}

fn look(body: Option<Bytes>, became: &Became) -> String {
    let text = body.map_or_else(|| "first".to_owned(), |body| String::from_utf8_lossy(&body).into_owned());
    let text = if became.deleted { "gone".to_owned() } else { text };
    let edited = if became.edited.is_some() { " (edited)" } else { "" };
    let reactions = became.reactions.iter();
    let reactions: String =
        reactions.map(|reaction| format!(" {}{}", reaction.emoji, reaction.count)).collect();
    format!("{text}{edited}{reactions}")
}

fn check(items: Vec<v1::Item>, expected: &Expect) {
    expected.assert_eq(&told(items).join("\n"));
}

#[test]
fn a_message_looks_as_what_was_done_to_it_says() {
    check(
        vec![
            message(),
            item(OTHER, 2, (2, 1), edited("second", None)),
            item(ME, 3, (3, 1), reacted("👍")),
            item(OTHER, 4, (4, 1), reacted("👍")),
            item(ME, 5, (5, 1), withdrawn("👍", &[3])),
            item(OTHER, 6, (6, 1), deleted()),
            item(OTHER, 7, (7, 1), edited("third", None)),
        ],
        &expect![[r#"
            shown 1
            shown 2
            it is second (edited)
            shown 3
            it is second (edited) 👍1
            shown 4
            it is second (edited) 👍2
            shown 5
            it is second (edited) 👍1
            shown 6
            it is gone
            shown 7"#]],
    );
}

#[test]
fn an_edit_of_anothers_message_and_what_is_done_to_what_is_hidden_show_nothing() {
    check(
        vec![message(), item(ME, 2, (2, 1), edited("not mine", None)), item(ME, 3, (3, 1), deleted())],
        &expect![[r#"
            shown 1
            shown 2
            shown 3"#]],
    );
}

/// At each limit the oldest goes, and what is held is watched.
#[test]
fn what_became_of_messages_is_kept_within_its_limits() {
    let of = |message: u128| {
        let target = v1::MessageRef { sender: OTHER.to_string(), message: MessageId(message).to_string() };
        Some(target)
    };
    let react = |message: u128| Content::Reacted(v1::Reacted { target: of(message), emoji: "👍".into() });
    let long = |message: u128| {
        Content::Edited(v1::Edited { target: of(message), body: Bytes::from(vec![b'x'; 65_536]), seen: None })
    };
    let held = |story: &Story, what: &str| {
        let held = story.client.held().into_iter().find(|held| held.what == what);
        held.map(|held| (held.held, held.limit))
    };
    let give = |story: &mut Story, items: Vec<v1::Item>| {
        let frame = v1::ServerFrame { request: 0, frame: Some(deliver(items)) };
        let input = Input::Frame { connection: gateway_client::ConnectionId(1), frame };
        story.client.step(story.now, &mut crate::story::Largest, input);
    };
    let mut story = Story::live();
    let places = 1..=limits::AMENDED_MAX as u64 + 5;
    give(
        &mut story,
        places.map(|at| item(ME, 100_000 + u128::from(at), (at, 1), react(at.into()))).collect(),
    );
    let most = limits::AMENDED_MAX;
    assert_eq!(held(&story, "amended messages"), Some((most, most)));
    let mut story = Story::live();
    give(
        &mut story,
        (1..=20).map(|at| item(OTHER, 100 + u128::from(at), (at, 1), long(at.into()))).collect(),
    );
    let most = limits::AMENDED_BYTES_MAX;
    assert_eq!(held(&story, "bytes of edits"), Some((most, most)), "sixteen of twenty");
    assert_eq!(held(&story, "amended messages").map(|held| held.0), Some(16));
}

/// Of two edits the later one is shown; then it turns out to have been taken elsewhere before the other one.
#[test]
fn an_edit_that_was_taken_twice_counts_where_it_was_taken_first() {
    check(
        vec![
            message(),
            item(OTHER, 2, (5, 1), edited("second", None)),
            item(OTHER, 3, (6, 1), edited("third", None)),
            item(OTHER, 3, (2, 2), edited("third", None)),
        ],
        &expect![[r#"
            shown 1
            shown 2
            it is second (edited)
            shown 3
            it is third (edited)
            moved 3
            it is second (edited)"#]],
    );
}

#[test]
fn an_edit_written_on_more_than_is_here_bears_the_mark_until_that_comes() {
    let cause = item(OTHER, 9, (3, 2), Content::Post(v1::Post { body: "x".into(), ..v1::Post::default() }));
    check(
        vec![message(), item(OTHER, 2, (5, 1), edited("second", Some("r2.0000000000000001:3"))), cause],
        &expect![[r#"
            shown 1
            shown 2 *
            it is second (edited)
            shown 9
            mark of 2 goes"#]],
    );
}

#[test]
fn what_comes_deleted_is_shown_as_that_and_stays() {
    let post = v1::Post { deleted: true, ..v1::Post::default() };
    check(
        vec![
            item(OTHER, 1, (1, 1), Content::Post(post)),
            item(OTHER, 2, (2, 1), deleted()),
            item(ME, 3, (3, 1), reacted("👍")),
        ],
        &expect![[r#"
            shown 1
            shown 2
            it is gone
            shown 3"#]],
    );
}

fn anything() -> impl Strategy<Value = Vec<v1::Item>> {
    let faces = || prop::sample::select(vec!["👍", "❤"]);
    let content = prop_oneof![
        4 => prop::sample::select(vec!["one", "two", "three"]).prop_map(|body| edited(body, None)),
        1 => Just(deleted()),
        4 => faces().prop_map(reacted),
        3 => (faces(), prop::collection::btree_set(10..20_u128, 1..3)).prop_map(|(emoji, seen)| {
            withdrawn(emoji, &seen.into_iter().collect::<Vec<_>>())
        }),
    ];
    prop::collection::vec((any::<bool>(), 10..20_u128, content), 0..24).prop_map(|drawn| {
        let numbered = drawn.into_iter().enumerate().map(|(at, (mine, command, content))| {
            let place = (2 + at as u64, 1 + (at % 2) as u16);
            item(if mine { ME } else { OTHER }, command, place, content)
        });
        numbered.collect()
    })
}

proptest! {
    #[test]
    fn whatever_the_order_a_message_ends_by_looking_the_same(
        (items, shuffled) in anything().prop_flat_map(|items| (Just(items.clone()), Just(items).prop_shuffle())),
    ) {
        let last = |items: Vec<v1::Item>| {
            let mut all = vec![message()];
            all.extend(items);
            let look = told(all).into_iter().rfind(|line| line.starts_with("it is"));
            look.unwrap_or_else(|| "it is first".to_owned())
        };
        prop_assert_eq!(last(items), last(shuffled));
    }
}

#[test]
fn what_is_to_be_done_goes_through_the_outbox_in_order_and_a_refusal_is_told() {
    let mut story = Story::live();
    let act = |command: u128, what: Amend| Act::Amend {
        conversation: conversation(1),
        command: Some(MessageId(command)),
        target: (ME, MessageId(1)),
        what,
    };
    story.send(1, 1);
    story.act("edit it", act(2, Amend::Edit("y".into())));
    story.act("the same again", act(2, Amend::Edit("y".into())));
    story.act("another under that id", act(2, Amend::Delete));
    story.act("react", act(3, Amend::React("👍".into())));
    story.act("delete it", act(4, Amend::Delete));
    story.done(3, 1, "r1.0000000000000001:1");
    story.hear(1, 4, error("too_late", false));
    story.done(5, 3, "r1.0000000000000001:2");
    story.done(6, 4, "r1.0000000000000001:3");
    let long = "x".repeat(65_537);
    story.act("edit into too much", act(5, Amend::Edit(long.into())));
    story.check(expect![[r#"
        > send 1 in p1
        send 1 {"request":"3","send":{"conversation":"c00010000000000000000000000000007","message":"00000000-0000-0000-0000-000000000001","body":"eA==","sentAtMs":"1000000"}}
        > edit it
        > the same again
        > another under that id
        Refused { conversation: Some(ConversationId(5192296858534827628530496329220103)), command: Some(MessageId(2)), code: "id_in_use", message: "c00010000000000000000000000000007 has an unfinished command under that id already: draw a new id" }
        > react
        > delete it
        Acknowledged { conversation: ConversationId(5192296858534827628530496329220103), command: MessageId(1), place: Some(Place { hlc: Timestamp(65536), dot: Dot { replica: ReplicaId { region: RegionId(1), incarnation: Incarnation(1) }, sequence: Sequence(1) } }) }
        send 1 {"request":"4","edit":{"conversation":"c00010000000000000000000000000007","command":"00000000-0000-0000-0000-000000000002","target":{"sender":"u0001000000000001","message":"00000000-0000-0000-0000-000000000001"},"body":"eQ=="}}
        Refused { conversation: Some(ConversationId(5192296858534827628530496329220103)), command: Some(MessageId(2)), code: "too_late", message: "why" }
        send 1 {"request":"5","react":{"conversation":"c00010000000000000000000000000007","command":"00000000-0000-0000-0000-000000000003","target":{"sender":"u0001000000000001","message":"00000000-0000-0000-0000-000000000001"},"emoji":"👍"}}
        Acknowledged { conversation: ConversationId(5192296858534827628530496329220103), command: MessageId(3), place: Some(Place { hlc: Timestamp(65536), dot: Dot { replica: ReplicaId { region: RegionId(1), incarnation: Incarnation(1) }, sequence: Sequence(2) } }) }
        send 1 {"request":"6","delete":{"conversation":"c00010000000000000000000000000007","command":"00000000-0000-0000-0000-000000000004","target":{"sender":"u0001000000000001","message":"00000000-0000-0000-0000-000000000001"}}}
        Acknowledged { conversation: ConversationId(5192296858534827628530496329220103), command: MessageId(4), place: Some(Place { hlc: Timestamp(65536), dot: Dot { replica: ReplicaId { region: RegionId(1), incarnation: Incarnation(1) }, sequence: Sequence(3) } }) }
        > edit into too much
        Refused { conversation: Some(ConversationId(5192296858534827628530496329220103)), command: Some(MessageId(5)), code: "body_too_large", message: "the body has 65537 bytes, the limit is 65536: shorten it" }
    "#]]);
}

/// What a conversation says of itself is changed and asked for.
#[test]
fn a_document_is_edited_through_the_outbox_and_asked_for() {
    let mut story = Story::live();
    let act = |command: u128, edit: DocumentEdit| Act::EditDocument {
        conversation: conversation(1),
        command: Some(MessageId(command)),
        edit,
    };
    story.act("name it", act(1, DocumentEdit::Name("sailing".into())));
    story.act("the same again", act(1, DocumentEdit::Name("sailing".into())));
    story.act("pin", act(2, DocumentEdit::Pin((OTHER, MessageId(1)))));
    story.done(3, 1, "r1.0000000000000001:1");
    story.hear(1, 4, error("document_too_long", false));
    story.act("ask", Act::GetDocument { conversation: conversation(1) });
    let part = |name: &str, actor: &str, more| {
        let conversation = conversation(1).to_string();
        let (name, actor, automerge) = (name.into(), actor.into(), "a".into());
        let document = v1::Document { conversation, name, actor, automerge, more, ..v1::Document::default() };
        Told::Document(Box::new(document))
    };
    story.hear(1, 5, part("sailing", "00", true));
    story.hear(1, 5, part("", "", false));
    story.check(expect![[r#"
        > name it
        send 1 {"request":"3","editDocument":{"conversation":"c00010000000000000000000000000007","command":"00000000-0000-0000-0000-000000000001","name":"sailing"}}
        > the same again
        > pin
        Acknowledged { conversation: ConversationId(5192296858534827628530496329220103), command: MessageId(1), place: Some(Place { hlc: Timestamp(65536), dot: Dot { replica: ReplicaId { region: RegionId(1), incarnation: Incarnation(1) }, sequence: Sequence(1) } }) }
        send 1 {"request":"4","editDocument":{"conversation":"c00010000000000000000000000000007","command":"00000000-0000-0000-0000-000000000002","pin":{"sender":"u0001000000000002","message":"00000000-0000-0000-0000-000000000001"}}}
        Refused { conversation: Some(ConversationId(5192296858534827628530496329220103)), command: Some(MessageId(2)), code: "document_too_long", message: "why" }
        > ask
        send 1 {"request":"5","getDocument":{"conversation":"c00010000000000000000000000000007"}}
        Documented { conversation: ConversationId(5192296858534827628530496329220103), document: Document { name: "sailing", icon: "", description: "", pinned: [], settings: [], account: Account { display_name: "", status: "", contacts: [], labels: [], blocked: [] }, actor: "00", automerge: b"a" }, more: true }
        Documented { conversation: ConversationId(5192296858534827628530496329220103), document: Document { name: "", icon: "", description: "", pinned: [], settings: [], account: Account { display_name: "", status: "", contacts: [], labels: [], blocked: [] }, actor: "", automerge: b"a" }, more: false }
    "#]]);
}
