//! The client protocol: schema, framing, error codes.
//!
//! One schema, two subprotocols. What must always hold: a frame means the same in both, and bytes that are not a frame are an
//! error with a stable code, never a panic. Every code that a client can meet stands in one table, [`codes::CODES`].
//!
//! What it refuses to do: it decides nothing. It neither knows which frame may come when, nor what a region makes of it.

#![deny(clippy::float_arithmetic, clippy::iter_over_hash_type)]

pub mod codes;
pub mod fields;
pub mod frame;

pub use fields::FieldError;
pub use frame::{FRAME_BYTES_MAX, FrameError, Payload, Subprotocol};

/// Generated from `proto/archipelago.proto`.
#[allow(missing_debug_implementations, unreachable_pub, clippy::all, clippy::pedantic, clippy::unwrap_used)]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/archipelago.v1.rs"));
    include!(concat!(env!("OUT_DIR"), "/archipelago.v1.serde.rs"));
}
