//! A partition whose stream stops at an operation of a kind that a later version issues, or at a fork of a third replica's chain, while all others go on.
//!
//! What must always hold: the peer is told once to send no more of it, an alarm names it once, nothing of it is taken or kept, and the next connection asks again from where
//! it stopped.

use crate::played::{Played, delivered, frames, of_bytes, step};
use crate::store::{key, replica};
use crate::world::{operation, partition};
use crdt::{ChainHead, Dot, PartitionId, Sequence};
use replication::commit::{Commit, CommitRefused, OperationBytes};
use replication::signature::Ed25519;
use replication::{Alarm, Delivery, Input, Output, Reason, proto};

fn section(bucket: u32, first: u64) -> proto::Frame {
    let steps = vec![step(first, &[of_bytes(40)])];
    let section = proto::Section { partition: bucket, steps, end: first as u32, ..Default::default() };
    proto::Frame { sections: vec![section], ..Default::default() }
}

fn later(partition: PartitionId) -> CommitRefused {
    let dot = Dot { replica: replica(2), sequence: Sequence(1) };
    CommitRefused::LaterKind { partition, dot, kind: 9 }
}

fn refuse(played: &mut Played, reason: CommitRefused) -> Vec<Output> {
    played.step(Input::Taken { bytes: 0 });
    played.step(Input::Refused { reason })
}

fn alarms(outputs: &[Output]) -> Vec<String> {
    let alarms = outputs.iter().filter_map(|output| match output {
        Output::Alarm(alarm @ Alarm::PartitionStopped { .. }) => Some(alarm.to_string()),
        _ => None,
    });
    alarms.collect()
}

#[test]
fn an_operation_of_a_later_kind_stops_its_partition_alone() {
    let mut played = Played::quiet();
    assert_eq!(delivered(&played.frame(&section(7, 1))), [(2, 1)]);
    let outputs = refuse(&mut played, later(partition(1, 7)));
    let said = "r2: the stream of a partition stops: r2.0000000000000022:1 in p1/7 is of kind 9, which a later version issues: upgrade this region, and it goes on where it stopped";
    assert_eq!((alarms(&outputs), played.bridge.stopped()), (vec![said.to_owned()], 1));
    let mut sent = frames(&outputs);
    sent.extend(played.send());
    let rewinds: Vec<(u32, u64)> =
        sent.iter().flat_map(|frame| &frame.rewinds).map(|rewind| (rewind.partition, rewind.to)).collect();
    assert_eq!(rewinds, [(7, 0)], "the peer sends no more of it");

    assert_eq!(delivered(&played.frame(&section(7, 2))), [], "what was on its way is not taken");
    assert!(played.bridge.to_string().contains("stopped"));
    assert_eq!(played.printed("pending="), 0, "{}", played.bridge);
    assert_eq!(delivered(&played.frame(&section(8, 1))), [(2, 1)], "another partition goes on");
}

fn forked(origin: u16) -> CommitRefused {
    CommitRefused::Fork { partition: partition(1, 7), origin: replica(origin), last: 1 }
}

/// How many deliveries of registers come of one register of a partition.
fn registers(played: &mut Played, bucket: u32) -> usize {
    let (keys, values) = (vec!["k".into()], vec!["v".into()]);
    let feed = proto::Feed { partition: bucket, through: 1, keys, values };
    let outputs = played.frame(&proto::Frame { feeds: vec![feed], ..Default::default() });
    let is_of_registers = |output: &&Output| matches!(output, Output::Deliver(Delivery::Registers { .. }));
    outputs.iter().filter(is_of_registers).count()
}

#[test]
fn a_fork_of_a_third_chain_stops_its_partition_alone_and_its_registers_too() {
    let mut played = Played::quiet();
    let outputs = refuse(&mut played, forked(3));
    assert_eq!(alarms(&outputs).len(), 1, "{outputs:?}");
    assert!(
        !outputs.iter().any(|output| matches!(output, Output::Close(_) | Output::Fenced(_))),
        "{outputs:?}"
    );
    assert_eq!(delivered(&played.frame(&section(7, 1))), [], "what was on its way is not taken");
    assert_eq!(registers(&mut played, 7), 0, "an acknowledgement may count the other branch");
    assert_eq!(delivered(&played.frame(&section(8, 1))), [(2, 1)], "another partition goes on");
    assert_eq!(registers(&mut played, 8), 1, "and so do its registers");
}

#[test]
fn a_register_of_a_later_kind_stops_its_feed_alone() {
    let mut played = Played::quiet();
    let refused = CommitRefused::LaterRegister { partition: partition(1, 7), kind: 99 };
    let outputs = refuse(&mut played, refused.clone());
    let said = "r2: the stream of a partition stops: the feed of p1/7 holds a register of kind 99, which a later version writes: upgrade this region, and it goes on where it stopped";
    assert_eq!(alarms(&outputs), [said]);
    assert!(!outputs.iter().any(|output| matches!(output, Output::Close(_))), "{outputs:?}");
    assert_eq!(played.bridge.stopped(), 1);
    assert_eq!(registers(&mut played, 7), 0, "what was on its way is not taken");
    assert_eq!(alarms(&refuse(&mut played, refused)).len(), 0, "it is said once a connection");
    assert_eq!(delivered(&played.frame(&section(7, 1))), [(2, 1)], "its operations go on");
    assert_eq!(registers(&mut played, 8), 1, "and so does another partition's feed");
    let kind = refuse(&mut played, later(partition(1, 7)));
    assert_eq!(alarms(&kind).len(), 1, "its stream may stop besides: {kind:?}");
}

/// Opens a bridge of a region that has these as the peer's first commit, by way of a third region, and lets the peer send `section`.
fn sent_what_is_here(here: &OperationBytes) -> Vec<Output> {
    let mut played = Played::new();
    let (id, origin) = (partition(1, 7), replica(2));
    let before = ChainHead::genesis(id, origin);
    let commit = Commit::sign(id, origin, Sequence(1), vec![here.clone()], before, (&Ed25519, &key(origin)));
    played.store.apply(replica(3), id, vec![commit], None).unwrap();
    played.greet(|_| {});
    played.resume();
    while !played.send().is_empty() {}
    played.frame(&section(7, 1))
}

#[test]
fn of_what_is_here_already_another_chain_stops_the_partition_and_the_same_is_passed() {
    let outputs = sent_what_is_here(&of_bytes(40));
    assert!(alarms(&outputs).is_empty(), "{outputs:?}");
    let passed =
        |output: &Output| matches!(output, Output::Deliver(Delivery::Entries { cursor: Some(_), .. }));
    assert!(outputs.iter().any(passed) && delivered(&outputs).is_empty(), "{outputs:?}");

    let outputs = sent_what_is_here(&operation("another life's"));
    assert_eq!(alarms(&outputs).len(), 1, "{outputs:?}");
    assert!(!outputs.iter().any(passed), "what depended on that branch is not passed: {outputs:?}");
    let is_of_a_fork = |output: &Output| matches!(output, Output::Alarm(Alarm::Fork { differs: 1, .. }));
    assert!(outputs.iter().any(is_of_a_fork), "{outputs:?}");
}

#[test]
fn a_fork_of_the_own_chain_fences() {
    let outputs = refuse(&mut Played::quiet(), forked(1));
    assert!(
        outputs.iter().any(|output| matches!(output, Output::Fenced(_))),
        "its store was put back: {outputs:?}"
    );
}

#[test]
fn what_follows_in_a_stopped_partition_says_nothing_new() {
    let mut played = Played::quiet();
    refuse(&mut played, later(partition(1, 7)));
    let out_of_order = |bucket| CommitRefused::OutOfOrder {
        partition: partition(1, bucket),
        origin: replica(2),
        first: 2,
        expected: 1,
    };
    for reason in [later(partition(1, 7)), out_of_order(7)] {
        let outputs = refuse(&mut played, reason);
        assert!(
            alarms(&outputs).is_empty() && !outputs.iter().any(|output| matches!(output, Output::Close(_)))
        );
    }
    let closed = refuse(&mut played, out_of_order(8));
    assert!(closed.iter().any(|output| matches!(output, Output::Close(Reason::Commit(_)))));
}

#[test]
fn the_next_connection_asks_again_from_where_it_stopped() {
    let mut played = Played::quiet();
    played.frame(&section(7, 1));
    refuse(&mut played, later(partition(1, 7)));
    played.step(Input::Disconnected { code: None });
    assert_eq!(played.bridge.stopped(), 0);
    played.greet(|_| {});
    played.resume();
    while !played.send().is_empty() {}
    assert_eq!(delivered(&played.frame(&section(7, 1))), [(2, 1)]);
}
