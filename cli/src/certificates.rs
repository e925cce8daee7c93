//! The cluster's authority and the regions' certificates: made by `archipelago init`, and made again by `archipelago admin renew-certificates`, `renew-authority` and `retire-authority`.
//!
//! ```text
//!   renew-authority      ca.pem: new + old      everybody trusts both
//!   renew-certificates   REGION.pem: of the new everybody is believed by who trusts the new one
//!   retire-authority     ca.pem: new            the old one is trusted no more
//! ```
//! What must always hold: a file is replaced whole, and only by what a region would take; an authority is retired only when nothing in the folder needs it.
//! A new certificate keeps the names that the former one had.

use crate::cluster_folder::ClusterFolder;
use crate::failure::Failure;
use crate::write_file::{replace_public, replace_secret, write_public, write_secret};
use clap::Args;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData as _,
};
use region::cluster::{Cluster, ClusterRegion};
use replication_quic::{CertificateFiles, Certificates};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use time::{Duration, OffsetDateTime};
use x509_parser::extensions::GeneralName;

/// For how long an authority is good: ten years.
const AUTHORITY_DAYS: i64 = 3_650;
/// For how long a region's certificate is good: as long as common clients take one for.
const REGION_DAYS: i64 = 825;
/// Behind the last line of a certificate in PEM comes the next one.
const PEM_END: &str = "-----END CERTIFICATE-----";

/// Make new certificates for regions, signed by the cluster's newest authority
#[derive(Debug, Args)]
pub(crate) struct RenewCertificates {
    /// The cluster's folder or file; it holds keys/authority.pem
    #[arg(long)]
    cluster: PathBuf,
    /// Only for this region; may be repeated
    #[arg(long = "region", value_name = "REGION")]
    regions: Vec<String>,
}

/// Make a new authority beside the old one, and let both be trusted
#[derive(Debug, Args)]
pub(crate) struct RenewAuthority {
    /// The cluster's folder or file
    #[arg(long)]
    cluster: PathBuf,
}

/// Trust the newest authority alone, once all regions have certificates of it
#[derive(Debug, Args)]
pub(crate) struct RetireAuthority {
    /// The cluster's folder or file
    #[arg(long)]
    cluster: PathBuf,
}

impl RenewCertificates {
    /// Replaces the certificates, and prints where they are.
    ///
    /// # Errors
    /// When the authority's key is not there or is another's; when a region would not take what was made.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let folder = ClusterFolder::open(&self.cluster)?;
        let issuer = issuer(&folder)?;
        let regions: Vec<&ClusterRegion> = match &self.regions[..] {
            [] => folder.cluster.regions.values().collect(),
            named => named.iter().map(|name| folder.region(name)).collect::<Result<_, _>>()?,
        };
        for region in regions {
            let files = folder.certificates(&region.name);
            let (chain, key) = certificate(region, former_names(&files.chain)?, &issuer)?;
            let beside = CertificateFiles {
                authorities: files.authorities.clone(),
                chain: files.chain.with_extension("new.pem"),
                key: files.key.with_extension("new.key"),
            };
            replace_public(&beside.chain, &chain)?;
            replace_secret(&beside.key, &key)?;
            if let Err(refused) = Certificates::would_take(&beside, &region.name) {
                for made in [&beside.key, &beside.chain] {
                    std::fs::remove_file(made).map_err(Failure::write(made))?;
                }
                return Err(Failure::Refused(format!("{refused} ({})", refused.code())));
            }
            for (from, to) in [(&beside.key, &files.key), (&beside.chain, &files.chain)] {
                std::fs::rename(from, to).map_err(Failure::write(to))?;
            }
            println!("{}", files.chain.display());
        }
        Ok(())
    }
}

impl RenewAuthority {
    /// Adds the authority, and prints where it is.
    ///
    /// # Errors
    /// When two are trusted already.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let folder = ClusterFolder::open(&self.cluster)?;
        let (path, text, authorities) = authorities(&folder)?;
        if authorities.len() > 1 {
            let advice =
                "finish that change first: `archipelago admin renew-certificates`, then `retire-authority`";
            let count = authorities.len();
            return Err(Failure::Refused(format!(
                "{} holds {count} authorities already: {advice}",
                path.display()
            )));
        }
        let now = OffsetDateTime::now_utc();
        let name = format!("{} authority of {}", folder.cluster.name, now.date());
        let (pem, key, _) = authority(&name)?;
        // The certificate first: were the key alone there, nothing could be signed with it that anybody trusts.
        replace_public(&path, &(pem + &text))?;
        replace_secret(&folder.authority_key(), &key)?;
        println!("{}", path.display());
        Ok(())
    }
}

impl RetireAuthority {
    /// Leaves the newest authority, and prints where it is.
    ///
    /// # Errors
    /// When a region's certificate is another one's, or there is one authority only.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let folder = ClusterFolder::open(&self.cluster)?;
        let (path, text, authorities) = authorities(&folder)?;
        let (Some(end), true) = (text.find(PEM_END), authorities.len() > 1) else {
            let advice = "`archipelago admin renew-authority` makes one that can follow it";
            return Err(Failure::Refused(format!("{} holds one authority only: {advice}", path.display())));
        };
        let newest = path.with_extension("new.pem");
        let Some(kept) = text.get(..end + PEM_END.len()) else {
            return Err(Failure::File { path, mistake: "this is not PEM".to_owned() });
        };
        replace_public(&newest, &format!("{kept}\n"))?;
        for region in folder.cluster.regions.values() {
            let files = CertificateFiles { authorities: newest.clone(), ..folder.certificates(&region.name) };
            if let Err(refused) = Certificates::would_take(&files, &region.name) {
                std::fs::remove_file(&newest).map_err(Failure::write(&newest))?;
                let advice = "first give all regions certificates of the newest authority: `archipelago admin renew-certificates`";
                return Err(Failure::Refused(format!("{refused}; {advice}")));
            }
        }
        std::fs::rename(&newest, &path).map_err(Failure::write(&path))?;
        println!("{}", path.display());
        Ok(())
    }
}

/// An authority, and for each region a certificate, for a folder that is new.
///
/// # Errors
/// When they cannot be made or written.
pub(crate) fn write_first(root: &Path, cluster: &Cluster) -> Result<(), Failure> {
    let (pem, key, issuer) = authority(&format!("{} authority", cluster.name))?;
    let certs = root.join("certs");
    write_public(&certs.join("ca.pem"), &pem)?;
    write_secret(&root.join("keys/authority.pem"), &key)?;
    for region in cluster.regions.values() {
        let (chain, key) = certificate(region, BTreeSet::new(), &issuer)?;
        write_public(&certs.join(format!("{}.pem", region.name)), &chain)?;
        write_secret(&certs.join(format!("{}.key", region.name)), &key)?;
    }
    Ok(())
}

fn failed(error: rcgen::Error) -> Failure {
    Failure::Cryptography(error.to_string())
}

/// An authority in PEM, its secret key, and what signs with it.
fn authority(name: &str) -> Result<(String, String, Issuer<'static, KeyPair>), Failure> {
    let now = OffsetDateTime::now_utc();
    let mut authority = CertificateParams::new(Vec::new()).map_err(failed)?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.distinguished_name.push(DnType::CommonName, name);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    authority.not_before = now - Duration::days(1);
    authority.not_after = now + Duration::days(AUTHORITY_DAYS);
    let key = KeyPair::generate().map_err(failed)?;
    let pem = authority.self_signed(&key).map_err(failed)?.pem();
    Ok((pem, key.serialize_pem(), Issuer::new(authority, key)))
}

/// A certificate with the region's name in it, for bridges (both ways) and for clients, and its secret key.
fn certificate(
    region: &ClusterRegion,
    mut names: BTreeSet<String>,
    issuer: &Issuer<'static, KeyPair>,
) -> Result<(String, String), Failure> {
    let now = OffsetDateTime::now_utc();
    names.extend([region.name.clone(), "localhost".to_owned(), "127.0.0.1".to_owned()]);
    let mut leaf = CertificateParams::new(names.into_iter().collect::<Vec<_>>()).map_err(failed)?;
    leaf.distinguished_name.push(DnType::CommonName, region.name.clone());
    leaf.use_authority_key_identifier_extension = true;
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    leaf.not_before = now - Duration::days(1);
    leaf.not_after = now + Duration::days(REGION_DAYS);
    let key = KeyPair::generate().map_err(failed)?;
    Ok((leaf.signed_by(&key, issuer).map_err(failed)?.pem(), key.serialize_pem()))
}

/// The names of the certificate that is to be replaced; none if there is none.
fn former_names(chain: &Path) -> Result<BTreeSet<String>, Failure> {
    let pem = match std::fs::read(chain) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        read => read.map_err(Failure::read(chain))?,
    };
    let unread = |reason: String| Failure::File {
        path: chain.to_owned(),
        mistake: format!(
            "the names of this certificate cannot be read: {reason}: remove it, and it is made anew with the region's own names"
        ),
    };
    let der = CertificateDer::from_pem_slice(&pem).map_err(|error| unread(error.to_string()))?;
    let (_, read) = x509_parser::parse_x509_certificate(&der).map_err(|error| unread(error.to_string()))?;
    let names = read.subject_alternative_name().map_err(|error| unread(error.to_string()))?;
    let names = names.iter().flat_map(|names| &names.value.general_names);
    Ok(names.filter_map(written).collect())
}

fn written(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|bytes| IpAddr::from(bytes).to_string()),
            _ => <[u8; 16]>::try_from(*bytes).ok().map(|bytes| IpAddr::from(bytes).to_string()),
        },
        _ => None,
    }
}

/// The file of the cluster's authorities: its path, its text, and what is in it, the newest first.
fn authorities(folder: &ClusterFolder) -> Result<(PathBuf, String, Vec<CertificateDer<'static>>), Failure> {
    let path = folder.authorities();
    let text = std::fs::read_to_string(&path).map_err(Failure::read(&path))?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    let read = read.map_err(|error| Failure::File { path: path.clone(), mistake: error.to_string() })?;
    Ok((path, text, read))
}

/// What signs with the newest authority.
fn issuer(folder: &ClusterFolder) -> Result<Issuer<'static, KeyPair>, Failure> {
    let (path, _, authorities) = authorities(folder)?;
    let key_path = folder.authority_key();
    let pem = std::fs::read_to_string(&key_path).map_err(|reason| match reason.kind() {
        std::io::ErrorKind::NotFound => Failure::NoFile {
            path: key_path.clone(),
            advice: "put it there for the while: it is kept where no region runs",
        },
        _ => Failure::Disk { path: key_path.clone(), verb: "read", reason },
    })?;
    let mistaken = |mistake: String| Failure::File { path: key_path.clone(), mistake };
    let key = KeyPair::from_pem(&pem).map_err(|error| mistaken(error.to_string()))?;
    let is_its = |authority: &&CertificateDer<'static>| {
        x509_parser::parse_x509_certificate(authority)
            .is_ok_and(|(_, read)| read.public_key().subject_public_key.data == key.der_bytes())
    };
    let Some(newest) = authorities.first().filter(is_its) else {
        return Err(mistaken(format!(
            "this is not the key of the first authority in {}: take the one that `init` or `renew-authority` wrote last",
            path.display()
        )));
    };
    Issuer::from_ca_cert_der(newest, key).map_err(failed)
}
