//! The client's decisions: outbox, order, cursors, reconnection. Pure: no socket, no clock, no randomness of its own.
//!
//! What must always hold (docs/architecture.md): what a region has acknowledged stays in the outbox until it is stable everywhere;
//! one identity is shown once; what is shown has its causes before it, or carries a mark until they come.
//!
//! The one way in is [`Client::step`]; the package `gateway-client-net` drives it with sockets, the simulator with simulated ones.

#![deny(clippy::float_arithmetic, clippy::iter_over_hash_type)]

mod acknowledge;
mod amended;
mod ask;
mod client;
mod conversation;
mod error;
pub mod forward;
mod hidden;
mod identities;
mod input;
mod item;
mod keep_connected;
pub mod limits;
mod line;
mod mark;
mod outbox;
mod output;
mod print;
mod queue;
mod routes;
mod send_commands;
mod show_items;
pub mod sometimes;
mod sync;
mod ticks;
mod timers;

pub use client::Client;
pub use crdt::roster::Wish as MembersWish;
pub use error::LocalRefusal;
pub use input::{Act, Address, Amend, Config, ConnectionId, DocumentEdit, Input, PageFrom};
pub use item::{Account, Became, Content, Document, Item, MalformedFrame, Place, Reaction, Summary};
pub use output::{Event, Output};
