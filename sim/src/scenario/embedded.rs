//! The scenarios that come with the program, by name.
//!
//! What must always hold: each parses, and is called what its file is.

use super::{Scenario, ScenarioError};

macro_rules! scenarios {
    ($($name:literal),* $(,)?) => {
        /// Their names.
        pub const NAMES: &[&str] = &[$($name),*];
        const TEXTS: &[&str] = &[$(include_str!(concat!("../../scenarios/", $name, ".toml"))),*];
    };
}

scenarios!("calm-day", "comings-and-goings", "forty-minute-cut", "storm-of-everything");

/// The scenario of that name, if there is one.
///
/// # Errors
/// [`ScenarioError`], should one not parse; a test holds that none does.
pub fn embedded(name: &str) -> Option<Result<Scenario, ScenarioError>> {
    let text = NAMES.iter().zip(TEXTS).find(|(known, _)| **known == name)?.1;
    Some(Scenario::parse(&format!("sim/scenarios/{name}.toml"), text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_embedded_scenario_parses_and_is_called_what_its_file_is() {
        for name in NAMES {
            match embedded(name) {
                Some(Ok(scenario)) => assert_eq!(scenario.name, **name),
                Some(Err(error)) => panic!("{error}"),
                None => panic!("{name} is not there"),
            }
        }
    }
}
