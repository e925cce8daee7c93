//! The examples run, and what they assert holds.
//!
//! They are programs for readers (`cargo run -p crdt --example two_regions`); here they are called, so that none of them rots.

#[path = "../examples/group_roster.rs"]
mod group_roster;
#[path = "../examples/two_regions.rs"]
mod two_regions;

#[test]
fn two_regions_diverge_and_converge() {
    two_regions::main().unwrap();
}

#[test]
fn a_roster_survives_a_demoted_admin() {
    group_roster::main().unwrap();
}
