//! What operators set in one region of a running cluster, and the other one comes to hold.
//!
//! What must always hold: the program prints what the region says and nothing else, and a refusal of the region, with its code, ends in exit code 6. Asked is again and
//! again until the feed has come, never slept for it.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod two_regions;

use std::process::Command;
use std::time::{Duration, Instant};
use two_regions::{PROGRAM, TwoRegions};

const ANN: &str = "u0001000000000001";

/// How long a feed may take: a register waits for company for less than a second.
const PATIENCE: Duration = Duration::from_secs(20);

/// Asks until the answer is that one.
fn hear(regions: &TwoRegions, arguments: &[&str], wanted: &str) {
    let begun = Instant::now();
    while regions.run(arguments) != wanted {
        assert!(begun.elapsed() < PATIENCE, "{}", regions.run(arguments));
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What the program says when it is refused.
fn refused(regions: &TwoRegions, arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(PROGRAM).args(arguments).current_dir(regions.path()).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// Gives a user a home: until the regions have met, neither knows that the other can read it.
fn give(regions: &TwoRegions, arguments: &[&str]) {
    let begun = Instant::now();
    loop {
        let (code, why) = refused(regions, arguments);
        if code == Some(0) {
            return;
        }
        assert!(code == Some(6) && why.contains("not_known_everywhere"), "{why}");
        assert!(begun.elapsed() < PATIENCE, "{why}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn what_operators_set_in_one_region_holds_in_the_other() {
    let regions = TwoRegions::start();
    let user = |region, more: &[&'static str]| {
        [&["admin", "user", ANN, "--cluster", "demo", "--region", region], more].concat()
    };
    let features = |region, more: &[&'static str]| {
        let of = ["admin", "features", "--cluster", "demo", "--region", region, "--placement", "global"];
        [&of, more].concat()
    };
    let nothing = r#"{"holds":{},"said":{}}"#;
    give(&regions, &user("east", &["--home", "west"]));
    let at_home =
        r#"{"erased":false,"home":"west","homes":1,"stands_in_for":null,"user":"u0001000000000001"}"#;
    hear(&regions, &user("west", &[]), at_home);
    let (code, why) = refused(&regions, &user("east", &["--home", "east"]));
    assert!(code == Some(6) && why.contains("not_the_home") && why.contains("r2"), "{why}");
    regions.run(&user("west", &["--erase"]));
    hear(
        &regions,
        &user("east", &[]),
        r#"{"erased":true,"home":null,"homes":0,"stands_in_for":null,"user":"u0001000000000001"}"#,
    );

    assert_eq!(regions.run(&features("west", &[])), nothing);
    regions.run(&features("west", &["--set", "posts=off", "--set", "groups=9"]));
    let wanted = r#"{"holds":{"groups":9,"posts":"off"},"said":{"west":{"groups":9,"posts":"off"}}}"#;
    hear(&regions, &features("east", &[]), wanted);
    regions.run(&features("west", &["--set", "posts=on", "--set", "groups=on"]));
    hear(&regions, &features("east", &[]), r#"{"holds":{},"said":{"west":{}}}"#);
    let (code, why) = refused(&regions, &features("east", &["--set", "calls=off"]));
    assert!(code == Some(6) && why.contains("malformed_act"), "{why}");
    let (code, why) = refused(&regions, &features("east", &["--set", "posts=perhaps"]));
    assert!(code == Some(2) && why.contains("neither off, on nor a number"), "{why}");
    let (code, why) = refused(&regions, &user("mars", &[]));
    assert!(code == Some(4) && why.contains("east, west"), "{why}");
}

#[test]
fn the_users_of_a_region_that_is_ended_are_at_home_in_its_heir_at_once() {
    let mut regions = TwoRegions::start();
    let user = |more: &[&'static str]| {
        [&["admin", "user", ANN, "--cluster", "demo", "--region", "east"], more].concat()
    };
    give(&regions, &user(&["--home", "west"]));
    let end = ["admin", "end-region", "west", "--cluster", "demo"];
    let shown = regions.run(&end);
    assert!(shown.contains("whose rights and users go to east") && shown.contains("--apply"), "{shown}");
    let (code, why) = refused(&regions, &user(&["--home", "east"]));
    assert!(code == Some(6) && why.contains("not_the_home"), "nothing is done yet: {why}");
    regions.signal(1, "KILL");
    regions.wait(1);
    regions.run(&[&end[..], &["--apply"]].concat());
    let at_east =
        r#"{"erased":false,"home":"east","homes":1,"stands_in_for":"west","user":"u0001000000000001"}"#;
    assert_eq!(regions.run(&user(&[])), at_east);
    let given = r#"{"erased":false,"home":"east","homes":2,"stands_in_for":null,"user":"u0001000000000001"}"#;
    assert_eq!(regions.run(&user(&["--home", "east"])), given, "for good, should west return");
}
