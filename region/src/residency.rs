//! What a store holds and whom it is about, for an auditor: counted from its records, each of which is looked at.
//!
//! A placement's bytes may lie in its regions and nowhere else (promise 8), and ids say where a thing belongs: a conversation's its placement, a user's the
//! placement that they are pinned to. So a store shows by itself whether anything lies in it that must not:
//! - every key is one, and every value a record of its table, so nothing lies there of which nobody can say what it is;
//! - every record about a conversation is about one of this placement;
//! - every user who is named (as a member, author, reader or contact) has a pin that allows this placement.
//!
//! What must always hold: it takes nothing for granted that the doors and the bridges should have seen to, and changes nothing. What it does not see: what people wrote in
//! bodies, which are theirs and mostly ciphertext; for that there is a search for a text that only they contain. Bounded: `outside_max` findings are kept, all are counted.

use crate::document;
use crate::keys::{Key, KeyRange};
use crate::partition;
use crate::record::{self, ChangeRecord, HiddenFromRecord, LogRecord, OpaqueRecord, TimelineRecord, damaged};
use crate::register_key::RegisterKey;
use crate::store::{Direction, StoreError, View};
use bytes::Bytes;
use crdt::operation::{Body, Envelope};
use crdt::roster::{Action, Change};
use crdt::{ConversationId, Kind, Membership, PlacementId, UserId};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{AddAssign, ControlFlow};

/// What a store holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Residency {
    /// How much of everything.
    pub held: Held,
    /// The users who are members of its conversations, by the placement that they are pinned to.
    pub users: BTreeMap<PlacementId, u64>,
    /// What must not lie there: the first ones.
    pub outside: Vec<Outside>,
    /// How many records must not lie there, in all.
    pub outside_records: u64,
}

/// How much of everything a store holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Held {
    /// Records, each of which was looked at.
    pub records: u64,
    /// Bytes of their keys and values, before what the engine adds or saves.
    pub bytes: u64,
    /// Operations in logs.
    pub operations: u64,
    /// Conversations, users' accounts among them.
    pub conversations: u64,
    /// Messages, each once.
    pub messages: u64,
    /// Places of members in conversations.
    pub memberships: u64,
    /// What devices have confirmed.
    pub receipts: u64,
    /// Documents of conversations and accounts.
    pub documents: u64,
    /// Users' entries in the directory.
    pub directory: u64,
}

/// What must not lie in a store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Outside {
    /// Nobody can say what it is.
    #[error("key {key}: it is no key of this version, so what it is about is not known")]
    NoKey {
        /// In hexadecimal.
        key: String,
    },
    /// It is damaged: what it is about is not known.
    #[error("{0}")]
    Unreadable(StoreError),
    /// It belongs to another placement.
    #[error("key {key}: it is about conversation {conversation}, which is of placement {}", .conversation.placement())]
    Conversation {
        /// In hexadecimal.
        key: String,
        /// Which.
        conversation: ConversationId,
    },
    /// It names somebody whose pin forbids it.
    #[error("key {key}: it names user {user}, whose pin to placement {} does not allow this placement", .user.placement())]
    User {
        /// In hexadecimal.
        key: String,
        /// Whom.
        user: UserId,
    },
}

/// Whoever an operation names: who sent it, and whom it makes a member.
pub(crate) fn users_named(envelope: &Envelope, body: Option<&Body>) -> BTreeSet<UserId> {
    // A region settles rights on nobody's behalf.
    if envelope.kind == Kind::Rights {
        return BTreeSet::new();
    }
    let members = match body {
        Some(Body::Create { members, .. }) => members.as_slice(),
        Some(Body::Change(Change { action: Action::Add { user, .. }, .. })) => std::slice::from_ref(user),
        Some(Body::Post(_) | Body::Change(_) | Body::Rights(_) | Body::Document(_) | Body::Amend { .. })
        | None => &[],
    };
    members.iter().copied().chain([envelope.sender]).collect()
}

/// Looks at every record of a store of that placement, in which users of `allowed_pins` may be named.
///
/// # Errors
/// [`StoreError`] when the store cannot be read. What is damaged is not an error: it is among what must not lie there.
pub fn survey(
    view: &dyn View,
    placement: PlacementId,
    allowed_pins: &BTreeSet<PlacementId>,
    outside_max: usize,
) -> Result<Residency, StoreError> {
    let mut found = Residency::default();
    let mut last = None;
    let everything = KeyRange::everything();
    view.scan(&everything.from, &everything.to, Direction::Ascending, &mut |key, value| {
        found.held.records += 1;
        found.held.bytes += (key.len() + value.len()) as u64;
        let is_outside = match look_at(key, value, &mut found.held) {
            Err(outside) => Some(outside),
            Ok(Record { about, labelled, users, member }) => {
                // A user's rows stand together.
                if let Some(user) = member.filter(|user| last.replace(*user) != Some(*user)) {
                    found.users.entry(user.placement()).or_default().add_assign(1);
                }
                let allows = |of: &ConversationId| allowed_pins.contains(&of.placement());
                let elsewhere = about.into_iter().find(|of| of.placement() != placement);
                let elsewhere = elsewhere.or_else(|| labelled.into_iter().find(|of| !allows(of)));
                let forbidden = users.into_iter().find(|user| !allowed_pins.contains(&user.placement()));
                let key = || record::hexadecimal(key);
                elsewhere
                    .map(|conversation| Outside::Conversation { key: key(), conversation })
                    .or_else(|| forbidden.map(|user| Outside::User { key: key(), user }))
            }
        };
        if let Some(outside) = is_outside {
            found.outside_records += 1;
            if found.outside.len() < outside_max {
                found.outside.push(outside);
            }
        }
        ControlFlow::Continue(())
    })?;
    Ok(found)
}

/// What a record is about.
#[derive(Debug, Default)]
struct Record {
    about: Vec<ConversationId>,
    /// Conversations that it names without being about them: their pins must allow this placement, as users' must.
    labelled: BTreeSet<ConversationId>,
    users: BTreeSet<UserId>,
    /// Whose row among the members it is.
    member: Option<UserId>,
}

impl Record {
    /// It is about that register.
    fn name(&mut self, register: &RegisterKey) {
        match *register {
            RegisterKey::Receipt(conversation, user, _) => {
                self.about.push(conversation);
                self.users.insert(user);
            }
            RegisterKey::Hidden(conversation, user, message) => {
                self.about.push(conversation);
                self.users.extend([user, message.sender]);
            }
            RegisterKey::Directory(user) => _ = self.users.insert(user),
            RegisterKey::Acknowledgement(_) | RegisterKey::Flags(_) => {}
        }
    }
}

/// Reads a record, and counts it.
fn look_at(bytes: &[u8], value: &[u8], held: &mut Held) -> Result<Record, Outside> {
    let key = Key::decode(bytes).ok_or_else(|| Outside::NoKey { key: record::hexadecimal(bytes) })?;
    // Whatever table it is of: what nothing below reads could hold anything.
    record::check(&key, bytes, value).map_err(Outside::Unreadable)?;
    let value = Bytes::copy_from_slice(value);
    let mut of = Record { about: key.conversation().into_iter().collect(), ..Record::default() };
    of.users.extend(of.about.iter().filter_map(|conversation| conversation.account_of()));
    match key {
        Key::Log(bucket, position) => {
            held.operations += 1;
            let entry: LogRecord = read(bytes, value)?;
            let (envelope, body) =
                partition::decode(bucket, position, &entry).map_err(Outside::Unreadable)?;
            of.about.push(envelope.conversation);
            of.users.extend(users_named(&envelope, body.as_ref()));
        }
        Key::Conversation(_) => held.conversations += 1,
        Key::Timeline(..) => {
            let stands: TimelineRecord = read(bytes, value)?;
            held.messages += u64::from(stands.kind == Kind::Post);
        }
        Key::Members(_) => {
            let OpaqueRecord(state) = read(bytes, value)?;
            let members = Membership::decode(&state);
            let members = members.map_err(|error| Outside::Unreadable(damaged(bytes, &error.to_string())))?;
            of.users.extend(members.members());
        }
        Key::Membership(user, _) => {
            held.memberships += 1;
            of.member = Some(user);
            of.users.insert(user);
        }
        Key::Register(_, register) => {
            held.receipts += u64::from(matches!(register, RegisterKey::Receipt(..)));
            held.directory += u64::from(matches!(register, RegisterKey::Directory(_)));
            of.name(&register);
        }
        Key::Feed(..) => {
            let OpaqueRecord(name) = read(bytes, value)?;
            let register = RegisterKey::decode(&name);
            of.name(&register.ok_or_else(|| Outside::Unreadable(damaged(bytes, "it names no register")))?);
        }
        Key::Change(..) => {
            let arrived: ChangeRecord = read(bytes, value)?;
            of.users.insert(arrived.sender);
        }
        Key::Document(_) => {
            held.documents += 1;
            let OpaqueRecord(state) = read(bytes, value)?;
            let document = document::read(bytes, &state).map_err(Outside::Unreadable)?;
            let (users, labelled) = document::named(&document.account());
            of.users.extend(users);
            of.labelled = labelled;
        }
        Key::Identity(_, sender, _)
        | Key::Amendments(_, sender, _)
        | Key::Uncut(_, sender, _)
        | Key::MadeTwice(_, sender, _) => _ = of.users.insert(sender),
        Key::HiddenFrom(_, sender, _) => {
            let HiddenFromRecord(from) = read(bytes, value)?;
            of.users.extend(from);
            of.users.insert(sender);
        }
        Key::Dot(..)
        | Key::Chain(..)
        | Key::Reach(_)
        | Key::Cursor(..)
        | Key::Acknowledgement(..)
        | Key::Stable(_)
        | Key::Unsettled(_)
        | Key::DocumentChange(..)
        | Key::Meta
        | Key::PeerStart(_)
        | Key::CaughtUp(_)
        | Key::Heard(..)
        | Key::Base(_)
        | Key::Present
        | Key::Leftover(_)
        | Key::Epoch(_)
        | Key::Survey
        | Key::Aged(..)
        | Key::Expired(_)
        | Key::Ran => {}
    }
    Ok(of)
}

fn read<R: record::Record>(key: &[u8], value: Bytes) -> Result<R, Outside> {
    record::unseal(key, value).map_err(Outside::Unreadable)
}
