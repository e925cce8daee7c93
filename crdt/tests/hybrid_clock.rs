//! The conversation's clock: the properties published for hybrid logical clocks (Kulkarni et al. 2014), and `uhlc` beside it.
//!
//! The paper's claims, with l the milliseconds and c the counter: an effect is above its cause; l is never behind the physical clock of
//! its own replica; l is a physical time that somebody among its causes read, so it is never ahead of the fastest clock;
//! c is at most the number of causes with the same l.

use crdt::clock::ClockExhausted;
use crdt::*;
use proptest::prelude::*;
use std::cell::Cell;
use std::time::Duration;

const REPLICAS: usize = 3;

#[derive(Debug, Clone)]
enum Step {
    /// A replica's physical clock is set to that, back or forth.
    Set(usize, u64),
    /// A replica issues.
    Issue(usize),
    /// A replica takes all that another has.
    Take(usize, usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let replica = || 0..REPLICAS;
    let step = prop_oneof![
        2 => (replica(), 1_000..1_100_u64).prop_map(|(replica, ms)| Step::Set(replica, ms)),
        4 => replica().prop_map(Step::Issue),
        3 => (replica(), replica()).prop_map(|(to, from)| Step::Take(to, from)),
    ];
    prop::collection::vec(step, 1..80)
}

struct Event {
    hlc: Timestamp,
    oracle: uhlc::Timestamp,
    physical_ms: u64,
    causes: Vec<usize>,
}

thread_local! {
    /// `uhlc` takes its clock as a bare function pointer: this is where it reads.
    static PHYSICAL: Cell<u64> = const { Cell::new(0) };
}

/// Plays the steps on our clock and on `uhlc`, in the same layout: milliseconds above 16 bits.
fn play(steps: &[Step]) -> Vec<Event> {
    let oracle = |number: usize| {
        uhlc::HLCBuilder::new()
            .with_id(uhlc::ID::try_from([number as u8 + 1].as_slice()).unwrap())
            .with_clock(|| uhlc::NTP64(PHYSICAL.get() << 16))
            .with_max_delta(Duration::from_secs(u64::from(u32::MAX)))
            .build()
    };
    let oracles: Vec<uhlc::HLC> = (0..REPLICAS).map(oracle).collect();
    let mut physical = [1_000_u64; REPLICAS];
    let mut known: Vec<Vec<usize>> = vec![Vec::new(); REPLICAS];
    let mut events: Vec<Event> = Vec::new();
    for step in steps {
        match *step {
            Step::Set(replica, ms) => physical[replica] = ms,
            Step::Issue(replica) => {
                let highest = known[replica].iter().map(|index| events[*index].hlc).max().unwrap_or_default();
                let hlc = Timestamp::issue(physical[replica], highest, Timestamp::ZERO).unwrap();
                PHYSICAL.set(physical[replica]);
                let oracle = oracles[replica].new_timestamp();
                let causes = known[replica].clone();
                known[replica].push(events.len());
                events.push(Event { hlc, oracle, physical_ms: physical[replica], causes });
            }
            Step::Take(to, from) => {
                let lacking: Vec<usize> =
                    known[from].iter().copied().filter(|index| !known[to].contains(index)).collect();
                // `uhlc` also reads its clock when it receives; ours reads it only where something is issued.
                PHYSICAL.set(0);
                for index in lacking {
                    oracles[to].update_with_timestamp(&events[index].oracle).unwrap();
                    known[to].push(index);
                }
            }
        }
    }
    events
}

proptest! {
    #[test]
    fn an_effect_is_above_its_cause(steps in steps()) {
        let events = play(&steps);
        for event in &events {
            for cause in &event.causes {
                prop_assert!(events[*cause].hlc < event.hlc);
            }
        }
    }

    #[test]
    fn it_is_never_behind_its_own_physical_clock_and_never_ahead_of_the_fastest(steps in steps()) {
        let events = play(&steps);
        for event in &events {
            let fastest = event.causes.iter().map(|cause| events[*cause].physical_ms).chain([event.physical_ms]).max();
            prop_assert!(event.hlc.ms() >= event.physical_ms);
            prop_assert_eq!(Some(event.hlc.ms()), fastest);
        }
    }

    #[test]
    fn the_counter_is_at_most_the_number_of_causes_in_the_same_millisecond(steps in steps()) {
        let events = play(&steps);
        for event in &events {
            let same = event.causes.iter().filter(|cause| events[**cause].hlc.ms() == event.hlc.ms()).count();
            prop_assert!(usize::from(event.hlc.counter()) <= same);
        }
    }

    #[test]
    fn it_stands_in_the_same_millisecond_as_uhlc_and_spends_no_more_counter(steps in steps()) {
        for event in play(&steps) {
            let oracle = Timestamp(event.oracle.get_time().0);
            prop_assert_eq!(event.hlc.ms(), oracle.ms());
            prop_assert!(event.hlc.counter() <= oracle.counter());
        }
    }

    #[test]
    fn without_receiving_it_is_uhlc_exactly(steps in steps()) {
        let alone: Vec<Step> = steps.into_iter().filter(|step| !matches!(step, Step::Take(..))).collect();
        for event in play(&alone) {
            prop_assert_eq!(event.hlc.0, event.oracle.get_time().0);
        }
    }

    #[test]
    fn a_timestamp_is_above_all_that_was_seen_and_not_below_now(
        now_ms in any::<u64>(),
        highest in any::<u64>().prop_map(Timestamp),
        seen in any::<u64>().prop_map(Timestamp),
    ) {
        match Timestamp::issue(now_ms, highest, seen) {
            Ok(issued) => {
                prop_assert!(issued > highest && issued > seen && issued >= Timestamp::from_ms(now_ms));
                prop_assert!(issued < Timestamp::REFUSED_FROM);
                let least = highest.max(seen).0 + 1;
                prop_assert_eq!(issued.0, least.max(now_ms << 16));
            }
            Err(ClockExhausted) => {
                let last = Timestamp(Timestamp::REFUSED_FROM.0 - 1);
                prop_assert!(highest >= last || seen >= last || Timestamp::from_ms(now_ms) > last);
            }
        }
    }
}

/// History 21: a clock in 2038 for one second misplaces messages of its own conversation and of no other, and a reply still sorts after.
#[test]
fn a_wrong_clock_misplaces_only_its_own_conversation() {
    let (now, year_2038) = (1_732_500_000_000, 2_147_483_647_000);
    let misplaced = Timestamp::issue(year_2038, Timestamp::ZERO, Timestamp::ZERO).unwrap();
    let reply = Timestamp::issue(now, misplaced, Timestamp::ZERO).unwrap();
    assert_eq!(reply, Timestamp(misplaced.0 + 1));
    assert_eq!(Timestamp::issue(now, Timestamp::ZERO, Timestamp::ZERO).unwrap(), Timestamp::from_ms(now));
}

#[test]
fn a_reply_by_a_roamed_device_sorts_after_what_its_new_region_lacks() {
    let seen = Timestamp::from_ms(1_050_000);
    let reply = Timestamp::issue(1_000_000, Timestamp::from_ms(999_000), seen).unwrap();
    assert!(reply > seen);
}

#[test]
fn a_full_counter_runs_into_the_next_millisecond() {
    let full = Timestamp(Timestamp::from_ms(5).0 + 0xffff);
    let next = Timestamp::issue(5, full, Timestamp::ZERO).unwrap();
    assert_eq!((next.ms(), next.counter()), (6, 0));
}

#[test]
fn the_top_of_the_range_is_refused_and_what_is_just_below_is_not() {
    let last = Timestamp(Timestamp::REFUSED_FROM.0 - 1);
    let below = Timestamp(last.0 - 1);
    assert_eq!(Timestamp::issue(0, below, Timestamp::ZERO), Ok(last));
    assert_eq!(Timestamp::issue(0, Timestamp::ZERO, below), Ok(last));
    assert_eq!(Timestamp::issue(0, last, Timestamp::ZERO), Err(ClockExhausted));
    assert_eq!(Timestamp::issue(u64::MAX, Timestamp::ZERO, Timestamp::ZERO), Err(ClockExhausted));
}
