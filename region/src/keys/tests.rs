//! The laws of keys: one encoding, order-preserving, in the bucket of what they are about, total to read.
//!
//! The golden keys at the end are what older stores hold on their disks: whoever changes them changes the format.

use super::*;
use crdt::{DeviceId, Identity};
use expect_test::expect;
use proptest::prelude::*;

fn replica() -> impl Strategy<Value = ReplicaId> {
    (0_u16..4, any::<u64>()).prop_map(|(region, incarnation)| ReplicaId {
        region: RegionId(region),
        incarnation: Incarnation(incarnation),
    })
}

fn dot() -> impl Strategy<Value = Dot> {
    (replica(), any::<u64>()).prop_map(|(replica, sequence)| Dot { replica, sequence: Sequence(sequence) })
}

fn key() -> impl Strategy<Value = Key> {
    let bucket = (0_u16..1024).prop_map(|number| Bucket::new(number).unwrap());
    let heard_in = bucket.clone();
    let conversation = any::<u128>().prop_map(ConversationId);
    let number = any::<u64>();
    let user = any::<u64>().prop_map(UserId);
    let register = prop_oneof![
        replica().prop_map(RegisterKey::Acknowledgement),
        (conversation.clone(), user.clone(), number).prop_map(|(conversation, user, device)| {
            RegisterKey::Receipt(conversation, user, DeviceId(device))
        }),
        (conversation.clone(), user.clone(), user.clone(), any::<u128>()).prop_map(
            |(of, user, sender, id)| {
                RegisterKey::Hidden(of, user, Identity { sender, message: MessageId(id) })
            }
        ),
    ];
    prop_oneof![
        (bucket.clone(), number).prop_map(|(bucket, number)| Key::Log(bucket, Position(number))),
        (bucket.clone(), dot()).prop_map(|(bucket, dot)| Key::Dot(bucket, dot)),
        (bucket.clone(), replica()).prop_map(|(bucket, replica)| Key::Chain(bucket, replica)),
        bucket.clone().prop_map(Key::Reach),
        bucket.clone().prop_map(Key::Stable),
        bucket.clone().prop_map(Key::Base),
        (bucket.clone(), replica()).prop_map(|(bucket, replica)| Key::Cursor(bucket, replica)),
        (bucket.clone(), register).prop_map(|(bucket, register)| Key::Register(bucket, register)),
        (bucket.clone(), number).prop_map(|(bucket, number)| Key::Feed(bucket, ChangeNumber(number))),
        (bucket.clone(), number).prop_map(|(bucket, ran)| Key::Aged(bucket, Ran(ran))),
        bucket.clone().prop_map(Key::Expired),
        (bucket, replica()).prop_map(|(bucket, replica)| Key::Acknowledgement(bucket, replica)),
        conversation.clone().prop_map(Key::Conversation),
        conversation.clone().prop_map(Key::Members),
        conversation.clone().prop_map(Key::Unsettled),
        conversation.clone().prop_map(Key::Document),
        (conversation.clone(), any::<[u8; 24]>()).prop_map(|(of, hash)| Key::DocumentChange(of, hash)),
        (conversation.clone(), number, dot()).prop_map(|(conversation, hlc, dot)| Key::Timeline(
            conversation,
            Timestamp(hlc),
            dot
        )),
        (conversation.clone(), user.clone(), any::<u128>())
            .prop_map(|(conversation, user, id)| Key::Identity(conversation, user, MessageId(id))),
        (conversation.clone(), user.clone(), any::<u128>())
            .prop_map(|(conversation, user, id)| Key::Amendments(conversation, user, MessageId(id))),
        (conversation.clone(), user.clone(), any::<u128>()).prop_map(|(conversation, user, id)| Key::Uncut(
            conversation,
            user,
            MessageId(id)
        )),
        (conversation.clone(), user.clone(), any::<u128>())
            .prop_map(|(conversation, user, id)| Key::HiddenFrom(conversation, user, MessageId(id))),
        (conversation.clone(), user.clone(), any::<u128>())
            .prop_map(|(conversation, user, id)| Key::MadeTwice(conversation, user, MessageId(id))),
        (conversation.clone(), number)
            .prop_map(|(conversation, number)| Key::Change(conversation, ArrivalNumber(number))),
        (user, conversation).prop_map(|(user, conversation)| Key::Membership(user, conversation)),
        Just(Key::Meta),
        Just(Key::Present),
        (0_u16..1024).prop_map(|number| Key::Leftover(Bucket::new(number).unwrap())),
        replica().prop_map(Key::PeerStart),
        replica().prop_map(Key::CaughtUp),
        (heard_in, replica()).prop_map(|(bucket, replica)| Key::Heard(bucket, replica)),
        any::<u64>().prop_map(|number| Key::Epoch(Epoch(number))),
        Just(Key::Survey),
    ]
}

proptest! {
    #[test]
    fn a_key_comes_back_from_its_only_encoding(key in key(), spoiled in any::<(prop::sample::Index, u8)>()) {
        let bytes = key.encode();
        prop_assert_eq!(Key::decode(&bytes), Some(key));
        prop_assert_eq!(Table::of(&bytes), Some(key.table()));
        let everything = KeyRange::everything();
        prop_assert!(everything.from <= bytes && bytes < everything.to);
        let mut other = bytes.to_vec();
        other[spoiled.0.index(bytes.len())] ^= spoiled.1 | 1;
        prop_assert_ne!(Key::decode(&other), Some(key));
        prop_assert_eq!(Key::decode(&bytes[..bytes.len() - 1]), None);
    }

    #[test]
    fn bytes_that_are_no_key_are_none(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        if let Some(key) = Key::decode(&bytes) {
            prop_assert_eq!(&key.encode()[..], &bytes[..]);
        }
    }

    #[test]
    fn keys_sort_as_their_fields_do(conversation: u128, one in (any::<u64>(), dot()), other in (any::<u64>(), dot())) {
        let conversation = ConversationId(conversation);
        let key = |(hlc, dot): (u64, Dot)| Key::Timeline(conversation, Timestamp(hlc), dot).encode();
        prop_assert_eq!(key(one).cmp(&key(other)), one.cmp(&other));
        let before = KeyRange::timeline_before(conversation, Timestamp(one.0), one.1);
        prop_assert_eq!(before.from <= key(other) && key(other) < before.to, other < one);
        let after = KeyRange::timeline_after(conversation, Timestamp(one.0), one.1);
        prop_assert_eq!(after.from <= key(other) && key(other) < after.to, other > one);
    }

    #[test]
    fn groups_that_wait_are_looked_at_behind_the_last_one_and_not_again(conversation: u128) {
        let conversation = ConversationId(conversation);
        let bucket = conversation.partition().bucket;
        let key = Key::Unsettled(conversation).encode();
        let (whole, behind) =
            (KeyRange::unsettled_after(bucket, None), KeyRange::unsettled_after(bucket, Some(conversation)));
        prop_assert!(whole.from <= key && key < whole.to);
        let mut next = key;
        next.push(0);
        prop_assert_eq!((behind.from, behind.to), (next, whole.to));
    }

    #[test]
    fn a_conversations_keys_stand_in_its_bucket(conversation: u128, arrival: u64) {
        let conversation = ConversationId(conversation);
        let bytes = Key::Change(conversation, ArrivalNumber(arrival)).encode();
        prop_assert_eq!(&bytes[..2], &conversation.partition().bucket.number().to_be_bytes()[..]);
        let range = KeyRange::changes_after(conversation, ArrivalNumber(0));
        prop_assert_eq!(range.from <= bytes && bytes < range.to, arrival > 0);
        prop_assert!(KeyRange::changes_after(conversation, ArrivalNumber(arrival)).from > bytes || arrival == u64::MAX);
    }
}

#[test]
fn golden_keys_stay_as_they_are_on_disks() {
    let replica = ReplicaId { region: RegionId(2), incarnation: Incarnation(0xabcd) };
    let dot = Dot { replica, sequence: Sequence(7) };
    let conversation = ConversationId::group(PlacementId(1), 5);
    let bucket = conversation.partition().bucket;
    let receipt = RegisterKey::Receipt(conversation, UserId(8), DeviceId(9));
    let message = Identity { sender: UserId(9), message: MessageId(7) };
    let hidden = RegisterKey::Hidden(conversation, UserId(8), message);
    let keys = [
        Key::Log(bucket, Position(1)),
        Key::Dot(bucket, dot),
        Key::Chain(bucket, replica),
        Key::Reach(bucket),
        Key::Register(bucket, receipt),
        Key::Feed(bucket, ChangeNumber(3)),
        Key::Timeline(conversation, Timestamp(6), dot),
        Key::Identity(conversation, UserId(8), MessageId(4)),
        Key::Membership(UserId(8), conversation),
        Key::Meta,
        Key::PeerStart(replica),
        Key::CaughtUp(replica),
        Key::Heard(bucket, replica),
        Key::Base(bucket),
        Key::Amendments(conversation, UserId(9), MessageId(7)),
        Key::Uncut(conversation, UserId(9), MessageId(7)),
        Key::Unsettled(conversation),
        Key::Document(conversation),
        Key::DocumentChange(conversation, [7; 24]),
        Key::Present,
        Key::Leftover(bucket),
        Key::Epoch(Epoch(3)),
        Key::Survey,
        Key::Register(bucket, hidden),
        Key::HiddenFrom(conversation, UserId(9), MessageId(7)),
        Key::MadeTwice(conversation, UserId(9), MessageId(7)),
        Key::Aged(bucket, Ran(5)),
        Key::Expired(bucket),
        Key::Ran,
    ];
    let hexadecimal =
        |key: &Key| -> String { key.encode().iter().map(|byte| format!("{byte:02x}")).collect() };
    let lines: Vec<String> =
        keys.iter().map(|key| format!("{:<12} {}", key.table().name(), hexadecimal(key))).collect();
    expect![[r#"
        log          008b010000000000000001
        dots         008b020002000000000000abcd0000000000000007
        chains       008b030002000000000000abcd
        reach        008b04
        registers    008b06020001000000000000000000000000000500000000000000080000000000000009
        feed         008b070000000000000003
        timeline     008b0b0001000000000000000000000000000500000000000000060002000000000000abcd0000000000000007
        identity     008b0c00010000000000000000000000000005000000000000000800000000000000000000000000000004
        membership   03d20e000000000000000800010000000000000000000000000005
        meta         ffff0f
        peer_starts  ffff100002000000000000abcd
        caught_up    ffff1d0002000000000000abcd
        heard        008b1e0002000000000000abcd
        bases        008b22
        amendments   008b1300010000000000000000000000000005000000000000000900000000000000000000000000000007
        uncut        008b1400010000000000000000000000000005000000000000000900000000000000000000000000000007
        unsettled    008b1500010000000000000000000000000005
        documents    008b1600010000000000000000000000000005
        document_changes 008b1700010000000000000000000000000005070707070707070707070707070707070707070707070707
        present      ffff12
        leftovers    ffff18008b
        epochs       ffff190000000000000003
        survey       ffff1a
        registers    008b0605000100000000000000000000000000050000000000000008000000000000000900000000000000000000000000000007
        hidden_from  008b1b00010000000000000000000000000005000000000000000900000000000000000000000000000007
        made_twice   008b1c00010000000000000000000000000005000000000000000900000000000000000000000000000007
        ages         008b1f0000000000000005
        expired      008b20
        ran          ffff21"#]].assert_eq(&lines.join("\n"));
}
