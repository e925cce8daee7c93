//! What a checker may find: the closed list of checkers, each with the promise it holds, and a violation.
//!
//! The twelve promises are those of `docs/architecture.md`. What must always hold: each checker belongs to one promise and one class, and its name is
//! unique; a promise without a checker here is not judged, and [`Checker::promises`] says so by leaving it out.

use crate::world::Moment;
use std::collections::BTreeSet;
use std::fmt;

/// What kind of breach it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Something happened that must never happen.
    Safety,
    /// Something did not happen within the time in which it must.
    Liveness,
}

/// Who looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Checker {
    /// 1: what was acknowledged is in every region once all is calm.
    Lost,
    /// 1: where an acknowledgement means two regions, both have had it.
    Elsewhere,
    /// 1: what is told to be stable is durable in every region of its placement.
    StableEverywhere,
    /// 1: what was acknowledged is not refused afterwards.
    RefusedAfterAcknowledged,
    /// 1: a region that was admitted answers nobody before it holds what the others held.
    Admitted,
    /// 1: what lay on a lost disk is everywhere when the disk may go.
    Salvaged,
    /// 1: a text goes when it has been there for as long as messages are kept, and everywhere.
    Expired,
    /// 2: nothing is acknowledged, delivered or sent on before it is durable.
    Durable,
    /// 3: regions at the same operations hold the same bytes.
    Equal,
    /// 3: what a region holds is what a replay of its log gives.
    Replayed,
    /// 3: a message looks on every device as what was done to it says.
    Amended,
    /// 3: what a deleted message said is on no disk once that is stable.
    Gone,
    /// 3: what a conversation says of itself was last said of it.
    Described,
    /// 3: homes, marks of erased users and flags are what operators made of them.
    Operated,
    /// 3: what a user deleted for themselves is gone from their devices, and from nobody else's.
    DeletedForMe,
    /// 4: a region applies operations after their causes, in one order.
    AppliedInOrder,
    /// 4: a device is shown nothing before its causes, or it is marked.
    CausesFirst,
    /// 4: one sender's messages are shown in the order sent.
    SenderInOrder,
    /// 4: a mark is there exactly as long as something is missing.
    Marks,
    /// 4: a receipt, the effect of a message that was given, claims nothing that was not.
    Receipts,
    /// 4: what a region holds for stable comes before everything that still reaches it.
    StableFirst,
    /// 4: what came before a member was added is not shown to them.
    Hidden,
    /// 4: the histories that devices keep contradict nothing.
    Clients,
    /// 5: whatever is displayed stands where everybody else has it.
    DisplayOrder,
    /// 5: a message moves to an earlier place of its own, and to no other.
    Moves,
    /// 6: one identity is shown once.
    ShownOnce,
    /// 6: a dot is one operation, applied once, and what is shown is what was sent.
    Identity,
    /// 7: a region that is alone serves its own.
    Alone,
    /// 7: a region starts and runs unless its machine failed.
    Runs,
    /// 8: no byte of a pinned partition in a region outside its placement.
    Taint,
    /// 8: nobody whose pin forbids it becomes a member.
    Pins,
    /// 9: a group has never more members than its limit.
    Limit,
    /// 9: a right to a place is spent once, and none is lost.
    Rights,
    /// 10: who is in a group is what the rules say, everywhere and at any time.
    Roster,
    /// 10: whoever was removed is given nothing that came after, and does nothing.
    Removed,
    /// 11: every queue, buffer and window keeps its limit.
    Bounded,
    /// 12: nothing is refused but for what is refused by name.
    Refusals,
    /// 12: honest peers and devices understand each other.
    Understood,
    /// 1: once faults have ended, everything comes to everyone in time.
    Whole,
    /// 11: once faults have ended, every queue and outbox drains.
    Drained,
}

impl Checker {
    /// All of them.
    pub const ALL: [Self; 40] = [
        Self::Lost,
        Self::Elsewhere,
        Self::StableEverywhere,
        Self::RefusedAfterAcknowledged,
        Self::Admitted,
        Self::Salvaged,
        Self::Expired,
        Self::Durable,
        Self::Equal,
        Self::Replayed,
        Self::Amended,
        Self::Gone,
        Self::Described,
        Self::Operated,
        Self::DeletedForMe,
        Self::AppliedInOrder,
        Self::CausesFirst,
        Self::SenderInOrder,
        Self::Marks,
        Self::Receipts,
        Self::StableFirst,
        Self::Hidden,
        Self::Clients,
        Self::DisplayOrder,
        Self::Moves,
        Self::ShownOnce,
        Self::Identity,
        Self::Alone,
        Self::Runs,
        Self::Taint,
        Self::Pins,
        Self::Limit,
        Self::Rights,
        Self::Roster,
        Self::Removed,
        Self::Bounded,
        Self::Refusals,
        Self::Understood,
        Self::Whole,
        Self::Drained,
    ];

    /// The promise it holds, by its number.
    #[must_use]
    pub const fn promise(self) -> u8 {
        match self {
            Self::Lost
            | Self::Elsewhere
            | Self::StableEverywhere
            | Self::RefusedAfterAcknowledged
            | Self::Admitted
            | Self::Salvaged
            | Self::Expired
            | Self::Whole => 1,
            Self::Durable => 2,
            Self::Equal
            | Self::Replayed
            | Self::Amended
            | Self::Gone
            | Self::Described
            | Self::Operated
            | Self::DeletedForMe => 3,
            Self::AppliedInOrder
            | Self::CausesFirst
            | Self::SenderInOrder
            | Self::Marks
            | Self::Receipts
            | Self::StableFirst
            | Self::Hidden
            | Self::Clients => 4,
            Self::DisplayOrder | Self::Moves => 5,
            Self::ShownOnce | Self::Identity => 6,
            Self::Alone | Self::Runs => 7,
            Self::Taint | Self::Pins => 8,
            Self::Limit | Self::Rights => 9,
            Self::Roster | Self::Removed => 10,
            Self::Bounded | Self::Drained => 11,
            Self::Refusals | Self::Understood => 12,
        }
    }

    /// Whether it finds what must never happen, or what does not happen in time.
    #[must_use]
    pub const fn class(self) -> Class {
        match self {
            Self::Whole | Self::Drained | Self::Alone => Class::Liveness,
            Self::Lost
            | Self::Elsewhere
            | Self::StableEverywhere
            | Self::RefusedAfterAcknowledged
            | Self::Admitted
            | Self::Salvaged
            | Self::Expired
            | Self::Durable
            | Self::Equal
            | Self::Replayed
            | Self::Amended
            | Self::Gone
            | Self::Described
            | Self::Operated
            | Self::DeletedForMe
            | Self::AppliedInOrder
            | Self::CausesFirst
            | Self::SenderInOrder
            | Self::Marks
            | Self::Receipts
            | Self::StableFirst
            | Self::Hidden
            | Self::Clients
            | Self::DisplayOrder
            | Self::Moves
            | Self::ShownOnce
            | Self::Identity
            | Self::Runs
            | Self::Taint
            | Self::Pins
            | Self::Limit
            | Self::Rights
            | Self::Roster
            | Self::Removed
            | Self::Bounded
            | Self::Refusals
            | Self::Understood => Class::Safety,
        }
    }

    /// What it says is not so.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lost => "nothing acknowledged is lost",
            Self::Elsewhere => "what two regions are to have is acknowledged once they have",
            Self::StableEverywhere => "what is stable is everywhere",
            Self::RefusedAfterAcknowledged => "what was acknowledged is never refused",
            Self::Admitted => "who was admitted catches up before anybody is answered",
            Self::Salvaged => "what lay on a lost disk is everywhere when the disk may go",
            Self::Expired => "texts are kept for as long as messages are",
            Self::Durable => "visible only when durable",
            Self::Equal => "regions are equal",
            Self::Replayed => "a region holds what its log gives",
            Self::Amended => "messages look as what was done to them says",
            Self::Gone => "what was deleted is gone",
            Self::DeletedForMe => "what a user deleted for themselves is gone for them alone",
            Self::Described => "what a conversation says of itself was last said of it",
            Self::Operated => "homes and flags are what operators made of them",
            Self::AppliedInOrder => "operations are applied after their causes",
            Self::CausesFirst => "causes before effects",
            Self::SenderInOrder => "one sender in order",
            Self::Marks => "a mark is there while something is missing",
            Self::Receipts => "receipts claim only what was given",
            Self::StableFirst => "what is stable comes first",
            Self::Hidden => "what is hidden is not shown",
            Self::Clients => "clients' histories contradict nothing",
            Self::DisplayOrder => "one display order",
            Self::Moves => "messages move to an earlier place of theirs",
            Self::ShownOnce => "shown once",
            Self::Identity => "one identity, as it was sent",
            Self::Alone => "a region alone serves its own",
            Self::Runs => "a region runs",
            Self::Taint => "pinned bytes stay",
            Self::Pins => "every door keeps the pins",
            Self::Limit => "a group keeps its limit",
            Self::Rights => "rights to a place are spent once and none is lost",
            Self::Roster => "revocation wins in a roster",
            Self::Removed => "whoever was removed is out",
            Self::Bounded => "bounded",
            Self::Refusals => "no surprising refusal",
            Self::Understood => "honest peers understand each other",
            Self::Whole => "whole after the storm",
            Self::Drained => "every queue drains",
        }
    }

    /// The promises that have a checker.
    #[must_use]
    pub fn promises() -> BTreeSet<u8> {
        Self::ALL.into_iter().map(Self::promise).collect()
    }
}

/// A promise that was not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// When, in microseconds since the world began.
    pub at: Moment,
    /// Which promise, by its number.
    pub promise: u8,
    /// Who found it.
    pub checker: Checker,
    /// What kind of breach it is.
    pub class: Class,
    /// What happened.
    pub text: String,
}

/// How a promise fared in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// How often it was broken.
    pub violations: u64,
    /// How many things were looked at.
    pub checked: u64,
}

/// The tally of every checker.
#[derive(Debug, Clone)]
pub(crate) struct Tallies([Tally; Checker::ALL.len()]);

impl Default for Tallies {
    fn default() -> Self {
        Self([Tally::default(); Checker::ALL.len()])
    }
}

impl Tallies {
    pub(crate) const fn of(&mut self, checker: Checker) -> &mut Tally {
        // There is one for each, and their numbers are their places.
        &mut self.0[checker as usize]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Checker, Tally)> + '_ {
        Checker::ALL.into_iter().zip(self.0)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Safety => "safety",
            Self::Liveness => "liveness",
        })
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, micros) = (self.at / 1_000_000, self.at % 1_000_000);
        write!(f, "{seconds}.{micros:06} s, promise {}, {}: {}", self.promise, self.checker.name(), self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_checker_has_its_own_name_and_every_promise_has_one() {
        let names: BTreeSet<&str> = Checker::ALL.into_iter().map(Checker::name).collect();
        assert_eq!(names.len(), Checker::ALL.len());
        assert!(Checker::ALL.into_iter().enumerate().all(|(at, checker)| checker as usize == at));
        assert_eq!(
            Checker::promises().into_iter().collect::<Vec<_>>(),
            [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
        );
    }
}
