//! `archipelago admin remove-store`: the store of a placement that a region has left goes from its disk, once nobody needs it.
//!
//! ```text
//!   is its replica closed? ─▶ is all of it everywhere? (as `salvage.rs` brings it back) ─▶ noted in `repairs.jsonl` ─▶ removed
//! ```
//! What must always hold: nothing is removed without `--apply`, nor of a replica that the epochs of the cluster's folder do not close, nor of which anything is not known to be in every active region.
//! Cut short, it is done by the next call.

use crate::at_rest::{Disk, note};
use crate::failure::Failure;
use crate::operate::Region;
use crate::salvage::{self, bring_back};
use crate::token;
use clap::Args;
use region::meta;
use serde_json::json;

const EXAMPLES: &str = "\
Examples:
  archipelago admin epoch --cluster demo --placement eu --close eu-west --apply
  archipelago admin remove-store --cluster demo --region eu-west --data data/eu-west --placement eu --into eu-central
  archipelago admin remove-store --cluster demo --region eu-west --data data/eu-west --placement eu --into eu-central --apply

The region must not run meanwhile. Started again it goes on in its other placements. `archipelago admin residency` says what lies on its disk then.";

/// Remove the store of a placement that a region has left, once all that it holds is everywhere.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RemoveStore {
    #[command(flatten)]
    disk: Disk,
    /// The placement that the region has left
    #[arg(long, value_name = "PLACEMENT")]
    placement: String,
    /// The region that brings back what no other has: one that runs, and is active in the placement
    #[arg(long, value_name = "REGION")]
    into: String,
    /// Remove it; without it, only what is missing elsewhere is brought back
    #[arg(long)]
    apply: bool,
}

impl RemoveStore {
    /// Brings back what is nowhere else, and removes the store once there is nothing of that kind.
    ///
    /// # Errors
    /// When the replica is not closed; [`Failure::Degraded`] when the store is still needed, or nothing was removed yet; when it cannot be read, or a region does not answer.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let (folder, region) = self.disk.region()?;
        let (placement, into) = (folder.placement(&self.placement)?, folder.region(&self.into)?.clone());
        let (name, current) = (placement.name.clone(), folder.current_epoch(placement)?);
        let refused = |why: String| Err(Failure::Refused(format!("placement {name}: {why}")));
        if let Some(active) = current.replica_of(region.id) {
            return refused(format!(
                "{active} is active: close it first, `archipelago admin epoch --placement {name} --close {} --apply`",
                region.name
            ));
        }
        let mut stopped = self.disk.open_found()?;
        let Some(store) = stopped.stores.iter().find(|store| store.name == name) else {
            if !self.apply {
                return Err(Failure::Degraded(
                    "there is no such store; `--apply` removes what a call that was cut short has left"
                        .to_owned(),
                ));
            }
            stopped.remove(&name).map_err(|why| Failure::Stopped(why.to_string()))?;
            let json = json!({ "placement": name, "removed": true });
            self.disk.print(&json, &format!("{name}: nothing of its store is left\n"));
            return Ok(());
        };
        let found = meta::read(&store.store).map_err(|why| Failure::Refused(why.to_string()))?;
        let Some(found) = found.filter(|found| current.closed.contains_key(&found.replica)) else {
            return refused(
                "the epochs of the cluster's folder do not name its replica as a closed one: get those that the regions have"
                    .to_owned(),
            );
        };
        let token = token::for_operator(&folder, 1)?;
        let asked = Region::new(folder.clone(), into, token, salvage::TIMEOUT);
        let outcome = bring_back(&self.disk, &asked, store)?;
        let (is_everywhere, told) = (outcome.is_everywhere(), outcome.told(&name));
        let is_removed = self.apply && is_everywhere;
        if is_removed {
            let (replica, epoch) = (found.replica.to_string(), current.epoch.0);
            let what = json!({ "replica": replica, "epoch": epoch, "outcome": outcome });
            note(self.disk.data(), &name, "removed", &what)?;
            stopped.remove(&name).map_err(|why| Failure::Stopped(why.to_string()))?;
        }
        let end = if is_removed { format!("{name}: its store is removed\n") } else { String::new() };
        let json = json!({ "placement": name, "outcome": outcome, "everywhere": is_everywhere, "removed": is_removed });
        self.disk.print(&json, &(told + &end));
        match (is_everywhere, is_removed) {
            (_, true) => Ok(()),
            (true, false) => Err(Failure::Degraded("nothing was removed; `--apply` removes it".to_owned())),
            (false, false) => Err(Failure::Degraded("it is needed, and was not removed".to_owned())),
        }
    }
}
