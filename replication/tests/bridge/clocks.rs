//! When two clocks are taken to be apart.
//!
//! What must always hold: a difference above the limit is told once, and one that a slow trip may explain is not.

use crate::played::Played;
use replication::limits::DRIFT_MS_MAX;
use replication::{Alarm, Input, Output, proto};

/// The difference that is told when a probe took so long and the peer's clock was so many milliseconds ahead of the middle of it.
fn told(played: &mut Played, trip_ms: u64, ahead_ms: i64) -> Option<i64> {
    let probe = std::iter::repeat_with(|| played.send()).take(8).flatten().find_map(|frame| frame.probe);
    let sent_us = probe.expect("a bridge that has opened probes").sent_us;
    played.now = played.now.plus_ms(trip_ms);
    let clock_us = (sent_us + trip_ms * 500).checked_add_signed(ahead_ms * 1_000).unwrap();
    let probe_answer = Some(proto::ProbeAnswer { sent_us, clock_us });
    let outputs = played.frame(&proto::Frame { probe_answer, ..Default::default() });
    outputs.iter().find_map(|output| match output {
        Output::Alarm(Alarm::ClockDrift { drift_ms, .. }) => Some(*drift_ms),
        _ => None,
    })
}

#[test]
fn clocks_are_apart_above_the_limit_and_half_the_trip() {
    let limit = DRIFT_MS_MAX as i64;
    for trip_ms in [0, 400, 1_000] {
        let explained = limit + trip_ms as i64 / 2;
        for (ahead_ms, expected) in [
            (0, None),
            (explained, None),
            (explained + 1, Some(explained + 1)),
            (-explained, None),
            (-explained - 1, Some(-explained - 1)),
        ] {
            assert_eq!(
                told(&mut Played::open(), trip_ms, ahead_ms),
                expected,
                "{ahead_ms} after a trip of {trip_ms} ms"
            );
        }
    }
}

#[test]
fn a_probe_that_was_lost_with_its_connection_is_sent_again_on_the_next() {
    let mut played = Played::open();
    let probes = |played: &mut Played| {
        let sent = std::iter::repeat_with(|| played.send()).take(8).flatten();
        sent.filter(|frame| frame.probe.is_some()).count()
    };
    assert_eq!(probes(&mut played), 1);
    played.step(Input::Disconnected { code: None });
    played.greet(|_| {});
    played.resume();
    assert_eq!(probes(&mut played), 1);
}
