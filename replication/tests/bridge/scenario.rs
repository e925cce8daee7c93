//! Scenario files (`tests/scenarios/*.txt`): a conversation between regions as text; the file's name is the claim.
//!
//! Lines that begin with `>` are commands, two spaces are what came of them (`UPDATE_EXPECT=1` rewrites those), everything else is prose.
//! What comes of a command is what bridges wanted done and the frames they sent, never a log line.

use crate::store::{placement, replica};
use crate::world::{World, operation, pair, partition, region};
use crdt::RegionId;
use expect_test::expect_file;
use replication::commit::Commit;
use replication::placement::Placements;
use replication::signature::Ed25519;
use std::collections::BTreeMap;

struct Stage {
    world: World,
    saved: BTreeMap<RegionId, crate::store::Store>,
    issued: u64,
}

fn check(name: &str) {
    let path = format!("{}/tests/scenarios/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap();
    let mut stage =
        Stage { world: World::new(1, &[], &Placements::default()), saved: BTreeMap::new(), issued: 0 };
    let mut actual = String::new();
    for line in text.lines().filter(|line| !line.starts_with("  ")) {
        actual += line;
        actual.push('\n');
        if let Some(command) = line.strip_prefix("> ") {
            for line in stage.run(command) {
                actual += &format!("  {line}\n");
            }
        }
    }
    expect_file![path].assert_eq(&actual);
}

fn number(word: &str) -> u64 {
    word.parse().unwrap_or_else(|_| panic!("not a number: {word}"))
}

fn at(word: &str) -> RegionId {
    region(number(word) as u16)
}

impl Stage {
    fn run(&mut self, command: &str) -> Vec<String> {
        let words: Vec<&str> = command.split_whitespace().collect();
        match &words[..] {
            ["regions", numbers @ ..] => {
                let numbers: Vec<u16> = numbers.iter().map(|word| number(word) as u16).collect();
                self.world = World::new(1, &numbers, &Placements::new([placement(1, &numbers)]));
                self.world.frames_traced = true;
            }
            ["delay", one, other, ms] => {
                self.world.links.get_mut(&pair(at(one), at(other))).unwrap().delay_ms = number(ms);
            }
            ["syncs", "take", ms] => self.world.commit_ms = number(ms),
            ["start"] => self.world.start_all(),
            ["start", who] => self.world.start(at(who)),
            ["kill", who] => self.world.kill(at(who)),
            ["make", who, "a", "new", "store"] => self.world.make_anew(at(who)),
            ["cut", one, other] => self.world.set_link(at(one), at(other), false),
            ["heal", one, other] => self.world.set_link(at(one), at(other), true),
            ["quietly", "run", ms] => {
                self.world.run_ms(number(ms));
                self.world.trace.clear();
            }
            ["run", ms] => self.world.run_ms(number(ms)),
            ["issue", who, count, rest @ ..] => self.issue(at(who), number(count), rest),
            ["acknowledge", who] => self.world.acknowledge(at(who), partition(1, 7)),
            ["lay", "a", "base", "at", who] => {
                self.world.regions.get_mut(&at(who)).unwrap().store.lay_base(partition(1, 7));
            }
            ["save", who] => {
                let store = self.world.regions[&at(who)].store.clone();
                self.saved.insert(at(who), store);
            }
            ["restore", who] => self.restore(at(who), false),
            ["restore", who, "with", "its", "start", "number"] => self.restore(at(who), true),
            ["plant", victim, origin, first, text] => {
                self.plant(at(victim), number(origin) as u16, number(first), text)
            }
            ["harm", who, by] => {
                let log =
                    self.world.regions.get_mut(&at(who)).unwrap().store.partitions.entry(partition(1, 7));
                log.or_default().harm = u128::from(number(by));
            }
            ["clock", who, "ahead", ms] => {
                self.world.regions.get_mut(&at(who)).unwrap().clock_ahead_ms = number(ms);
            }
            ["logs"] => return self.logs(),
            ["state"] => {
                let bridges = self.world.regions.values().flat_map(|region| region.bridges.values());
                return bridges
                    .flat_map(|bridge| bridge.to_string().lines().map(str::to_owned).collect::<Vec<_>>())
                    .collect();
            }
            _ => panic!("unknown command: {command}"),
        }
        std::mem::take(&mut self.world.trace)
    }

    fn issue(&mut self, who: RegionId, count: u64, rest: &[&str]) {
        let id = match rest {
            ["in", bucket] => partition(1, number(bucket) as u16),
            _ => partition(1, 7),
        };
        let operations = (0..count).map(|_| {
            self.issued += 1;
            operation(&self.issued.to_string())
        });
        let operations = operations.collect();
        self.world.issue(who, id, operations);
    }

    /// The store as it was saved, as if from a backup; its start number goes on unless the backup was put back behind its owner's back.
    fn restore(&mut self, who: RegionId, rolled_back: bool) {
        let region = self.world.regions.get_mut(&who).unwrap();
        let start = region.store.start;
        region.store = self.saved[&who].clone();
        if !rolled_back {
            region.store.start = start;
        }
    }

    /// Another operation of an origin, signed with its key, straight into a region's store: what a dot issued twice looks like.
    fn plant(&mut self, victim: RegionId, origin: u16, first: u64, text: &str) {
        let (id, origin) = (partition(1, 7), replica(origin));
        let region = self.world.regions.get_mut(&victim).unwrap();
        let before = region.store.log(id).head(id, origin, crdt::Sequence(first - 1)).unwrap();
        let commit = Commit::sign(
            id,
            origin,
            crdt::Sequence(first),
            vec![operation(text)],
            before,
            (&Ed25519, &crate::store::key(origin)),
        );
        region.store.apply(replica(victim.0), id, vec![commit], None).unwrap();
    }

    fn logs(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (who, region) in &self.world.regions {
            for (id, log) in &region.store.partitions {
                let entries = log.entries.iter().map(|entry| text(&entry.commit)).collect::<Vec<_>>();
                lines.push(format!("{who} {id}: {}", entries.join(" ")));
            }
        }
        lines
    }
}

fn text(commit: &Commit) -> String {
    format!("{}:{}-{}", commit.origin.region, commit.first.0, commit.last().0)
}

macro_rules! scenarios {
    ($($name:ident)*) => {
        $(#[test] fn $name() { check(stringify!($name)); })*

        /// A file that nobody runs proves nothing.
        #[test]
        fn every_scenario_file_is_run() {
            let folder = format!("{}/tests/scenarios", env!("CARGO_MANIFEST_DIR"));
            for file in std::fs::read_dir(folder).unwrap() {
                let name = file.unwrap().file_name().into_string().unwrap();
                assert!([$(concat!(stringify!($name), ".txt")),*].contains(&name.as_str()), "{name} is not run");
            }
        }
    };
}

scenarios! {
    two_regions_meet_and_exchange
    restored_store_is_fenced_by_peer_ahead
    rolled_back_store_is_fenced_by_its_start_number
    new_store_in_the_place_of_one_that_is_gone_is_fenced_by_its_id
    restored_feed_is_fenced
    fork_behind_a_reference
    fork_of_an_own_chain_is_fenced
    reference_waits_then_fetches
    blocked_partition_lets_others_pass
    relay_through_the_middle_when_two_cannot_see_each_other
    slow_origin_is_inlined_until_the_direct_stream_overtakes
    what_is_not_durable_does_not_leave
    clocks_apart_raise_one_alarm
    a_register_waits_for_company_and_is_sent_once
    patience_follows_the_usual_difference
    restored_store_is_fenced_by_one_that_heard_of_it_through_another
    all_was_sent_is_told_behind_the_last_of_it
    two_states_of_the_same_operations_raise_an_alarm_on_both_sides
    a_base_that_is_covered_is_gone_on_at_and_nothing_before_it_is_sent
    a_base_that_is_not_covered_changes_nothing
    a_base_with_another_head_is_a_fork
}
