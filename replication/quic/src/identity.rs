//! Who this region is to its peers, and whom it believes: certificates and the TLS set-up of both directions.
//!
//! What must always hold:
//! - TLS 1.3 both ways with the cluster's own authority and no other; both sides show a certificate.
//! - A peer is the region whose name its certificate carries as a DNS name, and only one region's: a certificate that names
//!   two regions of the cluster is refused.
//! - No session is resumed and nothing is sent before the handshake is through: every connection is proven anew.
//! - A release tells nobody the secrets of a connection. A build for tests can be told to, loudly.

use crdt::RegionId;
use rustls::client::verify_server_name;
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The protocol that the handshake agrees on; another one is refused there.
const PROTOCOL: &[u8] = b"archipelago-bridge";

/// A region's certificate and key, and the cluster's authority.
#[derive(Debug)]
pub struct BridgeIdentity {
    authority: CertificateDer<'static>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

/// Why an identity cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityRefused {
    /// A file that cannot be read or holds something else.
    #[error("{}: {reason}: write it again with `archipelago init`, or correct the path", .file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Certificate and key do not fit together, or the authority is none.
    #[error("the certificate, its key and the cluster's authority do not fit together: {0}")]
    Unfit(String),
}

impl BridgeIdentity {
    /// Reads the three PEM files.
    ///
    /// # Errors
    /// [`IdentityRefused::File`] naming the file that cannot be used.
    pub fn read(authority: &Path, certificate: &Path, key: &Path) -> Result<Self, IdentityRefused> {
        let refused =
            |file: &Path, reason: String| IdentityRefused::File { file: file.to_path_buf(), reason };
        let authority_read = CertificateDer::from_pem_file(authority)
            .map_err(|error| refused(authority, error.to_string()))?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect);
        let chain = chain.map_err(|error| refused(certificate, error.to_string()))?;
        if chain.is_empty() {
            return Err(refused(certificate, "it holds no certificate".to_owned()));
        }
        let key = PrivateKeyDer::from_pem_file(key).map_err(|error| refused(key, error.to_string()))?;
        Ok(Self { authority: authority_read, chain, key })
    }

    /// The set-up for accepting and for dialling.
    pub(crate) fn tls(&self) -> Result<(ServerConfig, ClientConfig), IdentityRefused> {
        let unfit = |error: &dyn std::fmt::Display| IdentityRefused::Unfit(error.to_string());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.clone()).map_err(|error| unfit(&error))?;
        let roots = Arc::new(roots);
        let callers = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider));
        let callers = callers.build().map_err(|error| unfit(&error))?;
        let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| unfit(&error))?
            .with_client_cert_verifier(callers)
            .with_single_cert(self.chain.clone(), self.key.clone_key())
            .map_err(|error| unfit(&error))?;
        server.alpn_protocols = vec![PROTOCOL.to_vec()];
        server.send_tls13_tickets = 0;
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| unfit(&error))?
            .with_root_certificates(roots)
            .with_client_auth_cert(self.chain.clone(), self.key.clone_key())
            .map_err(|error| unfit(&error))?;
        client.alpn_protocols = vec![PROTOCOL.to_vec()];
        client.resumption = rustls::client::Resumption::disabled();
        #[cfg(debug_assertions)]
        log_secrets(&mut server, &mut client);
        Ok((server, client))
    }
}

/// Lets a test read what it has recorded between processes: the secrets of all connections go to the file that `SSLKEYLOGFILE` names. Not in a release, whatever its environment says.
#[cfg(debug_assertions)]
fn log_secrets(server: &mut ServerConfig, client: &mut ClientConfig) {
    if let Some(file) = std::env::var_os("SSLKEYLOGFILE") {
        tracing::warn!(
            ?file,
            "the secrets of all bridges are written to a file, for a test: whoever has it reads what they carry"
        );
        server.key_log = Arc::new(rustls::KeyLogFile::new());
        client.key_log = Arc::clone(&server.key_log);
    }
}

/// The region that a verified certificate speaks for: the one region of the cluster whose name it carries.
pub(crate) fn certified_region(
    certificate: &CertificateDer<'_>,
    names: &BTreeMap<RegionId, String>,
) -> Option<RegionId> {
    let parsed = ParsedCertificate::try_from(certificate).ok()?;
    let speaks_for =
        |name: &str| ServerName::try_from(name).is_ok_and(|name| verify_server_name(&parsed, &name).is_ok());
    let mut regions = names.iter().filter(|(_, name)| speaks_for(name)).map(|(region, _)| *region);
    let region = regions.next()?;
    regions.next().is_none().then_some(region)
}
