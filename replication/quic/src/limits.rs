//! Every bound of a bridge's connection: its value and unit, why this number, and what happens at it.
//!
//! What must always hold: a peer that sends without end or reads nothing costs at most the windows below, one frame being read, one
//! waiting, and one being written. The bounds of what is in the frames are the core's ([`replication::limits`]).

use std::time::Duration;

/// What a peer may send of its stream before it is read: the bandwidth-delay product of 200 Mbit/s at 300 ms. QUIC libraries'
/// defaults are made for short links: 256 KiB would hold a link of 150 ms at 14 Mbit/s. At the limit the peer waits. A connection is given what its
/// link needs of it.
pub const RECEIVE_WINDOW_BYTES: u32 = 8 << 20;

/// And at least, with which a connection begins: four frames of the core's, so that one is on its way while another is read.
pub const RECEIVE_WINDOW_BYTES_MIN: u32 = 256 << 10;

/// Up to here the sender's own window grows though less was carried: what a connection begins with at most, and less than any queue on a way of that size.
pub const GROWS_FREELY_BYTES: u64 = 256 << 10;

/// What may wait on the way beyond what fills it: a live message waits as long. Shorter, a thread that is not scheduled for some milliseconds leaves the link idle.
pub const QUEUE: Duration = Duration::from_millis(10);

/// How often the length of the way is looked at anew.
pub const SPAN: Duration = Duration::from_secs(10);

/// What this side keeps of sent and unacknowledged bytes of a snapshot: the same product. At the limit writing waits.
pub const SEND_WINDOW_BYTES: u64 = 8 << 20;

/// What a connection begins with under way: four times what RFC 9002 has for whoever comes, since bridges are few. With less, a message of the first round trips waits for
/// several of them behind a single frame.
pub const BEGINS_WITH_BYTES: u64 = 64 << 10;

/// What QUIC is given of a bridge's stream beyond what it may have under way, or a sixteenth of that, if that is more: a live message waits behind it. With less QUIC runs dry while this process is not scheduled.
/// At the limit writing waits, and with it the core's next frame.
pub const UNSENT_BYTES: u64 = 32 << 10;

/// Asked of the kernel for the UDP socket, each way: 4 MiB take 40 ms of 800 Mbit/s while this process is not scheduled. If the kernel gives less it is said
/// at the start, with the setting to change; a burst may then be dropped and sent again.
pub const UDP_BUFFER_BYTES: usize = 4 << 20;

/// A quiet connection is shown alive this often by QUIC itself.
pub const KEEP_ALIVE: Duration = Duration::from_secs(1);

/// After so long without hearing anything a tiny datagram is sent, again and again. While a link is cut QUIC repeats what was lost ever more
/// slowly, so a cut of two seconds would cost up to two more; the first such datagram that comes through sets everything going again.
pub const HEARTBEAT: Duration = Duration::from_millis(500);

/// What is kept of datagrams that were received and not looked at yet.
pub const DATAGRAM_BUFFER_BYTES: usize = 4 << 10;

/// Bytes of a message of gossip: what chitchat makes at most, the payload of a UDP datagram. A longer one is neither sent nor taken. What does not fit into a datagram of
/// the connection goes as a stream of its own; 12 regions fit.
pub const GOSSIP_BYTES_MAX: usize = 65_507;

/// Messages of gossip that wait to be looked at, of all peers together. One more is dropped, and the next round says it again.
pub const GOSSIP_WAITING_MAX: usize = 64;

/// A connection on which nothing was heard for this long is dead: several signs of life were lost. A cut link is noticed within it, and a
/// new connection goes on sooner than QUIC would repeat what a longer cut has swallowed. A peer that stood still as long is met again by one handshake.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(3);

/// One handshake, up to a stream that stands; then it has failed. Room for several round trips to the far side of the world.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// While dialling, a further handshake begins this often: so soon is a healed link noticed.
pub const ATTEMPT_EVERY: Duration = Duration::from_millis(500);

/// Handshakes of one dialling at a time; the oldest have timed out before more are wanted.
pub const ATTEMPTS_MAX: usize = 10;

/// A dialling that nobody answered ends after this, and the core decides when the next one begins.
pub const DIAL_TIMEOUT: Duration = Duration::from_secs(20);

/// How long stopping waits for peers to hear of it.
pub const STOP_TIMEOUT: Duration = Duration::from_millis(500);

/// Handshakes of unproven callers at a time. One more is refused at once, before any cryptography.
pub const HANDSHAKES_MAX: usize = 64;

/// Snapshots that are given at a time: each holds on to room that the store has long freed, and reads the disk beside everything else. The next caller is told to come again.
pub const SNAPSHOTS_MAX: usize = 1;

/// A snapshot of which nothing is taken for so long is taken away, and one that does not come for so long is asked for again.
pub const SNAPSHOT_STALLS_AFTER: Duration = Duration::from_secs(30);

/// Deliveries of one bridge that wait for room in a shard's mailbox. Their bytes are bounded by the core; at this number the bridge waits.
pub const DELIVERIES_MAX: usize = 1_024;

/// The files of a region's certificates are looked at this often: new ones are in use after two looks at the latest, and the disk hardly notices.
pub const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Bytes of a file of certificates: a chain takes a few thousand. A longer one is refused.
pub const CERTIFICATE_FILE_BYTES_MAX: u64 = 256 << 10;

/// Authorities that are believed at a time: one, two while one follows the other, and room for a second change in haste. A file with more is refused.
pub const AUTHORITIES_MAX: usize = 4;

const _: () = assert!(ATTEMPT_EVERY.as_millis() * ATTEMPTS_MAX as u128 >= HANDSHAKE_TIMEOUT.as_millis());
const _: () = assert!(RECEIVE_WINDOW_BYTES_MIN < RECEIVE_WINDOW_BYTES);
const _: () = assert!(KEEP_ALIVE.as_millis() * 3 <= IDLE_TIMEOUT.as_millis());
