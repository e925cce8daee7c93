//! The bytes as they are today. A change here is a change of what regions store, hash and compare: old stores must
//! still be readable, and regions of both versions must agree on digests.
//!
//! Nothing here is computed from the code under test but the bytes themselves.

use bytes::Bytes;
use crdt::group::{RightsAct, RightsChange};
use crdt::operation::{Body, Draft, Envelope, MalformedOperation, Post};
use crdt::roster::{Action, Change, Right};
use crdt::*;
use expect_test::{Expect, expect};

fn hex(bytes: &[u8]) -> String {
    let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.chunks(32).map(<[String]>::concat).collect::<Vec<_>>().join("\n")
}

fn check(bytes: &[u8], expected: &Expect) {
    expected.assert_eq(&hex(bytes));
}

fn user(number: u64) -> UserId {
    UserId::new(PlacementId(1), number)
}

fn dot(region: u16, sequence: u64) -> Dot {
    let replica =
        ReplicaId { region: RegionId(region), incarnation: Incarnation(0xf00d_0000 + u64::from(region)) };
    Dot { replica, sequence: Sequence(sequence) }
}

fn cut() -> Cut {
    Cut::from_iter([dot(1, 300), dot(2, 7)])
}

fn message(number: u128) -> MessageId {
    MessageId::new(1_732_500_000_000, number)
}

fn draft(hlc_ms: u64, sender: u64, number: u128, body: Body) -> Draft {
    let conversation = ConversationId::group(PlacementId(1), 0xabc);
    Draft {
        conversation,
        hlc: Timestamp::from_ms(hlc_ms),
        sender: user(sender),
        message: message(number),
        body,
    }
}

fn post(body: impl Into<Bytes>) -> Post {
    Post { body: body.into(), sent_at_ms: 1_732_500_000_000, reply_to: None, seen: None }
}

fn add(number: u64, cut: Cut) -> Body {
    Body::Change(Change { cut, action: Action::Add { user: user(number), under: dot(1, 1) } })
}

fn leave(cut: Cut) -> Body {
    Body::Change(Change { cut, action: Action::Leave })
}

fn create() -> Body {
    Body::Create {
        members: vec![user(1), user(2)],
        name: "Lagoon".into(),
        direct: false,
        shares: [(dot(1, 1).replica, 511), (dot(2, 1).replica, 511)].into(),
    }
}

fn sealed(draft: &Draft, dot: Dot) -> Operation {
    let (envelope, payload) = draft.seal([0x5a; 16]);
    Operation { dot, envelope, payload: Some(payload) }
}

#[test]
fn an_envelope() {
    let (envelope, _) = draft(1_732_500_000_123, 1, 1, Body::Post(post("hello"))).seal([0x5a; 16]);
    check(
        &envelope,
        &expect![[r#"
        0a1000010000000000000000000000000abc1100007b0d0c6193012101000000
        000001002a100193610c0d007000800000000000000132149968130c0c29245e
        9102f63d725c81a6e24dfa26"#]],
    );
}

#[test]
fn a_post() {
    let (_, payload) = draft(1_732_500_000_123, 1, 1, Body::Post(post("hello"))).seal([0x5a; 16]);
    check(&payload, &expect!["0a105a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a12070a0568656c6c6f"]);
}

#[test]
fn a_reply_by_a_device_that_had_seen_more() {
    let full = Post {
        sent_at_ms: 1_732_499_999_999,
        reply_to: Some((user(2), message(9))),
        seen: Some(cut()),
        ..post("hello")
    };
    let (_, payload) = draft(1_732_500_000_123, 1, 1, Body::Post(full)).seal([0x5a; 16]);
    check(
        &payload,
        &expect![[r#"
        0a105a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a12470a0568656c6c6f10011a1b09
        020000000000010012100193610c0d0070008000000000000009221f0a0e0801
        1101000df00000000018ac020a0d08021102000df0000000001807"#]],
    );
}

#[test]
fn a_transfer_of_rights() {
    let to = dot(2, 1).replica;
    let act = RightsAct::Transfer { to, rights: escrow::Count(3) };
    let rights = Body::Rights(RightsChange { cut: cut(), creation: dot(1, 1), act });
    let draft = Draft { sender: UserId(0), ..draft(1_732_500_000_123, 1, 1, rights) };
    let (envelope, payload) = draft.seal([0x5a; 16]);
    check(
        &envelope,
        &expect![[r#"
        0a1000010000000000000000000000000abc1100007b0d0c619301180c2a1001
        93610c0d00700080000000000000013214ec9c21d57313b63534dea044e08b4c
        c4e6182f57"#]],
    );
    check(
        &payload,
        &expect![[r#"
        0a105a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a523f0a1f0a0e08011101000df000
        00000018ac020a0d08021102000df0000000001807120d08011101000df00000
        000018011a0d08021102000df0000000001803"#]],
    );
    let envelope = Envelope::decode(&envelope).unwrap();
    assert_eq!(Body::decode(&envelope, &payload), Ok(draft.body));
}

#[test]
fn a_creation_an_add_and_a_leave() {
    let (_, payload) = draft(1_732_500_000_123, 1, 1, create()).seal([0x5a; 16]);
    check(
        &payload,
        &expect![[r#"
            0a105a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a1a3a0a1001000000000001000200
            00000000010012064c61676f6f6e220e08011101000df00000000018ff03220e
            08021102000df00000000018ff03"#]],
    );
    let (_, payload) = draft(1_732_500_000_123, 1, 1, add(3, cut())).seal([0x5a; 16]);
    check(
        &payload,
        &expect![[r#"
            0a105a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a22390a1f0a0e08011101000df000
            00000018ac020a0d08021102000df0000000001807120d08011101000df00000
            00001801210300000000000100"#]],
    );
    let (_, payload) = draft(1_732_500_000_123, 1, 1, leave(cut())).seal([0x5a; 16]);
    check(
        &payload,
        &expect![[r#"
            0a105a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a22230a1f0a0e08011101000df000
            00000018ac020a0d08021102000df00000000018074001"#]],
    );
}

#[test]
fn a_cut_aliases_and_a_receipt() {
    check(&cut().encode(), &expect!["02000100000000f00d0001ac02000200000000f00d000207"]);
    let place = |dot: Dot| Place { hlc: Timestamp::from_ms(1_732_500_000_123), dot };
    check(
        &Aliases::from_iter([place(dot(2, 9)), place(dot(1, 4))]).encode(),
        &expect![[r#"
        020193610c0d7b0000000100000000f00d0001040193610c0d7b000000020000
        0000f00d000209"#]],
    );
    check(
        &Receipt::new(Cut::new(), cut()).encode(),
        &expect![[r#"
        02000100000000f00d0001ac02000200000000f00d00020702000100000000f0
        0d0001ac02000200000000f00d000207"#]],
    );
    check(
        &Receipt::quiet(cut()).encode(),
        &expect![[r#"
        02000100000000f00d0001ac02000200000000f00d0002070002000100000000
        f00d0001ac02000200000000f00d000207"#]],
    );
}

#[test]
fn whether_a_user_sees_a_message() {
    assert_eq!([Visibility::Shown, Visibility::Hidden].map(|of| of.encode()), [[0], [1]]);
    for bytes in [&[][..], &[2], &[1, 0]] {
        assert!(Visibility::decode(bytes).is_err());
    }
}

#[test]
fn an_entry_of_the_directory_and_a_regions_flags() {
    let epoch = HomeEpoch::first(RegionId(1)).next(RegionId(2)).unwrap();
    check(&DirectoryEntry::Home { epoch, region: RegionId(3) }.encode(), &expect!["010200020003"]);
    check(&DirectoryEntry::Erased.encode(), &expect!["02"]);
    let mut flags = Flags::default();
    for (name, flag) in [("calls", Flag::Off), ("media-mb", Flag::AtMost(300))] {
        flags.set(name.parse().unwrap(), Some(flag)).unwrap();
    }
    check(&flags.encode(), &expect!["02020563616c6c7300086d656469612d6d6201ac02"]);
}

/// A creation, two posts, an add, a leave that undoes it, and a resend of the first post.
fn conversation() -> Conversation {
    let mut state = Conversation::new(ConversationId::group(PlacementId(1), 0xabc));
    for operation in [
        sealed(&draft(1_000, 1, 1, create()), dot(1, 1)),
        sealed(&draft(1_001, 1, 2, Body::Post(post("hello"))), dot(1, 2)),
        sealed(&draft(1_002, 1, 3, add(3, Cut::from_iter([dot(1, 2)]))), dot(1, 3)),
        sealed(&draft(1_003, 3, 4, leave(Cut::from_iter([dot(1, 3)]))), dot(1, 4)),
        sealed(&draft(1_004, 1, 5, add(4, Cut::from_iter([dot(1, 4)]))), dot(1, 5)),
        sealed(&draft(1_002, 1, 2, Body::Post(post("hello"))), dot(2, 1)),
    ] {
        state.apply(&operation).unwrap();
    }
    state
}

#[test]
fn a_membership() {
    check(
        &conversation().membership().encode(),
        &expect![[r#"
            0001000100000000f00d000101064c61676f6f6e010001000000000003000000
            000000000000000000040000000003e80000000100000000f00d000101000100
            00000000010193610c0d00700080000000000000010000020001000000000001
            000100000000000202000100000000f00d0001ff03000200000000f00d0002ff
            03010000000003ea0000000100000000f00d0001030001000000000001019361
            0c0d007000800000000000000301000100000000f00d00010201000100000000
            0003000100000000f00d00010102000100000000f00d0001010000000003eb00
            00000100000000f00d00010400010000000000030193610c0d00700080000000
            0000000401000100000000f00d00010303010000000003ec0000000100000000
            f00d00010500010000000000010193610c0d0070008000000000000005010001
            00000000f00d000104010001000000000004000100000000f00d000101020001
            00000000f00d0001010100010000000000010193610c0d007000800000000000
            000100020001000000000001000100000000000202000100000000f00d0001ff
            03000200000000f00d0002ff0301000100000000f00d00010102000100000000
            f00d000105fd030000000200000000f00d000200ff03000002000100000000f0
            0d0001030001000000000003000100000000f00d000105000100000000000402
            0001000000000001000100000000000200"#]],
    );
}

/// The figures in the head of `membership.rs`.
#[test]
fn a_membership_grows_as_stated() {
    let bytes = |changes: Vec<Body>| {
        let mut state = Membership::default();
        let stable = Cut::from_iter([dot(1, 100_000), dot(2, 100_000), dot(3, 100_000)]);
        for (number, body) in (0..).zip(changes) {
            let draft = draft(1_000 + number, 1, u128::from(number), body);
            let envelope = Envelope::decode(&draft.seal([0x5a; 16]).0).unwrap();
            state.apply(dot(1, 10_000 + number), &envelope, &draft.body).unwrap();
        }
        state.fold(&stable);
        state.encode().len()
    };
    let begin = || {
        let shares = [(dot(1, 1).replica, 1_023)].into();
        Body::Create { members: vec![user(1)], name: String::new(), direct: false, shares }
    };
    let added = |number: u64| {
        let cut = [dot(1, 9_998 + number), dot(2, 100_000), dot(3, 100_000)];
        let action = Action::Add { user: user(number), under: dot(1, 10_000) };
        Body::Change(Change { cut: Cut::from_iter(cut), action })
    };
    let group = |members: u64| {
        bytes(std::iter::once(begin()).chain((1..members).map(|number| added(number + 1))).collect())
    };
    let removed = {
        let action = Action::Remove { user: user(2), under: dot(1, 10_000) };
        Body::Change(Change { cut: Cut::from_iter([dot(1, 10_001)]), action })
    };
    let returned = Body::Rights(RightsChange {
        cut: Cut::from_iter([dot(1, 10_002)]),
        creation: dot(1, 10_000),
        act: RightsAct::Return([Right { dot: dot(1, 10_001), user: user(2) }].into()),
    });
    let after = bytes(vec![begin(), added(2), removed, returned]);
    // A byte more for the number of the region's last movement.
    assert_eq!(after - group(1), 8 + 1, "who was removed is remembered");
    assert!(group(1_024) < 95_000, "{}", group(1_024));
}

#[test]
fn the_state_of_a_conversation() {
    let state = conversation();
    check(
        &state.canonical_bytes(),
        &expect![[r#"
            00010000000000000000000000000abc02000100000000f00d00010500020000
            0000f00d0002010000000003ec000000064c61676f6f6e010001000000000003
            030001000000000001010000000003e80000000100000000f00d000101000100
            0100000000f00d0001010000000100000000f00d000101000000000003e80000
            000100000000f00d0001010001000000000002010000000003e8000000010000
            0000f00d00010100000001000000000004010000000003ec0000000100000000
            f00d0001050101000100000000f00d0001040002000100000000f00d000105fd
            030000000200000000f00d000200ff03000002000100000000f00d0001030001
            000000000003000100000000f00d000105000100000000000402000100000000
            00010001000000000002010000000003e80000000100000000f00d0001010001
            0000000000010193610c0d0070008000000000000001011f4ba50a5670a08fd4
            dd7cb04ca96a0a976a25dc010000000003e90000000100000000f00d00010200
            010000000000010193610c0d0070008000000000000002009968130c0c29245e
            9102f63d725c81a6e24dfa26010000000003ea0000000100000000f00d000103
            00010000000000010193610c0d00700080000000000000030262fbbb11f899b9
            f85be3126156a8947a5ed8ab89010000000003eb0000000100000000f00d0001
            0400010000000000030193610c0d007000800000000000000403786a119dc58d
            aaba0348c3b6321f448a59688c69010000000003ec0000000100000000f00d00
            010500010000000000010193610c0d00700080000000000000050202143e3001
            5bcb27dfcc33dfde57e8f4b3113c650200010000000000010193610c0d007000
            8000000000000001010000000003e80000000100000000f00d00010102000100
            00000000010193610c0d0070008000000000000002020000000003e900000001
            00000000f00d0001020000000003ea0000000200000000f00d00020102000100
            00000000010193610c0d0070008000000000000003010000000003ea00000001
            00000000f00d0001030200010000000000010193610c0d007000800000000000
            0005010000000003ec0000000100000000f00d00010502000100000000000301
            93610c0d0070008000000000000004010000000003eb0000000100000000f00d
            000104"#]],
    );
    expect!["e97c4b0d95ed8f5a0378949d574344d3"].assert_eq(&state.digest().to_string());
}

#[test]
fn chain_heads() {
    let partition = PartitionId { placement: PlacementId(1), bucket: Bucket::new(7).unwrap() };
    let genesis = ChainHead::genesis(partition, dot(1, 1).replica);
    let after = genesis.extend(b"an envelope");
    expect![[r#"
        58c8ab168ad761969c6a3306047331b283d0c2c8f982ebcf5de44930ca82b937
        d10b5afdef9312112d7a6746fb1297035c050012eb7c6629338312787db716e9
        d10b5afd"#]]
    .assert_eq(&format!("{genesis}\n{after}\n{:08x}", after.check()));
}

#[test]
fn derived_ids() {
    let direct = ConversationId::direct(PlacementId(1), user(1), user(2));
    let partition = direct.partition();
    expect![[r#"
        c0001c5a1e1c23db41737f9b162e9e22e
        p1/408
        p2/778
        0193610c-0d00-7000-8000-000000000001"#]]
    .assert_eq(&format!("{direct}\n{partition}\n{}\n{}", user(1).partition(PlacementId(2)), message(1)));
}

/// The figures in the head of `operation.rs`.
#[test]
fn the_bytes_around_a_post_of_1024_bytes_are_as_stated() {
    let bytes = |post: Post| {
        let (envelope, payload) = draft(1_732_500_000_123, 1, 1, Body::Post(post)).seal([0x5a; 16]);
        (envelope.len(), payload.len() - 1_024)
    };
    let body = vec![0xee; 1_024];
    assert_eq!(bytes(post(body.clone())), (76, 24));
    let sent_at = |sent_at_ms| bytes(Post { sent_at_ms, ..post(body.clone()) }).1 - 24;
    assert_eq!(sent_at(1_732_500_000_001), 2, "a millisecond later");
    assert_eq!(sent_at(1_735_092_000_000), 6, "30 days later");
    let reply = Post { reply_to: Some((user(2), message(9))), ..post(body.clone()) };
    assert_eq!(bytes(reply).1 - 24, 29);
    let marked = Post { seen: Some(cut()), ..post(body) };
    assert_eq!(bytes(marked).1 - 24, 33);
}

#[test]
fn what_was_sealed_reads_back() {
    let full = Post {
        sent_at_ms: i64::MIN,
        reply_to: Some((user(2), message(9))),
        seen: Some(cut()),
        ..post("hello")
    };
    for body in [Body::Post(post("")), Body::Post(full), create(), add(3, cut()), leave(Cut::new())] {
        let draft = draft(1_732_500_000_123, 1, 1, body);
        let (envelope_bytes, payload) = draft.seal([0x5a; 16]);
        let envelope = Envelope::decode(&envelope_bytes).unwrap();
        let expected = Envelope {
            conversation: draft.conversation,
            hlc: draft.hlc,
            kind: draft.body.kind(),
            sender: draft.sender,
            message: draft.message,
            payload_digest: operation::digest(&payload),
            target: None,
        };
        assert_eq!(envelope, expected);
        assert_eq!(Body::decode(&envelope, &payload), Ok(draft.body.clone()));
        let (_, other) = draft.seal([0x5b; 16]);
        assert_ne!(operation::digest(&other), envelope.payload_digest, "the salt is in the digest");
        assert_eq!(Body::decode(&envelope, &other), Err(MalformedOperation::Digest));
    }
}
