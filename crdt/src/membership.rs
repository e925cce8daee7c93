//! Membership by a plain rule: whoever created a group adds members, anyone leaves. An observed-remove structure.
//!
//! What must always hold: the state is a function of the set of operations. So everything that later operations
//! could still change a verdict on is kept: which creation stands, which adds stand, what each leave had seen.
//!
//! | concurrent | outcome |
//! | --- | --- |
//! | two creations of one id | a valid direct one first, else the lowest (hlc, dot) stands; the other's members, name and adds are void |
//! | a creation taken by two regions (resent) | one creation |
//! | add and leave of one user | the user is a member: the leave undoes only what it had seen |
//! | an add and its resend, the first of which a leave has seen | undone: seeing one alias is seeing the add |
//! | two adds of one user, or one resent to another region | one membership, hidden from which is what either hides: the join of the `since` cuts |
//! | an add by somebody else than the standing creator | void |
//! | a creator's leave and a creator's add | both stand |
//! | anything in a direct conversation | nothing: its two users are its members for ever |
//!
//! A first member sees everything; an added one what their `since` cut does not cover. Of several cuts it is the join, because devices are
//! streamed a conversation in the order of arrival: were it the meet, an add that arrives later would owe them what their stream has passed. A direct creation is valid when the
//! conversation's id is the one of its two members and one of them created it; another is void.
//!
//! Growth: per member 8 bytes (first) or 46 and a cut (added); per add that was undone 33 bytes, because a resend of it must stay undone; per
//! user who ever left one cut; per replica that took the creation 46 bytes. A cut is 1 byte and about 13 a replica.
//! Time: an add or leave `O(log n)` and that user's adds; a creation `O(members)`. Kept as one record, all of it is read and written for each change
//! of membership (90 KB in a group of 1,000 added members and three replicas), and none of it for a post.

use crate::canonical::{Decoder, Encoder, MalformedState};
use crate::id::{ConversationId, Dot, MessageId, UserId};
use crate::operation::{Body, Envelope};
use crate::timeline::{Identity, Place};
use crate::version_vector::Cut;
use std::collections::{BTreeMap, BTreeSet};

/// The members of one conversation, and what operations still to come may need.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Membership {
    /// All creations; the first stands.
    creations: BTreeMap<Rank, Identity>,
    /// First members and name under the creation that stands.
    members: BTreeSet<UserId>,
    name: String,
    adds: BTreeMap<AddIdentity, Add>,
    /// Per user, the join of what their leaves had seen.
    left: BTreeMap<UserId, Cut>,
}

/// The order in which creations of one id stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    group: bool,
    place: Place,
}

/// What an add is, however often it was sent. By user first, so that one user's adds are a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct AddIdentity {
    user: UserId,
    command: Identity,
}

/// Undone is final, so an undone add keeps nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Add {
    Undone,
    Live { dots: BTreeSet<Dot>, since: Cut },
}

/// One user whose standing an operation changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberChange {
    /// Who.
    pub user: UserId,
    /// What was hidden from them before; none if they were not a member.
    pub before: Option<Cut>,
    /// What is hidden from them now; none if they are not a member.
    pub after: Option<Cut>,
}

impl Membership {
    /// Takes an operation; a message and what amends one change nothing. Returns every user whose standing changed, sorted.
    pub fn apply(&mut self, dot: Dot, envelope: &Envelope, body: &Body) -> Vec<MemberChange> {
        match body {
            Body::Post(_) | Body::Amend { .. } => Vec::new(),
            Body::Create { members, name, direct } => {
                let before = self.standings();
                self.create(dot, envelope, members, name, *direct);
                changes(&before, &self.standings())
            }
            Body::Add { user, since } => {
                let before = self.member(*user);
                self.add(dot, AddIdentity { user: *user, command: envelope.identity() }, since);
                self.change(*user, before)
            }
            Body::Leave { seen } => {
                let before = self.member(envelope.sender);
                self.leave(envelope.sender, seen);
                self.change(envelope.sender, before)
            }
        }
    }

    /// Whether any creation of it is known; without one there are no members.
    #[must_use]
    pub fn exists(&self) -> bool {
        !self.creations.is_empty()
    }

    /// Who created it, under the creation that stands. Of a group, only they add members.
    #[must_use]
    pub fn creator(&self) -> Option<UserId> {
        self.creations.values().next().map(|identity| identity.sender)
    }

    /// Whether it is the conversation of two users.
    #[must_use]
    pub fn direct(&self) -> bool {
        self.creations.keys().next().is_some_and(|rank| !rank.group)
    }

    /// The group's name; empty for a direct conversation.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is hidden from that member: the operations this cut covers. None if they are not a member; empty if they see all.
    #[must_use]
    pub fn member(&self, user: UserId) -> Option<Cut> {
        if self.members.contains(&user) && (self.direct() || !self.has_left_creation(user)) {
            return Some(Cut::new());
        }
        if self.direct() {
            return None;
        }
        let creator = self.creator()?;
        let first = |message| AddIdentity { user, command: Identity { sender: creator, message } };
        let own = self.adds.range(first(MessageId(0))..=first(MessageId(u128::MAX)));
        let live = own.filter_map(|(_, add)| match add {
            Add::Undone => None,
            Add::Live { since, .. } => Some(since),
        });
        live.fold(None, |hidden: Option<Cut>, since| {
            let mut hidden = hidden.unwrap_or_default();
            hidden.join(since);
            Some(hidden)
        })
    }

    /// The operations of the standing adds that made them a member, duplicates included; none for who was there from the start.
    #[must_use]
    pub fn added_by(&self, user: UserId) -> BTreeSet<Dot> {
        let Some(creator) = self.creator() else { return BTreeSet::new() };
        let first = |message| AddIdentity { user, command: Identity { sender: creator, message } };
        let own = self.adds.range(first(MessageId(0))..=first(MessageId(u128::MAX)));
        let dots = own.filter_map(|(_, add)| match add {
            Add::Undone => None,
            Add::Live { dots, .. } => Some(dots),
        });
        dots.flatten().copied().collect()
    }

    /// Whether the user has ever left; they may be a member again.
    #[must_use]
    pub fn has_left(&self, user: UserId) -> bool {
        self.left.contains_key(&user)
    }

    /// The members, sorted.
    pub fn members(&self) -> impl Iterator<Item = UserId> + '_ {
        self.candidates().into_iter().filter(|user| self.member(*user).is_some())
    }

    fn create(&mut self, dot: Dot, envelope: &Envelope, members: &[UserId], name: &str, direct: bool) {
        if direct && !is_pair(envelope.conversation, envelope.sender, members) {
            return;
        }
        let rank = Rank { group: !direct, place: envelope.place(dot) };
        self.creations.insert(rank, envelope.identity());
        let is_first = self.creations.keys().next() == Some(&rank);
        if self.creations.len() > 1 {
            let mark = if is_first {
                &crate::sometimes::CREATED_AGAIN_EARLIER
            } else {
                &crate::sometimes::CREATED_AGAIN_LATER
            };
            mark.reach();
        }
        if is_first {
            self.members = members.iter().copied().chain([envelope.sender]).collect();
            self.name = if direct { String::new() } else { name.to_owned() };
        }
    }

    fn add(&mut self, dot: Dot, identity: AddIdentity, since: &Cut) {
        let undone = self.left.get(&identity.user).is_some_and(|seen| seen.covers(dot));
        let add = self
            .adds
            .entry(identity)
            .or_insert_with(|| Add::Live { dots: BTreeSet::new(), since: since.clone() });
        match add {
            Add::Undone => {}
            Add::Live { .. } if undone => {
                crate::sometimes::ADD_AFTER_ITS_LEAVE.reach();
                *add = Add::Undone;
            }
            Add::Live { dots, since: hidden } => {
                if !dots.is_empty() {
                    crate::sometimes::ADDED_TWICE.reach();
                }
                dots.insert(dot);
                hidden.join(since);
            }
        }
    }

    fn leave(&mut self, user: UserId, seen: &Cut) {
        let seen_in_all = self.left.entry(user).or_default();
        seen_in_all.join(seen);
        let lowest = Identity { sender: UserId(0), message: MessageId(0) };
        let highest = Identity { sender: UserId(u64::MAX), message: MessageId(u128::MAX) };
        let range = AddIdentity { user, command: lowest }..=AddIdentity { user, command: highest };
        for (_, add) in self.adds.range_mut(range) {
            if matches!(add, Add::Live { dots, .. } if dots.iter().any(|dot| seen_in_all.covers(*dot))) {
                crate::sometimes::LEAVE_UNDOES_ADD.reach();
                *add = Add::Undone;
            }
        }
    }

    /// Whether the user has left, having seen the creation that stands, or an alias of it.
    fn has_left_creation(&self, user: UserId) -> bool {
        let (Some(seen), Some(standing)) = (self.left.get(&user), self.creations.values().next()) else {
            return false;
        };
        self.creations.iter().any(|(rank, identity)| identity == standing && seen.covers(rank.place.dot))
    }

    /// Everybody who could be a member.
    fn candidates(&self) -> BTreeSet<UserId> {
        self.members.iter().copied().chain(self.adds.keys().map(|add| add.user)).collect()
    }

    fn standings(&self) -> BTreeMap<UserId, Cut> {
        let standing = |user| self.member(user).map(|hidden| (user, hidden));
        self.candidates().into_iter().filter_map(standing).collect()
    }

    fn change(&self, user: UserId, before: Option<Cut>) -> Vec<MemberChange> {
        let after = self.member(user);
        if before == after { Vec::new() } else { vec![MemberChange { user, before, after }] }
    }
}

/// Whether that is the id of the conversation of exactly these two, one of whom is the sender.
fn is_pair(conversation: ConversationId, sender: UserId, members: &[UserId]) -> bool {
    let [one, other] = members else { return false };
    let id = ConversationId::direct(conversation.placement(), *one, *other);
    one != other && members.contains(&sender) && id == conversation
}

fn changes(before: &BTreeMap<UserId, Cut>, after: &BTreeMap<UserId, Cut>) -> Vec<MemberChange> {
    let users: BTreeSet<UserId> = before.keys().chain(after.keys()).copied().collect();
    let change =
        |user| MemberChange { user, before: before.get(&user).cloned(), after: after.get(&user).cloned() };
    users.into_iter().map(change).filter(|change| change.before != change.after).collect()
}

impl Membership {
    /// The canonical encoding.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut encoder = Encoder::default();
        encoder.count(self.creations.len());
        for (rank, identity) in &self.creations {
            encoder.byte(u8::from(rank.group));
            rank.place.write(&mut encoder);
            identity.write(&mut encoder);
        }
        encoder.text(&self.name);
        encoder.count(self.members.len());
        self.members.iter().for_each(|user| encoder.user(*user));
        encoder.count(self.adds.len());
        for (identity, add) in &self.adds {
            encoder.user(identity.user);
            identity.command.write(&mut encoder);
            add.write(&mut encoder);
        }
        encoder.count(self.left.len());
        for (user, seen) in &self.left {
            encoder.user(*user);
            seen.write(&mut encoder);
        }
        encoder.into_bytes()
    }

    /// Reads the canonical encoding.
    ///
    /// # Errors
    /// [`MalformedState`] for any other bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, MalformedState> {
        let mut decoder = Decoder::new(bytes);
        let creations = decoder.map(44, |decoder| {
            let group = decoder.flag()?;
            Ok((Rank { group, place: Place::read(decoder)? }, Identity::read(decoder)?))
        })?;
        let name = decoder.text()?.to_owned();
        let members = decoder.map(8, |decoder| Ok((decoder.user()?, ())))?.into_keys().collect();
        let adds = decoder.map(33, |decoder| {
            let identity = AddIdentity { user: decoder.user()?, command: Identity::read(decoder)? };
            Ok((identity, Add::read(decoder)?))
        })?;
        let left = decoder.map(9, |decoder| Ok((decoder.user()?, Cut::take(decoder)?)))?;
        decoder.finish()?;
        Ok(Self { creations, members, name, adds, left })
    }
}

impl Add {
    fn write(&self, encoder: &mut Encoder) {
        match self {
            // A live add has at least one dot, so that zero says undone.
            Self::Undone => encoder.count(0),
            Self::Live { dots, since } => {
                encoder.count(dots.len());
                dots.iter().for_each(|dot| encoder.dot(*dot));
                since.write(encoder);
            }
        }
    }

    fn read(decoder: &mut Decoder<'_>) -> Result<Self, MalformedState> {
        let dots = decoder.map(Decoder::DOT_BYTES_MIN, |decoder| Ok((decoder.dot()?, ())))?;
        if dots.is_empty() {
            return Ok(Self::Undone);
        }
        Ok(Self::Live { dots: dots.into_keys().collect(), since: Cut::take(decoder)? })
    }
}
