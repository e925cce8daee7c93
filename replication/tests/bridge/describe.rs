//! Frames as one line each, for scenarios.
//!
//! Probes are left out: they say nothing but the time. Bodies are told by their length: it changes when the encoding does,
//! which is to be seen in a diff.

use bytes::Bytes;
use prost::Message as _;
use replication::proto;

pub(crate) fn frame(bytes: &Bytes) -> Option<String> {
    let frame = proto::Frame::decode(bytes.clone()).unwrap();
    let mut parts = Vec::new();
    parts.extend(frame.hello.map(|hello| format!("hello starts {:?}", starts(&hello))));
    for resume in frame.resume.iter().flat_map(|resume| &resume.partitions) {
        let proto::PartitionResume { partition, log, feed, sequence, .. } = resume;
        parts.push(format!("resume {partition} log {log} feed {feed} has {sequence}"));
    }
    parts.extend(frame.resume.filter(|resume| resume.last).map(|_| "resume end".into()));
    parts.extend(frame.rewinds.iter().map(|rewind| match rewind.to {
        0 => format!("stop {}", rewind.partition),
        to => format!("rewind {} to {}", rewind.partition, to - 1),
    }));
    parts.extend(frame.inlines.iter().map(|inline| {
        let how = if inline.on { "inline" } else { "reference" };
        format!("{how} origin {}", inline.origin)
    }));
    parts.extend(frame.fetches.iter().map(|fetch| {
        format!("fetch {} origin {} {}-{}", fetch.partition, fetch.origin, fetch.first, fetch.last)
    }));
    parts.extend(
        frame.fetched.iter().map(|answer| format!("fetched {} x{}", answer.partition, answer.commits.len())),
    );
    parts.extend(frame.bases.iter().map(|base| format!("base {} at {}", base.partition, base.position)));
    for section in &frame.sections {
        let steps: Vec<String> = section.steps.iter().map(step).collect();
        let from = if section.from > 0 { format!(" from {}", section.from - 1) } else { String::new() };
        parts.push(format!("section {}{from} [{}]", section.partition, steps.join(" | ")));
    }
    parts.extend(frame.feeds.iter().map(|feed| format!("feed {} x{}", feed.partition, feed.keys.len())));
    parts.extend(
        frame.caught_up.iter().map(|said| format!("all sent {:?} to {:?}", said.partitions, said.ends)),
    );
    if !frame.states.is_empty() {
        let partitions: Vec<u32> = frame.states.iter().map(|state| state.partition).collect();
        parts.push(format!("states {partitions:?}"));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn starts(hello: &proto::Hello) -> Vec<(u64, u64)> {
    hello.placements.iter().map(|shared| (shared.start_number, shared.remembered_start)).collect()
}

fn step(step: &proto::Step) -> String {
    let references = step.references.len();
    let commit = match (step.signature.len(), step.origin) {
        (0, _) => "no commit".into(),
        (_, 0) => format!("own commit of {} bytes", step.data.len()),
        (_, origin) => format!("commit of origin {} of {} bytes", origin - 1, step.data.len()),
    };
    if references > 0 { format!("{references} bytes of references, {commit}") } else { commit }
}
