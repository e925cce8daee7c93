//! A storm and what comes after: a world drawn from a seed, people acting through faults, then the healing, and the judgement.
//!
//! What must always hold once all faults have ended: within four minutes of the world's time every region has everything, every device shows
//! everything and has been told everything, every outbox is empty, and then nothing happens any more but heartbeats; regions are equal byte
//! for byte, and what each holds is what a replay of its log gives.

use crate::checks::world::{Checker, Marks, Tally, Violation};
use crate::world::World;
use crate::world::layout::{PINNED, WORLD};
use crate::world::links::Way;
use crate::world::queue::Moment;
use crdt::{PlacementId, RegionId};
use region::store::{StoreError, View};
use std::collections::BTreeMap;

/// How long the healed world may take, in microseconds: a client that was cut off for long tries again within 64 s, and one whose connection died in
/// silence notices after 90 s.
const CALM_US: u64 = 240_000_000;
/// How long nothing must happen then.
const QUIET_US: u64 = 3_000_000;

/// How a run went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// What was broken; empty when all is well.
    pub violations: Vec<Violation>,
    /// A hash over everything that happened.
    pub trace: [u8; 32],
    /// Events handled.
    pub events: u64,
    /// How long it was, in microseconds of the world's time.
    pub simulated_us: Moment,
    /// How each promise fared, by its number.
    pub promises: BTreeMap<u8, Tally>,
    /// What the run reached.
    pub marks: Marks,
    /// The newest lines of the text, if it was told.
    pub lines: Vec<String>,
}

/// Runs the storm of that seed; with its text if that is `told`.
#[must_use]
pub fn storm(seed: u64, told: bool) -> Report {
    let regions = if seed.is_multiple_of(3) { 4 } else { 3 };
    let mut world = World::new(seed, regions, told);
    world.draw_conditions();
    world.start_all();
    let users = world.dice.between(4, 9);
    world.draw_people(users);
    world.pass(500_000);
    let (acts, length_us) = (world.dice.between(20, 110), world.dice.between(5_000_000, 40_000_000));
    world.let_act(acts, length_us);
    let faults = world.dice.between(0, 14);
    world.plan_faults(faults, world.now, world.now + length_us);
    world.pass(length_us);
    world.heal();
    world.rest();
    world.become_calm();
    world.judge();
    world.report(seed)
}

impl World {
    /// Links, disks, clocks and limits as the seed has them.
    fn draw_conditions(&mut self) {
        for (index, from) in self.layout.regions().to_vec().into_iter().enumerate() {
            for to in self.layout.regions().to_vec().into_iter().skip(index + 1) {
                let delay_us = self.dice.between(500, 120_000);
                let jitter_us = self.dice.below(delay_us);
                let kib_us = self.dice.pick(&[5, 10, 100, 2_000]).unwrap_or(10);
                self.links.lay(from, to, Way::new(delay_us, jitter_us, kib_us));
                self.links.lay(to, from, Way::new(delay_us, jitter_us, kib_us));
            }
            if self.dice.one_in(3) {
                let ms = i64::try_from(self.dice.below(20_000)).unwrap_or(0) - 10_000;
                self.set_wall_offset(from, ms * 1_000);
            }
        }
        self.links.window_bytes = self.dice.pick(&[2 << 10, 16 << 10, 256 << 10]).unwrap_or(256 << 10);
        self.mailbox_max = self.dice.pick(&[2, 8, 64, 1_024]).unwrap_or(64);
        self.changes_max = self.dice.pick(&[1, 4, 32, 1_024]).unwrap_or(32);
    }

    /// Lets time pass until nothing is missing and nothing happens any more, or until that should long have been so.
    pub fn become_calm(&mut self) {
        let until = self.now + CALM_US;
        let mut quiet = 0;
        while self.now < until {
            let before = self.oracle.progress();
            self.pass(1_000_000);
            let still = self.oracle.progress() == before && self.missing().is_none();
            quiet = if still { quiet + 1_000_000 } else { 0 };
            if quiet >= QUIET_US {
                self.oracle.healed(self.now, None);
                return;
            }
        }
        let missing = self.missing().unwrap_or_else(|| "nothing, but it does not rest".to_owned());
        self.oracle.healed(self.now, Some(missing));
    }

    /// The first thing that is missing.
    fn missing(&self) -> Option<String> {
        let waits = self.devices.iter().find(|(_, device)| device.client.unstable() > 0);
        if let Some((id, device)) = waits {
            let count = device.client.unstable();
            return Some(format!("{id} has {count} commands in its outbox: {}", device.client));
        }
        self.oracle.lacking()
    }

    /// Judges what is there at the end.
    pub fn judge(&mut self) {
        self.oracle.judge(self.now);
        for placement in [WORLD, PINNED] {
            if let Err(error) = self.compare(placement) {
                self.oracle.violate(self.now, Checker::Runs, error.to_string());
            }
        }
    }

    fn compare(&mut self, placement: PlacementId) -> Result<(), StoreError> {
        let ids = self.layout.regions_of(placement).into_iter();
        let stores: Vec<(RegionId, &dyn View)> =
            ids.filter_map(|id| Some((id, self.regions.get(&id)?.view(placement)?))).collect();
        self.oracle.compare(self.now, placement, &stores)
    }

    /// How the run went.
    #[must_use]
    pub fn report(&self, seed: u64) -> Report {
        Report {
            seed,
            violations: self.oracle.violations().to_vec(),
            trace: self.trace.hash(),
            events: self.trace.events(),
            simulated_us: self.now,
            promises: self.oracle.promises(),
            marks: self.oracle.marks,
            lines: self.trace.lines().map(str::to_owned).collect(),
        }
    }
}
