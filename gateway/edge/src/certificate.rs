//! The certificate that clients see, which can be replaced while connections stand.
//!
//! What must always hold: a certificate that cannot be read, or whose key is another's, replaces nothing; connections that stand keep the one
//! they began with, new ones get the new one.

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A certificate chain and its key, from two files in PEM.
#[derive(Debug)]
pub struct Certificate {
    chain: PathBuf,
    key: PathBuf,
    provider: Arc<CryptoProvider>,
    current: ArcSwap<CertifiedKey>,
}

/// Why a certificate was not taken. The one before stays in use.
#[derive(Debug, thiserror::Error)]
pub enum CertificateRefused {
    /// A file cannot be read, or holds no PEM of that kind.
    #[error("{what} cannot be read from {path}: {reason}")]
    Unreadable {
        /// Chain or key.
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The key is not the certificate's, or of a kind that is not supported.
    #[error("the key in {key} does not fit the certificate in {chain}: {reason}")]
    Mismatch {
        /// The certificate's file.
        chain: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        reason: rustls::Error,
    },
}

impl Certificate {
    /// Reads the files.
    ///
    /// # Errors
    /// [`CertificateRefused`] names the file and what is wrong with it.
    pub fn read(chain: &Path, key: &Path) -> Result<Arc<Self>, CertificateRefused> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let current = ArcSwap::from(load(chain, key, &provider)?);
        Ok(Arc::new(Self { chain: chain.to_owned(), key: key.to_owned(), provider, current }))
    }

    /// Reads the files again; new connections get what they hold now.
    ///
    /// # Errors
    /// [`CertificateRefused`]; the certificate before stays in use.
    pub fn reload(&self) -> Result<(), CertificateRefused> {
        self.current.store(load(&self.chain, &self.key, &self.provider)?);
        Ok(())
    }

    /// TLS 1.2 and 1.3 with this certificate.
    pub(crate) fn server_config(self: &Arc<Self>) -> Result<Arc<ServerConfig>, CertificateRefused> {
        let builder = ServerConfig::builder_with_provider(Arc::clone(&self.provider));
        let builder = builder.with_safe_default_protocol_versions().map_err(|reason| {
            CertificateRefused::Mismatch { chain: self.chain.clone(), key: self.key.clone(), reason }
        })?;
        let resolver: Arc<dyn ResolvesServerCert> = Arc::clone(self) as _;
        Ok(Arc::new(builder.with_no_client_auth().with_cert_resolver(resolver)))
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

fn load(
    chain: &Path,
    key: &Path,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, CertificateRefused> {
    let unreadable = |what, path: &Path, reason: String| CertificateRefused::Unreadable {
        what,
        path: path.to_owned(),
        reason,
    };
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(chain)
        .and_then(Iterator::collect)
        .map_err(|error| unreadable("the certificate", chain, error.to_string()))?;
    if certificates.is_empty() {
        return Err(unreadable("the certificate", chain, "it holds none".to_owned()));
    }
    let private = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| unreadable("the private key", key, error.to_string()))?;
    let certified = CertifiedKey::from_der(certificates, private, provider);
    certified.map(Arc::new).map_err(|reason| CertificateRefused::Mismatch {
        chain: chain.to_owned(),
        key: key.to_owned(),
        reason,
    })
}
