//! The session guarantees and causal consistency are themselves checked: each anomaly is planted into a few devices' histories, and reported by its name.
//!
//! A device's history is told in words: `post 1`, `ack 1`, `show 1`, `mark 1` (shown with the mark), `sink 1` (moved to a later place), `hide 1` (taken out of one's own view), `screen 1 2`. A message is
//! whoever's posts it, and stands at its number; what nobody posts is the first device's.

#![allow(clippy::unwrap_used)]

use super::history::{Findings, Verdict, judge};
use crate::evidence::{Evidence, HistoryCollector, RegionFacts};
use crate::history::{Author, Event, FORMAT, Identity, Line, Own, Place};
use crdt::{ConversationId, DeviceId, MessageId, PlacementId, RegionId, Timestamp, UserId};

const GLOBAL: PlacementId = PlacementId(1);

fn user(number: usize) -> UserId {
    UserId::new(GLOBAL, number as u64 + 1)
}

fn message(number: u64) -> MessageId {
    MessageId::new(1_732_500_000_000 + number, number.into())
}

fn place(number: u64) -> Place {
    let dot = format!("r1.00000000000000aa:{number}").parse().unwrap();
    Place { hlc: Timestamp::from_ms(number), dot }
}

fn event(word: &str, numbers: &[u64], sender: impl Fn(u64) -> UserId) -> Event {
    let conversation = ConversationId::group(GLOBAL, 7);
    let number = numbers[0];
    let (sender_of, message_of) = (sender(number), message(number));
    let place_of = place(number);
    match word {
        "post" => Event::Posted(Own { conversation, message: message_of }),
        "ack" => Event::Acknowledged { conversation, message: message_of, place: place_of },
        "show" | "mark" => Event::Shown {
            conversation,
            sender: sender_of,
            message: message_of,
            place: place_of,
            marked: word == "mark",
        },
        "sink" => {
            Event::Moved { conversation, sender: sender_of, message: message_of, place: place(number + 50) }
        }
        "hide" => Event::Hidden(Identity { conversation, sender: sender_of, message: message_of }),
        "screen" => {
            let author =
                |number: &u64| Author { sender: sender(*number), message: message(*number), look: None };
            Event::Displayed { conversation, messages: numbers.iter().map(author).collect() }
        }
        other => panic!("no such word: {other}"),
    }
}

/// What the two checks say of these histories.
fn told(histories: &[&str]) -> Vec<String> {
    let regions = RegionFacts { name: "home".to_owned(), id: RegionId(1), placements: [GLOBAL].into() };
    let mut evidence = Evidence::new(vec![regions]);
    let posts = |history: &str, number: u64| history.split("; ").any(|step| step == format!("post {number}"));
    let sender = |number| user(histories.iter().position(|history| posts(history, number)).unwrap_or(0));
    for (device, history) in histories.iter().enumerate() {
        let began = Event::Began {
            format: FORMAT.to_owned(),
            user: user(device),
            device: DeviceId(device as u64),
            home: "home".to_owned(),
            name: device.to_string(),
        };
        let members = (0..histories.len()).map(user).collect();
        let created = Event::Created { conversation: ConversationId::group(GLOBAL, 7), members };
        let mut collector = HistoryCollector::begin(&mut evidence, &Line { at_us: 0, event: began }).unwrap();
        collector.take(Line { at_us: 0, event: created }).unwrap();
        for step in history.split("; ") {
            let (word, numbers) = step.split_once(' ').unwrap();
            let numbers: Vec<u64> = numbers.split(' ').map(|number| number.parse().unwrap()).collect();
            collector.take(Line { at_us: 1, event: event(word, &numbers, sender) }).unwrap();
        }
    }
    let ours = [Verdict::SessionGuarantees, Verdict::CausallyInconsistent];
    let findings = judge(&evidence);
    let ours: Vec<&Findings> = findings.iter().filter(|finding| ours.contains(&finding.verdict)).collect();
    assert!(ours.iter().all(|finding| finding.checked > 0));
    let violations = ours.iter().flat_map(|finding| &finding.violations);
    violations.map(|violation| violation.what.split(':').next().unwrap().to_owned()).collect()
}

const ANN: &str = "post 1; ack 1; show 1; show 2; post 3; ack 3; show 3; screen 1 2 3";
const BOB: &str = "show 1; post 2; ack 2; show 2; show 3; screen 1 2 3";
const CY: &str = "show 1; show 2; show 3; screen 1 2 3";

#[test]
fn people_who_answer_each_other_contradict_nothing() {
    assert!(told(&[ANN, BOB, CY]).is_empty());
    assert!(told(&[ANN, BOB, "show 1; show 2; show 3; screen 2 3"]).is_empty(), "a page is not all");
}

#[test]
fn a_message_that_vanishes_or_sinks_breaks_monotonic_reads() {
    assert_eq!(told(&[ANN, BOB, "show 1; show 2; show 3; screen 1 3"]), ["monotonic reads"]);
    assert_eq!(told(&[ANN, BOB, "show 1; show 2; sink 2; show 3; screen 1 3 2"])[..1], ["monotonic reads"]);
}

#[test]
fn an_own_message_that_is_not_there_or_was_there_before_breaks_read_your_writes() {
    let gone = "show 1; post 2; ack 2; show 2; show 3; screen 1 3";
    assert_eq!(told(&[ANN, gone, CY]), ["read your writes"]);
    let unshown = "show 1; post 2; ack 2; show 3; screen 1 3";
    assert!(told(&[ANN, unshown, CY]).contains(&"read your writes".to_owned()));
    let early = "show 1; show 2; post 2; ack 2; show 3; screen 1 2 3";
    assert_eq!(told(&[ANN, early, CY])[0], "read your writes");
}

#[test]
fn what_a_user_took_out_of_view_is_not_missed_but_is_on_the_screen_no_more() {
    assert!(told(&[ANN, BOB, "show 1; show 2; hide 2; show 3; screen 1 3"]).is_empty());
    assert_eq!(told(&[ANN, BOB, "show 1; show 2; hide 2; show 3; screen 1 2 3"]), ["read your writes"]);
}

#[test]
fn one_devices_messages_in_another_order_break_monotonic_writes() {
    let ann = "post 1; ack 1; show 1; post 2; ack 2; show 2; screen 1 2";
    assert_eq!(told(&[ann, "show 1; show 2; screen 2 1"])[0], "monotonic writes");
}

#[test]
fn an_answer_above_what_it_answers_breaks_writes_follow_reads() {
    let bob = "show 1; post 2; ack 2; show 2; screen 2 1";
    assert_eq!(told(&["post 1; ack 1; show 1; show 2; screen 1 2", bob])[0], "writes follow reads");
}

#[test]
fn a_cause_is_missed_through_hands_that_did_not_see_it_themselves() {
    // 2 was never acknowledged, so nobody else must be shown it; but 3 was posted on it, and it on 1.
    let bob = "show 1; post 2";
    let cy = "show 2; post 3; ack 3; show 3; show 1";
    let dee = "show 3; show 1";
    let ann = "post 1; ack 1; show 1; show 3";
    let told = told(&[ann, bob, cy, dee]);
    let name = message(1);
    let says = format!("it was shown before {name} of {}, which happened before it", user(0));
    assert_eq!(told, [says.clone(), says.clone(), says], "2 and 3 on cy's device, 3 on dee's");
}

#[test]
fn a_circle_of_messages_each_posted_on_the_other_is_found() {
    let told = told(&["show 2; post 1; ack 1; show 1", "show 1; post 2; ack 2; show 2"]);
    assert_eq!(told[..2], ["it happened before something that happened before it"; 2]);
}

#[test]
fn what_carries_the_mark_may_come_early_and_what_was_posted_on_it_too() {
    let bob = "show 1; post 2; ack 2; show 2; show 3";
    let cy = "mark 2; post 3; ack 3; show 3; show 1";
    assert!(told(&["post 1; ack 1; show 1; show 2; show 3", bob, cy, "mark 2; show 3; show 1"]).is_empty());
    assert!(!told(&["post 1; ack 1; show 1; show 2; show 3", bob, cy, "show 2; show 3; show 1"]).is_empty());
}
