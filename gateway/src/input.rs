//! What goes into a session. Closed: a driver matches without `_`, and so does [`Session::step`](crate::Session::step).
//!
//! What must always hold: inputs are facts, never wishes; they come in the order in which they happened. What a driver could not hand
//! over is an input too ([`Input::Missed`]), so that nothing is lost without a word.

use crate::error::TokenRefused;
use crate::query::{Answer, QueryId};
use crate::shared_delivery::SharedDelivery;
use crdt::{ConversationId, Cut, DeviceId, Now, PartitionId, UserId, VersionVector};
use gateway_protocol::FrameError;
use gateway_protocol::v1::ClientFrame;
use region::command::{Done, Refusal};
use region::shard::Ticket;
use region::store::StoreError;
use std::sync::Arc;

/// One thing that happened to a session.
#[derive(Debug, Clone)]
pub enum Input {
    /// The client sent something: a frame, or bytes that are none.
    Frame(Result<ClientFrame, FrameError>),
    /// The token of the last [`Authenticate`](crate::Output::Authenticate) was checked.
    Authenticated(Result<Identity, TokenRefused>),
    /// A command was decided; it is durable if it was done.
    Answered {
        /// Of the [`Submit`](crate::Output::Submit).
        ticket: Ticket,
        /// How it went.
        result: Result<Done, Refusal>,
    },
    /// A query was answered.
    Read {
        /// Of the [`Query`](crate::Output::Query).
        query: QueryId,
        /// How it went.
        result: Result<Answer, StoreError>,
    },
    /// A subscribed conversation changed.
    Changed(Arc<SharedDelivery>),
    /// The user became, or ceased to be, a member of a conversation.
    Membership {
        /// Which.
        conversation: ConversationId,
        /// Whether they are one now.
        member: bool,
    },
    /// The session's user no longer sees a message.
    Hidden {
        /// Where.
        conversation: ConversationId,
        /// Which.
        message: crdt::Identity,
    },
    /// A receipt grew in a conversation whose ticks this session watches.
    Receipt {
        /// Which.
        conversation: ConversationId,
        /// Whose receipt.
        user: UserId,
        /// On which device.
        device: DeviceId,
        /// Delivered up to here.
        delivered: Arc<Cut>,
        /// Read up to here.
        read: Arc<Cut>,
    },
    /// More is stable in a partition with a conversation whose ticks this session watches.
    Stable {
        /// Which partition.
        partition: PartitionId,
        /// Up to here.
        cut: Arc<VersionVector>,
    },
    /// The driver could not hand over everything: changes, memberships and ticks may be missing before this.
    Missed,
    /// How many bytes of this connection are waiting to be sent. Given whenever that passes one of the limits, in either direction.
    Unsent(usize),
    /// The time of [`SetTimer`](crate::Output::SetTimer) has come.
    Timer,
    /// The region is shutting down in order: the device is to be sent there, if anywhere.
    Drain(Option<Redirect>),
}

/// Who is connected, by their token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Who.
    pub user: UserId,
    /// On which device.
    pub device: DeviceId,
    /// Until when the token holds.
    pub expires: Now,
}

/// Where to go instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// The region's name.
    pub region: String,
    /// Its address, `ws://` or `wss://`.
    pub url: String,
}
