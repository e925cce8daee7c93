//! The gateway's driver: WebSocket, HTTP, TLS.
