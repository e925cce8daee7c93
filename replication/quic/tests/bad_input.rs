//! What a peer says that it should not, under a true certificate: refused by its code on the wire, nothing of it delivered, and the bridge to
//! another peer goes on.
//!
//! Every rule has its row where it is decided (`replication/tests/bridge/bad_input.rs`); here the refusals pass sockets, tasks and TLS.
#![allow(clippy::unwrap_used)]

mod pair;

use bytes::Bytes;
use crdt::{Bucket, PartitionId, RegionId};
use pair::{Authority, MadeUpRegion, PLACEMENT, addresses, framed, hello_of, name, replica, until};
use prost::Message as _;
use replication::commit::CommitRefused;
use replication::proto;
use replication_quic::Bridges;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The partition in which made-up regions have their logs.
const PARTITION: u32 = 5;

/// Region 3, which region 2 has a bridge to, and whom somebody with region 1's certificate calls.
struct Stand {
    authority: Authority,
    addresses: [SocketAddr; 3],
    two: Arc<MadeUpRegion>,
    three: Arc<MadeUpRegion>,
    dialler: Bridges,
    _listener: Bridges,
}

impl Stand {
    async fn new() -> Self {
        let (authority, addresses) = (Authority::new(), addresses());
        let (two, three) = (MadeUpRegion::new(2, 0, true), MadeUpRegion::new(3, 0, true));
        let _listener = three.start(authority.certificates(&name(3)), &[1, 2], addresses).unwrap();
        let dialler = two.start(authority.certificates(&name(2)), &[3], addresses).unwrap();
        let open = dialler.open();
        until("the true peer is open", || open.borrow().len() == 1).await;
        Self { authority, addresses, two, three, dialler, _listener }
    }

    /// Says these frames on a connection of its own. Returns the code with which that is closed.
    async fn says(&self, frames: &[Bytes]) -> Option<u64> {
        let caller = self.authority.call(&["region-1"], self.addresses[2], "region-3").await;
        caller.say(&frames.iter().flat_map(|frame| framed(frame)).collect::<Vec<_>>()).await
    }

    /// Nothing was delivered; the true peer's connection is the one it was, and still carries its entries.
    async fn is_undisturbed(&self) {
        assert_eq!(self.three.delivered_bytes.load(Ordering::Relaxed), 0, "nothing of what was refused");
        assert_eq!(self.dialler.counters()[&RegionId(3)].connections.load(Ordering::Relaxed), 1);
        self.two.grow(3);
        until("the true peer's entries come", || self.three.delivered_bytes.load(Ordering::Relaxed) > 0)
            .await;
    }
}

/// A frame of one thing.
fn frame(shape: impl FnOnce(&mut proto::Frame)) -> Bytes {
    let mut frame = proto::Frame::default();
    shape(&mut frame);
    frame.encode_to_vec().into()
}

/// What is said otherwise than in truth.
type Shape = fn(&mut proto::Hello);

/// What region 1 says in truth, but for that.
fn hello(shape: impl FnOnce(&mut proto::Hello)) -> Bytes {
    let mut hello = proto::Frame::decode(hello_of(1, 3)).unwrap().hello.unwrap();
    shape(&mut hello);
    frame(|frame| frame.hello = Some(hello))
}

fn resume(partitions: Vec<proto::PartitionResume>) -> Bytes {
    frame(|frame| frame.resume = Some(proto::Resume { partitions, last: true }))
}

/// One commit of one operation, which nobody has signed: that is the shard's to see.
fn section(shape: impl FnOnce(&mut proto::Section)) -> Bytes {
    let step = proto::Step {
        first: 1,
        signature: vec![9; 64].into(),
        shapes: vec![4 * 2, 2 + 1, 0].into(),
        data: vec![7; 4 + 2].into(),
        ..Default::default()
    };
    let mut section = proto::Section { partition: PARTITION, from: 0, end: 1, steps: vec![step] };
    shape(&mut section);
    frame(|frame| frame.sections = vec![section])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hello_that_does_not_fit_is_refused_by_its_code_and_disturbs_nobody() {
    let stand = Stand::new().await;
    let cases: [(&str, Shape, u64); 7] = [
        ("another cluster", |hello| hello.cluster = "prod".into(), 1),
        ("an unknown region", |hello| hello.region = 9, 2),
        ("an unknown placement", |hello| hello.placements[0].placement = 77, 3),
        ("an earlier epoch", |hello| hello.placements[0].epoch = 0, 4),
        ("an unknown incarnation", |hello| hello.placements[0].incarnation = 99, 5),
        ("a region that the certificate does not name", |hello| hello.region = 2, 6),
        ("later versions alone", |hello| (hello.version_min, hello.version_max) = (5, 6), 7),
    ];
    for (what, shape, code) in cases {
        assert_eq!(stand.says(&[hello(shape)]).await, Some(code), "{what}");
    }
    stand.is_undisturbed().await;
    assert_eq!(*stand.three.stopped.lock().unwrap(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_that_should_not_come_are_refused_by_their_code_and_disturb_nobody() {
    let stand = Stand::new().await;
    let unknown = [&section(|_| {})[..], &[0xf8, 0x07, 0x01]].concat();
    let cases = [
        ("entries out of order", section(|section| section.steps[0].first = 2), 24),
        ("a commit cut short", section(|section| section.steps[0].signature = Bytes::new()), 26),
        ("a partition without a part", section(|section| section.partition += 1_024), 25),
        ("a field of a later version", unknown.into(), 22),
        ("half a frame", section(|_| {}).slice(..20), 20),
        ("a second hello", hello(|_| {}), 23),
    ];
    for (what, said, code) in cases {
        let frames = [hello(|_| {}), resume(Vec::new()), said];
        assert_eq!(stand.says(&frames).await, Some(code), "{what}");
    }
    assert_eq!(stand.says(&[section(|_| {})]).await, Some(23), "entries before anything else");
    stand.is_undisturbed().await;
    assert_eq!(*stand.three.stopped.lock().unwrap(), Vec::<String>::new());
}

/// A peer that has read more than there is says that this store lost data: it must not serve, and says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_beyond_the_end_of_the_log_is_refused_by_its_code_and_ends_the_region_by_name() {
    let stand = Stand::new().await;
    let beyond = proto::PartitionResume { partition: PARTITION, log: 3, ..Default::default() };
    assert_eq!(stand.says(&[hello(|_| {}), resume(vec![beyond])]).await, Some(42));
    let stopped = stand.three.stopped.lock().unwrap().join("\n");
    assert!(stopped.contains("ends at 0: this store lost data"), "{stopped}");
}

/// Whose signature it is, only the shard can tell: what it refuses ends the connection that brought it, by code.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_shard_refuses_is_refused_by_its_code() {
    let stand = Stand::new().await;
    let (partition, origin) =
        (PartitionId { placement: PLACEMENT, bucket: Bucket::new(5).unwrap() }, replica(1));
    let said = [hello(|_| {}), resume(Vec::new()), section(|_| {})];
    let says = stand.says(&said);
    let shard = async {
        until("it was delivered", || stand.three.delivered_bytes.load(Ordering::Relaxed) > 0).await;
        stand.three.notices[&1].refused(&CommitRefused::Signature { partition, origin, last: 1 });
    };
    assert_eq!(tokio::join!(says, shard).0, Some(27));
    assert_eq!(stand.dialler.counters()[&RegionId(3)].connections.load(Ordering::Relaxed), 1);
}

/// A code that is not heard is no code: the refused region would dial again at once, for ever, and its operators would not know why.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_hears_why_it_was_refused_and_dials_again_only_after_a_while() {
    let stand = Stand::new().await;
    let (partition, origin) =
        (PartitionId { placement: PLACEMENT, bucket: Bucket::new(5).unwrap() }, replica(2));
    stand.three.notices[&2].refused(&CommitRefused::Signature { partition, origin, last: 1 });
    let counters = &stand.dialler.counters()[&RegionId(3)];
    until("the alarm is raised", || counters.alarms.load(Ordering::Relaxed) > 0).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(counters.connections.load(Ordering::Relaxed), 1, "it was told, and waits");
}
