//! Snapshots over real connections: whatever breaks off goes on behind what has come, and nobody is given one who may not have it.
//!
//! What must always hold: what is there in the end is what was given, byte for byte, and nothing else; whoever is refused has written nothing.

#![allow(clippy::unwrap_used)]

mod pair;

use crdt::{Incarnation, RegionId, ReplicaId};
use pair::{Authority, MadeUpRegion, PLACEMENT, addresses, name, replica, until};
use replication::StoreId;
use replication::snapshot::{Asked, File, Offered};
use replication_quic::{Landed, Progress, SnapshotTaker, TakeRefused};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tempfile::TempDir;

const FAST: u64 = 1_000_000_000;
/// So that a file of a few megabytes takes seconds.
const SLOW: u64 = 1_000_000;

/// A region that gives what lies in a folder.
struct Giver {
    authority: Authority,
    region: Arc<MadeUpRegion>,
    files: TempDir,
    address: SocketAddr,
    _bridges: replication_quic::Bridges,
}

impl Giver {
    fn new() -> Self {
        let (authority, addresses) = (Authority::new(), addresses());
        let region = MadeUpRegion::new(2, 0, true);
        let bridges = region.start(authority.certificates(&name(2)), &[1, 3], addresses).unwrap();
        let files = tempfile::tempdir().unwrap();
        Self { authority, region, files, address: addresses[1], _bridges: bridges }
    }

    /// From now on it gives these files of that store.
    fn gives(&self, store: u128, files: &[(&str, Vec<u8>)]) {
        let offer = |(name, bytes): &(&str, Vec<u8>)| {
            fs::write(self.files.path().join(name), bytes).unwrap();
            File { name: (*name).to_owned(), bytes: bytes.len() as u64 }
        };
        let offered = Offered { store: StoreId(store), files: files.iter().map(offer).collect() };
        *self.region.snapshot.lock().unwrap() = Some((self.files.path().to_owned(), offered));
    }

    /// Region 3 takes it, or region 1.
    async fn taken_by(
        &self,
        region: u16,
        asked: &Asked,
        (into, pace): (&Path, u64),
        tell: &(dyn Fn(Progress) + Sync),
    ) -> Result<Landed, TakeRefused> {
        let certificates = self.authority.certificates(&name(region));
        let names = (1..=3).map(|region| (RegionId(region), name(region))).collect();
        let taker = SnapshotTaker::new(&certificates, names, self.address, pace).unwrap();
        taker.take((RegionId(2), self.address), asked, into, tell).await
    }

    fn is_read(&self) -> bool {
        Arc::strong_count(&self.region.held) > 1
    }
}

fn asked(replica: ReplicaId) -> Asked {
    Asked { cluster: "test".to_owned(), placement: PLACEMENT, replica, format_max: 1 }
}

fn bytes(seed: u8, count: usize) -> Vec<u8> {
    (0..count).map(|at| (at as u8).wrapping_mul(31).wrapping_add(seed)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_come_whole_does_not_come_again() {
    let giver = Giver::new();
    let into = tempfile::tempdir().unwrap();
    let into = into.path().join("isle.fetching");
    let (first, second) = (bytes(1, 300_000), bytes(2, 3_000_000));
    let manifest = bytes(3, 1_000);
    giver
        .gives(7, &[("000001.sst", first.clone()), ("000002.sst", second.clone()), ("MANIFEST-1", manifest)]);
    let by = asked(replica(3));
    let came = AtomicU64::new(0);
    let count = |progress| {
        if let Progress::Came { bytes } = progress {
            came.fetch_add(bytes, Ordering::Relaxed);
        }
    };
    // It breaks off in the midst of the second file.
    {
        let taking = giver.taken_by(3, &by, (&into, SLOW), &count);
        tokio::select! {
            taken = taking => panic!("not in three seconds: {taken:?}"),
            () = until("the second file comes", || came.load(Ordering::Relaxed) > 600_000) => {}
        }
    }
    until("it is not held any more", || !giver.is_read()).await;
    assert_eq!(fs::read(into.join("000001.sst")).unwrap(), first);
    assert!(into.join("000002.sst.part").exists() && !into.join("000002.sst").exists());

    // Another snapshot of the same store, which has gone on: what has its name and length stays.
    let (third, manifest) = (bytes(4, 70_000), bytes(5, 1_000));
    let files =
        [("000001.sst", first), ("000002.sst", second), ("000003.sst", third), ("MANIFEST-1", manifest)];
    giver.gives(7, &files);
    let landed = giver.taken_by(3, &by, (&into, FAST), &count).await.unwrap();
    assert_eq!(landed, Landed { store: StoreId(7), bytes: 3_371_000, came: 3_071_000 });
    for (name, bytes) in &files {
        assert_eq!(&fs::read(into.join(name)).unwrap(), bytes, "{name}");
    }
    assert_eq!(fs::read_dir(&into).unwrap().count(), files.len(), "nothing else is there");

    // Files of another store have the same names.
    giver.gives(8, &[("000001.sst", bytes(9, 300_000))]);
    let landed = giver.taken_by(3, &by, (&into, FAST), &count).await.unwrap();
    assert_eq!((landed.came, fs::read_dir(&into).unwrap().count()), (300_000, 1));
    assert_eq!(fs::read(into.join("000001.sst")).unwrap(), bytes(9, 300_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_may_not_have_one_is_told_so_by_a_code() {
    let giver = Giver::new();
    let into = tempfile::tempdir().unwrap();
    let into = into.path().join("isle.fetching");
    let nothing = |_| ();
    let refused =
        async |region, asked: Asked| match giver.taken_by(region, &asked, (&into, FAST), &nothing).await {
            Err(TakeRefused::Refused { code, .. }) => code,
            other => panic!("{other:?}"),
        };
    assert_eq!(refused(3, asked(replica(3))).await, 13, "it has none to give");
    // More than the windows of a connection hold, so whoever takes it slowly holds the giver.
    giver.gives(7, &[("000001.sst", bytes(1, 24_000_000))]);
    assert_eq!(refused(3, asked(replica(1))).await, 6, "another region's");
    let closed = ReplicaId { incarnation: Incarnation(99), ..replica(3) };
    assert_eq!(refused(3, asked(closed)).await, 12);
    assert_eq!(refused(3, Asked { cluster: "other".to_owned(), ..asked(replica(3)) }).await, 1);
    assert!(!into.exists(), "nothing was written");

    // While one takes, another one is told to come again.
    let other = tempfile::tempdir().unwrap();
    let other = other.path().join("isle.fetching");
    let (three, one) = (asked(replica(3)), asked(replica(1)));
    let taking = giver.taken_by(3, &three, (&into, SLOW), &nothing);
    let meanwhile = async {
        until("it is read", || giver.is_read()).await;
        let refused = giver.taken_by(1, &one, (&other, FAST), &nothing).await.unwrap_err();
        assert!(matches!(refused, TakeRefused::Refused { code: 14, .. }), "{refused:?}");
    };
    tokio::select! {
        taken = taking => panic!("in no time: {taken:?}"),
        () = meanwhile => {}
    }
    until("it is not held any more", || !giver.is_read()).await;
    giver.taken_by(1, &one, (&other, FAST), &nothing).await.unwrap();
}
