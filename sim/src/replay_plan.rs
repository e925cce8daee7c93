//! What a replay plays: logs, or conversations of nobody's when there are none, and one that is pinned to the EU.
//!
//! What must always hold: the same logs, settings and dice give the same plan, wherever it is played: over real processes by the rig, or in the simulator.

use crate::conversation_log::ConversationLog;
use crate::generated::{GeneratedSettings, generate};
use crate::plan::{Pin, Plan};
use crate::schedule::{ScheduleError, ScheduleSettings, schedule};
use rand_core::RngCore;

/// Where a plan is to be played, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplaySettings {
    /// How long the schedule lasts, in milliseconds.
    pub duration_ms: u64,
    /// For each region in order whether it is of the placement `eu`.
    pub in_the_eu: Vec<bool>,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplayPlanError {
    /// Pinning would show nothing.
    #[error(
        "the placement `eu` must hold some regions and not all: a conversation is pinned to it, and somebody from outside takes part"
    )]
    Placement,
    /// A log cannot be played.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
}

/// The plan of those logs, or of two generated conversations, and of a pinned one.
///
/// # Errors
/// [`ReplayPlanError`] when a log cannot be played, or all regions or none are of the placement `eu`.
pub fn replay_plan(
    mut logs: Vec<ConversationLog>,
    settings: &ReplaySettings,
    dice: &mut dyn RngCore,
) -> Result<Plan, ReplayPlanError> {
    if logs.is_empty() {
        // Two conversations of some hundred people and messages each: what one log of ours has in a minute of it.
        for name in ["harbour", "market"] {
            let generated = GeneratedSettings { name: name.to_owned(), messages: 500, people: 40 };
            logs.push(generate(&generated, dice));
        }
    }
    let homes = (0..settings.in_the_eu.len()).collect();
    let everywhere = ScheduleSettings { duration_ms: settings.duration_ms, homes, pin: Pin::Everywhere };
    let mut plan = pinned_plan(settings, dice)?;
    for log in &logs {
        plan.merge(schedule(log, &everywhere)?);
    }
    Ok(plan)
}

/// A conversation pinned to the EU, among people at home there and one who is at home outside.
fn pinned_plan(settings: &ReplaySettings, dice: &mut dyn RngCore) -> Result<Plan, ReplayPlanError> {
    let numbered = || settings.in_the_eu.iter().enumerate();
    let homes: Vec<usize> = numbered().filter(|(_, inside)| **inside).map(|(number, _)| number).collect();
    let outside = numbered().find(|(_, inside)| !**inside).map(|(number, _)| number);
    let (false, Some(outside)) = (homes.is_empty(), outside) else { return Err(ReplayPlanError::Placement) };
    let generated = GeneratedSettings { name: "pinned".to_owned(), messages: 100, people: 8 };
    let log = generate(&generated, dice);
    let duration_ms = settings.duration_ms;
    let mut plan = schedule(&log, &ScheduleSettings { duration_ms, homes, pin: Pin::Eu })?;
    // The one who says most among those who did not begin it is the one from outside. It has one conversation.
    let creator = plan.conversations[0].creator;
    let says = |user: usize| plan.steps.iter().filter(|step| step.user == user).count();
    let outsider = (0..plan.users.len()).filter(|user| *user != creator).max_by_key(|user| says(*user));
    if let Some(user) = outsider.and_then(|number| plan.users.get_mut(number)) {
        user.home = outside;
        user.pin = Pin::Everywhere;
    }
    Ok(plan)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng as _;

    fn plan(in_the_eu: &[bool]) -> Result<Plan, ReplayPlanError> {
        let settings = ReplaySettings { duration_ms: 20_000, in_the_eu: in_the_eu.to_vec() };
        replay_plan(vec![], &settings, &mut ChaCha8Rng::seed_from_u64(7))
    }

    #[test]
    fn without_logs_there_are_two_conversations_of_all_and_a_pinned_one_with_somebody_from_outside() {
        let plan = plan(&[false, true, true]).unwrap();
        assert!(plan.is_sound());
        assert_eq!((plan.conversations.len(), plan.messages()), (3, 1_100));
        let pinned = plan.conversations.iter().find(|conversation| conversation.pin == Pin::Eu).unwrap();
        let members = pinned.members.iter().chain(&pinned.added).map(|member| &plan.users[*member]);
        assert_eq!(members.filter(|user| user.home == 0 && user.pin == Pin::Everywhere).count(), 1);
    }

    #[test]
    fn all_regions_or_none_in_the_eu_is_refused() {
        for all in [true, false] {
            assert_eq!(plan(&[all, all]), Err(ReplayPlanError::Placement));
        }
    }
}
