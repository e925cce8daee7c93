//! The client's sockets.
