//! Follows the epochs of the placement: a shard is told of a statement by an operator or by a peer, keeps it, and stands under it from that step on.
//!
//! The naive way restarts all regions with a new file at once, and has two of them in different epochs for as long as that takes. Here each follows when it hears of one, and bridges
//! stand only between regions of the same epoch (`replication/src/learn_epochs.rs`), so a statement may be late anywhere.
//!
//! What must always hold:
//! - A statement is kept in the batch of the step that follows it, and everything else of that step is decided under it: what a replica that it closes has sent is not taken any more.
//! - Every partition that holds anything is acknowledged anew under each epoch, since pairs of another count for nothing (history 3).
//! - A region whose own replica an epoch closes takes nothing more, from nobody.

use crate::keys::Key;
use crate::pending::Pending;
use crate::record::{self, OpaqueRecord, damaged};
use crate::shard::{Effect, Input, ShardConfig};
use crate::store::{Batch, StoreError, View};
use replication::epoch::{EpochRefused, EpochStatement};
use replication::placement::{Epoch, Placement};

/// What became of the statements of a step.
#[derive(Debug, Default)]
pub(crate) struct Followed {
    /// Those that the shard stands under now, in order.
    statements: Vec<EpochStatement>,
    refused: Vec<EpochRefused>,
    /// Where the placement stood before.
    before: Option<Placement>,
}

impl Followed {
    /// Where the placement stood before, if it stands elsewhere now.
    pub(crate) const fn before(&self) -> Option<&Placement> {
        self.before.as_ref()
    }
}

/// Takes the statements out of a step's inputs and puts the placement under them.
pub(crate) fn follow(config: &mut ShardConfig, inputs: &mut Vec<Input>) -> Followed {
    let mut followed = Followed::default();
    let is_epochs = |input: &mut Input| matches!(input, Input::Epochs(_));
    for input in inputs.extract_if(.., is_epochs) {
        let Input::Epochs(statements) = input else { continue };
        for statement in statements {
            // Several may have told of it.
            if statement.number < config.placement.epoch
                || Some(statement.hash()) == config.placement.statement
            {
                continue;
            }
            match config.placement.follow(&statement) {
                Ok(placement) => {
                    crate::sometimes::EPOCH_FOLLOWED.reach();
                    let before = std::mem::replace(&mut config.placement, placement);
                    followed.before.get_or_insert(before);
                    followed.statements.push(statement);
                }
                Err(why) => followed.refused.push(why),
            }
        }
    }
    followed
}

/// Keeps them and tells of them. Whether this region's own replica is closed.
pub(crate) fn keep(pending: &mut Pending<'_>, followed: Followed) -> bool {
    for why in followed.refused {
        pending.tables.effects.push(Effect::EpochRefused(why));
    }
    if followed.statements.is_empty() {
        return false;
    }
    for statement in followed.statements {
        pending.tables.put_bytes(&Key::Epoch(statement.number), statement.encode().to_vec());
    }
    let placement = pending.config.placement.clone();
    let is_closed = !placement.active.contains_key(&pending.config.replica);
    pending.tables.effects.push(Effect::Epoch(Box::new(placement)));
    if is_closed {
        crate::sometimes::CLOSED_BY_EPOCH.reach();
    }
    is_closed
}

/// The statements after that epoch that a store has kept, in order and without a gap: at most so many.
///
/// # Errors
/// [`StoreError`] when the store cannot be read or is damaged.
pub fn kept(view: &dyn View, after: Epoch, max: usize) -> Result<Vec<EpochStatement>, StoreError> {
    let mut statements = Vec::new();
    while statements.len() < max {
        let key = Key::Epoch(Epoch(after.0.saturating_add(1 + statements.len() as u64)));
        let Some(OpaqueRecord(bytes)) = record::load(view, &key)? else { break };
        let decoded = EpochStatement::decode(&bytes);
        statements.push(decoded.map_err(|error| damaged(&key.encode(), &error.to_string()))?);
    }
    Ok(statements)
}

/// A batch that keeps those of them that a store has not kept yet.
///
/// # Errors
/// [`StoreError`] when the store cannot be read or is damaged.
pub fn to_keep(view: &dyn View, statements: &[EpochStatement]) -> Result<Batch, StoreError> {
    let mut batch = Batch::default();
    for statement in statements {
        let key = Key::Epoch(statement.number);
        let known: Option<OpaqueRecord> = record::load(view, &key)?;
        if known.is_none() {
            let key = key.encode();
            batch.put(key, record::seal(&key, &OpaqueRecord(statement.encode())));
        }
    }
    Ok(batch)
}
