//! One replay from beginning to end: relay, processes, people, faults, calm, evidence, report.
//!
//! What must always hold: a run that started ends with a report, also when it failed, and leaves no process behind.

use crate::collect::{look_at_disks, read_histories, region_facts, take_exports, write_file};
use crate::crowd::Crowd;
use crate::faults::{self, FaultsDone, Stage};
use crate::limits::PROBLEMS_MAX;
use crate::options::{Distances, Progress, ReplayError, ReplayOptions, pinned_placement_name};
use crate::processes::RegionProcess;
use crate::{calm, limits};
use rand_chacha::ChaCha12Rng;
use rand_core::SeedableRng as _;
use sim::evidence::Evidence;
use sim::plan::Plan;
use sim::replay_plan::{ReplaySettings, replay_plan};
use sim::report::{Report, RunFacts};
use sim_wan::{LinkSettings, Relay, distances};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

/// What a replay left.
pub struct Outcome {
    /// The report.
    pub report: Report,
    /// The regions and the relay, if they were to be kept running. They stop when this is dropped.
    pub running: Option<Running>,
}

/// Regions and the relay between them, still running.
pub struct Running {
    _relay: Arc<Relay>,
    processes: Arc<Vec<Mutex<RegionProcess>>>,
}

impl std::fmt::Debug for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outcome").field("ok", &self.report.ok).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").field("regions", &self.processes.len()).finish_non_exhaustive()
    }
}

impl Running {
    /// Asks the regions to stop, and waits.
    pub async fn stop(self) {
        // Whoever kept them running is leaving; a region that had to be killed is no news to them.
        let _said = stop_all(&self.processes).await;
    }
}

/// Plays, breaks, mends, waits, judges.
///
/// # Errors
/// [`ReplayError`] when the run did not start, or what it left cannot be read. Whatever else goes wrong is in the report.
pub async fn replay(
    options: ReplayOptions,
    progress: Arc<dyn Fn(Progress) + Send + Sync>,
) -> Result<Outcome, ReplayError> {
    let names = options.region_names();
    sim::faults::check(&options.cuts, &options.kills, &names, options.duration_ms, options.restart_after_ms)?;
    let plan = plan(&options)?;
    raise_descriptor_limit();
    for folder in ["data", "histories", "exports"] {
        let path = options.output.join(folder);
        std::fs::create_dir_all(&path)
            .map_err(|error| ReplayError::File { path, reason: error.to_string() })?;
    }
    let relay = Arc::new(start_relay(&options)?);
    route_bridges_through(&relay, &options)?;
    progress(Progress::Starting { regions: names.len() });
    let processes = Arc::new(start_regions(&options, &names, &*progress).await?);
    let crowd = Crowd::start(&options, plan, &options.output.join("histories")).await?;
    let options = Arc::new(options);
    let stage = Stage {
        options: Arc::clone(&options),
        names: Arc::new(names),
        relay,
        processes,
        crowd: Arc::new(crowd),
        progress,
    };
    run(stage).await
}

/// From here on there is a report, whatever happens.
async fn run(stage: Stage) -> Result<Outcome, ReplayError> {
    let (options, crowd) = (Arc::clone(&stage.options), Arc::clone(&stage.crowd));
    let mut facts = RunFacts { seed: options.seed, planned: crowd.plan.messages(), ..RunFacts::default() };
    match crowd.gather(&*stage.progress).await {
        Ok(()) => play(&stage, &mut facts).await,
        Err(problem) => facts.problems.push(problem),
    }
    facts.problems.extend(refusals(&options, &crowd));
    for process in stage.processes.iter() {
        facts.problems.extend(process.lock().await.ended_by_itself());
    }
    (stage.progress)(Progress::Judging);
    facts.link_bytes =
        links(&stage, |stage, from, to| stage.relay.counts(from, to).map_or(0, |c| c.passed_bytes));
    facts.link_delay_us = links(&stage, |stage, from, to| link_settings(&stage.options, from, to).delay_us);
    facts.problems.extend(crowd.finish_histories());
    let mut evidence = Evidence::new(region_facts(&options));
    let (o, c) = (Arc::clone(&options), Arc::clone(&crowd));
    let running = blocking(move || {
        let mut problems = take_exports(&o, &mut evidence);
        problems.extend(look_at_disks(&o, &c, &mut evidence));
        (evidence, problems)
    });
    let (mut evidence, problems) = running.await?;
    facts.problems.extend(problems);
    let kept = if options.keep {
        Some(Running { _relay: Arc::clone(&stage.relay), processes: Arc::clone(&stage.processes) })
    } else {
        facts.problems.extend(stop_all(&stage.processes).await);
        None
    };
    let keep = options.keep;
    let judging = blocking(move || {
        if !keep {
            facts.problems.extend(look_at_disks(&options, &crowd, &mut evidence));
        }
        let histories = options.output.join("histories");
        if let Err(error) = read_histories(&histories, &mut evidence) {
            facts.problems.push(error.to_string());
        }
        facts.problems.truncate(PROBLEMS_MAX);
        let report = Report::of(&evidence, facts);
        write_file(&options.output.join("report.json"), &report.json())?;
        write_file(&options.output.join("report.html"), &report.page())?;
        Ok::<Report, ReplayError>(report)
    });
    let report = judging.await??;
    Ok(Outcome { report, running: kept })
}

async fn play(stage: &Stage, facts: &mut RunFacts) {
    let (crowd, options) = (&stage.crowd, &stage.options);
    crowd.play();
    let mut faults = faults::set_off(stage);
    loop {
        let at_ms = crowd.board.clock.now_ms();
        (stage.progress)(Progress::Playing {
            at_ms: at_ms.min(options.duration_ms),
            duration_ms: options.duration_ms,
            acknowledged: crowd.board.acknowledged.load(Ordering::Relaxed),
            planned: facts.planned,
            shown: crowd.board.shown.load(Ordering::Relaxed),
        });
        if at_ms >= options.duration_ms {
            break;
        }
        tokio::time::sleep(limits::LOOK_EVERY).await;
    }
    gather_faults(&mut faults, facts).await;
    facts.problems.extend(calm::wait(crowd, options.duration_ms, &*stage.progress).await);
    facts.duration_us = crowd.board.clock.now_us();
    facts.problems.extend(calm::look_at_last_pages(crowd).await);
}

async fn gather_faults(running: &mut JoinSet<FaultsDone>, facts: &mut RunFacts) {
    while let Some(done) = running.join_next().await {
        match done {
            Ok(done) => {
                facts.faults.extend(done.outcomes);
                facts.problems.extend(done.problems);
            }
            Err(error) => facts.problems.push(format!("a fault could not be brought about: {error}")),
        }
    }
    facts.faults.sort_by_key(|fault| (fault.start_ms, fault.from));
}

/// What is played, and where which part of it is at home.
fn plan(options: &ReplayOptions) -> Result<Plan, ReplayError> {
    let pinned = options.placement(pinned_placement_name())?;
    let placement = options.cluster.placements.get(&pinned);
    let inside = |region: &crdt::RegionId| placement.is_some_and(|eu| eu.regions.contains(region));
    let settings = ReplaySettings {
        duration_ms: options.duration_ms,
        in_the_eu: options.cluster.regions.keys().map(inside).collect(),
    };
    let mut dice = ChaCha12Rng::seed_from_u64(options.seed);
    Ok(replay_plan(options.logs.clone(), &settings, &mut dice)?)
}

pub(crate) fn start_relay(options: &ReplayOptions) -> Result<Relay, ReplayError> {
    let regions: BTreeMap<String, SocketAddr> =
        options.cluster.regions.values().map(|region| (region.name.clone(), region.bridge)).collect();
    Ok(Relay::start(&regions, |from, to| link_settings(options, from, to), options.seed)?)
}

pub(crate) fn link_settings(options: &ReplayOptions, from: &str, to: &str) -> LinkSettings {
    let round_trip_ms = distances::round_trip_ms(from, to);
    match options.distances {
        Distances::WideArea => LinkSettings::wide_area(round_trip_ms),
        Distances::DelayOnly => LinkSettings::delay_only(u64::from(round_trip_ms) * 500),
        Distances::Alike { delay_ms, megabits } => LinkSettings::limited(
            u64::from(delay_ms) * 1_000,
            megabits.map(|megabits| u64::from(megabits) * 125_000),
        ),
    }
}

/// Rewrites the cluster file so that every region dials the relay.
pub(crate) fn route_bridges_through(relay: &Relay, options: &ReplayOptions) -> Result<(), ReplayError> {
    let mut cluster = options.cluster.clone();
    for (from, from_region) in &options.cluster.regions {
        for (to, to_region) in &options.cluster.regions {
            if from != to {
                cluster.bridges.insert((*from, *to), relay.address(&from_region.name, &to_region.name)?);
            }
        }
    }
    write_file(&options.cluster_folder.join("cluster.toml"), &cluster.to_toml())
}

async fn start_regions(
    options: &ReplayOptions,
    names: &[String],
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<Vec<Mutex<RegionProcess>>, ReplayError> {
    let mut processes = vec![];
    for name in names {
        let program = options.earlier.as_ref().unwrap_or(&options.program);
        let mut process = RegionProcess::new(name, program, &options.cluster_folder, &options.output);
        let pid = process.start().await?;
        progress(Progress::RegionReady { region: name.clone(), pid });
        processes.push(Mutex::new(process));
    }
    Ok(processes)
}

async fn stop_all(processes: &[Mutex<RegionProcess>]) -> Vec<String> {
    let mut said = vec![];
    for process in processes {
        said.extend(process.lock().await.stop().await.err());
    }
    said
}

fn refusals(options: &ReplayOptions, crowd: &Crowd) -> Vec<String> {
    let refused = crowd.board.refused.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    // A region that is told to end says so to its devices, and they go elsewhere.
    let is_expected = |code: &str| options.earlier.is_some() && code == "region_draining";
    let unexpected = refused.iter().filter(|(code, _)| !is_expected(code));
    unexpected.map(|(code, count)| format!("clients were refused {count} times with `{code}`")).collect()
}

fn links<T>(stage: &Stage, of: impl Fn(&Stage, &str, &str) -> T) -> BTreeMap<(usize, usize), T> {
    let mut all = BTreeMap::new();
    for (from, from_name) in stage.names.iter().enumerate() {
        for (to, to_name) in stage.names.iter().enumerate().filter(|(to, _)| *to != from) {
            all.insert((from, to), of(stage, from_name, to_name));
        }
    }
    all
}

async fn blocking<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> Result<T, ReplayError> {
    tokio::task::spawn_blocking(act).await.map_err(|error| ReplayError::File {
        path: Path::new("report.json").to_owned(),
        reason: format!("the evidence could not be gathered: {error}"),
    })
}

/// A client takes a socket and a history a file: a thousand people need more descriptors than a shell gives.
fn raise_descriptor_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // If it is refused, whoever runs out says so by name.
        let _raised = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}
