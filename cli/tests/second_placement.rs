//! A user whose home region has no part in a conversation's placement takes part in it by a second connection, opened by the client.
//!
//! What must always hold: the conversation works both ways, is acknowledged and becomes stable; after a move to a region that serves
//! both placements it goes on over one connection, with nothing missed and nothing told twice.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod two_regions;

use crdt::{ConversationId, MessageId, PlacementId, UserId};
use gateway_client_net::{Act, Address, ClientHandle, Content, Event, Events};
use std::time::Duration;
use two_regions::TwoRegions;

const LOCAL: PlacementId = PlacementId(2);
const SOON: Duration = Duration::from_secs(30);

fn start(regions: &TwoRegions, region: usize, number: u64) -> (UserId, ClientHandle, Events) {
    let mut settings = regions.device(region, number, number);
    settings.config.placements = vec![LOCAL];
    let user = settings.config.user;
    let (client, events) = ClientHandle::connect(settings);
    (user, client, events)
}

async fn until<T>(events: &mut Events, mut wanted: impl FnMut(Event) -> Option<T>) -> T {
    let found = async {
        loop {
            let event = events.next().await.unwrap();
            assert!(!matches!(event, Event::Refused { .. }), "{event:?}");
            if let Some(found) = wanted(event) {
                return found;
            }
        }
    };
    tokio::time::timeout(SOON, found).await.unwrap()
}

/// The next message with its body.
async fn hear(events: &mut Events) -> (UserId, MessageId, String) {
    until(events, |event| match event {
        Event::Shown { item, .. } => match item.content {
            Content::Post { body, .. } => {
                Some((item.sender, item.message, String::from_utf8(body.to_vec()).unwrap()))
            }
            _ => None,
        },
        _ => None,
    })
    .await
}

#[tokio::test]
async fn a_user_from_outside_takes_part_through_a_second_connection() {
    let regions = TwoRegions::start();
    let (bob, inside, mut inside_events) = start(&regions, 0, 0xb0b);
    let (alice, outside, mut outside_events) = start(&regions, 1, 0xa11);
    let signed_in = |placement, region: &'static str| {
        move |event| {
            matches!(event, Event::SignedIn { placement: p, region: r } if p == placement && r == region)
                .then_some(())
        }
    };
    until(&mut outside_events, signed_in(None, "west")).await;
    until(&mut outside_events, signed_in(Some(LOCAL), "east")).await;

    let conversation = ConversationId::group(LOCAL, 7);
    let create = Act::CreateGroup { conversation, command: None, members: vec![alice], name: "local".into() };
    inside.act(create).await.unwrap();
    inside.send(conversation, "from inside".into(), None).await.unwrap();
    let (sender, first, body) = hear(&mut outside_events).await;
    assert_eq!((sender, body.as_str()), (bob, "from inside"));
    let answer = outside.send(conversation, "from outside".into(), Some((bob, first))).await.unwrap();
    assert_eq!(hear(&mut inside_events).await.1, first);
    assert_eq!(hear(&mut inside_events).await.1, answer);
    assert_eq!(hear(&mut outside_events).await.1, answer);
    until(&mut outside_events, |event| {
        matches!(event, Event::Stable { command, .. } if command == answer).then_some(())
    })
    .await;

    // Moved to the region that serves both, the second connection is not needed any more, and nothing is missed or told twice.
    let east = Address { region: "east".into(), url: regions.urls[0].clone() };
    outside.act(Act::Move { region: east }).await.unwrap();
    until(&mut outside_events, signed_in(None, "east")).await;
    let last = inside.send(conversation, "and after the move".into(), None).await.unwrap();
    assert_eq!(hear(&mut outside_events).await.1, last);
}
