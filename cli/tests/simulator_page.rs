//! The commands of `docs/simulator.md` and of the README's section on the simulator, run as they stand there, in their order, with the scenarios that
//! the page shows: what a reader copies must work.
//!
//! What must always hold: every line of a shell block that calls the program is run, once if it stands there twice; it ends well, or with the code
//! that the page says (`# exits with 11`). Every scenario of the page is written under the name in its first line.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

const PAGE: &str = include_str!("../../docs/simulator.md");
const README: &str = include_str!("../../README.md");
const PROGRAM: &str = env!("CARGO_BIN_EXE_archipelago");

/// The blocks of both in their order, with their languages.
fn blocks() -> impl Iterator<Item = (&'static str, &'static str)> {
    let section = README.split("## Ask it").nth(1).unwrap().split("\n## ").next().unwrap();
    let blocks = |text: &'static str| text.split("```").skip(1).step_by(2);
    blocks(PAGE).chain(blocks(section)).filter_map(|block| block.split_once('\n'))
}

fn run(folder: &Path, line: &str) {
    let (command, comment) = line.split_once('#').unwrap_or((line, ""));
    let expected = comment.trim().strip_prefix("exits with ").map_or(0, |code| code.parse().unwrap());
    // A build is named as it is found on the reader's machine.
    let words = command.split('>').next().unwrap().split_whitespace();
    let arguments = words.skip(1).map(|word| if word == "archipelago" { PROGRAM } else { word });
    let output = Command::new(PROGRAM).args(arguments).current_dir(folder).output().unwrap();
    if let Some((_, file)) = command.split_once('>') {
        std::fs::write(folder.join(file.trim()), &output.stdout).unwrap();
    }
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(expected), "{line}\n{said}");
}

#[test]
fn the_commands_of_the_page_work_as_they_stand_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut commands = BTreeSet::new();
    for (language, text) in blocks() {
        match language {
            "toml" => {
                let name = text.lines().next().and_then(|line| line.strip_prefix("# ")).unwrap();
                std::fs::write(folder.path().join(name), text).unwrap();
            }
            "sh" => {
                for line in text.lines().filter(|line| line.starts_with("archipelago ")) {
                    if commands.insert(line.split('#').next().unwrap().trim()) {
                        run(folder.path(), line);
                    }
                }
            }
            _ => panic!("a block in `{language}` is neither a scenario nor commands"),
        }
    }
    assert!(commands.len() >= 10, "the page shows how to ask: {commands:?}");
}
