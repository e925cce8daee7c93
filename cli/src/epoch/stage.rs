//! The next epoch of a placement: worked out and shown, then signed, kept and told.
//!
//! ```text
//!   Staged::of ──▶ shown (writes nothing)
//!       └─ sign ──▶ keep (its file) ──▶ tell (the regions that are active then, which tell the others)
//! ```
//! What must always hold: an epoch is signed only on top of the last one that the folder has, and its file is there before any region hears of it.

use crate::cluster_folder::ClusterFolder;
use crate::failure::Failure;
use crate::random;
use crate::token;
use crdt::{Incarnation, ReplicaId};
use ed25519_dalek::VerifyingKey;
use region::cluster::{ClusterPlacement, ClusterRegion};
use region::epoch::to_toml;
use replication::epoch::EpochStatement;
use replication::placement::Placement;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::time::Duration;

/// What is to change.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Wish<'a> {
    /// Regions whose replicas are to be active no more.
    pub(super) close: &'a [String],
    /// Regions that are to be active, in a new incarnation.
    pub(super) admit: &'a [String],
    /// Who takes over from those that are closed, if that is said.
    pub(super) heir: Option<&'a str>,
}

/// A placement, and its next epoch if anything is to change.
pub(super) struct Staged<'a> {
    folder: &'a ClusterFolder,
    placement: &'a ClusterPlacement,
    current: Placement,
    next: Option<BTreeMap<ReplicaId, VerifyingKey>>,
    /// The heirs that the statement names: whoever follows by the rule need not be named.
    stated: BTreeMap<ReplicaId, ReplicaId>,
    /// What people are shown of it.
    pub(super) shown: Shown,
}

/// Where a placement stands, and what would change.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
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
    pub(super) told: Vec<String>,
}

impl<'a> Staged<'a> {
    /// Works out the next epoch of a placement. Writes nothing.
    ///
    /// # Errors
    /// When the folder's epochs cannot be read, a name is unknown, or what is asked for cannot be.
    pub(super) fn of(
        folder: &'a ClusterFolder,
        placement: &'a ClusterPlacement,
        wish: Wish<'_>,
    ) -> Result<Self, Failure> {
        let current = folder.current_epoch(placement)?;
        let next = next(folder, placement, &current, wish)?;
        let heirs = heirs(folder, &current, next.as_ref(), wish)?;
        let mut shown = Shown::of(folder, placement, &current, next.as_ref());
        let named = |replica: &ReplicaId| format!("{} {replica}", folder.cluster.name_of(replica.region));
        shown.heirs = heirs.iter().map(|(closed, heir)| (named(closed), named(heir))).collect();
        let stated = if wish.heir.is_some() { heirs } else { BTreeMap::new() };
        Ok(Self { folder, placement, current, next, stated, shown })
    }

    /// Signs it; none if nothing is to change.
    ///
    /// # Errors
    /// When the placement's key cannot be read, or it is no epoch that any region would follow.
    pub(super) fn sign(&self) -> Result<Option<EpochStatement>, Failure> {
        let Some(next) = &self.next else { return Ok(None) };
        let key = self.folder.placement_key(self.placement)?;
        let statement =
            EpochStatement::sign_with_heirs(&self.current, next.clone(), self.stated.clone(), &key);
        self.current.follow(&statement).map_err(|why| Failure::Refused(why.to_string()))?;
        Ok(Some(statement))
    }

    /// Keeps the file of a statement that was signed.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn keep(&mut self, statement: &EpochStatement) -> Result<(), Failure> {
        self.folder.keep_epoch(self.placement, statement.number.0, &to_toml(statement))?;
        self.shown.applied = true;
        Ok(())
    }

    /// Tells the active regions of all epochs that the folder has, and notes which follow. The others hear of it from them.
    ///
    /// # Errors
    /// When a region refuses one.
    pub(super) fn tell(&mut self, timeout: Duration) -> Result<(), Failure> {
        let agent = ureq::Agent::new_with_config(
            ureq::Agent::config_builder().timeout_global(Some(timeout)).http_status_as_error(false).build(),
        );
        let token = token::for_operator(self.folder, 1)?;
        let current = self.folder.current_epoch(self.placement)?;
        let statements = self.folder.epochs_of(self.placement)?;
        let mut refusals = Vec::new();
        for replica in current.active.keys() {
            let Some(region) = self.folder.cluster.regions.get(&replica.region) else { continue };
            let mut later = statements.iter().skip(1);
            match later.try_fold(true, |follows, statement| {
                Ok(tell_one(&agent, region, &token, &to_toml(statement))? && follows)
            }) {
                Ok(true) => self.shown.told.push(region.name.clone()),
                Ok(false) => {}
                Err(refused) => refusals.push(refused),
            }
        }
        // One that is admitted and runs without a store of it refuses; the others are told all the same.
        if self.shown.told.is_empty() && !refusals.is_empty() {
            return Err(refusals.swap_remove(0));
        }
        refusals.iter().for_each(|refused| eprintln!("archipelago: {refused}"));
        Ok(())
    }
}

/// The replicas that are to be active; none if nothing is to change.
fn next(
    folder: &ClusterFolder,
    placement: &ClusterPlacement,
    current: &Placement,
    wish: Wish<'_>,
) -> Result<Option<BTreeMap<ReplicaId, VerifyingKey>>, Failure> {
    let mut active = current.active.clone();
    for name in wish.close {
        let region = folder.region(name)?.id;
        let Some(replica) = current.replica_of(region) else {
            let advice = "`archipelago admin epoch` without `--close` shows which are";
            return Err(Failure::Argument(format!("`--close {name}`: that region is not active: {advice}")));
        };
        active.remove(&replica);
    }
    for name in wish.admit {
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
    if active.is_empty() {
        return Err(Failure::Refused(format!(
            "placement {}: nobody else would be active in it, and what it holds would be served nowhere: admit another region first (`archipelago admin epoch --admit`)",
            placement.name
        )));
    }
    Ok((active != current.active).then_some(active))
}

/// Who takes over from each of those that are closed.
fn heirs(
    folder: &ClusterFolder,
    current: &Placement,
    next: Option<&BTreeMap<ReplicaId, VerifyingKey>>,
    wish: Wish<'_>,
) -> Result<BTreeMap<ReplicaId, ReplicaId>, Failure> {
    let Some(next) = next else { return Ok(BTreeMap::new()) };
    let heir = match wish.heir {
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

    /// Whether the next epoch is another than this one.
    pub(super) fn changes(&self) -> bool {
        !self.closes.is_empty() || !self.admits.is_empty()
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = format!("placement {}, epoch {}\n", self.placement, self.epoch);
        for (region, replica) in &self.active {
            writeln!(text, "  active  {region} {replica}")?;
        }
        self.closed.iter().try_for_each(|replica| writeln!(text, "  closed  {replica}"))?;
        if self.changes() {
            writeln!(text, "epoch {}", self.epoch + 1)?;
            for replica in &self.closes {
                let heir = self.heirs.get(replica).map_or("nobody", String::as_str);
                writeln!(text, "  closes  {replica}, whose rights and users go to {heir}")?;
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
