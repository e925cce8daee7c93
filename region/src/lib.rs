//! One region: the shard core that is the only writer of its partitions, the store it writes to, and what may be read of it.
//!
//! The heart is [`Shard::step`](shard::Shard::step): inputs in, a batch and effects out. The driver commits the batch with a sync and only then
//! releases the effects, so nothing becomes visible before it is durable.
//!
//! Where to look: what a device's command does, `accept_command.rs`; what an operator does, `operate.rs`; what a peer's entries do, `apply_commit.rs`; what any operation does to
//! the tables, `apply_operation.rs`; what is stored under which key, `keys.rs` and `record.rs`; what may be read, `read.rs`; what bridges read,
//! `log_view.rs`; whether a store is sound, `recover.rs` (its ends, at every start) and `verify.rs` (all of it, on demand).

#![deny(clippy::float_arithmetic, clippy::iter_over_hash_type)]

mod accept_amendment;
mod accept_command;
mod accept_document;
mod accept_post;
mod accept_receipt;
mod acknowledge;
mod apply_commit;
mod apply_operation;
pub mod backup_place;
mod catch_up;
mod change_membership;
pub mod closed;
pub mod cluster;
pub mod command;
pub mod compact_files;
mod create_conversation;
mod cut_payloads;
mod digest;
mod document;
mod encoding;
pub mod epoch;
mod expire_messages;
pub mod export;
pub mod features;
pub mod follow_epochs;
pub mod forms;
mod hide_message;
mod hold_answers;
mod issue_operation;
pub mod item;
pub mod join;
mod join_registers;
mod key_bytes;
mod keys;
pub mod lag;
pub mod limits;
pub mod log_view;
pub mod machine;
pub mod membership;
mod mend_document;
pub mod mend_log;
pub mod mend_registers;
pub mod meta;
mod note_peer;
pub mod operate;
mod overlay;
mod partition;
mod pending;
pub mod present;
pub mod read;
pub mod read_toml;
mod record;
mod recover;
mod register_key;
pub mod repair;
mod replay;
pub mod residency;
pub mod restore;
mod running_time;
pub mod salvage;
pub mod scrub;
mod settle_rights;
pub mod shard;
pub mod sometimes;
pub mod store;
mod survey_groups;
mod sweep;
mod tables;
pub mod verify;
