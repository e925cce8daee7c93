//! How ids are written in scenarios and scripts: as their numbers.
//!
//! Ids do not know serialisation, which is none of their business; a field of one says `#[serde(with = "crate::script::spelling::region")]`.
//! In a scenario the name of a region may stand for its number: names are put in before the table is read.
//!
//! What must always hold: what is written is read back as the same.

/// A region's.
pub(crate) mod region {
    use crdt::RegionId;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(id: &RegionId, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u16(id.0)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<RegionId, D::Error> {
        u16::deserialize(from).map(RegionId)
    }
}

/// A device's.
pub(crate) mod device {
    use crdt::DeviceId;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(id: &DeviceId, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(id.0)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<DeviceId, D::Error> {
        u64::deserialize(from).map(DeviceId)
    }
}

/// A placement's.
pub(crate) mod placement {
    use crdt::PlacementId;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(id: &PlacementId, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u16(id.0)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PlacementId, D::Error> {
        u16::deserialize(from).map(PlacementId)
    }
}
