//! Promise 9: a group never exceeds its limit, whatever is concurrent with whatever; and no right is lost for ever.
//!
//! That no region ever has more members than the limit, and that rights neither come from nowhere nor get lost, is asserted by
//! `histories.rs` after each operation of each region. `PROPTEST_CASES=n` plays so many histories a test.

use super::histories::{History, steps};
use crdt::group::Group;
use crdt::*;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// Whether, once all is folded, each right of the limit is a member's or free, and every region holds the same.
pub(crate) fn every_right_is_held_or_free(history: &mut History, limit: u64) -> Result<(), TestCaseError> {
    history.heal();
    let states: Vec<&Group> = history.outcomes().map(|(_, group)| group).collect();
    for group in &states {
        prop_assert_eq!(group.spent(), group.roster().size() as u64);
        prop_assert_eq!(group.limit(), limit);
        prop_assert_eq!(group.canonical_bytes(), states[0].canonical_bytes());
    }
    Ok(())
}

proptest! {
    #[test]
    fn when_all_is_folded_every_right_is_held_by_a_member_or_free_to_be_spent(steps in steps(80), limit in 3..6_u64) {
        every_right_is_held_or_free(&mut History::play(limit, &steps), limit)?;
    }

    #[test]
    fn rights_that_move_come_to_rest_and_nobody_in_reach_has_none_while_one_has_two_to_spare(
        held in prop::collection::vec(0..2_000_u64, 1..8),
    ) {
        use crdt::escrow::{Act, Count, Escrow, Movement};
        let replicas: Vec<ReplicaId> = (0..held.len()).map(crate::histories::replica).collect();
        let shares = replicas.iter().copied().zip(held.iter().copied().map(Count)).collect();
        let mut escrow = Escrow::issue(shares);
        let all = replicas.iter().copied().collect();
        let mut applied = VersionVector::new();
        let mut moves = 0;
        while let Some((me, (to, part))) = replicas.iter().find_map(|me| Some((*me, escrow.transfer_due(*me, &all)?))) {
            let dot = Dot { replica: me, sequence: applied.get(me).next() };
            let cut = applied.clone();
            prop_assert_eq!(escrow.apply(&Movement { dot, cut, act: Act::Transfer { to, part } }), crdt::escrow::Moved::Done);
            applied.raise(dot);
            moves += 1;
            prop_assert!(moves <= 4 * replicas.len(), "rights move seldom");
        }
        let held: Vec<u64> = replicas.iter().map(|replica| escrow.held(*replica).0).collect();
        let (least, most) = (held.iter().min().unwrap(), held.iter().max().unwrap());
        let times = (2 * (held.len() as u64 - 1)).max(4);
        prop_assert!(*most < 2 || times * least >= *most, "{:?}", held);
    }
}

/// The histories are worth something: the limit is met, and rights move, are returned and inherited.
#[test]
fn the_histories_reach_the_limit() {
    use super::histories::Entry;
    use crdt::group::RightsAct;
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[5; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let (mut full, mut moved, mut returned, mut inherited, mut uncovered) = (0, 0, 0, 0, 0);
    for _ in 0..200 {
        let mut history = History::play(3, &steps(100).new_tree(&mut runner).unwrap().current());
        full += history.outcomes().filter(|(_, group)| group.roster().size() == 3).count();
        uncovered += history.uncovered.len();
        history.heal();
        for entry in &history.issued {
            let Entry::Rights(operation) = entry else { continue };
            match operation.change.act {
                RightsAct::Transfer { .. } => moved += 1,
                RightsAct::Return(_) => returned += 1,
                RightsAct::Inherit(_) => inherited += 1,
            }
        }
    }
    let reached = [full, moved, returned, inherited, uncovered];
    assert!(reached.iter().all(|count| *count > 20), "{reached:?}");
}
