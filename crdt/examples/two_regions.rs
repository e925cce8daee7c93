//! Two regions of one conversation that cannot hear each other, and what both show once they can: `cargo run -p crdt --example two_regions`.
//!
//! Each region holds a `Conversation` and a log, and issues operations on top of what it has applied. Nobody is asked for leave, and what is
//! handed over later is nothing but the operations: the digests are equal when the sets of operations are.

use crdt::amendments::AmendmentContent;
use crdt::operation::{Body, Draft, Post};
use crdt::{
    Conversation, ConversationId, Dot, Identity, Incarnation, Kind, MessageId, Operation, PlacementId,
    RegionId, ReplicaId, Timestamp, UserId,
};
use std::error::Error;

const PLACEMENT: PlacementId = PlacementId(1);

/// One region: its state of the conversation and its log, in the order in which it applied.
struct Region {
    id: ReplicaId,
    state: Conversation,
    log: Vec<Operation>,
    clock_ms: u64,
}

impl Region {
    fn new(region: u16, conversation: ConversationId, clock_ms: u64) -> Self {
        let id = ReplicaId { region: RegionId(region), incarnation: Incarnation(u64::from(region)) };
        Self { id, state: Conversation::new(conversation), log: Vec::new(), clock_ms }
    }

    /// Issues an operation: encoded and hashed once, applied here as everywhere.
    fn issue(&mut self, sender: UserId, message: MessageId, body: Body) -> Result<(), Box<dyn Error>> {
        self.clock_ms += 1_000;
        let hlc = Timestamp::issue(self.clock_ms, self.state.highest(), Timestamp::ZERO)?;
        let draft = Draft { conversation: self.state.id(), hlc, sender, message, body };
        // A real region draws the salt at random, so that the digest of an erased body says nothing.
        let (envelope, payload) = draft.seal([self.log.len() as u8; 16]);
        let dot = Dot { replica: self.id, sequence: self.state.cut().get(self.id).next() };
        self.take(Operation { dot, envelope, payload: Some(payload) })
    }

    fn take(&mut self, operation: Operation) -> Result<(), Box<dyn Error>> {
        self.state.apply(&operation)?;
        self.log.push(operation);
        Ok(())
    }

    /// Takes what it lacks of the other's log, in that log's order, so that causes come first.
    fn catch_up(&mut self, other: &Self) -> Result<(), Box<dyn Error>> {
        let lacks = |operation: &&Operation| !self.state.cut().covers(operation.dot);
        for operation in other.log.iter().filter(lacks).cloned().collect::<Vec<_>>() {
            self.take(operation)?;
        }
        Ok(())
    }

    fn print(&self) {
        println!(
            "{}: {} messages, digest {}",
            self.id,
            self.state.timeline().entries().count(),
            self.state.digest()
        );
        for (place, entry) in self.state.timeline().entries().filter(|(_, entry)| entry.kind == Kind::Post) {
            let amended = self.state.amendments_of(entry.identity);
            let edited = if amended.is_some_and(|it| it.edited().is_some()) { " (edited)" } else { "" };
            let reactions: String =
                amended.iter().flat_map(|it| it.reactions()).map(|(emoji, _)| emoji.as_str()).collect();
            println!("  {} by {}{edited} {reactions}", place.hlc, entry.identity.sender);
        }
    }
}

fn post(text: &'static str) -> Body {
    Body::Post(Post { body: text.into(), sent_at_ms: 0, reply_to: None, seen: None })
}

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let (ann, ben) = (UserId::new(PLACEMENT, 1), UserId::new(PLACEMENT, 2));
    let conversation = ConversationId::direct(PLACEMENT, ann, ben);
    // The second region's clock is five seconds behind.
    let mut here = Region::new(1, conversation, 1_732_500_005_000);
    let mut there = Region::new(2, conversation, 1_732_500_000_000);
    let message = |number| MessageId::new(1_732_500_000_000, number);
    let create =
        Body::Create { members: vec![ann, ben], name: String::new(), direct: true, shares: [].into() };
    here.issue(ann, message(1), create)?;
    here.issue(ann, message(2), post("are you there?"))?;
    there.catch_up(&here)?;

    // From here on they do not hear each other. Ann's client changes its mind about the region and sends message 4 to both.
    let question = Identity { sender: ann, message: message(2) };
    let amend = |content| Body::Amend { target: question, content };
    here.issue(
        ann,
        message(3),
        amend(AmendmentContent::Edit { body: "are you there, Ben?".into(), seen: None }),
    )?;
    here.issue(ann, message(4), post("hello?"))?;
    there.issue(ben, message(5), amend(AmendmentContent::React("👍".parse()?)))?;
    there.issue(ben, message(6), post("I am"))?;
    there.issue(ann, message(4), post("hello?"))?;
    println!("cut off from each other:");
    here.print();
    there.print();
    assert_ne!(here.state.digest(), there.state.digest());

    here.catch_up(&there)?;
    there.catch_up(&here)?;
    println!("and whole again:");
    here.print();
    there.print();
    assert_eq!(here.state.digest(), there.state.digest());
    assert_eq!(here.state.canonical_bytes(), there.state.canonical_bytes());
    let posts = here.state.timeline().entries().filter(|(_, entry)| entry.kind == Kind::Post);
    assert_eq!(posts.count(), 3, "what was sent to both is shown once");
    Ok(())
}
