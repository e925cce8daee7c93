//! The data inside a page: what its pictures are drawn from.
//!
//! Short keys and lists instead of objects where there are many: a page of a thousand messages on a thousand devices stays below a few megabytes.
//!
//! What must always hold: `<` never stands in it, so that no name can end the script that holds it; the same recording gives the same bytes.

use super::follow::{Step, What, follow};
use super::recording::{Fault, Place, Recording, Spread};
use super::summary::Summary;
use serde_json::{Value, json};

/// The data as JSON that may stand inside a script element.
pub(super) fn data(recording: &Recording, summary: &Summary) -> String {
    let ways = recording.ways.iter().map(|((from, to), us)| json!([from, to, us]));
    let devices = recording.devices.iter().map(|device| json!([device.name, device.home]));
    let messages = recording.messages.iter().map(|message| {
        let steps = follow(recording, message);
        json!({
            "id": message.id.to_string(),
            "c": message.conversation,
            "a": message.author,
            "h": message.home,
            "p": message.posted_us,
            "n": message.shown_in_all,
            "s": steps.iter().map(step).collect::<Vec<_>>(),
        })
    });
    let spreads = |list: &[Spread]| -> Vec<Value> {
        list.iter().map(|spread| json!([spread.samples, spread.p50_us, spread.p99_us])).collect()
    };
    let bytes = recording.intervals.bytes.iter().map(|((from, to), list)| json!([from, to, list]));
    let findings =
        summary.findings.iter().filter_map(|finding| finding.at_us.map(|at_us| json!([at_us, finding.what])));
    let data = json!({
        "length": recording.length_us,
        "calm": recording.calm_us,
        "regions": recording.regions,
        "ways": ways.collect::<Vec<_>>(),
        "devices": devices.collect::<Vec<_>>(),
        "faults": recording.faults.iter().map(|of| fault(recording, of)).collect::<Vec<_>>(),
        "messages": messages.collect::<Vec<_>>(),
        "every": recording.intervals.every_us,
        "inside": spreads(&recording.intervals.inside),
        "across": spreads(&recording.intervals.across),
        "bytes": bytes.collect::<Vec<_>>(),
        "findings": findings.collect::<Vec<_>>(),
    });
    data.to_string().replace('<', "\\u003c")
}

/// `[what, harm, place in words, kind of place, one, other, begins, ends]`.
fn fault(recording: &Recording, fault: &Fault) -> Value {
    let (kind, one, other) = match fault.place {
        Place::Region(lane) => ("region", lane, lane),
        Place::Way(from, to) => ("way", from, to),
        Place::Link(one, other) => ("link", one, other),
        Place::Device(device) => ("device", device, device),
    };
    let place = recording.place(fault.place);
    json!([fault.what, fault.harm.name(), place, kind, one, other, fault.begins_us, fault.ends_us])
}

/// `[when, what, one, other, waited, faults]`.
fn step(step: &Step) -> Value {
    let (what, one, other) = match step.what {
        What::Posted => ("posted", 0, 0),
        What::Taken(lane) => ("taken", lane, 0),
        What::Acknowledged => ("acknowledged", 0, 0),
        What::Left(from, to) => ("left", from, to),
        What::Applied(lane) => ("applied", lane, 0),
        What::Shown(device, lane, false) => ("shown", device, lane),
        What::Shown(device, lane, true) => ("marked", device, lane),
        What::Delivered(device) => ("delivered", device, 0),
        What::Read(device) => ("read", device, 0),
        What::Stable => ("stable", 0, 0),
    };
    json!([step.at_us, what, one, other, step.waited_us, step.why])
}
