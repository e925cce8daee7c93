//! The door: whether a user may change the roster as a region has it, and under which grant.
//!
//! Judged once, where the command arrives. What is let in here is acknowledged; whether it survives what is concurrent with it is
//! `evaluate.rs`. What must always hold: whatever this lets in takes effect at once on the roster it was judged on.
//! It does not count rights: whether the group has room is the escrow's.

use super::standing::{Rank, Standing, View};
use super::{Action, Roster};
use crate::id::{Dot, UserId};

/// What a user wants to do to a roster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Add that user.
    Add(UserId),
    /// Remove that user.
    Remove(UserId),
    /// Leave.
    Leave,
    /// Make that user an admin.
    Promote(UserId),
    /// Take the role from that user.
    Demote(UserId),
    /// Become the admin of a group that has none.
    Claim,
}

/// Why a user may not, and what would help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    /// Of those who are not in it, nobody changes a group.
    #[error("you are not a member of this group: ask an admin to add you")]
    NotAMember,
    /// Members change nothing but themselves.
    #[error("only admins may do that: ask one of them")]
    NotAnAdmin,
    /// There is nothing to add.
    #[error("{0} is a member already")]
    AlreadyAMember(UserId),
    /// There is nobody to remove, promote or demote.
    #[error("{0} is not a member: add them first")]
    NoSuchMember(UserId),
    /// There is no role to take.
    #[error("{0} is not an admin")]
    NoSuchAdmin(UserId),
    /// Only who stands above an admin demotes or removes them.
    #[error("{0} stands as high as you or higher: ask somebody above them, or they may leave")]
    NotAbove(UserId),
    /// A promotion by this sender would not raise them.
    #[error("{0} is an admin already, as high as you can make them")]
    AlreadyAnAdmin(UserId),
    /// A group with admins is not abandoned.
    #[error("the group has admins: ask one of them to promote you")]
    AdminsRemain,
    /// It is for the most senior member to claim.
    #[error("{0} has been a member for longer: it is theirs to claim")]
    NotMostSenior(UserId),
}

impl Roster {
    /// Judges a wish of that user, and says as which action it is to be issued, on the cut of all that the region has applied.
    ///
    /// # Errors
    /// [`NotAllowed`] says why not.
    pub fn judge_wish(&self, sender: UserId, wish: Wish) -> Result<Action, NotAllowed> {
        let held = self.standing(sender).ok_or(NotAllowed::NotAMember)?;
        match wish {
            Wish::Leave => Ok(Action::Leave),
            Wish::Claim => may_claim(&self.view(), sender).map(|()| Action::Claim),
            Wish::Add(user) => {
                let (under, _) = highest(held)?;
                let member = self.standing(user).is_some();
                if member { Err(NotAllowed::AlreadyAMember(user)) } else { Ok(Action::Add { user, under }) }
            }
            Wish::Remove(user) => {
                let (under, rank) = highest(held)?;
                let other = self.standing(user).ok_or(NotAllowed::NoSuchMember(user))?;
                let below = other.rank().is_none_or(|other| rank.is_above(other));
                if below { Ok(Action::Remove { user, under }) } else { Err(NotAllowed::NotAbove(user)) }
            }
            Wish::Promote(user) => {
                let (under, rank) = highest(held)?;
                let other = self.standing(user).ok_or(NotAllowed::NoSuchMember(user))?;
                let raises = other.rank().is_none_or(|other| rank.below().is_above(other));
                if raises {
                    Ok(Action::Promote { user, under })
                } else {
                    Err(NotAllowed::AlreadyAnAdmin(user))
                }
            }
            Wish::Demote(user) => {
                let (under, rank) = highest(held)?;
                let other = self.standing(user).ok_or(NotAllowed::NoSuchMember(user))?;
                let other = other.rank().ok_or(NotAllowed::NoSuchAdmin(user))?;
                let below = rank.is_above(other);
                if below { Ok(Action::Demote { user, under }) } else { Err(NotAllowed::NotAbove(user)) }
            }
        }
    }
}

/// Whether there is no admin, and no member is more senior: who was added first, then who has the lower id.
pub(super) fn may_claim(view: &View<'_>, sender: UserId) -> Result<(), NotAllowed> {
    let mut senior = None;
    for (user, standing) in view.all() {
        if !standing.grants.is_empty() {
            return Err(NotAllowed::AdminsRemain);
        }
        let added = standing.added.as_ref().map(|added| (added.first, user));
        senior = [senior, added].into_iter().flatten().min();
    }
    match senior {
        Some((_, user)) if user == sender => Ok(()),
        Some((_, user)) => Err(NotAllowed::NotMostSenior(user)),
        None => Err(NotAllowed::NotAMember),
    }
}

fn highest(held: &Standing) -> Result<(Dot, Rank), NotAllowed> {
    held.highest().map(|(dot, grant)| (dot, grant.rank)).ok_or(NotAllowed::NotAnAdmin)
}
