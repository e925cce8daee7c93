//! `docs/protocol.md` is what clients in other languages are written from, so what it shows is held against the code.
//!
//! What must always hold: each of its JSON examples is a whole frame of its side, in the one form that the encoder writes, with ids
//! that parse; together they show every kind of frame; its table of codes is the regions' own.

use expect_test::expect_file;
use gateway_protocol::v1::{client_frame::Frame as Asked, server_frame::Frame as Told};
use gateway_protocol::{Payload, Subprotocol, codes};
use std::collections::BTreeSet;

const PAGE: &str = include_str!("../../../docs/protocol.md");

/// The texts of the code blocks of that kind.
fn examples(kind: &str) -> Vec<String> {
    let opening = format!("```json {kind}\n");
    PAGE.split(&opening).skip(1).map(|rest| rest.split("\n```").next().unwrap().to_owned()).collect()
}

/// The text without the line breaks and spaces between its tokens; none of the examples has a space in a string next to a comma.
fn compact(text: &str) -> String {
    let mut compact = String::new();
    let mut quoted = false;
    for character in text.chars() {
        quoted ^= character == '"';
        if quoted || !character.is_whitespace() {
            compact.push(character);
        }
    }
    compact
}

/// The keys and values of a JSON text, in any order.
fn tokens(text: &str) -> BTreeSet<String> {
    compact(text).split(['{', '}', ',', '[', ']']).map(str::to_owned).collect()
}

const fn asked(frame: &Asked) -> &'static str {
    match frame {
        Asked::Hello(_) => "hello",
        Asked::Ping(_) => "ping",
        Asked::CreateGroup(_) => "create_group",
        Asked::OpenDirect(_) => "open_direct",
        Asked::AddMember(_) => "add_member",
        Asked::Leave(_) => "leave",
        Asked::List(_) => "list",
        Asked::Page(_) => "page",
        Asked::Send(_) => "send",
        Asked::Sync(_) => "sync",
        Asked::Acknowledge(_) => "acknowledge",
        Asked::Read(_) => "read",
        Asked::GetReceipts(_) => "get_receipts",
        Asked::Edit(_) => "edit",
        Asked::Delete(_) => "delete",
        Asked::React(_) => "react",
        Asked::RemoveMember(_) => "remove_member",
        Asked::Promote(_) => "promote",
        Asked::Demote(_) => "demote",
        Asked::Claim(_) => "claim",
        Asked::EditDocument(_) => "edit_document",
        Asked::ChangeDocument(_) => "change_document",
        Asked::GetDocument(_) => "get_document",
        Asked::DeleteForMe(_) => "delete_for_me",
    }
}

const fn told(frame: &Told) -> &'static str {
    match frame {
        Told::Welcome(_) => "welcome",
        Told::Pong(_) => "pong",
        Told::Done(_) => "done",
        Told::Conversations(_) => "conversations",
        Told::Messages(_) => "messages",
        Told::Deliver(_) => "deliver",
        Told::CaughtUp(_) => "caught_up",
        Told::Receipts(_) => "receipts",
        Told::Stable(_) => "stable",
        Told::Behind(_) => "behind",
        Told::Redirect(_) => "redirect",
        Told::Error(_) => "error",
        Told::Membership(_) => "membership",
        Told::Document(_) => "document",
        Told::DeletedForMe(_) => "deleted_for_me",
    }
}

#[test]
fn every_example_of_a_client_is_a_frame_and_every_frame_has_one() {
    let mut shown = BTreeSet::new();
    for example in examples("client") {
        let frame = Subprotocol::Json.decode_client(&Payload::Text(example.clone().into())).unwrap();
        shown.insert(asked(frame.frame.as_ref().unwrap()));
        let written = Subprotocol::Json.encode_client(&frame);
        let written = std::str::from_utf8(written.bytes()).unwrap();
        assert_eq!(tokens(&example), tokens(written), "not as it is written");
    }
    assert_eq!(shown.len(), 24, "{shown:?}");
}

#[test]
fn every_example_of_a_region_is_a_frame_that_the_client_takes_and_every_frame_has_one() {
    let mut shown = BTreeSet::new();
    for example in examples("server") {
        let frame = Subprotocol::Json.decode_server(&Payload::Text(example.clone().into())).unwrap();
        shown.insert(told(frame.frame.as_ref().unwrap()));
        let written = Subprotocol::Json.encode_server(&frame);
        let written = std::str::from_utf8(written.bytes()).unwrap();
        assert_eq!(tokens(&example), tokens(written), "not as it is written");
    }
    assert_eq!(shown.len(), 15, "{shown:?}");
}

#[test]
fn the_table_of_codes_is_the_regions_own() {
    let marker = "a test keeps them equal. -->\n";
    let (before, rest) = PAGE.split_once(marker).unwrap();
    let (_, after) = rest.split_once("## 15 Limits").unwrap();
    let page = format!("{before}{marker}\n{}\n## 15 Limits{after}", codes::table());
    expect_file!["../../../docs/protocol.md"].assert_eq(&page);
}

#[test]
fn every_id_in_the_examples_parses() {
    for example in [examples("client"), examples("server")].concat() {
        for text in example.split('"') {
            let digits = |prefix, length| {
                text.strip_prefix(prefix).is_some_and(|rest: &str| {
                    rest.len() == length && rest.bytes().all(|byte| byte.is_ascii_hexdigit())
                })
            };
            if digits('u', 16) {
                text.parse::<crdt::UserId>().unwrap();
            } else if digits('c', 32) {
                text.parse::<crdt::ConversationId>().unwrap();
            } else if text.starts_with("01932d1e-") {
                assert_eq!(text.parse::<crdt::MessageId>().unwrap().0 >> 76 & 0xf, 7, "{text} is a UUIDv7");
            } else if text.starts_with("r1.") || text.starts_with("r2.") {
                text.parse::<crdt::Dot>().unwrap();
            } else if text.starts_with("17324999") && text.contains('.') {
                text.parse::<crdt::Timestamp>().unwrap();
            }
        }
    }
}
