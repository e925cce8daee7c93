//! The bytes of operations on rights, of a group and of an escrow as they are today, and that what is none is refused by name.
//!
//! Nothing here is computed from the code under test but the bytes themselves. A change here is a change of what regions would store and compare.

use crate::histories::{replica, user};
use bytes::Bytes;
use crdt::escrow::{Act, Count, Escrow, Movement};
use crdt::group::{Group, RightsAct, RightsChange, RightsOperation};
use crdt::operation::MalformedOperation;
use crdt::roster::{Action, Change, Right, RosterOperation};
use crdt::*;
use expect_test::{Expect, expect};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

fn check(bytes: &[u8], expected: &Expect) {
    let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    expected.assert_eq(&digits.chunks(32).map(<[String]>::concat).collect::<Vec<_>>().join("\n"));
}

fn dot(region: usize, sequence: u64) -> Dot {
    Dot { replica: replica(region), sequence: Sequence(sequence) }
}

fn changes() -> [RightsChange; 3] {
    let rights =
        BTreeSet::from([Right { dot: dot(0, 1), user: user(2) }, Right { dot: dot(0, 300), user: user(3) }]);
    let change =
        |act| RightsChange { cut: Cut::from_iter([dot(0, 300), dot(1, 7)]), creation: dot(0, 1), act };
    [
        change(RightsAct::Transfer { to: replica(1), rights: Count(200) }),
        change(RightsAct::Return(rights)),
        change(RightsAct::Inherit(replica(2))),
    ]
}

#[test]
fn rights_changes() {
    let bytes: Vec<u8> = changes().iter().flat_map(RightsChange::encode).collect();
    check(
        &bytes,
        &expect![[r#"
        0a1f0a0e080111a00000000000000018ac020a0d080211a10000000000000018
        07120d080111a00000000000000018011a0e080211a10000000000000018c801
        0a1f0a0e080111a00000000000000018ac020a0d080211a10000000000000018
        07120d080111a000000000000000180122350a180a0d080111a0000000000000
        0018011102000000000001000a190a0e080111a00000000000000018ac021103
        000000000001000a1f0a0e080111a00000000000000018ac020a0d080211a100
        0000000000001807120d080111a00000000000000018012a0b080311a2000000
        00000000"#]],
    );
    for change in changes() {
        assert_eq!(RightsChange::decode(&change.encode()), Ok(change));
    }
}

#[test]
fn an_escrow() {
    let mut escrow = Escrow::issue(BTreeMap::from([(replica(0), Count(300)), (replica(1), Count(7))]));
    let give = |at, act| Movement { dot: dot(at, 1), cut: Cut::new(), act };
    escrow.apply(&give(0, Act::Transfer { to: replica(1), part: Count(200) }));
    escrow.apply(&give(2, Act::Inherit(replica(3))));
    check(
        &escrow.encode(),
        &expect![[r#"
        04000100000000000000a001640000000200000000000000a100070100010000
        0000000000a001c80100000300000000000000a2010000000004000000000000
        00a300000001000300000000000000a2"#]],
    );
}

#[test]
fn a_group() {
    let mut group = Group::default();
    let shares = BTreeMap::from([(replica(0), 2), (replica(1), 1)]);
    let create = Action::Create { members: [user(2)].into(), shares };
    let add = Action::Add { user: user(3), under: dot(0, 1) };
    let remove = Action::Remove { user: user(3), under: dot(0, 1) };
    for (number, action) in (1..).zip([create, add, remove]) {
        let cut = (1..number).map(|sequence| dot(0, sequence)).collect();
        let place = Place { hlc: Timestamp::from_ms(number), dot: dot(0, number) };
        let change = Change { cut, action };
        let operation =
            RosterOperation { place, sender: user(1), command: MessageId(u128::from(number)), change };
        assert!(group.apply(operation).unwrap().covered);
    }
    group.fold(&Cut::from_iter([dot(0, 3)]));
    check(
        &group.encode(),
        &expect![[r#"
        01000100000000000000a00300000000000300000001000100000000000000a0
        01020001000000000001010000000000010000000100000000000000a0010001
        000100000000000000a0010000000100000000000000a0010000000000000100
        00000100000000000000a0010001000000000002010000000000010000000100
        000000000000a001000000010001000000000001000000000000000000000000
        000000010001000100000000000202000100000000000000a002000200000000
        000000a10101000100000000000000a00102000100000000000000a002010000
        000200000000000000a10001000001000100000000000000a002000100000000
        0003020001000000000001000100000000000201000100000000000000a00200
        01000000000003"#]],
    );
    check(
        &group.canonical_bytes(),
        &expect![[r#"
        020001000000000001010000000000010000000100000000000000a001000100
        0100000000000000a0010000000100000000000000a001000000000000010000
        000100000000000000a001000100000000000201000000000001000000010000
        0000000000a001000002000100000000000000a0020100000002000000000000
        00a10001000001000100000000000000a0020001000000000003020001000000
        0000010001000000000002"#]],
    );
    let (creation, act) = group.rights_due(replica(0), &[replica(0)].into()).unwrap();
    assert_eq!(act, RightsAct::Return([Right { dot: dot(0, 2), user: user(3) }].into()));
    let change = RightsChange { cut: Cut::from_iter([dot(0, 3)]), creation, act };
    group.apply_rights(&RightsOperation { dot: dot(0, 4), change });
    assert_eq!((group.held(replica(0)), group.spent()), (Count(2), 2));
    assert_eq!(Group::decode(&group.encode()), Ok(group));
}

#[test]
fn rights_changes_that_are_none_are_refused_by_name() {
    use proto::rights_change::Act as Wire;
    let entry = |sequence| proto::CutEntry { region: 1, incarnation: 1, sequence };
    let share = |region, rights| proto::RightsShare { region, incarnation: 1, rights };
    let with = |edit: &dyn Fn(&mut proto::RightsChange)| {
        let cut = Some(Cut::from_iter([dot(0, 1)]).to_proto());
        let mut wire =
            proto::RightsChange { cut, creation: Some(entry(1)), act: Some(Wire::Transfer(share(1, 1))) };
        edit(&mut wire);
        RightsChange::decode(&Bytes::from(prost::Message::encode_to_vec(&wire)))
    };
    let refused = |field| Err(MalformedOperation::Field(field));
    assert!(with(&|_| {}).is_ok());
    assert_eq!(with(&|wire| wire.cut = None), refused("cut"));
    assert_eq!(with(&|wire| wire.creation = None), refused("creation"));
    assert_eq!(with(&|wire| wire.creation = Some(entry(0))), refused("creation"));
    assert_eq!(with(&|wire| wire.act = None), refused("act"));
    assert_eq!(with(&|wire| wire.act = Some(Wire::Transfer(share(1, 0)))), refused("rights"));
    assert_eq!(with(&|wire| wire.act = Some(Wire::Transfer(share(70_000, 1)))), refused("region"));
    let back = |users: &[u64]| {
        let right = |user: &u64| proto::SpentRight { spent_by: Some(entry(1)), user: *user };
        Some(Wire::Return(proto::RightsReturn { rights: users.iter().map(right).collect() }))
    };
    assert!(with(&|wire| wire.act = back(&[1, 2])).is_ok());
    for users in [&[][..], &[2, 1], &[1, 1]] {
        assert_eq!(with(&|wire| wire.act = back(users)), refused("rights"));
    }
}

proptest! {
    #[test]
    fn damaged_bytes_give_a_value_or_an_error(which in 0..3_usize, at in any::<usize>(), byte in any::<u8>()) {
        let mut bytes = changes()[which].encode().to_vec();
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(change) = RightsChange::decode(&Bytes::from(bytes)) {
            prop_assert_eq!(RightsChange::decode(&change.encode()), Ok(change));
        }
    }
}
