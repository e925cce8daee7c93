//! The bytes of operations that amend a message as they are today, and that what is none is refused by name.
//!
//! Nothing here is computed from the code under test but the bytes themselves.

use bytes::Bytes;
use crdt::amendments::{Amendment, AmendmentAct, AmendmentContent};
use crdt::limits::{BODY_BYTES_MAX, COMMANDS_WITHDRAWN_MAX};
use crdt::operation::{Body, Draft, Envelope, MalformedOperation};
use crdt::proto::payload::Body as Wire;
use crdt::*;
use expect_test::expect;
use proptest::prelude::*;
use prost::Message as _;

fn contents() -> [AmendmentContent; 4] {
    let emoji: emoji::Emoji = "👍🏽".parse().unwrap();
    let seen = [MessageId(1), MessageId(2)].into();
    [
        AmendmentContent::Edit { body: Bytes::from_static(b"hello"), seen: None },
        AmendmentContent::Delete,
        AmendmentContent::React(emoji.clone()),
        AmendmentContent::Withdraw { emoji, seen },
    ]
}

fn target() -> Identity {
    Identity { sender: crate::histories::user(1), message: MessageId::new(1_732_500_000_000, 9) }
}

fn sealed(content: AmendmentContent) -> (Bytes, Bytes) {
    let draft = Draft {
        conversation: ConversationId::group(PlacementId(1), 0xabc),
        hlc: Timestamp::from_ms(1_732_500_000_123),
        sender: crate::histories::user(1),
        message: MessageId::new(1_732_500_000_000, 10),
        body: Body::Amend { target: target(), content },
    };
    draft.seal([0x5a; 16])
}

#[test]
fn golden_bytes() {
    let hex = |bytes: &Bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let lines: Vec<String> = contents()
        .into_iter()
        .map(sealed)
        .map(|(envelope, payload)| format!("{}\n  {}", hex(&envelope), hex(&payload)))
        .collect();
    expect![[r#"
        0a1000010000000000000000000000000abc1100007b0d0c61930118042101000000000001002a100193610c0d007000800000000000000a321420471d583f576f53c7584c1e9f8019d50d555eb63a1b09010000000000010012100193610c0d0070008000000000000009
          0a105a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a32070a0568656c6c6f
        0a1000010000000000000000000000000abc1100007b0d0c61930118052101000000000001002a100193610c0d007000800000000000000a3214e8736b96200d582a7eda29e5e935f20c9541a7843a1b09010000000000010012100193610c0d0070008000000000000009
          0a105a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a3801
        0a1000010000000000000000000000000abc1100007b0d0c61930118062101000000000001002a100193610c0d007000800000000000000a32141a1a19fba5b01f323beaf2063303f13b322d2d563a1b09010000000000010012100193610c0d0070008000000000000009
          0a105a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a4208f09f918df09f8fbd
        0a1000010000000000000000000000000abc1100007b0d0c61930118072101000000000001002a100193610c0d007000800000000000000a321440d4ec523a50c5fb0181f76818d81d0b2fcae4c43a1b09010000000000010012100193610c0d0070008000000000000009
          0a105a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a4a2e0a08f09f918df09f8fbd121000000000000000000000000000000001121000000000000000000000000000000002"#]].assert_eq(&lines.join("\n"));
    for content in contents() {
        let (envelope, payload) = sealed(content.clone());
        let envelope = Envelope::decode(&envelope).unwrap();
        assert_eq!((envelope.kind, envelope.target), (content.kind(), Some(target())));
        assert_eq!(Body::decode(&envelope, &payload), Ok(Body::Amend { target: target(), content }));
    }
}

#[test]
fn of_an_edit_alone_the_payload_is_not_needed_to_know_what_it_does() {
    let dot = Dot { replica: crate::histories::replica(0), sequence: Sequence(1) };
    for content in contents() {
        let (envelope, payload) = sealed(content.clone());
        let envelope = Envelope::decode(&envelope).unwrap();
        let body = Body::decode(&envelope, &payload).unwrap();
        let whole = Amendment::of(dot, &envelope, Some(&body)).unwrap();
        assert_eq!(whole.target, target());
        assert_eq!(whole.act, content.into_act(envelope.payload_digest));
        let bare = Amendment::of(dot, &envelope, None);
        assert_eq!(bare, matches!(whole.act, AmendmentAct::Edit(_)).then_some(whole));
        assert_eq!(bare.is_some(), envelope.kind.may_be_cut());
    }
}

/// What a payload says, under the envelope of that kind.
fn decoded(kind: Kind, body: Option<Wire>) -> Result<Body, MalformedOperation> {
    let payload = Bytes::from(proto::Payload { salt: Bytes::new(), body }.encode_to_vec());
    let envelope = Envelope {
        conversation: ConversationId::group(PlacementId(1), 0xabc),
        hlc: Timestamp::from_ms(1),
        kind,
        sender: crate::histories::user(1),
        message: MessageId(1),
        payload_digest: operation::digest(&payload),
        target: Some(target()),
    };
    Body::decode(&envelope, &payload)
}

#[test]
fn amendments_that_are_none_are_refused_by_name() {
    let refused = |field| Err(MalformedOperation::Field(field));
    assert_eq!(decoded(Kind::Delete, None), refused("body"));
    assert_eq!(decoded(Kind::Delete, Some(Wire::Delete(false))), refused("delete"));
    assert_eq!(decoded(Kind::React, Some(Wire::Delete(true))), refused("kind"));
    let edit = |bytes| {
        let body = Bytes::from(vec![b'a'; bytes]);
        decoded(Kind::Edit, Some(Wire::Edit(proto::Edit { body, seen: None })))
    };
    assert!(edit(BODY_BYTES_MAX).is_ok());
    assert_eq!(edit(BODY_BYTES_MAX + 1), refused("body"));
    let react = |text: String| decoded(Kind::React, Some(Wire::React(text)));
    assert_eq!(react("no".into()), refused("emoji"));
    assert_eq!(react("👍".repeat(2_500)), refused("emoji"));
    let withdraw = |seen: Vec<Vec<u8>>| {
        let seen = seen.into_iter().map(Bytes::from).collect();
        decoded(Kind::Withdraw, Some(Wire::Withdraw(proto::Withdrawal { emoji: "👍".into(), seen })))
    };
    assert!(withdraw(vec![vec![1; 16], vec![2; 16]]).is_ok());
    let many = (0..=COMMANDS_WITHDRAWN_MAX as u128).map(|number| number.to_be_bytes().to_vec()).collect();
    for seen in [vec![], vec![vec![2; 16], vec![1; 16]], vec![vec![1; 16]; 2], vec![vec![1; 3]], many] {
        assert_eq!(withdraw(seen), refused("seen"));
    }
}

proptest! {
    #[test]
    fn damaged_bytes_give_a_value_or_an_error(which in 0..4_usize, at in any::<usize>(), byte in any::<u8>()) {
        let (envelope, payload) = sealed(contents()[which].clone());
        let mut bytes = payload.to_vec();
        let at = at % bytes.len();
        bytes[at] = byte;
        let bytes = Bytes::from(bytes);
        let payload_digest = operation::digest(&bytes);
        let envelope = Envelope { payload_digest, ..Envelope::decode(&envelope).unwrap() };
        if let Ok(body) = Body::decode(&envelope, &bytes) {
            prop_assert_eq!(body.kind(), envelope.kind);
        }
    }
}
