//! Decoders are total: any bytes give a value or an error. And canonical: what decodes is encoded back to the very same bytes, so
//! that one state cannot have two digests.
//!
//! Bytes come from peers and disks, so both are tried: any bytes at all, and right ones with something changed.

use crate::decoder_checks::CHECKS;
use crate::histories::{History, replica, steps, user};
use bytes::Bytes;
use crdt::conversation::NotApplied;
use crdt::limits::{BODY_BYTES_MAX, CUT_ENTRIES_MAX, DOCUMENT_CHANGE_BYTES_MAX, MEMBERS_MAX, NAME_BYTES_MAX};
use crdt::operation::{Body, Draft, Envelope, MalformedOperation, Post};
use crdt::roster::{Action, Change};
use crdt::*;
use proptest::prelude::*;

/// Bytes that look like the beginning of something: short counts and many zeros.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![3 => 0..4_u8, 1 => any::<u8>()];
    prop_oneof![prop::collection::vec(any::<u8>(), 0..200), prop::collection::vec(byte, 0..200)]
}

/// One edit: a byte changed, removed, or put in.
fn damaged(bytes: &[u8], at: usize, byte: u8, edit: u8) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let at = at % (bytes.len() + 1);
    match edit % 4 {
        0 => bytes.insert(at, byte),
        1 => bytes.truncate(at),
        2 if at < bytes.len() => drop(bytes.remove(at)),
        _ if at < bytes.len() => bytes[at] = byte,
        _ => bytes.push(byte),
    }
    bytes
}

fn check(bytes: &[u8]) {
    CHECKS.iter().for_each(|(_, check)| check(bytes));
}

proptest! {
    #[test]
    fn random_bytes_give_a_value_or_an_error(noise in noise()) {
        check(&noise);
    }

    #[test]
    fn damaged_bytes_give_a_value_or_an_error(
        steps in steps(),
        (at, byte, edit) in (any::<usize>(), any::<u8>(), any::<u8>()),
    ) {
        let history = History::play(&steps);
        for (_, state) in history.states() {
            let membership = state.membership().encode();
            check(&damaged(&membership, at, byte, edit));
            let receipt = Receipt::new(state.cut().clone(), Cut::new());
            for bytes in [state.cut().encode(), receipt.encode()] {
                check(&damaged(&bytes, at, byte, edit));
            }
            for (_, aliases) in state.timeline().identities() {
                check(&damaged(&aliases.encode(), at, byte, edit));
            }
        }
        for operation in history.operations() {
            check(&damaged(&operation.envelope, at, byte, edit));
            check(&damaged(operation.payload.as_ref().unwrap(), at, byte, edit));
        }
    }

    #[test]
    fn a_damaged_payload_never_changes_a_conversation(steps in steps(), at in any::<usize>(), byte in any::<u8>()) {
        let history = History::play(&steps);
        let mut state = Conversation::new(history.conversation);
        for operation in history.operations() {
            let payload = operation.payload.clone().unwrap();
            let changed = Bytes::from(damaged(&payload, at, byte, 3));
            if changed != payload {
                let before = state.clone();
                let bad = Operation { payload: Some(changed), ..operation.clone() };
                prop_assert_eq!(state.apply(&bad), Err(NotApplied::Malformed(MalformedOperation::Digest)));
                prop_assert_eq!(&state, &before);
            }
            state.apply(operation).unwrap();
        }
    }

    #[test]
    fn texts_of_any_sort_are_identifiers_or_refused(text in any::<String>()) {
        check(text.as_bytes());
    }
}

/// What fuzzing has found worth keeping: each file reaches code that no other of its target does.
#[test]
fn the_corpus_of_every_fuzz_target_passes_its_check() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (target, check) in CHECKS {
        let mut inputs = 0;
        for entry in std::fs::read_dir(corpus.join(target)).unwrap() {
            #[allow(clippy::disallowed_methods, reason = "a test's own data")]
            check(&std::fs::read(entry.unwrap().path()).unwrap());
            inputs += 1;
        }
        assert!(inputs > 0, "{target} has a corpus");
    }
}

#[test]
fn a_count_of_more_than_there_is_is_refused_before_anything_is_reserved() {
    let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    for error in [
        VersionVector::decode(&huge).unwrap_err(),
        Aliases::decode(&huge).unwrap_err(),
        Receipt::decode(&huge).unwrap_err(),
        Membership::decode(&[&[0][..], &huge].concat()).unwrap_err(),
    ] {
        assert_eq!(error.to_string(), "not a canonical encoding: a count of more than there is");
    }
}

/// One less would fit.
#[test]
fn a_count_is_held_against_the_least_that_so_many_take() {
    let two_and_room_for_one = [[2, 0, 1].as_slice(), &[0; 8], &[7]].concat();
    // No edits, no deletion, and thirteen reactions of at least 27 bytes each.
    let thirteen_and_room_for_twelve = [[0, 0, 13].as_slice(), &[0; 13 * 27 - 1]].concat();
    // One account, to which six things of at least 12 bytes are on their way.
    let account = [[1, 0, 1].as_slice(), &[0; 8], &[1, 0]].concat();
    let six_and_room_for_five = [account.as_slice(), &[6], &[0; 6 * 12 - 1]].concat();
    for error in [
        VersionVector::decode(&two_and_room_for_one).unwrap_err(),
        amendments::Amendments::decode(&thirteen_and_room_for_twelve).unwrap_err(),
        escrow::Escrow::<escrow::Count>::decode(&six_and_room_for_five).unwrap_err(),
    ] {
        assert_eq!(error.to_string(), "not a canonical encoding: a count of more than there is");
    }
}

#[test]
fn a_number_has_one_encoding() {
    // Zero entries, padded; and a sequence that does not fit 64 bits.
    assert!(VersionVector::decode(&[0]).is_ok());
    assert!(VersionVector::decode(&[0x80, 0]).is_err());
    let entry = |sequence: &[u8]| [[1, 0, 1].as_slice(), &[0; 8], sequence].concat();
    assert!(VersionVector::decode(&entry(&[7])).is_ok());
    assert!(VersionVector::decode(&entry(&[0x87, 0])).is_err());
    assert!(VersionVector::decode(&entry(&[0])).is_err());
    assert!(
        VersionVector::decode(&entry(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01])).is_ok()
    );
    assert!(
        VersionVector::decode(&entry(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x03])).is_err()
    );
    assert!(VersionVector::decode(&entry(&[0xff; 11])).is_err());
}

#[test]
fn a_cut_on_the_wire_has_one_encoding() {
    let entry = |region, sequence| proto::CutEntry { region, incarnation: 1, sequence };
    let read =
        |entries: &[proto::CutEntry]| VersionVector::from_proto(&proto::Cut { entries: entries.to_vec() });
    assert!(read(&[entry(1, 1), entry(2, 1)]).is_ok());
    for refused in [
        [entry(1, 1), entry(2, 0)],
        [entry(2, 1), entry(1, 1)],
        [entry(1, 1), entry(1, 2)],
        [entry(1, 1), entry(65_537, 1)],
    ] {
        assert!(read(&refused).is_err(), "{refused:?}");
    }
}

#[test]
fn lists_that_are_not_in_order_are_refused() {
    let aliases = |hlc: u64| {
        let dot = Dot { replica: replica(0), sequence: Sequence(1) };
        Aliases::from_iter([Place { hlc: Timestamp(hlc), dot }]).encode()
    };
    let list = |first: u64, second: u64| [&[2], &aliases(first)[1..], &aliases(second)[1..]].concat();
    assert!(Aliases::decode(&list(1, 2)).is_ok());
    assert!(Aliases::decode(&list(2, 1)).is_err());
    assert!(Aliases::decode(&list(1, 1)).is_err());
}

fn sealed(body: Body) -> Operation {
    let conversation = ConversationId::group(PlacementId(1), 1);
    let draft = Draft { conversation, hlc: Timestamp(1), sender: user(1), message: MessageId(1), body };
    let (envelope, payload) = draft.seal([0; 16]);
    let dot = Dot { replica: replica(0), sequence: Sequence(1) };
    Operation { dot, envelope, payload: Some(payload) }
}

fn leave(cut: Cut) -> Body {
    Body::Change(Change { cut, action: Action::Leave })
}

/// A creation has a body of its own: dressed as a change it would be one without a name.
#[test]
fn a_change_that_creates_is_refused() {
    let change =
        Change { cut: Cut::new(), action: Action::Create { members: [user(1)].into(), shares: [].into() } };
    let mut state = Conversation::new(ConversationId::group(PlacementId(1), 1));
    let refused = state.apply(&sealed(Body::Change(change)));
    assert_eq!(refused, Err(NotApplied::Malformed(MalformedOperation::Field("action"))));
}

#[test]
fn what_is_beyond_a_limit_is_refused_by_field_and_what_is_at_it_is_not() {
    let cut = |entries: usize| {
        let replica = |n: usize| ReplicaId { region: RegionId(1), incarnation: Incarnation(n as u64) };
        Cut::from_iter((0..entries).map(|n| Dot { replica: replica(n), sequence: Sequence(1) }))
    };
    let members = |count: usize| (0..count as u64).map(UserId).collect();
    let create = |members, name| Body::Create { members, name, direct: false, shares: [].into() };
    let shared = |rights: u64, direct| {
        let replica = ReplicaId { region: RegionId(1), incarnation: Incarnation(1) };
        let shares = (rights > 0).then_some((replica, rights)).into_iter().collect();
        Body::Create { members: vec![UserId(1)], name: String::new(), direct, shares }
    };
    let post = |bytes: usize| {
        Body::Post(Post { body: Bytes::from(vec![0; bytes]), sent_at_ms: 0, reply_to: None, seen: None })
    };
    for (field, at_limit, beyond) in [
        ("body", post(BODY_BYTES_MAX), post(BODY_BYTES_MAX + 1)),
        (
            "members",
            create(members(MEMBERS_MAX), String::new()),
            create(members(MEMBERS_MAX + 1), String::new()),
        ),
        (
            "document",
            Body::Document(vec![0; DOCUMENT_CHANGE_BYTES_MAX].into()),
            Body::Document(vec![0; DOCUMENT_CHANGE_BYTES_MAX + 1].into()),
        ),
        ("shares", shared(MEMBERS_MAX as u64 - 1, false), shared(MEMBERS_MAX as u64, false)),
        ("shares", shared(0, true), shared(1, true)),
        ("name", create(vec![], "n".repeat(NAME_BYTES_MAX)), create(vec![], "n".repeat(NAME_BYTES_MAX + 1))),
        ("cut", leave(cut(CUT_ENTRIES_MAX)), leave(cut(CUT_ENTRIES_MAX + 1))),
        (
            "members",
            create(vec![user(1), user(2)], String::new()),
            create(vec![user(2), user(1)], String::new()),
        ),
        ("members", create(vec![user(1)], String::new()), create(vec![user(1), user(1)], String::new())),
    ] {
        let mut state = Conversation::new(ConversationId::group(PlacementId(1), 1));
        let refused = state.apply(&sealed(beyond));
        assert_eq!(refused, Err(NotApplied::Malformed(MalformedOperation::Field(field))));
        state.apply(&sealed(at_limit)).unwrap();
    }
}

#[test]
fn an_operation_of_another_conversation_or_without_what_it_needs_is_refused() {
    let operation = sealed(leave(Cut::new()));
    let other = ConversationId::group(PlacementId(1), 2);
    let refused = Conversation::new(other).apply(&operation);
    assert_eq!(refused, Err(NotApplied::OtherConversation(ConversationId::group(PlacementId(1), 1))));
    let bare = Operation { payload: None, ..operation };
    let refused = Conversation::new(ConversationId::group(PlacementId(1), 1)).apply(&bare);
    assert_eq!(refused, Err(NotApplied::PayloadGone(bare.dot)));
}

#[test]
fn an_envelope_names_what_is_wrong_with_it() {
    use prost::Message as _;
    let good = || proto::Envelope {
        conversation: Bytes::from_static(&[1; 16]),
        hlc: 1,
        kind: 0,
        sender: 1,
        message: Bytes::from_static(&[1; 16]),
        payload_digest: Bytes::from_static(&[1; 20]),
        target: None,
    };
    let target = |bytes| Some(proto::Identity { sender: 1, message: bytes });
    let check =
        |envelope: proto::Envelope| Envelope::decode(&Bytes::from(envelope.encode_to_vec())).unwrap_err();
    let short = || Bytes::from_static(&[1; 15]);
    let refusals = [
        check(proto::Envelope { conversation: short(), ..good() }),
        check(proto::Envelope { message: short(), ..good() }),
        check(proto::Envelope { payload_digest: short(), ..good() }),
        check(proto::Envelope { hlc: 0, ..good() }),
        check(proto::Envelope { hlc: Timestamp::REFUSED_FROM.0, ..good() }),
        check(proto::Envelope { target: target(Bytes::from_static(&[1; 16])), ..good() }),
        check(proto::Envelope { kind: 4, ..good() }),
        check(proto::Envelope { kind: 4, target: target(short()), ..good() }),
        check(proto::Envelope { kind: 14, ..good() }),
        Envelope::decode(&Bytes::from_static(&[0xff])).unwrap_err(),
    ];
    let printed: Vec<String> = refusals.iter().map(ToString::to_string).collect();
    expect_test::expect![[r#"
        the operation's field `conversation` is missing or out of range
        the operation's field `message` is missing or out of range
        the operation's field `payload_digest` is missing or out of range
        the operation's field `hlc` is missing or out of range
        the operation's field `hlc` is missing or out of range
        the operation's field `target` is missing or out of range
        the operation's field `target` is missing or out of range
        the operation's field `target` is missing or out of range
        operation kind 14 is unknown to this version: upgrade this region
        not a well-formed envelope: failed to decode Protobuf message: invalid varint"#]]
    .assert_eq(&printed.join("\n"));
}
