//! The regions under load: their processes and the relay between them, which delays and nothing else.
//!
//! What must always hold: no process outlives this; a cut cuts both ways.

use super::counted::Shim;
use super::folder;
use crate::options::{ReplayError, ReplayOptions};
use crate::processes::RegionProcess;
use crate::replay::{link_settings, route_bridges_through, start_relay};
use sim_wan::{LinkCounts, Relay};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Regions that run.
pub(super) struct Stand {
    relay: Relay,
    processes: Vec<RegionProcess>,
    regions: Vec<Region>,
    names: Vec<String>,
    delays_us: Vec<Vec<u64>>,
    output: PathBuf,
}

/// Where a region is asked for its counters.
pub(super) struct Region {
    pub(super) admin: SocketAddr,
    pub(super) pid: u32,
}

impl Stand {
    /// Starts all regions, with their data in a folder of that name; under the shim if there is one.
    pub(super) async fn start(
        options: &ReplayOptions,
        name: &str,
        shim: Option<&Shim>,
    ) -> Result<Self, ReplayError> {
        Self::start_some(options, name, shim, options.cluster.regions.len()).await
    }

    /// Starts the first so many.
    pub(super) async fn start_some(
        options: &ReplayOptions,
        name: &str,
        shim: Option<&Shim>,
        count: usize,
    ) -> Result<Self, ReplayError> {
        let output = folder(&options.output, name)?;
        folder(&output, "data")?;
        let names = options.region_names();
        let relay = start_relay(options)?;
        route_bridges_through(&relay, options)?;
        let (mut processes, mut regions) = (vec![], vec![]);
        for region in options.cluster.regions.values().take(count) {
            let mut process =
                RegionProcess::new(&region.name, &options.program, &options.cluster_folder, &output);
            if let Some(shim) = shim {
                process.set_environment(shim.environment(&region.name));
            }
            let pid = process.start().await?;
            processes.push(process);
            regions.push(Region { admin: region.admin, pid });
        }
        let delay = |from: &String, to: &String| {
            if from == to { 0 } else { link_settings(options, from, to).delay_us }
        };
        let delays_us = names.iter().map(|from| names.iter().map(|to| delay(from, to)).collect()).collect();
        Ok(Self { relay, processes, regions, names, delays_us, output })
    }

    pub(super) fn output(&self) -> &Path {
        &self.output
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    pub(super) fn regions(&self) -> &[Region] {
        &self.regions
    }

    /// What a packet takes from one region to another.
    pub(super) fn delay_us(&self, from: usize, to: usize) -> u64 {
        self.delays_us[from][to]
    }

    /// Cuts the first region off from all others, or mends it.
    pub(super) fn cut_off_first(&self, cut: bool) -> Result<(), ReplayError> {
        for other in &self.names[1..] {
            self.relay.set_cut(&self.names[0], other, cut)?;
            self.relay.set_cut(other, &self.names[0], cut)?;
        }
        Ok(())
    }

    /// What the link from one region to another has done so far.
    pub(super) fn link_counts(&self, from: usize, to: usize) -> Result<LinkCounts, ReplayError> {
        Ok(self.relay.counts(&self.names[from], &self.names[to])?)
    }

    /// Ends all processes.
    pub(super) async fn stop(mut self) {
        for process in &mut self.processes {
            // One that had to be killed has told what it had to tell.
            let _said = process.stop().await;
        }
    }
}
