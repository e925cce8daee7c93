//! What one region's disk holds, as it is stated: for people, and as JSON for the report.
//!
//! What must always hold: a statement names the cluster's configuration that it was judged by, so that statements of two states of a cluster are never laid side by side.

use super::files::{Files, Searched};
use region::cluster::{Cluster, ClusterRegion};
use region::residency::Residency;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sim::page::count;
use std::collections::BTreeMap;
use std::fmt;
use time::OffsetDateTime;

/// The form of a statement; another one is refused by name.
const FORM: u32 = 1;

/// What lies on the disk of a region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Statement {
    residency_statement: u32,
    pub(super) cluster: String,
    /// The digest of the configuration: regions, placements, keys.
    pub(super) configuration: String,
    pub(super) region: String,
    pub(super) jurisdiction: String,
    /// When it was looked at, and by which version.
    pub(super) at: String,
    version: String,
    pub(super) placements: Vec<Held>,
    pub(super) files: Files,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) searched: Option<Searched>,
}

/// What it holds of one placement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Held {
    pub(super) placement: String,
    pub(super) records: u64,
    pub(super) bytes: u64,
    pub(super) operations: u64,
    pub(super) conversations: u64,
    pub(super) messages: u64,
    pub(super) memberships: u64,
    pub(super) receipts: u64,
    pub(super) documents: u64,
    pub(super) directory: u64,
    /// Members of its conversations, by the placement that they are pinned to.
    pub(super) users: BTreeMap<String, u64>,
    pub(super) outside_records: u64,
    /// The first of them.
    pub(super) outside: Vec<String>,
}

impl Held {
    /// What a store holds; all of it is outside if no epoch has the region in its placement any more.
    pub(super) fn new(cluster: &Cluster, placement: &str, found: &Residency, is_active: bool) -> Self {
        let name = |of| cluster.placements.get(of).map_or_else(|| of.to_string(), |of| of.name.clone());
        let held = found.held;
        let left = "all of it: no epoch has the region in this placement; `archipelago admin remove-store` removes it once it is everywhere else";
        let (outside_records, outside) = if is_active {
            (found.outside_records, found.outside.iter().map(ToString::to_string).collect())
        } else {
            (held.records, vec![left.to_owned()])
        };
        Self {
            placement: placement.to_owned(),
            records: held.records,
            bytes: held.bytes,
            operations: held.operations,
            conversations: held.conversations,
            messages: held.messages,
            memberships: held.memberships,
            receipts: held.receipts,
            documents: held.documents,
            directory: held.directory,
            users: found.users.iter().map(|(pin, users)| (name(pin), *users)).collect(),
            outside_records,
            outside,
        }
    }

    /// `3 of global, 1 of eu`.
    pub(super) fn users_by_pin(&self) -> String {
        let of = |(pin, users): (&String, &u64)| format!("{} of {pin}", count(*users));
        let all: Vec<String> = self.users.iter().map(of).collect();
        if all.is_empty() { "none".to_owned() } else { all.join(", ") }
    }
}

impl Statement {
    pub(super) fn new(
        cluster: &Cluster,
        region: &ClusterRegion,
        at: OffsetDateTime,
        (placements, files, searched): (Vec<Held>, Files, Option<Searched>),
    ) -> Self {
        Self {
            residency_statement: FORM,
            cluster: cluster.name.clone(),
            configuration: configuration(cluster),
            region: region.name.clone(),
            jurisdiction: region.jurisdiction.clone(),
            at: format!("{} {:02}:{:02} UTC", at.date(), at.hour(), at.minute()),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            placements,
            files,
            searched,
        }
    }

    /// Reads one.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let read: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        match read.get("residency_statement").and_then(Value::as_u64) {
            Some(form) if form == u64::from(FORM) => {}
            Some(form) => {
                return Err(format!(
                    "it is a statement of form {form}, this version reads {FORM}: make it anew with this version"
                ));
            }
            None => {
                return Err(
                    "it is no statement: make one with `archipelago admin residency --json`".to_owned()
                );
            }
        }
        serde_json::from_value(read).map_err(|error| error.to_string())
    }

    pub(super) fn to_json(&self) -> Value {
        json!(self)
    }

    /// How many things lie there that must not, or of which nobody can say what they are.
    pub(super) fn problems(&self) -> u64 {
        let records: u64 = self.placements.iter().map(|held| held.outside_records).sum();
        records + self.files.strange.len() as u64
    }
}

/// The digest of a cluster's configuration, in hexadecimal.
pub(super) fn configuration(cluster: &Cluster) -> String {
    cluster.digest().iter().map(|byte| format!("{byte:02x}")).collect()
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} ({}), cluster {}, {}", self.region, self.jurisdiction, self.cluster, self.at)?;
        for held in &self.placements {
            writeln!(
                f,
                "  {}: {} conversations, {} messages, {} operations, {} receipts, {} documents, {} directory entries",
                held.placement,
                count(held.conversations),
                count(held.messages),
                count(held.operations),
                count(held.receipts),
                count(held.documents),
                count(held.directory)
            )?;
            writeln!(f, "    members by pin: {}", held.users_by_pin())?;
            let (records, bytes) = (count(held.records), count(held.bytes));
            match held.outside_records {
                0 => writeln!(f, "    all {records} records ({bytes} bytes) may lie here")?,
                outside => writeln!(f, "    {} OF {records} RECORDS MUST NOT LIE HERE", count(outside))?,
            }
            held.outside.iter().try_for_each(|outside| writeln!(f, "      {outside}"))?;
        }
        let (files, bytes) = (count(self.files.files), count(self.files.bytes));
        match self.files.strange.len() {
            0 => writeln!(f, "  all {files} files ({bytes} bytes) are these stores' or the region's own")?,
            strange => writeln!(f, "  {strange} OF {files} FILES ARE NONE OF THIS REGION'S")?,
        }
        self.files.strange.iter().try_for_each(|file| writeln!(f, "      {file}"))?;
        let Some(searched) = &self.searched else { return Ok(()) };
        writeln!(
            f,
            "  `{}`: found in {} places; looked for in {} records and {} files ({} bytes)",
            searched.text,
            count(searched.places),
            count(searched.records),
            count(searched.files),
            count(searched.bytes)
        )?;
        searched.found.iter().try_for_each(|place| writeln!(f, "      {place}"))
    }
}
