//! A small run made by hand, for tests: three regions, a cut and a crash, somebody without a network.
//!
//! Three messages: one that nothing held up, one that waited for a cut, one whose reader had no network. What must always hold: its times
//! are such that each wait has one cause.

use super::recording::{Device, Fault, Harm, Intervals, Message, Place, Recording, Showing, Spread};
use super::summary::{Finding, Judged, Summary, Table};
use crdt::MessageId;
use std::collections::BTreeMap;

const SECOND: u64 = 1_000_000;

fn device(name: &str, home: usize) -> Device {
    Device { name: name.to_owned(), home }
}

fn shown(device: usize, region: usize, at_us: u64) -> Showing {
    Showing { device, region, at_us, marked: false }
}

fn message(id: u128, author: usize, home: usize, posted_us: u64) -> Message {
    Message {
        id: MessageId(id),
        conversation: "group 1".to_owned(),
        author,
        home,
        posted_us,
        acknowledged_us: Some(posted_us + 4_000),
        left: vec![],
        applied: vec![(home, posted_us + 2_000)],
        stable_us: None,
        shown: vec![shown(author, home, posted_us)],
        shown_in_all: 3,
        ticks: vec![],
    }
}

/// What was recorded.
pub(super) fn recording() -> Recording {
    let mut quick = message(1, 0, 0, SECOND);
    quick.left = vec![(0, 1, SECOND + 3_000), (0, 2, SECOND + 3_000)];
    quick.applied.extend([(1, SECOND + 45_000), (2, SECOND + 85_000)]);
    quick.shown.extend([shown(1, 1, SECOND + 50_000), shown(2, 2, SECOND + 90_000)]);
    quick.ticks = vec![(1, SECOND + 95_000, false), (1, 2 * SECOND, true)];
    quick.stable_us = Some(SECOND + 200_000);
    let mut cut = message(2, 0, 0, 6 * SECOND);
    cut.left = vec![(0, 2, 6 * SECOND + 3_000), (0, 1, 15 * SECOND + 200_000)];
    cut.applied.extend([(1, 15 * SECOND + 245_000), (2, 6 * SECOND + 85_000)]);
    cut.shown.extend([shown(2, 2, 6 * SECOND + 90_000), shown(1, 1, 15 * SECOND + 250_000)]);
    cut.stable_us = Some(15 * SECOND + 400_000);
    let mut offline = message(3, 1, 1, 17 * SECOND);
    offline.left = vec![(1, 0, 17 * SECOND + 3_000), (1, 2, 17 * SECOND + 3_000)];
    offline.applied.extend([(0, 17 * SECOND + 45_000), (2, 17 * SECOND + 65_000)]);
    offline.shown.extend([shown(0, 0, 17 * SECOND + 50_000), shown(2, 2, 26 * SECOND)]);
    let fault = |what: &str, harm, place, begins: u64, ends: u64| Fault {
        what: what.to_owned(),
        harm,
        place,
        begins_us: begins * SECOND,
        ends_us: ends * SECOND,
    };
    Recording {
        length_us: 30 * SECOND,
        calm_us: Some(28 * SECOND),
        regions: vec!["eu-central".to_owned(), "us-east".to_owned(), "ap-south".to_owned()],
        ways: BTreeMap::from([((0, 1), 40_000), ((1, 0), 40_000), ((0, 2), 80_000), ((1, 2), 60_000)]),
        devices: vec![device("Ada's phone", 0), device("Bo's phone", 1), device("Chi's tablet", 2)],
        messages: vec![quick, cut, offline],
        messages_in_all: 3,
        faults: vec![
            fault("cut", Harm::Cut, Place::Link(0, 1), 5, 15),
            fault("process dead", Harm::Down, Place::Region(2), 10, 12),
            fault("no network", Harm::Device, Place::Device(2), 16, 26),
        ],
        faults_in_all: 3,
        intervals: Intervals {
            every_us: 10 * SECOND,
            inside: vec![Spread { samples: 0, p50_us: 0, p99_us: 0 }; 3],
            across: vec![
                Spread { samples: 3, p50_us: 50_000, p99_us: 90_000 },
                Spread { samples: 2, p50_us: 50_000, p99_us: 9_250_000 },
                Spread { samples: 1, p50_us: 9_000_000, p99_us: 9_000_000 },
            ],
            bytes: BTreeMap::from([((0, 1), vec![900, 2_000, 100]), ((1, 0), vec![300, 20, 10])]),
        },
    }
}

/// What stands around it.
pub(super) fn summary() -> Summary {
    let judged = |what: &str, broken, checked| Judged { what: what.to_owned(), broken, checked };
    Summary {
        kind: "Archipelago simulator".to_owned(),
        title: "a-short-cut".to_owned(),
        story: "The link between two regions is cut for ten seconds. Meanwhile a third region crashes."
            .to_owned(),
        seed: 7,
        good: false,
        verdict: "A promise was broken".to_owned(),
        judged: vec![judged("Nothing acknowledged is lost", 0, 19), judged("Causal order", 1, 7)],
        findings: vec![Finding {
            at_us: Some(9 * SECOND),
            what: "causal order".to_owned(),
            happened: "an answer stood there before its question".to_owned(),
        }],
        tables: vec![Table {
            caption: "Time to show".to_owned(),
            columns: vec!["on devices".to_owned(), "half".to_owned()],
            rows: vec![vec!["in another region".to_owned(), "50 ms".to_owned()]],
        }],
        drawn: vec![("regions".to_owned(), "3".to_owned())],
        commands: vec![(
            "the same run again".to_owned(),
            "archipelago sim replay a-short-cut --seed 7".to_owned(),
        )],
    }
}
