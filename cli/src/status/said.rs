//! What regions say of how they stand (`GET /v1/status`), and what is printed of it with `--json`.
//!
//! What must always hold: regions of other releases are understood: what a later one adds is passed over, what an earlier one does not say has a default.

use super::clocks::Offsets;
use super::closed::{Closed, ClosedStatus};
use super::members::MemberStatus;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is printed.
#[derive(Debug, Serialize)]
pub(super) struct Overview {
    pub(super) ok: bool,
    pub(super) problems: Vec<String>,
    /// By name; nothing of one that does not answer.
    pub(super) regions: BTreeMap<String, Option<RegionStatus>>,
    /// What is known of the replicas that epochs have closed.
    pub(super) closed: Vec<Closed>,
    pub(super) clocks_ahead_ms: Offsets,
}

/// What a region says; what a later version adds is passed over.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct RegionStatus {
    pub(super) version: String,
    pub(super) wall_clock_ahead_ms: i64,
    pub(super) placements: Vec<PlacementStatus>,
    pub(super) bridges: Vec<BridgeStatus>,
    /// Regions of a release that does not say so are asked too.
    #[serde(default)]
    pub(super) members: Vec<MemberStatus>,
    /// The same.
    #[serde(default)]
    pub(super) certificates: Option<CertificatesStatus>,
    #[serde(default)]
    pub(super) machine: Vec<ShortageStatus>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ShortageStatus {
    pub(super) code: String,
    pub(super) what: String,
    /// Whether a region that is started so is refused.
    pub(super) stops: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct CertificatesStatus {
    /// In seconds since 1970, as below.
    pub(super) expires_s: i64,
    pub(super) authorities_expire_s: Vec<i64>,
    /// Of what lies in the files, if it is not in use.
    pub(super) refused: Option<RefusedStatus>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct RefusedStatus {
    pub(super) code: String,
    pub(super) why: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct PlacementStatus {
    pub(super) placement: String,
    pub(super) state: String,
    pub(super) epoch: u64,
    pub(super) operations: u64,
    pub(super) stable: u64,
    pub(super) damaged_records: u64,
    /// Regions of a release that does not say so are asked too.
    #[serde(default)]
    pub(super) other_histories: u64,
    /// The same, as below.
    #[serde(default)]
    pub(super) letters_waiting: Option<u64>,
    /// What the last batch took to become durable; zero before the first.
    #[serde(default)]
    pub(super) last_sync_us: Option<u64>,
    #[serde(default)]
    pub(super) store_holds_up: bool,
    pub(super) peers: Vec<PeerStatus>,
    /// The same.
    #[serde(default)]
    pub(super) closed: Vec<ClosedStatus>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct PeerStatus {
    pub(super) region: String,
    pub(super) lacks_operations: u64,
    pub(super) for_ms: Option<u64>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct BridgeStatus {
    pub(super) peer: String,
    pub(super) open: bool,
    pub(super) alarms: u64,
    pub(super) states_compared: u64,
    pub(super) partitions_differing: u64,
    /// Of a release that does not say so, none.
    #[serde(default)]
    pub(super) partitions_stopped: u64,
    #[serde(default)]
    pub(super) round_trip_us: Option<u64>,
    pub(super) clock_ahead_ms: Option<i64>,
    pub(super) clock_uncertain_ms: Option<u64>,
}
