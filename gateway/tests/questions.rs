//! How questions are answered: pages of history, the list of conversations, receipts.
//!
//! What must always hold: an answer holds what lies nearest to where was asked, as much of it as fits a frame and no more than was asked for, and says whether there is
//! more; one that does not fit comes in parts of which all but the last say so; a question that cannot be answered is refused, once.

use crate::island::{Device, Island, OTHER, conversation, dot};
use crdt::{Cut, DeviceId, Timestamp, UserId};
use gateway::limits;
use gateway::query::{Answer, Query};
use gateway_protocol::v1;
use gateway_protocol::v1::client_frame::Frame as Ask;
use gateway_protocol::v1::server_frame::Frame;
use region::item::ArrivalNumber;
use region::read::{Receipt, Summary};

/// A region with ten posts of so many bytes, and a device that only asks.
fn island(body: usize) -> (Island, Device) {
    let mut island = Island::begun();
    for _ in 0..10 {
        island.post(conversation(1), OTHER, body);
    }
    let device = Device::welcomed(&island.site);
    (island, device)
}

fn page() -> v1::Page {
    v1::Page { conversation: conversation(1).to_string(), ..v1::Page::default() }
}

fn place(sequence: u64) -> Option<v1::Place> {
    Some(v1::Place { hlc: Timestamp(sequence).to_string(), dot: dot(1, sequence).to_string() })
}

/// What comes of a question.
fn ask(device: &mut Device, island: &Island, question: Ask) -> Vec<Frame> {
    device.answers.clear();
    device.say(question);
    device.settle(island);
    std::mem::take(&mut device.answers)
}

/// The numbers of the posts on a page, and whether there are more.
fn paged((island, mut device): (Island, Device), page: v1::Page) -> (Vec<u64>, bool) {
    match &ask(&mut device, &island, Ask::Page(page))[..] {
        [Frame::Messages(v1::Messages { items, more, .. })] => {
            let number = |item: &v1::Item| item.dot.parse::<crdt::Dot>().unwrap().sequence.0;
            (items.iter().map(number).collect(), *more)
        }
        other => panic!("{other:?}"),
    }
}

fn refused(answers: &[Frame]) -> &str {
    match answers {
        [Frame::Error(error)] => &error.code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_page_is_what_lies_nearest_and_says_whether_there_is_more() {
    let of = |page| paged(island(10), page);
    assert_eq!(of(v1::Page { limit: 3, ..page() }), (vec![8, 9, 10], true));
    assert_eq!(of(v1::Page { limit: 10, ..page() }), ((1..=10).collect(), false));
    assert_eq!(of(page()), ((1..=10).collect(), false), "as many as a page may hold");
    assert_eq!(of(v1::Page { limit: 3, before: place(8), ..page() }), (vec![5, 6, 7], true));
    assert_eq!(of(v1::Page { limit: 3, before: place(4), ..page() }), (vec![1, 2, 3], false));
    assert_eq!(of(v1::Page { limit: 3, after: place(5), ..page() }), (vec![6, 7, 8], true));
    assert_eq!(of(v1::Page { limit: 3, after: place(7), ..page() }), (vec![8, 9, 10], false));
}

#[test]
fn a_page_of_what_does_not_fit_a_frame_is_the_nearest_of_it() {
    // Two of them fit.
    let of = |page| paged(island(30_000), page);
    assert_eq!(of(page()), (vec![9, 10], true));
    assert_eq!(of(v1::Page { before: place(8), ..page() }), (vec![6, 7], true));
    assert_eq!(of(v1::Page { after: place(5), ..page() }), (vec![6, 7], true));
    assert_eq!(of(v1::Page { after: place(8), ..page() }), (vec![9, 10], false));
}

#[test]
fn no_more_is_read_for_a_question_than_its_answer_may_hold() {
    let read = |question: Ask| {
        let (_, mut device) = island(10);
        device.say(question);
        match device.queries.pop_front() {
            Some((_, Query::Page { limit, .. } | Query::List { limit, .. })) => limit,
            other => panic!("{other:?}"),
        }
    };
    let pages = [0, 1, 49, 50, 51, u32::MAX].map(|limit| read(Ask::Page(v1::Page { limit, ..page() })));
    assert_eq!(pages, [51, 2, 50, 51, 51, 51], "one more, to know whether there is more");
    let lists =
        [0, 1, 100, 101, u32::MAX].map(|limit| read(Ask::List(v1::List { limit, ..v1::List::default() })));
    assert_eq!(lists, [100, 1, 100, 100, 100]);
}

#[test]
fn a_question_that_cannot_be_answered_is_refused_once() {
    let (island, mut device) = island(10);
    let both = v1::Page { before: place(3), after: place(5), ..page() };
    assert_eq!(refused(&ask(&mut device, &island, Ask::Page(both))), "contradictory_fields");
    let other = conversation(7).to_string();
    let unknown = v1::Page { conversation: other.clone(), ..page() };
    assert_eq!(refused(&ask(&mut device, &island, Ask::Page(unknown))), "unknown_conversation");
    let questions = [
        Ask::Page(page()),
        Ask::List(v1::List::default()),
        Ask::GetReceipts(v1::GetReceipts { conversation: conversation(1).to_string() }),
    ];
    for question in questions {
        device.answers.clear();
        device.say(question);
        device.fail_query();
        assert_eq!(refused(&device.answers), "region_unavailable");
    }
}

/// What comes of a question to which the region answers this.
fn answered(question: Ask, answer: Answer) -> Vec<Frame> {
    let (_, mut device) = island(10);
    device.say(question);
    let (query, _) = device.queries.pop_front().unwrap();
    device.answers.clear();
    device.reads.push_back((query, answer));
    device.hand_over_read();
    device.answers
}

#[test]
fn a_list_that_does_not_fit_comes_in_parts_of_which_all_but_the_last_say_so() {
    let summary = |number: u128| Summary {
        conversation: conversation(number),
        name: "ü".repeat(256),
        direct: false,
        members: (1..=100).map(|user| UserId::new(crate::island::PLACEMENT, user)).collect(),
        admins: Vec::new(),
        last: None,
        unread: 0,
        arrival: ArrivalNumber(1),
        highest: Timestamp(number as u64),
    };
    let parts = |count: u128| {
        let summaries = (0..count).map(summary).collect();
        let answers = answered(Ask::List(v1::List::default()), Answer::List(summaries));
        let parts = answers.into_iter().map(|frame| match frame {
            Frame::Conversations(v1::Conversations { conversations, more }) => (conversations.len(), more),
            other => panic!("{other:?}"),
        });
        parts.collect::<Vec<_>>()
    };
    assert_eq!(parts(0), [(0, false)]);
    assert_eq!(parts(5), [(5, false)]);
    let many = parts(100);
    assert_eq!(many.iter().map(|(count, _)| count).sum::<usize>(), 100);
    assert!(many.len() > 2, "{many:?}");
    let (last, before) = many.split_last().unwrap();
    assert!(!last.1 && before.iter().all(|(_, more)| *more), "{many:?}");
}

#[test]
fn receipts_that_do_not_fit_come_in_parts_of_which_all_but_the_last_say_so() {
    let receipt = |device: u64| Receipt {
        user: OTHER,
        device: DeviceId(device),
        delivered: [dot(1, device)].into_iter().collect(),
        read: Cut::new(),
    };
    let receipts = (1..=2 * limits::BATCH_ITEMS_MAX as u64 + 1).map(receipt).collect();
    let question = Ask::GetReceipts(v1::GetReceipts { conversation: conversation(1).to_string() });
    let answers = answered(question, Answer::Receipts(Some(receipts)));
    let parts = answers.into_iter().map(|frame| match frame {
        Frame::Receipts(v1::Receipts { receipts, more, .. }) => (receipts.len(), more),
        other => panic!("{other:?}"),
    });
    assert_eq!(parts.collect::<Vec<_>>(), [(100, true), (100, true), (1, false)]);
}
