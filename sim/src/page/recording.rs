//! What was recorded of a run for its page: who was where, what went wrong, and each message's way from its author to every device.
//!
//! Regions, devices and faults are named by their place in their lists; times are microseconds since the run began.
//!
//! What must always hold: bounded (`limits.rs`): of more messages a sample is here, and `messages_in_all` says of how many.

use crdt::MessageId;
use std::collections::BTreeMap;

/// A region's place in [`Recording::regions`]: its lane.
pub type Lane = usize;

/// A device's place in [`Recording::devices`].
pub type DeviceIndex = usize;

/// What was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recording {
    /// How long the run was, in microseconds.
    pub length_us: u64,
    /// When all faults were ended and the calm began.
    pub calm_us: Option<u64>,
    /// The regions' names.
    pub regions: Vec<String>,
    /// How long each way takes when nothing is wrong, in microseconds.
    pub ways: BTreeMap<(Lane, Lane), u64>,
    /// Devices.
    pub devices: Vec<Device>,
    /// Messages by the time they were posted.
    pub messages: Vec<Message>,
    /// How many messages there were, drawn here or not.
    pub messages_in_all: u64,
    /// What went wrong, by when it began.
    pub faults: Vec<Fault>,
    /// How many faults there were, listed here or not.
    pub faults_in_all: u64,
    /// Figures over time, of all messages.
    pub intervals: Intervals,
}

/// A device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// What people call it.
    pub name: String,
    /// Where it lived first.
    pub home: Lane,
}

/// A message and its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// In which conversation, in words.
    pub conversation: String,
    /// Its author's device.
    pub author: DeviceIndex,
    /// The region that its author's device lived at.
    pub home: Lane,
    /// When its author pressed send.
    pub posted_us: u64,
    /// When its author's device had the first tick.
    pub acknowledged_us: Option<u64>,
    /// When it left a region for another: from, to, when.
    pub left: Vec<(Lane, Lane, u64)>,
    /// When it was durable in each region.
    pub applied: Vec<(Lane, u64)>,
    /// When its author's device was told that all regions have it.
    pub stable_us: Option<u64>,
    /// Where it was shown, by time.
    pub shown: Vec<Showing>,
    /// How many showings there were, listed here or not.
    pub shown_in_all: u64,
    /// Ticks that its author's device was told of: whose device, when, and whether it was read there.
    pub ticks: Vec<(DeviceIndex, u64, bool)>,
}

/// A showing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Showing {
    /// On which device.
    pub device: DeviceIndex,
    /// The region that the device lived at.
    pub region: Lane,
    /// When.
    pub at_us: u64,
    /// Whether it was shown with the mark "its author had seen more than is here".
    pub marked: bool,
}

/// Something that went wrong, or somebody's time without a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// In words, without its place: `cut`.
    pub what: String,
    /// What it does.
    pub harm: Harm,
    /// Whom it does it to.
    pub place: Place,
    /// When it began, in microseconds.
    pub begins_us: u64,
    /// When it ended, in microseconds.
    pub ends_us: u64,
}

/// What a fault does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Harm {
    /// Nothing goes through.
    Cut,
    /// Things go through late, or again and again.
    Worse,
    /// A process is dead.
    Down,
    /// A process stands still or crawls.
    Stands,
    /// A disk is slow, full or failing.
    Disk,
    /// A clock is wrong.
    Clock,
    /// A device has no network or a bad one, or does not read.
    Device,
}

/// Whom a fault concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A region; for a cut, all its links.
    Region(Lane),
    /// One direction of a link.
    Way(Lane, Lane),
    /// A link.
    Link(Lane, Lane),
    /// A device.
    Device(DeviceIndex),
}

/// Figures over time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Intervals {
    /// How long each is, in microseconds.
    pub every_us: u64,
    /// Time to show on devices in the author's region, by when the message was shown.
    pub inside: Vec<Spread>,
    /// Time to show on devices in another region.
    pub across: Vec<Spread>,
    /// Bytes that left on each link's direction.
    pub bytes: BTreeMap<(Lane, Lane), Vec<u64>>,
}

/// How long something took in an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spread {
    /// How many samples; without one the others mean nothing.
    pub samples: u64,
    /// What half of them did not exceed, in microseconds.
    pub p50_us: u64,
    /// What 99 of 100 did not exceed, in microseconds.
    pub p99_us: u64,
}

impl Harm {
    /// In a word, for style sheets and legends.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::Worse => "worse",
            Self::Down => "down",
            Self::Stands => "stands",
            Self::Disk => "disk",
            Self::Clock => "clock",
            Self::Device => "device",
        }
    }
}

impl Recording {
    /// A region's name.
    pub(super) fn region(&self, lane: Lane) -> &str {
        self.regions.get(lane).map_or("?", String::as_str)
    }

    /// A fault's place, in words.
    pub(super) fn place(&self, place: Place) -> String {
        match place {
            Place::Region(lane) => self.region(lane).to_owned(),
            Place::Way(from, to) => format!("{} → {}", self.region(from), self.region(to)),
            Place::Link(one, other) => format!("{} ⇄ {}", self.region(one), self.region(other)),
            Place::Device(device) => {
                self.devices.get(device).map_or_else(|| "?".to_owned(), |device| device.name.clone())
            }
        }
    }
}
