//! The forms that this version can read, by number, as its Hello says them: kinds of operations by their codes, forms of some of them, and kinds and forms of registers.
//!
//! A region of an older release refuses the feed that brings a register it cannot read, and goes on from there only after its upgrade. So a new
//! form of a register is written, as a new kind of operation is issued, only once every region of the placement has said that it knows it (decision 0013).
//!
//! What must always hold: a number that was given out never means anything else. Those of register forms lie above every code of a kind.

use crdt::Kind;

/// A receipt that notes what its user has read without telling others.
pub const QUIET_RECEIPT: u32 = 0x1_0000;

/// The receipt of a device that was taken for dead.
pub const DEAD_DEVICE: u32 = 0x1_0001;

/// A user's entry in the directory.
pub const DIRECTORY: u32 = 0x1_0002;

/// What a region says of features.
pub const FLAGS: u32 = 0x1_0003;

/// That a user does not see a message.
pub const HIDDEN: u32 = 0x1_0004;

/// The creation of an account: a direct one with one member, which before that is void.
pub const ACCOUNT: u32 = 0x1_0005;

/// All of them.
#[must_use]
pub fn known() -> Vec<u32> {
    let forms = [QUIET_RECEIPT, DEAD_DEVICE, DIRECTORY, FLAGS, HIDDEN, ACCOUNT];
    Kind::ALL.iter().map(|kind| u32::from(kind.code())).chain(forms).collect()
}
