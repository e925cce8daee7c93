//! What the oracle knows of a conversation: every operation, its causes, and where it has been applied.
//!
//! An operation's causes are taken from the order in which things happened in this world: all that its region had applied to the conversation when
//! it took it. No vector, cut or digest of the product is asked.
//!
//! What must always hold, and is checked at every durable batch: a dot is one operation, for ever; an operation is applied in a region once,
//! after all its causes, and in another region only after it is durable in its own.

use super::set::Set;
use super::shown::Fault;
use super::{Checker, Oracle};
use crate::world::Moment;
use bytes::Bytes;
use crdt::{ConversationId, DeviceId, Dot, MessageId, RegionId, UserId};
use gateway_client::Place;
use region::item::{Change, Content};
use region::shard::Effect;
use std::collections::BTreeMap;

/// An operation's number in its conversation.
pub(crate) type Number = usize;
/// An identity's number in its conversation.
pub(crate) type IdentityNumber = usize;

/// A conversation.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) operations: Vec<OperationFacts>,
    pub(crate) by_dot: BTreeMap<Dot, Number>,
    pub(crate) identities: BTreeMap<(UserId, MessageId), IdentityNumber>,
    /// Per identity, its operations.
    pub(crate) aliases: Vec<Vec<Number>>,
    /// Per region, what it has applied.
    pub(crate) applied: BTreeMap<RegionId, Applied>,
    /// What was posted, by whom, on what.
    pub(crate) sent: BTreeMap<(UserId, MessageId), Sent>,
    /// Operations that made a user a member.
    pub(crate) joins: BTreeMap<UserId, Vec<Number>>,
    /// Operations by which a user left.
    pub(crate) leaves: BTreeMap<UserId, Vec<Number>>,
}

/// What a region has applied.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    pub(crate) set: Set,
    pub(crate) count: u64,
}

/// One operation.
#[derive(Debug)]
pub(crate) struct OperationFacts {
    pub(crate) place: Place,
    pub(crate) sender: UserId,
    pub(crate) message: MessageId,
    pub(crate) identity: IdentityNumber,
    pub(crate) kind: Kind,
    /// What its region had applied.
    pub(crate) causes: Set,
}

/// What it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Post,
    Created,
    Added,
    Left,
}

/// A post, as its author's device sent it.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) device: DeviceId,
    /// The device's posts in this conversation are numbered.
    pub(crate) number: u64,
    pub(crate) body: Bytes,
    /// The identities that the device had been shown.
    pub(crate) seen: Set,
}

impl Facts {
    pub(crate) fn identity(&mut self, sender: UserId, message: MessageId) -> IdentityNumber {
        let next = self.aliases.len();
        let number = *self.identities.entry((sender, message)).or_insert(next);
        if number == next {
            self.aliases.push(Vec::new());
        }
        number
    }

    /// Whether that operation may be hidden from that user for good: one of their adds was made on top of it.
    pub(crate) fn is_excused(&self, operation: Number, user: UserId) -> bool {
        let adds = self.joins.get(&user).into_iter().flatten().filter_map(|add| self.operations.get(*add));
        adds.filter(|add| add.kind == Kind::Added).any(|add| add.causes.contains(operation))
    }

    /// Whether that user may ever be shown that operation.
    pub(crate) fn may_be_shown(&self, operation: Number, user: UserId) -> bool {
        self.joins.get(&user).into_iter().flatten().any(|join| {
            let hides =
                |facts: &OperationFacts| facts.kind == Kind::Added && facts.causes.contains(operation);
            *join == operation || self.operations.get(*join).is_some_and(|facts| !hides(facts))
        })
    }

    /// Whether that user is a member once everything has arrived: a leave undoes the joins among its causes.
    pub(crate) fn is_member(&self, user: UserId) -> bool {
        let leaves =
            || self.leaves.get(&user).into_iter().flatten().filter_map(|leave| self.operations.get(*leave));
        // Of a join that was asked for twice, one that was seen undoes both: it was one act.
        let aliases = |join: &Number| {
            let identity = self.operations.get(*join).map(|operation| operation.identity);
            identity.and_then(|identity| self.aliases.get(identity)).into_iter().flatten()
        };
        let mut joins = self.joins.get(&user).into_iter().flatten();
        joins.any(|join| !leaves().any(|leave| aliases(join).any(|alias| leave.causes.contains(*alias))))
    }

    /// Whether that identity must be shown to a member in the end: one of its operations is hidden by none of their adds.
    pub(crate) fn must_be_shown(&self, identity: IdentityNumber, user: UserId) -> bool {
        self.aliases
            .get(identity)
            .is_some_and(|aliases| aliases.iter().any(|alias| !self.is_excused(*alias, user)))
    }

    /// Whether a region has applied any operation of that identity.
    pub(crate) fn stands_in(&self, region: RegionId, identity: IdentityNumber) -> bool {
        let aliases = self.aliases.get(identity);
        self.applied
            .get(&region)
            .is_some_and(|applied| aliases.into_iter().flatten().any(|alias| applied.set.contains(*alias)))
    }
}

impl Oracle {
    /// A batch is durable in a region.
    pub(crate) fn committed(&mut self, at: Moment, region: RegionId, effects: &[Effect]) {
        for effect in effects {
            if let Effect::Changed(change) = effect
                && let Err((checker, why)) = self.applies(region, change)
            {
                let Change { conversation, item, .. } = change;
                let text = format!("{region} applies {} in {conversation}: {why}", item.dot);
                self.violate(at, checker, text);
            }
        }
    }

    fn applies(&mut self, region: RegionId, change: &Change) -> Fault {
        let facts = self.conversations.entry(change.conversation).or_default();
        let item = &change.item;
        let place = Place { hlc: item.hlc, dot: item.dot };
        let mut fault = Ok(());
        let number = match facts.by_dot.get(&item.dot).copied() {
            Some(number) => number,
            None => {
                if item.dot.replica.region != region {
                    fault = Err((Checker::Durable, "its own region does not have it".to_owned()));
                }
                let causes = facts.applied.entry(region).or_default().set.clone();
                facts.add(place, item.sender, item.message, &item.content, causes)
            }
        };
        // It was found or added just above.
        let known = &facts.operations[number];
        if (known.place, known.sender, known.message) != (place, item.sender, item.message) {
            fault = Err((Checker::Identity, format!("that dot is {known:?} as well")));
        }
        let applied = facts.applied.entry(region).or_default();
        let lacking: Vec<Number> = known.causes.beyond(&applied.set).take(3).collect();
        if !lacking.is_empty() {
            let dots: Vec<String> =
                lacking.iter().map(|lack| facts.operations[*lack].place.to_string()).collect();
            fault = Err((Checker::AppliedInOrder, format!("before its causes {dots:?}")));
        }
        if !applied.set.insert(number) {
            fault = Err((Checker::Identity, "a second time".to_owned()));
        }
        applied.count += 1;
        if applied.count != change.arrival.0 {
            let text = format!("as arrival {}, when it is the {}.", change.arrival.0, applied.count);
            fault = Err((Checker::AppliedInOrder, text));
        }
        for checker in [Checker::AppliedInOrder, Checker::Identity, Checker::Durable] {
            self.look_at(checker);
        }
        fault
    }

    /// A region answers that it has done a command.
    pub(crate) fn acknowledges(
        &mut self,
        at: Moment,
        region: RegionId,
        conversation: ConversationId,
        dot: Dot,
    ) {
        self.look_at(Checker::Durable);
        if !self.holds(region, conversation, dot) {
            let text =
                format!("{region} answers with {dot} in {conversation}, which it does not hold durably");
            self.violate(at, Checker::Durable, text);
        }
    }

    /// Whether an operation is durable in a region.
    pub(crate) fn holds(&self, region: RegionId, conversation: ConversationId, dot: Dot) -> bool {
        self.conversations.get(&conversation).is_some_and(|facts| {
            let number = facts.by_dot.get(&dot);
            let applied = facts.applied.get(&region);
            number.zip(applied).is_some_and(|(number, applied)| applied.set.contains(*number))
        })
    }
}

impl Facts {
    fn add(
        &mut self,
        place: Place,
        sender: UserId,
        message: MessageId,
        content: &Content,
        causes: Set,
    ) -> Number {
        let identity = self.identity(sender, message);
        let number = self.operations.len();
        let kind = match content {
            Content::Post { .. } => Kind::Post,
            Content::Created { members, .. } => {
                for member in members {
                    self.joins.entry(*member).or_default().push(number);
                }
                Kind::Created
            }
            Content::Added { user, .. } => {
                self.joins.entry(*user).or_default().push(number);
                Kind::Added
            }
            Content::Left => {
                self.leaves.entry(sender).or_default().push(number);
                Kind::Left
            }
        };
        self.operations.push(OperationFacts { place, sender, message, identity, kind, causes });
        self.by_dot.insert(place.dot, number);
        // `identity` made the list.
        self.aliases[identity].push(number);
        number
    }
}
