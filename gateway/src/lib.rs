//! The session core: what a connected device is told, and when. Pure.
//!
//! The heart is [`Session::step`](session::Session::step): one input in, outputs out. The edge drives it with sockets, the simulator with its
//! own world; both get the same decisions. Beside it: [`cursor`] seals what a device has been given, [`query`] is what a session
//! reads of its region, [`shared_delivery`] is a change encoded once for all devices that are live in its conversation.
//!
//! What must always hold: no device is given an entry before an earlier one of the same conversation, and none is left out; nothing grows with
//! what a slow device has not read.

#![deny(clippy::float_arithmetic, clippy::iter_over_hash_type)]

mod acceptance;
mod catch_up;
pub mod cursor;
mod deliver_live;
mod documents;
pub mod error;
mod forward_ticks;
mod greet;
pub mod input;
pub mod limits;
pub mod output;
mod print_state;
pub mod query;
mod read_frame;
pub mod refuge;
pub mod session;
pub mod shared_delivery;
pub mod site;
pub mod sometimes;
mod stream;
mod timers;
mod wait_for_answers;
mod write_frame;

pub use input::Input;
pub use output::Output;
pub use session::Session;
pub use shared_delivery::SharedDelivery;
pub use site::Site;
