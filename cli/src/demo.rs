//! `archipelago demo`: a cluster of region processes on this machine, conversations between them, a cut, a kill, and the proof that nothing
//! was lost. Everything is in a temporary folder and on free ports, and gone afterwards.
//!
//! What must always hold: the folder stays if the outcome is not ok, or is to be kept, and then it is named; with `--keep` the regions and
//! the relay between them run until this program is interrupted.

use crate::cluster_folder::ClusterFolder;
use crate::failure::Failure;
use crate::init::Init;
use crate::replay::{Play, Played, verdict};
use clap::Args;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  archipelago demo
  archipelago demo --html picture.html
  archipelago demo --log logs/2005-06-27_12.raw.txt --cut eu-central/us-east@15%..45% --kill ap-south@60% --roam
";

/// Three regions on this machine: talk, cut, kill, heal, and the proof that nothing was lost.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Demo {
    /// The regions; at least one in the EU (`eu-…`) and one outside. Distances between those of the world's that are known are real
    #[arg(long, value_delimiter = ',', default_value = "eu-central,us-east,ap-south")]
    regions: Vec<String>,
    /// Keep the regions running afterwards, until interrupted, and say how to connect
    #[arg(long)]
    keep: bool,
    #[command(flatten)]
    play: Play,
}

impl Demo {
    /// Demonstrates.
    ///
    /// # Errors
    /// When the arguments are wrong, the regions do not start, or the report is not ok.
    pub(crate) fn run(mut self) -> Result<(), Failure> {
        self.break_something()?;
        self.play.check(&self.regions)?;
        let output = new_folder()?;
        let folder = output.join("cluster");
        let init = Init {
            folder: folder.clone(),
            name: "demo".to_owned(),
            regions: self.regions.clone(),
            placements: vec![sim_rig::pinned_placement(&self.regions).map_err(Failure::Argument)?],
            base_port: None,
            insecure_loopback: true,
        };
        if let Err(failure) = init.write() {
            // Nothing has begun, so there is nothing to keep. Why it has not is what matters.
            let _ = std::fs::remove_dir_all(&output);
            return Err(failure);
        }
        let played = self.play.play(&folder, &output, self.keep);
        let stays = self.keep || !played.as_ref().is_ok_and(|played| played.report.ok);
        if stays {
            eprintln!("everything is in {}", output.display());
        } else {
            std::fs::remove_dir_all(&output).map_err(Failure::write(&output))?;
        }
        let Played { report, running } = played?;
        if let Some((runtime, running)) = running {
            tell_how_to_connect(&folder)?;
            runtime.block_on(async {
                // Without signals there is nothing to wait for.
                let _interrupted = tokio::signal::ctrl_c().await;
                running.stop().await;
            });
        }
        verdict(&report)
    }

    /// Unless told what to break: one link is cut for a third of the time, and one region killed.
    fn break_something(&mut self) -> Result<(), Failure> {
        if !self.play.cuts.is_empty() || !self.play.kills.is_empty() {
            return Ok(());
        }
        let [first, second, ..] = &self.regions[..] else {
            return Err(Failure::Argument("`--regions` must name at least two regions".to_owned()));
        };
        let last = self.regions.last().unwrap_or(second);
        let wrong = |error: sim::faults::FaultError| Failure::Argument(error.to_string());
        self.play.cuts.push(format!("{first}/{second}@15%..50%").parse().map_err(wrong)?);
        self.play.kills.push(format!("{last}@65%").parse().map_err(wrong)?);
        Ok(())
    }
}

fn new_folder() -> Result<PathBuf, Failure> {
    let folder = std::env::temp_dir().join(format!("archipelago-demo-{}", std::process::id()));
    std::fs::create_dir(&folder).map_err(Failure::write(&folder))?;
    Ok(folder)
}

fn tell_how_to_connect(folder: &Path) -> Result<(), Failure> {
    let cluster = ClusterFolder::open(folder)?.cluster;
    println!(
        "The regions keep running until you press Ctrl-C. Talk between two of them, in two other terminals:"
    );
    let people = ["alice", "bob"];
    for ((me, to), region) in people.iter().zip(people.iter().rev()).zip(cluster.regions.values()) {
        println!(
            "  archipelago chat --cluster {} --region {} --as {me} --to {to}",
            folder.display(),
            region.name
        );
    }
    Ok(())
}
