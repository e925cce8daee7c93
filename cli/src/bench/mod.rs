//! `archipelago bench`: three regions on this machine under a steady load, links as long as they really are, and what a message costs;
//! `archipelago bench catch-up`: two regions and what a healed link costs (`catch_up.rs`); `archipelago bench join`: a third region that joins them (`join.rs`). What they share is here: the folder, the cluster and the verdict.
//!
//! What must always hold: nothing leaves the machine; the folder and the processes are gone afterwards, however it ends; the exit code is 0 only if
//! every promised figure was measured and is within its bound.

mod catch_up;
mod join;

use crate::cluster_folder::ClusterFolder;
use crate::failure::Failure;
use crate::init::Init;
use crate::token;
use clap::{Args, Subcommand};
use sim_rig::{BenchSettings, Distances, ReplayError, ReplayOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const EXAMPLES: &str = "\
Examples:
  archipelago bench
  archipelago bench --rate 500 --seconds 30 --json figures.json
  archipelago bench catch-up --bandwidth 200 --delay 80
  archipelago bench join --operations 5000000
";

/// Tokens outlive any bench.
const TOKEN_DAYS: u32 = 1;

/// Load three regions on this machine and measure what a message costs.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(crate) struct Bench {
    #[command(subcommand)]
    other: Option<Other>,
    /// Messages of 1 KiB a second, over all regions
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(3..=100_000))]
    rate: u32,
    /// Seconds of steady load that are measured
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    /// Groups, each with two members in every region
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u16).range(2..=1_000))]
    groups: u16,
    /// Pairs of a normal time and one with the first region cut off
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(0..=100))]
    pairs: u16,
    /// Seconds of each half of a pair
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u64).range(1..=600))]
    pair_seconds: u64,
    /// Write the figures here as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What else can be measured.
#[derive(Debug, Subcommand)]
enum Other {
    /// Cut two regions off from each other, fill both, heal the link and measure how they become whole again
    CatchUp(catch_up::CatchUp),
    /// Let a third region join two that hold many messages, and measure what people notice of it
    Join(join::Join),
}

impl Bench {
    /// Measures.
    ///
    /// # Errors
    /// When the regions do not start, or a figure is beyond what is promised.
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.other {
            Some(Other::CatchUp(catch_up)) => return catch_up.run(),
            Some(Other::Join(join)) => return join.run(),
            None => {}
        }
        let settings = BenchSettings {
            rate: self.rate,
            seconds: self.seconds,
            groups: self.groups.into(),
            pairs: self.pairs.into(),
            pair_seconds: self.pair_seconds,
            counted_seconds: self.seconds.min(10),
        };
        let figures = measure(&["eu-central", "us-east", "ap-south"], async |options| {
            sim_rig::bench(options, settings, &|line| eprintln!("{line}")).await
        })?;
        judge(&figures.table(), figures.json(), self.json.as_deref(), figures.ok())
    }
}

/// Measures on a new cluster of these regions, in a folder that is gone afterwards.
fn measure<T>(
    regions: &[&str],
    bench: impl AsyncFnOnce(&ReplayOptions) -> Result<T, ReplayError>,
) -> Result<T, Failure> {
    let output = std::env::temp_dir().join(format!("archipelago-bench-{}", std::process::id()));
    std::fs::create_dir(&output).map_err(Failure::write(&output))?;
    let measured = measure_in(&output, regions, bench);
    let removed = std::fs::remove_dir_all(&output).map_err(Failure::write(&output));
    let figures = measured?;
    removed?;
    Ok(figures)
}

fn measure_in<T>(
    output: &Path,
    regions: &[&str],
    bench: impl AsyncFnOnce(&ReplayOptions) -> Result<T, ReplayError>,
) -> Result<T, Failure> {
    let folder = output.join("cluster");
    let init = Init {
        folder: folder.clone(),
        name: "bench".to_owned(),
        regions: regions.iter().map(|region| (*region).to_owned()).collect(),
        placements: vec![],
        base_port: None,
        insecure_loopback: true,
    };
    init.write()?;
    let cluster_folder = ClusterFolder::open(&folder)?;
    let options = options(cluster_folder, &folder, output)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Stopped(format!("no threads to measure with: {error}")))?;
    runtime.block_on(async {
        tokio::select! {
            figures = bench(&options) => figures.map_err(|error| Failure::Stopped(error.to_string())),
            _ = tokio::signal::ctrl_c() => Err(Failure::Stopped("interrupted: the regions are stopped".to_owned())),
        }
    })
}

/// Shows the figures, keeps them if that is wanted, and fails if one is beyond its bound.
fn judge(table: &str, json: String, path: Option<&Path>, ok: bool) -> Result<(), Failure> {
    println!("{table}");
    if let Some(path) = path {
        std::fs::write(path, json).map_err(Failure::write(path))?;
    }
    if ok {
        Ok(())
    } else {
        Err(Failure::Stopped("a figure is beyond its bound: see the lines with ✗ above".to_owned()))
    }
}

fn options(cluster_folder: ClusterFolder, folder: &Path, output: &Path) -> Result<ReplayOptions, Failure> {
    let program = std::env::current_exe()
        .map_err(|error| Failure::Stopped(format!("this program cannot find itself: {error}")))?;
    let operator_token = token::for_operator(&cluster_folder, TOKEN_DAYS)?;
    let cluster = cluster_folder.cluster.clone();
    let sign: sim_rig::Signer = Arc::new(move |user, device| {
        token::for_device(&cluster_folder, user, device, TOKEN_DAYS).map_err(|failure| failure.to_string())
    });
    Ok(ReplayOptions {
        program,
        earlier: None,
        cluster_folder: folder.to_owned(),
        cluster,
        output: output.to_owned(),
        logs: vec![],
        duration_ms: 0,
        seed: 1,
        cuts: vec![],
        kills: vec![],
        restart_after_ms: 0,
        roam_percent: 0,
        distances: Distances::DelayOnly,
        sign,
        operator_token,
        keep: false,
    })
}
