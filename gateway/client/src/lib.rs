//! The client's decisions: outbox, order, cursors, reconnection. Pure.
