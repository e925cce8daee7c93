//! The bridge's driver: QUIC connections between regions with mutual TLS, and one task a peer that drives the pure bridge core.
//!
//! What must always hold:
//! - A peer speaks as the region that its certificate names and as no other.
//! - Whatever a peer sends, however fast, and however slowly it reads, a bridge's memory stays within its limits.
//! - It decides nothing: what a frame means is the core's business.

mod notices;

pub use notices::{Notices, Told};
