//! A scenario: what a TOML file says of a world, its people, and what befalls them.
//!
//! ```text
//!   scenario (TOML, this folder) ──draw(seed)──▶ script (all of it resolved) ──▶ world ──▶ outcome
//! ```
//! A scenario may leave as much to chance as it likes; whatever it states is as stated. `docs/scenarios.md` tells how to write one.
//!
//! What must always hold: a file is read wholly or refused, by file, line and what to do; a name that is not known is refused, so that a
//! misspelt limit is not a limit forgotten.

mod amount;
mod embedded;
mod stated;
mod validate;
mod when;

pub use amount::Amount;
pub use embedded::{MEASURES, NAMES, embedded};
pub use when::When;

use crate::conversation_log::ConversationLog;
use crate::script::{Conversation, Script};
use serde::Deserialize;
use std::collections::BTreeMap;
use toml::Spanned;

/// A scenario.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it is called.
    pub name: String,
    /// What happens, in about two sentences, for people.
    pub story: String,
    /// How long the storm is, in seconds of simulated time.
    #[serde(default = "one_minute")]
    pub length_s: Amount,
    /// How long the healed world may take to be whole and quiet. A client that was cut off for long tries again within 64 s, and one whose
    /// connection died in silence notices after 90 s.
    #[serde(default = "four_minutes")]
    pub healed_within_s: u64,
    /// Whether each seed switches features and faults off and skews the rest.
    #[serde(default)]
    pub swarm: bool,
    /// The promises that the scenario is about: one that is named here and never looked at fails the run. Whatever is looked at is judged.
    #[serde(default)]
    pub checks: Vec<u8>,
    /// Regions and the network between them.
    #[serde(default)]
    pub topology: Topology,
    /// Disks and clocks of regions.
    #[serde(default)]
    pub machines: Machines,
    /// Users and their devices.
    #[serde(default)]
    pub population: Population,
    /// What they do.
    #[serde(default)]
    pub workload: Workload,
    /// Queues.
    #[serde(default)]
    pub limits: Limits,
    /// Faults that are drawn.
    #[serde(default)]
    pub faults: DrawnFaults,
    /// Faults that are stated.
    #[serde(default)]
    pub fault: Vec<Spanned<toml::Table>>,
    /// Acts that are stated, besides the drawn ones.
    #[serde(default)]
    pub act: Vec<Spanned<toml::Table>>,
    /// Conversations that are stated, besides the drawn ones, numbered from 1; drawn ones are numbered after them.
    #[serde(default)]
    pub conversation: Vec<Conversation>,
    /// Everything, resolved: what a shrunk run is written as. Nothing else but the name, the story and the checks is looked at then.
    pub script: Option<Script>,
    /// The log that the workload names, once the caller has given it.
    #[serde(skip)]
    pub(crate) log: Option<ConversationLog>,
}

/// Regions and the network between them.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Topology {
    /// Their names.
    pub regions: Vec<String>,
    /// Where the placement `eu` lies: conversations pinned to it never leave these.
    pub eu: Vec<String>,
    /// Those that have no part in anything until operators admit them (the act `admit`).
    pub late: Vec<String>,
    /// Whether placements acknowledge a command once a second region has it.
    pub geo: bool,
    /// How many of the regions there are, from the first on; all if not said.
    pub count: Option<Amount>,
    /// There and back, in milliseconds, where no pair says otherwise.
    pub rtt_ms: Amount,
    /// At most so much is added to a way, in hundredths of its delay.
    pub jitter_percent: Amount,
    /// How much a way carries, in millions of bits a second.
    pub mbit_per_s: Amount,
    /// Packets lost in a million.
    pub loss_per_million: Amount,
    /// Pairs of which more is said.
    pub pair: Vec<Pair>,
}

/// What is said of two regions. What is not said is as in the topology.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    /// Which two.
    pub between: [String; 2],
    /// See [`Topology`].
    pub rtt_ms: Option<Amount>,
    /// See [`Topology`].
    pub jitter_percent: Option<Amount>,
    /// See [`Topology`].
    pub mbit_per_s: Option<Amount>,
    /// See [`Topology`].
    pub loss_per_million: Option<Amount>,
    /// Whether they can see each other at all.
    #[serde(default = "yes")]
    pub bridge: bool,
}

/// Disks and clocks of regions.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Machines {
    /// Microseconds that a sync takes.
    pub sync_us: Amount,
    /// Of a hundred regions, so many have a wall clock that is off…
    pub clocks_off_percent: u64,
    /// …by so many milliseconds, to either side.
    pub clock_off_ms: Amount,
    /// How long tasks and threads take.
    pub pace: Pace,
    /// Seconds after which operators give a lost region new disks and admit it again; they never do if that is not said.
    pub replaced_after_s: Option<Amount>,
    /// Seconds after which operators copy the disks of about half of the regions, again and again; a lost region's new disks then begin with the last copy. Never if that is not said.
    pub copied_every_s: Option<Amount>,
    /// Seconds after which a disk that was lost is found, and what it alone held is brought back once its replica is closed. Never if that is not said.
    pub salvaged_after_s: Option<Amount>,
    /// Seconds that it takes at most to carry a snapshot of another region's store to one that was admitted, which begins with it. It begins empty if that is not said.
    pub snapshot_takes_s: Option<Amount>,
}

/// How long what drives the cores takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pace {
    /// Irregular beyond what machines are: races come from it.
    Irregular,
    /// As measured: for asking how long people wait.
    Measured,
}

/// Users and their devices.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Population {
    /// How many users.
    pub users: Amount,
    /// Devices that each has.
    pub devices_per_user: Amount,
    /// Who lives where: the weight of each region. Evenly, if nothing is said.
    pub homes: BTreeMap<String, u64>,
    /// Of a hundred users, so many are pinned to the placement `eu`.
    pub pinned_percent: Amount,
    /// Of a hundred users, so many travel.
    pub roaming_percent: Amount,
    /// How far a device's clock is off, in milliseconds, to either side.
    pub clock_off_ms: Amount,
    /// Of a hundred devices, so many speak JSON.
    pub json_percent: Amount,
    /// Profiles of their networks, with the weight of each.
    pub networks: BTreeMap<ClientNetwork, u64>,
    /// Within how many milliseconds all of them sign in.
    pub sign_in_within_ms: Amount,
}

/// The network that a device is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientNetwork {
    /// A house's.
    Lan,
    /// 4G.
    #[serde(rename = "4g")]
    FourG,
    /// 3G.
    #[serde(rename = "3g")]
    ThreeG,
    /// 2G.
    #[serde(rename = "2g")]
    TwoG,
    /// Anything from 1 to 50 ms.
    Any,
}

/// What people do.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Workload {
    /// Acts a minute, of all people together.
    pub per_minute: Amount,
    /// How they arrive.
    pub arrival: Arrival,
    /// Times at which there is more.
    pub peak: Vec<Peak>,
    /// Groups that are begun at the start.
    pub groups: Amount,
    /// Conversations of two that are.
    pub directs: Amount,
    /// Members of a group.
    pub members: Amount,
    /// Of a hundred conversations, so many are pinned to the placement `eu`.
    pub pinned_percent: Amount,
    /// Of a hundred messages, so many answer one that their author was shown.
    pub reply_percent: Amount,
    /// Of a hundred times that somebody writes, so many they write several…
    pub burst_percent: Amount,
    /// …namely so many.
    pub burst: Amount,
    /// Bytes of a message.
    pub bytes: Amount,
    /// Of a hundred messages, so many are long…
    pub long_percent: Amount,
    /// …with so many bytes.
    pub long_bytes: Amount,
    /// Of a hundred acts, so many say that a conversation has been read.
    pub read_percent: Amount,
    /// So many begin a conversation.
    pub begin_percent: Amount,
    /// So many add somebody to a group, or leave one.
    pub change_percent: Amount,
    /// So many move to another region.
    pub move_percent: Amount,
    /// So many take a device off the network…
    pub offline_percent: Amount,
    /// …for so many seconds.
    pub offline_s: Amount,
    /// So many are another application's, which sends one of everything that must be refused.
    pub misuse_percent: Amount,
    /// So many do something to a message: edit it, delete it for everyone, react to it, or take a reaction back.
    pub amend_percent: Amount,
    /// So many forward a message to other conversations.
    pub forward_percent: Amount,
    /// So many delete a message for themselves.
    pub hide_percent: Amount,
    /// So many are several people's, who change what a conversation says of itself: its name, its description, what is pinned, a setting.
    pub describe_percent: Amount,
    /// Times a minute that somebody changes their account, one to four times right after each other, on any of their devices.
    pub accounts_per_minute: Amount,
    /// Times a minute that operators do something: give a user homes, erase one, turn a feature off for a while; in one to four regions, one right after the other.
    pub operated_per_minute: Amount,
    /// So many are a quarrel in a group: members are added and removed, promoted and demoted, some leave, and places are claimed, all at once.
    pub govern_percent: Amount,
    /// A real conversation, by the name under which the caller gives it ([`Scenario::give_log`]), instead of drawn acts.
    pub log: Option<String>,
}

/// How acts arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arrival {
    /// One after the other, equally far apart.
    Steady,
    /// Independently of each other.
    Poisson,
}

/// A time at which there is more.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peak {
    /// From then.
    pub from: When,
    /// Until then.
    pub until: When,
    /// So many times as much.
    pub times: u64,
}

/// Queues of the world that production leaves to configuration.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Letters in a shard's mailbox above which commands are refused as busy.
    pub mailbox: Amount,
    /// Changes that wait for a session before it misses some.
    pub changes: Amount,
    /// KiB that may be on their way in one direction of a bridge.
    pub window_kib: Amount,
    /// Devices of a member whose receipts a region keeps apart.
    pub receipt_devices: Amount,
    /// Seconds after which a device is dead that confirms nothing though another one of its user's is given more.
    pub device_dead_s: Amount,
    /// Members of a group. People begin groups with fewer, where that is possible.
    pub members: Amount,
    /// Seconds for which a region keeps messages.
    pub kept_s: Amount,
}

/// Faults that are drawn.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DrawnFaults {
    /// How many.
    pub number: Amount,
    /// Which kinds, with the weight of each; every kind alike if none is named.
    pub kinds: BTreeMap<String, u64>,
    /// How many regions stay cut off after the storm, until the others have become whole without them.
    pub dark: Amount,
}

/// Why a scenario was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {mistake}")]
pub struct ScenarioError {
    /// The file, as it was named to the parser.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong, and what to write instead.
    pub mistake: String,
}

impl Scenario {
    /// Reads a scenario. `file` is what errors call it.
    ///
    /// # Errors
    /// [`ScenarioError`], the first mistake by file and line.
    pub fn parse(file: &str, text: &str) -> Result<Self, ScenarioError> {
        let refuse = |at: usize, mistake: String| ScenarioError {
            file: file.to_owned(),
            line: 1 + text.get(..at).unwrap_or(text).matches('\n').count(),
            mistake,
        };
        let scenario: Self = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            refuse(at, error.message().to_owned())
        })?;
        validate::check(&scenario).map_err(|(at, mistake)| refuse(at, mistake))?;
        Ok(scenario)
    }

    /// The log that the workload names and that has not been given yet.
    #[must_use]
    pub fn wants_log(&self) -> Option<&str> {
        self.workload.log.as_deref().filter(|_| self.log.is_none())
    }

    /// Gives the log that the workload names.
    pub fn give_log(&mut self, log: ConversationLog) {
        self.log = Some(log);
    }

    /// The seed that the file states: that of a shrunk run.
    #[must_use]
    pub fn seed(&self) -> Option<u64> {
        self.script.as_ref().map(|script| script.seed)
    }
}

impl Default for Topology {
    fn default() -> Self {
        Self {
            regions: ["frankfurt", "dublin", "virginia"].map(str::to_owned).to_vec(),
            eu: ["frankfurt", "dublin"].map(str::to_owned).to_vec(),
            late: Vec::new(),
            geo: false,
            count: None,
            rtt_ms: Amount::of(80),
            jitter_percent: Amount::of(10),
            mbit_per_s: Amount::of(1_000),
            loss_per_million: Amount::of(0),
            pair: Vec::new(),
        }
    }
}

impl Default for Machines {
    fn default() -> Self {
        Self {
            sync_us: Amount::range(80, 300),
            clocks_off_percent: 0,
            clock_off_ms: Amount::range(0, 10_000),
            pace: Pace::Irregular,
            replaced_after_s: None,
            copied_every_s: None,
            salvaged_after_s: None,
            snapshot_takes_s: None,
        }
    }
}

impl Default for Population {
    fn default() -> Self {
        Self {
            users: Amount::of(6),
            devices_per_user: Amount::of(1),
            homes: BTreeMap::new(),
            pinned_percent: Amount::of(0),
            roaming_percent: Amount::of(100),
            clock_off_ms: Amount::of(0),
            json_percent: Amount::of(0),
            networks: BTreeMap::new(),
            sign_in_within_ms: Amount::of(400),
        }
    }
}

impl Default for Workload {
    fn default() -> Self {
        Self {
            per_minute: Amount::of(60),
            arrival: Arrival::Poisson,
            peak: Vec::new(),
            groups: Amount::of(3),
            directs: Amount::of(2),
            members: Amount::range(2, 6),
            pinned_percent: Amount::of(0),
            reply_percent: Amount::of(50),
            burst_percent: Amount::of(0),
            burst: Amount::range(2, 12),
            bytes: Amount::range(1, 80),
            long_percent: Amount::of(0),
            long_bytes: Amount::range(1_000, 20_000),
            read_percent: Amount::of(10),
            begin_percent: Amount::of(0),
            change_percent: Amount::of(0),
            move_percent: Amount::of(0),
            offline_percent: Amount::of(0),
            misuse_percent: Amount::of(0),
            amend_percent: Amount::of(0),
            forward_percent: Amount::of(0),
            hide_percent: Amount::of(0),
            describe_percent: Amount::of(0),
            accounts_per_minute: Amount::of(0),
            operated_per_minute: Amount::of(0),
            govern_percent: Amount::of(0),
            offline_s: Amount::range(1, 30),
            log: None,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            mailbox: Amount::of(1_024),
            changes: Amount::of(1_024),
            window_kib: Amount::of(256),
            receipt_devices: Amount::of(RECEIPT_DEVICES),
            device_dead_s: Amount::of(DEVICE_DEAD_S),
            members: Amount::of(MEMBERS),
            kept_s: Amount::of(KEPT_S),
        }
    }
}

impl Default for DrawnFaults {
    fn default() -> Self {
        Self { number: Amount::of(0), kinds: BTreeMap::new(), dark: Amount::of(0) }
    }
}

/// Devices of a member whose receipts a region keeps apart, if nothing else is said: as in production.
pub(crate) const RECEIPT_DEVICES: u64 = 32;
/// Seconds after which a device is dead, as in production.
pub(crate) const DEVICE_DEAD_S: u64 = 30 * 86_400;

/// Seconds for which a region keeps messages, as in production.
pub(crate) const KEPT_S: u64 = 30 * 86_400;

/// Members of a group, if nothing else is said: as in production.
pub(crate) const MEMBERS: u64 = 1_024;

fn one_minute() -> Amount {
    Amount::of(60)
}

const fn four_minutes() -> u64 {
    240
}

const fn yes() -> bool {
    true
}
