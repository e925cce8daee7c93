//! What is known of a conversation: every operation, its causes, and where it has been applied, in which order.
//!
//! What must always hold: an operation's causes are a beginning of the order of the region that issued it, as long as that was when it took it; orders only grow, so
//! what was a cause once stays one.

use super::amendments::AmendmentFacts;
use super::rights::RightsFacts;
use super::roster::RosterFacts;
use super::screens::Screen;
use super::sequence::Sequence;
use crate::world::Moment;
use bytes::Bytes;
use crdt::{DeviceId, Dot, MessageId, RegionId, UserId};
use gateway_client::{DocumentEdit, Place};
use region::item::{Content, Item};
use std::collections::{BTreeMap, BTreeSet};

/// An operation's number in its conversation.
pub(crate) type Number = usize;
/// An identity's number in its conversation.
pub(crate) type IdentityNumber = usize;
/// A life of a region's store, numbered in a conversation.
pub(crate) type Branch = usize;

/// A conversation.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) operations: Vec<OperationFacts>,
    pub(crate) by_dot: BTreeMap<Dot, Number>,
    pub(crate) identities: BTreeMap<(UserId, MessageId), IdentityNumber>,
    /// Per identity, its name and its operations.
    pub(crate) names: Vec<(UserId, MessageId)>,
    pub(crate) aliases: Vec<Vec<Number>>,
    /// What each life of a region's store has applied, and the present one of each region.
    branches: Vec<Applied>,
    present: BTreeMap<RegionId, Branch>,
    /// How much of what a life applied holds all that a region takes for stable.
    stable: BTreeMap<(RegionId, Branch), usize>,
    /// Operations whose text some region has let go, since it is kept no longer.
    pub(crate) expired: BTreeSet<Number>,
    /// What was done to who is in it.
    pub(crate) roster: RosterFacts,
    /// What was done with the rights to places in it.
    pub(crate) rights: RightsFacts,
    /// What was done to messages.
    pub(crate) amendments: AmendmentFacts,
    /// What people asked to be different in the document.
    pub(crate) described: BTreeMap<(UserId, MessageId), DocumentEdit>,
    /// What was posted, by whom, on what.
    pub(crate) sent: BTreeMap<(UserId, MessageId), Sent>,
    /// Operations that made a user a member.
    pub(crate) joins: BTreeMap<UserId, Vec<Number>>,
    /// Of these, those by which one member added another: they hide what came before.
    pub(crate) adds: BTreeMap<UserId, Vec<Number>>,
    /// Operations by which a user left, or was removed, whether that stands or not.
    pub(crate) leaves: BTreeMap<UserId, Vec<Number>>,
    /// By the changes of its members that a region had applied: which region held what then.
    members: BTreeMap<ChangesOfMembers, (RegionId, [u8; 32])>,
}

/// A set of operations that change members: how many, and the sum of their numbers' hashes, so that the order in which they came makes no difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
struct ChangesOfMembers {
    count: u64,
    sum: u128,
}

/// What a life of a region's store has applied.
#[derive(Debug, Clone, Default)]
struct Applied {
    sequence: Sequence<Branch>,
    highest: Option<Place>,
    members: ChangesOfMembers,
    /// When, in the order of the sequence.
    times: Vec<Moment>,
}

/// One operation.
#[derive(Debug)]
pub(crate) struct OperationFacts {
    pub(crate) place: Place,
    pub(crate) sender: UserId,
    pub(crate) message: MessageId,
    pub(crate) identity: IdentityNumber,
    pub(crate) kind: Kind,
    /// Its causes: the first so many of what that life of its region's store applied.
    branch: Branch,
    before: usize,
    /// The region that held it first, and whether another one ever has.
    pub(super) first_in: RegionId,
    pub(crate) was_in_two: bool,
    /// Its region was in a second life: what it had applied is not known.
    pub(super) of_second_life: bool,
}

/// What it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Post,
    Created,
    Added,
    Left,
    Removed,
    /// What somebody may do changes.
    Ranked,
    /// Rights to members' places move.
    Rights,
    /// The document changes.
    Document,
    /// Something is done to a message.
    Amended,
}

/// A post, as its author's device sent it.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) device: DeviceId,
    /// The device's posts in this conversation are numbered.
    pub(crate) number: u64,
    pub(crate) body: Bytes,
    /// How much of its conversation the device had been shown.
    pub(crate) seen: usize,
}

impl ChangesOfMembers {
    fn add(&mut self, number: Number) {
        let hash = blake3::hash(&(number as u64).to_le_bytes());
        let (half, _) = hash.as_bytes().split_at(16);
        self.count += 1;
        self.sum = half.iter().fold(0_u128, |sum, byte| sum << 8 | u128::from(*byte)).wrapping_add(self.sum);
    }
}

impl OperationFacts {
    /// Whether its region was in a second life, so that it is not known on what it was made.
    pub(crate) const fn is_of_second_life(&self) -> bool {
        self.of_second_life
    }
}

impl Facts {
    pub(crate) fn identity(&mut self, sender: UserId, message: MessageId) -> IdentityNumber {
        let next = self.names.len();
        let number = *self.identities.entry((sender, message)).or_insert(next);
        if number == next {
            self.names.push((sender, message));
            self.aliases.push(Vec::new());
        }
        number
    }

    pub(super) fn add(&mut self, region: RegionId, item: &Item) -> Number {
        let identity = self.identity(item.sender, item.message);
        let number = self.operations.len();
        let kind = match &item.content {
            Content::Post { .. } => Kind::Post,
            Content::Created { members, .. } => {
                for member in members {
                    self.joins.entry(*member).or_default().push(number);
                }
                Kind::Created
            }
            Content::Added { user, .. } => {
                self.joins.entry(*user).or_default().push(number);
                self.adds.entry(*user).or_default().push(number);
                Kind::Added
            }
            Content::Left => {
                self.leaves.entry(item.sender).or_default().push(number);
                Kind::Left
            }
            Content::Removed { user } => {
                self.leaves.entry(*user).or_default().push(number);
                Kind::Removed
            }
            Content::Promoted { .. } | Content::Demoted { .. } | Content::Claimed => Kind::Ranked,
            Content::Rights(_) => Kind::Rights,
            Content::DocumentChanged { .. } => Kind::Document,
            Content::Edited { .. }
            | Content::Deleted { .. }
            | Content::Reacted { .. }
            | Content::Withheld { .. }
            | Content::Withdrawn { .. } => {
                self.amendments.add(identity, item);
                Kind::Amended
            }
        };
        self.roster.add(number, identity, item);
        self.rights.add(number, item);
        let branch = self.branch(region);
        // `branch` made it.
        let before = self.branches[branch].sequence.len();
        let place = Place { hlc: item.hlc, dot: item.dot };
        let (sender, message) = (item.sender, item.message);
        let of_second_life = false;
        self.operations.push(OperationFacts {
            place,
            sender,
            message,
            identity,
            kind,
            branch,
            before,
            first_in: region,
            was_in_two: false,
            of_second_life,
        });
        self.by_dot.insert(item.dot, number);
        // `identity` made the list.
        self.aliases[identity].push(number);
        number
    }

    fn branch(&mut self, region: RegionId) -> Branch {
        let next = self.branches.len();
        let branch = *self.present.entry(region).or_insert(next);
        if branch == next {
            self.branches.push(Applied::default());
        }
        branch
    }

    /// What its region had applied is not known: it counts as following from nothing, and whom it adds it may hide anything from.
    pub(crate) fn forget_causes(&mut self, number: Number) {
        if let Some(operation) = self.operations.get_mut(number) {
            operation.before = 0;
            operation.of_second_life = true;
        }
    }

    /// What only a store's first life held is no more: nobody was added or has left by it.
    pub(crate) fn forget(&mut self, number: Number) {
        if let Some(operation) = self.operations.get(number) {
            self.by_dot.remove(&operation.place.dot);
        }
        self.roster.forget(number);
        self.rights.forget(number);
        for numbers in
            [&mut self.joins, &mut self.adds, &mut self.leaves].into_iter().flat_map(BTreeMap::values_mut)
        {
            numbers.retain(|of| *of != number);
        }
    }

    /// A region's store is another one: its life begins anew, and has applied nothing.
    pub(super) fn forget_store(&mut self, region: RegionId) {
        self.present.remove(&region);
        self.stable.retain(|(of, _), _| *of != region);
        self.roster.forget_store(region);
    }

    /// What that device had seen is not known of all that it has sent and not every one of these regions holds: it may send that again to one that does not.
    pub(crate) fn forget_what_was_seen(&mut self, device: DeviceId, regions: &[RegionId]) {
        let mut sent = std::mem::take(&mut self.sent);
        for (identity, sent) in sent.iter_mut().filter(|(_, sent)| sent.device == device) {
            let held =
                |number: &IdentityNumber| regions.iter().all(|region| self.stands_in(*region, *number));
            if !self.identities.get(identity).is_some_and(held) {
                sent.seen = 0;
            }
        }
        self.sent = sent;
    }

    /// The first cause of an operation that a region lacks.
    pub(crate) fn lacks_cause(&mut self, region: RegionId, number: Number) -> Option<Number> {
        let branch = self.branch(region);
        let operation = &self.operations[number];
        let (of, before) = (operation.branch, operation.before);
        if of == branch {
            return None;
        }
        // Both exist. What has been found whole is not looked at again, so this is taken out for a moment.
        let mut here = std::mem::take(&mut self.branches[branch].sequence);
        let gap = here.gap(of, self.branches[of].sequence.order(), before, Sequence::contains);
        self.branches[branch].sequence = here;
        gap
    }

    /// When a region applied an operation; none if it has not.
    pub(crate) fn applied_at(&self, region: RegionId, dot: Dot) -> Option<Moment> {
        let applied = self.applied(region)?;
        let place = applied.sequence.place(*self.by_dot.get(&dot)?)?;
        applied.times.get(place).copied()
    }

    /// When the first of all stores there ever were applied an operation, be it in an earlier life; none if none has.
    pub(crate) fn first_applied_at(&self, dot: Dot) -> Option<Moment> {
        let number = *self.by_dot.get(&dot)?;
        let at = |applied: &Applied| applied.times.get(applied.sequence.place(number)?).copied();
        self.branches.iter().filter_map(at).min()
    }

    /// When a region last heard that a user had become a member; none if it has not.
    pub(crate) fn joined_at(&self, region: RegionId, user: UserId) -> Option<Moment> {
        let joins = self.joins.get(&user).into_iter().flatten();
        joins.filter_map(|join| self.applied_at(region, self.operations.get(*join)?.place.dot)).max()
    }

    /// What stands highest of all that a region has applied; none before the first.
    pub(crate) fn highest_applied(&self, region: RegionId) -> Option<Place> {
        self.applied(region).and_then(|applied| applied.highest)
    }

    /// Another operation of the same identity that a region has applied, and that stands no later.
    pub(crate) fn done_before(&self, region: RegionId, number: Number) -> Option<Number> {
        // Numbers are those of these lists.
        let done = &self.operations[number];
        let stands = |alias: &Number| self.operations[*alias].place.hlc <= done.place.hlc;
        let others = self.aliases[done.identity].iter().copied().filter(|alias| *alias != number);
        others.filter(stands).find(|alias| self.is_applied(region, *alias))
    }

    /// It has the very time of another operation of its identity: it was brought back from the disk of that one's region. What is sent again is done at a time of its own.
    pub(crate) fn is_brought_back(&self, number: Number) -> bool {
        // Numbers are those of these lists.
        let done = &self.operations[number];
        let others = self.aliases[done.identity].iter().filter(|alias| **alias != number);
        others.into_iter().any(|alias| self.operations[*alias].place.hlc == done.place.hlc)
    }

    /// A region has applied it; as which of its operations here, or none if it had before.
    pub(crate) fn applies(&mut self, at: Moment, region: RegionId, number: Number) -> Option<u64> {
        let branch = self.branch(region);
        // `branch` made it.
        let applied = &mut self.branches[branch];
        let new = applied.sequence.push(number);
        if new {
            applied.times.push(at);
            if !matches!(self.operations[number].kind, Kind::Post | Kind::Amended) {
                applied.members.add(number);
                self.roster.applies(region);
            }
        }
        applied.highest = applied.highest.max(Some(self.operations[number].place));
        new.then_some(applied.sequence.len() as u64)
    }

    /// A region's store holds that of who is in the conversation: another region that held something else when it had applied the same changes, if there was one.
    pub(crate) fn members_differ(&mut self, region: RegionId, holds: [u8; 32]) -> Option<RegionId> {
        let changes = self.applied(region)?.members;
        let (other, held) = *self.members.entry(changes).or_insert((region, holds));
        (held != holds).then_some(other)
    }

    /// A region takes that operation for stable.
    pub(crate) fn note_stable(&mut self, region: RegionId, number: Number) {
        for (branch, applied) in self.branches.iter().enumerate() {
            if let Some(place) = applied.sequence.place(number) {
                let end = self.stable.entry((region, branch)).or_default();
                *end = (*end).max(place + 1);
            }
        }
    }

    /// Whether all that a region takes for stable is among the causes of that operation.
    pub(crate) fn comes_after_stable(&self, region: RegionId, number: Number) -> bool {
        // Numbers are those of this list.
        let operation = &self.operations[number];
        self.stable.get(&(region, operation.branch)).is_none_or(|end| *end <= operation.before)
    }

    fn applied(&self, region: RegionId) -> Option<&Applied> {
        self.present.get(&region).and_then(|branch| self.branches.get(*branch))
    }

    pub(crate) fn is_applied(&self, region: RegionId, number: Number) -> bool {
        self.applied(region).is_some_and(|applied| applied.sequence.contains(number))
    }

    /// As which of its operations here a region applied that one, from 0; none if it has not.
    pub(super) fn place_in(&self, region: RegionId, dot: Dot) -> Option<usize> {
        self.applied(region)?.sequence.place(*self.by_dot.get(&dot)?)
    }

    /// How many operations a region has applied.
    pub(crate) fn count_applied(&self, region: RegionId) -> usize {
        self.applied(region).map_or(0, |applied| applied.sequence.len())
    }

    /// Whether one operation was a cause of another.
    pub(crate) fn is_cause(&self, cause: Number, of: Number) -> bool {
        // Numbers are those of this list.
        let operation = &self.operations[of];
        let place = self.branches[operation.branch].sequence.place(cause);
        place.is_some_and(|place| place < operation.before)
    }

    /// The first cause of an operation that is neither on a screen nor hidden from its user for good.
    pub(crate) fn unseen_cause(&self, screen: &mut Screen, user: UserId, number: Number) -> Option<Number> {
        let operation = &self.operations[number];
        let order = self.branches[operation.branch].sequence.order();
        screen.lacks_operations(operation.branch, order, operation.before, |shown, cause| {
            shown.contains(self.operations[cause].identity) || self.is_excused(cause, user)
        })
    }

    /// Whether that operation may be hidden from that user for good: one of their adds was made on top of it, or might have been; or it is kept no longer.
    pub(crate) fn is_excused(&self, operation: Number, user: UserId) -> bool {
        let hides =
            |add: Number| add != operation && (self.is_cause(operation, add) || self.is_of_second_life(add));
        self.expired.contains(&operation) || self.adds.get(&user).into_iter().flatten().any(|add| hides(*add))
    }

    fn is_of_second_life(&self, number: Number) -> bool {
        self.operations.get(number).is_some_and(|operation| operation.of_second_life)
    }

    /// Whether there is nothing to see of that identity: a region did something with the group's rights. Of a lost region that stays on the disk, as its heir has them, and nobody misses it on a screen.
    pub(crate) fn shows_nothing(&self, identity: IdentityNumber) -> bool {
        let aliases = self.aliases.get(identity).into_iter().flatten();
        aliases.into_iter().all(|alias| self.operations.get(*alias).is_some_and(|of| of.kind == Kind::Rights))
    }

    /// Whether any operation of that identity may be.
    pub(crate) fn is_excused_identity(&self, identity: IdentityNumber, user: UserId) -> bool {
        let aliases = self.aliases.get(identity).into_iter().flatten();
        let may_be = self.adds.contains_key(&user) || !self.expired.is_empty();
        may_be && aliases.into_iter().any(|alias| self.is_excused(*alias, user))
    }

    /// Whether that user may ever be shown that operation.
    pub(crate) fn may_be_shown(&self, operation: Number, user: UserId) -> bool {
        self.joins.get(&user).into_iter().flatten().any(|join| {
            let adds = self.operations.get(*join).is_some_and(|facts| facts.kind == Kind::Added);
            *join == operation || !(adds && self.is_cause(operation, *join))
        })
    }

    /// Whether that identity must be shown to a member in the end: one of its operations is hidden by none of their adds, and none is kept no longer.
    pub(crate) fn must_be_shown(&self, identity: IdentityNumber, user: UserId) -> bool {
        let mut aliases = self.aliases.get(identity).into_iter().flatten();
        !self.is_expired(identity) && aliases.any(|alias| !self.is_excused(*alias, user))
    }

    /// Whether any operation of that identity is kept no longer somewhere.
    pub(crate) fn is_expired(&self, identity: IdentityNumber) -> bool {
        let mut aliases = self.aliases.get(identity).into_iter().flatten();
        aliases.any(|alias| self.expired.contains(alias))
    }

    /// Whether a region has applied any operation of that identity.
    pub(crate) fn stands_in(&self, region: RegionId, identity: IdentityNumber) -> bool {
        let aliases = self.aliases.get(identity).into_iter().flatten();
        aliases.into_iter().any(|alias| self.is_applied(region, *alias))
    }

    /// That operation, in words.
    pub(crate) fn describe(&self, number: Number) -> String {
        // Numbers are those of this list.
        let operation = &self.operations[number];
        format!("{:?} {} of {} at {}", operation.kind, operation.message, operation.sender, operation.place)
    }
}
