//! Golden frames, round trips, and what is refused: the wire format must not move by accident.
//!
//! What must always hold: the golden bytes and the golden JSON are what clients in the field speak; a change here breaks them, so it
//! needs a new version of the protocol.

#![allow(clippy::unwrap_used)]
use super::*;
use crate::v1;
use crate::v1::client_frame::Frame as Client;
use crate::v1::server_frame::Frame as Server;
use expect_test::{Expect, expect};
use proptest::prelude::*;

fn send() -> ClientFrame {
    let send = v1::Send {
        conversation: "c00010000000000000000000000000abc".into(),
        message: "01890a5d-ac96-774b-bcce-b302099a8057".into(),
        body: Bytes::from_static(b"hello \xff"),
        reply_to: Some(v1::MessageRef {
            sender: "u0001000000000abc".into(),
            message: "01890a5d-ac96-774b-bcce-b302099a8056".into(),
        }),
        sent_at_ms: -5,
        seen: Bytes::from_static(&[1, 2, 3]),
        after: "01890a5d-ac96-774b-bcce-b302099a8055".into(),
        acceptance: Bytes::from_static(&[4, 5]),
    };
    ClientFrame { request: u64::MAX, frame: Some(Client::Send(send)) }
}

fn deliver() -> ServerFrame {
    let post = v1::Post {
        body: Bytes::from_static(b"hi"),
        sent_at_ms: 1_700_000_000_000,
        reply_to: None,
        seen: Some(v1::Cut { dots: vec!["r1.00000000000000ff:12".into()] }),
        ..v1::Post::default()
    };
    let item = v1::Item {
        sender: "u0001000000000abc".into(),
        message: "01890a5d-ac96-774b-bcce-b302099a8057".into(),
        dot: "r1.00000000000000ff:12".into(),
        hlc: "1732500000000.3".into(),
        content: Some(v1::item::Content::Post(post)),
    };
    let deliver = v1::Deliver {
        conversation: "c00010000000000000000000000000abc".into(),
        items: vec![item],
        cursor: Bytes::from_static(&[0, 255]),
    };
    ServerFrame { request: 0, frame: Some(Server::Deliver(deliver)) }
}

fn hexadecimal(payload: &Payload) -> String {
    let line = |chunk: &[u8]| chunk.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    payload.bytes().chunks(32).map(line).collect::<Vec<_>>().join("\n")
}

fn text(payload: &Payload) -> String {
    String::from_utf8(payload.bytes().to_vec()).unwrap()
}

fn check(actual: &str, expected: &Expect) {
    expected.assert_eq(actual);
}

#[test]
fn a_send_has_these_bytes_and_this_json() {
    check(
        &hexadecimal(&Subprotocol::Proto.encode_client(&send())),
        &expect![[r#"
            08ffffffffffffffffff0152be010a2163303030313030303030303030303030
            3030303030303030303030303030616263122430313839306135642d61633936
            2d373734622d626363652d6233303230393961383035371a0768656c6c6f20ff
            22390a117530303031303030303030303030616263122430313839306135642d
            616339362d373734622d626363652d6233303230393961383035362809320301
            02033a2430313839306135642d616339362d373734622d626363652d62333032
            303939613830353542020405"#]],
    );
    check(
        &text(&Subprotocol::Json.encode_client(&send())),
        &expect![[
            r#"{"request":"18446744073709551615","send":{"conversation":"c00010000000000000000000000000abc","message":"01890a5d-ac96-774b-bcce-b302099a8057","body":"aGVsbG8g/w==","replyTo":{"sender":"u0001000000000abc","message":"01890a5d-ac96-774b-bcce-b302099a8056"},"sentAtMs":"-5","seen":"AQID","after":"01890a5d-ac96-774b-bcce-b302099a8055","acceptance":"BAU="}}"#
        ]],
    );
}

#[test]
fn a_delivery_has_these_bytes_and_this_json() {
    check(
        &hexadecimal(&Subprotocol::Proto.encode_server(&deliver())),
        &expect![[r#"
        3ab3010a21633030303130303030303030303030303030303030303030303030
        3030306162631289010a11753030303130303030303030303061626312243031
        3839306135642d616339362d373734622d626363652d62333032303939613830
        35371a1672312e303030303030303030303030303066663a3132220f31373332
        3530303030303030302e332a250a0268691080a0abfef96222180a1672312e30
        3030303030303030303030303066663a31321a0200ff"#]],
    );
    check(
        &text(&Subprotocol::Json.encode_server(&deliver())),
        &expect![[
            r#"{"deliver":{"conversation":"c00010000000000000000000000000abc","items":[{"sender":"u0001000000000abc","message":"01890a5d-ac96-774b-bcce-b302099a8057","dot":"r1.00000000000000ff:12","hlc":"1732500000000.3","post":{"body":"aGk=","sentAtMs":"1700000000000","seen":{"dots":["r1.00000000000000ff:12"]}}}],"cursor":"AP8="}}"#
        ]],
    );
}

#[test]
fn what_is_done_to_a_message_has_these_bytes_and_this_json() {
    let (conversation, command) =
        ("c00010000000000000000000000000abc", "01890a5d-ac96-774b-bcce-b302099a8057");
    let target = || {
        let message = "01890a5d-ac96-774b-bcce-b302099a8056".into();
        Some(v1::MessageRef { sender: "u0001000000000abc".into(), message })
    };
    let (conversation, command) = (|| conversation.to_owned(), || command.to_owned());
    let edit = v1::Edit {
        conversation: conversation(),
        command: command(),
        target: target(),
        body: Bytes::from_static(b"new"),
        seen: Bytes::from_static(&[1]),
    };
    let delete = v1::Delete { conversation: conversation(), command: command(), target: target() };
    let react = v1::React {
        conversation: conversation(),
        command: command(),
        target: target(),
        emoji: "❤".into(),
        withdraw: true,
    };
    let frames = [Client::Edit(edit), Client::Delete(delete), Client::React(react)];
    let written = frames.into_iter().map(|frame| {
        let frame = ClientFrame { request: 1, frame: Some(frame) };
        for subprotocol in Subprotocol::ALL {
            assert_eq!(subprotocol.decode_client(&subprotocol.encode_client(&frame)).unwrap(), frame);
        }
        let bytes = hexadecimal(&Subprotocol::Proto.encode_client(&frame));
        format!("{bytes}\n{}", text(&Subprotocol::Json.encode_client(&frame)))
    });
    check(
        &written.collect::<Vec<_>>().join("\n"),
        &expect![[r#"
        08017a8c010a2163303030313030303030303030303030303030303030303030
        3030303030616263122430313839306135642d616339362d373734622d626363
        652d6233303230393961383035371a390a117530303031303030303030303030
        616263122430313839306135642d616339362d373734622d626363652d623330
        32303939613830353622036e65772a0101
        {"request":"1","edit":{"conversation":"c00010000000000000000000000000abc","command":"01890a5d-ac96-774b-bcce-b302099a8057","target":{"sender":"u0001000000000abc","message":"01890a5d-ac96-774b-bcce-b302099a8056"},"body":"bmV3","seen":"AQ=="}}
        0801820184010a21633030303130303030303030303030303030303030303030
        303030303030616263122430313839306135642d616339362d373734622d6263
        63652d6233303230393961383035371a390a1175303030313030303030303030
        30616263122430313839306135642d616339362d373734622d626363652d6233
        30323039396138303536
        {"request":"1","delete":{"conversation":"c00010000000000000000000000000abc","command":"01890a5d-ac96-774b-bcce-b302099a8057","target":{"sender":"u0001000000000abc","message":"01890a5d-ac96-774b-bcce-b302099a8056"}}}
        08018a018b010a21633030303130303030303030303030303030303030303030
        303030303030616263122430313839306135642d616339362d373734622d6263
        63652d6233303230393961383035371a390a1175303030313030303030303030
        30616263122430313839306135642d616339362d373734622d626363652d6233
        303230393961383035362203e29da42801
        {"request":"1","react":{"conversation":"c00010000000000000000000000000abc","command":"01890a5d-ac96-774b-bcce-b302099a8057","target":{"sender":"u0001000000000abc","message":"01890a5d-ac96-774b-bcce-b302099a8056"},"emoji":"❤","withdraw":true}}"#]],
    );
}

#[test]
fn a_frame_is_read_back_as_written_in_both() {
    for subprotocol in Subprotocol::ALL {
        assert_eq!(subprotocol.decode_client(&subprotocol.encode_client(&send())).unwrap(), send());
        assert_eq!(subprotocol.decode_server(&subprotocol.encode_server(&deliver())).unwrap(), deliver());
        assert_eq!(Subprotocol::from_name(subprotocol.name()), Some(subprotocol));
    }
}

#[test]
fn unknown_fields_are_ignored_and_unknown_frames_named_with_their_number() {
    let json = |text: &'static str| Payload::Text(Bytes::from_static(text.as_bytes()));
    let known = json(r#"{"request":"7","ping":{"mood":"good"},"later":[1]}"#);
    let ping = ClientFrame { request: 7, frame: Some(Client::Ping(v1::Ping {})) };
    assert_eq!(Subprotocol::Json.decode_client(&known).unwrap(), ping);
    let unknown = json(r#"{"request":"7","teleport":{"to":"mars"}}"#);
    assert_eq!(Subprotocol::Json.decode_client(&unknown), Err(FrameError::Unknown { request: 7 }));
    // Field 1 = 7, then field 99 as an empty message.
    let unknown = Payload::Binary(Bytes::from_static(&[0x08, 7, 0x9a, 0x06, 0]));
    assert_eq!(Subprotocol::Proto.decode_client(&unknown), Err(FrameError::Unknown { request: 7 }));
}

#[test]
fn snake_case_names_and_plain_numbers_are_read_too() {
    let payload = Payload::Text(Bytes::from_static(br#"{"request":7,"get_receipts":{"conversation":"c"}}"#));
    let frame = Subprotocol::Json.decode_client(&payload).unwrap();
    assert_eq!(frame.request, 7);
    assert!(matches!(frame.frame, Some(Client::GetReceipts(_))));
}

#[test]
fn what_is_no_frame_is_refused_by_code() {
    let binary = |bytes: &'static [u8]| Payload::Binary(Bytes::from_static(bytes));
    let cases = [
        (Subprotocol::Json, Payload::Text(Bytes::from_static(b"{\"request\":"))),
        (Subprotocol::Json, Payload::Text(Bytes::from_static(b"\xff\xfe"))),
        (Subprotocol::Json, Payload::Text(Bytes::from_static(b"{\"ping\":{},\"list\":{}}"))),
        (Subprotocol::Json, binary(&[0x08, 7])),
        (Subprotocol::Proto, binary(&[0x0a])),
        (Subprotocol::Proto, Payload::Text(Bytes::from_static(b"{}"))),
        (Subprotocol::Proto, Payload::Binary(Bytes::from(vec![0; FRAME_BYTES_MAX + 1]))),
        (Subprotocol::Proto, binary(&[])),
    ];
    let errors: Vec<String> = cases
        .iter()
        .map(|(subprotocol, payload)| {
            let error = subprotocol.decode_client(payload).unwrap_err();
            format!("{}: {error}", error.code())
        })
        .collect();
    check(
        &errors.join("\n"),
        &expect![[r#"
        malformed_frame: the frame is not well-formed JSON: EOF while parsing a value at line 1 column 11; encode it by archipelago.proto and connect again
        malformed_frame: the frame is not well-formed JSON: expected value at line 1 column 1; encode it by archipelago.proto and connect again
        malformed_frame: the frame is not well-formed JSON: duplicate field `list` at line 1 column 17; encode it by archipelago.proto and connect again
        wrong_frame_kind: subprotocol archipelago.v1+json sends text messages and this one was not: connect again with the subprotocol you speak
        malformed_frame: the frame is not well-formed Protocol Buffers: failed to decode Protobuf message: ClientFrame.request: invalid wire type: LengthDelimited (expected Varint); encode it by archipelago.proto and connect again
        wrong_frame_kind: subprotocol archipelago.v1+proto sends binary messages and this one was not: connect again with the subprotocol you speak
        frame_too_large: the frame has 131073 bytes, the limit is 131072: split it, or shorten the body, and connect again
        unknown_frame: the frame holds nothing that version 1 knows: see `version` in the welcome"#]],
    );
}

#[test]
fn a_body_at_the_limit_fits_a_frame_in_both() {
    let mut frame = send();
    if let Some(Client::Send(send)) = &mut frame.frame {
        send.body = Bytes::from(vec![0xff; 65_536]);
    }
    for subprotocol in Subprotocol::ALL {
        assert!(subprotocol.encode_client(&frame).bytes().len() < FRAME_BYTES_MAX * 3 / 4);
    }
}

proptest! {
    #[test]
    fn no_bytes_make_decoding_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let bytes = Bytes::from(bytes);
        let _ = Subprotocol::Proto.decode_client(&Payload::Binary(bytes.clone()));
        let _ = Subprotocol::Proto.decode_server(&Payload::Binary(bytes.clone()));
        let _ = Subprotocol::Json.decode_client(&Payload::Text(bytes));
    }

    #[test]
    fn a_frame_cut_short_is_never_taken_for_another(keep in 0usize..100) {
        let whole = Subprotocol::Json.encode_client(&send());
        let keep = keep.min(whole.bytes().len() - 1);
        let cut = Payload::Text(whole.bytes().slice(..keep));
        prop_assert_eq!(Subprotocol::Json.decode_client(&cut).unwrap_err().code(), "malformed_frame");
    }
}
