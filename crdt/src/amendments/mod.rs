//! What became of a message: its edits, its deletion for everyone, its reactions.
//!
//! All of it belongs to the message's identity, not to an operation, so that it holds wherever the message was sent again and wherever that
//! moves it (`timeline.rs`). What must always hold:
//! - A deletion is final. What comes later or concurrently, a resend of the message too, finds it deleted; that is why its record outlives
//!   the message.
//! - Windows are judged once, at the door ([`Amendments::check`]). An operation in a log was in time.
//! - An edit or deletion by another than the sender is void everywhere.
//! - The same emoji are shown everywhere, and at most [`EMOJI_DISTINCT_MAX`].

mod content;

pub use content::AmendmentContent;

use crate::canonical::{Decoder, Encoder, MalformedState, ascending};
use crate::clock::Now;
use crate::emoji::Emoji;
use crate::id::{Dot, MessageId, UserId};
use crate::limits::{COMMANDS_A_REACTION_MAX, EDITS_MAX, EMOJI_DISTINCT_MAX};
use crate::operation::{Body, DIGEST_BYTES, Envelope, Kind};
use crate::timeline::{Aliases, Identity, Place};
use crate::version_vector::Cut;
use std::collections::{BTreeMap, BTreeSet};

/// The digest of an operation's payload.
type Digest = [u8; DIGEST_BYTES];

/// The bytes that an operation which edits takes at least.
const EDIT_BYTES_MIN: usize = 8 + Decoder::DOT_BYTES_MIN + DIGEST_BYTES;

/// What amends one message.
///
/// | concurrent | outcome |
/// | --- | --- |
/// | two edits | the newest by (hlc, dot) is shown, everywhere the same one |
/// | an edit, a later one, and a resend of the first | one edit is sent twice: the later one stays the newest |
/// | an edit and a deletion | deleted, whatever the order |
/// | a deletion and a resend of the message | deleted: the resend is an alias of what was deleted |
/// | an edit where the message was resent, after the window of the original that arrives later | it stays: it was in time where it was judged |
/// | an edit or a deletion by another user | void |
/// | a reaction and its withdrawal on another device that had not seen it | it stays: only what was seen is withdrawn |
/// | a reaction and its resend, one of which was withdrawn | withdrawn: they are one command |
/// | two devices of a user react alike | one reaction; a withdrawal that has seen both ends it |
/// | more than 20 different emoji | those 20 are shown whose reactions began first; if one goes the next is shown |
/// | a reaction and a deletion | deleted, and all reactions with it |
///
/// Cost: `O(log n)` an operation, `O(n)` to know which of n edits is shown. Growth: 57 bytes an edit, at most [`EDITS_MAX`] let in by each region; per reaction 16 bytes for each time
/// it was given, at most [`COMMANDS_A_REACTION_MAX`] let in by each region, 20 more while it is, and the emoji.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Amendments {
    /// By command, every operation that carries it; the lowest counts.
    edits: BTreeMap<MessageId, BTreeMap<Place, Digest>>,
    deleted: Option<Place>,
    reactions: BTreeMap<(Emoji, UserId), Commands>,
}

/// The commands that gave one reaction: where each took place, or nothing once it was withdrawn, which is final.
type Commands = BTreeMap<MessageId, Option<Place>>;

/// One operation on a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Amendment {
    /// When, and which operation.
    pub place: Place,
    /// Who did it.
    pub sender: UserId,
    /// The client's id of the command.
    pub command: MessageId,
    /// The message.
    pub target: Identity,
    /// What it does.
    pub act: AmendmentAct,
}

impl Amendment {
    /// What that operation does to a message, if it is one that amends. The payload of an edit may have been cut.
    #[must_use]
    pub fn of(dot: Dot, envelope: &Envelope, body: Option<&Body>) -> Option<Self> {
        let act = match (envelope.kind, body) {
            (Kind::Edit, _) => AmendmentAct::Edit(envelope.payload_digest),
            (_, Some(Body::Amend { content, .. })) => content.clone().into_act(envelope.payload_digest),
            _ => return None,
        };
        let (sender, command, target) = (envelope.sender, envelope.message, envelope.target?);
        Some(Self { place: envelope.place(dot), sender, command, target, act })
    }
}

/// What an operation does to a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AmendmentAct {
    /// Another body, in the operation's payload with that digest.
    Edit(Digest),
    /// Away with it, for everyone.
    Delete,
    /// A reaction.
    React(Emoji),
    /// A reaction is withdrawn.
    Withdraw {
        /// Which.
        emoji: Emoji,
        /// The commands that gave it, as far as they are known where it is withdrawn.
        seen: BTreeSet<MessageId>,
    },
}

/// What an operation did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amended {
    /// The message is to be shown anew.
    Changed,
    /// It looks as before.
    Unchanged,
    /// Its sender may not do that: nothing is done, here as everywhere.
    Void,
}

/// How long after it was sent a message may be edited and deleted for everyone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// For edits, in milliseconds.
    pub edit_ms: u64,
    /// For deletions for everyone, in milliseconds.
    pub delete_ms: u64,
}

impl Default for Windows {
    /// 15 minutes and 48 hours.
    fn default() -> Self {
        Self { edit_ms: 15 * 60_000, delete_ms: 48 * 3_600_000 }
    }
}

/// Why a message may not be amended like that.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAmended {
    /// There is no such message here.
    #[error("there is no such message here: it may not have arrived yet, wait until it is shown")]
    NoSuchMessage,
    /// It is somebody else's.
    #[error("only who sent a message may edit it or delete it for everyone: ask them")]
    NotTheSender,
    /// It is too late.
    #[error("the message was sent {age_ms} ms ago, that is possible for {window_ms} ms: send another")]
    TooLate {
        /// How old it is.
        age_ms: u64,
        /// How old it may be.
        window_ms: u64,
    },
    /// There is nothing left to amend.
    #[error("the message was deleted: nothing is left to change")]
    Deleted,
    /// It was edited too often.
    #[error("a message can be edited {EDITS_MAX} times: send another")]
    TooManyEdits,
    /// It has as many different emoji as are shown.
    #[error("a message shows {EMOJI_DISTINCT_MAX} different emoji: choose one that is there")]
    TooManyEmoji,
    /// It was given and withdrawn too often.
    #[error("this reaction was given {COMMANDS_A_REACTION_MAX} times already: choose another")]
    TooOften,
    /// There is no such reaction of that user.
    #[error("there is no such reaction of yours here: it may not have arrived yet")]
    NoSuchReaction,
    /// There is such a reaction of that user.
    #[error("that reaction is yours already: nothing is left to do")]
    AlreadyReacted,
}

/// What a user wants to do to a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AmendmentWish {
    /// Change its body.
    Edit,
    /// Delete it for everyone.
    Delete,
    /// React.
    React(Emoji),
    /// Withdraw a reaction.
    Withdraw(Emoji),
}

impl Amendments {
    /// Takes an operation, once or again.
    pub fn apply(&mut self, amendment: &Amendment) -> Amended {
        let (place, sender) = (amendment.place, amendment.sender);
        let own = sender == amendment.target.sender;
        let changed = match &amendment.act {
            AmendmentAct::Edit(_) | AmendmentAct::Delete if !own => return Amended::Void,
            AmendmentAct::Edit(digest) => {
                let before = self.edited();
                self.edits.entry(amendment.command).or_default().insert(place, *digest);
                self.edited() != before
            }
            AmendmentAct::Delete => {
                let before = self.deleted;
                self.deleted = Some(before.map_or(place, |before| before.min(place)));
                self.reactions.clear();
                before.is_none()
            }
            AmendmentAct::React(_) | AmendmentAct::Withdraw { .. } if self.deleted.is_some() => false,
            AmendmentAct::React(emoji) => self.alter(emoji, sender, |commands| {
                let given = commands.entry(amendment.command).or_insert(Some(place));
                *given = given.map(|before| before.min(place));
            }),
            AmendmentAct::Withdraw { seen, .. } if seen.is_empty() => false,
            AmendmentAct::Withdraw { emoji, seen } => self.alter(emoji, sender, |commands| {
                commands.extend(seen.iter().map(|command| (*command, None)));
            }),
        };
        if changed { Amended::Changed } else { Amended::Unchanged }
    }

    /// The operation whose payload is the body, if the message was edited.
    #[must_use]
    pub fn edited(&self) -> Option<Place> {
        let edits = self.edits.values().filter_map(|places| places.keys().next().copied());
        edits.max().filter(|_| self.deleted.is_none())
    }

    /// Whether it was deleted for everyone.
    #[must_use]
    pub const fn is_deleted(&self) -> bool {
        self.deleted.is_some()
    }

    /// The reactions that are shown, in the order in which they began, each with its users, sorted.
    #[must_use]
    pub fn reactions(&self) -> Vec<(&Emoji, Vec<UserId>)> {
        let mut shown: BTreeMap<&Emoji, (Place, Vec<UserId>)> = BTreeMap::new();
        for ((emoji, user), commands) in &self.reactions {
            let Some(given) = given(commands) else { continue };
            let (began, users) = shown.entry(emoji).or_insert((given, Vec::new()));
            *began = given.min(*began);
            users.push(*user);
        }
        let mut shown: Vec<_> = shown.into_iter().collect();
        shown.sort_by_key(|(_, (began, _))| *began);
        shown.truncate(EMOJI_DISTINCT_MAX);
        shown.into_iter().map(|(emoji, (_, users))| (emoji, users)).collect()
    }

    /// The door: judges a wish about a message that has these operations here, and says as what it is to be issued. `digest` is that of the new
    /// body, for an edit. Membership is the roster's to judge.
    ///
    /// # Errors
    /// [`NotAmended`] says why not.
    pub fn check(
        &self,
        message: (Identity, &Aliases),
        sender: UserId,
        wish: &AmendmentWish,
        now: Now,
        windows: Windows,
    ) -> Result<(), NotAmended> {
        let (identity, aliases) = message;
        let sent = aliases.canonical().ok_or(NotAmended::NoSuchMessage)?;
        if self.deleted.is_some() {
            return Err(NotAmended::Deleted);
        }
        let in_time = |window_ms| {
            let age_ms = now.ms().saturating_sub(sent.hlc.ms());
            let own = sender == identity.sender;
            match (own, age_ms <= window_ms) {
                (false, _) => Err(NotAmended::NotTheSender),
                (true, false) => Err(NotAmended::TooLate { age_ms, window_ms }),
                (true, true) => Ok(()),
            }
        };
        match wish {
            AmendmentWish::Edit => {
                in_time(windows.edit_ms)?;
                if self.edits.len() < EDITS_MAX { Ok(()) } else { Err(NotAmended::TooManyEdits) }
            }
            AmendmentWish::Delete => in_time(windows.delete_ms),
            AmendmentWish::React(emoji) => self.may_react(emoji, sender),
            AmendmentWish::Withdraw(emoji) => {
                let mine = self.reactions.get(&(emoji.clone(), sender)).and_then(given);
                mine.map(|_| ()).ok_or(NotAmended::NoSuchReaction)
            }
        }
    }

    /// The commands of the user that gave that reaction and are known here: what a withdrawal names.
    #[must_use]
    pub fn seen(&self, emoji: &Emoji, user: UserId) -> BTreeSet<MessageId> {
        let commands = self.reactions.get(&(emoji.clone(), user));
        let live = commands.into_iter().flatten().filter(|(_, given)| given.is_some());
        live.map(|(command, _)| *command).collect()
    }

    /// Whether the payloads of the message and its edits are to be cut: it is deleted, and the deletion, every edit and every alias is stable, so
    /// that none of them is needed by anybody who lacks it.
    #[must_use]
    pub fn is_to_be_cut(&self, aliases: &Aliases, stable: &Cut) -> bool {
        let places = aliases.iter().chain(self.edits());
        self.deleted.is_some_and(|deleted| places.chain([deleted]).all(|place| stable.covers(place.dot)))
    }

    /// Every operation that edits it: a deletion cuts their payloads too.
    pub fn edits(&self) -> impl Iterator<Item = Place> + '_ {
        self.edits.values().flat_map(|places| places.keys().copied())
    }

    fn may_react(&self, emoji: &Emoji, user: UserId) -> Result<(), NotAmended> {
        let shown = self.reactions();
        let there = shown.iter().any(|(other, _)| *other == emoji);
        if let Some(commands) = self.reactions.get(&(emoji.clone(), user)) {
            if given(commands).is_some() {
                return Err(NotAmended::AlreadyReacted);
            }
            if commands.len() >= COMMANDS_A_REACTION_MAX {
                return Err(NotAmended::TooOften);
            }
        }
        if there || shown.len() < EMOJI_DISTINCT_MAX { Ok(()) } else { Err(NotAmended::TooManyEmoji) }
    }

    /// Changes one reaction, and says whether it came, went, or began earlier than was known.
    fn alter(&mut self, emoji: &Emoji, user: UserId, alter: impl FnOnce(&mut Commands)) -> bool {
        let commands = self.reactions.entry((emoji.clone(), user)).or_default();
        let before = given(commands);
        alter(commands);
        given(commands) != before
    }

    /// The canonical encoding.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut encoder = Encoder::default();
        encoder.count(self.edits.len());
        for (command, places) in &self.edits {
            encoder.message(*command);
            encoder.count(places.len());
            for (place, digest) in places {
                place.write(&mut encoder);
                encoder.fixed(digest);
            }
        }
        encoder.byte(u8::from(self.deleted.is_some()));
        if let Some(place) = self.deleted {
            place.write(&mut encoder);
            return encoder.into_bytes();
        }
        encoder.count(self.reactions.len());
        for ((emoji, user), commands) in &self.reactions {
            encoder.text(emoji.as_str());
            encoder.user(*user);
            encoder.count(commands.len());
            for (command, given) in commands {
                encoder.message(*command);
                encoder.byte(u8::from(given.is_some()));
                if let Some(place) = given {
                    place.write(&mut encoder);
                }
            }
        }
        encoder.into_bytes()
    }

    /// Reads the canonical encoding.
    ///
    /// # Errors
    /// [`MalformedState`] for any other bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, MalformedState> {
        let mut decoder = Decoder::new(bytes);
        let edits = decoder.map(16 + 1 + EDIT_BYTES_MIN, |decoder| {
            let command = decoder.message()?;
            let places =
                decoder.map(EDIT_BYTES_MIN, |decoder| Ok((Place::read(decoder)?, decoder.array()?)))?;
            if places.is_empty() {
                Err(MalformedState("an edit of no operation"))
            } else {
                Ok((command, places))
            }
        })?;
        let deleted = decoder.flag()?.then(|| Place::read(&mut decoder)).transpose()?;
        let mut reactions = BTreeMap::new();
        if deleted.is_none() {
            for _ in 0..decoder.count(1 + 8 + 1 + 17)? {
                let (key, commands) = read_reaction(&mut decoder)?;
                ascending(reactions.keys().next_back(), &key)?;
                reactions.insert(key, commands);
            }
        }
        decoder.finish()?;
        Ok(Self { edits, deleted, reactions })
    }
}

/// Where a reaction began, if it is given.
fn given(commands: &Commands) -> Option<Place> {
    commands.values().flatten().min().copied()
}

fn read_reaction(decoder: &mut Decoder<'_>) -> Result<((Emoji, UserId), Commands), MalformedState> {
    let emoji = decoder.text()?.parse().map_err(|_| MalformedState("a reaction that is no emoji"))?;
    let user = decoder.user()?;
    let commands = decoder.map(17, |decoder| {
        let command = decoder.message()?;
        Ok((command, decoder.flag()?.then(|| Place::read(decoder)).transpose()?))
    })?;
    if commands.is_empty() {
        return Err(MalformedState("a reaction that nobody gave"));
    }
    Ok(((emoji, user), commands))
}
