//! The WebSocket handshake: which subprotocol is spoken, and what is refused before there is a session.
//!
//! What must always hold: a client that offers no subprotocol of ours is told so in plain words (HTTP 400), and one for whom there is no room is
//! told when to come back (HTTP 503); nothing larger than a frame is ever buffered.

use crate::limits;
use gateway_protocol::{FRAME_BYTES_MAX, Subprotocol, codes};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::header::{RETRY_AFTER, SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{accept_hdr_async_with_config, tungstenite};

/// Whether a connection may become a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// There is room.
    Some,
    /// There is none: it is told so.
    None,
}

/// Accepts the handshake, or refuses it by the code that is given back.
pub(crate) async fn upgrade<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    room: Room,
) -> Result<(WebSocketStream<S>, Subprotocol), &'static str> {
    let mut agreed = Err("malformed_frame");
    #[allow(clippy::result_large_err)] // the handshake's interface gives the refusal as a whole response
    let choose = |request: &Request, response: Response| choose(request, response, room, &mut agreed);
    let config = WebSocketConfig::default()
        .read_buffer_size(limits::SOCKET_BUFFER_BYTES)
        .write_buffer_size(limits::SOCKET_BUFFER_BYTES)
        .max_message_size(Some(FRAME_BYTES_MAX))
        .max_frame_size(Some(FRAME_BYTES_MAX));
    let accepted: Result<_, tungstenite::Error> =
        accept_hdr_async_with_config(stream, choose, Some(config)).await;
    let subprotocol = agreed?;
    accepted.map(|socket| (socket, subprotocol)).map_err(|_| "malformed_frame")
}

#[allow(clippy::result_large_err)] // as above
fn choose(
    request: &Request,
    mut response: Response,
    room: Room,
    agreed: &mut Result<Subprotocol, &'static str>,
) -> Result<Response, ErrorResponse> {
    if room == Room::None {
        *agreed = Err("too_many_connections");
        return Err(refusal(StatusCode::SERVICE_UNAVAILABLE, "too_many_connections"));
    }
    let offered = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL);
    let spoken = offered
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .find_map(|name| Subprotocol::from_name(name.trim()));
    let Some(subprotocol) = spoken else {
        *agreed = Err("subprotocol_unsupported");
        return Err(refusal(StatusCode::BAD_REQUEST, "subprotocol_unsupported"));
    };
    *agreed = Ok(subprotocol);
    let name = HeaderValue::from_static(subprotocol.name());
    response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, name);
    Ok(response)
}

fn refusal(status: StatusCode, code: &'static str) -> ErrorResponse {
    let text = codes::entry(code)
        .map_or_else(String::new, |entry| format!("{code}: {}; {}\n", entry.meaning, entry.way_out));
    let mut response = ErrorResponse::new(Some(text));
    *response.status_mut() = status;
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
    }
    response
}
