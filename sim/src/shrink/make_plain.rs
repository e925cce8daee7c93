//! Makes what is left of a script plain: usual delays, right clocks, single messages, queues of ordinary length.
//!
//! What must always hold: a plain number is one that nobody would ask about, so whatever is not plain at the end has to do with the failure.

use super::Search;
use crate::scenario::{DEVICE_DEAD_S, KEPT_S, MEMBERS, RECEIPT_DEVICES};
use crate::script::{Act, Device, Region, Script, ScriptLimits, Way, What};

const USUAL: ScriptLimits = ScriptLimits {
    mailbox: 1_024,
    changes: 1_024,
    window_bytes: 256 << 10,
    receipt_devices: RECEIPT_DEVICES,
    device_dead_s: DEVICE_DEAD_S,
    members: MEMBERS,
    kept_s: KEPT_S,
};

impl Search<'_> {
    pub(super) fn make_plain(&mut self) {
        for of in [
            |limits: &mut ScriptLimits| limits.mailbox = USUAL.mailbox,
            |limits: &mut ScriptLimits| limits.changes = USUAL.changes,
            |limits: &mut ScriptLimits| limits.window_bytes = USUAL.window_bytes,
            |limits: &mut ScriptLimits| limits.receipt_devices = USUAL.receipt_devices,
            |limits: &mut ScriptLimits| limits.device_dead_s = USUAL.device_dead_s,
            |limits: &mut ScriptLimits| limits.members = USUAL.members,
            |limits: &mut ScriptLimits| limits.kept_s = USUAL.kept_s,
        ] {
            let mut candidate = self.script.clone();
            of(&mut candidate.limits);
            self.take(candidate);
        }
        self.plain_regions();
        self.plain_ways();
        self.plain_devices();
        self.plain_acts();
        let mut candidate = self.script.clone();
        candidate.drawn.clear();
        self.take(candidate);
    }

    fn each<T>(&mut self, list: fn(&mut Script) -> &mut Vec<T>, change: impl Fn(&mut T)) {
        let indices: Vec<usize> = (0..list(&mut self.script).len()).collect();
        self.in_chunks(indices, |script, chosen| {
            for index in chosen {
                if let Some(thing) = list(script).get_mut(*index) {
                    change(thing);
                }
            }
        });
    }

    fn plain_regions(&mut self) {
        let list: fn(&mut Script) -> &mut Vec<Region> = |script| &mut script.regions;
        self.each(list, |region| region.wall_offset_us = 0);
        self.each(list, |region| (region.sync_us_least, region.sync_us_most) = (200, 200));
    }

    fn plain_ways(&mut self) {
        let list: fn(&mut Script) -> &mut Vec<Way> = |script| &mut script.ways;
        self.each(list, |way| way.loss_per_million = 0);
        self.each(list, |way| way.jitter_us = 0);
        self.each(list, |way| way.kib_us = 10);
        self.each(list, |way| way.delay_us = 20_000);
    }

    fn plain_devices(&mut self) {
        let list: fn(&mut Script) -> &mut Vec<Device> = |script| &mut script.devices;
        self.each(list, |device| device.clock_offset_us = 0);
        self.each(list, |device| device.json = false);
        self.each(list, |device| device.at_us = 0);
        self.each(list, |device| device.delay_us = 5_000);
    }

    fn plain_acts(&mut self) {
        let list: fn(&mut Script) -> &mut Vec<Act> = |script| &mut script.acts;
        self.each(list, |act| {
            if let What::Write { count, .. } = &mut act.what {
                *count = 1;
            }
        });
        self.each(list, |act| {
            if let What::Write { count, .. } = &mut act.what {
                *count = (*count / 2).max(1);
            }
        });
        self.each(list, |act| {
            if let What::Write { bytes, text, .. } = &mut act.what {
                (*bytes, *text) = (0, None);
            }
        });
        self.each(list, |act| {
            if let What::Write { reply, .. } = &mut act.what {
                *reply = false;
            }
        });
    }
}
