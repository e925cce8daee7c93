//! Delete for me: what a client asks, and what it shows then.
//!
//! What must always hold: nothing of such a message is shown any more, whatever comes of it and from whichever region.

use crate::story::{ME, Story, conversation, error};
use crdt::{MessageId, PlacementId, UserId};
use gateway_client::{Act, ConnectionId, Content, Event, Input, Output, limits};
use gateway_protocol::v1::item::Content as Wire;
use gateway_protocol::v1::server_frame::Frame as Told;
use gateway_protocol::v1::{self, client_frame::Frame as Asked};

const OTHER: UserId = UserId::new(PlacementId(1), 2);

fn message(number: u128) -> v1::MessageRef {
    v1::MessageRef { sender: OTHER.to_string(), message: MessageId(number).to_string() }
}

fn item(sender: UserId, command: u128, hlc: u64, content: Wire) -> v1::Item {
    v1::Item {
        sender: sender.to_string(),
        message: MessageId(command).to_string(),
        dot: format!("r1.0000000000000001:{hlc}"),
        hlc: format!("{hlc}.0"),
        content: Some(content),
    }
}

fn post(number: u128, hlc: u64) -> v1::Item {
    item(OTHER, number, hlc, Wire::Post(v1::Post { body: "x".into(), ..v1::Post::default() }))
}

fn reaction(command: u128, of: u128, hlc: u64) -> v1::Item {
    let reacted = v1::Reacted { target: Some(message(of)), emoji: "👍".into() };
    item(ME, command, hlc, Wire::Reacted(reacted))
}

fn deliver(items: Vec<v1::Item>) -> Told {
    Told::Deliver(v1::Deliver { conversation: conversation(1).to_string(), items, cursor: "c".into() })
}

fn gone(numbers: &[u128]) -> Told {
    let messages = numbers.iter().copied().map(message).collect();
    Told::DeletedForMe(v1::DeletedForMe { conversation: conversation(1).to_string(), messages })
}

/// What came of an input: what was sent, and what the application was told.
fn step(story: &mut Story, input: Input) -> (Vec<Asked>, Vec<String>) {
    let outputs = story.client.step(story.now, &mut crate::story::Largest, input);
    let (mut sent, mut told) = (Vec::new(), Vec::new());
    for output in outputs {
        match output {
            Output::Send { frame, .. } => sent.extend(frame.frame),
            Output::Show(Event::Shown { item, .. }) => told.push(match item.content {
                Content::Withheld { target } => format!("withheld {} for {}", item.message.0, target.1.0),
                _ => format!("shown {}", item.message.0),
            }),
            Output::Show(Event::Hidden { message, .. }) => told.push(format!("gone {}", message.0)),
            Output::Show(Event::Amended { message, .. }) => told.push(format!("looks {}", message.0)),
            Output::Show(Event::Acknowledged { place, .. }) => told.push(format!("done {}", place.is_some())),
            Output::Show(Event::Refused { code, .. }) => told.push(format!("refused {code}")),
            Output::Show(Event::Paged { items, .. }) => {
                told.push(format!("page {:?}", items.iter().map(|item| item.message.0).collect::<Vec<_>>()));
            }
            Output::Show(Event::Listed { conversations, .. }) => {
                told.push(format!("last {:?}", conversations[0].last.as_ref().map(|item| item.message.0)));
            }
            _ => {}
        }
    }
    (sent, told)
}

fn hear(story: &mut Story, request: u64, frame: Told) -> Vec<String> {
    let frame = v1::ServerFrame { request, frame: Some(frame) };
    step(story, Input::Frame { connection: ConnectionId(1), frame }).1
}

fn hide(story: &mut Story, number: u128) -> (Vec<Asked>, Vec<String>) {
    let (conversation, command) = (conversation(1), Some(MessageId(0x70 + number)));
    step(story, Input::Act(Act::DeleteForMe { conversation, command, target: (OTHER, MessageId(number)) }))
}

#[test]
fn a_message_goes_when_a_region_has_it_and_leaves_the_outbox_then() {
    let mut story = Story::live();
    assert_eq!(hear(&mut story, 0, deliver(vec![post(1, 1), post(2, 2)])), ["shown 1", "shown 2"]);
    let (sent, told) = hide(&mut story, 1);
    let Some(Asked::DeleteForMe(asked)) = sent.first() else { panic!("{sent:?}") };
    assert_eq!((asked.target.as_ref(), told.len(), story.client.unstable()), (Some(&message(1)), 0, 1));
    // The region tells all the user's devices, and answers this one.
    assert_eq!(hear(&mut story, 0, gone(&[1])), ["gone 1"]);
    let done = v1::Done { conversation: conversation(1).to_string(), ..v1::Done::default() };
    assert_eq!(hear(&mut story, 4, Told::Done(done)), ["done false"]);
    assert_eq!(story.client.unstable(), 0);
    assert_eq!(hear(&mut story, 0, gone(&[1, 2])), ["gone 2"], "told again, and on another device");
}

#[test]
fn what_is_answered_before_it_is_told_goes_with_the_answer_and_what_is_refused_stays() {
    let mut story = Story::live();
    hear(&mut story, 0, deliver(vec![post(1, 1), post(2, 2)]));
    hide(&mut story, 1);
    let done = v1::Done { conversation: conversation(1).to_string(), ..v1::Done::default() };
    assert_eq!(hear(&mut story, 4, Told::Done(done)), ["done false", "gone 1"]);
    hide(&mut story, 2);
    assert_eq!(hear(&mut story, 5, error("too_many_hidden", false)), ["refused too_many_hidden"]);
    assert_eq!(hear(&mut story, 0, deliver(vec![reaction(9, 2, 3)])), ["shown 9", "looks 2"]);
}

#[test]
fn nothing_of_what_is_gone_is_shown_whatever_comes_and_from_whichever_region() {
    let mut story = Story::live();
    hear(&mut story, 0, deliver(vec![post(1, 2), reaction(8, 1, 3)]));
    // This region has not heard of it, and gives what the device knows to be gone.
    assert_eq!(hear(&mut story, 0, gone(&[1, 3])), ["gone 1", "gone 3"]);
    let told = hear(&mut story, 0, deliver(vec![post(3, 4), reaction(9, 1, 5), post(4, 6), post(1, 7)]));
    assert_eq!(told, ["withheld 3 for 3", "withheld 9 for 1", "shown 4"]);
    // One that has heard withholds it, which says that it is gone too.
    let withheld = |of| Wire::Withheld(v1::Withheld { target: Some(message(of)) });
    assert_eq!(
        hear(&mut story, 0, deliver(vec![item(OTHER, 5, 8, withheld(5))])),
        ["gone 5", "withheld 5 for 5"]
    );
    let asked = step(&mut story, Input::Act(Act::List)).0;
    assert!(matches!(asked[..], [Asked::List(_)]), "{asked:?}");
}

#[test]
fn pages_and_lists_of_a_region_that_has_not_heard_show_nothing_of_it() {
    let mut story = Story::live();
    hear(&mut story, 0, deliver(vec![post(1, 1), post(2, 2)]));
    hear(&mut story, 0, gone(&[2]));
    let from = gateway_client::PageFrom::Newest;
    step(&mut story, Input::Act(Act::Page { conversation: conversation(1), from, limit: 0 }));
    let items = vec![post(1, 1), post(2, 2)];
    let page = v1::Messages { conversation: conversation(1).to_string(), items, more: false };
    assert_eq!(hear(&mut story, 4, Told::Messages(page)), ["page [1]"]);
    step(&mut story, Input::Act(Act::List));
    let summary = |last| v1::Conversation {
        conversation: conversation(1).to_string(),
        last: Some(last),
        ..v1::Conversation::default()
    };
    let list =
        |last| Told::Conversations(v1::Conversations { conversations: vec![summary(last)], more: false });
    assert_eq!(hear(&mut story, 5, list(post(2, 2))), ["last None"]);
    step(&mut story, Input::Act(Act::List));
    assert_eq!(hear(&mut story, 6, list(post(1, 1))), ["last Some(1)"]);
}

#[test]
fn as_many_are_remembered_as_may_be_and_the_oldest_is_forgotten() {
    let mut story = Story::live();
    hear(&mut story, 0, deliver(vec![post(0, 1)]));
    let many = limits::HIDDEN_MAX as u128;
    let numbers: Vec<u128> = (1..=many + 1).collect();
    assert_eq!(hear(&mut story, 0, gone(&numbers)).len(), numbers.len());
    let told = hear(&mut story, 0, deliver(vec![post(1, 2), post(2, 3)]));
    assert_eq!(told, ["shown 1", "withheld 2 for 2"]);
}
