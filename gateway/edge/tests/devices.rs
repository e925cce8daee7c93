//! Devices over real sockets: they talk, are refused by name, fall behind and catch up, and are sent away.
//!
//! The region, its disk and the sockets are real; only the distance is not. What must always hold in each: the refusal names a code of
//! the protocol's table, and no other connection is disturbed.

#![allow(clippy::unwrap_used)]

mod town;

use futures_util::SinkExt as _;
use gateway::input::Redirect;
use gateway_protocol::v1;
use gateway_protocol::v1::client_frame::Frame as Ask;
use gateway_protocol::v1::server_frame::Frame;
use gateway_protocol::{FRAME_BYTES_MAX, Subprotocol};
use jsonwebtoken::EncodingKey;
use region::store::{Batch, Store as _, View as _};
use region_rocks::engine::SharedMemory;
use region_rocks::store::RocksStore;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Error, Message};
use town::{Client, Plan, Town, group, http, sign, user};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_devices_talk_across_subprotocols() {
    let town = Town::new().await;
    let mut anna = town.device(user(1), Subprotocol::Proto).await;
    let mut bert = town.device(user(2), Subprotocol::Json).await;
    anna.create(group(7), &[user(2)]).await;
    // The new conversation reaches both by itself, and is live before anything is sent in it.
    bert.until(|frame| matches!(frame, Frame::Membership(change) if change.member)).await;
    bert.until(|frame| matches!(frame, Frame::CaughtUp(_))).await;
    let done = anna.send(group(7), b"hello bert".to_vec()).await;
    let (deliver, post) = bert.post().await;
    assert_eq!(post.body, "hello bert");
    assert_eq!(deliver.items.last().unwrap().dot, done.dot);
    // The receipt comes back to its author alone, and so does stability.
    bert.ask(Ask::Acknowledge(v1::Acknowledge { cursor: deliver.cursor.clone() })).await;
    bert.ask(Ask::Read(v1::Read { cursor: deliver.cursor.clone(), quiet: false })).await;
    let covers = |cut: &Option<v1::Cut>| cut.as_ref().is_some_and(|cut| cut.dots.contains(&done.dot));
    let ticks = |frame: &Frame| match frame {
        Frame::Receipts(receipts) => receipts.receipts.iter().any(|receipt| covers(&receipt.read)),
        _ => false,
    };
    anna.until(ticks).await;
    // An answer carries what its author had been shown.
    let reply = v1::Send {
        conversation: group(7).to_string(),
        message: town::message(9),
        body: "hello anna".into(),
        seen: deliver.cursor,
        ..v1::Send::default()
    };
    bert.ask(Ask::Send(reply)).await;
    loop {
        let (_, post) = anna.post().await;
        if post.body == "hello anna" {
            break;
        }
    }
    bert.ask(Ask::List(v1::List::default())).await;
    let list = bert.until(|frame| matches!(frame, Frame::Conversations(_))).await;
    let Frame::Conversations(list) = list else { unreachable!() };
    assert_eq!(list.conversations[0].name, "town");
    let page = v1::Page { conversation: group(7).to_string(), ..v1::Page::default() };
    bert.ask(Ask::Page(page)).await;
    let page = bert.until(|frame| matches!(frame, Frame::Messages(_))).await;
    let Frame::Messages(page) = page else { unreachable!() };
    assert!(!page.more && page.items.len() >= 2);
    town.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_comes_back_with_its_cursor_gets_what_it_lacks() {
    let town = Town::new().await;
    let mut anna = town.device(user(1), Subprotocol::Proto).await;
    let mut bert = town.device(user(2), Subprotocol::Json).await;
    anna.create(group(7), &[user(2)]).await;
    anna.send(group(7), b"one".to_vec()).await;
    let (deliver, _) = bert.post().await;
    drop(bert);
    anna.send(group(7), b"two".to_vec()).await;
    let mut bert = town.connect(Subprotocol::Json).await;
    bert.hello(&town.token_of(user(2), 2)).await;
    bert.ask(Ask::Sync(v1::Sync { cursors: vec![deliver.cursor.clone()], ..v1::Sync::default() })).await;
    let (_, post) = bert.post().await;
    assert_eq!(post.body, "two");
    // A forged cursor is refused by name, and nothing else is disturbed.
    let mut forged = deliver.cursor.to_vec();
    forged[30] ^= 1;
    bert.ask(Ask::Acknowledge(v1::Acknowledge { cursor: forged.into() })).await;
    let refused = bert.until(|frame| matches!(frame, Frame::Error(_))).await;
    assert!(matches!(refused, Frame::Error(error) if error.code == "cursor_forged"));
    bert.ask(Ask::Ping(v1::Ping {})).await;
    bert.until(|frame| matches!(frame, Frame::Pong(_))).await;
    town.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_frame_ends_its_own_connection_by_name_and_no_other() {
    let town = Town::new().await;
    let mut other = town.device(user(1), Subprotocol::Json).await;
    let huge = vec![0_u8; FRAME_BYTES_MAX + 1];
    let cases = [
        (Subprotocol::Json, Message::text("{\"request\":"), "malformed_frame"),
        (Subprotocol::Json, Message::binary(vec![8, 1]), "wrong_frame_kind"),
        (Subprotocol::Proto, Message::text("{}"), "wrong_frame_kind"),
        (Subprotocol::Proto, Message::binary(vec![0x0a]), "malformed_frame"),
        (Subprotocol::Proto, Message::binary(huge), "frame_too_large"),
        (Subprotocol::Json, Message::text("{\"request\":\"1\",\"ping\":{}}"), "hello_expected"),
    ];
    for (subprotocol, message, code) in cases {
        let mut client = town.connect(subprotocol).await;
        client.socket.send(message).await.unwrap();
        assert_eq!(client.refusal().await, code);
    }
    let mut client = town.connect(Subprotocol::Json).await;
    client.hello(&town.token_of(user(3), 3)).await;
    client.socket.send(Message::text("{\"request\":\"5\",\"teleport\":{}}")).await.unwrap();
    let refused = client.until(|frame| matches!(frame, Frame::Error(_))).await;
    assert!(matches!(refused, Frame::Error(error) if error.code == "unknown_frame"));
    other.ask(Ask::Ping(v1::Ping {})).await;
    other.until(|frame| matches!(frame, Frame::Pong(_))).await;
    town.stop().await;
}

/// Changes a byte in the log's record of that position, in the conversation's partition.
fn damage(store: &std::path::Path, conversation: crdt::ConversationId, position: u64) {
    let mut store = RocksStore::open(store, &SharedMemory::new()).unwrap();
    let mut key = conversation.partition().bucket.number().to_be_bytes().to_vec();
    key.push(1);
    key.extend(position.to_be_bytes());
    let mut value = store.reader().get(&key).unwrap().unwrap().to_vec();
    value[7] ^= 1;
    let mut batch = Batch::default();
    batch.put(key, value.into());
    store.commit(&batch).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_record_is_refused_to_who_asks_for_it_and_everything_else_is_served() {
    let town = Town::new().await;
    let mut anna = town.device(user(1), Subprotocol::Proto).await;
    for (conversation, last) in [(group(7), "two"), (group(8), "of another conversation")] {
        anna.create(conversation, &[user(2)]).await;
        anna.send(conversation, b"one".to_vec()).await;
        anna.send(conversation, last.into()).await;
    }
    drop(anna);
    let town = town.restart_after(|store| damage(store, group(7), 2)).await;
    let mut anna = town.device(user(1), Subprotocol::Proto).await;
    let mut bert = town.device(user(2), Subprotocol::Json).await;
    let page = |conversation: crdt::ConversationId| {
        Ask::Page(v1::Page { conversation: conversation.to_string(), ..v1::Page::default() })
    };
    anna.ask(page(group(7))).await;
    let refused = anna.until(|frame| matches!(frame, Frame::Error(_))).await;
    assert!(matches!(refused, Frame::Error(error) if error.code == "region_unavailable"));
    for client in [&mut anna, &mut bert] {
        client.ask(page(group(8))).await;
        let given = client.until(|frame| matches!(frame, Frame::Messages(_))).await;
        assert!(matches!(&given, Frame::Messages(page) if page.items.len() == 2), "{given:?}");
    }
    bert.send(group(7), b"what can be written is".to_vec()).await;
    town.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_cut_in_the_middle_of_a_frame_leaves_nothing_behind() {
    use tokio::io::AsyncWriteExt as _;
    let town = Town::new().await;
    let mut client = town.device(user(1), Subprotocol::Proto).await;
    // A masked binary frame that announces 100 bytes and brings 3.
    client.socket.get_mut().write_all(&[0x82, 0x80 | 100, 1, 2, 3, 4, 9, 9, 9]).await.unwrap();
    drop(client);
    let patience = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
    while town.gateway.sessions() > 0 {
        assert!(tokio::time::Instant::now() < patience, "the session did not end");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    town.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_that_are_not_good_are_refused_by_name() {
    let town = Town::new().await;
    let mut other = town.device(user(9), Subprotocol::Json).await;
    let (id, device) = (user(1).to_string(), "d0000000000000001");
    let foreign = EncodingKey::from_ed_der(&pkcs8_of_another_key());
    let cases = [
        ("nonsense".to_owned(), "token_invalid"),
        (sign(&foreign, &id, device, "test", 60), "token_invalid"),
        (town.token(&id, "laptop", "test", 60), "token_invalid"),
        (town.token(&id, device, "test", -60), "token_expired"),
        (town.token(&id, device, "elsewhere", 60), "token_wrong_cluster"),
        (town.token("u0009000000000001", device, "test", 60), "user_not_here"),
    ];
    for (token, code) in cases {
        let mut client = town.connect(Subprotocol::Json).await;
        client.hello(&token).await;
        assert_eq!(client.refusal().await, code);
    }
    let mut client = town.device(user(1), Subprotocol::Proto).await;
    client.hello(&town.token_of(user(2), 2)).await;
    assert_eq!(client.refusal().await, "token_wrong_user");
    // A token that expires while connected ends the connection.
    let mut client = town.connect(Subprotocol::Json).await;
    client.hello(&town.token(&id, device, "test", 2)).await;
    client.until(|frame| matches!(frame, Frame::Welcome(_))).await;
    assert_eq!(client.refusal().await, "token_expired");
    other.ask(Ask::Ping(v1::Ping {})).await;
    other.until(|frame| matches!(frame, Frame::Pong(_))).await;
    town.stop().await;
}

fn pkcs8_of_another_key() -> Vec<u8> {
    use ed25519_dalek::pkcs8::EncodePrivateKey as _;
    ed25519_dalek::SigningKey::from_bytes(&[8; 32]).to_pkcs8_der().unwrap().as_bytes().to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_without_our_subprotocol_or_without_room_is_told_so() {
    let town = Town::planned(Plan { connections_max: 1, ..Plan::default() }).await;
    let refused = async |subprotocol: &'static str| {
        let stream = TcpStream::connect(town.gateway.address()).await.unwrap();
        match Client::shake_hands(stream, subprotocol).await {
            Err(Error::Http(response)) => {
                let text = String::from_utf8(response.body().clone().unwrap_or_default()).unwrap();
                (response.status().as_u16(), text.split(':').next().unwrap_or_default().to_owned())
            }
            _ => (200, String::new()),
        }
    };
    assert_eq!(refused("graphql-ws").await, (400, "subprotocol_unsupported".to_owned()));
    // The place of a refused handshake is given back a moment after its answer.
    let patience = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
    let held = loop {
        let stream = TcpStream::connect(town.gateway.address()).await.unwrap();
        match Client::shake_hands(stream, Subprotocol::Json.name()).await {
            Ok(client) => break client,
            Err(_) => assert!(tokio::time::Instant::now() < patience),
        }
    };
    assert_eq!(refused(Subprotocol::Json.name()).await, (503, "too_many_connections".to_owned()));
    drop(held);
    town.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_does_not_read_falls_behind_and_misses_nothing() {
    const MESSAGES: usize = 300;
    let town = Town::new().await;
    let mut slow = town.device(user(2), Subprotocol::Proto).await;
    let mut anna = town.device(user(1), Subprotocol::Proto).await;
    anna.create(group(7), &[user(2)]).await;
    slow.until(|frame| matches!(frame, Frame::CaughtUp(_))).await;
    for number in 0..MESSAGES {
        let mut body = vec![b'x'; 60_000];
        body[..8].copy_from_slice(&(number as u64).to_be_bytes());
        anna.send(group(7), body).await;
    }
    let mut shown = Vec::new();
    let mut fell_behind = false;
    let mut cursor = None;
    while shown.len() < MESSAGES {
        let frame = slow.until(|frame| matches!(frame, Frame::Deliver(_) | Frame::Behind(_))).await;
        match frame {
            Frame::Behind(behind) => {
                fell_behind = true;
                let cursors = cursor.iter().cloned().collect();
                slow.ask(Ask::Sync(v1::Sync {
                    cursors,
                    conversations: behind.conversations,
                    ..v1::Sync::default()
                }))
                .await;
            }
            Frame::Deliver(deliver) => {
                for item in &deliver.items {
                    if let Some(v1::item::Content::Post(post)) = &item.content {
                        shown.push(u64::from_be_bytes(post.body[..8].try_into().unwrap()));
                    }
                }
                cursor = Some(deliver.cursor.clone());
                slow.ask(Ask::Acknowledge(v1::Acknowledge { cursor: deliver.cursor })).await;
            }
            _ => unreachable!(),
        }
    }
    assert!(fell_behind, "18 MB were kept for a device that did not read");
    assert_eq!(shown, (0..MESSAGES as u64).collect::<Vec<_>>());
    let (_, metrics) = http(town.gateway.admin_address(), "/metrics", None).await;
    assert!(metrics.contains("archipelago_gateway_fell_behind_total 1"), "{metrics}");
    town.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopping_gateway_sends_its_devices_away() {
    let town = Town::new().await;
    let mut client = town.device(user(1), Subprotocol::Json).await;
    let Town { gateway, node, folder, .. } = town;
    let redirect = Redirect { region: "far".into(), url: "wss://far.example:1".into() };
    let stopping = tokio::spawn(gateway.stop(Some(redirect)));
    let redirect = client.until(|frame| matches!(frame, Frame::Redirect(_))).await;
    assert!(matches!(redirect, Frame::Redirect(redirect) if redirect.url == "wss://far.example:1"));
    assert_eq!(client.refusal().await, "region_draining");
    stopping.await.unwrap();
    node.stop().await;
    drop(folder);
}
