//! `archipelago sim list`: the scenarios that the program carries, each with its story.
//!
//! What must always hold: every embedded scenario is listed, by the name that `run` takes.

use super::chosen::Chosen;
use crate::failure::Failure;
use clap::Args;
use sim::scenario;

/// Tell which scenarios there are, with their stories.
#[derive(Debug, Args)]
pub(crate) struct List {}

impl List {
    pub(crate) fn run(self) -> Result<(), Failure> {
        for name in scenario::NAMES {
            println!("{name}");
            let story = Chosen::read(name)?.scenario.story;
            for line in story.trim().lines() {
                println!("    {}", line.trim());
            }
        }
        Ok(())
    }
}
