//! What a region's metrics say of the other regions and of gossip.
//!
//! What must always hold: of a region that was never heard of there is no sample, rather than a zero; labels are names from the cluster file and codes.

use crate::handle::RegionHandle;
use crate::metrics::{Family, Type, signed, value};

/// All of them.
pub(crate) fn families(region: &RegionHandle) -> Vec<Family> {
    members(region).into_iter().chain(gossip(region)).collect()
}

fn members(region: &RegionHandle) -> Vec<Family> {
    let (view, now) = (region.view(), region.now());
    let (mut live, mut age, mut sessions, mut mailbox) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (other, member) in view.members().filter(|(other, _)| *other != region.region()) {
        let label = format!("{{region=\"{}\"}}", region.cluster().name_of(other));
        live.push((label.clone(), i64::from(member.live)));
        age.push((label.clone(), signed(now.0.saturating_sub(member.since.0) / 1_000_000)));
        if let Some(facts) = member.facts.as_ref().filter(|_| member.live) {
            sessions.push((label.clone(), signed(facts.load.sessions)));
            mailbox.push((label, facts.load.mailbox_percent.into()));
        }
    }
    let gauge = |name, help, samples| Family { name, help, kind: Type::Gauge, samples };
    vec![
        gauge("member_live", "Whether another region is held for live, as heard here", live),
        gauge("member_verdict_age_seconds", "For how long it is held for that", age),
        gauge(
            "member_sessions",
            "Devices connected to a live region, as it says itself, to two digits",
            sessions,
        ),
        gauge(
            "member_mailbox_percent",
            "How full its fullest mailbox is, as it says itself, in tens",
            mailbox,
        ),
    ]
}

fn gossip(region: &RegionHandle) -> Vec<Family> {
    let (mut messages, mut lost, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    for (peer, counters) in region.bridge_counters() {
        let name = region.cluster().name_of(*peer);
        let way = |way: &str| format!("{{peer=\"{name}\",direction=\"{way}\"}}");
        messages.extend([(way("in"), value(&counters.gossip_in)), (way("out"), value(&counters.gossip_out))]);
        lost.extend([
            (way("in"), value(&counters.gossip_dropped)),
            (way("out"), value(&counters.gossip_unsent)),
        ]);
        unknown.push((format!("{{peer=\"{name}\"}}"), value(&counters.datagrams_unknown)));
    }
    let counters = region.gossip_counters();
    let refused = counters.refused().map(|(code, count)| (format!("{{reason=\"{code}\"}}"), signed(count)));
    let counter = |name, help, samples| Family { name, help, kind: Type::Counter, samples };
    vec![
        counter("gossip_messages", "Messages of gossip that bridges have carried", messages),
        counter("gossip_lost", "Messages of gossip for which there was no bridge or no room", lost),
        counter(
            "gossip_refused",
            "Messages of gossip that were refused: see docs/errors.md",
            refused.collect(),
        ),
        counter("bridge_datagrams_unknown", "Datagrams of bridges that are of no known kind", unknown),
        Family {
            name: "gossip_starts_held",
            help: "Starts of regions of which gossip holds something, dead ones until they are forgotten",
            kind: Type::Gauge,
            samples: vec![(String::new(), value(&counters.starts_held))],
        },
    ]
}
