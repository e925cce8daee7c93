//! When a bridge dials again.
//!
//! What must always hold: an attempt follows within a limit that doubles with each failure, at any time below it, so that regions that lost each other together do
//! not come back together; after a refusal it waits at least half of a longer time; one side of a pair alone dials.

use crate::store::{Store, placement, replica, start};
use bytes::Bytes;
use crdt::{Now, RegionId};
use prost::Message as _;
use rand_chacha::rand_core::{RngCore, impls};
use replication::limits::{REDIAL_MS_MAX, REDIAL_MS_MIN, REDIAL_REFUSED_MS};
use replication::placement::Placements;
use replication::{Bridge, Config, Input, Output, OwnStore, Timer, proto};
use std::collections::BTreeMap;

/// Always draws the same.
struct Draws(u64);

impl RngCore for Draws {
    fn next_u32(&mut self) -> u32 {
        self.0 as u32
    }

    fn next_u64(&mut self) -> u64 {
        self.0
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        impls::fill_bytes_via_next(self, bytes);
    }
}

struct Caller {
    bridge: Bridge,
    peer: RegionId,
    store: Store,
    now: Now,
}

impl Caller {
    fn between(own: u16, peer: u16) -> Self {
        let placements = Placements::new([placement(1, &[1, 2])]);
        let store = Store::new(own, placements.clone());
        let stores: BTreeMap<_, _> = placements
            .iter()
            .map(|placement| (placement.id, OwnStore { replica: replica(own), start: start(own, 1) }))
            .collect();
        let bridge = Bridge::new(Config {
            cluster: "test".into(),
            own: RegionId(own),
            peer: RegionId(peer),
            placements,
            stores,
            kinds: vec![0],
        });
        Self { bridge, peer: RegionId(peer), store, now: Now(1_000_000_000) }
    }

    fn step(&mut self, input: Input, draws: u64) -> Vec<Output> {
        self.bridge.step(self.now, &mut Draws(draws), input, &self.store).unwrap()
    }

    /// A connection stands, and both sides have said where they are.
    fn opens(&mut self) {
        let peer = self.peer;
        self.step(Input::Connected { certified: peer }, 0);
        let shared = proto::SharedPlacement {
            placement: 1,
            incarnation: replica(peer.0).incarnation.0,
            epoch: 1,
            fingerprint: placement(1, &[1, 2]).fingerprint().to_vec().into(),
            start_number: 1,
            remembered_start: 1,
            store: u128::from(peer.0).to_be_bytes().to_vec().into(),
            remembered_store: Bytes::new(),
        };
        let hello = proto::Hello {
            cluster: "test".into(),
            region: peer.0.into(),
            version_min: 1,
            version_max: 1,
            kinds: vec![0],
            clock_us: self.now.0,
            placements: vec![shared],
        };
        let resume = proto::Resume { partitions: Vec::new(), last: true };
        for frame in [
            proto::Frame { hello: Some(hello), ..Default::default() },
            proto::Frame { resume: Some(resume), ..Default::default() },
        ] {
            self.step(Input::Frame(frame.encode_to_vec().into()), 0);
        }
        assert!(self.bridge.to_string().contains(" open "), "{}", self.bridge);
    }

    /// Milliseconds until it dials again after an attempt that ended so.
    fn waits_ms(&mut self, code: Option<u32>, draws: u64) -> Option<u64> {
        let now = self.now;
        self.step(Input::Disconnected { code }, draws).into_iter().find_map(|output| match output {
            Output::SetTimer { timer: Timer::Redial, at } => Some((at.0 - now.0) / 1_000),
            _ => None,
        })
    }
}

#[test]
fn the_time_until_the_next_attempt_is_drawn_below_a_limit_that_doubles() {
    let mut caller = Caller::between(1, 2);
    assert!(caller.step(Input::Started, 0).contains(&Output::Dial));
    let mut limit = REDIAL_MS_MIN;
    for _ in 0..8 {
        // One below the limit is the latest that can be drawn.
        assert_eq!(caller.waits_ms(None, limit - 1), Some(limit));
        limit = (2 * limit).min(REDIAL_MS_MAX);
    }
    assert_eq!(caller.waits_ms(None, 0), Some(1), "the earliest");
    assert!(caller.step(Input::Timer(Timer::Redial), 0).contains(&Output::Dial));
}

#[test]
fn after_a_refusal_it_waits_at_least_half_of_the_longer_time_and_the_other_side_never_dials() {
    let mut caller = Caller::between(1, 2);
    caller.step(Input::Started, 0);
    assert_eq!(caller.waits_ms(Some(3), 0), Some(REDIAL_REFUSED_MS / 2));
    assert_eq!(caller.waits_ms(Some(3), REDIAL_REFUSED_MS / 2 - 1), Some(REDIAL_REFUSED_MS - 1));
    let mut called = Caller::between(2, 1);
    assert!(!called.step(Input::Started, 0).contains(&Output::Dial));
    assert_eq!(called.waits_ms(None, 0), None);
}

#[test]
fn a_connection_that_lasted_begins_the_limit_anew_and_one_that_did_not_goes_on() {
    let mut caller = Caller::between(1, 2);
    caller.step(Input::Started, 0);
    for _ in 0..4 {
        caller.waits_ms(None, 0);
    }
    let lasts_ms = |caller: &mut Caller, ms| {
        caller.opens();
        caller.now = caller.now.plus_ms(ms);
        // The latest there is, if the limit is the longest.
        caller.waits_ms(None, REDIAL_MS_MAX - 1)
    };
    caller.waits_ms(None, 0);
    assert_eq!(lasts_ms(&mut caller, REDIAL_MS_MAX), Some(REDIAL_MS_MAX), "a link that flaps");
    assert_eq!(lasts_ms(&mut caller, REDIAL_MS_MAX + 1), Some(REDIAL_MS_MIN), "a link that was cut");
}
