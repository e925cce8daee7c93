//! The bytes of a group: the canonical ones that regions compare, and the record that one keeps.
//!
//! What must always hold:
//! - The canonical bytes are the roster's and the rights of the creation that stands, and say nothing about what was folded.
//! - A record is read back as the very group that was written, and only that one encoding decodes.

use super::{Group, Issue};
use crate::canonical::{Decoder, Encoder, MalformedState, ascending};
use crate::escrow::Escrow;
use crate::roster::{Action, Right, Roster};
use crate::timeline::Identity;

impl Group {
    /// The canonical bytes: equal for all who have applied the same operations.
    #[must_use]
    pub fn canonical_bytes(&self) -> Vec<u8> {
        let mut encoder = Encoder::default();
        encoder.fixed(&self.roster.canonical_bytes());
        if let Some(issue) = self.standing() {
            issue.write(&mut encoder);
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
        self.roster.write(encoder);
        encoder.count(self.issues.len());
        for issue in &self.issues {
            issue.command.write(encoder);
            issue.create.write(encoder);
            encoder.count(issue.creations.len());
            issue.creations.iter().for_each(|dot| encoder.dot(*dot));
            issue.write(encoder);
            encoder.count(issue.freed.len());
            issue.freed.iter().for_each(|right| right.write(encoder));
        }
    }

    /// Reads a record.
    ///
    /// # Errors
    /// [`MalformedState`] for any other bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, MalformedState> {
        let mut decoder = Decoder::new(bytes);
        let group = Self::take(&mut decoder)?;
        decoder.finish()?;
        Ok(group)
    }

    pub(crate) fn take(decoder: &mut Decoder<'_>) -> Result<Self, MalformedState> {
        let roster = Roster::take(decoder)?;
        let mut issues: Vec<Issue> = Vec::new();
        for _ in 0..decoder.count(24)? {
            let issue = Issue::read(decoder)?;
            ascending(issues.last().map(Issue::key).as_ref(), &issue.key())?;
            issues.push(issue);
        }
        Ok(Self { roster, issues })
    }
}

impl Issue {
    fn write(&self, encoder: &mut Encoder) {
        self.escrow.write(encoder);
        encoder.count(self.spent.len());
        for right in &self.spent {
            right.write(encoder);
        }
        encoder.count(self.first.len());
        self.first.iter().for_each(|user| encoder.user(*user));
    }

    fn read(decoder: &mut Decoder<'_>) -> Result<Self, MalformedState> {
        let command = Identity::read(decoder)?;
        let create = Action::read(decoder)?;
        if !matches!(create, Action::Create { .. }) {
            return Err(MalformedState("rights that no creation issued"));
        }
        let dots = decoder.map(Decoder::DOT_BYTES_MIN, |decoder| Ok((decoder.dot()?, ())))?;
        if dots.is_empty() {
            return Err(MalformedState("rights that no creation issued"));
        }
        let escrow = Escrow::take(decoder)?;
        let rights = |decoder: &mut Decoder<'_>| {
            let rights =
                decoder.map(Decoder::DOT_BYTES_MIN + 8, |decoder| Ok((Right::read(decoder)?, ())))?;
            Ok(rights.into_keys().collect())
        };
        let spent = rights(decoder)?;
        let first = decoder.map(8, |decoder| Ok((decoder.user()?, ())))?.into_keys().collect();
        let creations = dots.into_keys().collect();
        Ok(Self { command, create, creations, escrow, spent, first, freed: rights(decoder)? })
    }
}
