//! One region: the shard core that is the only writer of its partitions, the store it writes to, and what may be read of it.
//!
//! The heart is [`Shard::step`](shard::Shard::step): inputs in, a batch and effects out. The driver commits the batch with a sync and only then
//! releases the effects, so nothing becomes visible before it is durable.

pub mod cluster;
pub mod command;
mod encoding;
pub mod epoch;
pub mod item;
mod keys;
pub mod log_view;
mod partition;
pub mod read;
pub mod read_toml;
mod record;
mod register_key;
pub mod shard;
pub mod store;
