//! A snapshot: the files of a region's store of a placement, which a region that was admitted takes on a connection of its own, and begins with (`region/src/join.rs`).
//!
//! ```text
//!   joiner ── Asked ───▶ region     for which replica
//!   joiner ◀─ Offered ── region     the files of a checkpoint that was made just now
//!   joiner ── Wanted ──▶ region     those that it has not got by an earlier try
//!   joiner ◀─ bytes ──── region     one file behind the other, as fast as the joiner reads
//! ```
//! What must always hold:
//! - A store leaves only for a replica that is active in the epoch in which the sender stands, on a connection whose certificate names that replica's region: that takes a [`MayTake`], which
//!   [`may_take`] alone makes, before the snapshot is made. So no byte of a placement goes outside (promise 8), and whoever takes a snapshot is waited for by everybody who hears of it (history 6).
//! - Reading is total, and a file's name is a plain name: nothing is written outside the joiner's folder, whatever is offered.
//! - The engine never writes a file of tables twice under one name, so a finished one of the same store, name and length need not come again.

use crate::limits::{FRAME_BYTES_MAX, SNAPSHOT_FILES_MAX, SNAPSHOT_NAME_BYTES_MAX};
use crate::placement::Placements;
use crate::proto;
use crate::reason::Reason;
use crate::store_start::StoreId;
use bytes::Bytes;
use crdt::{Incarnation, PlacementId, RegionId, ReplicaId};
use prost::Message;

/// Characters of a cluster's name.
const CLUSTER_NAME_MAX: usize = 256;

/// What the joiner asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The cluster, by name.
    pub cluster: String,
    /// Of which placement.
    pub placement: PlacementId,
    /// The replica that is to begin with it.
    pub replica: ReplicaId,
    /// The newest format of a store that the joiner reads.
    pub format_max: u64,
}

/// One file of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct File {
    /// Its name, within one folder.
    pub name: String,
    /// Its length.
    pub bytes: u64,
}

/// What a region gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offered {
    /// Of which store.
    pub store: StoreId,
    /// All its files, sorted by name.
    pub files: Vec<File>,
}

/// Which of the offered files are to come, by their number there, ascending.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted(pub Vec<u32>);

/// Proof that a replica may be given a store of that placement. Cannot be built elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MayTake {
    placement: PlacementId,
    replica: ReplicaId,
}

/// Whether the region that a certificate names may take what it asks for from a region that stands under those epochs.
///
/// # Errors
/// [`Reason`]: another cluster, another region's replica, a placement that the asker or this region has no part in, or an epoch that does not count that very replica as active.
pub fn may_take(
    asked: &Asked,
    certified: RegionId,
    (cluster, own, placements): (&str, RegionId, &Placements),
) -> Result<MayTake, Reason> {
    let Asked { placement, replica, .. } = *asked;
    if asked.cluster != cluster {
        let (theirs, ours) = (asked.cluster.clone(), cluster.to_owned());
        return Err(Reason::WrongCluster { theirs, ours });
    }
    if replica.region != certified {
        return Err(Reason::WrongCertificate { certified, expected: replica.region });
    }
    let unknown = Reason::UnknownPlacement { placement: placement.0.into(), peer: certified };
    let Some(held) = placements.get(placement).filter(|held| held.replica_of(own).is_some()) else {
        return Err(unknown);
    };
    if !held.regions.contains(&certified) {
        return Err(unknown);
    }
    if !held.active.contains_key(&replica) {
        return Err(Reason::NotAdmitted { placement, replica, epoch: held.epoch.0 });
    }
    Ok(MayTake { placement, replica })
}

impl MayTake {
    /// Of which placement.
    #[must_use]
    pub const fn placement(&self) -> PlacementId {
        self.placement
    }

    /// Who.
    #[must_use]
    pub const fn replica(&self) -> ReplicaId {
        self.replica
    }
}

impl Asked {
    /// As it is sent.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let message = proto::SnapshotAsked {
            cluster: self.cluster.clone(),
            placement: self.placement.0.into(),
            region: self.replica.region.0.into(),
            incarnation: self.replica.incarnation.0,
            format_max: self.format_max,
        };
        message.encode_to_vec().into()
    }

    /// As it was received.
    ///
    /// # Errors
    /// [`Reason::Malformed`] or [`Reason::Unknown`]. So for the others here.
    pub fn decode(bytes: Bytes) -> Result<Self, Reason> {
        let message: proto::SnapshotAsked = read(bytes)?;
        let number = |number: u32| u16::try_from(number).map_err(|_| Reason::Malformed("snapshot"));
        if message.cluster.chars().count() > CLUSTER_NAME_MAX {
            return Err(Reason::Malformed("cluster"));
        }
        let (placement, region) = (PlacementId(number(message.placement)?), number(message.region)?);
        let replica = ReplicaId { region: RegionId(region), incarnation: Incarnation(message.incarnation) };
        Ok(Self { cluster: message.cluster, placement, replica, format_max: message.format_max })
    }
}

impl Offered {
    /// As it is sent.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let file = |file: &File| proto::SnapshotFile { name: file.name.clone(), bytes: file.bytes };
        let files = self.files.iter().map(file).collect();
        proto::SnapshotOffered { store: self.store.to_wire(), files }.encode_to_vec().into()
    }

    /// As it was received.
    ///
    /// # Errors
    /// As of [`Asked::decode`].
    pub fn decode(bytes: Bytes) -> Result<Self, Reason> {
        let message: proto::SnapshotOffered = read(bytes)?;
        let store = StoreId::from_wire(&message.store).ok_or(Reason::Malformed("store"))?;
        let files = message.files.into_iter().map(|file| File { name: file.name, bytes: file.bytes });
        let files: Vec<File> = files.collect();
        let is_sorted = files.is_sorted_by(|one, next| one.name < next.name);
        if !is_sorted || files.len() > SNAPSHOT_FILES_MAX || !files.iter().all(|file| is_plain(&file.name)) {
            return Err(Reason::Malformed("files"));
        }
        Ok(Self { store, files })
    }

    /// The files that were asked for.
    ///
    /// # Errors
    /// [`Reason::Malformed`] when there is no such file.
    pub fn chosen(&self, wanted: &Wanted) -> Result<Vec<&File>, Reason> {
        let file = |number: &u32| usize::try_from(*number).ok().and_then(|number| self.files.get(number));
        wanted.0.iter().map(|number| file(number).ok_or(Reason::Malformed("files"))).collect()
    }
}

impl Wanted {
    /// As it is sent.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        proto::SnapshotWanted { files: self.0.clone() }.encode_to_vec().into()
    }

    /// As it was received.
    ///
    /// # Errors
    /// As of [`Asked::decode`].
    pub fn decode(bytes: Bytes) -> Result<Self, Reason> {
        let message: proto::SnapshotWanted = read(bytes)?;
        if message.files.is_sorted_by(|one, next| one < next) {
            Ok(Self(message.files))
        } else {
            Err(Reason::Malformed("files"))
        }
    }
}

/// A message whole; one that holds anything this version does not know is refused, since whoever sent it meant something by it.
fn read<M: Message + Default>(bytes: Bytes) -> Result<M, Reason> {
    let length = bytes.len();
    if length > FRAME_BYTES_MAX {
        return Err(Reason::Oversized { bytes: length, limit: FRAME_BYTES_MAX });
    }
    let message = M::decode(bytes).map_err(|_| Reason::Malformed("snapshot"))?;
    if message.encoded_len() == length { Ok(message) } else { Err(Reason::Unknown) }
}

/// Whether a name names a file in one folder, as the storage engine names its own.
#[must_use]
pub fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    !name.is_empty()
        && !name.starts_with('.')
        && name.len() <= SNAPSHOT_NAME_BYTES_MAX
        && name.bytes().all(plain)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::placement::{Epoch, Placement};
    use ed25519_dalek::SigningKey;
    use proptest::prelude::*;

    const OWN: RegionId = RegionId(1);
    const P: PlacementId = PlacementId(7);

    fn replica(region: u16, incarnation: u64) -> ReplicaId {
        ReplicaId { region: RegionId(region), incarnation: Incarnation(incarnation) }
    }

    fn asked() -> Asked {
        Asked { cluster: "isles".to_owned(), placement: P, replica: replica(2, 5), format_max: 17 }
    }

    /// A placement of regions 1 to 3, in which the first two are active.
    fn placements() -> Placements {
        let key = SigningKey::from_bytes(&[1; 32]).verifying_key();
        let regions = [1, 2, 3].map(RegionId).into();
        let active = [(replica(1, 1), key), (replica(2, 5), key)].into();
        Placements::new([Placement { epoch: Epoch(4), active, ..Placement::new(P, regions, key) }])
    }

    fn judge(asked: &Asked, certified: u16) -> Result<MayTake, Reason> {
        may_take(asked, RegionId(certified), ("isles", OWN, &placements()))
    }

    #[test]
    fn whoever_is_admitted_may_take_a_snapshot_and_nobody_else() {
        let proof = judge(&asked(), 2).unwrap();
        assert_eq!((proof.placement(), proof.replica()), (P, replica(2, 5)));
        let other = Asked { cluster: "others".to_owned(), ..asked() };
        assert!(matches!(judge(&other, 2), Err(Reason::WrongCluster { .. })));
        assert!(matches!(judge(&asked(), 3), Err(Reason::WrongCertificate { .. })));
        // An earlier life of the region, and a region that the placement may have and has not admitted.
        for waiting in [replica(2, 4), replica(3, 1)] {
            let asked = Asked { replica: waiting, ..asked() };
            let refused = judge(&asked, waiting.region.0).unwrap_err();
            assert_eq!(refused, Reason::NotAdmitted { placement: P, replica: waiting, epoch: 4 });
        }
        // A region that the placement may not have, and a placement that is not here.
        let outside = Asked { replica: replica(9, 1), ..asked() };
        assert!(matches!(judge(&outside, 9), Err(Reason::UnknownPlacement { .. })));
        let elsewhere = Asked { placement: PlacementId(8), ..asked() };
        assert!(matches!(judge(&elsewhere, 2), Err(Reason::UnknownPlacement { .. })));
        let not_ours = may_take(&asked(), RegionId(2), ("isles", RegionId(3), &placements()));
        assert!(matches!(not_ours, Err(Reason::UnknownPlacement { .. })));
    }

    #[test]
    fn a_name_that_leaves_the_folder_is_refused() {
        for name in ["", ".", "..", "../000012.sst", "/etc/passwd", "a/b", "a\\b", ".hidden", "ä.sst"] {
            let files = vec![File { name: name.to_owned(), bytes: 1 }];
            let offer = Offered { store: StoreId(1), files }.encode();
            assert_eq!(Offered::decode(offer), Err(Reason::Malformed("files")), "{name:?}");
        }
        assert!(is_plain("000012.sst") && is_plain("MANIFEST-000004") && is_plain("CURRENT"));
    }

    #[test]
    fn what_is_wanted_is_of_what_was_offered() {
        let file = |name: &str| File { name: name.to_owned(), bytes: 3 };
        let offered = Offered { store: StoreId(9), files: vec![file("CURRENT"), file("a.sst")] };
        assert_eq!(offered.chosen(&Wanted(vec![1])), Ok(vec![&file("a.sst")]));
        assert_eq!(offered.chosen(&Wanted(vec![0, 2])), Err(Reason::Malformed("files")));
        let twice = Wanted(vec![1, 1]).encode();
        assert_eq!(Wanted::decode(twice), Err(Reason::Malformed("files")));
    }

    proptest! {
        #[test]
        fn what_is_said_is_what_is_read(
            cluster in "[a-z]{0,9}", region: u16, incarnation: u64, format_max: u64, store: u128,
            names in proptest::collection::btree_set("[a-z0-9]{1,9}[.]sst", 0..5), bytes: u64,
            numbers in proptest::collection::btree_set(any::<u32>(), 0..5)
        ) {
            let asked = Asked { cluster, placement: P, replica: replica(region, incarnation), format_max };
            prop_assert_eq!(Asked::decode(asked.encode()), Ok(asked));
            let files = names.into_iter().map(|name| File { name, bytes }).collect();
            let offered = Offered { store: StoreId(store), files };
            prop_assert_eq!(Offered::decode(offered.encode()), Ok(offered));
            let wanted = Wanted(numbers.into_iter().collect());
            prop_assert_eq!(Wanted::decode(wanted.encode()), Ok(wanted));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let bytes = Bytes::from(bytes);
            let _ = (Asked::decode(bytes.clone()), Offered::decode(bytes.clone()), Wanted::decode(bytes));
        }
    }
}
