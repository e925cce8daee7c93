//! The chain: a head binds the partition, the replica, every envelope and their order, so the same sequence with another head is a fork.
//!
//! Each test changes one thing and sees the head change: whatever did not change it could be tampered with unseen.

use crdt::*;
use proptest::prelude::*;

fn envelopes() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(0..3_u8, 0..4), 0..6)
}

fn head(partition: PartitionId, origin: ReplicaId, envelopes: &[Vec<u8>]) -> ChainHead {
    envelopes.iter().fold(ChainHead::genesis(partition, origin), |head, envelope| head.extend(envelope))
}

fn partition(placement: u16, bucket: u16) -> PartitionId {
    PartitionId { placement: PlacementId(placement), bucket: Bucket::new(bucket).unwrap() }
}

fn replica(region: u16, incarnation: u64) -> ReplicaId {
    ReplicaId { region: RegionId(region), incarnation: Incarnation(incarnation) }
}

proptest! {
    #[test]
    fn heads_are_equal_exactly_when_the_envelopes_are(one in envelopes(), other in envelopes()) {
        let (partition, origin) = (partition(1, 1), replica(1, 1));
        let (one_head, other_head) = (head(partition, origin, &one), head(partition, origin, &other));
        prop_assert_eq!(one == other, one_head == other_head);
        prop_assert_eq!(one == other, one_head.check() == other_head.check());
    }

    #[test]
    fn a_fork_never_closes_again((common, one, after) in (envelopes(), envelopes(), envelopes()), at in any::<usize>()) {
        // The same number of envelopes, one of them another.
        let one = [one, vec![vec![0]]].concat();
        let mut other = one.clone();
        other[at % one.len()].push(9);
        let branch = |own: &[Vec<u8>]| {
            head(partition(1, 1), replica(1, 1), &[common.as_slice(), own, after.as_slice()].concat())
        };
        prop_assert_ne!(branch(&one), branch(&other));
    }

    #[test]
    fn a_head_can_be_carried_on_from_anywhere(before in envelopes(), after in envelopes()) {
        let whole = head(partition(1, 1), replica(1, 1), &[before.as_slice(), after.as_slice()].concat());
        let middle = head(partition(1, 1), replica(1, 1), &before);
        prop_assert_eq!(after.iter().fold(middle, |head, envelope| head.extend(envelope)), whole);
    }
}

#[test]
fn each_replica_has_a_chain_of_its_own_in_each_partition() {
    let places = [partition(1, 1), partition(1, 2), partition(2, 1)];
    let origins = [replica(1, 1), replica(1, 2), replica(2, 1)];
    let heads: std::collections::BTreeSet<ChainHead> = places
        .iter()
        .flat_map(|partition| origins.iter().map(|origin| head(*partition, *origin, &[vec![1]])))
        .collect();
    assert_eq!(heads.len(), 9);
}
