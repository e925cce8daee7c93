//! The bridge's driver: QUIC connections with mutual TLS between regions.
