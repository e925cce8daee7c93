//! Real logs from disk: files and their mistakes, and, with `ARCHIPELAGO_LOGS` naming a folder of them, all that are there.
//!
//! The project ships none of these texts; the totals are those of the ten logs that the README names.

#![allow(clippy::unwrap_used)]

use sim::plan::{Act, Amendment, Pin, Plan};
use sim::schedule::{ScheduleSettings, schedule};
use sim_rig::read_log;
use std::path::Path;

fn plan(raw: &Path) -> Plan {
    let log = read_log(raw).unwrap();
    let settings = ScheduleSettings { duration_ms: 60_000, homes: vec![0, 1, 2], pin: Pin::Everywhere };
    schedule(&log, &settings).unwrap()
}

#[test]
fn a_log_is_two_files_and_what_is_missing_or_wrong_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let raw = folder.path().join("isles.raw.txt");
    std::fs::write(&raw, "[10:00] <ann> hello\n[10:01] <bob> hello ann\n").unwrap();
    let said = |path: &Path| read_log(path).unwrap_err().to_string();
    assert!(said(&raw).contains("isles.annotation.txt: No such file"));
    std::fs::write(folder.path().join("isles.annotation.txt"), "0 1 -\n").unwrap();
    assert_eq!(read_log(&raw).unwrap().messages(), 2);
    assert!(said(&folder.path().join("isles.txt")).contains("a log's name ends in .raw.txt"));
    std::fs::write(&raw, "[10:00] <ann> hello\nwhat is this\n").unwrap();
    assert!(said(&raw).contains("isles.raw.txt:2: `what is this` is neither"));
}

#[test]
fn all_real_logs_become_sound_plans() {
    let Some(folder) = std::env::var_os("ARCHIPELAGO_LOGS") else { return };
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let logs: Vec<_> = entries.filter(|path| path.to_string_lossy().ends_with(".raw.txt")).collect();
    assert_eq!(logs.len(), 10);
    let mut totals = [0; 5];
    let mut derived = [0; 6];
    let mut all: Option<Plan> = None;
    for raw in &logs {
        let (log, plan) = (read_log(raw).unwrap(), plan(raw));
        assert!(plan.is_sound());
        let added = plan.steps.iter().filter(|step| matches!(step.act, Act::Add(_))).count();
        let links: usize = log.answers.values().map(Vec::len).sum();
        for (total, count) in
            totals.iter_mut().zip([log.entries.len(), log.messages(), links, plan.users.len(), added])
        {
            *total += count;
        }
        for step in &plan.steps {
            let kind = match &step.act {
                Act::Amend { how: Amendment::Edit(_), .. } => 0,
                Act::Amend { how: Amendment::Delete, .. } => 1,
                Act::Amend { how: Amendment::React(_), .. } => 2,
                Act::Amend { how: Amendment::Hide, .. } => 3,
                Act::Promote(_) => 4,
                Act::Demote(_) => 5,
                Act::Post { .. } | Act::Add(_) => continue,
            };
            derived[kind] += 1;
        }
        match &mut all {
            None => all = Some(plan),
            Some(all) => all.merge(plan),
        }
    }
    assert!(all.unwrap().is_sound());
    assert_eq!(totals[..3], [12_500, 11_688, 2_145], "lines, messages, links");
    println!("edits, deletions, reactions, deletions for oneself, promotions, demotions: {derived:?}");
    assert!(derived.iter().all(|count| *count > 0), "{derived:?}");
    println!("users {}, added during the replay {}", totals[3], totals[4]);
}
