//! The map of a world: its regions, its two placements, and what every region is told of the others.
//!
//! There is one placement of all regions, and one pinned to the first ones (two, unless a script says otherwise). Users of the first may take part in conversations of the
//! second (their bytes may lie in all of its regions); the other way round is refused.

use crate::script::Script;
use crate::world::signatures::Seals;
use crdt::{Incarnation, PlacementId, RegionId, ReplicaId, UserId};
use ed25519_dalek::{SigningKey, VerifyingKey};
use gateway::cursor::{CursorKey, CursorKeys};
use gateway::site::{Described, HeldPlacement, Site};
use gateway_client::Address;
use gateway_protocol::v1;
use region::limits::Limits;
use region::meta::Expected;
use region::shard::ShardConfig;
use replication::bridge::{Config, OwnStore};
use replication::epoch::EpochStatement;
use replication::placement::{Durability, Placement, Placements};
use replication::signature::Signatures;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The placement of all regions.
pub const WORLD: PlacementId = PlacementId(1);
/// The placement pinned to the first two regions.
pub const PINNED: PlacementId = PlacementId(2);
/// When worlds begin, in microseconds since 1970.
pub const START_US: u64 = 1_732_500_000_000_000;
const CLUSTER: &str = "world";

/// The map.
#[derive(Debug, Clone)]
pub struct Layout {
    regions: Vec<RegionId>,
    placements: Placements,
    /// The statements of their first epochs, which every region is given before it starts.
    first: Vec<EpochStatement>,
    /// What its regions accept.
    pub(crate) limits: Limits,
    /// What an acknowledgement means.
    pub(crate) durability: Durability,
    /// How its regions sign.
    pub(crate) signatures: Arc<dyn Signatures>,
    /// How often each region was given new disks.
    replaced: BTreeMap<RegionId, u64>,
}

/// Milliseconds after which a text that was cut leaves older files: a day is longer than a world lives.
const COMPACT_AFTER_MS: u64 = 3_000;

impl Layout {
    /// A world of so many regions, at least two.
    #[must_use]
    pub fn new(regions: u16) -> Self {
        Self::with((1..=regions.max(2)).map(RegionId).collect(), |region| region.0 <= 2, |_| false)
    }

    fn with(
        regions: Vec<RegionId>,
        is_pinned: impl Fn(&RegionId) -> bool,
        is_late: impl Fn(&RegionId) -> bool,
    ) -> Self {
        let pinned: Vec<RegionId> = regions.iter().copied().filter(is_pinned).collect();
        let placement = |id: PlacementId, regions: &[RegionId]| {
            let at_first = regions.iter().filter(|region| !is_late(region));
            let active = at_first.map(|region| active(*region, id, 0));
            let before = Placement::new(id, regions.iter().copied().collect(), operators().verifying_key());
            let first = EpochStatement::sign(&before, active.collect(), &operators());
            (before.follow(&first).unwrap_or(before), first)
        };
        let (placements, first): (Vec<Placement>, Vec<EpochStatement>) =
            [placement(WORLD, &regions), placement(PINNED, &pinned)].into_iter().unzip();
        let placements = Placements::new(placements);
        let limits = Limits { compact_after_ms: COMPACT_AFTER_MS, ..Limits::default() };
        let (durability, replaced) = (Durability::default(), BTreeMap::new());
        Self { regions, placements, first, limits, durability, signatures: Arc::new(Seals), replaced }
    }

    /// The same, where acknowledgements mean that: of a placement in one region alone they cannot mean two.
    fn acknowledging(self, durability: Durability) -> Self {
        let means = |placement: &Placement| {
            let is_alone = placement.regions.len() < 2;
            let durability = if is_alone { Durability::Region } else { durability };
            Placement { durability, ..placement.clone() }
        };
        Self { placements: Placements::new(self.placements.iter().map(means)), durability, ..self }
    }

    /// The map of a script.
    pub(crate) fn of(script: &Script) -> Self {
        let regions = script.regions.iter().map(|region| RegionId(region.number)).collect();
        let late: Vec<u16> = script.regions.iter().filter(|of| of.late).map(|of| of.number).collect();
        let is_late = |region: &RegionId| late.contains(&region.0);
        let durability = if script.geo { Durability::Geo } else { Durability::Region };
        let layout = Self::with(regions, |region| region.0 <= script.eu_regions, is_late);
        let mut layout = layout.acknowledging(durability);
        layout.limits.receipt_devices_max =
            usize::try_from(script.limits.receipt_devices).unwrap_or(usize::MAX);
        layout.limits.device_dead_after_ms = script.limits.device_dead_s.saturating_mul(1_000);
        layout.limits.kept_ms = script.limits.kept_s.saturating_mul(1_000);
        layout.limits.members_max = usize::try_from(script.limits.members).unwrap_or(usize::MAX);
        layout
    }

    /// All regions.
    #[must_use]
    pub fn regions(&self) -> &[RegionId] {
        &self.regions
    }

    /// The regions that may hold a placement.
    #[must_use]
    pub fn regions_of(&self, placement: PlacementId) -> Vec<RegionId> {
        self.placements
            .get(placement)
            .map(|placement| placement.regions.iter().copied().collect())
            .unwrap_or_default()
    }

    /// Those that are active in its first epoch.
    pub(crate) fn first_regions_of(&self, placement: PlacementId) -> Vec<RegionId> {
        let active = self.placements.get(placement).map(|placement| placement.active.keys());
        active.into_iter().flatten().map(|replica| replica.region).collect()
    }

    /// The placements that a region may hold.
    #[must_use]
    pub fn placements_of(&self, region: RegionId) -> Vec<PlacementId> {
        self.placements.iter().filter(|p| p.regions.contains(&region)).map(|p| p.id).collect()
    }

    /// Whether that user may take part in conversations of that placement.
    #[must_use]
    pub fn may_take_part(user: UserId, placement: PlacementId) -> bool {
        user.placement() == WORLD || placement == PINNED
    }

    /// The replica that a region is in a placement, since it was last given new disks.
    pub(crate) fn replica(&self, region: RegionId, placement: PlacementId) -> ReplicaId {
        replica(region, placement, self.times_replaced(region))
    }

    /// A region as an epoch names it.
    pub(crate) fn active(&self, region: RegionId, placement: PlacementId) -> (ReplicaId, VerifyingKey) {
        active(region, placement, self.times_replaced(region))
    }

    /// How often a region was given new disks.
    pub(crate) fn times_replaced(&self, region: RegionId) -> u64 {
        self.replaced.get(&region).copied().unwrap_or(0)
    }

    /// A region is given new disks: from now on it is another replica.
    pub(crate) fn replace(&mut self, region: RegionId) {
        *self.replaced.entry(region).or_default() += 1;
    }

    pub(crate) fn expected(&self, region: RegionId, placement: PlacementId) -> Expected {
        Expected {
            replica: self.replica(region, placement),
            region_name: name(region),
            placement,
            placement_name: format!("placement-{}", placement.0),
        }
    }

    /// The placements as their regions begin.
    pub(crate) const fn placements(&self) -> &Placements {
        &self.placements
    }

    /// The statements that a region is given for a placement.
    pub(crate) fn first_epoch(&self, placement: PlacementId) -> Vec<EpochStatement> {
        self.first.iter().filter(|statement| statement.placement == placement).cloned().collect()
    }

    pub(crate) fn shard(&self, region: RegionId, placement: Placement) -> ShardConfig {
        let pins = [WORLD, PINNED].into_iter();
        ShardConfig {
            allowed_pins: pins.filter(|pin| *pin == WORLD || placement.id == PINNED).collect(),
            replica: self.replica(region, placement.id),
            placement,
            signing_key: key(region, self.times_replaced(region)),
            signatures: Arc::clone(&self.signatures),
            limits: self.limits.clone(),
        }
    }

    pub(crate) fn bridge(
        own: RegionId,
        peer: RegionId,
        placements: &Placements,
        stores: BTreeMap<PlacementId, OwnStore>,
    ) -> Config {
        let placements = placements.clone();
        Config { cluster: CLUSTER.to_owned(), own, peer, placements, stores, kinds: region::forms::known() }
    }

    pub(crate) fn site(&self, region: RegionId) -> Arc<Site> {
        let held = |placement: PlacementId| {
            let secret = [placement.0.to_be_bytes()[1]; 32];
            let keys = CursorKeys { current: CursorKey::new(1, CLUSTER, &secret), previous: None };
            (placement, HeldPlacement { replica: self.replica(region, placement), keys })
        };
        let described = |placement: &Placement| {
            let regions = placement.regions.iter().map(|region| (*region, described_region(*region)));
            let name = format!("placement-{}", placement.id.0);
            (placement.id, Described { name, regions: regions.collect() })
        };
        Arc::new(Site {
            cluster: CLUSTER.to_owned(),
            region: name(region),
            placements: self.placements_of(region).into_iter().map(held).collect(),
            directory: self.placements.iter().map(described).collect(),
        })
    }
}

fn active(region: RegionId, placement: PlacementId, replaced: u64) -> (ReplicaId, VerifyingKey) {
    (replica(region, placement, replaced), key(region, replaced).verifying_key())
}

fn replica(region: RegionId, placement: PlacementId, replaced: u64) -> ReplicaId {
    let incarnation = Incarnation(replaced << 32 | u64::from(region.0) << 8 | u64::from(placement.0));
    ReplicaId { region, incarnation }
}

/// Where a region is reached.
#[must_use]
pub fn address(region: RegionId) -> Address {
    Address { region: name(region), url: format!("ws://{}", name(region)) }
}

/// The region that is reached there.
pub(crate) fn region_at(url: &str) -> Option<RegionId> {
    region_named(url.strip_prefix("ws://")?)
}

/// The region of that name.
pub(crate) fn region_named(name: &str) -> Option<RegionId> {
    name.strip_prefix("region-")?.parse().ok().map(RegionId)
}

fn described_region(region: RegionId) -> v1::Region {
    let Address { region, url } = address(region);
    v1::Region { name: region, url }
}

fn name(region: RegionId) -> String {
    format!("region-{}", region.0)
}

/// Signs the epochs of both placements.
pub(crate) fn operators() -> SigningKey {
    SigningKey::from_bytes(&[99; 32])
}

/// New disks come with a new key.
fn key(region: RegionId, replaced: u64) -> SigningKey {
    let mut bytes = [region.0.to_be_bytes()[1]; 32];
    bytes[0] ^= replaced.to_be_bytes()[7];
    SigningKey::from_bytes(&bytes)
}
