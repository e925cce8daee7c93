//! What one user is in a group: added or not, and which grants they hold.
//!
//! What must always hold: a standing holds nothing that depends on what was folded when. Regions that have applied the same
//! operations hold equal standings, so their canonical bytes are compared.

use crate::canonical::{Decoder, Encoder, MalformedState};
use crate::id::{Dot, UserId};
use crate::timeline::Place;
use crate::version_vector::Cut;
use std::collections::BTreeMap;

/// How high an admin stands: lower is higher. The creator is at the top; whoever is promoted stands one step below who
/// promoted them. Whoever claims an abandoned group begins a generation of their own, below all before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    pub(super) generation: u32,
    pub(super) depth: u32,
}

impl Rank {
    /// How often the group had been abandoned and claimed before this tree of admins began.
    #[must_use]
    pub const fn generation(self) -> u32 {
        self.generation
    }

    /// How many promotions below the top of that tree.
    #[must_use]
    pub const fn depth(self) -> u32 {
        self.depth
    }

    /// The creator's.
    pub const CREATOR: Self = Self { generation: 0, depth: 0 };

    pub(super) const fn claimed(generation: u32) -> Self {
        Self { generation, depth: 0 }
    }

    /// Of whoever is promoted under it.
    pub(super) const fn below(self) -> Self {
        Self { depth: self.depth.saturating_add(1), ..self }
    }

    /// Whether who holds this may demote who holds the other.
    #[must_use]
    pub fn is_above(self, other: Self) -> bool {
        self < other
    }
}

/// From where a member sees the conversation: none if from its beginning, else all but what the cut covers.
pub(super) type Since = Option<Cut>;

/// The right to act as an admin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) rank: Rank,
    /// The creation at the root of its tree.
    pub(super) creation: Dot,
    pub(super) inherited: Inherited,
}

/// What a user had when they were granted something, which the grant keeps alive for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Inherited {
    pub(super) since: Since,
    /// The add that holds the right to their place.
    pub(super) right: Place,
}

/// The join of the adds that stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Added {
    /// The earliest: it tells seniority, and holds the right to the place.
    pub(super) first: Place,
    pub(super) since: Since,
}

/// What a user is. Nothing in it: not a member.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Standing {
    pub(super) added: Option<Added>,
    pub(super) grants: BTreeMap<Dot, Grant>,
}

/// The standings of a group: those that were folded, and over them those that changed since.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) folded: &'a BTreeMap<UserId, Standing>,
    pub(super) changed: &'a BTreeMap<UserId, Standing>,
}

impl<'a> View<'a> {
    /// That of a member.
    pub(super) fn standing(&self, user: UserId) -> Option<&'a Standing> {
        let standing = self.changed.get(&user).or_else(|| self.folded.get(&user));
        standing.filter(|standing| standing.is_member())
    }

    /// Those of all members, sorted by user.
    pub(super) fn all(&self) -> impl Iterator<Item = (UserId, &'a Standing)> + use<'a> {
        let (mut folded, mut changed) = (self.folded.iter().peekable(), self.changed.iter().peekable());
        let merged = std::iter::from_fn(move || match (folded.peek(), changed.peek()) {
            (Some((one, _)), Some((other, _))) if one < other => folded.next(),
            (Some((one, _)), Some((other, _))) if one == other => {
                folded.next();
                changed.next()
            }
            (Some(_), None) => folded.next(),
            (Some(_) | None, _) => changed.next(),
        });
        merged.filter(|(_, standing)| standing.is_member()).map(|(user, standing)| (*user, standing))
    }
}

impl Standing {
    pub(super) fn is_member(&self) -> bool {
        self.added.is_some() || !self.grants.is_empty()
    }

    /// One more add that stands.
    pub(super) fn admit(&mut self, place: Place, since: Since) {
        self.added = Some(match self.added.take() {
            None => Added { first: place, since },
            Some(before) => Added { first: before.first.min(place), since: join(before.since, since) },
        });
    }

    /// The grant they act under: the highest.
    pub(super) fn highest(&self) -> Option<(Dot, &Grant)> {
        let by_rank = |(dot, grant): &(&Dot, &Grant)| (grant.rank, **dot);
        self.grants.iter().min_by_key(by_rank).map(|(dot, grant)| (*dot, grant))
    }

    pub(super) fn rank(&self) -> Option<Rank> {
        self.highest().map(|(_, grant)| grant.rank)
    }

    pub(super) fn since(&self) -> Since {
        if let Some(added) = &self.added {
            return added.since.clone();
        }
        let each = self.grants.values().map(|grant| grant.inherited.since.clone());
        each.reduce(join).flatten()
    }

    /// The add that holds the right to their place. An add that was folded and was not this one never becomes it: what undoes the adds of
    /// a folded prefix undoes all of them, and the highest of its grants is the last to go.
    pub(super) fn right(&self) -> Option<Place> {
        self.added.as_ref().map_or_else(
            || {
                let by_rank = |grant: &&Grant| (grant.rank, grant.inherited.right);
                self.grants.values().min_by_key(by_rank).map(|grant| grant.inherited.right)
            },
            |added| Some(added.first),
        )
    }

    pub(super) fn inherited(&self) -> Option<Inherited> {
        Some(Inherited { since: self.since(), right: self.right()? })
    }
}

/// Of two ways in. Who sees from the beginning keeps doing so; else what either hides is hidden, since a device is
/// streamed a conversation in the order of arrival and a later add cannot owe it what its stream has passed.
fn join(one: Since, other: Since) -> Since {
    let (mut one, other) = (one?, other?);
    one.join(&other);
    Some(one)
}

impl Rank {
    pub(super) fn write(self, encoder: &mut Encoder) {
        encoder.varint(u64::from(self.generation));
        encoder.varint(u64::from(self.depth));
    }

    pub(super) fn read(decoder: &mut Decoder<'_>) -> Result<Self, MalformedState> {
        Ok(Self { generation: decoder.small()?, depth: decoder.small()? })
    }
}

fn write_since(since: &Since, encoder: &mut Encoder) {
    encoder.byte(u8::from(since.is_some()));
    if let Some(cut) = since {
        cut.write(encoder);
    }
}

fn read_since(decoder: &mut Decoder<'_>) -> Result<Since, MalformedState> {
    decoder.flag()?.then(|| Cut::take(decoder)).transpose()
}

impl Inherited {
    pub(super) fn write(&self, encoder: &mut Encoder) {
        write_since(&self.since, encoder);
        self.right.write(encoder);
    }

    pub(super) fn read(decoder: &mut Decoder<'_>) -> Result<Self, MalformedState> {
        Ok(Self { since: read_since(decoder)?, right: Place::read(decoder)? })
    }
}

impl Standing {
    pub(super) fn write(&self, encoder: &mut Encoder) {
        encoder.byte(u8::from(self.added.is_some()));
        if let Some(added) = &self.added {
            added.first.write(encoder);
            write_since(&added.since, encoder);
        }
        encoder.count(self.grants.len());
        for (dot, grant) in &self.grants {
            encoder.dot(*dot);
            grant.rank.write(encoder);
            encoder.dot(grant.creation);
            grant.inherited.write(encoder);
        }
    }

    pub(super) fn read(decoder: &mut Decoder<'_>) -> Result<Self, MalformedState> {
        let added = if decoder.flag()? {
            Some(Added { first: Place::read(decoder)?, since: read_since(decoder)? })
        } else {
            None
        };
        let grants = decoder.map(Decoder::DOT_BYTES_MIN, |decoder| {
            let dot = decoder.dot()?;
            let (rank, creation) = (Rank::read(decoder)?, decoder.dot()?);
            Ok((dot, Grant { rank, creation, inherited: Inherited::read(decoder)? }))
        })?;
        let standing = Self { added, grants };
        if standing.is_member() { Ok(standing) } else { Err(MalformedState("a member who is none")) }
    }
}
