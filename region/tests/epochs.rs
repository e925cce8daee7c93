//! Epoch statements: an unbroken, rightly signed row gives a placement; whatever else is refused by name.
//!
//! Keys and incarnations are fixed, so that signatures and hashes in the expected texts are too.
use crdt::{Incarnation, PlacementId, RegionId, ReplicaId};
use ed25519_dalek::{SigningKey, VerifyingKey};
use expect_test::{Expect, expect};
use region::cluster::ClusterPlacement;
use region::epoch::{current_placement, parse, to_toml};
use replication::epoch::EpochStatement;
use replication::placement::{Durability, Epoch, Placement};
use std::collections::BTreeMap;

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn placement() -> ClusterPlacement {
    let regions = [RegionId(1), RegionId(2)].into();
    ClusterPlacement {
        id: PlacementId(3),
        name: "eu".to_owned(),
        regions,
        key: key().verifying_key(),
        durability: Durability::default(),
        kept_days: None,
        backup: None,
    }
}

fn replicas(of: &[(u16, u64)]) -> BTreeMap<ReplicaId, VerifyingKey> {
    let replica = |&(region, incarnation): &(u16, u64)| {
        let id = ReplicaId { region: RegionId(region), incarnation: Incarnation(incarnation) };
        (id, SigningKey::from_bytes(&[incarnation as u8; 32]).verifying_key())
    };
    of.iter().map(replica).collect()
}

/// Where a placement stands after that statement alone.
fn after(id: PlacementId, previous: Option<&EpochStatement>) -> Placement {
    let before = Placement::new(id, placement().regions, key().verifying_key());
    let number = previous.map_or(Epoch(0), |previous| previous.number);
    Placement { epoch: number, statement: previous.map(EpochStatement::hash), ..before }
}

fn signed(previous: Option<&EpochStatement>, of: &[(u16, u64)]) -> EpochStatement {
    EpochStatement::sign(&after(PlacementId(3), previous), replicas(of), &key())
}

fn refuse(statements: &[EpochStatement], expected: Expect) {
    expected.assert_eq(&current_placement(&placement(), statements).unwrap_err().to_string());
}

#[test]
fn the_last_of_an_unbroken_row_counts_in_whatever_order_it_is_read() {
    let first = signed(None, &[(1, 10), (2, 20)]);
    let second = signed(Some(&first), &[(1, 10)]);
    for row in [vec![first.clone(), second.clone()], vec![second.clone(), first.clone(), second.clone()]] {
        let placement = current_placement(&placement(), &row).unwrap();
        assert_eq!((placement.id, placement.epoch), (PlacementId(3), Epoch(2)));
        assert_eq!(placement.active, replicas(&[(1, 10)]));
    }
}

#[test]
fn a_file_reads_as_it_was_written_and_has_one_form() {
    let first = signed(None, &[(1, 10), (2, 20)]);
    let second = signed(Some(&first), &[(2, 20)]);
    for statement in [&first, &second] {
        assert_eq!(&parse(&to_toml(statement)).unwrap(), statement);
    }
    expect![[r##"
        # Which replicas are active in placement p3 from epoch 2 on. Signed with the placement's key.
        placement = "p3"
        number = 2
        previous = "8e2806b4ba21912025b2b879fc4cfbd1c19ee122747ad9cbabdf0f8db31e8d75"
        signature = "466ef42442df05209c4ae4cafbfd58f4f863d4c4111d748779112ca71245a77de21c899b9dba1551b3dc8988e75972f0a61ad2641e371beb402fbd45e6bf820d"

        [[active]]
        replica = "r2.0000000000000014"
        key = "20828bf5c5bdcacb684863336c202fb5599da48be5596615742170705beca9f7"
    "##]]
    .assert_eq(&to_toml(&second));
}

#[test]
fn forks_gaps_and_foreign_statements_are_refused() {
    let first = signed(None, &[(1, 10), (2, 20)]);
    let other = signed(None, &[(1, 10)]);
    let second = signed(Some(&first), &[(1, 10)]);
    let after_other = signed(Some(&other), &[(2, 20)]);
    refuse(&[], expect!["epoch 1 of p3 is missing: get its file from an operator"]);
    refuse(std::slice::from_ref(&second), expect!["epoch 1 of p3 is missing: get its file from an operator"]);
    refuse(
        &[first.clone(), other],
        expect![
            "epoch 1 of p3 is a fork: 8c2e74d6bba3e62aeb36325702bdd3eeac8f5370cf80a5672b0f65605fa292a8 stands where 8e2806b4ba21912025b2b879fc4cfbd1c19ee122747ad9cbabdf0f8db31e8d75 was expected; ask the operators which one holds"
        ],
    );
    refuse(
        &[first.clone(), after_other],
        expect![
            "epoch 2 of p3 is a fork: 8c2e74d6bba3e62aeb36325702bdd3eeac8f5370cf80a5672b0f65605fa292a8 stands where 8e2806b4ba21912025b2b879fc4cfbd1c19ee122747ad9cbabdf0f8db31e8d75 was expected; ask the operators which one holds"
        ],
    );
    let mut zero = first.clone();
    zero.number = Epoch(0);
    refuse(
        &[zero],
        expect!["epoch 0 of p3 is not signed with the placement's key: get it again from an operator"],
    );
    let foreign = EpochStatement::sign(&after(PlacementId(4), None), replicas(&[(1, 10)]), &key());
    refuse(&[foreign], expect!["epoch 1 of p4 was given for placement p3: put it with its own placement"]);
}

#[test]
fn any_change_to_a_signed_statement_is_a_bad_signature() {
    let first = signed(None, &[(1, 10), (2, 20)]);
    let bad = "epoch 1 of p3 is not signed with the placement's key: get it again from an operator";
    let mut fewer = first.clone();
    fewer.active.pop_first();
    let mut other_key = first.clone();
    other_key.active.insert(replicas(&[(1, 10)]).pop_first().unwrap().0, key().verifying_key());
    let mut flipped = first.clone();
    flipped.signature[5] ^= 1;
    let stranger = SigningKey::from_bytes(&[8; 32]);
    let stranger = EpochStatement::sign(&after(PlacementId(3), None), replicas(&[(1, 10)]), &stranger);
    for changed in [fewer, other_key, flipped, stranger] {
        assert_eq!(current_placement(&placement(), &[changed]).unwrap_err().to_string(), bad);
    }
}

#[test]
fn a_signed_statement_must_fit_the_cluster_file() {
    refuse(
        &[signed(None, &[(1, 10), (5, 50)])],
        expect![
            "epoch 1 of p3 names r5, which the cluster file does not put into the placement: correct that file, or get the epoch again from an operator"
        ],
    );
    refuse(
        &[signed(None, &[(1, 10), (1, 11)])],
        expect!["epoch 1 of p3 names two replicas of r1, and a region is one: get it again from an operator"],
    );
}

fn replica(region: u16, incarnation: u64) -> ReplicaId {
    ReplicaId { region: RegionId(region), incarnation: Incarnation(incarnation) }
}

/// The epoch after the first, which closes region 1's replica and names that heir of that one.
fn with_heir(first: &EpochStatement, closed: ReplicaId, heir: ReplicaId) -> EpochStatement {
    let before = current_placement(&placement(), std::slice::from_ref(first)).unwrap();
    EpochStatement::sign_with_heirs(&before, replicas(&[(2, 20)]), [(closed, heir)].into(), &key())
}

#[test]
fn an_heir_is_named_by_the_epoch_that_closes_whom_it_follows_and_else_the_first_that_stays() {
    let first = signed(None, &[(1, 10), (2, 20)]);
    let named = with_heir(&first, replica(1, 10), replica(2, 20));
    assert_eq!(parse(&to_toml(&named)).unwrap(), named);
    assert_eq!(EpochStatement::decode(&named.encode()).unwrap(), named);
    let unnamed = signed(Some(&first), &[(2, 20)]);
    let of = |last: &EpochStatement| current_placement(&placement(), &[first.clone(), last.clone()]).unwrap();
    assert_eq!(of(&named).heirs, [(replica(1, 10), replica(2, 20))].into());
    assert_eq!(of(&named).heirs, of(&unnamed).heirs);
    assert_ne!(of(&named).fingerprint(), of(&unnamed).fingerprint(), "they are two statements of one number");
    let admitted = signed(Some(&first), &[(1, 11), (2, 20)]);
    assert_eq!(
        of(&admitted).heirs,
        [(replica(1, 10), replica(2, 20))].into(),
        "not the one that is still to come"
    );
    let alone = signed(Some(&first), &[(1, 11)]);
    assert_eq!(of(&alone).heirs[&replica(1, 10)], replica(1, 11), "whoever is left");
    let mut stripped = named.clone();
    stripped.heirs.clear();
    refuse(
        &[first, stripped],
        expect!["epoch 2 of p3 is not signed with the placement's key: get it again from an operator"],
    );
}

#[test]
fn an_heir_is_active_and_follows_one_that_the_epoch_closes() {
    let first = signed(None, &[(1, 10), (2, 20)]);
    refuse(
        &[first.clone(), with_heir(&first, replica(1, 10), replica(1, 10))],
        expect![
            "epoch 2 of p3 names r1.000000000000000a the heir of r1.000000000000000a: an heir is active in it, and of one that it closes; state it again"
        ],
    );
    refuse(
        &[first.clone(), with_heir(&first, replica(2, 20), replica(2, 20))],
        expect![
            "epoch 2 of p3 names r2.0000000000000014 the heir of r2.0000000000000014: an heir is active in it, and of one that it closes; state it again"
        ],
    );
    refuse(
        &[first.clone(), with_heir(&first, replica(1, 9), replica(2, 20))],
        expect![
            "epoch 2 of p3 names r2.0000000000000014 the heir of r1.0000000000000009: an heir is active in it, and of one that it closes; state it again"
        ],
    );
}

#[test]
fn mistakes_in_the_file_are_named_with_their_line() {
    let text = to_toml(&signed(None, &[(1, 10)]));
    let check = |from: &str, to: &str, expected: Expect| {
        let changed = text.replace(from, to);
        assert_ne!(changed, text);
        expected.assert_eq(&parse(&changed).unwrap_err().to_string());
    };
    check(
        "\"p3\"",
        "\"eu\"",
        expect![[r#"line 2: `placement` is `eu`; write a placement's number, such as `placement = "p1"`"#]],
    );
    check(
        "number = 1",
        "number = -1",
        expect!["line 3: `number` is `-1`; write a number from 1, such as `number = 1`"],
    );
    check(
        "replica",
        "replika",
        expect!["line 7: `replika` is not a key of [[active]]; did you mean `replica`?"],
    );
    check(
        "r1.",
        "r1,",
        expect![[
            r#"line 7: `replica` is `r1,000000000000000a`; write a replica's id, such as `replica = "r1.00000000000000ff"`"#
        ]],
    );
    check(
        "signature = \"",
        "signature = \"zz",
        expect![[
            r#"line 4: `signature` is `zz8331f9953066f443c76b95f71bd781bac5d3b7854ed6a7256dfbaa313aa702`; write an Ed25519 signature as 128 hexadecimal digits, such as `signature = "…"`"#
        ]],
    );
}
