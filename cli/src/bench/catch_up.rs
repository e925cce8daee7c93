//! `archipelago bench catch-up`: two regions on this machine, cut off from each other until each has much that the other lacks, then healed.
//!
//! What must always hold: as of every bench, nothing leaves the machine, and the exit code is 0 only if every promised figure was measured and is within its bound.

use super::{judge, measure};
use crate::failure::Failure;
use clap::Args;
use sim_rig::CatchUpSettings;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  archipelago bench catch-up
  archipelago bench catch-up --bandwidth 200 --delay 80
  archipelago bench catch-up --operations 1000000 --bandwidth 200 --delay 80 --json figures.json
";

/// Cut two regions off from each other, fill both, heal the link and measure how they become whole again.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(super) struct CatchUp {
    /// Messages of 1 KiB that each region takes while the other is cut off
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    operations: u64,
    /// Megabits a second that the link carries each way; as many as come, if not given
    #[arg(long, value_name = "MBIT", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    bandwidth: Option<u32>,
    /// Milliseconds that a packet takes one way
    #[arg(long, value_name = "MS", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1_000))]
    delay: u32,
    /// Write the figures here as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl CatchUp {
    /// Measures.
    ///
    /// # Errors
    /// When the regions do not start or do not become whole, or a figure is beyond what is promised.
    pub(super) fn run(self) -> Result<(), Failure> {
        let settings =
            CatchUpSettings { operations: self.operations, megabits: self.bandwidth, delay_ms: self.delay };
        let figures = measure(&["eu-central", "us-east"], async |options| {
            sim_rig::catch_up(options, settings, &|line| eprintln!("{line}")).await
        })?;
        judge(&figures.table(), figures.json(), self.json.as_deref(), figures.ok())
    }
}
