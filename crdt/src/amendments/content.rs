//! What an edit, a deletion or a reaction carries, and its bytes in a payload.
//!
//! What must always hold:
//! - Which message it is about stands in the envelope, so it is known when an edit's payload has been cut.
//! - Decoding is total: a reaction that is no emoji, or an edit that is too long, is malformed, and changes nothing anywhere.

use super::AmendmentAct;
use crate::emoji::Emoji;
use crate::id::MessageId;
use crate::limits::{BODY_BYTES_MAX, COMMANDS_WITHDRAWN_MAX};
use crate::operation::{DIGEST_BYTES, Kind, MalformedOperation, optional_cut, sixteen};
use crate::proto;
use crate::proto::payload::Body as Wire;
use crate::version_vector::Cut;
use bytes::Bytes;
use std::collections::BTreeSet;

/// What is done to a message, with what that carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AmendmentContent {
    /// Its body is another.
    Edit {
        /// Text, or ciphertext that the server cannot read.
        body: Bytes,
        /// What the author's device had seen, if that was more than its region had: the mark of promise 4.
        seen: Option<Cut>,
    },
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
    /// The kind of operation that carries it.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Edit { .. } => Kind::Edit,
            Self::Delete => Kind::Delete,
            Self::React(_) => Kind::React,
            Self::Withdraw { .. } => Kind::Withdraw,
        }
    }

    /// What is kept of it, given the digest of the operation's payload.
    #[must_use]
    pub fn into_act(self, payload_digest: [u8; DIGEST_BYTES]) -> AmendmentAct {
        match self {
            Self::Edit { .. } => AmendmentAct::Edit(payload_digest),
            Self::Delete => AmendmentAct::Delete,
            Self::React(emoji) => AmendmentAct::React(emoji),
            Self::Withdraw { emoji, seen } => AmendmentAct::Withdraw { emoji, seen },
        }
    }

    pub(crate) fn to_proto(&self) -> Wire {
        match self {
            Self::Edit { body, seen } => {
                Wire::Edit(proto::Edit { body: body.clone(), seen: seen.as_ref().map(Cut::to_proto) })
            }
            Self::Delete => Wire::Delete(true),
            Self::React(emoji) => Wire::React(emoji.to_string()),
            Self::Withdraw { emoji, seen } => {
                let to_bytes = |command: &MessageId| Bytes::copy_from_slice(&command.0.to_be_bytes());
                let seen = seen.iter().map(to_bytes).collect();
                Wire::Withdraw(proto::Withdrawal { emoji: emoji.to_string(), seen })
            }
        }
    }

    /// Reads what a payload carries; what amends nothing is malformed.
    pub(crate) fn from_proto(wire: Wire) -> Result<Self, MalformedOperation> {
        let field = MalformedOperation::Field;
        let emoji = |text: String| text.parse().map_err(|_| field("emoji"));
        Ok(match wire {
            Wire::Edit(edit) if edit.body.len() <= BODY_BYTES_MAX => {
                Self::Edit { body: edit.body, seen: optional_cut(edit.seen, "seen")? }
            }
            Wire::Edit(_) => return Err(field("body")),
            Wire::Delete(true) => Self::Delete,
            Wire::Delete(false) => return Err(field("delete")),
            Wire::React(text) => Self::React(emoji(text)?),
            Wire::Withdraw(withdrawal) => {
                Self::Withdraw { emoji: emoji(withdrawal.emoji)?, seen: seen(&withdrawal.seen)? }
            }
            Wire::Post(_) | Wire::Create(_) | Wire::Change(_) | Wire::Rights(_) | Wire::Document(_) => {
                return Err(field("kind"));
            }
        })
    }
}

fn seen(commands: &[Bytes]) -> Result<BTreeSet<MessageId>, MalformedOperation> {
    let commands: Vec<MessageId> =
        commands.iter().map(|command| sixteen(command, "seen").map(MessageId)).collect::<Result<_, _>>()?;
    let ascending = commands.is_sorted_by(|one, next| one < next);
    if commands.is_empty() || commands.len() > COMMANDS_WITHDRAWN_MAX || !ascending {
        return Err(MalformedOperation::Field("seen"));
    }
    Ok(commands.into_iter().collect())
}
