//! Bad input: whatever a peer sends that it should not, the bridge closes with a stable code, delivers nothing of it, and goes on
//! with the next connection.
//!
//! The tables are expectations (`UPDATE_EXPECT=1 cargo test -p replication --test bridge` rewrites them): code and text as operators see them.
//! Every refusal of the protocol has a row; bytes at random and sound frames with bytes changed stand for what nobody thought of.

use crate::played::{self, Played, hello};
use crate::store::{epoch_after, placement, replica, start};
use crate::world::{operation, partition, region};
use bytes::Bytes;
use expect_test::expect;
use prost::Message as _;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};
use replication::commit::CommitRefused;
use replication::epoch::{EpochHash, EpochStatement};
use replication::limits::COMMIT_BYTES_MAX;
use replication::placement::{Epoch, Placement};
use replication::{Delivery, Input, Output, StoreId, StoreStart, Timer, proto};

/// What the bridge said; nothing may have been delivered.
pub(crate) fn verdict(outputs: &[Output]) -> String {
    let delivered = outputs.iter().any(|output| {
        matches!(output, Output::Deliver(Delivery::Entries { .. } | Delivery::Registers { .. }))
    });
    assert!(!delivered, "something was delivered: {outputs:?}");
    let fenced = outputs.iter().any(|output| matches!(output, Output::Fenced(_)));
    let close = outputs.iter().find_map(|output| match output {
        Output::Close(reason) => Some(format!("{:>2} {reason}", reason.code())),
        _ => None,
    });
    let close = close.unwrap_or_else(|| "not closed".into());
    if fenced { format!("{close} (fenced)") } else { close }
}

#[test]
fn a_hello_is_refused_by_name() {
    let mut table = String::new();
    let mut case = |what: &str, shape: &dyn Fn(&mut proto::Hello)| {
        table += &format!("{what}: {}\n", verdict(&Played::greeted(shape).1));
    };
    case("as it should be", &|_| {});
    case("wrong cluster", &|hello| hello.cluster = "prod".into());
    case("unknown region", &|hello| hello.region = 9);
    case("impossible region", &|hello| hello.region = 1 << 20);
    case("region not the certificate's", &|hello| hello.region = 3);
    case("later versions alone", &|hello| (hello.version_min, hello.version_max) = (5, 6));
    case("unknown placement", &|hello| {
        let mut other = hello.placements[0].clone();
        other.placement = 77;
        hello.placements.push(other);
    });
    case("placement not shared", &|hello| {
        let mut other = hello.placements[0].clone();
        other.placement = 3;
        hello.placements.push(other);
    });
    case("placement missing", &|hello| hello.placements.clear());
    case("placement twice", &|hello| hello.placements.push(hello.placements[0].clone()));
    case("a later epoch, of which it has to tell", &|hello| hello.placements[0].epoch = 2);
    case("an earlier epoch, of whose successors nothing was kept", &|hello| hello.placements[0].epoch = 0);
    case("another statement of the same epoch", &|hello| {
        hello.placements[0].fingerprint = vec![0; 32].into();
    });
    case("unknown incarnation", &|hello| hello.placements[0].incarnation = 99);
    case("we were rolled back", &|hello| hello.placements[0].remembered_start = 5);
    case("another store of ours was seen", &|hello| {
        hello.placements[0].remembered_store = 77_u128.to_be_bytes().to_vec().into();
    });
    case("no store", &|hello| hello.placements[0].store = Bytes::new());
    case("half a store", &|hello| hello.placements[0].remembered_store = vec![0; 8].into());
    case("endless name", &|hello| hello.cluster = "x".repeat(1_000));
    expect![[r#"
        as it should be: not closed
        wrong cluster:  1 the peer belongs to cluster "prod", this region to "test": correct its cluster file
        unknown region:  2 the peer says it is region 9, this bridge is for r2: compare the cluster files
        impossible region:  2 the peer says it is region 1048576, this bridge is for r2: compare the cluster files
        region not the certificate's:  6 the peer's certificate is of region r2, not r3: give each region the certificate of its own name
        later versions alone:  7 the peer speaks bridge protocol 5-6, this region 1-4: upgrade the older one
        unknown placement:  3 placement p77 is shared with r2 by one side's cluster file and not by the other's: compare them
        placement not shared:  3 placement p3 is shared with r2 by one side's cluster file and not by the other's: compare them
        placement missing:  3 placement p1 is shared with r2 by one side's cluster file and not by the other's: compare them
        placement twice: 20 malformed frame (hello): if it comes again, run the same release in both regions
        a later epoch, of which it has to tell: not closed
        an earlier epoch, of whose successors nothing was kept:  4 placement p1: the peer stands in epoch 0, this region in 1, and nobody has the statements between, or they name different replicas: give both the same epoch files
        another statement of the same epoch:  4 placement p1: the peer stands in epoch 1, this region in 1, and nobody has the statements between, or they name different replicas: give both the same epoch files
        unknown incarnation:  5 placement p1: the epoch does not name replica r2.0000000000000063: that store needs a new epoch
        we were rolled back:  8 placement p1: r1.0000000000000011 is at start 4 but was seen at start 5: its store was rolled back and must return as a new incarnation (fenced)
        another store of ours was seen:  9 placement p1: the store of r1.0000000000000011 is not the one that was seen before: a store that was lost must return as a new incarnation (fenced)
        no store: 20 malformed frame (hello): if it comes again, run the same release in both regions
        half a store: 20 malformed frame (hello): if it comes again, run the same release in both regions
        endless name: 20 malformed frame (hello): if it comes again, run the same release in both regions
    "#]].assert_eq(&table);
}

#[test]
fn an_epoch_that_does_not_follow_is_refused_by_name() {
    let first = placement(1, &[1, 2, 3]);
    let second = epoch_after(&first, &[replica(1), replica(2)]);
    let after = first.follow(&second).unwrap();
    let mut table = String::new();
    let mut told = |what: &str, epochs: Vec<proto::EpochStatement>| {
        let (mut played, _) = Played::greeted(|hello| hello.placements[0].epoch = 9);
        let outputs = played.frame(&proto::Frame { epochs, ..Default::default() });
        let learnt = outputs.iter().any(|output| matches!(output, Output::Deliver(Delivery::Epochs { .. })));
        table += &format!("{what}: {}{}\n", verdict(&outputs), if learnt { ", delivered" } else { "" });
    };
    let sent = |statement: &EpochStatement| EpochStatement::decode(&statement.encode()).unwrap();
    let wire = |statement: &EpochStatement| proto::EpochStatement::decode(statement.encode()).unwrap();
    assert_eq!(sent(&second), second);
    told("the next", vec![wire(&second)]);
    told("the next two", vec![wire(&second), wire(&epoch_after(&after, &[replica(1)]))]);
    told("none", vec![]);
    told("one too far", vec![wire(&epoch_after(&after, &[replica(1)]))]);
    told(
        "ours again, said otherwise",
        vec![{
            let before = Placement { epoch: Epoch(0), statement: None, ..first.clone() };
            wire(&epoch_after(&before, &[replica(1)]))
        }],
    );
    told(
        "after another first one",
        vec![{
            let before = Placement { statement: Some(EpochHash([7; 32])), ..first.clone() };
            wire(&epoch_after(&before, &[replica(1)]))
        }],
    );
    told("a signature changed", vec![wire(&EpochStatement { signature: [7; 64], ..second.clone() })]);
    told("half a signature", vec![proto::EpochStatement { signature: vec![7; 32].into(), ..wire(&second) }]);
    told("of a placement that is not shared", vec![wire(&epoch_after(&placement(3, &[1]), &[replica(1)]))]);
    told("nobody active", vec![wire(&epoch_after(&first, &[]))]);
    told("a region from outside", vec![wire(&epoch_after(&first, &[replica(1), replica(9)]))]);
    let returned = epoch_after(&after, &[replica(1), replica(3)]);
    told("a closed replica again", vec![wire(&second), wire(&returned)]);
    let frame = proto::Frame { epochs: vec![wire(&second)], ..Default::default() };
    table += &format!("in an open bridge: {}\n", verdict(&Played::open().frame(&frame)));
    expect![[r#"
        the next: not closed, delivered
        the next two: not closed, delivered
        none: 22 a frame holds fields that are unknown in the agreed version: if it comes again, run the same release in both regions
        one too far: 10 epoch 2 of p1 is missing: get its file from an operator
        ours again, said otherwise: 10 epoch 1 of p1 is a fork: ba43fbe3179cb901aa7d13a27a3fae960c760cedd10f64c237b05e93e0351511 stands where 5f537cd96c3a1c1402f62dd8fbd7138d2399207ebaa3dd753b9d993018c0fae0 was expected; ask the operators which one holds
        after another first one: 10 epoch 2 of p1 is a fork: 0707070707070707070707070707070707070707070707070707070707070707 stands where 5f537cd96c3a1c1402f62dd8fbd7138d2399207ebaa3dd753b9d993018c0fae0 was expected; ask the operators which one holds
        a signature changed: 10 epoch 2 of p1 is not signed with the placement's key: get it again from an operator
        half a signature: 10 not the statement of an epoch: get it again from an operator
        of a placement that is not shared:  3 placement p3 is shared with r2 by one side's cluster file and not by the other's: compare them
        nobody active: 10 epoch 2 of p1 leaves no replica active: get it again from an operator
        a region from outside: 10 epoch 2 of p1 names r9, which the cluster file does not put into the placement: correct that file, or get the epoch again from an operator
        a closed replica again: 10 epoch 3 of p1 admits r3.0000000000000033 again, which an earlier one closed: a store returns as a new incarnation
        in an open bridge: 23 an epoch after both agreed came out of turn: if it comes again, run the same release in both regions
    "#]].assert_eq(&table);
}

#[test]
fn a_peer_that_was_rolled_back_or_made_anew_is_refused() {
    let another = StoreStart { id: StoreId(77), number: 1 };
    for (seen, code) in [(start(2, 6), " 8 "), (another, " 9 ")] {
        let mut played = Played::new();
        played.store.starts.insert(replica(2), seen);
        played.step(Input::Connected { certified: region(2) });
        let outputs = played.frame(&proto::Frame { hello: Some(hello()), ..Default::default() });
        assert!(verdict(&outputs).starts_with(code), "{outputs:?}");
    }
}

#[test]
fn a_certificate_of_another_region_is_refused() {
    let outputs = Played::new().step(Input::Connected { certified: region(3) });
    assert!(verdict(&outputs).starts_with(" 6 "), "{outputs:?}");
}

fn resume(shape: impl FnOnce(&mut proto::PartitionResume)) -> proto::Frame {
    let mut theirs = proto::PartitionResume { partition: 7, ..Default::default() };
    shape(&mut theirs);
    let resume = proto::Resume { partitions: vec![theirs], last: true };
    proto::Frame { resume: Some(resume), ..Default::default() }
}

#[test]
fn a_resume_that_knows_more_than_we_do_fences_us() {
    let mut table = String::new();
    let mut case = |what: &str, frame: proto::Frame| {
        let (mut played, _) = Played::greeted(|_| {});
        table += &format!("{what}: {}\n", verdict(&played.frame(&frame)));
    };
    case("a cursor at the end", resume(|theirs| theirs.log = 2));
    case("a cursor beyond the log", resume(|theirs| theirs.log = 3));
    case("a cursor beyond the feed", resume(|theirs| theirs.feed = 1));
    case("more of ours than we have", resume(|theirs| theirs.sequence = 3));
    case("an acknowledgement of ours for more than we have", resume(|theirs| theirs.acknowledged = 3));
    case("another history of ours", resume(|theirs| (theirs.sequence, theirs.head) = (2, 1)));
    case("a history of ours whose commits end elsewhere", resume(|theirs| theirs.sequence = 1));
    case("a partition without a part", resume(|theirs| theirs.partition = 1_024));
    expect![[r#"
        a cursor at the end: not closed
        a cursor beyond the log: 42 r2 has read the log of p1/7 up to 3, which ends at 2: this store lost data and must return as a new incarnation (fenced)
        a cursor beyond the feed: 42 r2 has read the feed of p1/7 up to 1, which ends at 0: this store lost data and must return as a new incarnation (fenced)
        more of ours than we have: 41 r2 has operation 3 of r1.0000000000000011 in p1/7, whose own store ends at 2: that store lost data and must return as a new incarnation (fenced)
        an acknowledgement of ours for more than we have: 41 r2 has operation 3 of r1.0000000000000011 in p1/7, whose own store ends at 2: that store lost data and must return as a new incarnation (fenced)
        another history of ours: 40 r1.0000000000000011 has another history in p1/7 at sequence 2 on the other side: close that replica by a new epoch, and keep both disks (fenced)
        a history of ours whose commits end elsewhere: 40 r1.0000000000000011 has another history in p1/7 at sequence 1 on the other side: close that replica by a new epoch, and keep both disks (fenced)
        a partition without a part: 25 r2 speaks of partition 1024 of the bridge, which is of no placement that both regions have a part in, and nothing of it is taken: compare the cluster files
    "#]].assert_eq(&table);
}

fn step(first: u64, texts: &[&str]) -> proto::Step {
    played::step(first, &texts.iter().map(|text| operation(text)).collect::<Vec<_>>())
}

pub(crate) fn section(shape: impl FnOnce(&mut proto::Section)) -> proto::Frame {
    let mut section = proto::Section { partition: 7, from: 0, end: 1, steps: vec![step(1, &["one"])] };
    shape(&mut section);
    proto::Frame { sections: vec![section], ..Default::default() }
}

fn references(bytes: &'static [u8]) -> proto::Frame {
    section(|section| {
        section.steps = vec![proto::Step { references: Bytes::from_static(bytes), ..Default::default() }];
    })
}

#[test]
fn entries_that_should_not_come_are_refused_by_name() {
    let mut table = String::new();
    let mut case = |what: &str, frame: proto::Frame| {
        table += &format!("{what}: {}\n", verdict(&Played::open().frame(&frame)));
    };
    case("out of order", section(|section| section.steps = vec![step(2, &["two"])]));
    case(
        "a gap within a section",
        section(|section| {
            section.steps = vec![step(1, &["one"]), step(3, &["three"])];
            section.end = 2;
        }),
    );
    case("another end", section(|section| section.end = 2));
    case("a rewind nobody asked for", section(|section| section.from = 1));
    case("no entries", section(|section| section.steps.clear()));
    case("a partition the peer has no part in", section(|section| section.partition = 1_024 + 7));
    case("a partition far out", section(|section| section.partition = u32::MAX));
    case("a commit without its signature", section(|section| section.steps[0].signature = Bytes::new()));
    case("half a signature", section(|section| section.steps[0].signature.truncate(32)));
    case(
        "a signature alone",
        section(|section| {
            (section.steps[0].shapes, section.steps[0].data) = (Bytes::new(), Bytes::new());
        }),
    );
    case("a commit cut within an operation", section(|section| section.steps[0].data.truncate(20)));
    case(
        "more data than shapes",
        section(|section| {
            section.steps[0].data = [&section.steps[0].data[..], b"x"].concat().into();
        }),
    );
    case(
        "a commit larger than any may be",
        section(|section| {
            let mut shapes = Vec::new();
            for _ in 0..2 {
                shapes.push(2);
                prost::encoding::encode_varint(COMMIT_BYTES_MAX as u64 / 2 + 1, &mut shapes);
                shapes.push(0);
            }
            let data = vec![7; 2 * (1 + COMMIT_BYTES_MAX / 2)];
            (section.steps[0].shapes, section.steps[0].data) = (shapes.into(), data.into());
        }),
    );
    case("an unknown origin", section(|section| section.steps[0].origin = 9));
    case("our own operation", section(|section| section.steps[0].origin = 1));
    case("sequence zero", section(|section| section.steps[0].first = 0));
    case("the last sequence", section(|section| section.steps[0].first = u64::MAX));
    case(
        "told by an envelope that is not remembered",
        section(|section| {
            section.steps[0].shapes = vec![12, 1, 1, 5, 1].into();
        }),
    );
    case(
        "a digest without a payload",
        section(|section| {
            (section.steps[0].shapes, section.steps[0].data) = (vec![3, 0, 0].into(), vec![1].into());
        }),
    );
    case("an empty step", references(b""));
    case("a reference to nothing known", references(&[2 * 3 * 2]));
    case("a reference cut in its head", references(&[4, 0, (3 + 2) * 2 + 1, 1, 2]));
    case("endless references", references(&[4, 0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1]));
    case("references that overflow", references(&[4, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1, 10]));
    case("a reference to ours that we lack", {
        let mut frame = references(&[0, 0, 3 * 3 * 2]);
        frame.sections[0].end = 3;
        frame
    });
    expect![[r#"
        out of order: 24 entries of p1/7 out of order: if it comes again, run the same release in both regions
        a gap within a section: 24 entries of p1/7 out of order: if it comes again, run the same release in both regions
        another end: 24 entries of p1/7 out of order: if it comes again, run the same release in both regions
        a rewind nobody asked for: 24 entries of p1/7 out of order: if it comes again, run the same release in both regions
        no entries: 20 malformed frame (empty section): if it comes again, run the same release in both regions
        a partition the peer has no part in: 25 r2 speaks of partition 1031 of the bridge, which is of no placement that both regions have a part in, and nothing of it is taken: compare the cluster files
        a partition far out: 25 r2 speaks of partition 4294967295 of the bridge, which is of no placement that both regions have a part in, and nothing of it is taken: compare the cluster files
        a commit without its signature: 26 a commit of r2.0000000000000022 in p1/7 is cut short: if it comes again, run the same release in both regions
        half a signature: 26 a commit of r2.0000000000000022 in p1/7 is cut short: if it comes again, run the same release in both regions
        a signature alone: 26 a commit of r2.0000000000000022 in p1/7 is cut short: if it comes again, run the same release in both regions
        a commit cut within an operation: 20 malformed frame (operations): if it comes again, run the same release in both regions
        more data than shapes: 20 malformed frame (operations): if it comes again, run the same release in both regions
        a commit larger than any may be: 20 malformed frame (operations): if it comes again, run the same release in both regions
        an unknown origin: 20 malformed frame (origin): if it comes again, run the same release in both regions
        our own operation: 20 malformed frame (origin): if it comes again, run the same release in both regions
        sequence zero: 20 malformed frame (first): if it comes again, run the same release in both regions
        the last sequence: 20 malformed frame (first): if it comes again, run the same release in both regions
        told by an envelope that is not remembered: 20 malformed frame (operations): if it comes again, run the same release in both regions
        a digest without a payload: 20 malformed frame (operations): if it comes again, run the same release in both regions
        an empty step: 20 malformed frame (empty step): if it comes again, run the same release in both regions
        a reference to nothing known: 20 malformed frame (references): if it comes again, run the same release in both regions
        a reference cut in its head: 20 malformed frame (references): if it comes again, run the same release in both regions
        endless references: 20 malformed frame (references): if it comes again, run the same release in both regions
        references that overflow: 20 malformed frame (references): if it comes again, run the same release in both regions
        a reference to ours that we lack: 41 r2 has operation 3 of r1.0000000000000011 in p1/7, whose own store ends at 2: that store lost data and must return as a new incarnation (fenced)
    "#]].assert_eq(&table);
}

#[test]
fn that_all_was_sent_is_said_from_version_2_on_once_and_in_order() {
    let open = |version| {
        let (mut played, _) = Played::greeted(|hello| hello.version_max = version);
        played.resume();
        played
    };
    let said = |placement, partitions: &[u32], ends: &[u64]| proto::Frame {
        caught_up: vec![proto::CaughtUp { placement, partitions: partitions.into(), ends: ends.into() }],
        ..Default::default()
    };
    // Version 1 has no word for it; from then on it goes with the last of what it is about.
    let sent = |version| {
        let mut played = open(version);
        let frames = std::iter::from_fn(|| played.send().pop());
        frames.map(|frame| (frame.sections.len(), frame.caught_up)).collect::<Vec<_>>()
    };
    assert_eq!(sent(1), [(0, vec![]), (0, vec![]), (1, vec![])]);
    assert_eq!(sent(2), [(0, vec![]), (0, vec![]), (1, said(0, &[7], &[2]).caught_up)]);
    let mut table = String::new();
    let mut case = |what: &str, version, frames: &[proto::Frame]| {
        let mut played = open(version);
        let outputs = frames.iter().flat_map(|frame| played.frame(frame));
        let (delivered, others): (Vec<Output>, Vec<Output>) =
            outputs.partition(|output| matches!(output, Output::Deliver(_)));
        let told = |output: &Output| matches!(output, Output::Deliver(Delivery::PeerCaughtUp { .. }));
        let told = if delivered.iter().any(told) { ", told" } else { "" };
        table += &format!("{what}: {}{told}\n", verdict(&others));
    };
    case("of a peer that held nothing", 2, &[said(0, &[], &[])]);
    case("in version 1", 1, &[said(0, &[], &[])]);
    case("a second time", 2, &[said(0, &[], &[]), said(0, &[], &[])]);
    case("of an unknown placement", 2, &[said(1, &[], &[])]);
    case("of a partition of another placement", 2, &[said(0, &[1_024 + 7], &[1])]);
    case("without where it ends", 2, &[said(0, &[7], &[])]);
    case("before what it is about", 2, &[said(0, &[7], &[1])]);
    case("behind what it is about", 2, &[section(|_| {}), said(0, &[7], &[1])]);
    case("and then what it is about", 2, &[said(0, &[7], &[1]), section(|_| {})]);
    expect![[r#"
        of a peer that held nothing: not closed, told
        in version 1: 23 a word that version 1 does not have came out of turn: if it comes again, run the same release in both regions
        a second time: 23 a second word that all was sent came out of turn: if it comes again, run the same release in both regions, told
        of an unknown placement: 20 malformed frame (placement): if it comes again, run the same release in both regions
        of a partition of another placement: 25 r2 speaks of partition 1031 of the bridge, which is of no placement that both regions have a part in, and nothing of it is taken: compare the cluster files
        without where it ends: 20 malformed frame (ends): if it comes again, run the same release in both regions
        before what it is about: not closed
        behind what it is about: not closed, told
        and then what it is about: not closed, told
    "#]].assert_eq(&table);
}

#[test]
fn states_are_stated_from_version_3_on_and_malformed_ones_refused_by_name() {
    let open = |version| {
        let (mut played, _) = Played::greeted(|hello| hello.version_max = version);
        played.resume();
        while played.send().pop().is_some() {}
        played
    };
    let states = |version| {
        let said = open(version).step(Input::Timer(Timer::Probe));
        played::frames(&said).iter().map(|frame| frame.states.len()).sum::<usize>()
    };
    assert_eq!((states(2), states(3)), (0, 1));
    let mut table = String::new();
    let mut case = |what: &str, version, partition, digest: &[u8]| {
        let state = proto::State { partition, applied: 1, digest: Bytes::copy_from_slice(digest) };
        let frame = proto::Frame { states: vec![state], ..Default::default() };
        table += &format!("{what}: {}\n", verdict(&open(version).frame(&frame)));
    };
    case("of another vector", 3, 7, &[1; 16]);
    case("of what we have nothing of", 3, 9, &[1; 16]);
    case("in version 2", 2, 7, &[1; 16]);
    case("of another placement", 3, 1_024 + 7, &[1; 16]);
    case("a short digest", 3, 7, &[1; 15]);
    case("without a digest", 3, 7, &[]);
    expect![[r#"
        of another vector: not closed
        of what we have nothing of: not closed
        in version 2: 23 a word that version 2 does not have came out of turn: if it comes again, run the same release in both regions
        of another placement: 25 r2 speaks of partition 1031 of the bridge, which is of no placement that both regions have a part in, and nothing of it is taken: compare the cluster files
        a short digest: 20 malformed frame (digest): if it comes again, run the same release in both regions
        without a digest: 20 malformed frame (digest): if it comes again, run the same release in both regions
    "#]].assert_eq(&table);
}

#[test]
fn frames_that_are_none_are_refused_by_name() {
    let mut table = String::new();
    let mut case = |what: &str, bytes: Vec<u8>| {
        table += &format!("{what}: {}\n", verdict(&Played::open().step(Input::Frame(bytes.into()))));
    };
    case("empty", Vec::new());
    case("noise", vec![0xff; 40]);
    case("too long", vec![0; 3 * 1024 * 1024]);
    case("cut short", section(|_| {}).encode_to_vec()[..60].to_vec());
    case("an unknown field", [&section(|_| {}).encode_to_vec()[..], &[0xf8, 0x07, 0x01]].concat());
    case("an unknown field alone", vec![0xf8, 0x07, 0x01]);
    let mut case = |what: &str, frame: proto::Frame| {
        table += &format!("{what}: {}\n", verdict(&Played::open().frame(&frame)));
    };
    case("a second hello", proto::Frame { hello: Some(hello()), ..Default::default() });
    case("a second resume", resume(|_| {}));
    let feed = |through, keys: Vec<Bytes>, values: Vec<Bytes>| proto::Frame {
        feeds: vec![proto::Feed { partition: 7, through, keys, values }],
        ..Default::default()
    };
    case("an empty feed", feed(1, vec![], vec![]));
    case("a feed without values", feed(1, vec![vec![1].into()], vec![]));
    case("a feed that does not move", feed(0, vec![vec![1].into()], vec![Bytes::new()]));
    case("an endless key", feed(1, vec![vec![1; 300].into()], vec![Bytes::new()]));
    case("a register without a key", feed(1, vec![Bytes::new()], vec![Bytes::new()]));
    let fetch = |origin, first, last| proto::Frame {
        fetches: vec![proto::Fetch { partition: 7, origin, first, last }],
        ..Default::default()
    };
    case("a fetch from an unknown origin", fetch(9, 1, 1));
    case("a fetch backwards", fetch(0, 3, 2));
    case("a fetch from zero", fetch(0, 0, 2));
    let many = proto::Frame {
        fetches: vec![proto::Fetch { partition: 7, origin: 0, first: 1, last: 1 }; 20_000],
        ..Default::default()
    };
    case("more fetches than fit", many);
    let rewind =
        |partition, to| proto::Frame { rewinds: vec![proto::Rewind { partition, to }], ..Default::default() };
    case("a rewind forward", rewind(7, 4));
    case("a rewind of what was not sent", rewind(9, 1));
    let inline = |placement, origin| proto::Frame {
        inlines: vec![proto::Inline { placement, origin, on: true }],
        ..Default::default()
    };
    case("inline of an unknown placement", inline(5, 2));
    case("inline of ourselves", inline(0, 0));
    let probe_answer = Some(proto::ProbeAnswer { sent_us: 1, clock_us: 1 });
    case("an answer to no probe", proto::Frame { probe_answer, ..Default::default() });
    expect![[r#"
        empty: 22 a frame holds fields that are unknown in the agreed version: if it comes again, run the same release in both regions
        noise: 20 malformed frame (not a frame): if it comes again, run the same release in both regions
        too long: 21 a frame of 3145728 bytes is above the limit of 2097152: if it comes again, run the same release in both regions
        cut short: 20 malformed frame (not a frame): if it comes again, run the same release in both regions
        an unknown field: 22 a frame holds fields that are unknown in the agreed version: if it comes again, run the same release in both regions
        an unknown field alone: 22 a frame holds fields that are unknown in the agreed version: if it comes again, run the same release in both regions
        a second hello: 23 a second Hello came out of turn: if it comes again, run the same release in both regions
        a second resume: 23 a Resume after the last came out of turn: if it comes again, run the same release in both regions
        an empty feed: 20 malformed frame (feed): if it comes again, run the same release in both regions
        a feed without values: 20 malformed frame (feed): if it comes again, run the same release in both regions
        a feed that does not move: 24 entries of p1/7 out of order: if it comes again, run the same release in both regions
        an endless key: 20 malformed frame (register): if it comes again, run the same release in both regions
        a register without a key: 20 malformed frame (register): if it comes again, run the same release in both regions
        a fetch from an unknown origin: 20 malformed frame (origin): if it comes again, run the same release in both regions
        a fetch backwards: 20 malformed frame (fetch): if it comes again, run the same release in both regions
        a fetch from zero: 20 malformed frame (fetch): if it comes again, run the same release in both regions
        more fetches than fit: 28 more than 16384 fetches are waiting, since the peer asks without taking answers: if it comes again, run the same release in both regions
        a rewind forward: 23 a Rewind forward came out of turn: if it comes again, run the same release in both regions
        a rewind of what was not sent: 23 a Rewind of what was not sent came out of turn: if it comes again, run the same release in both regions
        inline of an unknown placement: 20 malformed frame (placement): if it comes again, run the same release in both regions
        inline of ourselves: 20 malformed frame (origin): if it comes again, run the same release in both regions
        an answer to no probe: 23 an answer to a probe that was not sent came out of turn: if it comes again, run the same release in both regions
    "#]]
    .assert_eq(&table);
}

#[test]
fn frames_before_their_turn_are_refused() {
    let mut played = Played::new();
    played.step(Input::Connected { certified: region(2) });
    assert!(verdict(&played.frame(&section(|_| {}))).starts_with("23 a frame before Hello"));
    let (mut played, _) = Played::greeted(|_| {});
    assert!(verdict(&played.frame(&section(|_| {}))).starts_with("23 a frame before Resume"));
}

#[test]
fn a_fetch_of_what_is_not_here_is_refused() {
    let mut played = Played::open();
    let fetch = proto::Fetch { partition: 7, origin: 2, first: 1, last: 4 };
    played.frame(&proto::Frame { fetches: vec![fetch], ..Default::default() });
    let mut outputs = Vec::new();
    for _ in 0..3 {
        outputs.extend(played.step(Input::PipeReady));
    }
    assert!(verdict(&outputs).starts_with("29 "), "{outputs:?}");
}

/// History 13. A commit is whole or it is refused: half of one could never be verified further on.
#[test]
fn frame_ends_inside_a_commit_is_refused() {
    let whole = step(1, &["one", "two"]);
    let half = proto::Step {
        shapes: whole.shapes.slice(..3),
        data: whole.data.slice(..whole.data.len() / 2),
        ..whole
    };
    let mut played = Played::open();
    // The structure of half a commit is sound; its signature is not, and that is the shard's to see.
    let outputs = played.frame(&section(|section| section.steps = vec![half]));
    let Some(Output::Deliver(Delivery::Entries { commits, .. })) =
        outputs.iter().find(|output| matches!(output, Output::Deliver(Delivery::Entries { .. })))
    else {
        panic!("{outputs:?}")
    };
    let reason = played.store.apply(replica(2), partition(1, 7), commits.clone(), None).unwrap_err();
    assert!(matches!(reason, CommitRefused::Signature { .. }));
    let outputs = played.step(Input::Refused { reason });
    assert!(verdict(&outputs).starts_with("27 "), "{outputs:?}");
}

#[test]
fn a_bridge_goes_on_after_a_refusal() {
    let mut played = Played::open();
    played.step(Input::Frame(Bytes::new()));
    let ignored = played.frame(&section(|_| {}));
    assert!(ignored.is_empty(), "a closed connection still delivered: {ignored:?}");
    played.step(Input::Connected { certified: region(2) });
    let outputs = played.frame(&proto::Frame { hello: Some(hello()), ..Default::default() });
    assert_eq!(verdict(&outputs), "not closed");
}

/// A fetched commit that goes on beyond the reference it was fetched for would be applied before what lies between.
#[test]
fn a_fetched_commit_that_does_not_end_where_the_reference_does_is_refused() {
    let mut played = Played::open();
    played.step(Input::PipeReady);
    let outputs = played.frame(&references(&[4, 0, (3 + 2) * 2]));
    assert_eq!(verdict(&outputs), "not closed");
    let commit = proto::Step { origin: 3, ..step(1, &["one", "two"]) };
    let answer = proto::Fetched { partition: 7, commits: vec![commit] };
    let outputs = played.frame(&proto::Frame { fetched: vec![answer], ..Default::default() });
    assert!(verdict(&outputs).starts_with("26 "), "{outputs:?}");
}

#[test]
fn nothing_of_a_connection_outlives_it() {
    let mut played = Played::open();
    let blocked = |played: &mut Played| {
        let mut frame = references(&[4, 0, (3 + 2) * 2]);
        frame.sections[0].partition = 8;
        verdict(&played.frame(&frame))
    };
    assert_eq!(blocked(&mut played), "not closed");
    played.step(Input::Disconnected { code: None });
    played.step(Input::Connected { certified: region(2) });
    played.frame(&proto::Frame { hello: Some(hello()), ..Default::default() });
    let resume = proto::Resume { partitions: Vec::new(), last: true };
    played.frame(&proto::Frame { resume: Some(resume), ..Default::default() });
    assert_eq!(blocked(&mut played), "not closed", "the first section of a stream was taken for a later one");
    assert_eq!(played.bridge.to_string().matches("in 0/1").count(), 1, "{}", played.bridge);
}

/// Random bytes, and sound frames with bytes changed: never a panic.
#[test]
fn no_bytes_make_it_panic() {
    let mut random = ChaCha8Rng::seed_from_u64(11);
    let sound = [
        section(|section| section.steps.push(step(2, &["two", "three"]))),
        references(&[4, 0, (3 + 2) * 2 + 1, 1, 2, 3, 4]),
        resume(|theirs| (theirs.log, theirs.sequence) = (1, 1)),
        proto::Frame { hello: Some(hello()), ..Default::default() },
    ];
    for round in 0..2_000 {
        let mut bytes = sound[round % sound.len()].encode_to_vec();
        for _ in 0..1 + random.next_u32() % 3 {
            let at = random.next_u32() as usize % bytes.len();
            bytes[at] = random.next_u32() as u8;
        }
        let mut played = if round % 4 < 2 { Played::open() } else { Played::greeted(|_| {}).0 };
        played.step(Input::Frame(bytes.into()));
        played.step(Input::PipeReady);
    }
}
