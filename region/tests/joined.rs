//! A region that begins with a snapshot of another one's store: it has all that the other had, is given what came since, and gives the others the causes of what it says.
//!
//! What must always hold: nobody begins with a snapshot who was not counted on when it was made (history 6), or has had a store; what a joiner issues comes to nobody before what it was written on
//! (history 5); nothing is believed that its origin has not signed.

use crate::damage::with;
use crate::following_epochs::actives;
use crate::restored::{LIMIT, Told, expected, has_its_base_at_its_end, next_life};
use crate::rig::{WORLD, group, key, operators, replica, start};
use bytes::Bytes;
use crdt::{RegionId, ReplicaId, Sequence};
use ed25519_dalek::{SigningKey, VerifyingKey};
use region::cluster::ClusterPlacement;
use region::join::{JoinRefused, look_at};
use region::log_view::StoreLog;
use region::meta::{self, Expected, MetaRefused};
use region::store::{MemoryStore, Store as _, View as _};
use region::{export, follow_epochs, repair, verify};
use replication::StoreId;
use replication::log::{LogView as _, PeerCursor};
use replication::placement::Durability;
use replication::signature::{Ed25519, Signatures};
use std::sync::Arc;

/// The placement as the cluster file has it.
fn placement() -> ClusterPlacement {
    let (regions, key) = ((1..=16).map(RegionId).collect(), operators().verifying_key());
    ClusterPlacement {
        id: WORLD,
        name: "world".to_owned(),
        regions,
        key,
        durability: Durability::default(),
        kept_days: None,
        backup: None,
    }
}

fn expected_of(replica: ReplicaId, name: &str) -> Expected {
    Expected { region_name: name.to_owned(), ..expected(replica) }
}

/// A world whose second region knows what its store is, as every region does.
fn told() -> Told {
    let mut told = Told::new();
    let (_, batch) = meta::create(&expected_of(replica(1), "second"), StoreId(2));
    told.world.regions[1].store.commit(&batch).unwrap();
    told
}

/// Signs nothing.
#[derive(Debug)]
struct Unsigned;

impl Signatures for Unsigned {
    fn sign(&self, _: &SigningKey, _: &[u8]) -> [u8; 64] {
        [0; 64]
    }

    fn verify(&self, key: &VerifyingKey, statement: &[u8], signature: &[u8; 64]) -> bool {
        Ed25519.verify(key, statement, signature)
    }
}

impl Told {
    /// The second region's store as it is now, with the epochs that it has heard of.
    fn snapshot(&self) -> MemoryStore {
        self.world.regions[1].store.clone()
    }

    /// The first region begins with a snapshot, as that life of it.
    fn join(&mut self, mut snapshot: MemoryStore, life: u64) -> Result<(), JoinRefused> {
        let own = expected(next_life(life));
        let found = look_at(&snapshot, &own, &placement(), &Ed25519)?;
        assert_eq!(found.sender.replica, replica(1));
        let (meta, batch) = found.begin(&snapshot, StoreId(100 + u128::from(life)))?;
        snapshot.commit(&batch).unwrap();
        assert_eq!(meta::check(&snapshot, &own).unwrap().as_ref(), Some(&meta));
        assert_eq!(verify::verify(&snapshot, WORLD, 10).unwrap().damaged, []);
        has_its_base_at_its_end(&snapshot);
        self.begin_with(snapshot, life);
        Ok(())
    }

    fn posts_of(&self, at: usize) -> usize {
        let mut posts = 0;
        let counts = |_| {
            posts += 1;
            std::ops::ControlFlow::Continue(())
        };
        export::posts(&self.world.regions[at].store, counts).unwrap();
        posts
    }
}

#[test]
fn a_joiner_has_what_the_snapshot_held_and_is_given_what_came_since() {
    let mut told = told();
    told.say(0);
    told.say(1);
    told.world.calm();
    told.say(0);
    told.close_and_admit(1);
    let snapshot = told.snapshot();
    // What came after it, and what nobody but the third region had.
    told.say(1);
    told.say(2);
    told.join(snapshot, 1).unwrap();
    assert_eq!(told.posts_of(0), 2, "before anybody has sent it anything");
    assert!(told.is_behind(), "it answers nobody before it has heard of all that the others hold");
    told.say(0);
    told.add(0, 4).unwrap_err();
    // What the first life said last, only its own disk had.
    assert_eq!(told.settle(), 5);
    told.add(0, 4).unwrap();
    told.settle();
}

#[test]
fn a_joiner_reads_on_where_the_sender_stood() {
    let mut told = told();
    told.say(0);
    told.say(2);
    told.world.calm();
    told.close_and_admit(1);
    let snapshot = told.snapshot();
    told.join(snapshot.clone(), 1).unwrap();
    let (log, senders) = (told.world.log(0), StoreLog::new(RegionId(2), [(WORLD, &snapshot as _)]));
    for (partition, state) in senders.partitions().unwrap() {
        let at_its_end = PeerCursor { log: state.log_end, feed: state.feed_end };
        assert_eq!(log.cursor(replica(1), partition).unwrap(), at_its_end);
        let stood = senders.cursor(replica(2), partition).unwrap();
        assert_eq!(log.cursor(replica(2), partition).unwrap(), stood);
    }
    let seen = log.seen_start(WORLD, replica(2)).unwrap();
    assert_eq!(seen, Some(start(1)), "as the sender had seen it");
}

#[test]
fn a_base_that_is_not_what_the_log_holds_is_found_and_one_that_cannot_be_read_is_done_without() {
    const BASES: u8 = 34;
    let mut told = told();
    told.say(0);
    told.world.calm();
    told.close_and_admit(1);
    // The third region has its own word before the second one's, which is in the snapshot.
    told.say(1);
    told.say(2);
    let snapshot = told.snapshot();
    told.world.carry(1, 2);
    told.join(snapshot, 1).unwrap();
    let sound = told.world.regions[0].store.clone();
    let base_of = |store: &MemoryStore| {
        let mut bases = store.records().filter(|(key, _)| key[2] == BASES);
        bases.next().map(|(key, value)| (key.clone(), value.clone())).unwrap()
    };
    let (key, value) = base_of(&sound);
    let found = |harmed: &MemoryStore| {
        let damaged = verify::verify(harmed, WORLD, 10).unwrap().damaged;
        damaged.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let mut flipped = value.to_vec();
    flipped[0] ^= 1;
    let harmed = with(&sound, |batch| batch.put(key.clone(), flipped.into()));
    assert!(found(&harmed)[0].contains("in table bases"), "{:?}", found(&harmed));
    let repair = repair::repair(&harmed, WORLD, 10, None).unwrap();
    assert_eq!((repair.mended.len(), &repair.remains[..]), (1, &[][..]));
    let mut mended = harmed;
    mended.commit(&repair.batch).unwrap();
    assert_eq!((found(&mended), mended.get(&key).unwrap()), (vec![], None));

    let is_wrong = |of: &MemoryStore, value: Bytes| {
        let said = found(&with(of, |batch| batch.put(key.clone(), value)));
        assert!(said.len() == 1 && said[0].contains("it is not what the log holds up to there"), "{said:?}");
    };
    // One of another order: all that it names is in the third region's log, and not all before its place.
    is_wrong(&told.world.regions[2].store, value);
    // One that names more than the log holds: of a snapshot of later.
    told.say(1);
    told.close_and_admit(2);
    let snapshot = told.snapshot();
    told.join(snapshot, 2).unwrap();
    is_wrong(&sound, base_of(&told.world.regions[0].store).1);
}

#[test]
fn history_5_what_a_joiner_says_comes_with_what_it_was_written_on() {
    let mut told = told();
    told.say(1);
    told.close_and_admit(1);
    let snapshot = told.snapshot();
    told.join(snapshot, 1).unwrap();
    told.say(0);
    // The third region has heard nothing of the second one's word, and hears of it from the joiner alone.
    assert_eq!(told.posts_of(2), 0);
    told.world.carry(0, 2);
    assert_eq!(told.posts_of(2), 2);
    let log = told.world.log(2);
    let state = log.state(group(1).partition()).unwrap();
    assert!(state.applied.get(replica(1)) > Sequence::NONE, "{state:?}");
    assert_eq!(told.settle(), 2);
}

#[test]
fn history_6_a_snapshot_from_before_its_region_counted_on_the_joiner_is_refused() {
    let mut told = told();
    told.say(1);
    let early = told.snapshot();
    let mut active = actives(&[1, 2]);
    active.push((next_life(1), key(0)));
    // The operators have signed it, and the second region has not heard of it yet.
    told.epoch(&active, &[2]);
    let late = told.epochs.clone();
    let refused = told.join(early, 1).unwrap_err();
    assert_eq!(refused, JoinRefused::NotActive { replica: next_life(1), epoch: 1 });
    told.world.tell_epoch(1, &late[1]);
    let snapshot = told.snapshot();
    // Whoever is active with it keeps what it lacks: it is not stable before the joiner says so.
    told.join(snapshot, 1).unwrap();
    told.say(1);
    for _ in 0..3 {
        told.world.carry(1, 2);
        told.world.carry(2, 1);
        told.world.now = told.world.now.plus_ms(1_100);
        for at in [1, 2] {
            told.world.step(at, vec![region::shard::Input::Tick]);
        }
    }
    let stable = region::read::stable(&told.world.regions[1].store, group(1).partition()).unwrap();
    let applied = told.world.log(1).state(group(1).partition()).unwrap().applied;
    assert!(stable.get(replica(1)) < applied.get(replica(1)), "nothing is stable that the joiner lacks");
    assert_eq!(told.settle(), 2);
}

#[test]
fn a_replica_that_others_have_met_begins_with_no_snapshot() {
    let mut told = told();
    told.close_and_admit(1);
    let unmet = told.snapshot();
    told.join(unmet, 1).unwrap();
    assert_eq!(told.join(told.snapshot(), 1), Err(JoinRefused::HadStore(next_life(1))), "it has started");
    told.say(0);
    told.world.carry(0, 2);
    told.world.carry(2, 1);
    assert_eq!(told.join(told.snapshot(), 1), Err(JoinRefused::HadStore(next_life(1))));
    // Another life of it does, and has nothing of what the one before held.
    told.close_and_admit(2);
    told.join(told.snapshot(), 2).unwrap();
    told.settle();
    let members = export::members(&told.world.regions[0].store, group(1)).unwrap();
    assert_eq!(members.group().held(next_life(1)).0, 0);
    assert!(members.members().count() < LIMIT);
}

#[test]
fn what_its_origin_has_not_signed_is_not_believed() {
    let mut told = told();
    told.world.regions[1].config.signatures = Arc::new(Unsigned);
    told.world.reopen(1);
    told.say(1);
    told.close_and_admit(1);
    let refused = told.join(told.snapshot(), 1).unwrap_err();
    assert!(
        matches!(&refused, JoinRefused::NotSigned { held, .. } if held.replica == replica(1)),
        "{refused}"
    );
}

#[test]
fn what_is_no_snapshot_of_another_region_of_the_placement_is_refused() {
    let mut told = told();
    told.close_and_admit(1);
    let look = |store: &MemoryStore, own: &Expected| look_at(store, own, &placement(), &Ed25519).unwrap_err();
    let own = expected(next_life(1));
    assert_eq!(look(&MemoryStore::new(), &own), JoinRefused::NoSnapshot);
    assert_eq!(look(&told.world.regions[0].store, &own), JoinRefused::OwnStore);
    let other = Expected { placement_name: "isle".to_owned(), ..own.clone() };
    let refused = look(&told.snapshot(), &other);
    assert!(matches!(refused, JoinRefused::Meta(MetaRefused::OtherPlacement { .. })), "{refused}");
    // Epochs that somebody else has signed.
    let stranger = ClusterPlacement { key: key(5).verifying_key(), ..placement() };
    let refused = look_at(&told.snapshot(), &own, &stranger, &Ed25519).unwrap_err();
    assert!(matches!(refused, JoinRefused::Epochs(_)), "{refused}");
    let kept = follow_epochs::kept(&told.snapshot(), replication::placement::Epoch(0), 9).unwrap();
    assert_eq!(kept.len(), 2, "the snapshot has them with it");
}
