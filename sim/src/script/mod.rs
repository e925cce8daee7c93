//! A script: everything that will be done to a world, resolved. The same script is the same run, event for event.
//!
//! Scenarios leave things to chance; a script does not. `draw` makes one of a scenario and a seed, `world` plays it, and `shrink` takes things out of it.
//! It can be written as a scenario file that states all of it, and read back.
//!
//! What must always hold: whatever is taken out of a script, the rest means what it meant. So everything is named by a number of its own and never
//! by its place in a list; an act or fault of something that is not there is nothing; and what an act draws when it happens it draws
//! from its own salt.

mod draw;
mod draw_acts;
mod draw_log;
mod draw_people;
mod happening;
mod print;
pub(crate) mod spelling;

pub use draw::draw;
pub use happening::{Account, Act, Describe, Feature, Govern, How, PlannedFault, Says, What};

use crate::scenario::{ClientNetwork, DEVICE_DEAD_S, KEPT_S, MEMBERS, Pace, RECEIPT_DEVICES};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Devices of a user are numbered from so many times the user's number.
pub(crate) const DEVICES_A_USER: u64 = 16;

/// A script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// The scenario that it was drawn from.
    pub scenario: String,
    /// The seed that it was drawn with, and from which the streams of its world are derived. At most 2^63 - 1, so that TOML can hold it.
    pub seed: u64,
    /// When everything is healed and people rest, in microseconds since the world began.
    pub length_us: u64,
    /// How long the healed world may take to be whole and quiet.
    pub healed_within_us: u64,
    /// How long operators take to give a lost region new disks, in microseconds, and to admit it again; none if they never do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_after_us: Option<u64>,
    /// How often operators copy the disks of about half of the regions, in microseconds; a lost region is given the last copy of its own. None if they make none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copied_every_us: Option<u64>,
    /// How long after it was lost a disk is found and salvaged, in microseconds; none if none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salvaged_after_us: Option<u64>,
    /// How long it takes at most to carry a snapshot to a region that was admitted and begins with it, in microseconds; none if whoever is admitted begins empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot_takes_us: Option<u64>,
    /// Regions that are cut off until the others have become whole without them.
    #[serde(default)]
    pub dark: Vec<u16>,
    /// The promises that it is about: one that is named here and never looked at fails the run.
    #[serde(default)]
    pub checks: Vec<u8>,
    /// How many regions, from the first on, make up the placement `eu`.
    pub eu_regions: u16,
    /// Whether a command is acknowledged once a second region has it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub geo: bool,
    /// How long tasks and threads take.
    pub pace: Pace,
    /// Queues.
    pub limits: ScriptLimits,
    /// What was drawn, by name: for people.
    #[serde(default)]
    pub drawn: BTreeMap<String, String>,
    /// Regions.
    #[serde(default, rename = "region")]
    pub regions: Vec<Region>,
    /// Ways between them. Two regions without a way never see each other.
    #[serde(default, rename = "way")]
    pub ways: Vec<Way>,
    /// Devices.
    #[serde(default, rename = "device")]
    pub devices: Vec<Device>,
    /// Conversations.
    #[serde(default, rename = "conversation")]
    pub conversations: Vec<Conversation>,
    /// What people do, by time.
    #[serde(default, rename = "act")]
    pub acts: Vec<Act>,
    /// What goes wrong.
    #[serde(default, rename = "fault")]
    pub faults: Vec<PlannedFault>,
}

/// Queues of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptLimits {
    /// Letters in a shard's mailbox above which commands are refused as busy.
    pub mailbox: u64,
    /// Changes that wait for a session before it misses some.
    pub changes: u64,
    /// Bytes that may be on their way in one direction of a bridge.
    pub window_bytes: u64,
    /// Devices of a member whose receipts a region keeps apart.
    #[serde(default = "receipt_devices", skip_serializing_if = "is_usual")]
    pub receipt_devices: u64,
    /// Seconds after which a device is dead that confirms nothing though another one of its user's is given more.
    #[serde(default = "device_dead_s", skip_serializing_if = "is_usual_life")]
    pub device_dead_s: u64,
    /// Members of a group.
    #[serde(default = "members", skip_serializing_if = "is_usual_group")]
    pub members: u64,
    /// Seconds for which a region keeps messages.
    #[serde(default = "kept_s", skip_serializing_if = "is_kept_as_usual")]
    pub kept_s: u64,
}

const fn kept_s() -> u64 {
    KEPT_S
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
const fn is_kept_as_usual(kept_s: &u64) -> bool {
    *kept_s == KEPT_S
}

const fn receipt_devices() -> u64 {
    RECEIPT_DEVICES
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
const fn is_usual(receipt_devices: &u64) -> bool {
    *receipt_devices == RECEIPT_DEVICES
}

const fn device_dead_s() -> u64 {
    DEVICE_DEAD_S
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
const fn is_usual_life(device_dead_s: &u64) -> bool {
    *device_dead_s == DEVICE_DEAD_S
}

const fn members() -> u64 {
    MEMBERS
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
const fn is_usual_group(members: &u64) -> bool {
    *members == MEMBERS
}

/// A region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// Its number, from 1.
    pub number: u16,
    /// What people call it.
    pub name: String,
    /// How far its wall clock is ahead, in microseconds.
    pub wall_offset_us: i64,
    /// Microseconds that a sync takes at least.
    pub sync_us_least: u64,
    /// Microseconds that a sync takes at most.
    pub sync_us_most: u64,
    /// Whether it has no part in anything until operators admit it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
}

/// From one region to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Way {
    /// From.
    pub from: u16,
    /// To.
    pub to: u16,
    /// Microseconds.
    pub delay_us: u64,
    /// At most so many more.
    pub jitter_us: u64,
    /// Microseconds that a KiB takes.
    pub kib_us: u64,
    /// Packets lost in a million.
    pub loss_per_million: u64,
}

/// A device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// Its number.
    pub number: u64,
    /// Its user's.
    pub user: u64,
    /// Whether that user is pinned to the placement `eu`.
    pub pinned: bool,
    /// Its home region.
    pub home: u16,
    /// When it signs in.
    pub at_us: u64,
    /// Microseconds to its region, one way.
    pub delay_us: u64,
    /// The network that it is in.
    pub network: ClientNetwork,
    /// How far its clock is off, in microseconds.
    pub clock_offset_us: i64,
    /// Whether it speaks JSON.
    pub json: bool,
}

/// A conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conversation {
    /// Its number.
    pub number: u64,
    /// Whether it is pinned to the placement `eu`.
    #[serde(default)]
    pub pinned: bool,
    /// The user who begins it.
    pub creator: u64,
    /// The users who are in it from the start, the creator not named. One alone, if it is of two.
    pub members: Vec<u64>,
    /// Whether it is of two.
    #[serde(default)]
    pub direct: bool,
}
