//! Every id has exactly one textual form: it parses back, and no other text parses.
//!
//! Two forms of one id would be two keys in a store, and two places in a cut.

use crdt::*;
use expect_test::expect;
use proptest::prelude::*;
use std::fmt::{Debug, Display};
use std::str::FromStr;

/// The two laws, for one value and one arbitrary text.
fn check<T: FromStr<Err = id::ParseIdError> + Display + PartialEq + Debug>(
    value: T,
    text: &str,
) -> Result<(), TestCaseError> {
    let printed = value.to_string();
    prop_assert_eq!(printed.parse::<T>().unwrap(), value);
    for text in [text.to_owned(), printed.to_uppercase(), format!("{printed}{text}"), format!(" {printed}")] {
        if let Ok(parsed) = text.parse::<T>() {
            prop_assert_eq!(parsed.to_string(), text);
        }
    }
    Ok(())
}

/// Texts near the forms of ids, so that some of them parse.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[cdupr]?[0-9a-f]{0,34}",
        "[rp][0-9]{1,6}([./][0-9a-f]{1,16}(:[0-9]{1,20})?)?",
        "[0-9]{1,16}\\.[0-9]{1,6}",
        "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
        "[{](r[0-3]\\.000000000000000[0-1]:[0-9]{1,2} ?){0,3}[}]",
        "[0-9a-f]{64}",
    ]
}

fn replica() -> impl Strategy<Value = ReplicaId> {
    (any::<u16>(), any::<u64>()).prop_map(|(region, incarnation)| ReplicaId {
        region: RegionId(region),
        incarnation: Incarnation(incarnation),
    })
}

proptest! {
    #[test]
    fn every_id_has_one_textual_form(
        (small, word, wide) in (any::<u16>(), any::<u64>(), any::<u128>()),
        replica in replica(),
        bytes in any::<[u8; 32]>(),
        text in text(),
    ) {
        let bucket = Bucket::new(small % id::BUCKETS).unwrap();
        let dot = Dot { replica, sequence: Sequence(word.max(1)) };
        check(PlacementId(small), &text)?;
        check(RegionId(small), &text)?;
        check(bucket, &text)?;
        check(PartitionId { placement: PlacementId(small), bucket }, &text)?;
        check(UserId(word), &text)?;
        check(DeviceId(word), &text)?;
        check(ConversationId(wide), &text)?;
        check(MessageId(wide), &text)?;
        check(Incarnation(word), &text)?;
        check(Sequence(word), &text)?;
        check(replica, &text)?;
        check(dot, &text)?;
        check(Timestamp(word), &text)?;
        check(ChainHead(bytes), &text)?;
        check(StateDigest(wide), &text)?;
        check(VersionVector::from_iter([dot]), &text)?;
    }

    #[test]
    fn an_id_carries_its_placement_whatever_the_rest(small in any::<u16>(), word in any::<u64>(), wide in any::<u128>()) {
        let placement = PlacementId(small);
        let group = ConversationId::group(placement, wide);
        prop_assert_eq!(group.placement(), placement);
        prop_assert_eq!(group.partition().placement, placement);
        prop_assert_eq!(UserId::new(placement, word).placement(), placement);
        prop_assert_eq!(UserId(word).partition(placement).placement, placement);
    }

    #[test]
    fn a_direct_conversation_is_the_same_whoever_asks_and_only_theirs(
        placement in (0..3_u16).prop_map(PlacementId),
        one in (0..50_u64).prop_map(UserId),
        other in (0..50_u64).prop_map(UserId),
        third in (0..50_u64).prop_map(UserId),
    ) {
        let id = ConversationId::direct(placement, one, other);
        prop_assert_eq!(id, ConversationId::direct(placement, other, one));
        prop_assert_eq!(id.placement(), placement);
        let owner = (one == other).then_some(one);
        prop_assert_eq!(id.account_of(), owner);
        prop_assert_eq!(id == ConversationId::account(placement, one), one == other);
        prop_assert_eq!(third == other, id == ConversationId::direct(placement, one, third) || (third == one && other == one));
    }

    #[test]
    fn a_message_id_is_a_uuid_of_version_7_and_tells_its_time(ms in 0..1_u64 << 48, random in any::<u128>()) {
        let id = MessageId::new(ms, random);
        prop_assert_eq!(id.created_ms(), ms);
        let text = id.to_string();
        prop_assert_eq!(&text[14..15], "7");
        prop_assert!("89ab".contains(&text[19..20]));
    }
}

#[test]
fn buckets_are_filled_evenly() {
    let mut filled = vec![0_u32; usize::from(id::BUCKETS)];
    for number in 0..64 * u128::from(id::BUCKETS) {
        filled[usize::from(ConversationId::group(PlacementId(1), number).partition().bucket.number())] += 1;
    }
    // 64 on average, standard deviation 8: six of them either way.
    assert!(filled.iter().all(|count| (16..=112).contains(count)), "{filled:?}");
}

#[test]
fn what_is_refused_is_named_with_the_form_expected() {
    let refusals = [
        "r01".parse::<RegionId>().unwrap_err(),
        "p65536".parse::<PlacementId>().unwrap_err(),
        "p1/1024".parse::<PartitionId>().unwrap_err(),
        "u0001000000000ABC".parse::<UserId>().unwrap_err(),
        "c1".parse::<ConversationId>().unwrap_err(),
        "01890a5dac96774bbcceb302099a8057".parse::<MessageId>().unwrap_err(),
        "r1.00000000000000ff:0".parse::<Dot>().unwrap_err(),
        "281474976710656.0".parse::<Timestamp>().unwrap_err(),
        "{r2.0000000000000000:1 r1.0000000000000000:1}".parse::<VersionVector>().unwrap_err(),
        "line\nbreak".parse::<Sequence>().unwrap_err(),
        "é".repeat(100).parse::<ChainHead>().unwrap_err(),
    ];
    let printed: Vec<String> = refusals.iter().map(ToString::to_string).collect();
    expect![[r#"
        `r01` is not a region id: it has the form `r1`
        `p65536` is not a placement id: it has the form `p1`
        `p1/1024` is not a partition id: it has the form `p1/1023`
        `u0001000000000ABC` is not a user id: it has the form `u0001000000000abc`
        `c1` is not a conversation id: it has the form `c00010000000000000000000000000abc`
        `01890a5dac96774bbcceb302099a8057` is not a message id: it has the form `01890a5d-ac96-774b-bcce-b302099a8057`
        `r1.00000000000000ff:0` is not a dot: it has the form `r1.00000000000000ff:12`
        `281474976710656.0` is not a timestamp: it has the form `1732500000000.0`
        `{r2.0000000000000000:1 r1.0000000000000000:1}` is not a version vector: it has the form `{r1.00000000000000ff:12 r2.00000000000000aa:7}`
        `line\nbreak` is not a sequence: it has the form `12`
        `éééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééé` is not a chain head: it has the form `64 digits of 0123456789abcdef`"#]]
    .assert_eq(&printed.join("\n"));
}
