//! The certificate that clients see: the region's own, whichever is in use when they connect.
//!
//! What must always hold: connections that stand keep the one they began with, new ones get the one in use. Its files are read and judged in
//! one place, by the region's bridges, so that clients and peers never see different certificates.

use region_rocks::handle::RegionHandle;
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::fmt;
use std::sync::Arc;

/// Asks the region for each connection.
struct InUse(RegionHandle);

/// TLS 1.2 and 1.3 with the region's certificate.
pub(crate) fn server_config(region: &RegionHandle) -> Result<Arc<ServerConfig>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(Arc::new(builder.with_no_client_auth().with_cert_resolver(Arc::new(InUse(region.clone())))))
}

impl ResolvesServerCert for InUse {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.certificates().certified_key())
    }
}

impl fmt::Debug for InUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("InUse").finish()
    }
}
