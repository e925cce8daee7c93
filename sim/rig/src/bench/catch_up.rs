//! What a healed link costs: two regions that each hold what the other lacks become whole again, while people talk.
//!
//! ```text
//!   live groups open ─▶ cut ─▶ each region is filled ─▶ heal ─▶ both bridges open ─▶ each holds all ─▶ the same, byte for byte
//!                                                        │ memory from here            │ time, bytes, live messages: between these
//! ```
//! A region is asked for its counters until its bridge has handed over as many operations as it lacked, and then for its standing, which counts what is durable. Live
//! messages of the last moment may be on their way: they are left aside for the time, and waited for before the regions' states are compared.
//!
//! What must always hold: no figure comes of regions that do not hold the same in the end; what was not whole in time is an error, not a slow figure.

use super::catch_up_figures::{CatchUpFigures, Way};
use super::counted::{Counts, ask};
use super::fill::fill;
use super::load::{Crew, Load};
use super::stand::Stand;
use crate::options::{Distances, ReplayError, ReplayOptions, WORLD_PLACEMENT};
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What two regions are to exchange, and over what.
#[derive(Debug, Clone, Copy)]
pub struct CatchUpSettings {
    /// Messages that each region has and the other lacks.
    pub operations: u64,
    /// Megabits a second of the link, each way; none: as many as come.
    pub megabits: Option<u32>,
    /// What a packet takes one way, in milliseconds.
    pub delay_ms: u32,
}

/// Live messages a second, in both regions together: few, since what they need is to be left over.
const LIVE_RATE: u32 = 40;
/// Groups in which people go on talking.
const LIVE_GROUPS: usize = 4;
/// Between two looks at the counters.
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// So long ago a live message was posted that counts as held by whoever is whole.
const LIVE_ON_ITS_WAY: Duration = Duration::from_millis(500);
/// After the filling: what was under way has come to rest.
const REST: Duration = Duration::from_secs(3);
/// A cut that lasts as long is noticed by both sides, so that what heals is a connection made anew.
const CUT_IS_NOTICED: Duration = Duration::from_secs(5);
/// Healed regions must be whole within this time; more operations than a link carries in it cannot be measured.
const WHOLE_WITHIN: Duration = Duration::from_secs(600);
/// What a region holds it works out anew from every message: some 100,000 a second, while its files are put together.
const TOLD_WITHIN: Duration = Duration::from_secs(300);
/// And alike within this time after that.
const ALIKE_WITHIN: Duration = Duration::from_secs(30);
/// The two regions.
const BOTH: [usize; 2] = [0, 1];

/// Cuts, fills, heals and measures. `tell` is told what happens.
///
/// # Errors
/// [`ReplayError`] when the regions do not start, do not answer, or do not become whole.
pub async fn catch_up(
    options: &ReplayOptions,
    settings: CatchUpSettings,
    tell: &(dyn Fn(String) + Send + Sync),
) -> Result<CatchUpFigures, ReplayError> {
    let distances = Distances::Alike { delay_ms: settings.delay_ms, megabits: settings.megabits };
    let options = Arc::new(ReplayOptions { distances, ..options.clone() });
    let stand = Stand::start(&options, "healed", None).await?;
    let crew = Crew::gather(&options, LIVE_GROUPS).await?;
    stand.cut_off_first(true)?;
    tokio::time::sleep(CUT_IS_NOTICED).await;
    let common = [held(&stand, 0, &options).await?, held(&stand, 1, &options).await?];
    if common[0] != common[1] {
        return Err(ReplayError::Cluster("the regions were not alike when they were cut".to_owned()));
    }
    tell(format!("two regions are cut off from each other and take {} messages each", settings.operations));
    let begun = Instant::now();
    fill(&options, settings.operations).await?;
    let fill_s = begun.elapsed().as_secs_f64();
    tell(format!("filled in {fill_s:.1} s; the link is healed"));
    tokio::time::sleep(REST).await;
    let full = [held(&stand, 0, &options).await?, held(&stand, 1, &options).await?];
    let lacked = [full[1] - common[1], full[0] - common[0]];
    let watch = Watch { stand: &stand, crew: &crew, options: &options, lacked, all: full[0] + lacked[0] };
    let mut figures = CatchUpFigures::new(settings, fill_s);
    watch.heal(&mut figures, tell).await?;
    figures.refused = crew.refused();
    drop(crew);
    stand.stop().await;
    Ok(figures)
}

/// What is being watched.
struct Watch<'a> {
    stand: &'a Stand,
    crew: &'a Crew,
    options: &'a Arc<ReplayOptions>,
    /// Operations that each region lacks of the other's.
    lacked: [u64; 2],
    /// What both hold once they are whole, live messages apart.
    all: u64,
}

impl Watch<'_> {
    async fn heal(
        &self,
        figures: &mut CatchUpFigures,
        tell: &(dyn Fn(String) + Send + Sync),
    ) -> Result<(), ReplayError> {
        let resident = BOTH.map(|number| begin_highest(self.stand.regions()[number].pid));
        let before = [Counts::of(self.stand, 0).await?, Counts::of(self.stand, 1).await?];
        let healed = Instant::now();
        self.stand.cut_off_first(false)?;
        self.wait_for_bridges().await?;
        let (opened, opened_us) = (Instant::now(), self.crew.now_us());
        let live = Load::begin(self.crew, LIVE_RATE);
        let mut ways = [None, None];
        while ways.iter().any(Option::is_none) {
            if opened.elapsed() > WHOLE_WITHIN {
                return Err(ReplayError::Cluster("the regions did not become whole in time".to_owned()));
            }
            tokio::time::sleep(LOOK_EVERY).await;
            for to in BOTH {
                if ways[to].is_none() {
                    ways[to] = self.look(to, &before[to], opened).await?;
                }
            }
        }
        let whole_us = self.crew.now_us();
        live.stop().await;
        tell("both hold all; their states are compared".to_owned());
        self.wait_until_alike().await?;
        let highest = BOTH.map(|number| highest_resident(self.stand.regions()[number].pid));
        figures.healed(opened.duration_since(healed), ways.map(Option::unwrap_or_default));
        let window = self.crew.window(opened_us, whole_us);
        figures.live(&window, self.stand.delay_us(0, 1));
        figures.memory(resident, highest);
        for (from, to) in [(0, 1), (1, 0)] {
            figures.dropped += self.stand.link_counts(from, to)?.dropped_queue;
        }
        Ok(())
    }

    async fn wait_for_bridges(&self) -> Result<(), ReplayError> {
        let begun = Instant::now();
        loop {
            let open = [Counts::of(self.stand, 0).await?, Counts::of(self.stand, 1).await?];
            if open.iter().all(|counts| counts.get("bridge_open") == Some(1)) {
                return Ok(());
            }
            if begun.elapsed() > ALIKE_WITHIN {
                return Err(ReplayError::Cluster(
                    "the bridges did not open after the link was healed".to_owned(),
                ));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// What has come to that region, if it is all that it lacked.
    async fn look(&self, to: usize, before: &Counts, opened: Instant) -> Result<Option<Way>, ReplayError> {
        let live_us = self.crew.now_us().saturating_sub(LIVE_ON_ITS_WAY.as_micros() as u64);
        let counts = Counts::of(self.stand, to).await?.since(before);
        if counts.get("bridge_operations_in_total").unwrap_or(0) < self.lacked[to] {
            return Ok(None);
        }
        let wanted = self.all + self.crew.posted_before(live_us);
        if held(self.stand, to, self.options).await? < wanted {
            return Ok(None);
        }
        Ok(Some(Way { operations: self.lacked[to], took: opened.elapsed(), counts }))
    }

    /// Waits until both hold every live message too, and their states are the same.
    async fn wait_until_alike(&self) -> Result<(), ReplayError> {
        let begun = Instant::now();
        loop {
            let wanted = self.all + self.crew.posted_before(u64::MAX);
            let held = [held(self.stand, 0, self.options).await?, held(self.stand, 1, self.options).await?];
            if held.iter().all(|held| *held >= wanted)
                && state(self.stand, 0, self.options).await? == state(self.stand, 1, self.options).await?
            {
                return Ok(());
            }
            if begun.elapsed() > ALIKE_WITHIN {
                return Err(ReplayError::Cluster(format!(
                    "the healed regions do not hold the same: {held:?} operations, {wanted} were posted"
                )));
            }
            tokio::time::sleep(LOOK_EVERY * 8).await;
        }
    }
}

/// Operations that a region holds, durably.
async fn held(stand: &Stand, number: usize, options: &Arc<ReplayOptions>) -> Result<u64, ReplayError> {
    let text = asked(stand, number, options, "/v1/status").await?;
    let failed = |reason: &str| ReplayError::Region {
        region: stand.names()[number].clone(),
        reason: reason.to_owned(),
    };
    let status: Value = serde_json::from_str(&text).map_err(|error| failed(&error.to_string()))?;
    let placements =
        status["placements"].as_array().ok_or_else(|| failed("its standing has no placements"))?;
    let world = placements.iter().find(|placement| placement["placement"] == WORLD_PLACEMENT);
    world
        .and_then(|placement| placement["operations"].as_u64())
        .ok_or_else(|| failed("its standing has no operations"))
}

/// What a region holds: of each partition what was applied, and the digest of every conversation. Lines that name the region itself are left out.
async fn state(
    stand: &Stand,
    number: usize,
    options: &Arc<ReplayOptions>,
) -> Result<Vec<String>, ReplayError> {
    let path = format!("/v1/state?placement={WORLD_PLACEMENT}");
    let text = asked(stand, number, options, &path).await?;
    Ok(text.lines().filter(|line| line.contains("\"partition\"")).map(str::to_owned).collect())
}

async fn asked(
    stand: &Stand,
    number: usize,
    options: &Arc<ReplayOptions>,
    path: &str,
) -> Result<String, ReplayError> {
    let url = format!("http://{}{path}", stand.regions()[number].admin);
    let failed = |reason: String| ReplayError::Region { region: stand.names()[number].clone(), reason };
    let options = Arc::clone(options);
    let asked =
        tokio::task::spawn_blocking(move || ask(&url, Some(&options.operator_token), TOLD_WITHIN)).await;
    asked.map_err(|error| failed(error.to_string()))?.map_err(failed)
}

/// What a process has in memory now, in KiB; its highest begins anew here. None if the kernel does not do so.
fn begin_highest(pid: u32) -> Option<u64> {
    // 5 stands for the highest resident size: see proc_pid_clear_refs(5).
    std::fs::write(format!("/proc/{pid}/clear_refs"), "5").ok()?;
    status_of(pid, "VmRSS:")
}

/// The most that a process had in memory since its highest began, in KiB.
fn highest_resident(pid: u32) -> Option<u64> {
    status_of(pid, "VmHWM:")
}

fn status_of(pid: u32, name: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_since_it_began_covers_what_was_held_meanwhile() {
        let pid = std::process::id();
        let before = begin_highest(pid).unwrap_or(0);
        let held = vec![1_u8; 32 << 20];
        let touched: u64 = held.iter().step_by(4_096).map(|byte| u64::from(*byte)).sum();
        drop(held);
        assert_eq!(touched, 8_192);
        assert!(before > 0 && highest_resident(pid).unwrap_or(0) >= before + (24 << 10));
        assert_eq!(status_of(pid, "VmNothing:"), None);
    }
}
