//! What a store is: whose, of which placement, in which format and life. Checked before anything else of it is read.
//!
//! What must always hold:
//! - A store of a newer format, of another region or placement, or of another incarnation than the epoch admits is refused by name.
//! - A store has an id, drawn when it was made, and each start of it a number, which grows by one and is durable before the region meets a peer: so one that was
//!   rolled back behind its owner's back, or made anew, shows at its first Hello (history 11).
//!
//! Pure: the driver reads the record, asks these functions, and commits what they give.

use crate::encoding::{Reader, Writer};
use crate::keys::Key;
use crate::record::{self, LeftoverRecord, Record};
use crate::store::{Batch, StoreError, View};
use crdt::id::BUCKETS;
use crdt::{Bucket, Incarnation, Now, PlacementId, RegionId, ReplicaId};
use replication::log::Position;
use replication::{StoreId, StoreStart};

/// The format this version writes. Grows when records or keys change in a way that an older version would misread.
pub const FORMAT: u64 = 18;

/// The oldest format this version reads: before it nobody held rights to a place in a group. 5 had no documents, 6 no word of
/// what files may hold of texts that were cut, 7 did not say since when a register stands, 8 had neither directory nor flags, 9 kept no epochs,
/// 10 nothing that was hidden from a user, 11 had no accounts, 12 no note of words that are still to be taken back,
/// 13 none of who had caught up, 14 no digests, 15 no heads in acknowledgements, 16 nothing of what devices were shown elsewhere,
/// 17 neither bases of logs nor how long texts have been here.
pub const FORMAT_MIN: u64 = 5;

/// From here on it is noted where texts were cut that the engine's files may still hold. A store of before may hold them anywhere.
const FORMAT_WITH_LEFTOVERS: u64 = 7;

/// What a store says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreMeta {
    /// The format of its records.
    pub format: u64,
    /// Which store it is.
    pub store_id: StoreId,
    /// Whose it is.
    pub replica: ReplicaId,
    /// The region's name, for people.
    pub region_name: String,
    /// What it holds.
    pub placement: PlacementId,
    /// The placement's name, for people.
    pub placement_name: String,
    /// How often it has been started.
    pub start_number: u64,
}

impl StoreMeta {
    /// Its latest start.
    #[must_use]
    pub const fn start(&self) -> StoreStart {
        StoreStart { id: self.store_id, number: self.start_number }
    }
}

/// Whose store a region expects to find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// The region and the incarnation that its epoch admits.
    pub replica: ReplicaId,
    /// The region's name.
    pub region_name: String,
    /// The placement.
    pub placement: PlacementId,
    /// The placement's name.
    pub placement_name: String,
}

/// Why a store is not served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetaRefused {
    /// Written by a later version.
    #[error(
        "the store has format {found}, this version reads up to {known}: run the version that wrote it, or a later one"
    )]
    NewerFormat {
        /// The store's.
        found: u64,
        /// The latest this version knows.
        known: u64,
    },
    /// Written by a version from before the first release.
    #[error(
        "the store has format {found}, this version reads none below {oldest}: begin with an empty data folder, or run the version that wrote it"
    )]
    OlderFormat {
        /// The store's.
        found: u64,
        /// The oldest this version reads.
        oldest: u64,
    },
    /// Of another region.
    #[error(
        "the store belongs to region {found}, not to {expected}: give region {expected} a data folder of its own"
    )]
    OtherRegion {
        /// The store's.
        found: String,
        /// The region that was started.
        expected: String,
    },
    /// Of another placement.
    #[error(
        "the store holds placement {found}, not {expected}: the folders in the data folder were exchanged; put them back"
    )]
    OtherPlacement {
        /// The store's.
        found: String,
        /// The placement that the folder is for.
        expected: String,
    },
    /// Of another life of the region.
    #[error(
        "the store is incarnation {found:016x} of region {region}, but the placement's epoch admits {expected:016x}: a restored or replaced store returns by a new epoch"
    )]
    OtherIncarnation {
        /// The region.
        region: String,
        /// The store's.
        found: u64,
        /// The epoch's.
        expected: u64,
    },
    /// It cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The meta record of a new store, to be committed before anything else is written to it. Its first start follows by [`advance`].
#[must_use]
pub fn create(expected: &Expected, store_id: StoreId) -> (StoreMeta, Batch) {
    let Expected { replica, region_name, placement, placement_name } = expected.clone();
    let meta = StoreMeta {
        format: FORMAT,
        store_id,
        replica,
        region_name,
        placement,
        placement_name,
        start_number: 0,
    };
    let batch = write(&meta);
    (meta, batch)
}

/// Reads the meta record; none if the store is new.
///
/// # Errors
/// [`StoreError`] when it is damaged or cannot be read.
pub fn read(view: &dyn View) -> Result<Option<StoreMeta>, StoreError> {
    record::load(view, &Key::Meta)
}

/// Checks that this version reads the store's format: before anything else of it is read.
///
/// # Errors
/// [`MetaRefused`] of that kind.
pub fn check_format(view: &dyn View) -> Result<(), MetaRefused> {
    let format: Option<FormatRecord> = record::load(view, &Key::Meta)?;
    match format {
        Some(FormatRecord(found)) if found > FORMAT => Err(MetaRefused::NewerFormat { found, known: FORMAT }),
        Some(FormatRecord(found)) if found < FORMAT_MIN => {
            Err(MetaRefused::OlderFormat { found, oldest: FORMAT_MIN })
        }
        Some(_) | None => Ok(()),
    }
}

/// Reads the meta record and checks that the store is the expected one; none if the store is new.
///
/// # Errors
/// [`MetaRefused`] names what differs.
pub fn check(view: &dyn View, expected: &Expected) -> Result<Option<StoreMeta>, MetaRefused> {
    check_format(view)?;
    let Some(meta) = read(view)? else { return Ok(None) };
    if meta.replica.region != expected.replica.region || meta.region_name != expected.region_name {
        return Err(MetaRefused::OtherRegion {
            found: meta.region_name,
            expected: expected.region_name.clone(),
        });
    }
    if meta.placement != expected.placement || meta.placement_name != expected.placement_name {
        return Err(MetaRefused::OtherPlacement {
            found: meta.placement_name,
            expected: expected.placement_name.clone(),
        });
    }
    if meta.replica.incarnation != expected.replica.incarnation {
        return Err(MetaRefused::OtherIncarnation {
            region: meta.region_name,
            found: meta.replica.incarnation.0,
            expected: expected.replica.incarnation.0,
        });
    }
    Ok(Some(meta))
}

/// The store's next start: to be committed before the region listens or dials.
#[must_use]
pub fn advance(meta: StoreMeta) -> (StoreMeta, Batch) {
    raise(StoreMeta { start_number: meta.start_number + 1, ..meta })
}

/// The meta record of a store that is of this version's format from here on, with what is to be noted since its former one did not.
pub(crate) fn raise(mut meta: StoreMeta) -> (StoreMeta, Batch) {
    let before = std::mem::replace(&mut meta.format, FORMAT);
    let mut batch = write(&meta);
    if before < FORMAT_WITH_LEFTOVERS {
        for bucket in (0..BUCKETS).filter_map(Bucket::new) {
            let key = Key::Leftover(bucket).encode();
            let anywhere = LeftoverRecord { since: Now(0), first: Position(0), last: Position(u64::MAX) };
            batch.put(key, record::seal(&key, &anywhere));
        }
    }
    (meta, batch)
}

/// Writes the record anew.
pub(crate) fn write(meta: &StoreMeta) -> Batch {
    let mut batch = Batch::default();
    let key = Key::Meta.encode();
    let value = record::seal(&key, meta);
    batch.put(key, value);
    batch
}

/// The beginning of a meta record, which stays in every format.
struct FormatRecord(u64);

impl Record for FormatRecord {
    fn write(&self, out: &mut Writer) {
        out.number(self.0);
    }

    fn read(fields: &mut Reader) -> Option<Self> {
        let format = fields.number()?;
        fields.skip_rest();
        Some(Self(format))
    }
}

impl Record for StoreMeta {
    fn write(&self, out: &mut Writer) {
        out.number(self.format);
        out.fixed(&self.store_id.0.to_be_bytes());
        out.number(u64::from(self.replica.region.0));
        out.fixed(&self.replica.incarnation.0.to_be_bytes());
        out.bytes(self.region_name.as_bytes());
        out.number(u64::from(self.placement.0));
        out.bytes(self.placement_name.as_bytes());
        out.number(self.start_number);
    }

    fn read(fields: &mut Reader) -> Option<Self> {
        let format = fields.number()?;
        let store_id = StoreId(u128::from_be_bytes(fields.array()?));
        let region = RegionId(u16::try_from(fields.number()?).ok()?);
        let incarnation = Incarnation(u64::from_be_bytes(fields.array()?));
        let region_name = fields.text()?;
        let placement = PlacementId(u16::try_from(fields.number()?).ok()?);
        let (placement_name, start_number) = (fields.text()?, fields.number()?);
        let replica = ReplicaId { region, incarnation };
        Some(Self { format, store_id, replica, region_name, placement, placement_name, start_number })
    }
}
