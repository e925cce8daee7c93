//! From shards to sessions: who is to be told of what, and the one task that tells them.
//!
//! What must always hold:
//! - [`FanOut::release`](region_rocks::handle::DeviceEffects::release) returns at once: it moves effects into one queue bounded by bytes.
//! - A subscription is in effect when the call that makes it returns: every effect that is fanned out later reaches it, and
//!   every effect fanned out before was durable before.
//! - A change is turned into a delivery once, and encoded once a subprotocol, however many sessions get it.

use crate::inbox::{Event, Inbox};
use crate::limits;
use crate::metrics::Metrics;
use crdt::{ConversationId, PartitionId, PlacementId, UserId};
use gateway::input::Redirect;
use gateway::{SharedDelivery, Site};
use region::item::Content;
use region::shard::Effect;
use region_rocks::handle::DeviceEffects;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// A session among those of this gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SessionKey(u64);

type Inboxes = BTreeMap<SessionKey, Arc<Inbox>>;

#[derive(Debug, Default)]
struct Tables {
    sessions: Inboxes,
    conversations: HashMap<ConversationId, Inboxes>,
    users: HashMap<UserId, Inboxes>,
    ticks: HashMap<ConversationId, Inboxes>,
    /// The same as `ticks`, counted by partition.
    stability: HashMap<PartitionId, BTreeMap<SessionKey, (usize, Arc<Inbox>)>>,
}

#[derive(Debug, Default)]
struct Released {
    effects: VecDeque<Effect>,
    bytes: usize,
    overflowed: bool,
}

/// The table of who is told what, and the queue of what is to be told.
#[derive(Debug)]
pub(crate) struct FanOut {
    site: Arc<Site>,
    metrics: Arc<Metrics>,
    next: AtomicU64,
    tables: Mutex<Tables>,
    released: Mutex<Released>,
    filled: Notify,
}

/// What shards hold of it.
#[derive(Debug)]
pub(crate) struct Releases(pub(crate) Arc<FanOut>);

impl DeviceEffects for Releases {
    fn release(&self, _: PlacementId, effects: Vec<Effect>) {
        self.0.take_in(effects);
    }

    fn connected(&self) -> usize {
        self.0.sessions()
    }
}

impl FanOut {
    pub(crate) fn new(site: Arc<Site>, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            site,
            metrics,
            next: AtomicU64::new(0),
            tables: Mutex::default(),
            released: Mutex::default(),
            filled: Notify::new(),
        })
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        // Plain maps: a panic elsewhere leaves them whole.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_in(&self, effects: Vec<Effect>) {
        {
            let mut released = self.released.lock().unwrap_or_else(PoisonError::into_inner);
            for effect in effects {
                let bytes = weight(&effect);
                if released.bytes + bytes > limits::FAN_OUT_BYTES_MAX {
                    released.overflowed = true;
                    break;
                }
                released.bytes += bytes;
                released.effects.push_back(effect);
            }
        }
        self.filled.notify_one();
    }

    /// Tells sessions what shards release, for ever.
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            self.filled.notified().await;
            let Released { effects, overflowed, .. } =
                std::mem::take(&mut *self.released.lock().unwrap_or_else(PoisonError::into_inner));
            for effect in effects {
                self.tell(effect);
            }
            if overflowed {
                self.metrics.fan_out_overflows.inc();
                self.tell_all(&Event::Missed);
            }
        }
    }

    fn tell(&self, effect: Effect) {
        let tables = self.tables();
        match effect {
            Effect::Changed(change) => {
                let Some(inboxes) = tables.conversations.get(&change.conversation) else { return };
                let Ok(placement) = self.site.held(change.conversation) else { return };
                let delivery = SharedDelivery::new(change, placement);
                self.metrics.deliveries_encoded.inc();
                self.put_all(inboxes.values(), &Event::Changed(delivery));
            }
            Effect::Membership { conversation, user, member } => {
                let Some(inboxes) = tables.users.get(&user) else { return };
                self.put_all(inboxes.values(), &Event::Membership { conversation, member });
            }
            Effect::Hidden { conversation, user, message } => {
                let Some(inboxes) = tables.users.get(&user) else { return };
                self.put_all(inboxes.values(), &Event::Hidden { conversation, message });
            }
            Effect::Receipt { conversation, user, device, delivered, read } => {
                let Some(inboxes) = tables.ticks.get(&conversation) else { return };
                let (delivered, read) = (Arc::new(delivered), Arc::new(read));
                let event = Event::Receipt { conversation, user, device, delivered, read };
                self.put_all(inboxes.values(), &event);
            }
            Effect::Stable { partition, cut } => {
                let Some(inboxes) = tables.stability.get(&partition) else { return };
                let event = Event::Stable { partition, cut: Arc::new(cut) };
                self.put_all(inboxes.values().map(|(_, inbox)| inbox), &event);
            }
            // For the driver of the region; shards hand devices the effects above alone.
            Effect::Reply { .. }
            | Effect::Advanced { .. }
            | Effect::Epoch(_)
            | Effect::EpochRefused(_)
            | Effect::CaughtUp
            | Effect::PinBroken { .. }
            | Effect::AnotherHistory { .. }
            | Effect::BehindFold { .. }
            | Effect::Compact(_)
            | Effect::Expired { .. }
            | Effect::Operated { .. }
            | Effect::RegisterKeptOut { .. }
            | Effect::NoRight { .. }
            | Effect::DocumentChangeKeptOut { .. }
            | Effect::Refused { .. } => {}
        }
    }

    fn put_all<'a>(&self, inboxes: impl Iterator<Item = &'a Arc<Inbox>>, event: &Event) {
        for inbox in inboxes {
            if inbox.put(event.clone()) {
                self.metrics.inbox_overflows.inc();
            }
        }
    }

    fn tell_all(&self, event: &Event) {
        self.put_all(self.tables().sessions.values(), event);
    }

    /// Tells every session that the region is shutting down.
    pub(crate) fn drain(&self, redirect: Option<Redirect>) {
        self.tell_all(&Event::Drain(redirect));
    }

    /// How many sessions there are.
    pub(crate) fn sessions(&self) -> usize {
        self.tables().sessions.len()
    }

    /// A new session.
    pub(crate) fn enter(self: &Arc<Self>) -> Entry {
        let key = SessionKey(self.next.fetch_add(1, Ordering::Relaxed));
        let inbox = Arc::new(Inbox::default());
        self.tables().sessions.insert(key, Arc::clone(&inbox));
        Entry {
            fan_out: Arc::clone(self),
            key,
            inbox,
            subscribed: Vec::new(),
            watched: Vec::new(),
            user: None,
        }
    }
}

/// What an effect holds in memory, roughly.
fn weight(effect: &Effect) -> usize {
    let body = if let Effect::Changed(change) = effect {
        match &change.item.content {
            Content::Post { body, .. } | Content::Edited { body, .. } => body.len(),
            _ => 0,
        }
    } else {
        0
    };
    body + 512
}

/// One session's place in the tables; leaves them when dropped.
#[derive(Debug)]
pub(crate) struct Entry {
    fan_out: Arc<FanOut>,
    key: SessionKey,
    pub(crate) inbox: Arc<Inbox>,
    subscribed: Vec<ConversationId>,
    watched: Vec<ConversationId>,
    user: Option<UserId>,
}

impl Entry {
    pub(crate) fn subscribe(&mut self, conversation: ConversationId, on: bool) {
        let mut tables = self.fan_out.tables();
        if on {
            let inboxes = tables.conversations.entry(conversation).or_default();
            inboxes.insert(self.key, Arc::clone(&self.inbox));
            self.subscribed.push(conversation);
        } else {
            remove(&mut tables.conversations, conversation, self.key);
            self.subscribed.retain(|subscribed| *subscribed != conversation);
        }
    }

    pub(crate) fn watch_ticks(&mut self, conversation: ConversationId, on: bool) {
        let mut tables = self.fan_out.tables();
        if on {
            tables.ticks.entry(conversation).or_default().insert(self.key, Arc::clone(&self.inbox));
            let sessions = tables.stability.entry(conversation.partition()).or_default();
            sessions.entry(self.key).or_insert_with(|| (0, Arc::clone(&self.inbox))).0 += 1;
            self.watched.push(conversation);
        } else {
            unwatch(&mut tables, conversation, self.key);
            self.watched.retain(|watched| *watched != conversation);
        }
    }

    pub(crate) fn watch_user(&mut self, user: UserId) {
        self.fan_out.tables().users.entry(user).or_default().insert(self.key, Arc::clone(&self.inbox));
        self.user = Some(user);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut tables = self.fan_out.tables();
        tables.sessions.remove(&self.key);
        for conversation in &self.subscribed {
            remove(&mut tables.conversations, *conversation, self.key);
        }
        for conversation in &self.watched {
            unwatch(&mut tables, *conversation, self.key);
        }
        if let Some(user) = self.user {
            remove(&mut tables.users, user, self.key);
        }
    }
}

fn remove<K: Hash + Eq>(table: &mut HashMap<K, Inboxes>, of: K, key: SessionKey) {
    if let Some(inboxes) = table.get_mut(&of) {
        inboxes.remove(&key);
        if inboxes.is_empty() {
            table.remove(&of);
        }
    }
}

fn unwatch(tables: &mut Tables, conversation: ConversationId, key: SessionKey) {
    remove(&mut tables.ticks, conversation, key);
    let partition = conversation.partition();
    let Some(sessions) = tables.stability.get_mut(&partition) else { return };
    if let Some((count, _)) = sessions.get_mut(&key) {
        *count -= 1;
        if *count == 0 {
            sessions.remove(&key);
        }
    }
    if sessions.is_empty() {
        tables.stability.remove(&partition);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crdt::{Cut, Dot, Incarnation, MessageId, RegionId, ReplicaId, Sequence, Timestamp};
    use gateway::cursor::{CursorKey, CursorKeys};
    use gateway::site::HeldPlacement;
    use gateway_protocol::Subprotocol;
    use region::item::{ArrivalNumber, Became, Change, Item};

    const TALK: ConversationId = ConversationId::group(PlacementId(1), 1);

    fn fan_out() -> Arc<FanOut> {
        let replica = ReplicaId { region: RegionId(1), incarnation: Incarnation(1) };
        let keys = CursorKeys { current: CursorKey::new(1, "test", &[1; 32]), previous: None };
        let site = Site {
            cluster: "test".into(),
            region: "here".into(),
            placements: [(PlacementId(1), HeldPlacement { replica, keys })].into(),
            directory: BTreeMap::new(),
        };
        FanOut::new(Arc::new(site), Arc::default())
    }

    fn change(arrival: u64, body: usize) -> Effect {
        let replica = ReplicaId { region: RegionId(1), incarnation: Incarnation(1) };
        let body = vec![b'x'; body].into();
        let item = Item {
            sender: UserId(1),
            message: MessageId(1),
            dot: Dot { replica, sequence: Sequence(arrival) },
            hlc: Timestamp(arrival),
            content: Content::Post {
                body,
                sent_at_ms: 0,
                reply_to: None,
                seen: None,
                became: Became::default(),
            },
        };
        Effect::Changed(Change {
            conversation: TALK,
            arrival: ArrivalNumber(arrival),
            cut: Arc::new(Cut::new()),
            highest: Timestamp(arrival),
            item: Arc::new(item),
            hidden_from: [].into(),
        })
    }

    #[test]
    fn a_change_is_encoded_once_for_a_group_of_a_thousand() {
        let fan_out = fan_out();
        let mut entries: Vec<Entry> = (0..1_000).map(|_| fan_out.enter()).collect();
        for entry in &mut entries {
            entry.subscribe(TALK, true);
        }
        fan_out.tell(change(1, 100));
        assert_eq!(fan_out.metrics.deliveries_encoded.get(), 1);
        let encoded = |entry: &Entry| match entry.inbox.take().pop_front() {
            Some(Event::Changed(delivery)) => delivery.payload(Subprotocol::Json).bytes().as_ptr(),
            other => panic!("{other:?}"),
        };
        let first = encoded(&entries[0]);
        assert!(entries[1..].iter().all(|entry| encoded(entry) == first), "all share the same bytes");
        drop(entries);
        let tables = fan_out.tables();
        assert!(
            tables.sessions.is_empty() && tables.conversations.is_empty(),
            "nothing is left of those that went"
        );
    }

    #[tokio::test]
    async fn a_flood_of_effects_is_bounded_by_bytes_and_every_session_is_told() {
        let fan_out = fan_out();
        let entry = fan_out.enter();
        let flood = limits::FAN_OUT_BYTES_MAX / 60_000 + 10;
        for arrival in 0..flood as u64 {
            fan_out.take_in(vec![change(arrival, 60_000)]);
        }
        let held = fan_out.released.lock().unwrap().bytes;
        assert!(held <= limits::FAN_OUT_BYTES_MAX);
        let task = tokio::spawn(Arc::clone(&fan_out).run());
        entry.inbox.filled().await;
        task.abort();
        assert!(matches!(entry.inbox.take().pop_back(), Some(Event::Missed)));
    }

    #[test]
    fn ticks_reach_those_who_watch_until_they_no_longer_do() {
        let fan_out = fan_out();
        let mut entry = fan_out.enter();
        let stable = || Effect::Stable { partition: TALK.partition(), cut: Cut::new() };
        fan_out.tell(stable());
        assert!(entry.inbox.take().is_empty());
        entry.watch_ticks(TALK, true);
        fan_out.tell(stable());
        assert_eq!(entry.inbox.take().len(), 1);
        entry.watch_ticks(TALK, false);
        fan_out.tell(stable());
        assert!(entry.inbox.take().is_empty());
    }
}
