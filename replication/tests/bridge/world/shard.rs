//! A region's one writer: what waits for it, and what it does with it in one go.
//!
//! What must always hold: bridges are told of what has changed only when all of it is in the store; what a kill finds in the mailbox is lost.

use super::checks::check_order;
use super::{Event, Region, World};
use crdt::{ChainHead, Dot, PartitionId, RegionId, ReplicaId};
use replication::commit::{Commit, OperationBytes};
use replication::epoch::EpochStatement;
use replication::log::{ChangeNumber, LogView as _, Position};
use replication::placement::Epoch;
use replication::register::Register;
use replication::stability::{Pair, register_key, replica_of_key};
use replication::{Input, StoreStart};
use std::collections::BTreeMap;
use std::convert::Infallible;

/// What waits for a region's shard.
#[derive(Debug, Clone)]
pub(super) enum Mail {
    Issue(PartitionId, Vec<OperationBytes>),
    Acknowledge(PartitionId),
    Entries(RegionId, ReplicaId, PartitionId, Vec<Commit>, Option<Position>, usize),
    Registers(RegionId, ReplicaId, PartitionId, Vec<Register>, ChangeNumber, usize),
    Started(ReplicaId, StoreStart),
    Epochs(Vec<EpochStatement>),
}

impl World {
    pub(super) fn mail(&mut self, at: RegionId, mail: Mail) {
        let region = self.regions.get_mut(&at).unwrap();
        region.mailbox.push_back(mail);
        if !region.shard_called && !region.down {
            region.shard_called = true;
            let life = region.life;
            self.schedule(self.now.plus_ms(self.commit_ms), Event::Shard { at, life });
        }
    }

    pub(crate) fn issue(&mut self, at: RegionId, id: PartitionId, operations: Vec<OperationBytes>) {
        if !self.regions[&at].down && !self.regions[&at].fenced {
            self.mail(at, Mail::Issue(id, operations));
        }
    }

    pub(crate) fn acknowledge(&mut self, at: RegionId, id: PartitionId) {
        if !self.regions[&at].down && !self.regions[&at].fenced {
            self.mail(at, Mail::Acknowledge(id));
        }
    }

    /// An operator tells a region of an epoch.
    pub(crate) fn tell_epoch(&mut self, at: RegionId, statement: EpochStatement) {
        self.mail(at, Mail::Epochs(vec![statement]));
    }

    pub(super) fn run_shard(&mut self, at: RegionId) {
        let region = self.regions.get_mut(&at).unwrap();
        region.shard_called = false;
        if region.fenced {
            return;
        }
        let mut changed = BTreeMap::new();
        let mut told = Vec::new();
        for mail in std::mem::take(&mut region.mailbox) {
            match mail {
                Mail::Issue(id, operations) => {
                    let before = region.store.log(id).applied;
                    let commit = region.store.issue(id, operations);
                    for dot in commit.dots() {
                        self.causes.insert((id, dot), before.clone());
                    }
                    changed.insert(id, ());
                }
                Mail::Acknowledge(id) => {
                    let epoch = region.epoch(id);
                    let pair = region.pair(id, epoch);
                    let own = region.store.replica;
                    region.join_pair(id, own, &pair, None);
                    changed.insert(id, ());
                }
                Mail::Epochs(statements) => {
                    statements.into_iter().for_each(|statement| region.store.follow(statement));
                    let peers = region.bridges.keys().copied();
                    told.extend(peers.map(|peer| (peer, Input::Placements(region.store.placements.clone()))));
                    region.fenced = !region.store.is_active();
                }
                Mail::Started(replica, start) => {
                    region.store.starts.insert(replica, start);
                }
                Mail::Entries(from, peer, id, commits, cursor, bytes) => {
                    told.push((from, Input::Taken { bytes }));
                    let before = region.store.log(id).applied;
                    match region.store.apply(peer, id, commits, cursor) {
                        Ok(applied) => check_order(&self.causes, id, before, &applied),
                        Err(reason) => told.push((from, Input::Refused { reason })),
                    }
                    changed.insert(id, ());
                }
                Mail::Registers(from, peer, id, registers, cursor, bytes) => {
                    told.push((from, Input::Taken { bytes }));
                    for register in registers {
                        let replica = replica_of_key(&register.key).unwrap();
                        let pair = Pair::decode(&register.value).unwrap();
                        region.join_pair(id, replica, &pair, Some(peer));
                    }
                    region.store.partitions.entry(id).or_default().raise_feed_cursor(peer, cursor);
                    changed.insert(id, ());
                }
            }
        }
        for id in changed.keys() {
            let (epoch, log) = (region.epoch(*id), region.store.log(*id));
            let head_at = |dot: Dot| {
                Ok::<_, Infallible>(log.head(*id, dot.replica, dot.sequence).map(ChainHead::check))
            };
            let Ok(_) = region.acknowledgements.entry(*id).or_default().believe(epoch, &log.applied, head_at);
        }
        self.check_stable(at);
        let region = &self.regions[&at];
        let peers: Vec<RegionId> = region.bridges.keys().copied().collect();
        let states: Vec<_> = changed.keys().map(|id| (*id, region.store.state(*id).unwrap())).collect();
        for (peer, input) in told {
            self.step(at, peer, input);
        }
        for (partition, state) in states {
            for peer in &peers {
                self.step(at, *peer, Input::Advanced { partition, state: state.clone() });
            }
        }
    }
}

impl Region {
    pub(super) fn epoch(&self, id: PartitionId) -> Epoch {
        self.store.placements.get(id.placement).unwrap().epoch
    }

    fn pair(&self, id: PartitionId, epoch: Epoch) -> Pair {
        let log = self.store.log(id);
        let head = |dot: Dot| Some((dot.replica, log.head(id, dot.replica, dot.sequence)?.check()));
        Pair { epoch, heads: log.applied.iter().filter_map(head).collect(), applied: log.applied }
    }

    fn join_pair(&mut self, id: PartitionId, replica: ReplicaId, pair: &Pair, from: Option<ReplicaId>) {
        let known = self.acknowledgements.entry(id).or_default();
        known.join(replica, pair);
        if let Some(newest) = known.get(replica).map(|known| known.newest().clone()) {
            let had_by = from.filter(|_| newest == *pair);
            let log = self.store.partitions.entry(id).or_default();
            log.set(register_key(replica), newest.encode(), from, had_by);
        }
    }
}
