//! A userspace UDP relay that stands between real region processes and behaves like a wide-area network.
//!
//! ```text
//!   dialer ──▶ listening port (dialer, target) ──link dialer>target──▶ the flow's own socket ──▶ target
//!          ◀──────────────────────────────────── link target>dialer ◀──
//! ```
//! Needs no root: it sees the datagrams of each bridge because the cluster file gives the dialer the relay's port instead of
//! the target's address.
//!
//! What must always hold:
//! - A link is directed. It delays, jitters, loses, duplicates, reorders, limits and cuts what goes one way, and counts it,
//!   so that a fault can be shown to have had an effect.
//! - What a link does with a packet depends on its settings, its seed and the packets before it, never on the packet's bytes.
//! - Packets that had entered a link before it was cut still arrive; nothing enters a cut link.
//!
//! It refuses to be a server: it binds loopback alone.

pub mod distances;
pub mod limits;
pub mod link;
mod queue;
mod relay;

pub use link::{LinkCounts, LinkSettings};
pub use relay::{Relay, RelayError};
