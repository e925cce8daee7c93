//! The client protocol: schema, framing, error codes.
//!
//! One schema, two subprotocols. What must always hold: a frame means the same in both, and bytes that are not a frame are an
//! error with a stable code, never a panic.

/// Generated from `proto/archipelago.proto`.
#[allow(missing_debug_implementations, unreachable_pub, clippy::all, clippy::pedantic, clippy::unwrap_used)]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/archipelago.v1.rs"));
    include!(concat!(env!("OUT_DIR"), "/archipelago.v1.serde.rs"));
}
