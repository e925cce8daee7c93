//! Operations: one immutable change to one conversation, as an envelope and a payload.
//!
//! What must always hold:
//! - An operation is kept, hashed and relayed as the bytes its origin wrote. Only [`Draft::seal`] encodes; everybody else decodes.
//! - The envelope names the payload by digest, and the payload holds 16 bytes of salt, so that the digest of an erased
//!   body says nothing.
//! - Decoding is total: bytes that are not an operation are a [`MalformedOperation`], never a panic.
//!
//! Cost of a post of 1,024 bytes: 76 bytes of envelope and 24 of payload around the body (2 to 6 more when its local time is not the one in
//! its message id, 29 when it is a reply), one allocation each.

mod plain_post;

use crate::Timestamp;
use crate::amendments::AmendmentContent;
use crate::group::RightsChange;
use crate::id::{ConversationId, Dot, MessageId, ReplicaId, UserId};
use crate::limits::{BODY_BYTES_MAX, DOCUMENT_CHANGE_BYTES_MAX, MEMBERS_MAX, NAME_BYTES_MAX};
use crate::proto;
use crate::roster::{self, Action, Change};
use crate::timeline::Identity;
use crate::version_vector::Cut;
use bytes::Bytes;
use prost::Message as _;
use std::collections::BTreeMap;

/// Bytes of a payload digest: BLAKE3 cut to 160 bits.
pub const DIGEST_BYTES: usize = 20;
/// Bytes of salt in every payload.
pub const SALT_BYTES: usize = 16;

/// An operation as it is stored and relayed: undecoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Who issued it in its partition, and as which number.
    pub dot: Dot,
    /// The envelope's bytes, as the origin wrote them.
    pub envelope: Bytes,
    /// The payload's bytes, as the origin wrote them; none once they have been cut.
    pub payload: Option<Bytes>,
}

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A message.
    Post,
    /// The conversation begins, with its first members.
    Create,
    /// An admin adds a member.
    Add,
    /// A member leaves.
    Leave,
    /// A message's body is replaced.
    Edit,
    /// A message is deleted for everyone.
    Delete,
    /// A reaction to a message is given.
    React,
    /// A reaction to a message is withdrawn.
    Withdraw,
    /// An admin removes a member.
    Remove,
    /// An admin makes a member an admin.
    Promote,
    /// An admin takes that from an admin below.
    Demote,
    /// The most senior member takes the place of admins that are all gone.
    Claim,
    /// A region moves rights to members' places, or has some back. No user does that: its sender is nobody.
    Rights,
    /// The conversation's document is changed.
    Document,
}

/// A decoded envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The conversation it changes.
    pub conversation: ConversationId,
    /// Its place in the display order, together with the dot.
    pub hlc: Timestamp,
    /// What it does.
    pub kind: Kind,
    /// The user who did it.
    pub sender: UserId,
    /// The client's id of the command; for a post, the message's id.
    pub message: MessageId,
    /// Of the payload's bytes.
    pub payload_digest: [u8; DIGEST_BYTES],
    /// The message it amends; present exactly if its kind amends one.
    pub target: Option<Identity>,
}

/// A decoded payload, without its salt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// A message.
    Post(Post),
    /// The conversation begins.
    Create {
        /// Its first members, sorted, the creator included.
        members: Vec<UserId>,
        /// A group's name; empty for a direct conversation.
        name: String,
        /// Whether it is the conversation of two users, which nobody joins or leaves.
        direct: bool,
        /// How many members each replica may add to a group before it needs rights of others; none of a direct conversation.
        shares: BTreeMap<ReplicaId, u64>,
    },
    /// Who is in a group, or what they may do, changes. Its action is never a creation, which has a body of its own.
    Change(Change),
    /// Rights to members' places of a group move.
    Rights(RightsChange),
    /// The conversation's document is changed: one Automerge change, as it was made. Whether it stands is for whoever keeps documents.
    Document(Bytes),
    /// A message is amended.
    Amend {
        /// Which. It stands in the envelope, so that it is known when the payload has been cut.
        target: Identity,
        /// What is done to it.
        content: AmendmentContent,
    },
}

/// The content of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Post {
    /// Text, or ciphertext that the server cannot read.
    pub body: Bytes,
    /// The sender's local time in milliseconds since 1970, for display alone.
    pub sent_at_ms: i64,
    /// The sender and id of the message it answers, in the same conversation.
    pub reply_to: Option<(UserId, MessageId)>,
    /// What the author's device had seen, if that was more than its region had: the mark of promise 4.
    pub seen: Option<Cut>,
}

/// A new operation, before it is encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The conversation it changes.
    pub conversation: ConversationId,
    /// From the conversation's clock.
    pub hlc: Timestamp,
    /// The user who does it.
    pub sender: UserId,
    /// The client's id of the command.
    pub message: MessageId,
    /// What it does.
    pub body: Body,
}

/// Bytes that are not an operation this version knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MalformedOperation {
    /// Not Protocol Buffers, or cut short.
    #[error("not a well-formed {what}: {source}")]
    Encoding {
        /// Envelope or payload.
        what: &'static str,
        /// What the decoder said.
        source: prost::DecodeError,
    },
    /// A field is missing, of the wrong length, or out of range.
    #[error("the operation's field `{0}` is missing or out of range")]
    Field(&'static str),
    /// A kind from a later version.
    #[error("operation kind {0} is unknown to this version: upgrade this region")]
    UnknownKind(i32),
    /// The payload is not the one its envelope names.
    #[error("the payload does not match the digest in its envelope")]
    Digest,
}

impl Kind {
    /// All that this version knows, by number.
    pub const ALL: [Self; 14] = [
        Self::Post,
        Self::Create,
        Self::Add,
        Self::Leave,
        Self::Edit,
        Self::Delete,
        Self::React,
        Self::Withdraw,
        Self::Remove,
        Self::Promote,
        Self::Demote,
        Self::Claim,
        Self::Rights,
        Self::Document,
    ];

    /// Its number, in the schema and in canonical bytes.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Post => 0,
            Self::Create => 1,
            Self::Add => 2,
            Self::Leave => 3,
            Self::Edit => 4,
            Self::Delete => 5,
            Self::React => 6,
            Self::Withdraw => 7,
            Self::Remove => 8,
            Self::Promote => 9,
            Self::Demote => 10,
            Self::Claim => 11,
            Self::Rights => 12,
            Self::Document => 13,
        }
    }

    /// The kind of that number, if this version knows it.
    #[must_use]
    pub fn of_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }

    /// Whether it is about a message, which its envelope then names.
    #[must_use]
    pub const fn amends(self) -> bool {
        match self {
            Self::Edit | Self::Delete | Self::React | Self::Withdraw => true,
            Self::Post
            | Self::Create
            | Self::Add
            | Self::Leave
            | Self::Remove
            | Self::Promote
            | Self::Demote
            | Self::Claim
            | Self::Rights
            | Self::Document => false,
        }
    }

    /// Whether it changes who is in a conversation, what they may do, or how many may be added where.
    #[must_use]
    pub const fn changes_members(self) -> bool {
        match self {
            Self::Create
            | Self::Add
            | Self::Leave
            | Self::Remove
            | Self::Promote
            | Self::Demote
            | Self::Claim
            | Self::Rights => true,
            Self::Post | Self::Edit | Self::Delete | Self::React | Self::Withdraw | Self::Document => false,
        }
    }

    /// Whether its payload is cut once the message is deleted: it is what somebody wrote. All others govern operations still to come, and keep theirs.
    #[must_use]
    pub const fn may_be_cut(self) -> bool {
        match self {
            Self::Post | Self::Edit => true,
            Self::Create
            | Self::Add
            | Self::Leave
            | Self::Delete
            | Self::React
            | Self::Withdraw
            | Self::Remove
            | Self::Promote
            | Self::Demote
            | Self::Claim
            | Self::Rights
            | Self::Document => false,
        }
    }

    const fn to_proto(self) -> proto::Kind {
        match self {
            Self::Post => proto::Kind::Post,
            Self::Create => proto::Kind::Create,
            Self::Add => proto::Kind::Add,
            Self::Leave => proto::Kind::Leave,
            Self::Edit => proto::Kind::Edit,
            Self::Delete => proto::Kind::Delete,
            Self::React => proto::Kind::React,
            Self::Withdraw => proto::Kind::Withdraw,
            Self::Remove => proto::Kind::Remove,
            Self::Promote => proto::Kind::Promote,
            Self::Demote => proto::Kind::Demote,
            Self::Claim => proto::Kind::Claim,
            Self::Rights => proto::Kind::Rights,
            Self::Document => proto::Kind::Document,
        }
    }
}

impl Body {
    /// The kind of operation this body belongs to.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Post(_) => Kind::Post,
            Self::Create { .. } => Kind::Create,
            Self::Change(change) => change.action.kind(),
            Self::Rights(_) => Kind::Rights,
            Self::Document(_) => Kind::Document,
            Self::Amend { content, .. } => content.kind(),
        }
    }

    /// Reads a payload and checks it against the envelope that names it.
    ///
    /// # Errors
    /// [`MalformedOperation`] when the digest differs, the bytes are not a payload, or its kind is not the envelope's.
    pub fn decode(envelope: &Envelope, payload: &Bytes) -> Result<Self, MalformedOperation> {
        if digest(payload) != envelope.payload_digest {
            return Err(MalformedOperation::Digest);
        }
        if envelope.kind == Kind::Post
            && let Some(post) = plain_post::post(envelope.message, payload)
        {
            return Ok(Self::Post(post));
        }
        let source = |source| MalformedOperation::Encoding { what: "payload", source };
        let decoded = proto::Payload::decode(payload.clone()).map_err(source)?;
        let body = Self::from_proto(envelope, decoded.body.ok_or(MalformedOperation::Field("body"))?)?;
        if body.kind() == envelope.kind { Ok(body) } else { Err(MalformedOperation::Field("kind")) }
    }

    /// Whether a post's payload is one, as [`Self::decode`] would find: for who does not look at what it says.
    pub(crate) fn check_post(envelope: &Envelope, payload: &Bytes) -> Result<(), MalformedOperation> {
        if plain_post::begin_of_body(payload).is_none() {
            return Self::decode(envelope, payload).map(drop);
        }
        if digest(payload) == envelope.payload_digest { Ok(()) } else { Err(MalformedOperation::Digest) }
    }

    fn from_proto(envelope: &Envelope, body: proto::payload::Body) -> Result<Self, MalformedOperation> {
        Ok(match body {
            proto::payload::Body::Post(post) => Self::Post(Post::from_proto(envelope.message, post)?),
            proto::payload::Body::Create(create) => {
                let members: Vec<UserId> = create.members.into_iter().map(UserId).collect();
                if members.len() > MEMBERS_MAX || !members.is_sorted_by(|one, next| one < next) {
                    return Err(MalformedOperation::Field("members"));
                }
                if create.name.len() > NAME_BYTES_MAX {
                    return Err(MalformedOperation::Field("name"));
                }
                let shares = roster::shares(create.shares)?;
                // What they add up to is the group's limit.
                let limit =
                    shares.values().fold(members.len() as u64, |sum, share| sum.saturating_add(*share));
                if limit > MEMBERS_MAX as u64 || (create.direct && !shares.is_empty()) {
                    return Err(MalformedOperation::Field("shares"));
                }
                Self::Create { members, name: create.name, direct: create.direct, shares }
            }
            proto::payload::Body::Change(change) => match Change::from_proto(change)? {
                Change { action: Action::Create { .. }, .. } => {
                    return Err(MalformedOperation::Field("action"));
                }
                change => Self::Change(change),
            },
            proto::payload::Body::Rights(change) => Self::Rights(RightsChange::from_proto(change)?),
            proto::payload::Body::Document(change) if change.len() > DOCUMENT_CHANGE_BYTES_MAX => {
                return Err(MalformedOperation::Field("document"));
            }
            proto::payload::Body::Document(change) => Self::Document(change),
            proto::payload::Body::Edit(_)
            | proto::payload::Body::Delete(_)
            | proto::payload::Body::React(_)
            | proto::payload::Body::Withdraw(_) => Self::Amend {
                target: envelope.target.ok_or(MalformedOperation::Field("target"))?,
                content: AmendmentContent::from_proto(body)?,
            },
        })
    }

    fn to_proto(&self, message: MessageId) -> proto::payload::Body {
        match self {
            Self::Post(post) => proto::payload::Body::Post(post.to_proto(message)),
            Self::Create { members, name, direct, shares } => proto::payload::Body::Create(proto::Create {
                members: members.iter().map(|user| user.0).collect(),
                name: name.clone(),
                direct: *direct,
                shares: roster::shares_to_proto(shares),
            }),
            Self::Change(change) => proto::payload::Body::Change(change.to_proto()),
            Self::Rights(change) => proto::payload::Body::Rights(change.to_proto()),
            Self::Document(change) => proto::payload::Body::Document(change.clone()),
            Self::Amend { content, .. } => content.to_proto(),
        }
    }

    /// The message that it amends, if it amends one.
    #[must_use]
    pub const fn target(&self) -> Option<Identity> {
        match self {
            Self::Amend { target, .. } => Some(*target),
            Self::Post(_) | Self::Create { .. } | Self::Change(_) | Self::Rights(_) | Self::Document(_) => {
                None
            }
        }
    }
}

impl Post {
    fn from_proto(message: MessageId, post: proto::Post) -> Result<Self, MalformedOperation> {
        if post.body.len() > BODY_BYTES_MAX {
            return Err(MalformedOperation::Field("body"));
        }
        let reply_to = match post.reply_to {
            Some(target) => Some((UserId(target.sender), MessageId(sixteen(&target.message, "reply_to")?))),
            None => None,
        };
        let seen = optional_cut(post.seen, "seen")?;
        let sent_at_ms = made_ms(message).wrapping_add(post.sent_after_ms);
        Ok(Self { body: post.body, sent_at_ms, reply_to, seen })
    }

    fn to_proto(&self, message: MessageId) -> proto::Post {
        proto::Post {
            body: self.body.clone(),
            sent_after_ms: self.sent_at_ms.wrapping_sub(made_ms(message)),
            reply_to: self.reply_to.map(|(sender, message)| Identity { sender, message }.to_proto()),
            seen: self.seen.as_ref().map(Cut::to_proto),
        }
    }
}

impl Envelope {
    /// Reads an envelope.
    ///
    /// # Errors
    /// [`MalformedOperation`] when the bytes are not an envelope of a kind this version knows.
    pub fn decode(bytes: &Bytes) -> Result<Self, MalformedOperation> {
        if let Some(envelope) = plain_post::envelope(bytes) {
            return Ok(envelope);
        }
        let source = |source| MalformedOperation::Encoding { what: "envelope", source };
        let decoded = proto::Envelope::decode(bytes.clone()).map_err(source)?;
        let kind = match proto::Kind::try_from(decoded.kind) {
            Ok(proto::Kind::Post) => Kind::Post,
            Ok(proto::Kind::Create) => Kind::Create,
            Ok(proto::Kind::Add) => Kind::Add,
            Ok(proto::Kind::Leave) => Kind::Leave,
            Ok(proto::Kind::Edit) => Kind::Edit,
            Ok(proto::Kind::Delete) => Kind::Delete,
            Ok(proto::Kind::React) => Kind::React,
            Ok(proto::Kind::Withdraw) => Kind::Withdraw,
            Ok(proto::Kind::Remove) => Kind::Remove,
            Ok(proto::Kind::Promote) => Kind::Promote,
            Ok(proto::Kind::Demote) => Kind::Demote,
            Ok(proto::Kind::Claim) => Kind::Claim,
            Ok(proto::Kind::Rights) => Kind::Rights,
            Ok(proto::Kind::Document) => Kind::Document,
            Err(_) => return Err(MalformedOperation::UnknownKind(decoded.kind)),
        };
        let hlc = Timestamp(decoded.hlc);
        if hlc == Timestamp::ZERO || hlc >= Timestamp::REFUSED_FROM {
            return Err(MalformedOperation::Field("hlc"));
        }
        let target = match decoded.target {
            Some(target) => Some(Identity {
                sender: UserId(target.sender),
                message: MessageId(sixteen(&target.message, "target")?),
            }),
            None => None,
        };
        if target.is_some() != kind.amends() {
            return Err(MalformedOperation::Field("target"));
        }
        Ok(Self {
            conversation: ConversationId(sixteen(&decoded.conversation, "conversation")?),
            hlc,
            kind,
            sender: UserId(decoded.sender),
            message: MessageId(sixteen(&decoded.message, "message")?),
            payload_digest: decoded.payload_digest[..]
                .try_into()
                .map_err(|_| MalformedOperation::Field("payload_digest"))?,
            target,
        })
    }
}

impl Draft {
    /// Encodes it, once and for ever: the envelope's and the payload's bytes.
    #[must_use]
    pub fn seal(&self, salt: [u8; SALT_BYTES]) -> (Bytes, Bytes) {
        let payload = proto::Payload {
            salt: Bytes::copy_from_slice(&salt),
            body: Some(self.body.to_proto(self.message)),
        };
        let payload = Bytes::from(payload.encode_to_vec());
        let envelope = proto::Envelope {
            conversation: Bytes::copy_from_slice(&self.conversation.0.to_be_bytes()),
            hlc: self.hlc.0,
            kind: self.body.kind().to_proto().into(),
            sender: self.sender.0,
            message: Bytes::copy_from_slice(&self.message.0.to_be_bytes()),
            payload_digest: Bytes::copy_from_slice(&digest(&payload)),
            target: self.body.target().map(Identity::to_proto),
        };
        (Bytes::from(envelope.encode_to_vec()), payload)
    }
}

/// The digest by which an envelope names its payload.
#[must_use]
pub fn digest(payload: &[u8]) -> [u8; DIGEST_BYTES] {
    let mut cut = [0; DIGEST_BYTES];
    cut.copy_from_slice(&blake3::hash(payload).as_bytes()[..DIGEST_BYTES]);
    cut
}

/// When the client made the message, by the same clock as its local sending time: as a rule the very same millisecond.
const fn made_ms(message: MessageId) -> i64 {
    // 48 bits always fit.
    message.created_ms() as i64
}

impl Identity {
    fn to_proto(self) -> proto::Identity {
        proto::Identity {
            sender: self.sender.0,
            message: Bytes::copy_from_slice(&self.message.0.to_be_bytes()),
        }
    }
}

pub(crate) fn sixteen(bytes: &[u8], field: &'static str) -> Result<u128, MalformedOperation> {
    bytes.try_into().map(u128::from_be_bytes).map_err(|_| MalformedOperation::Field(field))
}

/// A cut that may be absent.
pub(crate) fn optional_cut(
    absent_or: Option<proto::Cut>,
    field: &'static str,
) -> Result<Option<Cut>, MalformedOperation> {
    match absent_or {
        Some(present) => cut(Some(present), field).map(Some),
        None => Ok(None),
    }
}

fn cut(cut: Option<proto::Cut>, field: &'static str) -> Result<Cut, MalformedOperation> {
    let cut = cut.ok_or(MalformedOperation::Field(field))?;
    Cut::from_proto(&cut).map_err(|_| MalformedOperation::Field(field))
}
