//! The metrics of a region, as they are told and as they are documented; and the runbooks, that what they name is there.
//!
//! What must always hold: each family has one HELP and one TYPE and stands with them in `docs/metrics.md`, which has no other; a name ends with its unit; a runbook names no metric that is not told, and
//! is linked where operators look.

use crate::two_regions::{TwoRegions, wait_until};
use gateway_client_net::ClientHandle;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const DOCUMENTED: &str = include_str!("../../../docs/metrics.md");
const README: &str = include_str!("../../../README.md");
/// A name ends with these if the metric is in that unit, and with none of them otherwise.
const UNITS: [&str; 3] = ["bytes", "microseconds", "seconds"];

/// Type and help of each family, by name.
fn told(text: &str) -> BTreeMap<String, (String, String)> {
    let of = |what: &str| {
        let lines =
            text.lines().filter_map(|line| line.strip_prefix("# ")?.strip_prefix(what)?.split_once(' '));
        let found: Vec<(String, String)> =
            lines.map(|(name, rest)| (name.to_owned(), rest.to_owned())).collect();
        let named: BTreeMap<String, String> = found.iter().cloned().collect();
        assert_eq!(named.len(), found.len(), "each family is told once");
        named
    };
    let (helps, types) = (of("HELP "), of("TYPE "));
    assert!(helps.keys().eq(types.keys()), "each family has both: {helps:?} {types:?}");
    types
        .into_iter()
        .map(|(name, kind)| {
            let help = helps[&name].clone();
            (name, (kind, help))
        })
        .collect()
}

/// Name, type, unit and help of each row of the tables.
fn rows() -> Vec<[&'static str; 4]> {
    let rows = DOCUMENTED.lines().filter(|line| line.starts_with("| `archipelago_"));
    let cells = |row: &'static str| {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(|cell| cell.trim()).collect();
        cells.try_into().unwrap_or_else(|_| panic!("a row of four cells: {row}"))
    };
    rows.map(cells).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_metric_is_told_with_help_type_and_unit_and_stands_in_the_documentation() {
    let regions = TwoRegions::start();
    wait_until("all are well", || regions.status().0 == Some(0));
    // A code has no sample before a connection was closed with it.
    let mut settings = regions.device(0, 0xa11ce, 1);
    settings.config.token = "none".to_owned();
    let (_client, _events) = ClientHandle::connect(settings);
    wait_until("a device is refused", || regions.metric(0, "archipelago_gateway_closed_total{code=") > 0);
    let text = regions.metrics(0);
    let told = told(&text);
    let documented: BTreeMap<String, (String, String)> = rows()
        .into_iter()
        .map(|[name, kind, unit, help]| {
            let name = name.trim_matches('`');
            let family = name.strip_suffix("_total").unwrap_or(name);
            assert_eq!(name.ends_with("_total"), kind == "counter", "{name}");
            match UNITS.iter().find(|known| family.ends_with(&format!("_{known}"))) {
                Some(known) => assert_eq!(*known, unit, "{name}"),
                None => assert!(!UNITS.contains(&unit), "{name} is in {unit}, and its name should say so"),
            }
            (family.to_owned(), (kind.to_owned(), help.to_owned()))
        })
        .collect();
    assert_eq!(documented, told);
    // What is told beside that are samples of these, and the closing line.
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    for sample in samples {
        let name = sample.split(['{', ' ']).next().unwrap();
        let family = name.strip_suffix("_total").unwrap_or(name);
        let (kind, _) = told.get(family).unwrap_or_else(|| panic!("of no family: {sample}"));
        assert_eq!(name.ends_with("_total"), kind == "counter", "{sample}");
    }
    assert!(text.ends_with("# EOF\n"), "{text}");
}

#[test]
fn runbooks_name_metrics_that_there_are_and_are_linked_where_operators_look() {
    let named: BTreeSet<&str> = rows().into_iter().map(|[name, ..]| name.trim_matches('`')).collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operations");
    let mut runbooks = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let (name, text) =
            (path.file_name().unwrap().to_str().unwrap(), std::fs::read_to_string(&path).unwrap());
        runbooks += 1;
        for (at, _) in text.match_indices("archipelago_") {
            let rest = &text[at..];
            let end = rest.find(|c: char| !(c.is_ascii_lowercase() || c == '_')).unwrap_or(rest.len());
            assert!(named.contains(&rest[..end]), "{name} names {}", &rest[..end]);
        }
        assert!(README.contains(&format!("](docs/operations/{name})")), "the README leads to {name}");
        assert!(text.contains("cli/tests/"), "{name} says which test does what it says");
    }
    assert!(runbooks > 10, "all of them are looked at");
}
