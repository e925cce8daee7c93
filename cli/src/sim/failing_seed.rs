//! The report of a failing seed: everything that somebody needs who was not there.
//!
//! What must always hold: seed, commit, what was drawn, verdict, last events, the command that replays it and the one that shrinks it are all in it, and
//! the commands can be copied as they stand.

use super::class::Class;
use super::played::Played;
use super::verdicts;
use std::fmt::Write as _;

/// Last events that are printed.
const LAST_EVENTS: usize = 40;
/// Violations that are printed.
const VIOLATIONS: usize = 10;

/// What stands above the report already, and is not said again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Above {
    /// Nothing.
    Nothing,
    /// The answer of the run, with its verdicts.
    Answer,
    /// All that happened.
    Events,
}

/// The report. `given` is how the scenario was named.
pub(crate) fn report(given: &str, played: &Played, class: Class, above: Above) -> String {
    let seed = played.script.seed;
    let mut out = format!("\nFAILED  {given}, seed {seed}: {class} ({})\n", class.meaning());
    // Writing to memory cannot fail, here and below.
    let _written = writeln!(
        out,
        "  commit   {} ({} build)",
        super::COMMIT,
        if cfg!(debug_assertions) { "debug" } else { "release" }
    );
    if !played.script.drawn.is_empty() {
        let drawn: Vec<String> =
            played.script.drawn.iter().map(|(name, value)| format!("{name} {value}")).collect();
        let _written = writeln!(out, "  drawn    {}", drawn.join(", "));
    }
    match &played.ended {
        Err(panic) => {
            let _written = writeln!(out, "  verdict  {panic}");
        }
        Ok(outcome) => {
            if above != Above::Answer {
                out.push_str(&verdicts::table(&outcome.promises));
            }
            for promise in &outcome.unseen {
                let _written = writeln!(out, "  ✗ promise {promise} was never looked at");
            }
            for violation in outcome.violations.iter().take(VIOLATIONS) {
                let _written = writeln!(out, "  ✗ {violation}");
            }
        }
    }
    if above != Above::Events {
        let _written = writeln!(out, "\n  last events");
        let from = played.lines.len().saturating_sub(LAST_EVENTS);
        for line in played.lines.iter().skip(from) {
            let _written = writeln!(out, "    {line}");
        }
    }
    for (what, verb) in [("replay", "replay"), ("shrink", "shrink")] {
        let _written = writeln!(out, "  {what}   archipelago sim {verb} {} --seed {seed}", quoted(given));
    }
    out
}

/// As a shell takes it.
pub(super) fn quoted(given: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    if given.chars().all(plain) { given.to_owned() } else { format!("'{}'", given.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn commands_can_be_copied_whatever_the_file_is_called() {
        assert_eq!(quoted("storm-of-everything"), "storm-of-everything");
        assert_eq!(quoted("./it's mine.toml"), r"'./it'\''s mine.toml'");
    }
}
