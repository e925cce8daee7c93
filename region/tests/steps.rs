//! Steps as they are: what goes in, how much is written where, and what leaves.
//!
//! The expected text is rewritten by `UPDATE_EXPECT=1`, one test at a time; read the difference before it is kept, since what a step
//! writes is what a disk costs and what older stores hold.
use crate::rig::{WORLD, World, create, group, message, post, replica, start, user};
use crdt::{Flag, RegionId};
use expect_test::{Expect, expect};
use region::command::{Command, Wish};
use region::features::Feature;
use region::operate::Act;
use region::shard::{Effect, Input, Outcome, Ticket};
use region::{meta, read};
use replication::StoreId;
use replication::log::LogView as _;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The tables in which an outcome writes, and its effects, one a line.
fn tell(outcome: &Outcome) -> String {
    let names = [
        "",
        "log",
        "dots",
        "chains",
        "reach",
        "cursors",
        "registers",
        "feed",
        "acknowledgements",
        "conversations",
        "members",
        "timeline",
        "identity",
        "changes",
        "membership",
        "meta",
        "peer_starts",
        "stable",
        "present",
        "amendments",
        "uncut",
        "unsettled",
        "documents",
        "document_changes",
        "leftovers",
        "epochs",
        "survey",
        "hidden_from",
        "made_twice",
        "caught_up",
        "heard",
    ];
    let mut tables: BTreeMap<u8, usize> = BTreeMap::new();
    for (key, _) in outcome.batch.writes() {
        *tables.entry(key[2]).or_default() += 1;
    }
    let tables: Vec<_> =
        tables.iter().map(|(table, count)| format!("{} {count}", names[usize::from(*table)])).collect();
    let mut told = format!("writes: {}\n", tables.join(", "));
    for effect in &outcome.effects {
        let line = match effect {
            Effect::Reply { ticket, result: Ok(done) } => format!("reply {}: {}", ticket.0, done_name(done)),
            Effect::Reply { ticket, result: Err(refusal) } => {
                format!("reply {}: {}", ticket.0, refusal.code())
            }
            Effect::Operated { ticket, result } => format!("operated {}: {result:?}", ticket.0),
            Effect::RegisterKeptOut { peer, partition } => format!("kept out: {peer} {partition}"),
            Effect::Changed(change) => {
                format!("changed: arrival {} of {}, cut {}", change.arrival.0, change.item.dot, change.cut)
            }
            Effect::Membership { user, member, .. } => format!("membership: {user} {member}"),
            Effect::Receipt { user, delivered, read, .. } => {
                format!("receipt: {user} delivered {delivered} read {read}")
            }
            Effect::Hidden { user, message, .. } => format!("hidden: {} from {user}", message.message),
            Effect::Stable { cut, .. } => format!("stable: {cut}"),
            Effect::Advanced { state, .. } => {
                format!("advanced: log {} feed {} {}", state.log_end.0, state.feed_end.0, state.applied)
            }
            Effect::CaughtUp => "caught up".to_owned(),
            Effect::Epoch(placement) => format!("epoch {}", placement.epoch.0),
            Effect::EpochRefused(why) => format!("epoch refused: {why}"),
            Effect::BehindFold { dot, .. } => format!("behind a fold: {dot}"),
            Effect::NoRight { dot, .. } => format!("no right: {dot}"),
            Effect::DocumentChangeKeptOut { dot, .. } => format!("kept out of the document: {dot}"),
            Effect::Expired { dots, .. } => format!("expired: {dots:?}"),
            Effect::Compact(spans) => format!("compact: {} stretches", spans.len()),
            Effect::AnotherHistory { partition, by, dot } => {
                format!("another history: {by} at {dot} of {partition}")
            }
            Effect::PinBroken { dot, user, .. } => format!("pin broken: {user} by {dot}"),
            Effect::Refused { peer, reason } => format!("refused: {peer} {reason}"),
        };
        writeln!(told, "{line}").unwrap();
    }
    told
}

fn done_name(done: &region::command::Done) -> String {
    match done {
        region::command::Done::Operation { dot, .. } => format!("done by {dot}"),
        region::command::Done::Exists { .. } => "exists".to_owned(),
        region::command::Done::Receipt => "receipt joined".to_owned(),
        region::command::Done::Hidden { .. } => "hidden".to_owned(),
    }
}

fn check(outcome: &Outcome, expected: Expect) {
    expected.assert_eq(&tell(outcome));
}

#[test]
fn the_steps_of_a_message_in_its_own_region_and_in_another() {
    let mut world = World::new(2);
    let input = world.command(1, create(group(1), 1, &[1, 2]));
    check(
        &world.step(0, vec![input]),
        expect![[r#"
        writes: log 1, dots 1, chains 1, reach 1, conversations 1, members 1, timeline 1, identity 1, changes 1, membership 2
        membership: u0001000000000001 true
        membership: u0001000000000002 true
        changed: arrival 1 of r1.000000000000000a:1, cut {r1.000000000000000a:1}
        reply 1: done by r1.000000000000000a:1
        advanced: log 1 feed 0 {r1.000000000000000a:1}
    "#]],
    );
    let inputs = (2..4).map(|number| world.command(1, post(group(1), number, "hello"))).collect();
    check(
        &world.step(0, inputs),
        expect![[r#"
        writes: log 2, dots 2, chains 1, reach 1, conversations 1, timeline 2, identity 2, changes 2
        changed: arrival 2 of r1.000000000000000a:2, cut {r1.000000000000000a:2}
        reply 2: done by r1.000000000000000a:2
        changed: arrival 3 of r1.000000000000000a:3, cut {r1.000000000000000a:3}
        reply 3: done by r1.000000000000000a:3
        advanced: log 3 feed 0 {r1.000000000000000a:3}
    "#]],
    );
    let inputs = world.lacking(0, 1, usize::MAX);
    check(
        &world.step(1, inputs),
        expect![[r#"
        writes: log 3, dots 3, chains 1, reach 1, cursors 1, conversations 1, members 1, timeline 3, identity 3, changes 3, membership 2
        membership: u0001000000000001 true
        membership: u0001000000000002 true
        changed: arrival 1 of r1.000000000000000a:1, cut {r1.000000000000000a:1}
        changed: arrival 2 of r1.000000000000000a:2, cut {r1.000000000000000a:2}
        changed: arrival 3 of r1.000000000000000a:3, cut {r1.000000000000000a:3}
        advanced: log 3 feed 0 {r1.000000000000000a:3}
    "#]],
    );
    check(
        &world.step(1, vec![Input::Tick]),
        expect![[r#"
        writes: 
    "#]],
    );
    world.now = world.now.plus_ms(1_000);
    check(
        &world.step(1, vec![Input::Tick]),
        expect![[r#"
        writes: reach 1, registers 1, feed 1, acknowledgements 1
        advanced: log 3 feed 1 {r1.000000000000000a:3}
    "#]],
    );
    check(
        &world.step(0, vec![Input::Tick]),
        expect![[r#"
        writes: reach 1, registers 1, feed 1, acknowledgements 1
        advanced: log 3 feed 1 {r1.000000000000000a:3}
    "#]],
    );
    let inputs = world.lacking(1, 0, usize::MAX);
    check(
        &world.step(0, inputs),
        expect![[r#"
        writes: reach 1, cursors 1, registers 1, feed 1, acknowledgements 1, stable 1
        stable: {r1.000000000000000a:3}
        advanced: log 3 feed 2 {r1.000000000000000a:3}
    "#]],
    );
    let given = read::changes(&world.regions[1].store, group(1), user(2), &read::Standing::default(), 9);
    let delivered = given.unwrap().map(|given| given.cut);
    let receipt = Command::Receipt { conversation: group(1), delivered, read: None };
    let input = world.command(2, receipt);
    check(
        &world.step(1, vec![input]),
        expect![[r#"
        writes: reach 1, registers 1, feed 1
        receipt: u0001000000000002 delivered {r1.000000000000000a:3} read {}
        reply 4: receipt joined
        advanced: log 3 feed 2 {r1.000000000000000a:3}
    "#]],
    );
}

#[test]
fn a_step_says_when_it_wants_the_next_and_a_quiet_shard_wants_none() {
    let mut world = World::new(1);
    assert_eq!(world.step(0, vec![Input::Tick]).next_tick, None);
    let input = world.command(1, create(group(1), 1, &[1]));
    let first = world.step(0, vec![input]);
    let due = first.next_tick.expect("it has something to acknowledge");
    assert!(world.now < due && due <= world.now.plus_ms(1_000), "within a second: {due:?}");
    let input = world.command(1, post(group(1), 2, "x"));
    assert_eq!(world.step(0, vec![input]).next_tick, Some(due), "more to acknowledge does not put it off");
    world.now = due;
    let acknowledged = world.step(0, vec![Input::Tick]);
    assert_eq!(acknowledged.next_tick, None);
    let stable = read::stable(&world.regions[0].store, group(1).partition()).unwrap();
    let state = world.log(0).state(group(1).partition()).unwrap();
    assert_eq!(stable, state.applied, "alone, what is acknowledged is stable");
}

#[test]
fn partitions_are_acknowledged_at_moments_of_their_own_once_a_second() {
    let mut world = World::new(1);
    let creates = (1..=40).map(|number| world.command(1, create(group(number), number, &[1]))).collect();
    let mut due = world.step(0, creates).next_tick;
    let mut moments = vec![];
    while let Some(at) = due {
        world.now = at;
        moments.push(at.ms());
        due = world.step(0, vec![Input::Tick]).next_tick;
    }
    assert!(moments.windows(2).all(|pair| pair[0] < pair[1]), "{moments:?}");
    assert!((10..=16).contains(&moments.len()), "40 partitions share sixteen moments: {moments:?}");
    let again = world.command(1, post(group(1), 100, "x"));
    let own =
        world.step(0, vec![again]).next_tick.map(|at| at.ms()).expect("it has something to acknowledge");
    assert!(
        moments.iter().any(|moment| (own - moment).is_multiple_of(1_000)),
        "{own} is no moment of {moments:?}"
    );
}

#[test]
fn what_posts_cost_is_counted() {
    let mut world = World::new(1);
    world.ask(0, 1, create(group(1), 1, &[1, 2])).unwrap();
    let cost = |outcome: &Outcome| {
        let bytes = |value: Option<&bytes::Bytes>| value.map_or(0, bytes::Bytes::len);
        let sizes: Vec<usize> = outcome.batch.writes().map(|(key, value)| key.len() + bytes(value)).collect();
        format!("{} writes, {} bytes", sizes.len(), sizes.iter().sum::<usize>())
    };
    let body = "x".repeat(1_024);
    let input = world.command(1, post(group(1), 2, &body));
    let alone = cost(&world.step(0, vec![input]));
    let inputs = (3..103).map(|number| world.command(1, post(group(1), number, &body))).collect();
    let hundred = cost(&world.step(0, inputs));
    expect![[r#"
        a post of 1,024 bytes: 8 writes, 1671 bytes
        a hundred in a step: 503 writes, 137697 bytes"#]]
    .assert_eq(&format!("a post of 1,024 bytes: {alone}\na hundred in a step: {hundred}"));
}

#[test]
fn a_peers_start_number_only_grows() {
    let mut world = World::new(2);
    let kinds = || [0, 1].into();
    let started =
        |number| vec![Input::PeerStarted { peer: replica(1), start: start(number), kinds: kinds() }];
    assert_eq!(world.step(0, started(4)).batch.writes().count(), 1);
    assert!(world.step(0, started(3)).batch.is_empty());
    assert_eq!(world.log(0).seen_start(WORLD, replica(1)).unwrap(), Some(start(4)));
}

#[test]
fn a_store_of_another_kind_is_refused_by_name() {
    use region::store::{Batch, MemoryStore, Store as _, View as _};
    let expected = meta::Expected {
        replica: replica(0),
        region_name: "eu-central".to_owned(),
        placement: WORLD,
        placement_name: "global".to_owned(),
    };
    let mut store = MemoryStore::new();
    assert_eq!(meta::check(&store, &expected), Ok(None), "a new store says nothing yet");
    let (made, batch) = meta::create(&expected, StoreId(7));
    store.commit(&batch).unwrap();
    let (started, batch) = meta::advance(made);
    store.commit(&batch).unwrap();
    assert_eq!((started.start_number, meta::read(&store)), (1, Ok(Some(started.clone()))));
    assert_eq!(meta::check(&store, &expected), Ok(Some(started)));
    let refusal = |change: &dyn Fn(&mut meta::Expected)| {
        let mut other = expected.clone();
        change(&mut other);
        meta::check(&store, &other).unwrap_err().to_string()
    };
    let mut refusals = vec![
        refusal(&|other| other.region_name = "us-east".to_owned()),
        refusal(&|other| other.placement_name = "eu".to_owned()),
        refusal(&|other| other.replica.incarnation = crdt::Incarnation(1)),
    ];
    // A later format, with fields that this version cannot know, under a checksum of its own; and one from before the first release.
    let (key, _) = store.records().next().map(|(key, value)| (key.clone(), value.clone())).unwrap();
    for format in [7, 3] {
        let mut other = vec![format, 0xee, 0xee];
        let sum = crc32c::crc32c_append(crc32c::crc32c(&key), &other);
        other.extend(sum.to_be_bytes());
        let mut batch = Batch::default();
        batch.put(key.clone(), other.into());
        store.commit(&batch).unwrap();
        assert!(store.get(&key).unwrap().is_some());
        refusals.push(meta::check(&store, &expected).unwrap_err().to_string());
    }
    expect![[r#"
        the store belongs to region eu-central, not to us-east: give region us-east a data folder of its own
        the store holds placement global, not eu: the folders in the data folder were exchanged; put them back
        the store is incarnation 000000000000000a of region eu-central, but the placement's epoch admits 0000000000000001: a restored or replaced store returns by a new epoch
        damaged record in table meta at key ffff0f: it does not decode; keep the disk, and see docs/operations/a-store-is-damaged.md
        the store has format 3, this version reads none below 5: begin with an empty data folder, or run the version that wrote it"#]].assert_eq(&refusals.join("\n"));
}

/// Whoever changes this has changed what older stores hold: `meta::FORMAT` grows, and old stores are read or refused by name.
#[test]
fn the_bytes_on_disks_are_those_of_format_18() {
    let mut world = World::new(2);
    world.ask(0, 1, create(group(1), 1, &[1, 2])).unwrap();
    world.ask(1, 2, create(group(2), 2, &[1])).unwrap();
    world.calm();
    world.ask(1, 2, post(group(1), 3, "golden")).unwrap();
    world.greet();
    let target = crdt::Identity { sender: user(2), message: message(3) };
    for (number, wish) in
        [(4, Wish::Edit("new".into())), (5, Wish::React("❤".parse().unwrap())), (6, Wish::Delete)]
    {
        let (conversation, command) = (group(1), message(number));
        world.ask(1, 2, Command::Amend { conversation, command, target, wish, seen: None }).unwrap();
    }
    let given = read::changes(&world.regions[1].store, group(1), user(1), &read::Standing::default(), 9);
    let read = given.unwrap().map(|given| given.cut);
    world.ask(1, 1, Command::Receipt { conversation: group(1), delivered: None, read }).unwrap();
    for (ticket, act) in (90..).map(Ticket).zip([
        Act::SetHome { user: user(1), home: RegionId(2) },
        Act::Erase { user: user(2) },
        Act::SetFlag { feature: Feature::Posts, flag: Some(Flag::AtMost(9)) },
    ]) {
        world.step(1, vec![Input::Operate { ticket, act }]);
    }
    world.ask(1, 1, Command::Hide { conversation: group(1), message: target }).unwrap();
    world.calm();
    assert_eq!(meta::FORMAT, 18);
    let mut hasher = blake3::Hasher::new();
    for (key, value) in world.regions[0].store.records() {
        hasher.update(key).update(value);
    }
    let digest = hasher.finalize().to_hex().to_string();
    expect!["79 records, e7db921abbf860242c22a666485f4f43"].assert_eq(&format!(
        "{} records, {}",
        world.regions[0].store.records().count(),
        &digest[..32]
    ));
}
