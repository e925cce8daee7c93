//! `archipelago admin restore`: copies of a region's stores become the stores of its next incarnation, which an epoch has admitted.
//!
//! ```text
//!   a copy in data/REGION/PLACEMENT ─▶ whose, how old, which epoch admits its region anew? ─▶ is it whole? ─▶ with --apply: written
//! ```
//! What must always hold: nothing is written without `--apply`, nor to any copy if one of them cannot be restored; what was written is noted in the data folder
//! (`repairs.jsonl`), and that a replica has a store now in the cluster's folder, so that it is not given another one. What decides is `region::restore`; here the copies are read, and the other regions asked where that is needed.

use crate::ask_region::{agent, ask};
use crate::at_rest::{DAMAGED_MAX, Disk, listed, note, unreadable};
use crate::cluster_folder::ClusterFolder;
use crate::failure::Failure;
use crate::given_stores::{Given, given, note_given};
use crate::random;
use crate::token;
use clap::Args;
use crdt::{PartitionId, RegionId, VersionVector};
use region::cluster::{ClusterPlacement, ClusterRegion};
use region::epoch::current_placement;
use region::follow_epochs;
use region::meta::{self, Expected};
use region::present;
use region::restore::{Restorable, RestoreRefused, look_at};
use region::store::{Batch, Store as _};
use region::verify::verify;
use region_rocks::stopped::StoppedStore;
use replication::StoreId;
use replication::epoch::EpochStatement;
use replication::placement::{Epoch, Placement};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;
use time::OffsetDateTime;

const EXAMPLES: &str = "\
Examples:
  archipelago admin epoch --cluster demo --placement global --close ap-south --admit ap-south --apply
  archipelago admin restore --cluster demo --region ap-south --data data/ap-south
  archipelago admin restore --cluster demo --region ap-south --data data/ap-south --apply

Put each copy where the store was: data/REGION/PLACEMENT. A placement without a copy begins empty, and takes all from the others.
A region that was restored takes what it lacks from the others before it answers devices.";

/// Make copies of a region's stores the stores of its next incarnation.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Restore {
    #[command(flatten)]
    disk: Disk,
    /// Only the copy of this placement, where the stores of others are what they were; may be repeated
    #[arg(long, value_name = "PLACEMENT")]
    placement: Vec<String>,
    /// Write it
    #[arg(long)]
    apply: bool,
    /// How many seconds another region may take to answer, where one has to be asked
    #[arg(long, default_value_t = 30)]
    timeout: u64,
}

/// What is to become of one copy.
struct Found<'a> {
    store: &'a mut StoppedStore,
    statements: Vec<EpochStatement>,
    /// None if it was restored already.
    change: Option<(Restorable, StoreId, Batch)>,
    /// When it was last written, as far as it remembers.
    as_of: String,
}

impl Restore {
    /// Looks at each copy, and makes it the store of the next incarnation if it was told to.
    ///
    /// # Errors
    /// When a copy cannot be restored, or is damaged; [`Failure::Degraded`] when nothing was written yet.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let (folder, region) = self.disk.region()?;
        let mut stopped = self.disk.open_found()?;
        let mut all = Vec::new();
        for name in &self.placement {
            folder.placement(name)?;
            if !stopped.stores.iter().any(|store| store.name == *name) {
                return Err(refused(name, &RestoreRefused::NoCopy));
            }
        }
        let is_meant = |name: &String| self.placement.is_empty() || self.placement.contains(name);
        for store in stopped.stores.iter_mut().filter(|store| is_meant(&store.name)) {
            let placement = folder.placement(&store.name)?;
            self.disk.begin("reading", store);
            all.push(self.look_at(&folder, &region, placement, store)?);
        }
        let (mut shown, mut text, mut pending) = (Vec::new(), String::new(), 0);
        for found in &mut all {
            let name = found.store.name.clone();
            let Some((restorable, store_id, batch)) = found.change.take() else {
                text += &format!("{name}: restored already; start the region\n");
                shown.push(json!({ "placement": name, "restored": true, "written": false }));
                continue;
            };
            let (from, to) = (restorable.copy.replica.to_string(), restorable.replica.to_string());
            let what = json!({ "from": from, "to": to, "as_of": found.as_of });
            if self.apply {
                let given = (store_id, &what);
                note_given(&folder, folder.placement(&name)?, restorable.replica, given)?;
                note(self.disk.data(), &name, "restored", &what)?;
                // The epochs first: a store of the new incarnation is never without the one that admits it.
                let kept =
                    follow_epochs::to_keep(&found.store.store, &found.statements).map_err(unreadable)?;
                found.store.store.commit(&kept).map_err(unreadable)?;
                found.store.store.commit(&batch).map_err(unreadable)?;
            } else {
                pending += 1;
            }
            let verb = if self.apply { "is" } else { "can become" };
            text += &format!(
                "{name}: the copy of {from}, last written {}, {verb} the store of {to}\n",
                found.as_of
            );
            shown.push(
                json!({ "placement": name, "restored": self.apply, "written": self.apply, "copy": what }),
            );
        }
        self.disk.print(&json!({ "applied": self.apply, "placements": shown }), &text);
        match pending {
            0 => Ok(()),
            _ => Err(Failure::Degraded("nothing was written; `--apply` restores".to_owned())),
        }
    }

    fn look_at<'a>(
        &self,
        folder: &ClusterFolder,
        region: &ClusterRegion,
        placement: &ClusterPlacement,
        store: &'a mut StoppedStore,
    ) -> Result<Found<'a>, Failure> {
        let kept = follow_epochs::kept(&store.store, Epoch(0), usize::MAX).map_err(unreadable)?;
        let numbered = |statement: EpochStatement| (statement.number, statement);
        let both = kept.into_iter().chain(folder.epochs_of(placement)?).map(numbered);
        let statements: Vec<EpochStatement> = both.collect::<BTreeMap<_, _>>().into_values().collect();
        let current = current_placement(placement, &statements)
            .map_err(|why| Failure::Refused(format!("placement {}: {why}", placement.name)))?;
        let refused = |why: RestoreRefused| refused(&placement.name, &why);
        let replica = current.replica_of(region.id).ok_or_else(|| refused(RestoreRefused::NotAdmitted))?;
        let (region_name, placement_name) = (region.name.clone(), placement.name.clone());
        let expected = Expected { replica, region_name, placement: placement.id, placement_name };
        let as_of = written_at(store)?;
        let is_restored = meta::read(&store.store)
            .map_err(unreadable)?
            .is_some_and(|found| found.replica == replica && found.start_number == 0);
        if is_restored {
            return Ok(Found { store, statements, change: None, as_of });
        }
        let restorable = look_at(&store.store, &expected, &statements).map_err(refused)?;
        if given(folder, placement, replica, None)? != Given::Nothing {
            let (name, region) = (&placement.name, &region.name);
            return Err(Failure::Refused(format!(
                "placement {name}: {replica} was given a copy before, and this one would issue again what that has issued: close and admit the region once more, `archipelago admin epoch --placement {name} --close {region} --admit {region}`"
            )));
        }
        let damaged = verify(&store.store, placement.id, DAMAGED_MAX).map_err(unreadable)?.damaged;
        if !damaged.is_empty() {
            let name = &placement.name;
            return Err(Failure::Degraded(format!(
                "placement {name}: the copy is damaged, and nothing was written: take another one, or start the region on an empty data folder\n{}",
                listed(&damaged)
            )));
        }
        let others = if restorable.to_be_shown.is_empty() {
            BTreeMap::new()
        } else {
            self.ask_others(folder, placement, &current, region.id)?
        };
        let store_id = StoreId(u128::from_be_bytes(random::bytes()?));
        let (_, batch) = restorable.clone().restore(&store.store, store_id, &others).map_err(refused)?;
        Ok(Found { store, statements, change: Some((restorable, store_id, batch)), as_of })
    }

    /// What the other active regions have applied between them.
    fn ask_others(
        &self,
        folder: &ClusterFolder,
        placement: &ClusterPlacement,
        current: &Placement,
        own: RegionId,
    ) -> Result<BTreeMap<PartitionId, VersionVector>, Failure> {
        let (agent, token) = (agent(Duration::from_secs(self.timeout)), token::for_operator(folder, 1)?);
        let mut all = BTreeMap::<PartitionId, VersionVector>::new();
        for replica in current.active.keys().filter(|replica| replica.region != own) {
            // An epoch names no other regions than the cluster file.
            let Some(region) = folder.cluster.regions.get(&replica.region) else { continue };
            for (partition, held) in ask(&agent, region, placement, &token)? {
                let applied = held.applied.into_iter().collect();
                all.entry(partition).or_default().join(&applied);
            }
        }
        Ok(all)
    }
}

/// When a store was last written, by its region's clock.
fn written_at(store: &StoppedStore) -> Result<String, Failure> {
    let floor = present::floor(&store.store).map_err(unreadable)?;
    Ok(utc(floor.ms()))
}

/// A time in milliseconds since 1970, for people and programs.
pub(crate) fn utc(ms: u64) -> String {
    let seconds = i64::try_from(ms / 1_000).unwrap_or(i64::MAX);
    let said = |at: OffsetDateTime| {
        let (hour, minute, second) = at.to_hms();
        format!("{}T{hour:02}:{minute:02}:{second:02}Z", at.date())
    };
    OffsetDateTime::from_unix_timestamp(seconds).map_or_else(|_| "never".to_owned(), said)
}

fn refused(placement: &str, why: &RestoreRefused) -> Failure {
    Failure::Refused(format!("placement {placement}: {why}"))
}
