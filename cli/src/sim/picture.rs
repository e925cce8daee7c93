//! The page of a run: the recording of it, with the same words and figures around it that the terminal shows.
//!
//! What must always hold: it says what the table of the same run says; a run that met a panic has no page, and that is said.

use super::answer;
use super::failing_seed::quoted;
use super::played::Played;
use super::promises;
use crate::failure::Failure;
use sim::outcome::Outcome;
use sim::page::{Finding, Judged, Summary, page};

/// What kind of page it is.
const KIND: &str = "Archipelago simulator";

/// The page. `given` is how the scenario was named, and `story` what it says of itself.
///
/// # Errors
/// When the run ended with a panic, so that nothing was recorded.
pub(crate) fn of(given: &str, story: &str, played: &Played) -> Result<String, Failure> {
    let recorded =
        played.ended.as_ref().ok().and_then(|outcome| Some((outcome, outcome.recording.as_ref()?)));
    let Some((outcome, recording)) = recorded else {
        return Err(Failure::Stopped(
            "the run met a panic, so there is nothing to show on a page".to_owned(),
        ));
    };
    Ok(page(recording, &summary(given, story, played, outcome)))
}

fn summary(given: &str, story: &str, played: &Played, outcome: &Outcome) -> Summary {
    let class = played.class();
    let seed = played.script.seed;
    let sections = answer::sections(&outcome.users, &outcome.machines, &played.names());
    let commands = [
        ("run it again", "run"),
        ("tell everything that happens", "replay"),
        ("make it small, if it fails", "shrink"),
    ];
    let command = |(what, verb): (&str, &str)| {
        (what.to_owned(), format!("archipelago sim {verb} {} --seed {seed}", quoted(given)))
    };
    Summary {
        kind: KIND.to_owned(),
        title: outcome.scenario.clone(),
        story: story.trim().to_owned(),
        seed,
        good: class.is_none(),
        verdict: class.map_or_else(
            || "Every promise that was looked at held, and all became whole and quiet".to_owned(),
            |class| format!("{class}: {}", class.meaning()),
        ),
        judged: judged(outcome),
        findings: findings(outcome),
        tables: sections.iter().map(answer::Section::for_page).collect(),
        drawn: outcome.drawn.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        commands: commands.map(command).into(),
    }
}

fn judged(outcome: &Outcome) -> Vec<Judged> {
    let looked_at =
        promises::all().filter_map(|(number, words)| Some((number, words, outcome.promises.get(&number)?)));
    let face = |(number, words, tally): (u8, &str, &sim::checks::world::Tally)| Judged {
        what: format!("{number} {words}"),
        broken: tally.violations,
        checked: tally.checked,
    };
    looked_at.map(face).collect()
}

fn findings(outcome: &Outcome) -> Vec<Finding> {
    let face = |violation: &sim::checks::world::Violation| Finding {
        at_us: Some(violation.at),
        what: format!("promise {}, {}", violation.promise, violation.checker.name()),
        happened: violation.text.clone(),
    };
    let unseen = |promise: &u8| Finding {
        at_us: None,
        what: format!("promise {promise}"),
        happened: "it was asked for, and there was nothing to look at".to_owned(),
    };
    outcome.violations.iter().map(face).chain(outcome.unseen.iter().map(unseen)).collect()
}
