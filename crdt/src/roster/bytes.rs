//! The bytes of a roster: the canonical ones that regions compare, and the record that one keeps.
//!
//! What must always hold:
//! - The canonical bytes say what the users are, and nothing about what was folded: regions that have applied the same operations have the
//!   same, whatever each has folded.
//! - A record is read back as the very roster that was written, and only that one encoding decodes.
//!
//! Growth: a record has per member 10 bytes, 22 and a cut for their add, and 50 and a cut for each grant; per unfolded operation about 70 bytes
//! and its cut, and as much again as the grant it gives. A cut is 1 byte and about 13 a replica.

use super::judge::Judged;
use super::standing::{Inherited, Standing};
use super::{Action, Change, Folded, Roster, RosterOperation, Unfolded};
use crate::Timestamp;
use crate::canonical::{Decoder, Encoder, MalformedState};
use crate::id::{Incarnation, RegionId, ReplicaId};
use crate::timeline::{Identity, Place};
use crate::version_vector::Cut;
use std::collections::BTreeMap;

impl Roster {
    /// The canonical bytes: equal for all who have applied the same operations.
    #[must_use]
    pub fn canonical_bytes(&self) -> Vec<u8> {
        let mut encoder = Encoder::default();
        encoder.count(self.size());
        for (user, standing) in self.view().all() {
            encoder.user(user);
            standing.write(&mut encoder);
        }
        encoder.into_bytes()
    }

    /// The record that a region keeps.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut encoder = Encoder::default();
        self.write(&mut encoder);
        encoder.into_bytes()
    }

    pub(crate) fn write(&self, encoder: &mut Encoder) {
        self.folded.write(encoder);
        encoder.count(self.unfolded.len());
        for unfolded in self.unfolded.values() {
            unfolded.write(encoder);
        }
    }

    /// Reads a record.
    ///
    /// # Errors
    /// [`MalformedState`] for any other bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, MalformedState> {
        let mut decoder = Decoder::new(bytes);
        let roster = Self::take(&mut decoder)?;
        decoder.finish()?;
        Ok(roster)
    }

    pub(crate) fn take(decoder: &mut Decoder<'_>) -> Result<Self, MalformedState> {
        let folded = Folded::read(decoder)?;
        let unfolded = decoder.map(8 + Decoder::DOT_BYTES_MIN, |decoder| {
            let unfolded = Unfolded::read(decoder)?;
            Ok((unfolded.operation.place, unfolded))
        })?;
        let mut roster = Self { folded, unfolded, ..Self::default() };
        roster.summarise();
        Ok(roster)
    }
}

impl Folded {
    fn write(&self, encoder: &mut Encoder) {
        self.dots.write(encoder);
        encoder.fixed(&self.highest.0.to_be_bytes());
        encoder.varint(u64::from(self.generation));
        encoder.byte(u8::from(self.creation.is_some()));
        if let Some(creation) = self.creation {
            encoder.dot(creation);
        }
        encoder.count(self.users.len());
        for (user, standing) in &self.users {
            encoder.user(*user);
            standing.write(encoder);
        }
    }

    fn read(decoder: &mut Decoder<'_>) -> Result<Self, MalformedState> {
        Ok(Self {
            dots: Cut::take(decoder)?,
            highest: Timestamp(decoder.number()?),
            generation: decoder.small()?,
            creation: decoder.flag()?.then(|| decoder.dot()).transpose()?,
            users: decoder.map(9, |decoder| Ok((decoder.user()?, Standing::read(decoder)?)))?,
        })
    }
}

impl Unfolded {
    fn write(&self, encoder: &mut Encoder) {
        let operation = &self.operation;
        operation.place.write(encoder);
        operation.identity().write(encoder);
        operation.change.cut.write(encoder);
        operation.change.action.write(encoder);
        self.judged.write(encoder);
    }

    fn read(decoder: &mut Decoder<'_>) -> Result<Self, MalformedState> {
        let place = Place::read(decoder)?;
        let Identity { sender, message: command } = Identity::read(decoder)?;
        let cut = Cut::take(decoder)?;
        let action = Action::read(decoder)?;
        let operation = RosterOperation { place, sender, command, change: Change { cut, action } };
        Ok(Self { operation, judged: Judged::read(decoder)? })
    }
}

impl Action {
    const fn code(&self) -> u8 {
        match self {
            Self::Create { .. } => 0,
            Self::Add { .. } => 1,
            Self::Remove { .. } => 2,
            Self::Leave => 3,
            Self::Promote { .. } => 4,
            Self::Demote { .. } => 5,
            Self::Claim => 6,
        }
    }

    pub(crate) fn write(&self, encoder: &mut Encoder) {
        encoder.byte(self.code());
        match self {
            Self::Create { members, shares } => {
                encoder.count(members.len());
                members.iter().for_each(|user| encoder.user(*user));
                encoder.count(shares.len());
                for (replica, rights) in shares {
                    encoder.fixed(&replica.region.0.to_be_bytes());
                    encoder.fixed(&replica.incarnation.0.to_be_bytes());
                    encoder.varint(*rights);
                }
            }
            Self::Add { user, under }
            | Self::Remove { user, under }
            | Self::Promote { user, under }
            | Self::Demote { user, under } => {
                encoder.user(*user);
                encoder.dot(*under);
            }
            Self::Leave | Self::Claim => {}
        }
    }

    pub(crate) fn read(decoder: &mut Decoder<'_>) -> Result<Self, MalformedState> {
        let code = decoder.byte()?;
        let named = |decoder: &mut Decoder<'_>| Ok((decoder.user()?, decoder.dot()?));
        Ok(match code {
            0 => {
                let members = decoder.map(8, |decoder| Ok((decoder.user()?, ())))?.into_keys().collect();
                Self::Create { members, shares: shares(decoder)? }
            }
            1 => named(decoder).map(|(user, under)| Self::Add { user, under })?,
            2 => named(decoder).map(|(user, under)| Self::Remove { user, under })?,
            3 => Self::Leave,
            4 => named(decoder).map(|(user, under)| Self::Promote { user, under })?,
            5 => named(decoder).map(|(user, under)| Self::Demote { user, under })?,
            6 => Self::Claim,
            7..=u8::MAX => return Err(MalformedState("a roster action that is none")),
        })
    }
}

fn shares(decoder: &mut Decoder<'_>) -> Result<BTreeMap<ReplicaId, u64>, MalformedState> {
    decoder.map(11, |decoder| {
        let region = RegionId(u16::from_be_bytes(decoder.array()?));
        let incarnation = Incarnation(decoder.number()?);
        Ok((ReplicaId { region, incarnation }, decoder.varint()?))
    })
}

impl Judged {
    fn write(&self, encoder: &mut Encoder) {
        match self {
            Self::Void => encoder.byte(0),
            Self::Plain => encoder.byte(1),
            Self::Add(creation) => {
                encoder.byte(2);
                encoder.dot(*creation);
            }
            Self::Promote(inherited) => {
                encoder.byte(3);
                inherited.write(encoder);
            }
            Self::Claim { generation, creation, inherited } => {
                encoder.byte(4);
                encoder.varint(u64::from(*generation));
                encoder.dot(*creation);
                inherited.write(encoder);
            }
        }
    }

    fn read(decoder: &mut Decoder<'_>) -> Result<Self, MalformedState> {
        Ok(match decoder.byte()? {
            0 => Self::Void,
            1 => Self::Plain,
            2 => Self::Add(decoder.dot()?),
            3 => Self::Promote(Inherited::read(decoder)?),
            4 => Self::Claim {
                generation: decoder.small()?,
                creation: decoder.dot()?,
                inherited: Inherited::read(decoder)?,
            },
            5..=u8::MAX => return Err(MalformedState("a judgement that is none")),
        })
    }
}
