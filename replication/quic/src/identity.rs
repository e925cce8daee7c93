//! Who this region is to its peers, and whom it believes: certificates, how they are judged, and the TLS set-up of both directions.
//!
//! What must always hold:
//! - TLS 1.3 both ways with the cluster's own authorities and no other; both sides show a certificate. A file may hold two authorities,
//!   so that an old and a new one overlap.
//! - An identity is made only of files that this region's peers would believe: judged by the very verifiers that peers use.
//! - A peer is the region whose name its certificate carries as a DNS name, and only one region's: a certificate that names
//!   two regions of the cluster is refused.
//! - No session is resumed and nothing is sent before the handshake is through: every connection is proven anew.
//! - A release tells nobody the secrets of a connection. A build for tests can be told to, loudly.

use crate::limits::{AUTHORITIES_MAX, CERTIFICATE_FILE_BYTES_MAX};
use crdt::RegionId;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, ClientConfig, Error, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use x509_parser::certificate::X509Certificate;

/// What is spoken on a connection, which its handshake agrees on; anything else is refused there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spoken {
    /// A bridge's frames.
    Bridge,
    /// A snapshot on its way.
    Snapshots,
}

impl Spoken {
    const ALL: [Self; 2] = [Self::Bridge, Self::Snapshots];

    /// As the handshake has it.
    const fn name(self) -> &'static [u8] {
        match self {
            Self::Bridge => b"archipelago-bridge",
            Self::Snapshots => b"archipelago-snapshot",
        }
    }

    /// Of that name.
    pub(crate) fn of(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|spoken| spoken.name() == name)
    }
}

/// Where a region's certificates lie, in PEM.
#[derive(Debug, Clone)]
pub struct CertificateFiles {
    /// The cluster's authorities: one, or two while one follows the other.
    pub authorities: PathBuf,
    /// The region's certificate, and what stands between it and an authority.
    pub chain: PathBuf,
    /// Its secret key.
    pub key: PathBuf,
}

/// What the files hold, or why one cannot be read.
#[derive(PartialEq, Eq, Clone)]
pub(crate) struct Written {
    authorities: Result<Vec<u8>, String>,
    chain: Result<Vec<u8>, String>,
    key: Result<Vec<u8>, String>,
}

/// Until when a certificate is good, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Validity {
    until: i64,
    from: i64,
}

/// A region's certificate and key, and the cluster's authorities.
#[derive(Debug)]
pub(crate) struct BridgeIdentity {
    files: CertificateFiles,
    roots: Arc<RootCertStore>,
    /// What each authority of the file is called, and until when it is good.
    authorities: Vec<(String, Validity)>,
    certified: Arc<CertifiedKey>,
    key: PrivateKeyDer<'static>,
    validity: Validity,
}

/// Why the files of a region's certificates are not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityRefused {
    /// A file that cannot be read or holds something else.
    #[error("{}: {reason}: write it again, or correct the path", .file.display())]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The key is another certificate's.
    #[error("{} is not the key of {}: {reason}: copy both from where they were made together", .key.display(), .chain.display())]
    KeyDiffers {
        /// The certificate's file.
        chain: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The certificate does not carry this region's name.
    #[error("{} is not the certificate of {region}: give each region the one of its own name", .chain.display())]
    OfAnother {
        /// The certificate's file.
        chain: PathBuf,
        /// This region.
        region: String,
    },
    /// No peer with these authorities would believe the certificate.
    #[error("{} is not believed by whoever trusts {}: {reason}: a new authority is added beside the old one first", .chain.display(), .authorities.display())]
    Untrusted {
        /// The certificate's file.
        chain: PathBuf,
        /// The authorities' file.
        authorities: PathBuf,
        /// What was found.
        reason: String,
    },
    /// A certificate that is over, or has not begun.
    #[error("{}: {what} is good from {from_s} to {until_s} (seconds since 1970), which is not now: renew it, or set the clock", .file.display())]
    NotNow {
        /// The file.
        file: PathBuf,
        /// Which certificate of it.
        what: String,
        /// From when it is good.
        from_s: i64,
        /// Until when it is good.
        until_s: i64,
    },
}

impl IdentityRefused {
    /// The stable code, as in `docs/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "certificate_unreadable",
            Self::KeyDiffers { .. } => "certificate_key_differs",
            Self::OfAnother { .. } => "certificate_of_another",
            Self::Untrusted { .. } => "certificate_untrusted",
            Self::NotNow { .. } => "certificate_not_now",
        }
    }
}

impl CertificateFiles {
    /// What the files hold now.
    pub(crate) fn read(&self) -> Written {
        Written { authorities: read(&self.authorities), chain: read(&self.chain), key: read(&self.key) }
    }

    fn unreadable(file: &Path, reason: impl fmt::Display) -> IdentityRefused {
        IdentityRefused::Unreadable { file: file.to_path_buf(), reason: reason.to_string() }
    }

    fn untrusted(&self, reason: impl fmt::Display) -> IdentityRefused {
        let (chain, authorities) = (self.chain.clone(), self.authorities.clone());
        IdentityRefused::Untrusted { chain, authorities, reason: reason.to_string() }
    }
}

impl BridgeIdentity {
    /// What the files hold, if it is an identity of that region. Whether it is good at this time, in seconds since 1970, is another question.
    ///
    /// # Errors
    /// [`IdentityRefused`] names the file and what is wrong with it.
    pub(crate) fn judge(
        files: &CertificateFiles,
        written: &Written,
        region: &str,
        now_s: i64,
    ) -> Result<Self, IdentityRefused> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let (roots, authorities) = authorities(files, &written.authorities)?;
        let chain = certificates(&files.chain, &written.chain)?;
        let key = written.key.as_ref().map_err(|reason| CertificateFiles::unreadable(&files.key, reason))?;
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|error| CertificateFiles::unreadable(&files.key, error))?;
        let Some(own) = chain.first() else {
            return Err(CertificateFiles::unreadable(&files.chain, "it holds no certificate"));
        };
        let (validity, _, _) = facts(own, &files.chain)?;
        let certified =
            CertifiedKey::from_der(chain.clone(), key.clone_key(), &provider).map_err(|error| {
                let (chain, key) = (files.chain.clone(), files.key.clone());
                IdentityRefused::KeyDiffers { chain, key, reason: error.to_string() }
            })?;
        believed(files, &roots, &provider, &chain, (region, validity.nearest(now_s)))?;
        let certified = Arc::new(certified);
        Ok(Self { files: files.clone(), roots, authorities, certified, key, validity })
    }

    /// Whether every certificate is good at this time, in seconds since 1970.
    ///
    /// # Errors
    /// [`IdentityRefused::NotNow`] names the first that is not.
    pub(crate) fn good_at(&self, now_s: i64) -> Result<(), IdentityRefused> {
        let own = ("the region's certificate", self.validity, &self.files.chain);
        let authorities = self.authorities.iter();
        let authorities =
            authorities.map(|(name, validity)| (name.as_str(), *validity, &self.files.authorities));
        match std::iter::once(own).chain(authorities).find(|(_, validity, _)| !validity.holds(now_s)) {
            None => Ok(()),
            Some((what, Validity { from, until }, file)) => Err(IdentityRefused::NotNow {
                file: file.clone(),
                what: what.to_owned(),
                from_s: from,
                until_s: until,
            }),
        }
    }

    /// Until when the region's own certificate is good.
    pub(crate) fn until_s(&self) -> i64 {
        self.validity.until
    }

    /// Until when each authority is good, in the file's order.
    pub(crate) fn authorities_until_s(&self) -> impl Iterator<Item = i64> {
        self.authorities.iter().map(|(_, validity)| validity.until)
    }

    /// The region's certificate with its key, for whoever else serves under the region's name.
    pub(crate) fn certified(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }

    /// What TLS or QUIC will not be set up with.
    pub(crate) fn unfit(&self, reason: &dyn fmt::Display) -> IdentityRefused {
        self.files.untrusted(reason)
    }

    /// The set-up for accepting, and for dialling to speak that.
    pub(crate) fn tls(&self, dialled: Spoken) -> Result<(ServerConfig, ClientConfig), IdentityRefused> {
        let unfit = |error: &dyn fmt::Display| self.unfit(error);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let chain = || self.certified.cert.clone();
        let callers = callers(&self.roots, &provider).map_err(|error| unfit(&error))?;
        let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| unfit(&error))?
            .with_client_cert_verifier(callers)
            .with_single_cert(chain(), self.key.clone_key())
            .map_err(|error| unfit(&error))?;
        server.alpn_protocols = Spoken::ALL.map(|spoken| spoken.name().to_vec()).to_vec();
        server.send_tls13_tickets = 0;
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| unfit(&error))?
            .with_root_certificates(Arc::clone(&self.roots))
            .with_client_auth_cert(chain(), self.key.clone_key())
            .map_err(|error| unfit(&error))?;
        client.alpn_protocols = vec![dialled.name().to_vec()];
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

impl fmt::Debug for Written {
    /// Without what is secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = |file: &Result<Vec<u8>, String>| file.as_ref().map(Vec::len).map_err(String::clone);
        f.debug_struct("Written")
            .field("authorities", &bytes(&self.authorities))
            .field("chain", &bytes(&self.chain))
            .field("key", &bytes(&self.key))
            .finish()
    }
}

impl Validity {
    fn holds(self, now_s: i64) -> bool {
        (self.from..=self.until).contains(&now_s)
    }

    /// That time, or the nearest at which it holds.
    fn nearest(self, now_s: i64) -> i64 {
        now_s.min(self.until).max(self.from)
    }
}

/// The bytes of a file, if it is no longer than such a file may be.
fn read(file: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let opened = File::open(file).map_err(|error| error.to_string())?;
    let limit = CERTIFICATE_FILE_BYTES_MAX;
    opened.take(limit + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > limit {
        return Err(format!("it is longer than {limit} bytes"));
    }
    Ok(bytes)
}

fn certificates(
    file: &Path,
    written: &Result<Vec<u8>, String>,
) -> Result<Vec<CertificateDer<'static>>, IdentityRefused> {
    let pem = written.as_ref().map_err(|reason| CertificateFiles::unreadable(file, reason))?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    read.map_err(|error| CertificateFiles::unreadable(file, error))
}

/// From when until when a certificate is good, whether it is an authority's, and what it is called.
fn facts(certificate: &CertificateDer<'_>, file: &Path) -> Result<(Validity, bool, String), IdentityRefused> {
    let (_, read) = x509_parser::parse_x509_certificate(certificate)
        .map_err(|error| CertificateFiles::unreadable(file, error))?;
    let validity = read.validity();
    let validity = Validity { from: validity.not_before.timestamp(), until: validity.not_after.timestamp() };
    let name = |read: &X509Certificate<'_>| format!("`{}`", read.subject());
    Ok((validity, read.is_ca(), name(&read)))
}

type Authorities = (Arc<RootCertStore>, Vec<(String, Validity)>);

fn authorities(
    files: &CertificateFiles,
    written: &Result<Vec<u8>, String>,
) -> Result<Authorities, IdentityRefused> {
    let unreadable = |reason: String| CertificateFiles::unreadable(&files.authorities, reason);
    let read = certificates(&files.authorities, written)?;
    if read.is_empty() || read.len() > AUTHORITIES_MAX {
        let count = read.len();
        return Err(unreadable(format!("it holds {count} authorities, not one to {AUTHORITIES_MAX}")));
    }
    let (mut roots, mut named) = (RootCertStore::empty(), Vec::new());
    for authority in read {
        let (validity, is_authority, name) = facts(&authority, &files.authorities)?;
        if !is_authority {
            return Err(unreadable(format!("{name} is no authority")));
        }
        roots.add(authority).map_err(|error| unreadable(error.to_string()))?;
        named.push((name, validity));
    }
    Ok((Arc::new(roots), named))
}

fn callers(
    roots: &Arc<RootCertStore>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, rustls::server::VerifierBuilderError> {
    WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(provider)).build()
}

/// Whether peers that have the same authorities would take the certificate for this region's, dialled and dialling, at a time at which it is good.
fn believed(
    files: &CertificateFiles,
    roots: &Arc<RootCertStore>,
    provider: &Arc<CryptoProvider>,
    chain: &[CertificateDer<'static>],
    (region, then_s): (&str, i64),
) -> Result<(), IdentityRefused> {
    let untrusted = |error: &dyn fmt::Display| files.untrusted(error);
    let Some((own, between)) = chain.split_first() else {
        return Err(untrusted(&"it holds no certificate"));
    };
    let dialled =
        WebPkiServerVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(provider)).build();
    let dialled = dialled.map_err(|error| untrusted(&error))?;
    let dialling = callers(roots, provider).map_err(|error| untrusted(&error))?;
    let name = ServerName::try_from(region).map_err(|error| untrusted(&error))?;
    let then = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(then_s).unwrap_or(0)));
    let seen = dialled.verify_server_cert(own, between, &name, &[], then).map(|_| ());
    seen.and_then(|()| dialling.verify_client_cert(own, between, then).map(|_| ())).map_err(|error| {
        match error {
            Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            ) => IdentityRefused::OfAnother { chain: files.chain.clone(), region: region.to_owned() },
            error => untrusted(&error),
        }
    })
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
