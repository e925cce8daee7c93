//! Where the objects of a region's backups of a placement lie.
//!
//! What must always hold: two regions, or two placements, have no object in common, so that clearing one never meets another's upload; an object's name within them is what it is sealed under,
//! whatever the prefix, so a bucket may be copied elsewhere.

use crate::names::{BackupId, ChunkName};

/// The folder of one region and placement in a bucket.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    prefix: String,
    within: String,
}

impl Places {
    pub(crate) fn new(prefix: &str, placement: &str, region: &str) -> Self {
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Self { prefix, within: format!("{placement}/{region}") }
    }

    /// What a chunk is sealed under.
    pub(crate) fn chunk(&self, name: &ChunkName) -> String {
        format!("{}/chunks/{name}", self.within)
    }

    /// What a manifest is sealed under.
    pub(crate) fn manifest(&self, id: &BackupId) -> String {
        format!("{}/manifests/{id}", self.within)
    }

    /// The object that is sealed under that name.
    pub(crate) fn object(&self, within: &str) -> String {
        format!("{}{within}", self.prefix)
    }

    /// What the names of all chunks begin with.
    pub(crate) fn chunks(&self) -> String {
        format!("{}{}/chunks/", self.prefix, self.within)
    }

    /// What the names of all manifests begin with.
    pub(crate) fn manifests(&self) -> String {
        format!("{}{}/manifests/", self.prefix, self.within)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_in_the_object_and_not_in_what_it_is_sealed_under() {
        let name = ChunkName([0xab; 32]);
        for (prefix, begins) in [("", "global/west/chunks/ab"), ("a/b", "a/b/global/west/chunks/ab")] {
            let places = Places::new(prefix, "global", "west");
            assert!(places.chunk(&name).starts_with("global/west/chunks/abab"));
            let object = places.object(&places.chunk(&name));
            assert!(object.starts_with(begins) && object.starts_with(&places.chunks()), "{object}");
        }
    }
}
