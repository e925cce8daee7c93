//! The scenarios that come with the program: each is drawn with many seeds, and some are played.
//!
//! Playing all of them takes an optimised build: `ARCHIPELAGO_SCENARIOS=all cargo test --release -p sim --test scenarios -- --nocapture`, with
//! `ARCHIPELAGO_FIRST_SEED` and `ARCHIPELAGO_SEEDS`, prints a line for each.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::disallowed_types)]

use sim::outcome::Verdict;
use sim::run::{Options, run};
use sim::scenario::{NAMES, Scenario, embedded};
use sim::script::{Script, draw};

/// What the ordinary tests play.
const PLAYED: &[&str] = &["much-to-send-again", "roaming-through-a-cut"];

fn script(name: &str, seed: u64) -> Script {
    draw(&embedded(name).unwrap().unwrap(), seed)
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// A joiner's log is another region's at first, and those who have all of that are not sent it.
#[test]
fn where_a_region_begins_with_a_snapshot_others_go_on_at_the_base_of_its_log() {
    let outcome = run(&script("a-region-begins-with-a-snapshot", 1), Options::default());
    assert_eq!(outcome.class, Verdict::Kept, "{:?}", outcome.promises);
    assert!(outcome.marks.joined > 0 && outcome.marks.at_base > 0, "{:?}", outcome.marks);
}

#[test]
fn scenarios_are_kept() {
    let wish = std::env::var("ARCHIPELAGO_SCENARIOS").unwrap_or_default();
    let names = match wish.as_str() {
        "" => PLAYED.to_vec(),
        "all" => NAMES.to_vec(),
        names => names.split(',').collect(),
    };
    let (first, count) = (number("ARCHIPELAGO_FIRST_SEED", 1), number("ARCHIPELAGO_SEEDS", 1));
    let mut broken = Vec::new();
    for name in names {
        for seed in first..first + count {
            let began = std::time::Instant::now();
            let outcome = run(&script(name, seed), Options::default());
            let (took, simulated) = (began.elapsed(), outcome.simulated_us / 1_000_000);
            println!(
                "{name} {seed}: {:?}, {} events, {simulated} s in {took:.2?}, shown {}, not looked at {:?}",
                outcome.class,
                outcome.events,
                outcome.marks.shown,
                outcome
                    .promises
                    .iter()
                    .filter(|(_, tally)| tally.checked == 0)
                    .map(|(promise, _)| promise)
                    .collect::<Vec<_>>()
            );
            if outcome.class != Verdict::Kept {
                let violations: Vec<String> = outcome.violations.iter().map(ToString::to_string).collect();
                println!("  {}\n  {:?}", violations.join("\n  "), outcome.promises);
                broken.push((name.to_owned(), seed));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:?}");
}

/// Seeds that drew pinned users alone, and conversations of the world alone: nobody could be in any, and nothing was ever looked at.
#[test]
fn in_every_storm_somebody_can_talk_to_somebody() {
    let storm = embedded("storm-of-everything").unwrap().unwrap();
    for seed in [237, 400, 633, 652, 1752, 2246, 2354].into_iter().chain(3_000..3_150) {
        let script = draw(&storm, seed);
        assert!(script.conversations.iter().any(|of| !of.members.is_empty()), "seed {seed}");
    }
}

/// Faults bring fields of their own into a table that has some already.
#[test]
fn every_kind_of_fault_is_printed_and_read_back() {
    let storm = embedded("storm-of-everything").unwrap().unwrap();
    for seed in 0..150 {
        let script = draw(&storm, seed);
        let printed = Scenario::parse("printed", &script.print("storm", "Printed.").unwrap());
        assert_eq!(draw(&printed.unwrap_or_else(|error| panic!("seed {seed}: {error}")), seed), script);
    }
}

#[test]
fn every_scenario_is_drawn_with_every_seed_and_read_back_as_printed() {
    for name in NAMES {
        for seed in [1, 2, 77, 1 << 62] {
            let script = script(name, seed);
            assert!(
                script.regions.len() > 1 && !script.devices.is_empty() && !script.acts.is_empty(),
                "{name}"
            );
            assert_eq!(script, self::script(name, seed));
            let printed = Scenario::parse("printed", &script.print(name, "Printed.").unwrap()).unwrap();
            assert_eq!(draw(&printed, seed), script, "{name}");
        }
    }
}

/// A mistake in a file, and what is said of it.
fn refused(text: &str, line: usize, says: &str) {
    let error = Scenario::parse("mine.toml", text).unwrap_err();
    let said = error.to_string();
    assert!(said.starts_with(&format!("mine.toml:{line}: ")) && said.contains(says), "{said}");
}

#[test]
fn a_mistake_is_named_with_its_line_and_what_to_write() {
    let with = |more: &str| format!("name = \"mine\"\nstory = \"A test.\"\n{more}");
    refused(&with("lenght_s = 3"), 3, "unknown field `lenght_s`");
    refused(&with("length_s = \"5 to 7\""), 3, "write 30, \"5..40\" or \"0 | 3..12\"");
    refused(&with("length_s = 0"), 1, "a storm lasts at least a second");
    refused(&with("checks = [13]"), 1, "numbered 1 to 12");
    refused(&with("[topology]\nregions = [\"a\"]\neu = [\"a\"]"), 1, "name 2 to 9");
    refused(&with("[population]\nhomes = { paris = 1 }"), 1, "there is no region `paris`");
    refused(&with("[faults]\nkinds = { flood = 1 }"), 1, "there is no fault `flood`");
    let fault = "[[fault]]\nkind = \"island\"\nregion = \"virginia\"\nbegins = \"10%\"\n";
    refused(&with(fault), 3, "missing field `ends`");
    refused(&with(&format!("{fault}ends = \"5%\"")), 3, "put `ends` after `begins`");
    refused(&with(&format!("{fault}ends = \"50 %\"\nwhy = 1")), 3, "unknown field `why`");
    refused(&with(&format!("{fault}ends = \"soon\"")), 3, "write \"40%\", \"90 s\"");
    refused(&with("[[act]]\nat = \"1 s\"\nwhat = \"go-offline\""), 3, "give `by`");
    refused(&with("[[act]]\nat = \"1 s\"\nby = 1\nwhat = \"fly\""), 3, "unknown variant `fly`");
    let admit = "[[act]]\nat = \"1 s\"\nby = 1\nwhat = \"admit\"\nregion = \"virginia\"";
    refused(&with(admit), 3, "only a region of `topology.late` is admitted");
    refused(&with("[topology]\nlate = [\"frankfurt\", \"dublin\"]"), 1, "`topology.late` leaves too few");
}

#[test]
fn every_example_of_the_documentation_is_a_scenario_that_can_be_played() {
    let page = include_str!("../../docs/scenarios.md");
    let examples = page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let mut count = 0;
    for example in examples {
        let scenario =
            Scenario::parse("docs/scenarios.md", example).unwrap_or_else(|error| panic!("{error}"));
        let script = draw(&scenario, 1);
        if scenario.wants_log().is_none() {
            let outcome = run(&script, Options::default());
            assert_eq!(outcome.class, Verdict::Kept, "{}: {:?}", scenario.name, outcome.violations);
            assert!(outcome.marks.shown > 0, "{}", scenario.name);
        }
        count += 1;
    }
    assert_eq!(count, 4);
}

#[test]
fn a_real_conversation_is_written_line_by_line_by_those_who_said_it() {
    let raw = "[10:00] <ann> does anybody know\n[10:00] <bob> no\n=== bob is now known as bobby\n[10:05] <bobby> yes\n";
    let log =
        sim::conversation_log::ConversationLog::parse("log", "raw", raw, "links", "0 1 -\n0 3 -\n").unwrap();
    let page = include_str!("../../docs/scenarios.md");
    let example = page.split("```toml\n").find(|example| example.contains("log = ")).unwrap();
    let mut scenario = Scenario::parse("example", example.split("```").next().unwrap()).unwrap();
    assert_eq!(scenario.wants_log(), Some("logs/ubuntu-2005"));
    scenario.give_log(log);
    assert_eq!(scenario.wants_log(), None);
    let script = draw(&scenario, 5);
    let said = script.acts.iter().filter_map(|act| match &act.what {
        sim::script::What::Write { text, reply, .. } => Some((act.device, text.clone().unwrap(), *reply)),
        _ => None,
    });
    let said: Vec<(u64, String, bool)> = said.collect();
    let line = |device, text: &str, reply| (device, text.to_owned(), reply);
    assert_eq!(said, [line(16, "does anybody know", false), line(32, "no", true), line(32, "yes", true)]);
    let outcome = run(&script, Options::default());
    assert_eq!(outcome.class, Verdict::Kept, "{:?}", outcome.violations);
}
