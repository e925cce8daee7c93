//! Bases: who covers one goes on behind it, who does not is sent everything, and nobody goes on where nobody may.
//!
//! The frames are the test's own (`played`); between regions bases are in the scenarios and in the random model. What must always hold: only what is durable covers; a base comes before entries and once;
//! a Rewind goes forward to no place but the base that was told.

use crate::bad_input::{section, verdict};
use crate::played::{self, Played};
use crate::store::{key, replica};
use crate::world::{operation, partition};
use crdt::{ChainHead, Dot, Sequence};
use expect_test::expect;
use replication::commit::{Commit, CommitRefused};
use replication::limits::BASES_MAX;
use replication::log::Position;
use replication::signature::Ed25519;
use replication::{Delivery, Input, Output, proto};

/// Connected again, greeted under that version and resumed.
fn meet(played: &mut Played, version: u32) {
    played.step(Input::Disconnected { code: None });
    played.greet(|hello| hello.version_max = version);
    played.resume();
}

/// A base of region 2's log of partition 7: the two operations that region 1 has issued there.
fn base_of_ours(played: &Played, shape: impl FnOnce(&mut proto::Base)) -> proto::Frame {
    let head = played.store.log(partition(1, 7)).head(partition(1, 7), replica(1), Sequence(2)).unwrap();
    let chain = proto::BaseChain { origin: 0, sequence: 2, head: head.check() };
    let mut base = proto::Base { partition: 7, position: 2, chains: vec![chain] };
    shape(&mut base);
    proto::Frame { bases: vec![base], ..Default::default() }
}

#[test]
fn bases_are_told_from_version_4_on_and_malformed_ones_refused_by_name() {
    let open = |version| {
        let mut played = Played::new();
        played.store.lay_base(partition(1, 7));
        meet(&mut played, version);
        played
    };
    let told = |version| {
        let mut played = open(version);
        std::iter::from_fn(|| played.send().pop()).map(|frame| frame.bases.len()).sum::<usize>()
    };
    assert_eq!((told(3), told(4)), (0, 1));
    let mut table = String::new();
    let mut case = |what: &str, version, shape: &dyn Fn(&mut proto::Frame)| {
        let mut played = open(version);
        let mut frame = base_of_ours(&played, |_| {});
        shape(&mut frame);
        let outputs = played.frame(&frame);
        let (cursors, others): (Vec<Output>, Vec<Output>) = outputs.into_iter().partition(|output| {
            matches!(output, Output::Deliver(Delivery::Entries { commits, .. }) if commits.is_empty())
        });
        let taken = if cursors.is_empty() { "" } else { ", gone on at" };
        assert_eq!(cursors.len() as u64, played.bridge.bases_covered());
        table += &format!("{what}: {}{taken}\n", verdict(&others));
    };
    let first = |frame: &mut proto::Frame, shape: &dyn Fn(&mut proto::Base)| shape(&mut frame.bases[0]);
    case("as it should be", 4, &|_| {});
    case("in version 3", 3, &|_| {});
    case("a second time", 4, &|frame| frame.bases.push(frame.bases[0].clone()));
    case("of another placement", 4, &|frame| first(frame, &|base| base.partition = 1_024 + 7));
    case("of no operations", 4, &|frame| {
        first(frame, &|base| (base.position, base.chains) = (0, Vec::new()));
    });
    case("at another position than its chains come to", 4, &|frame| {
        first(frame, &|base| base.position = 3);
    });
    case("with a chain without operations", 4, &|frame| {
        first(frame, &|base| base.chains.push(proto::BaseChain { origin: 1, ..Default::default() }));
    });
    case("with a chain twice", 4, &|frame| {
        first(frame, &|base| (base.position, base.chains) = (4, vec![base.chains[0]; 2]));
    });
    case("with chains that come to too much", 4, &|frame| {
        first(frame, &|base| {
            base.chains.push(proto::BaseChain { origin: 1, sequence: u64::MAX, head: 1 });
        });
    });
    case("with an unknown origin", 4, &|frame| first(frame, &|base| base.chains[0].origin = 3));
    case("with what is not here", 4, &|frame| {
        first(frame, &|base| {
            base.position = 3;
            base.chains.push(proto::BaseChain { origin: 2, sequence: 1, head: 1 });
        });
    });
    case("with more of ours than we have", 4, &|frame| {
        first(frame, &|base| (base.position, base.chains[0].sequence) = (3, 3));
    });
    case("with another head of ours", 4, &|frame| first(frame, &|base| base.chains[0].head ^= 1));
    case("with a head that cannot be told", 4, &|frame| {
        first(frame, &|base| (base.position, base.chains[0].sequence) = (1, 1));
    });
    expect![[r#"
        as it should be: not closed, gone on at
        in version 3: 23 a word that version 3 does not have came out of turn: if it comes again, run the same release in both regions
        a second time: 23 a base behind another or behind entries came out of turn: if it comes again, run the same release in both regions, gone on at
        of another placement: 25 r2 speaks of partition 1031 of the bridge, which is of no placement that both regions have a part in, and nothing of it is taken: compare the cluster files
        of no operations: 20 malformed frame (base): if it comes again, run the same release in both regions
        at another position than its chains come to: 20 malformed frame (base): if it comes again, run the same release in both regions
        with a chain without operations: 20 malformed frame (base): if it comes again, run the same release in both regions
        with a chain twice: 20 malformed frame (base): if it comes again, run the same release in both regions
        with chains that come to too much: 20 malformed frame (base): if it comes again, run the same release in both regions
        with an unknown origin: 20 malformed frame (base): if it comes again, run the same release in both regions
        with what is not here: not closed
        with more of ours than we have: 41 r2 has operation 3 of r1.0000000000000011 in p1/7, whose own store ends at 2: that store lost data and must return as a new incarnation (fenced)
        with another head of ours: 40 r1.0000000000000011 has another history in p1/7 at sequence 2 on the other side: close that replica by a new epoch, and keep both disks
        with a head that cannot be told: not closed
    "#]].assert_eq(&table);
}

#[test]
fn a_base_behind_entries_or_behind_the_cursor_is_refused() {
    let mut played = Played::new();
    meet(&mut played, 4);
    assert_eq!(played::delivered(&played.frame(&section(|_| {}))), [(2, 1)]);
    let base = base_of_ours(&played, |_| {});
    let refused = "23 a base behind another or behind entries came out of turn";
    assert!(verdict(&played.frame(&base)).starts_with(refused));

    played.store.apply(replica(2), partition(1, 7), Vec::new(), Some(Position(2))).unwrap();
    meet(&mut played, 4);
    let base = base_of_ours(&played, |_| {});
    assert!(verdict(&played.frame(&base)).starts_with("23 a base that lies behind the cursor"));
}

#[test]
fn a_rewind_forward_goes_to_the_base_that_was_told_and_nowhere_else() {
    // Of partition 8 there are two operations of a third region and a base behind them; references to them wait for company.
    let (id, origin) = (partition(1, 8), replica(3));
    let open = || {
        let mut played = Played::new();
        for (first, text) in [(1, "one"), (2, "two")] {
            let before = played.store.log(id).head(id, origin, Sequence(first - 1));
            let before = before.unwrap_or_else(|| ChainHead::genesis(id, origin));
            let signed_with = (&Ed25519 as _, &key(origin));
            let commit =
                Commit::sign(id, origin, Sequence(first), vec![operation(text)], before, signed_with);
            played.store.apply(origin, id, vec![commit], None).unwrap();
        }
        played.store.lay_base(id);
        meet(&mut played, 4);
        played
    };
    let told = || {
        let mut played = open();
        while played.send().iter().all(|frame| frame.bases.is_empty()) {}
        assert!(played.bridge.to_string().contains("p1/8 out 0/2 held 2"), "{}", played.bridge);
        played
    };
    let rewind = |position: u64| proto::Frame {
        rewinds: vec![proto::Rewind { partition: 8, to: position + 1 }],
        ..Default::default()
    };
    let forward = "23 a Rewind forward came out of turn";
    assert!(verdict(&open().frame(&rewind(2))).starts_with(forward), "nobody has told of it yet");
    assert!(verdict(&told().frame(&rewind(1))).starts_with(forward));
    assert!(verdict(&told().frame(&rewind(3))).starts_with(forward));
    let mut played = told();
    assert_eq!(verdict(&played.frame(&rewind(2))), "not closed");
    played.issue(8, vec![operation("own")]);
    played.advance(8);
    let sections = std::iter::from_fn(|| played.send().pop()).flat_map(|frame| frame.sections);
    let of_it: Vec<proto::Section> = sections.filter(|section| section.partition == 8).collect();
    let [section] = &of_it[..] else { panic!("{of_it:?}") };
    assert_eq!((section.from, section.steps.len()), (3, 1), "what comes behind it, and says where it begins");
    assert!(section.steps[0].references.is_empty());
}

/// What an earlier connection delivered may still be refused, or lost with this process: it counts once it is durable.
#[test]
fn what_was_delivered_and_is_not_durable_covers_no_base() {
    let mut played = Played::new();
    meet(&mut played, 4);
    let outputs = played.frame(&section(|_| {}));
    let Some(Output::Deliver(Delivery::Entries { commits, .. })) =
        outputs.iter().find(|output| matches!(output, Output::Deliver(Delivery::Entries { .. })))
    else {
        panic!("{outputs:?}")
    };
    let (id, commit) = (partition(1, 7), commits[0].clone());
    let head = commit.head_after(ChainHead::genesis(id, replica(2)));
    let told = |played: &mut Played| {
        let frame = base_of_ours(played, |base| {
            base.position = 3;
            base.chains.push(proto::BaseChain { origin: 1, sequence: 1, head: head.check() });
        });
        let mut sent = played::frames(&played.frame(&frame));
        sent.extend(std::iter::from_fn(|| played.send().pop()));
        sent.into_iter().flat_map(|frame| frame.rewinds).map(|rewind| rewind.to).collect::<Vec<_>>()
    };
    meet(&mut played, 4);
    assert_eq!((told(&mut played), played.bridge.bases_covered()), (vec![], 0));
    played.store.apply(replica(2), id, vec![commit], None).unwrap();
    meet(&mut played, 4);
    assert_eq!((told(&mut played), played.bridge.bases_covered()), (vec![4], 1));
    // What was on its way is nothing to it, and what comes behind the base is.
    assert_eq!(verdict(&played.frame(&section(|_| {}))), "not closed");
    let behind = section(|section| {
        (section.from, section.end) = (4, 4);
        section.steps = vec![played::step(2, &[operation("two")])];
    });
    assert_eq!(played::delivered(&played.frame(&behind)), [(2, 2)]);
}

/// A partition that has stopped takes no base, and of one with a fork none is told.
#[test]
fn a_partition_that_has_stopped_has_no_base() {
    let mut played = Played::new();
    meet(&mut played, 4);
    let reason = CommitRefused::LaterKind {
        partition: partition(1, 7),
        dot: Dot { replica: replica(2), sequence: Sequence(1) },
        kind: 9,
    };
    played.step(Input::Refused { reason });
    let base = base_of_ours(&played, |_| {});
    assert_eq!((verdict(&played.frame(&base)).as_str(), played.bridge.bases_covered()), ("not closed", 0));

    let mut played = Played::new();
    played.store.lay_base(partition(1, 7));
    meet(&mut played, 4);
    let forked = CommitRefused::Fork { partition: partition(1, 7), origin: replica(3), last: 1 };
    played.step(Input::Refused { reason: forked });
    assert!(std::iter::from_fn(|| played.send().pop()).all(|frame| frame.bases.is_empty()));
}

#[test]
fn many_bases_go_in_parts_before_all_entries() {
    let mut played = Played::new();
    let buckets = 100..100 + BASES_MAX as u16 + 3;
    for bucket in buckets {
        played.issue(bucket, vec![operation("own")]);
        played.store.lay_base(partition(1, bucket));
    }
    meet(&mut played, 4);
    let frames: Vec<proto::Frame> = std::iter::from_fn(|| played.send().pop()).collect();
    let told: Vec<usize> = frames.iter().map(|frame| frame.bases.len()).filter(|told| *told > 0).collect();
    assert_eq!(told, [BASES_MAX, 3]);
    let last = frames.iter().rposition(|frame| !frame.bases.is_empty());
    let first = frames.iter().position(|frame| !frame.sections.is_empty());
    assert!(first >= last, "entries in frame {first:?}, bases up to {last:?}");
}
