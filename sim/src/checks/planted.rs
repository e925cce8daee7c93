//! The checks are themselves checked: a good world passes, and each fault that is planted into it is reported by its name.
//!
//! The world is small and whole: three people in two regions, one conversation for all and one pinned to `eu`. Faults are planted
//! where real ones would show: in the lines of a history, in the lines of an export, in the bytes of a disk.

#![allow(clippy::unwrap_used)]

use super::history::{Verdict, judge};
use crate::evidence::{Evidence, Export, ExportError, HistoryCollector, RegionFacts, Scan};
use crate::history::Line;
use crate::scan::Scanner;
use crdt::{ConversationId, PlacementId, RegionId};
use std::collections::BTreeSet;

const GLOBAL: PlacementId = PlacementId(1);
const EU: PlacementId = PlacementId(2);

/// What is judged, as it lies on disk.
#[derive(Clone)]
struct World {
    /// Of ann (eu-central), bob (us-east) and cy (us-east, added later).
    histories: [Vec<String>; 3],
    exports: [String; 2],
    disk_outside: Vec<u8>,
}

fn conversation() -> ConversationId {
    ConversationId::group(GLOBAL, 0xabc)
}

fn pinned() -> ConversationId {
    ConversationId::group(EU, 0xdef)
}

fn message(number: u8) -> String {
    format!("0193610c-0d00-7000-8000-00000000000{number}")
}

fn user(number: u8) -> String {
    format!("u000100000000000{number}")
}

fn device(number: u8) -> String {
    format!("d000000000000000{number}")
}

fn place(region: u8, sequence: u8) -> String {
    let hlc = u64::from(sequence) * 10 + u64::from(region);
    format!(r#"{{"hlc":"{hlc}.0","dot":"r{region}.00000000000000aa:{sequence}"}}"#)
}

fn own(event: &str, at_us: u64, number: u8) -> String {
    let (conversation, message) = (conversation(), message(number));
    format!(
        r#"{{"at_us":{at_us},"event":{{"{event}":{{"conversation":"{conversation}","message":"{message}"}}}}}}"#
    )
}

fn acknowledged(at_us: u64, number: u8, place: &str) -> String {
    let (conversation, message) = (conversation(), message(number));
    format!(
        r#"{{"at_us":{at_us},"event":{{"acknowledged":{{"conversation":"{conversation}","message":"{message}","place":{place}}}}}}}"#
    )
}

fn shown(at_us: u64, sender: u8, number: u8, place: &str, marked: bool) -> String {
    let (conversation, sender, message) = (conversation(), user(sender), message(number));
    format!(
        r#"{{"at_us":{at_us},"event":{{"shown":{{"conversation":"{conversation}","sender":"{sender}","message":"{message}","place":{place},"marked":{marked}}}}}}}"#
    )
}

fn mark_cleared(at_us: u64, sender: u8, number: u8) -> String {
    let (conversation, sender, message) = (conversation(), user(sender), message(number));
    format!(
        r#"{{"at_us":{at_us},"event":{{"mark_cleared":{{"conversation":"{conversation}","sender":"{sender}","message":"{message}"}}}}}}"#
    )
}

fn delivered(at_us: u64, number: u8, to: u8) -> String {
    let (conversation, message, user, device) = (conversation(), message(number), user(to), device(to));
    format!(
        r#"{{"at_us":{at_us},"event":{{"delivered":{{"conversation":"{conversation}","message":"{message}","user":"{user}","device":"{device}"}}}}}}"#
    )
}

fn displayed(at_us: u64, rows: &[(u8, u8)]) -> String {
    let rows = rows.iter().map(|(sender, number)| {
        // 3 was edited.
        let look = if *number == 3 { r#","look":"33""# } else { "" };
        format!(r#"{{"sender":"{}","message":"{}"{look}}}"#, user(*sender), message(*number))
    });
    let (conversation, rows) = (conversation(), rows.collect::<Vec<_>>().join(","));
    format!(
        r#"{{"at_us":{at_us},"event":{{"displayed":{{"conversation":"{conversation}","messages":[{rows}]}}}}}}"#
    )
}

/// What a device says in the end of what became of 3, and of who the admins are.
fn in_the_end(at_us: u64) -> [String; 2] {
    let (conversation, ann, message) = (conversation(), user(1), message(3));
    [
        format!(
            r#"{{"at_us":{at_us},"event":{{"looks":{{"conversation":"{conversation}","sender":"{ann}","message":"{message}","look":"33"}}}}}}"#
        ),
        format!(
            r#"{{"at_us":{at_us},"event":{{"governed":{{"conversation":"{conversation}","admins":["{ann}"]}}}}}}"#
        ),
    ]
}

fn began(number: u8, home: &str, name: &str) -> Vec<String> {
    let (user, device) = (user(number), device(number));
    vec![
        format!(
            r#"{{"at_us":0,"event":{{"began":{{"format":"archipelago.history.v1","user":"{user}","device":"{device}","home":"{home}","name":"{name}"}}}}}}"#
        ),
        format!(r#"{{"at_us":1,"event":{{"signed_in":{{"region":"{home}","placement":null}}}}}}"#),
    ]
}

fn told_members(at_us: u64) -> [String; 2] {
    let (conversation, ann, bob, cy) = (conversation(), user(1), user(2), user(3));
    [
        format!(
            r#"{{"at_us":{at_us},"event":{{"created":{{"conversation":"{conversation}","members":["{ann}","{bob}"]}}}}}}"#
        ),
        format!(
            r#"{{"at_us":{at_us},"event":{{"added":{{"conversation":"{conversation}","user":"{cy}","since":["r1.00000000000000aa:2"]}}}}}}"#
        ),
    ]
}

/// Ann posts 1 (before cy is added) and 3, bob 2 and 4; each has been shown all before. Dots: 1 → r1:2, 2 → r2:3, 3 → r1:4, 4 → r2:5.
fn good() -> World {
    let places = [place(1, 2), place(2, 3), place(1, 4), place(2, 5)];
    let mut ann = began(1, "eu-central", "ann");
    ann.extend([
        own("posted", 100, 1),
        acknowledged(110, 1, &places[0]),
        shown(111, 1, 1, &places[0], false),
    ]);
    ann.extend(told_members(112));
    ann.extend([shown(300, 2, 2, &places[1], false), own("posted", 400, 3)]);
    ann.extend([acknowledged(410, 3, &places[2]), shown(411, 1, 3, &places[2], false)]);
    ann.extend([delivered(600, 1, 2), delivered(600, 3, 2), shown(700, 2, 4, &places[3], false)]);
    ann.extend(in_the_end(890));
    ann.push(displayed(900, &[(1, 1), (2, 2), (1, 3), (2, 4)]));
    let mut bob = began(2, "us-east", "bob");
    bob.extend(told_members(150));
    bob.extend([shown(160, 1, 1, &places[0], false), own("posted", 200, 2)]);
    bob.extend([acknowledged(210, 2, &places[1]), shown(211, 2, 2, &places[1], false)]);
    bob.extend([shown(500, 1, 3, &places[2], false), own("posted", 610, 4)]);
    bob.extend([acknowledged(620, 4, &places[3]), shown(621, 2, 4, &places[3], false)]);
    bob.extend(in_the_end(890));
    bob.push(displayed(900, &[(1, 1), (2, 2), (1, 3), (2, 4)]));
    let mut cy = began(3, "us-east", "cy");
    cy.extend(told_members(170));
    cy.extend([shown(220, 2, 2, &places[1], false), shown(510, 1, 3, &places[2], false)]);
    cy.push(shown(630, 2, 4, &places[3], false));
    cy.extend(in_the_end(890));
    cy.push(displayed(900, &[(2, 2), (1, 3), (2, 4)]));
    World { histories: [ann, bob, cy], exports: [export(true), export(false)], disk_outside: vec![7; 5_000] }
}

fn export(in_eu: bool) -> String {
    let id = conversation();
    let partition = id.partition();
    let mut lines = vec![
        r#"{"kind":"region","format":1,"region":"somewhere"}"#.to_owned(),
        format!(
            r#"{{"kind":"partition","partition":"{partition}","applied":["r1.00000000000000aa:4","r2.00000000000000aa:5"],"heads":{{"r1.00000000000000aa":"01","r2.00000000000000aa":"02"}},"conversations":{{"{id}":"aa"}},"stable":[]}}"#
        ),
    ];
    for (number, sender, dot) in [(1, 1, "r1"), (2, 2, "r2"), (3, 1, "r1"), (4, 2, "r2")] {
        let (sender, message, sequence) = (user(sender), message(number), number + 1);
        lines.push(format!(
            r#"{{"kind":"post","conversation":"{id}","sender":"{sender}","message":"{message}","hlc":"{sequence}.0","dot":"{dot}.00000000000000aa:{sequence}","aliases":[],"payload":"b{number}"}}"#
        ));
    }
    if in_eu {
        lines.push(pinned_partition());
    }
    lines.push(r#"{"kind":"end"}"#.to_owned());
    lines.join("\n")
}

fn pinned_partition() -> String {
    let (id, partition) = (pinned(), pinned().partition());
    format!(
        r#"{{"kind":"partition","partition":"{partition}","applied":["r1.00000000000000aa:1"],"heads":{{}},"conversations":{{"{id}":"ee"}}}}"#
    )
}

fn evidence(world: &World) -> Evidence {
    let facts = |name: &str, id, placements: &[PlacementId]| RegionFacts {
        name: name.to_owned(),
        id: RegionId(id),
        placements: placements.iter().copied().collect::<BTreeSet<_>>(),
    };
    let mut evidence =
        Evidence::new(vec![facts("eu-central", 1, &[GLOBAL, EU]), facts("us-east", 2, &[GLOBAL])]);
    for history in &world.histories {
        let lines: Vec<Line> = history.iter().map(|line| Line::read(line).unwrap()).collect();
        let mut collector = HistoryCollector::begin(&mut evidence, &lines[0]).unwrap();
        for line in &lines[1..] {
            collector.take(line.clone()).unwrap();
        }
    }
    for (region, export) in world.exports.iter().enumerate() {
        evidence.exports.entry(region).or_default().take(export).unwrap();
    }
    let mut scanner = Scanner::new(&[(pinned(), b"canary-7f3a".to_vec())]);
    scanner.begin_file("000012.log");
    // In pieces, as a disk is read: a text may lie across two of them.
    for piece in world.disk_outside.chunks(1_024) {
        scanner.feed(piece);
    }
    let (bytes, found) = scanner.finish();
    evidence.scans.push(Scan { region: 1, bytes, found });
    evidence
}

/// Good evidence, for whoever needs some.
pub(crate) fn good_evidence() -> Evidence {
    evidence(&good())
}

/// The names and counts of all breached properties.
fn verdicts(world: &World) -> Vec<(Verdict, u64)> {
    let findings = judge(&evidence(world));
    for finding in &findings {
        assert!(finding.checked > 0, "{:?} looked at nothing", finding.verdict);
        assert_eq!(finding.violations.len() as u64, finding.count);
    }
    findings.iter().map(|finding| (finding.verdict, finding.count)).filter(|(_, count)| *count > 0).collect()
}

fn plant(fault: impl FnOnce(&mut World)) -> Vec<(Verdict, u64)> {
    let mut world = good();
    fault(&mut world);
    verdicts(&world)
}

fn line_with(history: &[String], what: &str, number: u8) -> usize {
    let message = message(number);
    history.iter().position(|line| line.contains(what) && line.contains(&message)).unwrap()
}

/// Moves the event at `from` to stand right before the one at `to`, at that one's time.
fn move_line(history: &mut Vec<String>, from: usize, to: usize) {
    let time = Line::read(&history[to]).unwrap().at_us;
    let mut line = Line::read(&history.remove(from)).unwrap();
    line.at_us = time;
    let mut out = vec![];
    line.write(&mut out);
    history
        .insert(if from < to { to - 1 } else { to }, String::from_utf8(out).unwrap().trim_end().to_owned());
}

#[test]
fn a_good_world_passes_and_everything_in_it_is_looked_at() {
    assert_eq!(verdicts(&good()), []);
    let totals = evidence(&good()).totals();
    assert_eq!((totals.acknowledged, totals.shown_expected, totals.shown), (4, 11, 11));
}

#[test]
fn an_acknowledged_message_dropped_by_a_region_or_never_shown_is_lost() {
    let dropped = plant(|world| {
        let kept = world.exports[1].lines().filter(|line| !line.contains(&message(3)));
        world.exports[1] = kept.collect::<Vec<_>>().join("\n");
    });
    assert_eq!(dropped, [(Verdict::Lost, 1), (Verdict::DivergedPartitions, 1)]);
    let never_shown = plant(|world| {
        world.histories[2].retain(|line| !line.contains(&message(4)));
        world.histories[2].push(displayed(900, &[(2, 2), (1, 3)]));
    });
    assert_eq!(never_shown, [(Verdict::Lost, 1)]);
}

#[test]
fn what_an_add_hides_that_another_region_took_too_is_not_owed() {
    let not_shown = |world: &mut World| {
        world.histories[2].retain(|line| !line.contains("shown") || !line.contains(&message(2)));
        world.histories[2].pop();
        world.histories[2].push(displayed(900, &[(1, 3), (2, 4)]));
    };
    let owed = plant(not_shown);
    assert!(owed.contains(&(Verdict::Lost, 1)) && owed.contains(&(Verdict::BeforeItsCause, 2)), "{owed:?}");
    let hidden = plant(|world| {
        not_shown(world);
        let added = world.histories[2].iter().position(|line| line.contains("added")).unwrap();
        let again = world.histories[2][added]
            .replace(r#""r1.00000000000000aa:2""#, r#""r1.00000000000000aa:2","r2.00000000000000aa:3""#);
        world.histories[2].insert(added + 1, again);
    });
    assert_eq!(hidden, []);
}

#[test]
fn a_message_delivered_twice_or_that_nobody_posted_is_reported() {
    let again = plant(|world| {
        let line = line_with(&world.histories[2], "shown", 3);
        let repeated = world.histories[2][line].clone();
        world.histories[2].insert(line, repeated);
    });
    assert_eq!(again, [(Verdict::ShownTwice, 1)]);
    let forged = plant(|world| {
        let end = world.histories[2].len() - 1;
        world.histories[2].insert(end, shown(800, 1, 9, &place(1, 9), false));
    });
    // It is not on the screen at the end either.
    assert_eq!(forged, [(Verdict::ShownTwice, 1), (Verdict::SessionGuarantees, 1)]);
}

#[test]
fn a_message_delivered_early_is_before_its_cause() {
    // 2 is bob's answer to 1; ann posted 3 after she was shown 2. Cy is shown 3 before 2.
    let early = plant(|world| {
        let (from, to) =
            (line_with(&world.histories[2], "shown", 3), line_with(&world.histories[2], "shown", 2));
        move_line(&mut world.histories[2], from, to);
    });
    assert_eq!(early, [(Verdict::BeforeItsCause, 1), (Verdict::CausallyInconsistent, 1)]);
}

#[test]
fn a_marked_message_may_come_early_but_its_mark_must_go_and_not_before_its_causes() {
    let marked = |clear_before_cause: bool, clear: bool| {
        plant(|world| {
            let history = &mut world.histories[2];
            let (three, two) = (line_with(history, "shown", 3), line_with(history, "shown", 2));
            move_line(history, three, two);
            history[two] = history[two].replace(r#""marked":false"#, r#""marked":true"#);
            let cause = two + 1;
            if clear {
                let at = if clear_before_cause { cause } else { cause + 1 };
                history.insert(at, mark_cleared(220, 1, 3));
            }
        })
    };
    assert_eq!(marked(false, true), []);
    assert_eq!(marked(true, true), [(Verdict::BeforeItsCause, 1)]);
    assert_eq!(marked(false, false), [(Verdict::BeforeItsCause, 1)]);
}

/// A region that has not heard of it yet may still show something to somebody who has left, whose causes they are given no more.
#[test]
fn a_mark_may_stand_for_ever_where_its_reader_has_left_and_nowhere_else() {
    let marked = |left: Option<u8>| {
        plant(|world| {
            let history = &mut world.histories[2];
            let (three, two) = (line_with(history, "shown", 3), line_with(history, "shown", 2));
            move_line(history, three, two);
            history[two] = history[two].replace(r#""marked":false"#, r#""marked":true"#);
            let (conversation, end) = (conversation(), history.len() - 1);
            if let Some(user) = left.map(user) {
                let left = format!(
                    r#"{{"at_us":800,"event":{{"left":{{"conversation":"{conversation}","user":"{user}"}}}}}}"#
                );
                history.insert(end, left);
            }
        })
    };
    assert_eq!(marked(None), [(Verdict::BeforeItsCause, 1)]);
    assert_eq!(marked(Some(2)), [(Verdict::BeforeItsCause, 1)], "another one's leave excuses nothing");
    assert_eq!(marked(Some(3)), []);
}

#[test]
fn two_messages_of_one_sender_swapped_are_out_of_order() {
    let swapped = plant(|world| {
        let (from, to) =
            (line_with(&world.histories[2], "shown", 4), line_with(&world.histories[2], "shown", 2));
        move_line(&mut world.histories[2], from, to);
    });
    // 4 also comes before 3 and 2, which bob had been shown when he posted it.
    assert_eq!(
        swapped,
        [(Verdict::BeforeItsCause, 1), (Verdict::OutOfOrder, 1), (Verdict::CausallyInconsistent, 1)]
    );
}

#[test]
fn screens_in_different_orders_and_different_places_disagree() {
    let screen = plant(|world| {
        world.histories[1].pop();
        world.histories[1].push(displayed(900, &[(2, 2), (1, 1), (1, 3), (2, 4)]));
    });
    // Bob had been shown 1 when he posted 2.
    let session = [(Verdict::SessionGuarantees, 1), (Verdict::CausallyInconsistent, 1)];
    assert_eq!(screen, [&[(Verdict::OrderDisagreements, 1)][..], &session].concat());
    let other_place = plant(|world| {
        let line = line_with(&world.histories[2], "shown", 3);
        world.histories[2][line] = world.histories[2][line].replace(r#""hlc":"41.0""#, r#""hlc":"42.0""#);
    });
    assert_eq!(other_place, [(Verdict::OrderDisagreements, 1)]);
}

#[test]
fn messages_that_look_different_and_admins_that_differ_are_reported() {
    let page = plant(|world| {
        let line = line_with(&world.histories[1], "displayed", 3);
        world.histories[1][line] = world.histories[1][line].replace(r#""look":"33""#, r#""look":"34""#);
    });
    assert_eq!(page, [(Verdict::LookDisagreements, 1)], "one region reads it out differently");
    let told = plant(|world| {
        let line = line_with(&world.histories[2], "looks", 3);
        world.histories[2][line] = world.histories[2][line].replace(r#""look":"33""#, r#""look":null"#);
    });
    assert_eq!(told, [(Verdict::LookDisagreements, 1)], "one device was not told");
    let governed = plant(|world| {
        let admins = format!(r#""admins":["{}"]"#, user(1));
        let line = world.histories[1].iter().position(|line| line.contains(&admins)).unwrap();
        world.histories[1][line] = world.histories[1][line].replace(&admins, r#""admins":[]"#);
    });
    assert_eq!(governed, [(Verdict::AdminsDisagree, 1)]);
}

#[test]
fn a_receipt_that_lies_is_reported() {
    // Bob is shown 3 right after ann is told.
    let too_early = plant(|world| {
        let line = line_with(&world.histories[1], "shown", 3);
        for later in &mut world.histories[1][line..] {
            let mut read = Line::read(later).unwrap();
            read.at_us += 1_000;
            let mut out = vec![];
            read.write(&mut out);
            *later = String::from_utf8(out).unwrap().trim_end().to_owned();
        }
    });
    assert_eq!(too_early, [(Verdict::ReceiptWithoutMessage, 1)]);
    let never = plant(|world| {
        let end = world.histories[0].len() - 1;
        world.histories[0].insert(end, delivered(800, 1, 3));
    });
    assert_eq!(never, [(Verdict::ReceiptWithoutMessage, 1)], "cy was never shown 1");
}

#[test]
fn one_byte_changed_at_rest_is_a_divergence() {
    let body =
        plant(|world| world.exports[1] = world.exports[1].replace(r#""payload":"b2""#, r#""payload":"b3""#));
    assert_eq!(body, [(Verdict::DivergedPartitions, 1)]);
    let head = plant(|world| world.exports[1] = world.exports[1].replace(r#""02"}"#, r#""03"}"#));
    assert_eq!(head, [(Verdict::DivergedPartitions, 1)]);
    let state = plant(|world| world.exports[1] = world.exports[1].replace(r#""aa""#, r#""ab""#));
    assert_eq!(state, [(Verdict::DivergedPartitions, 1)]);
    let mut world = evidence(&good());
    world.exports.remove(&1);
    let missing = judge(&world);
    assert!(
        missing.iter().any(|finding| finding.verdict == Verdict::DivergedPartitions && finding.count == 1)
    );
}

#[test]
fn an_export_that_was_cut_short_is_no_evidence() {
    let export = export(true);
    let short = export.strip_suffix(r#"{"kind":"end"}"#).unwrap();
    assert!(matches!(Export::default().take(short), Err(ExportError::CutShort)));
    assert!(matches!(Export::default().take("{}"), Err(ExportError::Line { line: 1, .. })));
}

#[test]
fn a_pinned_byte_sent_out_is_found_wherever_it_lies() {
    let text = plant(|world| world.disk_outside[1_020..1_031].copy_from_slice(b"canary-7f3a"));
    assert_eq!(text, [(Verdict::PinnedBytesOutside, 1)]);
    let id = plant(|world| world.disk_outside[4_000..4_016].copy_from_slice(&pinned().0.to_be_bytes()));
    assert_eq!(id, [(Verdict::PinnedBytesOutside, 1)]);
    let digits = plant(|world| world.disk_outside[0..33].copy_from_slice(pinned().to_string().as_bytes()));
    assert_eq!(digits, [(Verdict::PinnedBytesOutside, 1)]);
    let exported = plant(|world| world.exports[1] = format!("{}\n{}", pinned_partition(), world.exports[1]));
    assert_eq!(exported, [(Verdict::PinnedBytesOutside, 1)]);
}
