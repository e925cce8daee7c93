//! A region of plain lists, and one device's session at it, for the tests of the session core.
//!
//! Its faults: reads are answered when the test says so, with what the lists held when they were run; changes wait in a queue
//! and can be dropped (then `Missed` is given, as a driver must). It never invents, reorders or repeats.

#![allow(clippy::unwrap_used, dead_code, missing_debug_implementations, unreachable_pub)]

use crdt::{
    ConversationId, Cut, DeviceId, Dot, Incarnation, MessageId, Now, PlacementId, RegionId, ReplicaId,
    Sequence, Timestamp, UserId, VersionVector,
};
use expect_test::Expect;
use gateway::cursor::{CursorKey, CursorKeys};
use gateway::input::Identity;
use gateway::query::{Answer, Query, QueryId};
use gateway::site::{HeldPlacement, Progress};
use gateway::{Input, Output, Session, SharedDelivery, Site};
use gateway_protocol::v1::client_frame::Frame as Ask;
use gateway_protocol::v1::server_frame::Frame;
use gateway_protocol::v1::{self, ClientFrame};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng as _;
use region::command::Placements;
use region::item::{ArrivalNumber, Became, Change, Content, Item};
use region::limits::CHANGES_LOOKED_AT_MAX;
use region::membership::View;
use region::read::{Changes, DocumentRead, Membership, PageFrom};
use region::store::StoreError;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::sync::Arc;

pub const PLACEMENT: PlacementId = PlacementId(1);
pub const USER: UserId = UserId::new(PLACEMENT, 1);
pub const OTHER: UserId = UserId::new(PLACEMENT, 2);
pub const DEVICE: DeviceId = DeviceId(1);

pub fn replica(region: u16) -> ReplicaId {
    ReplicaId { region: RegionId(region), incarnation: Incarnation(1) }
}

pub fn conversation(number: u128) -> ConversationId {
    ConversationId::group(PLACEMENT, number)
}

pub fn dot(region: u16, sequence: u64) -> Dot {
    Dot { replica: replica(region), sequence: Sequence(sequence) }
}

pub fn site(region: u16) -> Arc<Site> {
    site_of(region, &[PLACEMENT])
}

/// A region with a part in those placements.
pub fn site_of(region: u16, placements: &[PlacementId]) -> Arc<Site> {
    let keys = || CursorKeys { current: CursorKey::new(1, "test", &[1; 32]), previous: None };
    let held = |id: &PlacementId| (*id, HeldPlacement { replica: replica(region), keys: keys() });
    Arc::new(Site {
        cluster: "test".into(),
        region: format!("region-{region}"),
        placements: placements.iter().map(held).collect(),
        directory: BTreeMap::new(),
    })
}

/// What a region holds.
pub struct Island {
    pub region: u16,
    pub site: Arc<Site>,
    pub entries: BTreeMap<ConversationId, Vec<Item>>,
    pub members: BTreeMap<ConversationId, BTreeSet<UserId>>,
    pub stable: VersionVector,
    /// The document of every conversation.
    pub document: Option<DocumentRead>,
    /// What it keeps no longer.
    pub expired: BTreeSet<Dot>,
    /// How many entries a read of changes looks at.
    pub looked_at_max: usize,
    /// What [`USER`] has hidden, in every conversation.
    pub hidden: BTreeSet<crdt::Identity>,
    issued: u64,
}

impl Island {
    pub fn new(region: u16) -> Self {
        Self {
            region,
            site: site(region),
            entries: BTreeMap::new(),
            members: BTreeMap::new(),
            stable: VersionVector::new(),
            document: None,
            expired: BTreeSet::new(),
            looked_at_max: CHANGES_LOOKED_AT_MAX,
            hidden: BTreeSet::new(),
            issued: 0,
        }
    }

    /// The first region, where [`USER`] has a conversation and nothing was written in it.
    pub fn begun() -> Self {
        let mut island = Self::new(1);
        island.begin(conversation(1));
        island
    }

    pub fn begin(&mut self, conversation: ConversationId) {
        self.members.entry(conversation).or_default().insert(USER);
        self.entries.entry(conversation).or_default();
    }

    /// A post by that user at this region.
    pub fn post(&mut self, conversation: ConversationId, sender: UserId, body: usize) -> Change {
        self.issued += 1;
        let item = item(sender, dot(self.region, self.issued), Timestamp(self.issued), body);
        self.apply(conversation, item)
    }

    /// An entry that arrives here, from wherever.
    pub fn apply(&mut self, conversation: ConversationId, item: Item) -> Change {
        let entries = self.entries.entry(conversation).or_default();
        entries.push(item.clone());
        Change {
            conversation,
            arrival: ArrivalNumber(entries.len() as u64),
            cut: Arc::new(entries.iter().map(|entry| entry.dot).collect()),
            highest: entries.iter().map(|entry| entry.hlc).max().unwrap(),
            hidden_from: self.is_hidden(&item).then_some(USER).into_iter().collect(),
            item: Arc::new(item),
        }
    }

    fn is_hidden(&self, item: &Item) -> bool {
        item.message_of().is_some_and(|message| self.hidden.contains(&message))
    }

    pub fn answer(&self, query: &Query) -> Answer {
        match query {
            Query::Memberships { user, .. } => {
                let mine = self.members.iter().filter(|(_, members)| members.contains(user));
                Answer::Memberships(
                    mine.map(|(conversation, _)| Membership {
                        conversation: *conversation,
                        arrival: ArrivalNumber(self.entries[conversation].len() as u64),
                        highest: self.entries[conversation].last().map_or(Timestamp::ZERO, |item| item.hlc),
                    })
                    .collect(),
                )
            }
            Query::Changes { conversation, user, standing, limit } => {
                if !self.members.get(conversation).is_some_and(|members| members.contains(user)) {
                    let held: Cut =
                        self.entries.get(conversation).into_iter().flatten().map(|entry| entry.dot).collect();
                    let is_given = !standing.cut.is_empty() && held.covers_all(&standing.cut);
                    return if is_given { Answer::Ended } else { Answer::Changes(None) };
                }
                let entries = &self.entries[conversation];
                let (mut cut, mut expired): (Cut, Cut) = (standing.cut.clone(), Cut::new());
                let mut highest = standing.highest;
                let mut through = standing.after;
                let (mut items, mut looked_at) = (Vec::new(), 0);
                for (index, item) in entries.iter().enumerate() {
                    let arrival = ArrivalNumber(index as u64 + 1);
                    if arrival <= standing.after {
                        continue;
                    }
                    if items.len() == *limit || looked_at == self.looked_at_max {
                        break;
                    }
                    looked_at += 1;
                    through = arrival;
                    cut.raise(item.dot);
                    highest = highest.max(item.hlc);
                    if self.expired.contains(&item.dot) {
                        expired.raise(item.dot);
                    } else if !standing.cut.covers(item.dot) {
                        let is_hidden = self.is_hidden(item);
                        items.push((arrival, if is_hidden { item.withheld() } else { item.clone() }));
                    }
                }
                let end = ArrivalNumber(entries.len() as u64);
                let hidden = self.hidden.clone();
                let changes = Changes { items, through, cut, expired, highest, end, hidden };
                Answer::Changes(Some((changes, self.stable.clone())))
            }
            Query::Page { conversation, from, limit, .. } => {
                let entries = self.entries.get(conversation);
                Answer::Page(entries.map(|items| page(items, *from, *limit)))
            }
            Query::List { .. } => Answer::List(Vec::new()),
            Query::Stable { .. } => Answer::Stable(self.stable.clone()),
            Query::Document { .. } => Answer::Document(self.document.clone()),
            Query::Receipts { .. } => Answer::Receipts(Some(Vec::new())),
        }
    }
}

/// Entries in the display order, nearest to where the page begins.
fn page(entries: &[Item], from: PageFrom, limit: usize) -> Vec<Item> {
    let mut items = entries.to_vec();
    items.sort_by_key(|item| (item.hlc, item.dot));
    match from {
        PageFrom::Newest => {}
        PageFrom::Before(hlc, dot) => items.retain(|item| (item.hlc, item.dot) < (hlc, dot)),
        PageFrom::After(hlc, dot) => {
            items.retain(|item| (item.hlc, item.dot) > (hlc, dot));
            items.truncate(limit);
        }
    }
    items.split_off(items.len().saturating_sub(limit))
}

pub fn item(sender: UserId, dot: Dot, hlc: Timestamp, body: usize) -> Item {
    Item {
        sender,
        message: MessageId(u128::from(dot.sequence.0)),
        dot,
        hlc,
        content: Content::Post {
            body: vec![b'x'; body].into(),
            sent_at_ms: 0,
            reply_to: None,
            seen: None,
            became: Became::default(),
        },
    }
}

/// One device at an island: its session, and what is under way between the two.
pub struct Device {
    pub session: Session,
    pub now: Now,
    entropy: ChaCha8Rng,
    pub transcript: String,
    /// Answers and refusals, in order.
    pub answers: Vec<Frame>,
    pub subscribed: BTreeSet<ConversationId>,
    pub queries: VecDeque<(QueryId, Query)>,
    /// Read, but not handed over yet.
    pub reads: VecDeque<(QueryId, Answer)>,
    /// Released, but not handed over yet.
    pub changes: VecDeque<Arc<SharedDelivery>>,
    pub shown: BTreeMap<ConversationId, Vec<Dot>>,
    pub cursors: BTreeMap<ConversationId, bytes::Bytes>,
    pub unacknowledged: VecDeque<bytes::Bytes>,
    pub live: BTreeSet<ConversationId>,
    pub behind: BTreeSet<ConversationId>,
    pub closed: Option<&'static str>,
    pub batch_items_max: usize,
    /// Of the last message that was done.
    pub acceptance: bytes::Bytes,
    /// Tickets that were submitted.
    pub tickets: Vec<region::shard::Ticket>,
    /// Where frames were shared, the delivery they came in.
    pub shared: usize,
    /// Items that came withheld.
    pub withheld: Vec<Dot>,
}

impl Device {
    pub fn connect(site: &Arc<Site>) -> Self {
        Self::connect_to(site, BTreeSet::new())
    }

    /// To a region that is behind in those placements.
    pub fn connect_to(site: &Arc<Site>, behind: BTreeSet<PlacementId>) -> Self {
        let (epochs, behind, view) = (&Placements::default(), &behind, &View::default());
        let progress = Progress { epochs, behind, view };
        let now = Now(1_000_000_000);
        let (session, out) = Session::open(Arc::clone(site), progress, now);
        let mut device = Self {
            session,
            now,
            entropy: ChaCha8Rng::seed_from_u64(1),
            transcript: String::new(),
            answers: Vec::new(),
            subscribed: BTreeSet::new(),
            queries: VecDeque::new(),
            reads: VecDeque::new(),
            changes: VecDeque::new(),
            shown: BTreeMap::new(),
            cursors: BTreeMap::new(),
            unacknowledged: VecDeque::new(),
            live: BTreeSet::new(),
            behind: BTreeSet::new(),
            closed: None,
            batch_items_max: 0,
            acceptance: bytes::Bytes::new(),
            tickets: Vec::new(),
            shared: 0,
            withheld: Vec::new(),
        };
        device.carry_out(out);
        device
    }

    /// Says hello and has its token found good.
    pub fn welcomed(site: &Arc<Site>) -> Self {
        let mut device = Self::connect(site);
        device.say(hello());
        device.authenticate(USER, DEVICE);
        device
    }

    /// Is live in all that its user has there.
    pub fn synced(island: &Island) -> Self {
        let mut device = Self::welcomed(&island.site);
        device.sync_all();
        device.settle(island);
        device
    }

    pub fn authenticate(&mut self, user: UserId, device: DeviceId) {
        let expires = self.now.plus_ms(3_600_000);
        self.step(Input::Authenticated(Ok(Identity { user, device, expires })));
    }

    pub fn say(&mut self, frame: Ask) {
        self.step(Input::Frame(Ok(ClientFrame { request: 7, frame: Some(frame) })));
    }

    pub fn step(&mut self, input: Input) {
        let label = match &input {
            Input::Frame(Ok(frame)) => {
                let name = format!("{:?}", frame.frame.as_ref().unwrap());
                format!("client {}", name.split('(').next().unwrap())
            }
            Input::Frame(Err(error)) => format!("client {}", error.code()),
            Input::Authenticated(result) => format!("token {}", if result.is_ok() { "good" } else { "bad" }),
            Input::Answered { ticket, result } => format!("answered {}: {}", ticket.0, result.is_ok()),
            Input::Read { query, .. } => format!("read {}", query.0),
            Input::Changed(delivery) => format!("changed {}", delivery.change().arrival.0),
            Input::Hidden { message, .. } => format!("hidden {}", message.message),
            Input::Membership { member, .. } => format!("membership {member}"),
            Input::Receipt { device, .. } => format!("receipt of {device}"),
            Input::Stable { .. } => "stable".into(),
            Input::Missed => "missed".into(),
            Input::Unsent(bytes) => format!("unsent {bytes}"),
            Input::Timer => format!("timer at {} ms", self.now.ms()),
            Input::Drain(_) => "drain".into(),
        };
        writeln!(self.transcript, "{label}").unwrap();
        let out = self.session.step(self.now, &mut self.entropy, input);
        self.carry_out(out);
    }

    fn carry_out(&mut self, out: Vec<Output>) {
        for output in out {
            assert!(self.closed.is_none(), "nothing follows a close");
            writeln!(self.transcript, "    {output}").unwrap();
            match output {
                Output::Send(frame) => self.hear(frame.frame.unwrap()),
                Output::Deliver(delivery) => {
                    self.shared += 1;
                    self.hear(delivery.frame().frame.clone().unwrap());
                }
                Output::Subscribe { conversation, on: true } => {
                    assert!(self.subscribed.insert(conversation));
                }
                Output::Subscribe { conversation, on: false } => {
                    assert!(self.subscribed.remove(&conversation));
                }
                Output::Query { id, query } => self.queries.push_back((id, query)),
                Output::Close(code) => self.closed = Some(code),
                Output::Submit { ticket, .. } => self.tickets.push(ticket),
                Output::Authenticate(_)
                | Output::WatchTicks { .. }
                | Output::WatchUser(_)
                | Output::SetTimer(_) => {}
            }
        }
    }

    fn hear(&mut self, frame: Frame) {
        match frame {
            Frame::Deliver(v1::Deliver { conversation, items, cursor }) => {
                self.batch_items_max = self.batch_items_max.max(items.len());
                let conversation = conversation.parse().unwrap();
                assert!(!items.is_empty(), "an empty delivery");
                let withheld =
                    |item: &&v1::Item| matches!(item.content, Some(v1::item::Content::Withheld(_)));
                self.withheld
                    .extend(items.iter().filter(withheld).map(|item| item.dot.parse::<Dot>().unwrap()));
                self.shown
                    .entry(conversation)
                    .or_default()
                    .extend(items.iter().map(|item| item.dot.parse::<Dot>().unwrap()));
                self.cursors.insert(conversation, cursor.clone());
                self.unacknowledged.push_back(cursor);
            }
            Frame::Done(v1::Done { acceptance, .. }) => self.acceptance = acceptance,
            Frame::CaughtUp(v1::CaughtUp { conversation, .. }) => {
                self.live.insert(conversation.parse().unwrap());
            }
            Frame::Behind(v1::Behind { conversations }) => {
                for conversation in conversations {
                    self.live.remove(&conversation.parse().unwrap());
                    self.behind.insert(conversation.parse().unwrap());
                }
            }
            other => self.answers.push(other),
        }
    }

    /// The island released a change.
    pub fn release(&mut self, change: &Change, site: &Site) {
        if self.subscribed.contains(&change.conversation) {
            let placement = &site.placements[&PLACEMENT];
            self.changes.push_back(SharedDelivery::new(change.clone(), placement));
        }
    }

    /// Runs the oldest query on what the island holds now.
    pub fn run_query(&mut self, island: &Island) -> bool {
        let Some((id, query)) = self.queries.pop_front() else { return false };
        self.reads.push_back((id, island.answer(&query)));
        true
    }

    /// The oldest query cannot be run: the disk fails.
    pub fn fail_query(&mut self) {
        let (query, _) = self.queries.pop_front().unwrap();
        let failed =
            StoreError::Failed { store: "p1".into(), call: "get", reason: "Input/output error".into() };
        self.step(Input::Read { query, result: Err(failed) });
    }

    pub fn hand_over_read(&mut self) -> bool {
        let Some((query, answer)) = self.reads.pop_front() else { return false };
        self.step(Input::Read { query, result: Ok(answer) });
        true
    }

    pub fn hand_over_change(&mut self) -> bool {
        let Some(delivery) = self.changes.pop_front() else { return false };
        if self.subscribed.contains(&delivery.change().conversation) {
            self.step(Input::Changed(delivery));
        }
        true
    }

    /// Runs the oldest query, and hands over the oldest answer.
    pub fn read(&mut self, island: &Island) {
        self.run_query(island);
        self.hand_over_read();
    }

    /// A change is released, and the oldest one that was is handed over.
    pub fn hear_of(&mut self, change: &Change, site: &Site) {
        self.release(change, site);
        self.hand_over_change();
    }

    pub fn acknowledge(&mut self) -> bool {
        let Some(cursor) = self.unacknowledged.pop_front() else { return false };
        self.say(Ask::Acknowledge(v1::Acknowledge { cursor }));
        self.answer_receipts();
        true
    }

    /// Everything that was given is read; whether there was any.
    pub fn mark_read(&mut self) -> bool {
        let Some(cursor) = self.unacknowledged.drain(..).next_back() else { return false };
        self.say(Ask::Read(v1::Read { cursor, quiet: false }));
        self.answer_receipts();
        true
    }

    fn answer_receipts(&mut self) {
        for ticket in std::mem::take(&mut self.tickets) {
            self.step(Input::Answered { ticket, result: Ok(region::command::Done::Receipt) });
        }
    }

    pub fn sync_all(&mut self) {
        let cursors = self.cursors.values().cloned().collect();
        self.say(Ask::Sync(v1::Sync { cursors, ..v1::Sync::default() }));
    }

    pub fn sync_behind(&mut self) {
        let conversations: Vec<ConversationId> = std::mem::take(&mut self.behind).into_iter().collect();
        let cursors = conversations.iter().filter_map(|id| self.cursors.get(id).cloned()).collect();
        let conversations = conversations.iter().map(ToString::to_string).collect();
        self.say(Ask::Sync(v1::Sync { cursors, conversations, ..v1::Sync::default() }));
    }

    /// Everything under way comes to its end, and the device reads and acknowledges all.
    pub fn settle(&mut self, island: &Island) {
        self.step(Input::Unsent(0));
        loop {
            let mut busy = self.run_query(island);
            busy |= self.hand_over_read();
            busy |= self.hand_over_change();
            busy |= self.acknowledge();
            if !self.behind.is_empty() {
                self.sync_behind();
                busy = true;
            }
            if !busy {
                return;
            }
        }
    }
}

pub fn hello() -> Ask {
    Ask::Hello(v1::Hello { token: "t".into(), version_min: 1, version_max: 1, client: "test 1".into() })
}

pub fn check(device: &Device, expected: &Expect) {
    expected.assert_eq(&device.transcript);
}

/// Forgets what led here, to show what follows alone.
pub fn from_here(device: &mut Device) {
    device.transcript.clear();
}

pub fn send(cursor: &[u8]) -> Ask {
    Ask::Send(v1::Send {
        conversation: conversation(1).to_string(),
        message: MessageId::new(1, 1).to_string(),
        body: "hi".into(),
        seen: cursor.to_vec().into(),
        ..v1::Send::default()
    })
}
