//! Why a message of gossip is refused.
//!
//! What must always hold: each reason has a stable code, under which it is counted (docs/errors.md). A refused message changes nothing, and its bridge goes on.

use crate::limits::STARTS_MAX;
use crdt::RegionId;

/// Why a message was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum GossipRefused {
    /// It says that it is from another region than the certificate names.
    #[error(
        "it says that it is from {0}, and the peer's certificate names another region: look at the peer's machine"
    )]
    OtherSender(RegionId),
    /// It is no message, or not one that regions send.
    #[error("it is malformed, {0}: upgrade both regions to one release, or look at the peer's machine")]
    Malformed(&'static str),
    /// It tells of what is no region of the cluster file.
    #[error("it tells of `{0}`, which is no region of the cluster file: give all regions the same one")]
    Stranger(String),
    /// It tells of one more start of a region.
    #[error(
        "it tells of one more start of {0} than the {STARTS_MAX} that are held: look why that region is started so often"
    )]
    TooManyStarts(RegionId),
    /// It tells this region what it has never said of itself.
    #[error("it tells this region what it has never said of itself: look at the peer's machine")]
    OfReceiver,
}

impl GossipRefused {
    /// The codes of all of them.
    pub(crate) const CODES: [&'static str; 5] = [
        "gossip_other_sender",
        "gossip_malformed",
        "gossip_stranger",
        "gossip_too_many_starts",
        "gossip_of_receiver",
    ];

    /// Its stable code.
    pub(crate) const fn code(&self) -> &'static str {
        let [other_sender, malformed, stranger, too_many_starts, of_receiver] = Self::CODES;
        match self {
            Self::OtherSender(_) => other_sender,
            Self::Malformed(_) => malformed,
            Self::Stranger(_) => stranger,
            Self::TooManyStarts(_) => too_many_starts,
            Self::OfReceiver => of_receiver,
        }
    }
}
