//! Features: what an operator can turn off or limit, and what of that holds here.
//!
//! A region has a register of flags ([`Flags`]), and the strictest word of all regions holds. Reading all of them for each message would cost more than the message, so
//! what holds is reckoned when a register changes, and kept.
//!
//! What must always hold:
//! - The list of features is closed, and each is looked at by a door of this region alone: what peers bring is never judged by flags (decision 0019).
//! - What holds depends on the registers of the regions that the epoch has, and on nothing else.
//!
//! Bounded: a register a region, of at most [`crdt::limits::FLAGS_MAX`] features each.

use crate::command::Refusal;
use crate::join_registers;
use crate::keys::{Key, KeyRange};
use crate::record::{self, RegisterRecord};
use crate::register_key::RegisterKey;
use crate::store::{Direction, StoreError, View};
use crdt::{Flag, FlagName, Flags, RegionId};
use replication::placement::Placement;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::ControlFlow;
use std::str::FromStr;

/// What can be turned off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Feature {
    /// Posting messages. Limited: bytes of a body, an edited one too.
    Posts,
    /// Beginning groups. Limited: members that one begins with; how many it may come to have is not touched.
    Groups,
    /// Editing messages.
    Edits,
    /// Reacting to messages, and withdrawing that.
    Reactions,
    /// Changing documents.
    Documents,
}

/// A text that names no feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a feature is posts, groups, edits, reactions or documents")]
pub struct NotAFeature;

impl Feature {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Posts, Self::Groups, Self::Edits, Self::Reactions, Self::Documents];

    /// As flags name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Posts => "posts",
            Self::Groups => "groups",
            Self::Edits => "edits",
            Self::Reactions => "reactions",
            Self::Documents => "documents",
        }
    }

    /// What a limit of it counts; none if it has no limit.
    #[must_use]
    pub const fn unit(self) -> Option<&'static str> {
        match self {
            Self::Posts => Some("bytes of a body"),
            Self::Groups => Some("members that a group begins with"),
            Self::Edits | Self::Reactions | Self::Documents => None,
        }
    }

    /// The name of its flag: none of the names above is too long or has another letter than names have.
    pub(crate) fn flag_name(self) -> Option<FlagName> {
        self.name().parse().ok()
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Feature {
    type Err = NotAFeature;

    fn from_str(text: &str) -> Result<Self, NotAFeature> {
        Self::ALL.into_iter().find(|feature| feature.name() == text).ok_or(NotAFeature)
    }
}

/// What holds of each feature in a placement.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Features {
    registers: BTreeMap<RegionId, Flags>,
    holds: BTreeMap<Feature, Flag>,
}

impl Features {
    /// What a store holds, for a shard under that epoch.
    pub(crate) fn load(view: &dyn View, placement: &Placement) -> Result<Self, StoreError> {
        let mut features = Self::default();
        for (region, flags) in stored(view)? {
            features.note(placement, region, flags);
        }
        Ok(features)
    }

    /// A region's register is that now.
    pub(crate) fn note(&mut self, placement: &Placement, region: RegionId, flags: Flags) {
        if !placement.active.keys().any(|replica| replica.region == region) {
            return;
        }
        self.registers.insert(region, flags);
        self.holds = holds(self.registers.values());
    }

    /// Whether it is on, within whatever limit.
    ///
    /// # Errors
    /// [`Refusal::FeatureOff`] when it is turned off.
    pub(crate) fn allows(&self, feature: Feature) -> Result<(), Refusal> {
        match self.holds.get(&feature) {
            None | Some(Flag::AtMost(_)) => Ok(()),
            Some(Flag::Off) => {
                crate::sometimes::FEATURE_OFF.reach();
                Err(Refusal::FeatureOff(feature))
            }
        }
    }

    /// The limit of a feature, on top of one that is there anyway. Whether it is on is not asked.
    pub(crate) fn limit(&self, feature: Feature, otherwise: usize) -> usize {
        match self.holds.get(&feature) {
            Some(Flag::AtMost(limit)) => usize::try_from(*limit).unwrap_or(usize::MAX).min(otherwise),
            Some(Flag::Off) | None => otherwise,
        }
    }
}

/// What holds of each feature by those registers.
pub(crate) fn holds<'a>(registers: impl Iterator<Item = &'a Flags> + Clone) -> BTreeMap<Feature, Flag> {
    let held = |feature: Feature| Some((feature, Flags::holds(registers.clone(), &feature.flag_name()?)?));
    Feature::ALL.into_iter().filter_map(held).collect()
}

/// Every region's register.
pub(crate) fn stored(view: &dyn View) -> Result<BTreeMap<RegionId, Flags>, StoreError> {
    let mut registers = BTreeMap::new();
    record::scan(view, &KeyRange::flags(), Direction::Ascending, |key, register: RegisterRecord| {
        if let Key::Register(_, RegisterKey::Flags(region)) = key {
            registers.insert(region, join_registers::read_stored(&key, &register, Flags::decode)?);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(registers)
}
