//! A region's counters in OpenMetrics' text format, without its closing line, so that the gateway's can follow.
//!
//! What must always hold: labels are names from the cluster file. No id of a user, device or conversation is in a metric, since metrics
//! leave the region (promise 8).

use crate::engine::Backlog;
use crate::handle::RegionHandle;
use crate::machine::resident_bytes;
use crate::membership_metrics;
use crdt::PlacementId;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

/// Whether a number only grows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    Counter,
    Gauge,
}

/// One metric with all its samples: labels and value.
pub(crate) struct Family {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) kind: Type,
    pub(crate) samples: Vec<(String, i64)>,
}

/// All counters of that region.
#[must_use]
pub fn text(region: &RegionHandle) -> String {
    let mut text = String::new();
    for family in shards(region)
        .into_iter()
        .chain(stores(region))
        .chain(bridges(region))
        .chain(snapshots(region))
        .chain(membership_metrics::families(region))
        .chain([clock(region)])
        .chain(certificates(region))
        .chain(machine(region))
    {
        let Family { name, help, kind, samples } = family;
        let (kind, suffix) = match kind {
            Type::Counter => ("counter", "_total"),
            Type::Gauge => ("gauge", ""),
        };
        // Writing to a string does not fail.
        let _ = writeln!(text, "# HELP archipelago_{name} {help}.\n# TYPE archipelago_{name} {kind}");
        for (labels, value) in samples {
            let _ = writeln!(text, "archipelago_{name}{suffix}{labels} {value}");
        }
    }
    text
}

fn snapshots(region: &RegionHandle) -> Vec<Family> {
    let counters = region.snapshot_counters();
    let counter = |name, help, counted: &AtomicU64| {
        let samples = vec![(String::new(), value(counted))];
        Family { name, help, kind: Type::Counter, samples }
    };
    vec![
        counter("snapshots_given", "Snapshots that regions that join have taken whole", &counters.given),
        counter("snapshots_refused", "Callers for snapshots that were refused", &counters.refused),
        counter(
            "snapshot_bytes",
            "Bytes of files of snapshots that were handed to connections",
            &counters.bytes,
        ),
    ]
}

pub(crate) fn value(counter: &AtomicU64) -> i64 {
    signed(counter.load(Ordering::Relaxed))
}

pub(crate) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A sample for each placement that has one.
fn of_each(region: &RegionHandle, read: &dyn Fn(PlacementId) -> Option<i64>) -> Vec<(String, i64)> {
    let names = &region.cluster().placements;
    let sample = |(placement, _)| {
        let name = names.get(&placement).map_or_else(|| placement.to_string(), |named| named.name.clone());
        Some((format!("{{placement=\"{name}\"}}"), read(placement)?))
    };
    region.placements().filter_map(sample).collect()
}

fn shards(region: &RegionHandle) -> Vec<Family> {
    let each = |read: &dyn Fn(PlacementId) -> Option<i64>| of_each(region, read);
    let counted = |name, help, read: fn(&crate::counters::ShardCounters) -> &AtomicU64| Family {
        name,
        help,
        kind: Type::Counter,
        samples: each(&|placement| Some(value(read(region.counters(placement)?)))),
    };
    vec![
        counted("shard_steps", "Steps that shards have taken", |shard| &shard.steps),
        counted("shard_inputs", "Commands, deliveries and ticks that went into steps", |shard| &shard.inputs),
        counted("shard_syncs", "Batches made durable, one write and one sync each", |shard| &shard.syncs),
        counted("shard_writes", "Keys written by those batches", |shard| &shard.writes),
        counted("shard_bytes", "Bytes of keys and values in those batches", |shard| &shard.bytes),
        counted("shard_sync_microseconds", "Time spent making batches durable", |shard| &shard.sync_us),
        counted(
            "shard_pins_broken",
            "Users whom peers let into a placement that their pin does not allow",
            |shard| &shard.pins_broken,
        ),
        counted(
            "shard_behind_folds",
            "Changes of members that contradict what their region had acknowledged",
            |shard| &shard.behind_folds,
        ),
        counted(
            "shard_other_histories",
            "Partitions of which another region acknowledges another history than stands here",
            |shard| &shard.other_histories,
        ),
        counted(
            "shard_document_changes_kept_out",
            "Changes of documents by peers that do not stand, or wait for what is not here",
            |shard| &shard.document_changes_kept_out,
        ),
        counted("shard_registers_kept_out", "Registers of peers' feeds whose value is none", |shard| {
            &shard.registers_kept_out
        }),
        counted(
            "shard_no_rights",
            "Operations of peers that spend or give a right to a place in a group that they do not hold",
            |shard| &shard.no_rights,
        ),
        counted("shard_texts_expired", "Posts and edits that are kept no longer", |shard| {
            &shard.texts_expired
        }),
        counted(
            "shard_compactions",
            "Times that files were rewritten so that none holds a text that was cut",
            |shard| &shard.compactions,
        ),
        counted("shard_compactions_failed", "Those that came to nothing, and are tried again", |shard| {
            &shard.compactions_failed
        }),
        counted(
            "shard_partitions_scrubbed",
            "Partitions of which all that lies on the disk was read again",
            |shard| &shard.scrubbed,
        ),
        Family {
            name: "shard_damaged_records",
            help: "Records that were damaged when they were last read again: see docs/operations/a-store-is-damaged.md",
            kind: Type::Gauge,
            samples: each(&|placement| Some(value(&region.counters(placement)?.damaged))),
        },
        Family {
            name: "shard_leftovers_age_seconds",
            help: "How long ago the oldest text was cut that files may still hold",
            kind: Type::Gauge,
            samples: each(&|placement| {
                let since_us = region.counters(placement)?.leftovers_since_us.load(Ordering::Relaxed);
                let age_us = if since_us == 0 { 0 } else { region.now().0.saturating_sub(since_us) };
                Some(signed(age_us / 1_000_000))
            }),
        },
        Family {
            name: "shard_texts_age_seconds",
            help: "How long the oldest texts of messages have been here, to a day: more than a day above what the placement keeps, and some region has not acknowledged them",
            kind: Type::Gauge,
            samples: each(&|placement| {
                Some(signed(region.counters(placement)?.texts_age_us.load(Ordering::Relaxed) / 1_000_000))
            }),
        },
        Family {
            name: "shard_held_answers",
            help: "Answers to devices that wait until another region has what they sent, of at most 65,536",
            kind: Type::Gauge,
            samples: each(&|placement| Some(value(&region.counters(placement)?.held_answers))),
        },
        Family {
            name: "shard_behind",
            help: "Whether a placement is not served, since not all has come that others held when this region was admitted",
            kind: Type::Gauge,
            samples: each(&|placement| Some(i64::from(region.behind().contains(&placement)))),
        },
        Family {
            name: "shard_letters_waiting",
            help: "Commands, or deliveries of bridges, that wait for a shard, whichever are more, of at most 1,024 each",
            kind: Type::Gauge,
            samples: each(&|placement| Some(signed(region.letters_waiting(placement)? as u64))),
        },
        counted(
            "shard_letters_refused",
            "Commands that were refused for the moment since a shard's mailbox was full",
            |shard| &shard.letters_refused,
        ),
    ]
}

fn stores(region: &RegionHandle) -> Vec<Family> {
    let gauge = |name, help, read: fn(Backlog) -> i64| Family {
        name,
        help,
        kind: Type::Gauge,
        samples: of_each(region, &|placement| region.backlog(placement).map(read)),
    };
    vec![
        gauge("store_first_files", "New files that the engine has not put together yet", |store| {
            signed(store.first_files)
        }),
        gauge(
            "store_backlog_bytes",
            "Bytes that the engine estimates to rewrite until its files are in order",
            |store| signed(store.bytes),
        ),
        gauge(
            "store_holds_up",
            "Whether the engine slows writes down since it is behind with its files: see docs/operations/a-slow-store.md",
            |store| i64::from(store.holds_up),
        ),
    ]
}

fn bridges(region: &RegionHandle) -> Vec<Family> {
    let mut frames = Vec::new();
    let mut bytes = Vec::new();
    let mut datagram_bytes = Vec::new();
    let (mut sent_bytes, mut sent_items) = (Vec::new(), Vec::new());
    let (mut operations, mut connections, mut alarms) = (Vec::new(), Vec::new(), Vec::new());
    let (mut open, mut stopped) = (Vec::new(), Vec::new());
    let (mut trips, mut lost, mut bases) = (Vec::new(), Vec::new(), Vec::new());
    let (mut compared, mut differing, mut clocks) = (Vec::new(), Vec::new(), Vec::new());
    for (peer, counters) in region.bridge_counters() {
        let name = region.cluster().name_of(*peer);
        let way = |way: &str| format!("{{peer=\"{name}\",direction=\"{way}\"}}");
        let label = format!("{{peer=\"{name}\"}}");
        frames.extend([(way("in"), value(&counters.frames_in)), (way("out"), value(&counters.frames_out))]);
        bytes.extend([(way("in"), value(&counters.bytes_in)), (way("out"), value(&counters.bytes_out))]);
        let (received, sent) = counters.datagram_bytes();
        datagram_bytes.extend([(way("in"), signed(received)), (way("out"), signed(sent))]);
        let sent = counters.sent();
        let kind = |kind: &str| format!("{{peer=\"{name}\",kind=\"{kind}\"}}");
        sent_bytes.extend([
            (kind("operations"), signed(sent.operation_bytes)),
            (kind("references"), signed(sent.reference_bytes)),
            (kind("registers"), signed(sent.register_bytes)),
            (kind("other"), signed(sent.other_bytes)),
        ]);
        sent_items.extend([
            (kind("operations"), signed(sent.operations)),
            (kind("registers"), signed(sent.registers)),
        ]);
        operations.push((label.clone(), value(&counters.operations_in)));
        connections.push((label.clone(), value(&counters.connections)));
        alarms.push((label.clone(), value(&counters.alarms)));
        let found = counters.found();
        compared.push((label.clone(), signed(found.compared.compared)));
        differing.push((label.clone(), signed(found.compared.differing as u64)));
        stopped.push((label.clone(), signed(found.stopped as u64)));
        bases.push((label.clone(), signed(found.bases)));
        lost.push((label.clone(), signed(counters.lost_packets())));
        let trip = counters.round_trip().and_then(|trip| i64::try_from(trip.as_micros()).ok());
        trips.extend(trip.map(|trip_us| (label.clone(), trip_us)));
        clocks.extend(found.clock.map(|clock| (label.clone(), clock.ahead_us)));
        open.push((label, i64::from(region.open_bridges().contains(peer))));
    }
    let family = |name, help, kind, samples| Family { name, help, kind, samples };
    let counter = |name, help, samples| family(name, help, Type::Counter, samples);
    vec![
        counter("bridge_frames", "Frames of bridges", frames),
        counter("bridge_bytes", "Bytes of frames of bridges, QUIC and below not counted", bytes),
        counter(
            "bridge_datagram_bytes",
            "Bytes of UDP payload of bridges, all that QUIC adds included",
            datagram_bytes,
        ),
        counter("bridge_sent_bytes", "Bytes put into frames of bridges, by what they were for", sent_bytes),
        counter("bridge_sent_items", "Operations and registers put into frames of bridges", sent_items),
        counter("bridge_operations_in", "Operations that bridges have handed to shards", operations),
        counter("bridge_connections", "Connections of bridges that stood", connections),
        counter("bridge_alarms", "Alarms that bridges have raised", alarms),
        counter(
            "bridge_states_compared",
            "Comparisons of what both regions made of the same operations",
            compared,
        ),
        family(
            "bridge_partitions_differing",
            "Partitions of which the regions hold two states, although they have applied the same: see docs/operations/regions-differ.md",
            Type::Gauge,
            differing,
        ),
        family(
            "bridge_clock_ahead_microseconds",
            "How far the peer's clock is ahead of this region's",
            Type::Gauge,
            clocks,
        ),
        family("bridge_open", "Whether the bridge is open", Type::Gauge, open),
        family(
            "bridge_partitions_stopped",
            "Partitions of which nothing more is taken from the peer: see docs/operations/messages-do-not-arrive.md",
            Type::Gauge,
            stopped,
        ),
        family(
            "bridge_round_trip_microseconds",
            "The way to the peer and back while the bridge is connected, with what packets wait for on the way",
            Type::Gauge,
            trips,
        ),
        counter(
            "bridge_cursors_at_base",
            "Cursors in the peer's logs that went on at a base, since all before it was here",
            bases,
        ),
        counter("bridge_lost_packets", "Packets to the peer that were taken for lost and sent again", lost),
    ]
}

fn clock(region: &RegionHandle) -> Family {
    Family {
        name: "clock_wall_offset_microseconds",
        help: "How far the wall clock is ahead of the region's present",
        kind: Type::Gauge,
        samples: vec![(String::new(), region.wall_offset_us())],
    }
}

fn certificates(region: &RegionHandle) -> Vec<Family> {
    let standing = region.certificates().standing();
    let of = |of: &str| format!("{{use=\"{of}\"}}");
    let authorities = standing.authorities_until_s.iter().min().map(|until| (of("authority"), *until));
    let samples = std::iter::once((of("region"), standing.region_until_s)).chain(authorities).collect();
    let refused = vec![(String::new(), i64::from(standing.refused.is_some()))];
    vec![
        Family {
            name: "certificate_expires_seconds",
            help: "When a certificate in use expires, in seconds since 1970, of authorities the first one: see docs/operations/certificates.md",
            kind: Type::Gauge,
            samples,
        },
        Family {
            name: "certificate_refused",
            help: "Whether the files of the certificates hold something that is not taken: see docs/operations/certificates.md",
            kind: Type::Gauge,
            samples: refused,
        },
    ]
}

fn machine(region: &RegionHandle) -> [Family; 2] {
    let sample = |bytes: Option<u64>| bytes.map(|bytes| (String::new(), signed(bytes))).into_iter().collect();
    let gauge = |name, help, samples| Family { name, help, kind: Type::Gauge, samples };
    [
        gauge(
            "disk_free_bytes",
            "Bytes that are free where the data folder lies",
            sample(region.disk_free_bytes()),
        ),
        gauge(
            "memory_resident_bytes",
            "Bytes of memory that the process has in use: see docs/operations/out-of-memory.md",
            sample(resident_bytes()),
        ),
    ]
}
