//! The registers of a partition: acknowledgements, receipts, users' homes, regions' flags, and what users have hidden from themselves, as they are named in feeds and in
//! the store.
//!
//! What must always hold: a register's name has one encoding, whose first byte says which kind it is. A kind of a later
//! version is not skipped: its name does not decode, and the feed that brings it is refused by name.

use crate::key_bytes::KeyBytes;
use crdt::{ConversationId, DeviceId, Identity, Incarnation, MessageId, RegionId, ReplicaId, UserId};

/// Which register, within its partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RegisterKey {
    /// The last acknowledgement of a replica.
    Acknowledgement(ReplicaId),
    /// What a member's device has been given and has read.
    Receipt(ConversationId, UserId, DeviceId),
    /// A user's entry in the directory.
    Directory(UserId),
    /// What a region says of features.
    Flags(RegionId),
    /// Whether a user sees a message.
    Hidden(ConversationId, UserId, Identity),
}

impl RegisterKey {
    /// The first byte of an acknowledgement's name.
    pub(crate) const ACKNOWLEDGEMENT: u8 = 1;
    /// The first byte of a receipt's name.
    pub(crate) const RECEIPT: u8 = 2;
    /// The first byte of a directory entry's name.
    pub(crate) const DIRECTORY: u8 = 3;
    /// The first byte of the name of a region's flags.
    pub(crate) const FLAGS: u8 = 4;
    /// The first byte of the name of whether a user sees a message.
    pub(crate) const HIDDEN: u8 = 5;

    /// The kind that a name says, if this version does not know it.
    pub(crate) fn later_kind(bytes: &[u8]) -> Option<u8> {
        bytes.first().copied().filter(|kind| !(Self::ACKNOWLEDGEMENT..=Self::HIDDEN).contains(kind))
    }

    /// Its bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = KeyBytes::new();
        self.write(&mut out);
        out.to_vec()
    }

    pub(crate) fn write(&self, out: &mut KeyBytes) {
        match self {
            Self::Acknowledgement(replica) => {
                out.push(Self::ACKNOWLEDGEMENT);
                out.extend(replica.region.0.to_be_bytes());
                out.extend(replica.incarnation.0.to_be_bytes());
            }
            Self::Receipt(conversation, user, device) => {
                out.push(Self::RECEIPT);
                out.extend(conversation.0.to_be_bytes());
                out.extend(user.0.to_be_bytes());
                out.extend(device.0.to_be_bytes());
            }
            Self::Directory(user) => {
                out.push(Self::DIRECTORY);
                out.extend(user.0.to_be_bytes());
            }
            Self::Flags(region) => {
                out.push(Self::FLAGS);
                out.extend(region.0.to_be_bytes());
            }
            Self::Hidden(conversation, user, message) => {
                out.push(Self::HIDDEN);
                out.extend(conversation.0.to_be_bytes());
                out.extend(user.0.to_be_bytes());
                out.extend(message.sender.0.to_be_bytes());
                out.extend(message.message.0.to_be_bytes());
            }
        }
    }

    /// Reads it; none if the bytes are not the name of a register that this version knows.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        match (*kind, rest.len()) {
            (Self::ACKNOWLEDGEMENT, 10) => {
                let (region, incarnation) = rest.split_at_checked(2)?;
                Some(Self::Acknowledgement(ReplicaId {
                    region: RegionId(u16::from_be_bytes(region.try_into().ok()?)),
                    incarnation: Incarnation(u64::from_be_bytes(incarnation.try_into().ok()?)),
                }))
            }
            (Self::RECEIPT, 32) => {
                let (conversation, rest) = rest.split_at_checked(16)?;
                let (user, device) = rest.split_at_checked(8)?;
                Some(Self::Receipt(
                    ConversationId(u128::from_be_bytes(conversation.try_into().ok()?)),
                    UserId(u64::from_be_bytes(user.try_into().ok()?)),
                    DeviceId(u64::from_be_bytes(device.try_into().ok()?)),
                ))
            }
            (Self::DIRECTORY, _) => Some(Self::Directory(UserId(u64::from_be_bytes(rest.try_into().ok()?)))),
            (Self::FLAGS, _) => Some(Self::Flags(RegionId(u16::from_be_bytes(rest.try_into().ok()?)))),
            (Self::HIDDEN, 48) => {
                let (conversation, rest) = rest.split_at_checked(16)?;
                let (user, rest) = rest.split_at_checked(8)?;
                let (sender, message) = rest.split_at_checked(8)?;
                Some(Self::Hidden(
                    ConversationId(u128::from_be_bytes(conversation.try_into().ok()?)),
                    UserId(u64::from_be_bytes(user.try_into().ok()?)),
                    Identity {
                        sender: UserId(u64::from_be_bytes(sender.try_into().ok()?)),
                        message: MessageId(u128::from_be_bytes(message.try_into().ok()?)),
                    },
                ))
            }
            _ => None,
        }
    }
}
