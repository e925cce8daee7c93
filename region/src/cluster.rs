//! The cluster file: which regions there are, where they answer, and which placements they form.
//!
//! The same file lies in every region; it is public (it holds no secret key). [`Cluster::parse`] takes its text and gives a
//! typed [`Cluster`], or the first mistake with its line and what to write instead.
//!
//! What must always hold of a `Cluster`: numbers and names are unique and not zero, every placement names regions that
//! exist, every address parses. Nothing is guessed and no unknown key is passed over.

use crate::backup_place::{self, BackupPlace};
use crate::limits;
use crate::read_toml::{
    At, FileMistake, Key, Mistake, Section, Unique, bytes_of_hex, hex, is_name, read_file,
};
use crdt::{PlacementId, RegionId};
use ed25519_dalek::VerifyingKey;
use replication::placement::Durability;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::net::{Ipv6Addr, SocketAddr};

/// Bytes of a cluster file: 64 regions with all their bridges take 200 KiB. A larger file is refused.
pub const CLUSTER_FILE_BYTES_MAX: usize = 1 << 20;
/// Regions of a cluster: a bridge stands between each pair, so 64 make 2,016 connections in all. More are refused.
pub const REGIONS_MAX: usize = 64;
/// Placements of a cluster: each costs a store and a thread in each of its regions. More are refused.
pub const PLACEMENTS_MAX: usize = 64;

/// The whole cluster file, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// What the cluster is called; peers of another cluster are refused by it.
    pub name: String,
    /// Its regions, by number. Never empty.
    pub regions: BTreeMap<RegionId, ClusterRegion>,
    /// Its placements, by number. Never empty.
    pub placements: BTreeMap<PlacementId, ClusterPlacement>,
    /// Verifies the tokens that users sign in with.
    pub token_key: VerifyingKey,
    /// How a region (first) reaches another (second), where that is not the other's bridge address.
    pub bridges: BTreeMap<(RegionId, RegionId), SocketAddr>,
}

/// One region of the cluster file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterRegion {
    /// Its number, as in replica ids.
    pub id: RegionId,
    /// Its name, as in its certificate.
    pub name: String,
    /// Under whose law it stands, such as `eu`.
    pub jurisdiction: String,
    /// Where it listens for other regions (UDP).
    pub bridge: SocketAddr,
    /// Where clients reach it.
    pub client: ClientAddress,
    /// Where it listens for operators (HTTP).
    pub admin: SocketAddr,
}

/// One placement of the cluster file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterPlacement {
    /// Its number, as in ids.
    pub id: PlacementId,
    /// Its name, as in the data folder.
    pub name: String,
    /// The regions that may hold its bytes. Never empty.
    pub regions: BTreeSet<RegionId>,
    /// Verifies its epochs.
    pub key: VerifyingKey,
    /// What an acknowledgement means in it.
    pub durability: Durability,
    /// For how many days each region keeps messages, from 30 to 90; 30 if it does not say.
    pub kept_days: Option<u64>,
    /// Where its backups lie, if it has any.
    pub backup: Option<BackupPlace>,
}

/// Where clients reach a region: `wss://host:port`, or `ws://host:port` on a loopback interface for tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientAddress {
    /// Whether it is TLS.
    pub secure: bool,
    /// A name or an address; an IPv6 address in brackets.
    pub host: String,
    /// Not zero.
    pub port: u16,
}

const NAME: Key = Key {
    name: "name",
    form: "a name of lower-case letters, digits and hyphens that begins with a letter, 32 at most",
    example: "name = \"eu-central\"",
};
const TOKEN_KEY: Key = Key {
    name: "token_key",
    form: "an Ed25519 public key as 64 hexadecimal digits",
    example: "token_key = \"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a\"",
};
const REGION: Key = Key { name: "region", form: "a table for each region", example: "[[region]]" };
const PLACEMENT: Key =
    Key { name: "placement", form: "a table for each placement", example: "[[placement]]" };
const BRIDGE: Key = Key { name: "bridge", form: "a table for each bridge", example: "[[bridge]]" };
const ID: Key = Key { name: "id", form: "a number from 1 to 65535", example: "id = 1" };
const JURISDICTION: Key = Key {
    name: "jurisdiction",
    form: "a name of lower-case letters, digits and hyphens that begins with a letter, 32 at most",
    example: "jurisdiction = \"eu\"",
};
const BRIDGE_ADDRESS: Key =
    Key { name: "bridge", form: "an IP address and a port", example: "bridge = \"127.0.0.1:7101\"" };
const CLIENT: Key = Key {
    name: "client",
    form: "an address for WebSocket clients, with its port",
    example: "client = \"wss://localhost:7102\"",
};
const ADMIN: Key =
    Key { name: "admin", form: "an IP address and a port", example: "admin = \"127.0.0.1:7103\"" };
const REGIONS: Key = Key {
    name: "regions",
    form: "a list of at least one region's name, each once",
    example: "regions = [\"eu-central\"]",
};
const PLACEMENT_KEY: Key = Key {
    name: "key",
    form: "an Ed25519 public key as 64 hexadecimal digits",
    example: "key = \"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a\"",
};
const DURABILITY: Key = Key {
    name: "durability",
    form: "`region`, or, where the placement has two regions or more, `geo`",
    example: "durability = \"geo\"",
};
const KEPT_DAYS: Key = Key {
    name: "kept_days",
    form: "a number of days from 30, for which devices send again what they sent, to 90",
    example: "kept_days = 30",
};
const FROM: Key = Key { name: "from", form: "a region's name", example: "from = \"eu-central\"" };
const TO: Key = Key { name: "to", form: "a region's name", example: "to = \"us-east\"" };
const ADDRESS: Key =
    Key { name: "address", form: "an IP address and a port", example: "address = \"127.0.0.1:7201\"" };

impl Cluster {
    /// Reads a cluster file.
    ///
    /// # Errors
    /// The first mistake, with its line and what to write instead.
    pub fn parse(text: &str) -> Result<Self, FileMistake> {
        read_file(text, CLUSTER_FILE_BYTES_MAX, |file| {
            file.only(&["name", "token_key", "region", "placement", "bridge"])?;
            let name = name(file, NAME)?.value.to_owned();
            let token_key = public_key(file, TOKEN_KEY)?;
            let regions = regions(file)?;
            let placements = placements(file, &regions)?;
            let bridges = bridges(file, &regions)?;
            Ok(Self { name, regions, placements, token_key, bridges })
        })
    }

    /// The file again; parsing it gives the same cluster.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut text =
            format!("name = \"{}\"\ntoken_key = \"{}\"\n", self.name, hex(self.token_key.as_bytes()));
        let mut line = |written: fmt::Arguments<'_>| {
            // Writing to a string never fails.
            let _ = writeln!(text, "{written}");
        };
        for region in self.regions.values() {
            line(format_args!("\n[[region]]\nid = {}\nname = \"{}\"", region.id.0, region.name));
            line(format_args!("jurisdiction = \"{}\"\nbridge = \"{}\"", region.jurisdiction, region.bridge));
            line(format_args!("client = \"{}\"\nadmin = \"{}\"", region.client, region.admin));
        }
        for placement in self.placements.values() {
            let quoted = |region: &RegionId| format!("\"{}\"", self.name_of(*region));
            let regions: Vec<String> = placement.regions.iter().map(quoted).collect();
            line(format_args!("\n[[placement]]\nid = {}\nname = \"{}\"", placement.id.0, placement.name));
            line(format_args!(
                "regions = [{}]\nkey = \"{}\"",
                regions.join(", "),
                hex(placement.key.as_bytes())
            ));
            if placement.durability == Durability::Geo {
                line(format_args!("durability = \"geo\""));
            }
            if let Some(days) = placement.kept_days {
                line(format_args!("kept_days = {days}"));
            }
            if let Some(backup) = &placement.backup {
                line(format_args!("{}", backup.to_toml()));
            }
        }
        for ((from, to), address) in &self.bridges {
            let (from, to) = (self.name_of(*from), self.name_of(*to));
            line(format_args!("\n[[bridge]]\nfrom = \"{from}\"\nto = \"{to}\"\naddress = \"{address}\""));
        }
        text
    }

    /// The region of that name.
    #[must_use]
    pub fn region_named(&self, name: &str) -> Option<&ClusterRegion> {
        self.regions.values().find(|region| region.name == name)
    }

    /// The placement of that name.
    #[must_use]
    pub fn placement_named(&self, name: &str) -> Option<&ClusterPlacement> {
        self.placements.values().find(|placement| placement.name == name)
    }

    /// The placements that a region has a part in, by number.
    pub fn placements_of(&self, region: RegionId) -> impl Iterator<Item = &ClusterPlacement> {
        self.placements.values().filter(move |placement| placement.regions.contains(&region))
    }

    /// The regions that share a placement with this one: those it has a bridge to.
    #[must_use]
    pub fn peers_of(&self, region: RegionId) -> BTreeSet<RegionId> {
        let shared = self.placements_of(region).flat_map(|placement| placement.regions.iter().copied());
        shared.filter(|peer| *peer != region).collect()
    }

    /// Where `from` reaches the bridge of `to`: the override for the pair if there is one. None when `to` does not exist.
    #[must_use]
    pub fn bridge_address(&self, from: RegionId, to: RegionId) -> Option<SocketAddr> {
        let listens = self.regions.get(&to)?.bridge;
        Some(self.bridges.get(&(from, to)).copied().unwrap_or(listens))
    }

    /// Whether a user pinned to the placement `user` may take part in a conversation of the placement `conversation`: every
    /// region that will hold the user's bytes must be one that the user's own placement allows.
    #[must_use]
    pub fn may_take_part(&self, user: PlacementId, conversation: PlacementId) -> bool {
        match (self.placements.get(&user), self.placements.get(&conversation)) {
            (Some(user), Some(conversation)) => conversation.regions.is_subset(&user.regions),
            (None, _) | (_, None) => false,
        }
    }

    /// What two regions must agree on before they talk: names, numbers, placements and their keys. Addresses are left out,
    /// since a region may be known under another address elsewhere, and so are the places of backups, how long messages are kept, and what an acknowledgement means: each region holds to its own file.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key("archipelago cluster configuration");
        let mut text = |text: &str| {
            hasher.update(&(text.len() as u64).to_be_bytes()).update(text.as_bytes());
        };
        text(&self.name);
        for region in self.regions.values() {
            text(&format!("region {} {} {}", region.id, region.name, region.jurisdiction));
        }
        for placement in self.placements.values() {
            let regions: Vec<String> = placement.regions.iter().map(ToString::to_string).collect();
            let key = hex(placement.key.as_bytes());
            text(&format!("placement {} {} {} {key}", placement.id, placement.name, regions.join(",")));
        }
        *hasher.finalize().as_bytes()
    }

    /// The name of a region, for people; its number if there is no such region.
    #[must_use]
    pub fn name_of(&self, region: RegionId) -> String {
        self.regions.get(&region).map_or_else(|| region.to_string(), |region| region.name.clone())
    }
}

impl ClientAddress {
    /// Parses `ws://host:port` or `wss://host:port`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let secure = match scheme {
            "wss" => true,
            "ws" => false,
            _ => return None,
        };
        let (host, port) = rest.rsplit_once(':')?;
        let port = port.parse().ok().filter(|port: &u16| *port > 0)?;
        let in_brackets = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        // A name that is written back between quotes needs no escaping, and can hold nothing that would.
        let is_host = match in_brackets {
            Some(address) => address.parse::<Ipv6Addr>().is_ok(),
            None => host.chars().all(|c| c.is_alphanumeric() || ['-', '.', '_'].contains(&c)),
        };
        (!host.is_empty() && host.len() <= 253 && is_host).then(|| Self {
            secure,
            host: host.to_owned(),
            port,
        })
    }
}

impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", if self.secure { "wss" } else { "ws" }, self.host, self.port)
    }
}

fn regions(file: &Section<'_>) -> Result<BTreeMap<RegionId, ClusterRegion>, FileMistake> {
    let sections = file.sections(REGION, "[[region]]", REGIONS_MAX)?;
    if sections.is_empty() {
        return Err(FileMistake::new(file.line(), Mistake::Missing { section: "the file", key: REGION }));
    }
    let unique = |key| Unique::new(key, "[[region]]");
    let (mut ids, mut names) = (unique(ID), unique(NAME));
    let (mut bridges, mut clients, mut admins) = (unique(BRIDGE_ADDRESS), unique(CLIENT), unique(ADMIN));
    let mut regions = BTreeMap::new();
    for section in sections {
        section.only(&["id", "name", "jurisdiction", "bridge", "client", "admin"])?;
        let id = number(&section, ID)?;
        let name = name(&section, NAME)?;
        let jurisdiction = self::name(&section, JURISDICTION)?.value.to_owned();
        let bridge = address(&section, BRIDGE_ADDRESS)?;
        let client = section.text(CLIENT)?;
        let admin = address(&section, ADMIN)?;
        ids.take(id.line, id.value)?;
        names.take(name.line, name.value)?;
        bridges.take(bridge.line, bridge.value)?;
        clients.take(client.line, client.value)?;
        admins.take(admin.line, admin.value)?;
        let id = RegionId(id.value);
        let client = ClientAddress::parse(client.value)
            .ok_or_else(|| FileMistake::form(client.line, CLIENT, client.value))?;
        let (bridge, admin) = (bridge.value, admin.value);
        let name = name.value.to_owned();
        regions.insert(id, ClusterRegion { id, name, jurisdiction, bridge, client, admin });
    }
    Ok(regions)
}

fn placements(
    file: &Section<'_>,
    regions: &BTreeMap<RegionId, ClusterRegion>,
) -> Result<BTreeMap<PlacementId, ClusterPlacement>, FileMistake> {
    let sections = file.sections(PLACEMENT, "[[placement]]", PLACEMENTS_MAX)?;
    if sections.is_empty() {
        return Err(FileMistake::new(file.line(), Mistake::Missing { section: "the file", key: PLACEMENT }));
    }
    let (mut ids, mut names) = (Unique::new(ID, "[[placement]]"), Unique::new(NAME, "[[placement]]"));
    let mut placements = BTreeMap::new();
    for section in sections {
        section.only(
            &[
                ["id", "name", "regions", "key", DURABILITY.name, KEPT_DAYS.name].as_slice(),
                &backup_place::KEYS,
            ]
            .concat(),
        )?;
        let id = number(&section, ID)?;
        let name = name(&section, NAME)?;
        ids.take(id.line, id.value)?;
        names.take(name.line, name.value)?;
        let named = section.texts(REGIONS)?;
        let mut of = BTreeSet::new();
        for region in &named.value {
            if !of.insert(region_named(regions, *region)?) {
                return Err(FileMistake::form(region.line, REGIONS, region.value));
            }
        }
        if of.is_empty() {
            return Err(FileMistake::form(named.line, REGIONS, "[]"));
        }
        let key = public_key(&section, PLACEMENT_KEY)?;
        let durability = match section.optional_text(DURABILITY)? {
            None => Durability::default(),
            Some(At { value: "region", .. }) => Durability::Region,
            Some(At { value: "geo", .. }) if of.len() > 1 => Durability::Geo,
            Some(At { value, line }) => return Err(FileMistake::form(line, DURABILITY, value)),
        };
        let kept_days = section.optional_number(KEPT_DAYS, &limits::KEPT_DAYS)?;
        let backup = BackupPlace::read(&section)?;
        let id = PlacementId(id.value);
        let name = name.value.to_owned();
        placements.insert(id, ClusterPlacement { id, name, regions: of, key, durability, kept_days, backup });
    }
    Ok(placements)
}

fn bridges(
    file: &Section<'_>,
    regions: &BTreeMap<RegionId, ClusterRegion>,
) -> Result<BTreeMap<(RegionId, RegionId), SocketAddr>, FileMistake> {
    let sections = file.sections(BRIDGE, "[[bridge]]", REGIONS_MAX * REGIONS_MAX)?;
    let mut pairs = Unique::new(TO, "pair of [[bridge]]");
    let mut bridges = BTreeMap::new();
    for section in sections {
        section.only(&["from", "to", "address"])?;
        let (from, to) = (section.text(FROM)?, section.text(TO)?);
        let pair = (region_named(regions, from)?, region_named(regions, to)?);
        if pair.0 == pair.1 {
            let mistake = Mistake::BridgeToItself { name: from.value.to_owned() };
            return Err(FileMistake::new(from.line, mistake));
        }
        pairs.take(to.line, format!("{} from {}", to.value, from.value))?;
        bridges.insert(pair, address(&section, ADDRESS)?.value);
    }
    Ok(bridges)
}

fn region_named(
    regions: &BTreeMap<RegionId, ClusterRegion>,
    name: At<&str>,
) -> Result<RegionId, FileMistake> {
    let found = regions.values().find(|region| region.name == name.value);
    found.map(|region| region.id).ok_or_else(|| {
        let known = regions.values().map(|region| region.name.clone()).collect();
        let name_short = crate::read_toml::short(name.value);
        FileMistake::new(name.line, Mistake::UnknownRegion { name: name_short, known })
    })
}

fn number(section: &Section<'_>, key: Key) -> Result<At<u16>, FileMistake> {
    let number = section.number(key, u64::from(u16::MAX))?;
    // `number` refuses what is above 65535.
    let value = u16::try_from(number.value).unwrap_or(u16::MAX);
    Ok(At { line: number.line, value })
}

fn name<'file>(section: &Section<'file>, key: Key) -> Result<At<&'file str>, FileMistake> {
    let name = section.text(key)?;
    if is_name(name.value) { Ok(name) } else { Err(FileMistake::form(name.line, key, name.value)) }
}

fn address(section: &Section<'_>, key: Key) -> Result<At<SocketAddr>, FileMistake> {
    let text = section.text(key)?;
    let parsed = text.value.parse().ok().filter(|address: &SocketAddr| address.port() > 0);
    let value = parsed.ok_or_else(|| FileMistake::form(text.line, key, text.value))?;
    Ok(At { line: text.line, value })
}

fn public_key(section: &Section<'_>, key: Key) -> Result<VerifyingKey, FileMistake> {
    let text = section.text(key)?;
    let parsed = bytes_of_hex::<32>(text.value)
        .and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok())
        .filter(|key| !key.is_weak());
    parsed.ok_or_else(|| FileMistake::form(text.line, key, text.value))
}
