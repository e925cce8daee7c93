//! What is passed of what came, and what waits.
//!
//! What must always hold: what is durable here counts from the moment it is, whoever was told first; at the limit of what waits nothing is dropped, above it all of a
//! partition is; what waited is delivered in portions that the shard has room for.

use crate::played::{Played, delivered, frames, of_bytes, step};
use crate::store::{key, replica};
use crate::world::partition;
use bytes::Bytes;
use crdt::{ChainHead, Sequence};
use replication::commit::{Commit, OperationBytes};
use replication::limits::{COMMIT_BYTES_MAX, IN_FLIGHT_BYTES_MAX, PENDING_BYTES_MAX};
use replication::signature::Ed25519;
use replication::{Delivery, Input, Output, proto};

fn section(end: u64, step: proto::Step) -> proto::Frame {
    let section = proto::Section { partition: 7, from: 0, end: (end % 128) as u32, steps: vec![step] };
    proto::Frame { sections: vec![section], ..Default::default() }
}

fn references(bytes: &'static [u8]) -> proto::Step {
    proto::Step { references: Bytes::from_static(bytes), ..Default::default() }
}

#[test]
fn what_the_peer_has_of_ours_before_this_bridge_is_told_of_it_fences_nobody() {
    let mut played = Played::quiet();
    played.issue(7, vec![of_bytes(100)]);
    // Our third: another bridge was told of it first, and its peer has passed it on.
    let outputs = played.frame(&section(3, references(&[0, 0, 3 * 3 * 2])));
    assert!(
        !outputs.iter().any(|output| matches!(output, Output::Close(_) | Output::Fenced(_))),
        "{outputs:?}"
    );
    assert!(played.bridge.to_string().contains("in 3/3"), "{}", played.bridge);
}

/// A bridge that waits for the first operation of region 3, with commits of region 2 behind it.
struct Blocked {
    played: Played,
    commits: u64,
}

impl Blocked {
    fn new() -> Self {
        let mut played = Played::quiet();
        played.frame(&section(1, references(&[4, 0, (3 + 2) * 2])));
        Self { played, commits: 0 }
    }

    fn take(&mut self, bytes: usize) -> Vec<Output> {
        self.commits += 1;
        let step = step(self.commits, &[of_bytes(bytes)]);
        self.played.frame(&section(1 + self.commits, step))
    }

    /// What waits.
    fn pending(&self) -> usize {
        self.played.printed("pending=")
    }
}

#[test]
fn at_the_limit_of_what_waits_nothing_is_dropped_and_above_it_all_of_the_partition() {
    let mut blocked = Blocked::new();
    let before = blocked.pending();
    let large = COMMIT_BYTES_MAX / 2;
    blocked.take(large);
    let beside = blocked.pending() - before - large;
    while PENDING_BYTES_MAX - blocked.pending() > 2 * large {
        blocked.take(large);
    }
    let outputs = blocked.take(PENDING_BYTES_MAX - blocked.pending() - beside);
    assert_eq!(blocked.pending(), PENDING_BYTES_MAX);
    assert!(frames(&outputs).iter().all(|frame| frame.rewinds.is_empty()));
    while !blocked.played.send().is_empty() {}
    let outputs = blocked.take(100);
    assert_eq!(blocked.pending(), 0);
    let rewinds: Vec<_> = frames(&outputs).into_iter().flat_map(|frame| frame.rewinds).collect();
    assert_eq!(rewinds, [proto::Rewind { partition: 7, to: 0 }], "the peer is told to stop");
    assert!(blocked.played.bridge.to_string().ends_with(" dropped"), "{}", blocked.played.bridge);
}

#[test]
fn what_waited_is_delivered_in_portions_that_the_shard_has_room_for() {
    let mut blocked = Blocked::new();
    let large = COMMIT_BYTES_MAX / 2;
    while PENDING_BYTES_MAX - blocked.pending() > 2 * large {
        blocked.take(large);
    }
    let Blocked { mut played, commits } = blocked;
    // What was waited for is here.
    let (id, origin) = (partition(1, 7), replica(3));
    let operation: OperationBytes = of_bytes(100);
    let before = ChainHead::genesis(id, origin);
    let commit = Commit::sign(id, origin, Sequence(1), vec![operation], before, (&Ed25519, &key(origin)));
    played.store.apply(origin, id, vec![commit], None).unwrap();
    let mut outputs = played.advance(7);
    let mut all = Vec::new();
    while !delivered(&outputs).is_empty() {
        let in_flight = played.printed("in_flight=");
        assert!(in_flight <= IN_FLIGHT_BYTES_MAX + COMMIT_BYTES_MAX, "{in_flight} bytes at once");
        all.extend(delivered(&outputs));
        let bytes = outputs.iter().map(|output| match output {
            Output::Deliver(Delivery::Entries { bytes, .. }) => *bytes,
            _ => 0,
        });
        let bytes = bytes.sum();
        outputs = played.step(Input::Taken { bytes });
    }
    assert_eq!(all, (1..=commits).map(|sequence| (2, sequence)).collect::<Vec<_>>());
    assert_eq!((played.printed("in_flight="), played.printed("pending=")), (0, 0));
}
