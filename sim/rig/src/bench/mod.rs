//! What a message costs: a steady load on real region processes, measured from outside and counted inside.
//!
//! ```text
//!   load ──▶ regions ──▶ relay (delay alone) ──▶ regions      probe: fdatasync on the same disk meanwhile
//!     │ posted, acknowledged, shown                │ metrics before and after
//!     ▼                                            ▼
//!   latencies: steady, then pairs of normal and cut │ bytes, syncs, registers, allocations and copies for each message
//! ```
//! What must always hold: latencies and counts are of one run on one machine, and are compared with what was probed in the same run; the processes
//! that are timed are not the ones whose allocations are counted, since counting costs time.

mod catch_up;
mod catch_up_figures;
mod counted;
mod figures;
mod fill;
mod join;
mod line;
mod load;
mod probe;
mod stand;

pub use catch_up::{CatchUpSettings, catch_up};
pub use catch_up_figures::CatchUpFigures;
pub use figures::BenchFigures;
pub use join::{JoinFigures, JoinSettings, join};
pub use line::Line;

use crate::options::{ReplayError, ReplayOptions};
use counted::{Counts, Shim};
use line::Percentiles;
use load::{Crew, Load, Window};
use stand::Stand;
use std::path::Path;
use std::time::Duration;

/// How much to load, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct BenchSettings {
    /// Messages a second, over all regions.
    pub rate: u32,
    /// Seconds of steady load that are measured.
    pub seconds: u64,
    /// Groups, each with two members in every region.
    pub groups: usize,
    /// Pairs of a normal time and one with the first region cut off.
    pub pairs: usize,
    /// Seconds of each half of a pair.
    pub pair_seconds: u64,
    /// Seconds under which allocations and copies are counted.
    pub counted_seconds: u64,
}

/// A load that has just begun is not steady.
const WARM_UP: Duration = Duration::from_secs(3);
/// After a cut: so long until what had gathered is everywhere.
const MEND: Duration = Duration::from_secs(4);
/// How long all that the machine takes is measured.
const FULL: Duration = Duration::from_secs(6);
/// After a cut began: what was on its way has arrived or is lost.
const CUT_BEGINS: Duration = Duration::from_secs(1);

/// Loads and measures. `tell` is told what happens.
///
/// # Errors
/// [`ReplayError`] when the regions do not start or do not answer.
pub async fn bench(
    options: &ReplayOptions,
    settings: BenchSettings,
    tell: &(dyn Fn(String) + Send + Sync),
) -> Result<BenchFigures, ReplayError> {
    let mut figures = BenchFigures::new(settings);
    let stand = Stand::start(options, "timed", None).await?;
    tell("three regions are running; people sign in".to_owned());
    let crew = Crew::gather(options, settings.groups).await?;
    let load = Load::begin(&crew, settings.rate);
    tokio::time::sleep(WARM_UP).await;
    steady(&stand, &crew, settings, &mut figures, tell).await?;
    pairs(&stand, &crew, settings, &mut figures, tell).await?;
    load.stop().await;
    full(&stand, &crew, &mut figures, tell).await?;
    figures.refused = crew.refused();
    drop(crew);
    stand.stop().await;
    match Shim::compile(&options.output) {
        Ok(shim) => count(options, settings, &shim, &mut figures, tell).await?,
        Err(reason) => figures.note(format!("allocations and copies were not counted: {reason}")),
    }
    Ok(figures)
}

/// The steady load: latencies against what the disk and the links give, and what was counted meanwhile.
async fn steady(
    stand: &Stand,
    crew: &Crew,
    settings: BenchSettings,
    figures: &mut BenchFigures,
    tell: &(dyn Fn(String) + Send + Sync),
) -> Result<(), ReplayError> {
    tell(format!("{} messages a second for {} s", settings.rate, settings.seconds));
    let probe = probe::Probe::start(stand.output());
    let (begun, before) = (crew.now_us(), Counts::take(stand).await?);
    tokio::time::sleep(Duration::from_secs(settings.seconds)).await;
    let (ended, after) = (crew.now_us(), Counts::take(stand).await?);
    let syncs = probe.stop();
    // What was posted last still has to arrive.
    tokio::time::sleep(MEND).await;
    let window = crew.window(begun, ended);
    figures.steady(&window, &syncs, |from, to| stand.delay_us(from, to));
    figures.counted(&after.since(&before), &window);
    Ok(())
}

/// As much as the machine takes: batches form, and a message costs less.
async fn full(
    stand: &Stand,
    crew: &Crew,
    figures: &mut BenchFigures,
    tell: &(dyn Fn(String) + Send + Sync),
) -> Result<(), ReplayError> {
    tell("as many messages as this machine takes".to_owned());
    let load = Load::full(crew);
    tokio::time::sleep(WARM_UP).await;
    let (begun, before) = (crew.now_us(), Counts::take(stand).await?);
    tokio::time::sleep(FULL).await;
    let (ended, after) = (crew.now_us(), Counts::take(stand).await?);
    load.stop().await;
    tokio::time::sleep(MEND).await;
    figures.full(&after.since(&before), &crew.window(begun, ended));
    Ok(())
}

/// Pairs of a normal time and one in which the first region is cut off from all others, each region's people posting as before.
async fn pairs(
    stand: &Stand,
    crew: &Crew,
    settings: BenchSettings,
    figures: &mut BenchFigures,
    tell: &(dyn Fn(String) + Send + Sync),
) -> Result<(), ReplayError> {
    let half = Duration::from_secs(settings.pair_seconds);
    let mut spans = vec![];
    for pair in 0..settings.pairs {
        tell(format!("pair {} of {}: normal, then cut off", pair + 1, settings.pairs));
        let mut normal = (crew.now_us(), 0);
        tokio::time::sleep(half).await;
        normal.1 = crew.now_us();
        stand.cut_off_first(true)?;
        tokio::time::sleep(CUT_BEGINS).await;
        let mut cut = (crew.now_us(), 0);
        tokio::time::sleep(half).await;
        cut.1 = crew.now_us();
        stand.cut_off_first(false)?;
        tokio::time::sleep(MEND).await;
        spans.push((normal, cut));
    }
    for ((from, to), (cut_from, cut_to)) in spans {
        figures.pair(&own_of_first(crew.window(from, to)), &own_of_first(crew.window(cut_from, cut_to)));
    }
    Ok(())
}

/// What the first region's people waited for themselves and each other.
fn own_of_first(window: Window) -> (Percentiles, Percentiles) {
    let own = |samples: &[load::Sample]| {
        Percentiles::of(
            samples.iter().filter(|s| s.from == 0 && s.to == 0).map(|s| u64::from(s.took_us)).collect(),
        )
    };
    (own(&window.acknowledged), own(&window.shown))
}

/// The same load on regions that count what they allocate and copy.
async fn count(
    options: &ReplayOptions,
    settings: BenchSettings,
    shim: &Shim,
    figures: &mut BenchFigures,
    tell: &(dyn Fn(String) + Send + Sync),
) -> Result<(), ReplayError> {
    tell("once more, counting allocations and copies".to_owned());
    let stand = Stand::start(options, "counted", Some(shim)).await?;
    let crew = Crew::gather(options, settings.groups).await?;
    let load = Load::begin(&crew, settings.rate);
    tokio::time::sleep(WARM_UP).await;
    let (begun, before) = (crew.now_us(), shim.read(stand.names()));
    tokio::time::sleep(Duration::from_secs(settings.counted_seconds)).await;
    let (ended, after) = (crew.now_us(), shim.read(stand.names()));
    load.stop().await;
    let window = crew.window(begun, ended);
    figures.allocated(&after.since(&before), window.acknowledged.len());
    drop(crew);
    stand.stop().await;
    Ok(())
}

/// A folder below the output, made if it is not there.
fn folder(output: &Path, name: &str) -> Result<std::path::PathBuf, ReplayError> {
    let path = output.join(name);
    std::fs::create_dir_all(&path)
        .map_err(|error| ReplayError::File { path: path.clone(), reason: error.to_string() })?;
    Ok(path)
}
