//! To which other regions devices are sent, and in which order: those that are live first.
//!
//! ```text
//!   live and serving  ─▶  never heard of  ─▶  live, joining or draining  ─▶  dead
//! ```
//! What must always hold: a region's silence puts it last and never out, since silence here is no proof that devices cannot reach it; if all look dead, all are named as before.
//! Which regions may be named at all is for epochs to say, never for a view.

use crdt::{PlacementId, RegionId};
use region::command::Placements;
use region::membership::View;

/// These regions in the order in which devices of that placement try them; of equals, in the order given.
#[must_use]
pub fn in_order<T>(
    placement: PlacementId,
    view: &View,
    regions: impl Iterator<Item = (RegionId, T)>,
) -> Vec<(RegionId, T)> {
    let mut regions: Vec<_> = regions.collect();
    regions.sort_by_key(|(region, _)| rank(*region, &[placement], view));
    regions
}

/// Where a region that drains sends its devices: a region that is active in all placements in which this one is, since a conversation of theirs may be in any of them. None if there is
/// none.
#[must_use]
pub fn refuge(own: RegionId, epochs: &Placements, view: &View) -> Option<RegionId> {
    let served: Vec<_> = epochs.iter().filter(|placement| placement.replica_of(own).is_some()).collect();
    let ids: Vec<PlacementId> = served.iter().map(|placement| placement.id).collect();
    let others = served.first()?.active.keys().map(|replica| replica.region).filter(|other| *other != own);
    let fit = others.filter(|other| served.iter().all(|placement| placement.replica_of(*other).is_some()));
    // Of equals the first.
    fit.min_by_key(|other| rank(*other, &ids, view))
}

/// The lower the better.
fn rank(region: RegionId, placements: &[PlacementId], view: &View) -> u8 {
    let Some(member) = view.member(region) else { return 1 };
    let serves = |facts: &region::membership::Facts| placements.iter().all(|id| facts.serves(*id));
    match (member.live, &member.facts) {
        (true, Some(facts)) if serves(facts) => 0,
        // It is live, and what it is has not come yet.
        (true, None) => 1,
        (true, Some(_)) => 2,
        (false, _) => 3,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{PlacementId, Placements, RegionId, View, in_order, refuge};
    use crdt::{Incarnation, Now, ReplicaId};
    use region::membership::{Facts, Load, Seen, Stands};
    use replication::placement::{Epoch, Placement};
    use std::collections::{BTreeMap, BTreeSet};

    const OWN: u16 = 1;

    fn regions(numbers: impl IntoIterator<Item = u16>) -> BTreeSet<RegionId> {
        numbers.into_iter().map(RegionId).collect()
    }

    /// Of each region whether it is live, and in placements 1 and 2: `a`ctive, `j`oining; or `d`raining.
    fn view(regions_are: &[(u16, bool, &str)]) -> View {
        let mut view = View::default();
        let facts = |is: &str| {
            let stands = is.bytes().zip(1..).filter(|(letter, _)| *letter != b'd');
            let stands = stands.map(|(letter, number)| {
                (PlacementId(number), Stands { epoch: Epoch(1), joining: letter == b'j' })
            });
            Facts {
                client: "wss://somewhere:1".into(),
                bridge: "127.0.0.1:1".parse().unwrap(),
                draining: is.contains('d'),
                load: Load::default(),
                placements: stands.collect(),
            }
        };
        let seen = |live: bool| {
            let was_or_is = regions_are.iter().filter(move |(_, is_live, _)| *is_live || live);
            was_or_is
                .map(|(region, _, is)| Seen {
                    region: RegionId(*region),
                    started_ms: 1,
                    live: true,
                    facts: Some(facts(is)),
                })
                .collect()
        };
        view.observe(Now(1), &regions(1..=9), seen(true));
        view.observe(Now(2), &regions(1..=9), seen(false));
        view
    }

    fn ordered(view: &View, placement: u16) -> Vec<u16> {
        let all = (1..=5).map(|number| (RegionId(number), ()));
        in_order(PlacementId(placement), view, all).iter().map(|(region, ())| region.0).collect()
    }

    #[test]
    fn live_regions_that_serve_are_named_first_and_nobody_is_left_out() {
        let mixed = view(&[(1, false, "aa"), (2, true, "d"), (3, true, "ja"), (5, true, "aa")]);
        assert_eq!(ordered(&mixed, 1), [5, 4, 2, 3, 1]);
        assert_eq!(ordered(&mixed, 2), [3, 5, 4, 2, 1], "what a region joins is no matter elsewhere");
    }

    #[test]
    fn when_all_look_alike_all_are_named_in_the_order_given() {
        let dead: Vec<_> = (1..=5).map(|number| (number, false, "aa")).collect();
        assert_eq!(ordered(&view(&dead), 1), [1, 2, 3, 4, 5]);
        assert_eq!(ordered(&View::default(), 1), [1, 2, 3, 4, 5]);
    }

    /// Placement 1 with these active regions and placement 2 with those.
    fn epochs(first: &[u16], second: &[u16]) -> Placements {
        let key = ed25519_dalek::SigningKey::from_bytes(&[1; 32]).verifying_key();
        let placement = |number, active: &[u16]| {
            let replica = |region: &u16| ReplicaId { region: RegionId(*region), incarnation: Incarnation(1) };
            let active: BTreeMap<_, _> = active.iter().map(|region| (replica(region), key)).collect();
            Placement { active, ..Placement::new(PlacementId(number), regions(1..=5), key) }
        };
        Placements::new([placement(1, first), placement(2, second)])
    }

    fn sent_to(epochs: &Placements, view: &View) -> Option<u16> {
        refuge(RegionId(OWN), epochs, view).map(|region| region.0)
    }

    #[test]
    fn devices_are_sent_to_a_live_region_that_serves_all_that_they_had() {
        let both = epochs(&[1, 2, 3, 4], &[1, 3, 4]);
        let all = [(2, true, "aa"), (3, true, "aa"), (4, true, "aa")];
        assert_eq!(sent_to(&both, &view(&all)), Some(3), "2 lacks a placement");
        assert_eq!(sent_to(&both, &view(&[(3, false, "aa"), (4, true, "aa")])), Some(4));
        assert_eq!(sent_to(&both, &view(&[(3, true, "aj"), (4, true, "aa")])), Some(4));
        assert_eq!(
            sent_to(&both, &view(&[(3, true, "d")])),
            Some(4),
            "rather to one that nobody has heard of"
        );
        assert_eq!(
            sent_to(&epochs(&[1, 2], &[2, 3]), &view(&all)),
            Some(2),
            "what is not served here is no matter"
        );
    }

    #[test]
    fn silence_leaves_nobody_without_a_refuge_and_epochs_do() {
        let dead = view(&[(2, false, "aa"), (3, false, "aa")]);
        assert_eq!(sent_to(&epochs(&[1, 2, 3], &[1, 2, 3]), &dead), Some(2));
        assert_eq!(sent_to(&epochs(&[1, 2], &[1, 3]), &view(&[(2, true, "aa"), (3, true, "aa")])), None);
        assert_eq!(sent_to(&epochs(&[1], &[1]), &View::default()), None);
        assert_eq!(sent_to(&epochs(&[2], &[3]), &View::default()), None);
    }
}
