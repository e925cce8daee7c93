//! Who is in a conversation: the two users of a direct one for ever, the one user of an account, or the roster of a group, the rights by which it never has more members than its
//! limit, its name, and who was in it before.
//!
//! What must always hold: the canonical bytes are a function of the set of operations, whatever has been folded. A record holds no more than later
//! operations could still change a verdict on.
//!
//! | concurrent | outcome |
//! | --- | --- |
//! | a valid direct creation, and a group's of the same id | the direct one stands |
//! | anything in a direct conversation | nothing: its two users are its members for ever |
//! | a valid creation of an account, and whatever else of its id | the account stands: its user is its member for ever |
//! | two creations of one group | the lowest (hlc, dot) stands; the other's members, name and changes are void |
//! | a creation taken by two regions (resent) | one creation |
//! | anything else in a group | what the tables of `Roster` and `Group` say |
//!
//! A direct creation is valid when the conversation's id is the one of its two members, or of its one member's account, and one of them created it; another is void. A first member sees
//! everything; an added one what their adds do not cover.
//!
//! Growth: the group's; per user who ever left or was removed 8 bytes; per creation of the id that is not folded its name. Kept as one record, all of it is read and
//! written for each change of membership (about 90 KB in a group of 1,024 added members and three replicas), and none of it for a post.

use crate::canonical::{Decoder, Encoder, MalformedState};
use crate::escrow::Moved;
use crate::group::{Applied, Group, Refused, RightsAct, RightsOperation};
use crate::id::{ConversationId, Dot, ReplicaId, UserId};
use crate::operation::{Body, Envelope};
use crate::roster::{Action, BehindFold, Change, Roster, RosterOperation, StandingChange, Wish};
use crate::version_vector::Cut;
use std::collections::{BTreeMap, BTreeSet};

/// The members of one conversation, and what operations still to come may need.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Membership {
    /// The users of a direct conversation, the lower first; of an account its user twice.
    pair: Option<[UserId; 2]>,
    group: Group,
    /// What each creation of a group named it.
    names: BTreeMap<Dot, String>,
    /// Whoever a leave or a removal was about, whether it stands or not.
    left: BTreeSet<UserId>,
}

/// What an operation did to a membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Every user whose membership changed, sorted.
    pub members: Vec<MemberChange>,
    /// False if its replica spent or gave a right that it does not hold: void, to be counted, and an alarm.
    pub covered: bool,
}

/// One user whom an operation made a member, or no member, or from whom it hides more or less.
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
    /// Takes an operation, once or again; a message and what amends one change nothing.
    ///
    /// # Errors
    /// [`BehindFold`] as [`Roster::apply`]: nothing was changed.
    pub fn apply(&mut self, dot: Dot, envelope: &Envelope, body: &Body) -> Result<Outcome, BehindFold> {
        let change = match body {
            Body::Post(_) | Body::Amend { .. } | Body::Document(_) => return Ok(Outcome::NOTHING),
            Body::Rights(change) => {
                let moved = self.group.apply_rights(&RightsOperation { dot, change: change.clone() });
                return Ok(Outcome { covered: moved != Moved::NotHeld, ..Outcome::NOTHING });
            }
            Body::Create { members, direct: true, .. } => {
                return Ok(Outcome { members: self.open(envelope, members), ..Outcome::NOTHING });
            }
            Body::Create { members, direct: false, shares, .. } => {
                let members = members.iter().copied().collect();
                Change { cut: Cut::new(), action: Action::Create { members, shares: shares.clone() } }
            }
            Body::Change(change) => change.clone(),
        };
        let place = envelope.place(dot);
        let (sender, command) = (envelope.sender, envelope.message);
        let operation = RosterOperation { place, sender, command, change };
        let gone = match operation.change.action {
            Action::Leave | Action::Remove { .. } => Some(operation.target()),
            _ => None,
        };
        let Applied { changes, covered } = self.group.apply(operation)?;
        self.left.extend(gone);
        if let Body::Create { name, .. } = body {
            self.names.insert(dot, name.clone());
        }
        if self.pair.is_some() {
            return Ok(Outcome::NOTHING);
        }
        Ok(Outcome { members: changes.into_iter().filter_map(member_change).collect(), covered })
    }

    /// Folds what no operation to come is concurrent with, as [`Group::fold`]: `stable` is what every active region has acknowledged.
    pub fn fold(&mut self, stable: &Cut) {
        self.group.fold(stable);
        if let Some(creation) = self.roster().folded_creation() {
            self.names.retain(|dot, _| *dot == creation);
        }
    }

    /// Whether no rights of it will come to be returned by what was done so far, as [`Group::is_settled`].
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.pair.is_some() || self.group.is_settled()
    }

    /// Whether any creation of it is known; without one there are no members.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.pair.is_some() || self.roster().exists()
    }

    /// Whether it is the conversation of two users.
    #[must_use]
    pub const fn direct(&self) -> bool {
        self.pair.is_some()
    }

    /// Who may do what in it, if it is a group.
    #[must_use]
    pub const fn roster(&self) -> &Roster {
        self.group.roster()
    }

    /// Who may do what in it, and how many rights to a place who holds, if it is a group.
    #[must_use]
    pub const fn group(&self) -> &Group {
        &self.group
    }

    /// The door of a group: as [`Group::judge_wish`].
    ///
    /// # Errors
    /// [`Refused`] says why not.
    pub fn judge_wish(&self, me: ReplicaId, sender: UserId, wish: Wish) -> Result<Action, Refused> {
        self.group.judge_wish(me, sender, wish)
    }

    /// What the heir of ended replicas is to issue, as [`Group::inheritance_due`].
    #[must_use]
    pub fn inheritance_due(&self, ended: impl IntoIterator<Item = ReplicaId>) -> Option<(Dot, RightsAct)> {
        if self.pair.is_some() { None } else { self.group.inheritance_due(ended) }
    }

    /// What that replica is to issue for the sake of a group's rights, as [`Group::rights_due`].
    #[must_use]
    pub fn rights_due(&self, me: ReplicaId, reachable: &BTreeSet<ReplicaId>) -> Option<(Dot, RightsAct)> {
        if self.pair.is_some() { None } else { self.group.rights_due(me, reachable) }
    }

    /// The group's name, as the creation that stands gave it; empty for a direct conversation.
    #[must_use]
    pub fn name(&self) -> &str {
        if self.pair.is_some() {
            return "";
        }
        self.roster().creation().and_then(|creation| self.names.get(&creation)).map_or("", String::as_str)
    }

    /// What is hidden from that member: the operations this cut covers. None if they are not a member; empty if they see all.
    #[must_use]
    pub fn member(&self, user: UserId) -> Option<Cut> {
        match &self.pair {
            Some(pair) => pair.contains(&user).then(Cut::new),
            None => self.roster().member(user).map(|member| member.since),
        }
    }

    /// The earliest of the adds that keep that user in the group, or the creation; none if they are no member of a group.
    #[must_use]
    pub fn added_by(&self, user: UserId) -> Option<Dot> {
        if self.pair.is_some() { None } else { self.roster().right(user).map(|right| right.dot) }
    }

    /// Whether the user has ever left or been removed; they may be a member again.
    #[must_use]
    pub fn has_left(&self, user: UserId) -> bool {
        self.left.contains(&user)
    }

    /// The members, sorted.
    pub fn members(&self) -> impl Iterator<Item = UserId> + '_ {
        let group = self.pair.is_none().then(|| self.roster().members());
        let pair = self.pair.map(|[one, other]| [Some(one), Some(other).filter(|other| *other != one)]);
        pair.into_iter().flatten().flatten().chain(group.into_iter().flatten())
    }

    /// The members who are admins, sorted.
    pub fn admins(&self) -> impl Iterator<Item = UserId> + '_ {
        let group = self.pair.is_none().then(|| self.roster().admins());
        group.into_iter().flatten()
    }

    /// A direct creation.
    fn open(&mut self, envelope: &Envelope, members: &[UserId]) -> Vec<MemberChange> {
        let Some(pair) = pair(envelope.conversation, envelope.sender, members) else { return Vec::new() };
        let before = self.standings();
        self.pair = Some(pair);
        changes(&before, &self.standings())
    }

    fn standings(&self) -> BTreeMap<UserId, Cut> {
        self.members().filter_map(|user| Some((user, self.member(user)?))).collect()
    }
}

/// The two, if that is the id of the conversation of exactly these, or of the one's account, and one of them is the sender.
fn pair(conversation: ConversationId, sender: UserId, members: &[UserId]) -> Option<[UserId; 2]> {
    let [one, other] = match *members {
        [one] => [one, one],
        [one, other] if one != other => [one, other],
        _ => return None,
    };
    let id = ConversationId::direct(conversation.placement(), one, other);
    let valid = members.contains(&sender) && id == conversation;
    valid.then(|| [one.min(other), one.max(other)])
}

impl Outcome {
    const NOTHING: Self = Self { members: Vec::new(), covered: true };
}

fn member_change(change: StandingChange) -> Option<MemberChange> {
    let StandingChange { user, before, after } = change;
    let (before, after) = (before.map(|member| member.since), after.map(|member| member.since));
    (before != after).then_some(MemberChange { user, before, after })
}

fn changes(before: &BTreeMap<UserId, Cut>, after: &BTreeMap<UserId, Cut>) -> Vec<MemberChange> {
    let users: BTreeSet<UserId> = before.keys().chain(after.keys()).copied().collect();
    let change =
        |user| MemberChange { user, before: before.get(&user).cloned(), after: after.get(&user).cloned() };
    users.into_iter().map(change).filter(|change| change.before != change.after).collect()
}

impl Membership {
    /// The canonical bytes: equal for all who have applied the same operations, whatever each has folded.
    #[must_use]
    pub fn canonical_bytes(&self) -> Vec<u8> {
        let mut encoder = Encoder::default();
        self.write_pair(&mut encoder);
        encoder.text(self.name());
        self.write_left(&mut encoder);
        encoder.fixed(&self.group.canonical_bytes());
        encoder.into_bytes()
    }

    /// The record that a region keeps.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut encoder = Encoder::default();
        self.write_pair(&mut encoder);
        encoder.count(self.names.len());
        for (dot, name) in &self.names {
            encoder.dot(*dot);
            encoder.text(name);
        }
        self.write_left(&mut encoder);
        self.group.write(&mut encoder);
        encoder.into_bytes()
    }

    fn write_pair(&self, encoder: &mut Encoder) {
        encoder.byte(u8::from(self.pair.is_some()));
        self.pair.into_iter().flatten().for_each(|user| encoder.user(user));
    }

    fn write_left(&self, encoder: &mut Encoder) {
        encoder.count(self.left.len());
        self.left.iter().for_each(|user| encoder.user(*user));
    }

    /// Reads a record.
    ///
    /// # Errors
    /// [`MalformedState`] for any other bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, MalformedState> {
        let mut decoder = Decoder::new(bytes);
        let pair = if decoder.flag()? { Some([decoder.user()?, decoder.user()?]) } else { None };
        if pair.is_some_and(|[lower, higher]| lower > higher) {
            return Err(MalformedState("a pair of users that is none"));
        }
        let names = decoder
            .map(Decoder::DOT_BYTES_MIN + 1, |decoder| Ok((decoder.dot()?, decoder.text()?.to_owned())))?;
        let left = decoder.map(8, |decoder| Ok((decoder.user()?, ())))?.into_keys().collect();
        let group = Group::take(&mut decoder)?;
        decoder.finish()?;
        Ok(Self { pair, group, names, left })
    }
}
