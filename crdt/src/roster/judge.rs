//! What an operation is on its own cut: judged on what its region had applied when it issued it, which nothing later changes.
//!
//! Most operations need no such judgement: `evaluate.rs` weighs their grant against what is concurrent. An add does, because it spends a right and
//! must do so everywhere or nowhere; a promotion, because promoting somebody who is no member is void, and because the grant keeps
//! alive what the promoted had; a claim, because only an abandoned group can be claimed. What must always hold: a judgement is
//! a function of the operation and of those its cut covers.
//!
//! Cost: an operation that follows all others is judged on the roster as it is; one that does not, by evaluating what it had seen.

use super::door;
use super::evaluate::standings;
use super::standing::{Inherited, Standing, View};
use super::{Action, Folded, RosterOperation, Unfolded};
use crate::id::Dot;
use crate::timeline::Place;
use std::collections::BTreeMap;

/// The outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Judged {
    /// It never stands: its time is not above what it claims to have seen, or its door would have refused it. No region that
    /// keeps to the rules issues such a thing.
    Void,
    /// Its cut decides nothing by itself.
    Plain,
    /// It adds somebody, by a grant that its sender has there, under that creation.
    Add(Dot),
    /// It promotes somebody who is a member there.
    Promote(Inherited),
    /// It claims a group that is abandoned there.
    Claim {
        /// One more than the highest there.
        generation: u32,
        /// The creation that stands there.
        creation: Dot,
        /// What the claimant has there.
        inherited: Inherited,
    },
}

/// Judges an operation that has seen exactly this roster.
pub(super) fn on<'a>(
    view: &View<'_>,
    folded: &Folded,
    unfolded: impl Iterator<Item = &'a Unfolded>,
    operation: &RosterOperation,
) -> Judged {
    let inherited = |user| view.standing(user).and_then(Standing::inherited);
    match &operation.change.action {
        Action::Create { .. } | Action::Remove { .. } | Action::Demote { .. } | Action::Leave => {
            Judged::Plain
        }
        Action::Add { under, .. } => {
            let held = view.standing(operation.sender).and_then(|standing| standing.grants.get(under));
            held.map_or(Judged::Void, |grant| Judged::Add(grant.creation))
        }
        Action::Promote { user, .. } => inherited(*user).map_or(Judged::Void, Judged::Promote),
        Action::Claim => {
            let (mut generation, mut creation) = (folded.generation, folded.creation);
            for seen in unfolded {
                if let Judged::Claim { generation: other, .. } = seen.judged {
                    generation = generation.max(other);
                }
                if matches!(seen.operation.change.action, Action::Create { .. }) {
                    creation = creation.or(Some(seen.operation.dot()));
                }
            }
            let allowed = door::may_claim(view, operation.sender).is_ok();
            match (creation, inherited(operation.sender)) {
                (Some(creation), Some(inherited)) if allowed => {
                    Judged::Claim { generation: generation.saturating_add(1), creation, inherited }
                }
                (_, _) => Judged::Void,
            }
        }
    }
}

/// Judges an operation on those of the unfolded that its cut covers.
pub(super) fn on_its_cut(
    folded: &Folded,
    unfolded: &BTreeMap<Place, Unfolded>,
    operation: &RosterOperation,
) -> Judged {
    let cut = &operation.change.cut;
    let seen = || unfolded.values().filter(|unfolded| cut.covers(unfolded.operation.dot()));
    if seen().any(|seen| seen.operation.place.hlc >= operation.place.hlc) {
        return Judged::Void;
    }
    match operation.change.action {
        Action::Add { .. } | Action::Promote { .. } | Action::Claim => {}
        Action::Create { .. } | Action::Remove { .. } | Action::Demote { .. } | Action::Leave => {
            return Judged::Plain;
        }
    }
    let window: Vec<&Unfolded> = seen().collect();
    let changed = standings(folded, &window);
    on(&View { folded: &folded.users, changed: &changed }, folded, window.into_iter(), operation)
}
