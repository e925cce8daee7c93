//! `archipelago admin verify` and `archipelago admin repair`: what lies on the disk of a region that does not run.
//!
//! What must always hold: nothing is written without `--apply`, nor to a store of which something would stay damaged; what was written is noted in the data
//! folder (`repairs.jsonl`), a line a store.

use crate::ask_for_lost::Others;
use crate::cluster_folder::ClusterFolder;
use crate::failure::Failure;
use clap::Args;
use crdt::RegionId;
use region::cluster::{Cluster, ClusterRegion};
use region::mend_log::{Given, lost};
use region::mend_registers;
use region::meta::{self, FORMAT, MetaRefused};
use region::repair::{Repair as Repaired, repair};
use region::store::{Store as _, StoreError};
use region::verify::{Verified, verify};
use region_rocks::stopped::{Stopped, StoppedRefused, StoppedStore};
use replication::signature::Ed25519;
use serde_json::{Value, json};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use time::OffsetDateTime;

/// Damages that are listed of each store.
pub(crate) const DAMAGED_MAX: usize = 100;

const VERIFY_EXAMPLES: &str = "\
Examples:
  archipelago admin verify --cluster demo --region ap-south --data data/ap-south
";

const REPAIR_EXAMPLES: &str = "\
Examples:
  archipelago admin repair --cluster demo --region ap-south --data data/ap-south
  archipelago admin repair --cluster demo --region ap-south --data data/ap-south --apply
  archipelago admin repair --cluster demo --region ap-south --data data/ap-south --from-others --apply
";

/// Operations of a log that other regions are asked for at a time; more need a copy, or a new incarnation.
const LOST_MAX: usize = 10_000;

/// Whose disk.
#[derive(Debug, Args)]
pub(crate) struct Disk {
    /// The cluster's folder or file
    #[arg(long)]
    cluster: PathBuf,
    /// The region, which must not run
    #[arg(long)]
    region: String,
    /// Its data folder
    #[arg(long)]
    data: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Reads everything that a stopped region holds, and names what is damaged.
#[derive(Debug, Args)]
#[command(before_help = VERIFY_EXAMPLES)]
pub(crate) struct Verify {
    #[command(flatten)]
    disk: Disk,
}

/// Makes again what follows from the log, or shows what would be.
#[derive(Debug, Args)]
#[command(before_help = REPAIR_EXAMPLES)]
pub(crate) struct Repair {
    #[command(flatten)]
    disk: Disk,
    /// Ask the other regions for what the log has lost
    #[arg(long)]
    from_others: bool,
    /// Write it
    #[arg(long)]
    apply: bool,
}

impl Disk {
    /// The cluster, and the region whose disk it is.
    pub(crate) fn region(&self) -> Result<(ClusterFolder, ClusterRegion), Failure> {
        let folder = ClusterFolder::open(&self.cluster)?;
        let region = folder.region(&self.region)?.clone();
        Ok((folder, region))
    }

    /// Its data folder.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// Its stores, in this process's hands.
    pub(crate) fn open(&self) -> Result<Stopped, Failure> {
        self.open_with(Stopped::open)
    }

    /// Those of its stores that are there.
    pub(crate) fn open_found(&self) -> Result<Stopped, Failure> {
        self.open_with(Stopped::open_found)
    }

    fn open_with(
        &self,
        open: impl FnOnce(&Path, &Cluster, RegionId) -> Result<Stopped, StoppedRefused>,
    ) -> Result<Stopped, Failure> {
        let (folder, region) = self.region()?;
        if !self.data.is_dir() {
            return Err(Failure::NoFile {
                path: self.data.clone(),
                advice: "name the data folder that the region was started with",
            });
        }
        open(&self.data, &folder.cluster, region.id).map_err(not_opened)
    }

    /// What can be told while a large store is read, to people.
    pub(crate) fn begin(&self, what: &str, store: &StoppedStore) {
        self.say(&format!("{what} {} …", store.name));
    }

    /// How far it has come, to people.
    pub(crate) fn say(&self, what: &str) {
        if !self.json {
            eprintln!("{what}");
        }
    }

    pub(crate) fn print(&self, json: &Value, text: &str) {
        if self.json { println!("{json}") } else { print!("{text}") }
    }
}

impl Verify {
    /// Reads all, and prints what it found.
    ///
    /// # Errors
    /// [`Failure::Degraded`] when something is damaged; when the stores cannot be opened or read.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let stopped = self.disk.open()?;
        let (mut found, mut text, mut damages) = (Vec::new(), String::new(), 0);
        for store in &stopped.stores {
            self.disk.begin("verifying", store);
            let verified = verify(&store.store, store.placement, DAMAGED_MAX).map_err(unreadable)?;
            let Verified { records, operations, damaged } = verified;
            damages += damaged.len();
            let how = if damaged.is_empty() { "sound" } else { "DAMAGED" };
            text += &format!("{}: {records} records, {operations} operations, {how}\n", store.name);
            text += &listed(&damaged);
            let damaged: Vec<String> = damaged.iter().map(named).collect();
            found.push(json!({
                "placement": store.name, "records": records, "operations": operations, "damaged": damaged,
            }));
        }
        self.disk.print(&json!({ "ok": damages == 0, "placements": found }), &text);
        if damages == 0 {
            return Ok(());
        }
        Err(Failure::Degraded(format!(
            "{damages} records are damaged: `archipelago admin repair` shows what of it can be made again"
        )))
    }
}

impl Repair {
    /// Works out what can be made again, writes it if it was told to, and prints it.
    ///
    /// # Errors
    /// [`Failure::Degraded`] when something stays damaged, or nothing was written yet; when the stores cannot be opened, read or written.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let (folder, region) = self.disk.region()?;
        let mut stopped = self.disk.open()?;
        let (mut found, mut text) = (Vec::new(), String::new());
        let (mut pending, mut beyond) = (0, 0);
        for store in &mut stopped.stores {
            self.disk.begin("reading", store);
            let Repaired { batch, mended, remains } = self.work_out(&folder, &region, store)?;
            let writes = self.apply && remains.is_empty() && !batch.is_empty();
            if writes {
                refuse_older(store)?;
                let records: Vec<String> = mended.iter().map(named).collect();
                note(&self.disk.data, &store.name, "made_again", &json!(records))?;
                store.store.commit(&batch).map_err(unreadable)?;
            } else if remains.is_empty() {
                pending += mended.len();
            }
            beyond += remains.len();
            text += &match (mended.len(), remains.len(), writes) {
                (0, 0, _) => format!("{}: sound, nothing to do\n", store.name),
                (records, 0, true) => format!("{}: {records} records were made again\n", store.name),
                (records, 0, false) => format!("{}: {records} records can be made again\n", store.name),
                (_, remains, _) => format!("{}: {remains} records cannot be made again\n", store.name),
            };
            text += &listed(if remains.is_empty() { &mended } else { &remains });
            found.push(json!({
                "placement": store.name, "written": writes,
                "made_again": mended.iter().map(named).collect::<Vec<_>>(),
                "remains": remains.iter().map(named).collect::<Vec<_>>(),
            }));
        }
        self.disk.print(&json!({ "applied": self.apply, "placements": found }), &text);
        match (beyond, pending) {
            (0, 0) => Ok(()),
            (0, pending) => Err(Failure::Degraded(format!(
                "nothing was written; `--apply` makes these {pending} records again"
            ))),
            (beyond, _) => {
                let what = if self.from_others {
                    "from what the store and the other regions hold"
                } else {
                    "from what the store holds"
                };
                let then = if self.from_others {
                    "keep the disk, and let the region return as a new incarnation (docs/operations/a-region-is-lost.md)"
                } else {
                    "`--from-others` asks the other regions for what the log has lost"
                };
                Err(Failure::Degraded(format!(
                    "{beyond} records cannot be made again {what}, and nothing was written to it: {then}"
                )))
            }
        }
    }

    /// What can be made again of a store, with what others give if they are to be asked.
    fn work_out(
        &self,
        folder: &ClusterFolder,
        region: &ClusterRegion,
        store: &StoppedStore,
    ) -> Result<Repaired, Failure> {
        let (of, view) = (store.placement, &store.store);
        let repaired = |given: Option<&Given<'_>>| repair(view, of, DAMAGED_MAX, given).map_err(unreadable);
        if !self.from_others {
            return repaired(None);
        }
        let lost = lost(view, of, LOST_MAX).map_err(unreadable)?;
        let placement = folder.placement(&store.name)?;
        let current = folder.current_epoch(placement)?;
        let registers = mend_registers::lost(view, of, LOST_MAX).map_err(unreadable)?;
        let mut others = Others::new(folder, (region, placement), &current)?;
        let commits = others.operations(&lost);
        let registers = others.registers(&registers);
        let Some(own) = meta::read(view).ok().flatten() else { return repaired(None) };
        let key = folder.replica_key(&region.name)?;
        let own = (own.replica, &key);
        repaired(Some(&Given {
            commits: &commits,
            registers: &registers,
            placement: &current,
            own,
            signatures: &Ed25519,
        }))
    }
}

/// What is made again is of this version's format, which the one that wrote the store may not read.
fn refuse_older(store: &StoppedStore) -> Result<(), Failure> {
    if store.format == FORMAT {
        return Ok(());
    }
    Err(Failure::Argument(format!(
        "placement {}: the store has format {}, and this version writes {FORMAT}: repair it with the version that wrote it, or start the region once with this one",
        store.name, store.format
    )))
}

/// Notes, durably and before it is done, what is done to a store.
pub(crate) fn note(data: &Path, placement: &str, what: &str, details: &Value) -> Result<(), Failure> {
    let path = data.join("repairs.jsonl");
    let at_s = OffsetDateTime::now_utc().unix_timestamp();
    let line = json!({ "at_s": at_s, "placement": placement, what: details });
    let written = OpenOptions::new().create(true).append(true).open(&path).and_then(|mut file| {
        writeln!(file, "{line}")?;
        file.sync_all()
    });
    written.map_err(|reason| Failure::Disk { path, verb: "written", reason })
}

pub(crate) fn listed(damaged: &[StoreError]) -> String {
    damaged.iter().map(|damage| format!("  {}\n", named(damage))).collect()
}

/// A damage without what to do about it, which depends on what else is damaged.
pub(crate) fn named(damage: &StoreError) -> String {
    match damage {
        StoreError::Damaged { table, key, what } => format!("{table} {key}: {what}"),
        other => other.to_string(),
    }
}

/// A store that is too damaged to be opened is what was looked for; any other cannot be looked at as it was asked.
pub(crate) fn not_opened(refused: StoppedRefused) -> Failure {
    let said = refused.to_string();
    match refused {
        StoppedRefused::Store { error: StoreError::Damaged { .. }, .. }
        | StoppedRefused::Meta { error: MetaRefused::Store(StoreError::Damaged { .. }), .. } => {
            Failure::Degraded(said)
        }
        StoppedRefused::Store { .. }
        | StoppedRefused::Meta { .. }
        | StoppedRefused::NoStore { .. }
        | StoppedRefused::Folder(_) => Failure::Argument(said),
    }
}

/// A store cannot be read.
pub(crate) fn unreadable(error: StoreError) -> Failure {
    Failure::Stopped(error.to_string())
}
