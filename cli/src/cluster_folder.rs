//! The folder that `archipelago init` writes, read back: the cluster file, and the keys and certificates beside it.
//!
//! ```text
//! cluster.toml            public: regions, placements, public keys; the same in every region
//! certs/ca.pem            the authorities, the newest first: whoever one of them signed is a region of this cluster
//! certs/REGION.pem, .key  that region's certificate and its secret key
//! keys/authority.pem      secret: the newest authority's, signs regions' certificates; no region needs it
//! keys/placement-NAME.pem secret: signs that placement's epochs; no region needs it
//! keys/token.pem          secret: signs the tokens that users sign in with; no region needs it
//! keys/replica-REGION.pem secret: signs that region's commits
//! keys/cursor-NAME.hex    secret, shared by that placement's regions: authenticates devices' cursors
//! keys/backup-NAME.hex    secret: seals that placement's backups, which are noise without it; for machines that make or read them
//! epochs/NAME-1.toml      public: the signed statements of which replicas are active, the first and those that followed
//! restored/               public: which replicas were given a store (`given_stores.rs`)
//! ```
//! A region takes the cluster file, the epochs, its own certificate and key, its replica key and its placements' cursor keys.

use crate::failure::Failure;
use crate::write_file::write_public;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::DecodePrivateKey as _;
use region::cluster::{Cluster, ClusterPlacement, ClusterRegion};
use region::epoch::{self, current_placement};
use replication::epoch::EpochStatement;
use replication::placement::Placement;
use replication_quic::CertificateFiles;
use std::path::{Path, PathBuf};

/// The key that authenticates the cursors of a placement's devices, with its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CursorKey {
    /// Its number, which cursors carry so that keys can be changed.
    pub(crate) id: u32,
    /// The key.
    pub(crate) secret: [u8; 32],
}

/// A cluster's folder, with its file read.
#[derive(Debug, Clone)]
pub(crate) struct ClusterFolder {
    root: PathBuf,
    /// What the file says.
    pub(crate) cluster: Cluster,
}

impl ClusterFolder {
    /// Opens the folder, given itself or its cluster file.
    ///
    /// # Errors
    /// When the file is not there or has a mistake, which is named with its line.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let file = if path.is_dir() { path.join("cluster.toml") } else { path.to_owned() };
        let text = std::fs::read_to_string(&file).map_err(Failure::read(&file))?;
        let cluster = Cluster::parse(&text)
            .map_err(|mistake| Failure::File { path: file.clone(), mistake: mistake.to_string() })?;
        let root = file.parent().map_or_else(PathBuf::new, Path::to_owned);
        Ok(Self { root, cluster })
    }

    /// Where it lies.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where the certificates of `region` lie.
    pub(crate) fn certificates(&self, region: &str) -> CertificateFiles {
        let certs = self.root.join("certs");
        CertificateFiles {
            authorities: self.authorities(),
            chain: certs.join(format!("{region}.pem")),
            key: certs.join(format!("{region}.key")),
        }
    }

    /// Where the cluster's authorities lie, the newest first.
    pub(crate) fn authorities(&self) -> PathBuf {
        self.root.join("certs/ca.pem")
    }

    /// Where the key of the newest authority lies.
    pub(crate) fn authority_key(&self) -> PathBuf {
        self.root.join("keys/authority.pem")
    }

    /// The region of that name.
    ///
    /// # Errors
    /// When there is none; the message names those there are.
    pub(crate) fn region(&self, name: &str) -> Result<&ClusterRegion, Failure> {
        self.cluster.region_named(name).ok_or_else(|| Failure::Unknown {
            kind: "region",
            name: name.to_owned(),
            known: self.cluster.regions.values().map(|region| region.name.clone()).collect(),
        })
    }

    /// The key that signs tokens.
    ///
    /// # Errors
    /// When its file cannot be read or is not such a key.
    pub(crate) fn token_key(&self) -> Result<SigningKey, Failure> {
        signing_key(self.root.join("keys/token.pem"))
    }

    /// The key that signs the commits of `region`.
    ///
    /// # Errors
    /// When its file cannot be read or is not such a key.
    pub(crate) fn replica_key(&self, region: &str) -> Result<SigningKey, Failure> {
        signing_key(self.root.join(format!("keys/replica-{region}.pem")))
    }

    /// The key that signs the epochs of a placement.
    ///
    /// # Errors
    /// When its file cannot be read or is not such a key.
    pub(crate) fn placement_key(&self, placement: &ClusterPlacement) -> Result<SigningKey, Failure> {
        signing_key(self.root.join(format!("keys/placement-{}.pem", placement.name)))
    }

    /// The placement of that name.
    ///
    /// # Errors
    /// When there is none; the message names those there are.
    pub(crate) fn placement(&self, name: &str) -> Result<&ClusterPlacement, Failure> {
        self.cluster.placement_named(name).ok_or_else(|| Failure::Unknown {
            kind: "placement",
            name: name.to_owned(),
            known: self.cluster.placements.values().map(|placement| placement.name.clone()).collect(),
        })
    }

    /// The keys of a placement's cursors: the first one is given to new cursors, all are accepted.
    ///
    /// # Errors
    /// When the file cannot be read or is not a row of such keys.
    pub(crate) fn cursor_keys(&self, placement: &ClusterPlacement) -> Result<Vec<CursorKey>, Failure> {
        let path = self.root.join(format!("keys/cursor-{}.hex", placement.name));
        let text = std::fs::read_to_string(&path).map_err(Failure::read(&path))?;
        let keys: Option<Vec<CursorKey>> = text.lines().map(cursor_key).collect();
        keys.filter(|keys| !keys.is_empty()).ok_or_else(|| {
            not_what_it_should_be(
                path,
                "lines of a number, a space and 64 hexadecimal digits, the newest key first",
            )
        })
    }

    /// The secret that seals a placement's backups.
    ///
    /// # Errors
    /// When its file cannot be read or is not such a secret.
    pub(crate) fn backup_secret(&self, placement: &ClusterPlacement) -> Result<[u8; 32], Failure> {
        let path = self.backup_secret_path(placement);
        let text = std::fs::read_to_string(&path).map_err(|reason| match reason.kind() {
            std::io::ErrorKind::NotFound => Failure::NoFile {
                path: path.clone(),
                advice: "copy it from where `init` wrote it; if the placement never had one, `archipelago admin backup-key` makes it",
            },
            _ => Failure::Disk { path: path.clone(), verb: "read", reason },
        })?;
        region::read_toml::bytes_of_hex(text.trim_end())
            .ok_or_else(|| not_what_it_should_be(path, "a line of 64 hexadecimal digits"))
    }

    /// Where that secret lies.
    pub(crate) fn backup_secret_path(&self, placement: &ClusterPlacement) -> PathBuf {
        self.root.join(format!("keys/backup-{}.hex", placement.name))
    }

    /// The epochs of all placements that the folder has.
    ///
    /// # Errors
    /// When a statement is missing, wrongly signed or a fork.
    pub(crate) fn epochs(&self) -> Result<Vec<EpochStatement>, Failure> {
        let mut all = Vec::new();
        for placement in self.cluster.placements.values() {
            self.current_epoch(placement)?;
            all.extend(self.epochs_of(placement)?);
        }
        Ok(all)
    }

    /// A placement under the last epoch that the folder has.
    ///
    /// # Errors
    /// As [`Self::epochs`].
    pub(crate) fn current_epoch(&self, placement: &ClusterPlacement) -> Result<Placement, Failure> {
        current_placement(placement, &self.epochs_of(placement)?)
            .map_err(|refused| Failure::File { path: self.root.join("epochs"), mistake: refused.to_string() })
    }

    /// Keeps the file of an epoch. One that is there is never overwritten.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn keep_epoch(
        &self,
        placement: &ClusterPlacement,
        number: u64,
        text: &str,
    ) -> Result<(), Failure> {
        let path = self.root.join(format!("epochs/{}-{number}.toml", placement.name));
        write_public(&path, text)
    }

    /// The epochs of a placement that the folder has, in order; not verified.
    pub(crate) fn epochs_of(&self, placement: &ClusterPlacement) -> Result<Vec<EpochStatement>, Failure> {
        let folder = self.root.join("epochs");
        let files = (1..).map(|number| folder.join(format!("{}-{number}.toml", placement.name)));
        let read = |path: PathBuf| {
            let text = std::fs::read_to_string(&path).map_err(Failure::read(&path))?;
            epoch::parse(&text).map_err(|mistake| Failure::File { path, mistake: mistake.to_string() })
        };
        files.take_while(|path| path.exists()).map(read).collect()
    }
}

fn signing_key(path: PathBuf) -> Result<SigningKey, Failure> {
    let pem = std::fs::read_to_string(&path).map_err(Failure::read(&path))?;
    SigningKey::from_pkcs8_pem(&pem)
        .map_err(|_| not_what_it_should_be(path, "an Ed25519 secret key in PKCS#8 PEM"))
}

fn cursor_key(line: &str) -> Option<CursorKey> {
    let (id, secret) = line.split_once(' ')?;
    Some(CursorKey { id: id.parse().ok()?, secret: region::read_toml::bytes_of_hex(secret)? })
}

fn not_what_it_should_be(path: PathBuf, form: &str) -> Failure {
    Failure::File { path, mistake: format!("this is not {form}: copy it again from where `init` wrote it") }
}
