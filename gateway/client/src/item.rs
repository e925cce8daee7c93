//! What a conversation is made of, as a device is given it, and how it is read off the wire.
//!
//! What must always hold: reading is total. A field that does not parse refuses the whole frame by name
//! ([`MalformedFrame`]), and nothing of that frame is taken: a region that talks nonsense is left, not guessed at.

use bytes::Bytes;
use crdt::emoji::Emoji;
use crdt::{ConversationId, Cut, Dot, MessageId, Timestamp, UserId};
use gateway_protocol::v1;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// A place in the display order: by timestamp, then dot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The operation's timestamp.
    pub hlc: Timestamp,
    /// The operation.
    pub dot: Dot,
}

/// One entry of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Who did it.
    pub sender: UserId,
    /// The command's id; with conversation and sender, its identity.
    pub message: MessageId,
    /// Where it is displayed.
    pub place: Place,
    /// What is displayed.
    pub content: Content,
}

/// What an item shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A message.
    Post {
        /// Text or ciphertext.
        body: Bytes,
        /// The sender's local time in milliseconds since 1970, for display alone.
        sent_at_ms: i64,
        /// The sender and id of what it answers.
        reply_to: Option<(UserId, MessageId)>,
        /// What its author's device had seen, if that was more than its region had.
        seen: Option<Cut>,
        /// What became of it. In what is shown as it is delivered, no more than whether it was deleted: edits and reactions follow.
        became: Became,
    },
    /// The conversation began.
    Created {
        /// With these members.
        members: Vec<UserId>,
        /// Under this name.
        name: String,
        /// Whether it is the conversation of two users.
        direct: bool,
    },
    /// A member was added.
    Added {
        /// Who.
        user: UserId,
        /// What that user is not shown.
        since: Cut,
    },
    /// The sender left.
    Left,
    /// A member was removed.
    Removed {
        /// Who.
        user: UserId,
    },
    /// A member was made an admin.
    Promoted {
        /// Who.
        user: UserId,
    },
    /// An admin was made a member as the others.
    Demoted {
        /// Who.
        user: UserId,
    },
    /// The sender took the place of admins that were all gone.
    Claimed,
    /// A region did something with the group's rights to members' places. There is nothing to show.
    Rights,
    /// The conversation's document was changed.
    DocumentChanged {
        /// One Automerge change; it may be one that stands nowhere.
        change: Bytes,
    },
    /// A message is edited.
    Edited {
        /// The sender and id of the message.
        target: (UserId, MessageId),
        /// Text or ciphertext.
        body: Bytes,
        /// As of a post.
        seen: Option<Cut>,
    },
    /// A message is deleted for everyone.
    Deleted {
        /// The sender and id of the message.
        target: (UserId, MessageId),
    },
    /// A message that the user has deleted for themselves, or what somebody did to it. There is nothing to show.
    Withheld {
        /// The sender and id of the message.
        target: (UserId, MessageId),
    },
    /// The sender reacts to a message.
    Reacted {
        /// The sender and id of the message.
        target: (UserId, MessageId),
        /// How.
        emoji: Emoji,
    },
    /// The sender withdraws a reaction.
    Withdrawn {
        /// The sender and id of the message.
        target: (UserId, MessageId),
        /// Which.
        emoji: Emoji,
        /// The commands that gave it, as far as they were known where it is withdrawn.
        seen: BTreeSet<MessageId>,
    },
}

impl Item {
    /// The sender and id of the message that it carries, or does something to.
    #[must_use]
    pub const fn about(&self) -> Option<(UserId, MessageId)> {
        match &self.content {
            Content::Post { .. } => Some((self.sender, self.message)),
            content => content.target(),
        }
    }

    /// Whether it carries a message, be it one that is withheld.
    #[must_use]
    pub(crate) fn is_message(&self) -> bool {
        match &self.content {
            Content::Post { .. } => true,
            Content::Withheld { target } => *target == (self.sender, self.message),
            _ => false,
        }
    }
}

impl Content {
    /// The sender and id of the message that it is about, if it does something to one.
    #[must_use]
    pub const fn target(&self) -> Option<(UserId, MessageId)> {
        match self {
            Self::Edited { target, .. }
            | Self::Deleted { target }
            | Self::Withheld { target }
            | Self::Reacted { target, .. }
            | Self::Withdrawn { target, .. } => Some(*target),
            Self::Post { .. }
            | Self::Created { .. }
            | Self::Added { .. }
            | Self::Left
            | Self::Removed { .. }
            | Self::Promoted { .. }
            | Self::Demoted { .. }
            | Self::Claimed
            | Self::Rights
            | Self::DocumentChanged { .. } => None,
        }
    }
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Became {
    /// It was deleted for everyone: that there was one is all that is to be shown.
    pub deleted: bool,
    /// Where the edit stands whose body it shows.
    pub edited: Option<Place>,
    /// Its reactions, in the order in which they began.
    pub reactions: Vec<Reaction>,
}

/// One emoji under a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reaction {
    /// Which.
    pub emoji: String,
    /// How many users gave it.
    pub count: usize,
    /// Who they are; of a page the first 16.
    pub users: Vec<UserId>,
}

/// A conversation, as its list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Which.
    pub conversation: ConversationId,
    /// Its name; empty for a direct conversation.
    pub name: String,
    /// Whether it is the conversation of two users.
    pub direct: bool,
    /// Its members.
    pub members: Vec<UserId>,
    /// Those of them who may change who is in it.
    pub admins: Vec<UserId>,
    /// Its latest message, if any.
    pub last: Option<Item>,
    /// Messages of others that the user has not read.
    pub unread: u64,
}

/// A conversation's document: what it says, in the first part of an answer, and bytes of it in each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The name that it gives; empty: that under which the conversation began.
    pub name: String,
    /// The name of the medium that is its icon; empty if it has none.
    pub icon: String,
    /// What it is about.
    pub description: String,
    /// The sender and id of each message that is pinned.
    pub pinned: Vec<(UserId, MessageId)>,
    /// Settings that all members share.
    pub settings: Vec<(String, String)>,
    /// What a user says of themselves and of others, if it is an account's.
    pub account: Account,
    /// Under which this device changes the document by itself in the present region, in hexadecimal.
    pub actor: String,
    /// All parts, one behind the other, are what any Automerge loads.
    pub automerge: Bytes,
}

/// What an account's document says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Account {
    /// The name that others are shown; empty if there is none.
    pub display_name: String,
    /// What the user says of themselves.
    pub status: String,
    /// What the user calls others.
    pub contacts: Vec<(UserId, String)>,
    /// How the user labels conversations.
    pub labels: Vec<(ConversationId, String)>,
    /// Whom the user has blocked.
    pub blocked: Vec<UserId>,
}

/// A frame whose field does not hold what the protocol says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("field `{field}` of a server frame is missing or does not parse")]
pub struct MalformedFrame {
    /// Which field.
    pub field: &'static str,
}

/// Reads an id in its textual form.
pub(crate) fn read_id<T: FromStr>(field: &'static str, text: &str) -> Result<T, MalformedFrame> {
    text.parse().map_err(|_| MalformedFrame { field })
}

/// Reads several ids.
pub(crate) fn read_ids<T: FromStr>(field: &'static str, texts: &[String]) -> Result<Vec<T>, MalformedFrame> {
    texts.iter().map(|text| read_id(field, text)).collect()
}

/// Reads a cut; absent is empty.
pub(crate) fn read_cut(field: &'static str, cut: Option<&v1::Cut>) -> Result<Cut, MalformedFrame> {
    let dots = cut.map_or(&[][..], |cut| &cut.dots);
    dots.iter().map(|text| read_id::<Dot>(field, text)).collect()
}

/// Reads the message that an item is about.
fn read_target(target: Option<&v1::MessageRef>) -> Result<(UserId, MessageId), MalformedFrame> {
    read_reference(target.ok_or(MalformedFrame { field: "target" })?)
}

fn read_became(post: &v1::Post) -> Result<Became, MalformedFrame> {
    let place = |place: &v1::Place| Ok(Place::new(read_id("hlc", &place.hlc)?, read_id("dot", &place.dot)?));
    let reaction = |reaction: &v1::Reaction| {
        let count = usize::try_from(reaction.count).unwrap_or(usize::MAX);
        Ok(Reaction { emoji: reaction.emoji.clone(), count, users: read_ids("users", &reaction.users)? })
    };
    Ok(Became {
        deleted: post.deleted,
        edited: post.edited.as_ref().map(place).transpose()?,
        reactions: post.reactions.iter().map(reaction).collect::<Result<_, _>>()?,
    })
}

/// Reads a reference to a message.
pub(crate) fn read_reference(reference: &v1::MessageRef) -> Result<(UserId, MessageId), MalformedFrame> {
    Ok((read_id("sender", &reference.sender)?, read_id("message", &reference.message)?))
}

impl TryFrom<&v1::Item> for Item {
    type Error = MalformedFrame;

    fn try_from(item: &v1::Item) -> Result<Self, MalformedFrame> {
        let content = match item.content.as_ref().ok_or(MalformedFrame { field: "content" })? {
            v1::item::Content::Post(post) => Content::Post {
                body: post.body.clone(),
                sent_at_ms: post.sent_at_ms,
                reply_to: post.reply_to.as_ref().map(read_reference).transpose()?,
                seen: post.seen.as_ref().map(|cut| read_cut("seen", Some(cut))).transpose()?,
                became: read_became(post)?,
            },
            v1::item::Content::Created(created) => Content::Created {
                members: read_ids("members", &created.members)?,
                name: created.name.clone(),
                direct: created.direct,
            },
            v1::item::Content::Added(added) => Content::Added {
                user: read_id("user", &added.user)?,
                since: read_cut("since", added.since.as_ref())?,
            },
            v1::item::Content::Left(v1::Left {}) => Content::Left,
            v1::item::Content::Removed(removed) => Content::Removed { user: read_id("user", &removed.user)? },
            v1::item::Content::Promoted(promoted) => {
                Content::Promoted { user: read_id("user", &promoted.user)? }
            }
            v1::item::Content::Demoted(demoted) => Content::Demoted { user: read_id("user", &demoted.user)? },
            v1::item::Content::Claimed(v1::Claimed {}) => Content::Claimed,
            v1::item::Content::Rights(v1::Rights {}) => Content::Rights,
            v1::item::Content::DocumentChanged(changed) => {
                Content::DocumentChanged { change: changed.change.clone() }
            }
            v1::item::Content::Edited(edited) => Content::Edited {
                target: read_target(edited.target.as_ref())?,
                body: edited.body.clone(),
                seen: edited.seen.as_ref().map(|cut| read_cut("seen", Some(cut))).transpose()?,
            },
            v1::item::Content::Deleted(deleted) => {
                Content::Deleted { target: read_target(deleted.target.as_ref())? }
            }
            v1::item::Content::Withheld(withheld) => {
                Content::Withheld { target: read_target(withheld.target.as_ref())? }
            }
            v1::item::Content::Reacted(reacted) => Content::Reacted {
                target: read_target(reacted.target.as_ref())?,
                emoji: read_id("emoji", &reacted.emoji)?,
            },
            v1::item::Content::Withdrawn(withdrawn) => Content::Withdrawn {
                target: read_target(withdrawn.target.as_ref())?,
                emoji: read_id("emoji", &withdrawn.emoji)?,
                seen: read_ids("seen", &withdrawn.seen)?.into_iter().collect(),
            },
        };
        let place = Place::new(read_id("hlc", &item.hlc)?, read_id("dot", &item.dot)?);
        Ok(Self {
            sender: read_id("sender", &item.sender)?,
            message: read_id("message", &item.message)?,
            place,
            content,
        })
    }
}

impl TryFrom<&v1::Conversation> for Summary {
    type Error = MalformedFrame;

    fn try_from(summary: &v1::Conversation) -> Result<Self, MalformedFrame> {
        Ok(Self {
            conversation: read_id("conversation", &summary.conversation)?,
            name: summary.name.clone(),
            direct: summary.direct,
            members: read_ids("members", &summary.members)?,
            admins: read_ids("admins", &summary.admins)?,
            last: summary.last.as_ref().map(Item::try_from).transpose()?,
            unread: summary.unread,
        })
    }
}

impl TryFrom<v1::Document> for Document {
    type Error = MalformedFrame;

    fn try_from(document: v1::Document) -> Result<Self, MalformedFrame> {
        let account = Account {
            contacts: read_named(document.contacts),
            labels: read_named(document.labels),
            blocked: document.blocked.iter().filter_map(|user| user.parse().ok()).collect(),
            display_name: document.display_name,
            status: document.status,
        };
        Ok(Self {
            account,
            pinned: document.pinned.iter().map(read_reference).collect::<Result<_, _>>()?,
            settings: document.settings.into_iter().map(|setting| (setting.name, setting.value)).collect(),
            name: document.name,
            icon: document.icon,
            description: document.description,
            actor: document.actor,
            automerge: document.automerge,
        })
    }
}

/// Texts by id. A key that is no id names nothing: an Automerge may write what it likes there.
fn read_named<Id: FromStr>(texts: Vec<v1::Setting>) -> Vec<(Id, String)> {
    texts.into_iter().filter_map(|text| Some((text.name.parse().ok()?, text.value))).collect()
}

impl Place {
    /// As frames carry it.
    pub(crate) fn to_wire(self) -> v1::Place {
        v1::Place { hlc: self.hlc.to_string(), dot: self.dot.to_string() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.hlc, self.dot)
    }
}
