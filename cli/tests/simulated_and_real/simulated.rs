//! The simulated side: the same plan, played as the rig plays it, in a world with the relay's distances and this machine's speed.
//!
//! What must always hold: everybody plays their steps one after the other, each not before its time and not before their own client has been shown
//! what it needs; one person in eight reads, as in the rig; the clients are on the regions' own machine.

use crate::REGIONS;
use crate::times::{Direction, Times};
use crdt::{ConversationId, DeviceId, MessageId, PlacementId, RegionId};
use gateway_client::{Act, Amend, MembersWish};
use sim::plan::{Act as Planned, Amendment, Need, Pin, Plan, StepNumber};
use sim::scenario::Scenario;
use sim::script::draw;
use sim::world::{NewDevice, PINNED, ServiceTimes, WORLD, World};
use std::collections::VecDeque;

/// From a client to its region over the loopback interface.
const LOOPBACK_US: u64 = 50;
/// How often people who read do so; every eighth does. As in the rig.
const READ_EVERY_US: u64 = 2_000_000;
const READERS_ONE_IN: usize = 8;

/// The regions of `init`, with links that delay and nothing else: how long they are is taken from the relay's table. People and what they do come from the
/// plan.
const SCENARIO: &str = r#"
name = "the-demo"
story = """
Three regions and the conversations of the demo.
People are told apart by where they live, and wait for what they answer."""
length_s = 1

[topology]
regions = ["eu-central", "us-east", "ap-south"]
eu = ["eu-central"]
jitter_percent = 0
mbit_per_s = 1000
loss_per_million = 0

[machines]
pace = "measured"

[population]
users = 0

[workload]
per_minute = 0
groups = 0
directs = 0
"#;

struct Stage<'a> {
    plan: &'a Plan,
    world: World,
    posted: Vec<Option<MessageId>>,
}

/// Plays what the plan has within so many milliseconds.
pub fn play(plan: &Plan, sync_us: u64, per_cent: u64, until_ms: u64) -> Times {
    let scenario = Scenario::parse("simulated.rs", SCENARIO).unwrap();
    let mut world = World::new(&draw(&scenario, 1), false);
    world.keep_histories();
    world.set_service_times(ServiceTimes::MEASURED.per_cent(per_cent));
    for from in 0..REGIONS.len() {
        world.set_sync_us(region(from), sync_us);
        for to in (0..REGIONS.len()).filter(|to| *to != from) {
            world.set_delay(region(from), region(to), Direction { from, to }.delay_us());
        }
    }
    world.start_all();
    let steps = plan.steps.len();
    let mut stage = Stage { plan, world, posted: vec![None; steps] };
    stage.gather();
    stage.play(until_ms);
    let region = |name: &str| name.strip_prefix("region-").unwrap().parse::<usize>().unwrap() - 1;
    Times::of(stage.world.histories().unwrap(), region)
}

fn region(number: usize) -> RegionId {
    RegionId(u16::try_from(number).unwrap() + 1)
}

fn device(user: usize) -> DeviceId {
    DeviceId((user as u64 + 1) * 16)
}

impl Stage<'_> {
    fn user(&self, number: usize) -> crdt::UserId {
        World::user(number as u64 + 1, self.plan.users[number].pin == Pin::Eu)
    }

    fn conversation(&self, number: usize) -> ConversationId {
        let placement: PlacementId = match self.plan.conversations[number].pin {
            Pin::Everywhere => WORLD,
            Pin::Eu => PINNED,
        };
        ConversationId::group(placement, number as u128 + 1)
    }

    /// Everybody signs in, and hears of what they are members of.
    fn gather(&mut self) {
        for (number, user) in self.plan.users.iter().enumerate() {
            let new = NewDevice {
                user: self.user(number),
                region: region(user.home),
                placements: if user.pin == Pin::Eu { Vec::new() } else { vec![PINNED] },
                delay_us: LOOPBACK_US,
                clock_offset_us: 0,
                json: false,
            };
            self.world.add_device(device(number), new);
        }
        self.world.pass(3_000_000);
        for (number, planned) in self.plan.conversations.iter().enumerate() {
            let members = planned.members.iter().filter(|member| **member != planned.creator);
            let members = members.map(|member| self.user(*member)).collect();
            let conversation = self.conversation(number);
            let name = if planned.pin == Pin::Eu { "pinned-canary:" } else { "" }.to_owned();
            let create = Act::CreateGroup { conversation, command: None, members, name };
            self.world.act(device(planned.creator), create);
        }
        self.world.pass(3_000_000);
    }

    fn play(&mut self, until_ms: u64) {
        let mut queues: Vec<VecDeque<StepNumber>> = vec![VecDeque::new(); self.plan.users.len()];
        for (number, step) in self.plan.steps.iter().enumerate().filter(|(_, step)| step.at_ms < until_ms) {
            queues[step.user].push_back(number);
        }
        let begun = self.world.now();
        let mut reads_at = begun + READ_EVERY_US;
        while queues.iter().any(|queue| !queue.is_empty()) {
            assert!(self.world.now() < begun + 60_000_000, "the plan cannot be played to its end");
            for queue in &mut queues {
                while let Some(number) = queue.front().copied() {
                    let due = begun + self.plan.steps[number].at_ms * 1_000 <= self.world.now();
                    if !due || !self.is_ready(number) {
                        break;
                    }
                    queue.pop_front();
                    self.step(number);
                }
            }
            if self.world.now() >= reads_at {
                reads_at += READ_EVERY_US;
                self.read();
            }
            self.world.pass(1_000);
        }
        self.world.pass(2_000_000);
    }

    fn is_ready(&self, number: StepNumber) -> bool {
        let step = &self.plan.steps[number];
        let conversation = self.conversation(step.conversation);
        step.needs.iter().all(|need| match need {
            Need::Message(needed) => self.posted[*needed]
                .is_some_and(|message| self.world.shown(device(step.user), conversation, message).is_some()),
            // Who is added is told by whoever added them; a moment later everybody is.
            Need::Added(user) => self.world.count_shown(device(*user), conversation) > 0,
        })
    }

    fn step(&mut self, number: StepNumber) {
        let step = &self.plan.steps[number];
        let conversation = self.conversation(step.conversation);
        match &step.act {
            Planned::Post { text, .. } => {
                self.posted[number] = Some(self.world.post(device(step.user), conversation, text));
            }
            Planned::Amend { of, how } => {
                // It has been shown, so it was posted.
                let Some(message) = self.posted[*of] else { return };
                let target = (self.user(self.plan.steps[*of].user), message);
                let command = None;
                let amend = |what| Act::Amend { conversation, command, target, what };
                let act = match how {
                    Amendment::Edit(text) => amend(Amend::Edit(text.clone().into())),
                    Amendment::Delete => amend(Amend::Delete),
                    Amendment::React(emoji) => amend(Amend::React(emoji.clone())),
                    Amendment::Hide => Act::DeleteForMe { conversation, command, target },
                };
                self.world.act(device(step.user), act);
            }
            Planned::Add(user) => self.change(number, MembersWish::Add(self.user(*user))),
            Planned::Promote(user) => self.change(number, MembersWish::Promote(self.user(*user))),
            Planned::Demote(user) => self.change(number, MembersWish::Demote(self.user(*user))),
        }
    }

    fn change(&mut self, number: StepNumber, wish: MembersWish) {
        let step = &self.plan.steps[number];
        let (by, conversation) = (device(step.user), self.conversation(step.conversation));
        self.world.act(by, Act::ChangeMembers { conversation, wish });
    }

    fn read(&mut self) {
        for (number, planned) in self.plan.conversations.iter().enumerate() {
            for member in
                planned.members.iter().chain(&planned.added).filter(|user| *user % READERS_ONE_IN == 0)
            {
                self.world.act(device(*member), Act::MarkRead { conversation: self.conversation(number) });
            }
        }
    }
}
