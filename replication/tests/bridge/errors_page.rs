//! `docs/errors.md` is where operators look a code up, so its table is held against the codes.
//!
//! What must always hold: every code that this version knows has one row, in order, under its own name, and no row has a code that is none.
//! The ways out there are words for people; what a bridge itself says is in the tables of `bad_input`.

use replication::reason::name_of;

const PAGE: &str = include_str!("../../../docs/errors.md");

#[test]
fn the_pages_table_of_codes_is_the_bridges_own() {
    let row = |line: &str| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        let code: u32 = cells.next()?.parse().ok()?;
        Some((code, cells.next()?.trim_matches('`').to_owned()))
    };
    let listed: Vec<(u32, String)> = PAGE.lines().filter_map(row).collect();
    let known = (0..1_000).map(|code| (code, name_of(code).to_owned())).filter(|(_, name)| name != "unknown");
    assert_eq!(listed, known.collect::<Vec<_>>());
}
