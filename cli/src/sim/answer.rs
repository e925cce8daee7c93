//! The answer of a run for people: what users saw, and what machines did, in rows that a newcomer understands.
//!
//! The same rows make the table of one run (`run`) and the table of two side by side (`compare`), so a figure is worded in one place.
//!
//! What must always hold: a figure without a sample is a dash, never a zero; whatever was left out because of a bound is said.

use sim::figures::{Distribution, Machines, Users};
use sim::page::count;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What the columns of a spread are called.
const COLUMNS: [&str; 4] = ["half", "99 of 100", "999 of 1000", "longest"];

/// A part of the answer.
#[derive(Debug)]
pub(crate) struct Section {
    title: &'static str,
    rows: Vec<Row>,
}

/// One line of it.
#[derive(Debug)]
pub(crate) enum Row {
    /// How long something took.
    Spread(&'static str, [String; 4]),
    /// One figure.
    Fact(String, String),
}

/// The names of regions, by number.
pub(crate) type Names = BTreeMap<crdt::RegionId, String>;

impl Section {
    /// As a page takes it.
    pub(crate) fn for_page(&self) -> sim::page::Table {
        let spreads = self.rows.iter().any(|row| matches!(row, Row::Spread(..)));
        let columns = if spreads { COLUMNS.map(str::to_owned).to_vec() } else { vec![String::new()] };
        let row = |row: &Row| match row {
            Row::Spread(what, figures) => {
                std::iter::once((*what).to_owned()).chain(figures.iter().cloned()).collect()
            }
            Row::Fact(what, figure) => vec![what.clone(), figure.clone()],
        };
        sim::page::Table {
            caption: self.title.to_owned(),
            columns: std::iter::once(String::new()).chain(columns).collect(),
            rows: self.rows.iter().map(row).collect(),
        }
    }
}

/// What a run says of users and machines.
pub(crate) fn sections(users: &Users, machines: &Machines, names: &Names) -> Vec<Section> {
    vec![
        how_long(users),
        what_waited(users),
        links(machines, names),
        regions(machines, names),
        bounds(machines),
    ]
}

/// One run's answer as text.
pub(crate) fn table(sections: &[Section]) -> String {
    let mut out = String::new();
    for Section { title, rows } in sections {
        let spreads = rows.iter().any(|row| matches!(row, Row::Spread(..)));
        // Writing to memory cannot fail, here and below.
        let _written = if spreads {
            let [half, most, nearly_all, longest] = COLUMNS;
            writeln!(out, "\n{title:<44}{half:>11}{most:>11}{nearly_all:>13}{longest:>11}")
        } else {
            writeln!(out, "\n{title}")
        };
        for row in rows {
            let _written = match row {
                Row::Spread(what, [half, most, nearly_all, longest]) => {
                    writeln!(out, "  {what:<42}{half:>11}{most:>11}{nearly_all:>13}{longest:>11}")
                }
                Row::Fact(what, figure) => writeln!(out, "  {what:<42}{figure:>11}"),
            };
        }
    }
    out
}

/// Two runs' answers side by side; `heads` are what the two are called.
pub(crate) fn side_by_side(one: &[Section], other: &[Section], heads: [&str; 2]) -> String {
    let mut out = String::new();
    let width = heads.iter().map(|head| head.chars().count()).max().unwrap_or(0).max(14) + 2;
    let mut titles: Vec<&'static str> = one.iter().map(|section| section.title).collect();
    titles.extend(
        other.iter().map(|section| section.title).filter(|title| !one.iter().any(|s| s.title == *title)),
    );
    for title in titles {
        // Writing to memory cannot fail, here and below.
        let _written = writeln!(out, "\n{title:<58}{:>width$}{:>width$}", heads[0], heads[1]);
        let (left, right) = (facts_of(one, title), facts_of(other, title));
        let mut labels: Vec<&String> = left.iter().map(|(label, _)| label).collect();
        labels.extend(
            right.iter().map(|(label, _)| label).filter(|label| !left.iter().any(|(l, _)| l == *label)),
        );
        for label in labels {
            let figure = |facts: &[(String, String)]| {
                facts
                    .iter()
                    .find(|(l, _)| l == label)
                    .map_or_else(|| "-".to_owned(), |(_, figure)| figure.clone())
            };
            let _written = writeln!(out, "  {label:<56}{:>width$}{:>width$}", figure(&left), figure(&right));
        }
    }
    out
}

/// A section's rows, each figure with a label of its own.
fn facts_of(sections: &[Section], title: &str) -> Vec<(String, String)> {
    let rows = sections.iter().filter(|section| section.title == title).flat_map(|section| &section.rows);
    rows.flat_map(|row| match row {
        Row::Spread(what, figures) => COLUMNS
            .iter()
            .zip(figures)
            .map(|(column, figure)| (format!("{what}: {column}"), figure.clone()))
            .collect(),
        Row::Fact(what, figure) => vec![(what.clone(), figure.clone())],
    })
    .collect()
}

fn how_long(users: &Users) -> Section {
    let rows = vec![
        spread("until a message had its first tick", &users.acknowledge),
        spread("until it was shown in its own region", &users.show_inside),
        spread("until it was shown in another region", &users.show_across),
        spread("the same, after a phone without network", &users.show_after_offline),
        spread("a device without any region", &users.cut_off),
        spread("a mark \"more was seen than is here\"", &users.mark_stood),
    ];
    Section { title: "what users saw", rows }
}

fn what_waited(users: &Users) -> Section {
    let mut rows = vec![
        fact("messages written", count(users.written)),
        fact("most that waited for a first tick at once", count(users.waiting_max)),
        fact("still waiting for it at the end", count(users.waiting_at_end)),
    ];
    if users.waiting_at_end > 0 {
        rows.push(fact("the oldest of those has waited", duration(Some(users.waiting_at_end_us))));
    }
    rows.extend([
        fact("refused for good, with a reason", count(users.refused)),
        fact("shown with a mark", count(users.marked)),
        fact("marks that stand at the end", count(users.marks_at_end)),
        fact("moved to an earlier place on a screen", count(users.moved)),
        fact("redirects to another region", count(users.redirects)),
        fact("devices", count(users.devices)),
        fact("device-minutes with network, without region", minutes(users.cut_off_us)),
        fact("device-minutes without a network of its own", minutes(users.offline_us)),
    ]);
    if users.untimed > 0 {
        rows.push(fact("messages too many to time, left out above", count(users.untimed)));
    }
    Section { title: "messages and devices", rows }
}

fn links(machines: &Machines, names: &Names) -> Section {
    let name = |region| names.get(&region).cloned().unwrap_or_else(|| region.to_string());
    let row = |((from, to), link): (&(crdt::RegionId, crdt::RegionId), &sim::figures::LinkUse)| {
        fact(&format!("{} > {}", name(*from), name(*to)), bytes(link.bytes))
    };
    Section { title: "what machines did: bytes on each link", rows: machines.links.iter().map(row).collect() }
}

fn regions(machines: &Machines, names: &Names) -> Section {
    let mut rows = Vec::new();
    for (region, used) in &machines.regions {
        let name = names.get(region).cloned().unwrap_or_else(|| region.to_string());
        rows.push(fact(&format!("{name}: operations in its logs"), count(used.operations)));
        rows.push(fact(&format!("{name}: written to disk"), bytes(used.written_bytes)));
        rows.push(fact(&format!("{name}: syncs"), count(used.batches)));
        rows.push(fact(&format!("{name}: most letters before a shard"), count(used.mailbox_letters_max)));
    }
    Section { title: "what machines did: logs and disks", rows }
}

fn bounds(machines: &Machines) -> Section {
    let mut rows: Vec<Row> =
        machines.bounds.iter().map(|(bound, times)| fact(bound.meaning(), count(*times))).collect();
    if rows.is_empty() {
        rows.push(fact("none", count(0)));
    }
    Section { title: "bounds of memory that were reached, and how often", rows }
}

fn spread(what: &'static str, distribution: &Distribution) -> Row {
    let of = |per_mille| duration(distribution.per_mille(per_mille));
    Row::Spread(what, [of(500), of(990), of(999), duration(distribution.max_us())])
}

fn fact(what: &str, figure: String) -> Row {
    Row::Fact(what.to_owned(), figure)
}

/// In the unit in which people would say it, with three digits at least.
pub(crate) fn duration(us: Option<u64>) -> String {
    match us {
        None => "-".to_owned(),
        Some(us) if us < 10_000 => format!("{}.{:02} ms", us / 1_000, us % 1_000 / 10),
        Some(us) if us < 1_000_000 => format!("{}.{} ms", us / 1_000, us % 1_000 / 100),
        Some(us) if us < 100_000_000 => format!("{}.{:02} s", us / 1_000_000, us % 1_000_000 / 10_000),
        Some(us) => format!("{}.{} min", us / 60_000_000, us % 60_000_000 / 6_000_000),
    }
}

fn minutes(us: u64) -> String {
    format!("{}.{}", count(us / 60_000_000), us % 60_000_000 / 6_000_000)
}

fn bytes(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} B"),
        10_000..1_000_000 => format!("{}.{} kB", bytes / 1_000, bytes % 1_000 / 100),
        _ => format!("{}.{:02} MB", bytes / 1_000_000, bytes % 1_000_000 / 10_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crdt::RegionId;
    use expect_test::expect;
    use sim::figures::{Bound, LinkUse, RegionUse};

    fn names() -> Names {
        [(RegionId(1), "frankfurt".to_owned()), (RegionId(2), "virginia".to_owned())].into()
    }

    fn run(slowest_us: u64) -> Vec<Section> {
        let mut users =
            Users { written: 12_345, waiting_max: 7, redirects: 1, devices: 30, ..Users::default() };
        for us in [800, 1_200, 45_000] {
            users.acknowledge.add(us);
        }
        users.show_across.add(slowest_us);
        (users.cut_off_us, users.offline_us) = (90_000_000, 61_234_000_000);
        let mut machines = Machines::default();
        machines.links.insert((RegionId(1), RegionId(2)), LinkUse { frames: 12, bytes: 12_345 });
        let used =
            RegionUse { operations: 12_400, batches: 900, written_bytes: 34_567_890, mailbox_letters_max: 5 };
        machines.regions.insert(RegionId(1), used);
        machines.bounds.insert(Bound::Mailbox, 3);
        sections(&users, &machines, &names())
    }

    #[test]
    fn a_run_answers_in_rows_that_a_newcomer_understands() {
        expect![[r#"

            what users saw                                     half  99 of 100  999 of 1000    longest
              until a message had its first tick            1.21 ms    45.0 ms      45.0 ms    45.0 ms
              until it was shown in its own region                -          -            -          -
              until it was shown in another region         40.2 min   40.2 min     40.2 min   40.2 min
              the same, after a phone without network             -          -            -          -
              a device without any region                         -          -            -          -
              a mark "more was seen than is here"                 -          -            -          -

            messages and devices
              messages written                               12,345
              most that waited for a first tick at once           7
              still waiting for it at the end                     0
              refused for good, with a reason                     0
              shown with a mark                                   0
              marks that stand at the end                         0
              moved to an earlier place on a screen               0
              redirects to another region                         1
              devices                                            30
              device-minutes with network, without region        1.5
              device-minutes without a network of its own    1,020.5

            what machines did: bytes on each link
              frankfurt > virginia                          12.3 kB

            what machines did: logs and disks
              frankfurt: operations in its logs              12,400
              frankfurt: written to disk                   34.56 MB
              frankfurt: syncs                                  900
              frankfurt: most letters before a shard              5

            bounds of memory that were reached, and how often
              a shard's mailbox was full, a command was asked to come again          3
        "#]]
        .assert_eq(&table(&run(2_412_000_000)));
    }

    #[test]
    fn two_runs_stand_side_by_side() {
        let text = side_by_side(&run(2_412_000_000), &run(93_000), ["one-link", "two-links"]);
        let line = text.lines().find(|line| line.contains("another region: longest")).unwrap_or_default();
        assert!(line.contains("40.2 min") && line.trim_end().ends_with("93.0 ms"), "{text}");
    }
}
