//! Which regions of the cluster are live, as this one has heard: a fold over what gossip shows, for those who order regions and for operators.
//!
//! What must always hold:
//! - A view is an opinion, from here and of now. It puts regions into an order and is shown; nothing is acknowledged, stable, or left out because of it.
//! - Of a region the newest start counts of those that are live; an older one that only goes around still changes nothing. A start that is live counts also after one with a larger
//!   number, as when an operator has set a clock back.
//! - It holds one entry a region of the cluster file, whatever comes; of a region that was never heard of live there is none.
//! - Once a region was live it is dead until it is live again, also after gossip has forgotten it.

mod facts;

pub use facts::{FACTS_BYTES_MAX, Facts, Load, Stands, stands};

use crdt::{Now, RegionId};
use replication::placement::Placement;
use std::collections::{BTreeMap, BTreeSet};

/// One start of a region, as gossip tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Which region.
    pub region: RegionId,
    /// When it was started, in milliseconds since 1970 by its own clock: larger with each start.
    pub started_ms: u64,
    /// Whether the failure detector holds it for live.
    pub live: bool,
    /// What it says of itself, once that has come.
    pub facts: Option<Facts>,
}

/// A region that was heard of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its start that is live, or was last, as in [`Seen`].
    pub started_ms: u64,
    /// Whether it is held for live now.
    pub live: bool,
    /// Since when that is so of this start, by the clock here.
    pub since: Now,
    /// What that start said last of itself.
    pub facts: Option<Facts>,
}

/// All regions that were heard of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct View(BTreeMap<RegionId, Member>);

/// What a region is in a placement, for everybody to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Admitted, and it lacks yet what the others hold, or runs without a store of it.
    Joining,
    /// It serves.
    Active,
    /// It serves, and sends its devices away since it is about to end.
    Draining,
    /// An epoch has closed its replica, and it is still heard of: it has not been told yet, or waits to be admitted again.
    Suspended,
    /// An epoch has closed its replica, and it is heard of no more, or says that it stands in others alone.
    Ended,
}

impl State {
    /// Its name for people and programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Joining => "joining",
            Self::Active => "active",
            Self::Draining => "draining",
            Self::Suspended => "suspended",
            Self::Ended => "ended",
        }
    }
}

impl View {
    /// Takes in all that gossip shows now of the cluster's regions, and gives those that were found live, dead, or started again.
    pub fn observe(&mut self, now: Now, regions: &BTreeSet<RegionId>, seen: Vec<Seen>) -> Vec<RegionId> {
        let mut newest: BTreeMap<RegionId, Seen> = BTreeMap::new();
        for one in seen.into_iter().filter(|one| one.live) {
            match newest.get(&one.region) {
                Some(other) if other.started_ms >= one.started_ms => {}
                _ => _ = newest.insert(one.region, one),
            }
        }
        let mut changed = Vec::new();
        for region in regions {
            match (newest.remove(region), self.0.get_mut(region)) {
                (Some(Seen { started_ms, facts, .. }), Some(known))
                    if known.live && known.started_ms == started_ms =>
                {
                    known.facts = facts;
                }
                (Some(Seen { started_ms, facts, .. }), _) => {
                    self.0.insert(*region, Member { started_ms, live: true, since: now, facts });
                    changed.push(*region);
                }
                (None, Some(known)) if known.live => {
                    (known.live, known.since) = (false, now);
                    changed.push(*region);
                }
                (None, None | Some(_)) => {}
            }
        }
        changed
    }

    /// What is known of a region; none if it was never heard of live.
    #[must_use]
    pub fn member(&self, region: RegionId) -> Option<&Member> {
        self.0.get(&region)
    }

    /// All that were heard of, by number.
    pub fn members(&self) -> impl Iterator<Item = (RegionId, &Member)> {
        self.0.iter().map(|(region, member)| (*region, member))
    }

    /// What a region is in a placement, by the epoch that is followed here and by what was heard. None if it never had a part in it.
    #[must_use]
    pub fn state(&self, region: RegionId, placement: &Placement) -> Option<State> {
        let member = self.member(region);
        if placement.replica_of(region).is_none() {
            let is_closed = placement.closed.keys().any(|replica| replica.region == region);
            let stands = |facts: &Facts| facts.placements.contains_key(&placement.id);
            let is_in_it = |member: &Member| member.live && member.facts.as_ref().is_none_or(stands);
            let still = member.is_some_and(is_in_it);
            return is_closed.then_some(if still { State::Suspended } else { State::Ended });
        }
        let facts = member.and_then(|member| member.facts.as_ref());
        Some(match facts {
            Some(facts) if facts.draining => State::Draining,
            Some(facts) if facts.placements.get(&placement.id).is_none_or(|stands| stands.joining) => {
                State::Joining
            }
            Some(_) | None => State::Active,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{
        BTreeMap, BTreeSet, Facts, Load, Member, Now, Placement, RegionId, Seen, Stands, State, View,
    };
    use crdt::{Incarnation, PlacementId, ReplicaId};
    use replication::placement::Epoch;

    const WEST: RegionId = RegionId(2);

    fn facts(draining: bool, joining: bool) -> Facts {
        Facts {
            client: "wss://west:1".to_owned(),
            bridge: "127.0.0.1:1".parse().unwrap(),
            draining,
            load: Load::default(),
            placements: BTreeMap::from([(PlacementId(1), Stands { epoch: Epoch(1), joining })]),
        }
    }

    fn west(started_ms: u64, live: bool) -> Seen {
        Seen { region: WEST, started_ms, live, facts: Some(facts(false, false)) }
    }

    /// A view of three regions that is shown these things of them, a second apart; and whether each of them changed anything.
    fn shown(all: Vec<Vec<Seen>>) -> (View, Vec<bool>) {
        let regions = BTreeSet::from([1, 2, 3].map(RegionId));
        let (mut view, mut changed) = (View::default(), Vec::new());
        for (second, seen) in (1..).zip(all) {
            changed.push(!view.observe(Now(0).plus_ms(second * 1_000), &regions, seen).is_empty());
        }
        (view, changed)
    }

    fn stands(view: &View) -> Option<(u64, bool, u64)> {
        let Member { started_ms, live, since, .. } = view.member(WEST)?;
        Some((*started_ms, *live, since.ms() / 1_000))
    }

    #[test]
    fn a_region_is_live_dead_and_live_again_and_remembered_once_gossip_has_forgotten_it() {
        let story = vec![
            vec![west(7, false)],
            vec![west(7, true)],
            vec![west(7, true)],
            vec![west(7, false)],
            vec![],
            vec![west(7, true)],
        ];
        let after = |seconds: usize| stands(&shown(story[..seconds].to_vec()).0);
        assert_eq!(after(1), None, "what was heard of and never live may be long gone");
        assert_eq!(after(3), Some((7, true, 2)));
        assert_eq!(after(4), Some((7, false, 4)));
        assert_eq!(after(5), Some((7, false, 4)));
        assert_eq!(after(6), Some((7, true, 6)));
        assert_eq!(shown(story).1, [false, true, false, true, false, true]);
    }

    #[test]
    fn the_newest_start_counts_and_an_older_one_that_still_goes_around_changes_nothing() {
        let new = Seen { facts: None, ..west(9, true) };
        let (view, changed) =
            shown(vec![vec![west(7, true)], vec![west(9, false), west(7, true)], vec![west(7, true), new]]);
        assert_eq!((stands(&view), changed), (Some((9, true, 3)), vec![true, false, true]));
        assert_eq!(view.member(WEST).unwrap().facts, None, "what an earlier start said of itself is over");
        let set_back = vec![west(7, true), west(9, false)];
        let (view, changed) = shown(vec![vec![west(9, true)], set_back.clone(), set_back]);
        assert_eq!((stands(&view), changed), (Some((7, true, 2)), vec![true, true, false]));
    }

    #[test]
    fn what_is_no_region_of_the_cluster_file_is_not_in_it() {
        let stranger = Seen { region: RegionId(4), ..west(7, true) };
        let (view, changed) = shown(vec![vec![stranger, west(7, true)]]);
        assert_eq!(view.members().map(|(region, _)| region).collect::<Vec<_>>(), [WEST]);
        assert_eq!(changed, [true]);
    }

    #[test]
    fn the_state_of_a_region_is_what_the_epoch_and_the_region_itself_say() {
        let replica = |region| ReplicaId { region: RegionId(region), incarnation: Incarnation(1) };
        let key = ed25519_dalek::SigningKey::from_bytes(&[1; 32]).verifying_key();
        let placement = Placement::new(PlacementId(1), BTreeSet::from([1, 2, 3].map(RegionId)), key);
        let active = Placement { active: BTreeMap::from([(replica(2), key)]), ..placement.clone() };
        let closed = Placement { closed: BTreeMap::from([(replica(2), key)]), ..placement.clone() };
        let says = |facts: Facts| shown(vec![vec![Seen { facts: Some(facts), ..west(7, true) }]]).0;
        let dead = shown(vec![vec![west(7, true)], vec![]]).0;
        let state = |view: &View, placement: &Placement| view.state(WEST, placement).map(State::name);
        assert_eq!(state(&says(facts(false, true)), &active), Some("joining"));
        assert_eq!(state(&says(facts(false, false)), &active), Some("active"));
        assert_eq!(state(&says(facts(true, true)), &active), Some("draining"));
        assert_eq!(state(&View::default(), &active), Some("active"));
        assert_eq!(state(&dead, &active), Some("active"), "an epoch says so, and no silence takes it back");
        assert_eq!(state(&says(facts(false, false)), &closed), Some("suspended"));
        assert_eq!(state(&dead, &closed), Some("ended"));
        let elsewhere = says(Facts { placements: BTreeMap::new(), ..facts(false, false) });
        assert_eq!(state(&elsewhere, &closed), Some("ended"), "it serves its other placements");
        assert_eq!(state(&elsewhere, &active), Some("joining"), "it has not been started with a store of it");
        assert_eq!(state(&dead, &placement), None);
    }
}
