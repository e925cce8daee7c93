//! Gathers the evidence of a run: exports from running regions, histories from disk, looks at disks.
//!
//! What must always hold: what cannot be collected fails the run; it is never taken for empty.

use crate::crowd::Crowd;
use crate::limits::EXPORT_WITHIN;
use crate::options::{ReplayError, ReplayOptions, pinned_placement_name};
use crate::scan_disks::scan_folder;
use sim::evidence::{Evidence, Export, HistoryCollector, RegionFacts, Scan};
use sim::history::Line;
use sim::scan::Scanner;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};

/// Where a region gives its export.
const EXPORT_PATH: &str = "/v1/export";

/// What is known of the regions.
pub(crate) fn region_facts(options: &ReplayOptions) -> Vec<RegionFacts> {
    let cluster = &options.cluster;
    let facts = cluster.regions.values().map(|region| RegionFacts {
        name: region.name.clone(),
        id: region.id,
        placements: cluster
            .placements
            .values()
            .filter(|placement| placement.regions.contains(&region.id))
            .map(|placement| placement.id)
            .collect(),
    });
    facts.collect()
}

/// Asks every region for its export of each of its placements, and keeps it beside the report. What does not come is said.
pub(crate) fn take_exports(options: &ReplayOptions, evidence: &mut Evidence) -> Vec<String> {
    let agent = ureq::Agent::new_with_config(
        ureq::Agent::config_builder().timeout_global(Some(EXPORT_WITHIN)).build(),
    );
    let mut problems = vec![];
    for (number, region) in options.cluster.regions.values().enumerate() {
        let mut export = Export::default();
        let mut whole = true;
        for placement in options.cluster.placements_of(region.id) {
            let url = format!("http://{}{EXPORT_PATH}?placement={}", region.admin, placement.name);
            let path =
                options.output.join("exports").join(format!("{}-{}.jsonl", region.name, placement.name));
            let taken = ask(&agent, &url, &options.operator_token).and_then(|text| {
                std::fs::write(&path, &text).map_err(|error| format!("{}: {error}", path.display()))?;
                export.take(&text).map_err(|error| error.to_string())
            });
            if let Err(error) = taken {
                whole = false;
                problems.push(format!("the export of {} from {url}: {error}", region.name));
            }
        }
        if whole {
            evidence.exports.insert(number, export);
        }
    }
    problems
}

fn ask(agent: &ureq::Agent, url: &str, operator_token: &str) -> Result<String, String> {
    let request = agent.get(url).header("authorization", &format!("Bearer {operator_token}"));
    let mut response = request.call().map_err(|error| error.to_string())?;
    response.body_mut().with_config().limit(u64::MAX).read_to_string().map_err(|error| error.to_string())
}

/// Reads all histories.
///
/// # Errors
/// [`ReplayError::File`] naming the history and line that cannot be evidence.
pub(crate) fn read_histories(folder: &Path, evidence: &mut Evidence) -> Result<(), ReplayError> {
    let refuse = |path: &Path, reason: String| ReplayError::File { path: path.to_owned(), reason };
    let entries = std::fs::read_dir(folder).map_err(|error| refuse(folder, error.to_string()))?;
    // A history that cannot even be listed is evidence that is missing.
    let paths: Result<Vec<PathBuf>, _> = entries.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut paths = paths.map_err(|error| refuse(folder, error.to_string()))?;
    paths.sort();
    for path in paths {
        let file = File::open(&path).map_err(|error| refuse(&path, error.to_string()))?;
        let mut collector: Option<HistoryCollector<'_>> = None;
        let mut line_number = 0;
        let mut reader = BufReader::new(file);
        let mut text = String::new();
        loop {
            text.clear();
            line_number += 1;
            let refuse = |reason: String| refuse(&path, format!("line {line_number}: {reason}"));
            if reader.read_line(&mut text).map_err(|error| refuse(error.to_string()))? == 0 {
                break;
            }
            let line = Line::read(text.trim_end()).map_err(|error| refuse(error.to_string()))?;
            match &mut collector {
                None => {
                    let begun = HistoryCollector::begin(&mut *evidence, &line);
                    collector = Some(begun.map_err(|error| refuse(error.to_string()))?);
                }
                Some(collector) => collector.take(line).map_err(|error| refuse(error.to_string()))?,
            }
        }
    }
    Ok(())
}

/// Looks at the disks of all regions outside the pinned placement. What cannot be looked at is said.
pub(crate) fn look_at_disks(options: &ReplayOptions, crowd: &Crowd, evidence: &mut Evidence) -> Vec<String> {
    let mut problems = vec![];
    let inside =
        options.cluster.placements.values().find(|placement| placement.name == pinned_placement_name());
    for (number, region) in options.cluster.regions.values().enumerate() {
        if inside.is_some_and(|placement| placement.regions.contains(&region.id)) {
            continue;
        }
        let mut scanner = Scanner::new(&crowd.pinned());
        problems.extend(scan_folder(&mut scanner, &options.output.join("data").join(&region.name)).err());
        // What a process says is kept on its machine too.
        let log = options.output.join(format!("{}.log", region.name));
        if let Ok(said) = std::fs::read(&log) {
            scanner.begin_file(&log.display().to_string());
            scanner.feed(&said);
        }
        let (bytes, found) = scanner.finish();
        evidence.scans.push(Scan { region: number, bytes, found });
    }
    problems
}

/// Writes a file beside the report.
///
/// # Errors
/// [`ReplayError::File`] when the disk refuses.
pub(crate) fn write_file(path: &Path, text: &str) -> Result<(), ReplayError> {
    let written = File::create(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| ReplayError::File { path: path.to_owned(), reason: error.to_string() })
}
