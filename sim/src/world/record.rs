//! What a world tells the recorder of its page, where there is one.
//!
//! What must always hold: nothing of the world depends on it: a world that is recorded has the same trace as one that is not.

use crate::page::{Harm, Place, Recorder, Recording};
use crate::script::Script;
use crate::world::World;
use crate::world::faults::Fault;
use crate::world::queue::Moment;
use bytes::Bytes;
use crdt::{DeviceId, Dot, PartitionId, RegionId, Sequence};
use gateway_client::{Act, Content, Event};
use region::item::Content as Stored;
use region::shard::Effect;
use replication::commit::Commit;

impl World {
    /// From now on it is recorded what happens, for a page. Regions are called as in the script.
    pub fn record(&mut self, script: &Script) {
        let regions: Vec<(RegionId, String)> =
            script.regions.iter().map(|region| (RegionId(region.number), region.name.clone())).collect();
        let ways = script.ways.iter().map(|way| (RegionId(way.from), RegionId(way.to), way.delay_us));
        let mut recorder = Recorder::new(&regions, ways);
        for (id, device) in &self.devices {
            recorder.device_lives(self.now, *id, device.user, device.region);
        }
        self.recorder = Some(Box::new(recorder));
    }

    /// What was recorded up to now, if it is.
    #[must_use]
    pub fn recording(&self) -> Option<Recording> {
        self.recorder.as_ref().map(|recorder| recorder.recording(self.now))
    }

    pub(crate) fn record_home(&mut self, id: DeviceId) {
        let device = self.devices.get(&id).map(|device| (device.user, device.region));
        if let (Some(recorder), Some((user, region))) = (&mut self.recorder, device) {
            recorder.device_lives(self.now, id, user, region);
        }
    }

    pub(crate) fn record_online(&mut self, id: DeviceId, online: bool) {
        if let Some(recorder) = &mut self.recorder {
            recorder.device_is_online(self.now, id, online);
        }
    }

    pub(crate) fn record_act(&mut self, id: DeviceId, act: &Act) {
        if let (Some(recorder), Act::Send { conversation, message: Some(message), .. }) =
            (&mut self.recorder, act)
        {
            recorder.posted(self.now, id, *conversation, *message);
        }
    }

    pub(crate) fn record_told(&mut self, id: DeviceId, event: &Event) {
        let Some(recorder) = &mut self.recorder else { return };
        match event {
            Event::Shown { item, marked, .. } => {
                if matches!(item.content, Content::Post { .. }) {
                    recorder.shown(self.now, id, item.message, *marked);
                }
            }
            Event::Acknowledged { command, .. } => recorder.acknowledged(self.now, id, *command),
            Event::Stable { command, .. } => recorder.stable(self.now, *command),
            Event::Delivered { message, device, .. } => recorder.ticked(self.now, *message, *device, false),
            Event::Read { message, device, .. } => recorder.ticked(self.now, *message, *device, true),
            Event::SignedIn { .. }
            | Event::SignedOut { .. }
            | Event::ServedAtHome { .. }
            | Event::Redirected { .. }
            | Event::Moved { .. }
            | Event::Repeated { .. }
            | Event::AddedAgain { .. }
            | Event::MarkCleared { .. }
            | Event::CaughtUp { .. }
            | Event::Amended { .. }
            | Event::Hidden { .. }
            | Event::Refused { .. }
            | Event::Membership { .. }
            | Event::Paged { .. }
            | Event::Documented { .. }
            | Event::Listed { .. } => {}
        }
    }

    pub(crate) fn record_frame_sent(&mut self, from: RegionId, to: RegionId, frame: &Bytes) {
        if let Some(recorder) = &mut self.recorder {
            recorder.frame_leaves(self.now, from, to, frame);
        }
    }

    pub(crate) fn record_frame_read(&mut self, from: RegionId, to: RegionId, frame: &Bytes) {
        if let Some(recorder) = &mut self.recorder {
            recorder.frame_arrives(from, to, frame);
        }
    }

    /// What a bridge read is given to its region's shards.
    pub(crate) fn record_commits(
        &mut self,
        from: RegionId,
        to: RegionId,
        partition: PartitionId,
        commits: &[Commit],
    ) {
        let Some(recorder) = &mut self.recorder else { return };
        for commit in commits {
            for number in 0..commit.operations.len() as u64 {
                let dot = Dot { replica: commit.origin, sequence: Sequence(commit.first.0 + number) };
                recorder.brought(from, to, partition, dot);
            }
        }
    }

    pub(crate) fn record_calm(&mut self) {
        if let Some(recorder) = &mut self.recorder {
            recorder.calm(self.now);
        }
    }

    /// A fault begins. Devices without a network are recorded as they are, whatever took it.
    pub(crate) fn record_fault(&mut self, index: usize, fault: &Fault) {
        let Some(recorder) = &mut self.recorder else { return };
        let (harm, what, place) = match fault {
            Fault::Crash { region, .. } => (Harm::Down, "process dead", recorder.region(*region)),
            Fault::OtherRelease { region, .. } => (Harm::Stands, "another release", recorder.region(*region)),
            Fault::CutWay { from, to } => (Harm::Cut, "cut", recorder.way(*from, *to)),
            Fault::CutPair { one, other } => (Harm::Cut, "cut", recorder.link(*one, *other)),
            Fault::Island { region } => (Harm::Cut, "cut off", recorder.region(*region)),
            Fault::SlowWay { from, to, .. } => (Harm::Worse, "slow", recorder.way(*from, *to)),
            Fault::WorseWay { from, to, .. } => (Harm::Worse, "lossy", recorder.way(*from, *to)),
            Fault::Flap { one, other, .. } => (Harm::Cut, "flaps", recorder.link(*one, *other)),
            Fault::Pause { region } => (Harm::Stands, "stands still", recorder.region(*region)),
            Fault::SlowProcess { region, .. } => (Harm::Stands, "crawls", recorder.region(*region)),
            Fault::SlowDisk { region } => (Harm::Disk, "disk slow", recorder.region(*region)),
            Fault::StalledDisk { region } => (Harm::Disk, "disk stalls", recorder.region(*region)),
            Fault::FullDisk { region } => (Harm::Disk, "disk full", recorder.region(*region)),
            Fault::FlippedBit { region, .. }
            | Fault::Misdirected { region, .. }
            | Fault::Restored { region }
            | Fault::Emptied { region, .. } => (Harm::Disk, "disk lies", recorder.region(*region)),
            Fault::FailingDisk { region, .. } => (Harm::Disk, "disk fails", recorder.region(*region)),
            Fault::ClockJump { region, .. }
            | Fault::ClockDrift { region, .. }
            | Fault::ClockStuck { region } => (Harm::Clock, "clock wrong", recorder.region(*region)),
            Fault::DeviceClockJump { device, .. } => (Harm::Clock, "clock wrong", recorder.device(*device)),
            Fault::WeakLine { device, .. } => (Harm::Device, "weak network", recorder.device(*device)),
            Fault::Break { device } => (Harm::Device, "connections broken", recorder.device(*device)),
            Fault::SlowDevice { device, .. } => (Harm::Device, "reads slowly", recorder.device(*device)),
            Fault::Offline { .. } => return,
        };
        let place: Option<Place> = place;
        if let Some(place) = place {
            recorder.begins(self.now, (0, index as u64), what, harm, place);
        }
    }

    /// A region's process ends by itself.
    pub(crate) fn record_ended(&mut self, region: RegionId) {
        if let Some(recorder) = &mut self.recorder
            && let Some(place) = recorder.region(region)
        {
            recorder.begins(self.now, (1, u64::from(region.0)), "process ended", Harm::Down, place);
        }
    }

    /// A region's process has started.
    pub(crate) fn record_started(&mut self, region: RegionId) {
        if let Some(recorder) = &mut self.recorder {
            recorder.ends(self.now, (1, u64::from(region.0)));
        }
    }

    /// It ends.
    pub(crate) fn record_fault_end(&mut self, index: usize) {
        if let Some(recorder) = &mut self.recorder {
            recorder.ends(self.now, (0, index as u64));
        }
    }
}

/// A batch is durable in a region.
pub(crate) fn record_batch(
    recorder: &mut Option<Box<Recorder>>,
    at: Moment,
    region: RegionId,
    effects: &[Effect],
) {
    let Some(recorder) = recorder else { return };
    for effect in effects {
        if let Effect::Changed(change) = effect
            && matches!(change.item.content, Stored::Post { .. })
        {
            let partition = change.conversation.partition();
            recorder.applied(at, region, partition, change.item.dot, change.item.message);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::page::{Harm, Place, Recording};
    use crate::run::{Options, run};
    use crate::scenario::Scenario;
    use crate::script::draw;

    const CUT: &str = include_str!("../../tests/a-short-cut.toml");

    fn recorded() -> Recording {
        let script = draw(&Scenario::parse("a-short-cut.toml", CUT).unwrap(), 1);
        let recorded = run(&script, Options { recorded: true, ..Options::default() });
        let plain = run(&script, Options::default());
        assert_eq!(recorded.trace_hash, plain.trace_hash, "recording changes nothing");
        assert!(plain.recording.is_none());
        recorded.recording.unwrap()
    }

    #[test]
    fn each_message_is_followed_through_every_region_to_the_devices_that_showed_it() {
        let recording = recorded();
        let [cut] = recording.faults.as_slice() else { panic!("one fault: {:?}", recording.faults) };
        assert_eq!((cut.harm, cut.place), (Harm::Cut, Place::Region(2)));
        assert_eq!(recording.messages_in_all, recording.messages.len() as u64);
        let everywhere = recording.messages.iter().filter(|message| message.applied.len() == 3);
        let mut held_up = 0;
        for message in everywhere.clone() {
            assert!(message.acknowledged_us.is_some() && message.stable_us.is_some(), "{message:?}");
            for (lane, at_us) in message.applied.iter().filter(|(lane, _)| *lane != message.home) {
                let mut left = message.left.iter().filter(|(_, to, left_us)| to == lane && left_us < at_us);
                let (_, _, left_us) =
                    left.next_back().unwrap_or_else(|| panic!("how did it come to {lane}: {message:?}"));
                held_up += u64::from(*left_us > cut.ends_us && message.posted_us < cut.ends_us);
            }
            let shown = message.shown.iter().filter(|showing| showing.device != message.author).count();
            assert!(shown > 0 && message.shown.len() as u64 == message.shown_in_all, "{message:?}");
        }
        assert!(everywhere.count() > 20 && held_up > 5, "{held_up} waited for the cut to end");
        let across = &recording.intervals.across;
        let slowest = across.iter().max_by_key(|spread| spread.p99_us).unwrap();
        assert!(
            slowest.p99_us > 20_000_000
                && across.iter().any(|spread| spread.samples > 0 && spread.p99_us < 1_000_000)
        );
    }
}
