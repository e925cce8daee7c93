//! Why a message of gossip is refused.
//!
//! What must always hold: each reason has a stable code, under which it is counted (docs/errors.md). A refused message changes nothing, and its bridge goes on.

use crate::limits::STARTS_MAX;
use crdt::RegionId;
use std::fmt;

/// Why a message was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum GossipRefused {
    /// It says that it is from another region than the certificate names.
    OtherSender(RegionId),
    /// It is no message, or not one that regions send.
    Malformed(&'static str),
    /// It tells of what is no region of the cluster file.
    Stranger(String),
    /// It tells of one more start of a region.
    TooManyStarts(RegionId),
    /// It tells this region what it has never said of itself.
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

    /// Its stable code: docs/errors.md.
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

impl fmt::Display for GossipRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherSender(claimed) => write!(f, "it says that it is from {claimed}"),
            Self::Malformed(why) => write!(f, "it is malformed: {why}"),
            Self::Stranger(name) => write!(f, "it tells of `{name}`, which is no region of the cluster file"),
            Self::TooManyStarts(region) => {
                write!(f, "it tells of one more start of {region}, and {STARTS_MAX} are held")
            }
            Self::OfReceiver => f.write_str("it tells this region what it has never said"),
        }
    }
}
