//! What operators do in a world: they ask a region's shard, as the admin address does.
//!
//! What must always hold: an act that finds no running region, or none of that placement, is not done; nothing is tried again.

use crate::script::{Feature as Named, Says};
use crate::world::World;
use crate::world::dice::Dice;
use crdt::{Flag, PlacementId, RegionId};
use region::features::Feature;
use region::operate::Act;

/// Bytes of a body, and members, to which posts and groups are limited: some of what people do is above.
const BYTES: (u64, u64) = (20, 120);
const MEMBERS: (u64, u64) = (2, 5);

impl World {
    /// An operator asks that region, if it runs and has a part in the placement.
    pub(crate) fn operate(&mut self, region: RegionId, placement: PlacementId, act: Act) {
        self.trace.tell(self.now, || format!("an operator asks {region} in {placement} for {act:?}"));
        if let Some(life) = self.life_of(region) {
            self.submit_act(life, placement, act);
        }
    }
}

/// A word on a feature; of one that has no limit, that it is off.
pub(crate) fn flag_act(named: Named, says: Says, dice: &mut Dice) -> Act {
    let (feature, limits) = match named {
        Named::Posts => (Feature::Posts, Some(BYTES)),
        Named::Groups => (Feature::Groups, Some(MEMBERS)),
        Named::Edits => (Feature::Edits, None),
        Named::Reactions => (Feature::Reactions, None),
        Named::Documents => (Feature::Documents, None),
    };
    let flag = match (says, limits) {
        (Says::On, _) => None,
        (Says::Limited, Some((least, most))) => Some(Flag::AtMost(dice.between(least, most))),
        (Says::Limited, None) | (Says::Off, _) => Some(Flag::Off),
    };
    Act::SetFlag { feature, flag }
}
