//! The verdicts of a run for people: each promise, how often it was broken, and how much was looked at.
//!
//! What must always hold: a promise that was never looked at is not called kept; the last line says in one sentence how it ended, and agrees
//! with the exit code.

use super::answer::duration;
use super::class::Class;
use super::played::Played;
use super::promises;
use sim::checks::world::Tally;
use sim::page::count;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The table of promises.
pub(crate) fn table(promises: &BTreeMap<u8, Tally>) -> String {
    let mut out = format!("\n{:<54}{:>10}{:>14}\n", "promises", "broken", "looked at");
    for (number, words) in promises::all() {
        // Writing to memory cannot fail, here and below.
        let _written = match promises.get(&number) {
            None => writeln!(out, "- {number:>2} {words:<49}{:>10}{:>14}", "-", "-"),
            Some(Tally { violations, checked }) => {
                let mark = match (violations, checked) {
                    (0, 0) => "-",
                    (0, _) => "✓",
                    _ => "✗",
                };
                let (violations, checked) = (count(*violations), count(*checked));
                writeln!(out, "{mark} {number:>2} {words:<49}{violations:>10}{checked:>14}")
            }
        };
    }
    out
}

/// How it ended, and how fast it ran.
pub(crate) fn ending(played: &Played) -> String {
    let ended = match played.class() {
        Some(class) => format!("NOT OK ({class}): {}", class.meaning()),
        None if played.judged => {
            "OK: every promise that was looked at held, and all became whole and quiet".to_owned()
        }
        None => "NOT JUDGED: the checkers were off".to_owned(),
    };
    format!("\n{ended}  (seed {}{})\n{}\n", played.script.seed, hash(played), speed(played))
}

fn hash(played: &Played) -> String {
    played
        .ended
        .as_ref()
        .map_or_else(|_| String::new(), |outcome| format!(", trace {}", hex(&outcome.trace_hash[..6])))
}

fn speed(played: &Played) -> String {
    let wall_ms = played.measured.wall_ms.max(1);
    let (events, simulated_us) = (played.events(), played.simulated_us());
    let idle = played.ended.as_ref().map_or(0, |outcome| outcome.idle_events);
    format!(
        "{} events in {} ({} a second, {} % of them heartbeats and idle timers); {} simulated, {} times faster than it would be; {} MB",
        count(events),
        duration(Some(wall_ms * 1_000)),
        count(events.saturating_mul(1_000) / wall_ms),
        idle * 100 / events.max(1),
        duration(Some(simulated_us)),
        count(simulated_us / 1_000 / wall_ms),
        played.measured.peak_rss_bytes / 1_000_000,
    )
}

/// As hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a class makes of the exit code, and the sentence on stderr.
pub(crate) fn to_exit(played: &Played) -> Result<(), crate::failure::Failure> {
    match played.class() {
        None => Ok(()),
        Some(class) => {
            Err(crate::failure::Failure::Found { code: class.code(), what: sentence(class, played) })
        }
    }
}

fn sentence(class: Class, played: &Played) -> String {
    format!("seed {} failed: {}", played.script.seed, class.meaning())
}
