//! Membership's driver: regions gossip about themselves over their bridges, and what they hear becomes a [`View`](region::membership::View). It decides nothing.
//!
//! ```text
//!   facts of this region ──every second──▶ chitchat ──every two seconds──▶ carrier ──▶ bridges ──▶ peers
//!   view ◀──every second── chitchat (live, dead, facts of all) ◀── gate ◀── carrier ◀── bridges ◀── peers
//! ```
//! The gossip is chitchat's (Scuttlebutt), its verdicts those of a phi-accrual failure detector. A round with a peer is three messages, and two begin every two seconds on a bridge, one at
//! each end: an idle bridge of three regions carries 530 bytes a second in all, some 400 of them for it, what QUIC adds included (`cli/tests/membership`).
//!
//! What must always hold:
//! - Nothing is sent but over bridges, so only to regions that have proven by their certificate who they are, and nothing but this region's own facts and what others said of theirs.
//! - What a peer sends reaches chitchat only after `gate.rs` has looked at all of it: chitchat trusts its peers, ends its process on some of what they could say, and keeps whatever it is told.
//! - Gossip is bounded: one line of facts for each start of a region, and a few starts a region; a start that is dead is forgotten within a minute.

mod carrier;
mod counters;
mod gate;
mod gossip;
pub mod limits;
mod node;
mod refused;

pub use counters::GossipCounters;
pub use gossip::{Gossip, GossipConfig, GossipingRegion};
