//! `archipelago init`: writes the folder of a new cluster, whole or not at all.
//!
//! Everything is made in a folder beside the wanted one and renamed at the end, so a failure leaves nothing behind that
//! looks like a cluster. Secret keys are readable by their owner alone. What is written is read back before it counts.

use crate::certificates;
use crate::cluster_folder::ClusterFolder;
use crate::failure::Failure;
use crate::random;
use crate::write_file::{write_public, write_secret};
use clap::Args;
use crdt::{Incarnation, PlacementId, RegionId, ReplicaId};
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::EncodePrivateKey as _;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use region::cluster::{ClientAddress, Cluster, ClusterPlacement, ClusterRegion};
use region::epoch;
use region::read_toml::hex;
use replication::epoch::EpochStatement;
use replication::placement::{Durability, Placement};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  archipelago init demo --regions eu-central,us-east,ap-south --placement eu=eu-central
  archipelago init lab --regions north,south --base-port 7100
";

/// Write the folder of a new cluster: its file, certificates, keys and first epochs.
#[derive(Debug, Clone, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Init {
    /// The folder to write; it must not exist, or be empty
    pub(crate) folder: PathBuf,
    /// The cluster's name
    #[arg(long, default_value = "archipelago")]
    pub(crate) name: String,
    /// The regions' names; the part before the first hyphen becomes the jurisdiction
    #[arg(long, value_delimiter = ',', default_value = "eu-central,us-east,ap-south")]
    pub(crate) regions: Vec<String>,
    /// A placement besides `global` (which is all regions), as NAME=REGION,REGION; may be repeated
    #[arg(long = "placement", value_name = "NAME=REGIONS")]
    pub(crate) placements: Vec<String>,
    /// The first port: each region takes the next three (bridge, client, admin). Without it, free ports are chosen
    #[arg(long)]
    pub(crate) base_port: Option<u16>,
    /// Let clients connect without TLS, on this machine only
    #[arg(long)]
    pub(crate) insecure_loopback: bool,
}

/// Secret keys of a new cluster, before they are written.
struct Secrets {
    token: SigningKey,
    placements: BTreeMap<PlacementId, SigningKey>,
    replicas: BTreeMap<RegionId, (ReplicaId, SigningKey)>,
}

impl Init {
    /// Writes the folder.
    ///
    /// # Errors
    /// When the folder is taken, a name is wrong, or the disk fails. Nothing is left behind then.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        self.write()?;
        println!("{}", self.folder.join("cluster.toml").display());
        Ok(())
    }

    /// Writes the folder without a word.
    ///
    /// # Errors
    /// See [`Init::run`].
    pub(crate) fn write(&self) -> Result<(), Failure> {
        refuse_occupied(&self.folder)?;
        let (cluster, secrets) = self.plan()?;
        let mut beside = self.folder.as_os_str().to_owned();
        beside.push(format!(".unfinished-{}", std::process::id()));
        let beside = PathBuf::from(beside);
        let written = write_all(&beside, &cluster, &secrets).and_then(|()| {
            // What was written must be readable as what it was meant to be.
            ClusterFolder::open(&beside)?.epochs()?;
            std::fs::rename(&beside, &self.folder).map_err(Failure::write(&self.folder))
        });
        if written.is_err() {
            // The first failure is what matters; a folder that cannot be removed says so itself by its name.
            let _ = std::fs::remove_dir_all(&beside);
        }
        written
    }

    fn plan(&self) -> Result<(Cluster, Secrets), Failure> {
        let regions = self.plan_regions()?;
        let ids: BTreeMap<&str, RegionId> =
            regions.values().map(|region| (region.name.as_str(), region.id)).collect();
        let mut named: Vec<(String, BTreeSet<RegionId>)> =
            vec![("global".to_owned(), regions.keys().copied().collect())];
        for written in &self.placements {
            named.push(placement_argument(written, &ids)?);
        }
        let mut secrets =
            Secrets { token: new_key()?, placements: BTreeMap::new(), replicas: BTreeMap::new() };
        for id in regions.keys() {
            let replica =
                ReplicaId { region: *id, incarnation: Incarnation(u64::from_be_bytes(random::bytes()?)) };
            secrets.replicas.insert(*id, (replica, new_key()?));
        }
        let mut placements = BTreeMap::new();
        for (number, (name, regions)) in (1..).zip(named) {
            let (id, key) = (PlacementId(number), new_key()?);
            let placement = ClusterPlacement {
                id,
                name,
                regions,
                key: key.verifying_key(),
                durability: Durability::default(),
                kept_days: None,
                backup: None,
            };
            placements.insert(id, placement);
            secrets.placements.insert(id, key);
        }
        let token_key = secrets.token.verifying_key();
        let cluster =
            Cluster { name: self.name.clone(), regions, placements, token_key, bridges: BTreeMap::new() };
        // Names and numbers are judged where everybody's are: by reading the file.
        Cluster::parse(&cluster.to_toml()).map_err(|mistake| {
            Failure::Argument(format!(
                "with these arguments the cluster file would be wrong: {}",
                mistake.mistake
            ))
        })?;
        Ok((cluster, secrets))
    }

    fn plan_regions(&self) -> Result<BTreeMap<RegionId, ClusterRegion>, Failure> {
        let ports = match self.base_port {
            Some(base) => ports_from(base, self.regions.len())?,
            None => free_ports(self.regions.len())?,
        };
        let region = |(id, (name, [bridge, client, admin])): (u16, (&String, [u16; 3]))| {
            let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            let region = ClusterRegion {
                id: RegionId(id),
                name: name.clone(),
                jurisdiction: name.split('-').next().unwrap_or(name).to_owned(),
                bridge: address(bridge),
                client: ClientAddress {
                    secure: !self.insecure_loopback,
                    host: Ipv4Addr::LOCALHOST.to_string(),
                    port: client,
                },
                admin: address(admin),
            };
            (region.id, region)
        };
        Ok((1..).zip(self.regions.iter().zip(ports)).map(region).collect())
    }
}

/// `NAME=REGION,REGION`.
fn placement_argument(
    written: &str,
    regions: &BTreeMap<&str, RegionId>,
) -> Result<(String, BTreeSet<RegionId>), Failure> {
    let Some((name, of)) = written.split_once('=') else {
        let advice = "write NAME=REGION,REGION, such as `--placement eu=eu-central`";
        return Err(Failure::Argument(format!("`--placement {written}` names no regions: {advice}")));
    };
    let of: Result<BTreeSet<RegionId>, Failure> = of
        .split(',')
        .map(|region| {
            regions.get(region).copied().ok_or_else(|| Failure::Unknown {
                kind: "region",
                name: region.to_owned(),
                known: regions.keys().map(ToString::to_string).collect(),
            })
        })
        .collect();
    Ok((name.to_owned(), of?))
}

/// Refuses a folder that has something in it.
pub(crate) fn refuse_occupied(folder: &Path) -> Result<(), Failure> {
    match std::fs::read_dir(folder).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure::Occupied(folder.to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {
            Err(Failure::Occupied(folder.to_owned()))
        }
        Err(error) => Err(Failure::read(folder)(error)),
    }
}

fn ports_from(base: u16, regions: usize) -> Result<Vec<[u16; 3]>, Failure> {
    let needed = 3 * regions;
    if base == 0 || usize::from(base) + needed > usize::from(u16::MAX) + 1 {
        let most = usize::from(u16::MAX) + 1 - needed;
        return Err(Failure::Argument(format!(
            "`--base-port {base}` leaves no room for {needed} ports: choose one from 1 to {most}"
        )));
    }
    Ok((base..).step_by(3).take(regions).map(|port| [port, port + 1, port + 2]).collect())
}

/// Ports that nothing listens on now. All are held until the last is found, so that none is given twice.
fn free_ports(regions: usize) -> Result<Vec<[u16; 3]>, Failure> {
    let failed = |error| Failure::Stopped(format!("no free port on 127.0.0.1: {error}"));
    let mut held = Vec::new();
    for _ in 0..regions {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        let client = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        let admin = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        held.push((udp, client, admin));
    }
    held.iter()
        .map(|(udp, client, admin)| {
            Ok([udp.local_addr()?.port(), client.local_addr()?.port(), admin.local_addr()?.port()])
        })
        .collect::<Result<_, std::io::Error>>()
        .map_err(failed)
}

fn write_all(root: &Path, cluster: &Cluster, secrets: &Secrets) -> Result<(), Failure> {
    for folder in ["certs", "keys", "epochs"] {
        let path = root.join(folder);
        std::fs::create_dir_all(&path).map_err(Failure::write(&path))?;
    }
    write_public(&root.join("cluster.toml"), &cluster.to_toml())?;
    certificates::write_first(root, cluster)?;
    let keys = root.join("keys");
    write_secret(&keys.join("token.pem"), &pem(&secrets.token)?)?;
    for (replica, key) in secrets.replicas.values() {
        let name = cluster.name_of(replica.region);
        write_secret(&keys.join(format!("replica-{name}.pem")), &pem(key)?)?;
    }
    for placement in cluster.placements.values() {
        let name = &placement.name;
        let Some(key) = secrets.placements.get(&placement.id) else { continue };
        write_secret(&keys.join(format!("placement-{name}.pem")), &pem(key)?)?;
        let cursor = format!("1 {}\n", hex(&random::bytes::<32>()?));
        write_secret(&keys.join(format!("cursor-{name}.hex")), &cursor)?;
        let backup = format!("{}\n", hex(&random::bytes::<32>()?));
        write_secret(&keys.join(format!("backup-{name}.hex")), &backup)?;
        let active = secrets.replicas.iter().filter(|(region, _)| placement.regions.contains(region));
        let active = active.map(|(_, (replica, key))| (*replica, key.verifying_key())).collect();
        let before = Placement::new(placement.id, placement.regions.clone(), placement.key);
        let first = EpochStatement::sign(&before, active, key);
        write_public(&root.join(format!("epochs/{name}-1.toml")), &epoch::to_toml(&first))?;
    }
    Ok(())
}

fn pem(key: &SigningKey) -> Result<String, Failure> {
    let pem = key.to_pkcs8_pem(LineEnding::LF).map_err(|error| Failure::Cryptography(error.to_string()))?;
    Ok(pem.to_string())
}

fn new_key() -> Result<SigningKey, Failure> {
    Ok(SigningKey::from_bytes(&random::bytes()?))
}
