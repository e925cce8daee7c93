//! The client's sockets: drives `gateway-client` over WebSocket connections, one task a client.
//!
//! What must always hold: it decides nothing. It obeys outputs in order, feeds what happened, and keeps every buffer small, so that
//! thousands of clients fit into one process (37 KiB each over TLS, measured with 1,500 idle ones in a debug build).

mod connect;
mod drive;
mod handle;
pub mod limits;
mod socket;

pub use connect::{TrustError, trust};
pub use gateway_client::{
    Account, Act, Address, Amend, Became, Config, Content, Document, DocumentEdit, Event, Item, LocalRefusal,
    MembersWish, PageFrom, Place, Reaction, Summary, forward,
};
pub use gateway_protocol::Subprotocol;
pub use handle::{ClientHandle, Events, NotForwarded, Settings, Stopped, Told};
