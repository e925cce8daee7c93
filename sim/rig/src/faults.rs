//! Brings the faults about, each at its time, and notes what shows that it had an effect.
//!
//! What must always hold: a fault without effect (nothing dropped, no process ended) is reported as such, and fails the run.

use crate::crowd::Crowd;
use crate::options::{Progress, ReplayOptions};
use crate::people::Person;
use crate::processes::RegionProcess;
use sim::faults::{Cut, Kill};
use sim::report::{Effect, FaultOutcome};
use sim_wan::Relay;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

/// What faults act upon.
#[derive(Clone)]
pub(crate) struct Stage {
    pub(crate) options: Arc<ReplayOptions>,
    pub(crate) names: Arc<Vec<String>>,
    pub(crate) relay: Arc<Relay>,
    pub(crate) processes: Arc<Vec<Mutex<RegionProcess>>>,
    pub(crate) crowd: Arc<Crowd>,
    pub(crate) progress: Arc<dyn Fn(Progress) + Send + Sync>,
}

/// What a fault left behind, and what went wrong with it.
#[derive(Debug, Default)]
pub(crate) struct FaultsDone {
    pub(crate) outcomes: Vec<FaultOutcome>,
    pub(crate) problems: Vec<String>,
}

/// Sets off all faults; they are over when the set is empty.
pub(crate) fn set_off(stage: &Stage) -> JoinSet<FaultsDone> {
    let mut running = JoinSet::new();
    for cut in stage.options.cuts.clone() {
        let stage = stage.clone();
        running.spawn(async move { stage.cut(&cut).await });
    }
    for fault in stage.options.kills.clone() {
        let stage = stage.clone();
        running.spawn(async move { stage.kill(&fault).await });
    }
    if stage.options.earlier.is_some() {
        let stage = stage.clone();
        running.spawn(async move { stage.upgrade_all().await });
    }
    running
}

impl Stage {
    async fn cut(&self, cut: &Cut) -> FaultsDone {
        let mut done = FaultsDone::default();
        let clock = &self.crowd.board.clock;
        clock.sleep_until_ms(self.at_ms(cut.begin_percent)).await;
        let start_ms = clock.now_ms();
        let before: Vec<u64> = cut.directions().map(|(from, to)| self.dropped(from, to)).collect();
        self.set_cut(cut, true, &mut done);
        (self.progress)(Progress::Fault(match cut.both_ways {
            true => format!("{} and {} are cut off from each other", cut.from, cut.to),
            false => format!("nothing of {} reaches {} any more", cut.from, cut.to),
        }));
        let away = self.let_roam(&[&cut.from, &cut.to]).await;
        clock.sleep_until_ms(self.at_ms(cut.end_percent)).await;
        self.set_cut(cut, false, &mut done);
        let end_ms = clock.now_ms();
        (self.progress)(Progress::Fault(match cut.both_ways {
            true => format!("{} and {} reach each other again", cut.from, cut.to),
            false => format!("{} reaches {} again", cut.from, cut.to),
        }));
        for ((from, to), before) in cut.directions().zip(before) {
            let (Some(from_number), Some(to_number)) = (self.number(from), self.number(to)) else { continue };
            done.outcomes.push(FaultOutcome {
                effect: Effect::PacketsDropped(self.dropped(from, to) - before),
                from: from_number,
                to: Some(to_number),
                start_ms,
                end_ms,
            });
        }
        go_home(away).await;
        done
    }

    async fn kill(&self, fault: &Kill) -> FaultsDone {
        let mut done = FaultsDone::default();
        let Some(number) = self.number(&fault.region) else { return done };
        let clock = &self.crowd.board.clock;
        clock.sleep_until_ms(self.at_ms(fault.at_percent)).await;
        let mut process = self.processes[number].lock().await;
        let start_ms = clock.now_ms();
        let Some(before) = process.kill().await else {
            done.problems.push(format!("{} was not running when it was to be killed", fault.region));
            return done;
        };
        (self.progress)(Progress::Fault(format!("{} is killed (process {before})", fault.region)));
        let away = self.let_roam(&[&fault.region]).await;
        tokio::time::sleep(Duration::from_millis(self.options.restart_after_ms)).await;
        let after = match process.start().await {
            Ok(after) => {
                (self.progress)(Progress::Fault(format!("{} is back (process {after})", fault.region)));
                Some(after)
            }
            Err(error) => {
                done.problems.push(error.to_string());
                None
            }
        };
        drop(process);
        let effect = Effect::Processes { before, after };
        done.outcomes.push(FaultOutcome { effect, from: number, to: None, start_ms, end_ms: clock.now_ms() });
        go_home(away).await;
        done
    }

    /// Upgrades one region after the other, evenly over the time.
    async fn upgrade_all(&self) -> FaultsDone {
        let mut done = FaultsDone::default();
        let (clock, count) = (&self.crowd.board.clock, self.names.len() as u64);
        for (number, region) in self.names.iter().enumerate() {
            let at_ms = self.options.duration_ms * (number as u64 + 1) / (count + 1);
            clock.sleep_until_ms(at_ms).await;
            let mut process = self.processes[number].lock().await;
            let (start_ms, before) = (clock.now_ms(), process.id());
            let Some(before) = before else {
                done.problems.push(format!("{region} was not running when it was to be upgraded"));
                continue;
            };
            done.problems.extend(process.stop().await.err());
            process.upgrade_to(&self.options.program);
            let started = process.start().await;
            let end_ms = clock.now_ms();
            (self.progress)(Progress::Fault(format!("{region} is upgraded, in {} ms", end_ms - start_ms)));
            let after = started.as_ref().ok().copied();
            done.problems.extend(started.err().map(|error| error.to_string()));
            let effect = Effect::Upgraded { before, after };
            done.outcomes.push(FaultOutcome { effect, from: number, to: None, start_ms, end_ms });
        }
        done
    }

    /// The stated share of people at home in these regions go to others, if the replay lets them.
    async fn let_roam(&self, troubled: &[&str]) -> Vec<Arc<Person>> {
        if self.options.roam_percent == 0 {
            return vec![];
        }
        let troubled: Vec<usize> = troubled.iter().filter_map(|name| self.number(name)).collect();
        let all = 0..self.names.len();
        let calm: Vec<usize> = all.clone().filter(|region| !troubled.contains(region)).collect();
        let mut away = vec![];
        for region in &troubled {
            // Where every region is in trouble, any other one will do.
            let others: Vec<usize> = if calm.is_empty() {
                all.clone().filter(|other| other != region).collect()
            } else {
                calm.clone()
            };
            if others.is_empty() {
                continue;
            }
            for (number, person) in self.crowd.roamers(*region, self.options.roam_percent) {
                let to = others[number % others.len()];
                person.roam(self.crowd.addresses[to].clone()).await;
                away.push(person);
            }
        }
        away
    }

    fn at_ms(&self, percent: u8) -> u64 {
        self.options.duration_ms * u64::from(percent) / 100
    }

    fn number(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|region| region == name)
    }

    fn dropped(&self, from: &str, to: &str) -> u64 {
        self.relay.counts(from, to).map_or(0, |counts| counts.dropped_cut)
    }

    fn set_cut(&self, cut: &Cut, is_cut: bool, done: &mut FaultsDone) {
        for (from, to) in cut.directions() {
            if let Err(error) = self.relay.set_cut(from, to, is_cut) {
                done.problems.push(error.to_string());
            }
        }
    }
}

async fn go_home(away: Vec<Arc<Person>>) {
    for person in away {
        person.roam(person.home.clone()).await;
    }
}
