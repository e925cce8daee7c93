//! The scenarios that come with the program, by name.
//!
//! What must always hold: each parses, and is called what its file is.

use super::{Scenario, ScenarioError};

macro_rules! scenarios {
    ($($(#[$doc:meta])* $names:ident, $texts:ident: $($name:literal),*;)*) => {
        $(
            $(#[$doc])*
            pub const $names: &[&str] = &[$($name),*];
            const $texts: &[&str] = &[$(include_str!(concat!("../../scenarios/", $name, ".toml"))),*];
        )*
    };
}

scenarios!(
    /// Those that are explored: each plays in about a second.
    NAMES, TEXTS:
    "a-disk-stands-still",
    "a-region-begins-with-a-snapshot",
    "a-region-joins",
    "alone",
    "another-release",
    "calm-day",
    "clock-an-hour-ahead",
    "clock-set-back",
    "comings-and-goings",
    "drawers-of-old-phones",
    "edits-taken-along",
    "failing-and-full-disks",
    "flapping-link",
    "forty-minute-cut",
    "goal",
    "killed-over-and-over",
    "killed-while-it-waits",
    "limits-at-the-brink",
    "lost-and-replaced",
    "lost-for-good",
    "a-disk-is-found",
    "many-hands",
    "messages-are-kept-for-seconds",
    "much-to-send-again",
    "new-year",
    "offline-for-days",
    "one-way-cut",
    "pinned-in-the-world",
    "reconnect-storm",
    "restored-from-yesterday",
    "rights-over-a-star",
    "roaming-through-a-cut",
    "roster-wars",
    "second-thoughts",
    "slow-link",
    "slow-phones",
    "star-loses-hub",
    "storm-of-everything",
    "ten-thousand-waiting",
    "the-home-is-lost",
    "two-regions-have-it",
    "two-see-a-third";
    /// Those that take longer: large ones, which are there to be measured, and long ones.
    MEASURES, MEASURE_TEXTS:
    "away-for-forty-days",
    "measure-hundred-thousand",
    "measure-thirty",
    "measure-thousand";
);

/// The scenario of that name, if there is one.
///
/// # Errors
/// [`ScenarioError`], should one not parse; a test holds that none does.
pub fn embedded(name: &str) -> Option<Result<Scenario, ScenarioError>> {
    let measures = MEASURES.iter().zip(MEASURE_TEXTS);
    let (_, text) = NAMES.iter().zip(TEXTS).chain(measures).find(|(known, _)| **known == name)?;
    Some(Scenario::parse(&format!("sim/scenarios/{name}.toml"), text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_embedded_scenario_parses_and_is_called_what_its_file_is() {
        for name in NAMES.iter().chain(MEASURES) {
            match embedded(name) {
                Some(Ok(scenario)) => assert_eq!(scenario.name, **name),
                Some(Err(error)) => panic!("{error}"),
                None => panic!("{name} is not there"),
            }
        }
    }
}
