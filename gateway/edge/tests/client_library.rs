//! Our own client library against a real gateway: ticks, an outbox that outlives a gateway, and nothing missed.
//!
//! What must always hold: what was sent while the gateway was away is acknowledged, shown once and found stable after it is back.

#![allow(clippy::unwrap_used)]

mod town;

use crdt::{DeviceId, MessageId, UserId};
use gateway_client_net::{Act, Address, ClientHandle, Config, Content, Event, Events, Settings, Subprotocol};
use std::time::Duration;
use tokio::time::timeout;
use town::{Town, group, user};

/// Whether an event is the one that is waited for.
type Wanted = Box<dyn Fn(&Event) -> bool + Send>;

fn connect(town: &Town, user: UserId, subprotocol: Subprotocol) -> (ClientHandle, Events) {
    let url = format!("ws://{}", town.gateway.address());
    let config = Config {
        user,
        device: DeviceId(user.0),
        token: town.token_of(user, user.0),
        client: "test".into(),
        home: vec![Address { region: "localhost".into(), url }],
        placements: Vec::new(),
    };
    ClientHandle::connect(Settings { config, subprotocol, tls: None })
}

/// Takes events until each of the wanted has come, in whatever order.
async fn until_all(events: &mut Events, mut wanted: Vec<(&str, Wanted)>) {
    while !wanted.is_empty() {
        let names: Vec<&str> = wanted.iter().map(|(name, _)| *name).collect();
        let next = timeout(Duration::from_secs(30), events.next()).await;
        let event = next.unwrap_or_else(|_| panic!("these did not come: {names:?}")).unwrap();
        wanted.retain(|(_, is)| !is(&event));
    }
}

fn shown(text: &'static str) -> Wanted {
    Box::new(move |event| match event {
        Event::Shown { item, .. } => matches!(&item.content, Content::Post { body, .. } if body == text),
        _ => false,
    })
}

fn stable(id: MessageId) -> Wanted {
    Box::new(move |event| matches!(event, Event::Stable { command, .. } if *command == id))
}

fn acknowledged(id: MessageId) -> Wanted {
    Box::new(move |event| matches!(event, Event::Acknowledged { command, .. } if *command == id))
}

fn delivered(id: MessageId) -> Wanted {
    Box::new(move |event| matches!(event, Event::Delivered { message, .. } if *message == id))
}

fn read(id: MessageId) -> Wanted {
    Box::new(move |event| matches!(event, Event::Read { message, .. } if *message == id))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_gets_all_its_ticks_and_one_sent_into_an_outage_arrives_after_it() {
    let town = Town::new().await;
    let (anna, mut to_anna) = connect(&town, user(1), Subprotocol::Json);
    let (bert, mut to_bert) = connect(&town, user(2), Subprotocol::Proto);
    let (conversation, members) = (group(7), vec![user(2)]);
    anna.act(Act::CreateGroup { conversation, command: None, members, name: "town".into() }).await.unwrap();
    let one = anna.send(conversation, "one".into(), None).await.unwrap();
    until_all(&mut to_bert, vec![("shown", shown("one"))]).await;
    bert.act(Act::MarkRead { conversation }).await.unwrap();
    let ticks = vec![
        ("acknowledged", acknowledged(one)),
        ("stable", stable(one)),
        ("delivered", delivered(one)),
        ("read", read(one)),
    ];
    until_all(&mut to_anna, ticks).await;
    let mut two = None;
    let town = town
        .restart_gateway(async {
            two = Some(anna.send(conversation, "two".into(), None).await.unwrap());
        })
        .await;
    let two = two.unwrap();
    until_all(&mut to_bert, vec![("shown", shown("two"))]).await;
    let ticks =
        vec![("acknowledged", acknowledged(two)), ("stable", stable(two)), ("delivered", delivered(two))];
    until_all(&mut to_anna, ticks).await;
    drop((anna, bert));
    town.stop().await;
}
