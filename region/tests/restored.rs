//! A copy of a store that returns as its region's next incarnation: with all that it held and all that it lacked, and with no right that it had.
//!
//! What must always hold: no dot is issued twice and no right is spent twice, however often the same copy is restored; what only the copy held comes to the others, unless its replica was
//! closed for good before.

use crate::closed::post_on;
use crate::following_epochs::actives;
use crate::rig::{
    WORLD, World, create, first_statement, group, key, kinds, message, post, replica, start, user,
};
use crdt::{Dot, Incarnation, PartitionId, RegionId, ReplicaId, VersionVector};
use region::closed::closed;
use region::command::{Command, Done, MembersWish, Refusal};
use region::log_view::StoreLog;
use region::meta::{self, Expected, MetaRefused, StoreMeta};
use region::restore::{RestoreRefused, look_at};
use region::shard::{Input, Shard};
use region::store::{MemoryStore, Store as _};
use region::{export, follow_epochs, verify};
use replication::StoreId;
use replication::epoch::EpochStatement;
use replication::log::{Base, LogView as _, Position};
use std::collections::{BTreeMap, BTreeSet};

const O: u64 = 1;
pub(crate) const LIMIT: usize = 12;

/// Whose store the first region is to find.
pub(crate) fn expected(replica: ReplicaId) -> Expected {
    let (region_name, placement_name) = ("first".to_owned(), "world".to_owned());
    Expected { replica, region_name, placement: WORLD, placement_name }
}

/// The first region in another incarnation.
pub(crate) fn next_life(number: u64) -> ReplicaId {
    ReplicaId { incarnation: Incarnation(0xf00 + number), ..replica(0) }
}

/// A world, the epochs that its operators have signed, and what has been issued in it.
pub(crate) struct Told {
    pub(crate) world: World,
    pub(crate) epochs: Vec<EpochStatement>,
    pub(crate) issued: BTreeSet<Dot>,
    posts: u128,
}

/// A store that becomes another replica's: whoever has all that its logs hold need not be sent them.
pub(crate) fn has_its_base_at_its_end(store: &MemoryStore) {
    let log = StoreLog::new(RegionId(1), [(WORLD, store as _)]);
    let mut bases = 0;
    for (partition, state) in log.partitions().unwrap() {
        let head = |dot: Dot| log.head(partition, dot.replica, dot.sequence).unwrap().unwrap();
        let chains = state.applied.iter().map(|dot| (dot.replica, (dot.sequence, head(dot))));
        let expected =
            (state.log_end > Position(0)).then(|| Base { position: state.log_end, chains: chains.collect() });
        bases += usize::from(expected.is_some());
        assert_eq!(log.base(partition).unwrap(), expected);
    }
    assert!(bases > 0);
}

impl Told {
    /// Three regions with a group of few places that O began with another in the first one, which then added a third. All know all.
    pub(crate) fn new() -> Self {
        let mut world = World::new(3);
        let active = actives(&[0, 1, 2]).into_iter().map(|(replica, key)| (replica, key.verifying_key()));
        let first = first_statement(active.collect());
        for region in &mut world.regions {
            region.config.limits.members_max = LIMIT;
            let kept = follow_epochs::to_keep(&region.store, std::slice::from_ref(&first)).unwrap();
            region.store.commit(&kept).unwrap();
        }
        let (_, batch) = meta::create(&expected(replica(0)), StoreId(1));
        world.regions[0].store.commit(&batch).unwrap();
        (0..3).for_each(|at| world.reopen(at));
        world.greet();
        world.ask(0, O, create(group(1), 1, &[O, 2])).unwrap();
        let mut told = Self { world, epochs: vec![first], issued: BTreeSet::new(), posts: 1_000 };
        told.add(0, 3).unwrap();
        told.world.calm();
        told
    }

    pub(crate) fn add(&mut self, at: usize, member: u64) -> Result<Done, Refusal> {
        self.posts += 1;
        let (command, wish) = (message(self.posts), MembersWish::Add(user(member)));
        self.world.ask(at, O, Command::ChangeMembers { conversation: group(1), command, wish })
    }

    /// Something is said there, under a dot that was never given before.
    pub(crate) fn say(&mut self, at: usize) {
        self.posts += 1;
        let done = self.world.ask(at, O, post(group(1), self.posts, "something")).unwrap();
        let Done::Operation { dot, .. } = done else { panic!("a post is an operation") };
        assert!(self.issued.insert(dot), "{dot} is issued twice");
    }

    fn copy(&self) -> MemoryStore {
        self.world.regions[0].store.clone()
    }

    /// The next epoch, with these active; whoever runs hears of it.
    pub(crate) fn epoch(&mut self, active: &[(ReplicaId, ed25519_dalek::SigningKey)], told: &[usize]) {
        let statement = self.world.next_epoch(1, active);
        told.iter().for_each(|at| _ = self.world.tell_epoch(*at, &statement));
        self.epochs.push(statement);
    }

    /// The first region's disk is lost, and an epoch admits its next life in its place.
    pub(crate) fn close_and_admit(&mut self, life: u64) {
        let mut active = actives(&[1, 2]);
        active.push((next_life(life), key(0)));
        self.epoch(&active, &[1, 2]);
    }

    /// What the others have applied.
    fn others(&self) -> BTreeMap<PartitionId, VersionVector> {
        let mut all = BTreeMap::<PartitionId, VersionVector>::new();
        for at in [1, 2] {
            for export in export::partitions(&self.world.regions[at].store, WORLD).unwrap() {
                all.entry(export.partition).or_default().join(&export.applied);
            }
        }
        all
    }

    /// The copy as the store of that life, with which the first region is started.
    fn restore(&mut self, mut copy: MemoryStore, life: u64) -> Result<StoreMeta, RestoreRefused> {
        let found = look_at(&copy, &expected(next_life(life)), &self.epochs)?;
        let (meta, batch) = found.restore(&copy, StoreId(100 + u128::from(life)), &self.others())?;
        copy.commit(&batch).unwrap();
        copy.commit(&follow_epochs::to_keep(&copy, &self.epochs).unwrap()).unwrap();
        assert_eq!(meta::check(&copy, &expected(next_life(life))).unwrap().as_ref(), Some(&meta));
        has_its_base_at_its_end(&copy);
        self.begin_with(copy, life);
        Ok(meta)
    }

    /// The first region is started on a store, as that life, and meets the others.
    pub(crate) fn begin_with(&mut self, store: MemoryStore, life: u64) {
        let placement = self.world.regions[1].config.placement.clone();
        let region = &mut self.world.regions[0];
        (region.config.replica, region.config.placement) = (next_life(life), placement);
        region.store = store;
        region.shard = Shard::open(region.config.clone(), &region.store).unwrap();
        for (from, to) in self.world.pairs() {
            let peer = self.world.regions[from].config.replica;
            self.world.step(to, vec![Input::PeerStarted { peer, start: start(1), kinds: kinds() }]);
        }
    }

    /// All is exchanged. Then all three hold the same, and with the members the rights are the limit.
    pub(crate) fn settle(&mut self) -> usize {
        for _ in 0..4 {
            self.world.calm();
        }
        let held = |at: usize| export::partitions(&self.world.regions[at].store, WORLD).unwrap();
        for at in 0..3 {
            let store = &self.world.regions[at].store;
            assert_eq!(held(at), held(1), "region {at}");
            assert_eq!(verify::verify(store, WORLD, 10).unwrap().damaged, [], "region {at}");
            let members = export::members(store, group(1)).unwrap();
            let placement = &self.world.regions[1].config.placement;
            let rights: u64 = placement.origins().map(|origin| members.group().held(origin).0).sum();
            assert_eq!(
                members.members().count() as u64 + rights,
                LIMIT as u64,
                "no right is lost or there twice"
            );
        }
        let mut posts = 0;
        let counts = |_| {
            posts += 1;
            std::ops::ControlFlow::Continue(())
        };
        export::posts(&self.world.regions[0].store, counts).unwrap();
        posts
    }

    /// How much of the first region's first life is known there to be missing.
    fn missing(&self, at: usize) -> u64 {
        let region = &self.world.regions[at];
        closed(&region.store, &region.config.placement).unwrap()[&replica(0)].missing
    }

    pub(crate) fn is_behind(&self) -> bool {
        self.world.regions[0].shard.is_behind()
    }
}

#[test]
fn a_copy_of_yesterday_has_what_it_held_and_is_given_what_it_lacks() {
    let mut told = Told::new();
    told.say(0);
    told.say(1);
    told.world.calm();
    let copy = told.copy();
    // What came after it, some of which everybody has acknowledged.
    told.say(0);
    told.add(0, 4).unwrap();
    told.world.calm();
    told.say(0);
    told.say(2);
    told.world.carry(0, 1);
    told.close_and_admit(1);
    let meta = told.restore(copy, 1).unwrap();
    assert_eq!((meta.replica, meta.start_number, meta.store_id), (next_life(1), 0, StoreId(101)));
    assert!(told.is_behind(), "though it was active in the first epoch, and had caught up");
    told.say(0);
    assert_eq!(told.settle(), 6, "also what had reached one of the others alone");
}

#[test]
fn what_the_copy_alone_held_comes_to_the_others() {
    let mut told = Told::new();
    told.say(0);
    told.add(0, 4).unwrap();
    let copy = told.copy();
    // Somebody who was shown that there comes to another region.
    let shown = *told.issued.last().unwrap();
    told.world.ask(1, O, post_on(77, shown)).unwrap();
    told.close_and_admit(1);
    assert_eq!(told.missing(1), 1);
    told.restore(copy, 1).unwrap();
    assert_eq!(told.settle(), 2);
    assert_eq!(told.missing(1), 0, "it has come back");
    let members = export::members(&told.world.regions[2].store, group(1)).unwrap();
    assert!(members.members().any(|member| member == user(4)), "who was added by it is a member");
}

#[test]
fn from_one_copy_restored_twice_no_dot_is_issued_and_no_right_spent_a_second_time() {
    let mut told = Told::new();
    told.say(0);
    told.world.calm();
    let copy = told.copy();
    for life in 1..=2 {
        // What one life does with what it has, the next one knows nothing of.
        for member in 0..2 {
            let added = told.add(0, 10 * life + member);
            assert!(added.is_ok() || life == 2, "{added:?}");
        }
        told.say(0);
        told.world.calm();
        told.say(0);
        told.close_and_admit(life);
        told.restore(copy.clone(), life).unwrap();
        told.say(0);
        told.settle();
    }
    let first = export::members(&told.world.regions[0].store, group(1)).unwrap();
    assert_eq!(first.group().held(replica(0)).0, 0, "nothing is left of what its first life held");
    assert_eq!(first.group().held(next_life(1)).0, 0);
}

#[test]
fn what_a_copy_holds_beyond_what_counted_when_its_replica_was_closed_is_refused() {
    let mut told = Told::new();
    let before = told.copy();
    told.say(0);
    told.add(0, 4).unwrap();
    let beyond = told.copy();
    // The heir has the rights of what it knows, and the region is admitted on an empty store, or will be.
    told.epoch(&actives(&[1, 2]), &[1, 2]);
    for _ in 0..4 {
        told.world.carry(1, 2);
        told.world.carry(2, 1);
        told.world.now = told.world.now.plus_ms(1_100);
        for at in [1, 2] {
            told.world.step(at, vec![Input::Tick]);
        }
    }
    told.close_and_admit(1);
    let refused = told.restore(beyond, 1).unwrap_err();
    let RestoreRefused::AheadOfOthers { partition, held, theirs } = &refused else { panic!("{refused}") };
    assert_eq!((*partition, held.replica, held.sequence.0 - theirs), (group(1).partition(), replica(0), 2));
    assert!(refused.to_string().contains("keep the copy"), "{refused}");
    told.restore(before, 1).unwrap();
    assert_eq!(told.settle(), 0);
}

#[test]
fn a_lone_region_takes_over_itself_what_it_and_the_others_held() {
    let mut told = Told::new();
    let copy = told.copy();
    told.epoch(&[(next_life(1), key(0))], &[1]);
    told.restore(copy, 1).unwrap();
    for _ in 0..4 {
        told.world.now = told.world.now.plus_ms(1_100);
        told.world.step(0, vec![Input::Tick]);
    }
    assert!(!told.is_behind(), "there is nobody to wait for");
    let members = export::members(&told.world.regions[0].store, group(1)).unwrap();
    assert_eq!(members.group().held(next_life(1)).0, (LIMIT - members.members().count()) as u64);
}

#[test]
fn what_was_said_to_an_earlier_life_about_who_has_caught_up_is_forgotten() {
    let mut told = Told::new();
    let copy = told.copy();
    told.close_and_admit(1);
    told.restore(copy, 1).unwrap();
    told.world.calm();
    for peer in [1, 2].map(replica) {
        told.world.step(0, vec![Input::PeerCaughtUp { peer, had: BTreeMap::new() }]);
    }
    assert!(!told.is_behind());
    let copy = told.copy();
    told.say(1);
    told.close_and_admit(2);
    told.restore(copy, 2).unwrap();
    told.world.step(0, vec![Input::Tick]);
    assert!(told.is_behind());
}

#[test]
fn what_is_no_copy_of_an_earlier_life_is_refused() {
    let told = Told::new();
    let look = |store: &MemoryStore, expected: &Expected| look_at(store, expected, &told.epochs).unwrap_err();
    let copy = told.copy();
    assert_eq!(look(&copy, &expected(replica(0))), RestoreRefused::StillActive(replica(0).incarnation));
    assert_eq!(look(&copy, &expected(next_life(1))), RestoreRefused::NotAdmitted);
    assert_eq!(look(&MemoryStore::new(), &expected(next_life(1))), RestoreRefused::NoCopy);
    let other = Expected { region_name: "second".to_owned(), ..expected(next_life(1)) };
    assert!(matches!(look(&copy, &other), RestoreRefused::Meta(MetaRefused::OtherRegion { .. })));
}
