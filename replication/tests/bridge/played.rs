//! One bridge whose peer is played by the test, frame by frame: for what no honest peer sends, and for moments that a world of regions seldom meets.
//!
//! Region 1 has a bridge to region 2, which shares placement 1 with it, and holds two operations of its own in partition 7. What must always hold: nothing happens
//! unless the test gives an input; the time is the test's.

use crate::store::{Store, key, placement, replica, start};
use crate::world::{operation, partition, region};
use bytes::Bytes;
use crdt::{Now, Sequence};
use prost::Message as _;
use prost::encoding::encode_varint;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use replication::commit::{Commit, OperationBytes};
use replication::log::LogView as _;
use replication::placement::{Durability, Placement, Placements};
use replication::signature::Ed25519;
use replication::{Bridge, Config, Delivery, Input, Output, OwnStore, proto};

pub(crate) struct Played {
    pub(crate) store: Store,
    pub(crate) bridge: Bridge,
    pub(crate) now: Now,
    random: ChaCha8Rng,
}

fn placements() -> Placements {
    Placements::new([placement(1, &[1, 2, 3]), placement(2, &[1, 3]), placement(3, &[2, 3])])
}

impl Played {
    pub(crate) fn new() -> Self {
        Self::within(placements())
    }

    /// The same, where region 1 acknowledges what a second region has.
    pub(crate) fn where_devices_wait() -> Self {
        let geo = |of: &Placement| Placement { durability: Durability::Geo, ..of.clone() };
        Self::within(Placements::new(placements().iter().map(geo)))
    }

    fn within(placements: Placements) -> Self {
        let mut store = Store::new(1, placements.clone());
        store.issue(partition(1, 7), vec![operation("own 1"), operation("own 2")]);
        let own = OwnStore { replica: replica(1), start: start(1, 4) };
        let bridge = Bridge::new(Config {
            cluster: "test".into(),
            own: region(1),
            peer: region(2),
            stores: placements.iter().map(|placement| (placement.id, own)).collect(),
            placements,
            kinds: vec![0],
        });
        Self { store, bridge, now: Now(5_000_000), random: ChaCha8Rng::seed_from_u64(1) }
    }

    pub(crate) fn step(&mut self, input: Input) -> Vec<Output> {
        self.bridge.step(self.now, &mut self.random, input, &self.store).unwrap()
    }

    pub(crate) fn frame(&mut self, frame: &proto::Frame) -> Vec<Output> {
        self.step(Input::Frame(frame.encode_to_vec().into()))
    }

    /// Connected and greeted, with `shape` applied to the peer's Hello.
    pub(crate) fn greeted(shape: impl FnOnce(&mut proto::Hello)) -> (Self, Vec<Output>) {
        let mut played = Self::new();
        let outputs = played.greet(shape);
        (played, outputs)
    }

    pub(crate) fn greet(&mut self, shape: impl FnOnce(&mut proto::Hello)) -> Vec<Output> {
        self.step(Input::Connected { certified: region(2) });
        let mut hello = proto::Hello { clock_us: self.now.0, ..hello() };
        shape(&mut hello);
        self.frame(&proto::Frame { hello: Some(hello), ..Default::default() })
    }

    /// Connected, greeted and resumed.
    pub(crate) fn open() -> Self {
        let (mut played, _) = Self::greeted(|_| {});
        played.resume();
        played
    }

    /// Sends everything that there is to say at first.
    pub(crate) fn say_all(&mut self) {
        while !self.send().is_empty() {}
    }

    /// The peer says that it has nothing.
    pub(crate) fn resume(&mut self) -> Vec<Output> {
        let resume = proto::Resume { partitions: Vec::new(), last: true };
        let outputs = self.frame(&proto::Frame { resume: Some(resume), ..Default::default() });
        assert!(outputs.iter().any(|output| matches!(output, Output::Opened { .. })));
        outputs
    }

    /// Open, with everything sent that there was to say at first.
    pub(crate) fn quiet() -> Self {
        let mut played = Self::open();
        played.say_all();
        played
    }

    /// The frames that are sent when the pipe can take one more.
    pub(crate) fn send(&mut self) -> Vec<proto::Frame> {
        let outputs = self.step(Input::PipeReady);
        frames(&outputs)
    }

    /// Issues operations as one commit, of which the bridge is not told.
    pub(crate) fn issue(&mut self, bucket: u16, operations: Vec<OperationBytes>) {
        self.store.issue(partition(1, bucket), operations);
    }

    /// Tells the bridge what is durable.
    pub(crate) fn advance(&mut self, bucket: u16) -> Vec<Output> {
        let partition = partition(1, bucket);
        let state = self.store.state(partition).unwrap();
        self.step(Input::Advanced { partition, state })
    }

    /// A number in the first line of the printed state.
    pub(crate) fn printed(&self, name: &str) -> usize {
        let state = self.bridge.to_string();
        let found = state.split_whitespace().find_map(|word| word.strip_prefix(name));
        found.and_then(|number| number.parse().ok()).unwrap()
    }
}

pub(crate) fn hello() -> proto::Hello {
    let shared = placement(1, &[1, 2, 3]);
    proto::Hello {
        cluster: "test".into(),
        region: 2,
        version_min: 1,
        version_max: 1,
        kinds: vec![0],
        clock_us: 5_000_000,
        placements: vec![proto::SharedPlacement {
            placement: 1,
            incarnation: replica(2).incarnation.0,
            epoch: 1,
            fingerprint: shared.fingerprint().to_vec().into(),
            start_number: 1,
            remembered_start: 4,
            store: 2_u128.to_be_bytes().to_vec().into(),
            remembered_store: 1_u128.to_be_bytes().to_vec().into(),
        }],
    }
}

/// The first commit of region 2 in partition 7, with its number put to `first`, as it stands in a section of its own log.
pub(crate) fn step(first: u64, operations: &[OperationBytes]) -> proto::Step {
    let (id, origin) = (partition(1, 7), replica(2));
    let before = crdt::ChainHead::genesis(id, origin);
    let commit =
        Commit::sign(id, origin, Sequence(first), operations.to_vec(), before, (&Ed25519, &key(origin)));
    let (mut shapes, mut data) = (Vec::new(), Vec::new());
    for operation in operations {
        let payload = operation.payload.as_ref().unwrap();
        encode_varint(operation.envelope.len() as u64 * 2, &mut shapes);
        encode_varint(payload.len() as u64 + 1, &mut shapes);
        shapes.push(0);
        data.extend_from_slice(&operation.envelope);
        data.extend_from_slice(payload);
    }
    let signature = commit.signature.to_vec().into();
    proto::Step { first, signature, shapes: shapes.into(), data: data.into(), ..Default::default() }
}

/// An operation of so many bytes.
pub(crate) fn of_bytes(bytes: usize) -> OperationBytes {
    let envelope = Bytes::from_static(b"envelope");
    let payload = Bytes::from(vec![7; bytes - envelope.len()]);
    OperationBytes { envelope, payload: Some(payload) }
}

pub(crate) fn frames(outputs: &[Output]) -> Vec<proto::Frame> {
    let sent = outputs.iter().filter_map(|output| match output {
        Output::Send(bytes) => Some(proto::Frame::decode(bytes.clone()).unwrap()),
        _ => None,
    });
    sent.collect()
}

/// The ends of the commits that were delivered, in order.
pub(crate) fn delivered(outputs: &[Output]) -> Vec<(u16, u64)> {
    let entries = outputs.iter().filter_map(|output| match output {
        Output::Deliver(Delivery::Entries { commits, .. }) => Some(commits),
        _ => None,
    });
    entries.flatten().map(|commit| (commit.origin.region.0, commit.last().0)).collect()
}
