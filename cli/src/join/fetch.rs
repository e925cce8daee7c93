//! Asks the active regions of a placement for a snapshot, one after the other and again, until one has given all of it.
//!
//! What must always hold: a region that refuses for now, or falls silent, is asked again, and the others meanwhile; when nothing has come for [`PATIENCE`], it is told what each of them said;
//! what refuses for good ends it at once.

use crate::backups::bar;
use crate::cluster_folder::ClusterFolder;
use crate::failure::Failure;
use crdt::{RegionId, ReplicaId};
use indicatif::ProgressBar;
use region::cluster::{ClusterPlacement, ClusterRegion};
use region::meta::FORMAT;
use replication::reason::{CODE_BEHIND, CODE_NOT_ADMITTED, CODE_SNAPSHOT_BUSY};
use replication::snapshot::Asked;
use replication_quic::{Certificates, Landed, Progress, SnapshotTaker, TakeRefused};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// So long after the last byte nobody is asked again.
const PATIENCE: Duration = Duration::from_secs(60);
/// A round of questions that brought nothing is followed by the next one after this.
const ASKED_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Who asks, and whom.
pub(super) struct Fetch<'a> {
    folder: &'a ClusterFolder,
    certificates: Arc<Certificates>,
    region: RegionId,
    from: Option<RegionId>,
    bytes_a_second: u64,
}

impl<'a> Fetch<'a> {
    pub(super) fn of(
        folder: &'a ClusterFolder,
        region: &ClusterRegion,
        from: Option<&str>,
        megabytes_a_second: u64,
    ) -> Result<Self, Failure> {
        let certificates = Certificates::read(folder.certificates(&region.name), &region.name)
            .map_err(|refused| Failure::Argument(format!("{refused} ({})", refused.code())))?;
        let from = from.map(|name| folder.region(name).map(|region| region.id)).transpose()?;
        let bytes_a_second = megabytes_a_second.saturating_mul(1_000_000);
        Ok(Self { folder, certificates, region: region.id, from, bytes_a_second })
    }

    /// Fetches all of a snapshot.
    pub(super) async fn all(
        &self,
        placement: &ClusterPlacement,
        replica: ReplicaId,
        fetched: &Path,
    ) -> Result<Landed, Failure> {
        let incoming = fetched.with_extension("fetching");
        let asked = Asked {
            cluster: self.folder.cluster.name.clone(),
            placement: placement.id,
            replica,
            format_max: FORMAT,
        };
        let peers = self.peers(placement)?;
        let bar = bar(&format!("fetching {}", placement.name));
        let tell = |progress| advance(&bar, progress);
        let mut said = BTreeMap::new();
        let mut last_came = Instant::now();
        loop {
            for (peer, address) in &peers {
                let before = bar.position();
                match self.ask(*peer, *address, &asked, &incoming, &tell).await {
                    Ok(landed) => {
                        bar.finish_and_clear();
                        tokio::fs::rename(&incoming, fetched).await.map_err(Failure::write(fetched))?;
                        // What it was of stands in the store now.
                        let _ = tokio::fs::remove_file(incoming.with_extension("of")).await;
                        return Ok(landed);
                    }
                    Err(TakeRefused::Disk { path, reason }) => {
                        return Err(Failure::Disk { path, verb: "written", reason });
                    }
                    Err(refused) => _ = said.insert(*peer, refused),
                }
                if bar.position() > before {
                    last_came = Instant::now();
                }
            }
            if said.values().all(is_for_good) || last_came.elapsed() > PATIENCE {
                bar.finish_and_clear();
                return Err(self.nobody_gives(placement, &said));
            }
            tokio::time::sleep(ASKED_AGAIN_AFTER).await;
        }
    }

    async fn ask(
        &self,
        peer: RegionId,
        address: SocketAddr,
        asked: &Asked,
        incoming: &Path,
        tell: &(dyn Fn(Progress) + Sync),
    ) -> Result<Landed, TakeRefused> {
        let regions = self.folder.cluster.regions.values();
        let names = regions.map(|region| (region.id, region.name.clone())).collect();
        let taker = SnapshotTaker::new(&self.certificates, names, address, self.bytes_a_second);
        let taker = taker.map_err(|error| TakeRefused::Silent(error.to_string()))?;
        taker.take((peer, address), asked, incoming, tell).await
    }

    /// Whom to ask, and where.
    fn peers(&self, placement: &ClusterPlacement) -> Result<Vec<(RegionId, SocketAddr)>, Failure> {
        let current = self.folder.current_epoch(placement)?;
        let others = current.active.keys().map(|replica| replica.region).filter(|id| *id != self.region);
        let meant = others.filter(|id| self.from.is_none_or(|from| from == *id));
        let address = |id: RegionId| Some((id, self.folder.cluster.bridge_address(self.region, id)?));
        let peers: Vec<_> = meant.filter_map(address).collect();
        if peers.is_empty() {
            let name = &placement.name;
            return Err(Failure::Argument(format!(
                "placement {name}: the region that `--from` names is not active in it"
            )));
        }
        Ok(peers)
    }

    fn nobody_gives(&self, placement: &ClusterPlacement, said: &BTreeMap<RegionId, TakeRefused>) -> Failure {
        let name = |id: &RegionId| self.folder.cluster.name_of(*id);
        let each = said.iter().map(|(id, refused)| format!("\n  {}: {refused}", name(id)));
        let text = format!(
            "placement {}: no region gives a snapshot; what has come is kept, call again{}",
            placement.name,
            each.collect::<String>()
        );
        if said.values().all(|refused| matches!(refused, TakeRefused::Silent(_))) {
            Failure::Timeout(text)
        } else {
            Failure::Refused(text)
        }
    }
}

/// Whether asking again cannot help.
fn is_for_good(refused: &TakeRefused) -> bool {
    match refused {
        TakeRefused::Silent(_) => false,
        TakeRefused::Refused { code, .. } => {
            ![CODE_NOT_ADMITTED, CODE_BEHIND, CODE_SNAPSHOT_BUSY].contains(code)
        }
        TakeRefused::Wrong(_) | TakeRefused::Disk { .. } => true,
    }
}

fn advance(bar: &ProgressBar, progress: Progress) {
    match progress {
        Progress::Begins { bytes, there } => {
            bar.set_length(bytes);
            bar.set_position(there);
        }
        Progress::Came { bytes } => bar.inc(bytes),
    }
}
