//! Counters before and after: what regions say in their metrics, what the kernel says of their processes, and what a shim counts of allocations.
//!
//! What must always hold: a counter that is missing fails the run by its name; it is never taken for zero.

use super::stand::Stand;
use crate::options::ReplayError;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A region must tell its counters within this time.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// What makes a region's process count; compiled where it is used.
const SHIM_SOURCE: &str = include_str!("count_allocations.c");
/// Numbers that the shim keeps, of eight bytes each, in this order.
const SHIM_COUNTERS: [&str; 5] =
    ["allocations", "allocated bytes", "engine allocations", "copies", "copied bytes"];

/// Sums over all regions, by name.
#[derive(Debug, Clone, Default)]
pub(super) struct Counts(BTreeMap<String, u64>);

impl Counts {
    /// What all regions have counted so far.
    pub(super) async fn take(stand: &Stand) -> Result<Self, ReplayError> {
        let mut all = Self::default();
        for number in 0..stand.regions().len() {
            Self::of(stand, number).await?.0.into_iter().for_each(|(name, value)| all.add(&name, value));
        }
        Ok(all)
    }

    /// What the region of that number has counted so far.
    pub(super) async fn of(stand: &Stand, number: usize) -> Result<Self, ReplayError> {
        let (region, name) = (&stand.regions()[number], &stand.names()[number]);
        let mut all = Self::default();
        let url = format!("http://{}/metrics", region.admin);
        let failed = |reason: String| ReplayError::Region { region: name.clone(), reason };
        let asked = tokio::task::spawn_blocking(move || ask(&url, None, ANSWER_WITHIN)).await;
        let text = asked.map_err(|error| failed(error.to_string()))?.map_err(failed)?;
        all.add_metrics(&text);
        let io = format!("/proc/{}/io", region.pid);
        let io = std::fs::read_to_string(&io).map_err(|error| failed(format!("{io}: {error}")))?;
        for line in io.lines() {
            if let Some((name, value)) = line.split_once(": ") {
                let value = value.trim().parse().map_err(|_| failed(format!("its io says `{line}`")))?;
                all.add(&format!("io {name}"), value);
            }
        }
        let stat = format!("/proc/{}/stat", region.pid);
        let text = std::fs::read_to_string(&stat).map_err(|error| failed(format!("{stat}: {error}")))?;
        all.add("cpu", processor_time(&text).ok_or_else(|| failed(format!("{stat} says `{text}`")))?);
        Ok(all)
    }

    /// What was counted between then and now.
    pub(super) fn since(&self, before: &Self) -> Self {
        let less = |name: &String| before.0.get(name).copied().unwrap_or(0);
        Self(self.0.iter().map(|(name, value)| (name.clone(), value.saturating_sub(less(name)))).collect())
    }

    /// A sum; none if nobody counted it.
    pub(super) fn get(&self, name: &str) -> Option<u64> {
        self.0.get(name).copied()
    }

    fn add(&mut self, name: &str, value: u64) {
        *self.0.entry(name.to_owned()).or_default() += value;
    }

    /// Peers and placements are summed, other labels kept: `name` or `name{kind}`.
    fn add_metrics(&mut self, text: &str) {
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((sample, value)) = line.rsplit_once(' ') else { continue };
            let (name, labels) = sample.split_once('{').unwrap_or((sample, ""));
            let kept = labels.trim_end_matches('}').split(',').filter_map(|label| {
                let (label, value) = label.split_once('=')?;
                (label == "kind" || label == "direction").then(|| value.trim_matches('"'))
            });
            let kept = kept.map(|value| format!(" {value}")).collect::<String>();
            if let Ok(value) = value.parse() {
                self.add(&format!("{}{kept}", name.trim_start_matches("archipelago_")), value);
            }
        }
    }
}

/// User and system time in hundredths of a second: the 12th and 13th numbers after the name in brackets.
fn processor_time(stat: &str) -> Option<u64> {
    let mut times = stat.rsplit(')').next()?.split_whitespace().skip(11);
    Some(times.next()?.parse::<u64>().ok()? + times.next()?.parse::<u64>().ok()?)
}

#[cfg(test)]
impl<const N: usize> From<[(&str, u64); N]> for Counts {
    fn from(all: [(&str, u64); N]) -> Self {
        Self(all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }
}

/// Asks a region's admin address, which is to answer within that time, as an operator if there is a token.
pub(super) fn ask(url: &str, operator_token: Option<&str>, within: Duration) -> Result<String, String> {
    let agent =
        ureq::Agent::new_with_config(ureq::Agent::config_builder().timeout_global(Some(within)).build());
    let request = agent.get(url);
    let request = match operator_token {
        Some(token) => request.header("authorization", &format!("Bearer {token}")),
        None => request,
    };
    let mut response = request.call().map_err(|error| error.to_string())?;
    response.body_mut().with_config().limit(u64::MAX).read_to_string().map_err(|error| error.to_string())
}

/// The library that counts, put before a region's process.
pub(super) struct Shim {
    library: PathBuf,
    folder: PathBuf,
}

impl Shim {
    /// Compiles it.
    ///
    /// # Errors
    /// Why it cannot be: as a rule, there is no C compiler.
    pub(super) fn compile(folder: &Path) -> Result<Self, String> {
        let (source, library) = (folder.join("count_allocations.c"), folder.join("count_allocations.so"));
        std::fs::write(&source, SHIM_SOURCE).map_err(|error| error.to_string())?;
        let mut compile = Command::new("cc");
        compile.args(["-O2", "-fno-builtin", "-shared", "-fPIC", "-o"]).arg(&library).arg(&source);
        let done = compile.output().map_err(|error| format!("cc does not start: {error}"))?;
        if done.status.success() {
            Ok(Self { library, folder: folder.to_owned() })
        } else {
            Err(String::from_utf8_lossy(&done.stderr).into_owned())
        }
    }

    /// What a region's process needs to count.
    pub(super) fn environment(&self, region: &str) -> Vec<(&'static str, PathBuf)> {
        vec![("LD_PRELOAD", self.library.clone()), ("ARCHIPELAGO_COUNTS", self.counts_of(region))]
    }

    fn counts_of(&self, region: &str) -> PathBuf {
        self.folder.join(format!("counts-{region}"))
    }

    /// What these regions have counted so far.
    pub(super) fn read(&self, regions: &[String]) -> Counts {
        let mut all = Counts::default();
        for region in regions {
            let bytes = std::fs::read(self.counts_of(region)).unwrap_or_default();
            for (name, number) in SHIM_COUNTERS.iter().zip(bytes.chunks_exact(8)) {
                // Chunks of eight have eight bytes.
                all.add(name, u64::from_ne_bytes(number.try_into().unwrap_or_default()));
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_process_status_is_not_taken_for_no_time_at_all() {
        let stat = "7 (a (b) c) S 1 7 7 0 -1 4194560 900 0 0 0 31 11 0 0 20 0 9 0";
        assert_eq!(processor_time(stat), Some(42));
        assert_eq!((processor_time(""), processor_time("7 (cut) S 1 7")), (None, None));
    }

    #[test]
    fn metrics_are_summed_over_peers_and_kept_apart_by_kind() {
        let mut counts = Counts::default();
        counts.add_metrics(
            "# HELP archipelago_x y.\narchipelago_shard_syncs_total{placement=\"global\"} 7\narchipelago_shard_syncs_total{placement=\"eu\"} 2\n\
             archipelago_bridge_sent_bytes_total{peer=\"a\",kind=\"registers\"} 5\narchipelago_bridge_sent_bytes_total{peer=\"b\",kind=\"registers\"} 6\n",
        );
        assert_eq!(counts.get("shard_syncs_total"), Some(9));
        assert_eq!(counts.get("bridge_sent_bytes_total registers"), Some(11));
        assert_eq!(counts.get("nothing"), None);
    }
}
