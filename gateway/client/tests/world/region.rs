//! A region as the client sees it, slow and obvious: a log of entries, a table of identities, and sessions that stream the log.
//!
//! What must always hold: it keeps the promises of docs/protocol.md and no more. It answers in order, delivers in log order, and may
//! refuse any command for the moment.

use bytes::Bytes;
use crdt::{
    ConversationId, Cut, Dot, Incarnation, MessageId, RegionId, ReplicaId, Sequence, Timestamp, UserId,
};
use gateway_protocol::v1;
use gateway_protocol::v1::client_frame::Frame as Asked;
use gateway_protocol::v1::server_frame::Frame as Told;
use std::collections::BTreeMap;

/// Entries in a batch of catch-up, and such batches that may be unacknowledged.
const BATCH: usize = 2;
const UNACKNOWLEDGED: usize = 2;

#[derive(Debug, Clone)]
pub struct Entry {
    pub dot: Dot,
    pub hlc: Timestamp,
    pub sender: UserId,
    pub message: MessageId,
    pub body: Bytes,
    pub seen: Option<Cut>,
}

#[derive(Debug, Clone)]
pub struct Region {
    pub name: String,
    pub replica: ReplicaId,
    pub conversation: ConversationId,
    pub log: Vec<Entry>,
    pub applied: Cut,
    pub stable: Cut,
    pub highest: Timestamp,
    identities: BTreeMap<(UserId, MessageId), Dot>,
    sequence: u64,
    /// So many commands are refused for the moment.
    pub busy: usize,
    /// What users' devices have confirmed: (delivered, read).
    pub receipts: BTreeMap<UserId, (Cut, Cut)>,
}

/// One connection's other side.
#[derive(Debug, Clone, Default)]
pub struct Session {
    pub user: Option<UserId>,
    /// Streaming: what the device has been given, and up to where the log has been read.
    stream: Option<(Cut, Timestamp, usize)>,
    unacknowledged: usize,
    live: bool,
    told_stable: Cut,
    told_receipts: BTreeMap<UserId, (Cut, Cut)>,
}

impl Region {
    pub fn new(number: u16, conversation: ConversationId) -> Self {
        Self {
            name: format!("region-{number}"),
            replica: ReplicaId { region: RegionId(number), incarnation: Incarnation(1) },
            conversation,
            log: Vec::new(),
            applied: Cut::new(),
            stable: Cut::new(),
            highest: Timestamp::ZERO,
            identities: BTreeMap::new(),
            sequence: 0,
            busy: 0,
            receipts: BTreeMap::new(),
        }
    }

    pub fn apply(&mut self, entry: Entry) {
        if self.applied.covers(entry.dot) {
            return;
        }
        self.applied.raise(entry.dot);
        self.highest = self.highest.max(entry.hlc);
        self.identities.entry((entry.sender, entry.message)).or_insert(entry.dot);
        self.log.push(entry);
    }

    /// The store is put back to before its last own entries, of which nobody was given any. Their numbers are not given out again: what comes of that is for whoever judges dots.
    pub fn put_back(&mut self, count: usize, was_given: impl Fn(&Entry) -> bool) -> Vec<MessageId> {
        let mut lost = Vec::new();
        while lost.len() < count
            && self.log.last().is_some_and(|last| last.dot.replica == self.replica && !was_given(last))
        {
            let entry = self.log.pop().unwrap();
            self.identities.remove(&(entry.sender, entry.message));
            lost.push(entry.message);
        }
        self.applied = self.log.iter().map(|entry| entry.dot).collect();
        lost
    }

    /// Whether a message that another one is to stand after is not here.
    fn lacks(&self, sender: UserId, after: &str) -> bool {
        !after.is_empty() && !self.identities.contains_key(&(sender, after.parse().unwrap()))
    }

    fn post(&mut self, now_ms: u64, sender: UserId, send: &v1::Send) -> v1::Done {
        let message: MessageId = send.message.parse().unwrap();
        let (cut, highest) = read_cursor(&send.seen);
        let dot = *self
            .identities
            .get(&(sender, message))
            .unwrap_or(&Dot { replica: self.replica, sequence: Sequence(self.sequence + 1) });
        if !self.identities.contains_key(&(sender, message)) {
            self.sequence += 1;
            let hlc = Timestamp::issue(now_ms, self.highest, highest).unwrap();
            let seen = if self.applied.covers_all(&cut) { None } else { Some(cut) };
            self.apply(Entry { dot, hlc, sender, message, body: send.body.clone(), seen });
        }
        let hlc = self.log.iter().find(|entry| entry.dot == dot).unwrap().hlc;
        v1::Done {
            conversation: self.conversation.to_string(),
            command: send.message.clone(),
            dot: dot.to_string(),
            hlc: hlc.to_string(),
            ..v1::Done::default()
        }
    }

    /// Answers one frame.
    pub fn answer(
        &mut self,
        session: &mut Session,
        now_ms: u64,
        placements: &[v1::Placement],
        frame: v1::ClientFrame,
    ) -> Vec<v1::ServerFrame> {
        let request = frame.request;
        let told = match frame.frame.unwrap() {
            Asked::Hello(hello) => {
                session.user = Some(hello.token.parse().unwrap());
                Told::Welcome(v1::Welcome {
                    version: 1,
                    region: self.name.clone(),
                    region_id: self.replica.region.to_string(),
                    placements: placements.to_vec(),
                    ..v1::Welcome::default()
                })
            }
            Asked::Ping(_) => Told::Pong(v1::Pong::default()),
            Asked::Send(_) if self.busy > 0 => {
                self.busy -= 1;
                Told::Error(v1::Error {
                    code: "busy".into(),
                    temporary: true,
                    retry_after_ms: 50,
                    ..v1::Error::default()
                })
            }
            Asked::Send(send) if self.lacks(session.user.unwrap(), &send.after) => {
                Told::Error(v1::Error { code: "predecessor_missing".into(), ..v1::Error::default() })
            }
            Asked::Send(send) => Told::Done(self.post(now_ms, session.user.unwrap(), &send)),
            Asked::Sync(sync) => {
                let cursor = sync.cursors.first().cloned().unwrap_or_default();
                let (cut, highest) = read_cursor(&cursor);
                session.stream = Some((cut, highest, 0));
                session.unacknowledged = 0;
                session.live = false;
                Told::Done(v1::Done::default())
            }
            Asked::Acknowledge(acknowledge) => {
                session.unacknowledged = 0;
                let (cut, _) = read_cursor(&acknowledge.cursor);
                self.receipts.entry(session.user.unwrap()).or_default().0.join(&cut);
                Told::Done(v1::Done::default())
            }
            Asked::Read(read) => {
                let (cut, _) = read_cursor(&read.cursor);
                let receipt = self.receipts.entry(session.user.unwrap()).or_default();
                receipt.0.join(&cut);
                receipt.1.join(&cut);
                Told::Done(v1::Done::default())
            }
            Asked::GetReceipts(_) => Told::Receipts(self.receipts_frame()),
            other => panic!("the storm asks for nothing else: {other:?}"),
        };
        vec![v1::ServerFrame { request, frame: Some(told) }]
    }

    fn receipts_frame(&self) -> v1::Receipts {
        let write = |cut: &Cut| Some(v1::Cut { dots: cut.iter().map(|dot| dot.to_string()).collect() });
        let receipts = self.receipts.iter().map(|(user, (delivered, read))| v1::Receipt {
            user: user.to_string(),
            device: "d0000000000000001".into(),
            delivered: write(delivered),
            read: write(read),
        });
        v1::Receipts {
            conversation: self.conversation.to_string(),
            receipts: receipts.collect(),
            ..v1::Receipts::default()
        }
    }

    /// What a session sends by itself now.
    pub fn stream(&self, session: &mut Session) -> Vec<v1::ServerFrame> {
        let mut frames = Vec::new();
        let conversation = self.conversation.to_string();
        let Some((cut, highest, position)) = &mut session.stream else { return Vec::new() };
        while *position < self.log.len() && (session.live || session.unacknowledged < UNACKNOWLEDGED) {
            let mut items = Vec::new();
            while let Some(entry) = self.log.get(*position).filter(|_| items.len() < BATCH) {
                *position += 1;
                if !cut.covers(entry.dot) {
                    cut.raise(entry.dot);
                    *highest = (*highest).max(entry.hlc);
                    items.push(write_item(entry));
                }
            }
            if !items.is_empty() {
                session.unacknowledged += 1;
                let cursor = write_cursor(cut, *highest);
                let conversation = conversation.clone();
                frames.push(Told::Deliver(v1::Deliver { conversation, items, cursor }));
            }
        }
        if !session.live && *position == self.log.len() {
            session.live = true;
            frames.push(Told::CaughtUp(v1::CaughtUp { conversation: conversation.clone(), expired: None }));
        }
        if session.live && session.told_stable != self.stable {
            session.told_stable.clone_from(&self.stable);
            let dots = self.stable.iter().map(|dot| dot.to_string()).collect();
            frames.push(Told::Stable(v1::Stable { conversation, cut: Some(v1::Cut { dots }) }));
        }
        if session.live && session.told_receipts != self.receipts {
            session.told_receipts.clone_from(&self.receipts);
            frames.push(Told::Receipts(self.receipts_frame()));
        }
        frames.into_iter().map(|frame| v1::ServerFrame { request: 0, frame: Some(frame) }).collect()
    }
}

fn write_item(entry: &Entry) -> v1::Item {
    let seen = entry.seen.as_ref();
    v1::Item {
        sender: entry.sender.to_string(),
        message: entry.message.to_string(),
        dot: entry.dot.to_string(),
        hlc: entry.hlc.to_string(),
        content: Some(v1::item::Content::Post(v1::Post {
            body: entry.body.clone(),
            seen: seen.map(|cut| v1::Cut { dots: cut.iter().map(|dot| dot.to_string()).collect() }),
            ..v1::Post::default()
        })),
    }
}

/// Cursors of this world are readable; the client must not care.
fn write_cursor(cut: &Cut, highest: Timestamp) -> Bytes {
    let dots: Vec<String> = cut.iter().map(|dot| dot.to_string()).collect();
    format!("{highest}|{}", dots.join(" ")).into()
}

fn read_cursor(cursor: &Bytes) -> (Cut, Timestamp) {
    let Some((highest, dots)) = std::str::from_utf8(cursor).unwrap().split_once('|') else {
        return (Cut::new(), Timestamp::ZERO);
    };
    (dots.split_whitespace().map(|dot| dot.parse::<Dot>().unwrap()).collect(), highest.parse().unwrap())
}
