//! What is to be played: users, conversations, and steps with what each must wait for. Made by `schedule`, played by the rig.
//!
//! What must always hold:
//! - A step waits only for steps before it, so a plan can always be played to its end.
//! - Nothing in a plan depends on how fast it is played: times are when a step may happen at the earliest.

use crate::limits::REGIONS_MAX;

/// A user's number in the plan.
pub type UserNumber = usize;

/// A step's number in the plan.
pub type StepNumber = usize;

/// A conversation's number in the plan.
pub type ConversationNumber = usize;

/// Everything that is to be played.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// How long the schedule lasts, in milliseconds.
    pub duration_ms: u64,
    /// Who takes part. Each has one device.
    pub users: Vec<PlannedUser>,
    /// Where.
    pub conversations: Vec<PlannedConversation>,
    /// What they do, by time; steps of one time in the order to be played.
    pub steps: Vec<Step>,
}

/// Who takes part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedUser {
    /// `log/nick`, under the first name they had.
    pub name: String,
    /// Their home: an index into the replay's regions.
    pub home: usize,
    /// Where their account may lie.
    pub pin: Pin,
}

/// Where something may lie at rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pin {
    /// In every region.
    Everywhere,
    /// In the regions of the placement `eu` alone.
    Eu,
}

/// A group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedConversation {
    /// The log it comes from.
    pub name: String,
    /// Where it may lie.
    pub pin: Pin,
    /// Who creates it when the replay begins, and adds whoever joins later.
    pub creator: UserNumber,
    /// Who is a member from the start, sorted, the creator included.
    pub members: Vec<UserNumber>,
    /// Who is added during the replay, sorted.
    pub added: Vec<UserNumber>,
}

/// Something a user does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Not before this time, in milliseconds since the schedule began.
    pub at_ms: u64,
    /// Where.
    pub conversation: ConversationNumber,
    /// Who.
    pub user: UserNumber,
    /// What.
    pub act: Act,
    /// What the user's own client must have been shown first.
    pub needs: Vec<Need>,
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Says this.
    Post {
        /// The text.
        text: String,
        /// The message it is an answer to: the latest of those it answers.
        answers: Option<StepNumber>,
    },
    /// Adds that user.
    Add(UserNumber),
    /// Does something to the message of an earlier step.
    Amend {
        /// The step that says the message.
        of: StepNumber,
        /// What.
        how: Amendment,
    },
    /// Makes that user an admin.
    Promote(UserNumber),
    /// Takes that from them.
    Demote(UserNumber),
}

/// What is done to a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Amendment {
    /// Its author gives it this text.
    Edit(String),
    /// Its author deletes it for everyone.
    Delete,
    /// Somebody reacts to it with this emoji.
    React(String),
    /// Somebody takes it out of their own view.
    Hide,
}

/// What a client must have been shown before its user acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// The message of that step.
    Message(StepNumber),
    /// That this user was added to the conversation.
    Added(UserNumber),
}

impl Plan {
    /// How many messages are to be sent.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.steps.iter().filter(|step| matches!(step.act, Act::Post { .. })).count() as u64
    }

    /// Lays another plan over this one: its users, conversations and steps are numbered after ours, its times stay.
    pub fn merge(&mut self, other: Self) {
        let (users, conversations) = (self.users.len(), self.conversations.len());
        let steps = self.steps.len();
        let shift = |need: Need| match need {
            Need::Message(step) => Need::Message(step + steps),
            Need::Added(user) => Need::Added(user + users),
        };
        self.duration_ms = self.duration_ms.max(other.duration_ms);
        self.users.extend(other.users);
        self.conversations.extend(other.conversations.into_iter().map(|conversation| PlannedConversation {
            creator: conversation.creator + users,
            members: conversation.members.iter().map(|user| user + users).collect(),
            added: conversation.added.iter().map(|user| user + users).collect(),
            ..conversation
        }));
        self.steps.extend(other.steps.into_iter().map(|step| Step {
            at_ms: step.at_ms,
            conversation: step.conversation + conversations,
            user: step.user + users,
            act: match step.act {
                Act::Post { text, answers } => Act::Post { text, answers: answers.map(|step| step + steps) },
                Act::Add(user) => Act::Add(user + users),
                Act::Promote(user) => Act::Promote(user + users),
                Act::Demote(user) => Act::Demote(user + users),
                Act::Amend { of, how } => Act::Amend { of: of + steps, how },
            },
            needs: step.needs.into_iter().map(shift).collect(),
        }));
        self.sort();
    }

    /// Puts the steps in order of time, keeping the order of those of one time, and renumbers what refers to them.
    fn sort(&mut self) {
        let mut order: Vec<StepNumber> = (0..self.steps.len()).collect();
        order.sort_by_key(|step| self.steps[*step].at_ms);
        let mut moved_to = vec![0; order.len()];
        for (new, old) in order.iter().enumerate() {
            moved_to[*old] = new;
        }
        let mut steps: Vec<Step> = order.iter().map(|old| self.steps[*old].clone()).collect();
        for step in &mut steps {
            if let Act::Post { answers: Some(other), .. } | Act::Amend { of: other, .. } = &mut step.act {
                *other = moved_to[*other];
            }
            for need in &mut step.needs {
                if let Need::Message(step) = need {
                    *step = moved_to[*step];
                }
            }
        }
        self.steps = steps;
    }

    /// Whether the plan keeps what its head promises; for tests and for whoever builds one.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.users.iter().all(|user| user.home < REGIONS_MAX)
            && self.steps.iter().enumerate().all(|(number, step)| {
                step.needs.iter().all(|need| match need {
                    Need::Message(needed) => *needed < number,
                    Need::Added(user) => self.steps[..number].iter().any(|earlier| {
                        earlier.act == Act::Add(*user) && earlier.conversation == step.conversation
                    }),
                })
            })
    }
}
