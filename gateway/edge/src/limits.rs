//! The limits of the gateway's driver: value, unit, why this number, and what happens at it.
//!
//! What must always hold: everything that devices can make grow has a limit here or in the session core's own limits; at each of them
//! somebody is told, and nobody waits for a device.

use std::time::Duration;

/// Connections open at a time: a process may have 20,000 descriptors, and the stores need some. Beyond it a connection is told
/// `too_many_connections` and closed.
pub const CONNECTIONS_MAX: usize = 16_384;
/// Connections that are being told so. Beyond that they are closed without a word.
pub const REFUSALS_MAX: usize = 64;
/// From the first byte to the end of the WebSocket handshake, TLS included. Later the connection is closed.
pub const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// How long a closing connection may take to read what was queued for it and to say goodbye.
pub const GOODBYE_MAX: Duration = Duration::from_secs(3);
/// A timer that is later than this says that the process stood still, or that the machine has far too much to do.
pub const TIMER_LATE: Duration = Duration::from_millis(500);
/// How long such a timer then waits, once, for what had come meanwhile. The runtime looks at its sockets as soon as it has nothing else to do.
pub const READ_FIRST: Duration = Duration::from_millis(100);
/// Bytes of a connection's read and write buffers. With the usual 128 KiB an idle connection would hold 135 KiB, with these 7.
pub const SOCKET_BUFFER_BYTES: usize = 4_096;
/// Events that wait for one session. Beyond it they are dropped and the session is told that it missed some.
pub const INBOX_EVENTS_MAX: usize = 1_024;
/// Bytes of effects that wait to be fanned out, bodies included. Beyond it they are dropped and every session is told.
pub const FAN_OUT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Reads of the stores that run at a time: they hold a thread each. Others wait their turn.
pub const READS_MAX: usize = 8;
/// Lines of an export that wait for a slow operator. Beyond it the export waits.
pub const EXPORT_LINES_WAITING_MAX: usize = 256;
/// Bytes of an operator's act. Its fields are ids and names.
pub const ACT_BYTES_MAX: usize = 1_024;
/// Bytes of what an operator gives of an old store's log at a time: what goes into a step and one commit of the longest, in hexadecimal digits, with names around it.
pub const SALVAGE_BYTES_MAX: usize = 6 << 20;
/// How long a stopping gateway waits for its devices to leave: the spread of their sending away, and their goodbyes.
pub const DRAIN_MAX: Duration = Duration::from_millis(gateway::limits::DRAIN_SPREAD_MS + 4_000);
