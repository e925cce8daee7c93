//! What goes into the next frame, and what waits for another.
//!
//! What must always hold: a frame is filled as far as it may be and no further; whoever has something to send gets a share of it; what became durable at any moment
//! after the peer was accepted is sent.

use crate::played::{Played, frames, of_bytes};
use crate::store::{key, replica};
use crate::world::partition;
use bytes::Bytes;
use crdt::{ChainHead, Sequence};
use replication::commit::Commit;
use replication::limits::FRAME_BYTES_TARGET;
use replication::signature::Ed25519;
use replication::{Input, Timer, proto};

/// What a commit of one operation weighs beside it.
const BESIDE: usize = 104;

fn partitions(frame: &proto::Frame) -> Vec<u32> {
    frame.sections.iter().map(|section| section.partition).collect()
}

#[test]
fn a_commit_that_just_fits_goes_with_the_one_before_it() {
    for (too_much, ends) in [(0, vec![2]), (1, vec![1, 2])] {
        let mut played = Played::quiet();
        let first = 10_000;
        played.issue(9, vec![of_bytes(first)]);
        played.issue(9, vec![of_bytes(FRAME_BYTES_TARGET - first - 2 * BESIDE + too_much)]);
        let mut sent = frames(&played.advance(9));
        sent.extend(played.send());
        let sections = sent.iter().flat_map(|frame| &frame.sections);
        assert_eq!(sections.map(|section| section.end).collect::<Vec<_>>(), ends, "{too_much} too much");
    }
}

#[test]
fn two_backlogs_share_a_frame_and_a_third_has_what_is_left() {
    let mut played = Played::new();
    for bucket in 10..16 {
        for _ in 0..40 {
            played.issue(bucket, vec![of_bytes(2_000)]);
        }
    }
    played.greet(|_| {});
    played.resume();
    let backlog = std::iter::repeat_with(|| played.send()).take(8).flatten();
    let shares: Vec<_> = backlog.map(|frame| partitions(&frame)).filter(|named| named.len() > 1).collect();
    // Partition 7 has a few bytes, and is served first.
    assert_eq!(shares[0].len(), 4, "{shares:?}");
    assert_eq!(shares[1].len(), 3, "{shares:?}");
}

#[test]
fn what_becomes_durable_while_the_peer_tells_where_it_stands_is_sent() {
    let (mut played, _) = Played::greeted(|_| {});
    played.issue(9, vec![of_bytes(100)]);
    played.advance(9);
    let mut sent = frames(&played.resume());
    while let Some(frame) = played.send().pop() {
        sent.push(frame);
    }
    assert!(sent.iter().any(|frame| partitions(frame).contains(&9)), "{sent:?}");
}

/// Puts a commit of region 3 into the store, as its own bridge would.
fn third(played: &mut Played, bucket: u16) {
    let (id, origin) = (partition(1, bucket), replica(3));
    let before = ChainHead::genesis(id, origin);
    let commit = Commit::sign(id, origin, Sequence(1), vec![of_bytes(100)], before, (&Ed25519, &key(origin)));
    played.store.apply(origin, id, vec![commit], None).unwrap();
}

fn register(played: &mut Played, bucket: u16) {
    let log = played.store.partitions.entry(partition(1, bucket)).or_default();
    log.set(Bytes::from_static(b"key"), Bytes::from_static(b"value"), None, None);
}

#[test]
fn registers_go_when_they_are_due_though_references_wait_on() {
    let mut played = Played::quiet();
    third(&mut played, 8);
    assert!(frames(&played.advance(8)).is_empty(), "a reference waits for company");
    register(&mut played, 8);
    played.advance(8);
    played.now = played.now.plus_ms(250);
    let sent = frames(&played.step(Input::Timer(Timer::Registers)));
    assert_eq!(
        sent.iter().map(|frame| (frame.feeds.len(), frame.sections.len())).collect::<Vec<_>>(),
        [(1, 0)]
    );
    played.now = played.now.plus_ms(250);
    played.step(Input::PipeReady);
    let sent = frames(&played.step(Input::Timer(Timer::References)));
    assert_eq!(sent.iter().map(partitions).collect::<Vec<_>>(), [[8]]);
}

#[test]
fn registers_wait_for_company_though_entries_go() {
    let mut played = Played::quiet();
    register(&mut played, 9);
    played.issue(9, vec![of_bytes(100)]);
    let mut sent = frames(&played.advance(9));
    sent.extend(played.send());
    played.now = played.now.plus_ms(250);
    sent.extend(frames(&played.step(Input::Timer(Timer::Registers))));
    let sent: Vec<_> = sent.iter().map(|frame| (frame.sections.len(), frame.feeds.len())).collect();
    assert_eq!(sent, [(1, 0), (0, 1)]);
}

#[test]
fn a_frame_that_is_full_takes_no_registers() {
    let mut played = Played::quiet();
    // The pipe is busy with this one.
    played.issue(10, vec![of_bytes(100)]);
    assert_eq!(frames(&played.advance(10)).len(), 1);
    register(&mut played, 9);
    played.advance(9);
    played.issue(9, vec![of_bytes(FRAME_BYTES_TARGET)]);
    played.advance(9);
    played.now = played.now.plus_ms(250);
    played.step(Input::Timer(Timer::Registers));
    let sent = [played.send(), played.send()].concat();
    let sent: Vec<_> = sent.iter().map(|frame| (frame.sections.len(), frame.feeds.len())).collect();
    assert_eq!(sent, [(1, 0), (0, 1)]);
}

#[test]
fn registers_made_here_do_not_wait_for_what_passes_through() {
    let due_ms = |own_last: bool| {
        let mut played = Played::quiet();
        let from = |own: bool| (!own).then(|| replica(3));
        let mut due = Vec::new();
        for (name, own) in [("one", !own_last), ("other", own_last)] {
            let log = played.store.partitions.entry(partition(1, 9)).or_default();
            log.set(Bytes::from(name), Bytes::from_static(b"value"), from(own), from(own));
            due.extend(played.advance(9).into_iter().filter_map(|output| match output {
                replication::Output::SetTimer { timer: Timer::Registers, at } => {
                    Some((at.0 - played.now.0) / 1_000)
                }
                _ => None,
            }));
        }
        due
    };
    assert_eq!(due_ms(true), [500, 250], "what was made here sets the timer anew");
    assert_eq!(due_ms(false), [250], "what passes through goes with it");
}

#[test]
fn what_devices_wait_for_waits_for_no_company() {
    let mut played = Played::where_devices_wait();
    played.greet(|_| {});
    played.resume();
    played.say_all();
    register(&mut played, 9);
    let (now, outputs) = (played.now, played.advance(9));
    let is_due = |output: &replication::Output| matches!(output, replication::Output::SetTimer { timer: Timer::Registers, at } if *at == now);
    assert!(outputs.iter().any(is_due), "{outputs:?}");
    let sent = frames(&played.step(Input::Timer(Timer::Registers)));
    assert_eq!(sent.iter().map(|frame| frame.feeds.len()).collect::<Vec<_>>(), [1]);
}
