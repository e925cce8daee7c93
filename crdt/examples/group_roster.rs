//! An admin who is demoted while they act elsewhere, and what of it stands: `cargo run -p crdt --example group_roster`.
//!
//! The door (`judge_wish`) judges a wish where it is asked; `apply` makes of all operations together the same roster in every region; `fold` puts
//! away what every region has acknowledged, so that cost does not grow with the age of the group.

use crdt::roster::{Action, Change, RosterOperation, Wish};
use crdt::{
    Dot, Incarnation, MessageId, Place, PlacementId, RegionId, ReplicaId, Roster, Timestamp, UserId,
    VersionVector,
};
use std::collections::BTreeMap;
use std::error::Error;

const PLACEMENT: PlacementId = PlacementId(1);

/// One region: the roster, and all it has applied in the order in which it did.
struct Region {
    id: ReplicaId,
    roster: Roster,
    applied: VersionVector,
    log: Vec<RosterOperation>,
}

impl Region {
    fn new(region: u16) -> Self {
        let id = ReplicaId { region: RegionId(region), incarnation: Incarnation(u64::from(region)) };
        Self { id, roster: Roster::default(), applied: VersionVector::new(), log: Vec::new() }
    }

    /// Asks the door, and issues what it lets in.
    fn ask(&mut self, sender: UserId, wish: Wish) -> Result<(), Box<dyn Error>> {
        let action = self.roster.judge_wish(sender, wish)?;
        self.issue(sender, action)
    }

    fn issue(&mut self, sender: UserId, action: Action) -> Result<(), Box<dyn Error>> {
        let dot = Dot { replica: self.id, sequence: self.applied.get(self.id).next() };
        // Any clock that stands above what was applied does; see `Timestamp::issue`.
        let place = Place { hlc: Timestamp::from_ms(1_000 + self.log.len() as u64), dot };
        let command = MessageId((u128::from(dot.replica.region.0) << 64) | u128::from(dot.sequence.0));
        let change = Change { cut: self.applied.clone(), action };
        self.take(RosterOperation { place, sender, command, change })
    }

    fn take(&mut self, operation: RosterOperation) -> Result<(), Box<dyn Error>> {
        self.roster.apply(operation.clone())?;
        self.applied.raise(operation.dot());
        self.log.push(operation);
        Ok(())
    }

    fn catch_up(&mut self, other: &Self) -> Result<(), Box<dyn Error>> {
        let lacks = |operation: &&RosterOperation| !self.applied.covers(operation.dot());
        for operation in other.log.iter().filter(lacks).cloned().collect::<Vec<_>>() {
            self.take(operation)?;
        }
        Ok(())
    }

    fn print(&self) {
        let of = |user| match self.roster.member(user).and_then(|member| member.rank) {
            Some(_) => format!("{user} (admin)"),
            None => user.to_string(),
        };
        println!("  {}: {}", self.id, self.roster.members().map(of).collect::<Vec<_>>().join(", "));
    }
}

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let user = |number| UserId::new(PLACEMENT, number);
    let (creator, xenia, mike, nora) = (user(1), user(2), user(3), user(4));
    let (mut here, mut there) = (Region::new(1), Region::new(2));
    let members = [xenia, mike].into();
    here.issue(creator, Action::Create { members, shares: BTreeMap::new() })?;
    here.ask(creator, Wish::Promote(xenia))?;
    there.catch_up(&here)?;

    // Cut off from each other: there Xenia, an admin, removes Mike and adds Nora; here the creator demotes her.
    there.ask(xenia, Wish::Remove(mike))?;
    there.ask(xenia, Wish::Add(nora))?;
    here.ask(creator, Wish::Demote(xenia))?;
    println!("cut off from each other:");
    here.print();
    there.print();

    there.catch_up(&here)?;
    here.catch_up(&there)?;
    println!("and whole again: what she did concurrently with her demotion never was");
    here.print();
    there.print();
    assert_eq!(here.roster.canonical_bytes(), there.roster.canonical_bytes());
    assert_eq!(here.roster.members().collect::<Vec<_>>(), [creator, xenia, mike]);
    let refused = there.ask(xenia, Wish::Add(nora));
    println!("she asks again: {}", refused.err().map(|error| error.to_string()).unwrap_or_default());

    // All regions have acknowledged all of it: nothing to come is concurrent with it, and it is put away.
    let stable = here.applied.clone();
    for region in [&mut here, &mut there] {
        region.roster.fold(&stable);
        assert_eq!(region.roster.unfolded(), 0);
    }
    assert_eq!(here.roster.encode(), there.roster.encode());
    Ok(())
}
