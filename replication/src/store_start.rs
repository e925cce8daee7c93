//! A start of a store: which store it is, and how often it has been started, as regions tell each other in Hello.
//!
//! What must always hold: peers remember the latest start that they have seen of a replica's store, and only a later start of that very store comes after it. So a copy
//! that was put back behind its owner's back gives itself away by a lower number (history 11), and a store that was made anew in the place of one that is gone by its id,
//! however often either was started since.

/// Drawn at random when a store was made, 128 bits: two copies of a store show the same, two stores never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreId(pub u128);

/// A start of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreStart {
    /// Of which store.
    pub id: StoreId,
    /// The how manieth, from 1.
    pub number: u64,
}

/// Why a start cannot come after one that was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotLater {
    /// It is of another store.
    OtherStore,
    /// The store was started more often when it was seen.
    RolledBack,
}

impl StoreStart {
    /// Whether a store that was once seen at another start can be at this one now.
    pub(crate) fn comes_after(self, seen: Self) -> Result<(), NotLater> {
        if self.id != seen.id {
            return Err(NotLater::OtherStore);
        }
        if self.number < seen.number { Err(NotLater::RolledBack) } else { Ok(()) }
    }
}

impl StoreId {
    /// As it stands in a frame.
    pub(crate) fn to_wire(self) -> bytes::Bytes {
        bytes::Bytes::copy_from_slice(&self.0.to_be_bytes())
    }

    /// From a frame; none if it is none.
    pub(crate) fn from_wire(bytes: &[u8]) -> Option<Self> {
        Some(Self(u128::from_be_bytes(bytes.try_into().ok()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_later_start_of_the_same_store_comes_after_one() {
        let start = |id, number| StoreStart { id: StoreId(id), number };
        assert_eq!(start(7, 3).comes_after(start(7, 3)), Ok(()));
        assert_eq!(start(7, 4).comes_after(start(7, 3)), Ok(()));
        assert_eq!(start(7, 2).comes_after(start(7, 3)), Err(NotLater::RolledBack));
        assert_eq!(start(8, 9).comes_after(start(7, 3)), Err(NotLater::OtherStore));
    }

    #[test]
    fn an_id_comes_back_from_a_frame() {
        assert_eq!(StoreId::from_wire(&StoreId(u128::MAX - 5).to_wire()), Some(StoreId(u128::MAX - 5)));
        assert_eq!(StoreId::from_wire(&[0; 15]), None);
    }
}
