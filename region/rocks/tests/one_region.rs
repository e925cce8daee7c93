//! One region alone: it takes, keeps and gives back; it refuses stores that are not its own.
//!
//! Real stores, threads and clocks, no peers. What a shard decides is tested in `region`; here is what its driver adds: answers,
//! devices' effects, the bounded mailbox, the restart, and each refusal to start.
#![allow(clippy::unwrap_used)]

mod world;

use crdt::{Incarnation, Now, PlacementId, RegionId, ReplicaId};
use region::command::Refusal;
use region::meta;
use region::present::{self, Present};
use region::shard::Effect;
use region::store::{Batch, Store as _, View as _};
use region_rocks::engine::SharedMemory;
use region_rocks::handle::DeviceEffects;
use region_rocks::node::RegionNode;
use region_rocks::store::RocksStore;
use replication::epoch::EpochStatement;
use std::sync::{Arc, Mutex};
use world::{World, create, group, post, texts, user};

/// What devices would have been told.
#[derive(Default)]
struct Told(Arc<Mutex<Vec<Effect>>>);

impl DeviceEffects for Told {
    fn release(&self, _placement: PlacementId, effects: Vec<Effect>) {
        self.0.lock().unwrap().extend(effects);
    }

    fn connected(&self) -> usize {
        0
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_read_back_and_told_to_devices_and_survives_a_restart() {
    let world = World::new(1);
    let node = world.start(1).unwrap();
    let told = Told::default();
    let effects = Arc::clone(&told.0);
    node.handle().attach_devices(Box::new(told));
    create(&node.handle(), user(1), &[user(2)], group(7)).await;
    for number in 0..20 {
        post(&node.handle(), user(1), group(7), &format!("message {number}")).await.unwrap();
    }
    assert_eq!(texts(&node.handle(), group(7)).len(), 20);
    let changes = |effects: &[Effect]| effects.iter().filter(|e| matches!(e, Effect::Changed(_))).count();
    // An answer goes out before the devices' part of its batch.
    let all = "devices were told of one creation and twenty posts";
    world::until(all, || changes(&effects.lock().unwrap()) == 21).await;
    node.stop().await;

    let node = world.start(1).unwrap();
    assert_eq!(texts(&node.handle(), group(7)).last().unwrap(), "message 19");
    node.stop().await;
    assert_eq!(*world.ended.lock().unwrap(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_of_a_placement_elsewhere_is_refused_by_name() {
    let world = World::with_placements(2, |region| region == RegionId(2));
    let node = world.start(1).unwrap();
    let elsewhere = crdt::ConversationId::group(PlacementId(2), 7);
    let refused = post(&node.handle(), user(1), elsewhere, "hello").await;
    assert_eq!(refused, Err(Refusal::WrongPlacement(elsewhere)));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_mailbox_refuses_at_once_and_loses_nothing_that_it_took() {
    let world = World::new(1);
    let node = world.start(1).unwrap();
    let handle = node.handle();
    create(&handle, user(1), &[], group(7)).await;
    let mut answers = Vec::new();
    let mut busy = 0;
    for number in 0..5_000 {
        let command = region::command::Command::Post {
            conversation: group(7),
            message: world::message(&handle, 1_000 + number),
            body: bytes::Bytes::from(format!("{number}")),
            reply_to: None,
            sent_at_ms: 0,
            seen: None,
            after: None,
            taken_before: false,
        };
        match handle.submit(user(1), world::DEVICE, command) {
            Ok(answer) => answers.push(answer),
            Err(Refusal::Busy { retry_after_ms }) => busy += u64::from(retry_after_ms > 0),
            Err(other) => panic!("{other}"),
        }
    }
    let taken = answers.len();
    for answer in answers {
        answer.await.unwrap().unwrap();
    }
    assert!(busy > 0, "5,000 commands handed in at once are more than a mailbox holds");
    assert_eq!(texts(&handle, group(7)).len(), taken);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_region_on_the_same_data_folder_is_refused() {
    let world = World::new(1);
    let node = world.start(1).unwrap();
    let refused = world.start(1).unwrap_err().to_string();
    assert!(refused.contains("in use by process"), "{refused}");
    node.stop().await;
    world.start(1).unwrap().stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_of_another_region_placement_or_incarnation_is_refused() {
    let world = World::with_placements(2, |_| true);
    world.start(1).unwrap().stop().await;
    let refusal = |config| region_rocks::node::RegionNode::start(config).unwrap_err().to_string();

    let mut of_another_region = world.config(RegionId(2));
    of_another_region.data = world.data(RegionId(1));
    assert!(refusal(of_another_region).contains("belongs to region region-1"));

    let mut reborn = world.config(RegionId(1));
    for placement in world.placements(&world.epochs).iter() {
        let active = placement.active.iter().map(|(replica, key)| {
            (ReplicaId { incarnation: Incarnation(replica.incarnation.0 + 1), ..*replica }, *key)
        });
        reborn.epochs.push(EpochStatement::sign(placement, active.collect(), &World::operators()));
    }
    assert!(refusal(reborn).contains("incarnation"));

    let (global, eu) = (world.data(RegionId(1)).join("global"), world.data(RegionId(1)).join("eu"));
    let aside = world.data(RegionId(1)).join("aside");
    for (from, to) in [(&global, &aside), (&eu, &global), (&aside, &eu)] {
        std::fs::rename(from, to).unwrap();
    }
    assert!(refusal(world.config(RegionId(1))).contains("holds placement"));
    std::fs::remove_dir_all(&global).unwrap();
    assert!(refusal(world.config(RegionId(1))).contains("is gone"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_of_a_newer_format_is_refused_and_left_as_it_is() {
    let world = World::new(1);
    world.start(1).unwrap().stop().await;
    let folder = world.data(RegionId(1)).join("global");
    let mut store = RocksStore::open(&folder, &SharedMemory::new()).unwrap();
    // A later format, with fields that this version cannot know, under a checksum of its own.
    let (_, batch) = meta::advance(meta::read(&store.reader()).unwrap().unwrap());
    let (key, _) = batch.writes().next().unwrap();
    let key = key.clone();
    let mut record = vec![meta::FORMAT as u8 + 1, 0xee, 0xee];
    record.extend(crc32c::crc32c_append(crc32c::crc32c(&key), &record).to_be_bytes());
    let mut batch = Batch::default();
    batch.put(key.clone(), record.clone().into());
    store.commit(&batch).unwrap();
    drop(store);

    let refused = world.start(1).unwrap_err().to_string();
    let (later, newest) = (meta::FORMAT + 1, meta::FORMAT);
    let said =
        format!("has format {later}, this version reads up to {newest}: run the version that wrote it");
    assert!(refused.contains(&said), "{refused}");
    let store = RocksStore::open(&folder, &SharedMemory::new()).unwrap();
    assert_eq!(store.reader().get(&key).unwrap().unwrap(), record, "nothing was written to it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bridge_port_in_use_is_refused_with_the_way_out() {
    let world = World::new(1);
    let _held = std::net::UdpSocket::bind(world.cluster.regions[&RegionId(1)].bridge).unwrap();
    let refused = world.start(1).unwrap_err().to_string();
    assert!(refused.contains("free the port, or change `bridge`"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_one_sync_carries_many_commands() {
    let world = World::new(1);
    let node = world.start(1).unwrap();
    let handle = node.handle();
    create(&handle, user(1), &[], group(7)).await;
    let posting = (0..500).map(|number| {
        let handle = handle.clone();
        tokio::spawn(async move { post(&handle, user(1), group(7), &format!("{number}")).await.unwrap() })
    });
    for posted in posting.collect::<Vec<_>>() {
        posted.await.unwrap();
    }
    let syncs = handle.counters(world::GLOBAL).unwrap().syncs.load(std::sync::atomic::Ordering::Relaxed);
    assert!(syncs < 250, "{syncs} syncs for 500 posts at once");
    node.stop().await;
}

/// History 21: a wall clock that is set back while the region is down. Here the store was last written an hour later than now, which is the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wall_clock_set_back_does_not_take_the_present_back_unless_it_is_trusted() {
    let world = World::new(1);
    let node = world.start(1).unwrap();
    create(&node.handle(), user(1), &[], group(7)).await;
    let before = node.handle().now();
    node.stop().await;
    let mut store = RocksStore::open(&world.data(RegionId(1)).join("global"), &SharedMemory::new()).unwrap();
    let remembered = present::floor(&store.reader()).unwrap();
    assert!(remembered > Now(0) && remembered <= before, "a store that was written remembers when");
    let ahead = before.plus_ms(3_600_000);
    let (_, mut batch) = meta::advance(meta::read(&store.reader()).unwrap().unwrap());
    Present::default().note(ahead, &mut batch);
    store.commit(&batch).unwrap();
    drop(store);

    let node = world.start(1).unwrap();
    assert!(node.handle().now() >= ahead);
    assert!(node.handle().wall_offset_us() < -3_000_000_000, "and the wall clock is told to be behind");
    post(&node.handle(), user(1), group(7), "life goes on").await.unwrap();
    node.stop().await;

    let mut trusting = world.config(RegionId(1));
    trusting.trust_wall_clock = true;
    let node = RegionNode::start(trusting).unwrap();
    assert!(node.handle().now() < ahead, "the operator has said that the hour ahead was wrong");
    node.stop().await;
    let node = world.start(1).unwrap();
    assert!(node.handle().now() < ahead, "said once, it stays");
    node.stop().await;
}
