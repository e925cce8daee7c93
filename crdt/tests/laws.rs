//! The join laws of everything that is joined, and slow twins: a vector is a set of dots, a receipt two of them, aliases a set of places.
//!
//! Idempotent, commutative, associative, and growing: without each of these, two regions could differ by the order of a network.

use crdt::timeline::Inserted;
use crdt::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

fn dot() -> impl Strategy<Value = Dot> {
    (0..3_u16, 0..2_u64, 1..6_u64).prop_map(|(region, incarnation, sequence)| Dot {
        replica: ReplicaId { region: RegionId(region), incarnation: Incarnation(incarnation) },
        sequence: Sequence(sequence),
    })
}

fn vector() -> impl Strategy<Value = VersionVector> {
    prop::collection::vec(dot(), 0..6).prop_map(VersionVector::from_iter)
}

fn receipt() -> impl Strategy<Value = Receipt> {
    (vector(), vector(), vector()).prop_map(|(delivered, read, noted)| {
        let mut receipt = Receipt::new(delivered, read);
        receipt.join(&Receipt::quiet(noted));
        receipt
    })
}

fn places() -> impl Strategy<Value = Vec<Place>> {
    // A dot has one timestamp.
    let place = dot().prop_map(|dot| Place { hlc: Timestamp(100 + dot.sequence.0 * 7 % 5), dot });
    prop::collection::vec(place, 0..8)
}

/// Every dot the vector covers, one by one.
fn dots(vector: &VersionVector) -> BTreeSet<Dot> {
    let up_to = |last: Dot| (1..=last.sequence.0).map(move |n| Dot { sequence: Sequence(n), ..last });
    vector.iter().flat_map(up_to).collect()
}

fn joined<T: Clone>(one: &T, other: &T, join: impl Fn(&mut T, &T) -> bool) -> T {
    let mut one = one.clone();
    join(&mut one, other);
    one
}

/// Commutative, associative, idempotent, with a bottom; and the returned flag says whether anything changed.
pub(crate) fn check_join_laws<T: Clone + PartialEq + std::fmt::Debug + Default>(
    (a, b, c): (&T, &T, &T),
    join: impl Fn(&mut T, &T) -> bool + Copy,
) -> Result<(), TestCaseError> {
    prop_assert_eq!(joined(a, b, join), joined(b, a, join));
    prop_assert_eq!(joined(a, &joined(b, c, join), join), joined(&joined(a, b, join), c, join));
    prop_assert_eq!(&joined(a, a, join), a);
    prop_assert_eq!(&joined(a, &T::default(), join), a);
    prop_assert_eq!(&joined(&T::default(), a, join), a);
    let mut changed = a.clone();
    let flag = join(&mut changed, b);
    prop_assert_eq!(flag, &changed != a);
    Ok(())
}

/// What is done to one of a few vectors.
#[derive(Debug, Clone)]
pub(crate) enum VectorStep {
    Raise(usize, Dot),
    Join(usize, usize),
    Meet(usize, usize),
}

/// What is done to one of a few receipts.
#[derive(Debug, Clone)]
pub(crate) enum ReceiptStep {
    /// A device is given and has read up to there.
    Give(usize, VersionVector, VersionVector),
    /// Its user has read up to there, and tells nobody.
    Note(usize, VersionVector),
    /// One region hears of what another knows.
    Join(usize, usize),
}

const REGISTERS: usize = 4;

pub(crate) fn vector_steps() -> impl Strategy<Value = Vec<VectorStep>> {
    let step = prop_oneof![
        4 => (0..REGISTERS, dot()).prop_map(|(at, dot)| VectorStep::Raise(at, dot)),
        2 => (0..REGISTERS, 0..REGISTERS).prop_map(|(at, with)| VectorStep::Join(at, with)),
        1 => (0..REGISTERS, 0..REGISTERS).prop_map(|(at, with)| VectorStep::Meet(at, with)),
    ];
    prop::collection::vec(step, 0..100)
}

pub(crate) fn receipt_steps() -> impl Strategy<Value = Vec<ReceiptStep>> {
    let step = prop_oneof![
        2 => (0..REGISTERS, vector(), vector()).prop_map(|(at, given, read)| ReceiptStep::Give(at, given, read)),
        1 => (0..REGISTERS, vector()).prop_map(|(at, noted)| ReceiptStep::Note(at, noted)),
        1 => (0..REGISTERS, 0..REGISTERS).prop_map(|(at, with)| ReceiptStep::Join(at, with)),
    ];
    prop::collection::vec(step, 0..60)
}

/// Vectors beside sets of dots, compared after each step.
pub(crate) fn vectors_are_sets(steps: &[VectorStep]) -> Result<(), TestCaseError> {
    let mut vectors = vec![VersionVector::new(); REGISTERS];
    let mut sets = vec![BTreeSet::new(); REGISTERS];
    for step in steps {
        let (at, changed, set) = match step {
            VectorStep::Raise(at, dot) => {
                let changed = vectors[*at].raise(*dot);
                let up_to = (1..=dot.sequence.0).map(|number| Dot { sequence: Sequence(number), ..*dot });
                (*at, Some(changed), sets[*at].iter().copied().chain(up_to).collect())
            }
            VectorStep::Join(at, with) => {
                let other = vectors[*with].clone();
                (*at, Some(vectors[*at].join(&other)), &sets[*at] | &sets[*with])
            }
            VectorStep::Meet(at, with) => {
                vectors[*at] = vectors[*at].meet(&vectors[*with]);
                (*at, None, &sets[*at] & &sets[*with])
            }
        };
        prop_assert_eq!(changed.unwrap_or(sets[at] != set), sets[at] != set);
        sets[at] = set;
        prop_assert_eq!(&dots(&vectors[at]), &sets[at]);
        for (vector, set) in vectors.iter().zip(&sets) {
            prop_assert_eq!(vector.covers_all(&vectors[at]), set.is_superset(&sets[at]));
        }
        prop_assert_eq!(&VersionVector::decode(&vectors[at].encode()), &Ok(vectors[at].clone()));
    }
    Ok(())
}

/// Receipts beside three sets of dots each, compared after each step.
pub(crate) fn receipts_are_three_sets(steps: &[ReceiptStep]) -> Result<(), TestCaseError> {
    let mut receipts = vec![Receipt::default(); REGISTERS];
    let mut sets = vec![[BTreeSet::new(), BTreeSet::new(), BTreeSet::new()]; REGISTERS];
    for step in steps {
        let (at, other, twin) = match step {
            ReceiptStep::Give(at, given, read) => {
                let twin = [&dots(given) | &dots(read), dots(read), dots(read)];
                (*at, Receipt::new(given.clone(), read.clone()), twin)
            }
            ReceiptStep::Note(at, noted) => {
                (*at, Receipt::quiet(noted.clone()), [dots(noted), BTreeSet::new(), dots(noted)])
            }
            ReceiptStep::Join(at, with) => (*at, receipts[*with].clone(), sets[*with].clone()),
        };
        let changed = receipts[at].join(&other);
        let joined = [0, 1, 2].map(|of| &sets[at][of] | &twin[of]);
        prop_assert_eq!(changed, joined != sets[at]);
        let receipt = &receipts[at];
        prop_assert_eq!(&[receipt.delivered(), receipt.read(), receipt.noted()].map(dots), &joined);
        sets[at] = joined;
        prop_assert_eq!(&Receipt::decode(&receipts[at].encode()), &Ok(receipts[at].clone()));
    }
    Ok(())
}

proptest! {
    #[test]
    fn vectors_stay_the_sets_they_stand_for(steps in vector_steps()) {
        vectors_are_sets(&steps)?;
    }

    #[test]
    fn receipts_stay_the_sets_they_stand_for(steps in receipt_steps()) {
        receipts_are_three_sets(&steps)?;
    }

    #[test]
    fn version_vectors_obey_the_join_laws(a in vector(), b in vector(), c in vector()) {
        check_join_laws((&a, &b, &c), VersionVector::join)?;
    }

    #[test]
    fn meet_and_join_of_version_vectors_make_a_distributive_lattice(a in vector(), b in vector(), c in vector()) {
        let join = |a: &VersionVector, b: &VersionVector| joined(a, b, VersionVector::join);
        prop_assert_eq!(a.meet(&b), b.meet(&a));
        prop_assert_eq!(a.meet(&b.meet(&c)), a.meet(&b).meet(&c));
        prop_assert_eq!(&a.meet(&a), &a);
        prop_assert_eq!(a.meet(&VersionVector::new()), VersionVector::new());
        prop_assert_eq!(&a.meet(&join(&a, &b)), &a);
        prop_assert_eq!(&join(&a, &a.meet(&b)), &a);
        prop_assert_eq!(a.meet(&join(&b, &c)), join(&a.meet(&b), &a.meet(&c)));
        prop_assert_eq!(a.covers_all(&b), join(&a, &b) == a);
        prop_assert_eq!(a.covers_all(&b), a.meet(&b) == b);
    }

    #[test]
    fn a_version_vector_is_a_set_of_dots(a in vector(), b in vector(), dot in dot()) {
        prop_assert_eq!(a.covers(dot), dots(&a).contains(&dot));
        prop_assert_eq!(a.covers_all(&b), dots(&a).is_superset(&dots(&b)));
        prop_assert_eq!(dots(&joined(&a, &b, VersionVector::join)), &dots(&a) | &dots(&b));
        prop_assert_eq!(dots(&a.meet(&b)), &dots(&a) & &dots(&b));
        prop_assert_eq!(a.is_empty(), dots(&a).is_empty());
        let mut raised = a.clone();
        prop_assert_eq!(raised.raise(dot), !a.covers(dot));
        prop_assert!(raised.covers(dot) && raised.covers_all(&a));
    }

    #[test]
    fn a_version_vector_has_one_form_of_each_sort(a in vector(), b in vector()) {
        prop_assert_eq!(&VersionVector::decode(&a.encode()).unwrap(), &a);
        prop_assert_eq!(&VersionVector::from_proto(&a.to_proto()).unwrap(), &a);
        prop_assert_eq!(&a.to_string().parse::<VersionVector>().unwrap(), &a);
        prop_assert_eq!(a == b, a.encode() == b.encode());
        prop_assert_eq!(a == b, a.to_string() == b.to_string());
    }

    #[test]
    fn receipts_obey_the_join_laws(a in receipt(), b in receipt(), c in receipt()) {
        check_join_laws((&a, &b, &c), Receipt::join)?;
    }

    /// Three regions take what happens to a user's devices in different orders, some of it twice; in the end each holds the same, and of what was
    /// confirmed nothing is lost.
    #[test]
    fn devices_that_are_taken_for_dead_leave_the_same_everywhere(
        steps in prop::collection::vec((0..3_u64, prop::option::weighted(0.8, receipt()), any::<u64>()), 1..40),
    ) {
        let values: Vec<(u64, DeviceReceipt)> = steps
            .iter()
            .map(|(device, receipt, _)| {
                let kept = receipt.clone().map(DeviceReceipt::Kept);
                (*device, kept.unwrap_or(DeviceReceipt::Dead))
            })
            .collect();
        let mut order: Vec<usize> = (0..values.len()).collect();
        let apply = |order: &[usize]| {
            let (mut devices, mut rest) = (BTreeMap::new(), Receipt::default());
            for index in order {
                let (device, value) = &values[*index];
                let kept: &mut DeviceReceipt = devices.entry(*device).or_default();
                if let (_, Some(falls)) = kept.join(value) {
                    rest.join(&falls);
                }
            }
            (devices, rest)
        };
        let first = apply(&order);
        order.sort_by_key(|index| steps[*index].2);
        let twice: Vec<usize> = order.iter().chain(order.iter().rev()).copied().collect();
        prop_assert_eq!(&apply(&order), &first);
        prop_assert_eq!(&apply(&twice), &first);
        let all = values.iter().filter_map(|(_, value)| value.kept());
        let all = all.fold(Receipt::default(), |all, one| joined(&all, one, Receipt::join));
        let held = first.0.values().filter_map(DeviceReceipt::kept);
        prop_assert_eq!(held.fold(first.1.clone(), |held, one| joined(&held, one, Receipt::join)), all);
    }

    #[test]
    fn whatever_was_read_was_delivered(a in receipt(), b in receipt()) {
        let both = joined(&a, &b, Receipt::join);
        for receipt in [&a, &b, &both] {
            prop_assert!(receipt.delivered().covers_all(receipt.noted()));
            prop_assert!(receipt.noted().covers_all(receipt.read()));
            prop_assert_eq!(&Receipt::decode(&receipt.encode()).unwrap(), receipt);
        }
    }

    #[test]
    fn a_message_counts_when_an_alias_of_it_that_is_not_hidden_is_in_the_cut(
        receipt in receipt(),
        places in places(),
        since in vector(),
    ) {
        let aliases = Aliases::from_iter(places.clone());
        let in_cut = |cut: &Cut| {
            let shown: BTreeSet<Dot> = &dots(cut) - &dots(&since);
            places.iter().any(|place| shown.contains(&place.dot))
        };
        prop_assert_eq!(receipt.has_read(&aliases, &since), in_cut(receipt.read()));
        prop_assert_eq!(receipt.has_delivered(&aliases, &since), in_cut(receipt.delivered()));
        prop_assert!(!receipt.has_read(&aliases, &since) || receipt.has_delivered(&aliases, &since));
        for place in places {
            prop_assert_eq!(receipt.covers(place.dot), dots(receipt.delivered()).contains(&place.dot));
        }
    }

    #[test]
    fn aliases_are_a_sorted_set_of_places_whose_lowest_is_canonical(places in places(), rotation in any::<usize>()) {
        let set: BTreeSet<Place> = places.iter().copied().collect();
        let mut rotated = places.clone();
        rotated.rotate_left(rotation.checked_rem(places.len()).unwrap_or(0));
        rotated.reverse();
        for order in [&places, &rotated] {
            let aliases = Aliases::from_iter(order.iter().copied());
            prop_assert!(aliases.iter().eq(set.iter().copied()));
            prop_assert_eq!(aliases.canonical(), set.first().copied());
            prop_assert_eq!(Aliases::decode(&aliases.encode()).unwrap(), aliases);
        }
    }

    #[test]
    fn an_insertion_says_where_the_identity_stood_before(places in places()) {
        let mut aliases = Aliases::default();
        for place in places {
            let before = aliases.canonical();
            let known = aliases.iter().any(|other| other == place);
            let expected = match before {
                None => Inserted::First,
                Some(_) if known => Inserted::AlreadyThere,
                Some(from) if place < from => Inserted::Moved { from },
                Some(_) => Inserted::AliasOnly,
            };
            prop_assert_eq!(aliases.insert(place), expected);
        }
    }
}
