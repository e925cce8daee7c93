//! A client that is told a story: what goes in is written with `>`, what comes out below it, frames as the JSON that goes over the wire.
//!
//! What must always hold: everything that comes out is written; jitter is its bound, so that times can be read.

use crdt::{ConversationId, DeviceId, MessageId, Now, PlacementId, UserId};
use expect_test::Expect;
use gateway_client::{Act, Address, Client, Config, ConnectionId, Event, Input, Output};
use gateway_protocol::v1;
use gateway_protocol::v1::server_frame::Frame as Told;
use gateway_protocol::{Payload, Subprotocol};
use rand_core::RngCore;
use std::fmt::Write as _;

/// Draws the largest numbers, so that jitter is its bound.
pub struct Largest;

impl RngCore for Largest {
    fn next_u32(&mut self) -> u32 {
        u32::MAX
    }
    fn next_u64(&mut self) -> u64 {
        u64::MAX
    }
    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

pub struct Story {
    pub client: Client,
    pub now: Now,
    pub text: String,
}

pub const ME: UserId = UserId::new(PlacementId(1), 1);

pub fn conversation(placement: u16) -> ConversationId {
    ConversationId::group(PlacementId(placement), 7)
}

pub fn address(region: &str) -> Address {
    Address { region: region.into(), url: format!("ws://{region}") }
}

/// A home region that serves p1 alone; `far` serves p1 and p2.
pub fn welcome(region: &str) -> Told {
    welcome_where(region, &["far"])
}

/// The same, where these regions serve p2.
pub fn welcome_where(region: &str, serve_p2: &[&str]) -> Told {
    let region_of = |name: &str| v1::Region { name: name.into(), url: format!("ws://{name}") };
    let placement = |id: &str, regions: &[&str]| v1::Placement {
        id: id.into(),
        epoch: 1,
        geo: false,
        name: id.into(),
        regions: regions.iter().map(|name| region_of(name)).collect(),
    };
    Told::Welcome(v1::Welcome {
        version: 1,
        region: region.into(),
        placements: vec![placement("p1", &["near", "far"]), placement("p2", serve_p2)],
        ..v1::Welcome::default()
    })
}

impl Story {
    pub fn new() -> Self {
        let config = Config {
            user: ME,
            device: DeviceId(1),
            token: "t".into(),
            client: "story".into(),
            home: vec![address("near")],
            placements: Vec::new(),
        };
        Self { client: Client::new(config), now: Now(1_000_000_000), text: String::new() }
    }

    /// Started and welcomed at the home region.
    pub fn live() -> Self {
        let mut story = Self::new();
        story.step("", Input::Start);
        story.step("", Input::Connected(ConnectionId(1)));
        story.hear(1, 1, welcome("near"));
        story.text.clear();
        story
    }

    pub fn step(&mut self, what: &str, input: Input) {
        let outputs = self.client.step(self.now, &mut Largest, input);
        if !what.is_empty() {
            writeln!(self.text, "> {what}").unwrap();
        }
        for output in outputs {
            match output {
                Output::Connect { connection, url } => writeln!(self.text, "connect {} {url}", connection.0),
                Output::Disconnect { connection } => writeln!(self.text, "disconnect {}", connection.0),
                Output::Send { connection, frame } => {
                    let Payload::Text(json) = Subprotocol::Json.encode_client(&frame) else { unreachable!() };
                    let json = std::str::from_utf8(&json).unwrap().to_owned();
                    writeln!(self.text, "send {} {json}", connection.0)
                }
                Output::Show(Event::Shown { item, marked, .. }) => {
                    writeln!(self.text, "shown {} marked: {marked}", item.place)
                }
                Output::Show(event) => writeln!(self.text, "{event:?}"),
            }
            .unwrap();
        }
    }

    pub fn hear(&mut self, connection: u64, request: u64, frame: Told) {
        let frame = v1::ServerFrame { request, frame: Some(frame) };
        self.step("", Input::Frame { connection: ConnectionId(connection), frame });
    }

    pub fn act(&mut self, what: &str, act: Act) {
        self.step(what, Input::Act(act));
    }

    pub fn send(&mut self, placement: u16, number: u128) {
        let message = Some(MessageId(number));
        let act =
            Act::Send { conversation: conversation(placement), message, body: "x".into(), reply_to: None };
        self.act(&format!("send {number} in p{placement}"), act);
    }

    pub fn wait(&mut self) {
        let deadline = self.client.deadline().unwrap();
        let waited = (deadline.0 - self.now.0) / 1_000;
        self.now = deadline;
        self.step(&format!("{waited} ms later"), Input::Timer);
    }

    pub fn done(&mut self, request: u64, number: u128, dot: &str) {
        self.hear(1, request, done(number, dot));
    }

    /// Moves to `far`, and is welcomed there in answer to that request.
    pub fn move_to_far(&mut self, hello: u64) {
        self.act("move to far", Act::Move { region: address("far") });
        self.step("it opens", Input::Connected(ConnectionId(2)));
        self.hear(2, hello, welcome("far"));
    }

    pub fn check(&self, expected: Expect) {
        expected.assert_eq(&self.text);
    }
}

pub fn done(number: u128, dot: &str) -> Told {
    Told::Done(v1::Done {
        conversation: conversation(1).to_string(),
        command: MessageId(number).to_string(),
        dot: dot.into(),
        hlc: if dot.is_empty() { String::new() } else { "1.0".into() },
        ..v1::Done::default()
    })
}

pub fn error(code: &str, temporary: bool) -> Told {
    Told::Error(v1::Error { code: code.into(), temporary, message: "why".into(), ..v1::Error::default() })
}

pub fn deliver(placement: u16, items: &[(&str, &str, v1::item::Content)], cursor: &str) -> Told {
    let item = |(hlc, dot, content): &(&str, &str, v1::item::Content)| v1::Item {
        sender: UserId::new(PlacementId(1), 2).to_string(),
        message: MessageId(u128::from(hlc.bytes().fold(0_u64, |sum, b| sum * 31 + u64::from(b)))).to_string(),
        dot: (*dot).into(),
        hlc: (*hlc).into(),
        content: Some(content.clone()),
    };
    Told::Deliver(v1::Deliver {
        conversation: conversation(placement).to_string(),
        items: items.iter().map(item).collect(),
        cursor: cursor.to_owned().into(),
    })
}

pub fn post(seen: Option<&str>) -> v1::item::Content {
    let seen = seen.map(|dot| v1::Cut { dots: vec![dot.into()] });
    v1::item::Content::Post(v1::Post { body: "x".into(), seen, ..v1::Post::default() })
}
