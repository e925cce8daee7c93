//! A runbook of `docs/operations` in the hands of the test that does what it says.
//!
//! What must always hold: a command is run as it stands in the runbook, and in the end each one was; what a test looks for, be it a metric, a column or a sentence, it asks the runbook for first,
//! so that neither can change alone.
#![allow(dead_code)] // each test program uses a part of it

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

const PROGRAM: &str = env!("CARGO_BIN_EXE_archipelago");

/// A runbook's text, where its commands are run, and which of them were.
pub struct Runbook<'a> {
    text: &'static str,
    folder: &'a Path,
    run: RefCell<BTreeSet<String>>,
}

impl<'a> Runbook<'a> {
    pub fn new(text: &'static str, folder: &'a Path) -> Self {
        Self { text, folder, run: RefCell::default() }
    }

    /// The lines of its shell blocks that call the program.
    fn commands(&self) -> BTreeSet<String> {
        let blocks = self.text.split("```").skip(1).step_by(2);
        let lines = blocks.flat_map(str::lines).map(|line| line.split('#').next().unwrap_or_default().trim());
        lines.filter(|line| line.starts_with("archipelago ")).map(str::to_owned).collect()
    }

    /// What it shows was done in another way than by running it here, as a region is started.
    pub fn done(&self, command: &str) {
        assert!(self.commands().contains(command), "not in the runbook: {command}");
        self.run.borrow_mut().insert(command.to_owned());
    }

    /// Runs a command of it: the exit code, what was printed, and what was said.
    pub fn try_run(&self, command: &str) -> (Option<i32>, String, String) {
        self.done(command);
        let arguments = command.split_whitespace().skip(1);
        let output = Command::new(PROGRAM).args(arguments).current_dir(self.folder).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    /// Runs a command of it that ends well, and gives what it printed.
    pub fn run(&self, command: &str) -> String {
        let (code, printed, said) = self.try_run(command);
        assert_eq!(code, Some(0), "{said}");
        printed
    }

    /// These words, which stand in it.
    pub fn says<'b>(&self, words: &'b str) -> &'b str {
        assert!(self.text.contains(words), "the runbook does not say `{words}`");
        words
    }

    /// Each of its commands was run.
    pub fn was_followed(&self) {
        assert_eq!(self.run.borrow().clone(), self.commands(), "each command of the runbook is run");
    }
}
