//! Two regions that meet under different epochs of a placement: the one that is ahead sends the other the statements that it lacks, and nothing else is said until both
//! stand in the same epoch, on a new connection.
//!
//! So no entry, reference or register ever crosses between two epochs, and whoever is told of an epoch has left the streams of what it closes before it gives its first pair under
//! it (history 4). A statement may be learnt of anybody: it is the placement's key that says it.
//!
//! A placement of which either has no store is left out: a region that an epoch has taken out of one placement, or has not brought into it yet, goes on in the others, whatever epochs either
//! knows of that one (decision 0042).
//!
//! What must always hold: statements are verified before the shard is given them; one that does not follow closes the connection and changes nothing.

use crate::bridge::{Bridge, Phase, Stop, Turn};
use crate::delivery::Delivery;
use crate::epoch::{EpochRefused, EpochStatement};
use crate::limits::EPOCHS_MAX;
use crate::output::Output;
use crate::placement::{Epoch, Placement, Placements};
use crate::proto;
use crate::reason::Reason;
use crate::shared::Shared;
use crdt::PlacementId;
use rand_core::RngCore;
use std::cmp::Ordering;
use std::collections::BTreeMap;

impl Bridge {
    /// The placements that both regions may hold: those a Hello speaks of, whether both are active in them or not.
    pub(crate) fn common(&self) -> impl Iterator<Item = &Placement> {
        let both = [self.config.own, self.config.peer];
        self.config
            .placements
            .iter()
            .filter(move |placement| both.iter().all(|r| placement.regions.contains(r)))
    }

    /// Compares the epochs of a Hello with ours. Whether they agree; if not, what the peer lacks is prepared to be sent.
    pub(crate) fn compare_epochs(&mut self, turn: &Turn<'_>, hello: &proto::Hello) -> Result<bool, Stop> {
        let mut agree = true;
        let mut lacking = Vec::new();
        for ours in self.common() {
            let named = hello.placements.iter().find(|theirs| theirs.placement == u32::from(ours.id.0));
            let unknown = Reason::UnknownPlacement { placement: ours.id.0.into(), peer: self.config.peer };
            let theirs = named.ok_or(unknown)?;
            if !self.both_hold(ours.id, theirs) {
                crate::sometimes::NOT_HELD.reach();
                continue;
            }
            match theirs.epoch.cmp(&ours.epoch.0) {
                Ordering::Equal if theirs.fingerprint[..] == ours.fingerprint() => continue,
                Ordering::Equal => return Err(wrong_epoch(ours, theirs)),
                Ordering::Greater => {}
                Ordering::Less => {
                    let next = turn.log.epochs(ours.id, Epoch(theirs.epoch), EPOCHS_MAX)?;
                    if next.is_empty() {
                        return Err(wrong_epoch(ours, theirs));
                    }
                    lacking.extend(next.iter().map(EpochStatement::to_proto));
                }
            }
            agree = false;
        }
        self.outbox.epochs = lacking;
        Ok(agree)
    }

    /// Whether both have a store of that placement, as a Hello says.
    pub(crate) fn both_hold(&self, id: PlacementId, theirs: &proto::SharedPlacement) -> bool {
        self.config.stores.contains_key(&id) && !theirs.store.is_empty()
    }

    /// The peer sends what we lack.
    pub(crate) fn take_epochs(
        &self,
        turn: &mut Turn<'_>,
        statements: &[proto::EpochStatement],
    ) -> Result<(), Stop> {
        if statements.is_empty() {
            return Err(Reason::OutOfTurn("a frame before the epochs agree").into());
        }
        let mut learnt: BTreeMap<PlacementId, (Placement, Vec<EpochStatement>)> = BTreeMap::new();
        for statement in statements {
            let statement = EpochStatement::from_proto(statement).ok_or(EpochRefused::Malformed);
            let statement = statement.map_err(Reason::Epoch)?;
            let held = |placement: &&Placement| self.config.stores.contains_key(&placement.id);
            let Some(known) = self.common().filter(held).find(|known| known.id == statement.placement) else {
                let (placement, peer) = (statement.placement.0.into(), self.config.peer);
                return Err(Reason::UnknownPlacement { placement, peer }.into());
            };
            let (placement, followed) =
                learnt.entry(statement.placement).or_insert_with(|| (known.clone(), Vec::new()));
            *placement = placement.follow(&statement).map_err(Reason::Epoch)?;
            followed.push(statement);
        }
        for (placement, (_, statements)) in learnt {
            crate::sometimes::EPOCH_LEARNT.reach();
            turn.out.push(Output::Deliver(Delivery::Epochs { placement, statements }));
        }
        Ok(())
    }

    /// The region's shards stand in these epochs now, durably: a connection under former ones ends, and the next begins under these.
    pub(crate) fn take_placements(
        &mut self,
        turn: &mut Turn<'_>,
        entropy: &mut dyn RngCore,
        placements: Placements,
    ) {
        if placements == self.config.placements {
            return;
        }
        self.config.placements = placements;
        self.shared = Shared::new(&self.config);
        if self.phase > Phase::Down {
            self.redial_later(turn, entropy, false);
            self.forget_connection(turn);
            turn.out.push(Output::Close(Reason::EpochChanged));
        }
    }
}

fn wrong_epoch(ours: &Placement, theirs: &proto::SharedPlacement) -> Stop {
    crate::sometimes::WRONG_EPOCH.reach();
    Reason::WrongEpoch { placement: ours.id, theirs: theirs.epoch, ours: ours.epoch.0 }.into()
}
