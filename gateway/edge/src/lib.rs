//! The gateway's driver: WebSocket, HTTP, TLS. It decides nothing; the session core does.
//!
//! ```text
//!   device ⇄ socket ⇄ connection (a task, drives one Session) ──commands──▶ region's shards
//!                        ▲   ▲ └──queries──▶ blocking reads              │ effects
//!                        │   └────────── inbox ◀── fan_out (a task) ◀── release
//!                        └─ outgoing (a task a socket)
//! ```
//! What must always hold:
//! - A shard never waits for a device: effects go to one bounded queue, from there to bounded inboxes, and what does not fit is
//!   told as missed, whereupon sessions read again from the store.
//! - Nothing is served before its token was checked; plain text is spoken on loopback alone, and only when told to.

mod admin;
mod audited;
mod certificate;
mod checkpoint;
mod connection;
mod epochs;
mod export_lines;
mod fan_out;
pub mod gateway;
mod inbox;
pub mod limits;
mod listen;
mod lost;
mod members;
mod metrics;
mod operate;
mod outgoing;
mod refuge;
mod salvage;
mod status;
mod tokens;
mod upgrade;

pub use gateway::{CursorSecrets, Gateway, GatewayConfig, StartRefused, Transport};
pub use refuge::refuge;
