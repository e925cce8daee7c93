//! All the people of a replay: who they are, their clients, and the playing of the plan.
//!
//! What must always hold: a person plays their steps one after the other, each not before its time and not before their own client
//! has been shown what it needs; nobody's waiting holds anybody else up.

use crate::limits::{BETWEEN_CLIENTS, GATHER_WITHIN, LOOK_EVERY, READ_EVERY, READERS_ONE_IN};
use crate::options::{Progress, ReplayError, ReplayOptions, WORLD_PLACEMENT, pinned_placement_name};
use crate::people::{Board, Part, Person};
use crate::recorder::Recorder;
use bytes::Bytes;
use crdt::{ConversationId, DeviceId, MessageId, PlacementId, UserId};
use gateway_client_net::{Act, Address, Amend, ClientHandle, Config, MembersWish, Settings, Subprotocol};
use rand_chacha::ChaCha12Rng;
use rand_core::{RngCore as _, SeedableRng as _};
use sim::history::Own;
use sim::plan::{Act as PlannedAct, Amendment, Need, Pin, Plan, StepNumber};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Everybody, and what they play.
pub(crate) struct Crowd {
    pub(crate) people: Vec<Arc<Person>>,
    pub(crate) board: Arc<Board>,
    pub(crate) plan: Arc<Plan>,
    pub(crate) conversations: Vec<ConversationId>,
    /// Regions in the order of their numbers, as clients reach them.
    pub(crate) addresses: Vec<Address>,
    /// A text that stands in every message of the pinned conversations and nowhere else.
    pub(crate) canary: String,
}

/// Who is who: drawn anew for each replay, so that one cluster can be used again.
struct Cast {
    users: Vec<(UserId, DeviceId)>,
    conversations: Vec<ConversationId>,
    canary: String,
}

impl Cast {
    fn draw(options: &ReplayOptions, plan: &Plan) -> Result<Self, ReplayError> {
        let world = options.placement(WORLD_PLACEMENT)?;
        let pinned = options.placement(pinned_placement_name())?;
        let placement = |pin| match pin {
            Pin::Everywhere => world,
            Pin::Eu => pinned,
        };
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut dice = ChaCha12Rng::seed_from_u64(options.seed ^ (since.as_nanos() as u64).rotate_left(17));
        let users = plan
            .users
            .iter()
            .map(|user| (UserId::new(placement(user.pin), dice.next_u64()), DeviceId(dice.next_u64())));
        let users = users.collect();
        let conversations = plan.conversations.iter().map(|conversation| {
            let low = u128::from(dice.next_u64()) << 64 | u128::from(dice.next_u64());
            ConversationId::group(placement(conversation.pin), low)
        });
        Ok(Self {
            users,
            conversations: conversations.collect(),
            canary: format!("pinned-{:016x}", dice.next_u64()),
        })
    }
}

impl Crowd {
    /// Starts everybody's client. They sign in by themselves.
    ///
    /// # Errors
    /// [`ReplayError`] when the cluster lacks a placement, a token cannot be signed or a history not be written.
    pub(crate) async fn start(
        options: &ReplayOptions,
        plan: Plan,
        histories: &Path,
    ) -> Result<Self, ReplayError> {
        let cast = Cast::draw(options, &plan)?;
        let board = Arc::new(Board::new(plan.steps.len()));
        let addresses: Vec<Address> = options
            .cluster
            .regions
            .values()
            .map(|region| Address { region: region.name.clone(), url: region.client.to_string() })
            .collect();
        let mut crowd = Self {
            people: vec![],
            board,
            plan: Arc::new(plan),
            conversations: cast.conversations,
            addresses,
            canary: cast.canary,
        };
        for number in 0..cast.users.len() {
            let person = crowd.start_person(options, number, &cast.users, histories)?;
            crowd.people.push(person);
            tokio::time::sleep(BETWEEN_CLIENTS).await;
        }
        Ok(crowd)
    }

    fn start_person(
        &self,
        options: &ReplayOptions,
        number: usize,
        users: &[(UserId, DeviceId)],
        histories: &Path,
    ) -> Result<Arc<Person>, ReplayError> {
        let planned = &self.plan.users[number];
        let (user, device) = users[number];
        let home = self.addresses[planned.home].clone();
        let part = self.part_of(options, number, users);
        let token = (options.sign)(user, device).map_err(ReplayError::Token)?;
        let client = concat!("archipelago-replay/", env!("CARGO_PKG_VERSION")).to_owned();
        let placements = part.placements.iter().copied().collect();
        let config = Config { user, device, token, client, home: vec![home.clone()], placements };
        let settings = Settings { config, subprotocol: Subprotocol::Proto, tls: None };
        let path = histories.join(format!("{device}.jsonl"));
        let recorder =
            Recorder::create(&path).map_err(|error| ReplayError::File { path, reason: error.to_string() })?;
        let client = ClientHandle::connect(settings);
        Ok(Person::begin((user, device), &planned.name, home, client, recorder, &part, &self.board))
    }

    /// What that person takes part in and waits for.
    fn part_of(&self, options: &ReplayOptions, number: usize, users: &[(UserId, DeviceId)]) -> Part {
        let mut part = Part::default();
        let home = options.cluster.regions.keys().nth(self.plan.users[number].home);
        let served = |placement: PlacementId| {
            let regions = options.cluster.placements.get(&placement).map(|placement| &placement.regions);
            home.zip(regions).is_some_and(|(home, regions)| regions.contains(home))
        };
        for (conversation, planned) in self.plan.conversations.iter().enumerate() {
            let id = self.conversations[conversation];
            let first = planned.members.contains(&number);
            if first {
                part.first_member_of.insert(id);
            }
            if (first || planned.added.contains(&number)) && !served(id.placement()) {
                part.placements.insert(id.placement());
            }
        }
        for step in self.plan.steps.iter().filter(|step| step.user == number) {
            for need in &step.needs {
                match need {
                    Need::Message(needed) => _ = part.waiting_messages.insert(*needed),
                    Need::Added(member) => {
                        let conversation = self.conversations[step.conversation];
                        part.waiting_added.insert((conversation, users[*member].0));
                    }
                }
            }
        }
        part
    }

    /// Waits until everybody is signed in and knows their conversations, which their creators create. Says who is missing if it takes too long.
    pub(crate) async fn gather(&self, progress: &(dyn Fn(Progress) + Send + Sync)) -> Result<(), String> {
        for (conversation, planned) in self.plan.conversations.iter().enumerate() {
            let members = planned.members.iter().map(|member| self.people[*member].user).collect();
            let name = match planned.pin {
                Pin::Everywhere => planned.name.clone(),
                Pin::Eu => format!("{} {}", planned.name, self.canary),
            };
            let conversation = self.conversations[conversation];
            let create = Act::CreateGroup { conversation, command: None, members, name };
            self.people[planned.creator].act(create).await;
        }
        let begin = Instant::now();
        loop {
            let is_ready = |person: &&Arc<Person>| {
                let state = person.state();
                state.unopened.is_empty() && state.connections.values().all(|stands| *stands)
            };
            let ready = self.people.iter().filter(is_ready).count();
            progress(Progress::Gathering { ready, people: self.people.len() });
            if ready == self.people.len() {
                return Ok(());
            }
            if begin.elapsed() > GATHER_WITHIN {
                return Err(format!(
                    "only {ready} of {} clients had signed in and been told of their conversations within {} s",
                    self.people.len(),
                    GATHER_WITHIN.as_secs()
                ));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Lets everybody play, from now on.
    pub(crate) fn play(&self) {
        self.board.clock.begin();
        let mut steps: Vec<Vec<StepNumber>> = vec![vec![]; self.people.len()];
        for (number, step) in self.plan.steps.iter().enumerate() {
            steps[step.user].push(number);
        }
        for (number, steps) in steps.into_iter().enumerate() {
            let person = Arc::clone(&self.people[number]);
            if number % READERS_ONE_IN == 0 {
                tokio::spawn(read_now_and_then(Arc::clone(&person)));
            }
            if !steps.is_empty() {
                let stage = Stage {
                    plan: Arc::clone(&self.plan),
                    board: Arc::clone(&self.board),
                    users: self.people.iter().map(|person| person.user).collect(),
                    conversations: self.conversations.clone(),
                    canary: self.canary.clone(),
                };
                tokio::spawn(async move { stage.play(&person, &steps).await });
            }
        }
    }

    /// People whose home is that region and who are free to go elsewhere, up to that share of all.
    pub(crate) fn roamers(&self, region: usize, percent: u8) -> Vec<(usize, Arc<Person>)> {
        let at_home = self.plan.users.iter().enumerate().filter(|(_, user)| user.home == region);
        let free = at_home.filter(|(_, user)| user.pin == Pin::Everywhere).map(|(number, _)| number);
        let chosen = free.enumerate().filter(|(nth, _)| (nth * 37) % 100 < usize::from(percent));
        chosen.map(|(_, number)| (number, Arc::clone(&self.people[number]))).collect()
    }

    /// The first step that has not been played although all that it needs has been done: who waits for what.
    pub(crate) fn first_waiting(&self) -> Option<String> {
        let played = |step: usize| self.board.played[step].load(Ordering::Relaxed);
        let adds = |member: usize, conversation: usize| {
            self.plan
                .steps
                .iter()
                .position(|step| step.act == PlannedAct::Add(member) && step.conversation == conversation)
        };
        for (number, step) in self.plan.steps.iter().enumerate().filter(|(number, _)| !played(*number)) {
            let state = self.people[step.user].state();
            let name = &self.plan.users[step.user].name;
            for need in &step.needs {
                match need {
                    Need::Message(needed) if state.waiting_messages.contains(needed) && played(*needed) => {
                        let author = &self.plan.users[self.plan.steps[*needed].user].name;
                        let message = self.board.posted[*needed].get();
                        let message = message.map_or_else(String::new, ToString::to_string);
                        return Some(format!(
                            "{name} has not been shown {author}'s message {message}, which step {number} answers"
                        ));
                    }
                    Need::Added(member) => {
                        let key = (self.conversations[step.conversation], self.people[*member].user);
                        let done = adds(*member, step.conversation).is_some_and(played);
                        if state.waiting_added.contains(&key) && done {
                            let member = &self.plan.users[*member].name;
                            return Some(format!(
                                "{name} has not been told that {member} was added, which step {number} needs"
                            ));
                        }
                    }
                    Need::Message(_) => {}
                }
            }
        }
        None
    }

    /// The pinned conversations, with the text that all their messages carry.
    pub(crate) fn pinned(&self) -> Vec<(ConversationId, Vec<u8>)> {
        let pinned = self.plan.conversations.iter().zip(&self.conversations);
        let pinned = pinned.filter(|(planned, _)| planned.pin == Pin::Eu);
        pinned.map(|(_, id)| (*id, self.canary.clone().into_bytes())).collect()
    }

    /// Everybody's histories are on disk. Says which are not whole.
    pub(crate) fn finish_histories(&self) -> Vec<String> {
        let finish = |person: &Arc<Person>| {
            let mut state = person.state();
            state.recorder.flush();
            state.recorder.failure().map(str::to_owned)
        };
        self.people.iter().filter_map(finish).collect()
    }
}

/// What one person needs to play.
struct Stage {
    plan: Arc<Plan>,
    board: Arc<Board>,
    users: Vec<UserId>,
    conversations: Vec<ConversationId>,
    canary: String,
}

impl Stage {
    async fn play(&self, person: &Person, steps: &[StepNumber]) {
        for number in steps {
            let step = &self.plan.steps[*number];
            self.board.clock.sleep_until_ms(step.at_ms).await;
            while !self.is_ready(person, *number) {
                person.changed.notified().await;
            }
            let conversation = self.conversations[step.conversation];
            match &step.act {
                PlannedAct::Post { text, answers } => {
                    let message = new_message_id();
                    let body = self.body(step.conversation, text);
                    let reply_to = answers.and_then(|answered| {
                        let message = self.board.posted[answered].get().copied()?;
                        Some((self.users[self.plan.steps[answered].user], message))
                    });
                    person.post(*number, Own { conversation, message }, body, reply_to).await;
                }
                PlannedAct::Add(user) => self.change(person, conversation, MembersWish::Add, *user).await,
                PlannedAct::Promote(user) => {
                    self.change(person, conversation, MembersWish::Promote, *user).await;
                }
                PlannedAct::Demote(user) => {
                    self.change(person, conversation, MembersWish::Demote, *user).await;
                }
                PlannedAct::Amend { of, how } => {
                    let what = match how {
                        Amendment::Edit(text) => Some(Amend::Edit(self.body(step.conversation, text))),
                        Amendment::Delete => Some(Amend::Delete),
                        Amendment::React(emoji) => Some(Amend::React(emoji.clone())),
                        Amendment::Hide => None,
                    };
                    // It has been shown, so it was posted.
                    if let Some(message) = self.board.posted[*of].get().copied() {
                        let target = (self.users[self.plan.steps[*of].user], message);
                        person.amend(conversation, target, what).await;
                    }
                }
            }
            self.board.played[*number].store(true, Ordering::Relaxed);
            self.board.steps_done.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn change(
        &self,
        person: &Person,
        conversation: ConversationId,
        wish: impl FnOnce(UserId) -> MembersWish,
        user: usize,
    ) {
        person.act(Act::ChangeMembers { conversation, wish: wish(self.users[user]) }).await;
    }

    /// What is said; in a pinned conversation with the text that stands nowhere else.
    fn body(&self, conversation: usize, text: &str) -> Bytes {
        match self.plan.conversations[conversation].pin {
            Pin::Everywhere => Bytes::copy_from_slice(text.as_bytes()),
            Pin::Eu => Bytes::from(format!("{text} {}", self.canary)),
        }
    }

    /// Whether the person's client has been shown all that the step needs.
    fn is_ready(&self, person: &Person, number: StepNumber) -> bool {
        let step = &self.plan.steps[number];
        let state = person.state();
        step.needs.iter().all(|need| match need {
            Need::Message(needed) => !state.waiting_messages.contains(needed),
            Need::Added(member) => {
                !state.waiting_added.contains(&(self.conversations[step.conversation], self.users[*member]))
            }
        })
    }
}

async fn read_now_and_then(person: Arc<Person>) {
    loop {
        tokio::time::sleep(READ_EVERY).await;
        let unread: BTreeSet<ConversationId> = std::mem::take(&mut person.state().unread);
        for conversation in unread {
            person.act(Act::MarkRead { conversation }).await;
        }
    }
}

/// A message id of the present, as a device draws it.
pub(crate) fn new_message_id() -> MessageId {
    use std::sync::atomic::AtomicU64;
    /// Distinguishes what is drawn in one millisecond; mixed so that ids look as random as a device's.
    static DRAWN: AtomicU64 = AtomicU64::new(0);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut dice =
        ChaCha12Rng::seed_from_u64(since.as_nanos() as u64 ^ DRAWN.fetch_add(1, Ordering::Relaxed) << 44);
    let random = u128::from(dice.next_u64()) << 64 | u128::from(dice.next_u64());
    MessageId::new(since.as_millis() as u64, random)
}
