//! The escrow against a slow reading of its rules, for counts and for things that are told apart: the same operations give the same holdings in
//! every order, nothing is spent twice, and all that was issued is held, on its way or spent.
//!
//! What must always hold: the reading shares no code with the escrow and asks each operation anew what its issuer held on its cut.

use crate::histories::replica;
use crdt::escrow::{Act, Count, Escrow, Moved, Movement, Purse};
use crdt::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

pub(crate) const REPLICAS: usize = 3;

#[derive(Debug, Clone)]
pub(crate) enum Step {
    Spend {
        replica: usize,
        what: u64,
    },
    Transfer {
        replica: usize,
        to: usize,
        what: u64,
    },
    /// Of its latest spending that stood and was not returned.
    Return {
        replica: usize,
    },
    Take {
        replica: usize,
        from: usize,
        entries: usize,
    },
}

pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let replica = || 0..REPLICAS;
    let step = prop_oneof![
        3 => (replica(), 0..4_u64).prop_map(|(replica, what)| Step::Spend { replica, what }),
        3 => (replica(), replica(), 0..4_u64).prop_map(|(replica, to, what)| Step::Transfer { replica, to, what }),
        1 => replica().prop_map(|replica| Step::Return { replica }),
        4 => (replica(), replica(), 1..5_usize)
            .prop_map(|(replica, from, entries)| Step::Take { replica, from, entries }),
    ];
    prop::collection::vec(step, 0..60)
}

/// What is told apart in these tests: numbered keys, of which a step means a few.
fn keys(what: u64) -> BTreeSet<u64> {
    (0..what).map(|key| (what * 5 + key * 3) % 12).collect()
}

#[derive(Clone)]
struct Site<P> {
    log: Vec<usize>,
    applied: VersionVector,
    escrow: Escrow<P>,
}

/// All movements, causes first, what the rules say of each, and what each site holds.
struct Played<P> {
    all: Vec<Movement<P>>,
    verdicts: Vec<bool>,
    sites: Vec<Site<P>>,
}

/// Plays the steps with real escrows beside the rules.
fn play<P: Purse>(shares: &BTreeMap<ReplicaId, P>, steps: &[Step], part: impl Fn(u64) -> P) -> Played<P> {
    let site = Site { log: Vec::new(), applied: VersionVector::new(), escrow: Escrow::issue(shares.clone()) };
    let mut sites = vec![site; REPLICAS];
    let mut all: Vec<Movement<P>> = Vec::new();
    let mut verdicts: Vec<bool> = Vec::new();
    let mut returned = BTreeSet::new();
    for step in steps {
        let (at, act) = match step {
            Step::Spend { replica, what } => (*replica, Act::Spend(part(*what))),
            Step::Transfer { replica: at, to, what } => {
                (*at, Act::Transfer { to: replica(*to), part: part(*what) })
            }
            Step::Return { replica } => {
                let own = sites[*replica].log.iter().rev().find_map(|index| {
                    let movement = &all[*index];
                    match &movement.act {
                        Act::Spend(part) if movement.dot.replica == crate::histories::replica(*replica) => {
                            (verdicts[*index] && returned.insert(*index)).then(|| part.clone())
                        }
                        _ => None,
                    }
                });
                let Some(part) = own else { continue };
                (*replica, Act::Return(part))
            }
            Step::Take { replica, from, entries } => {
                let lacks = |index: &usize| !sites[*replica].applied.covers(all[*index].dot);
                let lacking: Vec<usize> =
                    sites[*from].log.iter().copied().filter(lacks).take(*entries).collect();
                for index in lacking {
                    let site = &mut sites[*replica];
                    let done = site.escrow.apply(&all[index]) == Moved::Done;
                    assert_eq!(done, verdicts[index], "void here is void everywhere");
                    site.applied.raise(all[index].dot);
                    site.log.push(index);
                }
                continue;
            }
        };
        let site = &mut sites[at];
        let dot = Dot { replica: replica(at), sequence: site.applied.get(replica(at)).next() };
        let movement = Movement { dot, cut: site.applied.clone(), act };
        let done = site.escrow.apply(&movement) == Moved::Done;
        site.applied.raise(dot);
        site.log.push(all.len());
        let verdict = stands(shares, &all, &verdicts, &movement);
        assert_eq!(done, verdict);
        all.push(movement);
        verdicts.push(verdict);
    }
    Played { all, verdicts, sites }
}

/// Whether its issuer held that on its cut: its share, what was given to it in sight, what it had back, less what it had spent and given.
fn stands<P: Purse>(
    shares: &BTreeMap<ReplicaId, P>,
    all: &[Movement<P>],
    verdicts: &[bool],
    operation: &Movement<P>,
) -> bool {
    let me = operation.dot.replica;
    let mut held = shares.get(&me).cloned().unwrap_or_default();
    let seen =
        || all.iter().zip(verdicts).filter(|(other, stood)| **stood && operation.cut.covers(other.dot));
    for (other, _) in seen() {
        match &other.act {
            Act::Spend(part) | Act::Transfer { part, .. } if other.dot.replica == me => {
                assert!(held.take(part));
            }
            _ => {}
        }
        match &other.act {
            Act::Transfer { to, part } if *to == me => held.put(part),
            Act::Return(part) if other.dot.replica == me => held.put(part),
            _ => {}
        }
    }
    match &operation.act {
        Act::Return(_) | Act::Inherit(_) => true,
        Act::Spend(part) | Act::Transfer { part, .. } => held.take(part),
    }
}

/// All of it, wherever it is.
fn everything<P: Purse>(escrow: &Escrow<P>, all: &[Movement<P>], verdicts: &[bool]) -> P {
    let mut out = P::default();
    for (movement, _) in all.iter().zip(verdicts).filter(|(_, stood)| **stood) {
        match &movement.act {
            Act::Spend(part) => out.put(part),
            Act::Return(part) => assert!(out.take(part), "nothing comes back that is not out"),
            Act::Transfer { .. } | Act::Inherit(_) => {}
        }
    }
    escrow.holders().for_each(|(_, held)| out.put(&held));
    out
}

fn check<P: Purse>(
    shares: &BTreeMap<ReplicaId, P>,
    steps: &[Step],
    part: impl Fn(u64) -> P,
) -> Result<usize, TestCaseError> {
    let Played { all, verdicts, sites } = play(shares, steps, part);
    let mut in_order = Escrow::issue(shares.clone());
    for movement in &all {
        in_order.apply(movement);
        prop_assert_eq!(in_order.apply(movement), Moved::AlreadyDone);
    }
    let mut backwards = sites[0].clone();
    while let Some(index) = (0..all.len()).rev().find(|index| {
        !backwards.applied.covers(all[*index].dot) && backwards.applied.covers_all(&all[*index].cut)
    }) {
        backwards.escrow.apply(&all[index]);
        backwards.applied.raise(all[index].dot);
    }
    prop_assert_eq!(&backwards.escrow, &in_order);
    let mut issued = P::default();
    shares.values().for_each(|share| issued.put(share));
    prop_assert_eq!(everything(&in_order, &all, &verdicts), issued);
    Ok(all.len())
}

/// Whether counts shared out like that are what the rules say. Returns how many movements there were.
pub(crate) fn counts_agree(shares: &[u64], steps: &[Step]) -> Result<usize, TestCaseError> {
    let shares = (0..REPLICAS).map(replica).zip(shares.iter().copied().map(Count)).collect();
    check(&shares, steps, Count)
}

proptest! {
    #[test]
    fn counts_are_neither_made_nor_lost(steps in steps(), shares in prop::collection::vec(0..6_u64, REPLICAS)) {
        counts_agree(&shares, &steps)?;
    }

    #[test]
    fn keys_are_handed_out_once(steps in steps(), owner in prop::collection::vec(0..REPLICAS, 12)) {
        let mut shares: BTreeMap<ReplicaId, BTreeSet<u64>> = BTreeMap::new();
        for (key, owner) in (0..).zip(owner) {
            shares.entry(replica(owner)).or_default().insert(key);
        }
        check(&shares, &steps, keys)?;
        let Played { all, verdicts, .. } = play(&shares, &steps, keys);
        let mut out = BTreeSet::new();
        for (movement, stood) in all.iter().zip(verdicts) {
            match &movement.act {
                Act::Spend(part) if stood => {
                    prop_assert!(part.is_disjoint(&out), "no key goes to two");
                    out.extend(part);
                }
                Act::Return(part) => out.retain(|key| !part.contains(key)),
                _ => {}
            }
        }
    }

    #[test]
    fn an_escrow_comes_back_from_its_bytes(steps in steps(), bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let shares = (0..REPLICAS).map(|number| (replica(number), Count(4))).collect();
        for site in play(&shares, &steps, Count).sites {
            prop_assert_eq!(&Escrow::decode(&site.escrow.encode()).unwrap(), &site.escrow);
        }
        if let Ok(escrow) = Escrow::decode(&bytes) {
            prop_assert_eq!(escrow.encode(), bytes);
        }
    }
}
