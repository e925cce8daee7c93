//! What comes out of a session, to be carried out in order.
//!
//! [`Output::Subscribe`] and [`Output::WatchUser`] must be in effect before the next output is looked at: a query that
//! follows must see everything that was released before.

use crate::query::{Query, QueryId};
use crate::shared_delivery::SharedDelivery;
use crdt::{ConversationId, DeviceId, Now, PlacementId, UserId};
use gateway_protocol::v1::ServerFrame;
use region::command::Command;
use region::shard::Ticket;
use std::sync::Arc;

/// One thing to do.
#[derive(Debug, Clone)]
pub enum Output {
    /// Send this frame.
    Send(ServerFrame),
    /// Send this delivery in its shared encoding.
    Deliver(Arc<SharedDelivery>),
    /// Check this token's signature, audience and claims, and give [`Authenticated`](crate::Input::Authenticated) before any other frame.
    Authenticate(String),
    /// Give the region this command; its answer is [`Answered`](crate::Input::Answered).
    Submit {
        /// For the answer; unique within the session.
        ticket: Ticket,
        /// Whose shard.
        placement: PlacementId,
        /// Who asks.
        user: UserId,
        /// On which device.
        device: DeviceId,
        /// What.
        command: Command,
    },
    /// Run this query; its answer is [`Read`](crate::Input::Read).
    Query {
        /// For the answer; unique within the session.
        id: QueryId,
        /// What to read.
        query: Query,
    },
    /// Hand over this conversation's changes from now on, or no longer.
    Subscribe {
        /// Which.
        conversation: ConversationId,
        /// Whether from now on.
        on: bool,
    },
    /// Hand over the receipts and the stability of this conversation's partition from now on, or no longer.
    WatchTicks {
        /// Which.
        conversation: ConversationId,
        /// Whether from now on.
        on: bool,
    },
    /// Hand over this user's memberships from now on.
    WatchUser(UserId),
    /// Give [`Timer`](crate::Input::Timer) at this time; replaces the last one.
    SetTimer(Now),
    /// Send what is queued, then close the connection with this code as the reason. Nothing follows.
    Close(&'static str),
}
