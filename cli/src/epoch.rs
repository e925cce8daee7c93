//! `archipelago admin epoch`: which replicas are active in a placement, and the next epoch that says otherwise.
//!
//! ```text
//!   show      admin epoch --cluster demo --placement global
//!   compare   admin epoch --cluster demo --placement global --close us-east          (writes nothing)
//!   apply     the same with --apply: signs the statement, keeps its file, tells a region, which tells the others
//! ```
//! What must always hold: an epoch is signed only on top of the last one that the folder has, and its file is there before any region hears of it. An epoch is not taken back: a further one
//! says otherwise, and what was closed returns as a new incarnation.

use crate::cluster_folder::ClusterFolder;
use crate::failure::Failure;
use crate::random;
use crate::token;
use clap::Args;
use crdt::{Incarnation, ReplicaId};
use ed25519_dalek::VerifyingKey;
use region::cluster::{ClusterPlacement, ClusterRegion};
use region::epoch::to_toml;
use replication::epoch::EpochStatement;
use replication::placement::Placement;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  archipelago admin epoch --cluster demo --placement global
  archipelago admin epoch --cluster demo --placement global --close us-east --apply
  archipelago admin epoch --cluster demo --placement global --close us-east --admit us-east --apply

A region that is closed and admitted at once returns as a new incarnation: start it on an empty data folder. Keep the old one until
all that it acknowledged is known to be elsewhere.";

/// Show which regions are active in a placement, or say which are to be from now on.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Epoch {
    /// The cluster's folder or file
    #[arg(long)]
    cluster: PathBuf,
    /// The placement, by name
    #[arg(long)]
    placement: String,
    /// A region whose replica is active no more: lost, suspended, or to be replaced
    #[arg(long, value_name = "REGION")]
    close: Vec<String>,
    /// A region that is to be active, in a new incarnation
    #[arg(long, value_name = "REGION")]
    admit: Vec<String>,
    /// The region that takes over the rights of those that are closed, in groups; the first that stays active if none is given
    #[arg(long, value_name = "REGION", requires = "close")]
    heir: Option<String>,
    /// Sign it and tell the regions; without it nothing is written. Alone it tells them again of what the folder has
    #[arg(long)]
    apply: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// How many seconds a region may take to answer
    #[arg(long, default_value_t = 10)]
    timeout: u64,
}

/// Where a placement stands, and what would change.
#[derive(Debug, Serialize)]
struct Shown {
    placement: String,
    epoch: u64,
    active: BTreeMap<String, String>,
    closed: Vec<String>,
    /// What the next epoch changes, if anything was asked for.
    closes: Vec<String>,
    admits: Vec<String>,
    /// Who takes over from each of those that are closed.
    heirs: BTreeMap<String, String>,
    /// Whether that was signed.
    applied: bool,
    /// The regions that have said that they follow.
    told: Vec<String>,
}

impl Epoch {
    /// Shows, compares or applies.
    ///
    /// # Errors
    /// When a name is unknown, what is asked for is no epoch, a region refuses it, or none answers.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let folder = ClusterFolder::open(&self.cluster)?;
        let placement = folder.placement(&self.placement)?;
        let current = folder.current_epoch(placement)?;
        let next = self.next(&folder, placement, &current)?;
        let heirs = self.heirs(&folder, &current, next.as_ref())?;
        let mut shown = Shown::of(&folder, placement, &current, next.as_ref());
        let named = |replica: &ReplicaId| format!("{} {replica}", folder.cluster.name_of(replica.region));
        shown.heirs = heirs.iter().map(|(closed, heir)| (named(closed), named(heir))).collect();
        if self.apply {
            if let Some(next) = &next {
                let key = folder.placement_key(placement)?;
                // Whoever follows by the rule need not be named.
                let stated = if self.heir.is_some() { heirs } else { BTreeMap::new() };
                let statement = EpochStatement::sign_with_heirs(&current, next.clone(), stated, &key);
                current.follow(&statement).map_err(|why| Failure::Refused(why.to_string()))?;
                folder.keep_epoch(placement, statement.number.0, &to_toml(&statement))?;
                shown.applied = true;
            }
            shown.told = self.tell(&folder, placement)?;
        }
        if self.json {
            let text = serde_json::to_string_pretty(&shown);
            println!("{}", text.map_err(|error| Failure::Stopped(error.to_string()))?);
        } else {
            print!("{shown}");
        }
        if self.apply && shown.told.is_empty() {
            return Err(Failure::Degraded(
                "no region has answered: start one with the epoch's file, or tell them later with `--apply` alone".to_owned(),
            ));
        }
        Ok(())
    }

    /// The replicas that are to be active; none if nothing is to change.
    fn next(
        &self,
        folder: &ClusterFolder,
        placement: &ClusterPlacement,
        current: &Placement,
    ) -> Result<Option<BTreeMap<ReplicaId, VerifyingKey>>, Failure> {
        let mut active = current.active.clone();
        for name in &self.close {
            let region = folder.region(name)?.id;
            let Some(replica) = current.replica_of(region) else {
                let advice = "`archipelago admin epoch` without `--close` shows which are";
                return Err(Failure::Argument(format!(
                    "`--close {name}`: that region is not active: {advice}"
                )));
            };
            active.remove(&replica);
        }
        for name in &self.admit {
            let region = folder.region(name)?;
            if !placement.regions.contains(&region.id) {
                return Err(Failure::Argument(format!(
                    "`--admit {name}`: the cluster file does not put that region into {}: add it there first, in every region",
                    placement.name
                )));
            }
            if active.keys().any(|replica| replica.region == region.id) {
                return Err(Failure::Argument(format!(
                    "`--admit {name}`: that region is active: say `--close {name}` as well if its store is to be replaced"
                )));
            }
            let incarnation = Incarnation(u64::from_be_bytes(random::bytes()?));
            let key = folder.replica_key(name)?.verifying_key();
            active.insert(ReplicaId { region: region.id, incarnation }, key);
        }
        Ok((active != current.active).then_some(active))
    }

    /// Who takes over from each of those that are closed.
    fn heirs(
        &self,
        folder: &ClusterFolder,
        current: &Placement,
        next: Option<&BTreeMap<ReplicaId, VerifyingKey>>,
    ) -> Result<BTreeMap<ReplicaId, ReplicaId>, Failure> {
        let Some(next) = next else { return Ok(BTreeMap::new()) };
        let heir = match &self.heir {
            None => current.heir_in(next),
            Some(name) => {
                let region = folder.region(name)?.id;
                let active = next.keys().copied().find(|replica| replica.region == region);
                Some(active.ok_or_else(|| {
                    Failure::Argument(format!(
                        "`--heir {name}`: that region is not active in the next epoch: name one that is"
                    ))
                })?)
            }
        };
        let closed = current.active.keys().filter(|replica| !next.contains_key(replica));
        Ok(closed.filter_map(|closed| Some((*closed, heir?))).collect())
    }

    /// Tells the active regions of all epochs that the folder has, and says which follow. The others hear of it from them.
    fn tell(&self, folder: &ClusterFolder, placement: &ClusterPlacement) -> Result<Vec<String>, Failure> {
        let agent = ureq::Agent::new_with_config(
            ureq::Agent::config_builder()
                .timeout_global(Some(Duration::from_secs(self.timeout)))
                .http_status_as_error(false)
                .build(),
        );
        let token = token::for_operator(folder, 1)?;
        let current = folder.current_epoch(placement)?;
        let mut told = Vec::new();
        for replica in current.active.keys() {
            let Some(region) = folder.cluster.regions.get(&replica.region) else { continue };
            let mut follows = true;
            for statement in folder.epochs_of(placement)?.iter().skip(1) {
                follows &= tell_one(&agent, region, &token, &to_toml(statement))?;
            }
            if follows {
                told.push(region.name.clone());
            }
        }
        Ok(told)
    }
}

/// Whether a region follows; false if it does not answer.
fn tell_one(agent: &ureq::Agent, region: &ClusterRegion, token: &str, file: &str) -> Result<bool, Failure> {
    let request = agent.post(&format!("http://{}/v1/epochs", region.admin));
    let request = request.header("authorization", format!("Bearer {token}"));
    let Ok(response) = request.send(file) else { return Ok(false) };
    match response.status().as_u16() {
        200 => Ok(true),
        status => {
            let said = response.into_body().read_to_string().unwrap_or_else(|error| error.to_string());
            Err(Failure::Refused(format!(
                "region {} refuses the epoch (HTTP status {status}): {said}",
                region.name
            )))
        }
    }
}

impl Shown {
    fn of(
        folder: &ClusterFolder,
        placement: &ClusterPlacement,
        current: &Placement,
        next: Option<&BTreeMap<ReplicaId, VerifyingKey>>,
    ) -> Self {
        let named = |replica: &ReplicaId| format!("{} {replica}", folder.cluster.name_of(replica.region));
        let without = |all: &BTreeMap<ReplicaId, VerifyingKey>,
                       others: &BTreeMap<ReplicaId, VerifyingKey>| {
            all.keys().filter(|replica| !others.contains_key(replica)).map(named).collect()
        };
        let next = next.unwrap_or(&current.active);
        let active = current.active.keys();
        Self {
            placement: placement.name.clone(),
            epoch: current.epoch.0,
            active: active
                .map(|replica| (folder.cluster.name_of(replica.region), replica.to_string()))
                .collect(),
            closed: current.closed.keys().map(named).collect(),
            closes: without(&current.active, next),
            admits: without(next, &current.active),
            heirs: BTreeMap::new(),
            applied: false,
            told: Vec::new(),
        }
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = format!("placement {}, epoch {}\n", self.placement, self.epoch);
        for (region, replica) in &self.active {
            writeln!(text, "  active  {region} {replica}")?;
        }
        self.closed.iter().try_for_each(|replica| writeln!(text, "  closed  {replica}"))?;
        if !self.closes.is_empty() || !self.admits.is_empty() {
            writeln!(text, "epoch {}", self.epoch + 1)?;
            for replica in &self.closes {
                let heir = self.heirs.get(replica).map_or("nobody", String::as_str);
                writeln!(text, "  closes  {replica}, whose rights go to {heir}")?;
            }
            self.admits.iter().try_for_each(|replica| writeln!(text, "  admits  {replica}"))?;
            if !self.applied {
                writeln!(text, "nothing is written yet: run it again with --apply")?;
            }
        }
        if !self.told.is_empty() {
            writeln!(text, "followed by {}; the others hear of it from them", self.told.join(", "))?;
        }
        f.write_str(&text)
    }
}
