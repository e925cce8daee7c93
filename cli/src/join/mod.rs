//! `archipelago admin join`: the stores of a region that was admitted and has none begin with snapshots of other regions' stores.
//!
//! ```text
//!   which replica do the epochs admit? ─▶ fetch.rs: a region that is active gives its files ─▶ are they signed, and what their log says? ─▶ DATA/PLACEMENT
//! ```
//! What must always hold: a store has its place only when it is whole, verified, and the new replica's own; whatever breaks off, the next call goes on from there; a replica is given a store once. The region itself does
//! not run on that placement meanwhile, but may on others.

mod fetch;

use crate::at_rest::{DAMAGED_MAX, listed, note, unreadable};
use crate::backups::{run, size};
use crate::cluster_folder::ClusterFolder;
use crate::failure::Failure;
use crate::given_stores::{Given, given, note_given};
use crate::random;
use clap::Args;
use crdt::ReplicaId;
use fetch::Fetch;
use region::cluster::{ClusterPlacement, ClusterRegion};
use region::join::{JoinRefused, look_at};
use region::meta::{self, Expected};
use region::store::Store as _;
use region::verify::verify;
use region_rocks::lock::{JoinLock, LockRefused};
use region_rocks::stopped::{StoppedRefused, open_snapshot};
use replication::StoreId;
use replication::signature::Ed25519;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  archipelago admin epoch --cluster demo --placement global --admit ap-south --apply
  archipelago admin join --cluster demo --region ap-south --data data/ap-south
  archipelago admin join --cluster demo --region ap-south --data data/ap-south --placement global --from eu-central --limit 20 --json

Start the region when it has ended. It takes from the others what came after the snapshot, and then answers devices.
Without it a region that was admitted begins empty and takes everything, operation by operation: good for small placements.
A call that was cut short goes on where it ended.";

/// Below the data folder; no placement is called so, since names have no points.
const INCOMING: &str = "incoming.snapshots";

/// Begin the stores of a region that was admitted with snapshots of other regions' stores
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Join {
    /// The cluster's folder or file
    #[arg(long)]
    cluster: PathBuf,
    /// The region that joins
    #[arg(long)]
    region: String,
    /// Its data folder
    #[arg(long)]
    data: PathBuf,
    /// A placement, by name; may be repeated. Without it, all of the region's that have no store
    #[arg(long)]
    placement: Vec<String>,
    /// The region to take them from; without it, whichever gives one
    #[arg(long)]
    from: Option<String>,
    /// Megabytes a second that are read at most, so that people's messages have the rest of the link
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    limit: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A store that is to begin.
struct Joining<'a> {
    placement: &'a ClusterPlacement,
    own: Expected,
    /// Where the snapshot is, once all of it is there.
    fetched: PathBuf,
    /// Where the store is to be.
    store: PathBuf,
}

/// A store that has begun.
struct Begun {
    /// The region that gave the snapshot; none if that was in an earlier call, which was cut short.
    from: Option<String>,
    operations: u64,
    store_id: StoreId,
}

impl Begun {
    /// As it is noted.
    fn told(&self, to: ReplicaId) -> Value {
        json!({ "from": self.from, "to": to.to_string(), "operations": self.operations })
    }
}

impl Join {
    /// Begins them, one after the other.
    ///
    /// # Errors
    /// When there is nothing to begin, no region gives a snapshot, one is damaged, or the disk refuses. What has begun stays.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let folder = ClusterFolder::open(&self.cluster)?;
        let region = folder.region(&self.region)?.clone();
        let incoming = self.data.join(INCOMING);
        fs::create_dir_all(&incoming).map_err(Failure::write(&incoming))?;
        let held = JoinLock::acquire(&self.data).map_err(|refused| match refused {
            LockRefused::Joins { .. } => Failure::Refused(refused.to_string()),
            LockRefused::Held { .. } | LockRefused::BackedUp { .. } | LockRefused::Failed { .. } => {
                Failure::Stopped(refused.to_string())
            }
        })?;
        let mut shown = Vec::new();
        for joining in self.stores_to_begin(&folder, &region)? {
            let fetch = Fetch::of(&folder, &region, self.from.as_deref(), self.limit)?;
            let landed = if joining.fetched.exists() {
                None
            } else {
                Some(run(fetch.all(joining.placement, joining.own.replica, &joining.fetched))?)
            };
            if !self.json {
                eprintln!("verifying {} …", joining.placement.name);
            }
            let begun = self.begin(&folder, &joining)?;
            let (bytes, came) = landed.map_or((None, None), |landed| (Some(landed.bytes), Some(landed.came)));
            let name = &joining.placement.name;
            shown.push(json!({
                "placement": name, "from": begun.from, "replica": joining.own.replica.to_string(),
                "operations": begun.operations, "bytes": bytes, "came": came,
            }));
            let whose = begun.from.map_or_else(String::new, |from| format!(" of {from}"));
            self.tell(&format!(
                "{name}: begun with a snapshot{whose}: {} operations, {}\n",
                begun.operations,
                bytes.map_or_else(|| "fetched before".to_owned(), size)
            ));
        }
        drop(held);
        // Empty by now, unless an earlier call left something of a placement that was not asked for.
        let _ = fs::remove_dir(&incoming);
        if self.json {
            println!("{}", json!({ "placements": Value::from(shown) }));
        }
        Ok(())
    }

    fn tell(&self, text: &str) {
        if !self.json {
            print!("{text}");
        }
    }

    /// The placements that are meant, each with the replica that its epoch admits.
    fn stores_to_begin<'a>(
        &self,
        folder: &'a ClusterFolder,
        region: &ClusterRegion,
    ) -> Result<Vec<Joining<'a>>, Failure> {
        let mut meant = Vec::new();
        for name in &self.placement {
            meant.push(folder.placement(name)?);
        }
        if meant.is_empty() {
            let mut active = Vec::new();
            for placement in folder.cluster.placements_of(region.id) {
                if folder.current_epoch(placement)?.replica_of(region.id).is_some() {
                    active.push(placement);
                }
            }
            // Active in none, it is told how it comes to be.
            let all = active.is_empty().then(|| folder.cluster.placements_of(region.id));
            let without = |of: &&ClusterPlacement| !self.data.join(&of.name).exists();
            meant.extend(all.into_iter().flatten().chain(active).filter(without));
        }
        if meant.is_empty() {
            let (name, data) = (&region.name, self.data.display());
            return Err(Failure::Refused(format!(
                "{data} holds a store of each placement that an epoch has {name} in: start the region; a store of a replica that was closed is to be kept elsewhere first (docs/operations/a-region-is-lost.md)"
            )));
        }
        meant.into_iter().map(|placement| self.store_to_begin(folder, region, placement)).collect()
    }

    fn store_to_begin<'a>(
        &self,
        folder: &ClusterFolder,
        region: &ClusterRegion,
        placement: &'a ClusterPlacement,
    ) -> Result<Joining<'a>, Failure> {
        let name = &placement.name;
        let refused = |why: String| Err(Failure::Refused(format!("placement {name}: {why}")));
        let current = folder.current_epoch(placement)?;
        let Some(replica) = current.replica_of(region.id) else {
            return refused(format!(
                "no replica of {} is active: admit one, `archipelago admin epoch --placement {name} --admit {} --apply`",
                region.name, region.name
            ));
        };
        let store = self.data.join(name);
        if store.exists() {
            return refused(format!(
                "{} exists: a store begins once; keep one of an earlier replica elsewhere first",
                store.display()
            ));
        }
        if current.active.len() == 1 {
            return refused("nobody else is active in it: start the region".to_owned());
        }
        let fetched = self.data.join(INCOMING).join(format!("{name}.fetched"));
        // What was fetched may be the very store that it was given: `begin` looks.
        if given(folder, placement, replica, None)? != Given::Nothing && !fetched.exists() {
            return Err(had_store(placement, replica, &region.name));
        }
        let own = Expected {
            replica,
            region_name: region.name.clone(),
            placement: placement.id,
            placement_name: name.clone(),
        };
        Ok(Joining { placement, own, fetched, store })
    }

    /// Makes what was fetched the store of the replica, and puts it in its place.
    fn begin(&self, folder: &ClusterFolder, joining: &Joining<'_>) -> Result<Begun, Failure> {
        let begun = self.adopt(joining).and_then(|begun| given_once(folder, joining, begun));
        if matches!(begun, Err(Failure::Refused(_) | Failure::Degraded(_))) {
            // Of no use: the next call asks for another one.
            fs::remove_dir_all(&joining.fetched).map_err(Failure::write(&joining.fetched))?;
        }
        let begun = begun?;
        let Joining { placement, own, fetched, store } = joining;
        note(&self.data, &placement.name, "joined", &begun.told(own.replica))?;
        // It takes nothing's place: a region that was started meanwhile has a store, and keeps it.
        fs::rename(fetched, store).map_err(Failure::write(store))?;
        sync(&self.data)?;
        Ok(begun)
    }

    fn adopt(&self, Joining { placement, own, fetched, .. }: &Joining<'_>) -> Result<Begun, Failure> {
        let name = &placement.name;
        let refused = |why: JoinRefused| Failure::Refused(format!("placement {name}: {why}"));
        let mut store = open_snapshot(fetched, placement).map_err(not_opened)?;
        let verified = verify(&store, placement.id, DAMAGED_MAX).map_err(unreadable)?;
        if !verified.damaged.is_empty() {
            return Err(Failure::Degraded(format!(
                "placement {name}: the snapshot is damaged, and was not taken: verify the store that it is of, and take one of another region\n{}",
                listed(&verified.damaged)
            )));
        }
        let operations = verified.operations;
        let found = meta::read(&store).map_err(unreadable)?;
        if let Some(found) = found.filter(|found| found.replica == own.replica) {
            // A call that was cut short had come so far.
            return Ok(Begun { from: None, operations, store_id: found.store_id });
        }
        let joinable = look_at(&store, own, placement, &Ed25519).map_err(refused)?;
        let from = Some(joinable.sender.region_name.clone());
        let store_id = StoreId(u128::from_be_bytes(random::bytes()?));
        let (_, batch) = joinable.begin(&store, store_id).map_err(unreadable)?;
        store.commit(&batch).map_err(unreadable)?;
        Ok(Begun { from, operations, store_id })
    }
}

/// Notes that the replica is given that store, unless an earlier call has. Only then may it have its place.
fn given_once(folder: &ClusterFolder, joining: &Joining<'_>, begun: Begun) -> Result<Begun, Failure> {
    let Joining { placement, own, .. } = joining;
    match given(folder, placement, own.replica, Some(begun.store_id))? {
        Given::Nothing => {
            note_given(folder, placement, own.replica, (begun.store_id, &begun.told(own.replica)))?;
        }
        Given::This => {}
        Given::Another => return Err(had_store(placement, own.replica, &own.region_name)),
    }
    Ok(begun)
}

fn had_store(placement: &ClusterPlacement, replica: ReplicaId, region: &str) -> Failure {
    let name = &placement.name;
    Failure::Refused(format!(
        "placement {name}: {replica} was given a store before, and another one would issue again what that has issued: close and admit the region once more, `archipelago admin epoch --placement {name} --close {region} --admit {region} --apply`"
    ))
}

fn not_opened(refused: StoppedRefused) -> Failure {
    Failure::Degraded(format!("the snapshot cannot be opened: {refused}"))
}

fn sync(folder: &Path) -> Result<(), Failure> {
    File::open(folder).and_then(|opened| opened.sync_all()).map_err(Failure::write(folder))
}
