//! Operations on the rights of a group: what regions do so that rights are where they are needed.
//!
//! What must always hold:
//! - Regions issue them by themselves, no user does: so they have no sender, and nobody is shown them.
//! - Decoding is total. A change has one encoding in this version; a later one may add fields.
//!
//! The bytes are Protocol Buffers (`proto/operation.proto`): about 30 bytes and the cut, and 24 for each right returned.

use crate::escrow::Count;
use crate::id::{Dot, Incarnation, RegionId, ReplicaId, Sequence, UserId};
use crate::limits::MEMBERS_MAX;
use crate::operation::MalformedOperation;
use crate::proto;
use crate::roster::Right;
use crate::version_vector::Cut;
use bytes::Bytes;
use prost::Message as _;
use std::collections::BTreeSet;

/// One operation on the rights of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RightsOperation {
    /// Its issuer and number.
    pub dot: Dot,
    /// What it does, and what it was made on.
    pub change: RightsChange,
}

/// What an operation on rights does, and what it was made on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RightsChange {
    /// What the issuing region had applied of the conversation.
    pub cut: Cut,
    /// The creation that issued the rights.
    pub creation: Dot,
    /// What it does.
    pub act: RightsAct,
}

/// What an operation does to a group's rights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RightsAct {
    /// Gives rights to a replica.
    Transfer {
        /// To whom.
        to: ReplicaId,
        /// How many.
        rights: Count,
    },
    /// Has rights back that hold nobody's place any more.
    Return(BTreeSet<Right>),
    /// Takes over from a replica that an epoch has ended, as the heir it names.
    Inherit(ReplicaId),
}

impl RightsChange {
    /// Its bytes, as they stand in a payload.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        Bytes::from(self.to_proto().encode_to_vec())
    }

    pub(crate) fn to_proto(&self) -> proto::RightsChange {
        use proto::rights_change::Act as Wire;
        let act = match &self.act {
            RightsAct::Transfer { to, rights } => Wire::Transfer(proto::RightsShare {
                region: u32::from(to.region.0),
                incarnation: to.incarnation.0,
                rights: rights.0,
            }),
            RightsAct::Return(rights) => Wire::Return(proto::RightsReturn {
                rights: rights
                    .iter()
                    .map(|right| proto::SpentRight {
                        spent_by: Some(to_entry(right.dot)),
                        user: right.user.0,
                    })
                    .collect(),
            }),
            RightsAct::Inherit(of) => {
                let (region, incarnation) = (u32::from(of.region.0), of.incarnation.0);
                Wire::Inherit(proto::Replica { region, incarnation })
            }
        };
        let (cut, creation) = (Some(self.cut.to_proto()), Some(to_entry(self.creation)));
        proto::RightsChange { cut, creation, act: Some(act) }
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`MalformedOperation`] when the bytes are not a change of this version.
    pub fn decode(bytes: &Bytes) -> Result<Self, MalformedOperation> {
        let source = |source| MalformedOperation::Encoding { what: "rights change", source };
        Self::from_proto(proto::RightsChange::decode(bytes.clone()).map_err(source)?)
    }

    pub(crate) fn from_proto(decoded: proto::RightsChange) -> Result<Self, MalformedOperation> {
        use proto::rights_change::Act as Wire;
        let field = MalformedOperation::Field;
        let cut = Cut::from_proto(&decoded.cut.ok_or(field("cut"))?).map_err(|_| field("cut"))?;
        let creation = dot(decoded.creation.as_ref(), "creation")?;
        let act = match decoded.act.ok_or(field("act"))? {
            Wire::Transfer(share) if share.rights > 0 => RightsAct::Transfer {
                to: replica(share.region, share.incarnation)?,
                rights: Count(share.rights),
            },
            Wire::Transfer(_) => return Err(field("rights")),
            Wire::Return(list) => RightsAct::Return(rights(&list)?),
            Wire::Inherit(of) => RightsAct::Inherit(replica(of.region, of.incarnation)?),
        };
        Ok(Self { cut, creation, act })
    }
}

fn rights(list: &proto::RightsReturn) -> Result<BTreeSet<Right>, MalformedOperation> {
    let one = |right: &proto::SpentRight| {
        Ok(Right { dot: dot(right.spent_by.as_ref(), "rights")?, user: UserId(right.user) })
    };
    let rights: Vec<Right> = list.rights.iter().map(one).collect::<Result<_, _>>()?;
    let ascending = rights.is_sorted_by(|one, next| one < next);
    if rights.is_empty() || rights.len() > MEMBERS_MAX || !ascending {
        return Err(MalformedOperation::Field("rights"));
    }
    Ok(rights.into_iter().collect())
}

fn to_entry(dot: Dot) -> proto::CutEntry {
    let ReplicaId { region, incarnation } = dot.replica;
    proto::CutEntry { region: u32::from(region.0), incarnation: incarnation.0, sequence: dot.sequence.0 }
}

fn dot(entry: Option<&proto::CutEntry>, field: &'static str) -> Result<Dot, MalformedOperation> {
    let entry = entry.filter(|entry| entry.sequence > 0).ok_or(MalformedOperation::Field(field))?;
    Ok(Dot { replica: replica(entry.region, entry.incarnation)?, sequence: Sequence(entry.sequence) })
}

fn replica(region: u32, incarnation: u64) -> Result<ReplicaId, MalformedOperation> {
    let region = u16::try_from(region).map_err(|_| MalformedOperation::Field("region"))?;
    Ok(ReplicaId { region: RegionId(region), incarnation: Incarnation(incarnation) })
}
