//! What it costs to begin with a snapshot: a third region joins two that hold many messages, while people talk.
//!
//! ```text
//!   two regions are filled ─▶ people talk: normal ─▶ the third takes a snapshot ─▶ normal again ─▶ it starts, and catches up ─▶ all hold the same
//! ```
//! The third region stands in the first epoch and has never been started, so it is waited for from the beginning, and nothing becomes stable before it is there: as when a region is admitted.
//!
//! What must always hold: no figure comes of regions that do not hold the same in the end; times of one run are compared with each other alone.

use super::fill::fill;
use super::line::{self, Line, Percentiles};
use super::load::{Crew, Load};
use super::stand::Stand;
use crate::options::{Distances, ReplayError, ReplayOptions, WORLD_PLACEMENT};
use crate::processes::RegionProcess;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::process::Command;

/// What is there, and how fast it is taken.
#[derive(Debug, Clone, Copy)]
pub struct JoinSettings {
    /// Messages that the two regions hold.
    pub operations: u64,
    /// Megabytes of a snapshot that are read in a second at most.
    pub limit: u64,
}

/// All figures of a join.
#[derive(Debug, Clone)]
pub struct JoinFigures {
    settings: JoinSettings,
    /// In the order in which they were measured.
    pub lines: Vec<Line>,
    /// What clients were refused, by code.
    pub refused: BTreeMap<String, u64>,
}

/// Live messages a second, in both regions together.
const LIVE_RATE: u32 = 100;
/// Groups in which people talk.
const LIVE_GROUPS: usize = 4;
/// How long is normal.
const NORMAL: Duration = Duration::from_secs(20);
/// After the filling: what was under way has come to rest, and the engine's files are in order.
const REST: Duration = Duration::from_secs(20);
/// Of the normal time to acknowledge, in the middle.
const P50_MAX: f64 = 1.10;
/// All hold the same within this time after the third has started.
const ALIKE_WITHIN: Duration = Duration::from_secs(600);

/// Fills, joins and measures. `tell` is told what happens.
///
/// # Errors
/// [`ReplayError`] when the regions do not start, do not answer, or do not come to hold the same.
pub async fn join(
    options: &ReplayOptions,
    settings: JoinSettings,
    tell: &(dyn Fn(String) + Send + Sync),
) -> Result<JoinFigures, ReplayError> {
    let distances = Distances::Alike { delay_ms: 0, megabits: None };
    let options = Arc::new(ReplayOptions { distances, ..options.clone() });
    let Some((third, two)) = without_the_last(&options) else {
        return Err(ReplayError::Cluster("a join needs a region that is not there yet".to_owned()));
    };
    let stand = Stand::start_some(&options, "joined", None, two.cluster.regions.len()).await?;
    let begun = Instant::now();
    fill(&two, settings.operations.div_ceil(two.cluster.regions.len() as u64)).await?;
    let fill_s = begun.elapsed().as_secs_f64();
    tell(format!("two regions were filled with {} messages in {fill_s:.0} s", settings.operations));
    tokio::time::sleep(REST).await;
    let mut figures = JoinFigures { settings, lines: vec![], refused: BTreeMap::new() };
    let crew = Crew::gather(&two, LIVE_GROUPS).await?;
    let live = Load::begin(&crew, LIVE_RATE);
    let before = normal(&crew).await;
    tell("the third region takes a snapshot".to_owned());
    let (from_us, begun) = (crew.now_us(), Instant::now());
    let said = take_snapshot(&options, &third, stand.output(), settings.limit).await?;
    let (until_us, took_s) = (crew.now_us(), begun.elapsed().as_secs_f64());
    let during = acknowledged(&crew, from_us, until_us);
    let after = normal(&crew).await;
    tell("it starts".to_owned());
    let (from_us, begun) = (crew.now_us(), Instant::now());
    let mut process = RegionProcess::new(&third, &options.program, &options.cluster_folder, stand.output());
    process.start().await?;
    wait_until_caught_up(&options, &third).await?;
    let catch_up_s = begun.elapsed().as_secs_f64();
    // The others take its log too, which begins with the sender's.
    tokio::time::sleep(NORMAL.saturating_sub(begun.elapsed())).await;
    let catching_up = acknowledged(&crew, from_us, crew.now_us());
    live.stop().await;
    wait_until_alike(&options).await?;
    figures.all(&said, took_s, catch_up_s, [before, during, after, catching_up]);
    figures.refused = crew.refused();
    drop(crew);
    // One that had to be killed has told what it had to tell.
    let _said = process.stop().await;
    stand.stop().await;
    Ok(figures)
}

/// The last region's name, and the options without it.
fn without_the_last(options: &ReplayOptions) -> Option<(String, Arc<ReplayOptions>)> {
    let mut two = options.clone();
    let (_, last) = two.cluster.regions.pop_last()?;
    (two.cluster.regions.len() > 1).then(|| (last.name, Arc::new(two)))
}

fn acknowledged(crew: &Crew, from_us: u64, until_us: u64) -> Percentiles {
    let window = crew.window(from_us, until_us);
    Percentiles::of(window.acknowledged.iter().map(|sample| u64::from(sample.took_us)).collect())
}

async fn normal(crew: &Crew) -> Percentiles {
    let from_us = crew.now_us();
    tokio::time::sleep(NORMAL).await;
    acknowledged(crew, from_us, crew.now_us())
}

/// Runs the program's own command, and gives what it says of the placement.
async fn take_snapshot(
    options: &ReplayOptions,
    region: &str,
    output: &Path,
    limit: u64,
) -> Result<Value, ReplayError> {
    let failed = |reason: String| ReplayError::Region { region: region.to_owned(), reason };
    let ran = Command::new(&options.program)
        .args(["admin", "join", "--json", "--region", region, "--limit", &limit.to_string()])
        .arg("--cluster")
        .arg(&options.cluster_folder)
        .arg("--data")
        .arg(output.join("data").join(region))
        .stderr(Stdio::piped())
        .output()
        .await
        .map_err(|error| failed(error.to_string()))?;
    if !ran.status.success() {
        return Err(failed(String::from_utf8_lossy(&ran.stderr).into_owned()));
    }
    let said: Value = serde_json::from_slice(&ran.stdout).map_err(|error| failed(error.to_string()))?;
    let mut placements = said["placements"].as_array().cloned().unwrap_or_default().into_iter();
    let world = placements.find(|placement| placement["placement"] == WORLD_PLACEMENT);
    world.ok_or_else(|| failed("it says nothing of the placement".to_owned()))
}

/// Waits until the region answers devices.
async fn wait_until_caught_up(options: &ReplayOptions, region: &str) -> Result<(), ReplayError> {
    let Some(joined) = options.cluster.regions.values().find(|known| known.name == region) else {
        return Err(ReplayError::Cluster(format!("there is no region {region}")));
    };
    let wanted = format!("archipelago_shard_behind{{placement=\"{WORLD_PLACEMENT}\"}} 0");
    let url = format!("http://{}/metrics", joined.admin);
    let begun = Instant::now();
    while begun.elapsed() < ALIKE_WITHIN {
        let url = url.clone();
        let asked = tokio::task::spawn_blocking(move || {
            super::counted::ask(&url, None, super::counted::ANSWER_WITHIN)
        })
        .await;
        if asked.is_ok_and(|answer| answer.is_ok_and(|text| text.lines().any(|line| line == wanted))) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err(ReplayError::Cluster(format!("{region} did not catch up in time")))
}

/// Waits until the program's own comparison finds no difference.
async fn wait_until_alike(options: &ReplayOptions) -> Result<(), ReplayError> {
    let begun = Instant::now();
    while begun.elapsed() < ALIKE_WITHIN {
        let compared = Command::new(&options.program)
            .args(["check", "--timeout", "120", "--cluster"])
            .arg(&options.cluster_folder)
            .output()
            .await;
        if compared.is_ok_and(|compared| compared.status.success()) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Err(ReplayError::Cluster("the three regions do not hold the same".to_owned()))
}

impl JoinFigures {
    fn all(
        &mut self,
        said: &Value,
        took_s: f64,
        catch_up_s: f64,
        [before, during, after, catching_up]: [Percentiles; 4],
    ) {
        let number = |name: &str| said[name].as_f64();
        let megabytes = number("bytes").map(|bytes| bytes / 1e6);
        self.lines.push(Line::new("operations", "operations in the snapshot", number("operations"), ""));
        self.lines.push(Line::new("bytes", "its files", megabytes, "MB"));
        self.lines.push(Line::new("begun_after", "until they are there and verified", Some(took_s), "s"));
        self.lines.push(Line::new(
            "caught_up_after",
            "from its start until it answers",
            Some(catch_up_s),
            "s",
        ));
        let ms = |percentiles: Percentiles| percentiles.ms(percentiles.p50);
        let usual = ms(before).zip(ms(after)).map(|(before, after)| (before + after) / 2.0);
        self.lines.push(Line::new("usual_p50", "acknowledged before and after, p50", usual, "ms"));
        let of_usual = |percentiles| Some(ms(percentiles)? / usual?);
        let what = "acknowledged meanwhile, p50, of the usual";
        self.lines.push(Line::new("during_p50", what, of_usual(during), "").at_most(P50_MAX));
        let what = "acknowledged while it catches up and after, p50, of the usual";
        self.lines.push(Line::new("catching_up_p50", what, of_usual(catching_up), "").at_most(P50_MAX));
        let p99 = |percentiles: Percentiles| percentiles.ms(percentiles.p99);
        self.lines.push(Line::new("usual_p99", "acknowledged before, p99", p99(before), "ms"));
        self.lines.push(Line::new("during_p99", "acknowledged meanwhile, p99", p99(during), "ms"));
    }

    /// Whether every promised figure is within its bound, and nobody was refused anything.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.refused.is_empty() && self.lines.iter().all(Line::is_kept)
    }

    /// A table for people.
    #[must_use]
    pub fn table(&self) -> String {
        line::table(&self.lines, &self.refused)
    }

    /// As JSON: the figures by name.
    #[must_use]
    pub fn json(&self) -> String {
        let JoinSettings { operations, limit } = self.settings;
        let all = json!({
            "schema": 1, "ok": self.ok(), "settings": { "operations": operations, "limit": limit },
            "figures": line::json(&self.lines), "refused": self.refused,
        });
        format!("{all:#}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_messages_that_wait_longer_than_usual_are_not_ok() {
        let of = |us: u64| Percentiles::of(vec![us; 9]);
        let judged = |during: u64, catching_up: u64| {
            let settings = JoinSettings { operations: 1, limit: 1 };
            let mut figures = JoinFigures { settings, lines: vec![], refused: BTreeMap::new() };
            let said = json!({ "operations": 1, "bytes": 1 });
            figures.all(&said, 1.0, 1.0, [of(90), of(during), of(110), of(catching_up)]);
            figures.ok()
        };
        assert!(judged(110, 110) && !judged(111, 110) && !judged(110, 111));
    }
}
