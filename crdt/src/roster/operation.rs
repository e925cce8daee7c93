//! What a roster takes: one change, the cut it was made on and the grant it was made under.
//!
//! What must always hold:
//! - A cut is all that the issuing region had applied of the conversation, so it is causally closed and below the operation's own time.
//! - A grant is named by the dot of the operation that gave it; only who holds it acts under it.
//! - Decoding is total. A change has one encoding in this version; a later one may add fields.
//!
//! The bytes are Protocol Buffers (`proto/operation.proto`), because they travel between versions: about 15 bytes and the cut.

use crate::id::{Dot, MessageId, ReplicaId, UserId};
use crate::limits::{CUT_ENTRIES_MAX, MEMBERS_MAX};
use crate::operation::{Kind, MalformedOperation};
use crate::proto;
use crate::timeline::{Identity, Place};
use crate::version_vector::Cut;
use crate::{Incarnation, RegionId, Sequence};
use bytes::Bytes;
use prost::Message as _;
use std::collections::{BTreeMap, BTreeSet};

/// One roster operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RosterOperation {
    /// When, and which operation.
    pub place: Place,
    /// The user who did it.
    pub sender: UserId,
    /// The client's id of the command: the same when it was sent again.
    pub command: MessageId,
    /// What it does.
    pub change: Change,
}

/// What a roster operation does, and what it was made on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What the issuing region had applied of the conversation. Of a creation: nothing.
    pub cut: Cut,
    /// What it does.
    pub action: Action,
}

/// What a roster operation does. `under` is the grant that its sender acts under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The group begins. Its sender is a member and its highest admin.
    Create {
        /// The first members; the creator is one whether named or not.
        members: BTreeSet<UserId>,
        /// How many members each replica may add before it needs rights of others.
        shares: BTreeMap<ReplicaId, u64>,
    },
    /// An admin adds a member.
    Add {
        /// Who.
        user: UserId,
        /// The grant.
        under: Dot,
    },
    /// An admin removes a member, or an admin below.
    Remove {
        /// Who.
        user: UserId,
        /// The grant.
        under: Dot,
    },
    /// The sender leaves.
    Leave,
    /// An admin makes a member an admin, one step below.
    Promote {
        /// Who.
        user: UserId,
        /// The grant.
        under: Dot,
    },
    /// An admin takes the role from an admin below.
    Demote {
        /// Who.
        user: UserId,
        /// The grant.
        under: Dot,
    },
    /// The most senior member takes the place of admins that are all gone.
    Claim,
}

impl RosterOperation {
    /// Its dot.
    #[must_use]
    pub const fn dot(&self) -> Dot {
        self.place.dot
    }

    pub(crate) const fn identity(&self) -> Identity {
        Identity { sender: self.sender, message: self.command }
    }

    /// The user whose standing it changes; of a creation, the creator.
    pub(crate) const fn target(&self) -> UserId {
        match self.change.action {
            Action::Add { user, .. }
            | Action::Remove { user, .. }
            | Action::Promote { user, .. }
            | Action::Demote { user, .. } => user,
            Action::Create { .. } | Action::Leave | Action::Claim => self.sender,
        }
    }

    /// The grant it names.
    pub(super) const fn under(&self) -> Option<Dot> {
        match self.change.action {
            Action::Add { under, .. }
            | Action::Remove { under, .. }
            | Action::Promote { under, .. }
            | Action::Demote { under, .. } => Some(under),
            Action::Create { .. } | Action::Leave | Action::Claim => None,
        }
    }

    /// Whether its region had applied `other` when it issued this.
    pub(super) fn follows(&self, other: &Self) -> bool {
        self.change.cut.covers(other.dot())
    }

    /// Whether both are one command of one client, taken by two regions that did not know of each other's.
    pub(super) fn is_alias_of(&self, other: &Self) -> bool {
        let same = match (&self.change.action, &other.change.action) {
            (Action::Create { .. }, Action::Create { .. }) => self.change.action == other.change.action,
            (one, other_action) => {
                std::mem::discriminant(one) == std::mem::discriminant(other_action)
                    && self.target() == other.target()
            }
        };
        same && self.identity() == other.identity() && !self.follows(other) && !other.follows(self)
    }
}

impl Action {
    /// The kind of operation that does it.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Create { .. } => Kind::Create,
            Self::Add { .. } => Kind::Add,
            Self::Remove { .. } => Kind::Remove,
            Self::Leave => Kind::Leave,
            Self::Promote { .. } => Kind::Promote,
            Self::Demote { .. } => Kind::Demote,
            Self::Claim => Kind::Claim,
        }
    }
}

impl Change {
    /// Its bytes, as they stand in a payload.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        Bytes::from(self.to_proto().encode_to_vec())
    }

    pub(crate) fn to_proto(&self) -> proto::RosterChange {
        use proto::roster_change::Action as Wire;
        let entry = |dot: Dot| proto::CutEntry {
            region: u32::from(dot.replica.region.0),
            incarnation: dot.replica.incarnation.0,
            sequence: dot.sequence.0,
        };
        let (action, under) = match &self.action {
            Action::Create { members, shares } => {
                let members = members.iter().map(|user| user.0).collect();
                (Wire::Create(proto::GroupCreation { members, shares: shares_to_proto(shares) }), None)
            }
            Action::Add { user, under } => (Wire::Add(user.0), Some(*under)),
            Action::Remove { user, under } => (Wire::Remove(user.0), Some(*under)),
            Action::Promote { user, under } => (Wire::Promote(user.0), Some(*under)),
            Action::Demote { user, under } => (Wire::Demote(user.0), Some(*under)),
            Action::Leave => (Wire::Leave(true), None),
            Action::Claim => (Wire::Claim(true), None),
        };
        let cut = (!self.cut.is_empty()).then(|| self.cut.to_proto());
        proto::RosterChange { cut, under: under.map(entry), action: Some(action) }
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`MalformedOperation`] when the bytes are not a change of this version.
    pub fn decode(bytes: &Bytes) -> Result<Self, MalformedOperation> {
        let source = |source| MalformedOperation::Encoding { what: "roster change", source };
        Self::from_proto(proto::RosterChange::decode(bytes.clone()).map_err(source)?)
    }

    pub(crate) fn from_proto(decoded: proto::RosterChange) -> Result<Self, MalformedOperation> {
        use proto::roster_change::Action as Wire;
        let cut = match &decoded.cut {
            Some(cut) => Cut::from_proto(cut).map_err(|_| MalformedOperation::Field("cut"))?,
            None => Cut::new(),
        };
        let named = decoded.under.as_ref().map(dot).transpose()?;
        let under = || named.ok_or(MalformedOperation::Field("under"));
        let action = match decoded.action.ok_or(MalformedOperation::Field("action"))? {
            Wire::Create(create) if cut.is_empty() => creation(create)?,
            Wire::Create(_) => return Err(MalformedOperation::Field("cut")),
            Wire::Add(user) => Action::Add { user: UserId(user), under: under()? },
            Wire::Remove(user) => Action::Remove { user: UserId(user), under: under()? },
            Wire::Promote(user) => Action::Promote { user: UserId(user), under: under()? },
            Wire::Demote(user) => Action::Demote { user: UserId(user), under: under()? },
            Wire::Leave(true) => Action::Leave,
            Wire::Claim(true) => Action::Claim,
            Wire::Leave(false) | Wire::Claim(false) => return Err(MalformedOperation::Field("action")),
        };
        Ok(Self { cut, action })
    }
}

fn creation(create: proto::GroupCreation) -> Result<Action, MalformedOperation> {
    if create.members.len() > MEMBERS_MAX || !create.members.is_sorted_by(|one, next| one < next) {
        return Err(MalformedOperation::Field("members"));
    }
    let shares = shares(create.shares)?;
    Ok(Action::Create { members: create.members.into_iter().map(UserId).collect(), shares })
}

/// The shares of a creation, as they travel.
pub(crate) fn shares_to_proto(shares: &BTreeMap<ReplicaId, u64>) -> Vec<proto::RightsShare> {
    let share = |(replica, rights): (&ReplicaId, &u64)| proto::RightsShare {
        region: u32::from(replica.region.0),
        incarnation: replica.incarnation.0,
        rights: *rights,
    };
    shares.iter().map(share).collect()
}

/// Reads the shares of a creation.
pub(crate) fn shares(wire: Vec<proto::RightsShare>) -> Result<BTreeMap<ReplicaId, u64>, MalformedOperation> {
    if wire.len() > CUT_ENTRIES_MAX {
        return Err(MalformedOperation::Field("shares"));
    }
    let mut shares = BTreeMap::new();
    for share in wire {
        let replica = replica(share.region, share.incarnation)?;
        if share.rights == 0 || shares.keys().next_back().is_some_and(|before| *before >= replica) {
            return Err(MalformedOperation::Field("shares"));
        }
        shares.insert(replica, share.rights);
    }
    Ok(shares)
}

fn replica(region: u32, incarnation: u64) -> Result<ReplicaId, MalformedOperation> {
    let region = u16::try_from(region).map_err(|_| MalformedOperation::Field("region"))?;
    Ok(ReplicaId { region: RegionId(region), incarnation: Incarnation(incarnation) })
}

fn dot(entry: &proto::CutEntry) -> Result<Dot, MalformedOperation> {
    if entry.sequence == 0 {
        return Err(MalformedOperation::Field("under"));
    }
    Ok(Dot { replica: replica(entry.region, entry.incarnation)?, sequence: Sequence(entry.sequence) })
}
