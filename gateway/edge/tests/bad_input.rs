//! What a device may not ask, over real sockets: each refused by its code with the way out, with nothing changed and no other device disturbed.
//!
//! "Nothing changed" is what the region exports before and after, line by line; "not disturbed" is another device that gets the next message
//! live, on the connection it had. What a frame must not be is tested in `devices.rs`.

#![allow(clippy::unwrap_used)]

mod town;

use bytes::Bytes;
use crdt::{ConversationId, MessageId, PlacementId, UserId};
use gateway::cursor::{Cursor, CursorKey, CursorKeys};
use gateway_protocol::v1::client_frame::Frame as Ask;
use gateway_protocol::v1::server_frame::Frame;
use gateway_protocol::{Subprotocol, v1};
use serde_json::Value;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::TcpStream;
use town::{Client, Town, group, http, message, user};

const DAY: Duration = Duration::from_secs(86_400);

/// What the region holds, but for what it knows to be stable, which grows by itself.
async fn held(town: &Town) -> Vec<Value> {
    let operator = town.token("operator", "", "test", 60);
    let (status, export) =
        http(town.gateway.admin_address(), "/v1/export?placement=global", Some(&operator)).await;
    assert_eq!(status, 200);
    let mut lines: Vec<Value> = export
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for line in &mut lines {
        line.as_object_mut().unwrap().remove("stable");
    }
    assert_eq!(lines.last().unwrap()["kind"], "end");
    lines
}

fn send(conversation: ConversationId, message: String, bytes: usize) -> v1::Send {
    let (conversation, body) = (conversation.to_string(), vec![b'x'; bytes].into());
    v1::Send { conversation, message, body, ..v1::Send::default() }
}

/// A message id of another day than today.
fn id_of(now: Duration) -> String {
    MessageId::new(now.as_millis() as u64, 9).to_string()
}

fn add(conversation: ConversationId, user: &str) -> Ask {
    let (conversation, command) = (conversation.to_string(), message(11));
    Ask::AddMember(v1::AddMember { conversation, command, user: user.to_owned() })
}

/// Asks for that, and is refused for good, with a text that says more than its code.
async fn is_refused(client: &mut Client<TcpStream>, what: &str, code: &str, ask: Ask) {
    let request = client.ask(ask).await;
    loop {
        let frame = client.next().await.unwrap_or_else(|| panic!("{what}: the connection was closed"));
        let Some(Frame::Error(error)) = frame.frame else {
            assert_ne!(frame.request, request, "{what} was answered: {frame:?}");
            continue;
        };
        assert_eq!((frame.request, error.code.as_str()), (request, code), "{what}: {}", error.message);
        assert!(!error.temporary && error.message.contains(':'), "{what}: {}", error.message);
        return;
    }
}

/// Commands and questions, by somebody who is a member of group 7, and of group 8 begun by themselves.
fn asked(cursor: &Bytes, cursor_of_8: &Bytes) -> Vec<(&'static str, &'static str, Ask)> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let pinned = UserId::new(PlacementId(9), 1);
    let malformed = |shape: fn(&mut v1::Send)| {
        let mut send = send(group(7), message(10), 1);
        shape(&mut send);
        Ask::Send(send)
    };
    let create = |members: Vec<String>| {
        let (conversation, command) = (group(77).to_string(), message(12));
        Ask::CreateGroup(v1::CreateGroup {
            conversation,
            command,
            members,
            name: "new".to_owned(),
            begun_in: String::new(),
            epoch: 0,
        })
    };
    let mut forged = cursor.to_vec();
    forged[30] ^= 1;
    let forged = Bytes::from(forged);
    let sync = |cursors: Vec<Bytes>| Ask::Sync(v1::Sync { cursors, ..v1::Sync::default() });
    vec![
        ("a body too long", "body_too_large", Ask::Send(send(group(7), message(10), 65_537))),
        ("an old id", "message_too_old", Ask::Send(send(group(7), id_of(now - 31 * DAY), 1))),
        ("an id to come", "message_from_future", Ask::Send(send(group(7), id_of(now + 2 * DAY), 1))),
        ("a conversation's id", "malformed_id", malformed(|send| send.conversation = "c7".into())),
        ("a message's id", "malformed_id", malformed(|send| send.message = "7".into())),
        ("no id", "missing_field", malformed(|send| send.message.clear())),
        ("a user's id", "malformed_id", add(group(8), "bert")),
        ("a placement's id", "malformed_id", Ask::List(v1::List { placement: "global".into(), limit: 0 })),
        ("a member pinned elsewhere", "placement_fixed", add(group(8), &pinned.to_string())),
        ("a group with one", "placement_fixed", create(vec![pinned.to_string()])),
        ("a member of somebody else's group", "not_an_admin", add(group(7), &user(3).to_string())),
        (
            "a conversation that is not there",
            "unknown_conversation",
            Ask::Send(send(group(99), message(10), 1)),
        ),
        (
            "a placement that is not here",
            "wrong_placement",
            Ask::Send(send(ConversationId::group(PlacementId(9), 7), message(10), 1)),
        ),
        ("a forged cursor", "cursor_forged", Ask::Read(v1::Read { cursor: forged.clone(), quiet: false })),
        (
            "a cursor of another cluster",
            "cursor_forged",
            Ask::Acknowledge(v1::Acknowledge { cursor: of_another_cluster() }),
        ),
        (
            "no cursor",
            "cursor_malformed",
            Ask::Read(v1::Read { cursor: Bytes::from_static(b"cursor"), quiet: true }),
        ),
        (
            "half a cursor",
            "cursor_malformed",
            Ask::Read(v1::Read { cursor: cursor.slice(..40), quiet: false }),
        ),
        ("a forged one among others", "cursor_forged", sync(vec![cursor_of_8.clone(), forged])),
        (
            "another conversation's cursor",
            "cursor_wrong_conversation",
            Ask::Send(v1::Send { seen: cursor_of_8.clone(), ..send(group(7), message(10), 1) }),
        ),
    ]
}

/// Sealed as a region seals, under another cluster's name.
fn of_another_cluster() -> Bytes {
    let keys = CursorKeys { current: CursorKey::new(1, "elsewhere", &[3; 32]), previous: None };
    let cursor = Cursor {
        conversation: group(7),
        replica: "r1.0000000000000005".parse().unwrap(),
        arrival: Default::default(),
        cut: Default::default(),
        highest: Default::default(),
    };
    keys.seal(&cursor).into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_has_a_code_and_a_way_out_and_changes_nothing_and_disturbs_nobody() {
    let town = Town::new().await;
    let mut anna = town.device(user(1), Subprotocol::Proto).await;
    let mut bert = town.device(user(2), Subprotocol::Json).await;
    let mut carl = town.device(user(3), Subprotocol::Json).await;
    anna.create(group(7), &[user(2)]).await;
    anna.send(group(7), b"hello bert".to_vec()).await;
    let cursor = bert.post().await.0.cursor;
    bert.create(group(8), &[]).await;
    bert.send(group(8), b"to myself".to_vec()).await;
    let cursor_of_8 = loop {
        let (deliver, post) = bert.post().await;
        if post.body == "to myself" {
            break deliver.cursor;
        }
    };
    let before = held(&town).await;

    for (what, code, ask) in asked(&cursor, &cursor_of_8) {
        is_refused(&mut bert, what, code, ask).await;
    }
    // A cursor that is true, in the hands of somebody who is not in the conversation.
    let foreign = || cursor.clone();
    is_refused(
        &mut carl,
        "a foreign cursor",
        "unknown_conversation",
        Ask::Read(v1::Read { cursor: foreign(), quiet: false }),
    )
    .await;
    let page = v1::Page { conversation: group(7).to_string(), ..v1::Page::default() };
    is_refused(&mut carl, "a foreign conversation", "unknown_conversation", Ask::Page(page)).await;

    assert_eq!(held(&town).await, before, "a refusal changes nothing");
    anna.send(group(7), b"still here".to_vec()).await;
    assert_eq!(bert.post().await.1.body, "still here");
    town.stop().await;
}
