//! Every limit of the driver, each with its unit, why this number, and what happens at it.
//!
//! What must always hold: whatever a server sends or fails to read, one client's memory stays within these.

/// Acts that wait to be taken, per client. At it, the application waits.
pub const ACTS_WAITING_MAX: usize = 64;

/// Events that wait to be read by the application, per client. At it, sockets are not read: the region notices a slow device and
/// lets it sync later. One step may exceed it by the items of one frame.
pub const EVENTS_WAITING_MAX: usize = 128;

/// Frames that wait for a socket. The core's own windows keep it far below; a region that stops reading while a client tells it
/// of thousands of conversations reaches it, and the connection is then closed and opened anew.
pub const FRAMES_WAITING_MAX: usize = 16_384;

/// Bytes of read buffer per connection: the library's 128 KiB would cost a gigabyte for 8,000 clients.
pub const READ_BUFFER_BYTES: usize = 4_096;

/// Bytes gathered before writing to the socket.
pub const WRITE_BUFFER_BYTES: usize = 4_096;

/// Bytes of unsent output in the WebSocket layer. At it, frames wait in the queue above.
pub const WRITE_BUFFER_BYTES_MAX: usize = 512 * 1024;

/// Bytes of a server's frame: what the protocol allows. Above it the connection is closed.
pub const FRAME_BYTES_MAX: usize = gateway_protocol::FRAME_BYTES_MAX;

/// Milliseconds that a stopped client takes at most to write what is queued.
pub const FLUSH_MS: u64 = 1_000;

const _: () = assert!(WRITE_BUFFER_BYTES < WRITE_BUFFER_BYTES_MAX);
