//! What an edit, a deletion or a reaction is on the wire.
//!
//! What must always hold:
//! - It names the message by identity, so it finds it wherever it was sent again.
//! - Decoding is total: a reaction that is no emoji, or an edit that is too long, is malformed, and changes nothing anywhere.
//!
//! The bytes are Protocol Buffers (`proto/amendment.proto`): 29 bytes and what it carries.

use super::AmendmentAct;
use crate::emoji::Emoji;
use crate::id::{MessageId, UserId};
use crate::limits::{BODY_BYTES_MAX, COMMANDS_WITHDRAWN_MAX};
use crate::operation::{DIGEST_BYTES, MalformedOperation};
use crate::proto;
use crate::timeline::Identity;
use bytes::Bytes;
use prost::Message as _;
use std::collections::BTreeSet;

/// The payload of an amendment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AmendmentPayload {
    /// The message.
    pub target: Identity,
    /// What is done to it.
    pub content: AmendmentContent,
}

/// What is done to a message, with what that carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AmendmentContent {
    /// Its body is another: text, or ciphertext that the server cannot read.
    Edit(Bytes),
    /// It is deleted for everyone.
    Delete,
    /// A reaction is given.
    React(Emoji),
    /// A reaction is withdrawn.
    Withdraw {
        /// Which.
        emoji: Emoji,
        /// The commands that gave it, as far as they are known where it is withdrawn; at least one.
        seen: BTreeSet<MessageId>,
    },
}

impl AmendmentContent {
    /// What is kept of it, given the digest of the operation's payload.
    #[must_use]
    pub fn into_act(self, payload_digest: [u8; DIGEST_BYTES]) -> AmendmentAct {
        match self {
            Self::Edit(_) => AmendmentAct::Edit(payload_digest),
            Self::Delete => AmendmentAct::Delete,
            Self::React(emoji) => AmendmentAct::React(emoji),
            Self::Withdraw { emoji, seen } => AmendmentAct::Withdraw { emoji, seen },
        }
    }
}

impl AmendmentPayload {
    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        use proto::amendment::Act;
        let act = match &self.content {
            AmendmentContent::Edit(body) => Act::Edit(body.clone()),
            AmendmentContent::Delete => Act::Delete(true),
            AmendmentContent::React(emoji) => Act::React(emoji.to_string()),
            AmendmentContent::Withdraw { emoji, seen } => {
                let seen = seen.iter().map(|command| to_bytes(*command)).collect();
                Act::Withdraw(proto::Withdrawal { emoji: emoji.to_string(), seen })
            }
        };
        let Identity { sender, message } = self.target;
        let target = proto::Identity { sender: sender.0, message: to_bytes(message) };
        Bytes::from(proto::Amendment { target: Some(target), act: Some(act) }.encode_to_vec())
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`MalformedOperation`] when the bytes are not an amendment of this version.
    pub fn decode(bytes: &Bytes) -> Result<Self, MalformedOperation> {
        use proto::amendment::Act;
        let field = MalformedOperation::Field;
        let source = |source| MalformedOperation::Encoding { what: "amendment", source };
        let decoded = proto::Amendment::decode(bytes.clone()).map_err(source)?;
        let target = decoded.target.ok_or(field("target"))?;
        let target = Identity { sender: UserId(target.sender), message: message(&target.message, "target")? };
        let emoji = |text: String| text.parse().map_err(|_| field("emoji"));
        let content = match decoded.act.ok_or(field("act"))? {
            Act::Edit(body) if body.len() <= BODY_BYTES_MAX => AmendmentContent::Edit(body),
            Act::Edit(_) => return Err(field("edit")),
            Act::Delete(true) => AmendmentContent::Delete,
            Act::Delete(false) => return Err(field("delete")),
            Act::React(text) => AmendmentContent::React(emoji(text)?),
            Act::Withdraw(withdrawal) => {
                AmendmentContent::Withdraw { emoji: emoji(withdrawal.emoji)?, seen: seen(&withdrawal.seen)? }
            }
        };
        Ok(Self { target, content })
    }
}

fn seen(commands: &[Bytes]) -> Result<BTreeSet<MessageId>, MalformedOperation> {
    let commands: Vec<MessageId> =
        commands.iter().map(|command| message(command, "seen")).collect::<Result<_, _>>()?;
    let ascending = commands.is_sorted_by(|one, next| one < next);
    if commands.is_empty() || commands.len() > COMMANDS_WITHDRAWN_MAX || !ascending {
        return Err(MalformedOperation::Field("seen"));
    }
    Ok(commands.into_iter().collect())
}

fn to_bytes(message: MessageId) -> Bytes {
    Bytes::copy_from_slice(&message.0.to_be_bytes())
}

fn message(bytes: &[u8], field: &'static str) -> Result<MessageId, MalformedOperation> {
    bytes.try_into().map(u128::from_be_bytes).map(MessageId).map_err(|_| MalformedOperation::Field(field))
}
