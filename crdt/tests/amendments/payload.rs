//! The bytes of amendments as they are today, and that what is none is refused by name.
//!
//! Nothing here is computed from the code under test but the bytes themselves.

use bytes::Bytes;
use crdt::amendments::{AmendmentAct, AmendmentContent, AmendmentPayload};
use crdt::limits::{BODY_BYTES_MAX, COMMANDS_WITHDRAWN_MAX};
use crdt::operation::MalformedOperation;
use crdt::proto::amendment::Act;
use crdt::*;
use expect_test::expect;
use proptest::prelude::*;

fn contents() -> [AmendmentContent; 4] {
    let emoji: emoji::Emoji = "👍🏽".parse().unwrap();
    let seen = [MessageId(1), MessageId(2)].into();
    [
        AmendmentContent::Edit(Bytes::from_static(b"hello")),
        AmendmentContent::Delete,
        AmendmentContent::React(emoji.clone()),
        AmendmentContent::Withdraw { emoji, seen },
    ]
}

fn payload(content: AmendmentContent) -> AmendmentPayload {
    let target =
        Identity { sender: crate::histories::user(1), message: MessageId::new(1_732_500_000_000, 9) };
    AmendmentPayload { target, content }
}

#[test]
fn golden_bytes() {
    let hex = |bytes: Bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let lines: Vec<String> = contents().into_iter().map(|content| hex(payload(content).encode())).collect();
    expect![[r#"
        0a1b09010000000000010012100193610c0d0070008000000000000009120568656c6c6f
        0a1b09010000000000010012100193610c0d00700080000000000000091801
        0a1b09010000000000010012100193610c0d00700080000000000000092208f09f918df09f8fbd
        0a1b09010000000000010012100193610c0d00700080000000000000092a2e0a08f09f918df09f8fbd121000000000000000000000000000000001121000000000000000000000000000000002"#]].assert_eq(&lines.join("\n"));
    for content in contents() {
        assert_eq!(AmendmentPayload::decode(&payload(content.clone()).encode()), Ok(payload(content)));
    }
}

#[test]
fn only_an_edit_is_kept_by_its_digest() {
    let acts = contents().map(|content| content.into_act([7; 20]));
    assert_eq!(acts[0], AmendmentAct::Edit([7; 20]));
    assert_eq!(acts[1], AmendmentAct::Delete);
    assert!(matches!(&acts[2], AmendmentAct::React(emoji) if emoji.as_str() == "👍🏽"));
    assert!(matches!(&acts[3], AmendmentAct::Withdraw { seen, .. } if seen.len() == 2));
}

#[test]
fn amendments_that_are_none_are_refused_by_name() {
    let with = |target: Option<usize>, act: Option<Act>| {
        let target = target.map(|bytes| proto::Identity { sender: 1, message: Bytes::from(vec![1; bytes]) });
        let wire = proto::Amendment { target, act };
        AmendmentPayload::decode(&Bytes::from(prost::Message::encode_to_vec(&wire)))
    };
    let refused = |field| Err(MalformedOperation::Field(field));
    assert_eq!(with(None, Some(Act::Delete(true))), refused("target"));
    assert_eq!(with(Some(15), Some(Act::Delete(true))), refused("target"));
    assert_eq!(with(Some(16), None), refused("act"));
    assert_eq!(with(Some(16), Some(Act::Delete(false))), refused("delete"));
    let body = |bytes| Some(Act::Edit(Bytes::from(vec![b'a'; bytes])));
    assert!(with(Some(16), body(BODY_BYTES_MAX)).is_ok());
    assert_eq!(with(Some(16), body(BODY_BYTES_MAX + 1)), refused("edit"));
    assert_eq!(with(Some(16), Some(Act::React("no".into()))), refused("emoji"));
    assert_eq!(with(Some(16), Some(Act::React("👍".repeat(2_500)))), refused("emoji"));
    let withdraw = |seen: Vec<Vec<u8>>| {
        let seen = seen.into_iter().map(Bytes::from).collect();
        with(Some(16), Some(Act::Withdraw(proto::Withdrawal { emoji: "👍".into(), seen })))
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
        let mut bytes = payload(contents()[which].clone()).encode().to_vec();
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(payload) = AmendmentPayload::decode(&Bytes::from(bytes)) {
            prop_assert_eq!(AmendmentPayload::decode(&payload.encode()), Ok(payload));
        }
    }
}
