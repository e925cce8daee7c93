//! The region's present: never back, never more than 1 in 1,000 off the monotonic clock, whatever the wall clock does.
//!
//! It runs beside a slow twin that goes one microsecond at a time, over readings that jump as clocks of real machines do.

use crdt::Now;
use crdt::disciplined_clock::{DisciplinedClock, Reading};
use proptest::prelude::*;

/// Readings of a monotonic clock that advances by steps and of a wall clock that runs beside it and sometimes jumps anywhere.
fn readings() -> impl Strategy<Value = Vec<Reading>> {
    let advance = prop_oneof![0..3_u64, 0..5_000_u64, 0..100_000_000_u64];
    let jump = prop_oneof![6 => Just(None), 1 => (0..4_000_000_000_000_u64).prop_map(Some)];
    prop::collection::vec((advance, jump), 1..60).prop_map(|steps| {
        let (mut monotonic_us, mut wall_us) = (77_u64, 1_700_000_000_000_123_u64);
        let step = |(advance, jump): (u64, Option<u64>)| {
            monotonic_us += advance;
            wall_us = jump.map_or(wall_us + advance, |ms| ms * 1_000);
            Reading { monotonic_us, wall_ms: wall_us / 1_000 }
        };
        steps.into_iter().map(step).collect()
    })
}

fn follow(floor: Now, readings: &[Reading]) -> Vec<Now> {
    let mut clock = DisciplinedClock::new(floor);
    readings.iter().map(|reading| clock.read(*reading)).collect()
}

/// The rule, one microsecond at a time.
struct SlowClock {
    now: u64,
    monotonic_us: u64,
    earned: u64,
}

impl SlowClock {
    fn read(&mut self, reading: Reading) -> u64 {
        while self.monotonic_us < reading.monotonic_us {
            self.monotonic_us += 1;
            self.now += 1;
            self.earned += 1;
            if self.earned == 1_000 {
                self.earned = 0;
                // Where the present will be at the reading if nothing else is slewed.
                let then = self.now + (reading.monotonic_us - self.monotonic_us);
                if then / 1_000 < reading.wall_ms {
                    self.now += 1;
                } else if then / 1_000 > reading.wall_ms {
                    self.now -= 1;
                }
            }
        }
        self.now
    }
}

proptest! {
    #[test]
    fn it_never_goes_back_and_never_leaves_the_monotonic_clock_by_more_than_the_slew(readings in readings()) {
        let presents = follow(Now(0), &readings);
        for (from, begun) in readings.iter().zip(&presents) {
            for (to, ended) in readings.iter().zip(&presents).filter(|(to, _)| to.monotonic_us >= from.monotonic_us) {
                if ended < begun {
                    prop_assert_eq!(to.monotonic_us, from.monotonic_us);
                    continue;
                }
                let (advanced, elapsed) = (ended.0 - begun.0, to.monotonic_us - from.monotonic_us);
                prop_assert!(advanced.abs_diff(elapsed) <= elapsed / 1_000 + 1, "{} for {}", advanced, elapsed);
            }
        }
        prop_assert!(presents.is_sorted());
    }

    #[test]
    fn it_is_what_slewing_microsecond_by_microsecond_gives(
        steps in prop::collection::vec((0..3_000_u64, -5_000_i64..5_000), 1..40),
    ) {
        let first = Reading { monotonic_us: 0, wall_ms: 1_000_000 };
        let mut clock = DisciplinedClock::new(Now(0));
        let mut slow = SlowClock { now: clock.read(first).0, monotonic_us: 0, earned: 0 };
        let mut monotonic_us = 0;
        for (advance, offset_us) in steps {
            monotonic_us += advance;
            let wall_ms = (1_000_000_000 + monotonic_us).saturating_add_signed(offset_us) / 1_000;
            let reading = Reading { monotonic_us, wall_ms };
            prop_assert_eq!(clock.read(reading).0, slow.read(reading));
        }
    }

    #[test]
    fn it_is_never_below_its_floor(readings in readings(), floor in any::<u64>()) {
        prop_assert!(follow(Now(floor), &readings).iter().all(|now| now.0 >= floor));
    }

    #[test]
    fn readings_at_the_ends_of_their_ranges_do_no_harm(readings in prop::collection::vec((any::<u64>(), any::<u64>()), 0..20)) {
        let readings: Vec<Reading> =
            readings.into_iter().map(|(monotonic_us, wall_ms)| Reading { monotonic_us, wall_ms }).collect();
        prop_assert!(follow(Now(0), &readings).is_sorted());
    }
}

fn second(number: u64, wall_ms: u64) -> Reading {
    Reading { monotonic_us: number * 1_000_000, wall_ms }
}

#[test]
fn the_first_reading_sets_it() {
    let mut clock = DisciplinedClock::new(Now(0));
    assert_eq!(
        clock.read(Reading { monotonic_us: 5, wall_ms: 1_732_500_000_000 }),
        Now(1_732_500_000_000_000)
    );
    assert_eq!(clock.wall_offset_us(), 0);
}

#[test]
fn a_wall_clock_that_jumps_by_an_hour_raises_the_alarm_and_moves_a_millisecond_a_second() {
    for jump_ms in [3_600_000_i64, -3_600_000] {
        let mut clock = DisciplinedClock::new(Now(0));
        let begun = clock.read(second(0, 1_732_500_000_000));
        let wall_ms = 1_732_500_001_000_u64.saturating_add_signed(jump_ms);
        let now = clock.read(second(1, wall_ms));
        assert_eq!(now.0 - begun.0, if jump_ms > 0 { 1_001_000 } else { 999_000 });
        assert!(clock.wall_offset_us().abs() > 3_599_000_000);
        assert_eq!(clock.wall_offset_us() > 0, jump_ms > 0);
    }
}

#[test]
fn it_reaches_a_wall_clock_that_is_half_a_second_off_after_500_seconds_and_stays() {
    for offset_ms in [500_i64, -500] {
        let wall = |number: u64| (1_732_500_000_000 + number * 1_000).saturating_add_signed(offset_ms);
        let mut clock = DisciplinedClock::new(Now(0));
        clock.read(second(0, 1_732_500_000_000));
        for number in 1..=495 {
            clock.read(second(number, wall(number)));
            assert_ne!(clock.wall_offset_us(), 0, "not before its time");
        }
        for number in 496..=600 {
            clock.read(second(number, wall(number)));
        }
        assert_eq!(clock.wall_offset_us(), 0);
    }
}

#[test]
fn restarted_with_a_wall_clock_set_back_it_goes_on_from_the_floor() {
    let floor = Now(1_732_500_000_000_000);
    let mut clock = DisciplinedClock::new(floor);
    assert_eq!(clock.now(), floor);
    assert_eq!(clock.read(second(0, 1_732_400_000_000)), floor);
    assert_eq!(clock.read(second(1, 1_732_400_001_000)), Now(floor.0 + 999_000));
}

#[test]
fn a_monotonic_clock_that_went_back_counts_as_one_that_stood() {
    let mut clock = DisciplinedClock::new(Now(0));
    let begun = clock.read(second(10, 1_732_500_000_000));
    assert_eq!(clock.read(second(3, 1_732_500_000_000)), begun);
    assert_eq!(clock.read(second(10, 1_732_500_000_000)), begun);
    assert_eq!(clock.read(second(11, 1_732_500_001_000)), Now(begun.0 + 1_000_000));
}
