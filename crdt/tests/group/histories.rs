//! Random histories of one group between regions that are cut off from each other at random.
//!
//! Each region has a log, a clock of its own and the real group; it asks the door, issues on top of all it has applied, takes peers' logs in
//! order, folds what it knows to be stable by the pairs of the others, and moves and returns rights, as regions do. Now and then one is ended
//! and begins again under a new id. Some operations are forged: issued without asking the door, under any grant and without a right,
//! though on a true cut.
//!
//! What is never to be, in any history, is asserted here after every operation: more members than the limit, and rights that come
//! from nowhere or get lost.

use crate::histories::{replica, user};
use crdt::escrow::{self, Count};
use crdt::group::{Group, Refused, RightsAct, RightsChange, RightsOperation};
use crdt::roster::{Action, Change, RosterOperation, Wish};
use crdt::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

pub(crate) const REGIONS: usize = 4;
pub(crate) const USERS: u64 = 6;

#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// A region creates the group, as far as it knows; under the same command as others, or one of its own.
    Create { region: usize, own: bool },
    /// A user asks a region.
    Ask { region: usize, sender: usize, wish: Asked, target: u64 },
    /// A region issues what its door would refuse.
    Forge { region: usize, sender: u64, wish: Asked, target: u64, grant: usize },
    /// A client asks a region what it asked another.
    Resend { region: usize, which: usize },
    /// A region takes entries of a peer's log.
    Take { region: usize, from: usize, entries: usize },
    /// A region folds what it can.
    Fold { region: usize },
    /// A region's clock jumps.
    Clock { region: usize, ms: u64 },
    /// A region does for the rights' sake what is due, when it has a way to that many others.
    Move { region: usize, reachable: usize },
    /// A region gives away what it may not have, or wants back what was returned.
    ForgeRights { region: usize, to: usize, rights: u64 },
    /// A region is ended and begins again under a new id; another that has all of it is the heir.
    End { region: usize, heir: usize },
}

/// An operation of a log.
#[derive(Debug, Clone)]
pub(crate) enum Entry {
    Roster(RosterOperation),
    Rights(RightsOperation),
}

impl Entry {
    pub(crate) fn dot(&self) -> Dot {
        match self {
            Self::Roster(operation) => operation.place.dot,
            Self::Rights(operation) => operation.dot,
        }
    }

    pub(crate) fn cut(&self) -> &Cut {
        match self {
            Self::Roster(operation) => &operation.change.cut,
            Self::Rights(operation) => &operation.change.cut,
        }
    }

    pub(crate) fn apply(&self, group: &mut Group) -> bool {
        match self {
            Self::Roster(operation) => group.apply(operation.clone()).unwrap().covered,
            Self::Rights(operation) => group.apply_rights(operation) != escrow::Moved::NotHeld,
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Asked {
    Add,
    Remove,
    Leave,
    Promote,
    Demote,
    Claim,
}

/// Steps of a history, at most so many after its beginning.
pub(crate) fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    let region = || 0..REGIONS;
    let asked = || {
        prop_oneof![
            6 => Just(Asked::Add),
            4 => Just(Asked::Remove),
            2 => Just(Asked::Leave),
            6 => Just(Asked::Promote),
            5 => Just(Asked::Demote),
            2 => Just(Asked::Claim),
        ]
    };
    let step = prop_oneof![
        1 => (region(), prop::bool::weighted(0.3)).prop_map(|(region, own)| Step::Create { region, own }),
        20 => (region(), any::<usize>(), asked(), 0..USERS)
            .prop_map(|(region, sender, wish, target)| Step::Ask { region, sender, wish, target }),
        2 => (region(), 0..USERS, asked(), 0..USERS, any::<usize>()).prop_map(
            |(region, sender, wish, target, grant)| Step::Forge { region, sender, wish, target, grant }
        ),
        4 => (region(), any::<usize>()).prop_map(|(region, which)| Step::Resend { region, which }),
        10 => (region(), region(), 1..8_usize)
            .prop_map(|(region, from, entries)| Step::Take { region, from, entries }),
        4 => region().prop_map(|region| Step::Fold { region }),
        1 => (region(), 0..10_000_u64).prop_map(|(region, ms)| Step::Clock { region, ms }),
        4 => (region(), 1..=REGIONS).prop_map(|(region, reachable)| Step::Move { region, reachable }),
        1 => (region(), region(), 1..3_u64)
            .prop_map(|(region, to, rights)| Step::ForgeRights { region, to, rights }),
        1 => (region(), region()).prop_map(|(region, heir)| Step::End { region, heir }),
    ];
    // Everybody has the creation at first, mostly: else there are groups of one region.
    let begin = prop::bool::weighted(0.9).prop_map(|known| {
        let mut steps = vec![Step::Create { region: 0, own: false }];
        let takes = (1..REGIONS).map(|region| Step::Take { region, from: 0, entries: 1 });
        steps.extend(takes.filter(|_| known));
        steps
    });
    (begin, prop::collection::vec(step, 0..most)).prop_map(|(mut begin, rest)| {
        begin.extend(rest);
        begin
    })
}

#[derive(Debug, Clone)]
struct Region {
    id: ReplicaId,
    log: Vec<usize>,
    applied: VersionVector,
    group: Group,
    clock_ms: u64,
    highest: Timestamp,
    /// What it had applied at each length of its own sequence, the newest last.
    pairs: Vec<(Sequence, VersionVector)>,
}

/// A group's operations, causes first, and what each region made of those it has.
#[derive(Debug, Clone)]
pub(crate) struct History {
    pub(crate) issued: Vec<Entry>,
    /// How many were issued by somebody who did not hold what they take.
    pub(crate) uncovered: BTreeSet<Dot>,
    regions: Vec<Region>,
    limit: u64,
    commands: u128,
    /// Who was ended, and the region that is the heir.
    ended: Vec<(ReplicaId, usize)>,
}

impl History {
    /// Plays the steps in a group of at most so many members.
    pub(crate) fn play(limit: u64, steps: &[Step]) -> Self {
        let mut history = Self::new(limit);
        steps.iter().for_each(|step| history.step(step));
        history
    }

    /// Before anything.
    pub(crate) fn new(limit: u64) -> Self {
        let region = |number| Region {
            id: replica(number),
            log: Vec::new(),
            applied: VersionVector::new(),
            group: Group::default(),
            clock_ms: 1_000_000,
            highest: Timestamp::ZERO,
            pairs: Vec::new(),
        };
        let regions = (0..REGIONS).map(region).collect();
        let (issued, uncovered) = (Vec::new(), BTreeSet::new());
        Self { issued, uncovered, regions, limit, commands: 100, ended: Vec::new() }
    }

    /// What a region holds.
    pub(crate) fn group(&self, region: usize) -> &Group {
        &self.regions[region].group
    }

    /// The id of a region.
    pub(crate) fn id(&self, region: usize) -> ReplicaId {
        self.regions[region].id
    }

    /// A region takes all that another has.
    pub(crate) fn take_all(&mut self, region: usize, from: usize) {
        self.step(&Step::Take { region, from, entries: usize::MAX });
    }

    /// A user asks a region, which lets them or says why not.
    pub(crate) fn try_ask(&mut self, region: usize, sender: UserId, wish: Wish) -> Result<(), Refused> {
        let asked = &self.regions[region];
        let action = asked.group.judge_wish(asked.id, sender, wish)?;
        self.commands += 1;
        self.issue(region, sender, MessageId(self.commands), action);
        Ok(())
    }

    /// What each region has applied and holds.
    pub(crate) fn outcomes(&self) -> impl Iterator<Item = (&VersionVector, &Group)> {
        self.regions.iter().map(|region| (&region.applied, &region.group))
    }

    /// The roster operations that had a right for what they do.
    pub(crate) fn roster_operations(&self) -> Vec<&RosterOperation> {
        let roster = self.issued.iter().filter_map(|entry| match entry {
            Entry::Roster(operation) => Some(operation),
            Entry::Rights(_) => None,
        });
        roster.filter(|operation| !self.uncovered.contains(&operation.place.dot)).collect()
    }

    /// Everybody gets everything, folds it, and has back what is free.
    pub(crate) fn heal(&mut self) {
        for round in 0..4 {
            for region in 0..REGIONS {
                for from in 0..REGIONS {
                    self.step(&Step::Take { region, from, entries: usize::MAX });
                }
            }
            // An earlier creation may have come to light: then its rights are inherited too.
            for (ended, heir) in self.ended.clone().into_iter().filter(|_| round == 0) {
                if let Some(creation) = self.regions[heir].group.creation() {
                    self.issue_rights(heir, creation, RightsAct::Inherit(ended));
                }
            }
            (0..REGIONS).for_each(|region| self.pair(region));
            (0..REGIONS).for_each(|region| self.fold(region));
            for region in 0..REGIONS {
                let me = self.regions[region].id;
                while let Some((creation, act)) = self.regions[region].group.rights_due(me, &[me].into()) {
                    self.issue_rights(region, creation, act);
                }
            }
        }
    }

    /// An order that extends happened-before, steered by the choices.
    pub(crate) fn linear_extension(&self, choices: &[usize]) -> Vec<&Entry> {
        let mut waiting: Vec<&Entry> = self.issued.iter().collect();
        let mut applied = VersionVector::new();
        let mut order = Vec::new();
        for turn in 0.. {
            let is_ready = |entry: &&Entry| applied.covers_all(entry.cut());
            let ready: Vec<usize> = (0..waiting.len()).filter(|at| is_ready(&waiting[*at])).collect();
            let Some(choice) = choices.get(turn % choices.len()).copied() else { break };
            let Some(at) = choice.checked_rem(ready.len()).map(|choice| ready[choice]) else { break };
            let entry = waiting.remove(at);
            applied.raise(entry.dot());
            order.push(entry);
        }
        assert!(waiting.is_empty(), "happened-before is acyclic");
        order
    }

    pub(crate) fn step(&mut self, step: &Step) {
        match step {
            Step::Create { region, own } => {
                if !self.regions[*region].applied.is_empty() {
                    return;
                }
                let command = MessageId(if *own { 2 + *region as u128 } else { 1 });
                let home = if *own { *region } else { 0 };
                let sender = user(home as u64);
                let members = BTreeSet::from([sender, user(1)]);
                let all = (0..REGIONS).map(replica).collect();
                let rights = self.limit - members.len() as u64;
                let shares = escrow::shares(rights, replica(home), &all).into_iter();
                let shares = shares.map(|(replica, share)| (replica, share.0)).collect();
                self.issue(*region, sender, command, Action::Create { members, shares });
            }
            Step::Ask { region, sender, wish, target } => {
                let members: Vec<UserId> = self.regions[*region].group.roster().members().collect();
                let Some(at) = sender.checked_rem(members.len()) else { return };
                self.ask(*region, members[at], wish.of(user(*target)), None);
            }
            Step::Forge { region, sender, wish, target, grant } => {
                let known = &self.regions[*region].log;
                let Some(at) = grant.checked_rem(known.len()) else { return };
                let Entry::Roster(given) = self.issued[known[at]].clone() else { return };
                let under = given.place.dot;
                let target = user(*target);
                let action = match wish {
                    Asked::Add => Action::Add { user: target, under },
                    Asked::Remove => Action::Remove { user: target, under },
                    Asked::Leave => Action::Leave,
                    Asked::Promote => Action::Promote { user: target, under },
                    Asked::Demote => Action::Demote { user: target, under },
                    Asked::Claim => Action::Claim,
                };
                self.commands += 1;
                let holder = match given.change.action {
                    Action::Create { .. } | Action::Claim => given.sender,
                    Action::Promote { user, .. } => user,
                    _ => user(*sender),
                };
                self.issue(*region, holder, MessageId(self.commands), action);
            }
            Step::Resend { region, which } => self.resend(*region, *which),
            Step::Take { region, from, entries } => self.take(*region, *from, *entries),
            Step::Fold { region } => self.fold(*region),
            Step::Clock { region, ms } => self.regions[*region].clock_ms = 995_000 + ms,
            Step::Move { region, reachable } => {
                let me = self.regions[*region].id;
                let others = (*region..*region + *reachable).map(|at| self.regions[at % REGIONS].id);
                let due = self.regions[*region].group.rights_due(me, &others.collect());
                if let Some((creation, act)) = due {
                    self.issue_rights(*region, creation, act);
                }
            }
            Step::ForgeRights { region, to, rights } => self.forge_rights(*region, *to, *rights),
            Step::End { region, heir } => self.end(*region, *heir),
        }
    }

    fn forge_rights(&mut self, region: usize, to: usize, rights: u64) {
        let returned = self.issued.iter().find_map(|entry| match entry {
            Entry::Rights(RightsOperation { change, .. }) => {
                matches!(change.act, RightsAct::Return(_)).then(|| (change.creation, change.act.clone()))
            }
            Entry::Roster(_) => None,
        });
        let known = self.regions[region].log.first().map(|first| self.issued[*first].dot());
        let to = self.regions[to].id;
        let transfer = known.map(|creation| (creation, RightsAct::Transfer { to, rights: Count(rights) }));
        if let Some((creation, act)) = returned.filter(|_| rights == 1).or(transfer) {
            self.issue_rights(region, creation, act);
        }
    }

    fn end(&mut self, region: usize, heir: usize) {
        let ended = self.regions[region].id;
        let last = self.regions[region].applied.get(ended);
        let has_all = self.regions[heir].applied.get(ended) == last && last != Sequence::NONE;
        // A region can be its own heir: it comes back as a new incarnation of the store it was.
        let Some(creation) = self.regions[heir].group.creation().filter(|_| has_all) else { return };
        let renewed = &mut self.regions[region];
        renewed.id.incarnation = Incarnation(renewed.id.incarnation.0 + 0x100);
        renewed.pairs.clear();
        self.pair(region);
        self.issue_rights(heir, creation, RightsAct::Inherit(ended));
        self.ended.push((ended, heir));
    }

    fn ask(&mut self, region: usize, sender: UserId, wish: Wish, command: Option<MessageId>) {
        let asked = &self.regions[region];
        let Ok(action) = asked.group.judge_wish(asked.id, sender, wish) else { return };
        self.commands += 1;
        self.issue(region, sender, command.unwrap_or(MessageId(self.commands)), action);
    }

    fn resend(&mut self, region: usize, which: usize) {
        let Some(at) = which.checked_rem(self.issued.len()) else { return };
        let Entry::Roster(original) = self.issued[at].clone() else { return };
        let known = self.regions[region].log.iter().any(|other| match &self.issued[*other] {
            Entry::Roster(other) => (other.sender, other.command) == (original.sender, original.command),
            Entry::Rights(_) => false,
        });
        let wish = match original.change.action {
            Action::Create { .. } => return,
            Action::Add { user, .. } => Wish::Add(user),
            Action::Remove { user, .. } => Wish::Remove(user),
            Action::Leave => Wish::Leave,
            Action::Promote { user, .. } => Wish::Promote(user),
            Action::Demote { user, .. } => Wish::Demote(user),
            Action::Claim => Wish::Claim,
        };
        if !known {
            self.ask(region, original.sender, wish, Some(original.command));
        }
    }

    fn issue(&mut self, region: usize, sender: UserId, command: MessageId, action: Action) {
        let issuer = &self.regions[region];
        let hlc = Timestamp::issue(issuer.clock_ms, issuer.highest, Timestamp::ZERO).unwrap();
        let dot = Dot { replica: issuer.id, sequence: issuer.applied.get(issuer.id).next() };
        let change = Change { cut: issuer.applied.clone(), action };
        let operation = RosterOperation { place: Place { hlc, dot }, sender, command, change };
        self.issued.push(Entry::Roster(operation));
        self.log(region, self.issued.len() - 1);
    }

    fn issue_rights(&mut self, region: usize, creation: Dot, act: RightsAct) {
        let issuer = &self.regions[region];
        let dot = Dot { replica: issuer.id, sequence: issuer.applied.get(issuer.id).next() };
        let change = RightsChange { cut: issuer.applied.clone(), creation, act };
        let operation = RightsOperation { dot, change };
        self.issued.push(Entry::Rights(operation));
        self.log(region, self.issued.len() - 1);
    }

    fn take(&mut self, region: usize, from: usize, entries: usize) {
        let applied = &self.regions[region].applied;
        let lacks = |index: &usize| !applied.covers(self.issued[*index].dot());
        let lacking: Vec<usize> =
            self.regions[from].log.iter().copied().filter(lacks).take(entries).collect();
        for index in lacking {
            self.log(region, index);
        }
    }

    fn log(&mut self, number: usize, index: usize) {
        let entry = &self.issued[index];
        let region = &mut self.regions[number];
        assert!(region.applied.covers_all(entry.cut()), "logs extend happened-before");
        let covered = entry.apply(&mut region.group);
        region.applied.raise(entry.dot());
        if let Entry::Roster(operation) = entry {
            region.highest = region.highest.max(operation.place.hlc);
        }
        region.log.push(index);
        if let Entry::Roster(operation) = entry {
            let issued_here = operation.place.dot.replica == region.id;
            let void = self.uncovered.contains(&entry.dot());
            assert!(issued_here || void != covered, "what is void where it was issued is void everywhere");
        }
        if !covered {
            self.uncovered.insert(entry.dot());
        }
        let group = &region.group;
        assert!(group.roster().size() as u64 <= self.limit, "{} members", group.roster().size());
        assert_eq!(
            group.held_by_all().0 + group.spent(),
            self.limit,
            "no right comes from nowhere or is lost"
        );
        self.pair(number);
    }

    fn pair(&mut self, number: usize) {
        let region = &mut self.regions[number];
        region.pairs.push((region.applied.get(region.id), region.applied.clone()));
    }

    /// Stable is what every region says it had applied, in a pair all of whose vector is applied here.
    pub(crate) fn fold(&mut self, number: usize) {
        let applied = &self.regions[number].applied;
        let known = |other: &Region| {
            let counts = |(at, vector): &&(Sequence, VersionVector)| {
                *at <= applied.get(other.id) && applied.covers_all(vector)
            };
            other.pairs.iter().rev().find(counts).map(|(_, vector)| vector.clone()).unwrap_or_default()
        };
        let stable = self.regions.iter().map(known).reduce(|one, other| one.meet(&other)).unwrap();
        self.regions[number].group.fold(&stable);
    }
}

impl Asked {
    fn of(self, target: UserId) -> Wish {
        match self {
            Self::Add => Wish::Add(target),
            Self::Remove => Wish::Remove(target),
            Self::Leave => Wish::Leave,
            Self::Promote => Wish::Promote(target),
            Self::Demote => Wish::Demote(target),
            Self::Claim => Wish::Claim,
        }
    }
}
