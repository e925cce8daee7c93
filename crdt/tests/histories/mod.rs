//! Random histories of one conversation between replicas that are cut off from each other at random.
//!
//! Each replica has a log, a clock of its own (wrong by seconds) and the real conversation state; it issues on top of all it has applied and takes
//! peers' logs in order, as the regions do. So the cuts inside adds and leaves are real ones, and each operation knows what it
//! happened after. Replicas obey the door's rules (creator adds, known commands are not issued again) as far as they know, so
//! every breach comes from concurrency; except that now and then a client reuses an id for something else.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use bytes::Bytes;
use crdt::amendments::{AmendmentContent, AmendmentWish, Windows};
use crdt::emoji::Emoji;
use crdt::operation::{Body, Draft, Post};
use crdt::roster::{Action, Change, Wish};
use crdt::*;
use proptest::prelude::*;

pub const REPLICAS: usize = 4;
pub const USERS: u64 = 5;

/// One issued operation and what its replica had applied when it issued it.
#[derive(Debug, Clone)]
pub struct Issued {
    pub operation: Operation,
    pub draft: Draft,
    pub after: VersionVector,
}

/// What one random step does.
#[derive(Debug, Clone)]
pub enum Step {
    /// A replica's client does something.
    Act { replica: usize, user: u64, act: Act },
    /// A client sends again, to that replica, a command that some replica has taken, if this one has not.
    Resend { replica: usize, which: usize, changed: bool },
    /// A replica takes up to that many entries of a peer's log.
    Take { replica: usize, from: usize, entries: usize },
    /// A replica's clock jumps.
    Clock { replica: usize, ms: u64 },
}

#[derive(Debug, Clone)]
pub enum Act {
    Create {
        direct: bool,
        members: Vec<u64>,
    },
    /// Who is in it, or what they may do, is changed.
    Change(Wish),
    Post {
        reply: bool,
    },
    /// Something is done to one of the messages that the replica has.
    Amend {
        which: usize,
        wish: AmendmentWish,
    },
}

/// One of three emoji.
pub fn face(number: u32) -> Emoji {
    char::from_u32(0x1f600 + number % 3).unwrap().to_string().parse().unwrap()
}

pub fn user(number: u64) -> UserId {
    UserId::new(PlacementId(1), number)
}

pub fn replica(number: usize) -> ReplicaId {
    ReplicaId { region: RegionId(number as u16 + 1), incarnation: Incarnation(0xa0 + number as u64) }
}

pub fn steps() -> impl Strategy<Value = Vec<Step>> {
    let replica = || 0..REPLICAS;
    let act = prop_oneof![
        1 => (prop::bool::weighted(0.1), prop::collection::vec(0..USERS, 0..4))
            .prop_map(|(direct, members)| Act::Create { direct, members }),
        16 => (0..USERS, 0..13_u8).prop_map(|(number, which)| Act::Change(match which {
            0..=6 => Wish::Add(user(number)),
            7 | 8 => Wish::Promote(user(number)),
            9 => Wish::Leave,
            10 => Wish::Remove(user(number)),
            11 => Wish::Demote(user(number)),
            _ => Wish::Claim,
        })),
        3 => any::<bool>().prop_map(|reply| Act::Post { reply }),
        5 => (any::<usize>(), wish()).prop_map(|(which, wish)| Act::Amend { which, wish }),
    ];
    let step = prop_oneof![
        6 => (replica(), 0..USERS, act).prop_map(|(replica, user, act)| Step::Act { replica, user, act }),
        3 => (replica(), any::<usize>(), prop::bool::weighted(0.1))
            .prop_map(|(replica, which, changed)| Step::Resend { replica, which, changed }),
        4 => (replica(), replica(), 1..8_usize)
            .prop_map(|(replica, from, entries)| Step::Take { replica, from, entries }),
        1 => (replica(), 0..10_000_u64).prop_map(|(replica, ms)| Step::Clock { replica, ms }),
    ];
    // The first act is a creation, so that the rest is not refused for want of one.
    let first = (0..USERS, prop::bool::weighted(0.1)).prop_map(|(user, direct)| Step::Act {
        replica: 0,
        user,
        act: Act::Create { direct, members: vec![user] },
    });
    (first, prop::collection::vec(step, 0..80)).prop_map(|(first, mut rest)| {
        rest.insert(0, first);
        rest
    })
}

fn wish() -> impl Strategy<Value = AmendmentWish> {
    let faces = || 0..3_u32;
    prop_oneof![
        4 => Just(AmendmentWish::Edit),
        1 => Just(AmendmentWish::Delete),
        4 => faces().prop_map(|number| AmendmentWish::React(face(number))),
        3 => faces().prop_map(|number| AmendmentWish::Withdraw(face(number))),
    ]
}

struct Region {
    id: ReplicaId,
    log: Vec<usize>,
    applied: VersionVector,
    state: Conversation,
    clock_ms: u64,
}

/// A conversation and everything that was issued in it, causes first.
pub struct History {
    pub conversation: ConversationId,
    pub issued: Vec<Issued>,
    regions: Vec<Region>,
    commands: u64,
}

impl History {
    /// Plays the steps. Users 0 and 1 have the conversation's id as their direct one.
    pub fn play(steps: &[Step]) -> Self {
        let conversation = ConversationId::direct(PlacementId(1), user(0), user(1));
        let region = |number| Region {
            id: replica(number),
            log: Vec::new(),
            applied: VersionVector::new(),
            state: Conversation::new(conversation),
            clock_ms: 1_000_000,
        };
        let regions = (0..REPLICAS).map(region).collect();
        let mut history = Self { conversation, issued: Vec::new(), regions, commands: 0 };
        for step in steps {
            history.step(step);
        }
        history
    }

    /// The operations, causes first.
    pub fn operations(&self) -> impl Iterator<Item = &Operation> {
        self.issued.iter().map(|issued| &issued.operation)
    }

    /// What each replica holds at the end.
    pub fn states(&self) -> impl Iterator<Item = (&VersionVector, &Conversation)> {
        self.regions.iter().map(|region| (&region.applied, &region.state))
    }

    /// An order that extends happened-before, steered by the choices.
    pub fn linear_extension(&self, choices: &[usize]) -> Vec<&Operation> {
        let mut waiting: Vec<&Issued> = self.issued.iter().collect();
        let mut applied = VersionVector::new();
        let mut order = Vec::new();
        for turn in 0.. {
            let ready: Vec<usize> = waiting
                .iter()
                .enumerate()
                .filter(|(_, issued)| applied.covers_all(&issued.after))
                .map(|(index, _)| index)
                .collect();
            if ready.is_empty() {
                break;
            }
            let choice = choices.get(turn % choices.len().max(1)).copied().unwrap_or(0);
            let issued = waiting.remove(ready[choice % ready.len()]);
            applied.raise(issued.operation.dot);
            order.push(&issued.operation);
        }
        assert!(waiting.is_empty(), "happened-before is acyclic");
        order
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Act { replica, user: sender, act } => {
                let sender = self.sender(*replica, *sender, act);
                let Some(body) = self.body(*replica, sender, act) else { return };
                self.commands += 1;
                let message = MessageId::new(1_000_000, u128::from(self.commands));
                self.issue(*replica, sender, message, body);
            }
            Step::Resend { replica, which, changed } => self.resend(*replica, *which, *changed),
            Step::Take { replica, from, entries } => self.take(*replica, *from, *entries),
            Step::Clock { replica, ms } => self.regions[*replica].clock_ms = 995_000 + ms,
        }
    }

    /// Whoever may do it as far as that replica knows: acts that are refused teach nothing.
    fn sender(&self, replica: usize, number: u64, act: &Act) -> UserId {
        let membership = self.regions[replica].state.membership();
        let allowed: Vec<UserId> = match act {
            Act::Create { direct: true, .. } => vec![user(0), user(1)],
            Act::Create { direct: false, .. } => Vec::new(),
            Act::Change(Wish::Leave | Wish::Claim) => membership.members().collect(),
            Act::Change(_) => membership.admins().collect(),
            // Edits and deletions of another's message are void everywhere, so the door lets one in now and then.
            Act::Amend { which, wish: AmendmentWish::Edit | AmendmentWish::Delete }
                if !number.is_multiple_of(4) =>
            {
                self.message(replica, *which).map(|message| message.sender).into_iter().collect()
            }
            Act::Post { .. } | Act::Amend { .. } => membership.members().collect(),
        };
        let chosen = (number as usize).checked_rem(allowed.len()).map(|index| allowed[index]);
        chosen.unwrap_or_else(|| user(number))
    }

    /// One of the messages that the replica has.
    fn message(&self, replica: usize, which: usize) -> Option<Identity> {
        let entries = self.regions[replica].state.timeline().entries();
        let posts: Vec<_> = entries.filter(|(_, entry)| entry.kind == Kind::Post).collect();
        which.checked_rem(posts.len()).map(|index| posts[index].1.identity)
    }

    /// What the act is to the door of that replica; none if it is refused there.
    fn body(&self, replica: usize, sender: UserId, act: &Act) -> Option<Body> {
        let state = &self.regions[replica].state;
        let membership = state.membership();
        let member = membership.member(sender).is_some();
        match act {
            Act::Create { direct, members } => {
                if membership.exists() {
                    return None;
                }
                let mut members: Vec<UserId> = members.iter().map(|number| user(*number)).collect();
                members.push(sender);
                if *direct {
                    members = vec![user(0), user(1)];
                }
                members.sort();
                members.dedup();
                let name = if *direct { String::new() } else { format!("named by {sender}") };
                // As many rights as no history needs: who is a member is the roster's affair here.
                let replicas = self.regions.iter().filter(|_| !*direct);
                let shares = replicas.map(|region| (region.id, 1_000)).collect();
                Some(Body::Create { members, name, direct: *direct, shares })
            }
            Act::Change(wish) => {
                let allowed =
                    membership.roster().judge_wish(sender, *wish).ok().filter(|_| !membership.direct());
                allowed.map(|action| Body::Change(Change { cut: state.cut().clone(), action }))
            }
            Act::Post { reply } => {
                let last = state.timeline().entries().next_back().map(|(_, entry)| entry.identity);
                let reply_to = last.filter(|_| *reply).map(|target| (target.sender, target.message));
                let body = Bytes::from_static(b"text");
                member.then_some(Body::Post(Post { body, sent_at_ms: 1_000_000, reply_to, seen: None }))
            }
            Act::Amend { which, wish } => {
                let target = self.message(replica, *which)?;
                self.amend(replica, sender, target, wish)
            }
        }
    }

    fn amend(&self, replica: usize, sender: UserId, target: Identity, wish: &AmendmentWish) -> Option<Body> {
        let state = &self.regions[replica].state;
        let aliases = state.timeline().aliases(target)?;
        let held = state.amendments_of(target).cloned().unwrap_or_default();
        // Times are a few seconds here, so every window is open.
        let judged = held.check((target, &aliases), target.sender, wish, Now(0), Windows::default());
        let content = match wish {
            AmendmentWish::Edit => AmendmentContent::Edit { body: Bytes::from_static(b"edited"), seen: None },
            AmendmentWish::Delete => AmendmentContent::Delete,
            AmendmentWish::React(emoji) => AmendmentContent::React(emoji.clone()),
            AmendmentWish::Withdraw(emoji) => {
                let seen = held.seen(emoji, sender);
                let content = AmendmentContent::Withdraw { emoji: emoji.clone(), seen };
                return (!held.seen(emoji, sender).is_empty()).then_some(Body::Amend { target, content });
            }
        };
        judged.is_ok().then_some(Body::Amend { target, content })
    }

    fn resend(&mut self, replica: usize, which: usize, changed: bool) {
        let Some(index) = which.checked_rem(self.issued.len()) else { return };
        let (sender, message) = (self.issued[index].draft.sender, self.issued[index].draft.message);
        let state = &self.regions[replica].state;
        if state.timeline().aliases(Identity { sender, message }).is_some() {
            return;
        }
        let cut = state.cut().clone();
        let body = match (&self.issued[index].draft.body, changed) {
            (Body::Change(Change { action: Action::Add { under, .. }, .. }), true) => {
                Body::Change(Change { cut, action: Action::Add { user: user(0), under: *under } })
            }
            (Body::Change(change), _) => Body::Change(Change { cut, action: change.action.clone() }),
            (create @ Body::Create { .. }, _) => create.clone(),
            (rights @ Body::Rights(_), _) => rights.clone(),
            (document @ Body::Document(_), _) => document.clone(),
            (Body::Amend { target, content }, _) => Body::Amend { target: *target, content: content.clone() },
            (Body::Post(post), false) => Body::Post(post.clone()),
            (Body::Post(post), true) => {
                Body::Post(Post { body: Bytes::from_static(b"another"), ..post.clone() })
            }
        };
        self.issue(replica, sender, message, body);
    }

    fn issue(&mut self, replica: usize, sender: UserId, message: MessageId, body: Body) {
        let index = self.issued.len();
        let region = &mut self.regions[replica];
        let hlc = Timestamp::issue(region.clock_ms, region.state.highest(), Timestamp::ZERO).unwrap();
        let draft = Draft { conversation: self.conversation, hlc, sender, message, body };
        let (envelope, payload) = draft.seal([index as u8; 16]);
        let dot = Dot { replica: region.id, sequence: region.applied.get(region.id).next() };
        let operation = Operation { dot, envelope, payload: Some(payload) };
        self.issued.push(Issued { operation, draft, after: region.applied.clone() });
        Self::log(region, index, &self.issued[index]);
    }

    fn take(&mut self, replica: usize, from: usize, entries: usize) {
        let lacking: Vec<usize> = self.regions[from]
            .log
            .iter()
            .copied()
            .filter(|index| !self.regions[replica].applied.covers(self.issued[*index].operation.dot))
            .take(entries)
            .collect();
        for index in lacking {
            Self::log(&mut self.regions[replica], index, &self.issued[index]);
        }
    }

    fn log(region: &mut Region, index: usize, issued: &Issued) {
        assert!(region.applied.covers_all(&issued.after), "logs extend happened-before");
        region.state.apply(&issued.operation).unwrap();
        region.applied.raise(issued.operation.dot);
        region.log.push(index);
    }
}
