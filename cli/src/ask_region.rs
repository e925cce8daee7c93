//! Asking regions for their exports over their admin addresses.
//!
//! What must always hold: a region that does not answer in time is an error that names it and its address, never an empty
//! answer; answers are read line by line, and bodies of messages are not kept.

use crate::failure::Failure;
use crdt::RegionId;
use region::cluster::{Cluster, ClusterRegion};
use sim::evidence::{Export, ExportLine};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::time::Duration;

/// What each region holds.
pub(crate) type Asked = BTreeMap<RegionId, Export>;

/// Asks every region, one after the other.
///
/// # Errors
/// The first region that does not answer, refuses, or answers something else.
pub(crate) fn ask_all(cluster: &Cluster, token: &str, timeout: Duration) -> Result<Asked, Failure> {
    let agent = ureq::Agent::new_with_config(
        ureq::Agent::config_builder().timeout_global(Some(timeout)).http_status_as_error(false).build(),
    );
    cluster.regions.values().map(|region| Ok((region.id, ask(&agent, region, token)?))).collect()
}

fn ask(agent: &ureq::Agent, region: &ClusterRegion, token: &str) -> Result<Export, Failure> {
    let url = format!("http://{}/export", region.admin);
    let failed = |error: &dyn std::fmt::Display| {
        Failure::Stopped(format!("region {} at {url}: {error}; is it running?", region.name))
    };
    let request = agent.get(&url).header("authorization", format!("Bearer {token}"));
    let response = request.call().map_err(|error| match error {
        ureq::Error::Timeout(_) => {
            Failure::Timeout(format!("region {} at {url} did not answer in time", region.name))
        }
        error => failed(&error),
    })?;
    match response.status().as_u16() {
        200 => {}
        401 | 403 => {
            let advice = "make a token with `archipelago admin operator-token`";
            return Err(Failure::Refused(format!("region {} refused this token: {advice}", region.name)));
        }
        status => return Err(failed(&format!("HTTP status {status}"))),
    }
    let mut export = Export::default();
    for line in BufReader::new(response.into_body().into_reader()).lines() {
        let line = line.map_err(|error| failed(&error))?;
        let line: ExportLine = serde_json::from_str(&line).map_err(|error| failed(&error))?;
        match line {
            ExportLine::Partition(_) | ExportLine::Conversation(_) => export.take(line),
            ExportLine::Post(_) => {}
        }
    }
    Ok(export)
}
