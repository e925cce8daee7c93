//! `archipelago admin residency-report`: the statements of all regions, one beside the other: for every placement and every region what lies there, and how that was found out.
//!
//! What must always hold: a pair of placement and region of which nothing was established is told as not known, never as empty; statements of another cluster, or of another
//! configuration of this one, and two of one region, are refused by name; the page fetches nothing, and every name in it stays text.

use super::statement::{Held, Statement, configuration};
use crate::cluster_folder::ClusterFolder;
use crate::failure::Failure;
use crate::write_file::write_public;
use clap::Args;
use serde::Serialize;
use sim::page::{count, escape};
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  archipelago admin residency-report --cluster demo eu-central.json us-east.json ap-south.json
  archipelago admin residency-report --cluster demo *.json --html residency.html
";

const STYLE: &str = include_str!("report.css");

/// Lays the statements of all regions side by side, for an auditor.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Report {
    /// The statements that `archipelago admin residency --json` printed, one a region
    #[arg(required = true, value_name = "STATEMENT")]
    statements: Vec<PathBuf>,
    /// The cluster's folder or file
    #[arg(long)]
    cluster: PathBuf,
    /// Write the report as a page too
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What is reported.
#[derive(Debug, Serialize)]
struct Reported {
    ok: bool,
    cluster: String,
    configuration: String,
    problems: Vec<String>,
    rows: Vec<Row>,
}

/// What is known of one placement in one region.
#[derive(Debug, Serialize)]
struct Row {
    placement: String,
    region: String,
    jurisdiction: String,
    /// Whether the region has a part in the placement.
    has_part: bool,
    /// When its disk was looked at; none if it was not.
    at: Option<String>,
    /// What lies there; none where nothing does, or nothing is known.
    held: Option<Held>,
    /// How that was found out.
    established: String,
}

impl Report {
    /// Reads the statements, prints the report, and writes the page.
    ///
    /// # Errors
    /// [`Failure::Degraded`] when something lies where it must not, or a region's statement is missing; when a statement cannot be read, or is not of this cluster as it is.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let folder = ClusterFolder::open(&self.cluster)?;
        let reported = Reported::new(&folder, self.read(&folder)?);
        if let Some(path) = &self.html {
            write_public(path, &reported.page())?;
        }
        if self.json {
            println!("{}", serde_json::json!(reported));
        } else {
            print!("{reported}");
        }
        match reported.problems.len() {
            0 => Ok(()),
            _ => Err(Failure::Degraded(reported.problems.join("; "))),
        }
    }

    /// By region.
    fn read(&self, folder: &ClusterFolder) -> Result<BTreeMap<String, Statement>, Failure> {
        let mut statements = BTreeMap::new();
        for path in &self.statements {
            let mistake = |mistake: String| Failure::File { path: path.clone(), mistake };
            let text = std::fs::read_to_string(path).map_err(|reason| Failure::Disk {
                path: path.clone(),
                verb: "read",
                reason,
            })?;
            let statement = Statement::parse(&text).map_err(mistake)?;
            if statement.configuration != configuration(&folder.cluster) {
                return Err(mistake(format!(
                    "it was judged by another configuration than that of cluster {} here: make it anew with this cluster's file",
                    folder.cluster.name
                )));
            }
            folder.region(&statement.region)?;
            if let Some(before) = statements.insert(statement.region.clone(), statement) {
                return Err(mistake(format!(
                    "there is a second statement of region {}: give one",
                    before.region
                )));
            }
        }
        Ok(statements)
    }
}

impl Reported {
    fn new(folder: &ClusterFolder, statements: BTreeMap<String, Statement>) -> Self {
        let cluster = &folder.cluster;
        let mut rows = Vec::new();
        for placement in cluster.placements.values() {
            for region in cluster.regions.values() {
                let statement = statements.get(&region.name);
                let has_part = placement.regions.contains(&region.id);
                let held = statement.and_then(|statement| {
                    statement.placements.iter().find(|held| held.placement == placement.name).cloned()
                });
                rows.push(Row {
                    placement: placement.name.clone(),
                    region: region.name.clone(),
                    jurisdiction: region.jurisdiction.clone(),
                    has_part,
                    at: statement.map(|statement| statement.at.clone()),
                    established: established(statement, held.as_ref()),
                    held,
                });
            }
        }
        let mut problems: Vec<String> = cluster
            .regions
            .values()
            .filter(|region| !statements.contains_key(&region.name))
            .map(|region| format!("{}: there is no statement, so what lies there is not known", region.name))
            .collect();
        for statement in statements.values() {
            for held in statement.placements.iter().filter(|held| held.outside_records > 0) {
                let (region, records) = (&statement.region, count(held.outside_records));
                problems.push(format!(
                    "{region}: {records} records in the store of {} must not lie there",
                    held.placement
                ));
            }
            if !statement.files.strange.is_empty() {
                let (region, files) = (&statement.region, statement.files.strange.len());
                problems.push(format!("{region}: {files} files are none of its stores' nor its own"));
            }
        }
        Self {
            ok: problems.is_empty(),
            cluster: cluster.name.clone(),
            configuration: configuration(cluster),
            problems,
            rows,
        }
    }

    /// The report as a page that needs nothing else.
    fn page(&self) -> String {
        let mut out = String::new();
        // Writing to memory cannot fail.
        let _ = self.write_page(&mut out);
        out
    }

    fn write_page(&self, out: &mut String) -> fmt::Result {
        let title = escape(&format!("Where the bytes of {} lie", self.cluster));
        writeln!(
            out,
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"data:,\">\n<title>{title}</title>\n<style>\n{STYLE}</style></head>\n<body><main>\n<h1>{title}</h1>"
        )?;
        let (class, verdict) = if self.ok {
            ("good", "Every region was looked at, and everything lies where it may.")
        } else {
            ("bad", "Not everything lies where it may, or not every region was looked at:")
        };
        writeln!(out, "<p class=\"{class}\">{verdict}</p>")?;
        if !self.ok {
            writeln!(out, "<ul>")?;
            for problem in &self.problems {
                writeln!(out, "<li>{}</li>", escape(problem))?;
            }
            writeln!(out, "</ul>")?;
        }
        write!(out, "<table>\n<caption>What lies where</caption>\n<thead><tr>")?;
        for head in [
            "placement",
            "region",
            "law",
            "conversations",
            "messages",
            "records",
            "bytes",
            "members by pin",
            "looked at",
            "established",
        ] {
            write!(out, "<th scope=\"col\">{head}</th>")?;
        }
        writeln!(out, "</tr></thead>\n<tbody>")?;
        for row in &self.rows {
            write!(out, "<tr><th scope=\"row\">{}</th>", escape(&row.placement))?;
            for cell in [row.region.clone(), row.jurisdiction.clone()].into_iter().chain(row.figures()) {
                write!(out, "<td>{}</td>", escape(&cell))?;
            }
            writeln!(out, "<td>{}</td></tr>", escape(&row.established))?;
        }
        writeln!(
            out,
            "</tbody></table>\n<p>A region's stores were closed while they were looked at. A placement's things bear its number in their ids, so what a record is about shows by the record alone. \
             Configuration {}.</p>\n</main></body></html>",
            escape(&self.configuration)
        )
    }
}

impl Row {
    /// Conversations, messages, records, bytes, members, and when it was looked at.
    fn figures(&self) -> [String; 6] {
        let at = self.at.clone().unwrap_or_else(|| "never".to_owned());
        match &self.held {
            Some(held) => {
                let [conversations, messages, records, bytes] =
                    [held.conversations, held.messages, held.records, held.bytes].map(count);
                [conversations, messages, records, bytes, held.users_by_pin(), at]
            }
            None => {
                let none = || if self.at.is_some() { "none".to_owned() } else { "not known".to_owned() };
                [none(), none(), none(), none(), none(), at]
            }
        }
    }
}

/// How it was found out what lies there.
fn established(statement: Option<&Statement>, held: Option<&Held>) -> String {
    let Some(statement) = statement else {
        return "not: its disk was not looked at".to_owned();
    };
    let files = count(statement.files.files);
    match held {
        Some(held) => format!(
            "each of the store's {} records was read: {} must not lie there",
            count(held.records),
            count(held.outside_records)
        ),
        None => {
            let records: u64 = statement.placements.iter().map(|held| held.records).sum();
            format!(
                "each of its {files} files was looked at: {} are of no store that it may have; each of the {} records of its stores was read, and those of other placements are counted there",
                statement.files.strange.len(),
                count(records)
            )
        }
    }
}

impl fmt::Display for Reported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<14} {:<14} {:>13} {:>13} {:>13}  members by pin",
            "placement", "region", "conversations", "messages", "records"
        )?;
        for row in &self.rows {
            let [conversations, messages, records, _, users, at] = row.figures();
            writeln!(
                f,
                "{:<14} {:<14} {conversations:>13} {messages:>13} {records:>13}  {users} (looked at: {at})",
                row.placement, row.region
            )?;
        }
        match self.ok {
            true => writeln!(f, "every region was looked at, and everything lies where it may"),
            false => self.problems.iter().try_for_each(|problem| writeln!(f, "NOT WELL: {problem}")),
        }
    }
}
