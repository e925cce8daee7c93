//! What the relay may hold, and what happens at each limit.
//!
//! What must always hold: the relay never waits for anybody; what does not fit is dropped and counted, as a router would.

/// The longest datagram carried, in bytes: the largest UDP payload, so nothing is ever cut short.
pub const DATAGRAM_BYTES_MAX: usize = 65_507;

/// Datagrams on their way through all links together. 100,000 QUIC packets are 150 MB, four seconds of 300 Mbit/s; at the
/// limit a link drops what comes, as a full router does, and counts it as dropped by its queue.
pub const IN_FLIGHT_MAX: usize = 100_000;

/// Flows (source ports of a dialer) that one listening port serves at once. A restarted process is a new flow; at the limit
/// the longest silent one is forgotten.
pub const FLOWS_MAX: usize = 16;

/// How often a blocked thread looks whether it is to stop.
pub const STOP_LOOK_MS: u64 = 100;

/// Parts in a million, the unit of loss, duplication and reordering.
pub const MILLION: u32 = 1_000_000;

/// Milliseconds of its bandwidth that a limited link lets wait: see [`LinkSettings::limited`](crate::LinkSettings::limited). At the limit it drops what comes.
pub const QUEUE_MS: u64 = 40;

/// Asked of the kernel for each socket, each way: what regions ask for their bridges, so that what is lost is lost by a link, and counted.
pub const UDP_BUFFER_BYTES: usize = 4 << 20;
