//! One region: the shard core that is the only writer of its partitions, the store it writes to, and what may be read of it.
//!
//! The heart is [`Shard::step`](shard::Shard::step): inputs in, a batch and effects out. The driver commits the batch with a sync and only then
//! releases the effects, so nothing becomes visible before it is durable.

mod accept_command;
mod accept_post;
mod accept_receipt;
mod acknowledge;
mod apply_commit;
mod apply_operation;
mod change_membership;
pub mod cluster;
pub mod command;
mod create_conversation;
mod encoding;
pub mod epoch;
pub mod export;
mod issue_operation;
pub mod item;
mod join_registers;
mod keys;
pub mod limits;
pub mod log_view;
pub mod meta;
mod note_peer;
mod overlay;
mod partition;
mod pending;
pub mod read;
pub mod read_toml;
mod record;
mod recover;
mod register_key;
pub mod shard;
pub mod store;
mod tables;
pub mod verify;
