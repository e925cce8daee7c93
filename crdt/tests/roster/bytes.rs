//! The bytes of rosters and their operations as they are today, their size, and that decoding is total and canonical.
//!
//! Nothing here is computed from the code under test but the bytes themselves. A change here is a change of what regions would store and compare.

use crate::group::histories::{Entry, History, steps};
use crate::histories::{replica, user};
use bytes::Bytes;
use crdt::group::Group;
use crdt::limits::MEMBERS_MAX;
use crdt::operation::MalformedOperation;
use crdt::roster::{Action, Change, RosterOperation};
use crdt::*;
use expect_test::{Expect, expect};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn check(bytes: &[u8], expected: &Expect) {
    let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    expected.assert_eq(&digits.chunks(32).map(<[String]>::concat).collect::<Vec<_>>().join("\n"));
}

fn dot(region: usize, sequence: u64) -> Dot {
    Dot { replica: replica(region), sequence: Sequence(sequence) }
}

fn actions() -> [Action; 7] {
    let (user, under) = (user(3), dot(0, 1));
    let shares = BTreeMap::from([(replica(0), 511), (replica(1), 256)]);
    [
        Action::Create { members: [crate::histories::user(1), crate::histories::user(2)].into(), shares },
        Action::Add { user, under },
        Action::Remove { user, under },
        Action::Leave,
        Action::Promote { user, under },
        Action::Demote { user, under },
        Action::Claim,
    ]
}

fn change(action: Action) -> Change {
    let creation = matches!(action, Action::Create { .. });
    let cut = if creation { Cut::new() } else { Cut::from_iter([dot(0, 300), dot(1, 7)]) };
    Change { cut, action }
}

#[test]
fn changes() {
    let bytes: Vec<u8> = actions().into_iter().flat_map(|action| change(action).encode()).collect();
    check(
        &bytes,
        &expect![[r#"
        1a320a1001000000000001000200000000000100120e080111a0000000000000
        0018ff03120e080211a1000000000000001880020a1f0a0e080111a000000000
        00000018ac020a0d080211a1000000000000001807120d080111a00000000000
        000018012103000000000001000a1f0a0e080111a00000000000000018ac020a
        0d080211a1000000000000001807120d080111a0000000000000001801290300
        0000000001000a1f0a0e080111a00000000000000018ac020a0d080211a10000
        0000000000180740010a1f0a0e080111a00000000000000018ac020a0d080211
        a1000000000000001807120d080111a000000000000000180131030000000000
        01000a1f0a0e080111a00000000000000018ac020a0d080211a1000000000000
        001807120d080111a00000000000000018013903000000000001000a1f0a0e08
        0111a00000000000000018ac020a0d080211a10000000000000018074801"#]],
    );
}

#[test]
fn what_was_encoded_reads_back() {
    for action in actions() {
        let change = change(action);
        assert_eq!(Change::decode(&change.encode()), Ok(change));
    }
}

/// A creation, an add, a promotion, a concurrent removal and leave; the first two are folded.
fn roster() -> Roster {
    let mut roster = Roster::default();
    let create = Action::Create { members: [user(2)].into(), shares: BTreeMap::from([(replica(0), 3)]) };
    let operations = [
        (dot(0, 1), 1, Cut::new(), create),
        (dot(0, 2), 1, Cut::from_iter([dot(0, 1)]), Action::Add { user: user(3), under: dot(0, 1) }),
        (dot(0, 3), 1, Cut::from_iter([dot(0, 2)]), Action::Promote { user: user(3), under: dot(0, 1) }),
        (dot(1, 1), 1, Cut::from_iter([dot(0, 2)]), Action::Remove { user: user(3), under: dot(0, 1) }),
        (dot(2, 1), 2, Cut::from_iter([dot(0, 3)]), Action::Leave),
    ];
    for (number, (dot, sender, cut, action)) in (1..).zip(operations) {
        let place = Place { hlc: Timestamp::from_ms(number), dot };
        let command = MessageId::new(1_732_500_000_000, u128::from(number));
        let change = Change { cut, action };
        roster.apply(RosterOperation { place, sender: user(sender), command, change }).unwrap();
    }
    assert_eq!(roster.fold(&Cut::from_iter([dot(0, 2)])), []);
    assert_eq!(roster.unfolded(), 3);
    roster
}

#[test]
fn a_record() {
    check(
        &roster().encode(),
        &expect![[r#"
        01000100000000000000a00200000000000200000001000100000000000000a0
        01030001000000000001010000000000010000000100000000000000a0010001
        000100000000000000a0010000000100000000000000a0010000000000000100
        00000100000000000000a0010001000000000002010000000000010000000100
        000000000000a001000000010000000000030100000000000200000001000000
        00000000a0020101000100000000000000a00100030000000000030000000100
        000000000000a00300010000000000010193610c0d0070008000000000000003
        01000100000000000000a002040001000000000003000100000000000000a001
        030101000100000000000000a0010000000000020000000100000000000000a0
        020000000000040000000200000000000000a10100010000000000010193610c
        0d007000800000000000000401000100000000000000a0020200010000000000
        03000100000000000000a001010000000000050000000300000000000000a201
        00010000000000020193610c0d00700080000000000000050100010000000000
        0000a0030301"#]],
    );
}

#[test]
fn canonical_bytes() {
    check(
        &roster().canonical_bytes(),
        &expect![[r#"
        020001000000000001010000000000010000000100000000000000a001000100
        0100000000000000a0010000000100000000000000a001000000000000010000
        000100000000000000a00100010000000000030001000100000000000000a003
        0001000100000000000000a0010101000100000000000000a001000000000002
        0000000100000000000000a002"#]],
    );
}

/// The figures in the head of `bytes.rs`.
#[test]
fn a_roster_grows_as_stated() {
    let cut = Cut::from_iter((0..3).map(|region| dot(region, 100_000)));
    assert_eq!(cut.encode().len(), 1 + 3 * 13);
    let mut roster = Roster::default();
    let mut apply = |number: u64, action: Action, cut: &Cut| {
        let place = Place { hlc: Timestamp::from_ms(number + 1), dot: dot(0, 100_001 + number) };
        let command = MessageId(u128::from(number));
        let mut cut = cut.clone();
        if number > 0 {
            cut.raise(dot(0, 100_000 + number));
        }
        let change = Change { cut, action };
        roster.apply(RosterOperation { place, sender: user(1), command, change }).unwrap();
        let unfolded = roster.encode().len();
        roster.fold(&Cut::from_iter([place.dot]));
        (unfolded, roster.encode().len())
    };
    let create = Action::Create { members: [].into(), shares: BTreeMap::new() };
    let under = dot(0, 100_001);
    let (_, created) = apply(0, create, &Cut::new());
    let (_, added) = apply(1, Action::Add { user: user(7), under }, &cut);
    assert_eq!(added - created, 10 + 22 + cut.encode().len());
    let (unfolded, promoted) = apply(2, Action::Promote { user: user(7), under }, &cut);
    assert_eq!(promoted - added, 50 + cut.encode().len());
    assert_eq!(unfolded - added, 90 + 2 * cut.encode().len());
}

#[test]
fn changes_that_are_none_are_refused_by_name() {
    let with = |edit: &dyn Fn(&mut proto::RosterChange)| {
        let mut wire = proto::RosterChange::default();
        let action = proto::roster_change::Action::Add(7);
        (wire.action, wire.under) =
            (Some(action), Some(proto::CutEntry { region: 1, incarnation: 1, sequence: 1 }));
        edit(&mut wire);
        Change::decode(&Bytes::from(prost::Message::encode_to_vec(&wire)))
    };
    let refused = |field| Err(MalformedOperation::Field(field));
    assert!(with(&|_| {}).is_ok());
    assert_eq!(with(&|wire| wire.action = None), refused("action"));
    assert_eq!(with(&|wire| wire.under = None), refused("under"));
    let leave = proto::roster_change::Action::Leave(false);
    assert_eq!(with(&|wire| wire.action = Some(leave.clone())), refused("action"));
    let under = |region, sequence| Some(proto::CutEntry { region, incarnation: 1, sequence });
    assert_eq!(with(&|wire| wire.under = under(70_000, 1)), refused("region"));
    assert_eq!(with(&|wire| wire.under = under(1, 0)), refused("under"));
    let create = |members: &[u64], shares: &[(u32, u64)]| {
        let share = |(region, rights): &(u32, u64)| proto::RightsShare {
            region: *region,
            incarnation: 1,
            rights: *rights,
        };
        let (members, shares) = (members.to_vec(), shares.iter().map(share).collect());
        Some(proto::roster_change::Action::Create(proto::GroupCreation { members, shares }))
    };
    let refused_creation = |members: &[u64], shares: &[(u32, u64)]| {
        with(&|wire| (wire.action, wire.under) = (create(members, shares), None))
    };
    assert!(refused_creation(&[1, 2], &[(1, 1), (2, 1)]).is_ok());
    assert_eq!(refused_creation(&[2, 1], &[]), refused("members"));
    let many: Vec<u64> = (0..=MEMBERS_MAX as u64).collect();
    assert_eq!(refused_creation(&many, &[]), refused("members"));
    assert_eq!(refused_creation(&[1], &[(2, 1), (1, 1)]), refused("shares"));
    assert_eq!(refused_creation(&[1], &[(1, 0)]), refused("shares"));
    let cut = Cut::from_iter([dot(0, 1)]).to_proto();
    let with_cut = with(&|wire| (wire.action, wire.cut) = (create(&[1], &[]), Some(cut.clone())));
    assert_eq!(with_cut, refused("cut"));
}

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

/// What decodes is encoded back to the very same bytes, and can be asked.
fn check_canonical(bytes: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(roster) = Roster::decode(bytes) {
        prop_assert_eq!(roster.encode(), bytes);
        prop_assert!(roster.members().count() <= bytes.len());
        let _ = roster.clone().fold(&Cut::from_iter([dot(0, u64::MAX), dot(1, u64::MAX)]));
    }
    if let Ok(mut group) = Group::decode(bytes) {
        prop_assert_eq!(group.encode(), bytes);
        group.fold(&Cut::from_iter([dot(0, u64::MAX), dot(1, u64::MAX)]));
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_record_comes_back_as_the_very_roster(steps in steps(60)) {
        for (_, group) in History::play(1_000, &steps).outcomes() {
            prop_assert_eq!(&Roster::decode(&group.roster().encode()).unwrap(), group.roster());
            prop_assert_eq!(&Group::decode(&group.encode()).unwrap(), group);
        }
    }

    #[test]
    fn damaged_bytes_give_a_value_or_an_error(
        steps in steps(40),
        (at, byte, edit) in (any::<usize>(), any::<u8>(), any::<u8>()),
    ) {
        let history = History::play(1_000, &steps);
        for (_, group) in history.outcomes() {
            check_canonical(&damaged(&group.roster().encode(), at, byte, edit))?;
            check_canonical(&damaged(&group.encode(), at, byte, edit))?;
        }
        for entry in &history.issued {
            if let Entry::Roster(RosterOperation { change, .. }) = entry {
                let _ = Change::decode(&Bytes::from(damaged(&change.encode(), at, byte, edit)));
                prop_assert_eq!(&Change::decode(&change.encode()).unwrap(), change);
            }
        }
    }

    #[test]
    fn random_bytes_give_a_value_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        check_canonical(&bytes)?;
        let _ = Change::decode(&Bytes::from(bytes));
    }
}
