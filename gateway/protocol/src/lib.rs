//! The client protocol: schema, framing, error codes.
