//! What operators do in a region: a user's home, the mark of an erased one, features turned off or limited (decision 0019), and what a closed replica alone held (`salvage.rs`).
//!
//! What must always hold:
//! - Each act is done or refused by name, answered once it is durable, and done again changes nothing.
//! - Nothing is done before the replica has caught up (`catch_up.rs`): it would be decided on less than the others held when they counted without it, and what they have folded or
//!   overtaken since would stand against it.
//! - A user is given away only by the region that is their home as far as it knows, or stands in for it once an epoch has closed that (decision 0041); the first home any region gives to
//!   whom nobody has given one.
//! - A register of these kinds is written only once every region of the placement has said that it knows the kind.
//! - A region writes its own flags alone.

use crate::accept_command;
use crate::catch_up::Standing;
use crate::features::Feature;
use crate::forms;
use crate::join_registers::{self, Source};
use crate::keys::Key;
use crate::limits::SALVAGED_A_STEP_MAX;
use crate::pending::Pending;
use crate::record::RegisterRecord;
use crate::register_key::RegisterKey;
use crate::salvage::{self, Salvage, Salvaged};
use crate::shard::{Effect, Ticket};
use crate::store::StoreError;
use crdt::operation::MalformedOperation;
use crdt::{
    Bucket, DirectoryEntry, Dot, Flag, Flags, HomeEpoch, NotSet, PartitionId, RegionId, ReplicaId, UserId,
};
use rand_core::RngCore;
use replication::commit::CommitRefused;

/// What an operator wants of a placement's shard in this region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// The user's home is there from now on.
    SetHome {
        /// Whose; of this placement.
        user: UserId,
        /// A region of the placement.
        home: RegionId,
    },
    /// The user is erased, for good.
    Erase {
        /// Who; of this placement.
        user: UserId,
    },
    /// This region says that of a feature, or, if none, nothing any more.
    SetFlag {
        /// Of which.
        feature: Feature,
        /// What.
        flag: Option<Flag>,
    },
    /// What of this is nowhere else is issued again.
    Salvage(Salvage),
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operated {
    /// It is durable here, and goes to the other regions.
    Done,
    /// It was so already.
    Unchanged,
    /// That became of an old store's operations.
    Salvaged(Salvaged),
}

/// Why it was not done. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotOperated {
    /// The region lacks what the others held when it was admitted.
    #[error(
        "this region has been admitted to the placement and does not hold all of it yet: ask another region of it, or this one again when `archipelago status` says no more that it is joining in"
    )]
    PlacementBehind,
    /// The user is pinned to another placement.
    #[error("{0} is of another placement: ask for the one that the user's id begins with")]
    OtherPlacement(UserId),
    /// The user was erased.
    #[error("{0} was erased, which is for good: register them under a new id")]
    Erased(UserId),
    /// Another region is the user's home, or stands in for it.
    #[error("the home of {user} is {home}, which alone gives it away: ask there")]
    NotTheHome {
        /// Whose.
        user: UserId,
        /// The region to ask.
        home: RegionId,
    },
    /// A region that has no part in the placement cannot be a home.
    #[error("{0} has no part in this placement: name one of its regions")]
    UnknownRegion(RegionId),
    /// The numbers of a user's homes, or of a region's flags, are at their end, which only a peer that lies brings about.
    #[error(
        "this has been changed as often as can be counted: find the region that wrote it, and take it out by a new epoch"
    )]
    Exhausted,
    /// A feature has no limit.
    #[error("{0} can be on or off, and has no limit: say off, or clear it")]
    NoLimit(Feature),
    /// The region's register is full, of names that this version does not know.
    #[error(
        "this region says something of too many features that this version does not know: upgrade it, and clear some"
    )]
    TooManyFlags,
    /// What lies on a disk is brought back once its replica is closed.
    #[error(
        "no epoch has closed {0}: what it holds comes by its region's bridges, or is made the store of its next incarnation (`archipelago admin restore`); to bring it back elsewhere, close it first (`archipelago admin epoch --close`)"
    )]
    NotClosed(ReplicaId),
    /// An active region may have what is missing here.
    #[error(
        "not every active region is known to stand in epoch {0} yet, and may have what is missing here: try again when `archipelago status` says that all are connected"
    )]
    EpochNotEverywhere(u64),
    /// Operations are of another placement, or of another partition than is said.
    #[error(
        "this is of {0}, which is not where it is to be brought back: give each store to its own placement"
    )]
    OtherPartition(PartitionId),
    /// Bytes that are no operation.
    #[error(
        "{dot} is no operation that this region can read: {reason}; look at the old store with `archipelago admin verify`"
    )]
    MalformedOriginal {
        /// Under which dot it stood.
        dot: Dot,
        /// What is wrong with it.
        reason: MalformedOperation,
    },
    /// A commit that is not its origin's.
    #[error("{0}: nothing is brought back that its replica has not signed")]
    NotSigned(#[from] CommitRefused),
    /// More than a step takes.
    #[error(
        "{operations} operations are too many for one step: send at most {SALVAGED_A_STEP_MAX} at a time"
    )]
    TooManyAtOnce {
        /// How many were sent.
        operations: usize,
    },
    /// A region of the placement does not know such registers yet, or has not said so.
    #[error(
        "this can be done only once every region of the placement knows it, and {0} has not said so yet: try again when it was upgraded and has been reached"
    )]
    NotKnownEverywhere(RegionId),
    /// The shard's mailbox is full.
    #[error("the region is busy: try again in {retry_after_ms} ms")]
    Busy {
        /// When to try again.
        retry_after_ms: u64,
    },
}

impl NotOperated {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::PlacementBehind => "placement_behind",
            Self::OtherPlacement(_) => "other_placement",
            Self::Erased(_) => "user_erased",
            Self::NotTheHome { .. } => "not_the_home",
            Self::UnknownRegion(_) => "unknown_region",
            Self::Exhausted => "register_exhausted",
            Self::NoLimit(_) => "feature_without_limit",
            Self::TooManyFlags => "too_many_flags",
            Self::NotKnownEverywhere(_) => "not_known_everywhere",
            Self::NotClosed(_) => "not_closed",
            Self::EpochNotEverywhere(_) => "epoch_not_everywhere",
            Self::OtherPartition(_) => "other_partition",
            Self::MalformedOriginal { .. } => "malformed_operation",
            Self::NotSigned(_) => "not_signed",
            Self::TooManyAtOnce { .. } => "too_many_at_once",
            Self::Busy { .. } => "busy",
        }
    }
}

/// Why an act was not done: the operator's affair, or the store's.
pub(crate) enum Failure {
    Refused(NotOperated),
    Store(StoreError),
}

impl From<NotOperated> for Failure {
    fn from(refused: NotOperated) -> Self {
        Self::Refused(refused)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Does it or refuses it, and answers.
pub(crate) fn operate(
    pending: &mut Pending<'_>,
    entropy: &mut dyn RngCore,
    standing: Standing,
    ticket: Ticket,
    act: Act,
) -> Result<(), StoreError> {
    let done = match (standing, act) {
        (Standing::Behind, _) => Err(NotOperated::PlacementBehind.into()),
        (Standing::CaughtUp, Act::SetHome { user, home }) => set_home(pending, user, home),
        (Standing::CaughtUp, Act::Erase { user }) => erase(pending, user),
        (Standing::CaughtUp, Act::SetFlag { feature, flag }) => set_flag(pending, feature, flag),
        (Standing::CaughtUp, Act::Salvage(salvage)) => {
            salvage::salvage(pending, entropy, salvage).map(Operated::Salvaged)
        }
    };
    let result = match done {
        Ok(operated) => Ok(operated),
        Err(Failure::Refused(refused)) => {
            crate::sometimes::NOT_OPERATED.reach();
            Err(refused)
        }
        Err(Failure::Store(error)) => return Err(error),
    };
    pending.tables.effects.push(Effect::Operated { ticket, result });
    Ok(())
}

fn set_home(pending: &mut Pending<'_>, user: UserId, home: RegionId) -> Result<Operated, Failure> {
    let (standing, entry) = entry_of(pending, user)?;
    if !pending.config.placement.active.keys().any(|replica| replica.region == home) {
        return Err(NotOperated::UnknownRegion(home).into());
    }
    let own = pending.config.replica.region;
    let epoch = match entry {
        DirectoryEntry::Erased => return Err(NotOperated::Erased(user).into()),
        DirectoryEntry::Unknown => HomeEpoch::first(own),
        DirectoryEntry::Home { region, .. } if region == home => return Ok(Operated::Unchanged),
        DirectoryEntry::Home { epoch, region } => {
            let gives = pending.config.placement.stand_in_for(region);
            if gives != own {
                return Err(NotOperated::NotTheHome { user, home: gives }.into());
            }
            if gives != region {
                crate::sometimes::HOME_OF_A_CLOSED_REGION_GIVEN.reach();
            }
            epoch.next(own).ok_or(NotOperated::Exhausted)?
        }
    };
    known_everywhere(pending, forms::DIRECTORY)?;
    write_entry(pending, user, standing, DirectoryEntry::Home { epoch, region: home })
}

fn erase(pending: &mut Pending<'_>, user: UserId) -> Result<Operated, Failure> {
    let (standing, entry) = entry_of(pending, user)?;
    if entry == DirectoryEntry::Erased {
        return Ok(Operated::Unchanged);
    }
    known_everywhere(pending, forms::DIRECTORY)?;
    write_entry(pending, user, standing, DirectoryEntry::Erased)
}

fn set_flag(pending: &mut Pending<'_>, feature: Feature, flag: Option<Flag>) -> Result<Operated, Failure> {
    if matches!(flag, Some(Flag::AtMost(_))) && feature.unit().is_none() {
        return Err(NotOperated::NoLimit(feature).into());
    }
    let region = pending.config.replica.region;
    let (register, bucket) = (RegisterKey::Flags(region), Bucket::FIRST);
    let key = Key::Register(bucket, register);
    let standing: Option<RegisterRecord> = pending.tables.load(&key)?;
    let stored = standing.as_ref().map(|record| join_registers::read_stored(&key, record, Flags::decode));
    let mut flags = stored.transpose()?.unwrap_or_default();
    let Some(name) = feature.flag_name() else { return Ok(Operated::Unchanged) };
    match flags.set(name, flag) {
        Ok(true) => {}
        Ok(false) => return Ok(Operated::Unchanged),
        Err(NotSet::TooMany) => return Err(NotOperated::TooManyFlags.into()),
        Err(NotSet::Exhausted) => return Err(NotOperated::Exhausted.into()),
    }
    known_everywhere(pending, forms::FLAGS)?;
    let value = (flags.encode().into(), Source { from: None, had_by: None });
    join_registers::rewrite(pending, bucket, register, standing.map(|record| record.change), value)?;
    pending.note_flags(region, flags);
    Ok(Operated::Done)
}

/// A user's entry as it stands, with its record.
fn entry_of(
    pending: &Pending<'_>,
    user: UserId,
) -> Result<(Option<RegisterRecord>, DirectoryEntry), Failure> {
    let placement = pending.config.placement.id;
    if user.placement() != placement {
        return Err(NotOperated::OtherPlacement(user).into());
    }
    let key = Key::Register(user.partition(placement).bucket, RegisterKey::Directory(user));
    let standing: Option<RegisterRecord> = pending.tables.load(&key)?;
    let entry =
        standing.as_ref().map(|record| join_registers::read_stored(&key, record, DirectoryEntry::decode));
    let entry = entry.transpose()?.unwrap_or_default();
    Ok((standing, entry))
}

fn write_entry(
    pending: &mut Pending<'_>,
    user: UserId,
    standing: Option<RegisterRecord>,
    entry: DirectoryEntry,
) -> Result<Operated, Failure> {
    let bucket = user.partition(pending.config.placement.id).bucket;
    let value = (entry.encode().into(), Source { from: None, had_by: None });
    let (register, change) = (RegisterKey::Directory(user), standing.map(|record| record.change));
    join_registers::rewrite(pending, bucket, register, change, value)?;
    Ok(Operated::Done)
}

fn known_everywhere(pending: &Pending<'_>, form: u32) -> Result<(), Failure> {
    match accept_command::not_known_in(pending, form)? {
        None => Ok(()),
        Some(region) => {
            crate::sometimes::NOT_KNOWN_EVERYWHERE.reach();
            Err(NotOperated::NotKnownEverywhere(region).into())
        }
    }
}
