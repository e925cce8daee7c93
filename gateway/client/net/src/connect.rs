//! Opening a WebSocket: TCP, TLS where the address says `wss://`, the handshake with the subprotocol.
//!
//! What must always hold: a certificate is checked against the authorities that the application trusts, and against no others;
//! a region that does not agree to the subprotocol is not spoken to.

use crate::limits;
use gateway_protocol::Subprotocol;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, ServerName};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::client::ClientRequestBuilder;
use tokio_tungstenite::tungstenite::http::Uri;
use tokio_tungstenite::tungstenite::http::uri::InvalidUri;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// A TCP or TLS stream.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// An open WebSocket.
pub(crate) type WebSocket = WebSocketStream<Box<dyn Duplex>>;

/// Why a WebSocket could not be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("`{0}` is not an address of the form ws://host:port or wss://host:port")]
    Address(String),
    #[error("`{0}` cannot be read as an address: {1}")]
    Unreadable(String, InvalidUri),
    #[error("the host of a wss:// address cannot stand in a certificate: {0}")]
    Host(#[from] InvalidDnsNameError),
    #[error("wss:// needs a certificate authority to trust: give the cluster's certs/ca.pem")]
    NoTrust,
    #[error("the region cannot be reached: {0}")]
    Network(#[from] std::io::Error),
    #[error("the region did not agree to a WebSocket: {0}")]
    Handshake(#[from] tokio_tungstenite::tungstenite::Error),
}

/// Why a certificate authority cannot be trusted.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// Not a PEM file with certificates.
    #[error("no certificate can be read from the PEM text: {0}; give the cluster's certs/ca.pem")]
    Pem(rustls::pki_types::pem::Error),
    /// Not usable as an authority.
    #[error("the certificate cannot be trusted as an authority: {0}")]
    Certificate(#[from] rustls::Error),
}

/// Trusts the certificate authorities in that PEM text, and no others.
///
/// # Errors
/// [`TrustError`] if there is no certificate in it, or one that cannot be an authority.
pub fn trust(pem: &[u8]) -> Result<Arc<rustls::ClientConfig>, TrustError> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate.map_err(TrustError::Pem)?)?;
    }
    if roots.is_empty() {
        return Err(TrustError::Pem(rustls::pki_types::pem::Error::NoItemsFound));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Opens a WebSocket to that address.
pub(crate) async fn open(
    url: String,
    subprotocol: Subprotocol,
    tls: Option<Arc<rustls::ClientConfig>>,
) -> Result<WebSocket, ConnectError> {
    let uri: Uri = url.parse().map_err(|error| ConnectError::Unreadable(url.clone(), error))?;
    let (Some(scheme), Some(host)) = (uri.scheme_str(), uri.host()) else {
        return Err(ConnectError::Address(url));
    };
    let (secure, port) = match scheme {
        "ws" => (false, 80),
        "wss" => (true, 443),
        _ => return Err(ConnectError::Address(url)),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let tcp = TcpStream::connect((host.as_str(), uri.port_u16().unwrap_or(port))).await?;
    tcp.set_nodelay(true)?;
    let stream: Box<dyn Duplex> = if secure {
        let tls = tls.ok_or(ConnectError::NoTrust)?;
        let name = ServerName::try_from(host)?;
        Box::new(TlsConnector::from(tls).connect(name, tcp).await?)
    } else {
        Box::new(tcp)
    };
    let request = ClientRequestBuilder::new(uri).with_sub_protocol(subprotocol.name());
    let config = WebSocketConfig::default()
        .read_buffer_size(limits::READ_BUFFER_BYTES)
        .write_buffer_size(limits::WRITE_BUFFER_BYTES)
        .max_write_buffer_size(limits::WRITE_BUFFER_BYTES_MAX)
        .max_message_size(Some(limits::FRAME_BYTES_MAX))
        .max_frame_size(Some(limits::FRAME_BYTES_MAX));
    let (socket, _response) = client_async_with_config(request, stream, Some(config)).await?;
    Ok(socket)
}
