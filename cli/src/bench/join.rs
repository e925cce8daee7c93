//! `archipelago bench join`: a third region joins two on this machine that hold many messages, with a snapshot.
//!
//! What must always hold: as of every bench, nothing leaves the machine, and the exit code is 0 only if every promised figure was measured and is within its bound.

use super::{judge, measure};
use crate::failure::Failure;
use clap::Args;
use sim_rig::JoinSettings;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  archipelago bench join
  archipelago bench join --operations 5000000 --limit 50 --json figures.json
";

/// Let a third region join two that hold many messages, and measure what people notice of it.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(super) struct Join {
    /// Messages of 1 KiB that the two hold
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    operations: u64,
    /// Megabytes of the snapshot that are read in a second at most
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    limit: u64,
    /// Write the figures here as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Join {
    /// Measures.
    ///
    /// # Errors
    /// When the regions do not come to hold the same, or a figure is beyond what is promised.
    pub(super) fn run(self) -> Result<(), Failure> {
        let settings = JoinSettings { operations: self.operations, limit: self.limit };
        let figures = measure(&["eu-central", "us-east", "ap-south"], async |options| {
            sim_rig::join(options, settings, &|line| eprintln!("{line}")).await
        })?;
        judge(&figures.table(), figures.json(), self.json.as_deref(), figures.ok())
    }
}
