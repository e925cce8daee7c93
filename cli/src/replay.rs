//! `archipelago replay`: plays conversations on a cluster of your own, and judges what its people were shown. What it shares with `demo`
//! is here: the arguments, the words for progress, and where reports go.
//!
//! What must always hold: whatever is malformed is refused with exit code 2 before anything starts; a run that started leaves its
//! report, and the exit code is 0 only if everything in it is as it must be.

use crate::cluster_folder::ClusterFolder;
use crate::failure::Failure;
use crate::token;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use sim::faults::{Cut, Kill, Span};
use sim::report::Report;
use sim_rig::{Distances, Progress, ReplayError, ReplayOptions, Running, read_log};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

const EXAMPLES: &str = "\
Examples:
  archipelago replay --cluster lab --output lab-run --log logs/2005-06-27_12.raw.txt
  archipelago replay --cluster lab --output lab-run --upgrade-from ./archipelago-0.1
  archipelago replay --cluster lab --output lab-run --cut 'ap-south>eu-central@50%..70%' --kill us-east@30%
";

/// A schedule of more logs than this lasts five minutes by default, of fewer one.
const SHORT_UP_TO_LOGS: usize = 3;
const SHORT: Span = Span(60_000);
const LONG: Span = Span(300_000);

/// Tokens outlive any replay.
const TOKEN_DAYS: u32 = 2;

/// Play conversations on a cluster, break what you like, and judge the outcome.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Replay {
    /// The cluster's folder, made by `init` with --insecure-loopback and a placement `eu`; it is copied, not changed
    #[arg(long)]
    cluster: PathBuf,
    /// Where data, histories and the report go; it must not exist, or be empty
    #[arg(long)]
    output: PathBuf,
    #[command(flatten)]
    play: Play,
}

/// What to play and what to break: the same for `replay` and `demo`.
#[derive(Debug, Args)]
pub(crate) struct Play {
    /// A chat log, PATH/NAME.raw.txt with NAME.annotation.txt beside it; may be repeated. Without one, generated conversations are played
    #[arg(long = "log", value_name = "FILE")]
    logs: Vec<PathBuf>,
    /// How long the schedule lasts, such as 60s; 300s by default with more than three logs, else 60s
    #[arg(long, value_name = "TIME")]
    duration: Option<Span>,
    /// Cut a link for a part of the time: A/B@15%..45% both ways, 'A>B@15%..45%' only what A sends; may be repeated
    #[arg(long = "cut", value_name = "CUT")]
    pub(crate) cuts: Vec<Cut>,
    /// Kill a region's process at a time: A@50%; may be repeated
    #[arg(long = "kill", value_name = "KILL")]
    pub(crate) kills: Vec<Kill>,
    /// How long a killed region stays down
    #[arg(long, value_name = "TIME", default_value = "5s")]
    restart_after: Span,
    /// Start the regions from this program, an earlier release, and upgrade one after the other to this one
    #[arg(long, value_name = "PROGRAM", conflicts_with = "kills")]
    upgrade_from: Option<PathBuf>,
    /// Let so many people in a hundred move to another region while theirs is cut or down
    #[arg(long, value_name = "PERCENT", num_args = 0..=1, require_equals = true, default_missing_value = "25")]
    roam: Option<u8>,
    /// How links behave, besides being as long as they really are
    #[arg(long, value_enum, default_value_t = Links::WideArea)]
    links: Links,
    /// Decides all chance
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write the report here as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the report here as one page with a picture
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// How links behave.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Links {
    /// They jitter, lose, duplicate and reorder a little, as the open internet does
    WideArea,
    /// They delay and nothing else
    DelayOnly,
}

impl Replay {
    /// Plays.
    ///
    /// # Errors
    /// When the arguments are wrong, the regions do not start, or the report is not ok.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let original = ClusterFolder::open(&self.cluster)?;
        refuse_tls(&original)?;
        let names: Vec<String> =
            original.cluster.regions.values().map(|region| region.name.clone()).collect();
        self.play.check(&names)?;
        refuse_occupied(&self.output)?;
        let folder = self.output.join("cluster");
        let from = if self.cluster.is_dir() {
            self.cluster.as_path()
        } else {
            self.cluster.parent().unwrap_or(Path::new("."))
        };
        copy_folder(from, &folder)?;
        let played = self.play.play(&folder, &self.output, false)?;
        eprintln!("histories, exports and the report are in {}", self.output.display());
        verdict(&played.report)
    }
}

/// What was played.
pub(crate) struct Played {
    pub(crate) report: Report,
    /// The regions, if they were to be kept, and the runtime that they and the relay need.
    pub(crate) running: Option<(tokio::runtime::Runtime, Running)>,
}

impl Play {
    /// Refuses whatever is known to be wrong before anything starts.
    ///
    /// # Errors
    /// [`Failure::Argument`] naming it.
    pub(crate) fn check(&self, regions: &[String]) -> Result<(), Failure> {
        sim::faults::check(&self.cuts, &self.kills, regions, self.duration_ms(), self.restart_after.0)
            .map_err(|mistake| Failure::Argument(mistake.to_string()))?;
        sim_rig::pinned_placement(regions).map_err(Failure::Argument)?;
        if let Some(path) = self.upgrade_from.as_ref().filter(|path| !path.is_file()) {
            let advice = "name the program of an earlier release";
            return Err(Failure::NoFile { path: path.clone(), advice });
        }
        if self.roam.is_some_and(|percent| percent == 0 || percent > 100) {
            return Err(Failure::Argument(
                "`--roam` takes a number of people in a hundred, from 1 to 100".to_owned(),
            ));
        }
        self.read_logs().map(drop)
    }

    fn duration_ms(&self) -> u64 {
        let usual = if self.logs.len() > SHORT_UP_TO_LOGS { LONG } else { SHORT };
        self.duration.unwrap_or(usual).0
    }

    fn read_logs(&self) -> Result<Vec<sim::conversation_log::ConversationLog>, Failure> {
        let read = |path: &PathBuf| read_log(path).map_err(|mistake| Failure::Argument(mistake.to_string()));
        self.logs.iter().map(read).collect()
    }

    /// Plays on that cluster, prints the table and writes the reports asked for.
    ///
    /// # Errors
    /// When the regions do not start, or a report cannot be written.
    pub(crate) fn play(&self, folder: &Path, output: &Path, keep: bool) -> Result<Played, Failure> {
        let cluster_folder = ClusterFolder::open(folder)?;
        let options = self.options(cluster_folder, folder, output, keep)?;
        let duration_ms = options.duration_ms;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::Stopped(format!("no threads to play with: {error}")))?;
        let teller = Teller::new(duration_ms);
        let tell: Arc<dyn Fn(Progress) + Send + Sync> = Arc::new(move |progress| teller.tell(progress));
        let played = runtime.block_on(async {
            tokio::select! {
                outcome = sim_rig::replay(options, tell) => outcome.map_err(failed),
                _ = tokio::signal::ctrl_c() => Err(Failure::Stopped("interrupted: the regions are stopped, there is no report".to_owned())),
            }
        });
        let outcome = played?;
        println!("{}", outcome.report.table());
        for (path, written) in [(&self.json, Report::json as fn(&_) -> _), (&self.html, Report::page)] {
            if let Some(path) = path {
                std::fs::write(path, written(&outcome.report)).map_err(Failure::write(path))?;
                eprintln!("the report is in {}", path.display());
            }
        }
        let running = outcome.running.map(|running| (runtime, running));
        Ok(Played { report: outcome.report, running })
    }

    fn options(
        &self,
        cluster_folder: ClusterFolder,
        folder: &Path,
        output: &Path,
        keep: bool,
    ) -> Result<ReplayOptions, Failure> {
        let program = std::env::current_exe()
            .map_err(|error| Failure::Stopped(format!("this program cannot find itself: {error}")))?;
        let operator_token = token::for_operator(&cluster_folder, TOKEN_DAYS)?;
        let cluster = cluster_folder.cluster.clone();
        let sign: sim_rig::Signer = Arc::new(move |user, device| {
            token::for_device(&cluster_folder, user, device, TOKEN_DAYS)
                .map_err(|failure| failure.to_string())
        });
        Ok(ReplayOptions {
            program,
            earlier: self.upgrade_from.clone(),
            cluster_folder: folder.to_owned(),
            cluster,
            output: output.to_owned(),
            logs: self.read_logs()?,
            duration_ms: self.duration_ms(),
            seed: self.seed,
            cuts: self.cuts.clone(),
            kills: self.kills.clone(),
            restart_after_ms: self.restart_after.0,
            roam_percent: self.roam.unwrap_or(0),
            distances: match self.links {
                Links::WideArea => Distances::WideArea,
                Links::DelayOnly => Distances::DelayOnly,
            },
            sign,
            operator_token,
            keep,
        })
    }
}

/// The exit code follows the report.
///
/// # Errors
/// When the report is not ok.
pub(crate) fn verdict(report: &Report) -> Result<(), Failure> {
    if report.ok {
        Ok(())
    } else {
        Err(Failure::Stopped("the replay is not ok: see the lines with ✗ above".to_owned()))
    }
}

fn failed(error: ReplayError) -> Failure {
    match error {
        ReplayError::Cluster(_) | ReplayError::Fault(_) | ReplayError::Plan(_) => {
            Failure::Argument(error.to_string())
        }
        ReplayError::Relay(_)
        | ReplayError::File { .. }
        | ReplayError::Region { .. }
        | ReplayError::Token(_) => Failure::Stopped(error.to_string()),
    }
}

fn refuse_tls(folder: &ClusterFolder) -> Result<(), Failure> {
    let Some(secure) = folder.cluster.regions.values().find(|region| region.client.secure) else {
        return Ok(());
    };
    Err(Failure::Argument(format!(
        "clients reach {} by TLS only: a replay plays on this machine without; make a cluster with `archipelago init … --insecure-loopback --placement eu=…`",
        secure.name
    )))
}

fn refuse_occupied(folder: &Path) -> Result<(), Failure> {
    match std::fs::read_dir(folder).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Ok(false) | Err(_) => Err(Failure::Occupied(folder.to_owned())),
    }
}

fn copy_folder(from: &Path, to: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(to).map_err(Failure::write(to))?;
    for entry in std::fs::read_dir(from).map_err(Failure::read(from))? {
        let path = entry.map_err(Failure::read(from))?.path();
        let Some(name) = path.file_name() else { continue };
        if path.is_dir() {
            copy_folder(&path, &to.join(name))?;
        } else {
            // Permissions are copied too: keys stay secret.
            std::fs::copy(&path, to.join(name)).map_err(Failure::write(to))?;
        }
    }
    Ok(())
}

/// Tells people what happens: a bar on a terminal, a line now and then elsewhere.
struct Teller {
    bar: ProgressBar,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    tenths: u64,
    gathering: usize,
    calming: bool,
}

impl Teller {
    fn new(duration_ms: u64) -> Self {
        let bar = ProgressBar::new(duration_ms);
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {msg}") {
            bar.set_style(style);
        }
        Self { bar, told: Mutex::default() }
    }

    fn say(&self, line: &str) {
        self.bar.suspend(|| eprintln!("{line}"));
    }

    fn tell(&self, progress: Progress) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        match progress {
            Progress::Starting { regions } => self.say(&format!(
                "starting {regions} regions, with a relay between them that is as slow as the real distances"
            )),
            Progress::RegionReady { region, pid } => {
                self.say(&format!("  {region} is ready (process {pid})"))
            }
            Progress::Gathering { ready, people } => {
                let quarter = ready * 4 / people.max(1);
                if quarter > told.gathering || ready == people {
                    told.gathering = quarter;
                    self.say(&format!(
                        "  {ready} of {people} people have signed in and opened their conversations"
                    ));
                }
            }
            Progress::Playing { at_ms, duration_ms, acknowledged, planned, shown } => {
                let line = format!(
                    "{} of {} s: {acknowledged} of {planned} messages acknowledged, shown {shown} times",
                    at_ms / 1_000,
                    duration_ms / 1_000
                );
                self.bar.set_position(at_ms);
                self.bar.set_message(line.clone());
                if self.bar.is_hidden() && at_ms * 10 / duration_ms.max(1) > told.tenths {
                    told.tenths = at_ms * 10 / duration_ms.max(1);
                    self.say(&format!("  {line}"));
                }
            }
            Progress::Fault(what) => self.say(&format!("  * {what}")),
            Progress::Calming { unstable } => {
                self.bar
                    .set_message(format!("waiting until {unstable} messages are durable in every region"));
                if !std::mem::replace(&mut told.calming, true) {
                    self.say("  the schedule is over; waiting until every message is everywhere");
                }
            }
            Progress::Judging => {
                self.bar.finish_and_clear();
                self.say("  comparing what every device was shown, what every region holds, and what lies on the disks\n");
            }
        }
    }
}
