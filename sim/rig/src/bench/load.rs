//! The load: people in all regions who post messages of 1 KiB into groups at a steady rate, and note when each was acknowledged and shown.
//!
//! Every group has two members in each region, so a message is shown to one device in its author's region and to two in every other. One person in
//! each group reads. The time of posting stands in the body's first bytes, so a screen needs to know nothing else.
//!
//! What must always hold: a message's time begins when the application gives it to its client, and ends when the application is told; a post that is
//! late because the machine was busy does not shift the ones after it.

use crate::limits::{GATHER_WITHIN, LOOK_EVERY, READ_EVERY};
use crate::options::{ReplayError, ReplayOptions, WORLD_PLACEMENT};
use bytes::Bytes;
use crdt::{ConversationId, DeviceId, MessageId, UserId};
use gateway_client_net::{Act, Address, ClientHandle, Config, Content, Event, Events, Settings, Subprotocol};
use rand_chacha::ChaCha12Rng;
use rand_core::{RngCore as _, SeedableRng as _};
use region::cluster::ClusterRegion;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::task::JoinSet;

/// Bytes of a message's body.
pub(super) const BODY_BYTES: usize = 1_024;
/// Members of a group in each region.
pub(super) const MEMBERS_A_REGION: usize = 2;

/// Messages that each has under way at full load.
const AT_ONCE: usize = 16;

/// One thing waited for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub(super) posted_us: u64,
    pub(super) took_us: u32,
    /// The author's region and the observer's.
    pub(super) from: u8,
    pub(super) to: u8,
}

/// What was posted in a span of time.
#[derive(Debug, Default)]
pub(super) struct Window {
    pub(super) took_us: u64,
    pub(super) posted: usize,
    pub(super) acknowledged: Vec<Sample>,
    pub(super) shown: Vec<Sample>,
    pub(super) stable: Vec<Sample>,
}

/// Everybody.
pub(super) struct Crew {
    start: Instant,
    people: Vec<Arc<Person>>,
    groups: Vec<Group>,
    regions: usize,
}

struct Group {
    conversation: ConversationId,
    /// Numbers of its people: those of the first region first.
    members: Vec<usize>,
}

struct Person {
    region: u8,
    handle: ClientHandle,
    notes: Mutex<Notes>,
}

#[derive(Default)]
struct Notes {
    signed_in: bool,
    opened: usize,
    waiting: BTreeMap<MessageId, u64>,
    posted: Vec<u64>,
    acknowledged: Vec<Sample>,
    shown: Vec<Sample>,
    stable: Vec<Sample>,
    refused: BTreeMap<String, u64>,
}

impl Notes {
    fn unacknowledged(&self) -> usize {
        self.posted.len() - self.acknowledged.len()
    }
}

impl Crew {
    /// Signs everybody in and opens the groups.
    pub(super) async fn gather(options: &ReplayOptions, groups: usize) -> Result<Self, ReplayError> {
        let world = options.placement(WORLD_PLACEMENT)?;
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut dice = ChaCha12Rng::seed_from_u64(since.as_nanos() as u64);
        let start = Instant::now();
        let (mut people, mut users) = (vec![], vec![]);
        let regions = options.cluster.regions.len();
        // As many people a region as groups: everyone is in as many groups as a group has members there.
        for (number, region) in options.cluster.regions.values().enumerate() {
            for _ in 0..groups {
                let (user, handle, events) = connect(options, region, &mut dice)?;
                // There are as many regions as a cluster file has lines.
                let region = u8::try_from(number).unwrap_or(u8::MAX);
                let person = Arc::new(Person { region, handle, notes: Mutex::default() });
                tokio::spawn(take_down(Arc::downgrade(&person), events, start));
                people.push(person);
                users.push(user);
            }
        }
        let mut opened = vec![];
        for group in 0..groups {
            let low = u128::from(dice.next_u64()) << 64 | u128::from(dice.next_u64());
            let seats = (0..regions).flat_map(|region| (0..MEMBERS_A_REGION).map(move |seat| (region, seat)));
            let members: Vec<usize> =
                seats.map(|(region, seat)| region * groups + (group + seat) % groups).collect();
            opened.push(Group { conversation: ConversationId::group(world, low), members });
        }
        let crew = Self { start, people, groups: opened, regions };
        crew.wait(|notes| notes.signed_in, "sign in").await?;
        for group in &crew.groups {
            let members = group.members.iter().map(|member| users[*member]).collect();
            let creator = &crew.people[group.members[0]];
            let (conversation, name) = (group.conversation, "bench".to_owned());
            // A client that has stopped shows in what is waited for next.
            let _stopped =
                creator.handle.act(Act::CreateGroup { conversation, command: None, members, name }).await;
        }
        let groups_each = MEMBERS_A_REGION.min(groups);
        crew.wait(move |notes| notes.opened >= groups_each, "be told of their groups").await?;
        Ok(crew)
    }

    async fn wait(&self, done: impl Fn(&Notes) -> bool, what: &str) -> Result<(), ReplayError> {
        let until = Instant::now() + GATHER_WITHIN;
        while !self.people.iter().all(|person| done(&person.notes())) {
            if Instant::now() > until {
                let missing = self.people.iter().filter(|person| !done(&person.notes())).count();
                return Err(ReplayError::Cluster(format!(
                    "{missing} of {} people did not {what}",
                    self.people.len()
                )));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Now, on the clock of all samples.
    pub(super) fn now_us(&self) -> u64 {
        now_us(self.start)
    }

    /// All that is known of what was posted between these times.
    pub(super) fn window(&self, begun: u64, ended: u64) -> Window {
        let within = |posted: u64| begun <= posted && posted < ended;
        let mut window = Window { took_us: ended - begun, ..Window::default() };
        for person in &self.people {
            let notes = person.notes();
            window.posted += notes.posted.iter().filter(|posted| within(**posted)).count();
            let pick = |samples: &[Sample]| {
                samples.iter().copied().filter(|sample| within(sample.posted_us)).collect::<Vec<_>>()
            };
            window.acknowledged.extend(pick(&notes.acknowledged));
            window.shown.extend(pick(&notes.shown));
            window.stable.extend(pick(&notes.stable));
        }
        window
    }

    /// How many messages were posted before that time.
    pub(super) fn posted_before(&self, us: u64) -> u64 {
        let posted =
            |person: &Arc<Person>| person.notes().posted.iter().filter(|posted| **posted < us).count() as u64;
        self.people.iter().map(posted).sum()
    }

    /// What was refused, by code.
    pub(super) fn refused(&self) -> BTreeMap<String, u64> {
        let mut all = BTreeMap::new();
        for person in &self.people {
            for (code, count) in &person.notes().refused {
                *all.entry(code.clone()).or_default() += count;
            }
        }
        all
    }
}

impl Person {
    fn notes(&self) -> MutexGuard<'_, Notes> {
        // Nothing panics while it holds the lock.
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Posts; false once the client has stopped.
    async fn post(&self, conversation: ConversationId, start: Instant, dice: &mut ChaCha12Rng) -> bool {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let random = u128::from(dice.next_u64()) << 64 | u128::from(dice.next_u64());
        let message = MessageId::new(wall.as_millis() as u64, random);
        let posted = now_us(start);
        let body = body(posted, self.region, dice);
        {
            let mut notes = self.notes();
            notes.posted.push(posted);
            notes.waiting.insert(message, posted);
        }
        self.handle
            .act(Act::Send { conversation, message: Some(message), body, reply_to: None })
            .await
            .is_ok()
    }

    fn note(&self, now: u64, event: Event) {
        let mut notes = self.notes();
        let own = |posted_us: u64| Sample {
            posted_us,
            took_us: u32::try_from(now.saturating_sub(posted_us)).unwrap_or(u32::MAX),
            from: self.region,
            to: self.region,
        };
        match event {
            Event::SignedIn { .. } => notes.signed_in = true,
            Event::Acknowledged { command, .. } => {
                if let Some(posted) = notes.waiting.get(&command).copied() {
                    notes.acknowledged.push(own(posted));
                }
            }
            Event::Stable { command, .. } => {
                if let Some(posted) = notes.waiting.remove(&command) {
                    notes.stable.push(own(posted));
                }
            }
            Event::Shown { item, .. } => match item.content {
                Content::Post { body, .. } => {
                    if let Some((posted, from)) = read_body(&body)
                        && !notes.waiting.contains_key(&item.message)
                    {
                        notes.shown.push(Sample { from, ..own(posted) });
                    }
                }
                Content::Created { .. } => notes.opened += 1,
                _ => {}
            },
            Event::Refused { code, .. } => *notes.refused.entry(code).or_default() += 1,
            Event::SignedOut { .. }
            | Event::ServedAtHome { .. }
            | Event::Redirected { .. }
            | Event::Moved { .. }
            | Event::Repeated { .. }
            | Event::AddedAgain { .. }
            | Event::MarkCleared { .. }
            | Event::Hidden { .. }
            | Event::CaughtUp { .. }
            | Event::Amended { .. }
            | Event::Delivered { .. }
            | Event::Read { .. }
            | Event::Membership { .. }
            | Event::Paged { .. }
            | Event::Documented { .. }
            | Event::Listed { .. } => {}
        }
    }
}

/// Somebody new, who signs in at that region.
pub(super) fn connect(
    options: &ReplayOptions,
    region: &ClusterRegion,
    dice: &mut ChaCha12Rng,
) -> Result<(UserId, ClientHandle, Events), ReplayError> {
    let world = options.placement(WORLD_PLACEMENT)?;
    let (user, device) = (UserId::new(world, dice.next_u64()), DeviceId(dice.next_u64()));
    let token = (options.sign)(user, device).map_err(ReplayError::Token)?;
    let home = vec![Address { region: region.name.clone(), url: region.client.to_string() }];
    let client = concat!("archipelago-bench/", env!("CARGO_PKG_VERSION")).to_owned();
    let config = Config { user, device, token, client, home, placements: vec![] };
    let (handle, events) =
        ClientHandle::connect(Settings { config, subprotocol: Subprotocol::Proto, tls: None });
    Ok((user, handle, events))
}

async fn take_down(person: std::sync::Weak<Person>, mut events: Events, start: Instant) {
    while let Some(event) = events.next().await {
        let now = now_us(start);
        let Some(person) = person.upgrade() else { return };
        person.note(now, event);
    }
}

fn now_us(start: Instant) -> u64 {
    start.elapsed().as_micros() as u64
}

fn body(posted_us: u64, region: u8, dice: &mut ChaCha12Rng) -> Bytes {
    let mut body = vec![0; BODY_BYTES];
    dice.fill_bytes(&mut body);
    body[..8].copy_from_slice(&posted_us.to_be_bytes());
    body[8] = region;
    body.into()
}

fn read_body(body: &[u8]) -> Option<(u64, u8)> {
    let (posted, rest) = body.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*posted), *rest.first()?))
}

/// A load that runs until it is stopped.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl Load {
    /// Everybody begins to post, so many messages a second in all, the regions in turn.
    pub(super) fn begin(crew: &Crew, rate: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        for region in 0..crew.regions {
            let seats: Vec<(Arc<Person>, ConversationId)> = (0..MEMBERS_A_REGION)
                .flat_map(|seat| {
                    crew.groups.iter().map(move |group| {
                        let member = group.members[region * MEMBERS_A_REGION + seat];
                        (member, group.conversation)
                    })
                })
                .map(|(member, conversation)| (Arc::clone(&crew.people[member]), conversation))
                .collect();
            let between = Duration::from_secs(1) * u32::try_from(crew.regions).unwrap_or(1) / rate.max(1);
            let offset =
                between * u32::try_from(region).unwrap_or(0) / u32::try_from(crew.regions).unwrap_or(1);
            tasks.spawn(post(seats, (crew.start, offset, between), Arc::clone(&stop)));
        }
        for group in &crew.groups {
            // The last member of a group reads what it is shown.
            if let Some(reader) = group.members.last() {
                let (reader, conversation) = (Arc::clone(&crew.people[*reader]), group.conversation);
                tasks.spawn(read(reader, conversation, Arc::clone(&stop)));
            }
        }
        Self { stop, tasks }
    }

    /// Everybody posts as fast as they are answered, with [`AT_ONCE`] messages each that are not acknowledged yet.
    pub(super) fn full(crew: &Crew) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        for (number, person) in crew.people.iter().enumerate() {
            let groups = crew.groups.iter().filter(|group| group.members.contains(&number));
            let groups = groups.map(|group| group.conversation).collect();
            tasks.spawn(post_at_will(Arc::clone(person), groups, crew.start, Arc::clone(&stop)));
        }
        Self { stop, tasks }
    }

    /// Nobody posts any more.
    pub(super) async fn stop(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        while self.tasks.join_next().await.is_some() {}
    }
}

async fn post_at_will(
    person: Arc<Person>,
    groups: Vec<ConversationId>,
    start: Instant,
    stop: Arc<AtomicBool>,
) {
    let mut dice = ChaCha12Rng::seed_from_u64(now_us(start));
    for conversation in groups.iter().cycle() {
        while !stop.load(Ordering::Relaxed) && person.notes().unacknowledged() >= AT_ONCE {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        if stop.load(Ordering::Relaxed) || !person.post(*conversation, start, &mut dice).await {
            return;
        }
    }
}

async fn post(
    seats: Vec<(Arc<Person>, ConversationId)>,
    (start, offset, between): (Instant, Duration, Duration),
    stop: Arc<AtomicBool>,
) {
    let mut dice = ChaCha12Rng::seed_from_u64(offset.as_nanos() as u64);
    let mut at = tokio::time::Instant::now() + offset;
    while !seats.is_empty() {
        tokio::time::sleep_until(at).await;
        at += between;
        // Who speaks next is chance: people do not take turns.
        let (person, conversation) = &seats[dice.next_u64() as usize % seats.len()];
        if stop.load(Ordering::Relaxed) {
            return;
        }
        if !person.post(*conversation, start, &mut dice).await {
            return;
        }
    }
}

async fn read(reader: Arc<Person>, conversation: ConversationId, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        tokio::time::sleep(READ_EVERY).await;
        if reader.handle.act(Act::MarkRead { conversation }).await.is_err() {
            return;
        }
    }
}
